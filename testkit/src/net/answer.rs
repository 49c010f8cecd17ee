//! Answers that a test prescribes.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde_json::Value;

use super::body::AnswerBody;

/// An answer that a test prescribes, in place of the one that the server would give.
///
/// The request is not processed, unless [`after_processing`](Self::after_processing) says so.
///
/// ```
/// use fapi_testkit::Answer;
///
/// let busy = Answer::status(503).header("retry-after", "2");
/// let lost = Answer::drop_connection();
/// ```
#[derive(Clone, Debug)]
pub struct Answer {
    pub(crate) delivery: Delivery,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: AnswerBody,
    pub(crate) processed: bool,
    pub(crate) delay: Duration,
}

/// Whether the answer arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// It is sent.
    Sent,
    /// The request is processed, and what the server has to say is sent.
    Real,
    /// The connection is cut.
    Cut,
    /// The connection stays open, and nothing comes.
    Never,
}

impl Answer {
    /// A status with an empty body.
    ///
    /// # Panics
    /// Where `status` is not one.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self {
            delivery: Delivery::Sent,
            status: StatusCode::from_u16(status).expect("a status from 100 to 999"),
            headers: HeaderMap::new(),
            body: AnswerBody::Full(Bytes::new()),
            processed: false,
            delay: Duration::ZERO,
        }
    }

    /// A JSON body.
    ///
    /// # Panics
    /// Where `status` is not one.
    #[must_use]
    pub fn json(status: u16, body: &Value) -> Self {
        Self::status(status)
            .header("content-type", "application/json")
            .body(body.to_string())
    }

    /// An HTML page.
    ///
    /// # Panics
    /// Where `status` is not one.
    #[must_use]
    pub fn html(status: u16) -> Self {
        Self::status(status)
            .header("content-type", "text/html; charset=utf-8")
            .body("<!doctype html><title>Sorry</title><p>This is no API.</p>")
    }

    /// An OAuth error (RFC 6749 section 5.2).
    ///
    /// # Panics
    /// Where `status` is not one.
    #[must_use]
    pub fn error(status: u16, code: &str) -> Self {
        Self::json(status, &serde_json::json!({"error": code}))
    }

    /// A redirect that no client may follow (K-15).
    ///
    /// # Panics
    /// Where `status` is not one, or `location` is not ASCII.
    #[must_use]
    pub fn redirect(status: u16, location: &str) -> Self {
        Self::status(status).header("location", location)
    }

    /// Status 200 and a body without end.
    #[must_use]
    pub fn endless() -> Self {
        Self::of_body(AnswerBody::Endless)
    }

    /// Status 200, headers and the first byte of a body, and then nothing more.
    #[must_use]
    pub fn slow() -> Self {
        Self::of_body(AnswerBody::Stalled(Bytes::from_static(b"{")))
    }

    /// Status 200 and a body of that many bytes, sent without a `Content-Length`.
    #[must_use]
    pub fn oversize(bytes: u64) -> Self {
        Self::of_body(AnswerBody::Sized(bytes))
    }

    /// The request is processed for real, and the connection is cut before the answer.
    #[must_use]
    pub fn drop_connection() -> Self {
        Self {
            delivery: Delivery::Cut,
            processed: true,
            ..Self::status(500)
        }
    }

    /// The connection is cut, and the request is not processed.
    #[must_use]
    pub fn refuse_connection() -> Self {
        Self {
            processed: false,
            ..Self::drop_connection()
        }
    }

    /// The request is processed for real, and no answer ever comes.
    #[must_use]
    pub fn hang() -> Self {
        Self {
            delivery: Delivery::Never,
            ..Self::drop_connection()
        }
    }

    /// The answer that the server would give anyway; of use with [`after`](Self::after), or to
    /// let a request through that stands before another in the queue.
    #[must_use]
    pub fn real() -> Self {
        Self {
            delivery: Delivery::Real,
            ..Self::drop_connection()
        }
    }

    /// Adds a header.
    ///
    /// # Panics
    /// Where name or value can't stand in a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let name: HeaderName = name.parse().expect("a header name");
        let value = HeaderValue::from_bytes(value.as_bytes()).expect("a header value");
        self.headers.append(name, value);
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = AnswerBody::Full(body.into());
        self
    }

    /// Processes the request for real before this answer is given.
    #[must_use]
    pub fn after_processing(mut self) -> Self {
        self.processed = true;
        self
    }

    /// Gives the answer only after that long, by the machine's clock.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    fn of_body(body: AnswerBody) -> Self {
        let mut answer = Self::status(200);
        answer.body = body;
        answer.headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        answer
    }
}
