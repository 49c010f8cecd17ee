//! A session as it is written down, before it is sealed.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use zeroize::Zeroizing;

use super::cell::{Cell, Grant, Life};
use super::dpop_keys::KeyRecord;
use super::login::Target;
use super::retry::Role;
use super::servers::Nonces;
use super::session::SessionId;
use super::tokens::{Tokens, Unrevoked};
use super::vault::{Content, digest};
use crate::error::{SignInAgain, StoreError};
use crate::protocol::authorization_details::AuthorizationDetail;
use crate::protocol::id_token::IdToken;
use crate::secret::{IdTokenHint, Text};
use crate::store::Digest;

/// How long a session is kept that nobody uses. Every refresh counts anew.
pub(crate) const SESSION_LIFE: Duration = Duration::from_secs(180 * 24 * 3600);

/// How long the server is told of a session that has ended, where it takes no revocation.
const TOMBSTONE_LIFE: Duration = Duration::from_secs(30 * 24 * 3600);

/// A session as it is kept.
#[derive(Serialize, Deserialize)]
pub(crate) struct SessionRecord {
    id: String,
    pub(crate) key: KeyRecord,
    #[serde(with = "kept_option")]
    id_token: Option<IdTokenHint>,
    asked: TargetRecord,
    nonces: Vec<NonceRecord>,
    life: LifeRecord,
}

#[derive(Serialize, Deserialize)]
enum LifeRecord {
    Live(Tokens),
    Ended {
        cause: SignInAgain,
        unrevoked: Vec<Unrevoked>,
    },
}

#[derive(Serialize, Deserialize)]
pub(crate) struct TargetRecord {
    scope: Option<String>,
    resources: Vec<String>,
    authorization_details: Vec<Value>,
}

/// The nonce of a server in a role.
#[derive(Serialize, Deserialize)]
pub(crate) struct NonceRecord {
    pub(crate) origin: String,
    pub(crate) role: Role,
    pub(crate) nonce: String,
}

impl SessionRecord {
    /// The record of a user's session; `None` for a token of the client's own, which is not kept.
    pub(crate) fn new(cell: &Cell, life: Life) -> Option<Self> {
        let Grant::User {
            id_token,
            asked,
            source,
        } = &cell.grant
        else {
            return None;
        };
        Some(Self {
            id: cell.id.as_str().to_owned(),
            key: KeyRecord::new(source, cell.key.as_ref()),
            id_token: id_token.as_ref().map(|token| token.hint().clone()),
            asked: TargetRecord::from(asked),
            nonces: cell.nonces.to_records(),
            life: match life {
                Life::Live(tokens) => LifeRecord::Live(tokens),
                Life::Ended { cause, unrevoked } => LifeRecord::Ended { cause, unrevoked },
            },
        })
    }

    pub(crate) fn read(bytes: &[u8]) -> Result<Self, StoreError> {
        serde_json::from_slice(bytes).map_err(|_| StoreError::Malformed("it is no session"))
    }

    pub(crate) fn write(&self) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        write(self)
    }

    pub(crate) fn id(&self) -> SessionId {
        SessionId::from(self.id.as_str())
    }

    pub(crate) fn life(self) -> Life {
        match self.life {
            LifeRecord::Live(tokens) => Life::Live(tokens),
            LifeRecord::Ended { cause, unrevoked } => Life::Ended { cause, unrevoked },
        }
    }

    pub(crate) const fn has_ended(&self) -> bool {
        matches!(self.life, LifeRecord::Ended { .. })
    }

    /// What the session is found by.
    pub(crate) fn tags(&self, id_token: Option<&IdToken>) -> Vec<Digest> {
        if self.has_ended() {
            return vec![tombstone()];
        }
        let Some(id_token) = id_token else {
            return Vec::new();
        };
        let subject = [by_subject(id_token.subject())];
        let session = id_token.session_id().map(by_session_id);
        subject.into_iter().chain(session).collect()
    }

    pub(crate) fn content<'a>(&self, plain: &'a [u8], id_token: Option<&IdToken>) -> Content<'a> {
        Content {
            plain,
            tags: self.tags(id_token),
            life: Some(if self.has_ended() {
                TOMBSTONE_LIFE
            } else {
                SESSION_LIFE
            }),
        }
    }

    /// What a session is made of, beside its key and its tokens.
    pub(crate) fn parts(&self) -> Result<(Option<IdToken>, Target, Nonces), StoreError> {
        let id_token = self.id_token.as_ref().map(IdToken::restored).transpose();
        let id_token = id_token.map_err(|_| StoreError::Malformed("its ID token is none"))?;
        Ok((
            id_token,
            self.asked.target()?,
            Nonces::from_records(&self.nonces),
        ))
    }
}

