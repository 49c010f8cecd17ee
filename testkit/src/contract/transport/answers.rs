//! What comes back: every status as it is, within the limits.

use std::time::{Duration, Instant};

use fapi_client::{TransportFault, TransportRequest};

use super::{CAP, Make, checked, post, send, serve, transport};
use crate::contract::wire::WireAnswer;

/// The limit of those calls that must run into it.
const SHORT: Duration = Duration::from_millis(250);
/// By then such a call has ended, on a busy machine too.
const LATEST: Duration = Duration::from_secs(5);
/// 10,000 zero bytes, compressed with gzip.
const GZIP_BOMB: [u8; 45] = [
    0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 3, 0xed, 0xc1, 1, 0xd, 0, 0, 0, 0xc2, 0xa0, 0xf7, 0x4f, 0x6d,
    0xe, 0x37, 0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xe0, 0xdf, 0, 0x2e, 0xca, 0x3b, 0x4d, 0x10, 0x27,
    0, 0,
];

/// RFC 9700 section 4.12: a 3xx comes back as it is, and its `Location` is not visited.
///
/// # Panics
/// Where the promise is not kept.
pub async fn redirects_are_answers(make: Make<'_>) {
    for status in [301, 302, 303, 307, 308] {
        let server =
            serve(move |_| WireAnswer::http(status, &["location: /other"], b"moved")).await;
        let response = send(make, post(&server)).await.expect("a 3xx is an answer");
        assert_eq!(response.status(), status);
        assert_eq!(response.headers()["location"], "/other");
        assert_eq!(server.requests().len(), 1, "a {status} was followed");
    }
}

/// Any other status comes back as well: no wait, no second try, no password prompt.
///
/// # Panics
/// Where the promise is not kept.
pub async fn every_status_is_an_answer(make: Make<'_>) {
    for (status, header) in [
        (200, "x: y"),
        (400, "dpop-nonce: n"),
        (401, "www-authenticate: DPoP error=\"use_dpop_nonce\""),
        (401, "www-authenticate: Basic realm=\"r\""),
        (408, "connection: close"),
        (429, "retry-after: 0"),
        (503, "retry-after: 0"),
    ] {
        let server = serve(move |_| WireAnswer::http(status, &[header], b"body")).await;
        let response = send(make, post(&server)).await.expect("it is an answer");
        assert_eq!(response.status(), status);
        let (name, value) = header.split_once(": ").expect("name and value");
        assert_eq!(response.headers()[name], value);
        assert_eq!(response.body(), "body");
        assert_eq!(server.requests().len(), 1, "a {status} was tried again");
    }
}

/// K-16: a body may be as large as the cap; one that says it is larger, and one that never ends, are
/// errors.
///
/// # Panics
/// Where the promise is not kept.
pub async fn answers_stop_at_the_cap(make: Make<'_>) {
    let server = serve(|_| WireAnswer::http(200, &[], &[b'x'; CAP])).await;
    let response = send(make, post(&server)).await.expect("it fits");
    assert_eq!(response.body().len(), CAP);

    let too_large = TransportFault::TooLarge { limit: CAP };
    let server = serve(|_| WireAnswer::http(200, &[], &[b'x'; CAP + 1])).await;
    let error = send(make, post(&server)).await.expect_err("too large");
    assert_eq!(error.fault, too_large);

    let server = serve(|_| {
        WireAnswer::bytes("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
            .then_repeat("10\r\n0123456789abcdef\r\n")
    })
    .await;
    let error = send(make, post(&server)).await.expect_err("endless");
    assert_eq!(error.fault, too_large);

    let server = serve(|_| WireAnswer::bytes("HTTP/1.0 200 OK\r\n\r\n").then_repeat("more")).await;
    let error = send(make, post(&server)).await.expect_err("endless");
    assert_eq!(error.fault, too_large);
}

/// A compressed answer comes back as it was sent, so that the cap counts what it is meant to count.
///
/// # Panics
/// Where the promise is not kept.
pub async fn answers_are_not_inflated(make: Make<'_>) {
    let server = serve(|_| WireAnswer::http(200, &["content-encoding: gzip"], &GZIP_BOMB)).await;
    let response = send(make, post(&server)).await.expect("an answer");
    assert_eq!(response.headers()["content-encoding"], "gzip");
    assert_eq!(response.body().as_ref(), GZIP_BOMB);
    assert!(server.requests()[0].header("accept-encoding").is_empty());
}

/// K-16: a head that never ends is an error, long before the time is over.
///
/// # Panics
/// Where the promise is not kept.
pub async fn heads_are_bounded(make: Make<'_>) {
    for start in ["HTTP/1.1 200 OK\r\nx: ", "HTTP/1.1 200 OK\r\n"] {
        let server =
            serve(move |_| WireAnswer::bytes(start).then_repeat("y:yyyyyyyyyyyyyyyyy")).await;
        let error = send(make, post(&server)).await.expect_err("endless");
        let bounded = matches!(
            error.fault,
            TransportFault::Broken | TransportFault::TooLarge { .. }
        );
        assert!(bounded, "{error:?}");
    }
}

/// An answer that ends before its end is an error, never a shorter answer.
///
/// # Panics
/// Where the promise is not kept.
pub async fn a_cut_answer_is_an_error(make: Make<'_>) {
    for bytes in [
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "HTTP/1.1 200 OK\r\ncontent-le",
        "SSH-2.0-no HTTP at all\r\n\r\n",
    ] {
        let server = serve(move |_| WireAnswer::bytes(bytes).then_close()).await;
        let error = send(make, post(&server)).await.expect_err("it is cut");
        assert_eq!(error.fault, TransportFault::Broken, "{bytes:?}");
        assert_eq!(server.requests().len(), 1);
    }
}

/// K-16: the time covers the whole call, whether the head or the body does not come.
///
/// # Panics
/// Where the promise is not kept.
pub async fn slow_answers_end_in_time(make: Make<'_>) {
    for bytes in ["", "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf"] {
        let server = serve(move |_| WireAnswer::bytes(bytes).then_hang()).await;
        let start = Instant::now();
        let request = TransportRequest::new(post(&server), CAP, SHORT);
        let error = checked(transport(make).send(request).await).expect_err("it hangs");
        assert_eq!(error.fault, TransportFault::Timeout, "{bytes:?}");
        let took = start.elapsed();
        assert!(took >= SHORT && took < LATEST, "it took {took:?}");
        assert_eq!(server.requests().len(), 1);
    }
}
