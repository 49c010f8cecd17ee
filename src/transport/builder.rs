//! The settings of [`HttpsTransport`], and those that nobody can change.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::redirect;
use rustls::ClientConfig;

use super::https::HttpsTransport;
use crate::crypto::Crypto;
use crate::error::ConfigError;
use crate::tls::{self, Roots};

/// How long a connection may take to stand, unless the builder says otherwise.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection is kept for the next request.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// How many idle connections are kept to one host.
const IDLE_PER_HOST: usize = 16;
/// The largest header section of an HTTP/2 answer, in bytes.
const HEADERS_MAX_BYTES: u32 = 64 * 1024;
/// A request that waits for this long asks, under HTTP/2, whether the connection still stands: after
/// a change of networks it would else hang, and so would every request after it.
const PING_AFTER: Duration = Duration::from_secs(10);
/// How long the answer to that may take.
const PING_TIMEOUT: Duration = Duration::from_secs(5);
/// Settings of an [`HttpsTransport`]. Nothing here makes it less strict.
#[derive(Clone)]
#[must_use = "a builder does nothing until build() is called"]
pub struct HttpsTransportBuilder {
    roots: Roots,
    proxy: ProxyChoice,
    connect_timeout: Duration,
    resolve: Vec<(String, SocketAddr)>,
    crypto: Option<Crypto>,
}

#[derive(Clone)]
enum ProxyChoice {
    Environment,
    None,
    Named(Box<reqwest::Proxy>),
}

impl HttpsTransportBuilder {
    pub(super) fn new() -> Self {
        Self {
            roots: Roots::default(),
            proxy: ProxyChoice::Environment,
            connect_timeout: CONNECT_TIMEOUT,
            resolve: Vec::new(),
            crypto: None,
        }
    }

    /// Takes these root certificates (PEM, one or more) besides the platform's. May be called again.
    ///
    /// Android's own verifier takes no further roots; name all of them with
    /// [`only_root_certificates`](Self::only_root_certificates) there.
    ///
    /// # Errors
    /// [`ConfigError::Transport`] where the PEM is malformed or has no certificate.
    pub fn add_root_certificates(mut self, pem: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        self.roots.add(pem.as_ref())?;
        Ok(self)
    }

    /// Takes these root certificates (PEM, one or more) **instead of** the platform's: the list of an
    /// ecosystem (Security Profile 5.2.2.1). The platform's verifier is then not touched at all.
    ///
    /// Certificates of other calls, before or after, are taken too.
    ///
    /// # Errors
    /// [`ConfigError::Transport`] where the PEM is malformed or has no certificate.
    pub fn only_root_certificates(mut self, pem: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        self.roots.add(pem.as_ref())?;
        self.roots.forget_platform();
        Ok(self)
    }

    /// Sends everything through this proxy (`http://` or `https://`, with `user:password@` where it
    /// wants one), by `CONNECT`; the environment's proxies are then not used.
    ///
    /// # Errors
    /// [`ConfigError::Transport`] where the URL is none of a proxy.
    pub fn proxy(mut self, url: impl AsRef<str>) -> Result<Self, ConfigError> {
        // The library's own message would repeat the URL, and with it the password.
        let malformed = || error("the proxy's URL must be http:// or https:// and a host");
        let url = url::Url::parse(url.as_ref()).map_err(|_| malformed())?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(malformed());
        }
        let proxy = reqwest::Proxy::https(url).map_err(|_| malformed())?;
        self.proxy = ProxyChoice::Named(Box::new(proxy));
        Ok(self)
    }

    /// Uses no proxy, whatever the environment says.
    pub fn no_proxy(mut self) -> Self {
        self.proxy = ProxyChoice::None;
        self
    }

    /// How long a connection may take to stand, TLS included; 10 seconds by default. The time of the
    /// whole request is bounded besides, by whoever sends it.
    pub const fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Connects to `address` for `host` instead of asking DNS. Certificates are checked for `host` all
    /// the same. A port in the URL counts for more than the port of `address`; port 0 stands for 443.
    pub fn resolve(mut self, host: impl Into<String>, address: SocketAddr) -> Self {
        self.resolve.push((host.into(), address));
        self
    }

    /// Uses this cryptography for TLS instead of the one that the features chose.
    ///
    /// Of its TLS 1.2 cipher suites only those that RFC 9325 recommends are offered.
    pub fn crypto_provider(mut self, crypto: Crypto) -> Self {
        self.crypto = Some(crypto);
        self
    }

    /// Builds the transport. Nothing is sent yet.
    ///
    /// # Errors
    /// [`ConfigError::Key`] where there is no cryptography provider; [`ConfigError::Transport`] where a
    /// root certificate can't be read, or the platform has none.
    pub fn build(self) -> Result<HttpsTransport, ConfigError> {
        let crypto = match &self.crypto {
            Some(crypto) => crypto.clone(),
            None => Crypto::new()?,
        };
        let tls = tls::config(&crypto, self.roots.clone())?;
        self.with_tls(tls)
    }

    /// The transport under these settings of TLS.
    pub(super) fn with_tls(self, settings: ClientConfig) -> Result<HttpsTransport, ConfigError> {
        let mut tls = settings.clone();
        // The HTTP library does not set these for settings that are handed to it.
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            // SP-5.2.1-1
            .https_only(true)
            // K-15, RFC 9700 section 4.12
            .redirect(redirect::Policy::none())
            // A jti, a nonce and a code are good for one use: only who made them may make them anew.
            .retry(reqwest::retry::never())
            .referer(false)
            // Another crate may have turned on decompression for the whole program.
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .no_deflate()
            .connect_timeout(self.connect_timeout)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(IDLE_PER_HOST)
            .http2_max_header_list_size(HEADERS_MAX_BYTES)
            .http2_keep_alive_interval(PING_AFTER)
            .http2_keep_alive_timeout(PING_TIMEOUT);
        builder = match self.proxy.clone() {
            ProxyChoice::Environment => builder,
            ProxyChoice::None => builder.no_proxy(),
            ProxyChoice::Named(proxy) => builder.proxy(*proxy),
        };
        for (host, address) in &self.resolve {
            builder = builder.resolve(host, *address);
        }
        let http = builder
            .build()
            .map_err(|failed| error(&failed.without_url().to_string()))?;
        Ok(HttpsTransport {
            http,
            made_from: Arc::new((self, settings)),
        })
    }
}

fn error(text: &str) -> ConfigError {
    ConfigError::Transport(text.to_owned())
}

impl fmt::Debug for HttpsTransportBuilder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A proxy's URL may hold a password.
        formatter
            .debug_struct("HttpsTransportBuilder")
            .field("connect_timeout", &self.connect_timeout)
            .field("resolve", &self.resolve)
            .finish_non_exhaustive()
    }
}
