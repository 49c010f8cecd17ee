//! What the servers received.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Version};
use serde_json::{Map, Value};

use crate::form;
use crate::jose::{decode, json};
use crate::mutual_tls::Shown;

/// A place where requests arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Endpoint {
    /// Either metadata document.
    Metadata,
    /// The server's key set.
    Jwks,
    /// Pushed authorization requests.
    Par,
    /// Where the browser goes.
    Authorization,
    /// Where the browser says what the user decided.
    Consent,
    /// Tokens, of every grant.
    Token,
    /// UserInfo.
    UserInfo,
    /// Revocation.
    Revocation,
    /// Where the browser goes to be signed out.
    EndSession,
    /// Registration of clients.
    Registration,
    /// Management of registered clients (RFC 7592).
    Management,
    /// The resource server, any path.
    Api,
    /// Any other path of the authorization server.
    Other,
}

/// A request, as a server received it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Request {
    /// Where it arrived.
    pub endpoint: Endpoint,
    /// Its method.
    pub method: Method,
    /// Path and query, as received.
    pub uri: String,
    /// The protocol version.
    pub version: Version,
    /// Host and port that the client asked for: `Host`, or `:authority` in HTTP/2.
    pub authority: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// The body as a form, decoded, in order; empty if it is none.
    pub form: Vec<(String, String)>,
    /// The server's time at arrival, in seconds since 1970.
    pub at: i64,
    /// The status that was answered; `None` while there is none, and where the answer was lost.
    pub status: Option<StatusCode>,
    /// The connection that it came over: each has a number of its own.
    pub connection: u64,
    /// Whether that connection went on with a TLS session of an earlier one.
    pub resumed: bool,
    /// The certificate that the connection showed.
    pub(crate) shown: Option<Arc<Shown>>,
}

impl Request {
    /// The path, without the query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.uri
            .split_once('?')
            .map_or(self.uri.as_str(), |(path, _)| path)
    }

    /// The query, without the question mark.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.uri.split_once('?').map(|(_, query)| query)
    }

    /// The thumbprint (`x5t#S256`) of the certificate that the connection showed.
    #[must_use]
    pub fn certificate(&self) -> Option<&str> {
        self.shown.as_ref().map(|shown| shown.thumbprint.as_str())
    }

    /// A header's first value, if it is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The first form parameter of that name.
    #[must_use]
    pub fn form_value(&self, name: &str) -> Option<&str> {
        form::value(&self.form, name)
    }

    /// All form parameters of that name.
    #[must_use]
    pub fn form_values(&self, name: &str) -> Vec<String> {
        form::values(&self.form, name)
    }

    /// The names of the form parameters, in order.
    #[must_use]
    pub fn form_names(&self) -> Vec<&str> {
        self.form.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// The DPoP proof, read but not verified.
    #[must_use]
    pub fn proof(&self) -> Option<Jwt> {
        Jwt::read(self.header("dpop")?)
    }

    /// The client assertion, read but not verified.
    #[must_use]
    pub fn assertion(&self) -> Option<Jwt> {
        Jwt::read(self.form_value("client_assertion")?)
    }
}

/// A JWT of the client, read but not verified.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Jwt {
    /// The whole of it.
    pub compact: String,
    /// Its header.
    pub header: Map<String, Value>,
    /// Its claims.
    pub claims: Map<String, Value>,
}

impl Jwt {
    /// Takes a compact JWT apart; `None` if it is none.
    #[must_use]
    pub fn read(compact: &str) -> Option<Self> {
        let mut parts = compact.split('.');
        let header = json::object(&decode(parts.next()?).ok()?).ok()?;
        let claims = json::object(&decode(parts.next()?).ok()?).ok()?;
        Some(Self {
            compact: compact.to_owned(),
            header,
            claims,
        })
    }

    /// A claim; null if it is missing.
    #[must_use]
    pub fn claim(&self, name: &str) -> &Value {
        self.claims.get(name).unwrap_or(&Value::Null)
    }
}

/// What a client offered when it opened a TLS connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientHello {
    /// The server name it asked for (SNI).
    pub server_name: Option<String>,
    /// The cipher suites by their IANA numbers, in the client's order.
    pub cipher_suites: Vec<u16>,
    /// The application protocols (ALPN), in the client's order.
    pub alpn: Vec<String>,
}
