//! Tests of the room, and the keys that other rooms' tests use.

mod encoding;
#[cfg(any(feature = "aws-lc", feature = "ring"))]
mod jws;
#[cfg(any(feature = "aws-lc", feature = "ring"))]
mod pem;
#[cfg(any(feature = "aws-lc", feature = "ring"))]
mod private_jwk;
#[cfg(any(feature = "aws-lc", feature = "ring"))]
mod providers;
mod public;
#[cfg(any(feature = "aws-lc", feature = "ring"))]
mod set;
#[cfg(any(feature = "aws-lc", feature = "ring"))]
mod vectors;

use serde_json::{Value, json};

use super::{base64url, jws as compact};
use crate::jose::PrivateKey;

macro_rules! key_file {
    ($name:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/keys/", $name))
    };
}
pub(crate) use key_file;

pub(crate) const ES256: &str = key_file!("es256-pkcs8.pem");
pub(crate) const ES256_SEC1: &str = key_file!("es256-sec1.pem");
pub(crate) const ES256_JAVA: &str = key_file!("es256-java.pem");
pub(crate) const RSA2048: &str = key_file!("rsa2048-pkcs8.pem");
pub(crate) const RSA2048_PKCS1: &str = key_file!("rsa2048-pkcs1.pem");
pub(crate) const RSA2048_JWK: &str = key_file!("rsa2048.json");
pub(crate) const ED25519: &str = key_file!("ed25519.pem");

/// Every provider that is compiled in, under its name.
#[cfg(any(feature = "aws-lc", feature = "ring"))]
pub(crate) fn providers() -> Vec<(&'static str, crate::crypto::Crypto)> {
    use crate::crypto::Crypto;
    use std::sync::Arc;

    let mut all = Vec::new();
    #[cfg(feature = "aws-lc")]
    {
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        all.push(("aws-lc", Crypto::from_provider(Arc::new(provider))));
    }
    #[cfg(feature = "ring")]
    {
        let provider = rustls::crypto::ring::default_provider();
        all.push(("ring", Crypto::from_provider(Arc::new(provider))));
    }
    all
}

/// A compact JWS over claims in any text, under any header.
pub(crate) fn signed(key: &PrivateKey, header: &Value, claims: &str) -> String {
    let header = base64url(header.to_string().as_bytes());
    let input = format!("{header}.{}", base64url(claims.as_bytes()));
    let signature = key.sign(input.as_bytes()).unwrap();
    compact::join(input, &signature)
}

fn header(key: &PrivateKey) -> Value {
    json!({"alg": key.algorithm().name()})
}

/// A value with one member set, or taken away where `value` is null.
pub(crate) fn with(mut object: Value, name: &str, value: Value) -> Value {
    let members = object.as_object_mut().unwrap();
    match value {
        Value::Null => members.remove(name),
        value => members.insert(name.to_owned(), value),
    };
    object
}
