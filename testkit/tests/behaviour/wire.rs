//! Keys, JWTs, requests and answers, so open that a test can spoil any part.

use std::sync::atomic::{AtomicU64, Ordering};

use base64ct::{Base64, Base64UrlUnpadded, Encoding};
use http::{HeaderMap, Method, StatusCode};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PSS_SHA256,
    RsaKeyPair, RsaPublicKeyComponents,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// A key of the client.
pub(crate) enum Key {
    Es256(EcdsaKeyPair),
    EdDsa(Ed25519KeyPair),
    Ps256(RsaKeyPair),
}

impl Key {
    pub(crate) fn es256() -> Self {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        Self::Es256(EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).unwrap())
    }

    pub(crate) fn eddsa() -> Self {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self::EdDsa(Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap())
    }

    pub(crate) fn ps256() -> Self {
        let pem = include_str!("../../src/keys/rsa-1.pem");
        let text: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        Self::Ps256(RsaKeyPair::from_pkcs8(&Base64::decode_vec(&text).unwrap()).unwrap())
    }

    pub(crate) fn alg(&self) -> &'static str {
        match self {
            Self::Es256(_) => "ES256",
            Self::EdDsa(_) => "EdDSA",
            Self::Ps256(_) => "PS256",
        }
    }

    pub(crate) fn jwk(&self) -> Value {
        match self {
            Self::Es256(key) => {
                let point = &key.public_key().as_ref()[1..];
                json!({"kty": "EC", "crv": "P-256", "x": b64(&point[..32]), "y": b64(&point[32..])})
            }
            Self::EdDsa(key) => {
                json!({"kty": "OKP", "crv": "Ed25519", "x": b64(key.public_key().as_ref())})
            }
            Self::Ps256(key) => {
                let parts: RsaPublicKeyComponents<Vec<u8>> = key.public_key().into();
                json!({"kty": "RSA", "n": b64(&parts.n), "e": b64(&parts.e)})
            }
        }
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Es256(key) => key.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::EdDsa(key) => key.sign(message).as_ref().to_vec(),
            Self::Ps256(key) => {
                let mut out = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PSS_SHA256, &random, message, &mut out)
                    .unwrap();
                out
            }
        }
    }

    /// RFC 7638; a `BTreeMap` keeps the members in order.
    pub(crate) fn thumbprint(&self) -> String {
        let jwk: std::collections::BTreeMap<String, Value> =
            serde_json::from_value(self.jwk()).unwrap();
        hash(serde_json::to_string(&jwk).unwrap().as_bytes())
    }
}

/// Turns a signature into something else.
pub(crate) type Spoil = fn(&[u8]) -> Vec<u8>;

/// A JWT about to be signed.
#[derive(Clone)]
pub(crate) struct Draft {
    pub(crate) header: Value,
    pub(crate) claims: Value,
    /// The text of the whole JWT, where a test wants another one.
    pub(crate) instead: Option<String>,
    pub(crate) spoil: Option<Spoil>,
}

impl Draft {
    pub(crate) fn claim(&mut self, name: &str, value: impl Into<Value>) {
        self.claims[name] = value.into();
    }

    pub(crate) fn head(&mut self, name: &str, value: impl Into<Value>) {
        self.header[name] = value.into();
    }

    /// Takes a claim or a header member away.
    pub(crate) fn without(&mut self, name: &str) {
        for part in [&mut self.claims, &mut self.header] {
            part.as_object_mut().unwrap().remove(name);
        }
    }

    pub(crate) fn sign(&self, key: &Key) -> String {
        if let Some(text) = &self.instead {
            return text.clone();
        }
        let input = format!(
            "{}.{}",
            b64(self.header.to_string().as_bytes()),
            b64(self.claims.to_string().as_bytes())
        );
        let mut signature = key.sign(input.as_bytes());
        if let Some(spoil) = self.spoil {
            signature = spoil(&signature);
        }
        format!("{input}.{}", b64(&signature))
    }
}

/// A request about to be sent, every part of which can be spoilt.
pub(crate) struct Shot {
    pub(crate) method: Method,
    pub(crate) url: String,
    pub(crate) form: Vec<(String, String)>,
    pub(crate) assertion: Option<Draft>,
    pub(crate) proof: Option<Draft>,
    pub(crate) headers: Vec<(&'static str, String)>,
    /// A body in place of the form.
    pub(crate) body: Option<Vec<u8>>,
    pub(crate) content_type: &'static str,
}

impl Shot {
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.unset(name);
        self.add(name, value);
    }

    pub(crate) fn unset(&mut self, name: &str) {
        self.form.retain(|(other, _)| other != name);
    }

    pub(crate) fn add(&mut self, name: &str, value: &str) {
        self.form.push((name.to_owned(), value.to_owned()));
    }

    pub(crate) fn assertion(&mut self) -> &mut Draft {
        self.assertion.as_mut().unwrap()
    }

    pub(crate) fn proof(&mut self) -> &mut Draft {
        self.proof.as_mut().unwrap()
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map(|value| value.to_str().unwrap())
            .unwrap_or_default()
    }

    /// The OAuth error, of the body or of the challenge.
    pub(crate) fn error(&self) -> String {
        if let Some(error) = self.json()["error"].as_str() {
            return error.to_owned();
        }
        let challenge = self.header("www-authenticate");
        let rest = challenge
            .split_once("error=\"")
            .map(|(_, rest)| rest)
            .unwrap_or_default();
        rest.split('"').next().unwrap_or_default().to_owned()
    }
}

pub(crate) fn b64(bytes: &[u8]) -> String {
    Base64UrlUnpadded::encode_string(bytes)
}

pub(crate) fn decode(text: &str) -> Vec<u8> {
    Base64UrlUnpadded::decode_vec(text).unwrap()
}

pub(crate) fn hash(bytes: &[u8]) -> String {
    b64(&Sha256::digest(bytes))
}

pub(crate) fn unique() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!(
        "a-long-and-unique-name-{:08}",
        NEXT.fetch_add(1, Ordering::Relaxed)
    )
}
