//! Registering a client (RFC 7591).

use std::fmt;
use std::sync::Arc;

use http::{Method, StatusCode};
use serde_json::{Map, Value};
use tracing::Instrument;

use super::builder::Parts;
use super::core::{DPOP_ALGORITHM, Shared, endpoint_of};
use super::documents::{Discovery, fetch_metadata, passed};
use super::mutual_tls::needs_certificate;
use super::registration::{Registration, Request, exchange};
use crate::crypto::Crypto;
use crate::error::{ConfigError, Endpoint, Error, KeyError};
use crate::keys::CertificateSet;
use crate::profile::Algorithm;
use crate::protocol::authorization_request as request;
use crate::protocol::client_auth::{CertificateName, ClientAuth};
use crate::protocol::metadata::ServerMetadata;
use crate::protocol::preflight::{self, Settings};
use crate::protocol::registration::{self, Algorithms, CertificateUse, PublicKeys, Wanted};
use crate::protocol::uri::{Issuer, RedirectUri, https};
use crate::secret::InitialAccessToken;
use crate::time::Clock;
use crate::transport::Transport;

/// A client about to be registered.
///
/// Every member that decides about security is sent, none is left to the server's default: the way to
/// authenticate, every algorithm, DPoP, PAR, grant types, response types and modes. The program says
/// what is its own: keys, redirect URIs, a name.
///
/// ```no_run
/// use fapi_client::{Client, ClientAuth, SoftwareKey, Stores};
///
/// # async fn f(stores: Stores) -> Result<(), fapi_client::Error> {
/// let auth = ClientAuth::private_key_jwt(SoftwareKey::generate_es256()?); // one that is kept
/// let mut registration = Client::register("https://as.bank.example")
///     .authenticate_with(auth)
///     .redirect_uri("http://127.0.0.1/callback") // any port, at the login
///     .client_name("Account Viewer")
///     .scope("openid accounts")
///     .send().await?;
/// registration.save(&stores, "account-viewer").await?;
/// let client = registration
///     .client_builder()
///     .redirect_uri("http://127.0.0.1:49152/callback")
///     .api("https://api.bank.example")
///     .build().await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "a client is registered with send()"]
pub struct RegistrationRequest {
    issuer: String,
    auth: Option<ClientAuth>,
    certificates: Option<CertificateSet>,
    certificate: CertificateUse,
    redirect_uris: Vec<RedirectUri>,
    client_credentials: bool,
    native: bool,
    jwks_uri: Option<url::Url>,
    id_token_algorithm: Option<Algorithm>,
    signed_userinfo: bool,
    software_statement: Option<String>,
    initial_access_token: Option<InitialAccessToken>,
    extra: Map<String, Value>,
    discovery: Discovery,
    parts: Parts,
    problem: Option<ConfigError>,
}

impl RegistrationRequest {
    pub(crate) fn new(issuer: String) -> Self {
        Self {
            issuer,
            auth: None,
            certificates: None,
            certificate: CertificateUse::default(),
            redirect_uris: Vec::new(),
            client_credentials: false,
            native: false,
            jwks_uri: None,
            id_token_algorithm: None,
            signed_userinfo: false,
            software_statement: None,
            initial_access_token: None,
            extra: Map::new(),
            discovery: Discovery::Auto,
            parts: Parts::default(),
            problem: None,
        }
    }

    /// How the client will prove who it is. The public half of its keys is sent. Needed: FAPI 2.0 knows
    /// no public clients.
    pub fn authenticate_with(mut self, auth: ClientAuth) -> Self {
        self.auth = Some(auth);
        self
    }

    /// As [`ClientBuilder::client_certificate`](crate::ClientBuilder::client_certificate). The registration
    /// itself goes out with it.
    pub fn client_certificate(mut self, certificates: impl Into<CertificateSet>) -> Self {
        self.certificates = Some(certificates.into());
        self
    }

