//! Sessions, in memory.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

/// The key of a session. It holds issuer and client id, so that no id of one server's finds a session
/// of another's.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SessionKey {
    pub(crate) issuer: String,
    pub(crate) client_id: String,
    pub(crate) id: String,
}

/// Records by key.
pub(crate) struct Sessions<T> {
    records: RwLock<HashMap<SessionKey, T>>,
}

impl<T: Clone> Sessions<T> {
    pub(crate) fn new() -> Self {
        Self {
            records: RwLock::new(HashMap::new()),
        }
    }

    pub(crate) fn put(&self, key: SessionKey, record: T) {
        self.records
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key, record);
    }

    pub(crate) fn get(&self, key: &SessionKey) -> Option<T> {
        self.records
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(key)
            .cloned()
    }

    pub(crate) fn remove(&self, key: &SessionKey) {
        self.records
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(key);
    }

    /// Every record of a client that fits.
    pub(crate) fn find(&self, issuer: &str, client_id: &str, fits: impl Fn(&T) -> bool) -> Vec<T> {
        self.records
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .filter(|(key, record)| {
                key.issuer == issuer && key.client_id == client_id && fits(record)
            })
            .map(|(_, record)| record.clone())
            .collect()
    }
}
