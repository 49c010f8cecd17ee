//! Answers of the servers, and refusals with their reasons.

use std::fmt::Write as _;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use crate::record::Endpoint;
use crate::state::State;

/// An answer that is ready to be sent.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Reply {
    pub(crate) fn new(status: StatusCode, content_type: &str, body: impl Into<Bytes>) -> Self {
        let reply = Self {
            status,
            headers: HeaderMap::new(),
            body: body.into(),
        };
        reply
            .with(header::CONTENT_TYPE, content_type)
            .with(header::CACHE_CONTROL, "no-store")
    }

    /// The same, for a document that clients may keep for a while (META-8).
    pub(crate) fn cacheable(mut self) -> Self {
        self.headers.remove(header::CACHE_CONTROL);
        self.with(header::CACHE_CONTROL, "public, max-age=300")
    }

    pub(crate) fn json(status: StatusCode, body: &Value) -> Self {
        Self::new(status, "application/json", body.to_string())
    }

    pub(crate) fn html(status: StatusCode, body: String) -> Self {
        Self::new(status, "text/html; charset=utf-8", body)
    }

    pub(crate) fn empty(status: StatusCode) -> Self {
        Self {
            status,
            headers: HeaderMap::new(),
            body: Bytes::new(),
        }
    }

    /// Adds a header. A value that can't stand in one is left out.
    pub(crate) fn with(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
            self.headers.append(name, value);
        }
        self
    }

    pub(crate) fn content_type(mut self, value: &str) -> Self {
        self.headers.remove(header::CONTENT_TYPE);
        self.with(header::CONTENT_TYPE, value)
    }
}

/// A request that is refused.
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    /// The OAuth error code.
    pub(crate) error: String,
    /// What exactly was wrong, for the test and for the error description.
    pub(crate) reason: String,
    /// An answer that is already made, where this one has a shape of its own.
    pub(crate) reply: Option<Box<Reply>>,
    /// The scheme of the challenge, where there is one.
    pub(crate) scheme: &'static str,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, error: &str, reason: impl Into<String>) -> Self {
        Self {
            status,
            error: error.to_owned(),
            reason: reason.into(),
            reply: None,
            scheme: "DPoP",
        }
    }

    /// The same, with the challenge of another scheme.
    pub(crate) fn under(mut self, scheme: &'static str) -> Self {
        self.scheme = scheme;
        self
    }

    pub(crate) fn invalid_request(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", reason)
    }

    pub(crate) fn invalid_grant(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_grant", reason)
    }

    /// The JSON answer of the authorization server (RFC 6749 section 5.2).
    pub(crate) fn into_json(self, state: &State, endpoint: Endpoint) -> Reply {
        state.refused(endpoint, &self.reason);
        match self.reply {
            Some(reply) => *reply,
            None => Reply::json(
                self.status,
                &json!({"error": self.error, "error_description": self.reason}),
            ),
        }
    }

    /// The answer of a server that takes access tokens (RFC 6750 section 3, DPOP-7.1b).
    pub(crate) fn into_challenge(self, state: &State, endpoint: Endpoint) -> Reply {
        state.refused(endpoint, &self.reason);
        if let Some(reply) = self.reply {
            return *reply;
        }
        Reply::json(
            self.status,
            &json!({"error": self.error, "error_description": self.reason}),
        )
        .with(
            header::WWW_AUTHENTICATE,
            &challenge(self.scheme, &self.error, &self.reason),
        )
    }
}

/// A challenge with an error.
pub(crate) fn challenge(scheme: &str, error: &str, reason: &str) -> String {
    let reason = reason.replace(['"', '\\'], "'");
    let mut value = format!(r#"{scheme} error="{error}", error_description="{reason}""#);
    if scheme == "DPoP" {
        let _ = write!(value, r#", algs="{ALGS}""#);
    }
    value
}

/// The algorithms for proofs, as a challenge names them.
pub(crate) const ALGS: &str = "ES256 PS256 EdDSA Ed25519";
