//! Where Redis is, and who we are there.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio_rustls::TlsConnector;
use url::Url;
use zeroize::Zeroizing;

use super::RedisStore;
use super::link::Link;
use super::names::Names;
use crate::crypto::Crypto;
use crate::error::StoreError;
use crate::tls::{self, Roots};

const PORT: u16 = 6379;
const PREFIX: &str = "fapi";
const PREFIX_MAX_CHARS: usize = 64;
const TIMEOUT: Duration = Duration::from_secs(2);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Settings of a [`RedisStore`]. Nothing here makes it less strict.
#[must_use = "a builder does nothing until connect() is called"]
pub struct RedisStoreBuilder {
    url: String,
    credentials: Option<Credentials>,
    database: Option<u32>,
    prefix: String,
    roots: Vec<Vec<u8>>,
    crypto: Option<Crypto>,
    timeout: Duration,
    connect_timeout: Duration,
}

/// What the builder's settings come to.
pub(super) struct Settings {
    pub(super) place: Place,
    pub(super) credentials: Option<Credentials>,
    pub(super) database: u32,
    /// `None` on the loopback interface alone.
    pub(super) tls: Option<TlsConnector>,
    pub(super) timeout: Duration,
    pub(super) connect_timeout: Duration,
}

pub(super) struct Credentials {
    pub(super) user: String,
    pub(super) password: Zeroizing<String>,
}

/// What a URL says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) host: String,
    pub(super) port: u16,
    secure: bool,
    database: Option<u32>,
}

impl RedisStoreBuilder {
    pub(super) fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            credentials: None,
            database: None,
            prefix: PREFIX.to_owned(),
            roots: Vec::new(),
            crypto: None,
            timeout: TIMEOUT,
            connect_timeout: CONNECT_TIMEOUT,
        }
    }

    /// Who we are. The user that `requirepass` gives a password is called `default`.
    pub fn credentials(mut self, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.credentials = Some(Credentials {
            user: user.into(),
            password: Zeroizing::new(password.into()),
        });
        self
    }

    /// The number of the database; 0 by default. It counts for more than that of the URL.
    pub const fn database(mut self, number: u32) -> Self {
        self.database = Some(number);
        self
    }

    /// What all keys begin with, in braces: 1 to 64 letters, digits, `-`, `_` and `.`; `fapi` by default.
    /// Stores of different prefixes know nothing of each other.
    pub fn key_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Takes these root certificates (PEM, one or more) **instead of** the platform's. May be called
    /// again.
    pub fn root_certificates_pem(mut self, pem: impl AsRef<[u8]>) -> Self {
        self.roots.push(pem.as_ref().to_vec());
        self
    }

    /// Uses this cryptography for TLS instead of the one that the features chose.
    ///
    /// Of its TLS 1.2 cipher suites only those that RFC 9325 recommends are offered.
    pub fn crypto_provider(mut self, crypto: Crypto) -> Self {
        self.crypto = Some(crypto);
        self
    }

    /// How long an answer to a command may take; 2 seconds by default.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How long a connection may take to stand, TLS and greetings included; 5 seconds by default. A call
    /// that finds no connection takes so much longer.
    pub const fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Connects.
    ///
    /// # Errors
    /// [`StoreError::Setting`] for a setting that can't be right, before anything is sent, and for a
    /// server whose certificate is not trusted; [`StoreError::Credentials`] where the server wants
    /// others; [`StoreError::Unavailable`] where it does not answer, or is a replica;
    /// [`StoreError::NoRuntime`] outside of a tokio runtime.
    pub async fn connect(self) -> Result<RedisStore, StoreError> {
        let (settings, names) = self.settle()?;
        let link = Arc::new(Link::new(settings));
        link.live().await?;
        Ok(RedisStore {
            link,
            names: Arc::new(names),
        })
    }

    fn settle(self) -> Result<(Settings, Names), StoreError> {
        let place = Place::read(&self.url)?;
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if !(1..=PREFIX_MAX_CHARS).contains(&self.prefix.len()) || !self.prefix.chars().all(plain) {
            return Err(setting(
                "the key prefix is 1 to 64 letters, digits, '-', '_' and '.'",
            ));
        }
        if self.timeout.is_zero() || self.connect_timeout.is_zero() {
            return Err(setting("a timeout of 0 leaves no time for an answer"));
        }
        let mut roots = Roots::default();
        for pem in &self.roots {
            roots.add(pem)?;
            roots.forget_platform();
        }
        let tls = if place.secure {
            tls::server_name(&place.host)?;
            let crypto = match self.crypto {
                Some(crypto) => crypto,
                None => Crypto::new().map_err(|error| StoreError::Setting(error.to_string()))?,
            };
            Some(TlsConnector::from(Arc::new(tls::config(&crypto, roots)?)))
        } else {
            None
        };
        let settings = Settings {
            database: self.database.or(place.database).unwrap_or(0),
            place,
            credentials: self.credentials,
            tls,
            timeout: self.timeout,
            connect_timeout: self.connect_timeout,
        };
        Ok((settings, Names::new(&self.prefix)))
    }
}

impl Place {
    /// Reads a URL. No error repeats it: it may hold a password.
    fn read(url: &str) -> Result<Self, StoreError> {
        let malformed = || {
            setting("the URL of Redis is `rediss://host`, with `:port` and `/database` if need be")
        };
        let url = Url::parse(url).map_err(|_| malformed())?;
        let secure = match url.scheme() {
            "rediss" => true,
            "redis" => false,
            _ => return Err(malformed()),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(setting(
                "a URL with a password ends up in logs: call credentials() on the builder",
            ));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(malformed());
        }
        let database = match url.path().trim_start_matches('/') {
            "" => None,
            number => Some(number.parse().map_err(|_| malformed())?),
        };
        let host = url.host_str().filter(|host| !host.is_empty());
        let host = host.ok_or_else(malformed)?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let place = Self {
            host: host.to_ascii_lowercase(),
            port: url.port().unwrap_or(PORT),
            secure,
            database,
        };
        if !place.secure && !place.is_loopback() {
            return Err(not_loopback());
        }
        Ok(place)
    }

    fn is_loopback(&self) -> bool {
        let address = self.host.parse::<IpAddr>();
        self.host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    }
}

/// Without TLS, whoever is on the way reads the password and the names, and can make up answers.
pub(super) fn not_loopback() -> StoreError {
    setting(
        "redis:// is for 127.0.0.1, [::1] and localhost: turn on TLS in Redis and use rediss:// for any other host",
    )
}

fn setting(text: &str) -> StoreError {
    StoreError::Setting(text.to_owned())
}

/// Shows no URL, which may hold a password by mistake, and no credentials.
impl fmt::Debug for RedisStoreBuilder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RedisStoreBuilder")
            .field("prefix", &self.prefix)
            .field("timeout", &self.timeout)
            .field("connect_timeout", &self.connect_timeout)
            .finish_non_exhaustive()
    }
}
