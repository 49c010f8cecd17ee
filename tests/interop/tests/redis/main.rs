//! The Redis store against `redis-server`.

mod contracts;
mod failover;
#[path = "../../../stores/loaded.rs"]
mod loaded;
mod program;
mod replicas;
mod secrecy;
mod sessions;
mod space;
mod weather;

use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use fapi_client::StoreError;
use fapi_client::store::{
    Digest, Record, RecordKey, RecordKind, RedisStore, RedisStoreBuilder, Replace,
};
use fapi_interop::Redis;

/// Settings for a server, with the credentials of a program.
fn builder(redis: &Redis) -> RedisStoreBuilder {
    RedisStore::builder(redis.url()).credentials(Redis::USER, Redis::PASSWORD)
}

async fn connect(redis: &Redis) -> RedisStore {
    builder(redis).connect().await.unwrap()
}

/// A name that no other call has given.
fn digest() -> Digest {
    static LAST: AtomicU32 = AtomicU32::new(0);
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(&LAST.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    Digest::from_bytes(bytes)
}

fn key() -> RecordKey {
    RecordKey {
        kind: RecordKind::Session,
        scope: digest(),
        id: digest(),
    }
}

fn record(bytes: &[u8]) -> Record {
    Record {
        bytes: bytes.to_vec(),
        tags: Vec::new(),
        life: None,
    }
}

fn replacing(expected: u64, bytes: &[u8]) -> Replace {
    Replace {
        expected,
        fence: None,
        room: 0,
        record: record(bytes),
    }
}

/// Calls again while the store is not there, for as long as a server may take to come back.
async fn once_it_is_back<T, F>(call: impl Fn() -> F) -> T
where
    F: Future<Output = Result<T, StoreError>>,
{
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        match call().await {
            Ok(value) => return value,
            Err(error) => assert_eq!(error, StoreError::Unavailable),
        }
        assert!(Instant::now() < end, "the store did not come back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
