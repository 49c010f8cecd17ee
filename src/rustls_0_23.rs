//! The types of rustls 0.23 in this crate's interface. A later rustls comes in a module of its own, so
//! that its versions are not ours.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::sign::SigningKey;

use crate::certificate::ClientCertificate;
use crate::crypto::Crypto;
use crate::error::KeyError;

/// Any provider of rustls 0.23 as the cryptography of TLS and tokens.
///
/// It has to offer `ECDSA_NISTP256_SHA256`, `RSA_PSS_SHA256` and `ED25519`, and to load private keys.
#[must_use]
pub fn crypto(provider: Arc<CryptoProvider>) -> Crypto {
    Crypto::from_provider(provider)
}

/// A client certificate whose key stays where it is: in an HSM, or in a key store of the system's.
///
/// `chain` holds the client's own certificate first. `key` signs on the runtime's thread while a connection
/// is made, so it has to answer soon: a key that is reached over the network needs a bound of its own.
///
/// # Errors
/// [`KeyError::Malformed`] where there is no certificate or a broken one; [`KeyError::Mismatch`] where the
/// key tells its public half, and it is not the certificate's.
pub fn client_certificate(
    chain: Vec<CertificateDer<'static>>,
    key: Arc<dyn SigningKey>,
) -> Result<ClientCertificate, KeyError> {
    ClientCertificate::with_key(chain, key)
}
