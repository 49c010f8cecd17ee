//! What another site can make a browser send.

use fapi_testkit::Endpoint;
use reqwest::StatusCode;

use crate::visitor::{ORIGIN, Visitor};
use crate::world::World;

const BUTTONS: [&str; 4] = ["/login", "/accounts", "/logout", "/logout-everywhere"];
const EVIL: &str = "https://evil.example";

/// What another site, or one of the same domain, makes of the user's browser: cookies and all, and even a
/// token that it somehow got.
async fn from_elsewhere(visitor: &mut Visitor, path: &str) {
    let right = format!("token={}", visitor.token);
    let cases: [&[(&str, &str)]; 8] = [
        &[],
        &[("origin", EVIL)],
        &[("origin", "null")],
        &[("origin", "http://app.example")],
        &[("origin", "https://app.example:8443")],
        &[("origin", "https://www.app.example")],
        &[("origin", ORIGIN), ("sec-fetch-site", "cross-site")],
        &[("origin", ORIGIN), ("sec-fetch-site", "same-site")],
    ];
    for headers in cases {
        let page = visitor.post(path, headers, &right).await;
        assert_eq!(page.status, StatusCode::FORBIDDEN, "{path} {headers:?}");
        assert_eq!(page.title(), "That did not come from this page");
    }
}

/// A form without the right token, from wherever it says.
async fn without_a_token(visitor: &mut Visitor, other: &Visitor, path: &str) {
    let cases = [
        String::new(),
        "token=".to_owned(),
        "token=x".to_owned(),
        format!("token={}", other.token),
        format!("token={}", visitor.cookies["__Host-csrf"]),
        format!("TOKEN={}", visitor.token),
        format!("token={}{}", visitor.token, "x".repeat(5000)),
    ];
    for form in cases {
        let page = visitor.post(path, &[("origin", ORIGIN)], &form).await;
        assert_eq!(page.status, StatusCode::FORBIDDEN, "{path} {form}");
    }
    let mut bare = visitor.clone();
    bare.cookies.remove("__Host-csrf");
    let page = bare.press(path).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN, "{path} without cookie");
}

/// SP-5.3.3.1-12: no other site begins a login, calls the API, or logs anybody out. Nothing is sent to any
/// server.
#[tokio::test]
async fn nothing_is_done_for_another_site() {
    let world = World::new().await;
    let other = world.logged_in("mallory").await;
    let mut alice = world.logged_in("alice").await;
    world.server.forget_requests();
    for path in BUTTONS {
        from_elsewhere(&mut alice, path).await;
        without_a_token(&mut alice, &other, path).await;
        let page = alice.open(path).await;
        assert_eq!(page.status, StatusCode::FORBIDDEN, "GET {path}");
    }
    assert_eq!(world.server.requests().len(), 0);
    assert_eq!(alice.open("/").await.title(), "You are logged in");

    let begun = alice.press("/login").await;
    assert!(begun.location().starts_with(world.server.issuer()));
    assert_eq!(world.count(Endpoint::Par), 1);
}

/// A browser that says nothing of where the request comes from, beyond its origin, can log in.
#[tokio::test]
async fn an_older_browser() {
    let world = World::new().await;
    let mut visitor = world.visitor();
    visitor.open("/").await;
    let form = format!("token={}", visitor.token);
    let page = visitor.post("/login", &[("origin", ORIGIN)], &form).await;
    assert!(page.location().starts_with(world.server.issuer()));
}

/// Two pages of one browser: the forms of both hold good.
#[tokio::test]
async fn tokens_of_two_pages() {
    let world = World::new().await;
    let mut visitor = world.visitor();
    let first = visitor.open("/").await;
    assert_eq!(
        first.cookie("__Host-csrf").unwrap(),
        format!(
            "__Host-csrf={}; Max-Age=28800; Path=/; Secure; HttpOnly; SameSite=Lax",
            visitor.cookies["__Host-csrf"]
        )
    );
    let earlier = visitor.token.clone();
    let second = visitor.open("/").await;
    assert_eq!(second.cookie("__Host-csrf"), None);
    assert_ne!(visitor.token, earlier);
    visitor.token = earlier;
    assert!(
        visitor
            .press("/login")
            .await
            .location()
            .starts_with(world.server.issuer())
    );
}
