//! Tokens that are not bound as they were asked for.

use fapi_client::Violation;
use fapi_testkit::{Endpoint, TokenFault};

use super::{Bound, By, client, session};
use crate::common;

/// DPOP-5b, MTLS-3, R6749-5.1a: `Bearer` for a client with a DPoP key, and `DPoP` or anything else for one
/// whose tokens are bound to its certificate: refused, at a login, at a refresh and for the client itself. No
/// API is called.
#[tokio::test]
async fn a_downgrade_is_refused() {
    for (bound, kind) in [
        (Bound::Key, "Bearer"),
        (Bound::Certificate, "DPoP"),
        (Bound::Certificate, "mac"),
        (Bound::Certificate, ""),
    ] {
        let (server, _, client) = client(By::Certificate, bound).await;
        let fault = || TokenFault::TokenType(kind.to_owned());
        server.misbehave_times(fault(), 1);
        let error = common::log_in_with(&client, &server, "alice").await;
        let downgrade = Some(&Violation::TokenTypeDowngrade);
        assert_eq!(error.unwrap_err().violation(), downgrade, "{kind}");

        let session = session(&client, &server).await;
        server.misbehave_times(fault(), 1);
        let error = session.refresh().await.unwrap_err();
        assert_eq!(error.violation(), downgrade, "{kind}");

        server.misbehave_times(fault(), 1);
        let service = client.client_credentials().scope("accounts");
        let error = service.start().await.unwrap_err();
        assert_eq!(error.violation(), downgrade, "{kind}");
        assert_eq!(server.count(Endpoint::Api), 0);
    }
}

/// MTLS-3, R6749-5.1a: the type is read in any letter case; a missing one is a downgrade.
#[tokio::test]
async fn the_type_is_read_in_any_case() {
    let (server, _, client) = client(By::Certificate, Bound::Certificate).await;
    server.misbehave_times(TokenFault::TokenType("bEARER".to_owned()), 1);
    super::call(&session(&client, &server).await, &server).await;
    server.misbehave_times(TokenFault::MissingTokenType, 1);
    let error = common::log_in_with(&client, &server, "alice").await;
    let downgrade = Some(&Violation::TokenTypeDowngrade);
    assert_eq!(error.unwrap_err().violation(), downgrade);
}

/// MTLS-3: a program with an HTTP stack of its own gets the headers for one attempt.
#[tokio::test]
async fn headers_for_a_stack_of_ones_own() {
    let (server, set, client) = client(By::Key, Bound::Certificate).await;
    let session = session(&client, &server).await;
    let url = format!("{}/accounts", server.mtls_api());
    let prepared = session.prepare(http::Method::GET, &url).await.unwrap();
    let headers = prepared.headers();
    assert_eq!(headers.len(), 1);
    let authorization = headers["authorization"].to_str().unwrap();
    assert!(authorization.starts_with("Bearer "));
    assert!(headers["authorization"].is_sensitive());
    let shown = set.active();
    assert_eq!(prepared.certificate_thumbprint(), Some(shown.thumbprint()));
}
