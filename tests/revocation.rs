//! What the server is told when a session ends (RFC 7009).

use std::time::Duration;

use fapi_client::{Denied, Error, Session, SignInAgain, TransportFault};
use fapi_testkit::{Answer, Endpoint, Fault, TestServer, TokenFault};

use crate::common;

/// A session, and its tokens as the server issued them.
struct Begun {
    session: Session,
    refresh_token: String,
    access_token: String,
}

async fn begin(server: &TestServer) -> Begun {
    let session = common::log_in(server, "alice").await.unwrap();
    let call = session.get(format!("{}/accounts", server.api()));
    call.send().await.unwrap().error_for_status().unwrap();
    session.refresh().await.unwrap();
    let refresh = server.requests_to(Endpoint::Token).pop().unwrap();
    let refresh_token = refresh.form_value("refresh_token").unwrap().to_owned();
    let call = session.get(format!("{}/accounts", server.api()));
    call.send().await.unwrap().error_for_status().unwrap();
    let call = server.requests_to(Endpoint::Api).pop().unwrap();
    let access_token = call.header("authorization").unwrap();
    let access_token = access_token.strip_prefix("DPoP ").unwrap().to_owned();
    assert!(server.is_live(&refresh_token) && server.is_live(&access_token));
    server.forget_requests();
    Begun {
        session,
        refresh_token,
        access_token,
    }
}

/// The tokens that the server was told to forget, with their hints.
fn told(server: &TestServer) -> Vec<(String, String)> {
    let value = |request: &fapi_testkit::Request, name: &str| {
        request.form_value(name).unwrap_or_default().to_owned()
    };
    server
        .requests_to(Endpoint::Revocation)
        .iter()
        .map(|request| (value(request, "token_type_hint"), value(request, "token")))
        .collect()
}

fn of_refresh_token(begun: &Begun) -> (String, String) {
    ("refresh_token".to_owned(), begun.refresh_token.clone())
}

fn of_access_token(begun: &Begun) -> (String, String) {
    ("access_token".to_owned(), begun.access_token.clone())
}

async fn assert_over(begun: &Begun) {
    let error = begun.session.refresh().await.unwrap_err();
    assert!(
        matches!(error, Error::SignInAgain(SignInAgain::LoggedOut)),
        "{error}"
    );
}

/// REV-2.1, REV-rt, CA-6: a form with the refresh token and its hint, authenticated as at the token
/// endpoint, and with the session's proof. The grant's access tokens go with it.
#[tokio::test]
async fn logout_revokes_the_refresh_token() {
    let server = TestServer::start().await;
    let begun = begin(&server).await;

    begun.session.logout().await.unwrap();

    assert_eq!(told(&server), [of_refresh_token(&begun)]);
    let request = server.requests_to(Endpoint::Revocation).pop().unwrap();
    assert_eq!(
        request.form_names(),
        [
            "token",
            "token_type_hint",
            "client_id",
            "client_assertion_type",
            "client_assertion"
        ]
    );
    assert_eq!(request.query(), None);
    let assertion = request.assertion().unwrap();
    assert_eq!(assertion.claim("aud"), server.issuer());
    let proof = request.proof().unwrap();
    assert_eq!(proof.claim("htm"), "POST");
    assert!(proof.claim("ath").is_null(), "no access token goes along");
    assert!(!server.is_live(&begun.refresh_token));
    assert!(!server.is_live(&begun.access_token));
    assert_over(&begun).await;
    assert_eq!(server.tokens_used_twice(), Vec::<String>::new());
}

/// REV-rt: without a refresh token there is still the access token to revoke.
#[tokio::test]
async fn a_session_without_a_refresh_token() {
    let server = TestServer::start().await;
    server.misbehave(Fault::Token(TokenFault::WithoutRefreshToken));
    let session = common::log_in(&server, "alice").await.unwrap();

    session.logout().await.unwrap();

    let told = told(&server);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].0, "access_token");
    assert!(!server.is_live(&told[0].1));
}

/// REV-2.2: 200 is the end of it, whatever the body says.
#[tokio::test]
async fn the_body_of_a_success_says_nothing() {
    for answer in [
        Answer::status(200),
        Answer::html(200),
        Answer::error(200, "invalid_token"),
        Answer::status(200).header("content-type", "application/json"),
    ] {
        let server = TestServer::start().await;
        let begun = begin(&server).await;
        server.answer_next(Endpoint::Revocation, answer);

        begun.session.logout().await.unwrap();
        begun.session.logout().await.unwrap();

        assert_eq!(told(&server), [of_refresh_token(&begun)]);
        assert_over(&begun).await;
    }
}

