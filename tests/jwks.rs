//! The server's key set: how it is fetched and kept, and which of its keys count.

mod life;

use std::time::Duration;

use fapi_client::{
    Client, Endpoint as At, Error, JwtFault, JwtKind, Session, TransportFault, Violation,
};
use fapi_testkit::{Alg, Answer, Endpoint, IdTokenFault, MetadataFault, TestClock, TestServer};
use serde_json::{Value, json};

use crate::common;

const NOW: i64 = 1_800_000_000;

/// How large a key set may be (K-16).
const LIMIT: usize = 256 * 1024;

async fn server() -> TestServer {
    server_with(Alg::Es256).await
}

async fn server_with(alg: Alg) -> TestServer {
    TestServer::builder()
        .clock(TestClock::at(NOW))
        .signing_algorithm(alg)
        .start()
        .await
}

async fn log_in(client: &Client, server: &TestServer) -> Result<Session, Error> {
    let login = client.login().scope("openid accounts").start().await?;
    let callback = server.browser("alice").approve(login.url().as_str()).await;
    client.finish_login(login.transaction(), callback).await
}

/// A login that fails for its keys: nothing goes to the API, and there is no session.
async fn refused(client: &Client, server: &TestServer) -> Error {
    let error = log_in(client, server).await.expect_err("it was taken");
    assert_eq!(server.count(Endpoint::Api), 0, "{error}");
    assert_eq!(server.count(Endpoint::Other), 0, "{error}");
    assert!(
        client.sessions_of("alice").await.unwrap().is_empty(),
        "{error}"
    );
    error
}

/// A login that does not begin: without a key set there is no code to lose.
async fn not_begun(client: &Client, server: &TestServer) -> Error {
    server.forget_requests();
    let error = refused(client, server).await;
    assert_eq!(server.count(Endpoint::Par), 0, "{error}");
    assert_eq!(server.count(Endpoint::Token), 0, "{error}");
    assert_eq!(fetches(server), 1, "{error}");
    error
}

fn broken(fault: JwtFault) -> Violation {
    Violation::Jwt {
        kind: JwtKind::IdToken,
        fault,
    }
}

fn fetches(server: &TestServer) -> usize {
    server.count(Endpoint::Jwks)
}

/// META-9: the key set is fetched before the first request is pushed, without a token and a proof, and
/// kept.
#[tokio::test]
async fn the_key_set_is_fetched_once() {
    let server = server().await;
    let client = common::client(&server).await;
    assert_eq!(fetches(&server), 0);
    for _ in 0..3 {
        log_in(&client, &server).await.unwrap();
    }
    assert_eq!(fetches(&server), 1);
    let request = server.requests_to(Endpoint::Jwks).pop().unwrap();
    assert_eq!(request.method, "GET");
    for header in ["authorization", "dpop", "cookie"] {
        assert_eq!(request.header(header), None);
    }
}

/// OIDC-10, META-9, ERR-16: a key that is not known yet leads to one fetch, and the login goes on.
#[tokio::test]
async fn a_new_key_is_found() {
    for alg in [Alg::Es256, Alg::Ps256, Alg::Ed25519] {
        let server = server_with(alg).await;
        let client = common::client(&server).await;
        log_in(&client, &server).await.unwrap();
        server.rotate_keys();
        log_in(&client, &server).await.unwrap();
        log_in(&client, &server).await.unwrap();
        assert_eq!(fetches(&server), 2);
    }
}

/// OIDC-10: a server that gives its new key the name of the old one is understood as well.
#[tokio::test]
async fn a_new_key_under_the_old_name_is_found() {
    let server = server().await;
    let client = common::client(&server).await;
    let name = server.active_kid();
    let same = move |set: &mut Value| set["keys"][0]["kid"] = name.as_str().into();
    let name = server.active_kid();
    server.mutate_jwks(same);
    server.mutate_id_token(move |header, _| {
        header.insert("kid".to_owned(), name.as_str().into());
    });
    log_in(&client, &server).await.unwrap();
    server.rotate_keys();
    server.retire_old_keys();
    log_in(&client, &server).await.unwrap();
    assert_eq!(fetches(&server), 2);
}

