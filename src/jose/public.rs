//! Public keys as JSON Web Keys (RFC 7517, RFC 7518 section 6, RFC 8037 section 2).

use std::fmt;

#[cfg(feature = "pkcs11")]
use p256::pkcs8::der::{Decode, asn1::AnyRef};
use serde_json::{Map, Value};

#[cfg(feature = "pkcs11")]
use super::der::Curve;
use super::material::Material;
use super::{base64url, kind, members, pem, provider, sha256};
use crate::crypto::Crypto;
use crate::error::KeyError;
use crate::profile::Algorithm;

/// The members that only a private or a symmetric key has (RFC 7518 section 6).
const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// A public key of one of the three kinds that FAPI 2.0 allows: P-256, RSA of 2048 to 4096 bits, or
/// Ed25519.
///
/// It has no private members, so that nothing it writes can have any.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicJwk {
    material: Material,
    key_id: Option<String>,
    usage: Option<String>,
    algorithm: Option<String>,
    operations: Option<Vec<String>>,
}

impl PublicJwk {
    /// Reads a public JWK.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] where a member is missing, has the wrong length or is private, or
    /// where a point does not lie on the curve; [`KeyError::Unsupported`] and
    /// [`KeyError::TooShort`] where FAPI 2.0 does not allow the key (FAPI2-SP 5.4.1).
    pub fn from_json(jwk: &Value) -> Result<Self, KeyError> {
        let Value::Object(members) = jwk else {
            return Err(KeyError::Malformed("it is no JSON object"));
        };
        let key = Self::from_members(members)?;
        // A private key that came in public is a key that others have.
        if PRIVATE_MEMBERS
            .iter()
            .any(|name| members.contains_key(*name))
        {
            return Err(KeyError::Malformed(
                "it is private where a public key is expected",
            ));
        }
        Ok(key)
    }

    /// Reads a public key in PEM (`BEGIN PUBLIC KEY`, which is SPKI), as `openssl pkey -pubout`
    /// writes it and as an HSM or a KMS exports it.
    ///
    /// # Errors
    /// As [`from_json`](Self::from_json).
    pub fn from_pem(spki_pem: &str) -> Result<Self, KeyError> {
        let block = pem::public_key(spki_pem)?;
        Material::from_spki(&block.der).map(Self::from)
    }

    /// A `SubjectPublicKeyInfo` in DER.
    pub(crate) fn from_spki(spki: &[u8]) -> Result<Self, KeyError> {
        Material::from_spki(spki).map(Self::from)
    }

    /// SP-5.4.1-3: that `ECParameters` in DER (RFC 3279 section 2.3.5) name P-256.
    #[cfg(feature = "pkcs11")]
    pub(crate) fn ensure_p256(parameters: &[u8]) -> Result<(), KeyError> {
        let curve =
            AnyRef::from_der(parameters).map_err(|_| KeyError::Malformed("it names no curve"))?;
        kind::p256_alone(Curve::read(curve))
    }

    /// A point on P-256, uncompressed.
    #[cfg(feature = "pkcs11")]
    pub(crate) fn from_point(point: &[u8]) -> Result<Self, KeyError> {
        Material::p256(point).map(Self::from)
    }

    /// Modulus and exponent of an RSA key, big-endian.
    #[cfg(feature = "pkcs11")]
    pub(crate) fn from_rsa(modulus: &[u8], exponent: &[u8]) -> Result<Self, KeyError> {
        Material::rsa(modulus, exponent).map(Self::from)
    }

    /// Names the key. A key without a name of its own goes by its thumbprint.
    #[must_use]
    pub fn with_key_id(mut self, key_id: impl Into<String>) -> Self {
        self.key_id = Some(key_id.into());
        self
    }

