//! Pushed requests and the authorization endpoint.

use std::time::Duration;

use fapi_testkit::{Nonces, TestClock, TestServer};
use http::Method;

use super::{Row, party, refuses};
use crate::party::{Party, callback};
use crate::wire::{Key, hash};

/// SP-5.3.2.2, PAR-2, PKCE-4: what a pushed request must be.
#[tokio::test]
async fn pushed_requests_are_checked() {
    let party = party().await;
    #[rustfmt::skip]
    let rows: &[Row] = &[
        ("no client_id", |s| s.unset("client_id"), "400 invalid_request"),
        ("another client_id", |s| s.set("client_id", "other"), "401 invalid_client"),
        ("request_uri", |s| s.add("request_uri", "urn:x"), "400 invalid_request"),
        ("request", |s| s.add("request", "e30.e30.e30"), "400 request_not_supported"),
        ("no response_type", |s| s.unset("response_type"), "400 invalid_request"),
        ("hybrid", |s| s.set("response_type", "code id_token"), "400 unsupported_response_type"),
        ("form_post", |s| s.add("response_mode", "form_post"), "400 invalid_request"),
        ("no redirect_uri", |s| s.unset("redirect_uri"), "400 invalid_request"),
        ("another redirect_uri", |s| s.set("redirect_uri", "https://app.example/callback/"), "400 invalid_request"),
        ("no challenge", |s| s.unset("code_challenge"), "400 invalid_request"),
        ("short challenge", |s| s.set("code_challenge", "abc"), "400 invalid_request"),
        ("no method", |s| s.unset("code_challenge_method"), "400 invalid_request"),
        ("plain", |s| s.set("code_challenge_method", "plain"), "400 invalid_request"),
        ("long nonce", |s| s.set("nonce", &"n".repeat(65)), "400 invalid_request"),
        ("max_age", |s| s.set("max_age", "-1"), "400 invalid_request"),
        ("claims", |s| s.set("claims", "[]"), "400 invalid_request"),
        ("claims twice", |s| s.set("claims", r#"{"a":1,"a":2}"#), "400 invalid_request"),
        ("prompt", |s| s.set("prompt", "none login"), "400 invalid_request"),
        ("scope", |s| s.set("scope", "openid  accounts"), "400 invalid_scope"),
        ("scope twice", |s| s.set("scope", "openid openid"), "400 invalid_scope"),
        ("resource", |s| s.set("resource", "https://a.example/#x"), "400 invalid_target"),
        ("relative resource", |s| s.set("resource", "/a"), "400 invalid_target"),
        ("details without a type", |s| s.set("authorization_details", "[{}]"), "400 invalid_authorization_details"),
        ("details of an unknown type", |s| s.set("authorization_details", r#"[{"type":"x"}]"#), "400 invalid_authorization_details"),
        ("details that are no list", |s| s.set("authorization_details", r#"{"type":"payment_initiation"}"#), "400 invalid_authorization_details"),
        ("dpop_jkt", |s| s.set("dpop_jkt", "short"), "400 invalid_request"),
        ("another dpop_jkt", |s| s.set("dpop_jkt", &hash(b"x")), "400 invalid_dpop_proof"),
        ("twice", |s| s.add("state", "again"), "400 invalid_request"),
        ("empty", |s| s.set("state", ""), "400 invalid_request"),
        ("JSON", |s| s.content_type = "application/json", "400 invalid_request"),
        ("query", |s| s.url.push_str("?a=b"), "400 invalid_request"),
        ("broken encoding", |s| s.body = Some(b"a=%zz".to_vec()), "400 invalid_request"),
        ("spoilt proof", |s| s.proof().claim("htm", "GET"), "400 invalid_dpop_proof"),
    ];
    refuses(&party, rows, async || party.par("openid")).await;

    let mut without_proof = party.par("openid");
    without_proof.proof = None;
    assert_eq!(party.send(without_proof).await.status, 201);
    let mut longest = party.par("openid");
    longest.set("nonce", &"n".repeat(64));
    assert_eq!(party.send(longest).await.status, 201);
    assert_eq!(
        party.send_raw(Method::GET, &party.par("").url).await.status,
        405
    );
}

/// SP-5.3.3.2-6, SP-5.3.2.2-2..4: the authorization endpoint.
#[tokio::test]
async fn the_authorization_endpoint_takes_a_pushed_request_alone() {
    let clock = TestClock::system();
    let server = TestServer::builder()
        .nonces(Nonces::Off)
        .clock(clock.clone())
        .authorization_endpoint_query("tenant=1")
        .start()
        .await;
    let party = Party::new(&server).await;
    let browser = server.browser("alice");
    let url = party.push("openid", &[]).await;
    assert!(
        url.contains("/authorize?tenant=1&client_id=client&request_uri="),
        "{url}"
    );
    let other = Party::with_keys(&server, "other", Key::es256(), Key::es256()).await;
    let request_uri = callback(&url)["request_uri"].clone();
    for (what, wrong) in [
        ("one more", format!("{url}&scope=openid")),
        ("one twice", format!("{url}&client_id=client")),
        ("own query missing", url.replace("tenant=1&", "")),
        ("own query changed", url.replace("tenant=1", "tenant=2")),
        ("no client_id", url.replace("client_id=client&", "")),
        ("another client", other.authorization_url(&request_uri)),
        ("unknown request_uri", party.authorization_url("urn:x")),
        (
            "plain request",
            format!(
                "{}?response_type=code&client_id=client",
                party.endpoint("issuer")
            ),
        ),
    ] {
        let answer = browser.visit(&wrong).await.unwrap();
        assert!(answer.status.is_client_error(), "{what}: {answer:?}");
        assert_eq!(answer.location(), None, "{what}");
    }
    // Once, and two tabs of one request don't make two codes.
    let (first, second) = (browser.open(&url).await, browser.visit(&url).await.unwrap());
    assert_eq!(second.status, 200);
    assert!(callback(&first.approve().await).contains_key("code"));
    assert_eq!(browser.visit(&url).await.unwrap().status, 400);

    let late = party.push("openid", &[]).await;
    clock.advance(Duration::from_secs(60));
    assert_eq!(browser.visit(&late).await.unwrap().status, 400);
    assert!(server.refusals().last().unwrap().contains("expired"));
}
