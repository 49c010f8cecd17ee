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
///
/// What an implementation owes:
///
/// * **Two that make a key of one name at once** get one key: one of them gets [`KeyError::Exists`].
/// * Names are told apart by case, and by their last character.
/// * What may pass by itself is [`KeyError::Unavailable`], what will not is [`KeyError::Refused`]. A store
///   that can't be reached never says [`KeyError::Missing`]: the program would make a new key.
/// * It sets a time limit of its own, as a [`Signer`] does.
///
/// # Example
/// A key management service, which has ids of its own for its keys and calls a name an alias. It hashes
/// by itself, and answers in DER:
///
/// ```
/// use std::sync::Arc;
///
/// use fapi_client::{
///     Algorithm, BoxFuture, KeyError, KeyName, KeyStore, PublicJwk, Signature, Signer,
/// };
/// # #[derive(Clone)]
/// # struct KmsApi;
/// # enum Failure { Throttled, AliasTaken, NoSuchAlias, Other(String) }
/// # impl KmsApi {
/// #     async fn create_key(&self, _: &str) -> Result<String, Failure> {
/// #         Err(if cfg!(test) { Failure::AliasTaken } else { Failure::Other("off".into()) })
/// #     }
/// #     async fn create_alias(&self, _: &str, _: &str) -> Result<(), Failure> { Ok(()) }
/// #     async fn public_key_pem(&self, _: &str) -> Result<(String, String), Failure> {
/// #         Err(if cfg!(test) { Failure::Throttled } else { Failure::NoSuchAlias })
/// #     }
/// #     async fn sign(&self, _: &str, _: &[u8]) -> Result<Vec<u8>, Failure> { Ok(vec![]) }
/// #     async fn schedule_deletion(&self, _: &str) -> Result<(), Failure> { Ok(()) }
/// #     async fn delete_alias(&self, _: &str) -> Result<(), Failure> { Err(Failure::NoSuchAlias) }
/// # }
///
/// struct Kms {
///     api: KmsApi, // with a time limit for each call
/// }
///
/// struct KmsKey {
///     api: KmsApi,
///     id: String, // not the alias, which may come to lead to another key
///     name: KeyName,
///     public: PublicJwk,
/// }
///
/// fn error(failure: Failure, name: &KeyName) -> KeyError {
///     let name = name.to_string();
///     match failure {
///         Failure::AliasTaken => KeyError::Exists { name },
///         Failure::NoSuchAlias => KeyError::Missing { name },
///         Failure::Throttled => KeyError::Unavailable,
///         Failure::Other(reason) => KeyError::Refused(reason),
///     }
/// }
///
/// impl Kms {
///     async fn key(&self, name: &KeyName) -> Result<Arc<dyn Signer>, KeyError> {
///         let alias = format!("alias/{name}");
///         let answer = self.api.public_key_pem(&alias).await;
///         let (id, pem) = answer.map_err(|failure| error(failure, name))?;
///         let (api, name, public) = (self.api.clone(), name.clone(), PublicJwk::from_pem(&pem)?);
///         Ok(Arc::new(KmsKey { api, id, name, public }))
///     }
/// }
///
/// impl KeyStore for Kms {
///     fn create<'a>(
///         &'a self,
///         name: &'a KeyName,
///         algorithm: Algorithm,
///     ) -> BoxFuture<'a, Result<Arc<dyn Signer>, KeyError>> {
///         Box::pin(async move {
///             if algorithm != Algorithm::Es256 {
///                 return Err(KeyError::StoreLacks(algorithm));
///             }
///             let failed = |failure| error(failure, name);
///             let id = self.api.create_key("ECC_NIST_P256").await.map_err(failed)?;
///             // The service gives an alias once: whoever comes second deletes the key just made.
///             if let Err(failure) = self.api.create_alias(&format!("alias/{name}"), &id).await {
///                 let _ = self.api.schedule_deletion(&id).await;
///                 return Err(failed(failure));
///             }
///             self.key(name).await
///         })
///     }
///
///     fn open<'a>(
///         &'a self,
///         name: &'a KeyName,
///     ) -> BoxFuture<'a, Result<Arc<dyn Signer>, KeyError>> {
///         Box::pin(self.key(name))
///     }
///
///     fn delete<'a>(&'a self, name: &'a KeyName) -> BoxFuture<'a, Result<(), KeyError>> {
///         Box::pin(async move {
///             let alias = format!("alias/{name}");
///             let done = async {
///                 let (id, _) = self.api.public_key_pem(&alias).await?;
///                 self.api.schedule_deletion(&id).await?;
///                 self.api.delete_alias(&alias).await
///             };
///             match done.await {
///                 Ok(()) | Err(Failure::NoSuchAlias) => Ok(()),
///                 Err(failure) => Err(error(failure, name)),
///             }
///         })
///     }
/// }
///
/// impl Signer for KmsKey {
///     fn algorithm(&self) -> Algorithm {
///         Algorithm::Es256
///     }
///
///     fn public_jwk(&self) -> &PublicJwk {
///         &self.public
///     }
///
///     fn sign<'a>(&'a self, message: &'a [u8]) -> BoxFuture<'a, Result<Signature, KeyError>> {
///         Box::pin(async move {
///             let der = self.api.sign(&self.id, message).await;
///             Signature::from_der(&der.map_err(|failure| error(failure, &self.name))?)
///         })
///     }
/// }
/// ```
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
