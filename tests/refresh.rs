//! Renewing tokens: when, how often, and what is left after each failure.

mod lost;
mod single;

use std::time::Duration;

use fapi_client::{
    Client, Denied, Error, Session, SignInAgain, StoreError, TransportFault, Violation,
};
use fapi_testkit::{
    Answer, Endpoint, IdTokenFault, Nonces, ServerBuilder, TestClock, TestServer, TokenFault,
};

use crate::common;

/// A server whose clock stands still, whose tokens live 300 s, and which asks for no nonces.
fn still() -> ServerBuilder {
    TestServer::builder()
        .clock(TestClock::at(1_800_000_000))
        .nonces(Nonces::Off)
}

/// A session with no request on record.
async fn session(server: &TestServer) -> (Client, Session) {
    let client = common::client(server).await;
    let session = common::log_in_with(&client, server, "alice").await.unwrap();
    server.forget_requests();
    (client, session)
}

fn advance(server: &TestServer, seconds: u64) {
    server.clock().advance(Duration::from_secs(seconds));
}

fn refresh_tokens(server: &TestServer) -> Vec<String> {
    server
        .requests_to(Endpoint::Token)
        .iter()
        .map(|request| request.form_value("refresh_token").unwrap().to_owned())
        .collect()
}

fn access_tokens(server: &TestServer) -> Vec<String> {
    server
        .requests_to(Endpoint::Api)
        .iter()
        .map(|request| request.header("authorization").unwrap().to_owned())
        .collect()
}

fn sign_in_again(error: Error) -> SignInAgain {
    match error {
        Error::SignInAgain(cause) => cause,
        other => panic!("{other:?}"),
    }
}

/// The session is gone: its id finds nothing, and every use of a handle names the cause without I/O.
async fn assert_gone(server: &TestServer, client: &Client, session: &Session, cause: &SignInAgain) {
    let before = server.requests().len();
    let error = common::get(session, server, "/accounts").await.unwrap_err();
    assert_eq!(&sign_in_again(error), cause);
    assert_eq!(&sign_in_again(session.refresh().await.unwrap_err()), cause);
    assert_eq!(&session.scope().unwrap_err(), cause);
    assert!(matches!(
        client.session(session.id()).await,
        Err(Error::Store(StoreError::NoSuchSession))
    ));
    assert!(client.sessions_of("alice").await.unwrap().is_empty());
    assert_eq!(server.requests().len(), before);
}

/// R6749-6, R6749-3.2, SP-5.3.3.1-5: what a refresh sends, and nothing else: no scope, so none wider
/// than the granted one.
#[tokio::test]
async fn the_form_of_a_refresh() {
    let server = still().start().await;
    let (_, session) = session(&server).await;
    session.refresh().await.unwrap();
    let request = &server.requests_to(Endpoint::Token)[0];
    let mut names = request.form_names();
    names.sort_unstable();
    let expected = [
        "client_assertion",
        "client_assertion_type",
        "client_id",
        "grant_type",
        "refresh_token",
    ];
    assert_eq!(names, expected);
    assert_eq!(request.form_value("grant_type"), Some("refresh_token"));
    let assertion = request.assertion().unwrap();
    assert_eq!(assertion.claim("aud"), server.issuer());
}

/// R6749-5.1b: a token that lives is used as it is; a token without `expires_in` too, for ever.
#[tokio::test]
async fn a_living_token_is_not_renewed() {
    let server = still().start().await;
    let (_, session) = session(&server).await;
    advance(&server, 269);
    common::get(&session, &server, "/accounts").await.unwrap();
    assert_eq!(server.count(Endpoint::Token), 0);

    let server = still()
        .without_expires_in()
        .access_token_life(Duration::from_secs(1 << 40));
    let server = server.start().await;
    let (_, session) = super::refresh::session(&server).await;
    assert_eq!(session.expires_at(), Ok(None));
    advance(&server, 10_000_000);
    common::get(&session, &server, "/accounts").await.unwrap();
    assert_eq!(server.count(Endpoint::Token), 0);
}

