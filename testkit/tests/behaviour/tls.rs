//! Certificates and TLS versions, right and wrong.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use fapi_testkit::{Certificate, TestServer, Tls};
use rustls::CipherSuite;
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::default_provider;

use crate::party::{http, http_with};

/// A provider with these suites alone.
fn only(suites: &[CipherSuite]) -> CryptoProvider {
    let mut provider = default_provider();
    provider
        .cipher_suites
        .retain(|suite| suites.contains(&suite.suite()));
    provider
}

#[tokio::test]
async fn only_the_right_certificate_is_taken_by_a_client_that_checks() {
    for certificate in [
        Certificate::Valid,
        Certificate::OtherHost,
        Certificate::CommonNameOnly,
        Certificate::Expired,
        Certificate::OtherAuthority,
        Certificate::SelfSigned,
    ] {
        let server = TestServer::builder().certificate(certificate).start().await;
        let port = server.issuer().rsplit(':').next().unwrap();
        for host in ["localhost", "127.0.0.1"] {
            let answer = http(&server)
                .get(format!("https://{host}:{port}/jwks"))
                .send()
                .await;
            assert_eq!(
                answer.is_ok(),
                certificate == Certificate::Valid,
                "{certificate:?} {host}"
            );
        }
    }
}

#[tokio::test]
async fn versions_and_suites_can_be_chosen() {
    use CipherSuite as S;
    let gcm = [
        S::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        S::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    ];
    let chacha = [S::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256];
    let tls13 = [S::TLS13_AES_128_GCM_SHA256];
    for (tls, takes) in [
        (Tls::Both, [true, false, true]),
        (Tls::Only13, [false, false, true]),
        (Tls::Only12, [true, false, false]),
        (Tls::Only12ChaCha, [false, true, false]),
    ] {
        let server = TestServer::builder().tls(tls).start().await;
        for (suites, takes) in [&gcm[..], &chacha, &tls13].into_iter().zip(takes) {
            let http = http_with(&server, only(suites)).build().unwrap();
            let answer = http.get(format!("{}/jwks", server.issuer())).send().await;
            assert_eq!(answer.is_ok(), takes, "{tls:?} {suites:?}");
        }
    }
}

#[tokio::test]
async fn what_a_client_offers_is_recorded() {
    let server = TestServer::start().await;
    let answer = http(&server)
        .get(format!("{}/jwks", server.issuer()))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.version(), http::Version::HTTP_2);
    let hello = &server.client_hellos()[0];
    assert_eq!(hello.server_name.as_deref(), Some("localhost"));
    assert_eq!(hello.alpn, ["h2", "http/1.1"]);
    assert!(hello.cipher_suites.contains(&0x1301));
}

/// A client that blocks its thread can be tested too: the servers have one of their own.
#[test]
fn clients_may_block() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let server = runtime.block_on(TestServer::start());
    let own = server.issuer().strip_prefix("https://").unwrap();
    for (host, status) in [(own, "200 OK"), ("evil.example", "421 Misdirected Request")] {
        let text = raw(
            &server,
            &format!("GET /jwks HTTP/1.1\r\nhost: {host}\r\n\r\n"),
        );
        assert!(
            text.starts_with(&format!("HTTP/1.1 {status}\r\n")),
            "{text}"
        );
    }
}

/// Sends text over TLS, and returns the beginning of what comes back.
fn raw(server: &TestServer, request: &str) -> String {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(server.ca_der().into()).unwrap();
    let config = rustls::ClientConfig::builder_with_provider(default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut tcp = TcpStream::connect(server.issuer().strip_prefix("https://").unwrap()).unwrap();
    let name = "localhost".try_into().unwrap();
    let mut connection = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = rustls::Stream::new(&mut connection, &mut tcp);
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = [0; 64];
    let length = stream.read(&mut answer).unwrap();
    String::from_utf8_lossy(&answer[..length]).into_owned()
}
