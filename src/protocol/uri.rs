//! The URLs of the protocol, each of a type that admits no other.

use std::fmt;

use url::{Host, Url};

use crate::error::ConfigError;

/// An issuer identifier (RFC 8414 section 2), with its exact text.
///
/// It is compared as text and never normalised: `https://as.example` and `https://as.example/` are
/// two issuers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Issuer {
    text: String,
}

impl Issuer {
    /// Reads an issuer identifier.
    ///
    /// # Errors
    /// [`ConfigError::Issuer`] where it is not https, has no host, or has a query, a fragment, a user
    /// or a password.
    pub fn new(text: impl Into<String>) -> Result<Self, ConfigError> {
        let text = text.into();
        // META-1; META-4: what differs only after normalisation is not the same issuer, so nothing
        // that normalisation would touch besides the trailing slash is taken at all.
        let sound = text.starts_with("https://")
            && !text.contains(['?', '#', '\\'])
            && !text.contains(|c: char| c.is_whitespace() || c.is_control());
        match https(&text) {
            Some(url) if sound && url.query().is_none() => Ok(Self { text }),
            _ => Err(ConfigError::Issuer(text)),
        }
    }

    /// The issuer's text, as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// META-2: OpenID Connect Discovery appends its suffix to the path.
    pub(crate) fn openid_configuration(&self) -> Option<Url> {
        let base = self.text.strip_suffix('/').unwrap_or(&self.text);
        https(&format!("{base}/.well-known/openid-configuration"))
    }

    /// META-2: RFC 8414 inserts its suffix between host and path.
    pub(crate) fn oauth_authorization_server(&self) -> Option<Url> {
        let mut url = https(&self.text)?;
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("/.well-known/oauth-authorization-server{path}"));
        Some(url)
    }
}

impl fmt::Display for Issuer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

/// SP-5.2.1-1: an https URL with a host, without user, password and fragment.
pub(crate) fn https(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let plain = url.scheme() == "https"
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && url.fragment().is_none();
    plain.then_some(url)
}

/// Where the server sends the browser back to: https, or http on a loopback address for programs on
/// the user's own device (SP-5.3.2.2-8, NAT-7.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RedirectUri {
    text: String,
}

