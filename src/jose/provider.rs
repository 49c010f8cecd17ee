//! What is asked of the `CryptoProvider`: a key that signs, and a verifier for each algorithm.

use rustls::SignatureScheme;
use rustls::pki_types::{
    AlgorithmIdentifier, PrivateKeyDer, PrivatePkcs8KeyDer, SignatureVerificationAlgorithm, alg_id,
};
use rustls::sign::{Signer, SigningKey};

use crate::crypto::Crypto;
use crate::error::KeyError;
use crate::profile::Algorithm;

use std::sync::Arc;

/// The name under which TLS knows the algorithm. Both hash the message and, for RSA, salt with as
/// many bytes as the hash has, as RFC 7518 section 3.5 wants it.
const fn scheme(algorithm: Algorithm) -> SignatureScheme {
    match algorithm {
        Algorithm::Es256 => SignatureScheme::ECDSA_NISTP256_SHA256,
        Algorithm::Ps256 => SignatureScheme::RSA_PSS_SHA256,
        Algorithm::EdDsa => SignatureScheme::ED25519,
    }
}

const fn key_kind(algorithm: Algorithm) -> AlgorithmIdentifier {
    match algorithm {
        Algorithm::Es256 => alg_id::ECDSA_P256,
        Algorithm::Ps256 => alg_id::RSA_ENCRYPTION,
        Algorithm::EdDsa => alg_id::ED25519,
    }
}

/// The provider's verifier. TLS 1.2 ties no curve to a scheme, so one scheme has several verifiers:
/// the one for our kind of key is taken.
pub(super) fn verifier(
    crypto: &Crypto,
    algorithm: Algorithm,
) -> Option<&'static dyn SignatureVerificationAlgorithm> {
    crypto
        .provider()
        .signature_verification_algorithms
        .mapping
        .iter()
        .find(|(offered, _)| *offered == scheme(algorithm))
        .and_then(|(_, verifiers)| {
            verifiers
                .iter()
                .copied()
                .find(|verifier| verifier.public_key_alg_id() == key_kind(algorithm))
        })
}

/// Hands a key in PKCS#8 to the provider. `None` where it refuses the key.
pub(super) fn load(crypto: &Crypto, pkcs8: &[u8]) -> Option<Arc<dyn SigningKey>> {
    let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pkcs8.to_vec()));
    crypto.provider().key_provider.load_private_key(der).ok()
}

/// What signs with a loaded key under an algorithm.
pub(super) fn signer(
    key: &dyn SigningKey,
    algorithm: Algorithm,
) -> Result<Box<dyn Signer>, KeyError> {
    key.choose_scheme(&[scheme(algorithm)])
        .ok_or(KeyError::ProviderLacks(algorithm.name()))
}
