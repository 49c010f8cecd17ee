//! ID tokens that come with a refresh (OIDC Core section 12.2).

use fapi_client::{Error, JwtFault, Session, SignInAgain, Violation};
use fapi_testkit::{Endpoint, IdTokenFault as F, TestClock, TestServer};
use serde_json::json;

use super::{Mutator, NOW, broken, set};
use crate::common;

/// Refresh tokens rotate here, so that one can be lost.
async fn server() -> TestServer {
    TestServer::builder()
        .clock(TestClock::at(NOW))
        .refresh_rotation(true)
        .start()
        .await
}

async fn call(session: &Session, server: &TestServer) -> String {
    session
        .get(format!("{}/accounts", server.api()))
        .send()
        .await
        .unwrap()
        .error_for_status()
        .unwrap();
    let request = server.requests_to(Endpoint::Api).pop().unwrap();
    request.header("authorization").unwrap().to_owned()
}

/// The refresh token that the last token request carried.
fn sent(server: &TestServer) -> String {
    let request = server.requests_to(Endpoint::Token).pop().unwrap();
    request.form_value("refresh_token").unwrap().to_owned()
}

/// IDT-12.2: another user's tokens end the session, and none of its tokens goes anywhere again.
#[tokio::test]
async fn another_user_ends_the_session() {
    let server = server().await;
    let client = common::client(&server).await;
    let session = common::log_in_with(&client, &server, "alice")
        .await
        .unwrap();
    server.misbehave(F::WrongSubject);
    let error = session.refresh().await.unwrap_err();
    assert_eq!(error.violation(), Some(&Violation::SubjectChanged));

    // The tokens of both are given back.
    assert_eq!(server.count(Endpoint::Revocation), 2);
    server.behave();
    server.forget_requests();
    for error in [
        session.refresh().await.unwrap_err(),
        session
            .get(format!("{}/accounts", server.api()))
            .send()
            .await
            .unwrap_err(),
        session.userinfo().await.unwrap_err(),
    ] {
        assert!(matches!(
            error,
            Error::SignInAgain(SignInAgain::SubjectChanged)
        ));
    }
    assert!(server.requests().is_empty());
    assert_eq!(
        client.session(session.id()).await.unwrap_err().code(),
        "store.no_such_session"
    );
    assert!(client.sessions_of("alice").await.unwrap().is_empty());
}

/// IDT-12.2, MS-5.6.2-1, R6749-6: an ID token that can't be verified stops its access token, and not
/// the new refresh token: the next refresh goes on with that one.
#[tokio::test]
async fn a_bad_token_is_refused_and_the_refresh_token_kept() {
    let server = server().await;
    let session = common::log_in(&server, "alice").await.unwrap();
    let before = call(&session, &server).await;
    let mut last = None;
    for (fault, expected) in [
        (F::BadSignature, JwtFault::Signature),
        (F::Rs256, JwtFault::Algorithm),
        (F::WrongIssuer, JwtFault::Issuer),
        (F::WrongAudience, JwtFault::Audience),
        (F::ExtraAudience, JwtFault::FurtherAudience),
        (F::Expired, JwtFault::Expired),
        (F::OldIssuedAt, JwtFault::IssuedTooLongAgo),
        (F::MissingIssuedAt, JwtFault::MissingClaim("iat")),
        (F::WrongNonce, JwtFault::Nonce),
        (F::OldAuthTime(60), JwtFault::AuthTime),
        (F::MissingSubject, JwtFault::MissingClaim("sub")),
        (F::WrongAccessTokenHash, JwtFault::AccessTokenHash),
        (F::WrongType, JwtFault::Type),
        (F::Garbage, JwtFault::Malformed),
    ] {
        server.misbehave(fault);
        let error = session.refresh().await.unwrap_err();
        assert_eq!(error.violation(), Some(&broken(expected)));
        server.behave();
        // Each refresh came with the token that the one before brought.
        assert_ne!(last, Some(sent(&server)));
        last = Some(sent(&server));
        assert_eq!(call(&session, &server).await, before);
    }
    session.refresh().await.unwrap();
    assert_ne!(last, Some(sent(&server)));
    assert_ne!(call(&session, &server).await, before);
    assert_eq!(server.tokens_used_twice(), Vec::<String>::new());
}

/// IDT-12.2: what may stand in a refreshed ID token, or be left out. None at all is fine.
#[tokio::test]
async fn a_right_token_is_taken() {
    let server = server().await;
    let session = common::log_in(&server, "alice").await.unwrap();
    let nonce = session.id_token().unwrap().get("nonce").unwrap().clone();
    // The same nonce as at the login.
    server.mutate_id_token(move |_, claims| set(claims, "nonce", nonce.clone()));
    session.refresh().await.unwrap();
    server.behave();
    let rows: [Mutator; 3] = [
        |_, c| drop(c.remove("auth_time")),
        |_, c| drop(c.remove("at_hash")),
        |_, c| {
            set(
                c,
                "auth_time",
                serde_json::from_str("1800000000.5").unwrap(),
            );
        },
    ];
    for mutate in rows {
        server.mutate_id_token(mutate);
        session.refresh().await.unwrap();
        server.behave();
    }
    server.mutate_token_response(|body| {
        body.as_object_mut().unwrap().remove("id_token");
    });
    session.refresh().await.unwrap();
    // The session shows what the login said.
    assert_eq!(
        session.id_token().unwrap().auth_time().unwrap().seconds(),
        NOW
    );
}

/// IDT-12.2: the time of the login is that of the login, also where it was told with a fraction.
#[tokio::test]
async fn the_time_of_the_login_stays() {
    let server = server().await;
    server.misbehave(F::FractionalDates);
    let session = common::log_in(&server, "alice").await.unwrap();
    server.behave();
    session.refresh().await.unwrap();
    server.mutate_id_token(|_, claims| set(claims, "auth_time", json!(NOW + 1)));
    let error = session.refresh().await.unwrap_err();
    assert_eq!(error.violation(), Some(&broken(JwtFault::AuthTime)));
}

/// IDT-11: a session that had no nonce of its own gets none by a refresh.
#[tokio::test]
async fn a_nonce_out_of_nowhere_is_refused() {
    let server = server().await;
    let session = common::log_in(&server, "alice").await.unwrap();
    for nonce in [json!(""), json!("planted")] {
        server.mutate_id_token(move |_, claims| set(claims, "nonce", nonce.clone()));
        let error = session.refresh().await.unwrap_err();
        assert_eq!(error.violation(), Some(&broken(JwtFault::Nonce)));
        server.behave();
    }
}

/// ERR-10, ERR-12: while ID tokens can't be verified, no call begins a refresh of its own each time.
#[tokio::test]
async fn the_background_lets_the_server_rest() {
    let server = server().await;
    let session = common::log_in(&server, "alice").await.unwrap();
    server.misbehave(F::BadSignature);
    // Less than 30 seconds of life: it is renewed in the background.
    server.clock().advance(std::time::Duration::from_secs(280));
    server.forget_requests();
    call(&session, &server).await;
    server.wait_for(Endpoint::Token, 1).await;
    // Joins the run in the background, or finds it ended.
    let error = session.refresh().await.unwrap_err();
    assert_eq!(error.violation(), Some(&broken(JwtFault::Signature)));
    let asked = server.count(Endpoint::Token);
    for _ in 0..5 {
        call(&session, &server).await;
    }
    assert_eq!(server.count(Endpoint::Token), asked);
}
