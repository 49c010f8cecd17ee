//! What changes over time and from answer to answer: sign-ins, nonces, refresh tokens.

use std::time::Duration;

use fapi_testkit::{Endpoint, Nonces, TestClock, TestServer};

use crate::party::{Party, callback, claims};

#[tokio::test]
async fn the_user_may_refuse_and_stays_signed_in() {
    let server = TestServer::start().await;
    let party = Party::new(&server).await;
    let browser = server.browser("alice");

    let denied = callback(&browser.deny(&party.push("openid", &[]).await).await);
    assert_eq!(denied["error"], "access_denied");
    assert_eq!(denied["iss"], server.issuer());
    assert_eq!(denied["state"], "the-state");

    let silent = || party.push("openid", &[("prompt", "none")]);
    let nobody = callback(&browser.approve(&silent().await).await);
    assert_eq!(nobody["error"], "login_required");
    browser.approve(&party.push("openid", &[]).await).await;
    let known = callback(&browser.approve(&silent().await).await);
    assert!(known.contains_key("code"));
}

#[tokio::test]
async fn time_of_sign_in_and_class_follow_the_request() {
    let clock = TestClock::at(1_800_000_000);
    let server = TestServer::builder().clock(clock.clone()).start().await;
    let party = Party::new(&server).await;
    let browser = server.browser("alice");
    let log_in = async |extra: &[(&str, &str)]| {
        let url = party.push("openid", extra).await;
        let code = callback(&browser.approve(&url).await)["code"].clone();
        let tokens = party.with_nonce(|| party.code(&code)).await.json();
        (
            claims(&tokens),
            tokens["access_token"].as_str().unwrap().to_owned(),
        )
    };
    let (first, weak) = log_in(&[]).await;
    assert_eq!(first["auth_time"], 1_800_000_000);
    assert!(first.get("acr").is_none());
    clock.advance(Duration::from_secs(120));
    assert_eq!(log_in(&[]).await.0["auth_time"], 1_800_000_000);
    assert_eq!(
        log_in(&[("max_age", "300")]).await.0["auth_time"],
        1_800_000_000
    );
    assert_eq!(
        log_in(&[("max_age", "100")]).await.0["auth_time"],
        1_800_000_120
    );
    let (strong, token) = log_in(&[("acr_values", "urn:example:acr:mfa")]).await;
    assert_eq!(strong["acr"], "urn:example:acr:mfa");

    let path = "/step-up?acr=urn:example:acr:mfa&max_age=100";
    let challenge = party.with_nonce(|| party.api(path, &weak)).await;
    assert_eq!(challenge.status, 401);
    assert_eq!(challenge.error(), "insufficient_user_authentication");
    let header = challenge.header("www-authenticate");
    assert!(
        header.contains(r#"acr_values="urn:example:acr:mfa", max_age=100"#),
        "{header}"
    );
    assert_eq!(party.send(party.api(path, &token)).await.status, 200);

    let claims = r#"{"id_token":{"acr":{"essential":true,"values":["urn:none"]}}}"#;
    let url = party.push("openid", &[("claims", claims)]).await;
    let unmet = callback(&browser.approve(&url).await);
    assert_eq!(unmet["error"], "unmet_authentication_requirements");
}

#[tokio::test]
async fn the_request_uri_is_good_while_the_user_thinks() {
    let clock = TestClock::system();
    let server = TestServer::builder().clock(clock.clone()).start().await;
    let party = Party::new(&server).await;
    let page = server
        .browser("alice")
        .open(&party.push("openid", &[]).await)
        .await;
    clock.advance(Duration::from_secs(300));
    assert!(callback(&page.approve().await).contains_key("code"));
}

#[tokio::test]
async fn nonces_are_demanded_by_each_role() {
    let server = TestServer::start().await;
    let party = Party::new(&server).await;
    let tokens = party.log_in("openid").await;
    let token = tokens["access_token"].as_str().unwrap();
    // One challenge at PAR, none at the token endpoint, which is the same role.
    assert_eq!(server.count(Endpoint::Par), 2);
    assert_eq!(server.count(Endpoint::Token), 1);

    let challenge = party.send(party.api("/", token)).await;
    assert_eq!(
        (challenge.status.as_u16(), challenge.error().as_str()),
        (401, "use_dpop_nonce")
    );
    assert!(challenge.header("www-authenticate").starts_with("DPoP "));
    let first = challenge.header("dpop-nonce").to_owned();
    assert_eq!(
        party.send(party.api("/", token)).await.header("dpop-nonce"),
        ""
    );

    let challenge = party.send(party.userinfo(token)).await;
    assert_eq!(
        (challenge.status.as_u16(), challenge.error().as_str()),
        (401, "use_dpop_nonce")
    );
    assert_ne!(challenge.header("dpop-nonce"), first);

    server.rotate_nonces();
    let challenge = party.send(party.service("a")).await;
    assert_eq!(
        (challenge.status.as_u16(), challenge.error().as_str()),
        (400, "use_dpop_nonce")
    );
    assert_eq!(party.send(party.service("a")).await.status, 200);
}

#[tokio::test]
async fn nonces_can_change_with_every_answer() {
    for nonces in [Nonces::Rotating, Nonces::SingleUse] {
        let server = TestServer::builder().nonces(nonces).start().await;
        let party = Party::new(&server).await;
        let tokens = party.log_in("openid").await;
        let token = tokens["access_token"].as_str().unwrap();
        let reused = party.with_nonce(|| party.api("/", token)).await;
        let nonce = reused.header("dpop-nonce").to_owned();
        for _ in 0..3 {
            let reply = party.send(party.api("/", token)).await;
            assert_eq!(reply.status, 200);
            assert_ne!(reply.header("dpop-nonce"), nonce);
        }
        let mut again = party.api("/", token);
        again.proof().claims["nonce"] = nonce.into();
        let expected = if nonces == Nonces::SingleUse {
            401
        } else {
            200
        };
        assert_eq!(party.send(again).await.status, expected);
    }
}

#[tokio::test]
async fn refresh_tokens_rotate_with_a_grace() {
    let clock = TestClock::system();
    let server = TestServer::builder()
        .refresh_rotation(true)
        .nonces(Nonces::Off)
        .clock(clock.clone())
        .start()
        .await;
    let party = Party::new(&server).await;
    let tokens = party.log_in("openid").await;
    let old = tokens["refresh_token"].as_str().unwrap();
    let refreshed = party.send(party.refresh(old)).await.json();
    let next = refreshed["refresh_token"].as_str().unwrap();
    assert_ne!(old, next);
    // The answer was lost: the same successor comes again.
    assert_eq!(
        party.send(party.refresh(old)).await.json()["refresh_token"],
        next
    );
    assert!(server.tokens_used_twice().is_empty());
    assert_eq!(party.send(party.refresh(next)).await.status, 200);
    // The successor has been used, so the old one gives the thief away.
    assert_eq!(
        party.send(party.refresh(old)).await.error(),
        "invalid_grant"
    );
    assert_eq!(server.tokens_used_twice(), [old]);
    assert_eq!(
        party.send(party.refresh(next)).await.error(),
        "invalid_grant"
    );

    let tokens = party.log_in("openid").await;
    let old = tokens["refresh_token"].as_str().unwrap();
    party.send(party.refresh(old)).await;
    clock.advance(Duration::from_secs(61));
    assert_eq!(
        party.send(party.refresh(old)).await.error(),
        "invalid_grant"
    );
}
