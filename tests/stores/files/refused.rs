//! Files that this version does not know are refused by every call, and left as they are.

use std::fs;

use fapi_client::StoreError;
use fapi_client::store::{Records, Transactions};
use std::time::Duration;

use super::{Scratch, digest, key, login, login_name, name, record, replacing};

/// What a file may have become, and what it is called then.
fn damages(good: &[u8]) -> Vec<(Vec<u8>, StoreError)> {
    let mut newer = good.to_vec();
    newer[4] = 9;
    vec![
        (Vec::new(), StoreError::Truncated),
        (b"FAP".to_vec(), StoreError::Truncated),
        (good[..20].to_vec(), StoreError::Truncated),
        (good[..good.len() - 1].to_vec(), StoreError::Truncated),
        (
            [good, b"x"].concat(),
            StoreError::Malformed("it is longer than it says"),
        ),
        (b"{\"token\":\"x\"}".to_vec(), StoreError::Foreign),
        (vec![0; 4096], StoreError::Foreign),
        (newer, StoreError::UnknownFormat(9)),
        (
            vec![b'x'; (4 << 20) + 1],
            StoreError::Malformed("the file is too large"),
        ),
    ]
}

#[tokio::test]
async fn a_record_that_is_not_known() {
    let folder = Scratch::new();
    let store = folder.open();
    let [key, sound] = [key(1), key(2)];
    store.create(&sound, record(b"sound")).await.unwrap();
    let version = store.create(&key, record(b"sealed bytes")).await.unwrap();
    let path = folder.at(&name(&key));
    let good = fs::read(&path).unwrap();
    for (text, expected) in damages(&good) {
        fs::write(&path, &text).unwrap();
        let outcomes = [
            store.load(&key).await.map(|_| 0),
            store.create(&key, record(b"new")).await,
            store.replace(&key, replacing(version, b"new")).await,
            store.delete(&key, None).await.map(|()| 0),
            store.delete(&key, Some(version)).await.map(|()| 0),
        ];
        for outcome in outcomes {
            assert_eq!(outcome, Err(expected.clone()));
        }
        // What nobody can use does not hide the others; what a newer version could use is not kept
        // quiet about.
        let listed = store.list(key.kind, &key.scope, None).await;
        match expected {
            StoreError::UnknownFormat(_) => assert_eq!(listed.unwrap_err(), expected),
            _ => assert_eq!(listed.unwrap().len(), 1),
        }
        // Nor does it go in a sweep.
        fs::remove_file(folder.at("store")).unwrap();
        folder.open();
        assert!(fs::read(&path).unwrap() == text, "{expected}");
        assert_eq!(folder.names().len(), 3);
    }
    fs::write(&path, good).unwrap();
    assert_eq!(store.load(&key).await.unwrap().unwrap().version, version);
}

#[tokio::test]
async fn a_login_that_is_not_known() {
    const LIFE: Duration = Duration::from_secs(900);
    let folder = Scratch::new();
    let store = folder.open();
    let [key, sound] = [login(1, 1), login(1, 2)];
    for key in [&key, &sound] {
        store
            .put(key, b"sealed bytes".to_vec(), LIFE)
            .await
            .unwrap();
    }
    let path = folder.at(&login_name(&key));
    let good = fs::read(&path).unwrap();
    for (text, expected) in damages(&good) {
        fs::write(&path, &text).unwrap();
        assert_eq!(store.take(&key).await, Err(expected.clone()));
        let own = store.of(&digest(1)).await;
        match expected {
            StoreError::UnknownFormat(_) => assert_eq!(own, Err(expected.clone())),
            _ => assert_eq!(own.unwrap(), [(sound, b"sealed bytes".to_vec())]),
        }
        assert!(fs::read(&path).unwrap() == text, "{expected}");
    }
}

