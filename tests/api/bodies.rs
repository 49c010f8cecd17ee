//! What a request carries.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use fapi_client::{BodyStream, ConfigError, Error};
use fapi_testkit::{ApiFault, Endpoint, TestServer};
use http_body_util::Full;
use serde_json::json;

use super::{config, warm};
use crate::common;

/// A body that can be sent once and does not know its length.
fn stream(text: &'static str) -> BodyStream {
    struct Once(Option<&'static str>);
    impl http_body::Body for Once {
        type Data = Bytes;
        type Error = std::io::Error;
        fn poll_frame(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, std::io::Error>>> {
            let text = self.0.take();
            std::task::Poll::Ready(text.map(|text| Ok(http_body::Frame::data(text.into()))))
        }
    }
    BodyStream::new(Once(Some(text)))
}

/// JSON, forms and bytes arrive as they were given, with their content type, and again after a challenge.
#[tokio::test]
async fn bodies_arrive_as_they_were_given() {
    let server = TestServer::start().await;
    let session = warm(&server).await;
    let url = format!("{}/echo", server.api());
    let post = || session.post(&url);
    let rows = [
        (
            post().json(&json!({"amount": 1, "to": "é"})),
            Some("application/json"),
            r#"{"amount":1,"to":"é"}"#,
        ),
        (
            post().form([("a", "1 2"), ("b", "&="), ("a", "")]),
            Some("application/x-www-form-urlencoded"),
            "a=1+2&b=%26%3D&a=",
        ),
        (post().body("plain".to_owned()), None, "plain"),
        (
            post()
                .header("content-type", "text/plain")
                .body(b"bytes".to_vec()),
            Some("text/plain"),
            "bytes",
        ),
        (
            post()
                .json(&1)
                .header("content-type", "application/vnd.bank+json"),
            Some("application/vnd.bank+json"),
            "1",
        ),
        (post(), None, ""),
        (post().body(stream("streamed")), None, "streamed"),
    ];
    for (request, media, body) in rows {
        if body != "streamed" {
            server.rotate_nonces();
        }
        server.forget_requests();
        let answer = request.send().await.unwrap();
        assert_eq!(answer.text().unwrap(), body);
        let requests = server.requests_to(Endpoint::Api);
        assert_eq!(requests.len(), if body == "streamed" { 1 } else { 2 });
        for request in requests {
            assert_eq!(request.header("content-type"), media);
            assert_eq!(request.body, body);
        }
    }
}

/// What can't be written as JSON is an error before anything goes out.
#[tokio::test]
async fn a_body_that_is_no_json_is_an_error() {
    let server = TestServer::start().await;
    let session = warm(&server).await;
    let odd = BTreeMap::from([((1, 2), 3)]);
    let error = session
        .post(server.api())
        .json(&odd)
        .send()
        .await
        .unwrap_err();
    assert_eq!(
        config(error),
        ConfigError::Body("key must be a string".to_owned())
    );
    assert_eq!(server.requests().len(), 0);
}

/// DPOP-body, SP-5.3.3.1-8: a stream that would have to be sent again is an error that carries the answer.
/// It went out once; with a new stream the nonce is known.
#[tokio::test]
async fn a_stream_is_not_sent_twice_for_a_nonce() {
    let server = TestServer::start().await;
    let session = common::log_in(&server, "alice").await.unwrap();
    let url = format!("{}/echo", server.api());
    server.forget_requests();
    let error = session
        .post(&url)
        .body(stream("one"))
        .send()
        .await
        .unwrap_err();
    assert_eq!(error.code(), "not_replayable");
    let Error::NotReplayable(unsent) = error else {
        panic!("{error:?}");
    };
    assert_eq!(unsent.reason, "nonce");
    assert_eq!(unsent.response.status(), 401);
    assert!(unsent.response.headers().contains_key("dpop-nonce"));
    assert_eq!(server.requests().len(), 1);

    let answer = session.post(&url).body(stream("two")).send().await.unwrap();
    assert_eq!(answer.text().unwrap(), "two");
    assert_eq!(server.requests().len(), 2);
    common::assert_fresh(&server);
}

/// DPOP-body, ERR-3: the same for a token that is good no more. It is renewed by the time the error is
/// there. A POST that was refused without a reason is the caller's anyway.
#[tokio::test]
async fn a_stream_is_not_sent_twice_for_a_token() {
    let server = TestServer::start().await;
    let session = warm(&server).await;
    let url = format!("{}/echo", server.api());
    server.revoke_access_tokens();
    let error = session
        .post(&url)
        .body(stream("one"))
        .send()
        .await
        .unwrap_err();
    let Error::NotReplayable(unsent) = error else {
        panic!("{error:?}");
    };
    assert_eq!(unsent.reason, "token");
    assert_eq!(server.count(Endpoint::Api), 1);
    assert_eq!(server.count(Endpoint::Token), 1);
    session.post(&url).body(stream("two")).send().await.unwrap();
    assert_eq!(server.count(Endpoint::Api), 2);

    server.misbehave_times(ApiFault::NoError, 1);
    let answer = session
        .post(&url)
        .body(stream("three"))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 401);
    assert_eq!(server.count(Endpoint::Api), 3);
}

/// A stream that fails is an error of the body's, and nothing goes out again.
#[tokio::test]
async fn a_stream_that_fails_is_an_error_of_its_own() {
    struct Broken;
    impl http_body::Body for Broken {
        type Data = Bytes;
        type Error = std::io::Error;
        fn poll_frame(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, std::io::Error>>> {
            std::task::Poll::Ready(Some(Err(std::io::Error::other("the disk is gone"))))
        }
    }
    let server = TestServer::start().await;
    let session = warm(&server).await;
    let request = session.post(server.api()).body(BodyStream::new(Broken));
    let error = request.send().await.unwrap_err();
    assert_eq!(error.code(), "transport.request_body");
    assert!(!error.retry_may_help());
    assert_eq!(server.count(Endpoint::Token), 0);
    assert!(server.count(Endpoint::Api) <= 1);
}

/// K-16: an answer is taken up to its limit, and the caller may raise it.
#[tokio::test]
async fn an_answer_has_a_limit_that_can_be_raised() {
    const FIVE_MIB: usize = 5 * 1024 * 1024;
    let server = TestServer::start().await;
    let session = warm(&server).await;
    let big = format!("{}/big?bytes={FIVE_MIB}", server.api());
    let error = session.get(&big).send().await.unwrap_err();
    let too_large = |limit: usize| fapi_client::TransportFault::TooLarge { limit };
    let Error::Transport(error) = error else {
        panic!("{error:?}");
    };
    assert_eq!(error.fault, too_large(4 * 1024 * 1024));
    assert_eq!(error.endpoint, Some(fapi_client::Endpoint::Resource));
    let answer = session
        .get(&big)
        .max_response_bytes(FIVE_MIB)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.bytes().len(), FIVE_MIB);
    let request = session.get(format!("{}/big?bytes=11", server.api()));
    let error = request.max_response_bytes(10).send().await.unwrap_err();
    assert!(matches!(error, Error::Transport(error) if error.fault == too_large(10)));
    server.answer_next(Endpoint::Api, fapi_testkit::Answer::endless());
    let error = session
        .get(server.api())
        .max_response_bytes(100_000)
        .send()
        .await;
    assert!(matches!(error, Err(Error::Transport(error)) if error.fault == too_large(100_000)));
    assert_eq!(server.count(Endpoint::Api), 4);
}

/// K-16: an attempt ends in its time, whether nothing comes or not all of it; the call goes out once.
#[tokio::test]
async fn an_answer_has_its_time() {
    let server = TestServer::start().await;
    let session = warm(&server).await;
    for late in [fapi_testkit::Answer::hang(), fapi_testkit::Answer::slow()] {
        server.forget_requests();
        server.answer_next(Endpoint::Api, late);
        let request = session
            .post(server.api())
            .timeout(Duration::from_millis(300));
        let error = request.send().await.unwrap_err();
        assert_eq!(error.code(), "transport.timeout");
        assert!(error.retry_may_help());
        assert_eq!(server.requests().len(), 1);
    }
}

/// A stream that knows its length goes out with it.
#[tokio::test]
async fn a_stream_may_know_its_length() {
    let server = TestServer::start().await;
    let session = warm(&server).await;
    let url = format!("{}/echo", server.api());
    let body = BodyStream::new(Full::new(Bytes::from_static(b"12345")));
    session.post(&url).body(body).send().await.unwrap();
    session.post(&url).body(stream("1")).send().await.unwrap();
    let requests = server.requests_to(Endpoint::Api);
    assert_eq!(requests[0].header("content-length"), Some("5"));
    assert_eq!(requests[1].header("content-length"), None);
    assert_eq!(requests[1].body, "1");
}
