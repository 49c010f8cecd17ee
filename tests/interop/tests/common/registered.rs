//! A client that registers itself.

use fapi_client::{
    Client, ClientAuth, HttpsTransport, Registration, RegistrationChanges, RegistrationRequest,
    SoftwareKey, Stores,
};
use fapi_interop::{Answer, Browser, Pki, User};
use serde_json::Value;

/// Registered for this address without a port, and used with one.
const LOOPBACK: &str = "http://127.0.0.1/callback";
const WITH_PORT: &str = "http://127.0.0.1:54321/callback";

pub struct Newcomer<'a> {
    pub pki: &'a Pki,
    pub issuer: &'a str,
    pub api: &'a str,
    auth: ClientAuth,
}

impl<'a> Newcomer<'a> {
    pub fn new(pki: &'a Pki, issuer: &'a str, api: &'a str) -> Self {
        let key = SoftwareKey::generate_es256().unwrap();
        let auth = ClientAuth::private_key_jwt(key);
        Self {
            pki,
            issuer,
            api,
            auth,
        }
    }

    fn https(&self) -> HttpsTransport {
        HttpsTransport::builder()
            .only_root_certificates(self.pki.authority())
            .unwrap()
            .no_proxy()
            .build()
            .unwrap()
    }

    pub fn request(&self) -> RegistrationRequest {
        Client::register(self.issuer)
            .authenticate_with(self.auth.clone())
            .redirect_uri(LOOPBACK)
            .client_name("Newcomer")
            .transport(self.https())
    }

    /// Saved, loaded, and ready to be used.
    pub async fn reopened(&self, mut registration: Registration) -> Registration {
        let stores = Stores::memory();
        registration.save(&stores, "newcomer").await.unwrap();
        let loaded = Registration::load(&stores, self.issuer, "newcomer").await;
        let loaded = loaded.unwrap().unwrap();
        loaded
            .authenticate_with(self.auth.clone())
            .transport(self.https())
    }

    /// Logs in with the registered client, and calls the API.
    pub async fn log_in(&self, registration: &Registration) {
        let client = registration
            .client_builder()
            .redirect_uri(WITH_PORT)
            .api(self.api)
            .build()
            .await
            .unwrap();
        let login = client.login().scope("openid accounts").start().await;
        let login = login.unwrap();
        let mut browser = Browser::new(self.pki);
        let url = login.url().as_str();
        let callback = browser
            .visit(url, WITH_PORT, User::ALICE, Answer::Allow)
            .await;
        let session = client
            .finish_login(login.transaction(), callback)
            .await
            .unwrap();
        let accounts = format!("{}/accounts", self.api);
        let answer: Value = session.get(&accounts).send().await.unwrap().json().unwrap();
        assert_eq!(answer["client"], registration.client_id());
    }

    /// Looks at the registration, changes it and ends it.
    pub async fn manage(&self, registration: &mut Registration) {
        registration.read().await.unwrap();
        let changes = RegistrationChanges::new().client_name("Oldtimer");
        registration.update(changes).await.unwrap();
        assert_eq!(registration.metadata()["client_name"], "Oldtimer");
        registration.delete().await.unwrap();
    }
}
