//! `--demo`: a strict test server in this process, and the application on it.

use std::net::SocketAddr;

use fapi_backend::Trouble;
use fapi_backend::settings::{BaseUrl, Settings, Store};
use fapi_client::{KeySet, SoftwareKey};
use fapi_testkit::{Registration, TestServer};
use zeroize::Zeroizing;

use crate::options::{Certificate, Options};

const CLIENT_ID: &str = "backend-demo";

/// The servers run as long as this lives.
pub(crate) struct Demo {
    server: TestServer,
    key: KeySet,
    base_url: BaseUrl,
    listen: SocketAddr,
}

/// Starts the servers, and registers the application there.
pub(crate) async fn start(listen: SocketAddr) -> Result<Demo, Trouble> {
    let server = TestServer::start().await;
    // Not `localhost`, where the server is: for a browser these are two sites, as they are in life.
    let base_url = BaseUrl::parse(&format!("https://{listen}"))?;
    let key = KeySet::new(SoftwareKey::generate_es256()?);
    server.register(
        Registration::new(CLIENT_ID)
            .jwks(key.jwks())
            .redirect_uri(&base_url.page("/callback"))
            .post_logout_redirect_uri(&base_url.page("/signed-out")),
    );
    Ok(Demo {
        server,
        key,
        base_url,
        listen,
    })
}

impl Demo {
    pub(crate) fn explain(&self) {
        println!(
            "The application  {}\nThe test server  {}\n\n\
             Open the first in a browser and press \"Log in\". The certificates are made for this run, so\n\
             the browser warns about each of the two once: go on. Any name will do at the test server.\n\
             Ctrl-C ends both.\n",
            self.base_url.origin(),
            self.server.issuer(),
        );
    }

    pub(crate) fn options(&self) -> Options {
        let (chain, key) = self.server.certificate_for(&["127.0.0.1", "::1"]);
        Options {
            settings: Settings {
                issuer: self.server.issuer().to_owned(),
                client_id: CLIENT_ID.to_owned(),
                key: self.key.clone(),
                base_url: self.base_url.clone(),
                scope: "openid accounts".to_owned(),
                api: Some(format!("{}/accounts", self.server.api())),
                ca_pem: Some(self.server.ca_pem()),
                store: Store::Memory,
                sealing_keys: Vec::new(),
            },
            listen: self.listen.to_string(),
            certificate: Some(Certificate {
                chain,
                key: Zeroizing::new(key),
            }),
        }
    }
}
