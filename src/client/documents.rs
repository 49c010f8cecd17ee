//! The two documents of a server that are kept: its metadata and its key set.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::header::ACCEPT;
use http::{HeaderValue, Request, StatusCode};
use tokio::sync::watch;
use url::Url;
use zeroize::Zeroizing;

use super::core::{Core, Shared, endpoint_of};
use super::single_flight::{SingleFlight, outcome};
use super::vault::{Content, Vault};
use crate::error::{ConfigError, Endpoint, Error, Preflight, TransportError, Violation};
use crate::jose::JwkSet;
use crate::profile::{AS_TIMEOUT, JWKS_MAX_BYTES, JWKS_REFETCH_EVERY, METADATA_MAX_BYTES};
use crate::protocol::answer::{Answer, cache_life};
use crate::protocol::metadata::{self, ServerMetadata};
use crate::protocol::preflight::{self, Settings};
use crate::protocol::uri::Issuer;
use crate::store::RecordKind;
use crate::time::Timestamp;
use crate::transport::{RequestBody, TransportRequest};

/// Where a server publishes its metadata.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Discovery {
    /// OpenID Connect Discovery, and RFC 8414 where that answers 404.
    #[default]
    Auto,
    /// OpenID Connect Discovery: `/.well-known/openid-configuration` behind the issuer's path.
    OpenId,
    /// RFC 8414: `/.well-known/oauth-authorization-server` before the issuer's path.
    OAuth,
}

/// A document and until when it is fresh.
#[derive(Clone)]
pub(crate) struct Fetched<T> {
    document: Arc<T>,
    fresh_until: Timestamp,
}

/// Fetches a document: GET, 200, bounded in size and time, no redirect followed (META-3).
async fn fetch(
    shared: &Shared,
    endpoint: Endpoint,
    url: &Url,
    limit: usize,
) -> Result<Answer, Error> {
    let mut request = Request::new(RequestBody::empty());
    *request.uri_mut() = super::authorization_server::uri(url)?;
    let accept = match endpoint {
        Endpoint::Jwks => "application/jwk-set+json, application/json",
        _ => "application/json",
    };
    request
        .headers_mut()
        .insert(ACCEPT, HeaderValue::from_static(accept));
    let response = shared
        .transport
        .send(TransportRequest::new(request, limit, AS_TIMEOUT))
        .await
        .map_err(|error| error.at(endpoint))?;
    tracing::debug!(
        endpoint = endpoint.name(),
        status = response.status().as_u16(),
        "fetched"
    );
    Ok(Answer::new(endpoint, response))
}

/// Fetches the metadata of an issuer and checks whose it is.
pub(crate) async fn fetch_metadata(
    shared: &Shared,
    issuer: &Issuer,
    discovery: Discovery,
) -> Result<(Fetched<ServerMetadata>, Bytes), Error> {
    let openid = issuer.openid_configuration();
    let oauth = issuer.oauth_authorization_server();
    let (first, second) = match discovery {
        Discovery::Auto => (openid, oauth),
        Discovery::OpenId => (openid, None),
        Discovery::OAuth => (oauth, None),
    };
    let invalid = || ConfigError::Issuer(issuer.as_str().to_owned());
    let first = first.ok_or_else(invalid)?;
    let mut answer = fetch(shared, Endpoint::Metadata, &first, METADATA_MAX_BYTES).await?;
    // META-2: another place is looked at only where there is nothing at the first.
    if answer.status == StatusCode::NOT_FOUND
        && let Some(second) = second
    {
        answer = fetch(shared, Endpoint::Metadata, &second, METADATA_MAX_BYTES).await?;
    }
    answer.expect(StatusCode::OK)?;
    answer.expect_json()?;
    let metadata = metadata::parse(issuer, &answer.body)?;
    Ok((
        Fetched {
            document: Arc::new(metadata),
            fresh_until: shared.clock.now().plus(cache_life(&answer.headers)),
        },
        answer.body,
    ))
}

/// What a document of the server's is kept under, for times when the server is down.
const METADATA: &str = "metadata";
const JWKS: &str = "jwks";

/// Keeps a document that was good. Where that fails, it is fetched the next time as well.
async fn keep(vault: &Vault, name: &str, body: &[u8]) {
    if vault.stores().outlive_the_process() {
        let key = vault.key(RecordKind::Document, name);
        let content = Content {
            plain: body,
            tags: Vec::new(),
            life: None,
        };
        drop(vault.put(&key, content).await);
    }
}

/// The document as it was last kept.
async fn kept(vault: &Vault, name: &str) -> Option<Zeroizing<Vec<u8>>> {
    if !vault.stores().outlive_the_process() {
        return None;
    }
    let key = vault.key(RecordKind::Document, name);
    Some(vault.load(&key).await.ok()??.plain)
}

