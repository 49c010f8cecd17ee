//! What comes to the port beside the callback.

use fapi_client::{Error, NativeError, Violation};
use fapi_testkit::{Endpoint, TestServer};
use tokio::net::TcpStream;

use crate::desk::{self, Desk, REGISTERED, answer, begin, request, send, target};

/// NAT-7.3: connections that say nothing, or half of something, icons, other paths, methods and hosts,
/// and requests without an end: none of them ends the login, and none gets a page.
#[tokio::test]
async fn a_login_outlives_them_all() {
    let desk = Desk::open().await;
    let (address, host) = (desk.address, desk.address.to_string());
    let silent = TcpStream::connect(address).await.unwrap();
    let half = begin(address, b"GET /callback?code=a HTTP/1.1\r\nHo").await;
    let gone = begin(address, b"GET /callback").await;
    drop(gone);

    let with_host = |line: &str, host: &str| format!("{line}\r\nHost: {host}\r\n\r\n");
    let callback = "GET /callback?code=a&state=b HTTP/1.1";
    let port = address.port();
    for (sent, status) in [
        (
            with_host("GET /favicon.ico HTTP/1.1", &host),
            "404 Not Found",
        ),
        (with_host("GET / HTTP/1.1", &host), "404 Not Found"),
        (with_host("GET /callback/ HTTP/1.1", &host), "404 Not Found"),
        (
            with_host("GET /CALLBACK?code=a HTTP/1.1", &host),
            "404 Not Found",
        ),
        (with_host("GET /done HTTP/1.1", &host), "404 Not Found"),
        (
            with_host("HEAD /callback?code=a HTTP/1.1", &host),
            "405 Method Not Allowed",
        ),
        (
            with_host("OPTIONS /callback HTTP/1.1", &host),
            "405 Method Not Allowed",
        ),
        (
            format!("POST /callback HTTP/1.1\r\nHost: {host}\r\nContent-Length: 6\r\n\r\ncode=a"),
            "405 Method Not Allowed",
        ),
        // DNS rebinding: the name is an attacker's, the address is ours.
        (
            with_host(callback, "evil.example"),
            "421 Misdirected Request",
        ),
        (
            with_host(callback, &format!("evil.example:{port}")),
            "421 Misdirected Request",
        ),
        (
            with_host(callback, &format!("localhost:{port}")),
            "421 Misdirected Request",
        ),
        (with_host(callback, "127.0.0.1"), "421 Misdirected Request"),
        (
            with_host(callback, &format!("[::1]:{port}")),
            "421 Misdirected Request",
        ),
        (format!("{callback}\r\n\r\n"), "400 Bad Request"),
        (
            format!("{callback}\r\nHost: {host}\r\nHost: {host}\r\n\r\n"),
            "400 Bad Request",
        ),
        ("\u{16}\u{3}\u{1}\r\n\r\n".to_owned(), "400 Bad Request"),
        (
            format!(
                "{callback}\r\nHost: {host}\r\nCookie: {}\r\n\r\n",
                "a".repeat(17_000)
            ),
            "431 Request Header Fields Too Large",
        ),
        (
            format!("GET /callback?code={} HTTP/1.1", "a".repeat(40_000)),
            "431 Request Header Fields Too Large",
        ),
    ] {
        let shown: String = sent.chars().take(60).collect();
        let answer = send(address, sent.as_bytes()).await;
        assert_eq!(answer.status, status, "{shown}");
        assert_eq!(answer.body, "", "{shown}");
        let allow = (status == "405 Method Not Allowed").then_some("GET");
        assert_eq!(answer.header("allow"), allow);
    }
    assert_eq!(desk.server.count(Endpoint::Token), 0);
    assert_eq!(desk.refused.lock().unwrap().len(), 0);

    let page = desk.ends(&desk.approved().await).await;
    assert!(page.body.contains("You are signed in"));
    assert!(desk.outcome().await.1.is_ok());
    drop((silent, half));
}

/// More connections than are held at a time, all of which say nothing: the callback comes in at once.
#[tokio::test]
async fn a_crowd_that_says_nothing() {
    let desk = Desk::open().await;
    let callback = desk.approved().await;
    let mut crowd = Vec::new();
    for at in 0..60 {
        let begun: &[u8] = if at % 2 == 0 { b"" } else { b"GET /callb" };
        crowd.push(begin(desk.address, begun).await);
    }
    // Sooner than the first of them is out of time.
    let at_once = std::time::Duration::from_secs(4);
    let page = tokio::time::timeout(at_once, desk.ends(&callback))
        .await
        .unwrap();
    assert!(page.body.contains("You are signed in"));
    assert!(desk.outcome().await.1.is_ok());
}