    /// What the server looks for in the certificate. Needed for [`ClientAuth::tls_client_auth`], and for
    /// nothing else (RFC 8705 section 2.1.2).
    pub fn certificate_name(mut self, name: CertificateName) -> Self {
        self.certificate.name = Some(name);
        self
    }

    /// As [`ClientBuilder::certificate_bound_tokens`](crate::ClientBuilder::certificate_bound_tokens).
    pub const fn certificate_bound_tokens(mut self) -> Self {
        self.certificate.bound = true;
        self
    }

    /// As [`ClientBuilder::use_mtls_endpoint_aliases`](crate::ClientBuilder::use_mtls_endpoint_aliases).
    pub const fn use_mtls_endpoint_aliases(mut self) -> Self {
        self.certificate.aliases = true;
        self
    }

    /// Where the server may send the browser back to: https, or `http://127.0.0.1/…` and
    /// `http://[::1]/…` for a program on the user's own device, which takes any port at the login
    /// (RFC 8252 section 7.3). May be called for several. Without one no user can log in.
    pub fn redirect_uri(mut self, uri: impl Into<String>) -> Self {
        match RedirectUri::new(uri) {
            Ok(uri) => self.redirect_uris.push(uri),
            Err(problem) => self.found(problem),
        }
        self
    }

    /// The client also asks for tokens of its own ([`Client::client_credentials`](crate::Client::client_credentials)).
    pub const fn client_credentials(mut self) -> Self {
        self.client_credentials = true;
        self
    }

    /// The program runs on the user's own device (`application_type` is `native`). A redirect URI on a
    /// loopback address says so by itself.
    pub const fn native(mut self) -> Self {
        self.native = true;
        self
    }

    /// The client's name, as the server shows it to users.
    pub fn client_name(self, name: impl Into<String>) -> Self {
        self.set("client_name", name.into().into())
    }

    /// What the client may ask for, as words with spaces between them.
    pub fn scope(mut self, scope: &str) -> Self {
        match request::scope(scope) {
            Ok(scope) => self.set("scope", scope.into()),
            Err(problem) => {
                self.found(problem);
                self
            }
        }
    }

    /// People who are responsible for the client, most often by their e-mail addresses.
    pub fn contacts<C: Into<String>>(self, contacts: impl IntoIterator<Item = C>) -> Self {
        let contacts = contacts.into_iter().map(Into::into);
        self.set("contacts", contacts.collect::<Vec<String>>().into())
    }

    /// The client's keys are served at this https URL, and not sent. What is served there is
    /// [`KeySet::jwks`](crate::KeySet::jwks). Keys can then be replaced without an update.
    pub fn jwks_uri(mut self, uri: impl AsRef<str>) -> Self {
        match https(uri.as_ref()) {
            Some(uri) => self.jwks_uri = Some(uri),
            None => self.found(insecure(uri.as_ref())),
        }
        self
    }

    /// The algorithm of ID tokens. Without it, the client key's own where the server has it, else the
    /// first of ES256, PS256 and EdDSA that the server has.
    pub const fn id_token_signed_with(mut self, algorithm: Algorithm) -> Self {
        self.id_token_algorithm = Some(algorithm);
        self
    }

    /// UserInfo is to come signed (`userinfo_signed_response_alg`).
    pub const fn signed_userinfo(mut self) -> Self {
        self.signed_userinfo = true;
        self
    }

    /// Where the browser may be sent after a logout. May be called for several.
    pub fn post_logout_redirect_uri(mut self, uri: impl AsRef<str>) -> Self {
        let member = "post_logout_redirect_uris";
        let uri = match RedirectUri::new(uri.as_ref()) {
            Ok(uri) => Value::from(uri.as_str()),
            Err(problem) => {
                self.found(problem);
                return self;
            }
        };
        match self.extra.get_mut(member) {
            Some(Value::Array(uris)) => {
                uris.push(uri);
                self
            }
            _ => self.set(member, Value::Array(vec![uri])),
        }
    }

