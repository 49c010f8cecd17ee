//! Key sets: what is passed over, and which key is tried.

use serde_json::{Value, json};

use super::{ED25519, ES256, RSA2048, header, key_file, providers, signed, with};
use crate::error::{JwtFault, Violation};
use crate::jose::{JwkSet, Jws, PrivateKey, PublicJwk, base64url};
use crate::profile::{Algorithm, JWKS_MAX_BYTES, JWKS_MAX_KEYS, JWKS_MAX_TRIES};

fn parse(keys: &[Value]) -> JwkSet {
    JwkSet::parse(json!({"keys": keys}).to_string().as_bytes()).unwrap()
}

fn verify(key: &PrivateKey, kid: Option<&str>, keys: &[Value]) -> Vec<Result<(), JwtFault>> {
    let head = with(header(key), "kid", kid.map_or(Value::Null, Value::from));
    let token = signed(key, &head, "{}");
    let read = Jws::parse(&token).unwrap();
    let set = parse(keys);
    providers()
        .iter()
        .map(|(_, crypto)| read.verify(crypto, &set))
        .collect()
}

fn key() -> PrivateKey {
    let (_, crypto) = providers().remove(0);
    PrivateKey::from_pem(&crypto, ES256).unwrap()
}

fn generated() -> PrivateKey {
    let (_, crypto) = providers().remove(0);
    PrivateKey::generate_es256(&crypto).unwrap()
}

fn jwk(key: &PrivateKey) -> Value {
    key.public().to_json()
}

fn all(expected: Result<(), JwtFault>) -> Vec<Result<(), JwtFault>> {
    vec![expected; providers().len()]
}

/// SP-5.4.3, META-9, META-10: a key that is malformed, unknown, symmetric, private or too short is passed over,
/// and the others still serve.
#[test]
fn bad_keys_are_passed_over() {
    let good = key();
    let rsa: Value = serde_json::from_str(key_file!("rsa2048.json")).unwrap();
    let rsa = json!({"kty": "RSA", "n": rsa["n"], "e": "AQAB"});
    let bad = [
        json!(null),
        json!("key"),
        json!([]),
        json!({}),
        json!({"kty": "EC"}),
        json!({"kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA"}),
        json!({"kty": "oct", "k": "AAAA", "alg": "HS256"}),
        with(jwk(&good), "crv", "P-384".into()),
        with(jwk(&good), "y", base64url(&[7; 32]).into()),
        with(jwk(&good), "kid", json!(7)),
        with(rsa.clone(), "n", base64url(&[0xff; 128]).into()),
        with(rsa.clone(), "e", "AQ".into()),
    ];
    let set = parse(&bad);
    assert!(set.is_empty());
    assert_eq!(verify(&good, None, &bad), all(Err(JwtFault::NoKey)));

    let with_good = [&bad[..], &[jwk(&good)]].concat();
    assert_eq!(parse(&with_good).len(), 1);
    assert_eq!(verify(&good, None, &with_good), all(Ok(())));
}

/// SP-5.4.1-2: a key of 1024 bits in the server's set is passed over, so that its signature fails.
#[test]
fn short_rsa_keys_verify_nothing() {
    let (_, crypto) = providers().remove(0);
    let rsa = PrivateKey::from_pem(&crypto, RSA2048).unwrap();
    let short = with(jwk(&rsa), "n", base64url(&[0xff; 128]).into());
    assert_eq!(verify(&rsa, None, &[short]), all(Err(JwtFault::NoKey)));
}

/// SP-5.4.2-0, META-10: a private key that a server published verifies nothing any more: others have it too.
#[test]
fn published_private_keys_verify_nothing() {
    let rsa: Value = serde_json::from_str(key_file!("rsa2048.json")).unwrap();
    let (_, crypto) = providers().remove(0);
    let key = PrivateKey::from_jwk(&crypto, &rsa.to_string()).unwrap();
    assert_eq!(
        verify(&key, None, std::slice::from_ref(&rsa)),
        all(Err(JwtFault::NoKey))
    );
    assert_eq!(verify(&key, None, &[rsa, jwk(&key)]), all(Ok(())));
}

