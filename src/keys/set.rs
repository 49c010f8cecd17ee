//! The keys of a client: one that signs, and others that the server may know beside it.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use serde_json::{Value, json};

use super::{Signer, SoftwareKey, prove};
use crate::crypto::Crypto;
use crate::error::KeyError;
use crate::jose::PublicJwk;

/// The keys of a client: one is active and signs; the others are published, so that servers know them
/// before they sign and as long as old signatures may still be checked.
///
/// Clones share one set, so a key is changed while the client runs: [`add`](Self::add) the new one,
/// wait until servers have read the key set anew, [`activate`](Self::activate) it, and
/// [`remove`](Self::remove) the old one once nothing that it signed lives any more.
///
/// Each key goes by its own `kid`, else by its thumbprint (RFC 7638).
///
/// ```
/// use fapi_client::{KeySet, SoftwareKey};
///
/// # fn main() -> Result<(), fapi_client::KeyError> {
/// # if fapi_client::Crypto::new().is_err() { return Ok(()); }
/// let keys = KeySet::new(SoftwareKey::generate_es256()?);
/// let next = keys.add(SoftwareKey::generate_es256()?)?;      // published, not yet used
/// keys.activate(&next)?;
/// assert_eq!(keys.jwks()["keys"].as_array().map(Vec::len), Some(2));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct KeySet {
    /// The lock is held only as long as it takes to read or put an `Arc`.
    keys: Arc<RwLock<Arc<Keys>>>,
}

/// The key that signs, and the name that it goes by.
#[derive(Clone)]
pub(crate) struct ActiveKey {
    pub(crate) kid: String,
    pub(crate) signer: Arc<dyn Signer>,
    proven: Arc<AtomicBool>,
}

#[derive(Clone)]
struct Keys {
    active: ActiveKey,
    /// All keys, the active one included, in the order in which they came.
    published: Vec<Published>,
}

#[derive(Clone)]
struct Published {
    kid: String,
    public: PublicJwk,
    /// What signs, where that is here.
    key: Option<ActiveKey>,
}

impl KeySet {
    /// A set of one key, which is active.
    #[must_use]
    pub fn new(signer: impl Signer + 'static) -> Self {
        let active = ActiveKey::new(signer);
        let published = vec![active.published()];
        Self {
            keys: Arc::new(RwLock::new(Arc::new(Keys { active, published }))),
        }
    }

    /// Publishes a key that is to sign later, and returns its `kid`.
    ///
    /// # Errors
    /// [`KeyError::DuplicateKeyId`] where the set has a key of that `kid`; [`KeyError::Mismatch`]
    /// where the signer declares an algorithm that its public key does not serve.
    pub fn add(&self, signer: impl Signer + 'static) -> Result<String, KeyError> {
        if signer.algorithm() != signer.public_jwk().algorithm() {
            return Err(KeyError::Mismatch);
        }
        self.insert(ActiveKey::new(signer).published())
    }

    /// Publishes a key of which only the public half is here, such as another replica's or one for
    /// encryption (`use` is `enc`), and returns its `kid`.
    ///
    /// # Errors
    /// [`KeyError::DuplicateKeyId`] where the set has a key of that `kid`; [`KeyError::Unsupported`]
    /// where its `alg` is a signature algorithm that FAPI 2.0 does not allow for it.
    pub fn publish(&self, public: PublicJwk) -> Result<String, KeyError> {
        if !public.is_for_encryption() && !public.names_its_algorithm() {
            return Err(KeyError::Unsupported(
                "a key for another algorithm than its type has here",
            ));
        }
        let kid = public.key_id_or_thumbprint();
        self.insert(Published {
            kid,
            public,
            key: None,
        })
    }

