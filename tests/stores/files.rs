//! A folder of this machine.

mod folders;
mod leftovers;
mod refused;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{env, fs, process};

use fapi_client::StoreError;
use fapi_client::store::{
    Digest, FileStore, Record, RecordKey, RecordKind, Records, Replace, TransactionKey,
    Transactions,
};
use fapi_testkit::contract::{LocksLapse, locks_contract, records_contract, transactions_contract};

/// A folder that is not there yet, and goes with the test.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let name = format!("fapi-{}-{}-{next}", process::id(), since.as_nanos());
        Self(env::temp_dir().join(name))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn open(&self) -> FileStore {
        FileStore::open(&self.0).unwrap()
    }

    /// The names in it, in order.
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// Whether some name ends like this.
    pub fn has(&self, ending: &str) -> bool {
        self.names().iter().any(|name| name.ends_with(ending))
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub fn digest(number: u64) -> Digest {
    let mut bytes = [7; 32];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    Digest::from_bytes(bytes)
}

pub fn key(id: u64) -> RecordKey {
    RecordKey {
        kind: RecordKind::Session,
        scope: digest(0),
        id: digest(id),
    }
}

pub fn login(owner: u64, id: u64) -> TransactionKey {
    TransactionKey {
        owner: digest(owner),
        scope: digest(0),
        id: digest(id),
    }
}

pub fn record(bytes: &[u8]) -> Record {
    Record {
        bytes: bytes.to_vec(),
        tags: Vec::new(),
        life: None,
    }
}

pub fn replacing(expected: u64, bytes: &[u8]) -> Replace {
    Replace {
        expected,
        fence: None,
        room: 0,
        record: record(bytes),
    }
}

/// The name of a record's file.
pub fn name(key: &RecordKey) -> String {
    format!("{}.{}.{}", key.kind.name(), key.scope, key.id)
}

/// The name of a login's file.
pub fn login_name(key: &TransactionKey) -> String {
    format!("login.{}.{}.{}", key.owner, key.scope, key.id)
}

/// SEC-6.4: a login under way is found by its own browser, and taken once.
#[tokio::test]
async fn transactions_keep_the_contract() {
    let folder = Scratch::new();
    transactions_contract(&folder.open()).await;
}

/// Records are written by one at a time, under versions and fences, and pass.
#[tokio::test]
async fn records_keep_the_contract() {
    let folder = Scratch::new();
    records_contract(&folder.open()).await;
}

/// A lock has one holder at a time.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn locks_keep_the_contract() {
    let folder = Scratch::new();
    let store = Arc::new(folder.open());
    locks_contract(store, LocksLapse::WithItsHolder).await;
    // No lock leaves a file behind.
    assert_eq!(folder.names(), ["store"]);
}

/// The contracts can run with one another, through several handles, and leave nothing half done.
#[tokio::test]
async fn the_contracts_share_a_folder() {
    let folder = Scratch::new();
    let [one, two, three] = [(); 3].map(|()| folder.open());
    tokio::join!(
        transactions_contract(&one),
        records_contract(&two),
        locks_contract(Arc::new(three), LocksLapse::WithItsHolder),
    );
    for ending in [".tmp", ".lock", ".room"] {
        assert!(!folder.has(ending), "{:?}", folder.names());
    }
}

/// A seventeenth login of one browser drops its oldest.
#[tokio::test]
async fn an_owner_has_sixteen_logins() {
    const LIFE: Duration = Duration::from_secs(900);
    let folder = Scratch::new();
    let store = folder.open();
    for id in 0..20 {
        store.put(&login(1, id), vec![1], LIFE).await.unwrap();
    }
    store.put(&login(2, 0), vec![2], LIFE).await.unwrap();
    let own = store.of(&digest(1)).await.unwrap();
    let expected: Vec<_> = (4..20).map(|id| (login(1, id), vec![1])).collect();
    assert_eq!(own, expected);
    assert_eq!(store.of(&digest(2)).await.unwrap().len(), 1);
    // The same one again drops nothing.
    store.put(&login(1, 10), vec![3], LIFE).await.unwrap();
    assert_eq!(store.of(&digest(1)).await.unwrap().len(), 16);
}

