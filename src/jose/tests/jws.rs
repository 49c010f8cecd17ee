//! Compact JWS: what is taken apart, and what is refused.

use serde_json::{Value, json};

use super::{ED25519, ES256, RSA2048, header, providers, signed, with};
use crate::error::JwtFault;
use crate::jose::{JwkSet, Jws, PrivateKey, PublicJwk, base64url, jws, sha256};
use crate::profile::{Algorithm, JWT_MAX_BYTES};

fn fault(token: &str) -> JwtFault {
    match Jws::parse(token) {
        Ok(_) => panic!("{token} was taken"),
        Err(fault) => fault,
    }
}

/// Header and claims in any text, with a signature that nobody looks at.
fn unsigned(header: &str, claims: &str) -> String {
    format!(
        "{}.{}.AAAA",
        base64url(header.as_bytes()),
        base64url(claims.as_bytes())
    )
}

fn set(keys: &[&PrivateKey]) -> JwkSet {
    let keys: Vec<_> = keys.iter().map(|key| key.public().to_json()).collect();
    JwkSet::parse(json!({"keys": keys}).to_string().as_bytes()).unwrap()
}

/// SP-5.4.1-1.2, JWT-3.3: what is signed here verifies here, with the right key and no other.
#[test]
fn signed_tokens_verify() {
    for (name, crypto) in providers() {
        for pem in [ES256, RSA2048, ED25519] {
            let key = PrivateKey::from_pem(&crypto, pem).unwrap();
            let head = json!({"alg": key.algorithm().name(), "typ": "JWT", "kid": "k1"});
            let input = jws::signing_input(&head, &json!({"iss": "me", "n": 1}));
            assert_eq!(
                jws::EncodedHeader::new(&head).signing_input(&json!({"iss": "me", "n": 1})),
                input
            );
            let signature = key.sign(input.as_bytes()).unwrap();
            let token = jws::join(input, &signature);

            let read = Jws::parse(&token).unwrap();
            assert_eq!(read.algorithm(), key.algorithm());
            assert_eq!((read.key_id(), read.typ()), (Some("k1"), Some("JWT")));
            assert_eq!(
                read.unverified_claims().as_map(),
                json!({"iss": "me", "n": 1}).as_object().unwrap()
            );
            assert_eq!(read.verify_with(&crypto, key.public()), Ok(()), "{name}");
            let named = set_of(&key.public().clone().with_key_id("k1"));
            assert_eq!(read.verify(&crypto, &named), Ok(()), "{name}");
            assert_eq!(
                read.verify(&crypto, &set(&[&key])),
                Err(JwtFault::NoKey),
                "no key of that kid"
            );
        }
        let (signer, other) = (
            PrivateKey::generate_es256(&crypto).unwrap(),
            PrivateKey::generate_es256(&crypto).unwrap(),
        );
        let token = signed(&signer, &header(&signer), "{}");
        let read = Jws::parse(&token).unwrap();
        assert_eq!(
            read.verify_with(&crypto, other.public()),
            Err(JwtFault::Signature)
        );
        assert_eq!(
            read.verify(&crypto, &set(&[&other])),
            Err(JwtFault::Signature)
        );
    }
}

fn set_of(key: &PublicJwk) -> JwkSet {
    JwkSet::parse(json!({"keys": [key.to_json()]}).to_string().as_bytes()).unwrap()
}

