//! The transport that comes with the crate: the contract that every transport keeps, and what is its
//! own (cipher suites, HTTP/2, roots, proxies).

mod connections;
mod contract;
mod hello;
mod proxy;
mod roots;
mod tls;

use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use fapi_client::{
    HttpsTransport, HttpsTransportBuilder, RequestBody, Transport, TransportError, TransportRequest,
};
use fapi_testkit::contract::wire::{WireAnswer, WireServer, WireSetup};
use http::{Request, Response};

/// A builder that trusts the test servers, and nothing besides.
fn builder() -> HttpsTransportBuilder {
    HttpsTransport::builder()
        .no_proxy()
        .only_root_certificates(WireServer::root_pem())
        .unwrap()
}

async fn get(transport: &HttpsTransport, url: &str) -> Result<Response<Bytes>, TransportError> {
    let request = Request::get(url).body(RequestBody::empty()).unwrap();
    let limit = Duration::from_secs(10);
    transport
        .send(TransportRequest::new(request, 1000, limit))
        .await
}

/// A server that says `ok` to everything.
async fn ok_server(setup: WireSetup) -> WireServer {
    WireServer::start(setup, |_| WireAnswer::http(200, &[], b"ok")).await
}

/// Runs one test of this binary in a process of its own, with these variables in its environment.
async fn run_alone(name: &'static str, variables: Vec<(&'static str, String)>) {
    let run = move || {
        Command::new(std::env::current_exe().unwrap())
            .args([name, "--exact"])
            .envs(variables)
            .output()
            .unwrap()
    };
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("1 passed"), "{text}");
}
