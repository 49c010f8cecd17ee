//! The pages, and what is left when the wait is over.

use fapi_client::native::Loopback;
use fapi_client::{Error, SignInAgain};
use fapi_testkit::{Endpoint, TestServer, TokenFault};
use tokio::net::TcpStream;

use crate::desk::{self, Answer, Desk, REGISTERED, assert_closed, begin, request};

/// The headers of every answer, to the letter.
fn assert_headers(answer: &Answer, further: &[(&str, &str)]) {
    let policy = answer.header("content-security-policy").unwrap();
    let hash = policy
        .strip_prefix("default-src 'none'; style-src 'sha256-")
        .and_then(|rest| {
            rest.strip_suffix("'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
        });
    assert_eq!(hash.unwrap().len(), 44);
    let length = answer.body.len().to_string();
    let mut expected = further.to_vec();
    expected.extend([
        ("content-length", length.as_str()),
        ("content-security-policy", policy),
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("connection", "close"),
    ]);
    let headers: Vec<_> = answer
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    assert_eq!(headers, expected);
}

const HTML: (&str, &str) = ("content-type", "text/html; charset=utf-8");

/// No answer is kept, framed, or told to other sites, and the code is in none of them, nor in
/// the address that the browser ends at.
#[tokio::test]
async fn what_the_browser_is_told() {
    let desk = Desk::open().await;
    let callback = desk.approved().await;
    assert_headers(&desk.get("/favicon.ico").await, &[]);
    assert_headers(&desk.get("/callback?code=a").await, &[HTML]);
    let answer = desk.get(&callback).await;
    assert_eq!(answer.status, "303 See Other");
    assert_headers(&answer, &[("location", "/done")]);
    let page = desk.get("/done").await;
    assert_eq!(page.status, "200 OK");
    assert_headers(&page, &[HTML]);
    assert!(page.body.contains("go back to Bank."));
    assert!(!page.body.contains("<script"));
    let secrets = desk.server.secrets_issued();
    assert!(secrets.len() > 3);
    for secret in secrets.iter().chain([&desk.state()]) {
        for answer in [&answer, &page] {
            assert!(!format!("{answer:?}").contains(secret.as_str()));
        }
    }
    assert!(desk.outcome().await.1.is_ok());
}

/// The name of the program is text on every page.
#[tokio::test]
async fn a_name_is_no_markup() {
    let name = "<script>alert('x')</script> & \"Sons\"";
    let text = "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; &quot;Sons&quot;";
    let desk = Desk::with(|loopback| loopback.app_name(name)).await;
    let stray = desk.get("/callback?code=a").await;
    let page = desk.ends(&desk.approved().await).await;
    for page in [stray, page] {
        assert!(page.body.contains(text), "{page:?}");
        assert!(!page.body.contains("<script"), "{page:?}");
    }
    assert!(desk.outcome().await.1.is_ok());

    let desk = Desk::with(|loopback| loopback).await;
    let page = desk.ends(&desk.approved().await).await;
    assert!(page.body.contains("go back to the program."));
    assert!(desk.outcome().await.1.is_ok());
}

/// Success is shown to those who have it: a token that is not bound, and a server that is down, after a
/// callback that holds.
#[tokio::test]
async fn what_fails_after_the_callback_is_no_success() {
    let desk = Desk::open().await;
    let callback = desk.approved().await;
    desk.server.misbehave(TokenFault::Bearer);
    let page = desk.ends(&callback).await;
    assert!(page.body.contains("The sign-in was stopped"), "{page:?}");
    assert!(page.body.contains("violation.token_type_downgrade"));
    let (_, outcome) = desk.outcome().await;
    assert_eq!(
        outcome.unwrap_err().code(),
        "violation.token_type_downgrade"
    );

    let desk = Desk::open().await;
    let callback = desk.approved().await;
    desk.server.set_offline(true);
    let page = desk.ends(&callback).await;
    assert!(page.body.contains("could not be reached"), "{page:?}");
    let (_, outcome) = desk.outcome().await;
    assert!(matches!(outcome, Err(Error::Transport(_))), "{outcome:?}");

    // The state is right, so only the server can have sent it: this one is final.
    let desk = Desk::open().await;
    let callback = format!(
        "/callback?code=&state={}&iss={}",
        desk.state(),
        desk.server.issuer()
    );
    let page = desk.ends(&callback).await;
    assert!(page.body.contains("violation.missing_code"), "{page:?}");
    let (server, outcome) = desk.outcome().await;
    assert_eq!(outcome.unwrap_err().code(), "violation.missing_code");
    assert_eq!(server.count(Endpoint::Token), 0);
}

/// A browser that goes away does not hold up the program.
#[tokio::test]
async fn a_browser_that_is_gone() {
    let desk = Desk::open().await;
    let address = desk.address;
    let callback = desk.approved().await;
    let hold = desk.server.hold(Endpoint::Token);
    let gone = begin(address, request(address, &callback).as_bytes()).await;
    desk.server.wait_for(Endpoint::Token, 1).await;
    // At once, and not in good order.
    gone.set_zero_linger().unwrap();
    drop(gone);
    hold.release();
    let (_, outcome) = desk.outcome().await;
    assert_eq!(outcome.unwrap().subject(), Some("alice"));
    assert_closed(address).await;
}

/// A dropped wait leaves nothing: the port is free at once, and connections are closed.
#[tokio::test]
async fn a_wait_that_is_dropped() {
    let server = TestServer::start().await;
    let client = desk::client(&server, REGISTERED).await;
    let loopback = Loopback::bind_for(&client).await.unwrap();
    let address = loopback.local_addr();
    let login = loopback.aim(client.login().scope("openid")).unwrap();
    let login = login.start().await.unwrap();
    {
        let mut wait = Box::pin(loopback.wait(&client, &login));
        let open = begin(address, b"GET /callback").await;
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(wait.as_mut().poll(&mut context).is_pending());
        drop(wait);
        std::net::TcpListener::bind(address).unwrap();
        let mut nothing = [0; 1];
        open.readable().await.unwrap();
        match open.try_read(&mut nothing) {
            Ok(read) => assert_eq!(read, 0),
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
        }
    }
    // The login itself goes on: another listener can take the port and wait for it.
    let again = Loopback::bind_on(address.ip(), address.port())
        .await
        .unwrap();
    drop(again);
    TcpStream::connect(address).await.unwrap_err();
    assert_eq!(server.count(Endpoint::Token), 0);
}

/// The session that comes out is a session like any other.
#[tokio::test]
async fn the_session_works() {
    let desk = Desk::open().await;
    desk.ends(&desk.approved().await).await;
    let (server, outcome) = desk.outcome().await;
    let session = outcome.unwrap();
    crate::common::get(&session, &server, "/accounts")
        .await
        .unwrap()
        .error_for_status()
        .unwrap();
    session.refresh().await.unwrap();
    session.logout().await.unwrap();
    let over = session.refresh().await.unwrap_err();
    assert!(matches!(over, Error::SignInAgain(SignInAgain::LoggedOut)));
}