/// META-9, ERR-16, SEC-jwks: unknown keys cause one fetch a minute, however many tokens name them.
#[tokio::test]
async fn a_flood_of_unknown_keys_causes_one_fetch_a_minute() {
    let server = server().await;
    let client = common::client(&server).await;
    log_in(&client, &server).await.unwrap();
    client.sessions_of("alice").await.unwrap()[0]
        .logout()
        .await
        .unwrap();
    assert_eq!(fetches(&server), 1);

    server.misbehave(IdTokenFault::UnknownKid);
    for minute in 1..=3 {
        for _ in 0..4 {
            let error = refused(&client, &server).await;
            assert_eq!(error.violation(), Some(&broken(JwtFault::NoKey)));
        }
        assert_eq!(fetches(&server), 1 + minute);
        server.clock().advance(Duration::from_secs(59));
        refused(&client, &server).await;
        assert_eq!(fetches(&server), 1 + minute);
        server.clock().advance(Duration::from_secs(1));
    }
    // Bad signatures under a known name count as well.
    server.behave();
    server.misbehave(IdTokenFault::BadSignature);
    for _ in 0..3 {
        let error = refused(&client, &server).await;
        assert_eq!(error.violation(), Some(&broken(JwtFault::Signature)));
    }
    assert_eq!(fetches(&server), 5);
}

/// META-9, ERR-16: logins that come at once after a rotation share one fetch, and none of them fails.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_burst_after_a_rotation_shares_one_fetch() {
    let server = server().await;
    let client = common::client(&server).await;
    log_in(&client, &server).await.unwrap();
    server.rotate_keys();
    server.retire_old_keys();

    let hold = server.hold(Endpoint::Jwks);
    let logins: Vec<_> = (0..8)
        .map(|_| {
            let (client, server) = (client.clone(), server.clone());
            tokio::spawn(async move { log_in(&client, &server).await.map(drop) })
        })
        .collect();
    server.wait_for(Endpoint::Token, 9).await;
    server.wait_for(Endpoint::Jwks, 2).await;
    hold.release();
    for login in logins {
        login.await.unwrap().unwrap();
    }
    assert_eq!(fetches(&server), 2);
}

/// META-9: the first logins of a program share the first fetch, which goes on though one goes away.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_first_fetch_is_shared() {
    let server = server().await;
    let client = common::client(&server).await;
    let hold = server.hold(Endpoint::Jwks);
    let mut logins: Vec<_> = (0..6)
        .map(|_| {
            let (client, server) = (client.clone(), server.clone());
            tokio::spawn(async move { log_in(&client, &server).await.map(drop) })
        })
        .collect();
    server.wait_for(Endpoint::Jwks, 1).await;
    // All of them wait for the key set, and none has pushed its request.
    assert_eq!(server.count(Endpoint::Par), 0);
    logins.pop().unwrap().abort();
    hold.release();
    for login in logins {
        login.await.unwrap().unwrap();
    }
    assert_eq!(fetches(&server), 1);
}

/// SP-5.4.3, META-9, META-10, JWT-3.1, OFTEN-10: keys of the same name but of another kind or use, a
/// stranger's, private, symmetric and broken ones stand in front of the right one.
#[tokio::test]
async fn decoys_are_passed_over() {
    for alg in Alg::ALL {
        let server = server_with(alg).await;
        server.publish_decoy_keys();
        let client = common::client(&server).await;
        log_in(&client, &server).await.unwrap();
        server.mutate_id_token(|header, _| drop(header.remove("kid")));
        log_in(&client, &server).await.unwrap();
        assert_eq!(fetches(&server), 1, "{alg:?}");
    }
}

/// SP-5.4.3, SP-5.4.1-2, META-10, JWT-3.1, JWT-3.4: alone, such a key verifies nothing.
#[tokio::test]
async fn a_key_that_does_not_fit_verifies_nothing() {
    type Spoil = fn(&mut Value);
    let set_aside: [(Alg, Spoil); 13] = [
        (Alg::Es256, |key| key["use"] = json!("enc")),
        (Alg::Es256, |key| key["key_ops"] = json!(["encrypt"])),
        (Alg::Es256, |key| key["key_ops"] = json!([])),
        (Alg::Es256, |key| key["alg"] = json!("ES384")),
        (Alg::Ps256, |key| key["alg"] = json!("RS256")),
        (Alg::EdDsa, |key| key["alg"] = json!("ES256")),
        // A private key that came in public is a key that others have.
        (Alg::Es256, |key| key["d"] = json!("AQ")),
        (Alg::Ps256, |key| key["p"] = json!("AQ")),
        (Alg::Es256, |key| key["crv"] = json!("P-384")),
        (Alg::EdDsa, |key| key["crv"] = json!("Ed448")),
        // No point of the curve.
        (Alg::Es256, |key| key["y"] = key["x"].clone()),
        (Alg::Ps256, |key| {
            // 1024 bits.
            let n = key["n"].as_str().unwrap()[..171].to_owned();
            key["n"] = n.into();
        }),
        (Alg::Es256, |key| {
            let x = key["x"].clone();
            *key = json!({"kty": "oct", "k": x, "kid": key["kid"], "alg": "ES256"});
        }),
    ];
    for (alg, spoil) in set_aside {
        let server = server_with(alg).await;
        server.mutate_jwks(move |set| spoil(&mut set["keys"][0]));
        let client = common::client(&server).await;
        let error = refused(&client, &server).await;
        assert_eq!(error.violation(), Some(&broken(JwtFault::NoKey)));
    }
}

