//! What is taken, by itself or because the program said so, and how it is read.

use fapi_client::{Algorithm, Client, JwtFault, Timestamp, Violation};
use fapi_testkit::{Alg, Endpoint, IdTokenFault as F, TestServer};
use serde_json::json;

use super::{Mutator, NOW, broken, refused, server, set, taken};
use crate::common;

/// IDT-3, IDT-4, K-8, SP-5.3.2.1-13, JWT-json, JWT-3.11, SP-5.4.3: what looks odd and is right.
#[tokio::test]
async fn what_is_right_is_taken_however_it_looks() {
    let server = server().await;
    let client = common::client(&server).await;
    for fault in [
        F::AudienceArray,
        F::AuthorizedParty,
        F::FractionalDates,
        F::IssuedAhead(9),
        F::IssuedAhead(10),
        F::NotBefore(9),
        F::MissingAccessTokenHash,
        F::MissingKid,
        F::MissingAcr,
        F::MissingAuthTime,
        F::X5c,
    ] {
        server.misbehave(fault);
        taken(&server, &client).await;
        server.behave();
    }
    let rows: [Mutator; 4] = [
        |h, _| drop(h.remove("typ")),
        |h, _| set(h, "typ", json!("jwt")),
        |h, _| set(h, "cty", json!("JWT")),
        |_, c| set(c, "sub", json!("s".repeat(255))),
    ];
    for mutate in rows {
        server.mutate_id_token(mutate);
        common::log_in_with(&client, &server, "alice")
            .await
            .unwrap();
        server.behave();
    }
}

/// IDT-3, IDT-5: further audiences are taken where they were named as trusted, and then with the
/// client as `azp`.
#[tokio::test]
async fn further_audiences_have_to_be_trusted() {
    let server = server().await;
    let client = common::builder(&server)
        .trust_audience("another-client")
        .build()
        .await
        .unwrap();
    server.misbehave(F::ExtraAudience);
    server.misbehave(F::AuthorizedParty);
    taken(&server, &client).await;
    server.behave();

    for (fault, expected) in [
        (F::ExtraAudience, JwtFault::AuthorizedParty),
        // Trusted is not enough: this client has to be among them.
        (F::WrongAudience, JwtFault::Audience),
    ] {
        let client = common::builder(&server)
            .trust_audience("another-client")
            .build()
            .await
            .unwrap();
        server.misbehave(fault);
        let error = refused(&client, &server).await;
        assert_eq!(error.violation(), Some(&broken(expected)));
        server.behave();
    }
    let client = common::builder(&server)
        .trust_audience("another-client")
        .build()
        .await
        .unwrap();
    server.mutate_id_token(|_, claims| {
        set(
            claims,
            "aud",
            json!(["client-id", "another-client", "third"]),
        );
    });
    let error = refused(&client, &server).await;
    assert_eq!(error.violation(), Some(&broken(JwtFault::FurtherAudience)));
}

/// IDT-3.1.3.8, SP-5.4.1-N, K-1: each algorithm, with the hash of the access token that belongs to it.
#[tokio::test]
async fn every_algorithm_is_verified_with_its_own_hash() {
    for alg in Alg::ALL {
        let server = TestServer::builder().signing_algorithm(alg).start().await;
        let client = common::client(&server).await;
        let session = taken(&server, &client).await;
        let hash = session.id_token().unwrap().get("at_hash").unwrap().clone();
        // 16 bytes of SHA-256, 32 of SHA-512.
        let length = match alg {
            Alg::Es256 | Alg::Ps256 => 22,
            _ => 43,
        };
        assert_eq!(hash.as_str().unwrap().len(), length);

        server.misbehave(F::WrongAccessTokenHash);
        let error = refused_of(&client, &server, "bob").await;
        assert_eq!(error, broken(JwtFault::AccessTokenHash), "{alg:?}");
        server.behave();
        server.misbehave(F::BadSignature);
        let error = refused_of(&client, &server, "bob").await;
        assert_eq!(error, broken(JwtFault::Signature), "{alg:?}");
    }
}

async fn refused_of(client: &Client, server: &TestServer, user: &str) -> Violation {
    let error = common::log_in_with(client, server, user).await.unwrap_err();
    assert!(client.sessions_of(user).await.unwrap().is_empty());
    assert_eq!(server.count(Endpoint::Api), 0);
    error.violation().unwrap().clone()
}

/// IDT-7, SP-5.4.1-1.2, SP-5.4.1-N: the registered algorithm is the only one, under either name of
/// Ed25519.
#[tokio::test]
async fn the_registered_algorithm_is_demanded() {
    for (alg, registered) in [
        (Alg::Es256, Algorithm::Ps256),
        (Alg::Ps256, Algorithm::EdDsa),
        (Alg::Ed25519, Algorithm::Es256),
    ] {
        let server = TestServer::builder().signing_algorithm(alg).start().await;
        server.mutate_metadata(|metadata| {
            metadata["id_token_signing_alg_values_supported"] = json!(["ES256", "PS256", "EdDSA"]);
        });
        let client = common::builder(&server)
            .id_token_signed_with(registered)
            .build()
            .await
            .unwrap();
        let error = refused(&client, &server).await;
        assert_eq!(error.violation(), Some(&broken(JwtFault::OtherAlgorithm)));
    }
    for alg in [Alg::EdDsa, Alg::Ed25519] {
        let server = TestServer::builder().signing_algorithm(alg).start().await;
        let client = common::builder(&server)
            .id_token_signed_with(Algorithm::EdDsa)
            .build()
            .await
            .unwrap();
        taken(&server, &client).await;
    }
}

/// IDT-sub, JWT-json: what a session shows of its ID token, the raw one included.
#[tokio::test]
async fn the_claims_can_be_read() {
    let server = server().await;
    let client = common::client(&server).await;
    server.misbehave(F::FractionalDates);
    let session = taken(&server, &client).await;
    let token = session.id_token().unwrap();
    assert_eq!(token.subject(), "alice");
    assert_eq!(token.auth_time(), Some(Timestamp::from_seconds(NOW)));
    assert_eq!(token.get("iss"), Some(&json!(server.issuer())));
    assert!(token.session_id().is_some());
    assert_eq!(token.claims().get("sub"), Some(&json!("alice")));
    let hint = session.id_token_hint().unwrap();
    let raw = fapi_testkit::Jwt::read(hint.expose()).unwrap();
    assert_eq!(raw.claim("sub"), &json!("alice"));
}