/// REV-2.2: a token that the server does not know is as good as revoked.
#[tokio::test]
async fn an_unknown_token_is_revoked() {
    let server = TestServer::start().await;
    server.mutate_token_response(|body| body["refresh_token"] = "unheard-of".into());
    let session = common::log_in(&server, "alice").await.unwrap();

    session.logout().await.unwrap();
    session.logout().await.unwrap();

    let unknown = ("refresh_token".to_owned(), "unheard-of".to_owned());
    assert_eq!(told(&server), [unknown]);
}

/// REV-2.2.1: what the server could not take is kept and told again at the next call, the same token;
/// nothing else goes out, and the session has ended here all the same.
#[tokio::test]
async fn a_server_that_can_not_take_it_is_told_again() {
    for (answer, code) in [
        (
            Answer::status(503).header("retry-after", "7"),
            "transport.unavailable",
        ),
        (Answer::status(500), "transport.unavailable"),
        (Answer::error(429, "slow_down"), "transport.unavailable"),
        (
            Answer::error(400, "temporarily_unavailable"),
            "denied.server",
        ),
        (Answer::refuse_connection(), "transport.broken"),
    ] {
        let server = TestServer::start().await;
        let begun = begin(&server).await;
        server.answer_next(Endpoint::Revocation, answer);

        let error = begun.session.logout().await.unwrap_err();

        assert_eq!(error.code(), code);
        assert!(error.retry_may_help(), "{error}");
        assert_eq!(told(&server), [of_refresh_token(&begun)]);
        assert_over(&begun).await;
        assert_eq!(server.count(Endpoint::Token), 0);

        begun.session.logout().await.unwrap();
        begun.session.logout().await.unwrap();

        let once = of_refresh_token(&begun);
        assert_eq!(told(&server), [once.clone(), once]);
        assert!(!server.is_live(&begun.refresh_token));
        assert_eq!(server.tokens_used_twice(), Vec::<String>::new());
    }
}

/// REV-2.2.1, ERR-12: `Retry-After` is handed up.
#[tokio::test]
async fn the_wait_is_handed_up() {
    let server = TestServer::start().await;
    let begun = begin(&server).await;
    let busy = Answer::status(503).header("retry-after", "7");
    server.answer_next(Endpoint::Revocation, busy);

    let error = begun.session.logout().await.unwrap_err();

    let Error::Transport(error) = error else {
        panic!("{error}")
    };
    assert_eq!(
        error.fault,
        TransportFault::Unavailable {
            status: 503,
            retry_after: Some(Duration::from_secs(7)),
        }
    );
}

/// REV-2.2.1, REV-rt: a server that refuses to revoke the refresh token is told of the access token
/// instead, and is not asked again.
#[tokio::test]
async fn a_refused_refresh_token_leaves_the_access_token() {
    for (status, word) in [
        (400, "unsupported_token_type"),
        (400, "invalid_token"),
        (400, "invalid_dpop_proof"),
        (403, "access_denied"),
    ] {
        let server = TestServer::start().await;
        let begun = begin(&server).await;
        server.answer_next(Endpoint::Revocation, Answer::error(status, word));

        begun.session.logout().await.unwrap();
        begun.session.logout().await.unwrap();

        assert_eq!(
            told(&server),
            [of_refresh_token(&begun), of_access_token(&begun)],
            "{word}"
        );
        assert!(!server.is_live(&begun.access_token), "{word}");
        assert_over(&begun).await;
        assert_eq!(server.tokens_used_twice(), Vec::<String>::new());
    }
}

/// REV-2.2.1: where nothing could be revoked, the error is the server's first word, and its last.
#[tokio::test]
async fn two_refusals_are_an_error_once() {
    let server = TestServer::start().await;
    let begun = begin(&server).await;
    for word in ["unsupported_token_type", "invalid_request"] {
        server.answer_next(Endpoint::Revocation, Answer::error(400, word));
    }

    let error = begun.session.logout().await.unwrap_err();

    match &error {
        Error::Denied(Denied::Server(refusal)) => {
            assert_eq!(refusal.error(), "unsupported_token_type");
            assert_eq!(refusal.endpoint(), fapi_client::Endpoint::Revocation);
        }
        error => panic!("{error}"),
    }
    assert!(!error.retry_may_help());
    assert_over(&begun).await;
    begun.session.logout().await.unwrap();
    assert_eq!(server.count(Endpoint::Revocation), 2);
}

