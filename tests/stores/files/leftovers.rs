//! What a crash leaves behind, and what has passed, goes; what is another's stays.

use std::fs;
use std::time::Duration;

use fapi_client::StoreError;
use fapi_client::store::{Locks, Records, Transactions};

use super::{Record, Replace, Scratch, key, login, login_name, name, record, replacing};

const LIFE: Duration = Duration::from_secs(900);

/// Forgets when it was swept last, so that whoever opens the folder sweeps it.
fn sweep(folder: &Scratch) {
    fs::remove_file(folder.at("store")).unwrap();
    folder.open();
}

#[tokio::test]
async fn a_crash_leaves_nothing_for_ever() {
    let folder = Scratch::new();
    let store = folder.open();
    let version = store.create(&key(1), record(b"session")).await.unwrap();
    let asking = Replace {
        room: 100,
        ..replacing(version, b"session")
    };
    store.replace(&key(1), asking).await.unwrap();
    store.put(&login(1, 1), vec![1], LIFE).await.unwrap();
    let kept = folder.names();
    let stale = [
        name(&key(1)) + ".tmp",
        name(&key(1)) + ".room.tmp",
        name(&key(2)) + ".tmp",
        name(&key(2)) + ".room",
        login_name(&login(1, 2)) + ".tmp",
    ];
    for name in &stale {
        fs::write(folder.at(name), b"half a rec").unwrap();
    }
    let others = ["notes.txt", "notes.tmp", "session.room", "other.lock"];
    for name in others {
        fs::write(folder.at(name), b"mine").unwrap();
    }
    sweep(&folder);
    let mut expected = [&kept[..], &others.map(str::to_owned)].concat();
    expected.sort();
    assert_eq!(folder.names(), expected);
    assert_eq!(
        store.load(&key(1)).await.unwrap().unwrap().bytes,
        b"session"
    );
}

/// A write that was cut off does not stand in the way of the next one.
#[tokio::test]
async fn half_a_write_is_written_over() {
    let folder = Scratch::new();
    let store = folder.open();
    for name in [name(&key(1)) + ".tmp", name(&key(1)) + ".room.tmp"] {
        fs::write(folder.at(&name), b"half a rec").unwrap();
    }
    let version = store.create(&key(1), record(b"session")).await.unwrap();
    let asking = Replace {
        room: 100,
        ..replacing(version, b"again")
    };
    store.replace(&key(1), asking).await.unwrap();
    assert_eq!(store.load(&key(1)).await.unwrap().unwrap().bytes, b"again");
    assert!(!folder.has(".tmp"));
}

#[tokio::test]
async fn what_has_passed_is_swept_out() {
    let folder = Scratch::new();
    let store = folder.open();
    let passed = Record {
        life: Some(Duration::ZERO),
        ..record(b"passed")
    };
    store.create(&key(1), passed).await.unwrap();
    let living = Record {
        life: Some(LIFE),
        ..record(b"alive")
    };
    store.create(&key(2), living).await.unwrap();
    store.create(&key(3), record(b"stays")).await.unwrap();
    store
        .put(&login(1, 1), vec![1], Duration::ZERO)
        .await
        .unwrap();
    store.put(&login(1, 2), vec![2], LIFE).await.unwrap();
    sweep(&folder);
    let mut expected = vec![
        login_name(&login(1, 2)),
        name(&key(2)),
        name(&key(3)),
        "store".to_owned(),
    ];
    expected.sort();
    assert_eq!(folder.names(), expected);
}

/// The file of a lock that is held stays; one whose holder died goes. Fences grow though the file that
/// counts them was lost.
#[cfg(unix)]
#[tokio::test]
async fn locks_outlive_a_sweep() {
    let folder = Scratch::new();
    let store = folder.open();
    let held = store.acquire(&key(1), LIFE, Duration::ZERO).await.unwrap();
    fs::write(folder.at(&(name(&key(2)) + ".lock")), b"").unwrap();
    sweep(&folder);
    let lock = name(&key(1)) + ".lock";
    assert_eq!(folder.names(), [lock, "store".to_owned()]);
    held.renew().await.unwrap();
    let other = store.acquire(&key(1), LIFE, Duration::ZERO).await;
    assert_eq!(other.err(), Some(StoreError::Locked));
    let fence = held.fence();
    held.release().await.unwrap();
    let next = store.acquire(&key(1), LIFE, Duration::ZERO).await.unwrap();
    assert!(next.fence() > fence);
}

/// A lock whose file was removed by hand is lost, and its former holder takes nothing from the next.
#[cfg(unix)]
#[tokio::test]
async fn a_lock_that_was_removed_is_lost() {
    let folder = Scratch::new();
    let store = folder.open();
    let held = store.acquire(&key(1), LIFE, Duration::ZERO).await.unwrap();
    fs::remove_file(folder.at(&(name(&key(1)) + ".lock"))).unwrap();
    assert_eq!(held.renew().await, Err(StoreError::LeaseLost));
    let next = store.acquire(&key(1), LIFE, Duration::ZERO).await.unwrap();
    assert!(next.fence() > held.fence());
    assert_eq!(held.renew().await, Err(StoreError::LeaseLost));
    held.release().await.unwrap();
    next.renew().await.unwrap();
    let third = store.acquire(&key(1), LIFE, Duration::ZERO).await;
    assert_eq!(third.err(), Some(StoreError::Locked));
}
