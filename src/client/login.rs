//! Beginning a login: the parameters are pushed, and a URL for the browser comes back.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tracing::Instrument;
use url::Url;

use super::authorization_server::{self, Call};
use super::core::{Core, endpoint_of};
use super::dpop_keys;
use super::ended;
use super::servers::Nonces;
use super::session::SessionId;
use super::transactions::{self, Transaction};
use crate::error::{ConfigError, Endpoint, Error, StepUp};
use crate::profile::{NONCE_MAX_CHARS, REQUEST_URI_LIFE_LIMIT};
use crate::protocol::answer::Answer;
use crate::protocol::authorization_details::{AuthorizationDetail, check_details};
use crate::protocol::authorization_request::{self as request, Fresh, LoginParameters, Prompt};
use crate::protocol::claims_request::ClaimsRequest;
use crate::protocol::dpop::ProofKey;
use crate::protocol::form::Form;
use crate::protocol::id_token::Asked;
use crate::protocol::par;
use crate::protocol::uri::RedirectUri;
use crate::secret::{CodeVerifier, IdTokenHint, Nonce, State, TransactionHandle};
use crate::time::Timestamp;

/// What a token is asked for: kept with a session, so that a step-up can ask for the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Target {
    pub(crate) scope: Option<String>,
    pub(crate) resources: Vec<String>,
    pub(crate) authorization_details: Vec<AuthorizationDetail>,
}

impl Target {
    /// RI-2, RI-sub: the token request names the API as well, where it is one. Of several, a server
    /// would have to be told which; where none is named it takes what was pushed.
    pub(crate) fn of_one_api(&self) -> Form {
        match self.resources.as_slice() {
            [_] => request::target(&self.resources, &[]),
            _ => Form::default(),
        }
    }
}

/// A login about to begin.
///
/// Everything in it is pushed to the server directly (RFC 9126). Nothing of it is in the URL that the
/// browser visits.
#[must_use = "a login begins with start()"]
pub struct LoginRequest {
    core: Arc<Core>,
    parameters: LoginParameters,
    browser: Option<TransactionHandle>,
    subject: Option<String>,
    /// Another than the client's: the same, with the port that the system chose.
    redirect_uri: Option<RedirectUri>,
    problem: Option<ConfigError>,
}

