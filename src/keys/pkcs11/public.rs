//! The public half, as tokens write it.

use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectHandle};
use cryptoki::session::Session;

use super::fault::Fault;
use crate::error::KeyError;
use crate::jose::PublicJwk;
use crate::profile::Algorithm;

/// P-256, as an object identifier in DER: what `CKA_EC_PARAMS` says of it.
pub(super) const P256: [u8; 10] = [6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];

/// The attributes that a public key is read from.
const ATTRIBUTES: [AttributeType; 5] = [
    AttributeType::EcParams,
    AttributeType::EcPoint,
    AttributeType::Modulus,
    AttributeType::PublicExponent,
    AttributeType::PublicKeyInfo,
];

/// What a key of that type signs with.
pub(super) fn algorithm(kind: KeyType) -> Result<Algorithm, KeyError> {
    match kind {
        KeyType::EC => Ok(Algorithm::Es256),
        KeyType::RSA => Ok(Algorithm::Ps256),
        KeyType::EC_EDWARDS => Err(KeyError::StoreLacks(Algorithm::EdDsa)),
        _ => Err(KeyError::Unsupported("a key of another kind")),
    }
}

/// The public key that an object has the attributes of: a public key, or a private one of which the
/// token also tells the public half. `None` where it does not.
pub(super) fn read(
    session: &Session,
    object: ObjectHandle,
    kind: Algorithm,
) -> Result<Option<PublicJwk>, Fault> {
    let mut parts = Parts::default();
    for attribute in session.get_attributes(object, &ATTRIBUTES)? {
        match attribute {
            Attribute::EcParams(bytes) => parts.curve = bytes,
            Attribute::EcPoint(bytes) => parts.point = bytes,
            Attribute::Modulus(bytes) => parts.modulus = bytes,
            Attribute::PublicExponent(bytes) => parts.exponent = bytes,
            Attribute::PublicKeyInfo(bytes) => parts.info = bytes,
            _ => {}
        }
    }
    Ok(parts.key(kind)?)
}

/// What a token tells of a public key; empty where it tells nothing.
#[derive(Default)]
struct Parts {
    curve: Vec<u8>,
    point: Vec<u8>,
    modulus: Vec<u8>,
    exponent: Vec<u8>,
    info: Vec<u8>,
}

impl Parts {
    /// JWT-3.4, SP-5.4.1-2, SP-5.4.1-3: the key is held against the rules as any other.
    fn key(&self, kind: Algorithm) -> Result<Option<PublicJwk>, KeyError> {
        let there = |part: &[u8]| !part.is_empty();
        let key = match kind {
            Algorithm::Es256 if there(&self.curve) && there(&self.point) => {
                PublicJwk::ensure_p256(&self.curve)?;
                PublicJwk::from_point(uncompressed(&self.point)?)?
            }
            Algorithm::Ps256 if there(&self.modulus) && there(&self.exponent) => {
                PublicJwk::from_rsa(&self.modulus, &self.exponent)?
            }
            _ if there(&self.info) => PublicJwk::from_spki(&self.info)?,
            _ => return Ok(None),
        };
        if key.algorithm() == kind {
            Ok(Some(key))
        } else {
            Err(KeyError::Mismatch)
        }
    }
}

