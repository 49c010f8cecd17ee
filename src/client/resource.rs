//! The one way out to an API.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::ACCEPT;
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use url::Url;

use super::authorization_server::uri;
use super::cell::Cell;
use super::core::Core;
use super::prepared::{Next, Prepared};
use super::retry::Cause;
use super::tokens::Part;
use crate::error::{ConfigError, Endpoint, Error, NotReplayable};
use crate::profile::{ANSWER_MAX_BYTES, AS_TIMEOUT};
use crate::protocol::uri::{Origin, https};
use crate::transport::{RequestBody, TransportRequest};

/// A request to an API, without token and proof.
pub(crate) struct Call {
    pub(crate) endpoint: Endpoint,
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: RequestBody,
    /// Whether the caller says that sending it twice does what sending it once does.
    pub(crate) idempotent: bool,
    pub(crate) max_response_bytes: usize,
    pub(crate) timeout: Duration,
}

/// BCP-4.9.1: a token goes to https URLs of the origins that the program named, and this is known
/// before anything goes out.
pub(crate) fn allowed(core: &Core, text: &str) -> Result<Url, ConfigError> {
    let url = https(text).ok_or_else(|| ConfigError::InsecureUrl(shown(text)))?;
    let origin = Origin::of(&url);
    if core.apis.contains(&origin) {
        Ok(url)
    } else {
        Err(ConfigError::ForeignOrigin(origin.as_str().to_owned()))
    }
}

/// A URL without what may be secret in it.
fn shown(text: &str) -> String {
    Url::parse(text).map_or_else(
        |_| "the URL".to_owned(),
        |url| format!("{}://{}", url.scheme(), url.host_str().unwrap_or_default()),
    )
}

/// Sends a request with token and proof, and again where the rule allows (design: Retries).
pub(crate) async fn send(
    core: &Arc<Core>,
    cell: &Arc<Cell>,
    part: &Part,
    mut call: Call,
) -> Result<Response<Bytes>, Error> {
    let mut prepared = Prepared::new(
        core,
        cell,
        part,
        call.endpoint,
        call.method.clone(),
        call.url.clone(),
    )
    .await?;
    loop {
        let spare = call.body.try_clone();
        let body = std::mem::take(&mut call.body);
        let response = attempt(&call, &prepared, body).await?;
        let next = prepared
            .next(response.status(), response.headers(), response.body())
            .await?;
        let (again, cause) = match next {
            Next::Take => return Ok(response),
            Next::Again(again, cause) => (again, cause),
        };
        // ERR-3: the API did not say that it refused the token; it may have acted.
        if cause == Cause::Unexplained && !call.idempotent {
            return Ok(response);
        }
        // DPOP-body
        let Some(spare) = spare else {
            again.share_nonce();
            return Err(NotReplayable {
                reason: cause.name(),
                response,
            }
            .into());
        };
        call.body = spare;
        prepared = again;
    }
}

async fn attempt(
    call: &Call,
    prepared: &Prepared,
    body: RequestBody,
) -> Result<Response<Bytes>, Error> {
    let mut request = Request::new(body);
    *request.method_mut() = call.method.clone();
    *request.uri_mut() = uri(&call.url)?;
    let headers = request.headers_mut();
    headers.clone_from(&call.headers);
    for (name, value) in prepared.headers() {
        headers.insert(name, value.clone());
    }
    let response = prepared
        .transport()
        .send(TransportRequest::new(
            request,
            call.max_response_bytes,
            call.timeout,
        ))
        .await
        .map_err(|error| error.at(call.endpoint))?;
    tracing::debug!(
        endpoint = call.endpoint.name(),
        status = response.status().as_u16(),
        "answered"
    );
    Ok(response)
}

/// UserInfo is an API of the server's own; its address comes from the metadata.
pub(crate) async fn get_userinfo(
    core: &Arc<Core>,
    cell: &Arc<Cell>,
    part: &Part,
    url: Url,
) -> Result<Response<Bytes>, Error> {
    let mut headers = HeaderMap::new();
    headers.insert(
        ACCEPT,
        HeaderValue::from_static(if core.signed_userinfo {
            "application/jwt"
        } else {
            "application/json, application/jwt"
        }),
    );
    let call = Call {
        endpoint: Endpoint::UserInfo,
        method: Method::GET,
        url,
        headers,
        body: RequestBody::empty(),
        idempotent: true,
        max_response_bytes: ANSWER_MAX_BYTES,
        timeout: AS_TIMEOUT,
    };
    send(core, cell, part, call).await
}