impl RedirectUri {
    pub(crate) fn new(text: impl Into<String>) -> Result<Self, ConfigError> {
        let text = text.into();
        let url = Url::parse(&text).map_err(|_| ConfigError::RedirectUri)?;
        let sound =
            url.fragment().is_none() && url.username().is_empty() && url.password().is_none();
        let secure = match url.scheme() {
            "https" => url.has_host(),
            // NAT-8.3: a loopback address, never the name `localhost`.
            "http" => match url.host() {
                Some(Host::Ipv4(address)) => address.octets() == [127, 0, 0, 1],
                Some(Host::Ipv6(address)) => address.is_loopback(),
                _ => false,
            },
            _ => false,
        };
        if sound && secure {
            Ok(Self { text })
        } else {
            Err(ConfigError::RedirectUri)
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Where a program on the user's own device waits for the browser; `None` for https.
    #[cfg(feature = "loopback")]
    pub(crate) fn loopback(&self) -> Option<Url> {
        Url::parse(&self.text)
            .ok()
            .filter(|url| url.scheme() == "http")
    }

    /// NAT-7.3: on a loopback address any port counts as registered, so one that names no port (or 0)
    /// stands for the one that the system chose. Nothing else changes. `None` where the URI is https, or
    /// names another port.
    #[cfg(feature = "loopback")]
    pub(crate) fn with_port(&self, port: u16) -> Option<Self> {
        let mut url = self.loopback()?;
        if !matches!(url.port(), None | Some(0)) && url.port() != Some(port) {
            return None;
        }
        url.set_port(Some(port)).ok()?;
        Some(Self { text: url.into() })
    }
}

/// An origin to which a token may go: scheme, host and port.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Origin(String);

impl Origin {
    /// The origin that a program names. BCP-4.9.1: a path in it would look like a limit and be none.
    pub(crate) fn named(text: &str) -> Result<Self, ConfigError> {
        match https(text) {
            Some(url) if url.path() == "/" && url.query().is_none() => Ok(Self::of(&url)),
            _ => Err(ConfigError::ApiOrigin(text.to_owned())),
        }
    }

    pub(crate) fn of(url: &Url) -> Self {
        Self(url.origin().ascii_serialization())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// META-1: an issuer is https, and has neither query nor fragment.
    #[test]
    fn what_is_no_issuer_is_refused() {
        for text in [
            "http://as.example",
            "https://as.example?x",
            "https://as.example/#f",
            "https://user@as.example",
            "https://",
            "as.example",
            " https://as.example",
            "https://as.example\\t1",
        ] {
            assert_eq!(
                Issuer::new(text),
                Err(ConfigError::Issuer(text.to_owned())),
                "{text}"
            );
        }
    }

    /// META-2: both well-known forms, with a path and without.
    #[test]
    fn well_known_urls() {
        let issuer = Issuer::new("https://h.example/t1").unwrap();
        assert_eq!(
            issuer.openid_configuration().unwrap().as_str(),
            "https://h.example/t1/.well-known/openid-configuration"
        );
        assert_eq!(
            issuer.oauth_authorization_server().unwrap().as_str(),
            "https://h.example/.well-known/oauth-authorization-server/t1"
        );
        let issuer = Issuer::new("https://h.example/").unwrap();
        assert_eq!(
            issuer.openid_configuration().unwrap().as_str(),
            "https://h.example/.well-known/openid-configuration"
        );
        assert_eq!(
            issuer.oauth_authorization_server().unwrap().as_str(),
            "https://h.example/.well-known/oauth-authorization-server"
        );
    }

    /// SP-5.3.2.2-8, NAT-7.3, NAT-8.3: https, or http on a loopback address.
    #[test]
    fn redirect_uris() {
        for good in [
            "https://app.example/cb",
            "http://127.0.0.1:4711/cb",
            "http://[::1]:4711/cb",
        ] {
            assert_eq!(RedirectUri::new(good).unwrap().as_str(), good);
        }
        for bad in [
            "http://app.example/cb",
            "http://localhost:4711/cb",
            "http://localhost.evil.example/cb",
            "http://127.0.0.1.evil.example/cb",
            "https://app.example/cb#x",
            "com.app:/cb",
            "cb",
        ] {
            assert_eq!(
                RedirectUri::new(bad),
                Err(ConfigError::RedirectUri),
                "{bad}"
            );
        }
    }

    /// NAT-7.3: the port, and nothing but the port, is the system's choice.
    #[cfg(feature = "loopback")]
    #[test]
    fn the_port_of_a_loopback_redirect() {
        for (named, with_port) in [
            ("http://127.0.0.1/cb", Some("http://127.0.0.1:4711/cb")),
            ("http://127.0.0.1:0/cb", Some("http://127.0.0.1:4711/cb")),
            ("http://127.0.0.1:4711/cb", Some("http://127.0.0.1:4711/cb")),
            (
                "http://[::1]/cb?tenant=1",
                Some("http://[::1]:4711/cb?tenant=1"),
            ),
            ("http://127.0.0.1:4712/cb", None),
            ("https://app.example/cb", None),
            ("https://127.0.0.1/cb", None),
        ] {
            let uri = RedirectUri::new(named).unwrap().with_port(4711);
            assert_eq!(uri.as_ref().map(RedirectUri::as_str), with_port, "{named}");
        }
    }

    /// BCP-4.9.1: an origin is no more than scheme, host and port.
    #[test]
    fn origins() {
        assert_eq!(
            Origin::named("https://API.example:443").unwrap().as_str(),
            "https://api.example"
        );
        for bad in [
            "http://api.example",
            "https://api.example/v1",
            "https://u@api.example",
        ] {
            assert_eq!(
                Origin::named(bad),
                Err(ConfigError::ApiOrigin(bad.to_owned()))
            );
        }
    }
}