/// SP-5.3.3.2-5, R6749-10.12, ERR-14: a forged callback gets a page that says so, uses nothing up, and
/// sends nothing. The real one still counts.
#[tokio::test]
async fn forged_callbacks() {
    let desk = Desk::open().await;
    let (state, issuer) = (desk.state(), desk.server.issuer().to_owned());
    let callback = desk.approved().await;
    let wrong_issuer = || Violation::Issuer {
        expected: issuer.clone(),
    };
    let rows = [
        (
            format!("code=a&state=forged&iss={issuer}"),
            Violation::State,
        ),
        (format!("code=a&iss={issuer}"), Violation::State),
        (
            format!("error=access_denied&state=forged&iss={issuer}"),
            Violation::State,
        ),
        (
            format!("code=a&state={state}&iss=https://evil.example"),
            wrong_issuer(),
        ),
        (
            format!("error=access_denied&state={state}&iss=https://evil.example"),
            wrong_issuer(),
        ),
        (format!("code=a&state={state}"), Violation::MissingIssuer),
        (
            format!("code=a&code=b&state={state}&iss={issuer}"),
            Violation::DuplicateParameter { name: "code" },
        ),
        ("code=%zz".to_owned(), Violation::Callback),
        (String::new(), Violation::MissingIssuer),
    ];
    let mut expected = Vec::new();
    for (query, violation) in rows {
        let answer = desk.get(&format!("/callback?{query}")).await;
        assert_eq!(answer.status, "400 Bad Request", "{query}");
        let own = "This link does not belong to your sign-in";
        assert!(answer.body.contains(own), "{query}");
        assert!(answer.body.contains(violation.code()), "{query}");
        assert!(!answer.body.contains("forged"), "{query}");
        assert!(!answer.body.contains("evil"), "{query}");
        expected.push(violation);
    }
    let answer = desk.get("/callback").await;
    assert_eq!(answer.status, "400 Bad Request");
    expected.push(Violation::MissingIssuer);
    assert_eq!(*desk.refused.lock().unwrap(), expected);
    assert_eq!(desk.server.count(Endpoint::Token), 0);

    let page = desk.ends(&callback).await;
    assert!(page.body.contains("You are signed in"));
    assert!(desk.outcome().await.1.is_ok());
}

/// A wait that ends without a callback says why the last one did not count.
#[tokio::test]
async fn the_last_refusal_is_told_at_the_end() {
    let server = TestServer::start().await;
    let client = desk::client(&server, REGISTERED).await;
    let loopback = fapi_client::native::Loopback::bind_for(&client)
        .await
        .unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let mut stop = Some(stop);
    // The end of the time, at the moment that the refusal is known.
    let loopback = loopback
        .time_limit(std::time::Duration::from_secs(1))
        .on_progress(move |progress| {
            if let fapi_client::native::Progress::Refused(_) = progress {
                stop.take().unwrap().send(()).unwrap();
            }
        });
    let address = loopback.local_addr();
    let login = loopback.aim(client.login().scope("openid")).unwrap();
    let login = login.start().await.unwrap();
    let forged = format!("/callback?code=a&state=b&iss={}", server.issuer());
    let forged = begin(address, request(address, &forged).as_bytes()).await;
    let error = loopback.wait(&client, &login).await.unwrap_err();
    stopped.await.unwrap();
    let Error::Native(NativeError::TimedOut { refused }) = &error else {
        panic!("{error:?}");
    };
    assert_eq!(refused.as_deref(), Some(&Violation::State));
    assert!(error.retry_may_help());
    assert_eq!(
        error.to_string(),
        "the user did not come back in time; begin a new login (the last callback did not count: the callback's state belongs to no login of this browser (RFC 6749 section 10.12))"
    );
    assert_eq!(answer(forged).await.status, "400 Bad Request");
    assert_eq!(server.count(Endpoint::Token), 0);
}

/// SEC-6.4: two callbacks at once. Success is shown when the code was redeemed, once; who sent the same
/// sees it as well, and who sent another does not.
#[tokio::test]
async fn several_callbacks_at_once() {
    let desk = Desk::open().await;
    let address = desk.address;
    let callback = desk.approved().await;
    let hold = desk.server.hold(Endpoint::Token);
    let first = begin(address, request(address, &callback).as_bytes()).await;
    desk.server.wait_for(Endpoint::Token, 1).await;
    let again = begin(address, request(address, &callback).as_bytes()).await;
    let other = format!(
        "/callback?code=a&state={}&iss={}",
        desk.state(),
        desk.server.issuer()
    );
    let other = begin(address, request(address, &other).as_bytes()).await;
    // One that came later has its answer: so the three before it were read, and nothing was said to them.
    assert_eq!(desk.get("/done").await.status, "404 Not Found");
    for stream in [&first, &again, &other] {
        let nothing = stream.try_read(&mut [0; 1]).unwrap_err();
        assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock);
    }
    hold.release();
    for stream in [first, again] {
        let answer = answer(stream).await;
        assert_eq!(answer.status, "303 See Other");
        assert_eq!(answer.header("location"), Some("/done"));
    }
    let other = answer(other).await;
    assert_eq!(other.status, "400 Bad Request");
    assert!(other.body.contains("violation.no_such_login"));
    // NAT-7.3: a second hit finds nothing.
    assert_eq!(desk.get(&callback).await.status, "404 Not Found");
    for _ in 0..2 {
        let page = desk.get("/done").await;
        assert!(page.body.contains("You are signed in"));
    }
    let (server, outcome) = desk.outcome().await;
    assert_eq!(outcome.unwrap().subject(), Some("alice"));
    // The nonce's retry apart, which sends the same code again.
    let codes: std::collections::HashSet<_> = server
        .requests_to(Endpoint::Token)
        .iter()
        .map(|request| request.form_value("code").unwrap().to_owned())
        .collect();
    assert_eq!(codes.len(), 1);
}

/// A forged callback that comes while the real one is not there yet does not keep it out.
#[tokio::test]
async fn a_forged_one_goes_first() {
    let desk = Desk::open().await;
    let address = desk.address;
    let callback = desk.server.browser("alice").approve(&desk.url).await;
    let forged = begin(address, request(address, "/callback?code=a").as_bytes()).await;
    let page = desk.ends(&target(&callback)).await;
    assert!(page.body.contains("You are signed in"));
    assert_eq!(answer(forged).await.status, "400 Bad Request");
    assert!(desk.outcome().await.1.is_ok());
}
