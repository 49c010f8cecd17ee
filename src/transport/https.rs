//! The transport that comes with the crate: reqwest over rustls.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::uri::Scheme;
use http::{HeaderMap, HeaderName, Response, Uri, header};
use http_body::{Body, Frame, SizeHint};
use rustls::ClientConfig;

use super::body::{BodyError, BodyStream, RequestBody};
use super::builder::HttpsTransportBuilder;
use super::{Transport, TransportRequest, fault};
use crate::certificate::ClientCertificate;
use crate::error::{ConfigError, TransportError, TransportFault};
use crate::future::BoxFuture;
use crate::tls;

/// How much room is made for an answer before its bytes are there.
const ROOM_AHEAD_BYTES: usize = 64 * 1024;

/// Sends requests with reqwest over rustls, under the TLS rules of FAPI 2.0 (Security Profile 5.2).
///
/// * TLS 1.3, and TLS 1.2 with the four cipher suites that RFC 9325 recommends. HTTP/2 where the server
///   offers it. No early data.
/// * The server's certificate is checked by RFC 9525, always: there is no switch for it, and tests
///   name their own root with [`add_root_certificates`](HttpsTransportBuilder::add_root_certificates).
/// * No redirects, no retries, no cookies, no `Referer`, no decompression.
/// * Proxies: those of the environment (`HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`) are used, unless
///   [`proxy`](HttpsTransportBuilder::proxy) names one or [`no_proxy`](HttpsTransportBuilder::no_proxy)
///   forbids all. A proxy sees host names and ports, and nothing inside of TLS; one that is spoken to over
///   https is shown the client's certificate where it asks for one.
///
/// Cheap to clone; clones share their connections. It works inside of a tokio runtime whose I/O and
/// time are enabled, and answers [`TransportFault::NoRuntime`] outside of any. One transport may serve any number of clients; where an ecosystem names the roots
/// for its banks, give it a transport of its own.
#[derive(Clone)]
pub struct HttpsTransport {
    pub(super) http: reqwest::Client,
    /// What another transport with another certificate is made from.
    pub(super) made_from: Arc<(HttpsTransportBuilder, ClientConfig)>,
}

impl HttpsTransport {
    /// A transport with the platform's roots and the environment's proxies.
    ///
    /// # Errors
    /// [`ConfigError`] where there is no cryptography provider, or the platform has no roots.
    pub fn new() -> Result<Self, ConfigError> {
        Self::builder().build()
    }

    /// A transport with settings of your own.
    pub fn builder() -> HttpsTransportBuilder {
        HttpsTransportBuilder::new()
    }
}

impl fmt::Debug for HttpsTransport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("HttpsTransport")
    }
}

impl Transport for HttpsTransport {
    fn send(
        &self,
        request: TransportRequest,
    ) -> BoxFuture<'_, Result<Response<Bytes>, TransportError>> {
        Box::pin(async move {
            if tokio::runtime::Handle::try_current().is_err() {
                return Err(TransportError::new(TransportFault::NoRuntime));
            }
            tokio::time::timeout(request.timeout, exchange(&self.http, request))
                .await
                .unwrap_or(Err(TransportFault::Timeout))
                .map_err(TransportError::new)
        })
    }

    /// MTLS-pool: a pool of its own, and TLS sessions of its own.
    fn with_client_certificate(
        &self,
        certificate: &ClientCertificate,
    ) -> Result<Arc<dyn Transport>, ConfigError> {
        let (builder, settings) = &*self.made_from;
        let settings = tls::with_certificate(settings, certificate);
        Ok(Arc::new(builder.clone().with_tls(settings)?))
    }
}

/// One request and its answer, without a limit of time.
async fn exchange(
    http: &reqwest::Client,
    request: TransportRequest,
) -> Result<Response<Bytes>, TransportFault> {
    let limit = request.max_response_bytes;
    let (parts, body) = request.request.into_parts();

    let mut outgoing = reqwest::Request::new(parts.method, url(&parts.uri)?);
    *outgoing.headers_mut() = parts.headers;
    mark_sensitive(outgoing.headers_mut());
    let failed = Arc::new(AtomicBool::new(false));
    *outgoing.body_mut() = match body {
        RequestBody::Bytes(bytes) if bytes.is_empty() => None,
        RequestBody::Bytes(bytes) => Some(bytes.into()),
        RequestBody::Stream(stream) => Some(reqwest::Body::wrap(Watched {
            stream,
            failed: failed.clone(),
        })),
    };

    let why = |error: reqwest::Error| {
        if failed.load(Ordering::Acquire) {
            TransportFault::RequestBody
        } else {
            fault::of(&error)
        }
    };
    let mut incoming = http.execute(outgoing).await.map_err(why)?;
    let body = read(&mut incoming, limit, why).await?;

    let mut response = Response::new(body);
    *response.status_mut() = incoming.status();
    *response.version_mut() = incoming.version();
    *response.headers_mut() = std::mem::take(incoming.headers_mut());
    Ok(response)
}

