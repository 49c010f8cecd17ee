//! Memory that runs out.

use std::time::Duration;

use fapi_client::StoreError;
use fapi_client::store::{Locks, Records, Replace, TransactionKey, Transactions};
use fapi_interop::Redis;

use crate::{connect, digest, key, record, replacing};

/// Where memory has run out, nothing is written by half: what is there stays, can be read, taken and
/// deleted; and what was set aside for a record's next replacement is there for it.
#[tokio::test]
async fn memory_runs_out() {
    let redis = Redis::start();
    let store = connect(&redis).await;
    let long = Duration::from_secs(60);
    let (plain, roomy, gone) = (key(), key(), key());
    let login = TransactionKey {
        owner: digest(),
        scope: digest(),
        id: digest(),
    };
    let plain_version = store.create(&plain, record(b"plain")).await.unwrap();
    let roomy_version = store.create(&roomy, record(b"before")).await.unwrap();
    let during = Replace {
        room: 4096,
        ..replacing(roomy_version, b"during")
    };
    let roomy_version = store.replace(&roomy, during).await.unwrap();
    store.create(&gone, record(b"gone")).await.unwrap();
    store.put(&login, b"login".to_vec(), long).await.unwrap();

    let _ = redis.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    let full = Err(StoreError::NoSpace);
    assert_eq!(store.create(&key(), record(b"new")).await, full);
    assert_eq!(
        store
            .replace(&plain, replacing(plain_version, b"new"))
            .await,
        full
    );
    let other = TransactionKey {
        id: digest(),
        ..login
    };
    assert_eq!(
        store.put(&other, b"new".to_vec(), long).await,
        Err(StoreError::NoSpace)
    );
    let locked = store.acquire(&plain, long, Duration::ZERO).await;
    assert_eq!(locked.err(), Some(StoreError::NoSpace));

    let stored = store.load(&plain).await.unwrap().unwrap();
    assert_eq!(
        (stored.version, &*stored.bytes),
        (plain_version, &b"plain"[..])
    );
    assert_eq!(store.of(&login.owner).await.unwrap().len(), 1);
    assert_eq!(store.take(&login).await.unwrap().unwrap(), b"login");
    store.delete(&gone, None).await.unwrap();
    assert!(store.load(&gone).await.unwrap().is_none());

    let version = store
        .replace(&roomy, replacing(roomy_version, &[b'a'; 4000]))
        .await
        .unwrap();
    // That was all that had been set aside.
    assert_eq!(
        store.replace(&roomy, replacing(version, b"new")).await,
        full
    );

    let _ = redis.cli(&["CONFIG", "SET", "maxmemory", "0"]);
    store
        .replace(&roomy, replacing(version, b"new"))
        .await
        .unwrap();
    let free = store.acquire(&plain, long, Duration::ZERO).await.unwrap();
    free.release().await.unwrap();
}
