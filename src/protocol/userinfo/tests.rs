//! Each check, at its edge.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use serde_json::json;

use super::*;
use crate::error::Endpoint;
use crate::jose::PrivateKey;
use crate::jose::tests::{ES256, providers, signed as jws, with};
use crate::protocol::uri::Issuer;

const NOW: i64 = 1_800_000_000;

fn answer(status: u16, media: &str, body: &str) -> Answer {
    let response = http::Response::builder()
        .status(status)
        .header(CONTENT_TYPE, media)
        .body(Bytes::copy_from_slice(body.as_bytes()))
        .unwrap();
    Answer::new(Endpoint::UserInfo, response)
}

fn violation<T>(read: Result<T, Error>) -> Violation {
    match read {
        Err(Error::Violation(violation)) => violation,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was taken"),
    }
}

fn read(header: &Value, claims: &Value) -> Result<UserInfo, Violation> {
    let (_, crypto) = providers().remove(0);
    let key = PrivateKey::from_pem(&crypto, ES256).unwrap();
    let set = json!({"keys": [key.public().to_json()]});
    let registered = Registered {
        issuer: Issuer::new("https://as.example").unwrap(),
        client_id: "client".to_owned(),
        algorithm: None,
        trusted_audiences: Vec::new(),
    };
    verified(
        &jws(&key, header, &claims.to_string()),
        &crypto,
        &JwkSet::parse(set.to_string().as_bytes()).unwrap(),
        &registered,
        "alice",
        Timestamp::from_seconds(NOW),
    )
}

fn claims() -> Value {
    json!({"iss": "https://as.example", "aud": "client", "sub": "alice", "email": "a@b.example"})
}

/// UI-5.3.2s: the media type says whether the answer is signed; where that is registered it has to be.
#[test]
fn the_media_type_tells_the_forms_apart() {
    let jwt = |media: &str| signed(&answer(200, media, "a.b.c"), true).unwrap();
    assert_eq!(jwt("application/jwt").as_deref(), Some("a.b.c"));
    assert_eq!(jwt("Application/JWT; x=y").as_deref(), Some("a.b.c"));
    let unasked = signed(&answer(200, "application/jwt", "a.b.c"), false).unwrap();
    assert_eq!(unasked.as_deref(), Some("a.b.c"));
    assert_eq!(
        signed(&answer(200, "application/json", "{}"), false).unwrap(),
        None
    );
    for media in ["application/json", "text/html", ""] {
        assert_eq!(
            violation(signed(&answer(200, media, "{}"), true)),
            Violation::UserInfoUnsigned
        );
    }
    assert_eq!(
        violation(signed(&answer(201, "application/jwt", "a.b.c"), true)),
        Violation::Status {
            endpoint: Endpoint::UserInfo,
            status: 201
        }
    );
}

/// JWT-json: bytes that are no text are no JWT.
#[test]
fn a_jwt_is_text() {
    let mut answer = answer(200, "application/jwt", "");
    answer.body = Bytes::from_static(b"\xff.\xff.\xff");
    assert_eq!(violation(signed(&answer, true)), fault(JwtFault::Malformed));
}

