//! From the login button to the session.

use fapi_testkit::{AuthorizationFault, Endpoint};
use reqwest::StatusCode;

use crate::visitor::ORIGIN;
use crate::world::{CLIENT_ID, World};

const ATTRIBUTES: &str = "Path=/; Secure; HttpOnly; SameSite=Lax";

/// SP-5.3.3.2-2, SP-5.3.3.2-6: the button leads to the server with two parameters, by 303; the login is
/// bound to this browser. The callback leads to our own first page, with a session that the browser can't
/// read.
#[tokio::test]
async fn a_login() {
    let world = World::new().await;
    let mut visitor = world.visitor();
    let page = visitor.open("/").await;
    assert_eq!(page.title(), "Your accounts in one place");

    let sent = visitor.press("/login").await;
    let url = sent.location().to_owned();
    let (endpoint, query) = url.split_once('?').unwrap();
    assert_eq!(
        endpoint,
        format!("{}/authorize", world.server.issuer()),
        "{url}"
    );
    let names: Vec<&str> = query
        .split('&')
        .map(|pair| pair.split('=').next().unwrap())
        .collect();
    assert_eq!(names, ["client_id", "request_uri"]);
    let handle = visitor.cookies["__Host-login"].clone();
    assert_eq!(handle.len(), 43);
    assert_eq!(
        sent.cookie("__Host-login").unwrap(),
        format!("__Host-login={handle}; Max-Age=900; {ATTRIBUTES}")
    );

    let callback = world.server.browser("alice").approve(&url).await;
    assert!(callback.starts_with(&format!("{ORIGIN}/callback?")));
    let back = visitor.open(&callback).await;
    assert_eq!(back.location(), "/");
    assert_eq!(back.header("cache-control"), "no-store");
    let sealed = visitor.cookies["__Host-session"].clone();
    assert_eq!(
        back.cookie("__Host-session").unwrap(),
        format!("__Host-session={sealed}; Max-Age=28800; {ATTRIBUTES}")
    );
    assert_eq!(back.cookie("__Host-login"), None, "a second tab needs it");

    let home = visitor.open("/").await;
    assert_eq!(home.title(), "You are logged in");
    assert!(home.body.contains("<strong>alice</strong>"));
    assert!(home.body.contains("openid accounts"));
    assert_eq!(world.server.refusals(), ["Par: a nonce is demanded"]);
}

/// SP-5.3.3.2-4: a callback that comes through another browser is refused before the token endpoint, and
/// uses nothing up.
#[tokio::test]
async fn a_callback_in_another_browser() {
    let world = World::new().await;
    let mut alice = world.visitor();
    let url = alice.begin_login().await;
    let callback = world.server.browser("alice").approve(&url).await;

    let mut mallory = world.visitor();
    let own = mallory.begin_login().await;
    let mut nobody = world.visitor();
    for (other, name) in [(&mut mallory, "mallory"), (&mut nobody, "nobody")] {
        let page = other.open(&callback).await;
        assert_eq!(page.status, StatusCode::BAD_REQUEST, "{name}");
        assert_eq!(page.title(), "This login can’t be finished");
        assert_eq!(page.cookie("__Host-session"), None);
        assert_eq!(page.header("referrer-policy"), "no-referrer");
        assert_eq!(
            other.open("/").await.title(),
            "Your accounts in one place",
            "{name}"
        );
    }
    assert_eq!(world.count(Endpoint::Token), 0);

    assert_eq!(alice.open(&callback).await.location(), "/");
    let callback = world.server.browser("mallory").approve(&own).await;
    assert_eq!(mallory.open(&callback).await.location(), "/");
    let home = mallory.open("/").await;
    assert!(home.body.contains("<strong>mallory</strong>"));
}

/// A callback counts once.
#[tokio::test]
async fn a_callback_twice() {
    let world = World::new().await;
    let mut visitor = world.visitor();
    let url = visitor.begin_login().await;
    let callback = world.server.browser("alice").approve(&url).await;
    assert_eq!(visitor.open(&callback).await.location(), "/");
    let tokens = world.count(Endpoint::Token);
    let page = visitor.open(&callback).await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST);
    assert_eq!(page.title(), "This login can’t be finished");
    assert_eq!(world.count(Endpoint::Token), tokens);
    assert_eq!(visitor.open("/").await.title(), "You are logged in");
}

