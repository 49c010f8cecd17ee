//! A key in this process's memory.

use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::{Signature, Signer};
use crate::crypto::Crypto;
use crate::error::KeyError;
use crate::future::BoxFuture;
use crate::jose::{PrivateKey, PublicJwk};
use crate::profile::Algorithm;

/// A private key in memory. Its type says what it signs: P-256 keys ES256, RSA keys PS256, Ed25519
/// keys EdDSA.
///
/// It is wiped when the last clone is dropped, and `Debug` shows nothing of it.
///
/// ```
/// use fapi_client::{KeySet, SoftwareKey};
///
/// # fn main() -> Result<(), fapi_client::KeyError> {
/// # if fapi_client::Crypto::new().is_err() { return Ok(()); }
/// let key = SoftwareKey::generate_es256()?;
/// let pem = key.to_pkcs8_pem()?;                     // a secret: keep it where secrets are kept
/// let again = SoftwareKey::from_pem(&pem)?;
/// assert_eq!(again.public_jwk(), key.public_jwk());
/// println!("register this: {}", KeySet::new(again).jwks());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct SoftwareKey(Arc<PrivateKey>);

impl SoftwareKey {
    /// Reads the one private key of a PEM text: PKCS#8 (`PRIVATE KEY`), SEC1 (`EC PRIVATE KEY`) or
    /// PKCS#1 (`RSA PRIVATE KEY`).
    ///
    /// # Errors
    /// [`KeyError::Malformed`] where there is none, where there are several, or where it is encrypted
    /// or broken; [`KeyError::Unsupported`] and [`KeyError::TooShort`] where FAPI 2.0 does not allow
    /// it (FAPI2-SP 5.4.1); [`KeyError::Mismatch`] where its halves don't belong together;
    /// [`KeyError::NoCryptoProvider`] where neither feature `aws-lc` nor `ring` is on: then
    /// [`from_pem_with`](Self::from_pem_with) takes the provider.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        Self::from_pem_with(&Crypto::new()?, pem)
    }

    /// [`from_pem`](Self::from_pem) with a provider of your own.
    ///
    /// # Errors
    /// As [`from_pem`](Self::from_pem).
    pub fn from_pem_with(crypto: &Crypto, pem: &str) -> Result<Self, KeyError> {
        PrivateKey::from_pem(crypto, pem).map(Self::from)
    }

    /// Reads a private JWK (RFC 7517): `kty` EC with `crv` P-256, RSA with its primes, or OKP with
    /// `crv` Ed25519. Its `kid` is kept.
    ///
    /// # Errors
    /// As [`from_pem`](Self::from_pem), and [`KeyError::Unsupported`] where `use` or `alg` say that
    /// the key is for something else.
    pub fn from_jwk(json: &str) -> Result<Self, KeyError> {
        Self::from_jwk_with(&Crypto::new()?, json)
    }

    /// [`from_jwk`](Self::from_jwk) with a provider of your own.
    ///
    /// # Errors
    /// As [`from_jwk`](Self::from_jwk).
    pub fn from_jwk_with(crypto: &Crypto, json: &str) -> Result<Self, KeyError> {
        PrivateKey::from_jwk(crypto, json).map(Self::from)
    }

    /// Makes a P-256 key from the operating system's randomness.
    ///
    /// # Errors
    /// [`KeyError::Randomness`] where there is none, [`KeyError::NoCryptoProvider`] where neither
    /// feature `aws-lc` nor `ring` is on.
    pub fn generate_es256() -> Result<Self, KeyError> {
        Self::generate_es256_with(&Crypto::new()?)
    }

    /// [`generate_es256`](Self::generate_es256) with a provider of your own.
    ///
    /// # Errors
    /// As [`generate_es256`](Self::generate_es256).
    pub fn generate_es256_with(crypto: &Crypto) -> Result<Self, KeyError> {
        PrivateKey::generate_es256(crypto).map(Self::from)
    }

    /// The key as PKCS#8 in PEM, wiped when dropped. Whoever has it has the key.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] where it can't be written.
    pub fn to_pkcs8_pem(&self) -> Result<Zeroizing<String>, KeyError> {
        self.0.to_pkcs8_pem()
    }

    /// The public half.
    #[must_use]
    pub fn public_jwk(&self) -> &PublicJwk {
        self.0.public()
    }

    /// What its signatures are.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.0.algorithm()
    }
}

impl From<PrivateKey> for SoftwareKey {
    fn from(key: PrivateKey) -> Self {
        Self(Arc::new(key))
    }
}

impl Signer for SoftwareKey {
    fn algorithm(&self) -> Algorithm {
        self.0.algorithm()
    }

    fn public_jwk(&self) -> &PublicJwk {
        self.0.public()
    }

    fn sign<'a>(&'a self, message: &'a [u8]) -> BoxFuture<'a, Result<Signature, KeyError>> {
        Box::pin(async move { self.0.sign(message).map(Signature::from_raw) })
    }
}

/// Shows the algorithm and nothing else.
impl fmt::Debug for SoftwareKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SoftwareKey({})", self.algorithm())
    }
}
