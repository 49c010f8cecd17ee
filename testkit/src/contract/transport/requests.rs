//! What goes out: one request a call, as it was given.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use fapi_client::{BodyStream, RequestBody, TransportFault};
use http::Request;
use http_body_util::Full;
use hyper::body::{Body, Frame};

use super::{Make, get, post, send, send_by, serve, transport};
use crate::contract::wire::WireAnswer;

/// A connection that breaks after the request went out is an error, on a new connection and on one
/// that was used before: the server may have acted already.
///
/// # Panics
/// Where the promise is not kept.
pub async fn a_lost_answer_is_not_asked_for_again(make: Make<'_>) {
    let server = serve(|_| WireAnswer::nothing().then_close()).await;
    let error = send(make, post(&server)).await.expect_err("no answer came");
    assert_eq!(error.fault, TransportFault::Broken);
    assert_eq!(server.requests().len(), 1, "a lost POST was sent again");

    let server = serve(|request| {
        if request.line().starts_with("GET /first") {
            WireAnswer::http(200, &[], b"")
        } else {
            WireAnswer::nothing().then_close()
        }
    })
    .await;
    let transport = transport(make);
    let first = get(&server, "/first");
    send_by(&*transport, first).await.expect("an answer");
    let again = get(&server, "/again");
    let error = send_by(&*transport, again).await.expect_err("no answer");
    assert_eq!(error.fault, TransportFault::Broken);
    assert_eq!(server.requests().len(), 2, "a lost GET was sent again");
}

/// Method, target and headers arrive as they were given; nothing is added but what HTTP needs.
///
/// # Panics
/// Where the promise is not kept.
pub async fn requests_go_out_as_given(make: Make<'_>) {
    let server = serve(|_| WireAnswer::http(200, &[], b"")).await;
    let request = Request::builder()
        .method("PATCH")
        .uri(server.url("/a%2Fb/c;d=e?f=g%20h&i="))
        .header("authorization", "DPoP token")
        .header("dpop", "proof")
        .header("x-twice", "one")
        .header("x-twice", "two")
        .body(RequestBody::from(b"{}".to_vec()))
        .expect("a request");
    send(make, request).await.expect("an answer");

    let requests = server.requests();
    let request = &requests[0];
    assert_eq!(request.line(), "PATCH /a%2Fb/c;d=e?f=g%20h&i= HTTP/1.1");
    assert_eq!(request.header("authorization"), ["DPoP token"]);
    assert_eq!(request.header("dpop"), ["proof"]);
    assert_eq!(request.header("x-twice"), ["one", "two"]);
    assert_eq!(
        request.header("host"),
        [format!("localhost:{}", server.address().port())]
    );
    assert_eq!(request.body, b"{}");

    let given = ["authorization", "dpop", "x-twice"];
    let allowed = [
        "host",
        "content-length",
        "accept",
        "connection",
        "user-agent",
    ];
    for (name, value) in request.headers() {
        let known = given.contains(&&*name) || allowed.contains(&&*name);
        assert!(known, "the transport added {name}: {value}");
    }
    assert!(request.header("accept").iter().all(|value| *value == "*/*"));
}

/// Bytes and streams arrive whole: a stream that knows its length with it, any other in chunks; and an
/// empty body is none.
///
/// # Panics
/// Where the promise is not kept.
pub async fn bodies_go_out_as_given(make: Make<'_>) {
    let server = serve(|_| WireAnswer::http(200, &[], b"")).await;
    let parts = || {
        Parts::new([
            Ok(Bytes::from_static(b"first ")),
            Ok(Bytes::from_static(b"second")),
        ])
    };
    let known = Full::new(Bytes::from_static(b"known"));
    for body in [
        RequestBody::from(b"bytes".to_vec()),
        RequestBody::from(BodyStream::new(known)),
        RequestBody::from(BodyStream::new(parts())),
    ] {
        let request = Request::post(server.url("/"))
            .body(body)
            .expect("a request");
        send(make, request).await.expect("an answer");
    }
    let empty = Request::get(server.url("/")).body(RequestBody::empty());
    send(make, empty.expect("a request"))
        .await
        .expect("an answer");

    let requests = server.requests();
    assert_eq!(requests[0].body, b"bytes");
    assert_eq!(requests[1].body, b"known");
    assert_eq!(requests[1].header("content-length"), ["5"]);
    let chunks = String::from_utf8_lossy(&requests[2].body);
    assert_eq!(chunks, "6\r\nfirst \r\n6\r\nsecond\r\n0\r\n\r\n");
    assert!(requests[3].header("content-length").is_empty());
    assert!(requests[3].header("transfer-encoding").is_empty());
}

/// A stream that fails fails the call, and the server is not left with a request that looks whole.
///
/// # Panics
/// Where the promise is not kept.
pub async fn a_failing_body_is_an_error(make: Make<'_>) {
    let server = serve(|_| WireAnswer::http(200, &[], b"")).await;
    let body = BodyStream::new(Parts::new([
        Ok(Bytes::from_static(b"first")),
        Err(io::Error::other("s3cret-token")),
    ]));
    let request = Request::post(server.url("/"))
        .body(body.into())
        .expect("a request");
    let error = send(make, request).await.expect_err("the body failed");
    assert_eq!(error.fault, TransportFault::RequestBody);
    assert_eq!(
        server.requests().len(),
        0,
        "half a body went out as a whole one"
    );
}

/// A cookie that an answer sets does not come back with the next request.
///
/// # Panics
/// Where the promise is not kept.
pub async fn cookies_are_not_kept(make: Make<'_>) {
    let server = serve(|_| WireAnswer::http(200, &["set-cookie: a=b; Path=/"], b"")).await;
    let transport = transport(make);
    for _ in 0..2 {
        let request = get(&server, "/");
        send_by(&*transport, request).await.expect("an answer");
    }
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    assert!(requests[1].header("cookie").is_empty(), "a cookie was kept");
}

/// A body of these parts, whose length nobody knows.
struct Parts(VecDeque<io::Result<Bytes>>);

impl Parts {
    fn new(parts: impl IntoIterator<Item = io::Result<Bytes>>) -> Self {
        Self(parts.into_iter().collect())
    }
}

impl Body for Parts {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        Poll::Ready(self.0.pop_front().map(|part| part.map(Frame::data)))
    }
}