/// META-9: what a key set may hold besides is of no account.
#[tokio::test]
async fn odd_members_are_ignored() {
    let server = server().await;
    server.mutate_jwks(|set| {
        set["next"] = json!("https://elsewhere.example/keys");
        let keys = set["keys"].as_array_mut().unwrap();
        keys[0]["x5u"] = json!("https://elsewhere.example/certificate");
        keys[0]["x5c"] = json!(["no certificate"]);
        keys[0]["key_ops"] = json!(["verify"]);
        for odd in [json!(null), json!("key"), json!([]), json!({"kty": 7})] {
            keys.insert(0, odd);
        }
    });
    let client = common::client(&server).await;
    log_in(&client, &server).await.unwrap();
}

/// META-3, META-9, K-15, K-16, SEC-jwks, BCP-4.12, OFTEN-17: documents that are no key set. Each
/// failure is one fetch, and the next login asks again.
#[tokio::test]
async fn documents_that_are_no_key_set_are_refused() {
    let server = server().await;
    let client = common::client(&server).await;
    let json_of = |body: String| {
        Answer::status(200)
            .header("content-type", "application/json")
            .body(body)
    };
    let wrong_type = Violation::ContentType { endpoint: At::Jwks };
    for (answer, expected) in [
        (Answer::html(200), wrong_type.clone()),
        (
            Answer::status(200)
                .header("content-type", "text/plain")
                .body(r#"{"keys":[]}"#),
            wrong_type,
        ),
        (json_of("[]".to_owned()), Violation::Jwks),
        (json_of(r#"{"keys":{}}"#.to_owned()), Violation::Jwks),
        (
            json_of(r#"{"keys":[],"keys":[]}"#.to_owned()),
            Violation::Jwks,
        ),
        (json_of(String::new()), Violation::Jwks),
        (
            Answer::status(404),
            Violation::Status {
                endpoint: At::Jwks,
                status: 404,
            },
        ),
        (
            Answer::redirect(302, &format!("{}/keys", server.api())),
            Violation::Redirect {
                endpoint: At::Jwks,
                status: 302,
            },
        ),
        (
            Answer::redirect(307, &format!("{}/jwks", server.issuer())),
            Violation::Redirect {
                endpoint: At::Jwks,
                status: 307,
            },
        ),
    ] {
        server.answer_next(Endpoint::Jwks, answer);
        let error = not_begun(&client, &server).await;
        assert_eq!(error.violation(), Some(&expected));
    }
    // An empty one is one.
    server.forget_requests();
    server.answer_always(Endpoint::Jwks, Answer::json(200, &json!({"keys": []})));
    let error = refused(&client, &server).await;
    assert_eq!(error.violation(), Some(&broken(JwtFault::NoKey)));
    assert_eq!(fetches(&server), 2);
}

/// K-16, SEC-jwks: a key set has a largest size.
#[tokio::test]
async fn an_oversize_key_set_is_refused() {
    let server = server().await;
    let client = common::client(&server).await;
    for answer in [Answer::endless(), Answer::oversize(LIMIT as u64 + 1)] {
        server.answer_next(Endpoint::Jwks, answer);
        let Error::Transport(error) = not_begun(&client, &server).await else {
            panic!("no error of the transport")
        };
        assert_eq!(error.fault, TransportFault::TooLarge { limit: LIMIT });
        assert_eq!(error.endpoint, Some(At::Jwks));
    }
    log_in(&client, &server).await.unwrap();
}

/// SP-5.4.2-1, SP-5.2.1-1, META-5: a key set is fetched over TLS, or the client is not made at all.
#[tokio::test]
async fn a_key_set_without_tls_is_refused() {
    let server = server().await;
    server.misbehave(MetadataFault::PlainHttp("jwks_uri".to_owned()));
    let error = common::builder(&server).build().await.unwrap_err();
    assert_eq!(
        error.violation(),
        Some(&Violation::InsecureEndpoint {
            member: "jwks_uri".to_owned()
        })
    );
    assert_eq!(fetches(&server), 0);
}
