//! What the application has to be told.

use fapi_client::store::{RedisStore, SealingKey, SealingKeys, Stores};
use fapi_client::{HttpsTransport, KeySet};
use url::{Origin, Url};
use zeroize::Zeroizing;

use crate::Trouble;

/// The settings. `main.rs` reads them from the command line.
pub struct Settings {
    /// The server's own name, to the letter. It comes from whoever runs this program, never from a user
    /// (FAPI2-SP 5.3.3.1-10).
    pub issuer: String,
    /// Our name at the server.
    pub client_id: String,
    /// The private key that proves who we are.
    pub key: KeySet,
    /// Where users reach us, such as `https://app.example`. The redirect URI is `/callback` there.
    pub base_url: BaseUrl,
    /// What users are asked for. No more than is needed (FAPI2-SP 5.3.3.1-13).
    pub scope: String,
    /// The URL that is called for the user.
    pub api: Option<String>,
    /// Certificates to trust instead of the platform's, as PEM.
    pub ca_pem: Option<String>,
    /// Where logins and sessions are kept.
    pub store: Store,
    /// Seal what is stored, and our cookies. All replicas have the same; the first one seals, the others
    /// are former ones that still open.
    pub sealing_keys: Vec<SealingKey>,
}

/// Where logins and sessions are kept.
pub enum Store {
    /// In this process: for one replica, until it ends.
    Memory,
    /// In Redis, for all replicas.
    Redis {
        /// `rediss://host:port`, or `redis://` on the loopback interface.
        url: String,
        /// The user.
        user: String,
        /// The user's password.
        password: Option<Zeroizing<String>>,
    },
}

impl Store {
    /// Opens it.
    ///
    /// # Errors
    /// Where Redis can't be reached, or a sealing key is missing.
    pub async fn open(&self, keys: &[SealingKey], ca_pem: Option<&str>) -> Result<Stores, Trouble> {
        let Self::Redis {
            url,
            user,
            password,
        } = self
        else {
            return Ok(Stores::memory());
        };
        let (active, former) = keys
            .split_first()
            .ok_or("Redis needs a sealing key, the same in every replica: --sealing-key FILE")?;
        let keys = former
            .iter()
            .fold(SealingKeys::new(active.clone()), |keys, key| {
                keys.and_former(key.clone())
            });
        let mut redis = RedisStore::builder(url);
        if let Some(password) = password {
            redis = redis.credentials(user, password.as_str());
        }
        if let (true, Some(pem)) = (url.starts_with("rediss:"), ca_pem) {
            redis = redis.root_certificates_pem(pem);
        }
        Ok(Stores::new(redis.connect().await?, keys))
    }
}

impl Settings {
    /// The way to the server and the API.
    ///
    /// # Errors
    /// Where a certificate can't be read.
    pub fn transport(&self) -> Result<HttpsTransport, Trouble> {
        let https = HttpsTransport::builder();
        let https = match &self.ca_pem {
            Some(pem) => https.only_root_certificates(pem)?,
            None => https,
        };
        Ok(https.build()?)
    }
}

/// Where users reach the application: `https://`, a host, and no path.
///
/// Plain http will not do: cookies named `__Host-…` belong to https. That Chromium keeps them from
/// `http://localhost` and `http://127.0.0.1` as well is nothing to build on.
#[derive(Clone, Debug)]
pub struct BaseUrl(Url);

impl BaseUrl {
    /// Reads it.
    ///
    /// # Errors
    /// Where it is anything else.
    pub fn parse(text: &str) -> Result<Self, Trouble> {
        let url = Url::parse(text).map_err(|_| "the base URL is no URL")?;
        let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        let anonymous = url.username().is_empty() && url.password().is_none();
        if url.scheme() != "https" || !bare || !anonymous {
            return Err("the base URL is https:// and a host, with nothing behind it".into());
        }
        Ok(Self(url))
    }

    /// As a browser writes it into `Origin`.
    #[must_use]
    pub fn origin(&self) -> String {
        self.0.origin().ascii_serialization()
    }

    /// The URL of one of our own pages.
    #[must_use]
    pub fn page(&self, path: &str) -> String {
        format!("{}{path}", self.origin())
    }
}

/// The origin of a URL as `scheme://host:port`; `None` for what has none.
pub(crate) fn origin_of(url: &str) -> Option<String> {
    match Url::parse(url).ok()?.origin() {
        origin @ Origin::Tuple(..) => Some(origin.ascii_serialization()),
        Origin::Opaque(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_is_https_and_a_host() {
        let sound = BaseUrl::parse("https://App.example:443/").unwrap();
        assert_eq!(sound.origin(), "https://app.example");
        assert_eq!(sound.page("/callback"), "https://app.example/callback");
        for bad in [
            "http://localhost:8080",
            "https://app.example/shop",
            "https://app.example/?x",
            "https://app.example/#x",
            "https://me:secret@app.example",
            "app.example",
        ] {
            let refusal = BaseUrl::parse(bad).unwrap_err().to_string();
            assert!(refusal.starts_with("the base URL is"), "{bad}: {refusal}");
            assert!(!refusal.contains("secret"));
        }
    }
}
