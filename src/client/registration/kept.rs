//! Where a registration is kept.

use serde::Serialize;
use serde_json::{Map, Value};
use std::sync::Arc;
use zeroize::{Zeroize, Zeroizing};

use super::Registration;
use crate::error::{ConfigError, Error, StoreError};
use crate::jose::{parse_object, sha256};
use crate::protocol::registration::{Management, Registered};
use crate::protocol::uri::{Issuer, https};
use crate::secret::RegistrationAccessToken;
use crate::store::{About, Digest, Record, RecordKey, RecordKind, Replace, Stored, Stores};
use crate::time::Timestamp;

/// The one format that there is. Another is refused, never guessed at.
const FORMAT: u8 = 1;

/// The place of a registration that is kept.
#[derive(Clone)]
pub(super) struct Kept {
    stores: Stores,
    name: String,
    version: u64,
}

#[derive(Serialize)]
struct Written<'a> {
    format: u8,
    issuer: &'a str,
    client_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    issued_at: Option<i64>,
    metadata: &'a Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    registration_client_uri: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    registration_access_token: Option<&'a str>,
}

impl Registration {
    /// The registration as bytes, wiped when dropped, for a place of the program's own. They hold the
    /// token that manages the client: keep them where secrets are kept. Where a call was given up before its
    /// end, [`read`](Self::read) before: it takes over the token that the call may have brought.
    ///
    /// # Errors
    /// [`ConfigError::Body`] never in practice: what came as JSON can be written as JSON.
    pub fn to_bytes(&self) -> Result<Zeroizing<Vec<u8>>, ConfigError> {
        let token = self.management.access_token.as_ref();
        let written = Written {
            format: FORMAT,
            issuer: self.issuer.as_str(),
            client_id: &self.client_id,
            issued_at: self.issued_at.map(Timestamp::seconds),
            metadata: &self.metadata,
            registration_client_uri: self.management.uri.as_ref().map(url::Url::as_str),
            registration_access_token: token.map(RegistrationAccessToken::reveal),
        };
        // Once to see how long it is, so that no copy with the token stays behind in a buffer outgrown.
        let unwritten = |error: serde_json::Error| ConfigError::Body(error.to_string());
        let mut length = Counted(0);
        serde_json::to_writer(&mut length, &written).map_err(unwritten)?;
        let mut bytes = Zeroizing::new(Vec::with_capacity(length.0));
        serde_json::to_writer(&mut *bytes, &written).map_err(unwritten)?;
        Ok(bytes)
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote. Authentication and transport are to be set again.
    ///
    /// # Errors
    /// [`StoreError::UnknownFormat`], [`StoreError::Malformed`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StoreError> {
        let malformed = || StoreError::Malformed("it is no registration");
        let mut members = parse_object(bytes).map_err(|_| malformed())?;
        let read = read(&mut members);
        if let Some(Value::String(token)) = members.get_mut("registration_access_token") {
            token.zeroize();
        }
        read
    }

    /// Keeps the registration under a name, sealed. A registration that was saved or loaded replaces
    /// itself.
    ///
    /// # Errors
    /// [`StoreError::Exists`] where the issuer has another one of that name: it is not overwritten, for
    /// with its token would go. [`StoreError::Conflict`] where it was changed or deleted meanwhile by
    /// another process. Whatever else the store fails with.
    pub async fn save(&mut self, stores: &Stores, name: &str) -> Result<(), Error> {
        self.settle_last().await;
        let record = Record {
            bytes: stores.seal(&about(&self.issuer, name), &self.to_bytes()?)?,
            tags: Vec::new(),
            life: None,
        };
        let key = key(&self.issuer, name);
        let known = self.kept.as_ref().filter(|kept| kept.is_at(stores, name));
        let version = match known.map(|kept| kept.version) {
            Some(expected) => {
                let replace = Replace {
                    expected,
                    fence: None,
                    room: 0,
                    record,
                };
                stores.records.replace(&key, replace).await?
            }
            None => stores.records.create(&key, record).await?,
        };
        self.kept = Some(Kept {
            stores: stores.clone(),
            name: name.to_owned(),
            version,
        });
        Ok(())
    }