/// REV-2.2.1: after a refusal the access token is what is kept for another try.
#[tokio::test]
async fn a_refused_refresh_token_is_not_sent_again() {
    let server = TestServer::start().await;
    let begun = begin(&server).await;
    let refused = Answer::error(400, "unsupported_token_type");
    server.answer_next(Endpoint::Revocation, refused);
    server.answer_next(Endpoint::Revocation, Answer::status(503));

    let error = begun.session.logout().await.unwrap_err();
    assert_eq!(error.code(), "transport.unavailable");
    begun.session.logout().await.unwrap();

    let access_token = of_access_token(&begun);
    assert_eq!(
        told(&server),
        [of_refresh_token(&begun), access_token.clone(), access_token]
    );
    assert!(!server.is_live(&begun.access_token));
}

/// REV-rt, DPOP-8a: a nonce that the revocation endpoint asks for costs one more send, with a new proof
/// and a new assertion.
#[tokio::test]
async fn a_nonce_for_a_revocation() {
    let server = TestServer::start().await;
    let begun = begin(&server).await;
    let challenge = Answer::error(400, "use_dpop_nonce").header("dpop-nonce", "fresh-one");
    server.answer_next(Endpoint::Revocation, challenge);

    begun.session.logout().await.unwrap();

    let once = of_refresh_token(&begun);
    assert_eq!(told(&server), [once.clone(), once]);
    let sent = server.requests_to(Endpoint::Revocation);
    assert_eq!(sent[1].proof().unwrap().claim("nonce"), "fresh-one");
    assert_eq!(server.tokens_used_twice(), Vec::<String>::new());
}

/// REV-rt: tokens that arrive after the logout are given back as well.
#[tokio::test]
async fn a_refresh_that_ends_after_the_logout() {
    let server = TestServer::builder().refresh_rotation(true).start().await;
    let session = common::log_in(&server, "alice").await.unwrap();
    server.forget_requests();
    let hold = server.hold(Endpoint::Token);
    let refreshing = tokio::spawn({
        let session = session.clone();
        async move { session.refresh().await }
    });
    server.wait_for(Endpoint::Token, 1).await;
    // The server does not take the old token back: only so does the refresh bring a new one.
    server.answer_next(Endpoint::Revocation, Answer::status(200));
    session.logout().await.unwrap();
    hold.release();

    let error = refreshing.await.unwrap().unwrap_err();

    assert!(
        matches!(error, Error::SignInAgain(SignInAgain::LoggedOut)),
        "{error}"
    );
    let told = told(&server);
    assert_eq!(told.len(), 2);
    assert_ne!(told[0].1, told[1].1);
    assert_eq!(told[1].0, "refresh_token");
    assert!(!server.is_live(&told[1].1));
}

/// REV-rt: a server without a revocation endpoint can't be told; the session ends here, and that is no
/// error of anybody's.
#[tokio::test]
async fn a_server_without_the_endpoint() {
    let server = TestServer::start().await;
    server.mutate_metadata(|document| {
        document
            .as_object_mut()
            .unwrap()
            .remove("revocation_endpoint");
    });
    let session = common::log_in(&server, "alice").await.unwrap();

    session.logout().await.unwrap();

    assert_eq!(
        session.refresh().await.unwrap_err().code(),
        "sign_in_again.logged_out"
    );
    assert_eq!(server.count(Endpoint::Revocation), 0);
}

/// REV-2.2.1, ERR-12: what the server could not be told is told when the next login begins, though nobody
/// holds the session any more.
#[tokio::test]
async fn a_revocation_that_failed_is_made_up_for() {
    let server = TestServer::start().await;
    let client = common::client(&server).await;
    let session = common::log_in_with(&client, &server, "alice")
        .await
        .unwrap();
    server.answer_next(Endpoint::Revocation, Answer::status(503));
    let error = session.logout().await.unwrap_err();
    assert_eq!(error.code(), "transport.unavailable");
    drop(session);

    common::begin(&client).await;
    server.wait_for(Endpoint::Revocation, 2).await;

    let told: Vec<_> = server
        .requests_to(Endpoint::Revocation)
        .iter()
        .map(|request| request.form_value("token").unwrap().to_owned())
        .collect();
    assert_eq!(told[0], told[1]);
}
