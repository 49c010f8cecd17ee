//! How long metadata is kept, and what happens when it is fetched anew (META-8).

use std::time::Duration;

use fapi_client::{Algorithm, Client, ConfigError, KeySet, Rule, Severity, SoftwareKey, Violation};
use fapi_testkit::{Alg, Answer, Endpoint, MetadataFault, Nonces, TestClock, TestServer};
use serde_json::{Value, json};

use crate::common;

/// How long the test server lets its document be kept.
const KEPT: u64 = 300;
/// How long one is kept where the server does not say.
const UNSAID: u64 = 3600;

/// A server whose clock stands still, with no nonces that would double the requests.
async fn server() -> TestServer {
    TestServer::builder()
        .clock(TestClock::at(1_800_000_000))
        .nonces(Nonces::Off)
        .start()
        .await
}

fn advance(server: &TestServer, seconds: u64) {
    server.clock().advance(Duration::from_secs(seconds));
}

/// Begins a login and returns how often the metadata has been fetched by then.
async fn fetched(client: &Client, server: &TestServer) -> usize {
    common::begin(client).await;
    server.count(Endpoint::Metadata)
}

/// META-8: a document that is fresh is not fetched again, by however many logins.
#[tokio::test]
async fn a_fresh_document_is_not_fetched_again() {
    let server = server().await;
    let client = common::client(&server).await;
    for _ in 0..3 {
        advance(&server, KEPT / 4);
        common::log_in_with(&client, &server, "alice")
            .await
            .unwrap();
    }
    assert_eq!(server.count(Endpoint::Metadata), 1);
    assert_eq!(server.count(Endpoint::Token), 3);
    advance(&server, KEPT / 4);
    assert_eq!(fetched(&client, &server).await, 2);
}

/// META-8: the server says how long, between five minutes and a day.
#[tokio::test]
async fn the_server_says_how_long_within_bounds() {
    let rows = [
        ("public, max-age=600", 600),
        ("Max-Age=600", 600),
        ("max-age=1", 300),
        ("max-age=0", 300),
        ("max-age=99999999", 86_400),
        ("no-store", UNSAID),
        ("max-age=-5", UNSAID),
        ("max-age=soon", UNSAID),
    ];
    for (header, life) in rows {
        let server = server().await;
        let known = common::client(&server).await;
        let document = Value::Object(known.metadata().document().clone());
        let answer = Answer::json(200, &document).header("cache-control", header);
        server.answer_next(Endpoint::Metadata, answer);
        let client = common::client(&server).await;
        server.forget_requests();
        advance(&server, life - 1);
        assert_eq!(fetched(&client, &server).await, 0, "{header}");
        advance(&server, 1);
        assert_eq!(fetched(&client, &server).await, 1, "{header}");
    }
}

/// META-8: a hundred logins that begin after the document grew old share one request for it.
#[tokio::test]
async fn a_hundred_logins_share_one_fetch() {
    let server = server().await;
    let client = common::client(&server).await;
    advance(&server, KEPT);
    let hold = server.hold(Endpoint::Metadata);
    let logins: Vec<_> = (0..100)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { common::begin(&client).await })
        })
        .collect();
    server.wait_for(Endpoint::Metadata, 2).await;
    assert_eq!(server.count(Endpoint::Par), 0);
    hold.release();
    for login in logins {
        login.await.unwrap();
    }
    assert_eq!(server.count(Endpoint::Metadata), 2);
    assert_eq!(server.count(Endpoint::Par), 100);
}

/// META-8: the fetch ends and is kept even if those who waited for it have gone away.
#[tokio::test]
async fn a_fetch_outlives_those_who_wait() {
    let server = server().await;
    let client = common::client(&server).await;
    advance(&server, KEPT);
    let hold = server.hold(Endpoint::Metadata);
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { common::begin(&client).await }
    });
    server.wait_for(Endpoint::Metadata, 2).await;
    waiting.abort();
    assert!(waiting.await.unwrap_err().is_cancelled());
    // The next one joins what is still under way, or finds what it brought.
    let next = tokio::spawn({
        let client = client.clone();
        async move { common::begin(&client).await }
    });
    tokio::task::yield_now().await;
    hold.release();
    next.await.unwrap();
    assert_eq!(server.count(Endpoint::Metadata), 2);
    assert_eq!(server.count(Endpoint::Par), 1);
}

/// META-8: a server that can't serve its metadata now leaves the last document in force, and is not
/// asked again within the next minute.
#[tokio::test]
async fn a_server_that_is_down_leaves_the_last_document_in_force() {
    for down in [
        Answer::status(500),
        Answer::status(503).header("retry-after", "5"),
        Answer::status(429),
        Answer::drop_connection(),
        Answer::endless(),
    ] {
        let server = server().await;
        let client = common::client(&server).await;
        advance(&server, KEPT);
        server.answer_next(Endpoint::Metadata, down);
        assert_eq!(fetched(&client, &server).await, 2);
        advance(&server, 59);
        assert_eq!(fetched(&client, &server).await, 2);
        advance(&server, 1);
        assert_eq!(fetched(&client, &server).await, 3);
        // That one succeeded, and is kept as long as the first.
        advance(&server, KEPT - 1);
        assert_eq!(fetched(&client, &server).await, 3);
    }
}

