//! Settings of a server, before it starts.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicI64, AtomicU64};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;
use url::Url;

use crate::clock::TestClock;
use crate::dpop::{NoncePools, Nonces};
use crate::grants::Grants;
use crate::jose::{Alg, SignFn, SigningKey};
use crate::misbehaviour::Misbehaviour;
use crate::net;
use crate::net::tls::{Authority, Certificate, Hellos, Tls, mtls_server_config, server_config};
use crate::server::TestServer;
use crate::state::{Config, Discovery, Keys, MutualTls, Records, Registering, Site, State};

/// Settings of a [`TestServer`], before it starts.
///
/// What it starts with is what the FAPI 2.0 Security Profile asks of a server: no rotation of
/// refresh tokens, nonces for DPoP proofs, short lives.
pub struct ServerBuilder {
    config: Config,
    issuer_path: String,
    clock: TestClock,
    certificate: Certificate,
    tls: Tls,
    mutual_tls: bool,
    signing_key: Option<SigningKey>,
}

impl ServerBuilder {
    pub(crate) fn new() -> Self {
        Self {
            config: Config {
                refresh_rotation: false,
                rotation_grace: Duration::from_secs(60),
                nonces: Nonces::default(),
                api_nonces: Nonces::default(),
                access_token_life: Duration::from_secs(300),
                request_uri_life: Duration::from_secs(60),
                code_life: Duration::from_secs(60),
                signing_algorithm: Alg::Es256,
                signed_userinfo: false,
                discovery: Discovery::default(),
                expires_in: true,
                acr_values: [
                    "urn:example:acr:password",
                    "urn:example:acr:mfa",
                    "phr",
                    "phrh",
                ]
                .map(str::to_owned)
                .to_vec(),
                details_types: ["payment_initiation", "account_information"]
                    .map(str::to_owned)
                    .to_vec(),
                authorization_query: None,
                registering: Registering {
                    on: true,
                    initial_access_token: None,
                    token_rotation: false,
                },
            },
            issuer_path: String::new(),
            clock: TestClock::system(),
            certificate: Certificate::default(),
            tls: Tls::default(),
            mutual_tls: false,
            signing_key: None,
        }
    }

    /// Whether a refresh token is replaced whenever it is used. Off by default, as the profile
    /// has it (SP-5.3.2.1-9); then a refresh brings no new one.
    #[must_use]
    pub fn refresh_rotation(mut self, on: bool) -> Self {
        self.config.refresh_rotation = on;
        self
    }

    /// How long a refresh token that was replaced can still be used, as long as its successor has
    /// not been. 60 s by default.
    #[must_use]
    pub fn rotation_grace(mut self, grace: Duration) -> Self {
        self.config.rotation_grace = grace;
        self
    }

    /// The nonces that both servers demand in DPoP proofs.
    #[must_use]
    pub fn nonces(mut self, nonces: Nonces) -> Self {
        self.config.nonces = nonces;
        self.config.api_nonces = nonces;
        self
    }

    /// The nonces that the resource server demands, where they differ from those of
    /// [`nonces`](Self::nonces), which stands before this.
    #[must_use]
    pub fn api_nonces(mut self, nonces: Nonces) -> Self {
        self.config.api_nonces = nonces;
        self
    }

    /// How long access tokens live. 300 s by default.
    #[must_use]
    pub fn access_token_life(mut self, life: Duration) -> Self {
        self.config.access_token_life = life;
        self
    }

    /// How long a `request_uri` lives. 60 s by default.
    #[must_use]
    pub fn request_uri_life(mut self, life: Duration) -> Self {
        self.config.request_uri_life = life;
        self
    }

    /// How long a code lives. 60 s by default, which is the longest that the profile admits.
    #[must_use]
    pub fn code_life(mut self, life: Duration) -> Self {
        self.config.code_life = life;
        self
    }

    /// The algorithm of ID tokens and signed UserInfo. ES256 by default.
    #[must_use]
    pub fn signing_algorithm(mut self, alg: Alg) -> Self {
        self.config.signing_algorithm = alg;
        self
    }

    /// A key of the test's own for ID tokens and signed UserInfo: its public JWK, its algorithm,
    /// and the function that signs, whose result is the signature as JWS has it.
    #[must_use]
    pub fn signing_key(
        mut self,
        jwk: Value,
        alg: Alg,
        sign: impl Fn(&[u8]) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        let sign: SignFn = Arc::new(sign);
        self.config.signing_algorithm = alg;
        self.signing_key = Some(SigningKey::external(alg, jwk, sign));
        self
    }

    /// A path for the issuer, such as `/tenant1`. None by default.
    ///
    /// # Panics
    /// Where it does not begin with a slash.
    #[must_use]
    pub fn issuer_path(mut self, path: &str) -> Self {
        assert!(
            path.starts_with('/'),
            "an issuer's path begins with a slash"
        );
        path.clone_into(&mut self.issuer_path);
        self
    }

    /// Whether UserInfo is a signed JWT. Off by default.
    #[must_use]
    pub fn signed_userinfo(mut self, on: bool) -> Self {
        self.config.signed_userinfo = on;
        self
    }

    /// The metadata documents that there are. Both by default.
    #[must_use]
    pub fn discovery(mut self, discovery: Discovery) -> Self {
        self.config.discovery = discovery;
        self
    }

