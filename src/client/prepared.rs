//! One attempt at an API: its headers, and what its answer means.

use std::fmt;
use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use url::Url;

use super::authorization_server::{again, secret_header};
use super::cell::Cell;
use super::core::Core;
use super::mutual_tls::Way;
use super::refresh;
use super::retry::{Cause, Role, Seen, Spent, Verdict, judge};
use super::servers::Signed;
use super::tokens::{Part, Usable};
use crate::error::{ConfigError, Endpoint, Error, SignInAgain, StoreError, Violation};
use crate::protocol::challenge;
use crate::protocol::dpop::{self, PROOF_HEADER, Proof};
use crate::protocol::uri::Origin;
use crate::secret::{AccessToken, random_text};
use crate::transport::Transport;

/// How often a certificate may change under the hands of one request.
const TRIES: usize = 3;

/// The headers for one attempt at a request, in the name of one session.
pub struct Prepared {
    core: Arc<Core>,
    cell: Arc<Cell>,
    part: Part,
    endpoint: Endpoint,
    method: Method,
    url: Url,
    headers: HeaderMap,
    /// The token that was captured for this request; a retry for a nonce sends the same one.
    token: AccessToken,
    /// Where it goes out: with the certificate that the token is bound to, where it is.
    way: Way,
    generation: u64,
    signed: Signed,
    /// The nonce of the challenge that this attempt answers. Others that use it meanwhile would use it
    /// up.
    own_nonce: Option<String>,
    spent: Spent,
}

/// What an answer means for the request that was prepared.
#[derive(Debug)]
#[non_exhaustive]
#[allow(
    clippy::large_enum_variant,
    reason = "one is made for each answer, and moved once"
)]
pub enum Observed {
    /// It stands, whatever its status.
    Done,
    /// The request has to go out once more, with these headers.
    SendAgain(Prepared),
}

/// What an answer means, and why.
#[allow(
    clippy::large_enum_variant,
    reason = "one is made for each answer, and moved once"
)]
pub(super) enum Next {
    Take,
    Again(Prepared, Cause),
}

impl Prepared {
    pub(super) async fn new(
        core: &Arc<Core>,
        cell: &Arc<Cell>,
        part: &Part,
        endpoint: Endpoint,
        method: Method,
        url: Url,
    ) -> Result<Self, Error> {
        let (usable, way) = usable(core, cell, part).await?;
        let mut prepared = Self {
            core: core.clone(),
            cell: cell.clone(),
            part: part.clone(),
            endpoint,
            method,
            url,
            headers: HeaderMap::new(),
            token: usable.access_token,
            way,
            generation: usable.generation,
            signed: Signed {
                at: core.now(),
                offset: 0,
                nonce: None,
            },
            own_nonce: None,
            spent: Spent::default(),
        };
        prepared.prove().await?;
        Ok(prepared)
    }

    /// `Authorization`, and `DPoP` where tokens are bound to a key. Set them, don't append them: each stands
    /// there once (DPOP-4.1).
    ///
    /// Where tokens are bound to the client's certificate, the HTTP stack has to show that one: see
    /// [`certificate_thumbprint`](Self::certificate_thumbprint).
    #[must_use]
    pub const fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The method that the headers are for.
    #[must_use]
    pub const fn method(&self) -> &Method {
        &self.method
    }

    /// The URL that the headers are for.
    #[must_use]
    pub const fn url(&self) -> &Url {
        &self.url
    }

    /// The thumbprint of the certificate that the token is bound to, and that the HTTP stack has to show for
    /// this attempt; `None` where the token is bound to a key. Another attempt may need another one.
    #[must_use]
    pub fn certificate_thumbprint(&self) -> Option<&str> {
        let bound = self.cell.key.is_none();
        self.way.certificate.as_deref().filter(|_| bound)
    }

    pub(super) fn transport(&self) -> &dyn Transport {
        &*self.way.transport
    }

    /// Signs a proof for the next attempt (DPOP-7.3).
    async fn prove(&mut self) -> Result<(), Error> {
        let (core, cell) = (&self.core, &self.cell);
        // Nothing goes out again for a session that ended meanwhile.
        cell.generation(&self.part)?;
        let origin = Origin::of(&self.url);
        self.signed = Signed {
            at: core.now(),
            offset: core.clock_offsets.offset(&origin),
            nonce: self
                .own_nonce
                .clone()
                .or_else(|| cell.nonces.get(&origin, Role::Resource))
                .or_else(|| core.nonces.get(&origin, Role::Resource)),
        };
        let Some(key) = &cell.key else {
            // R6750-2.1, MTLS-3: Bearer, over a connection that shows the certificate.
            let authorization = authorization("Bearer", &self.token)?;
            self.headers.insert(AUTHORIZATION, authorization);
            return Ok(());
        };
        let proof = key
            .prove(Proof {
                method: &self.method,
                url: &self.url,
                jti: &random_text()?,
                nonce: self.signed.nonce.as_deref(),
                access_token: Some(&self.token),
                now: self.signed.at.plus_seconds(self.signed.offset),
            })
            .await?;
        // DPOP-7.1a, DPOP-7.2: always with the scheme DPoP; there is no other.
        let authorization = authorization("DPoP", &self.token)?;
        self.headers.insert(AUTHORIZATION, authorization);
        self.headers.insert(
            HeaderName::from_static(PROOF_HEADER),
            secret_header(PROOF_HEADER, proof.reveal())?,
        );
        Ok(())
    }

