//! Building a client.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tracing::Instrument;

use super::Client;
use super::background::Background;
use super::core::{Core, Shared};
use super::documents::{Discovery, JwksCache, MetadataCache, first_metadata, passed};
use super::dpop_keys::DpopKeys;
use super::ended::Graveyard;
use super::events::Watch;
use super::kept::Cells;
use super::mutual_tls::{MutualTls, needs_certificate};
use super::servers::{ClockOffsets, Nonces};
use super::service::Services;
use super::vault::Vault;
use crate::crypto::Crypto;
use crate::error::{ConfigError, Error, Finding, KeyError, Preflight, Rule, Severity};
use crate::keys::{CertificateSet, KeyStore, Signer};
use crate::profile::{Algorithm, TRANSACTION_LIFE};
use crate::protocol::client_auth::ClientAuth;
use crate::protocol::dpop::ProofKey;
use crate::protocol::id_token::Registered;
use crate::protocol::preflight::{self, Settings};
use crate::protocol::uri::{Issuer, Origin, RedirectUri};
use crate::store::Stores;
use crate::time::{Clock, SystemClock};
use crate::transport::{HttpsTransport, Transport};

/// The settings of a client to be.
#[must_use = "a client comes out of build()"]
pub struct ClientBuilder {
    issuer: String,
    client_id: String,
    redirect_uri: Option<String>,
    auth: Option<ClientAuth>,
    apis: Vec<String>,
    id_token_algorithm: Option<Algorithm>,
    signed_userinfo: bool,
    trusted_audiences: Vec<String>,
    transaction_life: Duration,
    discovery: Discovery,
    dpop_keys: Option<DpopKeys>,
    certificates: Option<CertificateSet>,
    certificate_bound: bool,
    use_aliases: bool,
    parts: Parts,
    registry: Option<Arc<super::clients::Registry>>,
}

/// What clients of one program share.
#[derive(Clone, Default)]
pub(crate) struct Parts {
    pub(crate) transport: Option<Arc<dyn Transport>>,
    pub(crate) clock: Option<Arc<dyn Clock>>,
    pub(crate) crypto: Option<Crypto>,
    pub(crate) stores: Option<Stores>,
}

impl Parts {
    const fn is_set(&self) -> bool {
        self.transport.is_some()
            || self.clock.is_some()
            || self.crypto.is_some()
            || self.stores.is_some()
    }

    pub(crate) fn build(self) -> Result<Shared, ConfigError> {
        let crypto = match self.crypto {
            Some(crypto) => crypto,
            None => Crypto::new()?,
        };
        let transport = match self.transport {
            Some(transport) => transport,
            None => Arc::new(
                HttpsTransport::builder()
                    .crypto_provider(crypto.clone())
                    .build()?,
            ),
        };
        Ok(Shared {
            transport,
            clock: self.clock.unwrap_or_else(|| Arc::new(SystemClock)),
            crypto,
            stores: self.stores.unwrap_or_else(Stores::memory),
            cells: Cells::default(),
            watch: Watch::default(),
            background: Background::default(),
        })
    }
}

/// Everything a client needs, checked against the server and not yet refused.
struct Draft {
    core: Core,
    report: Preflight,
}

impl ClientBuilder {
    pub(crate) fn new(issuer: String, client_id: String) -> Self {
        Self {
            issuer,
            client_id,
            redirect_uri: None,
            auth: None,
            apis: Vec::new(),
            id_token_algorithm: None,
            signed_userinfo: false,
            trusted_audiences: Vec::new(),
            transaction_life: TRANSACTION_LIFE,
            discovery: Discovery::Auto,
            dpop_keys: None,
            certificates: None,
            certificate_bound: false,
            use_aliases: false,
            parts: Parts::default(),
            registry: None,
        }
    }

    pub(crate) fn in_registry(mut self, registry: Arc<super::clients::Registry>) -> Self {
        self.registry = Some(registry);
        self
    }

    pub(crate) fn with_parts(mut self, parts: Parts) -> Self {
        self.parts = parts;
        self
    }

    /// Where the server sends the browser back to: https, or `http://127.0.0.1:PORT/…` and
    /// `http://[::1]:PORT/…` for a program on the user's own device. Without it no user can log in.
    ///
    /// `http://127.0.0.1/…` without a port is what such a program registers: any port counts then
    /// (RFC 8252 section 7.3), and the module `native` (feature `loopback`) puts in the one that it
    /// listens on.
    pub fn redirect_uri(mut self, uri: impl Into<String>) -> Self {
        self.redirect_uri = Some(uri.into());
        self
    }

    /// How the client proves who it is. Needed: FAPI 2.0 knows no public clients.
    pub fn authenticate_with(mut self, auth: ClientAuth) -> Self {
        self.auth = Some(auth);
        self
    }

    /// An origin that access tokens may go to, such as `https://api.bank.example`. May be called for
    /// several; none else ever gets a token. (UserInfo's comes from the metadata.)
    pub fn api(mut self, origin: impl Into<String>) -> Self {
        self.apis.push(origin.into());
        self
    }