/// The metadata with which a client begins. Where the server can't be reached, the document that was good
/// when it was last read is checked as if it had just come, and asked for again in a minute: a session
/// opens offline.
pub(crate) async fn first_metadata(
    shared: &Shared,
    vault: &Vault,
    issuer: &Issuer,
    discovery: Discovery,
) -> Result<Fetched<ServerMetadata>, Error> {
    match fetch_metadata(shared, issuer, discovery).await {
        Ok((fetched, body)) => {
            keep(vault, METADATA, &body).await;
            Ok(fetched)
        }
        Err(Error::Transport(error)) => {
            let body = kept(vault, METADATA).await.ok_or(error.clone())?;
            tracing::warn!(%error, "the server can't be reached; its last metadata is in force");
            Ok(Fetched {
                document: Arc::new(metadata::parse(issuer, &body)?),
                fresh_until: shared.clock.now().plus_seconds(JWKS_REFETCH_EVERY),
            })
        }
        Err(error) => Err(error),
    }
}

/// The metadata of a client's server. It is there from the start, and renewed when it is old.
pub(crate) struct MetadataCache {
    last: Arc<Mutex<Fetched<ServerMetadata>>>,
    flight: SingleFlight<Result<Arc<ServerMetadata>, Error>>,
    discovery: Discovery,
    settings: Settings,
    vault: Vault,
}

impl MetadataCache {
    pub(crate) fn new(
        first: Fetched<ServerMetadata>,
        discovery: Discovery,
        settings: Settings,
        vault: Vault,
    ) -> Self {
        Self {
            last: Arc::new(Mutex::new(first)),
            flight: SingleFlight::default(),
            discovery,
            settings,
            vault,
        }
    }

    /// The document as it was last read, however old.
    pub(crate) fn last(&self) -> Arc<ServerMetadata> {
        read(&self.last).document
    }

    /// The document, fetched anew where it is old. META-8: by one request for all who ask, which ends
    /// and is kept even if they all go away.
    pub(crate) async fn get(&self, core: &Core) -> Result<Arc<ServerMetadata>, Error> {
        let known = read(&self.last);
        if core.now() < known.fresh_until {
            return Ok(known.document);
        }
        let renewal = Renewal {
            shared: core.shared.clone(),
            issuer: core.issuer().clone(),
            discovery: self.discovery,
            // The key that signs now, which need not be the one that the client was built with.
            settings: Settings {
                assertion: core.auth.algorithm(),
                ..self.settings
            },
            last: self.last.clone(),
            vault: self.vault.clone(),
        };
        self.flight.run(|| renewal.run()).await?
    }
}

