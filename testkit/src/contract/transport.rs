//! The contract of `fapi_client::Transport`.
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use fapi_client::HttpsTransport;
//! # use fapi_testkit::contract::transport_contract;
//! # async fn test() {
//! transport_contract(|loopback| {
//!     let transport = HttpsTransport::builder()
//!         .only_root_certificates(&loopback.root_pem)
//!         .and_then(|builder| builder.no_proxy().build());
//!     Arc::new(transport.unwrap())
//! })
//! .await;
//! # }
//! ```

mod answers;
mod requests;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fapi_client::{RequestBody, Transport, TransportError, TransportRequest};
use http::{Request, Response};

pub use answers::{
    a_cut_answer_is_an_error, answers_are_not_inflated, answers_stop_at_the_cap,
    every_status_is_an_answer, heads_are_bounded, redirects_are_answers, slow_answers_end_in_time,
};
pub use requests::{
    a_failing_body_is_an_error, a_lost_answer_is_not_asked_for_again, bodies_go_out_as_given,
    cookies_are_not_kept, requests_go_out_as_given,
};
pub use tls::{bad_certificates_are_refused, nothing_but_https, old_tls_is_refused};

use super::wire::{WireAnswer, WireRequest, WireServer, WireSetup};

/// Time enough for any answer that comes.
const PATIENT: Duration = Duration::from_secs(10);
/// The largest body that is taken where a test says nothing else.
const CAP: usize = 1000;
/// What stands in requests and must not stand in errors.
const SECRETS: [&str; 4] = [
    "s3cret-path",
    "s3cret-query",
    "s3cret-token",
    "s3cret-proof",
];

/// What the transport under test needs to know.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Loopback {
    /// The root certificate to trust, in PEM. The servers are on `localhost`.
    pub root_pem: String,
}

/// Runs every rule of this module on the transports that `make` makes.
///
/// # Panics
/// At the first promise that the transport does not keep.
pub async fn transport_contract(make: impl Fn(&Loopback) -> Arc<dyn Transport>) {
    let make: Make<'_> = &make;
    redirects_are_answers(make).await;
    every_status_is_an_answer(make).await;
    a_lost_answer_is_not_asked_for_again(make).await;
    requests_go_out_as_given(make).await;
    bodies_go_out_as_given(make).await;
    a_failing_body_is_an_error(make).await;
    cookies_are_not_kept(make).await;
    answers_stop_at_the_cap(make).await;
    answers_are_not_inflated(make).await;
    heads_are_bounded(make).await;
    a_cut_answer_is_an_error(make).await;
    slow_answers_end_in_time(make).await;
    nothing_but_https(make).await;
    bad_certificates_are_refused(make).await;
    old_tls_is_refused(make).await;
}

/// Makes the transport under test.
pub type Make<'a> = &'a dyn Fn(&Loopback) -> Arc<dyn Transport>;

type Outcome = Result<Response<Bytes>, TransportError>;

async fn serve(answers: impl Fn(&WireRequest) -> WireAnswer + Send + Sync + 'static) -> WireServer {
    WireServer::start(WireSetup::default(), answers).await
}

fn transport(make: Make<'_>) -> Arc<dyn Transport> {
    make(&Loopback {
        root_pem: WireServer::root_pem(),
    })
}

/// A request that holds secrets in every place that can hold one.
fn post(server: &WireServer) -> Request<RequestBody> {
    Request::post(server.url("/s3cret-path?code=s3cret-query"))
        .header("authorization", "DPoP s3cret-token")
        .header("dpop", "s3cret-proof")
        .body(RequestBody::from(b"body".to_vec()))
        .expect("a request")
}

fn get(server: &WireServer, path: &str) -> Request<RequestBody> {
    Request::get(server.url(path))
        .body(RequestBody::empty())
        .expect("a request")
}

async fn send(make: Make<'_>, request: Request<RequestBody>) -> Outcome {
    send_by(&*transport(make), request).await
}

async fn send_by(transport: &dyn Transport, request: Request<RequestBody>) -> Outcome {
    checked(
        transport
            .send(TransportRequest::new(request, CAP, PATIENT))
            .await,
    )
}

/// No error may repeat what the request held.
fn checked(outcome: Outcome) -> Outcome {
    if let Err(error) = &outcome {
        let text = format!("{error} {error:?}");
        for secret in SECRETS {
            assert!(!text.contains(secret), "the error says {secret:?}: {text}");
        }
    }
    outcome
}