impl LoginRequest {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self {
            core,
            parameters: LoginParameters::default(),
            browser: None,
            subject: None,
            redirect_uri: None,
            problem: None,
        }
    }

    /// The login that a step-up of a session asks for: the same target, by the same user.
    pub(crate) fn step_up(
        core: Arc<Core>,
        target: Target,
        step_up: &StepUp,
        subject: Option<&str>,
    ) -> Self {
        let mut login = Self::new(core);
        // The API may name a scope that is missing as well.
        let words = [target.scope.as_deref(), step_up.scope.as_deref()];
        login.parameters.scope = request::merged_scope(words.into_iter().flatten());
        login.parameters.resources = target.resources;
        login.parameters.authorization_details = target.authorization_details;
        login.parameters.acr_values.clone_from(&step_up.acr_values);
        login.parameters.max_age = step_up.max_age;
        login.subject = subject.map(str::to_owned);
        login
    }

    /// The client that the login is for.
    #[cfg(feature = "loopback")]
    pub(crate) fn client(&self) -> super::Client {
        super::Client {
            core: self.core.clone(),
        }
    }

    /// Lets the server send the browser to that port of the client's loopback redirect URI. `None` where
    /// the client has none, or one with another port.
    #[cfg(feature = "loopback")]
    pub(crate) fn with_port(mut self, port: u16) -> Option<Self> {
        self.redirect_uri = Some(self.core.redirect_uri.as_ref()?.with_port(port)?);
        Some(self)
    }

    fn note<T>(&mut self, read: Result<T, ConfigError>) -> Option<T> {
        read.map_err(|problem| {
            self.problem.get_or_insert(problem);
        })
        .ok()
    }

    /// What to ask for, as words with spaces between them: `openid accounts`. With `openid` among
    /// them the answer has an ID token, and the session knows its user. Ask for no more than is
    /// needed (FAPI2-SP 5.3.3.1-13).
    pub fn scope(mut self, scope: &str) -> Self {
        if let Some(scope) = self.note(request::scope(scope)) {
            self.parameters.scope = Some(scope);
        }
        self
    }

    /// How long ago the user may have authenticated. The ID token's `auth_time` is checked against it.
    pub const fn max_age(mut self, max_age: Duration) -> Self {
        self.parameters.max_age = Some(max_age);
        self
    }

    /// The authentication contexts of which one is wanted, best first. The ID token's `acr` has to be
    /// one of them.
    pub fn acr_values<V: Into<String>>(mut self, values: impl IntoIterator<Item = V>) -> Self {
        self.parameters.acr_values = values.into_iter().map(Into::into).collect();
        self
    }

    /// Single claims (OIDC Core section 5.5).
    pub fn claims(mut self, claims: ClaimsRequest) -> Self {
        self.parameters.claims = Some(claims);
        self
    }

    /// How the server should involve the user. May be called for several.
    pub fn prompt(mut self, prompt: Prompt) -> Self {
        self.parameters.prompt.push(prompt);
        self
    }

    /// What is known of the user: a name or a mail address, as the server understands it.
    pub fn login_hint(mut self, hint: impl Into<String>) -> Self {
        self.parameters.login_hint = Some(hint.into());
        self
    }

    /// The user's languages (BCP 47), best first.
    pub fn ui_locales<V: Into<String>>(mut self, locales: impl IntoIterator<Item = V>) -> Self {
        self.parameters.ui_locales = locales.into_iter().map(Into::into).collect();
        self
    }

    /// An earlier ID token of the user: [`Session::id_token_hint`](crate::Session::id_token_hint).
    pub fn id_token_hint(mut self, hint: IdTokenHint) -> Self {
        self.parameters.id_token_hint = Some(hint);
        self
    }

    /// An API that the token is for (RFC 8707). May be called for several.
    pub fn resource(mut self, resource: &str) -> Self {
        if let Some(url) = self.note(request::resource(resource)) {
            self.parameters.resources.push(url);
        }
        self
    }

    /// What exactly is asked for (RFC 9396). May be called for several. The session tells what was
    /// granted.
    pub fn authorization_detail(mut self, detail: AuthorizationDetail) -> Self {
        self.parameters.authorization_details.push(detail);
        self
    }

    /// The `nonce`, where it has to be a certain one; at most 64 characters. A random one is sent
    /// otherwise, whenever an ID token is asked for.
    pub fn nonce(mut self, nonce: impl Into<String>) -> Self {
        let nonce = nonce.into();
        if nonce.is_empty() || nonce.chars().count() > NONCE_MAX_CHARS {
            self.problem.get_or_insert(ConfigError::NonceTooLong);
        } else {
            self.parameters.nonce = Some(nonce);
        }
        self
    }

    /// A parameter that an ecosystem defines. One that this crate sets itself is refused.
    pub fn parameter(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.parameters.extra.push((name.into(), value.into()));
        self
    }

    /// The browser has a login under way already: the value of its cookie. The new login joins it
    /// under the same handle, so that two tabs can log in side by side. A value that no login is known
    /// for is not taken over; the browser gets a new one.
    pub fn in_browser(mut self, transaction: impl Into<TransactionHandle>) -> Self {
        self.browser = Some(transaction.into());
        self
    }

    /// Pushes the request.
    ///
    /// # Errors
    /// [`ConfigError`] for a parameter that can't be right, before anything is sent;
    /// [`Error::Denied`] where the server refuses the request; [`Error::Violation`];
    /// [`Error::Transport`].
    pub async fn start(self) -> Result<Login, Error> {
        let span = tracing::info_span!("fapi.login", issuer = self.core.issuer().as_str());
        self.begin().instrument(span).await
    }

    async fn begin(self) -> Result<Login, Error> {
        if let Some(problem) = self.problem {
            return Err(problem.into());
        }
        let core = &*self.core;
        let redirect_uri = self
            .redirect_uri
            .or_else(|| core.redirect_uri.clone())
            .ok_or(ConfigError::NoRedirectUri)?;
        // SP-5.3.3.2-4: everything is fresh for each login.
        let state = State::random()?;
        let verifier = CodeVerifier::random()?;
        let nonce = match &self.parameters.nonce {
            Some(nonce) => Some(Nonce::new(nonce)),
            None if self.parameters.wants_id_token() => Some(Nonce::random()?),
            None => None,
        };
        // What can't be right is known before a key is made.
        let form = |jkt: Option<&str>| {
            self.parameters.form(&Fresh {
                redirect_uri: redirect_uri.as_str(),
                state: &state,
                nonce: nonce.as_ref(),
                verifier: &verifier,
                dpop_jkt: jkt,
            })
        };
        form(None)?;
        let asked = asked(&self.parameters);
        if asked.is_something() && !self.parameters.wants_id_token() {
            return Err(ConfigError::NeedsOpenId.into());
        }
        let metadata = core.metadata.get(core).await?;
        check_details(
            &self.parameters.authorization_details,
            metadata
                .list("authorization_details_types_supported")
                .as_deref(),
        )?;
        if self.parameters.wants_id_token() {
            // A key set that can't be had is known before there is a code to lose.
            core.jwks.get(core).await?;
        }
        ended::retry(&self.core);
        let now = core.now();
        let session = SessionId::random()?;
        let (key, source) = dpop_keys::for_login(core, &session).await?;
        let nonces = Nonces::default();
        let form = form(key.as_ref().map(ProofKey::thumbprint))?;
        let proof = key.as_ref().map(|key| (key, &nonces));
        let pushed = match push(core, &form, proof).await {
            Ok(answer) => par::response(&answer, now),
            Err(error) => Err(error),
        };
        let pushed = match pushed {
            Ok(pushed) => pushed,
            Err(error) => {
                dpop_keys::forget(core, &source).await;
                return Err(error);
            }
        };
        if pushed.life >= REQUEST_URI_LIFE_LIMIT {
            tracing::warn!(
                seconds = pushed.life.as_secs(),
                "the request_uri lives longer than FAPI2-SP 5.3.2.2-12 lets it"
            );
        }
        let endpoint = endpoint_of(&metadata, Endpoint::Authorization)?;
        let url = par::authorization_url(&endpoint, &core.client_id, &pushed.request_uri);
        let transaction = Transaction {
            issuer: core.issuer().clone(),
            client_id: core.client_id.clone(),
            redirect_uri,
            state,
            nonce,
            verifier,
            session,
            key,
            source,
            nonces,
            asked,
            wants_id_token: self.parameters.wants_id_token(),
            subject: self.subject,
            target: Target {
                scope: self.parameters.scope,
                resources: self.parameters.resources,
                authorization_details: self.parameters.authorization_details,
            },
        };
        let handle = match transactions::keep(core, self.browser, &transaction).await {
            Ok(handle) => handle,
            Err(error) => {
                dpop_keys::forget(core, &transaction.source).await;
                return Err(error);
            }
        };
        tracing::info!(issuer = core.issuer().as_str(), "login begun");
        Ok(Login {
            url,
            expires_at: pushed.expires_at,
            transaction: handle,
        })
    }
}

