//! What an endpoint of the authorization server answered, and the checks that hold for all of them.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, DATE, RETRY_AFTER};
use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value};
use zeroize::Zeroize;

use crate::error::{
    Denied, Endpoint, Error, OAuthError, TransportError, TransportFault, Violation,
};
use crate::jose::parse_object;
use crate::profile::{CACHE_DEFAULT, CACHE_MAX, CACHE_MIN, RETRY_AFTER_MAX};

/// An answer, read to its end.
pub(crate) struct Answer {
    pub(crate) endpoint: Endpoint,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn new(endpoint: Endpoint, response: http::Response<Bytes>) -> Self {
        let (parts, body) = response.into_parts();
        Self {
            endpoint,
            status: parts.status,
            headers: parts.headers,
            body,
        }
    }

    /// The JSON object of an answer with the status that means success.
    ///
    /// # Errors
    /// [`Denied::Server`] for an error in OAuth's words, [`TransportError`] where the server can't
    /// serve now, and a [`Violation`] for everything else.
    pub(crate) fn json(&self, success: StatusCode) -> Result<Map<String, Value>, Error> {
        self.expect(success)?;
        self.expect_json()?;
        parse_object(&self.body).map_err(|_| self.malformed("").into())
    }

    /// Refuses every status but the one that means success.
    pub(crate) fn expect(&self, success: StatusCode) -> Result<(), Error> {
        if self.status == success {
            return Ok(());
        }
        // BCP-4.12, ERR-13: a redirect is never followed, and its target never looked at.
        if self.status.is_redirection() {
            return Err(Violation::Redirect {
                endpoint: self.endpoint,
                status: self.status.as_u16(),
            }
            .into());
        }
        // ERR-12: a server that is down or busy has judged nothing, whatever its body says.
        if self.status.is_server_error() || self.status == StatusCode::TOO_MANY_REQUESTS {
            return Err(TransportError::new(TransportFault::Unavailable {
                status: self.status.as_u16(),
                retry_after: retry_after(&self.headers),
            })
            .at(self.endpoint)
            .into());
        }
        match self.oauth_error() {
            Some(error) => Err(Denied::Server(error).into()),
            None => Err(Violation::Status {
                endpoint: self.endpoint,
                status: self.status.as_u16(),
            }
            .into()),
        }
    }

    /// R6749-5.2: the error in OAuth's words, where the answer is a client error and holds one.
    pub(crate) fn oauth_error(&self) -> Option<OAuthError> {
        if !self.status.is_client_error() || self.expect_json().is_err() {
            return None;
        }
        let body = parse_object(&self.body).ok()?;
        let error = body.get("error")?.as_str()?;
        let description = body
            .get("error_description")
            .and_then(Value::as_str)
            .map(str::to_owned);
        Some(OAuthError::new(
            self.endpoint,
            Some(self.status.as_u16()),
            error,
            description,
        ))
    }

    pub(crate) fn expect_json(&self) -> Result<(), Violation> {
        if self
            .media_type()
            .is_some_and(|media| media == "application/json")
        {
            Ok(())
        } else {
            Err(Violation::ContentType {
                endpoint: self.endpoint,
            })
        }
    }

    /// The media type in lower case, without parameters.
    pub(crate) fn media_type(&self) -> Option<String> {
        let text = self.headers.get(CONTENT_TYPE)?.to_str().ok()?;
        let media = text.split(';').next().unwrap_or_default().trim();
        Some(media.to_ascii_lowercase())
    }

    pub(crate) fn malformed(&self, member: &str) -> Violation {
        Violation::Answer {
            endpoint: self.endpoint,
            member: member.to_owned(),
        }
    }

    /// Overwrites the body, where nobody else holds it.
    pub(crate) fn wipe(&mut self) {
        if let Ok(mut bytes) = std::mem::take(&mut self.body).try_into_mut() {
            bytes.as_mut().zeroize();
        }
    }
}

/// How long the server asks to wait, at most a day. Where it names a point in time, that is counted
/// from the answer's own `Date` (RFC 9110 section 10.2.3).
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| Some(headers.get(name)?.to_str().ok()?.trim());
    let asked = text(RETRY_AFTER)?;
    let wait = if let Ok(seconds) = asked.parse::<u64>() {
        Duration::from_secs(seconds)
    } else {
        let until = httpdate::parse_http_date(asked).ok()?;
        let sent = httpdate::parse_http_date(text(DATE)?).ok()?;
        until.duration_since(sent).unwrap_or_default()
    };
    Some(wait.min(RETRY_AFTER_MAX))
}

