//! The headers for a request that another HTTP stack sends.

use std::time::Duration;

use fapi_client::{Error, Observed, Prepared, RequestBody, Transport, TransportRequest};
use fapi_testkit::{Answer, ApiFault, Endpoint, Nonces, TestServer};
use http::{Method, Request, StatusCode};

use super::warm;
use crate::common;

/// Another HTTP stack: sends what was prepared, and hands the answer to the session.
async fn exchange(
    server: &TestServer,
    prepared: Prepared,
) -> (StatusCode, Result<Observed, Error>) {
    let mut request = Request::new(RequestBody::empty());
    *request.method_mut() = prepared.method().clone();
    *request.uri_mut() = prepared.url().as_str().parse().unwrap();
    request.headers_mut().clone_from(prepared.headers());
    let request = TransportRequest::new(request, 10_000, Duration::from_secs(10));
    let answer = common::https(server).send(request).await.unwrap();
    let observed = prepared.observe(answer.status(), answer.headers()).await;
    (answer.status(), observed)
}

/// DPOP-4.1, DPOP-7.3, DPOP-9, ERR-2, ERR-3: a challenge for a nonce, then a token that is good no more,
/// then the answer. Each attempt has headers of its own, and each cause has one.
#[tokio::test]
async fn a_prepared_request_follows_the_same_rule() {
    let server = TestServer::start().await;
    let session = common::log_in(&server, "alice").await.unwrap();
    server.forget_requests();
    let url = format!("{}/events?since=1", server.api());
    let mut prepared = session.prepare(Method::GET, &url).await.unwrap();
    let names: Vec<&str> = prepared
        .headers()
        .keys()
        .map(http::HeaderName::as_str)
        .collect();
    assert_eq!(names, ["authorization", "dpop"]);
    assert!(
        prepared
            .headers()
            .values()
            .all(http::HeaderValue::is_sensitive)
    );
    assert!(!format!("{prepared:?}").contains("DPoP "));

    server.misbehave_times(ApiFault::InvalidToken, 1);
    let mut statuses = Vec::new();
    loop {
        let (status, observed) = exchange(&server, prepared).await;
        statuses.push(status.as_u16());
        match observed.unwrap() {
            Observed::SendAgain(again) => prepared = again,
            other => {
                assert!(matches!(other, Observed::Done), "{other:?}");
                break;
            }
        }
    }
    assert_eq!(statuses, [401, 401, 200]);
    let requests = server.requests_to(Endpoint::Api);
    let token = |number: usize| requests[number].header("authorization").unwrap().to_owned();
    assert_eq!(token(0), token(1));
    assert_ne!(token(1), token(2));
    assert_eq!(server.count(Endpoint::Token), 1);
    common::assert_fresh(&server);

    // What it taught serves the session's own calls.
    common::get(&session, &server, "/accounts").await.unwrap();
    assert_eq!(server.count(Endpoint::Api), 4);
}

/// ERR-3: after a 401 without a reason the token is renewed, and what is not idempotent stays with the
/// caller. An API that always refuses is asked twice.
#[tokio::test]
async fn a_prepared_request_is_repeated_where_that_is_safe() {
    for (method, sent) in [(Method::GET, 2), (Method::POST, 1)] {
        let server = TestServer::start().await;
        let session = warm(&server).await;
        server.misbehave(ApiFault::NoError);
        let mut prepared = session.prepare(method, server.api()).await.unwrap();
        while let (_, Ok(Observed::SendAgain(again))) = exchange(&server, prepared).await {
            prepared = again;
        }
        assert_eq!(server.count(Endpoint::Api), sent);
        assert_eq!(server.count(Endpoint::Token), 1);
    }
}

/// SU-3, ERR-4: a demand for another login comes out as it does of a call.
#[tokio::test]
async fn a_step_up_comes_out_of_observe() {
    let server = TestServer::start().await;
    let session = warm(&server).await;
    let url = format!("{}/step-up?acr=phr", server.api());
    let prepared = session.prepare(Method::GET, url).await.unwrap();
    let (_, observed) = exchange(&server, prepared).await;
    assert_eq!(observed.unwrap_err().code(), "step_up");
    assert_eq!(server.requests().len(), 1);
}

/// DPOP-8.2: a prepared request learns the nonce of any answer.
#[tokio::test]
async fn observe_learns_from_any_answer() {
    let server = TestServer::builder().nonces(Nonces::Rotating).start().await;
    let session = warm(&server).await;
    server.answer_next(
        Endpoint::Api,
        Answer::status(500).header("dpop-nonce", "taught"),
    );
    let prepared = session.prepare(Method::GET, server.api()).await.unwrap();
    let (status, observed) = exchange(&server, prepared).await;
    assert_eq!(status, 500);
    assert!(matches!(observed, Ok(Observed::Done)));
    let prepared = session.prepare(Method::GET, server.api()).await.unwrap();
    let proof = prepared.headers()["dpop"].to_str().unwrap();
    let proof = fapi_testkit::Jwt::read(proof).unwrap();
    assert_eq!(proof.claim("nonce"), "taught");
}
