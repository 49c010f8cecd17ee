//! Redis, for several replicas that share logins and sessions.

mod answer;
mod bounded;
mod link;
mod locks;
mod names;
mod open;
mod records;
mod scripts;
mod settings;
#[cfg(test)]
mod tests;
mod transactions;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use link::Link;
use names::Names;
pub use settings::RedisStoreBuilder;

/// Keeps logins, sessions and locks in Redis, where all replicas of a program find them.
///
/// ```no_run
/// # async fn f(password: String, sealing_keys: fapi_client::store::SealingKeys)
/// # -> Result<(), fapi_client::StoreError> {
/// use fapi_client::store::{RedisStore, Stores};
///
/// let redis = RedisStore::builder("rediss://redis.example:6380")
///     .credentials("app1", password)
///     .key_prefix("app1")
///     .connect()
///     .await?;
/// let stores = Stores::new(redis, sealing_keys);
/// # Ok(())
/// # }
/// ```
///
/// **The server.** Redis 7 or later, or one that behaves like it; a primary, or one server of a cluster
/// that holds the prefix. Every change is a script, so that nothing comes between. `rediss://` is TLS
/// under the rules that this crate's requests keep; `redis://` is for the loopback interface alone.
///
/// **What to set there.** `maxmemory-policy noeviction`, since a session that was evicted is a user who has
/// to sign in again; `appendonly yes`, so that a restart keeps them; `tls-auth-clients no`, since this store
/// shows a password and no certificate. The user needs
/// `~{prefix}:* +@read +@write +@scripting +@connection +time`, for instance
/// `ACL SETUSER app1 on >password ~{app1}:* +@read +@write +@scripting +@connection +time -@dangerous`.
///
/// **When it fails.** A connection that broke is replaced at the next call. What only reads is read once
/// more; a change whose answer was lost is [`Unavailable`](crate::StoreError::Unavailable), and its caller
/// reads what became of it. A replica is `Unavailable` too. After a failover, what the former primary had not
/// passed on yet is gone, locks included; versions and fences do not repeat all the same, since they
/// follow the server's clock.
///
/// Cloning is cheap, and all clones share one connection.
#[derive(Clone)]
pub struct RedisStore {
    link: Arc<Link>,
    names: Arc<Names>,
}

impl RedisStore {
    /// Settings for the server at this URL: `rediss://host`, with `:port` and `/database` if need be;
    /// `redis://` for 127.0.0.1, `[::1]` and localhost. Credentials do not belong in it.
    pub fn builder(url: impl AsRef<str>) -> RedisStoreBuilder {
        RedisStoreBuilder::new(url.as_ref())
    }
}

/// Shows where the server is.
impl fmt::Debug for RedisStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = &self.link.settings;
        formatter
            .debug_struct("RedisStore")
            .field("host", &settings.place.host)
            .field("port", &settings.place.port)
            .field("database", &settings.database)
            .finish_non_exhaustive()
    }
}

/// The longest life that is written, in milliseconds: 100 years. Redis counts no further than 292 million.
const LIFE_MAX_MS: u64 = 100 * 365 * 24 * 3600 * 1000;

/// A life in milliseconds, as scripts take it.
fn milliseconds(life: Duration) -> String {
    let life = u64::try_from(life.as_millis()).unwrap_or(LIFE_MAX_MS);
    life.min(LIFE_MAX_MS).to_string()
}
