//! ID tokens: what is refused, what is taken in spite of its looks, and what a login asked for.

mod asked;
mod refreshed;
mod taken;

use fapi_client::{Client, Error, JwtFault, JwtKind, Session, Violation};
use fapi_testkit::{Endpoint, IdTokenFault as F, TestClock, TestServer};
use serde_json::{Map, Value, json};

use crate::common;

const NOW: i64 = 1_800_000_000;

/// A server whose clock, and whose client's, stands still.
async fn server() -> TestServer {
    let clock = TestClock::at(NOW);
    TestServer::builder().clock(clock).start().await
}

fn broken(fault: JwtFault) -> Violation {
    Violation::Jwt {
        kind: JwtKind::IdToken,
        fault,
    }
}

/// A login whose ID token has to be refused: the token that came with it goes nowhere.
async fn refused(client: &Client, server: &TestServer) -> Error {
    server.forget_requests();
    let error = common::log_in_with(client, server, "alice")
        .await
        .expect_err("the ID token was taken");
    assert_eq!(server.count(Endpoint::Token), 1, "{error}");
    for after in [
        Endpoint::Api,
        Endpoint::UserInfo,
        Endpoint::Other,
        Endpoint::Revocation,
    ] {
        assert_eq!(server.count(after), 0, "{after:?} after {error}");
    }
    assert!(client.sessions_of("alice").await.unwrap().is_empty());
    error
}

async fn all_refused(rows: impl IntoIterator<Item = (F, JwtFault)>) {
    let server = server().await;
    let client = common::client(&server).await;
    for (fault, expected) in rows {
        let name = format!("{fault:?}");
        server.misbehave(fault);
        let error = refused(&client, &server).await;
        assert_eq!(error.violation(), Some(&broken(expected)), "{name}");
        assert_eq!(error.code(), "violation.jwt");
        assert!(!error.retry_may_help());
        server.behave();
    }
}

async fn taken(server: &TestServer, client: &Client) -> Session {
    let session = common::log_in_with(client, server, "alice").await.unwrap();
    assert_eq!(session.subject(), Some("alice"));
    session
}

/// IDT-2, IDT-3, IDT-4, JWT-3.8-10, OFTEN-11: another issuer, another client, another party.
#[tokio::test]
async fn a_token_of_another_issuer_or_for_another_client_is_refused() {
    all_refused([
        (F::WrongIssuer, JwtFault::Issuer),
        (F::MissingIssuer, JwtFault::MissingClaim("iss")),
        (F::WrongAudience, JwtFault::Audience),
        (F::ExtraAudience, JwtFault::FurtherAudience),
        (F::EmptyAudience, JwtFault::MissingClaim("aud")),
        (F::MissingAudience, JwtFault::MissingClaim("aud")),
        (F::WrongAuthorizedParty, JwtFault::AuthorizedParty),
    ])
    .await;
}

/// IDT-9, IDT-10, K-8, SP-5.3.2.1-13, OFTEN-11, OFTEN-19: times that are over, ahead, missing or none.
#[tokio::test]
async fn a_token_out_of_its_time_is_refused() {
    all_refused([
        (F::Expired, JwtFault::Expired),
        (F::MissingExpiry, JwtFault::MissingClaim("exp")),
        (F::ExpiryAsText, JwtFault::MalformedClaim("exp")),
        (F::Expiry(json!(1e30)), JwtFault::MalformedClaim("exp")),
        (F::Expiry(json!(-1)), JwtFault::MalformedClaim("exp")),
        (F::Expiry(json!(u64::MAX)), JwtFault::MalformedClaim("exp")),
        (F::Expiry(json!(NOW - 60)), JwtFault::Expired),
        (F::OldIssuedAt, JwtFault::IssuedTooLongAgo),
        (F::MissingIssuedAt, JwtFault::MissingClaim("iat")),
        (F::IssuedAhead(61), JwtFault::IssuedAhead),
        (F::NotBefore(61), JwtFault::IssuedAhead),
    ])
    .await;
}

/// IDT-11, IDT-sub, OFTEN-11: the nonce of this login, and a user who can be named.
#[tokio::test]
async fn a_token_of_another_login_or_of_nobody_is_refused() {
    all_refused([
        (F::WrongNonce, JwtFault::Nonce),
        (F::MissingNonce, JwtFault::MissingClaim("nonce")),
        (F::MissingSubject, JwtFault::MissingClaim("sub")),
        (F::EmptySubject, JwtFault::MalformedClaim("sub")),
        (F::NumericSubject, JwtFault::MalformedClaim("sub")),
        (F::LongSubject, JwtFault::MalformedClaim("sub")),
    ])
    .await;
}

/// SP-5.4.1-1.2, SP-5.4.1-1.3, K-1, K-2, IDT-7, JWT-3.1, OIDC-reg, OFTEN-9: `none`, RS256, a shared
/// secret and whatever else is not of FAPI 2.0, though the server publishes the key.
#[tokio::test]
async fn a_token_under_another_algorithm_is_refused() {
    let named = |name: &str| F::Algorithm(name.to_owned());
    let none = |name: &str| F::None(name.to_owned());
    all_refused([
        (F::Rs256, JwtFault::Algorithm),
        (none("none"), JwtFault::Algorithm),
        (none("nOnE"), JwtFault::Algorithm),
        (none("NONE"), JwtFault::Algorithm),
        (none(""), JwtFault::Algorithm),
        (F::Hs256WithPublicKey, JwtFault::Algorithm),
        (named("ES256K"), JwtFault::Algorithm),
        (named("ES384"), JwtFault::Algorithm),
        (named("PS512"), JwtFault::Algorithm),
        (named("Ed448"), JwtFault::Algorithm),
        (named("es256"), JwtFault::Algorithm),
        (F::MissingAlgorithm, JwtFault::Algorithm),
        // Allowed, yet no algorithm of the key (SP-5.4.1-N).
        (named("PS256"), JwtFault::NoKey),
        (named("EdDSA"), JwtFault::NoKey),
        (named("Ed25519"), JwtFault::NoKey),
    ])
    .await;
}

