//! What the server knows about a client.

use std::net::IpAddr;

use serde_json::Value;
use url::{Host, Url};

use crate::jose::{Alg, check_public_jwk};
use crate::mutual_tls::{self, Authentication, CertificateName};

/// A client, as it is registered with the server.
///
/// ```
/// # let jwks = serde_json::json!({"keys": []});
/// use fapi_testkit::Registration;
///
/// let registration = Registration::new("client-id")
///     .jwks(jwks)
///     .redirect_uri("https://app.example/callback")
///     .scope("openid accounts");
/// ```
#[derive(Clone, Debug)]
pub struct Registration {
    pub(crate) client_id: String,
    pub(crate) authentication: Authentication,
    pub(crate) certificate_bound: bool,
    pub(crate) keys: Vec<Value>,
    pub(crate) redirect_uris: Vec<String>,
    pub(crate) post_logout_redirect_uris: Vec<String>,
    pub(crate) scopes: Option<Vec<String>>,
    pub(crate) algorithms: Vec<Alg>,
    pub(crate) grant_types: Vec<String>,
}

impl Registration {
    /// A client that may use the code, refresh and client-credentials grants, with every
    /// algorithm of the profile and any scope. It has no keys and no redirect URI yet.
    #[must_use]
    pub fn new(client_id: &str) -> Self {
        Self {
            client_id: client_id.to_owned(),
            authentication: Authentication::PrivateKeyJwt,
            certificate_bound: false,
            keys: Vec::new(),
            redirect_uris: Vec::new(),
            post_logout_redirect_uris: Vec::new(),
            scopes: None,
            algorithms: Alg::ALL.to_vec(),
            grant_types: ["authorization_code", "refresh_token", "client_credentials"]
                .map(str::to_owned)
                .to_vec(),
        }
    }

    /// The client's public keys, as a JWK set. Replaces those given before.
    ///
    /// # Panics
    /// Where the set is malformed, a key shows its secret part, is of a kind that the profile does
    /// not admit, has no `kid`, or shares it with another (SP-5.4.2-0, SP-5.4.2-3).
    /// Encryption keys (`"use": "enc"`) are let through unseen.
    #[must_use]
    pub fn jwks(mut self, jwks: Value) -> Self {
        match check_keys(jwks) {
            Ok(keys) => self.keys = keys,
            Err(reason) => panic!("{reason}"),
        }
        self
    }

    /// The client authenticates with `tls_client_auth`: a certificate that the testkit's authority signed, with
    /// this subject in the form of RFC 4514 (RFC 8705 section 2.1.2).
    #[must_use]
    pub fn tls_client_auth_subject_dn(self, subject: &str) -> Self {
        self.tls_client_auth(CertificateName::SubjectDn(subject.to_owned()))
    }

    /// The client authenticates with `tls_client_auth`: a certificate that the testkit's authority signed, with
    /// this name among its DNS names.
    #[must_use]
    pub fn tls_client_auth_san_dns(self, name: &str) -> Self {
        self.tls_client_auth(CertificateName::SanDns(name.to_owned()))
    }

    pub(crate) fn tls_client_auth(mut self, name: CertificateName) -> Self {
        self.authentication = Authentication::Tls(name);
        self
    }

    /// The client authenticates with `self_signed_tls_client_auth`: one of the certificates in this key set
    /// (`x5c`), whoever signed it (RFC 8705 section 2.2).
    ///
    /// # Panics
    /// As [`jwks`](Self::jwks), and where a key has no certificate, or another key's.
    #[must_use]
    pub fn self_signed_tls_client_auth(mut self, jwks: Value) -> Self {
        match mutual_tls::certificates(jwks) {
            Ok(known) => self.authentication = Authentication::SelfSignedTls(known),
            Err(reason) => panic!("{reason}"),
        }
        self
    }

    /// Tokens are bound to the client's certificate, and to no key (RFC 8705 section 3).
    #[must_use]
    pub fn certificate_bound_tokens(mut self) -> Self {
        self.certificate_bound = true;
        self
    }

    /// Adds a redirect URI. It is compared as text; only for loopback IP addresses may the port
    /// differ (RFC 8252 section 7.3).
    ///
    /// # Panics
    /// Where the URI is neither https nor http on a loopback IP address (SP-5.3.2.2-8).
    #[must_use]
    pub fn redirect_uri(mut self, uri: &str) -> Self {
        assert!(is_secure(uri), "`{uri}` is neither https nor loopback");
        self.redirect_uris.push(uri.to_owned());
        self
    }

