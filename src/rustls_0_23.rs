//! The types of rustls 0.23 in this crate's interface. A later rustls comes in a module of its own, so
//! that its versions are not ours.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

use crate::crypto::Crypto;

/// Any provider of rustls 0.23 as the cryptography of TLS and tokens.
///
/// It has to offer `ECDSA_NISTP256_SHA256`, `RSA_PSS_SHA256` and `ED25519`, and to load private keys.
#[must_use]
pub fn crypto(provider: Arc<CryptoProvider>) -> Crypto {
    Crypto::from_provider(provider)
}