/// The tag of a user's sessions.
pub(crate) fn by_subject(subject: &str) -> Digest {
    digest(&["sub", subject])
}

/// The tag of what a server calls one session (`sid`).
pub(crate) fn by_session_id(sid: &str) -> Digest {
    digest(&["sid", sid])
}

/// The tag of sessions that have ended, and of which the server has yet to be told.
pub(crate) fn tombstone() -> Digest {
    digest(&["ended"])
}

impl From<&Target> for TargetRecord {
    fn from(target: &Target) -> Self {
        let details = target.authorization_details.iter();
        Self {
            scope: target.scope.clone(),
            resources: target.resources.clone(),
            authorization_details: details.map(AuthorizationDetail::to_json).collect(),
        }
    }
}

impl TargetRecord {
    pub(crate) fn target(&self) -> Result<Target, StoreError> {
        let details = self.authorization_details.iter();
        Ok(Target {
            scope: self.scope.clone(),
            resources: self.resources.clone(),
            authorization_details: details
                .map(AuthorizationDetail::from_json)
                .collect::<Option<_>>()
                .ok_or(StoreError::Malformed("its authorization details are none"))?,
        })
    }
}

/// Writes what holds secrets into one buffer that is wiped. It is large enough from the start, so that
/// no half of it is left behind where it grew.
pub(crate) fn write(record: &impl Serialize) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    let unwritable = |_| StoreError::Malformed("it can't be written");
    let mut length = Length(0);
    serde_json::to_writer(&mut length, record).map_err(unwritable)?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(length.0));
    serde_json::to_writer(&mut *bytes, record).map_err(unwritable)?;
    Ok(bytes)
}

/// Counts what is written.
struct Length(usize);

impl std::io::Write for Length {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Secrets in records.
pub(crate) mod kept {
    use serde::{Deserialize, Deserializer, Serializer};

    use super::Text;

    pub(crate) fn serialize<S: Serializer, T: Text>(
        secret: &T,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(secret.text())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>, T: Text>(
        deserializer: D,
    ) -> Result<T, D::Error> {
        String::deserialize(deserializer).map(T::from_text)
    }
}

/// Secrets in records, where they may be missing.
pub(crate) mod kept_option {
    use serde::{Deserialize, Deserializer, Serializer};

    use super::Text;

    #[allow(clippy::ref_option, reason = "the signature is serde's")]
    pub(crate) fn serialize<S: Serializer, T: Text>(
        secret: &Option<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match secret {
            Some(secret) => serializer.serialize_some(secret.text()),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>, T: Text>(
        deserializer: D,
    ) -> Result<Option<T>, D::Error> {
        Ok(Option::<String>::deserialize(deserializer)?.map(T::from_text))
    }
}

/// Several secrets in a record.
pub(crate) mod kept_list {
    use serde::{Deserialize, Deserializer, Serializer};

    use super::Text;

    pub(crate) fn serialize<S: Serializer, T: Text>(
        secrets: &[T],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(secrets.iter().map(T::text))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>, T: Text>(
        deserializer: D,
    ) -> Result<Vec<T>, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        Ok(texts.into_iter().map(T::from_text).collect())
    }
}

#[cfg(test)]
mod tests;
