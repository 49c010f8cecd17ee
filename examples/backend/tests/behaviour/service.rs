//! Headers of every page, and what machines ask for.

use fapi_backend::tls::TlsListener;
use fapi_testkit::TestServer;
use reqwest::StatusCode;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::visitor::http;
use crate::world::World;

/// No script, no frame, no guess, no cache, on every page there is.
#[tokio::test]
async fn security_headers() {
    let world = World::new().await;
    let mut visitor = world.logged_in("alice").await;
    let mut pages = Vec::new();
    for path in ["/", "/nowhere", "/callback", "/signed-out", "/login"] {
        pages.push((path, visitor.open(path).await));
    }
    pages.push(("/accounts", visitor.press("/accounts").await));
    pages.push(("forged", visitor.post("/login", &[], "").await));
    for (path, page) in pages {
        let policy = page.header("content-security-policy");
        let (before, rest) = policy.split_once("style-src 'sha256-").unwrap();
        let (hash, after) = rest.split_once('\'').unwrap();
        assert_eq!(before, "default-src 'none'; ", "{path}");
        assert_eq!(hash.len(), 44);
        assert_eq!(
            after,
            format!(
                "; form-action 'self' {}; frame-ancestors 'none'; base-uri 'none'",
                world.server.issuer()
            )
        );
        assert_eq!(page.header("cache-control"), "no-store", "{path}");
        assert_eq!(page.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(page.header("cross-origin-opener-policy"), "same-origin");
        let referrer = if path == "/callback" {
            "no-referrer"
        } else {
            "same-origin"
        };
        assert_eq!(page.header("referrer-policy"), referrer, "{path}");
        assert!(!page.body.contains("<script"), "{path}");
    }
}

/// The key set is what was registered, and has no private member.
#[tokio::test]
async fn our_keys() {
    let world = World::new().await;
    let page = world.visitor().open("/jwks").await;
    assert_eq!(page.header("content-type"), "application/jwk-set+json");
    let jwks: Value = serde_json::from_str(&page.body).unwrap();
    assert_eq!(jwks, world.jwks);
    assert!(jwks["keys"][0].get("d").is_none());
}

/// Health and counters.
#[tokio::test]
async fn health_and_metrics() {
    let world = World::new().await;
    let mut alice = world.logged_in("alice").await;
    alice.press("/logout").await;
    let page = world.visitor().open("/healthz").await;
    assert_eq!((page.status, page.body.as_str()), (StatusCode::OK, "ok\n"));
    let page = world.visitor().open("/metrics").await;
    assert_eq!(page.header("content-type"), "text/plain; version=0.0.4");
    for line in [
        "# TYPE fapi_sessions_created_total counter",
        "fapi_sessions_created_total 1",
        "fapi_sessions_ended_total 1",
        "fapi_store_failures_total 0",
    ] {
        assert!(page.body.lines().any(|found| found == line), "{line}");
    }
}

/// https by itself: a client that says nothing holds up nobody.
#[tokio::test]
async fn https_without_a_proxy() {
    let server = TestServer::start().await;
    let (chain, key) = server.certificate_for(&["localhost"]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let listener = TlsListener::new(listener, &chain, &key).unwrap();
    let routes = axum::Router::new().route("/", axum::routing::get(|| async { "hello" }));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    let silent = tokio::net::TcpStream::connect(address).await.unwrap();
    let url = format!("https://localhost:{}/", address.port());
    let answer = http(&server.ca_pem()).get(&url).send().await.unwrap();
    assert_eq!(answer.text().await.unwrap(), "hello");
    drop(silent);

    let other = TestServer::start().await.certificate_for(&["localhost"]).1;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let refused = TlsListener::new(listener, &chain, &other).err().unwrap();
    assert!(refused.to_string().contains("key"), "{refused}");
}