    /// Learns from the answer, and says whether the request has to go out once more.
    ///
    /// # Errors
    /// [`Error::StepUp`], [`Error::SignInAgain`], [`Error::Violation`], [`Error::Transport`].
    pub async fn observe(self, status: StatusCode, headers: &HeaderMap) -> Result<Observed, Error> {
        let idempotent = self.method.is_idempotent();
        match self.next(status, headers, b"").await? {
            Next::Again(_, Cause::Unexplained) if !idempotent => Ok(Observed::Done),
            Next::Again(prepared, _) => {
                // Whether it goes out again is for the caller to know.
                prepared.share_nonce();
                Ok(Observed::SendAgain(prepared))
            }
            Next::Take => Ok(Observed::Done),
        }
    }

    /// Lets others use the nonce of the challenge, where this request may not go out again with it.
    pub(super) fn share_nonce(&self) {
        self.learn_nonce(&HeaderMap::new());
    }

    fn learn_nonce(&self, headers: &HeaderMap) {
        let origin = Origin::of(&self.url);
        for nonces in [&self.core.nonces, &self.cell.nonces] {
            nonces.learn(&origin, Role::Resource, self.own_nonce.as_deref(), headers);
        }
    }

    /// Learns from an answer and judges it. Where the token was at fault it has been renewed by then.
    pub(super) async fn next(
        mut self,
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<Next, Error> {
        let origin = Origin::of(&self.url);
        let learned =
            self.core
                .clock_offsets
                .learn(&origin, headers, &self.signed, self.core.now());
        let seen = Seen {
            role: Role::Resource,
            status,
            headers,
            body,
            proof: self.cell.key.is_some(),
            nonce: self.signed.nonce.as_deref(),
            clock_moved: learned.moved,
            clock_beyond: learned.beyond,
        };
        let verdict = judge(&seen, &mut self.spent);
        let asked = (verdict == Verdict::Again(Cause::Nonce))
            .then(|| dpop::nonce(headers).ok())
            .flatten();
        if asked.is_none() {
            self.learn_nonce(headers);
        }
        self.own_nonce = asked;
        // SU-4, ERR-4: a token that is good and not good enough is not renewed.
        if status == StatusCode::UNAUTHORIZED
            && let Some(step_up) = challenge::step_up(&challenge::challenges(headers))
        {
            return Err(step_up.into());
        }
        let cause = match verdict {
            Verdict::Take => return Ok(Next::Take),
            Verdict::ClockOff(seconds) => return Err(ConfigError::Clock { seconds }.into()),
            Verdict::Refuse(fault) => {
                return Err(Violation::DpopNonce {
                    endpoint: self.endpoint,
                    fault,
                }
                .into());
            }
            Verdict::Again(cause) => cause,
        };
        if matches!(cause, Cause::Token | Cause::Unexplained) && !self.renew_token(cause).await? {
            return Ok(Next::Take);
        }
        again(&self.core, self.endpoint, cause);
        self.prove().await?;
        Ok(Next::Again(self, cause))
    }

    /// One refresh, unless somebody else made it meanwhile. `false` where there is nothing to renew
    /// with and the API did not say that it is the token.
    async fn renew_token(&mut self, cause: Cause) -> Result<bool, Error> {
        let (core, cell) = (&self.core, &self.cell);
        if !cell.can_renew()? {
            return match cause {
                Cause::Token => Err(SignInAgain::NoRefreshToken.into()),
                _ => Ok(false),
            };
        }
        match refresh::refresh(core, cell, &self.part, self.generation).await {
            Ok(()) => {}
            Err(error @ Error::SignInAgain(_)) => return Err(error),
            // The API refused and did not say that it is the token: its answer is what is known.
            Err(_) if cause == Cause::Unexplained => return Ok(false),
            Err(error) => return Err(error),
        }
        let (usable, way) = usable(core, cell, &self.part).await?;
        self.token = usable.access_token;
        self.way = way;
        self.generation = usable.generation;
        Ok(true)
    }
}

/// A token that lives, and the way out that it is bound to.
async fn usable(core: &Arc<Core>, cell: &Arc<Cell>, part: &Part) -> Result<(Usable, Way), Error> {
    for _ in 0..TRIES {
        let usable = refresh::usable(core, cell, part).await?;
        let way = core.way()?;
        // MTLS-3: the certificate may have changed since.
        if usable.certificate.is_none()
            || usable.certificate.as_deref() == way.certificate.as_deref()
        {
            return Ok((usable, way));
        }
    }
    Err(StoreError::Conflict.into())
}

fn authorization(scheme: &str, token: &AccessToken) -> Result<HeaderValue, Error> {
    let text = zeroize::Zeroizing::new(format!("{scheme} {}", token.reveal()));
    Ok(secret_header("authorization", &text)?)
}

/// What the headers are for, and none of their values.
impl fmt::Debug for Prepared {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Prepared")
            .field("method", &self.method)
            .field("origin", &Origin::of(&self.url).as_str())
            .finish_non_exhaustive()
    }
}