/// A link where a record should be is not followed: what it leads to is neither read nor written. A
/// pipe is not waited for.
#[cfg(unix)]
#[tokio::test]
async fn what_is_no_file() {
    let folder = Scratch::new();
    let store = folder.open();
    let key = key(1);
    let version = store.create(&key, record(b"sealed bytes")).await.unwrap();
    let path = folder.at(&name(&key));
    let elsewhere = folder.at("elsewhere");
    fs::rename(&path, &elsewhere).unwrap();
    let before = fs::read(&elsewhere).unwrap();

    for what in ["link", "folder", "pipe"] {
        match what {
            "link" => std::os::unix::fs::symlink(&elsewhere, &path).unwrap(),
            "folder" => fs::create_dir(&path).unwrap(),
            _ => {
                let made = std::process::Command::new("mkfifo").arg(&path).status();
                assert!(made.unwrap().success());
            }
        }
        let outcomes = [
            store.load(&key).await.map(|_| 0),
            store.create(&key, record(b"new")).await,
            store.replace(&key, replacing(version, b"new")).await,
            store.delete(&key, None).await.map(|()| 0),
        ];
        for outcome in outcomes {
            assert_eq!(outcome, Err(StoreError::Foreign), "{what}");
        }
        // It is still there to be removed.
        match what {
            "folder" => fs::remove_dir(&path).unwrap(),
            _ => fs::remove_file(&path).unwrap(),
        }
    }
    assert_eq!(fs::read(&elsewhere).unwrap(), before);
}

/// The room of a record is written into, so it must be a file of its own.
#[cfg(unix)]
#[tokio::test]
async fn room_that_is_a_link() {
    let folder = Scratch::new();
    let store = folder.open();
    let key = key(1);
    let version = store.create(&key, record(b"sealed bytes")).await.unwrap();
    let elsewhere = folder.at("elsewhere");
    fs::write(&elsewhere, b"another's").unwrap();
    let room = folder.at(&(name(&key) + ".room"));
    std::os::unix::fs::symlink(&elsewhere, &room).unwrap();
    for asked in [0, 100] {
        let mut replace = replacing(version, b"new");
        replace.room = asked;
        let outcome = store.replace(&key, replace).await;
        assert_eq!(outcome, Err(StoreError::Foreign));
    }
    assert_eq!(fs::read(&elsewhere).unwrap(), b"another's");
    let stored = store.load(&key).await.unwrap().unwrap();
    assert_eq!(stored.bytes, b"sealed bytes");
    assert!(!folder.has(".tmp"));
}

/// The same for a lock.
#[cfg(unix)]
#[tokio::test]
async fn a_lock_that_is_a_link() {
    use fapi_client::store::Locks;

    let folder = Scratch::new();
    let store = folder.open();
    let lock = folder.at(&(name(&key(1)) + ".lock"));
    std::os::unix::fs::symlink(folder.at("elsewhere"), &lock).unwrap();
    let acquired = store.acquire(&key(1), Duration::ZERO, Duration::ZERO).await;
    assert_eq!(acquired.err(), Some(StoreError::Foreign));
    assert!(!folder.at("elsewhere").exists());
}

/// A record has a size limit, and one that is beyond it changes nothing.
#[tokio::test]
async fn a_record_that_is_too_large() {
    let folder = Scratch::new();
    let store = folder.open();
    let too_large = StoreError::Malformed("a record has at most 4 MiB");
    let large = vec![1; 4 << 20];
    let created = store.create(&key(1), record(&large)).await;
    assert_eq!(created, Err(too_large.clone()));
    assert_eq!(folder.names(), ["store"]);
    let version = store.create(&key(1), record(b"small")).await.unwrap();
    let replaced = store.replace(&key(1), replacing(version, &large)).await;
    assert_eq!(replaced, Err(too_large));
    let stored = store.load(&key(1)).await.unwrap().unwrap();
    assert_eq!(
        (stored.version, &stored.bytes[..]),
        (version, &b"small"[..])
    );
}
