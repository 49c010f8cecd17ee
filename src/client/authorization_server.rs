//! The one way out to the authorization server.
//!
//! Every attempt carries an assertion and a proof of its own, made here, inside every retry; so no
//! `jti` ever goes out twice (CA-6, DPOP-7.3).

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method, Request, Response, Uri};
use url::Url;

use super::core::Core;
use super::retry::{Cause, Role, Seen, Spent, Verdict, judge};
use super::servers::Nonces;
use crate::error::{ConfigError, Endpoint, Error, TransportError, TransportFault, Violation};
use crate::profile::{ANSWER_MAX_BYTES, AS_TIMEOUT};
use crate::protocol::answer::Answer;
use crate::protocol::dpop::{PROOF_HEADER, Proof, ProofKey};
use crate::protocol::form::Form;
use crate::protocol::uri::Origin;
use crate::secret::random_text;
use crate::transport::{RequestBody, TransportRequest};

/// How long to wait before a request whose answer was lost goes out again.
const LOST_ANSWER_PAUSE: Duration = Duration::from_millis(250);

/// A form for an endpoint of the authorization server.
pub(crate) struct Call<'a> {
    pub(crate) endpoint: Endpoint,
    pub(crate) form: &'a Form,
    /// The key to prove with, and the nonces of the session that it belongs to.
    pub(crate) proof: Option<(&'a ProofKey, &'a Nonces)>,
    /// Set for a refresh: whether an answer was lost. The request then goes out once more, since the
    /// server keeps the old refresh token good for a while (SP-5.3.2.1-9). Nothing else is sent again
    /// blindly, least of all a code (ERR-11).
    pub(crate) lost_answer: Option<&'a AtomicBool>,
}

/// Sends a form, authenticated and proven, and again where the rule allows (design: Retries).
pub(crate) async fn send(core: &Core, call: Call<'_>) -> Result<Answer, Error> {
    let url = core.endpoint(call.endpoint).await?;
    let origin = Origin::of(&url);
    let mut spent = Spent::default();
    let mut may_repeat_lost = call.lost_answer.is_some();
    loop {
        let nonce = call.proof.and_then(|(_, session)| {
            session
                .get(&origin, Role::AuthorizationServer)
                .or_else(|| core.nonces.get(&origin, Role::AuthorizationServer))
        });
        let request = attempt(core, &call, &url, &origin, nonce.as_deref()).await?;
        let sent = core
            .shared
            .transport
            .send(TransportRequest::new(request, ANSWER_MAX_BYTES, AS_TIMEOUT))
            .await;
        let response = match sent {
            Ok(response) => response,
            Err(error) => {
                if let (Some(flag), true) = (call.lost_answer, is_lost(&error)) {
                    flag.store(true, Ordering::SeqCst);
                    if std::mem::take(&mut may_repeat_lost) {
                        tracing::warn!(endpoint = call.endpoint.name(), "answer lost; once more");
                        tokio::time::sleep(LOST_ANSWER_PAUSE).await;
                        continue;
                    }
                }
                return Err(error.at(call.endpoint).into());
            }
        };
        match learn_and_judge(
            core,
            &call,
            &origin,
            nonce.as_deref(),
            &response,
            &mut spent,
        ) {
            Verdict::Take => return Ok(Answer::new(call.endpoint, response)),
            Verdict::Again(cause) => again(call.endpoint, cause),
            Verdict::Refuse(fault) => {
                return Err(Violation::DpopNonce {
                    endpoint: call.endpoint,
                    fault,
                }
                .into());
            }
        }
    }
}

fn learn_and_judge(
    core: &Core,
    call: &Call<'_>,
    origin: &Origin,
    nonce: Option<&str>,
    response: &Response<Bytes>,
    spent: &mut Spent,
) -> Verdict {
    let headers = response.headers();
    tracing::debug!(
        endpoint = call.endpoint.name(),
        status = response.status().as_u16(),
        "answered"
    );
    core.nonces
        .learn(origin, Role::AuthorizationServer, headers);
    if let Some((_, session)) = call.proof {
        session.learn(origin, Role::AuthorizationServer, headers);
    }
    let seen = Seen {
        role: Role::AuthorizationServer,
        status: response.status(),
        headers,
        body: response.body(),
        proof: call.proof.is_some(),
        nonce,
        clock_moved: core.clock_offsets.learn(origin, headers, core.now()),
    };
    judge(&seen, spent)
}

pub(crate) fn again(endpoint: Endpoint, cause: Cause) {
    tracing::debug!(
        endpoint = endpoint.name(),
        cause = cause.name(),
        "sent again"
    );
}

/// One attempt: a fresh assertion, a fresh proof, the same form.
async fn attempt(
    core: &Core,
    call: &Call<'_>,
    url: &Url,
    origin: &Origin,
    nonce: Option<&str>,
) -> Result<Request<RequestBody>, Error> {
    let now = core.clock_offsets.time_for(origin, core.now());
    let assertion = core
        .auth
        .fields(
            &core.shared.crypto,
            &core.metadata.last(),
            &core.client_id,
            &random_text()?,
            now,
        )
        .await?;
    let body = call.form.clone().and(assertion).encode();
    let mut request = Request::new(RequestBody::from(body));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri(url)?;
    let headers = request.headers_mut();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/x-www-form-urlencoded"),
    );
    if let Some((key, _)) = call.proof {
        let proof = key
            .prove(Proof {
                method: &Method::POST,
                url,
                jti: &random_text()?,
                nonce,
                access_token: None,
                now,
            })
            .await?;
        headers.insert(
            HeaderName::from_static(PROOF_HEADER),
            secret_header(PROOF_HEADER, proof.reveal())?,
        );
    }
    Ok(request)
}

/// A header value that no one shows.
pub(crate) fn secret_header(name: &str, text: &str) -> Result<HeaderValue, ConfigError> {
    let mut value =
        HeaderValue::from_str(text).map_err(|_| ConfigError::Header(name.to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

pub(crate) fn uri(url: &Url) -> Result<Uri, ConfigError> {
    Uri::try_from(url.as_str())
        .map_err(|_| ConfigError::InsecureUrl(url.origin().ascii_serialization()))
}

/// Whether the server may have acted though no answer came.
const fn is_lost(error: &TransportError) -> bool {
    matches!(
        error.fault,
        TransportFault::Connect | TransportFault::Timeout | TransportFault::Broken
    )
}
