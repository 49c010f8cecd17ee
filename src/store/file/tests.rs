use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, fs, process};

use super::*;
use crate::store::stores::About;
use crate::store::{SealingKey, SealingKeys, Stores};
use crate::time::unix_nanos;

/// A folder that is not there yet, and goes with the test.
pub(in crate::store) struct Scratch(PathBuf);

impl Scratch {
    pub(in crate::store) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("fapi-unit-{}-{}-{next}", process::id(), unix_nanos());
        Self(env::temp_dir().join(name))
    }

    pub(in crate::store) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn key(id: u8) -> RecordKey {
    RecordKey {
        kind: RecordKind::Session,
        scope: Digest::from_bytes([7; 32]),
        id: Digest::from_bytes([id; 32]),
    }
}

fn about(key: &RecordKey) -> About<'_> {
    About {
        kind: key.kind.name(),
        issuer: "https://as.example",
        client_id: "client",
        id: key.id.as_bytes(),
    }
}

/// Whoever can write to the folder can't put one session in another's place, and reads nothing.
#[tokio::test]
async fn a_file_that_was_moved_is_noticed() {
    let folder = Scratch::new();
    let sealing = SealingKeys::new(SealingKey::generate("k1").unwrap());
    let stores = Stores::files(folder.path(), sealing).unwrap();
    let [alice, bob] = [key(1), key(2)];
    for (key, plain) in [(alice, b"alice's tokens"), (bob, b"mallory tokens")] {
        let record = Record {
            bytes: stores.seal(&about(&key), plain).unwrap(),
            tags: Vec::new(),
            life: None,
        };
        stores.records.create(&key, record).await.unwrap();
    }
    let at = |key| folder.path().join(names::record(key));
    let found = fs::read(at(&alice)).unwrap();
    assert!(!found.windows(6).any(|window| window == b"tokens"));
    fs::rename(at(&bob), at(&alice)).unwrap();

    let moved = stores.records.load(&alice).await.unwrap().unwrap();
    let opened = stores.open(&about(&alice), moved.bytes.clone());
    assert_eq!(opened.unwrap_err(), StoreError::NotAuthentic);
    let plain = stores.open(&about(&bob), moved.bytes).unwrap();
    assert_eq!(plain.as_slice(), b"mallory tokens");
    assert!(stores.records.load(&bob).await.unwrap().is_none());
}

/// What stops a process that has the store for itself stops the others for a while, and not for ever.
#[test]
fn changes_wait_for_one_another() {
    let folder = Scratch::new();
    let store = FileStore::open(folder.path()).unwrap();
    let held = Guard::take(&store.folder).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        let record = Record {
            bytes: vec![1],
            tags: Vec::new(),
            life: None,
        };
        let name = key(1);
        let mut waiting = store.create(&name, record);
        let early = std::future::poll_fn(|context| {
            std::task::Poll::Ready(waiting.as_mut().poll(context).is_ready())
        });
        assert!(!early.await);
        // Reading waits for nobody.
        assert!(store.load(&name).await.unwrap().is_none());
        drop(held);
        waiting.await.unwrap();
        assert!(store.load(&name).await.unwrap().is_some());
    });
}