    /// The registered `id_token_signed_response_alg`. Any that FAPI 2.0 allows will do otherwise.
    pub const fn id_token_signed_with(mut self, algorithm: Algorithm) -> Self {
        self.id_token_algorithm = Some(algorithm);
        self
    }

    /// `userinfo_signed_response_alg` is registered: a UserInfo that comes unsigned is refused. One
    /// that comes signed is verified in any case.
    pub const fn signed_userinfo(mut self) -> Self {
        self.signed_userinfo = true;
        self
    }

    /// An audience that ID tokens may name beside this client. Others are refused.
    pub fn trust_audience(mut self, audience: impl Into<String>) -> Self {
        self.trusted_audiences.push(audience.into());
        self
    }

    /// How long a login may take, from its start to its callback: at most 15 minutes, which is the
    /// default.
    pub const fn login_life(mut self, life: Duration) -> Self {
        self.transaction_life = life;
        self
    }

    /// Where the server publishes its metadata. Both places are looked at otherwise.
    pub const fn discovery(mut self, discovery: Discovery) -> Self {
        self.discovery = discovery;
        self
    }

    /// Another way out than the one that comes with the crate, or that one with roots or a proxy of
    /// one's own.
    pub fn transport(mut self, transport: impl Transport + 'static) -> Self {
        self.parts.transport = Some(Arc::new(transport));
        self
    }

