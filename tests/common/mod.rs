//! Clients that are ready for a test server.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use fapi_client::{
    ApiResponse, BoxFuture, Client, ClientAuth, ClientBuilder, Clock, ConfigError, Error,
    HttpsTransport, KeySet, Login, Preflight, Rule, Session, Severity, SoftwareKey, Timestamp,
    Transport, TransportError, TransportRequest,
};
use fapi_testkit::{Registration, TestClock, TestServer};
use http::Response;

pub const CLIENT_ID: &str = "client-id";
pub const REDIRECT_URI: &str = "https://app.example/callback";

/// The clock of a test server, as the client reads it.
pub struct SharedClock(pub TestClock);

impl Clock for SharedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(self.0.now())
    }
}

/// A transport that trusts the test server's certificates and no others.
pub fn https(server: &TestServer) -> HttpsTransport {
    HttpsTransport::builder()
        .only_root_certificates(server.ca_pem())
        .unwrap()
        .no_proxy()
        .connect_timeout(Duration::from_secs(5))
        .build()
        .unwrap()
}

/// Registers a client with a fresh ES256 key, and returns the key.
pub fn register(server: &TestServer) -> KeySet {
    let keys = KeySet::new(SoftwareKey::generate_es256().unwrap());
    register_keys(server, &keys);
    keys
}

pub fn register_keys(server: &TestServer, keys: &KeySet) {
    server.register(
        Registration::new(CLIENT_ID)
            .jwks(keys.jwks())
            .redirect_uri(REDIRECT_URI),
    );
}

/// A builder for a registered client of the server.
pub fn builder(server: &TestServer) -> ClientBuilder {
    builder_with(server, register(server))
}

pub fn builder_with(server: &TestServer, keys: KeySet) -> ClientBuilder {
    Client::builder(server.issuer(), CLIENT_ID)
        .redirect_uri(REDIRECT_URI)
        .authenticate_with(ClientAuth::private_key_jwt(keys))
        .api(server.api())
        .transport(https(server))
        .clock(SharedClock(server.clock().clone()))
}

pub async fn client(server: &TestServer) -> Client {
    builder(server).build().await.unwrap()
}

/// Begins a login that asks for an ID token and the test API.
pub async fn begin(client: &Client) -> Login {
    client
        .login()
        .scope("openid accounts")
        .start()
        .await
        .unwrap()
}

/// A whole login with everything as it comes.
pub async fn log_in(server: &TestServer, user: &str) -> Result<Session, Error> {
    log_in_with(&client(server).await, server, user).await
}

pub async fn log_in_with(
    client: &Client,
    server: &TestServer,
    user: &str,
) -> Result<Session, Error> {
    let login = client.login().scope("openid accounts").start().await?;
    let callback = server.browser(user).approve(login.url().as_str()).await;
    client.finish_login(login.transaction(), callback).await
}

/// The setting that is wrong, where one is.
pub fn config(error: &Error) -> Option<&ConfigError> {
    match error {
        Error::Config(error) => Some(error),
        _ => None,
    }
}

/// How the transport failed, and at which endpoint, where it did.
pub fn transport(error: &Error) -> Option<&TransportError> {
    match error {
        Error::Transport(error) => Some(error),
        _ => None,
    }
}

/// The findings of a preflight that failed.
pub fn findings(error: &Error) -> Vec<(Rule, Severity)> {
    match config(error) {
        Some(ConfigError::Preflight(report)) => rules(report),
        _ => panic!("no failed preflight: {error:?}"),
    }
}

pub fn rules(report: &Preflight) -> Vec<(Rule, Severity)> {
    report
        .findings()
        .iter()
        .map(|finding| (finding.rule, finding.severity))
        .collect()
}

/// A transport that hands requests on, remembers what was asked of it, and is in a hurry.
#[derive(Clone)]
pub struct Watched {
    inner: Arc<HttpsTransport>,
    /// The time that each request was given, in their order.
    pub timeouts: Arc<Mutex<Vec<Duration>>>,
    /// The longest that a request may really take.
    patience: Duration,
}

impl Watched {
    pub fn new(server: &TestServer) -> Self {
        Self {
            inner: Arc::new(https(server)),
            timeouts: Arc::default(),
            patience: Duration::MAX,
        }
    }

    #[must_use]
    pub fn impatient(mut self) -> Self {
        self.patience = Duration::from_millis(1500);
        self
    }

    /// How many requests went out.
    pub fn sent(&self) -> usize {
        self.timeouts.lock().unwrap().len()
    }
}

impl Transport for Watched {
    fn send(
        &self,
        mut request: TransportRequest,
    ) -> BoxFuture<'_, Result<Response<Bytes>, TransportError>> {
        self.timeouts.lock().unwrap().push(request.timeout);
        request.timeout = request.timeout.min(self.patience);
        self.inner.send(request)
    }
}

/// A GET request to a path of the test API.
pub async fn get(session: &Session, server: &TestServer, path: &str) -> Result<ApiResponse, Error> {
    session.get(format!("{}{path}", server.api())).send().await
}

/// Begins a login, and lets a user approve it: the login, and the callback that is yet to be handed in.
pub async fn approved(
    client: &Client,
    server: &TestServer,
    user: &str,
    scope: &str,
) -> (Login, String) {
    let login = client.login().scope(scope).start().await.unwrap();
    let callback = server.browser(user).approve(login.url().as_str()).await;
    (login, callback)
}

/// No `jti` ever went out twice, in proofs and in assertions (DPOP-7.3, CA-6).
pub fn assert_fresh(server: &TestServer) {
    let requests = server.requests();
    let mut seen = std::collections::HashSet::new();
    let jwts = requests
        .iter()
        .flat_map(|request| [request.proof(), request.assertion()])
        .flatten();
    for jwt in jwts {
        let jti = jwt.claim("jti").as_str().unwrap().to_owned();
        assert!(seen.insert(jti), "{jwt:?}");
    }
}
