//! Private keys as JWK.

use serde_json::{Value, json};

use super::{RSA2048, RSA2048_JWK, providers, with};
use crate::error::KeyError;
use crate::jose::{PrivateKey, base64url};
use crate::profile::Algorithm;

fn p256() -> Value {
    json!({
        "kty": "EC",
        "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        "d": "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI",
    })
}

fn ed25519() -> Value {
    json!({
        "kty": "OKP",
        "crv": "Ed25519",
        "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    })
}

fn rsa() -> Value {
    serde_json::from_str(RSA2048_JWK).unwrap()
}

fn fault(jwk: &Value) -> KeyError {
    let mut faults: Vec<_> = providers()
        .iter()
        .map(|(_, crypto)| PrivateKey::from_jwk(crypto, &jwk.to_string()).unwrap_err())
        .collect();
    faults.dedup();
    assert_eq!(faults.len(), 1, "the providers differ: {faults:?}");
    faults.remove(0)
}

/// SP-5.4.1-1.2: private JWKs of all three types load and sign under every provider, keep their
/// `kid`, and show no private member.
#[test]
fn private_jwks_load() {
    for (name, crypto) in providers() {
        for (jwk, algorithm) in [
            (p256(), Algorithm::Es256),
            (rsa(), Algorithm::Ps256),
            (ed25519(), Algorithm::EdDsa),
        ] {
            let jwk = with(jwk, "kid", "k1".into());
            let jwk = with(jwk, "key_ops", json!(["sign"]));
            let key = PrivateKey::from_jwk(&crypto, &jwk.to_string()).unwrap();
            assert_eq!(key.algorithm(), algorithm, "{name}");
            assert_eq!(key.public().key_id(), Some("k1"));
            let signature = key.sign(b"message").unwrap();
            assert!(
                key.public().verify(&crypto, b"message", &signature),
                "{name}"
            );
            let public = key.public().to_json();
            for member in ["d", "p", "q", "dp", "dq", "qi", "key_ops"] {
                assert_eq!(public.get(member), None, "{member}");
            }
        }
    }
}

/// SP-5.4.1-1.2: an RSA key is the same in PEM and as a JWK.
#[test]
fn an_rsa_jwk_is_the_key_of_its_pem() {
    for (_, crypto) in providers() {
        let jwk = PrivateKey::from_jwk(&crypto, RSA2048_JWK).unwrap();
        let pem = PrivateKey::from_pem(&crypto, RSA2048).unwrap();
        assert_eq!(jwk.public(), pem.public());
        assert_eq!(*jwk.to_pkcs8_pem().unwrap(), *pem.to_pkcs8_pem().unwrap());
    }
}

/// CA-9: a JWK whose public half is another key's is refused.
#[test]
fn halves_that_do_not_belong_together_are_refused() {
    let other = base64url(&[7; 32]);
    for jwk in [p256(), ed25519()] {
        assert_eq!(
            fault(&with(jwk, "d", other.clone().into())),
            KeyError::Mismatch
        );
    }
    // One number of RFC 7517's key among those of another.
    let foreign: Value = serde_json::from_str(super::key_file!("rfc7517-a2-rsa.json")).unwrap();
    // Not `d`: ring signs with the primes alone and never looks at it.
    for name in ["n", "p", "q", "dp", "dq", "qi"] {
        let mixed = with(rsa(), name, foreign[name].clone());
        assert_eq!(fault(&mixed), KeyError::Mismatch, "{name}");
    }
}

/// JWT-3.1: a key that is for something else is not used for signatures.
#[test]
fn keys_for_something_else_are_refused() {
    let encryption = KeyError::Unsupported("a key for encryption");
    assert_eq!(fault(&with(p256(), "use", "enc".into())), encryption);
    let other = KeyError::Unsupported("a key for another algorithm than its type has here");
    assert_eq!(fault(&with(rsa(), "alg", "RS256".into())), other);
    assert_eq!(fault(&with(rsa(), "alg", "RSA-OAEP".into())), other);
    assert_eq!(fault(&with(p256(), "alg", "ES384".into())), other);
    let oct = json!({"kty": "oct", "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T"});
    assert_eq!(fault(&oct), KeyError::Unsupported("a symmetric key"));
    let oth = json!([{"r": "AQ", "d": "AQ", "t": "AQ"}]);
    let primes = KeyError::Unsupported("an RSA key of more than two primes");
    assert_eq!(fault(&with(rsa(), "oth", oth)), primes);
}

/// SP-5.4.1-2: a short RSA key is refused as a JWK as well.
#[test]
fn short_rsa_keys_are_refused() {
    let n = base64url(&[0xff; 128]);
    assert_eq!(
        fault(&with(rsa(), "n", n.into())),
        KeyError::TooShort { bits: 1024 }
    );
}

/// JWT-json: a private JWK that is incomplete or malformed says why.
#[test]
fn malformed_jwks_are_refused() {
    let missing = KeyError::Malformed("it has no private half, or not all of it");
    for jwk in [p256(), ed25519(), rsa()] {
        assert_eq!(fault(&with(jwk, "d", Value::Null)), missing);
    }
    for name in ["p", "q", "dp", "dq", "qi"] {
        assert_eq!(fault(&with(rsa(), name, Value::Null)), missing);
    }
    let length = KeyError::Malformed("its d is not of 32 bytes");
    assert_eq!(
        fault(&with(p256(), "d", base64url(&[7; 31]).into())),
        length
    );
    let range = KeyError::Malformed("it is no private key of P-256");
    assert_eq!(fault(&with(p256(), "d", base64url(&[0; 32]).into())), range);
    assert_eq!(
        fault(&with(p256(), "d", base64url(&[0xff; 32]).into())),
        range
    );
    let seed = KeyError::Malformed("an Ed25519 key is 32 bytes");
    assert_eq!(
        fault(&with(ed25519(), "d", base64url(&[7; 33]).into())),
        seed
    );
    let point = KeyError::Malformed("its point does not lie on P-256");
    let x = "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4";
    assert_eq!(fault(&with(p256(), "x", x.into())), point);
    for (_, crypto) in providers() {
        for (text, what) in [
            ("", "it is no JSON object"),
            ("[]", "it is no JSON object"),
            ("-----BEGIN PRIVATE KEY-----", "it is no JSON object"),
            (r#"{"kty":"EC","kty":"RSA"}"#, "a member stands there twice"),
            (
                r#"{"kty":"EC","crv":"P-256"}"#,
                "a member is missing or no base64url",
            ),
        ] {
            let fault = PrivateKey::from_jwk(&crypto, text).unwrap_err();
            assert_eq!(fault, KeyError::Malformed(what), "{text}");
        }
    }
}