    /// Another clock than the system's.
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.parts.clock = Some(Arc::new(clock));
        self
    }

    /// Where logins under way, sessions and locks are kept: the memory of this process unless set.
    pub fn stores(mut self, stores: Stores) -> Self {
        self.parts.stores = Some(stores);
        self
    }

    /// Where the keys that tokens are bound to are made, one for each session: hardware, or a store of
    /// their own. Without it they are made in software and sealed with the session.
    ///
    /// A key of a login that comes to nothing, and of a session that has ended, is deleted.
    pub fn dpop_keys(mut self, store: impl KeyStore + 'static) -> Self {
        self.dpop_keys = Some(DpopKeys::Store(Arc::new(store)));
        self
    }

    /// One key that the tokens of all sessions are bound to, where a key for each can't be had. It must
    /// serve no other server (FAPI2-SP 6.3), and be none of the keys that authenticate the client
    /// (FAPI2-SP 6.8).
    pub fn dpop_signer(mut self, signer: impl Signer + 'static) -> Self {
        self.dpop_keys = Some(DpopKeys::Shared(ProofKey::new(Arc::new(signer))));
        self
    }

    /// The client's certificate, or a set of them that changes while the client runs. It is shown to the
    /// server and to the APIs wherever they ask for one; the server's metadata and its key set, which are
    /// for everybody, are fetched without it. What it is for, others say:
    /// [`ClientAuth::tls_client_auth`] and [`ClientAuth::self_signed_tls_client_auth`], and
    /// [`certificate_bound_tokens`](Self::certificate_bound_tokens). With neither it opens the door that an
    /// ecosystem keeps at the level of TLS, and no more.
    pub fn client_certificate(mut self, certificates: impl Into<CertificateSet>) -> Self {
        self.certificates = Some(certificates.into());
        self
    }

    /// Binds tokens to the client's certificate (RFC 8705 section 3), in place of a DPoP key.
    pub const fn certificate_bound_tokens(mut self) -> Self {
        self.certificate_bound = true;
        self
    }

    /// The registered `use_mtls_endpoint_aliases` (FAPI2-SP 5.2.2.1.1): the server's
    /// `mtls_endpoint_aliases` are used even where a certificate neither authenticates nor binds tokens.
    /// Where it does, they are used in any case.
    pub const fn use_mtls_endpoint_aliases(mut self) -> Self {
        self.use_aliases = true;
        self
    }

    /// Another cryptography than that of the features: see
    /// [`rustls_0_23`](crate::rustls_0_23).
    pub fn crypto_provider(mut self, crypto: Crypto) -> Self {
        self.parts.crypto = Some(crypto);
        self
    }

    /// Fetches the server's metadata, checks everything, and makes the client.
    ///
    /// # Errors
    /// [`ConfigError`] for a setting that can't be right, [`ConfigError::NoCertificate`],
    /// [`ConfigError::NoClientCertificates`] and [`ConfigError::TwoBindings`] among them;
    /// [`ConfigError::Preflight`] with all that does not fit between us and the server;
    /// [`Error::Violation`] where the metadata is not the issuer's;
    /// [`Error::Transport`].
    pub async fn build(self) -> Result<Client, Error> {
        let registry = self.registry.clone();
        let span = tracing::info_span!("fapi.build", client_id = self.client_id);
        let draft = self.draft().instrument(span).await?;
        for finding in passed(draft.report)?.findings() {
            tracing::warn!(rule = ?finding.rule, "{}", finding.advice);
        }
        let client = Client {
            core: Arc::new(draft.core),
        };
        if let Some(registry) = registry {
            registry.add(client.clone())?;
        }
        Ok(client)
    }

    /// Fetches the server's metadata and tells how it and our settings fit together, without making a
    /// client.
    ///
    /// # Errors
    /// As those of [`build`](Self::build), but [`ConfigError::Preflight`].
    pub async fn preflight(self) -> Result<Preflight, Error> {
        let span = tracing::info_span!("fapi.preflight", client_id = self.client_id);
        Ok(self.draft().instrument(span).await?.report)
    }

    async fn draft(self) -> Result<Draft, Error> {
        // SP-5.3.3.1-11: nothing is fetched for what is no issuer.
        let issuer = Issuer::new(self.issuer)?;
        let client_id = client_id(self.client_id)?;
        let auth = self.auth.ok_or(ConfigError::NoClientAuthentication)?;
        let redirect_uri = self.redirect_uri.map(RedirectUri::new).transpose()?;
        let apis = self
            .apis
            .iter()
            .map(|origin| Origin::named(origin))
            .collect::<Result<BTreeSet<_>, _>>()?;
        let shared = match &self.registry {
            Some(_) if self.parts.is_set() => return Err(ConfigError::SharedParts.into()),
            Some(registry) => registry.shared(),
            None => Arc::new(self.parts.build()?),
        };
        needs_certificate(
            &auth,
            self.certificates.as_ref(),
            self.certificate_bound,
            self.use_aliases,
        )?;
        let mutual_tls = self
            .certificates
            .map(|certificates| MutualTls::new(certificates, shared.transport.clone()))
            .transpose()?;
        let dpop_keys = match self.dpop_keys {
            Some(_) if self.certificate_bound => return Err(ConfigError::TwoBindings.into()),
            None if self.certificate_bound => None,
            keys => Some(keys.unwrap_or_default()),
        };
        // SEC-6.8: what signs assertions signs no proofs, so that none can be passed off as the other.
        let dpop_key = dpop_keys.as_ref().and_then(DpopKeys::shared_thumbprint);
        if let (Some(dpop_key), Some(keys)) = (dpop_key, auth.keys())
            && keys.holds(dpop_key)
        {
            return Err(ConfigError::DpopKeyPurpose.into());
        }
        let vault = Vault::new(
            shared.stores.clone(),
            shared.watch.clone(),
            issuer.as_str(),
            &client_id,
        );
        let settings = Settings {
            authentication: auth.name(),
            assertion: auth.algorithm(),
            dpop: dpop_keys.as_ref().map(DpopKeys::algorithm),
            login: redirect_uri.is_some(),
            id_token: self.id_token_algorithm,
            signed_userinfo: self.signed_userinfo,
        };
        let fetched = first_metadata(&shared, &vault, &issuer, self.discovery).await?;
        let mut report = preflight::check(fetched.document(), settings);
        // CA-9: a signer that does not sign is found here, not at the first login.
        if let Some(keys) = auth.keys() {
            match keys.active().prove_once(&shared.crypto).await {
                Ok(()) => {}
                // A signer that can't be reached now says nothing about the key.
                Err(error @ KeyError::Unavailable) => return Err(error.into()),
                Err(error) => {
                    let advice = format!("the client key can't be used: {error}");
                    report = report.and(Finding::new(Rule::Key, Severity::Broken, advice));
                }
            }
        }
        if let Some(mutual_tls) = &mutual_tls {
            let certificate = mutual_tls.certificates().active();
            if certificate.expires_at() <= shared.clock.now() {
                let advice = "the client certificate has expired: give the builder a new one";
                let finding = Finding::new(Rule::Certificate, Severity::Broken, advice.to_owned());
                report = report.and(finding);
            }
        }
        let by_certificate = auth.keys().is_none() || dpop_keys.is_none();
        let clock_offsets = ClockOffsets::new(shared.watch.clone());
        let core = Core {
            shared,
            auth,
            redirect_uri,
            apis,
            signed_userinfo: self.signed_userinfo,
            transaction_life: self.transaction_life,
            metadata: MetadataCache::new(fetched, self.discovery, settings, vault.clone()),
            jwks: JwksCache::default(),
            nonces: Nonces::default(),
            clock_offsets,
            vault,
            dpop_keys,
            mutual_tls,
            aliases: by_certificate || self.use_aliases,
            services: Services::default(),
            graveyard: Graveyard::default(),
            registered: Registered {
                issuer,
                client_id: client_id.clone(),
                algorithm: self.id_token_algorithm,
                trusted_audiences: self.trusted_audiences,
            },
            client_id,
        };
        Ok(Draft { core, report })
    }
}

/// RFC 6749 appendix A.1: visible characters and spaces.
fn client_id(text: String) -> Result<String, ConfigError> {
    let sound = !text.is_empty() && text.bytes().all(|byte| matches!(byte, 0x20..=0x7e));
    if sound {
        Ok(text)
    } else {
        Err(ConfigError::ClientId)
    }
}
