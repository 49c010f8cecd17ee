//! What the token endpoint answers, and what becomes of it.

mod failures;

use std::time::Duration;

use fapi_client::{
    AuthorizationDetail, Client, Endpoint as At, Error, Session, Timestamp, Violation,
};
use fapi_testkit::{Answer, Endpoint, TestServer, TokenFault};
use serde_json::{Value, json};

use crate::common;

/// A login whose token response has to be refused: one token request went out, and nothing after it.
async fn refused(client: &Client, server: &TestServer) -> Error {
    server.forget_requests();
    let error = common::log_in_with(client, server, "alice")
        .await
        .expect_err("the answer was taken");
    assert_eq!(server.count(Endpoint::Token), 1, "{error}");
    let last = server.requests().pop().unwrap();
    assert_eq!(last.endpoint, Endpoint::Token, "{error}");
    assert!(client.sessions_of("alice").await.unwrap().is_empty());
    error
}

async fn refused_after(client: &Client, server: &TestServer, fault: TokenFault) -> Error {
    server.misbehave(fault);
    let error = refused(client, server).await;
    server.behave();
    error
}

async fn refused_answer(client: &Client, server: &TestServer, answer: Answer) -> Error {
    server.answer_next(Endpoint::Token, answer);
    refused(client, server).await
}

fn malformed(member: &str) -> Violation {
    Violation::Answer {
        endpoint: At::Token,
        member: member.to_owned(),
    }
}

/// The access token that a request to the API carried.
fn token_at_api(server: &TestServer) -> String {
    let requests = server.requests_to(Endpoint::Api);
    let request = requests.last().expect("a request to the API");
    let token = request.header("authorization").unwrap();
    token.strip_prefix("DPoP ").unwrap().to_owned()
}

async fn call(session: &Session, server: &TestServer) {
    session
        .get(format!("{}/accounts", server.api()))
        .send()
        .await
        .unwrap()
        .error_for_status()
        .unwrap();
}

/// R6749-5.1a, DPOP-5b, OFTEN-6: `DPoP` is taken in any letter case.
#[tokio::test]
async fn the_token_type_is_read_in_any_letter_case() {
    let server = TestServer::start().await;
    let client = common::client(&server).await;
    for kind in ["DPoP", "dpop", "DPOP", "dPoP"] {
        server.misbehave(TokenFault::TokenType(kind.to_owned()));
        let session = common::log_in_with(&client, &server, "alice")
            .await
            .unwrap();
        call(&session, &server).await;
        server.behave();
    }
}

/// SP-5.3.2.1-4/5, DPOP-5b, OFTEN-6: a token that is not bound to our key is wiped, and goes nowhere.
#[tokio::test]
async fn a_token_that_is_not_bound_is_refused() {
    let server = TestServer::start().await;
    let client = common::client(&server).await;
    for kind in ["Bearer", "bearer", "N_A", "mac", "DPoP ", "DPoP,Bearer", ""] {
        let error = refused_after(&client, &server, TokenFault::TokenType(kind.to_owned())).await;
        assert_eq!(
            error.violation(),
            Some(&Violation::TokenTypeDowngrade),
            "{kind}"
        );
        assert_eq!(error.code(), "violation.token_type_downgrade");
        assert!(!error.retry_may_help());
    }
    let error = refused_after(&client, &server, TokenFault::Bearer).await;
    assert_eq!(error.violation(), Some(&Violation::TokenTypeDowngrade));
}

/// R6749-5.1a: a `token_type` that is not there, or is no text, leaves open what the token is.
#[tokio::test]
async fn a_token_without_a_type_is_refused() {
    let server = TestServer::start().await;
    let client = common::client(&server).await;
    let error = refused_after(&client, &server, TokenFault::MissingTokenType).await;
    assert_eq!(error.violation(), Some(&Violation::TokenTypeDowngrade));
    for value in [json!(null), json!(1), json!(["DPoP"])] {
        server.mutate_token_response(move |body| body["token_type"] = value.clone());
        let error = refused(&client, &server).await;
        assert_eq!(error.violation(), Some(&Violation::TokenTypeDowngrade));
        server.behave();
    }
}

/// DPOP-5b: a downgrade at a refresh leaves the session with the token that it had.
#[tokio::test]
async fn a_downgrade_at_a_refresh_is_refused() {
    let server = TestServer::start().await;
    let session = common::log_in(&server, "alice").await.unwrap();
    call(&session, &server).await;
    let before = token_at_api(&server);

    server.misbehave(TokenFault::Bearer);
    let error = session.refresh().await.unwrap_err();
    assert_eq!(error.violation(), Some(&Violation::TokenTypeDowngrade));
    assert_eq!(server.count(Endpoint::Token), 2);

    call(&session, &server).await;
    assert_eq!(token_at_api(&server), before);
    assert_eq!(server.count(Endpoint::Token), 2);
}

