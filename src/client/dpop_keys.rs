//! The keys that tokens are bound to: made for a login, kept with its session, deleted with it.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::core::{Core, DPOP_ALGORITHM};
use super::record::{kept, write};
use super::session::SessionId;
use super::vault::{Content, digest};
use crate::error::{Error, KeyError, SignInAgain, StoreError};
use crate::keys::{KeyName, KeyStore, SoftwareKey};
use crate::profile::{Algorithm, TRANSACTION_LIFE};
use crate::protocol::dpop::ProofKey;
use crate::secret::PrivateKeyPem;
use crate::store::RecordKind;
use crate::time::Timestamp;

/// How long the end of a login takes at most, once its callback is there: its key is still needed so long.
const LOGIN_ENDS: Duration = Duration::from_secs(5 * 60);

/// Where the keys of sessions come from.
#[derive(Clone, Default)]
pub(crate) enum DpopKeys {
    /// Made in software for each session, and sealed with it.
    #[default]
    Software,
    /// Made in a key store for each session.
    Store(Arc<dyn KeyStore>),
    /// One for all sessions, which the program handed over.
    Shared(ProofKey),
}

impl DpopKeys {
    /// The thumbprint of the one key of all sessions, where there is such a key.
    pub(crate) fn shared_thumbprint(&self) -> Option<&str> {
        match self {
            Self::Shared(key) => Some(key.thumbprint()),
            _ => None,
        }
    }

    /// What the keys sign with.
    pub(crate) fn algorithm(&self) -> Algorithm {
        match self {
            Self::Shared(key) => key.algorithm(),
            _ => DPOP_ALGORITHM,
        }
    }
}

/// Where the key of one session comes from.
#[derive(Clone, Debug)]
pub(crate) enum KeySource {
    Software(PrivateKeyPem),
    Named(KeyName),
    Shared,
    /// Tokens are bound to the client's certificate.
    Certificate,
}

/// The key of one session as it is written down.
#[derive(Serialize, Deserialize)]
pub(crate) struct KeyRecord {
    thumbprint: Option<String>,
    source: SourceRecord,
}

#[derive(Serialize, Deserialize)]
enum SourceRecord {
    #[serde(with = "kept")]
    Pem(PrivateKeyPem),
    Name(String),
    Shared,
    Certificate,
}

/// A key that was made for a login under way. It is deleted when that comes to nothing.
#[derive(Serialize, Deserialize)]
struct PendingKey {
    name: String,
    session: String,
    expires_at: Timestamp,
}

impl KeyRecord {
    pub(crate) fn new(source: &KeySource, key: Option<&ProofKey>) -> Self {
        Self {
            thumbprint: key.map(|key| key.thumbprint().to_owned()),
            source: match source {
                KeySource::Software(pem) => SourceRecord::Pem(pem.clone()),
                KeySource::Named(name) => SourceRecord::Name(name.as_str().to_owned()),
                KeySource::Shared => SourceRecord::Shared,
                KeySource::Certificate => SourceRecord::Certificate,
            },
        }
    }

    /// The key itself, which has to be the one that the tokens are bound to; `None` where they are bound to
    /// the client's certificate.
    ///
    /// # Errors
    /// [`SignInAgain::KeyLost`], [`SignInAgain::KeyChanged`]; [`Error::Key`] where the key store can't
    /// be reached, and nothing is lost.
    pub(crate) async fn open(&self, core: &Core) -> Result<(Option<ProofKey>, KeySource), Error> {
        let (key, source) = match &self.source {
            SourceRecord::Pem(pem) if core.dpop_keys.is_some() => {
                let key = SoftwareKey::from_pem_with(&core.shared.crypto, pem.reveal())?;
                (
                    ProofKey::new(Arc::new(key)),
                    KeySource::Software(pem.clone()),
                )
            }
            SourceRecord::Pem(_) => return Err(SignInAgain::KeyLost.into()),
            SourceRecord::Name(name) => {
                let Some(DpopKeys::Store(store)) = &core.dpop_keys else {
                    return Err(SignInAgain::KeyLost.into());
                };
                let name = KeyName::new(name.as_str())?;
                let signer = match store.open(&name).await {
                    Err(KeyError::Missing { .. }) => return Err(SignInAgain::KeyLost.into()),
                    signer => signer?,
                };
                (ProofKey::new(signer), KeySource::Named(name))
            }
            SourceRecord::Shared => match &core.dpop_keys {
                Some(DpopKeys::Shared(key)) => (key.clone(), KeySource::Shared),
                _ => return Err(SignInAgain::KeyLost.into()),
            },
            SourceRecord::Certificate => match &core.dpop_keys {
                None => return Ok((None, KeySource::Certificate)),
                Some(_) => return Err(SignInAgain::KeyLost.into()),
            },
        };
        if self.thumbprint.as_deref() == Some(key.thumbprint()) {
            Ok((Some(key), source))
        } else {
            Err(SignInAgain::KeyChanged.into())
        }
    }
}