/// JWT-3.3: a token of which any part was changed does not verify.
#[test]
fn changed_tokens_do_not_verify() {
    for (_, crypto) in providers() {
        let key = PrivateKey::from_pem(&crypto, ES256).unwrap();
        let token = signed(&key, &header(&key), r#"{"sub":"alice"}"#);
        let [head, _, signature] = token.split('.').collect::<Vec<_>>()[..] else {
            panic!("three parts")
        };
        let claims = base64url(br#"{"sub":"mallory"}"#);
        let other_head = base64url(br#"{"alg":"ES256","kid":"x"}"#);
        let own_claims = base64url(br#"{"sub":"alice"}"#);
        for changed in [
            format!("{head}.{claims}.{signature}"),
            format!("{other_head}.{own_claims}.{signature}"),
            format!("{head}.{own_claims}."),
        ] {
            let read = Jws::parse(&changed).unwrap();
            assert_eq!(
                read.verify_with(&crypto, key.public()),
                Err(JwtFault::Signature)
            );
        }
    }
}

/// SP-5.4.1-1.2, SP-5.4.1-1.3: every algorithm but PS256, ES256 and EdDSA is refused by its name,
/// `none` in any letter case, before any key is looked at.
#[test]
fn other_algorithms_are_refused() {
    for name in [
        "none", "None", "NONE", "nOnE", "", "HS256", "HS384", "HS512", "RS256", "RS384", "RS512",
        "PS384", "PS512", "ES384", "ES512", "ES256K", "Ed448", "es256", "ps256", "eddsa", "ES256 ",
    ] {
        let header = json!({"alg": name}).to_string();
        assert_eq!(
            fault(&unsigned(&header, "{}")),
            JwtFault::Algorithm,
            "{name}"
        );
        let bare = unsigned(&header, "{}").replace(".AAAA", ".");
        assert_eq!(fault(&bare), JwtFault::Algorithm, "{name}");
    }
    assert_eq!(fault(&unsigned("{}", "{}")), JwtFault::Algorithm);
    assert_eq!(
        fault(&unsigned(r#"{"alg":null}"#, "{}")),
        JwtFault::Malformed
    );
    assert_eq!(
        fault(&unsigned(r#"{"alg":["ES256"]}"#, "{}")),
        JwtFault::Malformed
    );
}

/// JWT-3.1: HS256 with the text of the public key as its secret, which once fooled many, is refused.
#[test]
fn a_public_key_is_no_secret() {
    let secret = super::key_file!("rsa2048-public.pem").as_bytes();
    let input = jws::signing_input(&json!({"alg": "HS256"}), &json!({"sub": "mallory"}));
    let key = sha256(secret);
    let pad = |byte: u8| {
        (0..64)
            .map(|at| key.get(at).unwrap_or(&0) ^ byte)
            .collect::<Vec<u8>>()
    };
    let inner = sha256(&[pad(0x36), input.as_bytes().to_vec()].concat());
    let mac = sha256(&[pad(0x5c), inner.to_vec()].concat());
    assert_eq!(fault(&jws::join(input, &mac)), JwtFault::Algorithm);
}

/// SP-5.4.1-N, JWT-3.1: the name `Ed25519` of RFC 9864 is taken with an Ed25519 key and no other, and
/// the name of one algorithm never lets in a key of another.
#[test]
fn the_algorithm_chooses_the_type_of_key() {
    for (_, crypto) in providers() {
        let ed25519 = PrivateKey::from_pem(&crypto, ED25519).unwrap();
        let es256 = PrivateKey::from_pem(&crypto, ES256).unwrap();
        let rsa = PrivateKey::from_pem(&crypto, RSA2048).unwrap();
        for name in ["EdDSA", "Ed25519"] {
            let token = signed(&ed25519, &json!({"alg": name}), "{}");
            let read = Jws::parse(&token).unwrap();
            assert_eq!(read.algorithm(), Algorithm::EdDsa);
            assert_eq!(read.verify(&crypto, &set(&[&es256, &ed25519])), Ok(()));
            assert_eq!(
                read.verify(&crypto, &set(&[&es256, &rsa])),
                Err(JwtFault::NoKey)
            );
        }
        // Signed by an EC key that calls itself Ed25519.
        let token = signed(&es256, &json!({"alg": "Ed25519"}), "{}");
        let read = Jws::parse(&token).unwrap();
        assert_eq!(read.verify(&crypto, &set(&[&es256])), Err(JwtFault::NoKey));
        assert_eq!(
            read.verify_with(&crypto, es256.public()),
            Err(JwtFault::NoKey)
        );
        assert_eq!(
            read.verify(&crypto, &set(&[&ed25519])),
            Err(JwtFault::Signature)
        );
    }
}

/// JWT-crit, JWT-3.6: extensions are refused whatever they say: `crit`, `b64` and compression.
#[test]
fn extensions_are_refused() {
    for (name, value) in [
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("crit", json!(null)),
        ("b64", json!(false)),
        ("b64", json!(true)),
        ("zip", json!("DEF")),
    ] {
        let mut header = json!({"alg": "ES256"});
        header[name] = value;
        assert_eq!(
            fault(&unsigned(&header.to_string(), "{}")),
            JwtFault::Header(name)
        );
    }
}

/// JWT-json: a member that stands twice is refused, in the header and in the claims, at every depth.
#[test]
fn duplicate_members_are_refused() {
    for (header, claims) in [
        (r#"{"alg":"ES256","alg":"none"}"#, "{}"),
        (r#"{"alg":"ES256","kid":"a","kid":"b"}"#, "{}"),
        (r#"{"alg":"ES256"}"#, r#"{"iss":"a","iss":"b"}"#),
        (r#"{"alg":"ES256"}"#, r#"{"iss":"a","\u0069ss":"b"}"#),
        (r#"{"alg":"ES256"}"#, r#"{"a":{"b":[{"c":1,"c":1}]}}"#),
    ] {
        assert_eq!(fault(&unsigned(header, claims)), JwtFault::DuplicateMember);
    }
}

/// JWT-json: what is no compact JWS is refused: parts, base64url, JSON, types.
#[test]
fn malformed_tokens_are_refused() {
    let good = unsigned(r#"{"alg":"ES256"}"#, "{}");
    assert!(Jws::parse(&good).is_ok());
    for bad in [
        String::new(),
        "..".to_owned(),
        good.replace(".AAAA", ""),
        format!("{good}.AAAA"),
        format!("{good}.AAAA.AAAA.AAAA"),
        format!("{good}=="),
        format!("{good}\n"),
        format!(" {good}"),
        good.replacen('.', "=.", 1),
        good.replace("AAAA", "A+/A"),
        good.replace("AAAA", "AAB"),
        unsigned("[]", "{}"),
        unsigned(r#"{"alg":"ES256"}"#, "[]"),
        unsigned(r#"{"alg":"ES256"}"#, "\"text\""),
        unsigned(r#"{"alg":"ES256"}"#, ""),
        unsigned(r#"{"alg":"ES256"}"#, "{} "),
        unsigned(r#"{"alg":"ES256","kid":1}"#, "{}"),
        unsigned(r#"{"alg":"ES256","typ":["JWT"]}"#, "{}"),
    ] {
        if bad == unsigned(r#"{"alg":"ES256"}"#, "{} ") {
            assert!(Jws::parse(&bad).is_ok(), "white space belongs to JSON");
        } else {
            assert_eq!(fault(&bad), JwtFault::Malformed, "{bad:?}");
        }
    }
}

/// JWT-json: a token that is too long is refused before it is decoded.
#[test]
fn long_tokens_are_refused() {
    let of = |chars: usize| {
        let token = unsigned(r#"{"alg":"ES256"}"#, "{}");
        token.replace("AAAA", &"A".repeat(chars - token.len() + 4))
    };
    assert_eq!(of(JWT_MAX_BYTES + 1).len(), JWT_MAX_BYTES + 1);
    assert_eq!(fault(&of(JWT_MAX_BYTES + 1)), JwtFault::Malformed);
    assert!((JWT_MAX_BYTES - 4..=JWT_MAX_BYTES).any(|chars| Jws::parse(&of(chars)).is_ok()));
}

/// JWT-jwe: an encrypted token is told apart from a broken one.
#[test]
fn encrypted_tokens_are_told_apart() {
    let header = base64url(br#"{"alg":"RSA1_5","enc":"A128GCM","zip":"DEF"}"#);
    assert_eq!(
        fault(&format!("{header}.AAAA.AAAA.AAAA.AAAA")),
        JwtFault::Encrypted
    );
}

/// JWT-3.8-10, SP-5.4.2-2, SEC-jwks: a key that the token brings along, or a place to fetch one from, is not
/// looked at.
#[test]
fn keys_in_the_header_are_not_looked_at() {
    for (_, crypto) in providers() {
        let attacker = PrivateKey::generate_es256(&crypto).unwrap();
        let server = PrivateKey::from_pem(&crypto, ES256).unwrap();
        let evil = "https://evil.example/keys";
        for (name, value) in [
            ("jwk", attacker.public().to_json()),
            ("jku", json!(evil)),
            ("x5u", json!(evil)),
            ("x5c", json!(["MIIB"])),
        ] {
            let token = signed(
                &attacker,
                &with(header(&attacker), name, value.clone()),
                "{}",
            );
            let read = Jws::parse(&token).unwrap();
            assert_eq!(
                read.verify(&crypto, &set(&[&server])),
                Err(JwtFault::Signature),
                "{name}"
            );
            let token = signed(&server, &with(header(&server), name, value), "{}");
            let read = Jws::parse(&token).unwrap();
            assert_eq!(read.verify(&crypto, &set(&[&server])), Ok(()), "{name}");
        }
    }
}

/// JWT-json: numeric dates with fractions are cut, and those beyond reason are refused, in a token as
/// in the claims alone.
#[test]
fn dates_of_a_token() {
    let exp = |text: &str| {
        let token = unsigned(r#"{"alg":"ES256"}"#, &format!(r#"{{"exp":{text}}}"#));
        let read = Jws::parse(&token).unwrap();
        read.unverified_claims()
            .required_seconds("exp")
            .map(crate::time::Timestamp::seconds)
    };
    assert_eq!(exp("1700000000.75"), Ok(1_700_000_000));
    assert_eq!(exp("1.7e9"), Ok(1_700_000_000));
    for bad in ["1e300", "18446744073709551616", "-1", "\"1\"", "null"] {
        assert_eq!(exp(bad), Err(JwtFault::MalformedClaim("exp")), "{bad}");
    }
    assert_eq!(
        fault(&unsigned(r#"{"alg":"ES256"}"#, r#"{"exp":1e999}"#)),
        JwtFault::Malformed
    );
}

/// JWT-3.11: the `typ` is given as it stands there; none is none.
#[test]
fn the_type_is_read() {
    let typ = |header: Value| {
        let token = unsigned(&header.to_string(), "{}");
        Jws::parse(&token).unwrap().typ().map(str::to_owned)
    };
    assert_eq!(typ(json!({"alg": "ES256"})), None);
    assert_eq!(
        typ(json!({"alg": "ES256", "typ": "at+jwt"})).as_deref(),
        Some("at+jwt")
    );
}

/// JWT-json: no text makes the reader panic: every byte of a token changed, and every part cut.
#[test]
fn no_token_makes_it_panic() {
    for (_, crypto) in providers() {
        let key = PrivateKey::from_pem(&crypto, ES256).unwrap();
        let head = json!({"alg": "ES256", "kid": "k1", "typ": "JWT"});
        let token = signed(&key, &head, r#"{"aud":["a"],"exp":1.5}"#);
        let keys = set(&[&key]);
        for at in 0..token.len() {
            for byte in [b'.', b'A', b'_', b'=', 0x7f] {
                let mut changed = token.clone().into_bytes();
                changed[at] = byte;
                let changed = String::from_utf8(changed).unwrap();
                if let Ok(read) = Jws::parse(&changed) {
                    let same = changed == token;
                    assert_eq!(read.verify_with(&crypto, key.public()).is_ok(), same);
                    let _ = read.verify(&crypto, &keys);
                    let _ = read.unverified_claims().audience();
                    let _ = read.unverified_claims().seconds("exp");
                }
            }
            let _ = Jws::parse(&token[..at]);
            let _ = Jws::parse(&token[at..]);
        }
    }
}
