use serde_json::{Value, json};

use crate::{Algorithm, ClientKey};

/// Where the servers send the user back to, but for clients on a loopback address.
pub const REDIRECT_URI: &str = "https://app.example/callback";

/// One client as a server knows it. Both servers have the same ones.
#[derive(Debug)]
pub struct Registration {
    /// Its `client_id`.
    pub client_id: &'static str,
    /// Its key, for `private_key_jwt`.
    pub key: ClientKey,
    /// UserInfo comes as a JWT, signed with the same algorithm.
    pub signed_userinfo: bool,
    /// It redirects to `http://127.0.0.1`, on any port, instead of [`REDIRECT_URI`].
    pub loopback: bool,
}

impl Registration {
    /// One client for each algorithm, and one on a loopback address. UserInfo is plain for ES256.
    pub(crate) fn all() -> Vec<Self> {
        [
            ("es256", Algorithm::Es256, false, false),
            ("ps256", Algorithm::Ps256, true, false),
            ("eddsa", Algorithm::EdDsa, true, false),
            ("loopback", Algorithm::Es256, false, true),
        ]
        .map(|(client_id, algorithm, signed_userinfo, loopback)| Self {
            client_id,
            key: ClientKey::generate(algorithm),
            signed_userinfo,
            loopback,
        })
        .into()
    }

    /// The redirect URI that is registered.
    #[must_use]
    pub fn redirect_uri(&self) -> &'static str {
        if self.loopback {
            "http://127.0.0.1/callback"
        } else {
            REDIRECT_URI
        }
    }

    /// The public JWK set that is registered.
    #[must_use]
    pub fn jwks(&self) -> Value {
        json!({"keys": [self.key.public_jwk()]})
    }
}
