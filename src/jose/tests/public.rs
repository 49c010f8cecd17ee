//! Public keys from outside.

use serde_json::{Value, json};

use super::{RSA2048_JWK, key_file, with};
use crate::error::KeyError;
use crate::jose::{PublicJwk, base64url};
use crate::profile::Algorithm;

fn p256() -> Value {
    json!({
        "kty": "EC",
        "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    })
}

fn ed25519() -> Value {
    json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})
}

fn rsa() -> Value {
    let jwk: Value = serde_json::from_str(RSA2048_JWK).unwrap();
    json!({"kty": "RSA", "n": jwk["n"], "e": jwk["e"]})
}

fn fault(jwk: &Value) -> KeyError {
    PublicJwk::from_json(jwk).unwrap_err()
}

/// SP-5.4.1-1.2, JWT-3.1: the type of a key is its one algorithm.
#[test]
fn each_type_serves_one_algorithm() {
    for (jwk, algorithm) in [
        (p256(), Algorithm::Es256),
        (rsa(), Algorithm::Ps256),
        (ed25519(), Algorithm::EdDsa),
    ] {
        let key = PublicJwk::from_json(&jwk).unwrap();
        assert_eq!(key.algorithm(), algorithm);
        for other in Algorithm::ALL {
            assert_eq!(key.verifies(other), other == algorithm);
        }
        assert_eq!(key.to_json(), jwk);
        assert_eq!(key.bare_json(), jwk);
    }
}

/// SP-5.4.2-0: what was read is written again, and nothing beside it.
#[test]
fn members_are_kept() {
    let more = json!({
        "kid": "k1", "use": "sig", "alg": "ES256", "key_ops": ["verify"], "x5u": "https://evil.example",
    });
    let mut jwk = p256();
    jwk.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    let key = PublicJwk::from_json(&jwk).unwrap();
    assert_eq!(key.to_json(), with(jwk, "x5u", Value::Null));
    assert_eq!(key.bare_json(), p256());
    assert_eq!(key.key_id(), Some("k1"));
    assert_eq!(key.with_key_id("k2").key_id(), Some("k2"));
}

/// JWT-3.4: a point that does not lie on the curve is refused (invalid curve attacks), and so are
/// coordinates of another length.
#[test]
fn points_are_checked() {
    const X31: &str = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVA";
    let other_y = "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM";
    let off = KeyError::Malformed("its point does not lie on P-256");
    let lengths = KeyError::Malformed("its x and y are not of 32 bytes each");
    let zeros = base64url(&[0; 32]);
    assert_eq!(fault(&with(p256(), "y", other_y.into())), off);
    assert_eq!(
        fault(&with(
            with(p256(), "y", zeros.clone().into()),
            "x",
            zeros.into()
        )),
        off
    );
    assert_eq!(fault(&with(p256(), "x", X31.into())), lengths);
    // 33 and 31 bytes: together as long as they should be.
    let y33 = base64url(&[&[0; 1][..], &[7; 32]].concat());
    assert_eq!(
        fault(&with(with(p256(), "x", X31.into()), "y", y33.into())),
        lengths
    );
    let x = base64url(&[9; 31]);
    let short = KeyError::Malformed("an Ed25519 key is 32 bytes");
    assert_eq!(fault(&with(ed25519(), "x", x.into())), short);
}

/// SP-5.4.1-3: P-256 and Ed25519 are the only curves.
#[test]
fn other_curves_are_refused() {
    for (curve, what) in [
        ("P-384", "a P-384 key"),
        ("P-521", "a P-521 key"),
        ("secp256k1", "a secp256k1 key"),
        ("p-256", "a key on another curve"),
        ("Ed25519", "a key on another curve"),
    ] {
        assert_eq!(
            fault(&with(p256(), "crv", curve.into())),
            KeyError::Unsupported(what)
        );
    }
    for (curve, what) in [
        ("Ed448", "an Ed448 key"),
        ("X25519", "a key for key agreement"),
        ("P-256", "a key on another curve"),
    ] {
        assert_eq!(
            fault(&with(ed25519(), "crv", curve.into())),
            KeyError::Unsupported(what)
        );
    }
    let missing = KeyError::Malformed("it names no curve");
    assert_eq!(fault(&with(p256(), "crv", Value::Null)), missing);
}

/// SP-5.4.1-2: RSA keys have 2048 bits or more, and not so many that to verify is a burden.
#[test]
fn rsa_lengths_are_checked() {
    let n = |bytes: usize, first: u8| base64url(&[&[first][..], &vec![0xff; bytes - 1]].concat());
    let sized = |bytes, first| with(rsa(), "n", n(bytes, first).into());
    assert_eq!(fault(&sized(128, 0xff)), KeyError::TooShort { bits: 1024 });
    assert_eq!(fault(&sized(256, 0x7f)), KeyError::TooShort { bits: 2047 });
    // Zeros in front make no key longer.
    let padded = base64url(&[&[0; 128][..], &[0xff; 128]].concat());
    assert_eq!(
        fault(&with(rsa(), "n", padded.into())),
        KeyError::TooShort { bits: 1024 }
    );
    assert_eq!(
        fault(&with(rsa(), "n", "".into())),
        KeyError::TooShort { bits: 0 }
    );
    assert!(PublicJwk::from_json(&sized(256, 0x80)).is_ok());
    assert!(PublicJwk::from_json(&sized(512, 0xff)).is_ok());
    let long = KeyError::Unsupported("an RSA key of more than 4096 bits");
    assert_eq!(fault(&sized(513, 0x01)), long);
}