/// The point in 65 bytes. `CKA_EC_POINT` is a DER OCTET STRING around them; some tokens write them
/// bare.
fn uncompressed(point: &[u8]) -> Result<&[u8], KeyError> {
    match point {
        [4, 65, bare @ ..] if bare.len() == 65 => uncompressed(bare),
        [4, coordinates @ ..] if coordinates.len() == 64 => Ok(point),
        _ => Err(KeyError::Malformed(
            "its EC_POINT is no uncompressed point of P-256",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const P384: [u8; 7] = [6, 5, 0x2b, 0x81, 4, 0, 0x22];

    /// The base point of P-256, which lies on it.
    fn point() -> Vec<u8> {
        let hex = "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296\
                   4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5";
        let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        let coordinates = (0..hex.len()).step_by(2).map(byte);
        [4].into_iter().chain(coordinates).collect()
    }

    fn ec(curve: &[u8], point: Vec<u8>) -> Result<Option<PublicJwk>, KeyError> {
        let parts = Parts {
            curve: curve.to_vec(),
            point,
            ..Parts::default()
        };
        parts.key(Algorithm::Es256)
    }

    fn wrapped(point: &[u8]) -> Vec<u8> {
        [&[4, u8::try_from(point.len()).unwrap()], point].concat()
    }

    /// SP-5.4.1-3: a point is read with the OCTET STRING around it and without.
    #[test]
    fn both_forms_of_a_point_are_the_same_key() {
        let key = ec(&P256, wrapped(&point())).unwrap().unwrap();
        assert_eq!(key.algorithm(), Algorithm::Es256);
        let x = &key.to_json()["x"];
        assert_eq!(x, "axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY");
        assert_eq!(ec(&P256, point()).unwrap(), Some(key));
    }

    /// JWT-3.4: a point that is cut, has something behind it, is compressed or lies elsewhere.
    #[test]
    fn other_points_are_refused() {
        let no_point = KeyError::Malformed("its EC_POINT is no uncompressed point of P-256");
        let cut = point()[..64].to_vec();
        let compressed = [&[3], &point()[1..33]].concat();
        let longer = [wrapped(&point()), vec![0]].concat();
        let other_length = [&[4, 64], point().as_slice()].concat();
        let bad = [
            cut.clone(),
            wrapped(&cut),
            compressed.clone(),
            wrapped(&compressed),
            longer,
            other_length,
            wrapped(&wrapped(&point())),
            vec![4],
        ];
        for point in bad {
            assert_eq!(ec(&P256, point), Err(no_point.clone()));
        }
        let mut beside = point();
        beside[64] ^= 1;
        let off_curve = KeyError::Malformed("its point does not lie on P-256");
        assert_eq!(ec(&P256, wrapped(&beside)), Err(off_curve));
    }

    /// SP-5.4.1-3: no curve but P-256, by its name alone.
    #[test]
    fn other_curves_are_refused() {
        let other = KeyError::Unsupported("a P-384 key");
        assert_eq!(ec(&P384, wrapped(&point())), Err(other.clone()));
        let longer = [&[4, 97, 4], [1; 96].as_slice()].concat();
        assert_eq!(ec(&P384, longer), Err(other));
        let spelled_out = KeyError::Unsupported("an EC key whose curve is spelled out");
        assert_eq!(ec(&[0x30, 0], wrapped(&point())), Err(spelled_out));
        let none = KeyError::Malformed("it names no curve");
        assert_eq!(ec(&[6, 9, 1], wrapped(&point())), Err(none));
    }

    fn rsa(modulus: Vec<u8>, exponent: &[u8]) -> Result<Option<PublicJwk>, KeyError> {
        let parts = Parts {
            modulus,
            exponent: exponent.to_vec(),
            ..Parts::default()
        };
        parts.key(Algorithm::Ps256)
    }

    /// SP-5.4.1-2: RSA keys have at least 2048 bits, whatever zeros the token writes before them.
    #[test]
    fn the_length_of_rsa_keys_is_counted() {
        let key = rsa([vec![0], vec![0xc1; 256]].concat(), &[0, 1, 0, 1]);
        assert_eq!(key.unwrap().unwrap().to_json()["e"], "AQAB");
        let short = rsa(vec![0xc1; 128], &[1, 0, 1]);
        assert_eq!(short, Err(KeyError::TooShort { bits: 1024 }));
    }

    /// The public half is taken from a `SubjectPublicKeyInfo` where the token tells it in that form
    /// alone, and only where it is of the type of the private key.
    #[test]
    fn a_subject_public_key_info_will_do() {
        let head = [
            &[
                0x30, 0x59, 0x30, 0x13, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1,
            ][..],
            &P256,
            &[3, 0x42, 0],
        ]
        .concat();
        let parts = Parts {
            info: [head, point()].concat(),
            ..Parts::default()
        };
        let key = parts.key(Algorithm::Es256).unwrap();
        assert_eq!(key, ec(&P256, point()).unwrap());
        assert_eq!(parts.key(Algorithm::Ps256), Err(KeyError::Mismatch));
    }

    /// Where a token tells nothing, there is nothing.
    #[test]
    fn nothing_told_is_no_key() {
        assert_eq!(Parts::default().key(Algorithm::Es256), Ok(None));
        assert_eq!(ec(&P256, Vec::new()), Ok(None));
    }

    /// SP-5.4.1-1.2: keys of another type are not opened.
    #[test]
    fn types_of_keys() {
        assert_eq!(algorithm(KeyType::EC), Ok(Algorithm::Es256));
        assert_eq!(algorithm(KeyType::RSA), Ok(Algorithm::Ps256));
        let edwards = KeyError::StoreLacks(Algorithm::EdDsa);
        assert_eq!(algorithm(KeyType::EC_EDWARDS), Err(edwards));
        let other = KeyError::Unsupported("a key of another kind");
        assert_eq!(algorithm(KeyType::AES), Err(other));
    }
}
