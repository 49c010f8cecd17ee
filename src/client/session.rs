//! A session: a user who logged in, and what may be done in that user's name.

use std::fmt;
use std::sync::Arc;

use http::Method;
use serde_json::Value;
use tracing::Instrument;

use super::api::{ApiRequest, api_failure};
use super::cell::{Cell, Grant};
use super::core::Core;
use super::documents::JwksCache;
use super::end_session::{EndSession, end_session};
use super::ended;
use super::finish::is_unknown_key;
use super::login::LoginRequest;
use super::prepared::Prepared;
use super::refresh;
use super::resource;
use super::tokens::Part;
use crate::error::{ConfigError, Endpoint, Error, KeyError, SignInAgain, StepUp};
use crate::jose::{base64url, sha256};
use crate::protocol::answer::Answer;
use crate::protocol::authorization_request as request;
use crate::protocol::dpop::ProofKey;
use crate::protocol::id_token::IdToken;
use crate::protocol::userinfo::{self, UserInfo};
use crate::secret::{IdTokenHint, random_text};
use crate::time::Timestamp;

/// The name of a session, 43 characters of base64url. It is hard to guess, yet no credential: whether
/// a visitor may use the session is for the program to know.
///
/// Neither `Debug` nor logs show it: they have the first characters of its hash,
/// [`SessionId::tag`].
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SessionId(String);

impl SessionId {
    pub(crate) fn random() -> Result<Self, KeyError> {
        Ok(Self(random_text()?.to_string()))
    }

    /// What stands for the session in logs: 8 characters of the hash of its id.
    #[must_use]
    pub fn tag(&self) -> String {
        let hash = base64url(&sha256(self.0.as_bytes()));
        hash.chars().take(8).collect()
    }

    /// The text, for a program's own records.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for SessionId {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<String> for SessionId {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SessionId({})", self.tag())
    }
}

/// A user's session. Cloning it is cheap, and all clones are one session.
///
/// Its tokens never leave it but together with a proof of the key that they are bound to, and only to
/// the origins that were named to the builder.
#[derive(Clone)]
pub struct Session {
    core: Arc<Core>,
    cell: Arc<Cell>,
    part: Arc<Part>,
}

impl Session {
    pub(crate) fn new(core: Arc<Core>, cell: Arc<Cell>) -> Self {
        Self {
            core,
            cell,
            part: Arc::default(),
        }
    }

    /// The same session with a token of its own for less: only this scope, of what was granted. Every
    /// such token is asked for with the session's one refresh token, when it is first needed (RFC 6749
    /// section 6).
    ///
    /// # Errors
    /// [`ConfigError::Scope`].
    pub fn with_scope(&self, scope: &str) -> Result<Self, ConfigError> {
        let mut narrower = self.clone();
        let part = Part {
            scope: Some(request::scope(scope)?),
            ..(*self.part).clone()
        };
        narrower.part = Arc::new(part);
        Ok(narrower)
    }

    /// The same session with a token of its own for one API (RFC 8707 section 2.2), among those that the
    /// login named. May be called for several.
    ///
    /// # Errors
    /// [`ConfigError::Resource`].
    pub fn for_resource(&self, resource: &str) -> Result<Self, ConfigError> {
        let mut narrower = self.clone();
        let mut part = (*self.part).clone();
        part.resources.push(request::resource(resource)?);
        narrower.part = Arc::new(part);
        Ok(narrower)
    }

    /// The name under which [`Client::session`](crate::Client::session) finds it again.
    #[must_use]
    pub fn id(&self) -> &SessionId {
        &self.cell.id
    }

