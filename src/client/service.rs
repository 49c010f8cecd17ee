//! Tokens of the client's own (`client_credentials`), for APIs that act for no user.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use http::Method;
use serde_json::Value;
use tracing::Instrument;

use super::api::ApiRequest;
use super::authorization_server::{self, Call};
use super::cell::{Cell, Grant};
use super::core::Core;
use super::servers::Nonces;
use super::session::SessionId;
use super::single_flight::SingleFlight;
use super::tokens::{Part, Tokens};
use crate::error::{ConfigError, Endpoint, Error, SignInAgain, Violation};
use crate::protocol::authorization_details::{AuthorizationDetail, check_details};
use crate::protocol::authorization_request as request;
use crate::protocol::dpop::ProofKey;
use crate::protocol::form::Form;
use crate::protocol::token;

/// A token about to be asked for.
#[must_use = "a token is asked for with start()"]
pub struct ServiceRequest {
    core: Arc<Core>,
    scope: Option<String>,
    resources: Vec<String>,
    authorization_details: Vec<AuthorizationDetail>,
    problem: Option<ConfigError>,
}

impl ServiceRequest {
    pub(crate) const fn new(core: Arc<Core>) -> Self {
        Self {
            core,
            scope: None,
            resources: Vec::new(),
            authorization_details: Vec::new(),
            problem: None,
        }
    }

    /// What to ask for, as words with spaces between them.
    pub fn scope(mut self, scope: &str) -> Self {
        match request::scope(scope) {
            Ok(scope) => self.scope = Some(scope),
            Err(problem) => self.problem = self.problem.or(Some(problem)),
        }
        self
    }

    /// An API that the token is for (RFC 8707). May be called for several.
    pub fn resource(mut self, resource: &str) -> Self {
        match request::resource(resource) {
            Ok(url) => self.resources.push(url),
            Err(problem) => self.problem = self.problem.or(Some(problem)),
        }
        self
    }

    /// What exactly is asked for (RFC 9396). May be called for several.
    pub fn authorization_detail(mut self, detail: AuthorizationDetail) -> Self {
        self.authorization_details.push(detail);
        self
    }

    /// The token: the one that is there for the same scope, resources and details, or a new one. All who
    /// ask at once share one request, and one token; it is renewed by itself.
    ///
    /// # Errors
    /// [`ConfigError`] before anything is sent; [`Error::Denied`]; [`Error::Violation`];
    /// [`Error::Transport`].
    pub async fn start(self) -> Result<Service, Error> {
        let span = tracing::info_span!("fapi.client_credentials");
        self.ask().instrument(span).await
    }

    async fn ask(self) -> Result<Service, Error> {
        if let Some(problem) = self.problem {
            return Err(problem.into());
        }
        let core = self.core;
        let metadata = core.metadata.get(&core).await?;
        check_details(
            &self.authorization_details,
            metadata
                .list("authorization_details_types_supported")
                .as_deref(),
        )?;
        let wanted = Wanted {
            form: token::client_credentials(self.scope.as_deref()).and(request::target(
                &self.resources,
                &self.authorization_details,
            )),
            scope: self.scope,
            details: !self.authorization_details.is_empty(),
        };
        let name = wanted.form.clone().encode();
        let slot = core.services.slot(&name);
        if let Some(cell) = slot.cell() {
            return Ok(Service { core, cell });
        }
        // One request for all who ask for the same at once; it is kept even if they all go away.
        let (asking, kept) = (core.clone(), slot.clone());
        let busy = core.shared.background.begin();
        let job = || async move {
            let _busy = busy;
            if let Some(cell) = kept.cell() {
                return Ok(cell);
            }
            let cell = Arc::new(wanted.ask(&asking).await?);
            kept.put(&cell);
            Ok(cell)
        };
        let cell = slot.flight.run(job).await??;
        Ok(Service { core, cell })
    }
}

/// A token that was asked for.
struct Wanted {
    form: Form,
    scope: Option<String>,
    details: bool,
}

