//! What the tests of all servers share: the crate as a program uses it, and its user.

mod quickstart;
mod registered;
mod wire;

use fapi_client::{
    Algorithm, Client, ClientAuth, ClientBuilder, HttpsTransport, KeySet, Session, SoftwareKey,
};
use fapi_interop::{Answer, Browser, Pki, Registration, User};
pub use quickstart::run_quickstart;
pub use registered::Newcomer;
pub use wire::Wire;

/// A server, as one of its clients sees it.
pub struct Setup<'a> {
    pub pki: &'a Pki,
    pub issuer: String,
    pub api: &'a str,
    pub registration: &'a Registration,
    /// Everything that the client has sent.
    pub wire: Wire,
}

impl<'a> Setup<'a> {
    pub fn new(
        pki: &'a Pki,
        issuer: impl Into<String>,
        api: &'a str,
        registration: &'a Registration,
    ) -> Self {
        Self {
            pki,
            issuer: issuer.into(),
            api,
            registration,
            wire: Wire::default(),
        }
    }

    pub fn builder(&self) -> ClientBuilder {
        let https = HttpsTransport::builder()
            .only_root_certificates(self.pki.authority())
            .unwrap()
            .no_proxy()
            .build()
            .unwrap();
        let key = SoftwareKey::from_pem(self.registration.key.pem()).unwrap();
        let builder = Client::builder(&self.issuer, self.registration.client_id)
            .redirect_uri(self.redirect_uri())
            .authenticate_with(ClientAuth::private_key_jwt(KeySet::new(key)))
            .api(self.api)
            .id_token_signed_with(self.algorithm())
            .transport(self.wire.through(https));
        if self.registration.signed_userinfo {
            builder.signed_userinfo()
        } else {
            builder
        }
    }

    /// A client that has passed the preflight.
    pub async fn client(&self) -> Client {
        self.builder().build().await.unwrap()
    }

    /// The algorithm of the client's key, of its ID tokens and of its signed UserInfo.
    pub fn algorithm(&self) -> Algorithm {
        Algorithm::from_name(self.registration.key.algorithm().name()).unwrap()
    }

    pub fn redirect_uri(&self) -> &'static str {
        if self.registration.loopback {
            // A port as a program on the user's device would take it. Nobody visits it.
            "http://127.0.0.1:54321/callback"
        } else {
            self.registration.redirect_uri()
        }
    }

    /// A browser that has never been anywhere.
    pub fn browser(&self) -> Browser {
        Browser::new(self.pki)
    }

    /// The user's way from the login's URL to the callback.
    pub async fn visit(
        &self,
        browser: &mut Browser,
        url: &str,
        user: User,
        answer: Answer,
    ) -> String {
        browser.visit(url, self.redirect_uri(), user, answer).await
    }

    /// A login from the client's first request to the session.
    pub async fn log_in(
        &self,
        client: &Client,
        browser: &mut Browser,
        user: User,
        scope: &str,
    ) -> Session {
        let login = client.login().scope(scope).start().await.unwrap();
        let url = login.url().as_str();
        let callback = self.visit(browser, url, user, Answer::Allow).await;
        client
            .finish_login(login.transaction(), callback)
            .await
            .unwrap()
    }
}
