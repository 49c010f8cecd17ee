//! The public key itself, in the form in which providers take it.

use p256::elliptic_curve::sec1::ToSec1Point;
use p256::pkcs8::der::Decode;
use p256::pkcs8::spki::SubjectPublicKeyInfoRef;
use serde_json::{Map, Value};

use super::{base64url, der, kind, provider};
use crate::crypto::Crypto;
use crate::error::KeyError;
use crate::profile::{Algorithm, RSA_MAX_BITS, RSA_MIN_BITS};

/// A public key of an allowed kind and size.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Material {
    /// The uncompressed point. It lies on the curve.
    P256([u8; 65]),
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
        /// Both of them as `RSAPublicKey`.
        der: Vec<u8>,
    },
    Ed25519([u8; 32]),
}

impl Material {
    /// Reads a `SubjectPublicKeyInfo`.
    pub(super) fn from_spki(spki: &[u8]) -> Result<Self, KeyError> {
        const BROKEN: KeyError = KeyError::Malformed("its SPKI is broken");
        let spki = SubjectPublicKeyInfoRef::from_der(spki).map_err(|_| BROKEN)?;
        let bytes = spki.subject_public_key.as_bytes().ok_or(BROKEN)?;
        match kind::of(&spki.algorithm)? {
            Algorithm::Es256 => Self::p256(bytes),
            Algorithm::Ps256 => {
                let (modulus, exponent) = der::read_rsa_public_key(bytes).map_err(|_| BROKEN)?;
                Self::rsa(modulus, exponent)
            }
            Algorithm::EdDsa => Self::ed25519(bytes),
        }
    }

    /// JWT-3.4: the point is checked to lie on the curve.
    pub(super) fn p256(point: &[u8]) -> Result<Self, KeyError> {
        p256::PublicKey::from_sec1_bytes(point)
            .map(|key| Self::from(&key))
            .map_err(|_| KeyError::Malformed("its point does not lie on P-256"))
    }

    pub(super) fn rsa(modulus: &[u8], exponent: &[u8]) -> Result<Self, KeyError> {
        let (modulus, exponent) = (trim(modulus), trim(exponent));
        let bits = bits(modulus);
        // SP-5.4.1-2: whoever can factor it signs in the key's name.
        if bits < RSA_MIN_BITS {
            return Err(KeyError::TooShort { bits });
        }
        if bits > RSA_MAX_BITS {
            return Err(KeyError::Unsupported("an RSA key of more than 4096 bits"));
        }
        // With e = 1 every message is its own signature.
        let odd = exponent.last().is_some_and(|byte| byte & 1 == 1);
        if !odd || exponent == [1] || exponent.len() > 8 {
            return Err(KeyError::Malformed("its e is not odd, from 3 to 64 bits"));
        }
        let der = der::rsa_public_key(modulus, exponent)
            .map_err(|_| KeyError::Malformed("its n and e can't be encoded"))?;
        Ok(Self::Rsa {
            modulus: modulus.to_vec(),
            exponent: exponent.to_vec(),
            der,
        })
    }

    pub(super) fn ed25519(bytes: &[u8]) -> Result<Self, KeyError> {
        bytes
            .try_into()
            .map(Self::Ed25519)
            .map_err(|_| KeyError::Malformed("an Ed25519 key is 32 bytes"))
    }

    pub(super) const fn algorithm(&self) -> Algorithm {
        match self {
            Self::P256(_) => Algorithm::Es256,
            Self::Rsa { .. } => Algorithm::Ps256,
            Self::Ed25519(_) => Algorithm::EdDsa,
        }
    }

    /// The members that RFC 7638 section 3.2 takes, in the order of their names.
    fn required_members(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::P256(point) => {
                let (head, y) = point.split_at(33);
                let x = head.strip_prefix(&[4]).unwrap_or(head);
                vec![
                    ("crv", "P-256".to_owned()),
                    ("kty", "EC".to_owned()),
                    ("x", base64url(x)),
                    ("y", base64url(y)),
                ]
            }
            Self::Rsa {
                modulus, exponent, ..
            } => vec![
                ("e", base64url(exponent)),
                ("kty", "RSA".to_owned()),
                ("n", base64url(modulus)),
            ],
            Self::Ed25519(bytes) => vec![
                ("crv", "Ed25519".to_owned()),
                ("kty", "OKP".to_owned()),
                ("x", base64url(bytes)),
            ],
        }
    }

    pub(super) fn to_members(&self) -> Map<String, Value> {
        let members = self.required_members().into_iter();
        members
            .map(|(name, value)| (name.to_owned(), Value::String(value)))
            .collect()
    }

    /// What the thumbprint is the hash of. Not by way of a JSON map, whose order depends on
    /// features that any other crate may turn on.
    pub(super) fn thumbprint_input(&self) -> String {
        let members = self.required_members().into_iter();
        let members: Vec<_> = members
            .map(|(name, value)| format!(r#""{name}":"{value}""#))
            .collect();
        format!("{{{}}}", members.join(","))
    }

    pub(super) const fn signature_len(&self) -> usize {
        match self {
            Self::P256(_) | Self::Ed25519(_) => 64,
            Self::Rsa { modulus, .. } => modulus.len(),
        }
    }

    pub(super) fn verify(&self, crypto: &Crypto, message: &[u8], signature: &[u8]) -> bool {
        let Some(algorithm) = provider::verifier(crypto, self.algorithm()) else {
            return false;
        };
        let (key, der): (&[u8], _) = match self {
            Self::P256(point) => {
                // JWT-3.4: r and s of 32 bytes each, neither of them zero.
                let Ok(raw) = p256::ecdsa::Signature::from_slice(signature) else {
                    return false;
                };
                (point, Some(raw.to_der()))
            }
            Self::Rsa { der, .. } => (der, None),
            Self::Ed25519(bytes) => (bytes, None),
        };
        let signature = der.as_ref().map_or(signature, |der| der.as_bytes());
        algorithm.verify_signature(key, message, signature).is_ok()
    }
}

impl From<&p256::PublicKey> for Material {
    fn from(key: &p256::PublicKey) -> Self {
        let mut point = [0; 65];
        point.copy_from_slice(key.to_sec1_point(false).as_bytes());
        Self::P256(point)
    }
}

/// Without leading zeros, as RFC 7518 section 2 writes a number.
fn trim(mut number: &[u8]) -> &[u8] {
    while let [0, rest @ ..] = number {
        number = rest;
    }
    number
}

fn bits(number: &[u8]) -> usize {
    let zeros = number.first().map_or(0, |byte| byte.leading_zeros());
    (number.len() * 8).saturating_sub(usize::try_from(zeros).unwrap_or(0))
}