/// Whoever begins logins without end fills the folder to a limit, and what has passed makes
/// room again.
#[tokio::test]
async fn logins_have_a_limit() {
    const LIFE: Duration = Duration::from_secs(900);
    let folder = Scratch::new();
    let store = folder.open();
    store.put(&login(1, 0), vec![1], LIFE).await.unwrap();
    let one = fs::read(folder.at(&login_name(&login(1, 0)))).unwrap();
    for owner in 2..=10_000 {
        fs::write(folder.at(&login_name(&login(owner, 0))), &one).unwrap();
    }
    let further = login(10_001, 0);
    let refused = store.put(&further, vec![1], LIFE).await;
    assert_eq!(refused, Err(StoreError::Full));
    assert_eq!(store.of(&further.owner).await.unwrap(), []);
    // One that is there already can be put anew.
    store.put(&login(5, 0), vec![5], LIFE).await.unwrap();

    store
        .put(&login(7, 0), vec![7], Duration::ZERO)
        .await
        .unwrap();
    store.put(&further, vec![1], LIFE).await.unwrap();
    assert_eq!(store.of(&further.owner).await.unwrap().len(), 1);
    assert!(!folder.at(&login_name(&login(7, 0))).exists());
    let refused = store.put(&login(10_002, 0), vec![1], LIFE).await;
    assert_eq!(refused, Err(StoreError::Full));
}

/// The room for the next write is on the disk, in bytes that are really there, and the next write goes
/// into it.
#[cfg(unix)]
#[tokio::test]
async fn room_is_of_real_bytes() {
    use std::os::unix::fs::MetadataExt;

    const ROOM: u64 = 100_000;
    let folder = Scratch::new();
    let store = folder.open();
    let first = store.create(&key(1), record(b"before")).await.unwrap();
    let asking = Replace {
        room: usize::try_from(ROOM).unwrap(),
        ..replacing(first, b"during")
    };
    let second = store.replace(&key(1), asking.clone()).await.unwrap();
    let room = fs::metadata(folder.at(&(name(&key(1)) + ".room"))).unwrap();
    assert!(room.len() >= ROOM + 6);
    assert!(
        room.blocks() * 512 >= room.len(),
        "{} blocks",
        room.blocks()
    );

    // The next one asks for room again: it is another one, and the first becomes the record.
    let again = Replace {
        expected: second,
        ..asking
    };
    let third = store.replace(&key(1), again).await.unwrap();
    let written = fs::metadata(folder.at(&name(&key(1)))).unwrap();
    assert_eq!(written.ino(), room.ino());
    assert!(written.len() < 100);
    let room = fs::metadata(folder.at(&(name(&key(1)) + ".room"))).unwrap();
    assert_ne!(written.ino(), room.ino());

    let large = vec![3; usize::try_from(ROOM).unwrap()];
    let last = store
        .replace(&key(1), replacing(third, &large))
        .await
        .unwrap();
    let written = fs::metadata(folder.at(&name(&key(1)))).unwrap();
    assert_eq!(written.ino(), room.ino());
    assert_eq!(folder.names(), [name(&key(1)), "store".to_owned()]);
    let stored = store.load(&key(1)).await.unwrap().unwrap();
    assert_eq!((stored.version, stored.bytes), (last, large));
}

/// Room goes with its record.
#[tokio::test]
async fn room_is_given_back() {
    let folder = Scratch::new();
    let store = folder.open();
    let first = store.create(&key(1), record(b"before")).await.unwrap();
    let asking = Replace {
        room: 1000,
        ..replacing(first, b"during")
    };
    store.replace(&key(1), asking).await.unwrap();
    store.delete(&key(1), None).await.unwrap();
    assert_eq!(folder.names(), ["store"]);
}

/// SES-8: root is let into everybody's folder, and trusts none but its own. Nobody else is let in at all.
#[cfg(unix)]
#[test]
fn a_folder_of_another_user_is_refused() {
    const NOBODY: u32 = 65_534;

    let scratch = Scratch::new();
    drop(FileStore::open(scratch.path()).unwrap());
    match std::os::unix::fs::chown(scratch.path(), Some(NOBODY), None) {
        Ok(()) => {
            let refused = FileStore::open(scratch.path()).unwrap_err();
            let expected = StoreError::Path {
                path: scratch.path().to_owned(),
                reason: "it belongs to another user",
            };
            assert_eq!(refused, expected);
        }
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied),
    }
}
