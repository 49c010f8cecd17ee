//! How connections are opened, kept and given up.

use std::net::Ipv4Addr;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use fapi_client::{RequestBody, Transport, TransportFault, TransportRequest};
use fapi_testkit::contract::wire::{WireAnswer, WireServer, WireSetup};
use http::Request;
use tokio::net::TcpListener;

use super::{builder, get, ok_server};

/// Requests to one server share a connection, clones of the transport too.
#[tokio::test]
async fn connections_are_kept() {
    let server = ok_server(WireSetup::default()).await;
    let transport = builder().build().unwrap();
    get(&transport, &server.url("/")).await.unwrap();
    get(&transport.clone(), &server.url("/")).await.unwrap();
    assert_eq!(server.requests().len(), 2);
    assert_eq!(server.connections(), 1);
}

/// Where nobody listens there is no connection, and a later try may work.
#[tokio::test]
async fn a_refused_connection_is_told_as_such() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!(
        "https://localhost:{}/",
        listener.local_addr().unwrap().port()
    );
    drop(listener);
    let error = get(&builder().build().unwrap(), &url).await.unwrap_err();
    assert_eq!(error.fault, TransportFault::Connect);
    assert!(error.retry_may_help());
}

/// K-16: a server that takes the connection and says nothing is given up after the time to connect;
/// nothing was sent to it by then.
#[tokio::test]
async fn a_silent_handshake_ends_with_the_time_to_connect() {
    let server = WireServer::start_raw("").await;
    let limit = Duration::from_millis(150);
    let transport = builder().connect_timeout(limit).build().unwrap();
    let start = Instant::now();
    let error = get(&transport, &server.url("/")).await.unwrap_err();
    assert_eq!(error.fault, TransportFault::Connect);
    assert!(start.elapsed() >= limit && start.elapsed() < Duration::from_secs(5));
}

/// K-16: the time for the whole request covers the handshake as well.
#[tokio::test]
async fn a_silent_handshake_ends_with_the_time_for_the_request() {
    let server = WireServer::start_raw("").await;
    let request = Request::get(server.url("/"))
        .body(RequestBody::empty())
        .unwrap();
    let request = TransportRequest::new(request, 1000, Duration::from_millis(150));
    let error = builder().build().unwrap().send(request).await.unwrap_err();
    assert_eq!(error.fault, TransportFault::Timeout);
}

/// K-16: an answer that says it is larger than the cap is not waited for.
#[tokio::test]
async fn an_announced_length_over_the_cap_is_refused_at_once() {
    let server = WireServer::start(WireSetup::default(), |_| {
        WireAnswer::bytes("HTTP/1.1 200 OK\r\ncontent-length: 1001\r\n\r\n").then_hang()
    })
    .await;
    let error = get(&builder().build().unwrap(), &server.url("/"))
        .await
        .unwrap_err();
    assert_eq!(error.fault, TransportFault::TooLarge { limit: 1000 });
}

/// Outside of a runtime there is an error, not a panic.
#[test]
fn without_a_runtime_nothing_is_sent() {
    let transport = builder().build().unwrap();
    let request = Request::get("https://localhost/").body(RequestBody::empty());
    let request = TransportRequest::new(request.unwrap(), 1000, Duration::from_secs(1));
    let mut context = Context::from_waker(Waker::noop());
    let Poll::Ready(Err(error)) = transport.send(request).as_mut().poll(&mut context) else {
        panic!("it went on without a runtime");
    };
    assert_eq!(error.fault, TransportFault::NoRuntime);
}

/// A name and a password in the URI would become an `Authorization` of the library's making.
#[tokio::test]
async fn a_user_in_the_uri_is_refused() {
    let server = ok_server(WireSetup::default()).await;
    let url = server
        .url("/")
        .replace("localhost", "user:password@localhost");
    let error = get(&builder().build().unwrap(), &url).await.unwrap_err();
    assert_eq!(error.fault, TransportFault::Uri);
    assert!(!error.retry_may_help());
    assert_eq!(server.connections(), 0);
}

/// `resolve` stands in for DNS, with its port where the URL names none; the certificate is checked for
/// the name in the URL all the same (SP-5.2.1-5).
#[tokio::test]
async fn a_host_can_be_given_an_address() {
    let server = ok_server(WireSetup::default()).await;
    let transport = builder()
        .resolve("localhost", server.address())
        .resolve("as.example", server.address())
        .build()
        .unwrap();

    get(&transport, "https://localhost/").await.unwrap();
    assert_eq!(server.requests()[0].header("host"), ["localhost"]);

    let error = get(&transport, "https://as.example/").await.unwrap_err();
    assert!(matches!(error.fault, TransportFault::Tls(_)), "{error:?}");
    assert_eq!(server.requests().len(), 1);
}