    /// Makes a published key the one that signs. The one that did stays published.
    ///
    /// # Errors
    /// [`KeyError::NoSuchKey`] where the set has none of that `kid`, [`KeyError::PublicOnly`] where
    /// it has only its public half.
    pub fn activate(&self, kid: &str) -> Result<(), KeyError> {
        self.change(|keys| {
            let key = keys.published.iter().find(|key| key.kid == kid);
            let key = key.ok_or_else(|| KeyError::NoSuchKey {
                kid: kid.to_owned(),
            })?;
            let key = key.key.clone();
            keys.active = key.ok_or_else(|| KeyError::PublicOnly {
                kid: kid.to_owned(),
            })?;
            Ok(())
        })
    }

    /// Takes a key out of the set.
    ///
    /// # Errors
    /// [`KeyError::NoSuchKey`] where the set has none of that `kid`, [`KeyError::Active`] where it
    /// is the one that signs.
    pub fn remove(&self, kid: &str) -> Result<(), KeyError> {
        self.change(|keys| {
            if keys.active.kid == kid {
                return Err(KeyError::Active {
                    kid: kid.to_owned(),
                });
            }
            let at = keys.published.iter().position(|key| key.kid == kid);
            let at = at.ok_or_else(|| KeyError::NoSuchKey {
                kid: kid.to_owned(),
            })?;
            keys.published.remove(at);
            Ok(())
        })
    }

    /// SP-5.4.2-0: the public key set to register or to serve: `kid`, `use` and `alg` for every key,
    /// and never a private member.
    #[must_use]
    pub fn jwks(&self) -> Value {
        let keys = self.snapshot();
        let keys = keys
            .published
            .iter()
            .map(|key| key.public.published_json(&key.kid));
        json!({ "keys": keys.collect::<Vec<_>>() })
    }

    /// Whether one of the keys, active or not, has this thumbprint.
    pub(crate) fn holds(&self, thumbprint: &str) -> bool {
        let keys = self.snapshot();
        let mut keys = keys.published.iter();
        keys.any(|key| key.public.thumbprint() == thumbprint)
    }

    /// The key that signs.
    pub(crate) fn active(&self) -> ActiveKey {
        self.snapshot().active.clone()
    }

    fn insert(&self, key: Published) -> Result<String, KeyError> {
        let kid = key.kid.clone();
        self.change(|keys| {
            // SP-5.4.2-3: a kid names one key.
            if keys.published.iter().any(|known| known.kid == key.kid) {
                return Err(KeyError::DuplicateKeyId { kid: key.kid });
            }
            keys.published.push(key);
            Ok(())
        })?;
        Ok(kid)
    }

    fn snapshot(&self) -> Arc<Keys> {
        // A panic elsewhere leaves a whole `Arc` behind the lock.
        self.keys
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn change(
        &self,
        change: impl FnOnce(&mut Keys) -> Result<(), KeyError>,
    ) -> Result<(), KeyError> {
        let mut shared = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let mut keys = Keys::clone(&shared);
        change(&mut keys)?;
        *shared = Arc::new(keys);
        Ok(())
    }
}

impl ActiveKey {
    fn new(signer: impl Signer + 'static) -> Self {
        Self {
            kid: signer.public_jwk().key_id_or_thumbprint(),
            signer: Arc::new(signer),
            proven: Arc::default(),
        }
    }

    /// CA-9: [proves](prove()) the signer before its first signature goes out, and never again.
    pub(crate) async fn prove_once(&self, crypto: &Crypto) -> Result<(), KeyError> {
        if !self.proven.load(Ordering::Acquire) {
            prove(crypto, &*self.signer).await?;
            self.proven.store(true, Ordering::Release);
        }
        Ok(())
    }

    fn published(&self) -> Published {
        Published {
            kid: self.kid.clone(),
            public: self.signer.public_jwk().clone(),
            key: Some(self.clone()),
        }
    }
}

impl From<SoftwareKey> for KeySet {
    fn from(key: SoftwareKey) -> Self {
        Self::new(key)
    }
}

/// Names the keys and shows nothing else of them.
impl fmt::Debug for KeySet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.snapshot();
        let kids = keys
            .published
            .iter()
            .map(|key| &key.kid)
            .collect::<Vec<_>>();
        formatter
            .debug_struct("KeySet")
            .field("active", &keys.active.kid)
            .field("published", &kids)
            .finish()
    }
}