/// JWT-3.4: with e = 1 every message is its own signature, and no even e has an inverse.
#[test]
fn rsa_exponents_are_checked() {
    let malformed = KeyError::Malformed("its e is not odd, from 3 to 64 bits");
    for e in [&[1][..], &[0], &[], &[2], &[1, 0, 0], &[0, 0, 1], &[3; 9]] {
        assert_eq!(
            fault(&with(rsa(), "e", base64url(e).into())),
            malformed,
            "{e:?}"
        );
    }
    assert!(PublicJwk::from_json(&with(rsa(), "e", "Aw".into())).is_ok());
}

/// RFC 7518 section 2: zeros in front of a number change neither the key nor its thumbprint.
#[test]
fn leading_zeros_are_cut() {
    let key = PublicJwk::from_json(&rsa()).unwrap();
    let padded = PublicJwk::from_json(&with(rsa(), "e", "AAEAAQ".into())).unwrap();
    assert_eq!(padded, key);
    assert_eq!(padded.thumbprint(), key.thumbprint());
}

/// SP-5.4.2-0: a key with a private member is not taken for a public one.
#[test]
fn private_members_are_refused() {
    let private = KeyError::Malformed("it is private where a public key is expected");
    for (jwk, members) in [
        (p256(), &["d"][..]),
        (ed25519(), &["d"]),
        (rsa(), &["d", "p", "q", "dp", "dq", "qi", "oth", "k"]),
    ] {
        for member in members {
            assert_eq!(
                fault(&with(jwk.clone(), member, "AQ".into())),
                private,
                "{member}"
            );
        }
    }
}

/// JWT-3.1, META-10: a symmetric key verifies nothing here.
#[test]
fn symmetric_and_unknown_keys_are_refused() {
    let oct = json!({"kty": "oct", "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T"});
    assert_eq!(fault(&oct), KeyError::Unsupported("a symmetric key"));
    let other = KeyError::Unsupported("a JWK of another kty");
    assert_eq!(fault(&with(p256(), "kty", "ec".into())), other);
    assert_eq!(fault(&with(p256(), "kty", "AKP".into())), other);
    let missing = KeyError::Malformed("it has no kty");
    assert_eq!(fault(&with(p256(), "kty", Value::Null)), missing);
    assert_eq!(
        fault(&json!([])),
        KeyError::Malformed("it is no JSON object")
    );
}

/// JWT-json: members have the types that RFC 7517 gives them, and base64url is strict.
#[test]
fn member_types_are_checked() {
    let text = KeyError::Malformed("a member is no string");
    for name in ["kty", "crv", "kid", "use", "alg"] {
        assert_eq!(fault(&with(p256(), name, json!(1))), text, "{name}");
    }
    assert_eq!(fault(&with(p256(), "x", json!(1))), text);
    let bytes = KeyError::Malformed("a member is missing or no base64url");
    assert_eq!(fault(&with(p256(), "x", Value::Null)), bytes);
    let padded = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU=";
    assert_eq!(fault(&with(p256(), "x", padded.into())), bytes);
    let operations = KeyError::Malformed("its key_ops are no array of strings");
    assert_eq!(fault(&with(p256(), "key_ops", json!("verify"))), operations);
    assert_eq!(fault(&with(p256(), "key_ops", json!([1]))), operations);
}

/// SP-5.4.3: `use`, `key_ops` and `alg` say what a key may verify.
#[test]
fn a_key_verifies_only_what_it_is_for() {
    let verifies = |name: &str, value: Value| {
        let key = PublicJwk::from_json(&with(p256(), name, value)).unwrap();
        key.verifies(Algorithm::Es256)
    };
    assert!(verifies("use", json!("sig")));
    assert!(!verifies("use", json!("enc")));
    assert!(verifies("key_ops", json!(["verify", "encrypt"])));
    assert!(!verifies("key_ops", json!(["deriveKey"])));
    assert!(!verifies("key_ops", json!([])));
    assert!(verifies("alg", json!("ES256")));
    assert!(!verifies("alg", json!("ES384")));
    assert!(!verifies("alg", json!("ECDH-ES")));
    let key = PublicJwk::from_json(&with(ed25519(), "alg", "Ed25519".into())).unwrap();
    assert!(key.verifies(Algorithm::EdDsa));
}

/// CA-9: the public half of a key in an HSM or a KMS is read as OpenSSL writes it.
#[test]
fn public_keys_are_read_from_pem() {
    for (pem, algorithm) in [
        (key_file!("es256-public.pem"), Algorithm::Es256),
        (key_file!("rsa2048-public.pem"), Algorithm::Ps256),
        (key_file!("ed25519-public.pem"), Algorithm::EdDsa),
    ] {
        let key = PublicJwk::from_pem(pem).unwrap();
        assert_eq!(key.algorithm(), algorithm);
        assert_eq!(PublicJwk::from_json(&key.to_json()).unwrap(), key);
    }
    let missing = KeyError::Malformed("it holds no public key in PEM (SPKI)");
    assert_eq!(
        PublicJwk::from_pem(key_file!("es256-pkcs8.pem")),
        Err(missing.clone())
    );
    assert_eq!(PublicJwk::from_pem(""), Err(missing));
    let cut = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----";
    assert_eq!(
        PublicJwk::from_pem(cut),
        Err(KeyError::Malformed("its SPKI is broken"))
    );
}

/// SEC-cred: `Debug` names the key by its thumbprint and shows none of its numbers.
#[test]
fn debug_is_short() {
    let key = PublicJwk::from_json(&with(p256(), "kid", "k1".into())).unwrap();
    let shown = format!("{key:?}");
    let thumbprint = key.thumbprint();
    let expected = format!(
        r#"PublicJwk {{ algorithm: Es256, key_id: Some("k1"), thumbprint: "{thumbprint}", .. }}"#
    );
    assert_eq!(shown, expected);
}
