//! What the two servers share.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::sync::watch;

use crate::clock::TestClock;
use crate::dpop::{NoncePools, Nonces};
use crate::grants::Grants;
use crate::jose::{Alg, SigningKey, rs256_jwk};
use crate::misbehaviour::Misbehaviour;
use crate::net::tls::{Authority, Hellos};
use crate::record::{Endpoint, Request};
use crate::registration::Registration;

/// What the builder decided.
pub(crate) struct Config {
    pub(crate) refresh_rotation: bool,
    pub(crate) rotation_grace: Duration,
    pub(crate) nonces: Nonces,
    pub(crate) api_nonces: Nonces,
    pub(crate) access_token_life: Duration,
    pub(crate) request_uri_life: Duration,
    pub(crate) code_life: Duration,
    pub(crate) signing_algorithm: Alg,
    pub(crate) signed_userinfo: bool,
    pub(crate) discovery: Discovery,
    pub(crate) expires_in: bool,
    pub(crate) acr_values: Vec<String>,
    pub(crate) details_types: Vec<String>,
    pub(crate) authorization_query: Option<String>,
    pub(crate) registering: Registering,
}

/// Whether and how clients register themselves.
pub(crate) struct Registering {
    pub(crate) on: bool,
    pub(crate) initial_access_token: Option<String>,
    pub(crate) token_rotation: bool,
}

/// The metadata documents that a server has (META-2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Discovery {
    /// `/.well-known/openid-configuration` alone.
    OpenId,
    /// `/.well-known/oauth-authorization-server` alone (RFC 8414).
    OAuth,
    /// Both.
    #[default]
    Both,
}

/// Which of the two servers a request came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Site {
    Provider,
    Api,
    /// Each at the port where TLS asks for a client certificate.
    MtlsProvider,
    MtlsApi,
}

/// The origins where TLS asks for a client certificate.
pub(crate) struct MutualTls {
    pub(crate) origin: String,
    pub(crate) api: String,
}

pub(crate) struct State {
    pub(crate) config: Config,
    pub(crate) issuer: String,
    /// The path of the issuer, without a slash at its end.
    pub(crate) issuer_path: String,
    /// Scheme, host and port of the authorization server.
    pub(crate) origin: String,
    /// Scheme, host and port of the resource server.
    pub(crate) api: String,
    pub(crate) mutual_tls: Option<MutualTls>,
    /// How many connections there have been.
    pub(crate) connections: AtomicU64,
    pub(crate) clock: TestClock,
    pub(crate) clock_offset: AtomicI64,
    /// Whether the servers cut every connection.
    pub(crate) offline: watch::Sender<bool>,
    pub(crate) authority: Arc<Authority>,
    pub(crate) hellos: Hellos,
    /// Raised with every request, for those who wait for one.
    pub(crate) arrivals: watch::Sender<u64>,
    pub(crate) clients: Mutex<HashMap<String, Registration>>,
    /// Those that registered themselves, by their ids.
    pub(crate) managed: Mutex<HashMap<String, Managed>>,
    pub(crate) grants: Mutex<Grants>,
    pub(crate) keys: Mutex<Keys>,
    pub(crate) nonces: Mutex<NoncePools>,
    /// The `jti` of every assertion and proof that was ever taken, with the key or client.
    pub(crate) seen: Mutex<HashSet<(String, String)>>,
    pub(crate) misbehaviour: Mutex<Misbehaviour>,
    pub(crate) records: Mutex<Records>,
}

impl State {
    /// The time that the servers believe in.
    pub(crate) fn now(&self) -> i64 {
        self.clock
            .now()
            .saturating_add(self.clock_offset.load(Ordering::SeqCst))
    }

    pub(crate) fn after(&self, life: Duration) -> i64 {
        self.now().saturating_add(seconds(life))
    }

    /// The origin of a server, at one of its ports.
    pub(crate) fn origin_of(&self, site: Site) -> &str {
        match (site, &self.mutual_tls) {
            (Site::MtlsProvider, Some(mtls)) => &mtls.origin,
            (Site::MtlsApi, Some(mtls)) => &mtls.api,
            (Site::Provider | Site::MtlsProvider, _) => &self.origin,
            (Site::Api | Site::MtlsApi, _) => &self.api,
        }
    }

    /// The URL of an endpoint of the authorization server.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{}{path}", self.origin, self.issuer_path)
    }

    pub(crate) fn client(&self, id: &str) -> Option<Registration> {
        lock(&self.clients).get(id).cloned()
    }

    /// Whether this `jti` comes for the first time from this key or client.
    pub(crate) fn first_use(&self, owner: &str, jti: &str) -> bool {
        lock(&self.seen).insert((owner.to_owned(), jti.to_owned()))
    }

    pub(crate) fn active_key(&self) -> SigningKey {
        lock(&self.keys).active.clone()
    }

    pub(crate) fn refused(&self, endpoint: Endpoint, reason: &str) {
        lock(&self.records)
            .refusals
            .push(format!("{endpoint:?}: {reason}"));
    }

    pub(crate) fn secret(&self, secret: &str) {
        lock(&self.records).secrets.push(secret.to_owned());
    }
}

/// A client that registered itself.
#[derive(Clone)]
pub(crate) struct Managed {
    /// The `registration_access_token`.
    pub(crate) token: String,
    pub(crate) issued_at: i64,
    pub(crate) metadata: Map<String, Value>,
}

/// The keys that sign for the server, and what else its key set shows.
pub(crate) struct Keys {
    pub(crate) active: SigningKey,
    pub(crate) generation: usize,
    /// Public keys that came before the active one.
    pub(crate) former: Vec<Value>,
    pub(crate) decoys: bool,
    pub(crate) rs256: bool,
}

impl Keys {
    pub(crate) fn new(active: SigningKey) -> Self {
        Self {
            active,
            generation: 0,
            former: Vec::new(),
            decoys: false,
            rs256: false,
        }
    }

    pub(crate) fn rotate(&mut self, alg: Alg) {
        self.generation += 1;
        let next = SigningKey::generate(alg, self.generation);
        let before = std::mem::replace(&mut self.active, next);
        self.former.push(before.jwk);
    }

    /// Publishes the key that signs with RS256, and returns its `kid`.
    pub(crate) fn publish_rs256(&mut self) -> Value {
        self.rs256 = true;
        rs256_jwk()["kid"].clone()
    }
}

#[derive(Default)]
pub(crate) struct Records {
    /// With a number that stays theirs.
    pub(crate) requests: Vec<(u64, Request)>,
    pub(crate) next: u64,
    pub(crate) refusals: Vec<String>,
    pub(crate) secrets: Vec<String>,
    pub(crate) tokens_used_twice: Vec<String>,
}

/// Takes a lock, also after a test's closure has panicked inside one.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}
