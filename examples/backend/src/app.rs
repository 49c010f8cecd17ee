//! What all requests share, and which request goes where.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::HeaderMap;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use fapi_client::{Client, ClientAuth, Error, Session, SessionId, StoreError};

use crate::seal::Seal;
use crate::settings::{BaseUrl, Settings, origin_of};
use crate::{Trouble, cookies, forgery, home, login, logout, pages, service};

/// No request that we take is longer.
const BODY_MAX_BYTES: usize = 64 * 1024;

/// The application. Cloning it is cheap.
#[derive(Clone)]
pub struct App {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) client: Client,
    pub(crate) seal: Seal,
    pub(crate) base_url: BaseUrl,
    pub(crate) scope: String,
    pub(crate) api: Option<String>,
}

impl App {
    /// Connects to the store, reads the server's metadata and checks that it and we fit together. What
    /// does not fit is known here, not at the first login.
    ///
    /// # Errors
    /// A setting that can't be right; a store or a server that can't be reached.
    pub async fn build(settings: Settings) -> Result<Self, Trouble> {
        let keys = &settings.sealing_keys;
        let stores = settings
            .store
            .open(keys, settings.ca_pem.as_deref())
            .await?;
        let mut client = Client::builder(&settings.issuer, &settings.client_id)
            .redirect_uri(settings.base_url.page("/callback"))
            .authenticate_with(ClientAuth::private_key_jwt(settings.key.clone()))
            .transport(settings.transport()?)
            .stores(stores);
        if let Some(api) = &settings.api {
            // The one origin beside the server's that a token may go to.
            client = client.api(origin_of(api).ok_or("the API's URL is no URL")?);
        }
        let seal = Seal::new(keys, &settings.base_url.origin())?;
        let shared = Shared {
            client: client.build().await?,
            seal,
            base_url: settings.base_url,
            scope: settings.scope,
            api: settings.api,
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// The routes.
    pub fn routes(&self) -> Router {
        // Every button is a POST, and every POST of a browser passes the guard.
        let buttons = Router::new()
            .route("/login", post(login::begin))
            .route("/accounts", post(home::call_api))
            .route("/logout", post(logout::here))
            .route("/logout-everywhere", post(logout::everywhere))
            .route_layer(from_fn_with_state(self.clone(), forgery::guard));
        Router::new()
            .route("/", get(home::page))
            .route("/callback", get(login::finish))
            .route("/signed-out", get(logout::returned))
            // The server calls this one. What it sends proves where it is from.
            .route("/backchannel-logout", post(logout::told_by_server))
            .route("/jwks", get(service::jwks))
            .route("/healthz", get(service::healthz))
            .route("/metrics", get(service::metrics))
            .merge(buttons)
            .fallback(pages::not_found)
            .layer(DefaultBodyLimit::max(BODY_MAX_BYTES))
            .layer(from_fn_with_state(self.clone(), pages::security_headers))
            .with_state(self.clone())
    }

    /// Waits, at the end, for what is under way beside the requests: tokens that are being renewed, and
    /// logouts of which the server is being told.
    pub async fn settled(&self) {
        if !self.shared.client.settled(Duration::from_secs(30)).await {
            tracing::warn!("the end came before all was done");
        }
    }

    /// Whose browser this is: the session that its cookie names, where it still lives.
    pub(crate) async fn session(&self, headers: &HeaderMap) -> Result<Option<Session>, Error> {
        let sealed = cookies::read(headers, cookies::SESSION);
        let id = sealed.and_then(|sealed| self.shared.seal.open(cookies::SESSION, sealed));
        let Some(id) = id else {
            return Ok(None);
        };
        match self.shared.client.session(&SessionId::from(id)).await {
            Ok(session) => Ok(Some(session)),
            // It ended, here or at another replica.
            Err(Error::Store(StoreError::NoSuchSession) | Error::SignInAgain(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
