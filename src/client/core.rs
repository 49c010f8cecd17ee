//! What one client is made of, and what several clients share.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::background::Background;
use super::documents::{JwksCache, MetadataCache};
use super::dpop_keys::DpopKeys;
use super::ended::Graveyard;
use super::events::Watch;
use super::kept::Cells;
use super::mutual_tls::{MutualTls, Way};
use super::servers::{ClockOffsets, Nonces};
use super::service::Services;
use super::vault::Vault;
use crate::crypto::Crypto;
use crate::error::{ConfigError, Endpoint, Error, KeyError};
use crate::keys::SoftwareKey;
use crate::profile::Algorithm;
use crate::protocol::client_auth::ClientAuth;
use crate::protocol::dpop::ProofKey;
use crate::protocol::id_token::Registered;
use crate::protocol::metadata::ServerMetadata;
use crate::protocol::uri::{Issuer, Origin, RedirectUri};
use crate::store::Stores;
use crate::time::{Clock, Timestamp};
use crate::transport::Transport;

/// What the clients of a registry share: the way out, the time, the cryptography and the stores.
pub(crate) struct Shared {
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) crypto: Crypto,
    pub(crate) stores: Stores,
    pub(crate) cells: Cells,
    pub(crate) watch: Watch,
    pub(crate) background: Background,
}

/// One client.
pub(crate) struct Core {
    pub(crate) shared: Arc<Shared>,
    pub(crate) client_id: String,
    pub(crate) auth: ClientAuth,
    pub(crate) redirect_uri: Option<RedirectUri>,
    pub(crate) apis: BTreeSet<Origin>,
    pub(crate) registered: Registered,
    pub(crate) signed_userinfo: bool,
    pub(crate) transaction_life: Duration,
    pub(crate) metadata: MetadataCache,
    pub(crate) jwks: JwksCache,
    pub(crate) nonces: Nonces,
    pub(crate) clock_offsets: ClockOffsets,
    pub(crate) vault: Vault,
    /// What tokens are bound to: keys of these, or the client's certificate.
    pub(crate) dpop_keys: Option<DpopKeys>,
    pub(crate) mutual_tls: Option<MutualTls>,
    /// Whether the aliases for mutual TLS take the place of the endpoints.
    pub(crate) aliases: bool,
    pub(crate) services: Services,
    pub(crate) graveyard: Graveyard,
}

/// The algorithm of the DPoP keys that are made here.
pub(crate) const DPOP_ALGORITHM: Algorithm = Algorithm::Es256;

impl Core {
    pub(crate) fn issuer(&self) -> &Issuer {
        &self.registered.issuer
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// SEC-6.3, DPOP-jkt-as: a key for a token of the client's own, and for nothing else; `None` where
    /// tokens are bound to the certificate.
    pub(crate) fn new_proof_key(&self) -> Result<Option<ProofKey>, KeyError> {
        if self.dpop_keys.is_none() {
            return Ok(None);
        }
        let key = SoftwareKey::generate_es256_with(&self.shared.crypto)?;
        Ok(Some(ProofKey::new(Arc::new(key))))
    }

    /// The way out to the server and the APIs: with the client's certificate, where it has one.
    pub(crate) fn way(&self) -> Result<Way, ConfigError> {
        match &self.mutual_tls {
            Some(mutual_tls) => mutual_tls.way(),
            None => Ok(Way {
                transport: self.shared.transport.clone(),
                certificate: None,
            }),
        }
    }

    /// The thumbprint of the certificate that a token asked for now will be bound to, where tokens are.
    pub(crate) fn bound_to(&self) -> Result<Option<Arc<str>>, ConfigError> {
        match &self.dpop_keys {
            Some(_) => Ok(None),
            None => Ok(self.way()?.certificate),
        }
    }

    /// An endpoint out of the metadata (SP-5.3.3.1-9): there is no other source.
    pub(crate) async fn endpoint(&self, endpoint: Endpoint) -> Result<url::Url, Error> {
        let metadata = self.metadata.get(self).await?;
        self.endpoint_in(&metadata, endpoint).map_err(Error::from)
    }

    fn endpoint_in(
        &self,
        metadata: &ServerMetadata,
        endpoint: Endpoint,
    ) -> Result<url::Url, ConfigError> {
        // SP-5.2.2.1-3, SP-5.3.3.1-7, MTLS-5a: the alias where there is one.
        let alias = self.aliases.then(|| alias_of(metadata, endpoint)).flatten();
        alias.map_or_else(|| endpoint_of(metadata, endpoint), Ok)
    }
}

/// MTLS-5b: only for what the client calls itself.
fn alias_of(metadata: &ServerMetadata, endpoint: Endpoint) -> Option<url::Url> {
    let aliases = &metadata.aliases;
    match endpoint {
        Endpoint::PushedAuthorizationRequest => &aliases.pushed_authorization_request,
        Endpoint::Token => &aliases.token,
        Endpoint::UserInfo => &aliases.userinfo,
        Endpoint::Revocation => &aliases.revocation,
        _ => &None,
    }
    .clone()
}

pub(crate) fn endpoint_of(
    metadata: &ServerMetadata,
    endpoint: Endpoint,
) -> Result<url::Url, ConfigError> {
    let (member, url) = match endpoint {
        Endpoint::PushedAuthorizationRequest => (
            "pushed_authorization_request_endpoint",
            &metadata.pushed_authorization_request_endpoint,
        ),
        Endpoint::Authorization => ("authorization_endpoint", &metadata.authorization_endpoint),
        Endpoint::Token => ("token_endpoint", &metadata.token_endpoint),
        Endpoint::Jwks => ("jwks_uri", &metadata.jwks_uri),
        Endpoint::UserInfo => ("userinfo_endpoint", &metadata.userinfo_endpoint),
        Endpoint::Revocation => ("revocation_endpoint", &metadata.revocation_endpoint),
        Endpoint::Registration => ("registration_endpoint", &metadata.registration_endpoint),
        Endpoint::Metadata | Endpoint::Resource => (endpoint.name(), &None),
    };
    url.clone().ok_or(ConfigError::NoEndpoint(member))
}
