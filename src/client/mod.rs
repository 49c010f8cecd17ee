//! The asynchronous shell that joins the rooms.

mod api;
mod authorization_server;
mod backchannel;
mod background;
mod builder;
mod cell;
mod clients;
mod core;
mod documents;
mod dpop_keys;
mod end_session;
mod ended;
mod events;
mod finish;
mod kept;
mod login;
mod mutual_tls;
mod prepared;
mod record;
mod refresh;
mod register;
mod registration;
mod resource;
mod retry;
mod revoke;
mod servers;
mod service;
mod session;
mod single_flight;
mod tokens;
mod transactions;
mod turn;
mod vault;

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

pub use api::{ApiRequest, ApiResponse};
pub use builder::ClientBuilder;
pub use clients::{Clients, ClientsBuilder};
pub use documents::Discovery;
pub use end_session::EndSession;
pub use events::{Counters, Event, Events};
pub use login::{Login, LoginRequest};
pub use prepared::{Observed, Prepared};
pub use register::RegistrationRequest;
pub use registration::{Registration, RegistrationChanges};
pub use service::{Service, ServiceRequest};
pub use session::{Session, SessionId};

use self::core::Core;
use self::mutual_tls::MutualTls;
use crate::error::{Error, KeyError, StoreError};
use crate::protocol::authorization_response::Callback;
use crate::protocol::logout::LogoutToken;
use crate::protocol::metadata::ServerMetadata;
use crate::protocol::uri::Issuer;
use crate::secret::TransactionHandle;
use crate::store::{Digest, RecordKind};

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

    /// Begins to register a client (RFC 7591), for a program that has no client id yet: FAPI 2.0 knows no
    /// public clients, so each installed copy registers one of its own.
    ///
    /// The issuer is as for [`builder`](Self::builder).
    pub fn register(issuer: impl Into<String>) -> RegistrationRequest {
        RegistrationRequest::new(issuer.into())
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
    /// Once the login is taken, this goes on to its end even if the caller goes away (a browser that hangs
    /// up). A session that nobody waits for then is logged out again.
    ///
    /// # Errors
    /// [`Error::Violation`] for a callback, a token or an ID token that breaks a rule;
    /// [`Error::Denied`] when the user or the server said no; [`Error::Transport`].
    pub async fn finish_login(
        &self,
        transaction: impl Into<TransactionHandle>,
        callback: impl Into<Callback>,
    ) -> Result<Session, Error> {
        let own = [self.core.clone()];
        finish::finish(&own, transaction.into(), callback.into()).await
    }

    /// Gives up the logins that a browser has under way at this client: the user went away, or thought
    /// better of it. Nothing of them is left in the store. A callback that comes all the same finds no
    /// login.
    ///
    /// # Errors
    /// [`StoreError`] where the store failed. What is left passes with the login's life.
    pub async fn abandon_login(
        &self,
        transaction: impl Into<TransactionHandle>,
    ) -> Result<(), Error> {
        transactions::abandon(&self.core, &transaction.into()).await
    }

    /// Asks for a token for the client itself (RFC 6749 section 4.4), for APIs that act for no user.
    pub fn client_credentials(&self) -> ServiceRequest {
        ServiceRequest::new(self.core.clone())
    }

    /// A session by its id, as the store has it now. Nothing goes out to the server.
    ///
    /// # Errors
    /// [`StoreError::NoSuchSession`] where it ended, or never was; another [`StoreError`] where the
    /// store failed, or what it has can't be opened; [`SignInAgain::KeyLost`] and
    /// [`SignInAgain::KeyChanged`] where the key that its tokens are bound to is not there.
    ///
    /// [`SignInAgain::KeyLost`]: crate::SignInAgain::KeyLost
    /// [`SignInAgain::KeyChanged`]: crate::SignInAgain::KeyChanged
    pub async fn session(&self, id: &SessionId) -> Result<Session, Error> {
        match kept::open(&self.core, id).await? {
            Some(cell) => Ok(Session::new(self.core.clone(), cell)),
            None => Err(StoreError::NoSuchSession.into()),
        }
    }

    /// The sessions of a user (the `sub` of the ID token).
    ///
    /// # Errors
    /// [`StoreError`] where the store failed. A record that can't be opened is passed over and told of
    /// ([`Event::StoreFailing`]).
    pub async fn sessions_of(&self, subject: &str) -> Result<Vec<Session>, Error> {
        let mut sessions = self.find(Some(&record::by_subject(subject))).await?;
        // SES-8: a tag is not sealed. Whoever can write to the store can put one user's on another's record.
        sessions.retain(|session| session.subject() == Some(subject));
        Ok(sessions)
    }

    /// All sessions of this client, whoever's they are.
    ///
    /// # Errors
    /// As those of [`sessions_of`](Self::sessions_of).
    pub async fn sessions(&self) -> Result<Vec<Session>, Error> {
        self.find(None).await
    }

    async fn find(&self, tag: Option<&Digest>) -> Result<Vec<Session>, Error> {
        let core = &self.core;
        let mut sessions = Vec::new();
        for opened in core.vault.list(RecordKind::Session, tag).await? {
            let Ok((record, version)) = core.vault.told(kept::read(&opened)) else {
                continue;
            };
            match kept::of_record(core, record, version).await {
                Ok(Some(cell)) => sessions.push(Session::new(core.clone(), cell)),
                // Without its key a session is none.
                Ok(None) | Err(Error::SignInAgain(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(sessions)
    }

    /// Takes a logout that the server tells of (OpenID Connect Back-Channel Logout 1.0): verifies the token
    /// in the request and ends the sessions that it means, here at once and at the server in the
    /// background. The program routes the registered `backchannel_logout_uri` here, one for each client.
    ///
    /// ```
    /// use fapi_client::{Client, LogoutAnswer};
    ///
    /// # async fn route(client: &Client, content_type: Option<&str>, body: &[u8]) -> http::Response<bytes::Bytes> {
    /// let outcome = client.backchannel_logout(content_type, body).await;
    /// LogoutAnswer::of(&outcome).into_response() // 200 or 400, with `no-store`
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Violation::LogoutRequest`](crate::Violation::LogoutRequest), also for a token that has come
    /// before; [`Violation::Jwt`](crate::Violation::Jwt); [`Error::Store`] where sessions could not be
    /// ended, and [`Error::Transport`] where the key set can't be had: the server may send it again.
    pub async fn backchannel_logout(
        &self,
        content_type: Option<&str>,
        body: &[u8],
    ) -> Result<LogoutToken, Error> {
        backchannel::logout(&self.core, content_type, body).await
    }

    /// Whether the browser that comes back from the server's logout is the one that was sent there: the
    /// `state` of [`Session::end_session`] and what arrived.
    ///
    /// # Errors
    /// [`Violation::LogoutState`](crate::Violation::LogoutState);
    /// [`Violation::Callback`](crate::Violation::Callback).
    pub fn logout_returned(
        &self,
        state: impl Into<TransactionHandle>,
        callback: impl Into<Callback>,
    ) -> Result<(), Error> {
        end_session::returned(&state.into(), &callback.into())
    }

    /// Waits until nothing is under way in the background any more, or `patience` is over: refreshes that
    /// nobody waits for, tokens that the store has yet to take, logouts of which the server is being told.
    /// Whether all of it came to its end.
    ///
    /// Call it before the program ends. A refresh that dies with it may leave the server with a rotation
    /// that nobody knows of. Clients of a registry wait for one another.
    ///
    /// ```
    /// # async fn end(client: &fapi_client::Client) {
    /// client.settled(std::time::Duration::from_secs(30)).await;
    /// # }
    /// ```
    pub async fn settled(&self, patience: Duration) -> bool {
        let settled = self.core.shared.background.settled();
        tokio::time::timeout(patience, settled).await.is_ok()
    }

    /// What happens inside, from now on: sessions that are renewed and that end, nonces, clocks, the
    /// store. Clients of a registry share their events.
    #[must_use]
    pub fn events(&self) -> Events {
        self.core.shared.watch.subscribe()
    }

    /// How often what has happened, for metrics. Clients of a registry share their counters.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.core.shared.watch.counters()
    }

    /// The public key set to register or to serve under the client's `jwks_uri`: `kid`, `use`, `alg`,
    /// and no private member. For `self_signed_tls_client_auth` it holds the certificates (`x5c`).
    ///
    /// # Errors
    /// [`KeyError::Unsupported`] where such a certificate's key has no place in a key set.
    pub fn jwks(&self) -> Result<Value, KeyError> {
        let certificates = self.core.mutual_tls.as_ref().map(MutualTls::certificates);
        self.core.auth.jwks(certificates)
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