/// SP-5.2.1-1: nothing but https, and that is known before anything is sent. A name and a password in
/// the URI would become an `Authorization` that nobody asked for. A target that this library would
/// write otherwise (dot segments, characters to be encoded) is refused too: the proof's `htu` names
/// the target as it was given (DPOP-htu).
fn url(uri: &Uri) -> Result<url::Url, TransportFault> {
    let user = uri
        .authority()
        .is_some_and(|authority| authority.as_str().contains('@'));
    if uri.scheme() != Some(&Scheme::HTTPS) || user {
        return Err(TransportFault::Uri);
    }
    url::Url::parse(&uri.to_string())
        .ok()
        .filter(|url| url.path() == uri.path() && url.query() == uri.query())
        .ok_or(TransportFault::Uri)
}

/// Keeps tokens and proofs out of HTTP/2's compression tables, and out of `Debug`.
fn mark_sensitive(headers: &mut HeaderMap) {
    let secret = [
        header::AUTHORIZATION,
        header::COOKIE,
        HeaderName::from_static("dpop"),
    ];
    for (name, value) in headers.iter_mut() {
        if secret.contains(name) {
            value.set_sensitive(true);
        }
    }
}

/// The body, if it is not larger than `limit`: neither by its own account nor in truth.
async fn read(
    incoming: &mut reqwest::Response,
    limit: usize,
    why: impl Fn(reqwest::Error) -> TransportFault,
) -> Result<Bytes, TransportFault> {
    let announced = incoming.content_length().unwrap_or(0);
    let announced = usize::try_from(announced).unwrap_or(usize::MAX);
    if announced > limit {
        return Err(TransportFault::TooLarge { limit });
    }
    let mut body = BytesMut::with_capacity(announced.min(ROOM_AHEAD_BYTES));
    while let Some(chunk) = incoming.chunk().await.map_err(&why)? {
        if chunk.len() > limit.saturating_sub(body.len()) {
            return Err(TransportFault::TooLarge { limit });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// A stream that tells whether it was the one that failed.
struct Watched {
    stream: BodyStream,
    failed: Arc<AtomicBool>,
}

impl Body for Watched {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = Pin::new(&mut self.stream).poll_frame(context);
        if matches!(frame, Poll::Ready(Some(Err(_)))) {
            self.failed.store(true, Ordering::Release);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.stream.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.stream.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SEC-cred: HTTP/2 keeps no token and no proof in a table that later requests are compressed with.
    #[test]
    fn tokens_and_proofs_are_sensitive() {
        let mut headers = HeaderMap::new();
        for name in ["authorization", "dpop", "accept"] {
            headers.append(name, "one".parse().unwrap());
            headers.append(name, "two".parse().unwrap());
        }
        mark_sensitive(&mut headers);
        for (name, value) in &headers {
            assert_eq!(value.is_sensitive(), name != "accept", "{name}");
        }
    }

    /// SP-5.2.1-1, DPOP-htu: only https, no user, and the target as it will be sent.
    #[test]
    fn other_uris_are_refused() {
        for good in [
            "https://as.example",
            "https://as.example?q",
            "https://AS.example:443/a%2Fb;c?d=%20",
            "https://[::1]:8443/",
        ] {
            assert!(url(&Uri::from_static(good)).is_ok(), "{good}");
        }
        for bad in [
            "http://as.example/",
            "/relative",
            "https://user@as.example/",
            "https://as.example/a/../b",
            "https://as.example/a/%2E%2e/b",
            "https://as.example/{a}",
        ] {
            assert_eq!(
                url(&Uri::from_static(bad)),
                Err(TransportFault::Uri),
                "{bad}"
            );
        }
    }
}
