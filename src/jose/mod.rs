//! JSON Web Keys, Signatures and Tokens (RFC 7515, 7517, 7518, 7519, 8037), as FAPI 2.0 narrows them.
//!
//! Alone here are signatures made and verified, always by the provider inside
//! [`Crypto`](crate::Crypto). Only the compact form is spoken; everything that comes from outside is
//! held against fixed sizes first.

pub(crate) mod claims;
mod der;
pub(crate) mod json;
pub(crate) mod jws;
mod kind;
mod material;
mod members;
mod pem;
pub(crate) mod private;
mod private_jwk;
mod provider;
pub(crate) mod public;
pub(crate) mod set;
#[cfg(test)]
pub(crate) mod tests;

use base64ct::{Base64UrlUnpadded, Encoding};
use sha2::{Digest, Sha256, Sha512};

pub(crate) use claims::Claims;
pub(crate) use json::{JsonFault, parse_object};
pub(crate) use jws::Jws;
pub(crate) use private::PrivateKey;
pub use public::PublicJwk;
pub(crate) use set::JwkSet;

/// Base64url without padding (RFC 7515 section 2).
pub(crate) fn base64url(bytes: &[u8]) -> String {
    Base64UrlUnpadded::encode_string(bytes)
}

/// JWT-json: reads base64url strictly: no padding, no white space, no stray bits in the last character.
pub(crate) fn from_base64url(text: &str) -> Option<Vec<u8>> {
    Base64UrlUnpadded::decode_vec(text).ok()
}

/// SHA-256.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// SHA-512, which `at_hash` takes beside an EdDSA signature.
pub(crate) fn sha512(bytes: &[u8]) -> [u8; 64] {
    Sha512::digest(bytes).into()
}
