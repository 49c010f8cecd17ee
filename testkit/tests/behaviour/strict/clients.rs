//! Client assertions and registrations.

use fapi_testkit::{Alg, Endpoint, Registration};
use serde_json::{Value, json};

use super::{Row, check, der, flip, party, refuses};
use crate::party::CALLBACK;
use crate::wire::{Key, Shot, b64};

/// SP-5.3.2.1-8, CA-1 to CA-8: what a client assertion must be.
#[tokio::test]
async fn client_assertions_are_checked() {
    let party = party().await;
    #[rustfmt::skip]
    let rows: &[Row] = &[
        ("no assertion", |s| s.assertion = None, "401 invalid_client"),
        ("another kind", |s| s.add("client_assertion_type", "x"), "401 invalid_client"),
        ("a secret too", |s| s.add("client_secret", "x"), "401 invalid_client"),
        ("Basic too", |s| s.headers.push(("authorization", "Basic eDp5".to_owned())), "401 invalid_client"),
        ("aud as array", |s| { let aud = s.assertion().claims["aud"].clone(); s.assertion().claim("aud", json!([aud])); }, "401 invalid_client"),
        ("aud is the endpoint", |s| { let url = s.url.clone(); s.assertion().claim("aud", url); }, "401 invalid_client"),
        ("aud with a slash", |s| { let aud = format!("{}/", s.assertion().claims["aud"].as_str().unwrap()); s.assertion().claim("aud", aud); }, "401 invalid_client"),
        ("no aud", |s| s.assertion().without("aud"), "401 invalid_client"),
        ("no iss", |s| s.assertion().without("iss"), "401 invalid_client"),
        ("another iss", |s| s.assertion().claim("iss", "x"), "401 invalid_client"),
        ("another sub", |s| s.assertion().claim("sub", "x"), "401 invalid_client"),
        ("no jti", |s| s.assertion().without("jti"), "401 invalid_client"),
        ("short jti", |s| s.assertion().claim("jti", "1"), "401 invalid_client"),
        ("no exp", |s| s.assertion().without("exp"), "401 invalid_client"),
        ("no iat", |s| s.assertion().without("iat"), "401 invalid_client"),
        ("expired", |s| shift(s, -61), "401 invalid_client"),
        ("ahead", |s| shift(s, 40), "401 invalid_client"),
        ("long", |s| { let iat = s.assertion().claims["iat"].as_i64().unwrap(); s.assertion().claim("exp", iat + 301); }, "401 invalid_client"),
        ("exp as text", |s| { let exp = s.assertion().claims["exp"].to_string(); s.assertion().claim("exp", exp); }, "401 invalid_client"),
        ("nbf ahead", |s| { let iat = s.assertion().claims["iat"].as_i64().unwrap(); s.assertion().claim("nbf", iat + 30); }, "401 invalid_client"),
        ("typ", |s| s.assertion().head("typ", "dpop+jwt"), "401 invalid_client"),
        ("no kid", |s| s.assertion().without("kid"), "401 invalid_client"),
        ("unknown kid", |s| s.assertion().head("kid", "x"), "401 invalid_client"),
        ("alg none", |s| { s.assertion().head("alg", "none"); s.assertion().spoil = Some(|_| vec![]); }, "401 invalid_client"),
        ("another alg", |s| s.assertion().head("alg", "EdDSA"), "401 invalid_client"),
        ("crit", |s| s.assertion().head("crit", json!(["exp"])), "401 invalid_client"),
        ("jku", |s| s.assertion().head("jku", "https://x.example"), "401 invalid_client"),
        ("signature", |s| s.assertion().spoil = Some(flip), "401 invalid_client"),
        ("zeros", |s| s.assertion().spoil = Some(|s| vec![0; s.len()]), "401 invalid_client"),
        ("DER", |s| s.assertion().spoil = Some(der), "401 invalid_client"),
        ("garbage", |s| s.assertion().instead = Some("x".to_owned()), "401 invalid_client"),
    ];
    for endpoint in [Endpoint::Par, Endpoint::Token, Endpoint::Revocation] {
        refuses(&party, rows, async || match endpoint {
            Endpoint::Par => party.par("openid"),
            Endpoint::Token => party.service("a"),
            _ => party.revoke("unknown"),
        })
        .await;
    }

    // CA-6: an assertion is good once, at whichever endpoint.
    let draft = party.assertion();
    let mut first = party.par("openid");
    first.assertion = Some(draft.clone());
    assert_eq!(party.send(first).await.status, 201);
    let mut second = party.service("a");
    second.assertion = Some(draft);
    check("reused", &party.send(second).await, "401 invalid_client");

    let mut typed = party.service("a");
    typed.assertion().header["typ"] = "client-authentication+jwt".into();
    assert_eq!(party.send(typed).await.status, 200);
}

/// What is registered binds.
#[tokio::test]
async fn registrations_bind() {
    let party = party().await;
    let narrow = party
        .registration()
        .scope("openid accounts")
        .grant_types(["authorization_code"])
        .signing_algorithm(Alg::Es256);
    party.server.register(narrow);
    check(
        "scope",
        &party.send(party.par("openid payments")).await,
        "400 invalid_scope",
    );
    check(
        "grant",
        &party.send(party.service("accounts")).await,
        "400 unauthorized_client",
    );
    assert!(
        party
            .log_in("openid accounts")
            .await
            .get("refresh_token")
            .is_none()
    );
    party
        .server
        .register(party.registration().signing_algorithm(Alg::Ps256));
    check(
        "algorithm",
        &party.send(party.par("openid")).await,
        "401 invalid_client",
    );
    party.server.register(party.registration());
    check(
        "openid",
        &party.send(party.service("openid")).await,
        "400 invalid_scope",
    );
}

/// A registration that no server should take stops the test at once.
#[test]
fn unsound_registrations_panic() {
    let mut good = Key::es256().jwk();
    good["kid"] = "a".into();
    let mut private = good.clone();
    private["d"] = "AA".into();
    let mut nameless = good.clone();
    nameless.as_object_mut().unwrap().remove("kid");
    let sets: Vec<Value> = vec![
        json!({}),
        json!([]),
        json!({"keys": [private]}),
        json!({"keys": [nameless]}),
        json!({"keys": [good, good]}),
        json!({"keys": [{"kty": "oct", "kid": "a", "k": "AA"}]}),
        json!({"keys": [{"kty": "RSA", "kid": "a", "n": b64(&[255; 128]), "e": "AQAB"}]}),
    ];
    for set in sets {
        let text = set.to_string();
        let result = std::panic::catch_unwind(|| Registration::new("c").jwks(set));
        assert!(result.is_err(), "{text}");
    }
    for uri in [
        "http://app.example/cb",
        "http://localhost:1/cb",
        "com.app:/cb",
        "cb",
    ] {
        let result = std::panic::catch_unwind(|| Registration::new("c").redirect_uri(uri));
        assert!(result.is_err(), "{uri}");
    }
    let _ = Registration::new("c")
        .jwks(json!({"keys": [good]}))
        .redirect_uri(CALLBACK);
}

fn shift(shot: &mut Shot, by: i64) {
    for name in ["iat", "exp"] {
        let date = shot.assertion().claims[name].as_i64().unwrap();
        shot.assertion().claims[name] = (date + by).into();
    }
}
