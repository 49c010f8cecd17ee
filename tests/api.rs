//! API calls: where a token may go, what a request carries, and what comes back.

mod answers;
mod bodies;
mod prepared;

use std::collections::HashMap;

use fapi_client::{ConfigError, Error, Session};
use fapi_testkit::{Answer, Endpoint, TestServer};

use crate::common;

/// A session whose nonces are known, and no request on record.
async fn warm(server: &TestServer) -> Session {
    let session = common::log_in(server, "alice").await.unwrap();
    common::get(&session, server, "/accounts").await.unwrap();
    server.forget_requests();
    session
}

fn config(error: Error) -> ConfigError {
    match error {
        Error::Config(error) => error,
        other => panic!("{other:?}"),
    }
}

/// BCP-4.9.1, SP-5.2.1-1, OFTEN-18: a token goes to https URLs of the origins that were named, and every
/// other URL is an error before any I/O.
#[tokio::test]
async fn a_token_goes_to_the_named_origins_alone() {
    let server = TestServer::start().await;
    let session = warm(&server).await;
    let port = server.api().rsplit(':').next().unwrap().to_owned();
    let insecure = |shown: &str| ConfigError::InsecureUrl(shown.to_owned());
    let foreign = |origin: &str| ConfigError::ForeignOrigin(origin.to_owned());
    let rows = [
        (
            format!("http://localhost:{port}/"),
            insecure("http://localhost"),
        ),
        (
            "https://evil.example/a?secret=1".to_owned(),
            foreign("https://evil.example"),
        ),
        (
            "https://localhost/".to_owned(),
            foreign("https://localhost"),
        ),
        (
            "https://localhost:1/".to_owned(),
            foreign("https://localhost:1"),
        ),
        (
            format!("https://api.localhost:{port}/"),
            foreign(&format!("https://api.localhost:{port}")),
        ),
        (
            format!("https://localhost.evil.example:{port}/"),
            foreign(&format!("https://localhost.evil.example:{port}")),
        ),
        (
            format!("https://127.0.0.1:{port}/"),
            foreign(&format!("https://127.0.0.1:{port}")),
        ),
        (
            format!("https://localhost.:{port}/"),
            foreign(&format!("https://localhost.:{port}")),
        ),
        (
            format!("https://user:pw@localhost:{port}/"),
            insecure("https://localhost"),
        ),
        (
            format!("https://user@localhost:{port}/"),
            insecure("https://localhost"),
        ),
        (
            format!("https://localhost:{port}@evil.example/"),
            insecure("https://evil.example"),
        ),
        (
            format!("https://localhost:{port}/#fragment"),
            insecure("https://localhost"),
        ),
        (server.issuer().to_owned(), foreign(server.issuer())),
        (
            format!("{}/userinfo", server.issuer()),
            foreign(server.issuer()),
        ),
        ("ws://localhost/".to_owned(), insecure("ws://localhost")),
        ("file:///etc/passwd".to_owned(), insecure("file://")),
        ("/accounts".to_owned(), insecure("the URL")),
        (String::new(), insecure("the URL")),
    ];
    // Even a token that would have to be renewed first is left alone.
    server
        .clock()
        .advance(std::time::Duration::from_secs(3_600));
    for (url, expected) in rows {
        let error = session.get(&url).send().await.unwrap_err();
        assert_eq!(config(error), expected, "{url}");
        let error = session.prepare(http::Method::GET, &url).await.unwrap_err();
        assert_eq!(config(error), expected, "{url}");
    }
    assert_eq!(server.requests().len(), 0);
}

/// DPOP-4.1, SP-5.3.3.1-3: the headers that carry token and proof, the host that the proof names, and what
/// frames the message are set by the client alone. Nothing is sent.
#[tokio::test]
async fn reserved_headers_are_refused() {
    let server = TestServer::start().await;
    let session = warm(&server).await;
    for name in [
        "Authorization",
        "authorization",
        "DPoP",
        "dpop",
        "Host",
        "Content-Length",
        "Transfer-Encoding",
        "connection",
        "te",
        "trailer",
        "upgrade",
    ] {
        let request = session.get(server.api()).header(name, "1");
        let error = request.send().await.unwrap_err();
        assert_eq!(
            config(error),
            ConfigError::ReservedHeader(name.to_ascii_lowercase())
        );
    }
    assert_eq!(server.requests().len(), 0);
}

