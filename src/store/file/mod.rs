//! A folder on this machine, for one user and several processes at once.

mod folder;
mod format;
mod guard;
mod lease;
mod logins;
mod names;
mod records;
mod sweep;
#[cfg(test)]
pub(super) mod tests;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;

#[cfg(feature = "passphrase")]
pub(super) use format::Rest;
#[cfg(feature = "keyring")]
pub(super) use lease::{Held, hold};

use folder::Folder;
use guard::Guard;

use super::{
    Digest, Lease, Locks, Record, RecordKey, RecordKind, Records, Replace, Stored, TransactionKey,
    Transactions,
};
use crate::error::StoreError;
use crate::future::BoxFuture;

/// Keeps everything in a folder of this machine: for command lines and desktop programs, several of
/// which may run at once.
///
/// * Folder and files are made for their owner alone (0700, 0600), and a folder that others may read
///   or write is refused. On Windows, put the folder below the user's own profile.
/// * A file is put in place whole, and has reached the disk before a call returns.
/// * Of several processes one writes at a time. A lock of a session ends with the process that holds
///   it, however that ends.
/// * With [`Replace::room`], space on the disk is set aside for the next write of a record.
/// * What this version does not know is refused and left as it is.
///
/// The folder must be on a disk of this machine: locks over a network are not to be relied on. Calls
/// need a tokio runtime, else they answer [`StoreError::NoRuntime`]; files are read and written on its
/// threads for blocking work.
///
/// ```no_run
/// use fapi_client::Stores;
/// use fapi_client::store::SealingKeys;
///
/// # fn stores() -> Result<Stores, fapi_client::StoreError> {
/// let keys = SealingKeys::from_key_file("/run/credentials/example.service/sealing-key")?;
/// Stores::files("/var/lib/example/sessions", keys)
/// # }
/// ```
///
/// Cloning is cheap, and all clones are the same store.
#[derive(Clone)]
pub struct FileStore {
    folder: Arc<Folder>,
}

impl FileStore {
    /// Opens the store in a folder, and makes the folder where it is not there. This reads and writes a
    /// little; it blocks for a moment.
    ///
    /// # Errors
    /// [`StoreError::TooOpen`] where others may use the folder; [`StoreError::Path`] where it can't be
    /// one; [`StoreError::NotPermitted`], [`StoreError::NoSpace`], [`StoreError::Foreign`],
    /// [`StoreError::UnknownFormat`], [`StoreError::Unavailable`].
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let folder = Folder::open(folder.into())?;
        let mut guard = Guard::take(&folder)?;
        sweep::when_due(&folder, &mut guard);
        drop(guard);
        Ok(Self {
            folder: Arc::new(folder),
        })
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A file that is made once and stays: what it holds, by whichever process was first.
    #[cfg(any(feature = "keyring", feature = "passphrase"))]
    pub(super) async fn once(
        &self,
        name: &'static str,
        make: impl FnOnce() -> Result<Vec<u8>, StoreError> + Send + 'static,
    ) -> Result<Vec<u8>, StoreError> {
        const LIMIT: usize = 4096;
        if let Some(text) = self.blocking(|folder| folder.read(name, LIMIT)).await? {
            return Ok(text);
        }
        self.changing(|folder| {
            if let Some(text) = folder.read(name, LIMIT)? {
                return Ok(text);
            }
            let text = make()?;
            folder.write(name, &text)?;
            Ok(text)
        })
        .await
    }

    /// Does something that blocks, where it may.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Folder) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let runtime = Handle::try_current().map_err(|_| StoreError::NoRuntime)?;
        let folder = self.folder.clone();
        let done = runtime.spawn_blocking(move || work(&folder)).await;
        done.map_err(|_| StoreError::Unavailable)?
    }

    /// Does something while no other process changes the store.
    pub(super) async fn changing<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Folder) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.blocking(|folder| {
            let mut guard = Guard::take(folder)?;
            let done = work(folder);
            sweep::when_due(folder, &mut guard);
            done
        })
        .await
    }
}

/// Shows the path.
impl fmt::Debug for FileStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "FileStore({:?})", self.path())
    }
}

impl Transactions for FileStore {
    fn put<'a>(
        &'a self,
        key: &'a TransactionKey,
        bytes: Vec<u8>,
        life: Duration,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        let key = *key;
        Box::pin(self.changing(move |folder| logins::put(folder, &key, bytes, life)))
    }

    fn of<'a>(
        &'a self,
        owner: &'a Digest,
    ) -> BoxFuture<'a, Result<Vec<(TransactionKey, Vec<u8>)>, StoreError>> {
        let owner = *owner;
        Box::pin(self.blocking(move |folder| logins::of(folder, &owner)))
    }

    fn take<'a>(
        &'a self,
        key: &'a TransactionKey,
    ) -> BoxFuture<'a, Result<Option<Vec<u8>>, StoreError>> {
        let key = *key;
        Box::pin(self.changing(move |folder| logins::take(folder, &key)))
    }
}

impl Records for FileStore {
    fn load<'a>(&'a self, key: &'a RecordKey) -> BoxFuture<'a, Result<Option<Stored>, StoreError>> {
        let key = *key;
        Box::pin(self.blocking(move |folder| records::load(folder, &key)))
    }

    fn create<'a>(
        &'a self,
        key: &'a RecordKey,
        record: Record,
    ) -> BoxFuture<'a, Result<u64, StoreError>> {
        let key = *key;
        Box::pin(self.changing(move |folder| records::create(folder, &key, record)))
    }

    fn replace<'a>(
        &'a self,
        key: &'a RecordKey,
        replace: Replace,
    ) -> BoxFuture<'a, Result<u64, StoreError>> {
        let key = *key;
        Box::pin(self.changing(move |folder| records::replace(folder, &key, replace)))
    }

    fn delete<'a>(
        &'a self,
        key: &'a RecordKey,
        expected: Option<u64>,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        let key = *key;
        Box::pin(self.changing(move |folder| records::delete(folder, &key, expected)))
    }

    fn list<'a>(
        &'a self,
        kind: RecordKind,
        scope: &'a Digest,
        tag: Option<&'a Digest>,
    ) -> BoxFuture<'a, Result<Vec<Stored>, StoreError>> {
        let (scope, tag) = (*scope, tag.copied());
        Box::pin(self.blocking(move |folder| records::list(folder, kind, &scope, tag.as_ref())))
    }
}

impl Locks for FileStore {
    fn acquire<'a>(
        &'a self,
        name: &'a RecordKey,
        _lease: Duration,
        patience: Duration,
    ) -> BoxFuture<'a, Result<Box<dyn Lease>, StoreError>> {
        Box::pin(lease::acquire(self, name, patience))
    }
}
