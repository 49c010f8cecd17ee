//! The application with the test server behind it.

use fapi_backend::settings::{Settings, Store};
use fapi_client::{KeySet, SoftwareKey};
use fapi_testkit::{Endpoint, Registration, TestServer};
use serde_json::Value;

use crate::visitor::{Visitor, base_url, http, serve};

pub(crate) const CLIENT_ID: &str = "backend";

pub(crate) struct World {
    pub(crate) server: TestServer,
    pub(crate) jwks: Value,
    replica: String,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with_api("/accounts").await
    }

    /// With another path of the API to call.
    pub(crate) async fn with_api(path: &str) -> Self {
        let server = TestServer::start().await;
        let key = KeySet::new(SoftwareKey::generate_es256().unwrap());
        let jwks = key.jwks();
        server.register(
            Registration::new(CLIENT_ID)
                .jwks(jwks.clone())
                .redirect_uri(&base_url().page("/callback"))
                .post_logout_redirect_uri(&base_url().page("/signed-out")),
        );
        let settings = Settings {
            issuer: server.issuer().to_owned(),
            client_id: CLIENT_ID.to_owned(),
            key,
            base_url: base_url(),
            scope: "openid accounts".to_owned(),
            api: Some(format!("{}{path}", server.api())),
            ca_pem: Some(server.ca_pem()),
            store: Store::Memory,
            sealing_keys: Vec::new(),
        };
        let replica = serve(settings).await;
        Self {
            server,
            jwks,
            replica,
        }
    }

    /// A browser that has never been anywhere.
    pub(crate) fn visitor(&self) -> Visitor {
        Visitor::new(&http(&self.server.ca_pem()), &self.replica)
    }

    /// A browser at which that user has logged in. It stands on the first page.
    pub(crate) async fn logged_in(&self, user: &str) -> Visitor {
        let mut visitor = self.visitor();
        let url = visitor.begin_login().await;
        let callback = self.server.browser(user).approve(&url).await;
        assert_eq!(visitor.open(&callback).await.location(), "/");
        visitor.open("/").await;
        visitor
    }

    pub(crate) fn count(&self, endpoint: Endpoint) -> usize {
        self.server.count(endpoint)
    }
}
