//! Servers that restart, die, hang and change places.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use fapi_client::StoreError;
use fapi_client::store::{Locks, Records, RedisStore, Transactions};
use fapi_interop::Redis;

use crate::{builder, connect, digest, key, once_it_is_back, record, replacing};

const LONG: Duration = Duration::from_secs(60);

/// After a restart the same store goes on where it was: what was kept is there, scripts are sent anew, a lock
/// is still held, and versions and fences go on.
#[tokio::test]
async fn a_restart_in_mid_use() {
    let mut redis = Redis::start();
    let store = connect(&redis).await;
    let name = key();
    let version = store.create(&name, record(b"before")).await.unwrap();
    let held = store.acquire(&name, LONG, Duration::ZERO).await.unwrap();

    redis.stop();
    redis.start_again();

    assert_eq!(store.load(&name).await.unwrap().unwrap().version, version);
    held.renew().await.unwrap();
    let locked = store.acquire(&name, LONG, Duration::ZERO).await;
    assert_eq!(locked.err(), Some(StoreError::Locked));
    let next = store.replace(&name, replacing(version, b"after")).await;
    assert!(next.unwrap() > version);
    let fence = held.fence();
    held.release().await.unwrap();
    let later = store.acquire(&name, LONG, Duration::ZERO).await.unwrap();
    assert!(later.fence() > fence);
}

/// A server that was killed is `Unavailable`, at once and for each kind of call; when it is back, so is the
/// store, with all that was answered for.
#[tokio::test]
async fn a_server_that_is_killed() {
    let mut redis = Redis::start();
    let store = connect(&redis).await;
    let name = key();
    let version = store.create(&name, record(b"kept")).await.unwrap();

    redis.kill();
    let gone = StoreError::Unavailable;
    let begun = Instant::now();
    assert_eq!(store.load(&name).await.unwrap_err(), gone);
    assert_eq!(store.create(&key(), record(b"x")).await.unwrap_err(), gone);
    assert_eq!(store.of(&digest()).await.unwrap_err(), gone);
    let locked = store.acquire(&name, LONG, LONG).await;
    assert_eq!(locked.err(), Some(gone));
    assert_eq!(
        builder(&redis).connect().await.unwrap_err(),
        StoreError::Unavailable
    );
    assert!(begun.elapsed() < Duration::from_secs(2));

    redis.start_again();
    let stored = once_it_is_back(|| store.load(&name)).await.unwrap();
    assert_eq!((stored.version, &*stored.bytes), (version, &b"kept"[..]));
    store
        .replace(&name, replacing(version, b"next"))
        .await
        .unwrap();
}

/// A connection that the server closed is replaced, once for all who wait, and reads do not notice. Scripts
/// that the server forgot are sent again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_was_closed() {
    let redis = Redis::start();
    let store = connect(&redis).await;
    let name = key();
    let version = store.create(&name, record(b"kept")).await.unwrap();
    for _ in 0..3 {
        let _ = redis.cli(&["CLIENT", "KILL", "USER", Redis::USER]);
        let _ = redis.cli(&["SCRIPT", "FLUSH"]);
        let reads: Vec<_> = (0..50)
            .map(|_| {
                let store = store.clone();
                tokio::spawn(async move { store.load(&name).await })
            })
            .collect();
        for read in reads {
            assert_eq!(read.await.unwrap().unwrap().unwrap().version, version);
        }
        let clients = redis.cli(&["CLIENT", "LIST"]);
        let ours = format!("user={} ", Redis::USER);
        assert_eq!(clients.matches(&ours).count(), 1, "{clients}");
    }
    store
        .replace(&name, replacing(version, b"next"))
        .await
        .unwrap();
}

/// A server that takes a connection and never answers, with TLS and without, costs the time that was set.
#[tokio::test]
async fn a_server_that_never_greets() {
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = mute.local_addr().unwrap().port();
    for scheme in ["redis", "rediss"] {
        let begun = Instant::now();
        let store = RedisStore::builder(format!("{scheme}://127.0.0.1:{port}"))
            .connect_timeout(Duration::from_millis(300));
        assert_eq!(store.connect().await.unwrap_err(), StoreError::Unavailable);
        let took = begun.elapsed();
        assert!(
            (Duration::from_millis(300)..Duration::from_secs(2)).contains(&took),
            "{took:?}"
        );
    }
}

