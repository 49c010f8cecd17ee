//! What a server may answer to a pushed request, and what becomes of everything else (PAR-2.2,
//! PAR-2.3).

use std::time::Duration;

use fapi_client::{
    Client, Denied, Endpoint as At, Error, OAuthError, TransportError, TransportFault, Violation,
};
use fapi_testkit::{Answer, Endpoint, Nonces, ParFault, TestClock, TestServer};
use serde_json::json;

use crate::common::{self, Watched};

const PAR: At = At::PushedAuthorizationRequest;

async fn server() -> TestServer {
    TestServer::builder()
        .clock(TestClock::at(1_800_000_000))
        .nonces(Nonces::Off)
        .start()
        .await
}

/// Begins a login, which must fail after one request.
async fn refused(client: &Client, server: &TestServer) -> Error {
    server.forget_requests();
    let error = client.login().scope("accounts").start().await.unwrap_err();
    let seen = server.requests();
    assert_eq!(seen.len(), 1, "{error:?}");
    assert_eq!(seen[0].endpoint, Endpoint::Par);
    error
}

fn malformed(member: &str) -> Violation {
    Violation::Answer {
        endpoint: PAR,
        member: member.to_owned(),
    }
}

/// PAR-2.2, SP-5.3.2.2-12, OFTEN-16, OP-8: success is 201 with a `request_uri` and a numeric
/// `expires_in`. Whatever lacks one of them is named.
#[tokio::test]
async fn a_success_is_whole() {
    let server = server().await;
    let client = common::client(&server).await;
    let status = Violation::Status {
        endpoint: PAR,
        status: 200,
    };
    let mut rows = vec![
        (ParFault::Status200, status),
        (ParFault::MissingRequestUri, malformed("request_uri")),
        (ParFault::MissingExpiresIn, malformed("expires_in")),
        (ParFault::Html, Violation::ContentType { endpoint: PAR }),
    ];
    for value in [
        json!("60"),
        json!(-1),
        json!(0),
        json!(1.5),
        json!(null),
        json!(true),
        json!([60]),
    ] {
        rows.push((ParFault::ExpiresIn(value), malformed("expires_in")));
    }
    for (fault, expected) in rows {
        server.behave();
        server.misbehave(fault.clone());
        let error = refused(&client, &server).await;
        assert_eq!(error.violation(), Some(&expected), "{fault:?}");
    }
    for value in [json!(""), json!(7), json!(null), json!(["urn:x"])] {
        server.behave();
        server.mutate_par_response(move |body| body["request_uri"] = value.clone());
        let error = refused(&client, &server).await;
        assert_eq!(error.violation(), Some(&malformed("request_uri")));
    }
    server.behave();
    // What was refused before leaves nothing behind.
    common::log_in_with(&client, &server, "alice")
        .await
        .unwrap();
}

/// PAR-2.2, JWT-json: a body that two readers could read in two ways is no answer.
#[tokio::test]
async fn a_body_that_is_no_single_object_is_refused() {
    let server = server().await;
    let client = common::client(&server).await;
    for body in [
        "",
        "[]",
        "null",
        r#"{"request_uri":"urn:a","expires_in":60"#,
        r#"{"request_uri":"urn:a","request_uri":"urn:b","expires_in":60}"#,
        r#"{"request_uri":"urn:a","expires_in":60}{}"#,
    ] {
        let answer = Answer::status(201).header("content-type", "application/json");
        server.answer_next(Endpoint::Par, answer.body(body));
        let error = refused(&client, &server).await;
        assert_eq!(error.violation(), Some(&malformed("")), "{body}");
    }
}

