//! To whom it speaks: https alone, by the rules of the Security Profile 5.2.

use fapi_client::{RequestBody, TransportFault};
use http::Request;

use super::{Make, post, send};
use crate::contract::wire::{WireAnswer, WireServer, WireSetup};
use crate::net::tls::Certificate;

/// SP-5.2.1-1: http is refused before a connection is opened.
///
/// # Panics
/// Where the promise is not kept.
pub async fn nothing_but_https(make: Make<'_>) {
    let server = WireServer::start_raw("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let request = Request::get(server.url("/").replace("https", "http"))
        .body(RequestBody::empty())
        .expect("a request");
    let error = send(make, request).await.expect_err("http is refused");
    assert_eq!(error.fault, TransportFault::Uri);
    assert_eq!(server.connections(), 0);
}

/// SP-5.2.1-5: a certificate for another host, an expired one, one of an authority that is not
/// trusted, a self-signed one, and one that has its name in the common name alone.
///
/// # Panics
/// Where the promise is not kept.
pub async fn bad_certificates_are_refused(make: Make<'_>) {
    for certificate in [
        Certificate::OtherHost,
        Certificate::CommonNameOnly,
        Certificate::Expired,
        Certificate::OtherAuthority,
        Certificate::SelfSigned,
    ] {
        let setup = WireSetup {
            certificate,
            ..WireSetup::default()
        };
        let server = WireServer::start(setup, |_| WireAnswer::http(200, &[], b"")).await;
        let error = send(make, post(&server))
            .await
            .expect_err("a bad certificate");
        let tls = matches!(error.fault, TransportFault::Tls(_));
        assert!(tls, "{certificate:?}: {error:?}");
        assert_eq!(server.requests().len(), 0, "{certificate:?}");
    }
}

/// SP-5.2.1-2: a server that knows nothing newer than TLS 1.1 is refused.
///
/// # Panics
/// Where the promise is not kept.
pub async fn old_tls_is_refused(make: Make<'_>) {
    let server = WireServer::start_tls_1_1().await;
    let error = send(make, post(&server)).await.expect_err("old TLS");
    assert!(matches!(error.fault, TransportFault::Tls(_)), "{error:?}");
}