    /// Where the server tells of logouts (OpenID Connect Back-Channel Logout): an https URL. Each logout
    /// names its session.
    pub fn backchannel_logout_uri(mut self, uri: impl AsRef<str>) -> Self {
        let Some(url) = https(uri.as_ref()) else {
            self.found(insecure(uri.as_ref()));
            return self;
        };
        self.set("backchannel_logout_uri", url.as_str().into())
            .set("backchannel_logout_session_required", true.into())
    }

    /// A statement about the software, signed by somebody whom the server trusts (RFC 7591 section 2.3).
    /// It is passed on as it is.
    pub fn software_statement(mut self, statement: impl Into<String>) -> Self {
        self.software_statement = Some(statement.into());
        self
    }

    /// The token that the server's operator gave for registering clients. It goes to the registration
    /// endpoint alone.
    pub fn initial_access_token(mut self, token: impl Into<String>) -> Self {
        self.initial_access_token = Some(InitialAccessToken::new(token));
        self
    }

    /// A further member that an ecosystem asks for. Those that decide about security are the crate's
    /// own: they are refused with [`ConfigError::ReservedParameter`].
    pub fn metadata(mut self, name: &str, value: impl Into<Value>) -> Self {
        if registration::is_reserved(name) {
            self.found(ConfigError::ReservedParameter(name.to_owned()));
            return self;
        }
        self.set(name, value.into())
    }

    /// Where the server publishes its metadata. Both places are looked at otherwise.
    pub const fn discovery(mut self, discovery: Discovery) -> Self {
        self.discovery = discovery;
        self
    }

    /// As [`ClientBuilder::transport`](crate::ClientBuilder::transport).
    pub fn transport(mut self, transport: impl Transport + 'static) -> Self {
        self.parts.transport = Some(Arc::new(transport));
        self
    }

