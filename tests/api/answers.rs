//! What an API answers.

use std::time::Duration;

use fapi_client::{Error, Violation};
use fapi_testkit::{Answer, Endpoint, TestServer};
use serde::Deserialize;
use serde_json::Value;

use super::warm;
use crate::common;

/// ERR-12, SP-5.3.4-4: a status that is no success is an error of `json()`, with what the API says of it.
#[tokio::test]
async fn a_failure_tells_what_the_api_says() {
    let server = TestServer::start().await;
    let session = warm(&server).await;
    let challenge = r#"DPoP error="insufficient_scope", scope="payments accounts""#;
    let rows = [
        (Answer::status(404), None, None, None, false),
        (
            Answer::status(403).header("www-authenticate", challenge),
            Some("insufficient_scope"),
            Some("payments accounts"),
            None,
            false,
        ),
        (
            Answer::status(429).header("retry-after", "7"),
            None,
            None,
            Some(7),
            true,
        ),
        (
            Answer::status(503).header("retry-after", "soon"),
            None,
            None,
            None,
            true,
        ),
        (
            Answer::json(500, &serde_json::json!({"sub": "x"})),
            None,
            None,
            None,
            false,
        ),
        (Answer::status(304), None, None, None, false),
    ];
    for (answer, word, scope, wait, temporary) in rows {
        server.forget_requests();
        server.answer_next(Endpoint::Api, answer);
        let answer = common::get(&session, &server, "/accounts").await.unwrap();
        let error = answer.json::<Value>().unwrap_err();
        assert_eq!(error.retry_may_help(), temporary);
        let Error::Api(failure) = error else {
            panic!("{error:?}");
        };
        assert_eq!(failure.status, answer.status().as_u16());
        assert_eq!(failure.error.as_deref(), word);
        assert_eq!(failure.scope.as_deref(), scope);
        assert_eq!(failure.retry_after, wait.map(Duration::from_secs));
        assert_eq!(failure.interaction_id, answer.interaction_id());
        assert_eq!(server.requests().len(), 1);
    }
}

#[derive(Debug, Deserialize)]
struct Balance {
    #[expect(dead_code, reason = "what counts is that it can't be read")]
    amount: u32,
}

/// SEC-cred: JSON of another shape is an error that names the place, and shows nothing of what stood there.
#[tokio::test]
async fn json_of_another_shape_is_an_error_without_the_value() {
    let server = TestServer::start().await;
    let session = warm(&server).await;
    for (body, place) in [
        (r#"{"amount":"much secret"}"#, "line 1 column 23"),
        ("secret", "line 1 column 1"),
        ("", "line 1 column 0"),
    ] {
        server.answer_next(Endpoint::Api, Answer::status(200).body(body));
        let answer = common::get(&session, &server, "/accounts").await.unwrap();
        let error = answer.json::<Balance>().unwrap_err();
        assert_eq!(
            error.violation(),
            Some(&Violation::Answer {
                endpoint: fapi_client::Endpoint::Resource,
                member: place.to_owned()
            })
        );
        assert!(!format!("{error} {error:?} {answer:?}").contains("secret"));
        assert_eq!(answer.bytes(), body.as_bytes());
    }
    server.answer_next(Endpoint::Api, Answer::status(200).body(vec![0xff, 0xfe]));
    let answer = common::get(&session, &server, "/accounts").await.unwrap();
    assert!(matches!(
        answer.text().unwrap_err().violation(),
        Some(Violation::Answer { .. })
    ));
}

/// DPOP-7.1b, R6750-3: the challenges can be read by the caller too.
#[tokio::test]
async fn challenges_can_be_read() {
    let server = TestServer::start().await;
    let session = warm(&server).await;
    server.answer_next(
        Endpoint::Api,
        Answer::status(403)
            .header(
                "www-authenticate",
                r#"Bearer realm="a, b", dPoP error="no", Algs=ES256"#,
            )
            .header("www-authenticate", "Negotiate dGVzdA=="),
    );
    let answer = common::get(&session, &server, "/accounts").await.unwrap();
    let challenges = answer.challenges();
    let schemes: Vec<&str> = challenges
        .iter()
        .map(fapi_client::Challenge::scheme)
        .collect();
    assert_eq!(schemes, ["bearer", "dpop", "negotiate"]);
    assert_eq!(challenges[0].parameter("realm"), Some("a, b"));
    assert_eq!(challenges[1].parameter("algs"), Some("ES256"));
}