/// META-8, META-4, META-5: a renewed document is checked like the first one, and one that does not
/// hold stops the login before anything is pushed. When the server is right again, all goes on.
#[tokio::test]
async fn a_renewed_document_is_checked_like_the_first() {
    let server = server().await;
    let client = common::client(&server).await;
    let known = client.metadata();
    let rows = [
        (
            MetadataFault::Issuer("https://evil.example".to_owned()),
            Violation::MetadataIssuer {
                expected: server.issuer().to_owned(),
                received: "https://evil.example".to_owned(),
            },
        ),
        (
            MetadataFault::PlainHttp("token_endpoint".to_owned()),
            Violation::InsecureEndpoint {
                member: "token_endpoint".to_owned(),
            },
        ),
        (
            MetadataFault::DuplicateIssuer,
            Violation::MetadataMember {
                member: String::new(),
            },
        ),
        (
            MetadataFault::Html,
            Violation::ContentType {
                endpoint: fapi_client::Endpoint::Metadata,
            },
        ),
    ];
    advance(&server, KEPT);
    for (fault, expected) in rows {
        server.behave();
        server.misbehave(fault);
        let error = client.login().start().await.unwrap_err();
        assert_eq!(error.violation(), Some(&expected));
        assert_eq!(client.metadata(), known);
    }
    server.behave();
    server.answer_next(
        Endpoint::Metadata,
        Answer::redirect(302, "https://evil.example/"),
    );
    let error = client.login().start().await.unwrap_err();
    assert_eq!(error.code(), "violation.redirect");
    assert_eq!(server.count(Endpoint::Par), 0);
    common::log_in_with(&client, &server, "alice")
        .await
        .unwrap();
}

/// META-8, META-11: the preflight is repeated with every renewal, and a server that no longer fits is
/// named rule by rule.
#[tokio::test]
async fn the_preflight_is_repeated() {
    let server = server().await;
    let client = common::client(&server).await;
    advance(&server, KEPT);
    server.misbehave(MetadataFault::Without(
        "dpop_signing_alg_values_supported".to_owned(),
    ));
    server.misbehave(MetadataFault::Set(
        "code_challenge_methods_supported".to_owned(),
        json!(["plain"]),
    ));
    let error = client.login().start().await.unwrap_err();
    assert_eq!(
        common::findings(&error),
        [
            (Rule::SenderConstraint, Severity::Broken),
            (Rule::CodeChallengeMethod, Severity::Broken),
        ]
    );
    assert_eq!(server.count(Endpoint::Par), 0);
    server.behave();
    common::begin(&client).await;
    assert_eq!(server.count(Endpoint::Par), 1);
}

/// CA-8, META-11: a renewal is held against the key that signs now. One that took over while the
/// client runs counts, and the one that it replaced does not.
#[tokio::test]
async fn a_renewal_is_held_against_the_key_that_signs_now() {
    let server = server().await;
    let keys = common::register(&server);
    let client = common::builder_with(&server, keys.clone())
        .build()
        .await
        .unwrap();
    let pem = include_str!("keys/ed25519.pem");
    let next = keys.add(SoftwareKey::from_pem(pem).unwrap()).unwrap();
    common::register_keys(&server, &keys);
    keys.activate(&next).unwrap();

    let list = "token_endpoint_auth_signing_alg_values_supported";
    server.misbehave(MetadataFault::Set(list.to_owned(), json!(["EdDSA"])));
    advance(&server, KEPT);
    common::begin(&client).await;
    let assertion = server.requests_to(Endpoint::Par)[0].assertion().unwrap();
    assert_eq!(assertion.header["alg"], Algorithm::EdDsa.name());

    server.behave();
    server.misbehave(MetadataFault::Set(list.to_owned(), json!(["ES256"])));
    advance(&server, KEPT);
    let error = client.login().start().await.unwrap_err();
    assert_eq!(
        common::findings(&error),
        [(Rule::ClientAssertionAlgorithm, Severity::Broken)]
    );
    assert_eq!(server.count(Endpoint::Par), 1);
}

/// META-8: what a renewal brings is what counts from then on.
#[tokio::test]
async fn a_renewed_document_takes_over() {
    let server = server().await;
    let client = common::client(&server).await;
    server.misbehave(MetadataFault::Set("x_bank".to_owned(), json!(2)));
    server.misbehave(MetadataFault::Without("revocation_endpoint".to_owned()));
    assert_eq!(client.metadata().get("x_bank"), None);
    advance(&server, KEPT);
    common::begin(&client).await;
    assert_eq!(client.metadata().get("x_bank"), Some(&json!(2)));
    assert_eq!(client.metadata().get("revocation_endpoint"), None);
}

/// SP-5.3.2.2-2, SP-5.3.3.2-2: a PAR endpoint that went away with a renewal stops logins; there is no other way
/// in.
#[tokio::test]
async fn a_lost_par_endpoint_stops_logins() {
    let server = TestServer::builder()
        .clock(TestClock::at(1_800_000_000))
        .signing_algorithm(Alg::Es256)
        .start()
        .await;
    let keys = KeySet::new(SoftwareKey::generate_es256().unwrap());
    common::register_keys(&server, &keys);
    let client = common::builder_with(&server, keys).build().await.unwrap();
    server.misbehave(MetadataFault::Without(
        "pushed_authorization_request_endpoint".to_owned(),
    ));
    advance(&server, KEPT);
    let error = client.login().start().await.unwrap_err();
    let Some(ConfigError::Preflight(report)) = common::config(&error) else {
        panic!("{error:?}")
    };
    let rules: Vec<Rule> = report.broken().map(|finding| finding.rule).collect();
    assert_eq!(rules, [Rule::PushedAuthorizationRequests]);
    assert_eq!(server.count(Endpoint::Par), 0);
}
