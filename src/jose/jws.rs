//! JSON Web Signatures in the compact form (RFC 7515 section 3.1), carrying claims (RFC 7519).

use serde_json::{Map, Value};

use super::json::{JsonFault, parse_object};
use super::{Claims, JwkSet, PublicJwk, base64url, from_base64url};
use crate::crypto::Crypto;
use crate::error::JwtFault;
use crate::profile::{Algorithm, JWT_MAX_BYTES};

/// What is signed: header and claims, each in base64url, with a dot between them.
pub(crate) fn signing_input(header: &Value, claims: &Value) -> String {
    EncodedHeader::new(header).signing_input(claims)
}

/// A header that is written once and signed often.
pub(crate) struct EncodedHeader(String);

impl EncodedHeader {
    pub(crate) fn new(header: &Value) -> Self {
        Self(part(header))
    }

    /// What is signed under this header.
    pub(crate) fn signing_input(&self, claims: &Value) -> String {
        [self.0.as_str(), &part(claims)].join(".")
    }
}

/// Puts the signature behind what was signed. The result is the compact JWS.
pub(crate) fn join(mut signing_input: String, signature: &[u8]) -> String {
    signing_input.push('.');
    signing_input.push_str(&base64url(signature));
    signing_input
}

fn part(value: &Value) -> String {
    base64url(value.to_string().as_bytes())
}

/// A JWT that was read and whose signature is still to be verified.
///
/// JWT-3.8-10: `jku`, `x5u`, `x5c` and `jwk` of its header are never read: a key comes out of the
/// issuer's key set or not at all.
pub(crate) struct Jws<'a> {
    algorithm: Algorithm,
    key_id: Option<String>,
    typ: Option<String>,
    claims: Claims,
    signing_input: &'a str,
    signature: Vec<u8>,
}

impl<'a> Jws<'a> {
    /// Takes the compact form apart.
    pub(crate) fn parse(token: &'a str) -> Result<Self, JwtFault> {
        if token.len() > JWT_MAX_BYTES {
            return Err(JwtFault::Malformed);
        }
        match token.bytes().filter(|byte| *byte == b'.').count() {
            2 => {}
            4 => return Err(JwtFault::Encrypted),
            _ => return Err(JwtFault::Malformed),
        }
        let (signing_input, signature) = token.rsplit_once('.').ok_or(JwtFault::Malformed)?;
        let (header, claims) = signing_input.split_once('.').ok_or(JwtFault::Malformed)?;
        let header = object(header)?;
        // JWT-crit, JWT-3.6: extensions are neither understood nor passed over.
        for extension in ["crit", "zip", "b64"] {
            if header.contains_key(extension) {
                return Err(JwtFault::Header(extension));
            }
        }
        // SP-5.4.1-1.2, SP-5.4.1-1.3: PS256, ES256 and EdDSA, to the letter.
        let algorithm = text(&header, "alg")?
            .and_then(|name| Algorithm::from_name(&name))
            .ok_or(JwtFault::Algorithm)?;
        Ok(Self {
            algorithm,
            key_id: text(&header, "kid")?,
            typ: text(&header, "typ")?,
            claims: Claims::new(object(claims)?),
            signing_input,
            signature: from_base64url(signature).ok_or(JwtFault::Malformed)?,
        })
    }

    /// The algorithm of its header. Whether it is the registered one is for the caller to check.
    pub(crate) const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The `kid` of its header.
    pub(crate) fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// The `typ` of its header, as it stands there.
    pub(crate) fn typ(&self) -> Option<&str> {
        self.typ.as_deref()
    }

    /// The claims, which anyone may have written until [`verify`](Self::verify) has passed.
    pub(crate) const fn unverified_claims(&self) -> &Claims {
        &self.claims
    }

    /// Verifies the signature with the keys of the issuer's set that fit (SP-5.4.3).
    pub(crate) fn verify(&self, crypto: &Crypto, keys: &JwkSet) -> Result<(), JwtFault> {
        let candidates = keys.candidates(self.key_id(), self.algorithm);
        if candidates.is_empty() {
            return Err(JwtFault::NoKey);
        }
        candidates
            .iter()
            .any(|key| self.is_signed_by(crypto, key))
            .then_some(())
            .ok_or(JwtFault::Signature)
    }

    /// Verifies the signature with one key.
    #[cfg(test)]
    pub(crate) fn verify_with(&self, crypto: &Crypto, key: &PublicJwk) -> Result<(), JwtFault> {
        if !key.verifies(self.algorithm) {
            return Err(JwtFault::NoKey);
        }
        self.is_signed_by(crypto, key)
            .then_some(())
            .ok_or(JwtFault::Signature)
    }

    fn is_signed_by(&self, crypto: &Crypto, key: &PublicJwk) -> bool {
        key.verify(crypto, self.signing_input.as_bytes(), &self.signature)
    }
}

fn object(part: &str) -> Result<Map<String, Value>, JwtFault> {
    let bytes = from_base64url(part).ok_or(JwtFault::Malformed)?;
    parse_object(&bytes).map_err(|fault| match fault {
        JsonFault::Malformed => JwtFault::Malformed,
        JsonFault::DuplicateMember => JwtFault::DuplicateMember,
    })
}

fn text(header: &Map<String, Value>, name: &str) -> Result<Option<String>, JwtFault> {
    match header.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(JwtFault::Malformed),
    }
}
