//! TLS versions, cipher suites, the greeting, and why a certificate was refused.

use fapi_client::{Crypto, TransportFault};
use fapi_testkit::contract::wire::{WireAnswer, WireServer, WireSetup, frame};
use fapi_testkit::{Certificate, Tls};
use http::Version;

use super::hello::{ALPN, ClientHello, EARLY_DATA, PRE_SHARED_KEY, SERVER_NAME};
use super::{builder, get, ok_server};

/// SP-5.2.1-2, SP-5.2.2-1: TLS 1.3 works, and so does TLS 1.2 with the recommended suites.
#[tokio::test]
async fn both_versions_work() {
    for tls in [Tls::Both, Tls::Only13, Tls::Only12] {
        let setup = WireSetup {
            tls,
            ..WireSetup::default()
        };
        let server = ok_server(setup).await;
        let response = get(&builder().build().unwrap(), &server.url("/")).await;
        assert_eq!(response.unwrap().body(), "ok", "{tls:?}");
    }
}

/// SP-5.2.2-2: a server that takes only a suite of TLS 1.2 that is not recommended gets no request.
#[tokio::test]
async fn other_suites_are_refused() {
    let setup = WireSetup {
        tls: Tls::Only12ChaCha,
        ..WireSetup::default()
    };
    let server = ok_server(setup).await;
    let error = get(&builder().build().unwrap(), &server.url("/"))
        .await
        .unwrap_err();
    assert!(matches!(error.fault, TransportFault::Tls(_)), "{error:?}");
    assert_eq!(server.requests().len(), 0);
}

/// SP-5.2.2-2, SP-5.2.1-3: the greeting offers the three suites of TLS 1.3 and the four of TLS 1.2, names
/// the server, compresses nothing and prefers HTTP/2. `00ff` is no suite but the sign that insecure
/// renegotiation is not done (RFC 5746).
#[tokio::test]
async fn the_greeting_offers_what_is_recommended() {
    let server = ok_server(WireSetup::default()).await;
    let transport = builder()
        .crypto_provider(Crypto::new().unwrap())
        .build()
        .unwrap();
    get(&transport, &server.url("/")).await.unwrap();

    let hello = ClientHello::read(&server.first_flights()[0]);
    let mut suites = hello.cipher_suites.clone();
    suites.sort_unstable();
    let tls13 = [0x1301, 0x1302, 0x1303];
    let tls12 = [0xc02b, 0xc02c, 0xc02f, 0xc030];
    assert_eq!(suites, [&[0x00ff], &tls13[..], &tls12[..]].concat());
    assert_eq!(hello.compression, [0]);
    assert!(
        hello
            .extension(SERVER_NAME)
            .unwrap()
            .ends_with(b"localhost")
    );
    assert_eq!(hello.extension(ALPN).unwrap(), b"\0\x0c\x02h2\x08http/1.1");
}

/// SP-5.2.1-3: a client that comes back resumes its session, and sends nothing before the handshake has
/// ended, though the server would take it.
#[tokio::test]
async fn no_early_data() {
    let setup = WireSetup {
        tls: Tls::Only13,
        early_data: true,
        ..WireSetup::default()
    };
    let close = &["connection: close"];
    let server = WireServer::start(setup, |_| WireAnswer::http(200, close, b"").then_close()).await;
    let transport = builder().build().unwrap();
    for _ in 0..2 {
        get(&transport, &server.url("/")).await.unwrap();
    }

    let flights = server.first_flights();
    assert_eq!(flights.len(), 2);
    let second = ClientHello::read(&flights[1]);
    assert!(
        second.extension(PRE_SHARED_KEY).is_some(),
        "it did not resume"
    );
    assert!(second.extension(EARLY_DATA).is_none());
}

/// SP-5.2.1-5: each bad certificate is refused for what is wrong with it, and the error says so.
#[tokio::test]
async fn the_error_says_what_is_wrong_with_a_certificate() {
    for (certificate, says) in [
        (Certificate::OtherHost, "not valid for name"),
        (Certificate::CommonNameOnly, "not valid for name"),
        (Certificate::Expired, "expired"),
        // The other authority bears the name of the trusted one.
        (Certificate::OtherAuthority, "BadSignature"),
        (Certificate::SelfSigned, "UnknownIssuer"),
    ] {
        let setup = WireSetup {
            certificate,
            ..WireSetup::default()
        };
        let server = ok_server(setup).await;
        let error = get(&builder().build().unwrap(), &server.url("/"))
            .await
            .unwrap_err();
        let TransportFault::Tls(reason) = &error.fault else {
            panic!("{certificate:?}: {error:?}");
        };
        assert!(reason.contains(says), "{certificate:?}: {reason}");
        assert_eq!(error.code(), "transport.tls");
        assert!(!error.retry_may_help());
    }
}

/// HTTP/2 is spoken where the server agrees to it.
#[tokio::test]
async fn http2_is_negotiated() {
    let server = http2(|stream| frame(1, 0x5, stream, &[0x88])).await;
    let response = get(&builder().build().unwrap(), &server.url("/"))
        .await
        .unwrap();
    assert_eq!(response.version(), Version::HTTP_2);
    assert_eq!(response.status(), 200);
}

/// DPOP-7.3: a server that says under HTTP/2 that it did not look at a request (`REFUSED_STREAM`,
/// `GOAWAY`) does not get it again: the next try needs a new proof.
#[tokio::test]
async fn http2_refusals_are_not_retried() {
    let refused = |stream| frame(3, 0, stream, &7_u32.to_be_bytes());
    let going_away = |_| frame(7, 0, 0, &[0; 8]);
    for server in [http2(refused).await, http2(going_away).await] {
        let error = get(&builder().build().unwrap(), &server.url("/"))
            .await
            .unwrap_err();
        assert_eq!(error.fault, TransportFault::Broken);
        assert_eq!(server.requests().len(), 1);
    }
}

async fn http2(answer: impl Fn(u32) -> Vec<u8> + Send + Sync + 'static) -> WireServer {
    let setup = WireSetup {
        http2: true,
        ..WireSetup::default()
    };
    WireServer::start(setup, move |request| {
        WireAnswer::bytes(answer(request.stream.unwrap()))
    })
    .await
}