    /// The user (`sub` of the ID token); `None` where `openid` was not asked for.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.cell.subject()
    }

    /// The ID token's claims; `None` where `openid` was not asked for.
    #[must_use]
    pub fn id_token(&self) -> Option<&IdToken> {
        self.cell.id_token()
    }

    /// The ID token itself, for the `id_token_hint` of a later request.
    #[must_use]
    pub fn id_token_hint(&self) -> Option<IdTokenHint> {
        self.cell.id_token().map(|token| token.hint().clone())
    }

    /// The scope that was granted, which may be less than was asked for.
    ///
    /// # Errors
    /// [`SignInAgain`] where the session has ended.
    pub fn scope(&self) -> Result<Option<String>, SignInAgain> {
        self.cell.scope(&self.part)
    }

    /// The authorization details that were granted (RFC 9396 section 7).
    ///
    /// # Errors
    /// [`SignInAgain`] where the session has ended.
    pub fn authorization_details(&self) -> Result<Option<Vec<Value>>, SignInAgain> {
        self.cell.authorization_details(&self.part)
    }

    /// When the access token ends, where the server says so. It is renewed by itself.
    ///
    /// # Errors
    /// [`SignInAgain`] where the session has ended.
    pub fn expires_at(&self) -> Result<Option<Timestamp>, SignInAgain> {
        self.cell.expires_at(&self.part)
    }

    /// The RFC 7638 thumbprint of the key that the tokens are bound to (`cnf.jkt`); `None` where they are
    /// bound to the client's certificate.
    #[must_use]
    pub fn key_thumbprint(&self) -> Option<&str> {
        self.cell.key.as_ref().map(ProofKey::thumbprint)
    }

    /// A GET request to an API.
    pub fn get(&self, url: impl AsRef<str>) -> ApiRequest {
        self.request(Method::GET, url)
    }

    /// A HEAD request to an API.
    pub fn head(&self, url: impl AsRef<str>) -> ApiRequest {
        self.request(Method::HEAD, url)
    }

    /// A POST request to an API.
    pub fn post(&self, url: impl AsRef<str>) -> ApiRequest {
        self.request(Method::POST, url)
    }

    /// A PUT request to an API.
    pub fn put(&self, url: impl AsRef<str>) -> ApiRequest {
        self.request(Method::PUT, url)
    }

    /// A PATCH request to an API.
    pub fn patch(&self, url: impl AsRef<str>) -> ApiRequest {
        self.request(Method::PATCH, url)
    }

    /// A DELETE request to an API.
    pub fn delete(&self, url: impl AsRef<str>) -> ApiRequest {
        self.request(Method::DELETE, url)
    }

    /// A request to an API, with the access token and a proof.
    pub fn request(&self, method: Method, url: impl AsRef<str>) -> ApiRequest {
        ApiRequest::new(
            self.core.clone(),
            self.cell.clone(),
            self.part.clone(),
            method,
            url.as_ref(),
        )
    }

    /// The headers for a request that another HTTP stack sends: a WebSocket, server-sent events, gRPC.
    /// They are good for one attempt; hand the answer to [`Prepared::observe`].
    ///
    /// # Errors
    /// As those of [`ApiRequest::send`].
    pub async fn prepare(&self, method: Method, url: impl AsRef<str>) -> Result<Prepared, Error> {
        let url = resource::allowed(&self.core, url.as_ref())?;
        let span = tracing::info_span!("fapi.prepare", session = self.cell.id.tag());
        Prepared::new(
            &self.core,
            &self.cell,
            &self.part,
            Endpoint::Resource,
            method,
            url,
        )
        .instrument(span)
        .await
    }

    /// Renews the tokens now. All who ask at once share one request.
    ///
    /// # Errors
    /// [`Error::SignInAgain`] where the session is over; [`Error::Transport`] where the server can't be
    /// reached, and nothing is lost.
    pub async fn refresh(&self) -> Result<(), Error> {
        let generation = self.cell.generation(&self.part)?;
        refresh::refresh(&self.core, &self.cell, &self.part, generation).await
    }

    /// What the server says about the user (OIDC Core section 5.3), plain or signed.
    ///
    /// # Errors
    /// [`ConfigError::NoSubject`] where `openid` was not asked for;
    /// [`Violation::UserInfoSubject`](crate::Violation::UserInfoSubject) where it is another user than
    /// the ID token's; [`Violation::UserInfoUnsigned`](crate::Violation::UserInfoUnsigned);
    /// [`Violation::Jwt`](crate::Violation::Jwt); else as those of [`ApiRequest::send`].
    pub async fn userinfo(&self) -> Result<UserInfo, Error> {
        let span = tracing::info_span!("fapi.userinfo", session = self.cell.id.tag());
        self.ask_userinfo().instrument(span).await
    }

    async fn ask_userinfo(&self) -> Result<UserInfo, Error> {
        let core = &*self.core;
        let subject = self.subject().ok_or(ConfigError::NoSubject)?;
        let url = core.endpoint(Endpoint::UserInfo).await?;
        let response = resource::get_userinfo(&self.core, &self.cell, &self.part, url).await?;
        if response.status().is_client_error() {
            return Err(api_failure(&response, String::new()).into());
        }
        let answer = Answer::new(Endpoint::UserInfo, response);
        let Some(token) = userinfo::signed(&answer, core.signed_userinfo)? else {
            return userinfo::plain(&answer, subject);
        };
        let jwks: &JwksCache = &core.jwks;
        let keys = jwks.get(core).await?;
        let now = core.now();
        let read = |keys: &_| {
            userinfo::verified(
                &token,
                &core.shared.crypto,
                keys,
                &core.registered,
                subject,
                now,
            )
        };
        match read(&keys) {
            Err(violation) if is_unknown_key(&violation) => {
                match jwks.renewed(core, &keys).await? {
                    Some(keys) => Ok(read(&keys)?),
                    None => Err(violation.into()),
                }
            }
            read => Ok(read?),
        }
    }

    /// The login that an API's demand for another authentication asks for (RFC 9470): the same scope,
    /// resources and details, the wanted `acr_values` and `max_age`, and the same user. This session
    /// stays as it is.
    pub fn step_up(&self, step_up: &StepUp) -> LoginRequest {
        let target = match &self.cell.grant {
            Grant::User { asked, .. } => asked.clone(),
            Grant::Client { .. } => super::login::Target::default(),
        };
        LoginRequest::step_up(self.core.clone(), target, step_up, self.subject())
    }

    /// Ends the session here, always, and at the server (RFC 7009): with the refresh token goes
    /// everything that was granted. Where the server refuses to revoke it, or gave none, the access
    /// token is revoked.
    ///
    /// # Errors
    /// Where the server could not be told. The session has ended here all the same; the server is told
    /// again when this is called again, or when the next login begins.
    pub async fn logout(&self) -> Result<(), Error> {
        let span = tracing::info_span!("fapi.logout", session = self.cell.id.tag());
        ended::log_out(&self.core, &self.cell)
            .instrument(span)
            .await
    }
}

/// The server's own logout.
impl Session {
    /// Where to send the browser so that the user is signed out at the server as well (OpenID Connect
    /// RP-Initiated Logout 1.0). `back_to` is a registered `post_logout_redirect_uri`, where the browser
    /// should come back; `ui_locales` are the user's languages, the preferred one first.
    ///
    /// # Errors
    /// [`ConfigError::NoEndpoint`] where the server has no logout of its own;
    /// [`ConfigError::PostLogoutRedirectUri`].
    pub fn end_session(
        &self,
        back_to: Option<&str>,
        ui_locales: &[String],
    ) -> Result<EndSession, Error> {
        end_session(&self.core, self.cell.id_token(), back_to, ui_locales)
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Session")
            .field("id", &self.cell.id)
            .field("issuer", &self.core.issuer().as_str())
            .finish_non_exhaustive()
    }
}
