//! Where the listener stands, and for whom.

use std::future::Future;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::task::{Context, Poll, Waker};

use fapi_client::native::Loopback;
use fapi_client::{Client, ConfigError, Error, NativeError};
use fapi_testkit::TestServer;

use crate::common;
use crate::desk::{self, REGISTERED};

/// NAT-7.3, NAT-8.3: the two loopback addresses, as numbers, and no other.
#[tokio::test]
async fn on_loopback_alone() {
    let loopback = Loopback::bind().await.unwrap();
    let address = loopback.local_addr();
    assert_eq!(address.ip(), Ipv4Addr::LOCALHOST);
    assert_ne!(address.port(), 0);
    let port = address.port();
    assert_eq!(
        loopback.redirect_uri(),
        format!("http://127.0.0.1:{port}/callback")
    );
    let other = Loopback::bind_on(Ipv6Addr::LOCALHOST.into(), 0)
        .await
        .unwrap();
    assert_eq!(other.local_addr().ip(), Ipv6Addr::LOCALHOST);
    let port = other.local_addr().port();
    assert_eq!(
        other.redirect_uri(),
        format!("http://[::1]:{port}/callback")
    );
    for address in [
        "0.0.0.0",
        "::",
        "127.0.0.2",
        "192.168.0.1",
        "::ffff:127.0.0.1",
        "fe80::1",
    ] {
        let address: IpAddr = address.parse().unwrap();
        let error = Loopback::bind_on(address, 0).await.unwrap_err();
        assert_eq!(
            common::config(&error),
            Some(&ConfigError::NotLoopback(address))
        );
    }
}

#[tokio::test]
async fn a_port_that_is_taken() {
    let first = Loopback::bind().await.unwrap();
    let address = first.local_addr();
    let error = Loopback::bind_on(address.ip(), address.port())
        .await
        .unwrap_err();
    let Error::Native(error) = error else {
        panic!("{error:?}");
    };
    let kind = ErrorKind::AddrInUse;
    assert_eq!(error, NativeError::Listen { address, kind });
    assert_eq!(error.code(), "native.listen");
    drop(first);
    let again = Loopback::bind_on(address.ip(), address.port())
        .await
        .unwrap();
    assert_eq!(again.local_addr(), address);
}

#[tokio::test]
async fn paths() {
    for path in ["/", "/cb", "/a/b.c/d_e-f~g", "/a%20b", "//cb"] {
        let loopback = Loopback::bind().await.unwrap().path(path).unwrap();
        let port = loopback.local_addr().port();
        assert_eq!(
            loopback.redirect_uri(),
            format!("http://127.0.0.1:{port}{path}")
        );
    }
    for path in [
        "",
        "cb",
        "/a b",
        "/a?b",
        "/a#b",
        "/a/../b",
        "/\u{e4}",
        "@evil.example/",
        "/a\r\nb",
        "\\cb",
    ] {
        let error = Loopback::bind().await.unwrap().path(path).unwrap_err();
        assert_eq!(error, ConfigError::CallbackPath(path.to_owned()));
    }
}

async fn client_at(server: &TestServer, redirect_uri: &str) -> Client {
    desk::client(server, redirect_uri).await
}

/// NAT-7.3: only the port is free. A listener that stands elsewhere than the redirect URI leads takes no
/// login, and nothing is sent.
#[tokio::test]
async fn a_login_that_leads_elsewhere() {
    let server = TestServer::start().await;
    let loopback = Loopback::bind().await.unwrap();
    let port = loopback.local_addr().port();
    for redirect_uri in [
        "https://app.example/callback".to_owned(),
        "http://127.0.0.1/other".to_owned(),
        "http://[::1]/callback".to_owned(),
        format!("http://127.0.0.1:{}/callback", port ^ 1),
    ] {
        let client = client_at(&server, &redirect_uri).await;
        server.forget_requests();
        let error = loopback.aim(client.login().scope("openid")).err().unwrap();
        let listener = loopback.redirect_uri();
        assert_eq!(error, ConfigError::OtherLoopback { listener });
        assert_eq!(server.requests().len(), 0);
    }
    for redirect_uri in [
        REGISTERED.to_owned(),
        "http://127.0.0.1:0/callback".to_owned(),
        format!("http://127.0.0.1:{port}/callback"),
    ] {
        let client = client_at(&server, &redirect_uri).await;
        assert!(loopback.aim(client.login().scope("openid")).is_ok());
    }
    let client = client_at(&server, "https://app.example/callback").await;
    let error = Loopback::bind_for(&client).await.unwrap_err();
    let listener = REGISTERED.to_owned();
    assert_eq!(
        common::config(&error),
        Some(&ConfigError::OtherLoopback { listener })
    );
}

/// A port that is registered is the port that is listened on.
#[tokio::test]
async fn a_port_that_is_registered() {
    let server = TestServer::start().await;
    let free = Loopback::bind().await.unwrap().local_addr();
    let client = client_at(&server, &format!("http://{free}/cb")).await;
    let loopback = Loopback::bind_for(&client).await.unwrap();
    assert_eq!(loopback.local_addr(), free);
    assert_eq!(loopback.redirect_uri(), format!("http://{free}/cb"));
}

/// Outside of a runtime it is an error, not a panic.
#[test]
fn without_a_runtime() {
    let mut bind = Box::pin(Loopback::bind());
    let mut context = Context::from_waker(Waker::noop());
    let Poll::Ready(Err(error)) = bind.as_mut().poll(&mut context) else {
        panic!("it waits, or listens");
    };
    assert_eq!(common::config(&error), Some(&ConfigError::NoRuntime));
}