fn read(last: &Mutex<Fetched<ServerMetadata>>) -> Fetched<ServerMetadata> {
    last.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// What fetching the metadata anew takes.
struct Renewal {
    shared: Arc<Shared>,
    issuer: Issuer,
    discovery: Discovery,
    settings: Settings,
    last: Arc<Mutex<Fetched<ServerMetadata>>>,
    vault: Vault,
}

impl Renewal {
    /// Fetches, checks as at the start, and keeps. A server that is down leaves the old document in
    /// force; one that is wrong does not.
    async fn run(self) -> Result<Arc<ServerMetadata>, Error> {
        let known = read(&self.last);
        // Another run may have ended since our caller looked.
        if self.shared.clock.now() < known.fresh_until {
            return Ok(known.document);
        }
        let fetched = match fetch_metadata(&self.shared, &self.issuer, self.discovery).await {
            Ok((fetched, body)) => {
                passed(preflight::check(&fetched.document, self.settings))?;
                keep(&self.vault, METADATA, &body).await;
                fetched
            }
            Err(Error::Transport(error)) => {
                tracing::warn!(%error, "metadata could not be renewed; the last one stays in force");
                Fetched {
                    fresh_until: self.shared.clock.now().plus_seconds(JWKS_REFETCH_EVERY),
                    document: known.document,
                }
            }
            Err(error) => return Err(error),
        };
        let document = fetched.document.clone();
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = fetched;
        Ok(document)
    }
}

/// The report where it lets us go on.
pub(crate) fn passed(report: Preflight) -> Result<Preflight, ConfigError> {
    if report.passed() {
        Ok(report)
    } else {
        Err(ConfigError::Preflight(report))
    }
}

impl Fetched<ServerMetadata> {
    pub(crate) fn document(&self) -> &ServerMetadata {
        &self.document
    }
}

/// The key set of a client's server (META-9).
#[derive(Default)]
pub(crate) struct JwksCache {
    /// Shared with the fetch, which puts the new set here before it ends.
    last: Arc<Mutex<Option<Fetched<JwkSet>>>>,
    /// When an unknown key last caused a fetch.
    refetched_at: Mutex<Option<Timestamp>>,
    flight: SingleFlight<Result<Fetched<JwkSet>, Error>>,
}

impl JwksCache {
    /// The key set, fetched where there is none or it is old. A server that is down leaves the old one
    /// in force.
    pub(crate) async fn get(&self, core: &Core) -> Result<Arc<JwkSet>, Error> {
        let known = self.read();
        match known {
            Some(known) if core.now() < known.fresh_until => Ok(known.document),
            Some(known) => match self.fetch(core).await {
                Err(Error::Transport(error)) => {
                    tracing::warn!(%error, "the key set could not be renewed; the last one stays in force");
                    self.keep_on(&known.document, core.now());
                    Ok(known.document)
                }
                fetched => fetched,
            },
            None => match self.fetch(core).await {
                Err(Error::Transport(error)) => self.as_it_was(core, error).await,
                fetched => fetched,
            },
        }
    }

    /// The key set that the store has, where the server can't be reached.
    async fn as_it_was(&self, core: &Core, error: TransportError) -> Result<Arc<JwkSet>, Error> {
        let body = kept(&core.vault, JWKS).await.ok_or(error)?;
        let fetched = Fetched {
            document: Arc::new(JwkSet::parse(&body)?),
            fresh_until: core.now().plus_seconds(JWKS_REFETCH_EVERY),
        };
        let document = fetched.document.clone();
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(fetched);
        Ok(document)
    }

    /// The key set after a signature that no key of the `tried` one made: fetched anew, at most once a
    /// minute (OIDC-10, ERR-16). Whoever comes while it is being fetched, or later, gets what the fetch
    /// brought. `None` where there is no other than the one that was tried.
    pub(crate) async fn renewed(
        &self,
        core: &Core,
        tried: &Arc<JwkSet>,
    ) -> Result<Option<Arc<JwkSet>>, Error> {
        let other = || {
            let known = self.read()?.document;
            (!Arc::ptr_eq(&known, tried)).then_some(known)
        };
        let url = url(core).await?;
        let run = {
            let mut last = self
                .refetched_at
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            if let Some(other) = other() {
                return Ok(Some(other));
            }
            let now = core.now();
            if last.is_none_or(|last| is_long_ago(last, now)) {
                *last = Some(now);
                Some(self.start(core, url)?)
            } else {
                self.flight.under_way()
            }
        };
        if let Some(run) = run
            && let Err(error) = outcome(run).await?
        {
            // What could not be fetched may be asked for again.
            *self
                .refetched_at
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = None;
            return Err(error);
        }
        Ok(other())
    }

    /// The key set, where it is here and fresh.
    pub(crate) fn at_hand(&self, now: Timestamp) -> Option<Arc<JwkSet>> {
        let known = self.read()?;
        (now < known.fresh_until).then_some(known.document)
    }

    fn read(&self) -> Option<Fetched<JwkSet>> {
        self.last
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// META-8: the set that is known stays in force for a while, unless there is another by now.
    fn keep_on(&self, known: &Arc<JwkSet>, now: Timestamp) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = last.as_mut()
            && Arc::ptr_eq(&last.document, known)
        {
            last.fresh_until = now.plus_seconds(JWKS_REFETCH_EVERY);
        }
    }

    async fn fetch(&self, core: &Core) -> Result<Arc<JwkSet>, Error> {
        let url = url(core).await?;
        Ok(outcome(self.start(core, url)?).await??.document)
    }

    fn start(&self, core: &Core, url: Url) -> Result<Run, Error> {
        let (shared, last) = (core.shared.clone(), self.last.clone());
        let vault = core.vault.clone();
        self.flight.start(|| async move {
            let (fetched, body) = fetch_jwks(&shared, &url).await?;
            *last.lock().unwrap_or_else(PoisonError::into_inner) = Some(fetched.clone());
            keep(&vault, JWKS, &body).await;
            Ok(fetched)
        })
    }
}

/// Whether a minute has passed since; a clock that was set back counts for one.
const fn is_long_ago(last: Timestamp, now: Timestamp) -> bool {
    now.seconds_since(last).saturating_abs() >= JWKS_REFETCH_EVERY
}

/// A fetch of the key set that is under way.
type Run = watch::Receiver<Option<Result<Fetched<JwkSet>, Error>>>;

/// SEC-jwks: the address comes from the metadata of the pinned issuer, never from a JWT.
async fn url(core: &Core) -> Result<Url, Error> {
    let metadata = core.metadata.get(core).await?;
    Ok(endpoint_of(&metadata, Endpoint::Jwks)?)
}

async fn fetch_jwks(shared: &Shared, url: &Url) -> Result<(Fetched<JwkSet>, Bytes), Error> {
    let answer = fetch(shared, Endpoint::Jwks, url, JWKS_MAX_BYTES).await?;
    answer.expect(StatusCode::OK)?;
    let media = answer.media_type();
    if !matches!(
        media.as_deref(),
        Some("application/json" | "application/jwk-set+json")
    ) {
        return Err(Violation::ContentType {
            endpoint: Endpoint::Jwks,
        }
        .into());
    }
    let fetched = Fetched {
        document: Arc::new(JwkSet::parse(&answer.body)?),
        fresh_until: shared.clock.now().plus(cache_life(&answer.headers)),
    };
    Ok((fetched, answer.body))
}