/// R6749-5.1b, OFTEN-16: `expires_in` may be missing, and then nothing is renewed ahead of time.
#[tokio::test]
async fn expires_in_may_be_missing() {
    let server = TestServer::builder().without_expires_in().start().await;
    let session = common::log_in(&server, "alice").await.unwrap();
    assert_eq!(session.expires_at().unwrap(), None);
    server.clock().advance(Duration::from_secs(270));
    call(&session, &server).await;
    assert_eq!(server.count(Endpoint::Token), 1);
}

/// R6749-5.1b: what is a whole number of seconds is taken, however it is written and however large.
#[tokio::test]
async fn expires_in_is_a_number_of_seconds() {
    let clock = fapi_testkit::TestClock::at(1_800_000_000);
    let server = TestServer::builder().clock(clock).start().await;
    let client = common::client(&server).await;
    for (value, expected) in [
        (json!(null), None),
        (json!(60), Some(1_800_000_060)),
        (json!(60.0), Some(1_800_000_060)),
        (json!(0), Some(1_800_000_000)),
        (json!(u64::MAX), Some(i64::MAX)),
        (json!(i64::MAX), Some(i64::MAX)),
    ] {
        server.misbehave(TokenFault::ExpiresIn(value.clone()));
        let session = common::log_in_with(&client, &server, "alice")
            .await
            .unwrap();
        assert_eq!(
            session.expires_at().unwrap().map(Timestamp::seconds),
            expected,
            "{value}"
        );
        server.behave();
    }
}

/// R6749-5.1b: text, fractions, negative numbers and numbers beyond counting are refused.
#[tokio::test]
async fn expires_in_that_is_no_number_of_seconds_is_refused() {
    let server = TestServer::start().await;
    let client = common::client(&server).await;
    for value in [
        json!("300"),
        json!(-1),
        json!(1.5),
        json!(1e300),
        json!([300]),
        json!(true),
    ] {
        let fault = TokenFault::ExpiresIn(value.clone());
        let error = refused_after(&client, &server, fault).await;
        assert_eq!(error.violation(), Some(&malformed("expires_in")), "{value}");
    }
}

/// R6749-5.1c, JWT-json: what can't be a token, or stands there twice, is refused.
#[tokio::test]
async fn a_malformed_answer_is_refused() {
    let server = TestServer::start().await;
    let client = common::client(&server).await;
    for (fault, member) in [
        (TokenFault::MissingAccessToken, "access_token"),
        (TokenFault::EmptyAccessToken, "access_token"),
        (TokenFault::AccessTokenWithLineBreak, "access_token"),
        (TokenFault::DuplicateMember, ""),
        (TokenFault::Scope("accounts\u{7}".to_owned()), "scope"),
    ] {
        let error = refused_after(&client, &server, fault).await;
        assert_eq!(error.violation(), Some(&malformed(member)));
    }
    for (member, value) in [
        ("access_token", json!(7)),
        ("refresh_token", json!("")),
        ("refresh_token", json!({})),
        ("id_token", json!(["x"])),
        ("scope", json!(["accounts"])),
        ("authorization_details", json!({"type": "x"})),
    ] {
        server.mutate_token_response(move |body| body[member] = value.clone());
        let error = refused(&client, &server).await;
        assert_eq!(error.violation(), Some(&malformed(member)));
        server.behave();
    }
    for body in ["", "[]", "{", "{}{}", "null", "\u{feff}{}"] {
        let answer = Answer::status(200)
            .header("content-type", "application/json")
            .body(body);
        let error = refused_answer(&client, &server, answer).await;
        assert_eq!(error.violation(), Some(&malformed("")), "{body:?}");
    }
}

/// R6749-5.1c: members that nobody knows are passed over.
#[tokio::test]
async fn unknown_members_are_ignored() {
    let server = TestServer::start().await;
    server.mutate_token_response(|body| {
        body["refresh_expires_in"] = json!(0);
        body["not-before-policy"] = json!({"deep": [{"er": null}]});
        body["token_type_hint"] = json!("Bearer");
    });
    let session = common::log_in(&server, "alice").await.unwrap();
    call(&session, &server).await;
}

