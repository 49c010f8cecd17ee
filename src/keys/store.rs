//! Where keys are made and kept.

use std::fmt;
use std::sync::Arc;

use super::Signer;
use crate::error::KeyError;
use crate::future::BoxFuture;
use crate::profile::Algorithm;

/// The name of a key within its store: 1 to 64 letters, digits, `-`, `_` and `.`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyName(String);

impl KeyName {
    /// Takes a name.
    ///
    /// # Errors
    /// [`KeyError::Name`].
    pub fn new(name: impl Into<String>) -> Result<Self, KeyError> {
        let name = name.into();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if name.is_empty() || name.len() > 64 || !name.bytes().all(plain) {
            return Err(KeyError::Name(name));
        }
        Ok(Self(name))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for KeyName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}", self.0)
    }
}

/// A place where keys are made and stay: the program gets [`Signer`]s out of it, and never a key.
///
/// `fapi_testkit::contract::key_store_contract` tests an implementation.
pub trait KeyStore: Send + Sync {
    /// Makes a key. [`KeyError::Exists`] where there is one of that name; [`KeyError::StoreLacks`]
    /// where the store makes none of that algorithm.
    fn create<'a>(
        &'a self,
        name: &'a KeyName,
        algorithm: Algorithm,
    ) -> BoxFuture<'a, Result<Arc<dyn Signer>, KeyError>>;

    /// The key of that name. [`KeyError::Missing`] where there is none.
    fn open<'a>(&'a self, name: &'a KeyName) -> BoxFuture<'a, Result<Arc<dyn Signer>, KeyError>>;

    /// Deletes a key, whether it is there or not.
    fn delete<'a>(&'a self, name: &'a KeyName) -> BoxFuture<'a, Result<(), KeyError>>;
}
