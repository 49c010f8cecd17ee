//! A registered client: what it is, where it is kept, and how it is managed (RFC 7592).

mod changes;
mod kept;

use std::fmt;
use std::sync::Arc;

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, StatusCode};
use serde_json::{Map, Value};
use tokio::task::JoinHandle;
use tracing::Instrument;
use url::Url;
use zeroize::Zeroizing;

use self::changes::Identity;
pub use self::changes::RegistrationChanges;
use self::kept::Kept;
use super::authorization_server::{secret_header, uri};
use super::builder::{ClientBuilder, Parts};
use super::core::Shared;
use super::documents::Discovery;
use crate::crypto::Crypto;
use crate::error::{ConfigError, Endpoint, Error, TransportError, TransportFault};
use crate::keys::CertificateSet;
use crate::profile::{ANSWER_MAX_BYTES, AS_TIMEOUT, Algorithm};
use crate::protocol::answer::Answer;
use crate::protocol::client_auth::ClientAuth;
use crate::protocol::registration::{self as protocol, Answered, Management, Registered};
use crate::protocol::uri::Issuer;
use crate::secret::RegistrationAccessToken;
use crate::time::Timestamp;
use crate::transport::{RequestBody, Transport, TransportRequest};

/// A client as the server registered it.
///
/// It comes out of [`Client::register`](crate::Client::register), or out of a store
/// ([`load`](Self::load)). Keep it: it holds the only token by which the client can be managed. The
/// client's private keys are not in it; they have a place of their own.
pub struct Registration {
    issuer: Issuer,
    client_id: String,
    issued_at: Option<Timestamp>,
    metadata: Map<String, Value>,
    management: Management,
    identity: Identity,
    discovery: Discovery,
    parts: Parts,
    kept: Option<Kept>,
    /// A call that was given up, and goes on.
    pending: Option<Pending>,
}

/// A registration as a call leaves it, and what came of the call.
type Pending = JoinHandle<(Box<Registration>, Result<(), Error>)>;

impl Registration {
    pub(super) fn new(issuer: Issuer, registered: Registered, management: Management) -> Self {
        Self {
            issuer,
            client_id: registered.client_id,
            issued_at: registered.issued_at,
            metadata: registered.metadata,
            management,
            identity: Identity::default(),
            discovery: Discovery::Auto,
            parts: Parts::default(),
            kept: None,
            pending: None,
        }
    }

    pub(super) fn with_parts(mut self, parts: Parts) -> Self {
        self.parts = parts;
        self
    }

    /// The server that the client is registered with.
    #[must_use]
    pub const fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// The client id that the server gave.
    #[must_use]
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// When the server registered the client, where it says so.
    #[must_use]
    pub const fn issued_at(&self) -> Option<Timestamp> {
        self.issued_at
    }

    /// The client's metadata (RFC 7591 section 2): what was asked for, with what the server made of it.
    /// No secret is in it.
    #[must_use]
    pub const fn metadata(&self) -> &Map<String, Value> {
        &self.metadata
    }

    /// Whether the server gave what [`read`](Self::read), [`update`](Self::update) and
    /// [`delete`](Self::delete) take.
    #[must_use]
    pub fn is_managed(&self) -> bool {
        self.endpoint().is_ok()
    }

    /// How the client proves who it is. Needed after [`load`](Self::load), before a client is built.
    #[must_use]
    pub fn authenticate_with(mut self, auth: ClientAuth) -> Self {
        self.identity.auth = Some(auth);
        self
    }

    /// As [`ClientBuilder::client_certificate`]. Needed after [`load`](Self::load) where a certificate
    /// authenticates the client or binds its tokens.
    #[must_use]
    pub fn client_certificate(mut self, certificates: impl Into<CertificateSet>) -> Self {
        self.identity.certificates = Some(certificates.into());
        self
    }

    /// As [`ClientBuilder::discovery`].
    #[must_use]
    pub const fn discovery(mut self, discovery: Discovery) -> Self {
        self.discovery = discovery;
        self
    }

    /// As [`ClientBuilder::transport`].
    #[must_use]
    pub fn transport(mut self, transport: impl Transport + 'static) -> Self {
        self.parts.transport = Some(Arc::new(transport));
        self
    }

    /// As [`ClientBuilder::crypto_provider`].
    #[must_use]
    pub fn crypto_provider(mut self, crypto: Crypto) -> Self {
        self.parts.crypto = Some(crypto);
        self
    }

