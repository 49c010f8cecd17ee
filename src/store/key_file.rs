//! A sealing key in a file of its own, as a secret manager hands it over.

use std::fs::{File, Metadata};
use std::io::{ErrorKind, Read};
use std::path::Path;

use base64ct::{Base64UrlUnpadded, Encoding};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::{SealingKey, SealingKeys};
use crate::error::StoreError;

/// More than a key and white space around it.
const LIMIT: usize = 256;
const ID_CHARS: usize = 8;

impl SealingKeys {
    /// One key, out of a file: [`SealingKey::from_key_file`].
    ///
    /// # Errors
    /// Those of [`SealingKey::from_key_file`].
    pub fn from_key_file(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        SealingKey::from_key_file(path).map(Self::new)
    }
}

impl SealingKey {
    /// Reads a key of 43 characters of base64url from a file, such as a credential of systemd
    /// (`LoadCredential=`) or a mounted secret. Its id is made from the key: another key has another.
    ///
    /// The file must be its owner's alone (mode 0600 or less). Mode 0440 is taken as well: systemd and
    /// Kubernetes give a secret to a service in this manner.
    ///
    /// # Errors
    /// [`StoreError::TooOpen`] where others may read the file; [`StoreError::SealingKey`] where it holds
    /// something else; [`StoreError::Setting`] where it is not there or no file;
    /// [`StoreError::NotPermitted`]; [`StoreError::Unavailable`].
    pub fn from_key_file(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = path.as_ref();
        let text = read(path)?;
        let text = std::str::from_utf8(&text).map_err(|_| StoreError::SealingKey)?;
        named_by_itself("file", text)
    }
}

/// A key under a name that says where it is from and which it is.
pub(super) fn named_by_itself(from: &str, text: &str) -> Result<SealingKey, StoreError> {
    let hash = Sha256::new()
        .chain_update(b"fapi-client: the id of a sealing key")
        .chain_update(text.trim())
        .finalize();
    let mut id = Base64UrlUnpadded::encode_string(&hash);
    id.truncate(ID_CHARS);
    SealingKey::from_base64url(format!("{from}-{id}"), text)
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    let failed = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => {
            StoreError::Setting(format!("there is no key file {}", path.display()))
        }
        ErrorKind::PermissionDenied => StoreError::NotPermitted {
            action: "read",
            path: path.to_owned(),
        },
        _ => StoreError::Unavailable,
    };
    // Mounted secrets are links to files, so links are followed. A pipe would never answer.
    let found = std::fs::metadata(path).map_err(failed)?;
    if !found.is_file() {
        return Err(StoreError::Setting(format!(
            "{} is not a key file",
            path.display()
        )));
    }
    let file = File::open(path).map_err(failed)?;
    if is_open_to_others(&file.metadata().map_err(failed)?) {
        return Err(StoreError::TooOpen {
            path: path.to_owned(),
        });
    }
    let mut text = Zeroizing::new(Vec::with_capacity(LIMIT + 1));
    file.take(LIMIT as u64 + 1)
        .read_to_end(&mut text)
        .map_err(failed)?;
    if text.len() > LIMIT {
        return Err(StoreError::SealingKey);
    }
    Ok(text)
}

#[cfg(unix)]
fn is_open_to_others(found: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;

    found.mode() & 0o077 != 0 && found.mode() & 0o777 != 0o440
}

#[cfg(not(unix))]
const fn is_open_to_others(_found: &Metadata) -> bool {
    false
}
