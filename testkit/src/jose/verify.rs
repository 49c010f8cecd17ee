//! Verifying signatures, with keys in JWK form that are checked first.

use ed25519_dalek as ed25519;
use p256::ecdsa::signature::Verifier;
use ring::signature::{RSA_PSS_2048_8192_SHA256, RsaPublicKeyComponents};
use serde_json::Value;

use super::{Alg, decode};

/// Members that hold the secret part of a key.
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// Verifies `signature` over `message` with a public JWK that fits `alg`.
pub(crate) fn check_signature(
    alg: Alg,
    jwk: &Value,
    message: &[u8],
    signature: &[u8],
) -> Result<(), String> {
    const BAD: &str = "the signature does not verify";
    match (alg, PublicKey::from_jwk(jwk)?) {
        (Alg::Es256, PublicKey::P256(key)) => {
            // JWT-3.4: 64 bytes of r and s, neither of them zero.
            let signature = p256::ecdsa::Signature::from_slice(signature).map_err(|_| BAD)?;
            key.verify(message, &signature).map_err(|_| BAD.to_owned())
        }
        (Alg::EdDsa | Alg::Ed25519, PublicKey::Ed25519(key)) => {
            let signature = ed25519::Signature::from_slice(signature).map_err(|_| BAD)?;
            key.verify_strict(message, &signature)
                .map_err(|_| BAD.to_owned())
        }
        (Alg::Ps256, PublicKey::Rsa { n, e }) => RsaPublicKeyComponents { n: &n, e: &e }
            .verify(&RSA_PSS_2048_8192_SHA256, message, signature)
            .map_err(|_| BAD.to_owned()),
        _ => Err(format!("the key does not fit the algorithm {}", alg.name())),
    }
}

/// Refuses a JWK that is not a sound public key of an admitted kind.
pub(crate) fn check_public_jwk(jwk: &Value) -> Result<(), String> {
    PublicKey::from_jwk(jwk).map(drop)
}

enum PublicKey {
    P256(p256::ecdsa::VerifyingKey),
    Ed25519(ed25519::VerifyingKey),
    Rsa { n: Vec<u8>, e: Vec<u8> },
}

impl PublicKey {
    fn from_jwk(jwk: &Value) -> Result<Self, String> {
        let jwk = jwk.as_object().ok_or("the JWK is not an object")?;
        // DPOP-4.2a: a key that shows its secret is no key any more.
        if let Some(name) = PRIVATE.into_iter().find(|name| jwk.contains_key(*name)) {
            return Err(format!("the JWK has the private member `{name}`"));
        }
        let text = |name: &str| jwk.get(name).and_then(Value::as_str).unwrap_or_default();
        let bytes =
            |name: &str| decode(text(name)).map_err(|e| format!("`{name}` of the JWK: {e}"));
        match (text("kty"), text("crv")) {
            ("EC", "P-256") => {
                let (x, y) = (bytes("x")?, bytes("y")?);
                if x.len() != 32 || y.len() != 32 {
                    return Err("a coordinate of the JWK is not 32 bytes long".to_owned());
                }
                let point = [&[4], &x[..], &y[..]].concat();
                p256::ecdsa::VerifyingKey::from_sec1_bytes(&point)
                    .map(Self::P256)
                    .map_err(|_| "the point is not on the curve".to_owned())
            }
            ("OKP", "Ed25519") => {
                let x: [u8; 32] = bytes("x")?
                    .try_into()
                    .map_err(|_| "`x` is not 32 bytes long")?;
                ed25519::VerifyingKey::from_bytes(&x)
                    .map(Self::Ed25519)
                    .map_err(|_| "the point is not on the curve".to_owned())
            }
            ("RSA", "") => {
                let (n, e) = (bytes("n")?, bytes("e")?);
                // SP-5.4.1-2: 2048 bits at least.
                if n.len() < 256 || n[0] == 0 || e.is_empty() {
                    return Err("the RSA key has fewer than 2048 bits, or is malformed".to_owned());
                }
                Ok(Self::Rsa { n, e })
            }
            (kty, crv) => Err(format!("the key type `{kty}` `{crv}`")),
        }
    }
}
