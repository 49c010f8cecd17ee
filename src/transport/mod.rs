//! The way out: one HTTP request over TLS, and the answer to it.
//!
//! [`Transport`] is the trait that the rest of the crate sends through; [`HttpsTransport`] is the one
//! that comes with the crate. A program that brings its own (a proxy of its house, a service mesh, a
//! phone's own HTTP stack) runs the contract test of `fapi-testkit` on it.

mod body;
mod builder;
mod fault;
mod https;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, Uri};

pub use body::{BodyError, BodyStream, RequestBody};
pub use builder::HttpsTransportBuilder;
pub use https::HttpsTransport;

use crate::certificate::ClientCertificate;
use crate::error::{ConfigError, TransportError};
use crate::future::BoxFuture;

/// Sends one HTTP request over TLS.
///
/// What an implementation promises, since every rule above it rests on it:
///
/// * **One request a call.** Nothing is sent a second time, whatever happens: the request carries
///   values that are good for one use (a DPoP proof, a client assertion, a code). The rest of the
///   crate decides about retries.
/// * **No redirect is followed** (RFC 9700 section 4.12). A 3xx is an answer like any other.
/// * **Nothing of its own.** Method, URI, headers and body go out as given: no cookies, no
///   `Authorization`, no `Referer`. Headers that HTTP itself demands (`Host`, `Content-Length`) and
///   `Accept: */*` may be added where they are missing. The answer is not decompressed.
/// * **https alone** (FAPI 2.0 Security Profile 5.2.1-1), TLS 1.2 or newer by BCP 195, the server's
///   certificate checked by RFC 9525 for every connection, no early data.
/// * **Bounded.** The answer's body stops at [`max_response_bytes`](TransportRequest::max_response_bytes),
///   however it is framed, and the call ends within [`timeout`](TransportRequest::timeout), from the
///   first look at the name to the last byte of the body.
/// * **Errors without secrets.** A [`TransportError`] has no room for a URL or a header; put none
///   into the text of [`TransportFault::Tls`](crate::error::TransportFault::Tls) either.
///
/// Dropping the future gives the request up.
pub trait Transport: Send + Sync {
    /// Sends `request` once and reads the answer, whatever its status.
    ///
    /// # Errors
    /// A [`TransportError`] where there is no answer, or none within the limits.
    fn send(
        &self,
        request: TransportRequest,
    ) -> BoxFuture<'_, Result<Response<Bytes>, TransportError>>;

    /// The same way out with a client certificate, which is shown to every server that asks for one
    /// (RFC 8705). It shares no connection and no TLS session with this one, or with one that has another
    /// certificate: a connection says who the client is.
    ///
    /// # Errors
    /// [`ConfigError::NoClientCertificates`] unless an implementation brings this.
    fn with_client_certificate(
        &self,
        certificate: &ClientCertificate,
    ) -> Result<Arc<dyn Transport>, ConfigError> {
        let _ = certificate;
        Err(ConfigError::NoClientCertificates)
    }
}

impl<T: Transport + ?Sized> Transport for Arc<T> {
    fn send(
        &self,
        request: TransportRequest,
    ) -> BoxFuture<'_, Result<Response<Bytes>, TransportError>> {
        (**self).send(request)
    }

    fn with_client_certificate(
        &self,
        certificate: &ClientCertificate,
    ) -> Result<Arc<dyn Transport>, ConfigError> {
        (**self).with_client_certificate(certificate)
    }
}

/// A request, and the limits for its answer.
///
/// Its `Debug` shows where the request goes and the names of its headers, nothing that they hold.
#[non_exhaustive]
pub struct TransportRequest {
    /// What to send. The URI is absolute.
    pub request: Request<RequestBody>,
    /// The largest body of an answer that is taken, in bytes.
    pub max_response_bytes: usize,
    /// How long the whole call may take.
    pub timeout: Duration,
}

impl TransportRequest {
    /// A request, the largest body of an answer in bytes, and the time for the whole call.
    #[must_use]
    pub const fn new(
        request: Request<RequestBody>,
        max_response_bytes: usize,
        timeout: Duration,
    ) -> Self {
        Self {
            request,
            max_response_bytes,
            timeout,
        }
    }
}

impl fmt::Debug for TransportRequest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TransportRequest")
            .field("method", self.request.method())
            .field("host", &Host(self.request.uri()))
            .field("headers", &HeaderNames(self.request.headers()))
            .field("body", self.request.body())
            .field("max_response_bytes", &self.max_response_bytes)
            .field("timeout", &self.timeout)
            .finish()
    }
}

/// Host and port of a URI: its path may name an account, its query a secret.
struct Host<'a>(&'a Uri);

impl fmt::Debug for Host<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0.host().unwrap_or_default())?;
        match self.0.port_u16() {
            Some(port) => write!(formatter, ":{port}"),
            None => Ok(()),
        }
    }
}

struct HeaderNames<'a>(&'a HeaderMap);

impl fmt::Debug for HeaderNames<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SEC-cred: what a request carries is not in its `Debug`.
    #[test]
    fn debug_shows_no_header_no_query_and_no_body() {
        let request = Request::post("https://user:s1@as.example:8443/s2?code=s3")
            .header("authorization", "DPoP s4")
            .header("dpop", "s5")
            .body(RequestBody::from("s6".to_owned()))
            .unwrap();
        let text = format!("{:?}", TransportRequest::new(request, 1, Duration::ZERO));

        assert!(
            text.contains("as.example:8443") && text.contains("dpop"),
            "{text}"
        );
        for secret in ["s1", "s2", "s3", "s4", "s5", "s6"] {
            assert!(!text.contains(secret), "{text}");
        }
    }

    #[test]
    fn a_transport_is_object_safe_and_shared() {
        fn shared<T: Send + Sync>() {}
        shared::<Arc<dyn Transport>>();
        shared::<TransportRequest>();
    }
}