/// SP-5.3.3.1-6, SP-5.3.2.1-9, R6749-6, OFTEN-15: without a new refresh token the old one stays, byte for
/// byte; with one, the new one takes its place. A refresh that is asked for twice is made twice.
#[tokio::test]
async fn a_refresh_token_is_kept_or_replaced() {
    for rotation in [false, true] {
        let server = still().refresh_rotation(rotation).start().await;
        let (_, session) = session(&server).await;
        for _ in 0..3 {
            session.refresh().await.unwrap();
            common::get(&session, &server, "/accounts").await.unwrap();
        }
        let tokens = refresh_tokens(&server);
        assert_eq!(tokens.len(), 3);
        assert_eq!(tokens[0] == tokens[1], !rotation);
        assert_eq!(tokens[1] == tokens[2], !rotation);
        assert!(server.tokens_used_twice().is_empty());
        let used = access_tokens(&server);
        assert!(used[0] != used[1] && used[1] != used[2]);
        common::assert_fresh(&server);
    }
}

/// R6749-6, R6749-5.1c: what the answer says of scope and life holds from then on.
#[tokio::test]
async fn a_refresh_may_narrow_what_was_granted() {
    let server = still().start().await;
    let (_, session) = session(&server).await;
    assert_eq!(session.scope(), Ok(Some("openid accounts".to_owned())));
    server.misbehave_times(TokenFault::Scope("openid".to_owned()), 1);
    session.refresh().await.unwrap();
    assert_eq!(session.scope(), Ok(Some("openid".to_owned())));
    advance(&server, 100);
    session.refresh().await.unwrap();
    let expires_at = session.expires_at().unwrap().unwrap();
    assert_eq!(expires_at.seconds(), server.clock().now() + 300);
}

/// ERR-8, BCP-4.14: `invalid_grant` ends the session, after one request.
#[tokio::test]
async fn a_refused_refresh_token_ends_the_session() {
    let server = still().start().await;
    let (client, session) = session(&server).await;
    server.revoke_refresh_tokens();
    let cause = SignInAgain::RefreshTokenRefused;
    assert_eq!(sign_in_again(session.refresh().await.unwrap_err()), cause);
    assert_eq!(server.requests().len(), 1);
    assert_gone(&server, &client, &session, &cause).await;
}

/// ERR-9, ERR-12: other refusals, and a server that is down, are no verdict on the session: its tokens
/// stay, and one request was made.
#[tokio::test]
async fn other_failures_lose_nothing() {
    let unavailable = |status, wait: Option<u64>| TransportFault::Unavailable {
        status,
        retry_after: wait.map(Duration::from_secs),
    };
    let server = still().start().await;
    let (client, session) = session(&server).await;
    let rows = [
        (
            Answer::status(503).header("retry-after", "3"),
            Some(unavailable(503, Some(3))),
        ),
        (
            Answer::error(500, "invalid_grant"),
            Some(unavailable(500, None)),
        ),
        (
            Answer::error(429, "slow_down"),
            Some(unavailable(429, None)),
        ),
        (Answer::error(400, "invalid_scope"), None),
        (Answer::error(401, "invalid_client"), None),
    ];
    for (answer, fault) in rows {
        server.forget_requests();
        server.answer_next(Endpoint::Token, answer);
        match (session.refresh().await.unwrap_err(), fault) {
            (Error::Transport(error), Some(fault)) => {
                assert_eq!(error.fault, fault);
                assert_eq!(error.endpoint, Some(fapi_client::Endpoint::Token));
            }
            (Error::Denied(Denied::Server(_)), None) => {}
            (error, _) => panic!("{error:?}"),
        }
        assert_eq!(server.requests().len(), 1);
        assert_eq!(
            client.session(session.id()).await.unwrap().id(),
            session.id()
        );
        common::get(&session, &server, "/accounts").await.unwrap();
        session.refresh().await.unwrap();
    }
    assert!(server.tokens_used_twice().is_empty());
}

