//! Settings that can't be right: refused before anything is sent.

use fapi_client::{Client, ClientAuth, ClientBuilder, ConfigError, KeyError, KeySet, SoftwareKey};
use fapi_testkit::TestServer;

use crate::common::{self, CLIENT_ID, REDIRECT_URI, Watched};

/// SP-5.1.1, SP-5.3.2.2-8, SP-5.2.1-1, NAT-7.1, NAT-8.3, BCP-4.9.1: a setting that can't be right is refused
/// before anything is sent.
#[tokio::test]
async fn wrong_settings_are_refused_before_anything_is_sent() {
    type Change = fn(ClientBuilder) -> ClientBuilder;
    let server = TestServer::start().await;
    let keys = KeySet::new(SoftwareKey::generate_es256().unwrap());
    let start = |client_id: &str, auth: bool, change: Change| {
        let watched = Watched::new(&server);
        let builder = Client::builder(server.issuer(), client_id).transport(watched.clone());
        let builder = if auth {
            builder.authenticate_with(ClientAuth::private_key_jwt(keys.clone()))
        } else {
            builder
        };
        (watched, change(builder.redirect_uri(REDIRECT_URI)))
    };
    let mut rows = vec![(
        start(CLIENT_ID, false, |builder| builder),
        ConfigError::NoClientAuthentication,
    )];
    for client_id in ["", "caf\u{e9}", "a\nb", "a\u{7f}"] {
        rows.push((
            start(client_id, true, |builder| builder),
            ConfigError::ClientId,
        ));
    }
    let redirects: [Change; 9] = [
        |builder| builder.redirect_uri("http://app.example/callback"),
        |builder| builder.redirect_uri("http://localhost:4711/callback"),
        |builder| builder.redirect_uri("http://localhost.evil.example/callback"),
        |builder| builder.redirect_uri("http://127.0.0.1.evil.example/callback"),
        |builder| builder.redirect_uri("https://app.example/callback#part"),
        |builder| builder.redirect_uri("https://user@app.example/callback"),
        |builder| builder.redirect_uri("com.example.app:/callback"),
        |builder| builder.redirect_uri("/callback"),
        |builder| builder.redirect_uri(""),
    ];
    for change in redirects {
        rows.push((start(CLIENT_ID, true, change), ConfigError::RedirectUri));
    }
    let origins: [(Change, &str); 6] = [
        (
            |builder| builder.api("http://api.example"),
            "http://api.example",
        ),
        (
            |builder| builder.api("https://api.example/v1"),
            "https://api.example/v1",
        ),
        (
            |builder| builder.api("https://api.example?x=1"),
            "https://api.example?x=1",
        ),
        (
            |builder| builder.api("https://user@api.example"),
            "https://user@api.example",
        ),
        (|builder| builder.api("api.example"), "api.example"),
        (|builder| builder.api("*"), "*"),
    ];
    for (change, origin) in origins {
        rows.push((
            start(CLIENT_ID, true, change),
            ConfigError::ApiOrigin(origin.to_owned()),
        ));
    }
    for ((watched, builder), expected) in rows {
        let error = builder.build().await.unwrap_err();
        assert_eq!(common::config(&error), Some(&expected));
        assert_eq!(watched.sent(), 0, "{expected}");
    }
    assert_eq!(server.requests().len(), 0);
}

/// SP-5.4.1-2, SP-5.4.1-3, SP-5.4.1-1.2: a client key that the profile does not allow is none from
/// the start.
#[test]
fn keys_that_are_too_weak_are_refused() {
    let short = SoftwareKey::from_pem(include_str!("keys/rsa1024.pem"));
    assert_eq!(short.unwrap_err(), KeyError::TooShort { bits: 1024 });
}
