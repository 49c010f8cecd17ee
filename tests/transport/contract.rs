//! `HttpsTransport` keeps what `Transport` promises, rule by rule.

use std::sync::Arc;

use fapi_client::{HttpsTransport, Transport};
use fapi_testkit::contract::transport::{self as rules, Loopback, transport_contract};

fn make(loopback: &Loopback) -> Arc<dyn Transport> {
    let transport = HttpsTransport::builder()
        .only_root_certificates(&loopback.root_pem)
        .and_then(|builder| builder.no_proxy().build());
    Arc::new(transport.unwrap())
}

/// BCP-4.12, ERR-13, K-15: 301, 302, 303, 307 and 308 come back, and their `Location` is not visited.
#[tokio::test]
async fn redirects_are_answers() {
    rules::redirects_are_answers(&make).await;
}

/// DPOP-7.3, ERR-12: a proof goes out once. Whatever the server answers, the transport sends nothing more.
#[tokio::test]
async fn every_status_is_an_answer() {
    rules::every_status_is_an_answer(&make).await;
}

/// K-10, ERR-11, DPOP-idem: a code, an assertion and a proof are good for one use; a lost answer is not
/// asked for again.
#[tokio::test]
async fn a_lost_answer_is_not_asked_for_again() {
    rules::a_lost_answer_is_not_asked_for_again(&make).await;
}

/// SP-5.3.3.1-3: the token goes in the header that it was put in, and nothing is added.
#[tokio::test]
async fn requests_go_out_as_given() {
    rules::requests_go_out_as_given(&make).await;
}

/// A streaming body arrives whole.
#[tokio::test]
async fn bodies_go_out_as_given() {
    rules::bodies_go_out_as_given(&make).await;
}

/// A streaming body that fails is told apart from a broken connection.
#[tokio::test]
async fn a_failing_body_is_an_error() {
    rules::a_failing_body_is_an_error(&make).await;
}

/// One user's cookie never goes out with another user's request.
#[tokio::test]
async fn cookies_are_not_kept() {
    rules::cookies_are_not_kept(&make).await;
}

/// K-16: the cap on bodies holds, whether the length is announced or not.
#[tokio::test]
async fn answers_stop_at_the_cap() {
    rules::answers_stop_at_the_cap(&make).await;
}

/// K-16: a compressed answer can't grow beyond the cap, since it is not inflated.
#[tokio::test]
async fn answers_are_not_inflated() {
    rules::answers_are_not_inflated(&make).await;
}

/// K-16: the head of an answer has a limit too.
#[tokio::test]
async fn heads_are_bounded() {
    rules::heads_are_bounded(&make).await;
}

/// An answer that was cut, which whoever sits on the line can do, is no answer.
#[tokio::test]
async fn a_cut_answer_is_an_error() {
    rules::a_cut_answer_is_an_error(&make).await;
}

/// K-16: the time for a request covers head and body.
#[tokio::test]
async fn slow_answers_end_in_time() {
    rules::slow_answers_end_in_time(&make).await;
}

/// SP-5.2.1-1: http is refused before any I/O.
#[tokio::test]
async fn nothing_but_https() {
    rules::nothing_but_https(&make).await;
}

/// SP-5.2.1-5: certificates are checked by RFC 9525.
#[tokio::test]
async fn bad_certificates_are_refused() {
    rules::bad_certificates_are_refused(&make).await;
}

/// SP-5.2.1-2: TLS 1.1 is refused.
#[tokio::test]
async fn old_tls_is_refused() {
    rules::old_tls_is_refused(&make).await;
}

/// SEC-cred: the whole contract in one call, as a user's own transport is tested; every error on the way
/// is searched for what the request held: path, query, token, proof.
#[tokio::test]
async fn the_whole_contract() {
    transport_contract(make).await;
}
