//! The front of the two servers: where they are, who may use them, and what they received.

use std::net::TcpListener;
use std::sync::Arc;
use std::thread;

use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use crate::browser::Browser;
use crate::builder::ServerBuilder;
use crate::clock::TestClock;
use crate::mutual_tls;
use crate::net;
use crate::net::tls::ClientCertificate;
use crate::record::{ClientHello, Endpoint, Request};
use crate::registration::Registration;
use crate::state::{Site, State, lock};

/// An authorization server and a resource server, over TLS on loopback.
///
/// Clones are the same servers. They stop when the last clone is dropped.
#[derive(Clone)]
pub struct TestServer {
    pub(crate) state: Arc<State>,
    _running: Arc<Running>,
}

/// Stops the servers when it is dropped.
struct Running {
    _stop: oneshot::Sender<()>,
}

impl TestServer {
    /// Starts servers as the profile wants them.
    ///
    /// # Panics
    /// Where the machine gives no port or no thread.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// Servers with settings of the test's choice.
    #[must_use]
    pub fn builder() -> ServerBuilder {
        ServerBuilder::new()
    }

    pub(crate) fn run(
        state: Arc<State>,
        sites: Vec<(Site, Vec<TcpListener>, Arc<ServerConfig>)>,
    ) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        let shared = state.clone();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("the machine has room for a runtime");
        thread::Builder::new()
            .name("fapi-testkit".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    for (site, listeners, tls) in sites {
                        let acceptor = TlsAcceptor::from(tls);
                        for listener in listeners {
                            let serve =
                                net::serve(listener, acceptor.clone(), site, shared.clone());
                            tokio::spawn(serve);
                        }
                    }
                    // An error here says that the last handle is gone.
                    let _ = stopped.await;
                });
            })
            .expect("the machine has room for a thread");
        Self {
            state,
            _running: Arc::new(Running { _stop: stop }),
        }
    }

    /// The issuer identifier: `https://localhost:PORT`, and the path if one was chosen.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.state.issuer
    }

    /// The origin of the resource server: `https://localhost:PORT`.
    #[must_use]
    pub fn api(&self) -> &str {
        &self.state.api
    }

    /// The origin of the resource server where TLS asks for a client certificate.
    ///
    /// # Panics
    /// Without [`ServerBuilder::mutual_tls`].
    #[must_use]
    pub fn mtls_api(&self) -> &str {
        assert!(self.state.mutual_tls.is_some(), "there is no mutual TLS");
        self.state.origin_of(Site::MtlsApi)
    }

    /// The origin of the authorization server's aliases, where TLS asks for a client certificate.
    ///
    /// # Panics
    /// Without [`ServerBuilder::mutual_tls`].
    #[must_use]
    pub fn mtls_origin(&self) -> &str {
        assert!(self.state.mutual_tls.is_some(), "there is no mutual TLS");
        self.state.origin_of(Site::MtlsProvider)
    }

    /// The certificate of the authority that signed the servers' certificates. All servers of a
    /// process share it.
    #[must_use]
    pub fn ca_pem(&self) -> String {
        self.state.authority.pem()
    }

    /// The same certificate as DER.
    #[must_use]
    pub fn ca_der(&self) -> Vec<u8> {
        self.state.authority.der().to_vec()
    }

    /// A certificate of the same authority for a server of the test's own, such as the application under
    /// test: the certificate and its private key, as PEM.
    ///
    /// # Panics
    /// Where a name is neither a host's nor an IP address.
    #[must_use]
    pub fn certificate_for(&self, names: &[&str]) -> (String, String) {
        self.state.authority.issue_for(names)
    }

    /// A certificate for a client: it and its private key, as PEM. The names stand among its alternative
    /// names: DNS names, IP addresses, URIs and e-mail addresses; the first is also the common name, which is
    /// all of the subject.
    ///
    /// # Panics
    /// Where a name is not ASCII.
    #[must_use]
    pub fn client_certificate(&self, kind: ClientCertificate, names: &[&str]) -> (String, String) {
        self.state.authority.issue_client(kind, names)
    }

    /// The thumbprint (`x5t#S256`) of a certificate in PEM.
    ///
    /// # Panics
    /// Where there is no certificate.
    #[must_use]
    pub fn thumbprint_of(certificate: &str) -> String {
        mutual_tls::thumbprint(certificate).expect("a certificate in PEM")
    }

    /// The clock of the servers, without their own offset.
    #[must_use]
    pub fn clock(&self) -> &TestClock {
        &self.state.clock
    }

    /// Registers a client, or puts another registration in place of its present one.
    pub fn register(&self, registration: Registration) {
        lock(&self.state.clients).insert(registration.client_id.clone(), registration);
    }

    /// A browser without a screen, at which that user sits. The user's name is also the `sub`.
    #[must_use]
    pub fn browser(&self, user: &str) -> Browser {
        Browser::new(user, self.state.authority.clone())
    }

    /// Every request so far, in the order of arrival.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        lock(&self.state.records)
            .requests
            .iter()
            .map(|(_, request)| request.clone())
            .collect()
    }

    /// Every request so far to one endpoint.
    #[must_use]
    pub fn requests_to(&self, endpoint: Endpoint) -> Vec<Request> {
        let mut requests = self.requests();
        requests.retain(|request| request.endpoint == endpoint);
        requests
    }

    /// How many requests one endpoint has received.
    #[must_use]
    pub fn count(&self, endpoint: Endpoint) -> usize {
        let records = lock(&self.state.records);
        records
            .requests
            .iter()
            .filter(|(_, request)| request.endpoint == endpoint)
            .count()
    }

    /// Forgets the requests and the refusals so far.
    pub fn forget_requests(&self) {
        let mut records = lock(&self.state.records);
        records.requests.clear();
        records.refusals.clear();
    }

    /// Waits until one endpoint has received that many requests.
    pub async fn wait_for(&self, endpoint: Endpoint, count: usize) {
        let mut arrivals = self.state.arrivals.subscribe();
        while self.count(endpoint) < count {
            if arrivals.changed().await.is_err() {
                return;
            }
        }
    }

    /// What was refused so far, and why, in plain words.
    #[must_use]
    pub fn refusals(&self) -> Vec<String> {
        lock(&self.state.records).refusals.clone()
    }

    /// Everything so far that no log may show: codes, tokens, ID tokens and request URIs that
    /// were issued, assertions, proofs and code verifiers that came in.
    #[must_use]
    pub fn secrets_issued(&self) -> Vec<String> {
        let mut secrets = lock(&self.state.records).secrets.clone();
        secrets.sort_unstable();
        secrets.dedup();
        secrets
    }

    /// Refresh tokens that came again after their successor had been used, or after the grace
    /// had passed: the sign of a client that lost a rotation.
    #[must_use]
    pub fn tokens_used_twice(&self) -> Vec<String> {
        lock(&self.state.records).tokens_used_twice.clone()
    }

    /// What clients offered when they opened TLS connections (SP-5.2.2-2).
    #[must_use]
    pub fn client_hellos(&self) -> Vec<ClientHello> {
        lock(&self.state.hellos).clone()
    }
}

impl std::fmt::Debug for TestServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestServer")
            .field("issuer", &self.issuer())
            .field("api", &self.api())
            .finish_non_exhaustive()
    }
}
