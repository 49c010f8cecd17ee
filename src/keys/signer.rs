//! What signs: a key in this process, or one in an HSM, a KMS or a phone's secure hardware.

use std::fmt;
use std::sync::Arc;

use crate::error::KeyError;
use crate::future::BoxFuture;
use crate::jose::PublicJwk;
use crate::jose::private::raw_ecdsa;
use crate::profile::Algorithm;

/// Something that signs with a private key that it keeps to itself.
///
/// It signs client assertions, DPoP proofs and request objects alike. [`SoftwareKey`] is one; a key in an
/// HSM or on a smart card comes out of `Pkcs11Keys` (feature `pkcs11`); a key in a KMS or a phone's secure
/// hardware is another one that you write yourself. Where keys are to be made and found by their names as
/// well, write a [`KeyStore`](crate::KeyStore): its documentation has the same service as one.
///
/// What [`sign`](Self::sign) is given and what it owes:
///
/// * It gets the **message, not a digest** of it: Ed25519 knows no other way. A service that takes
///   only digests gets the SHA-256 of the message.
/// * ES256 is ECDSA on P-256 with SHA-256, and the signature is r and s, 64 bytes. Most services
///   answer in DER: [`Signature::from_der`] reads it.
/// * PS256 is RSASSA-PSS with SHA-256, MGF1 with SHA-256, and a **salt of 32 bytes**. It is not
///   PKCS#1 v1.5.
/// * EdDSA is Ed25519 over the message itself, 64 bytes.
/// * It sets **a time limit of its own**: a login or an API call waits for it. What may pass by itself
///   is [`KeyError::Unavailable`], what will not is [`KeyError::Refused`].
/// * Every request that is sent needs one or two signatures, so it is called often and from many
///   tasks at once.
///
/// Before the first signature of a signer goes out, the crate has a probe signed and verifies it with
/// the public key that the signer declares (DER instead of r and s is [`KeyError::Signature`]; a digest that was hashed again, another
/// salt or another key is [`KeyError::Mismatch`]).
///
/// # Example
/// A key in a key management service, which hashes itself and answers in DER:
///
/// ```
/// use fapi_client::{Algorithm, BoxFuture, KeyError, KeySet, PublicJwk, Signature, Signer};
/// # use std::time::Duration;
/// # #[derive(Clone)]
/// # struct KmsApi;
/// # enum Failure { Throttled, AccessDenied }
/// # impl KmsApi {
/// #     async fn sign(&self, _: &str, _: &[u8], _: Duration) -> Result<Vec<u8>, Failure> {
/// #         Err(if cfg!(test) { Failure::Throttled } else { Failure::AccessDenied })
/// #     }
/// # }
///
/// struct KmsKey {
///     api: KmsApi,
///     key: String,
///     public: PublicJwk,
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
///             let limit = Duration::from_secs(5);
///             match self.api.sign(&self.key, message, limit).await {
///                 Ok(der) => Signature::from_der(&der),
///                 Err(Failure::Throttled) => Err(KeyError::Unavailable),
///                 Err(Failure::AccessDenied) => Err(KeyError::Refused("access denied".into())),
///             }
///         })
///     }
/// }
///
/// # fn main() -> Result<(), KeyError> {
/// // The public half, as the service exports it.
/// let public = PublicJwk::from_pem(
///     "-----BEGIN PUBLIC KEY-----
/// MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEf83OJ3D2xF1Bg8vub9tLe1gHMzV7
/// 6e8Tus9uPHvRVEXH8UTNG72bfocs3+257rn0s2ldbqkLJK2KRiMohYjlrQ==
/// -----END PUBLIC KEY-----",
/// )?;
/// let keys = KeySet::new(KmsKey { api: KmsApi, key: "alias/fapi".into(), public });
/// # assert_eq!(keys.jwks()["keys"][0]["alg"], "ES256");
/// # Ok(())
/// # }
/// ```
///
/// [`SoftwareKey`]: crate::SoftwareKey
pub trait Signer: Send + Sync {
    /// The algorithm of its signatures.
    fn algorithm(&self) -> Algorithm;

    /// The public half, by which others verify. Its `kid`, where it has one, goes into every header.
    fn public_jwk(&self) -> &PublicJwk;

    /// Signs a message: the bytes themselves, not a digest of them.
    fn sign<'a>(&'a self, message: &'a [u8]) -> BoxFuture<'a, Result<Signature, KeyError>>;
}

impl<S: Signer + ?Sized> Signer for Arc<S> {
    fn algorithm(&self) -> Algorithm {
        (**self).algorithm()
    }

    fn public_jwk(&self) -> &PublicJwk {
        (**self).public_jwk()
    }

    fn sign<'a>(&'a self, message: &'a [u8]) -> BoxFuture<'a, Result<Signature, KeyError>> {
        (**self).sign(message)
    }
}

/// A signature as JOSE writes it (RFC 7518 section 3, RFC 8037 section 3.1).
#[derive(Clone, PartialEq, Eq)]
pub struct Signature(Vec<u8>);

impl Signature {
    /// Takes the bytes as they are: r and s for ES256, the signature itself for PS256 and EdDSA.
    #[must_use]
    pub const fn from_raw(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// Reads an ES256 signature in DER, as most HSMs and services return it, into r and s.
    ///
    /// # Errors
    /// [`KeyError::Signature`] where the bytes are no ECDSA signature on P-256 in DER.
    pub fn from_der(der: &[u8]) -> Result<Self, KeyError> {
        raw_ecdsa(der).map(Self)
    }

    /// The bytes, as they go into a JWS.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A signature is good for a login or an API call: `Debug` shows its length.
impl fmt::Debug for Signature {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Signature({} bytes)", self.0.len())
    }
}
