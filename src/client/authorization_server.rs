//! The one way out to the authorization server.
//!
//! Every attempt carries an assertion and a proof of its own, made here, inside every retry; so no
//! `jti` ever goes out twice (CA-6, DPOP-7.3).

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri};
use url::Url;

use super::core::Core;
use super::mutual_tls::Way;
use super::retry::{Cause, Role, Seen, Spent, Verdict, judge};
use super::servers::{Nonces, Signed};
use crate::error::{ConfigError, Endpoint, Error, TransportError, TransportFault, Violation};
use crate::profile::{ANSWER_MAX_BYTES, AS_TIMEOUT};
use crate::protocol::answer::Answer;
use crate::protocol::dpop::{self, PROOF_HEADER, Proof, ProofKey};
use crate::protocol::form::Form;
use crate::protocol::token::{self, TokenResponse};
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

/// Asks the token endpoint for tokens of any grant.
pub(crate) async fn tokens(core: &Core, call: Call<'_>) -> Result<TokenResponse, Error> {
    let sent_at = core.now();
    let way = core.way()?;
    let bound_to = core.dpop_keys.is_none().then_some(way.certificate.clone());
    let answer = send_by(core, call, &way).await?;
    token::response(answer, sent_at, bound_to.flatten().as_deref())
}

/// Sends a form, authenticated and proven, and again where the rule allows (design: Retries).
pub(crate) async fn send(core: &Core, call: Call<'_>) -> Result<Answer, Error> {
    send_by(core, call, &core.way()?).await
}

async fn send_by(core: &Core, call: Call<'_>, way: &Way) -> Result<Answer, Error> {
    let url = core.endpoint(call.endpoint).await?;
    let origin = Origin::of(&url);
    let mut spent = Spent::default();
    let mut may_repeat_lost = call.lost_answer.is_some();
    // The nonce of a challenge is for the request that was challenged: others that use it meanwhile
    // would use it up.
    let mut own: Option<String> = None;
    loop {
        let nonce = own.clone().or_else(|| {
            let (_, session) = call.proof?;
            session
                .get(&origin, Role::AuthorizationServer)
                .or_else(|| core.nonces.get(&origin, Role::AuthorizationServer))
        });
        let signed = Signed {
            at: core.now(),
            offset: core.clock_offsets.offset(&origin),
            nonce,
        };
        let request = attempt(core, &call, &url, &signed).await?;
        let outcome = way
            .transport
            .send(TransportRequest::new(request, ANSWER_MAX_BYTES, AS_TIMEOUT))
            .await;
        let response = match outcome {
            Ok(response) => response,
            Err(error) => {
                if let Some(flag) = call.lost_answer {
                    flag.fetch_or(may_have_acted(&error), Ordering::SeqCst);
                    if is_passing(&error) && std::mem::take(&mut may_repeat_lost) {
                        tracing::warn!(endpoint = call.endpoint.name(), "answer lost; once more");
                        tokio::time::sleep(LOST_ANSWER_PAUSE).await;
                        continue;
                    }
                }
                return Err(error.at(call.endpoint).into());
            }
        };
        let verdict = learn_and_judge(core, &call, &origin, &signed, &response, &mut spent);
        let asked = (verdict == Verdict::Again(Cause::Nonce))
            .then(|| dpop::nonce(response.headers()).ok())
            .flatten();
        if asked.is_none() {
            learn_nonce(core, &call, &origin, own.as_deref(), response.headers());
        }
        own = asked;
        match verdict {
            Verdict::Take => return Ok(Answer::new(call.endpoint, response)),
            Verdict::Again(cause) => again(core, call.endpoint, cause),
            Verdict::ClockOff(seconds) => return Err(ConfigError::Clock { seconds }.into()),
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

fn learn_nonce(
    core: &Core,
    call: &Call<'_>,
    origin: &Origin,
    own: Option<&str>,
    headers: &HeaderMap,
) {
    let role = Role::AuthorizationServer;
    core.nonces.learn(origin, role, own, headers);
    if let Some((_, session)) = call.proof {
        session.learn(origin, role, own, headers);
    }
}

fn learn_and_judge(
    core: &Core,
    call: &Call<'_>,
    origin: &Origin,
    signed: &Signed,
    response: &Response<Bytes>,
    spent: &mut Spent,
) -> Verdict {
    let headers = response.headers();
    tracing::debug!(
        endpoint = call.endpoint.name(),
        status = response.status().as_u16(),
        "answered"
    );
    let learned = core
        .clock_offsets
        .learn(origin, headers, signed, core.now());
    let seen = Seen {
        role: Role::AuthorizationServer,
        status: response.status(),
        headers,
        body: response.body(),
        proof: call.proof.is_some(),
        nonce: signed.nonce.as_deref(),
        clock_moved: learned.moved,
        clock_beyond: learned.beyond,
    };
    judge(&seen, spent)
}

pub(crate) fn again(core: &Core, endpoint: Endpoint, cause: Cause) {
    if cause == Cause::Nonce {
        core.shared.watch.nonce_retried(endpoint);
    }
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
    signed: &Signed,
) -> Result<Request<RequestBody>, Error> {
    let now = signed.at.plus_seconds(signed.offset);
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
                nonce: signed.nonce.as_deref(),
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

/// Whether the server may have acted though we have no answer.
const fn may_have_acted(error: &TransportError) -> bool {
    matches!(
        error.fault,
        TransportFault::Timeout | TransportFault::Broken | TransportFault::TooLarge { .. }
    )
}

/// Whether the network failed in a way that a second later it may not.
const fn is_passing(error: &TransportError) -> bool {
    matches!(
        error.fault,
        TransportFault::Connect | TransportFault::Timeout | TransportFault::Broken
    )
}