    /// The algorithm that keys of this type serve. There is one for each type.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.material.algorithm()
    }

    /// Its `kid`, where it has one of its own.
    #[must_use]
    pub fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// The thumbprint of the key: SHA-256 in base64url (RFC 7638), which is also the `jkt` of DPoP.
    #[must_use]
    pub fn thumbprint(&self) -> String {
        base64url(&sha256(self.material.thumbprint_input().as_bytes()))
    }

    /// The key as JSON, with its `kid`, `use`, `alg` and `key_ops` where it has them.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let texts = [
            ("kid", &self.key_id),
            ("use", &self.usage),
            ("alg", &self.algorithm),
        ];
        let mut members = self.material.to_members();
        for (name, text) in texts {
            if let Some(text) = text {
                members.insert(name.to_owned(), text.clone().into());
            }
        }
        if let Some(operations) = &self.operations {
            members.insert("key_ops".to_owned(), operations.clone().into());
        }
        Value::Object(members)
    }

    /// The key alone, as the `jwk` header of a DPoP proof carries it (RFC 9449 section 4.2).
    pub(crate) fn bare_json(&self) -> Value {
        Value::Object(self.material.to_members())
    }

    /// SP-5.4.2-0: the key as a client publishes it: named, and for nothing but signatures of its
    /// algorithm, unless it says itself that it is for encryption.
    pub(crate) fn published_json(&self, key_id: &str) -> Value {
        let (usage, algorithm) = if self.is_for_encryption() {
            ("enc", self.algorithm.as_deref())
        } else {
            ("sig", Some(self.algorithm().name()))
        };
        let mut members = self.material.to_members();
        members.insert("kid".to_owned(), key_id.into());
        members.insert("use".to_owned(), usage.into());
        if let Some(algorithm) = algorithm {
            members.insert("alg".to_owned(), algorithm.into());
        }
        Value::Object(members)
    }

    /// Its `kid`, else its thumbprint.
    pub(crate) fn key_id_or_thumbprint(&self) -> String {
        self.key_id.clone().unwrap_or_else(|| self.thumbprint())
    }

    pub(crate) fn is_for_encryption(&self) -> bool {
        self.usage.as_deref() == Some("enc")
    }

    /// Whether `alg` is absent or names the algorithm that this type of key serves.
    pub(crate) fn names_its_algorithm(&self) -> bool {
        self.algorithm
            .as_deref()
            .is_none_or(|name| Algorithm::from_name(name) == Some(self.algorithm()))
    }

    /// SP-5.4.3, JWT-3.1: whether the key may verify signatures of this algorithm: by its type and
    /// curve, its `use`, its `key_ops` and its `alg`.
    pub(crate) fn verifies(&self, algorithm: Algorithm) -> bool {
        let may_verify = self
            .operations
            .as_ref()
            .is_none_or(|operations| operations.iter().any(|operation| operation == "verify"));
        self.algorithm() == algorithm
            && !self.is_for_encryption()
            && may_verify
            && self.names_its_algorithm()
    }

    /// Verifies a signature in the form of JOSE (RFC 7518 section 3).
    pub(crate) fn verify(&self, crypto: &Crypto, message: &[u8], signature: &[u8]) -> bool {
        self.material.verify(crypto, message, signature)
    }

    /// That the provider has what it takes to verify with this key.
    pub(crate) fn ensure_verifiable(&self, crypto: &Crypto) -> Result<(), KeyError> {
        match provider::verifier(crypto, self.algorithm()) {
            Some(_) => Ok(()),
            None => Err(KeyError::ProviderLacks(self.algorithm().name())),
        }
    }

    /// The length of its signatures, in bytes.
    pub(crate) const fn signature_len(&self) -> usize {
        self.material.signature_len()
    }

    /// Reads the public members and passes over private ones, which the caller looks after.
    pub(super) fn from_members(members: &Map<String, Value>) -> Result<Self, KeyError> {
        let owned = |name| members::text(members, name).map(|text| text.map(str::to_owned));
        Ok(Self {
            material: material(members)?,
            key_id: owned("kid")?,
            usage: owned("use")?,
            algorithm: owned("alg")?,
            operations: members::operations(members)?,
        })
    }

    pub(super) const fn material(&self) -> &Material {
        &self.material
    }
}

fn material(members: &Map<String, Value>) -> Result<Material, KeyError> {
    let curve = |expected| kind::curve_name(members::text(members, "crv")?, expected);
    match members::text(members, "kty")? {
        Some("EC") => {
            curve("P-256")?;
            let (x, y) = (members::bytes(members, "x")?, members::bytes(members, "y")?);
            if x.len() != 32 || y.len() != 32 {
                return Err(KeyError::Malformed("its x and y are not of 32 bytes each"));
            }
            Material::p256(&[&[4], x.as_slice(), &y].concat())
        }
        Some("RSA") => Material::rsa(
            &members::bytes(members, "n")?,
            &members::bytes(members, "e")?,
        ),
        Some("OKP") => {
            curve("Ed25519")?;
            Material::ed25519(&members::bytes(members, "x")?)
        }
        Some("oct") => Err(KeyError::Unsupported("a symmetric key")),
        Some(_) => Err(KeyError::Unsupported("a JWK of another kty")),
        None => Err(KeyError::Malformed("it has no kty")),
    }
}

impl From<Material> for PublicJwk {
    fn from(material: Material) -> Self {
        Self {
            material,
            key_id: None,
            usage: None,
            algorithm: None,
            operations: None,
        }
    }
}

/// Short: the thumbprint says which key it is.
impl fmt::Debug for PublicJwk {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("PublicJwk")
            .field("algorithm", &self.algorithm())
            .field("key_id", &self.key_id)
            .field("thumbprint", &self.thumbprint())
            .finish_non_exhaustive()
    }
}
