//! Which kinds of keys are allowed, by the names that ASN.1 and JWK have for them.

use p256::pkcs8::AlgorithmIdentifierRef;

use super::der::Curve;
use crate::error::KeyError;
use crate::profile::Algorithm;

/// What kind of key an `AlgorithmIdentifier` announces, and that it is one that FAPI 2.0 allows.
pub(super) fn of(algorithm: &AlgorithmIdentifierRef<'_>) -> Result<Algorithm, KeyError> {
    match algorithm.oid.to_string().as_str() {
        "1.2.840.10045.2.1" => {
            let parameters = algorithm
                .parameters
                .ok_or(KeyError::Malformed("it names no curve"))?;
            p256_alone(Curve::read(parameters)).map(|()| Algorithm::Es256)
        }
        "1.2.840.113549.1.1.1" => Ok(Algorithm::Ps256),
        "1.3.101.112" => Ok(Algorithm::EdDsa),
        "1.2.840.113549.1.1.10" => Err(KeyError::Unsupported(
            "an id-RSASSA-PSS key; write it as an ordinary RSA key (rsaEncryption)",
        )),
        "1.2.840.10040.4.1" => Err(KeyError::Unsupported("a DSA key")),
        "1.3.101.113" => Err(KeyError::Unsupported("an Ed448 key")),
        "1.3.101.110" | "1.3.101.111" => Err(KeyError::Unsupported("a key for key agreement")),
        _ => Err(KeyError::Unsupported("a key of another kind")),
    }
}

/// SP-5.4.1-3: of the curves, ES256 knows P-256 alone.
pub(super) fn p256_alone(curve: Curve) -> Result<(), KeyError> {
    let Curve::Named(curve) = curve else {
        return Err(KeyError::Unsupported(
            "an EC key whose curve is spelled out",
        ));
    };
    match curve.to_string().as_str() {
        "1.2.840.10045.3.1.7" => Ok(()),
        "1.3.132.0.34" => Err(KeyError::Unsupported("a P-384 key")),
        "1.3.132.0.35" => Err(KeyError::Unsupported("a P-521 key")),
        "1.3.132.0.10" => Err(KeyError::Unsupported("a secp256k1 key")),
        _ => Err(KeyError::Unsupported("an EC key on another curve")),
    }
}

/// The same for the `crv` of a JWK, which must be the one curve that its `kty` has here.
pub(super) fn curve_name(name: Option<&str>, expected: &str) -> Result<(), KeyError> {
    match name {
        Some(curve) if curve == expected => Ok(()),
        Some("P-384") => Err(KeyError::Unsupported("a P-384 key")),
        Some("P-521") => Err(KeyError::Unsupported("a P-521 key")),
        Some("secp256k1") => Err(KeyError::Unsupported("a secp256k1 key")),
        Some("Ed448") => Err(KeyError::Unsupported("an Ed448 key")),
        Some("X25519" | "X448") => Err(KeyError::Unsupported("a key for key agreement")),
        Some(_) => Err(KeyError::Unsupported("a key on another curve")),
        None => Err(KeyError::Malformed("it names no curve")),
    }
}
