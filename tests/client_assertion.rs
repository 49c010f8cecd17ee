//! Client authentication: what an assertion says, which key signs it, and that none goes out twice
//! (spec section 4.4).

use std::collections::BTreeSet;

use fapi_client::{
    Algorithm, BoxFuture, Client, ClientAuth, ConfigError, Error, KeyError, KeySet, PublicJwk,
    Signature, Signer, SoftwareKey,
};
use fapi_testkit::{Endpoint, Nonces, Registration, Request, TestClock, TestServer};
use serde_json::{Value, json};

use crate::common::{self, CLIENT_ID, REDIRECT_URI};

const NOW: i64 = 1_800_000_000;

/// A server that demands no nonces, so that each push is one request.
async fn server() -> TestServer {
    TestServer::builder()
        .clock(TestClock::at(NOW))
        .nonces(Nonces::Off)
        .start()
        .await
}

/// SP-5.3.3.1-2, SP-5.3.3.1-5, OFTEN-1, K-6, CA-1, CA-3, CA-4, CA-7, SEC-aud: the assertion names the client, the issuer as a
/// string, a key of the published set, and lives for a minute.
#[tokio::test]
async fn the_assertion_is_for_the_issuer_alone() {
    let server = TestServer::builder()
        .clock(TestClock::at(NOW))
        .issuer_path("/tenant")
        .start()
        .await;
    let client = common::client(&server).await;
    let session = common::log_in_with(&client, &server, "alice")
        .await
        .unwrap();
    session.refresh().await.unwrap();
    session.logout().await.unwrap();
    let published = client.jwks().unwrap()["keys"][0].clone();
    for endpoint in [Endpoint::Par, Endpoint::Token, Endpoint::Revocation] {
        let requests = server.requests_to(endpoint);
        assert!(!requests.is_empty());
        for request in requests {
            assert_eq!(
                request.form_value("client_assertion_type"),
                Some("urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
            );
            assert_eq!(request.form_values("client_assertion").len(), 1);
            assert_eq!(request.form_value("client_id"), Some(CLIENT_ID));
            let assertion = request.assertion().unwrap();
            assert_eq!(
                Value::Object(assertion.header.clone()),
                json!({"alg": "ES256", "kid": published["kid"], "typ": "JWT"})
            );
            let jti = assertion.claim("jti").as_str().unwrap().to_owned();
            assert_eq!(jti.len(), 43);
            assert_eq!(
                Value::Object(assertion.claims),
                json!({
                    "iss": CLIENT_ID, "sub": CLIENT_ID, "aud": server.issuer(), "jti": jti,
                    "iat": NOW, "exp": NOW + 60,
                })
            );
        }
    }
}

/// CA-5: the explicit type is there when the program says so, and then everywhere.
#[tokio::test]
async fn the_assertion_says_what_it_is_when_told_to() {
    let server = server().await;
    let keys = common::register(&server);
    let auth = ClientAuth::private_key_jwt(keys.clone()).with_explicit_type();
    let builder = common::builder_with(&server, keys).authenticate_with(auth);
    let client = builder.build().await.unwrap();
    common::log_in_with(&client, &server, "alice")
        .await
        .unwrap();
    for endpoint in [Endpoint::Par, Endpoint::Token] {
        for request in server.requests_to(endpoint) {
            let header = request.assertion().unwrap().header;
            assert_eq!(header["typ"], "client-authentication+jwt");
        }
    }
}

/// CA-6, PAR-auth, OFTEN-14, ERR-1, SP-5.3.3.1-8: every attempt has an assertion and a proof of its
/// own, the retry for a nonce among them, and the rest of the form is the same.
#[tokio::test]
async fn no_jti_goes_out_twice() {
    let server = TestServer::start().await;
    let client = common::client(&server).await;
    for _ in 0..2 {
        server.rotate_nonces();
        common::log_in_with(&client, &server, "alice")
            .await
            .unwrap();
    }
    let pushes = server.requests_to(Endpoint::Par);
    assert_eq!(pushes.len(), 4);
    for pair in pushes.chunks(2) {
        let rest = |request: &Request| -> Vec<(String, String)> {
            let mut form = request.form.clone();
            form.retain(|(name, _)| name != "client_assertion");
            form
        };
        assert_eq!(rest(&pair[0]), rest(&pair[1]));
        assert_eq!(pair[0].status, Some(http::StatusCode::BAD_REQUEST));
        assert!(pair[1].proof().unwrap().claim("nonce").is_string());
    }
    let mut seen = BTreeSet::new();
    let mut sent = 0;
    for request in [pushes, server.requests_to(Endpoint::Token)].concat() {
        for jwt in [request.assertion(), request.proof()] {
            seen.insert(jwt.unwrap().claim("jti").as_str().unwrap().to_owned());
            sent += 1;
        }
    }
    assert_eq!(seen.len(), sent);
    assert_eq!(sent, 12);
}

/// SEC-6.8, CA-7, SP-5.4.2-0: a key that takes over while the client runs signs the next assertion,
/// under its own name, and a login that was under way goes on.
#[tokio::test]
async fn keys_are_swapped_while_the_client_runs() {
    let server = server().await;
    let keys = common::register(&server);
    let client = common::builder_with(&server, keys.clone())
        .build()
        .await
        .unwrap();
    let first = client.jwks().unwrap()["keys"][0]["kid"].clone();
    let login = common::begin(&client).await;
    let next = keys.add(SoftwareKey::generate_es256().unwrap()).unwrap();
    assert_eq!(client.jwks().unwrap()["keys"].as_array().unwrap().len(), 2);
    common::register_keys(&server, &keys);
    keys.activate(&next).unwrap();
    keys.remove(first.as_str().unwrap()).unwrap();
    let callback = server.browser("alice").approve(login.url().as_str()).await;
    client
        .finish_login(login.transaction(), callback)
        .await
        .unwrap();
    let kid = |endpoint| {
        let request = server.requests_to(endpoint).pop().unwrap();
        request.assertion().unwrap().header["kid"].clone()
    };
    assert_eq!(kid(Endpoint::Par), first);
    assert_eq!(kid(Endpoint::Token), next);
}

/// A signer whose service answers in DER.
struct Der(SoftwareKey);

impl Signer for Der {
    fn algorithm(&self) -> Algorithm {
        self.0.algorithm()
    }

    fn public_jwk(&self) -> &PublicJwk {
        self.0.public_jwk()
    }

    fn sign<'a>(&'a self, message: &'a [u8]) -> BoxFuture<'a, Result<Signature, KeyError>> {
        Box::pin(async move {
            let raw = self.0.sign(message).await?;
            let signature = p256::ecdsa::Signature::from_slice(raw.as_bytes()).unwrap();
            Ok(Signature::from_raw(signature.to_der().as_bytes().to_vec()))
        })
    }
}

/// CA-9: a key that takes over is tried before its first signature goes out.
#[tokio::test]
async fn a_key_that_takes_over_is_tried_first() {
    let server = server().await;
    let keys = common::register(&server);
    let client: Client = common::builder_with(&server, keys.clone())
        .build()
        .await
        .unwrap();
    let next = keys.add(Der(SoftwareKey::generate_es256().unwrap()));
    keys.activate(&next.unwrap()).unwrap();
    let error = client.login().start().await.unwrap_err();
    let expected = KeyError::Signature {
        algorithm: Algorithm::Es256,
    };
    assert!(
        matches!(&error, Error::Key(fault) if *fault == expected),
        "{error:?}"
    );
    assert_eq!(server.count(Endpoint::Par), 0);
    // The set still has a key that signs.
    let good = keys.add(SoftwareKey::generate_es256().unwrap()).unwrap();
    keys.activate(&good).unwrap();
    let public = json!({"keys": [client.jwks().unwrap()["keys"][2]]});
    server.register(
        Registration::new(CLIENT_ID)
            .jwks(public)
            .redirect_uri(REDIRECT_URI),
    );
    common::begin(&client).await;
}

/// SP-5.4.1-1.2: each algorithm of the profile authenticates, with a proof of its own kind.
#[tokio::test]
async fn every_algorithm_authenticates() {
    for (pem, alg) in [
        (include_str!("keys/es256-java.pem"), "ES256"),
        (include_str!("keys/rsa2048-pkcs1.pem"), "PS256"),
        (include_str!("keys/ed25519.pem"), "EdDSA"),
    ] {
        let server = server().await;
        let keys = KeySet::new(SoftwareKey::from_pem(pem).unwrap());
        common::register_keys(&server, &keys);
        let client = common::builder_with(&server, keys).build().await.unwrap();
        common::begin(&client).await;
        let request = server.requests_to(Endpoint::Par).pop().unwrap();
        assert_eq!(request.assertion().unwrap().header["alg"], alg);
        assert_eq!(request.proof().unwrap().header["alg"], "ES256");
    }
}

/// CA-10, ERR-9, SP-5.3.3.1-N1, OFTEN-19: an assertion that the server refuses for its times goes out
/// once more, by the server's clock; one that it refuses for good does not, and there is no loop.
#[tokio::test]
async fn a_clock_that_is_off_costs_one_more_attempt() {
    let rows = [
        (-300, 2, true),
        (300, 2, true),
        (3600, 2, false),
        (0, 1, false),
    ];
    for (offset, attempts, heals) in rows {
        let server = server().await;
        let client = common::client(&server).await;
        server.set_clock_offset(offset);
        if offset == 0 {
            let stranger = KeySet::new(SoftwareKey::generate_es256().unwrap());
            common::register_keys(&server, &stranger);
        }
        let begun = client.login().scope("openid").start().await;
        assert_eq!(server.count(Endpoint::Par), attempts, "{offset}");
        match begun {
            Ok(_) if heals => {}
            Err(Error::Config(ConfigError::Clock { seconds })) => {
                assert_eq!((offset, seconds), (3600, 3600));
            }
            Err(Error::Denied(denied)) if !heals => {
                assert_eq!(denied.oauth_error().error(), "invalid_client");
                assert_eq!(denied.oauth_error().status(), Some(401));
            }
            other => panic!("{offset}: {other:?}"),
        }
    }
}