impl Wanted {
    async fn ask(self, core: &Core) -> Result<Cell, Error> {
        let key = core.new_proof_key()?;
        let nonces = Nonces::default();
        let sent_at = core.now();
        let call = Call {
            endpoint: Endpoint::Token,
            form: &self.form,
            proof: key.as_ref().map(|key| (key, &nonces)),
            lost_answer: None,
        };
        let response = authorization_server::tokens(core, call).await?;
        // RAR-7: what was asked for in detail is answered in detail.
        if self.details && response.authorization_details.is_none() {
            return Err(Violation::MissingAuthorizationDetails.into());
        }
        let tokens = Tokens::new(response, self.scope.as_deref(), sent_at);
        let grant = Grant::Client { form: self.form };
        Ok(Cell::new(SessionId::random()?, key, nonces, grant, tokens))
    }
}

/// The most tokens of the client's own that are kept; those that nobody uses go first.
const SERVICES: usize = 1000;

/// The client's own tokens, by what they were asked for: scope, resources and details.
#[derive(Default)]
pub(crate) struct Services {
    slots: Mutex<HashMap<String, Arc<Slot>>>,
}

/// One token of the client's own.
#[derive(Default)]
struct Slot {
    cell: Mutex<Option<Arc<Cell>>>,
    flight: SingleFlight<Result<Arc<Cell>, Error>>,
}

impl Services {
    fn slot(&self, name: &str) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= SERVICES && !slots.contains_key(name) {
            slots.retain(|_, slot| slot.is_in_use());
        }
        if slots.len() >= SERVICES && !slots.contains_key(name) {
            // A token for this call alone.
            return Arc::default();
        }
        slots.entry(name.to_owned()).or_default().clone()
    }
}

impl Slot {
    fn cell(&self) -> Option<Arc<Cell>> {
        let cell = self.cell.lock().unwrap_or_else(PoisonError::into_inner);
        cell.clone()
    }

    fn put(&self, cell: &Arc<Cell>) {
        let mut slot = self.cell.lock().unwrap_or_else(PoisonError::into_inner);
        *slot = Some(cell.clone());
    }

    /// Whether somebody has a handle to it, or is about to.
    fn is_in_use(self: &Arc<Self>) -> bool {
        let cell = self.cell.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::strong_count(self) > 1
            || cell
                .as_ref()
                .is_some_and(|cell| Arc::strong_count(cell) > 1)
    }
}

/// The client acting for itself. Cloning it is cheap. Its token is renewed by itself.
///
/// It is a type of its own: a client id is no user (FAPI2-SP section 6.7).
#[derive(Clone)]
pub struct Service {
    core: Arc<Core>,
    cell: Arc<Cell>,
}

impl Service {
    /// A GET request to an API.
    pub fn get(&self, url: impl AsRef<str>) -> ApiRequest {
        self.request(Method::GET, url)
    }

    /// A POST request to an API.
    pub fn post(&self, url: impl AsRef<str>) -> ApiRequest {
        self.request(Method::POST, url)
    }

    /// A request to an API, with the access token and a proof.
    pub fn request(&self, method: Method, url: impl AsRef<str>) -> ApiRequest {
        ApiRequest::new(
            self.core.clone(),
            self.cell.clone(),
            Arc::default(),
            method,
            url.as_ref(),
        )
    }

    /// The scope that was granted.
    ///
    /// # Errors
    /// [`SignInAgain`] never in practice: a token of the client's own does not end.
    pub fn scope(&self) -> Result<Option<String>, SignInAgain> {
        self.cell.scope(&Part::default())
    }

    /// The authorization details that were granted (RFC 9396 section 7).
    ///
    /// # Errors
    /// As those of [`scope`](Self::scope).
    pub fn authorization_details(&self) -> Result<Option<Vec<Value>>, SignInAgain> {
        self.cell.authorization_details(&Part::default())
    }

    /// The RFC 7638 thumbprint of the key that the token is bound to (`cnf.jkt`); `None` where it is bound
    /// to the client's certificate.
    #[must_use]
    pub fn key_thumbprint(&self) -> Option<&str> {
        self.cell.key.as_ref().map(ProofKey::thumbprint)
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Service")
            .field("issuer", &self.core.issuer().as_str())
            .field("client_id", &self.core.client_id)
            .finish_non_exhaustive()
    }
}