/// SEC-cred: no header can be smuggled in through a name or a value, and the error shows no value.
#[tokio::test]
async fn headers_can_not_be_injected() {
    let server = TestServer::start().await;
    let session = warm(&server).await;
    for (name, value, shown) in [
        ("x-one", "a\r\nAuthorization: Bearer secret", "x-one"),
        ("x-one", "a\nb-secret", "x-one"),
        ("x-one", "a\0secret", "x-one"),
        (
            "x-one\r\nAuthorization",
            "secret",
            "x-one\\r\\nAuthorization",
        ),
        ("x one", "secret", "x one"),
        ("", "secret", ""),
    ] {
        let request = session.get(server.api()).header(name, value);
        let error = request.send().await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains("secret"));
        assert_eq!(config(error), ConfigError::Header(shown.to_owned()));
    }
    let error = session
        .get(server.api())
        .interaction_id("a\r\nb: c")
        .send()
        .await
        .unwrap_err();
    assert_eq!(
        config(error),
        ConfigError::Header("x-fapi-interaction-id".to_owned())
    );
    assert_eq!(server.requests().len(), 0);
}

/// A header of the caller's goes out as it is, and a query is encoded.
#[tokio::test]
async fn headers_and_query_go_out() {
    let server = TestServer::start().await;
    let session = warm(&server).await;
    session
        .get(format!("{}/accounts?a=1", server.api()))
        .header("accept", "application/json")
        .header("x-idempotency-key", "key 1")
        .header("X-Idempotency-Key", "key 2")
        .query([("from", "2026-01-01"), ("name", "a b&c=d")])
        .send()
        .await
        .unwrap();
    let request = &server.requests_to(Endpoint::Api)[0];
    assert_eq!(
        request.uri,
        "/accounts?a=1&from=2026-01-01&name=a+b%26c%3Dd"
    );
    assert_eq!(request.header("accept"), Some("application/json"));
    assert_eq!(request.header("x-idempotency-key"), Some("key 2"));
}

/// K-15, BCP-4.12, ERR-13, OFTEN-17: a redirect is the caller's to look at. The token goes out once, and
/// nothing goes to where the redirect points.
#[tokio::test]
async fn a_redirect_is_returned_and_not_followed() {
    let server = TestServer::start().await;
    let elsewhere = TestServer::start().await;
    let session = warm(&server).await;
    for (number, status) in [301, 302, 303, 307, 308].into_iter().enumerate() {
        for target in [server.api(), elsewhere.api()] {
            server.forget_requests();
            server.answer_next(Endpoint::Api, Answer::redirect(status, target));
            let answer = session
                .post(format!("{}/{number}", server.api()))
                .body("x".to_owned())
                .send()
                .await
                .unwrap();
            assert_eq!(answer.status().as_u16(), status);
            assert_eq!(answer.headers()["location"], target);
            assert_eq!(server.requests().len(), 1);
            let error = answer.json::<serde_json::Value>().unwrap_err();
            assert!(matches!(error, Error::Api(failure) if failure.status == status));
        }
    }
    assert_eq!(elsewhere.requests().len(), 0);
}

/// IA-1: a random UUID, another for every call, or the caller's own; returned either way, and in the
/// error of a failure.
#[tokio::test]
async fn the_interaction_id_is_sent_and_returned() {
    let server = TestServer::start().await;
    let session = warm(&server).await;
    let mut seen = HashMap::new();
    for _ in 0..3 {
        let answer = common::get(&session, &server, "/accounts").await.unwrap();
        let id = answer.interaction_id().to_owned();
        assert_eq!(id.len(), 36);
        assert_eq!(id.as_bytes()[14], b'4', "a UUID of version 4");
        *seen.entry(id).or_insert(0) += 1;
    }
    assert_eq!(seen.len(), 3);
    let sent: Vec<_> = server.requests_to(Endpoint::Api);
    assert!(
        sent.iter()
            .all(|request| { seen.contains_key(request.header("x-fapi-interaction-id").unwrap()) })
    );

    let own = "f7e0c7a0-5d2b-4f2c-9d2e-1b1f0a3c9d11";
    let answer = session
        .get(format!("{}/status/404", server.api()))
        .interaction_id(own)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.interaction_id(), own);
    let Err(Error::Api(failure)) = answer.error_for_status() else {
        panic!("404 is no success");
    };
    assert_eq!(failure.interaction_id, own);
    let last = server.requests_to(Endpoint::Api).pop().unwrap();
    assert_eq!(last.header("x-fapi-interaction-id"), Some(own));

    // An API that answers with another id is not believed.
    server.answer_next(
        Endpoint::Api,
        Answer::status(200).header("x-fapi-interaction-id", "another"),
    );
    let request = session.get(server.api()).interaction_id(own);
    assert_eq!(request.send().await.unwrap().interaction_id(), own);
}
