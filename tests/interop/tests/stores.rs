//! The folder of a store on a disk that is full, and on one that can't be written.
//!
//! The test runs itself again, as another process in a mount namespace of its own, where it may mount a
//! small disk.

#![cfg(target_os = "linux")]

use std::path::Path;
use std::process::Command;
use std::time::Duration;
use std::{env, fs};

use fapi_client::StoreError;
use fapi_client::store::{
    Digest, FileStore, Locks, Record, RecordKey, RecordKind, Records, Replace, TransactionKey,
    Transactions,
};

const DISK: &str = "FAPI_TEST_DISK";
const LIFE: Duration = Duration::from_secs(900);
const MOUNT: &str =
    "mount -t tmpfs -o size=512k,mode=700 tmpfs \"$FAPI_TEST_DISK\" && exec \"$0\" \"$@\"";

fn key(id: u8) -> RecordKey {
    RecordKey {
        kind: RecordKind::Session,
        scope: Digest::from_bytes([0; 32]),
        id: Digest::from_bytes([id; 32]),
    }
}

fn record(bytes: &[u8]) -> Record {
    Record {
        bytes: bytes.to_vec(),
        tags: Vec::new(),
        life: None,
    }
}

fn replacing(expected: u64, room: usize, bytes: &[u8]) -> Replace {
    Replace {
        expected,
        fence: None,
        room,
        record: record(bytes),
    }
}

/// Runs the test again on a small disk; true where this is that run.
fn is_on_a_small_disk(test: &str) -> bool {
    if env::var_os(DISK).is_some() {
        return true;
    }
    let folder = env::temp_dir().join(format!("fapi-disk-{}-{test}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let output = Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c", MOUNT])
        .arg(env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(DISK, &folder)
        .output()
        .expect("unshare, of util-linux");
    let _ = fs::remove_dir(&folder);
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{errors}");
    assert!(text.contains("1 passed"), "{text}{errors}");
    false
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// A disk that fills up between the two writes of a refresh loses nothing: the second one goes into the
/// room that the first one set aside. Every other write says what is so and changes nothing.
#[tokio::test]
async fn a_full_disk() {
    if !is_on_a_small_disk("a_full_disk") {
        return;
    }
    let disk = env::var_os(DISK).unwrap();
    let folder = Path::new(&disk).join("store");
    let store = FileStore::open(&folder).unwrap();
    let first = store.create(&key(1), record(b"before")).await.unwrap();
    let during = replacing(first, 20_000, b"during");
    let second = store.replace(&key(1), during).await.unwrap();

    let filler = Path::new(&disk).join("filler");
    fs::write(&filler, vec![1; 1 << 20]).unwrap_err();
    let before = names(&folder);

    let created = store.create(&key(2), record(b"new")).await;
    assert_eq!(created, Err(StoreError::NoSpace));
    assert!(store.load(&key(2)).await.unwrap().is_none());
    let login = TransactionKey {
        owner: Digest::from_bytes([1; 32]),
        scope: Digest::from_bytes([0; 32]),
        id: Digest::from_bytes([2; 32]),
    };
    let put = store.put(&login, vec![1], LIFE).await;
    assert_eq!(put, Err(StoreError::NoSpace));
    assert_eq!(store.of(&login.owner).await, Ok(Vec::new()));
    // Room that can't be had is said before anything is sent.
    let more = replacing(second, 20_000, b"during");
    let replaced = store.replace(&key(1), more).await;
    assert_eq!(replaced, Err(StoreError::NoSpace));
    let kept = store.load(&key(1)).await.unwrap().unwrap();
    assert_eq!((kept.version, &kept.bytes[..]), (second, &b"during"[..]));
    assert_eq!(names(&folder), before);

    // The lock can be had, and the answer be written.
    let lease = store.acquire(&key(1), LIFE, Duration::ZERO).await.unwrap();
    let tokens = vec![7; 20_000];
    let after = Replace {
        fence: Some(lease.fence()),
        ..replacing(second, 0, &tokens)
    };
    let third = store.replace(&key(1), after).await.unwrap();
    lease.release().await.unwrap();
    let again = FileStore::open(&folder).unwrap();
    let kept = again.load(&key(1)).await.unwrap().unwrap();
    assert_eq!((kept.version, kept.bytes), (third, tokens));

    fs::remove_file(&filler).unwrap();
    store.create(&key(2), record(b"new")).await.unwrap();
    store.put(&login, vec![1], LIFE).await.unwrap();
}

/// Where nothing can be written any more, what is there can still be read, and each write is refused.
#[tokio::test]
async fn a_disk_that_can_not_be_written() {
    if !is_on_a_small_disk("a_disk_that_can_not_be_written") {
        return;
    }
    let disk = env::var_os(DISK).unwrap();
    let folder = Path::new(&disk).join("store");
    let store = FileStore::open(&folder).unwrap();
    let version = store.create(&key(1), record(b"session")).await.unwrap();
    let before = names(&folder);
    let mounted = Command::new("mount")
        .args(["-o", "remount,ro"])
        .arg(&disk)
        .status();
    assert!(mounted.unwrap().success());

    let refused = |name: &str| {
        Some(StoreError::NotPermitted {
            action: "write",
            path: folder.join(name),
        })
    };
    assert_eq!(FileStore::open(&folder).err(), refused("store"));
    let created = store.create(&key(2), record(b"new")).await;
    assert_eq!(created.err(), refused("store"));
    let replaced = store.replace(&key(1), replacing(version, 0, b"new")).await;
    assert_eq!(replaced.err(), refused("store"));
    let deleted = store.delete(&key(1), None).await;
    assert_eq!(deleted.err(), refused("store"));
    let locked = store.acquire(&key(1), LIFE, Duration::ZERO).await;
    let lock = format!("session.{}.{}.lock", key(1).scope, key(1).id);
    assert_eq!(locked.err(), refused(&lock));
    let kept = store.load(&key(1)).await.unwrap().unwrap();
    assert_eq!((kept.version, &kept.bytes[..]), (version, &b"session"[..]));
    assert_eq!(names(&folder), before);
}