/// A server that no longer answers costs the time that a command has, and serves again when it answers.
#[tokio::test]
async fn a_server_that_hangs() {
    let redis = Redis::start();
    let store = builder(&redis)
        .timeout(Duration::from_millis(200))
        .connect_timeout(Duration::from_millis(200))
        .connect()
        .await
        .unwrap();
    let name = key();
    store.create(&name, record(b"kept")).await.unwrap();
    let _ = redis.cli(&["CLIENT", "PAUSE", "1500", "ALL"]);
    let begun = Instant::now();
    assert_eq!(
        store.load(&name).await.unwrap_err(),
        StoreError::Unavailable
    );
    assert_eq!(
        store.delete(&name, None).await.unwrap_err(),
        StoreError::Unavailable
    );
    assert!(begun.elapsed() < Duration::from_millis(1200));
    assert!(once_it_is_back(|| store.load(&name)).await.is_some());
}

/// A replica is none to write to, nor to read from, whether it was one when we came or became one since; the
/// server that was promoted in its place has all, and its fences and versions are higher.
#[tokio::test]
async fn a_failover() {
    let (first, second) = (Redis::start(), Redis::start());
    for server in [&first, &second] {
        let _ = server.cli(&["CONFIG", "SET", "masterauth", Redis::ADMIN_PASSWORD]);
        let _ = server.cli(&["CONFIG", "SET", "repl-diskless-sync-delay", "0"]);
    }
    let port = |server: &Redis| server.port().to_string();
    let _ = second.cli(&["REPLICAOF", "127.0.0.1", &port(&first)]);
    let store = connect(&first).await;
    let name = key();
    let version = store.create(&name, record(b"kept")).await.unwrap();
    let lease = store.acquire(&name, LONG, Duration::ZERO).await.unwrap();
    assert_eq!(first.cli(&["WAIT", "1", "20000"]).trim(), "1");
    assert_eq!(
        builder(&second).connect().await.unwrap_err(),
        StoreError::Unavailable
    );

    let _ = second.cli(&["REPLICAOF", "NO", "ONE"]);
    let _ = first.cli(&["REPLICAOF", "127.0.0.1", &port(&second)]);
    let late = store.replace(&name, replacing(version, b"late")).await;
    assert_eq!(late.unwrap_err(), StoreError::Unavailable);
    assert_eq!(lease.renew().await.unwrap_err(), StoreError::Unavailable);
    assert_eq!(
        store.load(&name).await.unwrap_err(),
        StoreError::Unavailable
    );

    let store = connect(&second).await;
    let stored = store.load(&name).await.unwrap().unwrap();
    assert_eq!((stored.version, &*stored.bytes), (version, &b"kept"[..]));
    let next = store
        .replace(&name, replacing(version, b"next"))
        .await
        .unwrap();
    assert!(next > version);
    // Even where a failover lost the counters.
    let _ = second.cli(&["FLUSHALL"]);
    assert!(store.create(&name, record(b"new")).await.unwrap() > next);
    let new = store.acquire(&name, LONG, Duration::ZERO).await.unwrap();
    assert!(new.fence() > lease.fence());
}

/// A caller that goes away while it waits for a lock, or while it holds one, leaves it to the next.
#[tokio::test]
async fn a_caller_that_goes_away() {
    let redis = Redis::start();
    let store = connect(&redis).await;
    let name = key();
    let held = store.acquire(&name, LONG, Duration::ZERO).await.unwrap();
    let waiting = store.acquire(&name, LONG, LONG);
    let waited = tokio::time::timeout(Duration::from_millis(100), waiting).await;
    assert!(waited.is_err());
    drop(held);
    let next = store.acquire(&name, LONG, LONG).await.unwrap();
    next.release().await.unwrap();
    assert_eq!(redis.cli(&["KEYS", "*:k:*"]).trim(), "");
}
