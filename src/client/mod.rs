//! The asynchronous shell that joins the rooms.

mod api;
mod authorization_server;
mod builder;
mod clients;
mod core;
mod documents;
mod finish;
mod login;
mod prepared;
mod refresh;
mod resource;
mod retry;
mod revoke;
mod servers;
mod service;
mod session;
mod single_flight;
mod tokens;

use std::sync::Arc;

use serde_json::Value;

pub use api::{ApiRequest, ApiResponse};
pub use builder::ClientBuilder;
pub use clients::{Clients, ClientsBuilder};
pub use documents::Discovery;
pub use login::{Login, LoginRequest};
pub use prepared::{Observed, Prepared};
pub use service::{Service, ServiceRequest};
pub use session::{Session, SessionId};

use self::core::Core;
use crate::error::{Error, StoreError};
use crate::protocol::authorization_response::Callback;
use crate::protocol::metadata::ServerMetadata;
use crate::protocol::uri::Issuer;
use crate::secret::TransactionHandle;

/// A client of one authorization server.
///
/// It comes out of [`ClientBuilder::build`] alone, which has read the server's metadata and held our
/// keys, algorithms and binding against it. Cloning it is cheap, and all clones are one client.
#[derive(Clone)]
pub struct Client {
    core: Arc<Core>,
}

impl Client {
    /// Begins to build a client.
    ///
    /// The issuer is the server's own name, to the letter; take it from where you trust, never from
    /// what a user, a mail or a token says (FAPI2-SP 5.3.3.1-10).
    pub fn builder(issuer: impl Into<String>, client_id: impl Into<String>) -> ClientBuilder {
        ClientBuilder::new(issuer.into(), client_id.into())
    }

    /// Begins a login.
    ///
    /// Call it when the user asked for it, in an answer to a request that another site can't forge (a
    /// form with a token against cross-site requests; FAPI2-SP 5.3.3.1-12).
    pub fn login(&self) -> LoginRequest {
        LoginRequest::new(self.core.clone())
    }

    /// Finishes a login: checks the callback, redeems the code, checks the ID token, and keeps the
    /// session.
    ///
    /// `transaction` is what [`Login::transaction`] gave to the browser that the callback comes through
    /// (the value of its cookie). `callback` is what arrived: the raw URL, query or form. A callback
    /// that does not hold uses nothing up; one that does is taken once.
    ///
    /// # Errors
    /// [`Error::Violation`] for a callback, a token or an ID token that breaks a rule;
    /// [`Error::Denied`] when the user or the server said no; [`Error::Transport`].
    pub async fn finish_login(
        &self,
        transaction: impl Into<TransactionHandle>,
        callback: impl Into<Callback>,
    ) -> Result<Session, Error> {
        let taken = finish::take_own(&self.core, &transaction.into(), &callback.into())?;
        finish::finish(&self.core, taken).await
    }

    /// Asks for a token for the client itself (RFC 6749 section 4.4), for APIs that act for no user.
    pub fn client_credentials(&self) -> ServiceRequest {
        ServiceRequest::new(self.core.clone())
    }

    /// A session by its id.
    ///
    /// # Errors
    /// [`StoreError::NoSuchSession`] where it ended, or never was.
    pub fn session(&self, id: &SessionId) -> Result<Session, Error> {
        let cell = self.core.shared.sessions.get(&self.core.session_key(id));
        match cell {
            Some(cell) => Ok(Session::new(self.core.clone(), cell)),
            None => Err(StoreError::NoSuchSession.into()),
        }
    }

    /// The sessions of a user (the `sub` of the ID token).
    #[must_use]
    pub fn sessions_of(&self, subject: &str) -> Vec<Session> {
        let issuer = self.core.issuer().as_str();
        self.core
            .shared
            .sessions
            .find(issuer, &self.core.client_id, |cell| {
                cell.subject() == Some(subject)
            })
            .into_iter()
            .map(|cell| Session::new(self.core.clone(), cell))
            .collect()
    }

    /// The public key set to register or to serve under the client's `jwks_uri`: `kid`, `use`, `alg`,
    /// and no private member.
    #[must_use]
    pub fn jwks(&self) -> Value {
        self.core.auth.keys().jwks()
    }

    /// The issuer.
    #[must_use]
    pub fn issuer(&self) -> &Issuer {
        self.core.issuer()
    }

    /// The client id.
    #[must_use]
    pub fn client_id(&self) -> &str {
        &self.core.client_id
    }

    /// Where the server sends the browser back to, where that is on the user's own device.
    #[cfg(feature = "loopback")]
    pub(crate) fn loopback_redirect(&self) -> Option<url::Url> {
        self.core.redirect_uri.as_ref()?.loopback()
    }

    /// The server's metadata, as it was last read.
    #[must_use]
    pub fn metadata(&self) -> Arc<ServerMetadata> {
        self.core.metadata.last()
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Client")
            .field("issuer", &self.core.issuer().as_str())
            .field("client_id", &self.core.client_id)
            .finish_non_exhaustive()
    }
}