/// DPOP-5b, R6749-5.1a, OFTEN-6: a refresh that answers with a token of another type brings nothing.
#[tokio::test]
async fn a_downgrade_at_refresh_is_refused() {
    let server = still().start().await;
    let (_, session) = session(&server).await;
    common::get(&session, &server, "/accounts").await.unwrap();
    server.misbehave_times(TokenFault::Bearer, 1);
    let error = session.refresh().await.unwrap_err();
    assert_eq!(error.violation(), Some(&Violation::TokenTypeDowngrade));
    common::get(&session, &server, "/accounts").await.unwrap();
    let used = access_tokens(&server);
    assert_eq!(used[0], used[1]);
}

/// IDT-12.2, OFTEN-11: another user's tokens end the session, and none of them is used.
#[tokio::test]
async fn another_users_tokens_end_the_session() {
    let server = still().start().await;
    let (client, session) = session(&server).await;
    server.misbehave(IdTokenFault::WrongSubject);
    let error = session.refresh().await.unwrap_err();
    assert_eq!(error.violation(), Some(&Violation::SubjectChanged));
    assert_eq!(server.count(Endpoint::Api), 0);
    assert_gone(&server, &client, &session, &SignInAgain::SubjectChanged).await;
}

/// MS-5.6.2-1, SP-5.3.3.1-6: a refresh whose ID token does not hold changes nothing but the refresh token,
/// which the server has rotated, and the server is left alone for a while.
#[tokio::test]
async fn a_bad_id_token_at_refresh_loses_no_refresh_token() {
    let server = still().refresh_rotation(true).start().await;
    let (_, session) = session(&server).await;
    common::get(&session, &server, "/accounts").await.unwrap();
    advance(&server, 280);
    server.misbehave_times(IdTokenFault::WrongAudience, 1);
    let error = session.refresh().await.unwrap_err();
    assert_eq!(error.code(), "violation.jwt");
    for _ in 0..3 {
        common::get(&session, &server, "/accounts").await.unwrap();
    }
    assert_eq!(
        server.count(Endpoint::Token),
        1,
        "no storm in the background"
    );
    session.refresh().await.unwrap();
    common::get(&session, &server, "/accounts").await.unwrap();
    let tokens = refresh_tokens(&server);
    assert_ne!(tokens[0], tokens[1]);
    assert!(server.tokens_used_twice().is_empty());
    let used = access_tokens(&server);
    assert!(used[..4].iter().all(|token| *token == used[0]));
    assert_ne!(used[4], used[0]);
}

/// R6749-5.1b, ERR-3: without a refresh token a session ends with its access token, and nothing is sent.
#[tokio::test]
async fn without_a_refresh_token_a_session_ends_with_its_token() {
    let server = still().start().await;
    server.misbehave(TokenFault::WithoutRefreshToken);
    let (_, session) = session(&server).await;
    advance(&server, 299);
    common::get(&session, &server, "/accounts").await.unwrap();
    advance(&server, 1);
    server.forget_requests();
    let error = common::get(&session, &server, "/accounts")
        .await
        .unwrap_err();
    assert_eq!(sign_in_again(error), SignInAgain::NoRefreshToken);
    let error = session.refresh().await.unwrap_err();
    assert_eq!(sign_in_again(error), SignInAgain::NoRefreshToken);
    assert_eq!(server.requests().len(), 0);
}

/// DPOP-5a, SP-5.3.2.1-N2: a token of the client's own is asked for anew, with the same key and form.
#[tokio::test]
async fn a_token_of_the_clients_own_is_asked_for_anew() {
    let server = still().start().await;
    let client = common::client(&server).await;
    let service = client
        .client_credentials()
        .scope("accounts")
        .start()
        .await
        .unwrap();
    advance(&server, 301);
    let url = format!("{}/accounts", server.api());
    let answer: serde_json::Value = service.get(url).send().await.unwrap().json().unwrap();
    assert_eq!(answer["cnf"]["jkt"], service.key_thumbprint().unwrap());
    let requests = server.requests_to(Endpoint::Token);
    assert_eq!(requests.len(), 2);
    for request in &requests {
        assert_eq!(request.form_value("grant_type"), Some("client_credentials"));
        assert_eq!(request.form_value("scope"), Some("accounts"));
    }
    assert_eq!(service.scope(), Ok(Some("accounts".to_owned())));
}
