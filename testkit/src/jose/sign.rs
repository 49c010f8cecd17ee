//! The server's own keys, and the JWTs made with them: right ones, and wrong ones on command.

use std::fmt::Write;
use std::sync::Arc;

use base64ct::{Base64, Encoding};
use ed25519_dalek as ed25519;
use ed25519_dalek::Signer as _;
use ring::rand::SystemRandom;
use ring::signature::{
    KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaKeyPair, RsaPublicKeyComponents,
};
use ring::{hmac, signature};
use serde_json::{Map, Value, json};

use super::{Alg, encode, thumbprint};
use crate::random;

/// RSA keys are not made but taken from here, since making one takes seconds.
const RSA_KEYS: [&str; 3] = [
    include_str!("../keys/rsa-1.pem"),
    include_str!("../keys/rsa-2.pem"),
    include_str!("../keys/rsa-3.pem"),
];

/// A function that signs for the server in place of its own keys.
pub(crate) type SignFn = Arc<dyn Fn(&[u8]) -> Vec<u8> + Send + Sync>;

/// A key of the server, with its public half as it stands in the key set.
#[derive(Clone)]
pub(crate) struct SigningKey {
    pub(crate) alg: Alg,
    /// The public JWK, with `kid`, `use` and `alg`.
    pub(crate) jwk: Value,
    secret: Secret,
}

#[derive(Clone)]
enum Secret {
    P256(p256::ecdsa::SigningKey),
    Ed25519(ed25519::SigningKey),
    Rsa(Arc<RsaKeyPair>),
    External(SignFn),
}