/// SP-5.3.3.1-6, R6749-6: a refresh token comes back byte for byte, and no scope goes with it.
#[tokio::test]
async fn a_refresh_token_is_kept_byte_for_byte() {
    let odd = r#"a+b/c=%41&x=1?#"\~.!*'(){}[]|^`;:,<>@$_-"#;
    let server = TestServer::start().await;
    server.mutate_token_response(move |body| body["refresh_token"] = odd.into());
    let session = common::log_in(&server, "alice").await.unwrap();
    // The server never gave that token, and says so.
    let error = session.refresh().await.unwrap_err();
    assert_eq!(error.code(), "sign_in_again.refresh_token_refused");

    let requests = server.requests_to(Endpoint::Token);
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[1].form_value("refresh_token"), Some(odd));
    assert_eq!(requests[1].form_values("scope"), Vec::<String>::new());
}

/// R6749-4.1.3, SP-5.3.2.2-9, SEC-6.4, OFTEN-14: a code is redeemed once; the same callback again is
/// refused here, and nothing goes out.
#[tokio::test]
async fn a_code_is_redeemed_once() {
    let server = TestServer::start().await;
    let client = common::client(&server).await;
    let login = common::begin(&client).await;
    let callback = server.browser("alice").approve(login.url().as_str()).await;
    client
        .finish_login(login.transaction(), callback.as_str())
        .await
        .unwrap();
    let token = &server.requests_to(Endpoint::Token)[0];
    assert_eq!(
        token.form_names(),
        [
            "grant_type",
            "code",
            "redirect_uri",
            "code_verifier",
            "client_id",
            "client_assertion_type",
            "client_assertion"
        ]
    );
    assert_eq!(token.form_value("redirect_uri"), Some(common::REDIRECT_URI));

    let error = client
        .finish_login(login.transaction(), callback.as_str())
        .await
        .unwrap_err();
    assert_eq!(error.violation(), Some(&Violation::NoSuchLogin));
    assert_eq!(server.count(Endpoint::Token), 1);
}

/// SP-5.3.2.3: who asks for `openid` gets an ID token, or no session.
#[tokio::test]
async fn openid_promises_an_id_token() {
    let server = TestServer::start().await;
    let client = common::client(&server).await;
    let error = refused_after(&client, &server, TokenFault::WithoutIdToken).await;
    assert_eq!(error.violation(), Some(&Violation::MissingIdToken));

    // Without `openid` none is promised, and the session has no user.
    let login = client.login().scope("accounts").start().await.unwrap();
    let callback = server.browser("alice").approve(login.url().as_str()).await;
    let session = client
        .finish_login(login.transaction(), callback)
        .await
        .unwrap();
    assert_eq!(session.subject(), None);
    assert!(session.id_token().is_none());
    call(&session, &server).await;
}

/// R6749-5.1c: the granted scope is shown; where none is named it is the one that was asked for.
#[tokio::test]
async fn the_granted_scope_is_shown() {
    let server = TestServer::start().await;
    let client = common::client(&server).await;
    for (granted, shown) in [
        (None, "openid accounts"),
        (Some("openid"), "openid"),
        (Some("accounts payments openid"), "accounts payments openid"),
        (Some(""), ""),
    ] {
        server.mutate_token_response(move |body| {
            body["scope"] = granted.map_or(Value::Null, Value::from);
        });
        let session = common::log_in_with(&client, &server, "alice")
            .await
            .unwrap();
        assert_eq!(session.scope().unwrap().as_deref(), Some(shown));
        server.behave();
    }
}

/// RAR-7: what was asked for in detail is answered in detail, and shown as it was granted.
#[tokio::test]
async fn granted_details_are_shown_and_missing_ones_refused() {
    let server = TestServer::start().await;
    let client = common::client(&server).await;
    let detail = || AuthorizationDetail::new("payment_initiation").with("amount", "10.00");
    let log_in = async || {
        let login = client
            .login()
            .scope("openid accounts")
            .authorization_detail(detail())
            .start()
            .await
            .unwrap();
        let callback = server.browser("alice").approve(login.url().as_str()).await;
        client.finish_login(login.transaction(), callback).await
    };
    let granted = vec![json!({"type": "payment_initiation", "amount": "10.00"})];
    let session = log_in().await.unwrap();
    assert_eq!(session.authorization_details().unwrap(), Some(granted));

    // The user may have chosen less.
    let less = json!([{"type": "payment_initiation", "amount": "5.00"}]);
    let answer = less.clone();
    server.mutate_token_response(move |body| body["authorization_details"] = answer.clone());
    let session = log_in().await.unwrap();
    assert_eq!(
        session.authorization_details().unwrap().map(Value::from),
        Some(less)
    );
    server.behave();

    server.forget_requests();
    server.misbehave(TokenFault::WithoutAuthorizationDetails);
    let error = log_in().await.unwrap_err();
    assert_eq!(
        error.violation(),
        Some(&Violation::MissingAuthorizationDetails)
    );
    assert_eq!(server.count(Endpoint::Token), 1);
    assert_eq!(server.count(Endpoint::Api), 0);
}
