//! Whole logins.

use fapi_client::native::{self, Loopback};
use fapi_client::{Denied, Error, NativeError};
use fapi_testkit::{Endpoint, TestServer};
use tokio::sync::{mpsc, oneshot};
use url::Url;

use crate::common;
use crate::desk::{self, Desk, REGISTERED, assert_closed, get, target};

/// NAT-7.3: one call logs the user in. The redirect URI that is registered has no port, the one
/// that is pushed and redeemed has the port that is listened on, and afterwards nobody listens there.
#[tokio::test]
async fn one_call() {
    let server = TestServer::start().await;
    let client = desk::client(&server, REGISTERED).await;
    let (url_sender, url) = oneshot::channel::<Url>();
    let (told_sender, mut told) = mpsc::unbounded_channel();
    let login = native::log_in(client.login().scope("openid accounts"))
        .app_name("Bank")
        .without_browser()
        .on_url(move |url| url_sender.send(url.clone()).unwrap())
        .on_progress(move |progress| told_sender.send(format!("{progress:?}")).unwrap());
    let login = tokio::spawn(login.wait());

    let url = url.await.unwrap();
    let names: Vec<_> = url.query_pairs().map(|(name, _)| name).collect();
    assert_eq!(names, ["client_id", "request_uri"]);
    let callback = server.browser("alice").approve(url.as_str()).await;
    let callback = Url::parse(&callback).unwrap();
    let port = callback.port().unwrap();
    let redirect_uri = format!("http://127.0.0.1:{port}/callback");
    assert!(callback.as_str().starts_with(&format!("{redirect_uri}?")));
    let address = ([127, 0, 0, 1], port).into();
    let answer = get(address, &target(callback.as_str())).await;
    assert_eq!(answer.status, "303 See Other");
    assert_eq!(answer.header("location"), Some("/done"));
    let page = get(address, "/done").await;
    assert!(page.body.contains("You are signed in"), "{page:?}");

    let session = login.await.unwrap().unwrap();
    assert_eq!(session.subject(), Some("alice"));
    assert_closed(address).await;
    for endpoint in [Endpoint::Par, Endpoint::Token] {
        let request = server.requests_to(endpoint).pop().unwrap();
        assert_eq!(
            request.form_value("redirect_uri"),
            Some(redirect_uri.as_str())
        );
    }
    let mut all = Vec::new();
    while let Some(progress) = told.recv().await {
        all.push(progress);
    }
    assert_eq!(all, ["Waiting", "Checking"]);
}

/// NAT-7.3: the same on `[::1]`.
#[tokio::test]
async fn on_the_other_loopback_address() {
    let server = TestServer::start().await;
    let client = desk::client(&server, "http://[::1]/cb").await;
    let loopback = Loopback::bind_for(&client).await.unwrap();
    let address = loopback.local_addr();
    assert_eq!(address.ip(), std::net::Ipv6Addr::LOCALHOST);
    assert_eq!(
        loopback.redirect_uri(),
        format!("http://[::1]:{}/cb", address.port())
    );
    let login = loopback.aim(client.login().scope("openid")).unwrap();
    let login = login.start().await.unwrap();
    let callback = server.browser("alice").approve(login.url().as_str()).await;
    assert!(callback.starts_with(&format!("{}?", loopback.redirect_uri())));
    let waiting = tokio::spawn(async move { loopback.wait(&client, &login).await });
    let answer = get(address, &target(&callback)).await;
    assert_eq!(answer.status, "303 See Other");
    get(address, "/done").await;
    let session = waiting.await.unwrap().unwrap();
    assert_eq!(session.subject(), Some("alice"));
}

