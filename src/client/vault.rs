//! A client's part of the stores: names are hashed, contents sealed, failures told.

use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use super::events::Watch;
use crate::error::StoreError;
use crate::jose::sha256;
use crate::store::{
    About, Digest, Record, RecordKey, RecordKind, Replace, Stored, Stores, TransactionKey,
};

/// The stores as one client sees them: nothing of another client, or of another server, is found here.
#[derive(Clone)]
pub(crate) struct Vault {
    stores: Stores,
    watch: Watch,
    issuer: Arc<str>,
    client_id: Arc<str>,
    scope: Digest,
}

/// A record that was opened.
pub(crate) struct Opened {
    pub(crate) key: RecordKey,
    pub(crate) plain: Zeroizing<Vec<u8>>,
    pub(crate) version: u64,
}

/// What to write.
pub(crate) struct Content<'a> {
    pub(crate) plain: &'a [u8],
    pub(crate) tags: Vec<Digest>,
    pub(crate) life: Option<Duration>,
}

/// Several texts as one digest, each with its length, so that no two lists read the same.
pub(crate) fn digest(parts: &[&str]) -> Digest {
    let mut text = Zeroizing::new(Vec::new());
    for part in parts {
        text.extend_from_slice(&(part.len() as u64).to_be_bytes());
        text.extend_from_slice(part.as_bytes());
    }
    Digest::from_bytes(sha256(&text))
}

impl Vault {
    pub(crate) fn new(stores: Stores, watch: Watch, issuer: &str, client_id: &str) -> Self {
        Self {
            scope: digest(&[issuer, client_id]),
            issuer: issuer.into(),
            client_id: client_id.into(),
            stores,
            watch,
        }
    }

    pub(crate) fn scope(&self) -> Digest {
        self.scope
    }

    pub(crate) const fn stores(&self) -> &Stores {
        &self.stores
    }

    pub(crate) fn key(&self, kind: RecordKind, id: &str) -> RecordKey {
        RecordKey {
            kind,
            scope: self.scope,
            id: digest(&[id]),
        }
    }

    /// Tells of what a store failed with, unless it is an answer that its caller knows what to do with.
    pub(crate) fn told<T>(&self, outcome: Result<T, StoreError>) -> Result<T, StoreError> {
        if let Err(error) = &outcome
            && !matches!(
                error,
                StoreError::Exists
                    | StoreError::Conflict
                    | StoreError::Fenced
                    | StoreError::Locked
                    | StoreError::Full
            )
        {
            self.watch.store_failing(error);
        }
        outcome
    }

    fn about<'a>(&'a self, kind: &'a str, id: &'a [u8]) -> About<'a> {
        About {
            kind,
            issuer: &self.issuer,
            client_id: &self.client_id,
            id,
        }
    }

    fn record(&self, key: &RecordKey, content: Content<'_>) -> Result<Record, StoreError> {
        let about = self.about(key.kind.name(), key.id.as_bytes());
        Ok(Record {
            bytes: self.stores.seal(&about, content.plain)?,
            tags: content.tags,
            life: content.life,
        })
    }

    fn opened(&self, stored: Stored) -> Result<Opened, StoreError> {
        let about = self.about(stored.key.kind.name(), stored.key.id.as_bytes());
        Ok(Opened {
            key: stored.key,
            plain: self.stores.open(&about, stored.bytes)?,
            version: stored.version,
        })
    }

    pub(crate) async fn load(&self, key: &RecordKey) -> Result<Option<Opened>, StoreError> {
        let stored = self.stores.records.load(key).await;
        self.told(stored.and_then(|stored| stored.map(|stored| self.opened(stored)).transpose()))
    }

    pub(crate) async fn create(
        &self,
        key: &RecordKey,
        content: Content<'_>,
    ) -> Result<u64, StoreError> {
        let record = self.told(self.record(key, content))?;
        self.told(self.stores.records.create(key, record).await)
    }

    pub(crate) async fn replace(
        &self,
        key: &RecordKey,
        expected: u64,
        fence: Option<u64>,
        room: usize,
        content: Content<'_>,
    ) -> Result<u64, StoreError> {
        let replace = Replace {
            expected,
            fence,
            room,
            record: self.told(self.record(key, content))?,
        };
        self.told(self.stores.records.replace(key, replace).await)
    }

    /// Writes a record whatever is there; of two who do so at once, one.
    pub(crate) async fn put(
        &self,
        key: &RecordKey,
        content: Content<'_>,
    ) -> Result<(), StoreError> {
        let known = self.told(self.stores.records.load(key).await)?;
        let written = match known {
            Some(known) => self
                .replace(key, known.version, None, 0, content)
                .await
                .map(drop),
            None => self.create(key, content).await.map(drop),
        };
        match written {
            Err(StoreError::Exists | StoreError::Conflict) => Ok(()),
            written => written,
        }
    }

    pub(crate) async fn delete(
        &self,
        key: &RecordKey,
        expected: Option<u64>,
    ) -> Result<(), StoreError> {
        self.told(self.stores.records.delete(key, expected).await)
    }

    /// The records with a tag. One that can't be opened is told of and passed over: it may be planted.
    pub(crate) async fn list(
        &self,
        kind: RecordKind,
        tag: Option<&Digest>,
    ) -> Result<Vec<Opened>, StoreError> {
        let found = self.stores.records.list(kind, &self.scope, tag).await;
        let found = self.told(found)?.into_iter();
        Ok(found
            .filter_map(|stored| self.told(self.opened(stored)).ok())
            .collect())
    }

    /// Keeps a login under way.
    pub(crate) async fn put_transaction(
        &self,
        owner: Digest,
        state: &str,
        plain: &[u8],
        life: Duration,
    ) -> Result<(), StoreError> {
        let key = TransactionKey {
            owner,
            scope: self.scope,
            id: digest(&[state]),
        };
        let place = place(&key);
        let sealed = self.stores.seal(&self.transaction(&place), plain)?;
        self.told(self.stores.transactions.put(&key, sealed, life).await)
    }

    /// Opens a login under way that is this client's.
    pub(crate) fn open_transaction(
        &self,
        key: &TransactionKey,
        bytes: Vec<u8>,
    ) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        self.told(self.stores.open(&self.transaction(&place(key)), bytes))
    }

    fn transaction<'a>(&'a self, place: &'a [u8]) -> About<'a> {
        self.about("transaction", place)
    }
}

/// Whose login it is and which: it is opened for that browser alone.
fn place(key: &TransactionKey) -> Vec<u8> {
    [&key.owner.as_bytes()[..], key.id.as_bytes()].concat()
}