    /// Begins to build the client: issuer, client id, the first redirect URI, authentication and
    /// algorithms are as they were registered. A program on the user's device sets its redirect URI anew,
    /// with the port that it listens on.
    pub fn client_builder(&self) -> ClientBuilder {
        let mut builder =
            ClientBuilder::new(self.issuer.as_str().to_owned(), self.client_id.clone())
                .discovery(self.discovery)
                .with_parts(self.parts.clone());
        let redirect_uris = self.metadata.get("redirect_uris").and_then(Value::as_array);
        if let Some(uri) = redirect_uris.and_then(|uris| uris.first()?.as_str()) {
            builder = builder.redirect_uri(uri);
        }
        // IDT-7: what was registered is what is accepted.
        if let Some(algorithm) = self.algorithm("id_token_signed_response_alg") {
            builder = builder.id_token_signed_with(algorithm);
        }
        if self.algorithm("userinfo_signed_response_alg").is_some() {
            builder = builder.signed_userinfo();
        }
        let is_set = |member: &str| self.metadata.get(member) == Some(&Value::Bool(true));
        if is_set("tls_client_certificate_bound_access_tokens") {
            builder = builder.certificate_bound_tokens();
        }
        // SP-5.2.2.1-3
        if is_set("use_mtls_endpoint_aliases") {
            builder = builder.use_mtls_endpoint_aliases();
        }
        if let Some(certificates) = &self.identity.certificates {
            builder = builder.client_certificate(certificates.clone());
        }
        match &self.identity.auth {
            Some(auth) => builder.authenticate_with(auth.clone()),
            None => builder,
        }
    }

    /// Reads the client's registration at the server (RFC 7592 section 2.1), and takes over what it is
    /// now, as long as it is as strong as before.
    ///
    /// # Errors
    /// [`ConfigError::Unmanaged`]; [`Denied::RegistrationToken`](crate::Denied::RegistrationToken) where
    /// the server has forgotten the client; [`Denied::NotOffered`](crate::Denied::NotOffered);
    /// [`Violation::Registration`](crate::Violation::Registration); [`Error::Store`] as for
    /// [`update`](Self::update).
    pub async fn read(&mut self) -> Result<(), Error> {
        let span = tracing::info_span!("fapi.registration.read");
        self.settle_last().await;
        let asked = protocol::update(&self.client_id, &self.metadata);
        self.see_through(Method::GET, asked, Identity::default())
            .instrument(span)
            .await
    }

    /// Changes the client's registration at the server (RFC 7592 section 2.2). The whole registration is
    /// sent, with the changes in it.
    ///
    /// A [saved](Self::save) registration is saved anew before this returns, since the server may give
    /// another token at each answer (RFC 7592 section 3).
    ///
    /// # Errors
    /// As those of [`read`](Self::read); [`ConfigError`] for a change that can't be right.
    /// [`Error::Store`] where the change was made and could not be saved: this value has it, so call
    /// [`save`](Self::save) again.
    pub async fn update(&mut self, changes: RegistrationChanges) -> Result<(), Error> {
        let span = tracing::info_span!("fapi.registration.update");
        self.settle_last().await;
        let (metadata, identity) = changes.applied(&self.metadata, &self.identity)?;
        // DCM-2.2: everything, the client id, and none of what the server alone gives.
        let asked = protocol::update(&self.client_id, &metadata);
        self.see_through(Method::PUT, asked, identity)
            .instrument(span)
            .await
    }

    /// Deletes the client at the server (RFC 7592 section 2.3), and in the store where it is kept.
    ///
    /// # Errors
    /// As those of [`read`](Self::read). Nothing is deleted in the store before the server has said that
    /// the client is gone.
    pub async fn delete(&mut self) -> Result<(), Error> {
        let span = tracing::info_span!("fapi.registration.delete");
        async {
            self.settle_last().await;
            let answer = self.manage(Method::DELETE, None).await?;
            protocol::deleted(&answer)?;
            // DCM-2.3: the token is void with the client.
            self.management = Management::default();
            self.forget().await
        }
        .instrument(span)
        .await
    }

