//! Pushed authorization requests (RFC 9126), and the URL that they leave for the browser.
//!
//! The parameters of the login go to the server directly; the browser carries nothing but the
//! `request_uri` that comes back.

use std::time::Duration;

use http::StatusCode;
use serde_json::Value;
use url::Url;

use super::answer::Answer;
use crate::error::Error;
use crate::secret::RequestUri;
use crate::time::Timestamp;

/// A pushed request, as the server accepted it. Good for one visit to the authorization endpoint.
#[derive(Debug)]
pub(crate) struct PushedRequest {
    pub(crate) request_uri: RequestUri,
    pub(crate) expires_at: Timestamp,
    pub(crate) life: Duration,
}

/// Reads the server's answer.
///
/// # Errors
/// [`Violation::Status`](crate::Violation::Status) and [`Violation::Answer`](crate::Violation::Answer)
/// where the server left out what RFC 9126 section 2.2 demands: status 201, a `request_uri`, a numeric
/// `expires_in`.
pub(crate) fn response(answer: &Answer, now: Timestamp) -> Result<PushedRequest, Error> {
    // PAR-2.2: 201 Created, not 200.
    let body = answer.json(StatusCode::CREATED)?;
    let request_uri = body
        .get("request_uri")
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
        .ok_or_else(|| answer.malformed("request_uri"))?;
    // SP-5.3.2.2-12: mandatory here, and a number.
    let life = body
        .get("expires_in")
        .and_then(Value::as_u64)
        .filter(|seconds| *seconds > 0)
        .map(Duration::from_secs)
        .ok_or_else(|| answer.malformed("expires_in"))?;
    Ok(PushedRequest {
        request_uri: RequestUri::new(request_uri),
        expires_at: now.plus(life),
        life,
    })
}

/// SP-5.3.3.2-6: `client_id` and `request_uri`, beside the query that the endpoint itself has.
pub(crate) fn authorization_url(endpoint: &Url, client_id: &str, request_uri: &RequestUri) -> Url {
    let mut url = endpoint.clone();
    url.query_pairs_mut()
        .append_pair("client_id", client_id)
        .append_pair("request_uri", request_uri.reveal());
    url
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::error::{Endpoint, Violation};

    fn read(status: u16, body: &'static str) -> Result<PushedRequest, Error> {
        let response = http::Response::builder()
            .status(status)
            .header("content-type", "application/json")
            .body(Bytes::from_static(body.as_bytes()))
            .unwrap();
        super::response(
            &Answer::new(Endpoint::PushedAuthorizationRequest, response),
            Timestamp::from_seconds(1000),
        )
    }

    /// PAR-2.2: a `request_uri` and the time it lives.
    #[test]
    fn a_good_answer() {
        let pushed = read(201, r#"{"request_uri":"urn:x","expires_in":60}"#).unwrap();
        assert_eq!(pushed.request_uri, RequestUri::new("urn:x"));
        assert_eq!(pushed.expires_at, Timestamp::from_seconds(1060));
    }

    /// PAR-2.2, SP-5.3.2.2-12: what is missing or of the wrong type is named.
    #[test]
    fn bad_answers_are_refused() {
        for (body, member) in [
            (r#"{"expires_in":60}"#, "request_uri"),
            (r#"{"request_uri":"","expires_in":60}"#, "request_uri"),
            (r#"{"request_uri":7,"expires_in":60}"#, "request_uri"),
            (r#"{"request_uri":"urn:x"}"#, "expires_in"),
            (r#"{"request_uri":"urn:x","expires_in":"60"}"#, "expires_in"),
            (r#"{"request_uri":"urn:x","expires_in":-1}"#, "expires_in"),
            (r#"{"request_uri":"urn:x","expires_in":0}"#, "expires_in"),
        ] {
            assert_eq!(
                read(201, body).unwrap_err().violation(),
                Some(&Violation::Answer {
                    endpoint: Endpoint::PushedAuthorizationRequest,
                    member: member.to_owned()
                })
            );
        }
        assert_eq!(
            read(200, r#"{"request_uri":"urn:x","expires_in":60}"#)
                .unwrap_err()
                .violation(),
            Some(&Violation::Status {
                endpoint: Endpoint::PushedAuthorizationRequest,
                status: 200
            })
        );
    }

    /// SP-5.3.3.2-6: two parameters are added and none else; the endpoint's own query stays.
    #[test]
    fn the_url_for_the_browser() {
        let endpoint = Url::parse("https://as.example/authorize?tenant=1").unwrap();
        let url = authorization_url(&endpoint, "a client", &RequestUri::new("urn:r&x"));
        assert_eq!(
            url.as_str(),
            "https://as.example/authorize?tenant=1&client_id=a+client&request_uri=urn%3Ar%26x"
        );
    }
}