    /// The registration that was kept under a name for this issuer; `None` where there is none.
    /// Authentication and transport are to be set again.
    ///
    /// # Errors
    /// [`ConfigError::Issuer`]; [`StoreError::NotAuthentic`] for a record that was altered or moved;
    /// whatever else the store fails with.
    pub async fn load(
        stores: &Stores,
        issuer: impl Into<String>,
        name: &str,
    ) -> Result<Option<Self>, Error> {
        let issuer = Issuer::new(issuer)?;
        let stored = stores.records.load(&key(&issuer, name)).await?;
        let Some(Stored { bytes, version, .. }) = stored else {
            return Ok(None);
        };
        let plain = stores.open(&about(&issuer, name), bytes)?;
        let mut registration = Self::from_bytes(&plain)?;
        // The memory of this process seals nothing.
        if registration.issuer != issuer {
            return Err(StoreError::NotAuthentic.into());
        }
        registration.kept = Some(Kept {
            stores: stores.clone(),
            name: name.to_owned(),
            version,
        });
        Ok(Some(registration))
    }

    /// Writes a registration that is kept to where it is kept.
    pub(super) async fn keep(&mut self) -> Result<(), Error> {
        let place = self.kept.as_ref();
        match place.map(|kept| (kept.stores.clone(), kept.name.clone())) {
            Some((stores, name)) => self.save(&stores, &name).await,
            None => Ok(()),
        }
    }

    /// Deletes the registration where it is kept.
    pub(super) async fn forget(&mut self) -> Result<(), Error> {
        if let Some(kept) = &self.kept {
            let key = key(&self.issuer, &kept.name);
            let records = &kept.stores.records;
            records.delete(&key, Some(kept.version)).await?;
            self.kept = None;
        }
        Ok(())
    }
}

impl Kept {
    fn is_at(&self, stores: &Stores, name: &str) -> bool {
        self.name == name && Arc::ptr_eq(&self.stores.records, &stores.records)
    }
}

fn read(members: &mut Map<String, Value>) -> Result<Registration, StoreError> {
    let malformed = || StoreError::Malformed("it is no registration");
    let format = members.get("format").and_then(Value::as_u64);
    match format.and_then(|format| u8::try_from(format).ok()) {
        Some(FORMAT) => {}
        Some(other) => return Err(StoreError::UnknownFormat(other)),
        None => return Err(malformed()),
    }
    let mut text = |member: &str| match members.remove(member) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(malformed()),
    };
    let access_token = text("registration_access_token")?.map(RegistrationAccessToken::new);
    let uri = match text("registration_client_uri")? {
        Some(uri) => Some(https(&uri).ok_or_else(malformed)?),
        None => None,
    };
    let issuer = text("issuer")?.ok_or_else(malformed)?;
    let client_id = text("client_id")?.ok_or_else(malformed)?;
    let issued_at = match members.get("issued_at") {
        None => None,
        Some(seconds) => Some(seconds.as_i64().ok_or_else(malformed)?),
    };
    let Some(Value::Object(metadata)) = members.remove("metadata") else {
        return Err(malformed());
    };
    Ok(Registration::new(
        Issuer::new(issuer).map_err(|_| malformed())?,
        Registered {
            client_id,
            issued_at: issued_at.map(Timestamp::from_seconds),
            metadata,
        },
        Management { uri, access_token },
    ))
}

/// The scope is the issuer: the client id is what the record is to tell.
fn key(issuer: &Issuer, name: &str) -> RecordKey {
    RecordKey {
        kind: RecordKind::Registration,
        scope: Digest::from_bytes(sha256(issuer.as_str().as_bytes())),
        id: Digest::from_bytes(sha256(name.as_bytes())),
    }
}

fn about<'a>(issuer: &'a Issuer, name: &'a str) -> About<'a> {
    About {
        kind: RecordKind::Registration.name(),
        issuer: issuer.as_str(),
        client_id: "",
        id: name.as_bytes(),
    }
}

/// Counts what is written and keeps none of it.
struct Counted(usize);

impl std::io::Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 = self.0.saturating_add(bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
