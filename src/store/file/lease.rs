//! The lock of one session: a lock on a file, which the operating system ends with its holder.

use std::fs::{self, File, TryLockError};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::FileStore;
use super::folder::{Folder, failure, is_still_there};
use super::guard::Guard;
use super::names;
use crate::error::StoreError;
use crate::future::BoxFuture;
use crate::store::{Lease, RecordKey};

const FIRST_PAUSE: Duration = Duration::from_millis(3);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// A file that is locked. Its name goes with the lock, so that the files of former sessions do not
/// pile up.
pub(in crate::store) struct Held {
    file: File,
    path: PathBuf,
}

impl Drop for Held {
    fn drop(&mut self) {
        // While the lock is held: who opens the name from now on makes a new file, and who has opened
        // this one finds that it is no longer there. Where that can't be told, the file stays.
        if cfg!(unix) && is_still_there(&self.file, &self.path) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

pub(super) async fn acquire(
    store: &FileStore,
    name: &RecordKey,
    patience: Duration,
) -> Result<Box<dyn Lease>, StoreError> {
    let held = hold(store, names::lock(name), patience).await?;
    let next = |folder: &Folder| Guard::take(folder)?.next_fence(folder);
    Ok(Box::new(FileLease {
        store: store.clone(),
        fence: store.blocking(next).await?,
        held: Arc::new(held),
    }))
}

/// Locks a file of that name, as soon as nobody else does.
pub(in crate::store) async fn hold(
    store: &FileStore,
    name: String,
    patience: Duration,
) -> Result<Held, StoreError> {
    let (mut waited, mut pause) = (Duration::ZERO, FIRST_PAUSE);
    loop {
        let name = name.clone();
        if let Some(held) = store.blocking(move |folder| attempt(folder, &name)).await? {
            return Ok(held);
        }
        let left = patience.saturating_sub(waited);
        if left.is_zero() {
            return Err(StoreError::Locked);
        }
        pause = pause.min(left);
        tokio::time::sleep(pause).await;
        waited += pause;
        pause = (2 * pause).min(LONGEST_PAUSE);
    }
}

fn attempt(folder: &Folder, name: &str) -> Result<Option<Held>, StoreError> {
    let file = folder.open_lock(name)?;
    let path = folder.at(name);
    match file.try_lock() {
        Ok(()) if is_still_there(&file, &path) => Ok(Some(Held { file, path })),
        // Its last holder took the file away after we had opened it.
        Ok(()) | Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(failure(&error, "write", &path)),
    }
}

struct FileLease {
    store: FileStore,
    held: Arc<Held>,
    fence: u64,
}

impl Lease for FileLease {
    fn fence(&self) -> u64 {
        self.fence
    }

    fn renew(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        let held = self.held.clone();
        Box::pin(self.store.blocking(move |_| {
            // Somebody may have removed the file by hand; another may hold the new one.
            let kept = is_still_there(&held.file, &held.path);
            kept.then_some(()).ok_or(StoreError::LeaseLost)
        }))
    }

    fn release(self: Box<Self>) -> BoxFuture<'static, Result<(), StoreError>> {
        // To give up a lock is one call to the operating system and waits for nothing.
        drop(self.held);
        Box::pin(async { Ok(()) })
    }
}