impl SigningKey {
    /// Makes a key. `generation` chooses among the RSA keys at hand.
    pub(crate) fn generate(alg: Alg, generation: usize) -> Self {
        let (secret, jwk) = match alg {
            Alg::Es256 => {
                let key = p256_key();
                let point = key.verifying_key().to_sec1_point(false);
                let (x, y) = point.as_bytes()[1..].split_at(32);
                let jwk = json!({"kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y)});
                (Secret::P256(key), jwk)
            }
            Alg::EdDsa | Alg::Ed25519 => {
                let key = ed25519::SigningKey::from_bytes(&random::bytes());
                let x = encode(key.verifying_key().as_bytes());
                (
                    Secret::Ed25519(key),
                    json!({"kty": "OKP", "crv": "Ed25519", "x": x}),
                )
            }
            Alg::Ps256 => {
                let key = rsa_key(generation);
                let jwk = rsa_jwk(&key);
                (Secret::Rsa(Arc::new(key)), jwk)
            }
        };
        let kid = match (alg, generation) {
            // The same RSA key comes round again under another name.
            (Alg::Ps256, n) if n >= RSA_KEYS.len() => random::token(),
            _ => thumbprint(&jwk).expect("an own key has a thumbprint"),
        };
        Self {
            alg,
            jwk: published(jwk, &kid, alg.name()),
            secret,
        }
    }

    /// A key that somebody else holds.
    pub(crate) fn external(alg: Alg, mut jwk: Value, sign: SignFn) -> Self {
        if jwk.get("kid").is_none() {
            jwk["kid"] = thumbprint(&jwk)
                .expect("the given JWK is a public key")
                .into();
        }
        Self {
            alg,
            jwk,
            secret: Secret::External(sign),
        }
    }

    pub(crate) fn kid(&self) -> &str {
        self.jwk["kid"].as_str().unwrap_or_default()
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        match &self.secret {
            Secret::P256(key) => {
                let signature: p256::ecdsa::Signature = key.sign(message);
                signature.to_bytes().to_vec()
            }
            Secret::Ed25519(key) => key.sign(message).to_bytes().to_vec(),
            Secret::Rsa(key) => rsa_signature(key, &RSA_PSS_SHA256, message),
            Secret::External(sign) => sign(message),
        }
    }
}

/// How a JWT gets its signature.
#[derive(Clone)]
pub(crate) enum Signing {
    /// As it should be.
    Right,
    /// No signature at all.
    None,
    /// An HMAC whose secret is the public key, against verifiers that let the header choose.
    PublicKeyAsSecret,
    /// RSASSA-PKCS1-v1_5, which the profile does not admit, with a key that is published.
    Rs256,
    /// The right algorithm with a key that nobody published.
    StrangerKey,
    /// The right algorithm with this key.
    Other(Box<SigningKey>),
    /// One bit is wrong.
    Flipped,
    /// All zeros, which a broken ECDSA verifier takes ("psychic signatures").
    Zeros,
}

/// A JWT that the server is about to send.
pub(crate) struct Draft {
    pub(crate) header: Map<String, Value>,
    pub(crate) claims: Map<String, Value>,
    pub(crate) signing: Signing,
    /// A claim that is to stand twice, with the value that comes second.
    pub(crate) duplicate: Option<(String, Value)>,
}

impl Draft {
    pub(crate) fn new(key: &SigningKey, typ: &str, claims: Map<String, Value>) -> Self {
        let mut header = Map::new();
        header.insert("alg".to_owned(), key.alg.name().into());
        header.insert("kid".to_owned(), key.kid().into());
        header.insert("typ".to_owned(), typ.into());
        Self {
            header,
            claims,
            signing: Signing::Right,
            duplicate: None,
        }
    }

    /// Writes the compact form.
    pub(crate) fn finish(&self, key: &SigningKey) -> String {
        let mut claims = json!(self.claims).to_string();
        if let Some((name, second)) = &self.duplicate {
            claims.pop();
            let _ = write!(claims, ",{}:{second}}}", json!(name));
        }
        let input = format!(
            "{}.{}",
            encode(json!(self.header).to_string().as_bytes()),
            encode(claims.as_bytes())
        );
        format!("{input}.{}", encode(&self.signature(key, &input)))
    }

    fn signature(&self, key: &SigningKey, input: &str) -> Vec<u8> {
        match &self.signing {
            Signing::Right => key.sign(input.as_bytes()),
            Signing::None => Vec::new(),
            Signing::PublicKeyAsSecret => {
                let secret = hmac::Key::new(hmac::HMAC_SHA256, key.jwk.to_string().as_bytes());
                hmac::sign(&secret, input.as_bytes()).as_ref().to_vec()
            }
            Signing::Rs256 => rsa_pkcs1_signature(input.as_bytes()),
            Signing::StrangerKey => stranger(key).sign(input.as_bytes()),
            Signing::Other(other) => other.sign(input.as_bytes()),
            Signing::Flipped => {
                let mut signature = key.sign(input.as_bytes());
                let middle = signature.len() / 2;
                signature[middle] ^= 1;
                signature
            }
            Signing::Zeros => vec![0; key.sign(input.as_bytes()).len()],
        }
    }
}

/// Another key of the same kind.
fn stranger(key: &SigningKey) -> SigningKey {
    let first = SigningKey::generate(key.alg, 0);
    if key.alg == Alg::Ps256 && first.jwk["n"] == key.jwk["n"] {
        return SigningKey::generate(key.alg, 1);
    }
    first
}

/// The public half of the key that signs with RS256, as it stands in the key set.
pub(crate) fn rs256_jwk() -> Value {
    let jwk = rsa_jwk(&rsa_key(2));
    let kid = thumbprint(&jwk).expect("an own key has a thumbprint");
    published(jwk, &kid, "RS256")
}

/// An RS256 signature by the key of [`rs256_jwk`].
pub(crate) fn rsa_pkcs1_signature(message: &[u8]) -> Vec<u8> {
    rsa_signature(&rsa_key(2), &RSA_PKCS1_SHA256, message)
}

fn published(mut jwk: Value, kid: &str, alg: &str) -> Value {
    jwk["kid"] = kid.into();
    jwk["use"] = "sig".into();
    jwk["alg"] = alg.into();
    jwk
}

fn p256_key() -> p256::ecdsa::SigningKey {
    loop {
        // Fails for one value in 2^32, which is no scalar of the curve.
        if let Ok(key) = p256::ecdsa::SigningKey::from_slice(&random::bytes()) {
            return key;
        }
    }
}

fn rsa_key(generation: usize) -> RsaKeyPair {
    let pem: String = RSA_KEYS[generation % RSA_KEYS.len()]
        .lines()
        .filter(|line| !line.starts_with("-----"))
        .collect();
    let der = Base64::decode_vec(&pem).expect("the PEM file is sound");
    RsaKeyPair::from_pkcs8(&der).expect("the key is sound")
}

fn rsa_jwk(key: &RsaKeyPair) -> Value {
    let parts: RsaPublicKeyComponents<Vec<u8>> = key.public_key().into();
    json!({"kty": "RSA", "n": encode(&parts.n), "e": encode(&parts.e)})
}

fn rsa_signature(
    key: &RsaKeyPair,
    padding: &'static dyn signature::RsaEncoding,
    message: &[u8],
) -> Vec<u8> {
    let mut out = vec![0; key.public().modulus_len()];
    key.sign(padding, &SystemRandom::new(), message, &mut out)
        .expect("the key fits the padding");
    out
}

#[cfg(test)]
mod tests {
    use super::super::check_signature;
    use super::*;

    #[test]
    fn what_each_algorithm_signs_verifies_and_what_is_broken_does_not() {
        for alg in Alg::ALL {
            let key = SigningKey::generate(alg, 0);
            let verify = |signing| {
                let mut draft = Draft::new(&key, "JWT", Map::new());
                draft.signing = signing;
                super::super::Unverified::parse(&draft.finish(&key))
                    .unwrap()
                    .verify(&key.jwk)
            };
            verify(Signing::Right).unwrap();
            for signing in [
                Signing::None,
                Signing::StrangerKey,
                Signing::Flipped,
                Signing::Zeros,
                Signing::Rs256,
            ] {
                assert!(verify(signing).is_err(), "{alg:?}");
            }
        }
    }

    #[test]
    fn a_key_of_another_kind_is_refused() {
        let key = SigningKey::generate(Alg::Es256, 0);
        let signature = key.sign(b"m");
        for alg in [Alg::EdDsa, Alg::Ps256] {
            let refusal = check_signature(alg, &key.jwk, b"m", &signature).unwrap_err();
            assert_eq!(
                refusal,
                format!("the key does not fit the algorithm {}", alg.name())
            );
        }
    }
}