async fn push(
    core: &Core,
    form: &Form,
    proof: Option<(&ProofKey, &Nonces)>,
) -> Result<Answer, Error> {
    let call = Call {
        endpoint: Endpoint::PushedAuthorizationRequest,
        form,
        // PAR-dpop: `dpop_jkt` binds the code; the proof is sent so that the server's nonce is known
        // before there is a code to lose.
        proof,
        lost_answer: None,
    };
    authorization_server::send(core, call).await
}

/// IDT-12, IDT-13: what the ID token will have to show.
fn asked(parameters: &LoginParameters) -> Asked {
    let claims = parameters.claims.as_ref();
    let essential = claims.and_then(ClaimsRequest::essential_acr);
    let acr = match (parameters.acr_values.is_empty(), essential) {
        (true, essential) => essential,
        (false, None) => Some(parameters.acr_values.clone()),
        (false, Some(essential)) if essential.is_empty() => Some(parameters.acr_values.clone()),
        (false, Some(essential)) => Some(essential),
    };
    Asked {
        max_age: parameters.max_age,
        auth_time: claims.is_some_and(ClaimsRequest::demands_auth_time),
        acr,
    }
}

/// A login that has begun: where to send the browser, and the secret that binds it to that browser.
pub struct Login {
    url: Url,
    expires_at: Timestamp,
    transaction: TransactionHandle,
}

impl Login {
    /// Where to send the browser: with status 303 from a web application (never 307), or by opening
    /// the system's browser. It holds the client id and the `request_uri`, nothing else, and is good
    /// for one visit until [`expires_at`](Self::expires_at).
    #[must_use]
    pub const fn url(&self) -> &Url {
        &self.url
    }

    /// Until when the URL may be handed out. The login itself may take longer.
    #[must_use]
    pub const fn expires_at(&self) -> Timestamp {
        self.expires_at
    }

    /// The secret that this browser, and no other, brings back to
    /// [`Client::finish_login`](crate::Client::finish_login): the value for a cookie named `__Host-…`,
    /// `Secure`, `HttpOnly`, `Path=/`, `SameSite=Lax` (never `Strict`: the callback comes from another
    /// site).
    #[must_use]
    pub const fn transaction(&self) -> &TransactionHandle {
        &self.transaction
    }
}

/// Not the URL: whoever has it can begin the login in the user's place.
impl fmt::Debug for Login {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Login")
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}
