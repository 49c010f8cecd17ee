//! Codes, refresh tokens and access tokens.

use std::time::Duration;

use fapi_testkit::{Nonces, TestClock, TestServer};

use super::{Row, check, party, refuses};
use crate::party::Party;
use crate::wire::Key;

/// SP-5.3.2.2-9, SP-5.3.2.1-11, SP-5.3.2.1-12, R6749-4.1.3: codes.
#[tokio::test]
async fn codes_are_checked() {
    let clock = TestClock::system();
    let server = TestServer::builder()
        .nonces(Nonces::Off)
        .clock(clock.clone())
        .start()
        .await;
    let party = Party::new(&server).await;
    #[rustfmt::skip]
    let rows: &[Row] = &[
        ("no code", |s| s.unset("code"), "400 invalid_request"),
        ("unknown code", |s| s.set("code", "x"), "400 invalid_grant"),
        ("no redirect_uri", |s| s.unset("redirect_uri"), "400 invalid_request"),
        ("redirect_uri", |s| s.set("redirect_uri", "https://app.example/b"), "400 invalid_grant"),
        ("no verifier", |s| s.unset("code_verifier"), "400 invalid_request"),
        ("short verifier", |s| s.set("code_verifier", "x"), "400 invalid_grant"),
        ("another verifier", |s| s.set("code_verifier", &"x".repeat(43)), "400 invalid_grant"),
        ("no grant_type", |s| s.unset("grant_type"), "400 invalid_request"),
        ("password", |s| s.set("grant_type", "password"), "400 unsupported_grant_type"),
        ("a resource not granted", |s| s.set("resource", "https://b.example/"), "400 invalid_target"),
    ];
    refuses(&party, rows, async || {
        party.code(&party.fresh_code("openid").await)
    })
    .await;

    // A second use takes back what the first one gave.
    let code = party.fresh_code("openid").await;
    let tokens = party.send(party.code(&code)).await.json();
    let token = tokens["access_token"].as_str().unwrap();
    assert_eq!(party.send(party.api("/", token)).await.status, 200);
    check(
        "second use",
        &party.send(party.code(&code)).await,
        "400 invalid_grant",
    );
    check(
        "taken back",
        &party.send(party.api("/", token)).await,
        "401 invalid_token",
    );
    assert!(!server.is_live(tokens["refresh_token"].as_str().unwrap()));

    let code = party.fresh_code("openid").await;
    clock.advance(Duration::from_secs(60));
    check(
        "expired",
        &party.send(party.code(&code)).await,
        "400 invalid_grant",
    );

    // Bound by `dpop_jkt` or by the proof at PAR, and to the client.
    let code = party.fresh_code("openid").await;
    let other = Party::with_keys(&server, "client", Key::es256(), Key::es256()).await;
    check(
        "another key",
        &other.send(other.code(&code)).await,
        "400 invalid_grant",
    );
    let party = Party::new(&server).await;
    let code = party.fresh_code("openid").await;
    let thief = Party::with_keys(&server, "thief", Key::es256(), Key::es256()).await;
    check(
        "another client",
        &thief.send(thief.code(&code)).await,
        "400 invalid_grant",
    );
    assert_eq!(party.send(party.code(&code)).await.status, 200);
}

/// R6749-6, RAR-6, RI-sub: refreshing never widens.
#[tokio::test]
async fn refreshes_are_checked() {
    let party = party().await;
    let tokens = party.log_in("openid accounts").await;
    let token = tokens["refresh_token"].as_str().unwrap();
    #[rustfmt::skip]
    let rows: &[Row] = &[
        ("no token", |s| s.unset("refresh_token"), "400 invalid_request"),
        ("unknown token", |s| s.set("refresh_token", "x"), "400 invalid_grant"),
        ("wider scope", |s| s.set("scope", "openid accounts payments"), "400 invalid_scope"),
        ("a resource", |s| s.set("resource", "https://b.example/"), "400 invalid_target"),
        ("details", |s| { s.set("authorization_details", r#"[{"type":"payment_initiation"}]"#) }, "400 invalid_authorization_details"),
        ("no proof", |s| s.proof = None, "400 invalid_dpop_proof"),
    ];
    refuses(&party, rows, async || party.refresh(token)).await;

    let thief = Party::with_keys(&party.server, "thief", Key::es256(), Key::es256()).await;
    check(
        "another client",
        &thief.send(thief.refresh(token)).await,
        "400 invalid_grant",
    );
    check(
        "another client",
        &thief.send(thief.revoke(token)).await,
        "400 invalid_grant",
    );
    // DPOP-5c: a confidential client may change its DPoP key.
    let mut other_key = Party::new(&party.server).await;
    other_key.key = Key::es256();
    party.server.register(other_key.registration());
    let fresh = other_key.send(other_key.refresh(token)).await.json();
    let access = fresh["access_token"].as_str().unwrap();
    assert_eq!(other_key.send(other_key.api("/", access)).await.status, 200);

    party.server.revoke_refresh_tokens();
    check(
        "revoked",
        &other_key.send(other_key.refresh(token)).await,
        "400 invalid_grant",
    );
}

/// Expired and revoked access tokens.
#[tokio::test]
async fn dead_tokens_are_refused() {
    let clock = TestClock::system();
    let server = TestServer::builder()
        .nonces(Nonces::Off)
        .clock(clock.clone())
        .start()
        .await;
    let party = Party::new(&server).await;
    let mut token = String::new();
    let kill: [(&str, &dyn Fn()); 4] = [
        ("time", &|| clock.advance(Duration::from_secs(300))),
        ("revoked", &|| server.revoke_access_tokens()),
        ("expired", &|| server.expire_access_tokens()),
        ("grants", &|| server.revoke_grants()),
    ];
    for (what, kill) in kill {
        let tokens = party.log_in("accounts").await;
        tokens["access_token"]
            .as_str()
            .unwrap()
            .clone_into(&mut token);
        assert!(server.is_live(&token));
        kill();
        assert!(!server.is_live(&token), "{what}");
        check(
            what,
            &party.send(party.api("/", &token)).await,
            "401 invalid_token",
        );
    }
    let tokens = party.log_in("accounts").await;
    tokens["access_token"]
        .as_str()
        .unwrap()
        .clone_into(&mut token);
    assert_eq!(party.send(party.revoke(&token)).await.status, 200);
    check(
        "revocation",
        &party.send(party.api("/", &token)).await,
        "401 invalid_token",
    );
    assert!(server.is_live(tokens["refresh_token"].as_str().unwrap()));
    assert_eq!(party.send(party.revoke("unknown")).await.status, 200);
    check(
        "no token",
        &party.send(party.post("revocation_endpoint", &[])).await,
        "400 invalid_request",
    );
}
