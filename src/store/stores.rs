//! Everything a client keeps outside of itself, as one value.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::{FileStore, Locks, MemoryStore, Records, SealingKeys, Transactions};
use crate::error::StoreError;

/// What is sealed, and where it belongs. It is opened at that place alone.
#[derive(Clone, Copy)]
pub(crate) struct About<'a> {
    pub(crate) kind: &'a str,
    pub(crate) issuer: &'a str,
    pub(crate) client_id: &'a str,
    pub(crate) id: &'a [u8],
}

/// Where a client keeps logins under way, sessions and locks, and the keys that seal them.
///
/// [`Stores::memory`] is what a client has unless told otherwise. Cloning is cheap, and all clones are
/// the same stores.
#[derive(Clone)]
pub struct Stores {
    pub(crate) transactions: Arc<dyn Transactions>,
    pub(crate) records: Arc<dyn Records>,
    pub(crate) locks: Arc<dyn Locks>,
    /// `None` for the memory of this process alone.
    sealing: Option<Arc<SealingKeys>>,
}

impl Stores {
    /// The memory of this process: everything is gone when it ends.
    #[must_use]
    pub fn memory() -> Self {
        let store = Arc::new(MemoryStore::new());
        Self {
            transactions: store.clone(),
            records: store.clone(),
            locks: store,
            sealing: None,
        }
    }

    /// A store that keeps everything, sealed with these keys.
    #[must_use]
    pub fn new<S>(store: S, sealing: SealingKeys) -> Self
    where
        S: Transactions + Records + Locks + 'static,
    {
        let store = Arc::new(store);
        Self::from_parts(store.clone(), store.clone(), store, sealing)
    }

    /// A folder of this machine, sealed with these keys: [`FileStore::open`] and
    /// [`new`](Self::new).
    ///
    /// # Errors
    /// Those of [`FileStore::open`].
    pub fn files(folder: impl Into<PathBuf>, sealing: SealingKeys) -> Result<Self, StoreError> {
        Ok(Self::new(FileStore::open(folder)?, sealing))
    }

    /// A folder of this machine, sealed with a key in the keyring of the operating system:
    /// [`FileStore::open`], [`Keyring::os`](super::Keyring::os) and
    /// [`Keyring::sealing_keys_for`](super::Keyring::sealing_keys_for). The service is the name of the
    /// program, as its users see it in their keyring.
    ///
    /// # Errors
    /// Those of the three.
    #[cfg(feature = "keyring-os")]
    pub async fn keyring(folder: impl Into<PathBuf>, service: &str) -> Result<Self, StoreError> {
        let store = FileStore::open(folder)?;
        let keyring = super::Keyring::os();
        let keys = keyring.sealing_keys_for(&store, service).await?;
        Ok(Self::new(store, keys))
    }

    /// Three stores, one for each, sealed with these keys. The locks must reach as far as the records
    /// do.
    #[must_use]
    pub fn from_parts(
        transactions: Arc<dyn Transactions>,
        records: Arc<dyn Records>,
        locks: Arc<dyn Locks>,
        sealing: SealingKeys,
    ) -> Self {
        Self {
            transactions,
            records,
            locks,
            sealing: Some(Arc::new(sealing)),
        }
    }

    /// Whether what is kept is there after this process has ended.
    pub(crate) const fn outlive_the_process(&self) -> bool {
        self.sealing.is_some()
    }

    pub(crate) fn seal(&self, about: &About<'_>, plain: &[u8]) -> Result<Vec<u8>, StoreError> {
        match &self.sealing {
            Some(keys) => keys.seal(about, plain),
            None => Ok(plain.to_vec()),
        }
    }

    pub(crate) fn open(
        &self,
        about: &About<'_>,
        kept: Vec<u8>,
    ) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        match &self.sealing {
            Some(keys) => keys.open(about, &kept),
            None => Ok(Zeroizing::new(kept)),
        }
    }
}

/// Shows the keys' ids.
impl fmt::Debug for Stores {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Stores")
            .field("sealing", &self.sealing)
            .finish_non_exhaustive()
    }
}