    /// As [`ClientBuilder::clock`](crate::ClientBuilder::clock).
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.parts.clock = Some(Arc::new(clock));
        self
    }

    /// As [`ClientBuilder::crypto_provider`](crate::ClientBuilder::crypto_provider).
    pub fn crypto_provider(mut self, crypto: Crypto) -> Self {
        self.parts.crypto = Some(crypto);
        self
    }

    /// Fetches the server's metadata, checks everything, and registers the client. The request goes out
    /// once, whatever happens to its answer: a second one would register a second client.
    ///
    /// What comes back has to be [saved](Registration::save): nobody can ask for it again.
    ///
    /// # Errors
    /// [`ConfigError`] before anything is sent, [`ConfigError::NoEndpoint`] and
    /// [`ConfigError::Preflight`] before the registration is; [`Error::Denied`] with the server's word
    /// (`invalid_redirect_uri`, `invalid_client_metadata`, `invalid_software_statement`,
    /// `unapproved_software_statement`); [`Violation::Registration`](crate::Violation::Registration)
    /// where it registered something weaker; [`Error::Transport`].
    pub async fn send(self) -> Result<Registration, Error> {
        let span = tracing::info_span!("fapi.register");
        self.register().instrument(span).await
    }

    async fn register(self) -> Result<Registration, Error> {
        if let Some(problem) = self.problem {
            return Err(problem.into());
        }
        let issuer = Issuer::new(self.issuer.as_str())?;
        let auth = self
            .auth
            .clone()
            .ok_or(ConfigError::NoClientAuthentication)?;
        if self.redirect_uris.is_empty() && !self.client_credentials {
            return Err(ConfigError::NoRedirectUri.into());
        }
        needs_certificate(
            &auth,
            self.certificates.as_ref(),
            self.certificate.bound,
            self.certificate.aliases,
        )?;
        // MTLS-2.1
        if self.certificate.name.is_some() != auth.is_known_by_an_authority() {
            return Err(ConfigError::CertificateName.into());
        }
        let parts = self.parts.clone();
        let mut shared = parts.clone().build()?;
        if let Some(certificates) = &self.certificates {
            let certificate = certificates.active();
            shared.transport = shared.transport.with_client_certificate(&certificate)?;
        }
        let (fetched, _) = fetch_metadata(&shared, &issuer, self.discovery).await?;
        // MTLS-5a
        let by_certificate =
            auth.keys().is_none() || self.certificate.bound || self.certificate.aliases;
        let alias = fetched.document().aliases.registration.clone();
        let url = match alias.filter(|_| by_certificate) {
            Some(alias) => alias,
            None => endpoint_of(fetched.document(), Endpoint::Registration)?,
        };
        self.preflight(&shared, fetched.document(), &auth).await?;
        let asked = registration::request(&self.wanted(fetched.document(), &auth)?);
        let answer = exchange(
            &shared,
            Request {
                method: Method::POST,
                url: &url,
                token: self
                    .initial_access_token
                    .as_ref()
                    .map(InitialAccessToken::reveal),
                json: Some(&asked),
            },
        )
        .await?;
        let answered = registration::response(answer, StatusCode::CREATED, &asked)?;
        let registration = Registration::new(issuer, answered.registered?, answered.management);
        let registration = match self.certificates {
            Some(certificates) => registration.client_certificate(certificates),
            None => registration,
        };
        Ok(registration
            .authenticate_with(auth)
            .discovery(self.discovery)
            .with_parts(parts))
    }

    /// META-11: a client that could not log in afterwards is not registered.
    async fn preflight(
        &self,
        shared: &Shared,
        metadata: &ServerMetadata,
        auth: &ClientAuth,
    ) -> Result<(), Error> {
        let settings = Settings {
            authentication: auth.name(),
            assertion: auth.algorithm(),
            dpop: (!self.certificate.bound).then_some(DPOP_ALGORITHM),
            login: !self.redirect_uris.is_empty(),
            id_token: self.id_token_algorithm,
            signed_userinfo: self.signed_userinfo,
        };
        for finding in passed(preflight::check(metadata, settings))?.findings() {
            tracing::warn!(rule = ?finding.rule, "{}", finding.advice);
        }
        // CA-9: nor is a key that does not sign.
        if let Some(keys) = auth.keys() {
            keys.active().prove_once(&shared.crypto).await?;
        }
        Ok(())
    }

    fn wanted(&self, metadata: &ServerMetadata, auth: &ClientAuth) -> Result<Wanted, KeyError> {
        let loopback = |uri: &RedirectUri| uri.as_str().starts_with("http:");
        Ok(Wanted {
            authentication: auth.name(),
            certificate: self.certificate.clone(),
            // DCR-2a
            keys: match &self.jwks_uri {
                Some(uri) => PublicKeys::Uri(uri.clone()),
                None if auth.is_known_by_an_authority() => PublicKeys::None,
                None => PublicKeys::Set(auth.jwks(self.certificates.as_ref())?),
            },
            redirect_uris: self.redirect_uris.clone(),
            client_credentials: self.client_credentials,
            native: self.native || self.redirect_uris.iter().any(loopback),
            algorithms: Algorithms::choose(
                metadata,
                auth.algorithm(),
                self.id_token_algorithm,
                self.signed_userinfo,
            ),
            software_statement: self.software_statement.clone(),
            extra: self.extra.clone(),
        })
    }

    fn set(mut self, member: &str, value: Value) -> Self {
        self.extra.insert(member.to_owned(), value);
        self
    }

    /// The first problem is the one that is told.
    fn found(&mut self, problem: ConfigError) {
        self.problem.get_or_insert(problem);
    }
}

/// Only what a URL shows to everybody: its origin.
fn insecure(text: &str) -> ConfigError {
    let origin = url::Url::parse(text).map(|url| url.origin().ascii_serialization());
    ConfigError::InsecureUrl(origin.unwrap_or_default())
}

/// Shows no token and no statement.
impl fmt::Debug for RegistrationRequest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RegistrationRequest")
            .field("issuer", &self.issuer)
            .field("redirect_uris", &self.redirect_uris)
            .field("initial_access_token", &self.initial_access_token)
            .finish_non_exhaustive()
    }
}