/// UI-5.3.2: a plain answer is about the user of the ID token.
#[test]
fn a_plain_answer_is_about_the_same_user() {
    let plain = |body: &str| plain(&answer(200, "application/json", body), "alice");
    let info = plain(r#"{"sub":"alice","email":"a@b.example"}"#).unwrap();
    assert_eq!(info.subject(), "alice");
    assert_eq!(info.get("email"), Some(&json!("a@b.example")));
    assert_eq!(info.claims().len(), 2);
    for body in [
        r#"{"sub":"mallory"}"#,
        r#"{"sub":"alice "}"#,
        r#"{"sub":["alice"]}"#,
        r#"{"sub":null}"#,
        "{}",
    ] {
        assert_eq!(violation(plain(body)), Violation::UserInfoSubject);
    }
}

/// UI-5.3.2, UI-5.3.2s, JWT-3.8-10: issuer, audience, user and end of a signed answer.
#[test]
fn a_signed_answer_is_checked() {
    let header = json!({"alg": "ES256"});
    let read = |name: &str, value: Value| read(&header, &with(claims(), name, value));
    let info = read("exp", json!(NOW - 29)).unwrap();
    assert_eq!(info.subject(), "alice");
    assert_eq!(info.get("email"), Some(&json!("a@b.example")));
    assert!(read("exp", json!(null)).is_ok());
    assert!(read("aud", json!(["client"])).is_ok());
    for (name, value, expected) in [
        ("exp", json!(NOW - 30), JwtFault::Expired),
        ("exp", json!("x"), JwtFault::MalformedClaim("exp")),
        ("iss", json!("https://as.example/"), JwtFault::Issuer),
        ("iss", json!(null), JwtFault::MissingClaim("iss")),
        ("aud", json!("other"), JwtFault::Audience),
        ("aud", json!(null), JwtFault::MissingClaim("aud")),
        ("aud", json!(["client", "other"]), JwtFault::FurtherAudience),
        ("azp", json!("other"), JwtFault::AuthorizedParty),
        ("sub", json!(7), JwtFault::MalformedClaim("sub")),
        ("nonce", json!("n"), JwtFault::Type),
        ("at_hash", json!("h"), JwtFault::Type),
        ("c_hash", json!("h"), JwtFault::Type),
        ("events", json!({}), JwtFault::Type),
    ] {
        assert_eq!(read(name, value).unwrap_err(), fault(expected), "{name}");
    }
    for value in [json!("mallory"), json!(null), json!("")] {
        assert_eq!(read("sub", value).unwrap_err(), Violation::UserInfoSubject);
    }
}

/// UI-5.3.2s, SEC-xjwt, JWT-3.11, SP-5.4.1-1.2: key, signature and type of a signed answer.
#[test]
fn the_header_of_a_signed_answer_is_checked() {
    for (header, expected) in [
        (json!({"alg": "ES256", "typ": "JWT"}), None),
        (
            json!({"alg": "ES256", "typ": "at+jwt"}),
            Some(JwtFault::Type),
        ),
        (
            json!({"alg": "ES256", "kid": "other"}),
            Some(JwtFault::NoKey),
        ),
        (json!({"alg": "PS256"}), Some(JwtFault::NoKey)),
        (json!({"alg": "RS256"}), Some(JwtFault::Algorithm)),
        (json!({"alg": "none"}), Some(JwtFault::Algorithm)),
        (
            json!({"alg": "ES256", "crit": ["x"]}),
            Some(JwtFault::Header("crit")),
        ),
    ] {
        assert_eq!(
            read(&header, &claims()).err(),
            expected.map(fault),
            "{header}"
        );
    }
    // What was signed is not what is read.
    let (_, crypto) = providers().remove(0);
    let key = PrivateKey::from_pem(&crypto, ES256).unwrap();
    let header = json!({"alg": "ES256"});
    let token = jws(&key, &header, &claims().to_string());
    let other = jws(&key, &header, r#"{"sub":"alice"}"#);
    let (head, _) = token.rsplit_once('.').unwrap();
    let (_, signature) = other.rsplit_once('.').unwrap();
    let set = json!({"keys": [key.public().to_json()]});
    let registered = Registered {
        issuer: Issuer::new("https://as.example").unwrap(),
        client_id: "client".to_owned(),
        algorithm: None,
        trusted_audiences: Vec::new(),
    };
    assert_eq!(
        verified(
            &format!("{head}.{signature}"),
            &crypto,
            &JwkSet::parse(set.to_string().as_bytes()).unwrap(),
            &registered,
            "alice",
            Timestamp::from_seconds(NOW),
        )
        .unwrap_err(),
        fault(JwtFault::Signature)
    );
}

/// PRIV-7, SEC-cred: `Debug` names the claims and shows none of their values.
#[test]
fn debug_shows_no_values() {
    let info = read(&json!({"alg": "ES256"}), &claims()).unwrap();
    let shown = format!("{info:?}");
    assert!(shown.contains("email"), "{shown}");
    assert!(!shown.contains("a@b.example"), "{shown}");
    assert!(!shown.contains("alice"), "{shown}");
}
