//! Without the features `aws-lc` and `ring`, the program hands a provider over or nothing is built.

#![cfg(not(any(feature = "aws-lc", feature = "ring")))]
#![allow(
    unreachable_pub,
    reason = "the helpers of a test binary have no outside"
)]

use std::sync::Arc;

use fapi_client::{
    Algorithm, BoxFuture, Client, ClientAuth, ConfigError, Crypto, Error, HttpsTransport, KeyError,
    KeySet, PublicJwk, Signature, Signer, SoftwareKey, rustls_0_23,
};
use fapi_testkit::{Registration, TestServer};

/// A key of which only the public half is here.
struct Elsewhere(PublicJwk);

impl Signer for Elsewhere {
    fn algorithm(&self) -> Algorithm {
        Algorithm::Es256
    }

    fn public_jwk(&self) -> &PublicJwk {
        &self.0
    }

    fn sign<'a>(&'a self, _: &'a [u8]) -> BoxFuture<'a, Result<Signature, KeyError>> {
        Box::pin(async { Err(KeyError::Unavailable) })
    }
}

fn ring() -> Crypto {
    rustls_0_23::crypto(Arc::new(rustls::crypto::ring::default_provider()))
}

/// There is no cryptography to fall back on, and nothing goes out without one.
#[tokio::test]
async fn build_demands_a_provider() {
    assert_eq!(Crypto::new().unwrap_err(), KeyError::NoCryptoProvider);
    assert_eq!(
        SoftwareKey::generate_es256().unwrap_err(),
        KeyError::NoCryptoProvider
    );
    let server = TestServer::start().await;
    let public = include_str!("keys/es256-public.pem");
    let key = Elsewhere(PublicJwk::from_pem(public).unwrap());
    let refused = Client::builder(server.issuer(), "client-id")
        .authenticate_with(ClientAuth::private_key_jwt(KeySet::new(key)))
        .build()
        .await
        .unwrap_err();
    assert!(matches!(
        refused,
        Error::Config(ConfigError::Key(KeyError::NoCryptoProvider))
    ));
    assert_eq!(server.requests().len(), 0);
}

/// A provider that is handed over serves TLS and tokens: a whole login.
#[tokio::test]
async fn a_provider_can_be_handed_over() {
    let server = TestServer::start().await;
    let keys = KeySet::new(SoftwareKey::generate_es256_with(&ring()).unwrap());
    server.register(
        Registration::new("client-id")
            .jwks(keys.jwks())
            .redirect_uri("https://app.example/callback"),
    );
    let https = HttpsTransport::builder()
        .crypto_provider(ring())
        .only_root_certificates(server.ca_pem())
        .unwrap()
        .no_proxy()
        .build()
        .unwrap();
    let client = Client::builder(server.issuer(), "client-id")
        .redirect_uri("https://app.example/callback")
        .authenticate_with(ClientAuth::private_key_jwt(keys))
        .transport(https)
        .crypto_provider(ring())
        .build()
        .await
        .unwrap();
    let login = client.login().scope("openid").start().await.unwrap();
    let callback = server.browser("alice").approve(login.url().as_str()).await;
    let session = client
        .finish_login(login.transaction(), callback)
        .await
        .unwrap();
    assert_eq!(session.subject(), Some("alice"));
}