/// MS-5.6.2-1, IDT-6, JWT-3.3, JWT-3.4, JWT-3.8-10, OFTEN-11: the signature is verified, TLS or not,
/// and with a key of the key set.
#[tokio::test]
async fn a_token_with_a_bad_signature_is_refused() {
    all_refused([
        (F::BadSignature, JwtFault::Signature),
        (F::ZeroSignature, JwtFault::Signature),
        (F::StrangerKey, JwtFault::Signature),
        (F::EmbeddedKey, JwtFault::Signature),
        (F::UnknownKid, JwtFault::NoKey),
    ])
    .await;
}

/// JWT-crit, JWT-3.6, JWT-json, JWT-3.11, SEC-xjwt, IDT-3.1.3.8: the form of the token, and the hash
/// that ties it to the access token.
#[tokio::test]
async fn a_token_of_another_form_is_refused() {
    all_refused([
        (F::Critical, JwtFault::Header("crit")),
        (F::EmptyCritical, JwtFault::Header("crit")),
        (F::Unencoded, JwtFault::Header("crit")),
        (F::Zip, JwtFault::Header("zip")),
        (F::DuplicateMember, JwtFault::DuplicateMember),
        (F::WrongType, JwtFault::Type),
        (F::Encrypted, JwtFault::Encrypted),
        (F::Garbage, JwtFault::Malformed),
        (F::WrongAccessTokenHash, JwtFault::AccessTokenHash),
    ])
    .await;
}

type Mutator = fn(&mut Map<String, Value>, &mut Map<String, Value>);

/// JWT-crit, JWT-3.11, JWT-3.8-10, IDT-5: the same, for what the faults have no name for.
#[tokio::test]
async fn odd_headers_and_claims_are_refused() {
    let server = server().await;
    let client = common::client(&server).await;
    let rows: [(Mutator, JwtFault); 12] = [
        (|h, _| set(h, "b64", json!(true)), JwtFault::Header("b64")),
        (|h, _| set(h, "typ", json!("dpop+jwt")), JwtFault::Type),
        (|h, _| set(h, "typ", json!("logout+jwt")), JwtFault::Type),
        (|h, _| set(h, "typ", json!(7)), JwtFault::Malformed),
        (|h, _| set(h, "kid", json!(7)), JwtFault::Malformed),
        (|h, _| set(h, "alg", json!(["ES256"])), JwtFault::Malformed),
        (
            |_, c| set(c, "iss", json!(["https://as.example"])),
            JwtFault::MalformedClaim("iss"),
        ),
        (
            |_, c| set(c, "aud", json!({"client-id": true})),
            JwtFault::MalformedClaim("aud"),
        ),
        (
            |_, c| set(c, "nonce", json!(7)),
            JwtFault::MalformedClaim("nonce"),
        ),
        (
            |_, c| set(c, "at_hash", json!(null)),
            JwtFault::MalformedClaim("at_hash"),
        ),
        (
            |_, c| set(c, "sub", json!("älice")),
            JwtFault::MalformedClaim("sub"),
        ),
        (
            |_, c| set(c, "azp", json!(["client-id"])),
            JwtFault::MalformedClaim("azp"),
        ),
    ];
    for (mutate, expected) in rows {
        server.mutate_id_token(mutate);
        let error = refused(&client, &server).await;
        assert_eq!(error.violation(), Some(&broken(expected)));
        server.behave();
    }
}

fn set(members: &mut Map<String, Value>, name: &str, value: Value) {
    members.insert(name.to_owned(), value);
}

/// IDT-2: the issuer is compared as text, not as a URL.
#[tokio::test]
async fn the_issuer_is_compared_as_text() {
    let server = server().await;
    let client = common::client(&server).await;
    let changes: [fn(&str) -> String; 3] = [
        |issuer| format!("{issuer}/"),
        |issuer| issuer.replace("localhost", "LOCALHOST"),
        |issuer| issuer.replace("https:", "HTTPS:"),
    ];
    for change in changes {
        server.mutate_id_token(move |_, claims| {
            let other = change(claims["iss"].as_str().unwrap());
            set(claims, "iss", other.into());
        });
        let error = refused(&client, &server).await;
        assert_eq!(error.violation(), Some(&broken(JwtFault::Issuer)));
        server.behave();
    }
}

/// SP-5.4.2-2, SEC-ssrf, SEC-jwks, JWT-3.8-10: a header that points to keys elsewhere leads nowhere.
#[tokio::test]
async fn addresses_in_a_header_are_not_fetched() {
    let server = server().await;
    let client = common::client(&server).await;
    for fault in [
        F::Jku(format!("{}/keys", server.api())),
        F::X5u(format!("{}/certificate", server.api())),
        F::Jku(format!("{}/other-keys", server.issuer())),
    ] {
        server.misbehave(fault);
        taken(&server, &client).await;
        assert_eq!(server.count(Endpoint::Api), 0);
        assert_eq!(server.count(Endpoint::Other), 0);
        server.behave();
    }
    // Nor does it help where no key fits.
    let client = common::client(&server).await;
    let keys = format!("{}/keys", server.api());
    server.mutate_id_token(move |header, _| {
        set(header, "jku", keys.as_str().into());
        set(header, "kid", "elsewhere".into());
    });
    let error = refused(&client, &server).await;
    assert_eq!(error.violation(), Some(&broken(JwtFault::NoKey)));
}