    /// Adds an address to which the browser may come back after a logout. It is compared as text (RP-Initiated
    /// Logout 1.0 section 3.1).
    ///
    /// # Panics
    /// Where the URI is neither https nor http on a loopback IP address.
    #[must_use]
    pub fn post_logout_redirect_uri(mut self, uri: &str) -> Self {
        assert!(is_secure(uri), "`{uri}` is neither https nor loopback");
        self.post_logout_redirect_uris.push(uri.to_owned());
        self
    }

    /// Allows these scopes alone, separated by spaces.
    #[must_use]
    pub fn scope(mut self, scope: &str) -> Self {
        self.scopes = Some(scope.split(' ').map(str::to_owned).collect());
        self
    }

    /// Allows this algorithm alone for client assertions (`token_endpoint_auth_signing_alg`).
    #[must_use]
    pub fn signing_algorithm(mut self, alg: Alg) -> Self {
        self.algorithms = vec![alg];
        self
    }

    /// Allows these grant types alone.
    #[must_use]
    pub fn grant_types<'a>(mut self, grant_types: impl IntoIterator<Item = &'a str>) -> Self {
        self.grant_types = grant_types.into_iter().map(str::to_owned).collect();
        self
    }

    pub(crate) fn allows_grant(&self, grant_type: &str) -> bool {
        self.grant_types.iter().any(|allowed| allowed == grant_type)
    }

    pub(crate) fn allows_redirect(&self, uri: &str) -> bool {
        self.redirect_uris.iter().any(|registered| {
            registered == uri || loopback(uri).is_some_and(|uri| Some(uri) == loopback(registered))
        })
    }

    pub(crate) fn allows_return(&self, uri: &str) -> bool {
        self.post_logout_redirect_uris
            .iter()
            .any(|registered| registered == uri)
    }

    pub(crate) fn allows_scope(&self, scope: &str) -> bool {
        self.scopes
            .as_ref()
            .is_none_or(|allowed| allowed.iter().any(|other| other == scope))
    }
}

fn is_secure(uri: &str) -> bool {
    Url::parse(uri).is_ok_and(|url| url.scheme() == "https") || loopback(uri).is_some()
}

/// The keys of a client's set that sign, or what is wrong with one (SP-5.4.2-0, SP-5.4.2-3).
pub(crate) fn check_keys(jwks: Value) -> Result<Vec<Value>, String> {
    let keys = match jwks {
        Value::Object(mut set) => set.remove("keys"),
        _ => None,
    };
    let Some(Value::Array(keys)) = keys else {
        return Err("a JWK set has a member `keys` that is an array".to_owned());
    };
    let keys: Vec<Value> = keys.into_iter().filter(|key| key["use"] != "enc").collect();
    for (at, key) in keys.iter().enumerate() {
        check_public_jwk(key)
            .map_err(|reason| format!("key {at} of the client's JWK set: {reason}"))?;
        if !key["kid"].is_string() {
            return Err(format!("key {at} of the client's JWK set has no `kid`"));
        }
        if keys[..at].iter().any(|other| other["kid"] == key["kid"]) {
            return Err(format!(
                "two keys of the client's JWK set share the `kid` {}",
                key["kid"]
            ));
        }
    }
    Ok(keys)
}

/// A loopback redirect URI with the port taken out; `None` for any other.
pub(crate) fn loopback(uri: &str) -> Option<Url> {
    let mut url = Url::parse(uri).ok()?;
    let address = match url.host()? {
        Host::Ipv4(address) => IpAddr::V4(address),
        Host::Ipv6(address) => IpAddr::V6(address),
        Host::Domain(_) => return None,
    };
    if url.scheme() != "http" || !address.is_loopback() {
        return None;
    }
    url.set_port(None).ok()?;
    Some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_port_of_a_loopback_address_is_free() {
        let client = Registration::new("c")
            .redirect_uri("http://127.0.0.1/cb")
            .redirect_uri("https://app.example/cb");
        for (uri, allowed) in [
            ("http://127.0.0.1:4711/cb", true),
            ("http://127.0.0.1/cb", true),
            ("http://127.0.0.1:4711/other", false),
            ("http://[::1]:4711/cb", false),
            ("http://localhost:4711/cb", false),
            ("https://app.example/cb", true),
            ("https://app.example:443/cb", false),
            ("https://app.example/cb?x=1", false),
            ("https://app.example/cb/", false),
        ] {
            assert_eq!(client.allows_redirect(uri), allowed, "{uri}");
        }
    }
}