/// A client that is built for the listener, with its port; and a callback that is at the path where the
/// last page would be.
#[tokio::test]
async fn the_listener_first() {
    let loopback = Loopback::bind().await.unwrap().path("/done").unwrap();
    let address = loopback.local_addr();
    let server = TestServer::start().await;
    let client = desk::client(&server, &loopback.redirect_uri()).await;
    let login = common::begin(&client).await;
    let callback = server.browser("alice").approve(login.url().as_str()).await;
    let waiting = tokio::spawn(async move { loopback.wait(&client, &login).await });
    let answer = get(address, &target(&callback)).await;
    assert_eq!(answer.header("location"), Some("/signed-in"));
    let page = get(address, "/signed-in").await;
    assert!(page.body.contains("You are signed in"));
    assert!(waiting.await.unwrap().is_ok());
}

/// R6749-4.1.2.1: the user's own refusal is an error of its own, and the page says what it means. What
/// the server wrote is not on it.
#[tokio::test]
async fn a_user_who_refuses() {
    let desk = Desk::open().await;
    let callback = format!(
        "/callback?error=access_denied&error_description=%3Cscript%3Ealert(1)%3C/script%3E&state={}&iss={}",
        desk.state(),
        desk.server.issuer()
    );
    let page = desk.ends(&callback).await;
    assert_eq!(page.status, "200 OK");
    assert!(page.body.contains("You did not agree"), "{page:?}");
    assert!(page.body.contains("denied.access_denied"));
    assert!(!page.body.contains("alert"));
    assert!(!page.body.contains("signed in<"));
    let (server, outcome) = desk.outcome().await;
    let error = outcome.unwrap_err();
    assert!(
        matches!(error, Error::Denied(Denied::AccessDenied(_))),
        "{error:?}"
    );
    assert_eq!(server.count(Endpoint::Token), 0);
}

/// The same, by the server's own page.
#[tokio::test]
async fn a_user_who_refuses_at_the_server() {
    let desk = Desk::open().await;
    let callback = desk.server.browser("alice").deny(&desk.url).await;
    let page = desk.ends(&target(&callback)).await;
    assert!(page.body.contains("You did not agree"), "{page:?}");
    let (_, outcome) = desk.outcome().await;
    assert_eq!(outcome.unwrap_err().code(), "denied.access_denied");
}

/// The program's own end, and the user's absence, are outcomes of their own. Nothing is redeemed, and
/// the port is free.
#[tokio::test]
async fn called_off_and_timed_out() {
    let (stop, stopped) = oneshot::channel::<()>();
    let desk = Desk::with(|loopback| {
        loopback.until(async move {
            let _ = stopped.await;
        })
    })
    .await;
    let address = desk.address;
    stop.send(()).unwrap();
    let (server, outcome) = desk.outcome().await;
    let error = outcome.unwrap_err();
    assert!(
        matches!(error, Error::Native(NativeError::Cancelled)),
        "{error:?}"
    );
    assert_eq!(error.code(), "native.cancelled");
    assert_eq!(server.count(Endpoint::Token), 0);
    assert_closed(address).await;

    let limit = std::time::Duration::from_millis(5);
    let desk = Desk::with(|loopback| loopback.time_limit(limit)).await;
    let address = desk.address;
    let (server, outcome) = desk.outcome().await;
    let error = outcome.unwrap_err();
    assert!(
        matches!(
            error,
            Error::Native(NativeError::TimedOut { refused: None })
        ),
        "{error:?}"
    );
    assert_eq!(error.code(), "native.timed_out");
    assert_eq!(server.count(Endpoint::Token), 0);
    assert_closed(address).await;
}

/// A login that is called off before it began sends nothing.
#[tokio::test]
async fn called_off_before_it_began() {
    let server = TestServer::start().await;
    let client = desk::client(&server, REGISTERED).await;
    server.forget_requests();
    let outcome = native::log_in(client.login().scope("openid"))
        .without_browser()
        .on_url(|_| panic!("a URL"))
        .until(std::future::ready(()))
        .wait()
        .await;
    assert_eq!(outcome.unwrap_err().code(), "native.cancelled");
    assert_eq!(server.requests().len(), 0);
}