/// META-8: how long a document may be kept: what the server says, within bounds.
pub(crate) fn cache_life(headers: &HeaderMap) -> Duration {
    headers
        .get_all(CACHE_CONTROL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|directive| directive.trim().split_once('='))
        .find(|(name, _)| name.eq_ignore_ascii_case("max-age"))
        .and_then(|(_, seconds)| seconds.trim_matches('"').parse().ok())
        .map_or(CACHE_DEFAULT, Duration::from_secs)
        .clamp(CACHE_MIN, CACHE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, media: &str, body: &'static str) -> Answer {
        let response = http::Response::builder()
            .status(status)
            .header(CONTENT_TYPE, media)
            .body(Bytes::from_static(body.as_bytes()))
            .unwrap();
        Answer::new(Endpoint::Token, response)
    }

    fn error(answer: &Answer) -> Error {
        answer.json(StatusCode::OK).unwrap_err()
    }

    /// R6749-5.2: an error in OAuth's words is told apart from everything else that is no success.
    #[test]
    fn errors_are_told_apart() {
        let denied = error(&answer(
            400,
            "application/json",
            r#"{"error":"invalid_grant"}"#,
        ));
        assert!(
            matches!(&denied, Error::Denied(Denied::Server(error)) if error.error() == "invalid_grant")
        );
        for (status, media, body) in [
            (400, "text/html", r#"{"error":"invalid_grant"}"#),
            (400, "application/json", "{}"),
            (400, "application/json", "no"),
            (201, "application/json", "{}"),
        ] {
            assert_eq!(
                error(&answer(status, media, body)).violation(),
                Some(&Violation::Status {
                    endpoint: Endpoint::Token,
                    status
                })
            );
        }
    }

    /// ERR-12: what a server that is down says is no verdict.
    #[test]
    fn a_server_that_is_down_judges_nothing() {
        for status in [429, 500, 502, 503] {
            let error = error(&answer(
                status,
                "application/json",
                r#"{"error":"invalid_grant"}"#,
            ));
            assert_eq!(error.code(), "transport.unavailable");
            assert!(error.retry_may_help());
        }
    }

    /// BCP-4.12, ERR-13, K-15: a redirect is an error of its own.
    #[test]
    fn a_redirect_is_refused() {
        for status in [301, 302, 303, 307, 308] {
            assert_eq!(
                error(&answer(status, "text/html", "")).violation(),
                Some(&Violation::Redirect {
                    endpoint: Endpoint::Token,
                    status
                })
            );
        }
    }

    /// R6749-5.2: a success in HTML is none. JWT-json: a member twice is none either.
    #[test]
    fn a_success_is_json() {
        assert_eq!(
            error(&answer(200, "text/html", "{}")).violation(),
            Some(&Violation::ContentType {
                endpoint: Endpoint::Token
            })
        );
        assert_eq!(
            error(&answer(200, "application/json", r#"{"a":1,"a":2}"#)).violation(),
            Some(&Violation::Answer {
                endpoint: Endpoint::Token,
                member: String::new()
            })
        );
        assert!(
            answer(200, "Application/JSON; charset=utf-8", "{}")
                .json(StatusCode::OK)
                .is_ok()
        );
    }

    /// ERR-12: the wait that a server asks for, in seconds or until a date, and no longer than a day.
    #[test]
    fn a_wait_is_read_in_both_forms() {
        let wait = |asked: &'static str| {
            let headers = HeaderMap::from_iter([
                (RETRY_AFTER, http::HeaderValue::from_static(asked)),
                (
                    DATE,
                    http::HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT"),
                ),
            ]);
            retry_after(&headers).map(|wait| wait.as_secs())
        };
        assert_eq!(wait("7"), Some(7));
        assert_eq!(wait("Sun, 06 Nov 1994 08:50:37 GMT"), Some(60));
        assert_eq!(wait("Sun, 06 Nov 1994 08:00:00 GMT"), Some(0));
        assert_eq!(wait("Fri, 31 Dec 1999 23:59:59 GMT"), Some(86_400));
        assert_eq!(wait("99999999"), Some(86_400));
        assert_eq!(wait("soon"), None);
        assert_eq!(wait("-1"), None);
    }

    /// META-8: the life of a document stays within bounds.
    #[test]
    fn cache_life_has_bounds() {
        let life = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(CACHE_CONTROL, http::HeaderValue::from_static(text));
            cache_life(&headers)
        };
        assert_eq!(life("public, max-age=900"), Duration::from_secs(900));
        assert_eq!(life("no-cache, Max-Age=\"900\""), Duration::from_secs(900));
        assert_eq!(life("max-age=1"), CACHE_MIN);
        assert_eq!(life("max-age=99999999"), CACHE_MAX);
        assert_eq!(life("no-store"), CACHE_DEFAULT);
        assert_eq!(cache_life(&HeaderMap::new()), CACHE_DEFAULT);
    }
}