    /// Leaves `expires_in` out of token responses (R6749-5.1b).
    #[must_use]
    pub fn without_expires_in(mut self) -> Self {
        self.config.expires_in = false;
        self
    }

    /// The authentication classes that users can reach; the first is what they reach unasked.
    #[must_use]
    pub fn acr_values<'a>(mut self, values: impl IntoIterator<Item = &'a str>) -> Self {
        self.config.acr_values = values.into_iter().map(str::to_owned).collect();
        self
    }

    /// The types of `authorization_details` that are known.
    #[must_use]
    pub fn authorization_details_types<'a>(
        mut self,
        types: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        self.config.details_types = types.into_iter().map(str::to_owned).collect();
        self
    }

    /// A query that belongs to the authorization endpoint's URL, and that clients must keep
    /// (SP-5.3.3.2-6).
    #[must_use]
    pub fn authorization_endpoint_query(mut self, query: &str) -> Self {
        self.config.authorization_query = Some(query.to_owned());
        self
    }

    /// Whether clients may register themselves (RFC 7591, RFC 7592). On by default.
    #[must_use]
    pub fn registration(mut self, on: bool) -> Self {
        self.config.registering.on = on;
        self
    }

    /// Registers clients for this token alone. By default for everybody who brings none.
    #[must_use]
    pub fn initial_access_token(mut self, token: &str) -> Self {
        self.config.registering.initial_access_token = Some(token.to_owned());
        self
    }

    /// Whether each answer about a registered client brings another `registration_access_token`, with
    /// which the one before is void (DCM-3). Off by default.
    #[must_use]
    pub fn registration_token_rotation(mut self, on: bool) -> Self {
        self.config.registering.token_rotation = on;
        self
    }

    /// The clock that the servers go by. The machine's by default.
    #[must_use]
    pub fn clock(mut self, clock: TestClock) -> Self {
        self.clock = clock;
        self
    }

    /// The certificate that both servers show.
    #[must_use]
    pub fn certificate(mut self, certificate: Certificate) -> Self {
        self.certificate = certificate;
        self
    }

    /// The TLS versions and cipher suites of both servers.
    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = tls;
        self
    }

    /// Lets both servers listen at a further port each, where TLS asks for a client certificate: at
    /// [`TestServer::mtls_origin`], which the metadata then have as `mtls_endpoint_aliases`, and at
    /// [`TestServer::mtls_api`] (RFC 8705). Off by default.
    ///
    /// Certificates of the testkit's authority and those that signed themselves pass the handshake, others
    /// don't; who shows none is let in as well, as far as the request needs none.
    #[must_use]
    pub fn mutual_tls(mut self) -> Self {
        self.mutual_tls = true;
        self
    }

    /// Starts the servers. They run on a thread of their own, so that clients that block can be
    /// tested too.
    ///
    /// # Panics
    /// Where the machine gives no port or no thread.
    #[expect(clippy::unused_async, reason = "room for a start that must wait")]
    pub async fn start(self) -> TestServer {
        let (port, provider) = net::bind().expect("a free port on loopback");
        let (api_port, api) = net::bind().expect("a free port on loopback");
        let authority = Authority::shared();
        let hellos: Hellos = Hellos::default();
        let tls = server_config(&authority, self.certificate, self.tls, hellos.clone());
        let tls = Arc::new(tls);
        let mut sites = vec![
            (Site::Provider, provider, tls.clone()),
            (Site::Api, api, tls),
        ];
        let mutual_tls = self.mutual_tls.then(|| {
            let tls = mtls_server_config(&authority, self.certificate, self.tls, hellos.clone());
            let tls = Arc::new(tls);
            let mut listen = |site| {
                let (port, listeners) = net::bind().expect("a free port on loopback");
                sites.push((site, listeners, tls.clone()));
                format!("https://localhost:{port}")
            };
            MutualTls {
                origin: listen(Site::MtlsProvider),
                api: listen(Site::MtlsApi),
            }
        });
        let origin = format!("https://localhost:{port}");
        let issuer = format!("{origin}{}", self.issuer_path);
        debug_assert!(Url::parse(&issuer).is_ok(), "the issuer is a URL");
        let key = self
            .signing_key
            .unwrap_or_else(|| SigningKey::generate(self.config.signing_algorithm, 0));
        let nonces = NoncePools::new(self.config.nonces, self.config.api_nonces);
        let state = State {
            config: self.config,
            issuer,
            issuer_path: self.issuer_path.trim_end_matches('/').to_owned(),
            origin,
            api: format!("https://localhost:{api_port}"),
            mutual_tls,
            connections: AtomicU64::new(0),
            clock: self.clock,
            clock_offset: AtomicI64::new(0),
            offline: watch::Sender::new(false),
            authority,
            hellos,
            arrivals: watch::Sender::new(0),
            clients: Mutex::new(HashMap::new()),
            managed: Mutex::new(HashMap::new()),
            grants: Mutex::new(Grants::default()),
            keys: Mutex::new(Keys::new(key)),
            nonces: Mutex::new(nonces),
            seen: Mutex::new(HashSet::new()),
            misbehaviour: Mutex::new(Misbehaviour::default()),
            records: Mutex::new(Records::default()),
        };
        TestServer::run(Arc::new(state), sites)
    }
}
