//! What a login asked for, and the ID token has to show.

use std::time::Duration;

use fapi_client::{
    ClaimRequest, ClaimsRequest, Client, Error, JwtFault, LoginRequest, Session, Timestamp,
    Violation,
};
use fapi_testkit::{Browser, Endpoint, IdTokenFault as F, TestServer};
use serde_json::json;

use super::{NOW, broken, server, set};
use crate::common;

const PASSWORD: &str = "urn:example:acr:password";
const MFA: &str = "urn:example:acr:mfa";

async fn log_in(
    client: &Client,
    browser: &Browser,
    ask: impl FnOnce(LoginRequest) -> LoginRequest,
) -> Result<Session, Error> {
    let login = ask(client.login().scope("openid accounts"))
        .start()
        .await
        .unwrap();
    let callback = browser.approve(login.url().as_str()).await;
    client.finish_login(login.transaction(), callback).await
}

async fn refusal(
    client: &Client,
    server: &TestServer,
    fault: F,
    ask: impl FnOnce(LoginRequest) -> LoginRequest,
) -> Violation {
    server.forget_requests();
    server.misbehave(fault);
    let error = log_in(client, &server.browser("alice"), ask)
        .await
        .unwrap_err();
    server.behave();
    assert_eq!(server.count(Endpoint::Token), 1);
    assert_eq!(server.count(Endpoint::Api), 0);
    assert!(client.sessions_of("alice").await.unwrap().is_empty());
    error.violation().unwrap().clone()
}

/// IDT-12, OIDC-5.5: of the contexts that were asked for, one has to be there.
#[tokio::test]
async fn the_authentication_context_is_one_that_was_asked_for() {
    let server = server().await;
    let client = common::client(&server).await;
    let browser = server.browser("alice");
    for reached in [PASSWORD, MFA] {
        let session = log_in(&client, &browser.clone().with_acr(reached), |login| {
            login.acr_values([MFA, PASSWORD])
        })
        .await
        .unwrap();
        assert_eq!(session.id_token().unwrap().acr(), Some(reached));
        client
            .session(session.id())
            .await
            .unwrap()
            .logout()
            .await
            .unwrap();
    }

    let asked = |login: LoginRequest| login.acr_values([MFA]);
    let lower = refusal(&client, &server, F::Acr(PASSWORD.to_owned()), asked).await;
    assert_eq!(lower, broken(JwtFault::Acr));
    let prefix = refusal(&client, &server, F::Acr(format!("{MFA}x")), asked).await;
    assert_eq!(prefix, broken(JwtFault::Acr));
    let missing = refusal(&client, &server, F::MissingAcr, asked).await;
    assert_eq!(missing, broken(JwtFault::MissingClaim("acr")));
}

/// IDT-12, OIDC-5.5: `acr` as an essential claim is a demand, with values or without.
#[tokio::test]
async fn an_essential_context_is_demanded() {
    let server = server().await;
    let client = common::client(&server).await;
    let with = |claim: ClaimRequest| {
        move |login: LoginRequest| login.claims(ClaimsRequest::new().id_token("acr", claim))
    };
    let one = with(ClaimRequest::essential().values([MFA]));
    let fault = F::Acr(PASSWORD.to_owned());
    assert_eq!(
        refusal(&client, &server, fault, one).await,
        broken(JwtFault::Acr)
    );
    let any = with(ClaimRequest::essential());
    assert_eq!(
        refusal(&client, &server, F::MissingAcr, any).await,
        broken(JwtFault::MissingClaim("acr"))
    );
    // One that is only wished for is not.
    server.misbehave(F::MissingAcr);
    let wished = with(ClaimRequest::voluntary().values([MFA]));
    log_in(&client, &server.browser("alice"), wished)
        .await
        .unwrap();
}

/// IDT-13: who asks for a fresh login gets its time, and that time is fresh: `max_age` and 30 seconds
/// for clocks that differ.
#[tokio::test]
async fn the_time_of_the_login_is_held_against_max_age() {
    let server = server().await;
    let client = common::client(&server).await;
    let asked = |login: LoginRequest| login.max_age(Duration::from_secs(300));
    for (fault, expected) in [
        (F::MissingAuthTime, JwtFault::MissingClaim("auth_time")),
        (F::OldAuthTime(331), JwtFault::AuthTime),
        (F::OldAuthTime(86_400), JwtFault::AuthTime),
        (F::OldAuthTime(-61), JwtFault::AuthTime),
    ] {
        let violation = refusal(&client, &server, fault, asked).await;
        assert_eq!(violation, broken(expected));
    }
    for age in [0, 299, 330, -9] {
        server.misbehave(F::OldAuthTime(age));
        let session = log_in(&client, &server.browser("alice"), asked)
            .await
            .unwrap();
        assert_eq!(
            session.id_token().unwrap().auth_time(),
            Some(Timestamp::from_seconds(NOW - age))
        );
        server.behave();
    }
}

/// IDT-13: with `max_age` 0 an older login does not do.
#[tokio::test]
async fn max_age_zero_asks_for_a_login_now() {
    let server = server().await;
    let client = common::client(&server).await;
    let asked = |login: LoginRequest| login.max_age(Duration::ZERO);
    let violation = refusal(&client, &server, F::OldAuthTime(31), asked).await;
    assert_eq!(violation, broken(JwtFault::AuthTime));
    log_in(&client, &server.browser("alice"), asked)
        .await
        .unwrap();
    let par = server.requests_to(Endpoint::Par).pop().unwrap();
    assert_eq!(par.form_value("max_age"), Some("0"));
}

/// IDT-13, OIDC-5.5: `auth_time` as an essential claim has to be there.
#[tokio::test]
async fn an_essential_time_of_the_login_is_demanded() {
    let server = server().await;
    let client = common::client(&server).await;
    let asked = |login: LoginRequest| {
        login.claims(ClaimsRequest::new().id_token("auth_time", ClaimRequest::essential()))
    };
    let violation = refusal(&client, &server, F::MissingAuthTime, asked).await;
    assert_eq!(violation, broken(JwtFault::MissingClaim("auth_time")));
    // Its age was not asked for.
    server.misbehave(F::OldAuthTime(86_400));
    log_in(&client, &server.browser("alice"), asked)
        .await
        .unwrap();
}

/// IDT-13, JWT-json: an `auth_time` that is no time is refused, asked for or not.
#[tokio::test]
async fn a_malformed_time_of_the_login_is_refused() {
    let server = server().await;
    let client = common::client(&server).await;
    server.mutate_id_token(|_, claims| set(claims, "auth_time", json!("1800000000")));
    let error = super::refused(&client, &server).await;
    assert_eq!(
        error.violation(),
        Some(&broken(JwtFault::MalformedClaim("auth_time")))
    );
}

/// IDT-11, SP-5.3.3.2-7: a nonce of the program's own is held against the ID token as well.
#[tokio::test]
async fn a_nonce_of_ones_own_is_checked() {
    let server = server().await;
    let client = common::client(&server).await;
    let own = |login: LoginRequest| login.nonce("n-0S6_WzA2Mj");
    log_in(&client, &server.browser("bob"), own).await.unwrap();
    let violation = refusal(&client, &server, F::WrongNonce, own).await;
    assert_eq!(violation, broken(JwtFault::Nonce));
}