/// META-9: a document that is no key set is a violation of its own.
#[test]
fn unreadable_sets_are_refused() {
    let long = format!(r#"{{"keys":[],"pad":"{}"}}"#, "x".repeat(JWKS_MAX_BYTES));
    for bad in [
        "",
        "null",
        "[]",
        "{}",
        r#"{"keys":{}}"#,
        r#"{"keys":null}"#,
        r#"{"keys":[],"keys":[]}"#,
        r#"{"keys":[{"kty":"EC","kty":"RSA"}]}"#,
        "<html></html>",
        &long,
    ] {
        assert_eq!(JwkSet::parse(bad.as_bytes()).err(), Some(Violation::Jwks));
    }
    assert!(
        JwkSet::parse(br#"{"keys":[],"more":1}"#)
            .unwrap()
            .is_empty()
    );
}

/// SP-5.4.3: several keys with the `kid` of the token: those of another type, curve, use or algorithm
/// are left out, and of the rest each is tried.
#[test]
fn decoys_with_the_same_kid_do_no_harm() {
    let (_, crypto) = providers().remove(0);
    let signer = key();
    let rsa = PrivateKey::from_pem(&crypto, RSA2048).unwrap();
    let ed25519 = PrivateKey::from_pem(&crypto, ED25519).unwrap();
    let named = |jwk: Value| with(jwk, "kid", "k1".into());
    let decoys = [
        named(jwk(&rsa)),
        named(jwk(&ed25519)),
        named(with(jwk(&generated()), "use", "enc".into())),
        named(with(jwk(&generated()), "alg", "ECDH-ES".into())),
        named(jwk(&generated())),
        named(jwk(&generated())),
    ];
    let mut keys = decoys.to_vec();
    keys.push(named(jwk(&signer)));
    assert_eq!(verify(&signer, Some("k1"), &keys), all(Ok(())));
    assert_eq!(
        parse(&keys).candidates(Some("k1"), Algorithm::Es256).len(),
        3
    );
    assert_eq!(
        verify(&signer, Some("k1"), &decoys),
        all(Err(JwtFault::Signature))
    );
}

/// SP-5.4.3, META-10: the right key under a wrong `use`, `key_ops` or `alg`, and nothing else: no key fits.
#[test]
fn a_key_for_something_else_does_not_verify() {
    let signer = key();
    for (name, value) in [
        ("use", json!("enc")),
        ("key_ops", json!(["encrypt"])),
        ("alg", json!("ES512")),
    ] {
        let keys = [with(jwk(&signer), name, value)];
        assert_eq!(
            verify(&signer, None, &keys),
            all(Err(JwtFault::NoKey)),
            "{name}"
        );
    }
    for (name, value) in [
        ("use", json!("sig")),
        ("key_ops", json!(["verify"])),
        ("alg", json!("ES256")),
    ] {
        let keys = [with(jwk(&signer), name, value)];
        assert_eq!(verify(&signer, None, &keys), all(Ok(())), "{name}");
    }
}

/// SP-5.4.3: a `kid` that the set does not have finds no key, though one would fit; without a `kid`
/// all that fit are tried.
#[test]
fn the_kid_comes_first() {
    let signer = key();
    let named = with(jwk(&signer), "kid", "k1".into());
    for keys in [[named.clone()], [jwk(&signer)]] {
        assert_eq!(
            verify(&signer, Some("other"), &keys),
            all(Err(JwtFault::NoKey))
        );
        assert_eq!(verify(&signer, None, &keys), all(Ok(())));
    }
    assert_eq!(verify(&signer, Some("k1"), &[named]), all(Ok(())));
}

/// SP-5.4.3: a set of many keys that all fit costs a bounded number of tries.
#[test]
fn tries_are_bounded() {
    let signer = key();
    let decoy = jwk(&generated());
    let mut keys = vec![decoy; JWKS_MAX_TRIES];
    keys.push(jwk(&signer));
    assert_eq!(
        parse(&keys).candidates(None, Algorithm::Es256).len(),
        JWKS_MAX_TRIES
    );
    assert_eq!(verify(&signer, None, &keys), all(Err(JwtFault::Signature)));
    keys.remove(0);
    assert_eq!(verify(&signer, None, &keys), all(Ok(())));
}

/// META-9: no more keys are kept than fit into reason.
#[test]
fn keys_are_bounded() {
    let keys = vec![jwk(&key()); JWKS_MAX_KEYS + 1];
    assert_eq!(parse(&keys).len(), JWKS_MAX_KEYS);
}

/// SP-5.4.3: what is read is the key itself and its name; unknown members are passed over.
#[test]
fn unknown_members_are_passed_over() {
    let signer = key();
    let more = with(jwk(&signer), "x5t#S256", "AAAA".into());
    let more = with(more, "x5c", json!(["MIIB"]));
    let more = with(more, "iat", json!(1));
    assert_eq!(PublicJwk::from_json(&more).as_ref(), Ok(signer.public()));
    assert_eq!(verify(&signer, None, &[more]), all(Ok(())));
}