    /// Asks, and takes over what is answered, though the caller goes away meanwhile: the server may have
    /// given another token, and that is the only one from then on.
    async fn see_through(
        &mut self,
        method: Method,
        asked: Map<String, Value>,
        identity: Identity,
    ) -> Result<(), Error> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| ConfigError::NoRuntime)?;
        let mut next = Box::new(self.copy());
        let job = async move {
            let outcome = next.ask(method, &asked, identity).await;
            (next, outcome)
        };
        self.pending = Some(runtime.spawn(job.instrument(tracing::Span::current())));
        self.settle().await
    }

    /// Takes over what a call brought that was given up before its end.
    async fn settle(&mut self) -> Result<(), Error> {
        let Some(pending) = &mut self.pending else {
            return Ok(());
        };
        let ended = pending.await;
        self.pending = None;
        let (next, outcome) = ended.map_err(|_| TransportError::new(TransportFault::Broken))?;
        // Only what a call changes: the program may have set the rest anew since.
        let Self {
            metadata,
            management,
            identity,
            kept,
            ..
        } = *next;
        self.metadata = metadata;
        self.management = management;
        self.identity = identity;
        self.kept = kept;
        outcome
    }

    /// The same before the next call, which is told by the server what became of the last.
    pub(super) async fn settle_last(&mut self) {
        if let Err(error) = self.settle().await {
            tracing::warn!(code = error.code(), "a call that was given up had failed");
        }
    }

    async fn ask(
        &mut self,
        method: Method,
        asked: &Map<String, Value>,
        identity: Identity,
    ) -> Result<(), Error> {
        let json = (method == Method::PUT).then_some(asked);
        let answer = self.manage(method, json).await?;
        let answered = protocol::response(answer, StatusCode::OK, asked)?;
        if answered.registered.is_ok() {
            self.identity.renew(identity);
        }
        self.take(answered).await
    }

    /// Not for programs: of two, one would have a token that is void after the next answer.
    fn copy(&self) -> Self {
        Self {
            issuer: self.issuer.clone(),
            client_id: self.client_id.clone(),
            issued_at: self.issued_at,
            metadata: self.metadata.clone(),
            management: self.management.clone(),
            identity: self.identity.clone(),
            discovery: self.discovery,
            parts: self.parts.clone(),
            kept: self.kept.clone(),
            pending: None,
        }
    }

    /// DCM-3: the new token is stored before anything else happens with it, and the old one is dropped.
    async fn take(&mut self, answered: Answered) -> Result<(), Error> {
        self.management.renew(answered.management);
        let outcome = answered.registered.map(|registered| {
            self.metadata = registered.metadata;
        });
        let kept = self.keep().await;
        outcome.and(kept)
    }

    async fn manage(
        &self,
        method: Method,
        json: Option<&Map<String, Value>>,
    ) -> Result<Answer, Error> {
        let (url, token) = self.endpoint()?;
        let mut shared = self.parts.clone().build()?;
        if let Some(certificates) = &self.identity.certificates {
            let certificate = certificates.active();
            shared.transport = shared.transport.with_client_certificate(&certificate)?;
        }
        let request = Request {
            method,
            url,
            token: Some(token.reveal()),
            json,
        };
        exchange(&shared, request).await
    }

    fn endpoint(&self) -> Result<(&Url, &RegistrationAccessToken), ConfigError> {
        match (&self.management.uri, &self.management.access_token) {
            (Some(uri), Some(token)) => Ok((uri, token)),
            _ => Err(ConfigError::Unmanaged),
        }
    }

    fn algorithm(&self, member: &str) -> Option<Algorithm> {
        Algorithm::from_name(self.metadata.get(member)?.as_str()?)
    }
}

/// Shows no token.
impl fmt::Debug for Registration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Registration")
            .field("issuer", &self.issuer.as_str())
            .field("client_id", &self.client_id)
            .field("is_managed", &self.is_managed())
            .finish_non_exhaustive()
    }
}

/// A request about a registration.
pub(super) struct Request<'a> {
    pub(super) method: Method,
    pub(super) url: &'a Url,
    /// Goes out as a Bearer token, which is what RFC 7591 and 7592 know (section 3; section 2).
    pub(super) token: Option<&'a str>,
    pub(super) json: Option<&'a Map<String, Value>>,
}

/// Sends a request once. ERR-11: nothing is repeated, neither a registration, which would make a second
/// client, nor a change, after which the token may be another one.
pub(super) async fn exchange(shared: &Shared, call: Request<'_>) -> Result<Answer, Error> {
    let body = match call.json {
        Some(members) => {
            let json = serde_json::to_vec(members);
            RequestBody::from(json.map_err(|error| ConfigError::Body(error.to_string()))?)
        }
        None => RequestBody::empty(),
    };
    let mut request = http::Request::new(body);
    *request.method_mut() = call.method;
    *request.uri_mut() = uri(call.url)?;
    let headers = request.headers_mut();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    if call.json.is_some() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    if let Some(token) = call.token {
        let value = Zeroizing::new(format!("Bearer {token}"));
        headers.insert(AUTHORIZATION, secret_header("authorization", &value)?);
    }
    let response = shared
        .transport
        .send(TransportRequest::new(request, ANSWER_MAX_BYTES, AS_TIMEOUT))
        .await
        .map_err(|error| error.at(Endpoint::Registration))?;
    tracing::debug!(
        endpoint = Endpoint::Registration.name(),
        status = response.status().as_u16(),
        "answered"
    );
    Ok(Answer::new(Endpoint::Registration, response))
}