/// Two tabs of one browser log in side by side, and end in any order. The session that loses its cookie
/// ends.
#[tokio::test]
async fn two_tabs() {
    let world = World::new().await;
    let mut browser = world.visitor();
    let first = browser.begin_login().await;
    let handle = browser.cookies["__Host-login"].clone();
    let second = browser.begin_login().await;
    assert_eq!(browser.cookies["__Host-login"], handle);
    let user = world.server.browser("alice");
    for url in [second, first] {
        let callback = user.approve(&url).await;
        assert_eq!(browser.open(&callback).await.location(), "/");
    }
    let home = browser.open("/").await;
    assert_eq!(home.body.matches("<li>").count(), 1);
    assert_eq!(world.count(Endpoint::Revocation), 1);
}

/// Session fixation: a session that somebody planted is not what the user logs in to.
#[tokio::test]
async fn a_planted_session() {
    let world = World::new().await;
    let planted = world.logged_in("mallory").await;
    let mut alice = world.visitor();
    alice.cookies.insert(
        "__Host-session".to_owned(),
        planted.cookies["__Host-session"].clone(),
    );
    let url = alice.begin_login().await;
    let callback = world.server.browser("alice").approve(&url).await;
    assert_eq!(alice.open(&callback).await.location(), "/");
    assert_ne!(
        alice.cookies["__Host-session"],
        planted.cookies["__Host-session"]
    );
    let mut mallory = planted.clone();
    let home = mallory.open("/").await;
    assert_eq!(home.title(), "Your accounts in one place");
    assert!(
        alice
            .open("/")
            .await
            .body
            .contains("<strong>alice</strong>")
    );
}

/// A session cookie that we did not make is nobody's, and goes.
#[tokio::test]
async fn a_made_up_session() {
    let world = World::new().await;
    let real = world.logged_in("alice").await;
    for made_up in [
        "healthz".to_owned(),
        real.cookies["__Host-csrf"].clone(),
        real.token.clone(),
        format!("{}A", real.cookies["__Host-session"]),
    ] {
        let mut thief = world.visitor();
        thief.cookies.insert("__Host-session".to_owned(), made_up);
        let page = thief.open("/").await;
        assert_eq!(page.title(), "Your accounts in one place");
        assert_eq!(
            page.cookie("__Host-session").unwrap(),
            format!("__Host-session=; Max-Age=0; {ATTRIBUTES}")
        );
    }
}

/// The user's no is no failure, and what the server wrote is not shown.
#[tokio::test]
async fn a_user_who_does_not_agree() {
    let world = World::new().await;
    world.server.mutate_authorization_response(|parameters| {
        let text = "<script>alert(1)</script>".to_owned();
        parameters.retain(|(name, _)| name != "error_description");
        parameters.push(("error_description".to_owned(), text));
    });
    let mut visitor = world.visitor();
    let url = visitor.begin_login().await;
    let callback = world.server.browser("alice").deny(&url).await;
    let page = visitor.open(&callback).await;
    assert_eq!(page.status, StatusCode::OK);
    assert_eq!(page.title(), "You did not agree");
    assert!(!page.body.contains("script"), "{}", page.body);
    assert_eq!(page.cookie("__Host-session"), None);
    assert_eq!(world.count(Endpoint::Token), 0);
}

/// SP-5.3.3.2-5: an answer under another issuer's name ends on a page that does not say why.
#[tokio::test]
async fn a_mix_up() {
    let world = World::new().await;
    world.server.misbehave(AuthorizationFault::WrongIssuer);
    let mut visitor = world.visitor();
    let url = visitor.begin_login().await;
    let callback = world.server.browser("alice").approve(&url).await;
    let page = visitor.open(&callback).await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST);
    assert_eq!(page.title(), "This login can’t be finished");
    assert!(!page.body.contains("iss"), "{}", page.body);
    assert_eq!(page.cookie("__Host-session"), None);
    assert_eq!(world.count(Endpoint::Token), 0);
}

/// A server that is away says so, and loses nobody.
#[tokio::test]
async fn a_server_that_is_away() {
    let world = World::new().await;
    let mut visitor = world.logged_in("alice").await;
    world.server.set_offline(true);
    let page = visitor.press("/login").await;
    assert_eq!(page.status, StatusCode::BAD_GATEWAY);
    assert_eq!(page.title(), "The server can’t be reached");
    assert!(!page.body.contains(CLIENT_ID));
    assert_eq!(visitor.open("/").await.title(), "You are logged in");
}