/// PAR-2.2, BCP-4.12, K-15, ERR-13, SP-5.3.2.2-10/11, OFTEN-17: a redirect is not followed, and the
/// form with its assertion goes nowhere else.
#[tokio::test]
async fn a_redirect_is_not_followed() {
    let server = server().await;
    let client = common::client(&server).await;
    for status in [301, 302, 303, 307, 308] {
        let target = format!("{}/token", server.issuer());
        server.answer_next(Endpoint::Par, Answer::redirect(status, &target));
        let expected = Violation::Redirect {
            endpoint: PAR,
            status,
        };
        let error = refused(&client, &server).await;
        assert_eq!(error.violation(), Some(&expected));
    }
}

fn denied(error: &Error) -> &OAuthError {
    match error {
        Error::Denied(Denied::Server(error)) => error,
        other => panic!("{other:?}"),
    }
}

/// PAR-2.3, R6749-5.2: an error in OAuth's words is handed over with its status, once, and what the
/// server wrote in words is in no `Debug` and no `Display`.
#[tokio::test]
async fn an_oauth_error_is_handed_over() {
    let server = server().await;
    let client = common::client(&server).await;
    for (status, code, temporary) in [
        (400, "invalid_request", false),
        (400, "invalid_scope", false),
        (400, "unauthorized_client", false),
        (400, "invalid_authorization_details", false),
        (400, "invalid_target", false),
        (400, "slow_down", true),
        (400, "temporarily_unavailable", true),
        (401, "invalid_client", false),
        (403, "access_denied", false),
        (405, "invalid_request", false),
        (413, "invalid_request", false),
    ] {
        let body = json!({"error": code, "error_description": "words of the server"});
        server.answer_next(Endpoint::Par, Answer::json(status, &body));
        let error = refused(&client, &server).await;
        let said = denied(&error);
        assert_eq!(said.endpoint(), PAR);
        assert_eq!(said.status(), Some(status));
        assert_eq!(said.error(), code);
        assert_eq!(said.description(), Some("words of the server"));
        assert_eq!(error.code(), "denied.server");
        assert_eq!(error.retry_may_help(), temporary, "{code}");
        assert!(!format!("{error:?} {error}").contains("words"));
    }
}

/// SEC-cred, R6749-5.2: what a server writes into `error` is repeated only where it is a plain word,
/// so that nothing that was sent comes back in a log.
#[tokio::test]
async fn an_error_that_is_no_word_is_not_repeated() {
    let server = server().await;
    let client = common::client(&server).await;
    for code in ["eyJhbGciOiJub25lIn0.e30.", "a b", "", &"x".repeat(65)] {
        server.answer_next(Endpoint::Par, Answer::error(400, code));
        let error = refused(&client, &server).await;
        assert_eq!(denied(&error).error(), "unnamed_error");
    }
}

