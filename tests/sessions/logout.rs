//! Ending a session, here and at the server.

use std::time::Duration;

use fapi_client::{Error, SignInAgain};
use fapi_testkit::{Answer, Endpoint, TestServer};
use http::Method;

use super::no_such_session;
use crate::common;

/// REV-2.1, REV-2.2, REV-rt, SP-5.3.3.1-5: logout forgets the session and has the refresh token revoked,
/// with the client's authentication; it takes the access token with it.
#[tokio::test]
async fn logout_revokes_the_refresh_token() {
    let server = TestServer::start().await;
    let session = common::log_in(&server, "alice").await.unwrap();
    session.refresh().await.unwrap();
    let refresh_token = server
        .requests_to(Endpoint::Token)
        .pop()
        .and_then(|request| request.form_value("refresh_token").map(str::to_owned))
        .unwrap();
    assert!(server.is_live(&refresh_token));
    session.logout().await.unwrap();
    let request = &server.requests_to(Endpoint::Revocation)[0];
    assert_eq!(request.method, Method::POST);
    assert_eq!(request.form_value("token"), Some(refresh_token.as_str()));
    assert_eq!(request.form_value("token_type_hint"), Some("refresh_token"));
    let assertion = request.assertion().unwrap();
    assert_eq!(assertion.claim("aud"), server.issuer());
    assert!(!server.is_live(&refresh_token));

    // A second logout has nothing left to say.
    session.logout().await.unwrap();
    assert_eq!(server.count(Endpoint::Revocation), 1);
    common::assert_fresh(&server);
}

/// REV-2.2.1, ERR-12, design (Sessions): the session ends here even if the server can't be told; logout can
/// be called again until it was.
#[tokio::test]
async fn a_revocation_that_failed_can_be_repeated() {
    let server = TestServer::start().await;
    let client = common::client(&server).await;
    let session = common::log_in_with(&client, &server, "alice")
        .await
        .unwrap();
    server.answer_next(
        Endpoint::Revocation,
        Answer::status(503).header("retry-after", "1"),
    );
    server.answer_next(Endpoint::Revocation, Answer::drop_connection());
    server.answer_next(
        Endpoint::Revocation,
        Answer::error(400, "unsupported_token_type"),
    );
    for code in ["transport.unavailable", "transport.broken"] {
        assert_eq!(session.logout().await.unwrap_err().code(), code);
        assert!(no_such_session(&client.session(session.id()).await));
        let error = common::get(&session, &server, "/accounts")
            .await
            .unwrap_err();
        assert!(matches!(error, Error::SignInAgain(SignInAgain::LoggedOut)));
    }
    assert_eq!(server.count(Endpoint::Api), 0);
    // A server that revokes no refresh tokens is given the access token instead.
    session.logout().await.unwrap();
    session.logout().await.unwrap();
    let sent: Vec<_> = server
        .requests_to(Endpoint::Revocation)
        .iter()
        .map(|request| {
            let value = |name: &str| request.form_value(name).unwrap().to_owned();
            (value("token_type_hint"), value("token"))
        })
        .collect();
    assert_eq!(sent.len(), 4);
    assert!(sent[..3].iter().all(|one| one == &sent[0]));
    assert_eq!(sent[0].0, "refresh_token");
    assert_eq!(sent[3].0, "access_token");
    assert!(!server.is_live(&sent[3].1));
    common::assert_fresh(&server);
}

