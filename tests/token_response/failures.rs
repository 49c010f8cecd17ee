//! Answers of the token endpoint that are no success: errors, redirects, bodies without end.

use std::time::Duration;

use bytes::Bytes;
use fapi_client::{
    BoxFuture, Endpoint as At, Error, HttpsTransport, Transport, TransportError, TransportFault,
    TransportRequest, Violation,
};
use fapi_testkit::{Answer, TestServer, TokenFault};
use http::Response;
use serde_json::json;

use super::{refused_after, refused_answer};
use crate::common;

/// How large an answer may be (K-16).
const LIMIT: usize = 256 * 1024;

/// Waits for the token endpoint half a second and no longer, so that no test waits for the limit of
/// the crate.
struct Hasty(HttpsTransport);

impl Transport for Hasty {
    fn send(
        &self,
        mut request: TransportRequest,
    ) -> BoxFuture<'_, Result<Response<Bytes>, TransportError>> {
        if request.request.uri().path().ends_with("/token") {
            assert!(request.timeout <= Duration::from_secs(60), "K-16");
            request.timeout = Duration::from_millis(500);
        }
        self.0.send(request)
    }
}

/// What `Error::Transport` says, with the endpoint that it happened at.
fn transport(error: &Error) -> &TransportFault {
    match error {
        Error::Transport(error) => {
            assert_eq!(error.endpoint, Some(At::Token));
            &error.fault
        }
        other => panic!("{other}"),
    }
}

/// R6749-5.2: a page, or JSON under another name, is no success.
#[tokio::test]
async fn a_success_that_is_not_json_is_refused() {
    let server = TestServer::start().await;
    let client = common::client(&server).await;
    let wrong = Violation::ContentType {
        endpoint: At::Token,
    };
    let error = refused_after(&client, &server, TokenFault::Html).await;
    assert_eq!(error.violation(), Some(&wrong));
    for media in [
        "text/plain",
        "text/json",
        "application/jwt",
        "application/jsonp",
    ] {
        let fault = TokenFault::ContentType(media.to_owned());
        let error = refused_after(&client, &server, fault).await;
        assert_eq!(error.violation(), Some(&wrong), "{media}");
    }
    server.misbehave(TokenFault::ContentType(
        "Application/JSON;charset=UTF-8".to_owned(),
    ));
    common::log_in_with(&client, &server, "alice")
        .await
        .unwrap();
}

/// R6749-5.2, ERR-7, ERR-9: an error in OAuth's words is handed up, and the code is not tried again.
#[tokio::test]
async fn an_oauth_error_is_handed_up() {
    let server = TestServer::start().await;
    let client = common::client(&server).await;
    for (status, word) in [
        (400, "invalid_grant"),
        (400, "invalid_request"),
        (401, "invalid_client"),
        (400, "invalid_dpop_proof"),
        (400, "unauthorized_client"),
    ] {
        let fault = TokenFault::Error(status, word.to_owned());
        let error = refused_after(&client, &server, fault).await;
        assert_eq!(error.code(), "denied.server");
        let Error::Denied(denied) = error else {
            panic!("{error}")
        };
        assert_eq!(denied.oauth_error().error(), word);
        assert_eq!(denied.oauth_error().status(), Some(status));
        assert_eq!(denied.oauth_error().endpoint(), At::Token);
    }
}

/// R6749-5.2: an error that is not in OAuth's words is a broken answer, and no more is read out of it.
#[tokio::test]
async fn an_error_that_is_not_json_is_refused() {
    let server = TestServer::start().await;
    let client = common::client(&server).await;
    let body = r#"{"error":"invalid_grant"}"#;
    for (status, answer) in [
        (400, Answer::html(400)),
        (403, Answer::html(403)),
        (404, Answer::status(404)),
        (400, Answer::status(400).body(body)),
        (
            400,
            Answer::status(400)
                .header("content-type", "text/plain")
                .body(body),
        ),
        (400, Answer::json(400, &json!({"message": "no"}))),
        (400, Answer::json(400, &json!({"error": 7}))),
        (201, Answer::json(201, &json!({"error": "invalid_grant"}))),
        (204, Answer::status(204)),
    ] {
        let error = refused_answer(&client, &server, answer).await;
        assert_eq!(
            error.violation(),
            Some(&Violation::Status {
                endpoint: At::Token,
                status
            })
        );
    }
}

/// ERR-12: a server that is busy or down has judged nothing. Its wish to wait is handed up, and
/// nothing goes out at once.
#[tokio::test]
async fn a_server_that_is_busy_or_down_is_told_apart() {
    let server = TestServer::start().await;
    let client = common::client(&server).await;
    for (status, wait) in [(429, Some(7)), (503, Some(120)), (503, None), (500, None)] {
        let mut answer = Answer::error(status, "invalid_grant");
        if let Some(seconds) = wait {
            answer = answer.header("retry-after", &seconds.to_string());
        }
        let error = refused_answer(&client, &server, answer).await;
        assert_eq!(
            transport(&error),
            &TransportFault::Unavailable {
                status,
                retry_after: wait.map(Duration::from_secs)
            }
        );
        assert!(error.retry_may_help());
    }
    let error = refused_after(&client, &server, TokenFault::HtmlError(502)).await;
    assert_eq!(error.code(), "transport.unavailable");
}

/// BCP-4.12, K-15, ERR-13, SP-5.3.2.2-10/11, OFTEN-17: no redirect is followed, neither to a stranger
/// nor to the token endpoint itself, so that code, verifier and assertion go nowhere else.
#[tokio::test]
async fn redirects_are_not_followed() {
    let server = TestServer::start().await;
    let client = common::client(&server).await;
    let same = format!("{}/token", server.issuer());
    let other = format!("{}/collect", server.api());
    for status in [301, 302, 303, 307, 308] {
        for location in [same.as_str(), other.as_str(), "/token"] {
            let answer = Answer::redirect(status, location);
            let error = refused_answer(&client, &server, answer).await;
            assert_eq!(
                error.violation(),
                Some(&Violation::Redirect {
                    endpoint: At::Token,
                    status
                })
            );
        }
    }
}

/// K-16: an answer has a largest size, whether it says its length or not.
#[tokio::test]
async fn an_oversize_answer_is_cut_off() {
    let server = TestServer::start().await;
    let client = common::client(&server).await;
    let long = Answer::json(200, &json!({"x": "x".repeat(LIMIT)}));
    for answer in [Answer::endless(), Answer::oversize(LIMIT as u64 + 1), long] {
        let error = refused_answer(&client, &server, answer).await;
        assert_eq!(
            transport(&error),
            &TransportFault::TooLarge { limit: LIMIT }
        );
        assert!(!error.retry_may_help());
    }
}

/// ERR-11, K-10, SEC-6.4: an answer to a code that is lost or too slow is an error, never a second try:
/// the server may have spent the code.
#[tokio::test]
async fn a_code_is_not_sent_again_when_the_answer_is_lost() {
    let server = TestServer::start().await;
    let client = common::builder(&server)
        .transport(Hasty(common::https(&server)))
        .build()
        .await
        .unwrap();
    for (answer, expected) in [
        (Answer::drop_connection(), TransportFault::Broken),
        (Answer::refuse_connection(), TransportFault::Broken),
        (Answer::hang(), TransportFault::Timeout),
        (Answer::slow(), TransportFault::Timeout),
    ] {
        let error = refused_answer(&client, &server, answer).await;
        assert_eq!(transport(&error), &expected);
    }
    assert_eq!(server.tokens_used_twice(), Vec::<String>::new());
}