/// PAR-2.3, R6749-5.2: a status that is no success and says nothing in OAuth's words is named as it is.
#[tokio::test]
async fn a_status_without_words_is_named() {
    let server = server().await;
    let client = common::client(&server).await;
    for status in [202, 204, 400, 401, 403, 404, 405, 413, 415] {
        let answers = [
            Answer::html(status),
            Answer::json(status, &json!({})),
            Answer::json(status, &json!({"error": 7})),
            Answer::html(status).body(r#"{"error":"invalid_request"}"#),
        ];
        for answer in answers {
            server.answer_next(Endpoint::Par, answer);
            let expected = Violation::Status {
                endpoint: PAR,
                status,
            };
            let error = refused(&client, &server).await;
            assert_eq!(error.violation(), Some(&expected));
        }
    }
}

fn at_par(fault: TransportFault) -> TransportError {
    let mut error = TransportError::new(fault);
    error.endpoint = Some(PAR);
    error
}

/// PAR-2.3, ERR-12: a server that is busy or down is not asked again by itself; how long it asks to
/// wait is handed up, in seconds or as a date.
#[tokio::test]
async fn a_busy_server_is_not_asked_again() {
    let server = server().await;
    let client = common::client(&server).await;
    let error = Answer::error;
    let rows = [
        (
            error(429, "slow_down").header("retry-after", "7"),
            429,
            Some(7),
        ),
        (
            Answer::html(503).header("retry-after", "120"),
            503,
            Some(120),
        ),
        (Answer::html(503).header("retry-after", "0"), 503, Some(0)),
        // The server's clock stands at 15 January 2027, 08:00:00.
        (
            Answer::status(503).header("retry-after", "Fri, 15 Jan 2027 08:01:00 GMT"),
            503,
            Some(60),
        ),
        (
            Answer::status(503).header("retry-after", "99999999"),
            503,
            Some(86_400),
        ),
        (Answer::status(503).header("retry-after", "soon"), 503, None),
        (Answer::status(500), 500, None),
        (Answer::error(502, "invalid_request"), 502, None),
    ];
    for (answer, status, wait) in rows {
        server.answer_next(Endpoint::Par, answer);
        let error = refused(&client, &server).await;
        let fault = TransportFault::Unavailable {
            status,
            retry_after: wait.map(Duration::from_secs),
        };
        assert_eq!(common::transport(&error), Some(&at_par(fault)));
        assert!(error.retry_may_help());
    }
}

/// K-16, DPOP-idem: an answer that is lost, endless or late ends the start; the request, which the
/// server may have taken, does not go out again.
#[tokio::test]
async fn a_lost_answer_is_not_asked_for_again() {
    let server = server().await;
    let client = common::client(&server).await;
    for answer in [Answer::drop_connection(), Answer::refuse_connection()] {
        server.answer_next(Endpoint::Par, answer);
        let error = refused(&client, &server).await;
        assert_eq!(
            common::transport(&error),
            Some(&at_par(TransportFault::Broken))
        );
    }
    for answer in [Answer::endless(), Answer::oversize(256 * 1024 + 1)] {
        server.answer_next(Endpoint::Par, answer);
        let error = refused(&client, &server).await;
        let fault = TransportFault::TooLarge { limit: 256 * 1024 };
        assert_eq!(common::transport(&error), Some(&at_par(fault)));
    }
    let watched = Watched::new(&server).impatient();
    let builder = common::builder(&server).transport(watched.clone());
    let client = builder.build().await.unwrap();
    for answer in [Answer::hang(), Answer::slow()] {
        server.answer_next(Endpoint::Par, answer);
        let error = refused(&client, &server).await;
        assert_eq!(
            common::transport(&error),
            Some(&at_par(TransportFault::Timeout))
        );
    }
    let finite = Duration::from_secs(20);
    assert!(
        watched
            .timeouts
            .lock()
            .unwrap()
            .iter()
            .all(|time| *time == finite)
    );
}

/// PKCE-7.2: a server that would rather have no PKCE, or a plain one, gets nothing else.
#[tokio::test]
async fn pkce_is_never_weakened() {
    let server = server().await;
    let client = common::client(&server).await;
    let body = json!({
        "error": "invalid_request",
        "error_description": "code_challenge_method S256 is not supported, use plain",
    });
    server.answer_always(Endpoint::Par, Answer::json(400, &body));
    for _ in 0..2 {
        let error = refused(&client, &server).await;
        assert_eq!(denied(&error).error(), "invalid_request");
        let request = server.requests().pop().unwrap();
        assert_eq!(request.form_value("code_challenge_method"), Some("S256"));
    }
}

/// SP-5.3.2.2-12, K-9: a `request_uri` that lives longer than it should is taken, and says until when
/// its URL is good.
#[tokio::test]
async fn a_long_life_is_taken() {
    let server = server().await;
    let client = common::client(&server).await;
    for life in [1, 599, 600, 86_400] {
        server.behave();
        server.misbehave(ParFault::ExpiresIn(life.into()));
        let login = common::begin(&client).await;
        assert_eq!(login.expires_at().seconds(), 1_800_000_000 + life);
    }
    server.behave();
    server.misbehave(ParFault::ExpiresIn(json!(u64::MAX)));
    let login = common::begin(&client).await;
    assert_eq!(login.expires_at().seconds(), i64::MAX);
}