/// SES-5: a refresh that is under way at logout revives nothing, and what it brings is revoked.
/// Who waits for it is told that the session was logged out.
#[tokio::test]
async fn logout_during_a_refresh_revives_nothing() {
    let server = TestServer::builder().refresh_rotation(true).start().await;
    let client = common::client(&server).await;
    let session = common::log_in_with(&client, &server, "alice")
        .await
        .unwrap();
    // The refresh is answered only after the session has ended, and the server is told of it later still.
    let token = server.hold(Endpoint::Token);
    let revocation = server.hold(Endpoint::Revocation);
    let (one, two) = (session.clone(), session.clone());
    let refreshing = tokio::spawn(async move { one.refresh().await });
    server.wait_for(Endpoint::Token, 2).await;
    let leaving = tokio::spawn(async move { two.logout().await });
    server.wait_for(Endpoint::Revocation, 1).await;
    token.release();
    server.wait_for(Endpoint::Revocation, 2).await;
    revocation.release();
    let error = refreshing.await.unwrap().unwrap_err();
    assert!(
        matches!(error, Error::SignInAgain(SignInAgain::LoggedOut)),
        "{error:?}"
    );
    leaving.await.unwrap().unwrap();
    assert!(no_such_session(&client.session(session.id()).await));
    let error = session.refresh().await.unwrap_err();
    assert_eq!(error.code(), "sign_in_again.logged_out");

    let old = server.requests_to(Endpoint::Token)[1]
        .form_value("refresh_token")
        .unwrap()
        .to_owned();
    let revoked: Vec<_> = server
        .requests_to(Endpoint::Revocation)
        .iter()
        .map(|request| request.form_value("token").unwrap().to_owned())
        .collect();
    assert_eq!(revoked[0], old);
    assert!(
        revoked.iter().any(|token| *token != old),
        "what the refresh brought"
    );
    assert!(revoked.iter().all(|token| !server.is_live(token)));
}

/// REV-2.2.1: the token that a late refresh brought is not forgotten because the revocation of the old
/// one succeeds meanwhile; the next logout revokes it.
#[tokio::test]
async fn a_token_that_came_late_is_not_forgotten() {
    let server = TestServer::builder().refresh_rotation(true).start().await;
    let session = common::log_in(&server, "alice").await.unwrap();
    // The old token's revocation is answered last, and whatever is sent meanwhile fails.
    let late = Answer::status(200).after(Duration::from_millis(300));
    server.answer_next(Endpoint::Revocation, late);
    server.answer_next(Endpoint::Revocation, Answer::status(503));
    server.answer_next(Endpoint::Revocation, Answer::status(503));
    let token = server.hold(Endpoint::Token);
    let (one, two) = (session.clone(), session.clone());
    let refreshing = tokio::spawn(async move { one.refresh().await });
    server.wait_for(Endpoint::Token, 2).await;
    let leaving = tokio::spawn(async move { two.logout().await });
    server.wait_for(Endpoint::Revocation, 1).await;
    token.release();
    let error = refreshing.await.unwrap().unwrap_err();
    assert_eq!(error.code(), "sign_in_again.logged_out");
    leaving.await.unwrap().unwrap();
    // On a slow machine one of the failures is still to come.
    let _ = session.logout().await;
    session.logout().await.unwrap();
    let revoked: Vec<_> = server
        .requests_to(Endpoint::Revocation)
        .iter()
        .map(|request| request.form_value("token").unwrap().to_owned())
        .collect();
    assert_ne!(revoked.first(), revoked.last());
    assert!(!server.is_live(&revoked[revoked.len() - 1]));
}

/// SP-5.3.2.1-9, ERR-8: a refresh that the server refuses because of the logout is no other failure.
#[tokio::test]
async fn a_refresh_that_comes_after_the_revocation_says_logged_out() {
    let server = TestServer::start().await;
    let session = common::log_in(&server, "alice").await.unwrap();
    let hold = server.hold(Endpoint::Token);
    let one = session.clone();
    let refreshing = tokio::spawn(async move { one.refresh().await });
    server.wait_for(Endpoint::Token, 2).await;
    session.logout().await.unwrap();
    hold.release();
    let error = refreshing.await.unwrap().unwrap_err();
    assert_eq!(error.code(), "sign_in_again.logged_out");
    assert_eq!(server.count(Endpoint::Revocation), 1);
}