/// SEC-6.3, DPOP-jkt-as: a key for one session at one server, and never for another.
pub(crate) async fn for_login(
    core: &Core,
    session: &SessionId,
) -> Result<(Option<ProofKey>, KeySource), Error> {
    let Some(keys) = &core.dpop_keys else {
        return Ok((None, KeySource::Certificate));
    };
    let (key, source) = match keys {
        DpopKeys::Software => {
            let key = SoftwareKey::generate_es256_with(&core.shared.crypto)?;
            let pem = PrivateKeyPem::new(key.to_pkcs8_pem()?.as_str());
            (ProofKey::new(Arc::new(key)), KeySource::Software(pem))
        }
        DpopKeys::Store(store) => {
            let name = KeyName::new(format!("dpop-{}", digest(&[session.as_str()])))?;
            let pending = PendingKey {
                name: name.as_str().to_owned(),
                session: session.as_str().to_owned(),
                expires_at: core
                    .now()
                    .plus(core.transaction_life.min(TRANSACTION_LIFE) + LOGIN_ENDS),
            };
            // Written down before there is a key that nobody would find.
            let content = Content {
                plain: &write(&pending)?,
                tags: Vec::new(),
                life: None,
            };
            core.vault
                .create(&pending_key(core, &name), content)
                .await?;
            let signer = store.create(&name, DPOP_ALGORITHM).await?;
            (ProofKey::new(signer), KeySource::Named(name))
        }
        DpopKeys::Shared(key) => (key.clone(), KeySource::Shared),
    };
    Ok((Some(key), source))
}

fn pending_key(core: &Core, name: &KeyName) -> crate::store::RecordKey {
    core.vault.key(RecordKind::PendingKey, name.as_str())
}

/// The session that the key was made for is kept, and the key with it.
pub(crate) async fn settle(core: &Core, source: &KeySource) {
    if let KeySource::Named(name) = source {
        // Where this fails, the sweep finds that the session is there.
        drop(core.vault.delete(&pending_key(core, name), None).await);
    }
}

/// Deletes a key that nothing is bound to any more.
pub(crate) async fn forget(core: &Core, source: &KeySource) {
    if let (KeySource::Named(name), Some(DpopKeys::Store(store))) = (source, &core.dpop_keys) {
        match store.delete(name).await {
            Ok(()) => settle(core, source).await,
            Err(error) => tracing::warn!(code = error.code(), "a key could not be deleted"),
        }
    }
}

/// Deletes the keys of logins that came to nothing.
pub(crate) async fn sweep(core: &Core) -> Result<(), StoreError> {
    if !matches!(core.dpop_keys, Some(DpopKeys::Store(_))) {
        return Ok(());
    }
    for pending in core.vault.list(RecordKind::PendingKey, None).await? {
        let Ok(pending) = serde_json::from_slice::<PendingKey>(&pending.plain) else {
            continue;
        };
        let Ok(name) = KeyName::new(pending.name) else {
            continue;
        };
        if core.now() < pending.expires_at {
            continue;
        }
        let session = core.vault.key(RecordKind::Session, &pending.session);
        let source = KeySource::Named(name);
        match core.vault.load(&session).await? {
            Some(_) => settle(core, &source).await,
            None => forget(core, &source).await,
        }
    }
    Ok(())
}
