//! Keys in software, kept where sessions are kept.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::{KeyName, KeyStore, Signer, SoftwareKey};
use crate::crypto::Crypto;
use crate::error::{KeyError, StoreError};
use crate::future::BoxFuture;
use crate::jose::sha256;
use crate::profile::Algorithm;
use crate::store::{About, Digest, Record, RecordKey, RecordKind, Stores};

/// Keys in software that outlast the process: each is a record of [`Stores`], sealed as sessions are.
///
/// It makes ES256 keys. A key is sealed with its namespace and its name, so that whoever can write to
/// the store can't put one key in another's place. A key that is open is in this process's memory: where
/// a device has hardware for keys, a store of that hardware is the better one.
///
/// ```
/// use fapi_client::store::{MemoryStore, SealingKey, SealingKeys};
/// use fapi_client::{Algorithm, KeyError, KeyName, KeyStore, SealedKeys, Stores};
///
/// # async fn keys() -> Result<(), KeyError> {
/// let sealing = SealingKeys::new(SealingKey::generate("2026")?); // yours: from a secret manager
/// let stores = Stores::new(MemoryStore::new(), sealing); // yours: one that outlasts the process
/// let keys = SealedKeys::new(&stores, "https://as.bank.example client-id");
/// let name = KeyName::new("client")?;
/// let signer = match keys.open(&name).await {
///     Err(KeyError::Missing { .. }) => keys.create(&name, Algorithm::Es256).await?,
///     outcome => outcome?,
/// };
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct SealedKeys {
    stores: Stores,
    namespace: String,
    /// `None` for the provider that the features chose.
    crypto: Option<Crypto>,
}

impl SealedKeys {
    /// Keys in these stores. A namespace is any text; each has names of its own, and none sees
    /// another's keys.
    #[must_use]
    pub fn new(stores: &Stores, namespace: impl Into<String>) -> Self {
        Self {
            stores: stores.clone(),
            namespace: namespace.into(),
            crypto: None,
        }
    }

    /// Signs with a provider of your own.
    #[must_use]
    pub fn with_crypto(mut self, crypto: Crypto) -> Self {
        self.crypto = Some(crypto);
        self
    }

    fn crypto(&self) -> Result<Crypto, KeyError> {
        self.crypto.clone().map_or_else(Crypto::new, Ok)
    }

    /// The names are hashes: the store learns neither namespace nor name.
    fn place(&self, name: &KeyName) -> RecordKey {
        RecordKey {
            kind: RecordKind::Key,
            scope: Digest::from_bytes(sha256(self.namespace.as_bytes())),
            id: Digest::from_bytes(sha256(name.as_str().as_bytes())),
        }
    }

    /// What the key is sealed with: its place, so that it is opened there alone.
    fn about<'a>(&'a self, name: &'a KeyName) -> About<'a> {
        About {
            kind: RecordKind::Key.name(),
            issuer: &self.namespace,
            client_id: "",
            id: name.as_str().as_bytes(),
        }
    }

    async fn make(&self, name: &KeyName, algorithm: Algorithm) -> Result<SoftwareKey, KeyError> {
        if algorithm != Algorithm::Es256 {
            return Err(KeyError::StoreLacks(algorithm));
        }
        let key = SoftwareKey::generate_es256_with(&self.crypto()?)?;
        let pem = key.to_pkcs8_pem()?;
        let record = Record {
            bytes: self.stores.seal(&self.about(name), pem.as_bytes())?,
            tags: Vec::new(),
            life: None,
        };
        match self.stores.records.create(&self.place(name), record).await {
            Ok(_) => Ok(key),
            Err(StoreError::Exists) => Err(KeyError::Exists {
                name: name.to_string(),
            }),
            Err(error) => Err(error.into()),
        }
    }

    async fn read(&self, name: &KeyName) -> Result<SoftwareKey, KeyError> {
        let crypto = self.crypto()?;
        let stored = self.stores.records.load(&self.place(name)).await?;
        let stored = stored.ok_or_else(|| KeyError::Missing {
            name: name.to_string(),
        })?;
        let pem: Zeroizing<Vec<u8>> = self.stores.open(&self.about(name), stored.bytes)?;
        let pem = std::str::from_utf8(&pem).map_err(|_| StoreError::Malformed("it is no key"))?;
        SoftwareKey::from_pem_with(&crypto, pem)
    }
}

impl KeyStore for SealedKeys {
    fn create<'a>(
        &'a self,
        name: &'a KeyName,
        algorithm: Algorithm,
    ) -> BoxFuture<'a, Result<Arc<dyn Signer>, KeyError>> {
        Box::pin(async move {
            let key = self.make(name, algorithm).await?;
            Ok(Arc::new(key) as Arc<dyn Signer>)
        })
    }

    fn open<'a>(&'a self, name: &'a KeyName) -> BoxFuture<'a, Result<Arc<dyn Signer>, KeyError>> {
        Box::pin(async move {
            let key = self.read(name).await?;
            Ok(Arc::new(key) as Arc<dyn Signer>)
        })
    }

    fn delete<'a>(&'a self, name: &'a KeyName) -> BoxFuture<'a, Result<(), KeyError>> {
        Box::pin(async move {
            let deleted = self.stores.records.delete(&self.place(name), None).await;
            deleted.map_err(KeyError::from)
        })
    }
}
