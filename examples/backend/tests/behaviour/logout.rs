//! The ways out.

use fapi_testkit::Endpoint;
use reqwest::StatusCode;

use crate::visitor::{ORIGIN, Page, Visitor};
use crate::world::{CLIENT_ID, World};

async fn is_logged_in(visitor: &mut Visitor) -> bool {
    visitor.open("/").await.title() == "You are logged in"
}

/// REV-1: the session ends here and at the server, a copied cookie with it. Then the browser goes through the
/// server's own logout and comes back.
#[tokio::test]
async fn a_logout() {
    let world = World::new().await;
    let mut alice = world.visitor();
    let url = alice.begin_login().await;
    let user = world.server.browser("alice");
    let callback = user.approve(&url).await;
    alice.open(&callback).await;
    alice.open("/").await;
    let mut copied = alice.clone();

    let page = alice.press("/logout").await;
    let url = page.location().to_owned();
    assert_eq!(
        page.cookie("__Host-session").unwrap(),
        "__Host-session=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Lax"
    );
    assert_eq!(world.count(Endpoint::Revocation), 1);
    assert!(!is_logged_in(&mut copied).await);

    let state = alice.cookies["__Host-logout"].clone();
    assert_eq!(
        page.cookie("__Host-logout").unwrap(),
        format!("__Host-logout={state}; Max-Age=900; Path=/; Secure; HttpOnly; SameSite=Lax")
    );
    assert!(url.starts_with(world.server.issuer()), "{url}");
    let answer = user.visit(&url).await.unwrap();
    let back = answer.location().unwrap().to_owned();
    assert_eq!(back, format!("{ORIGIN}/signed-out?state={state}"));
    assert_eq!(world.count(Endpoint::EndSession), 1);

    // Another browser's return changes nothing.
    let forged = format!("{ORIGIN}/signed-out?state=made-up");
    assert_eq!(alice.open(&forged).await.location(), "/");
    assert!(alice.cookies.contains_key("__Host-logout"));
    assert_eq!(alice.open(&back).await.location(), "/");
    assert!(!alice.cookies.contains_key("__Host-logout"));
}

/// All browsers of this user, and nobody else's.
#[tokio::test]
async fn everywhere() {
    let world = World::new().await;
    let mut first = world.logged_in("alice").await;
    let mut second = world.logged_in("alice").await;
    let mut bob = world.logged_in("bob").await;
    let home = first.open("/").await;
    assert_eq!(home.body.matches("<li>").count(), 2);
    assert_eq!(home.body.matches("This browser").count(), 1);
    assert!(!home.body.contains("bob"));

    let page = first.press("/logout-everywhere").await;
    assert!(page.location().starts_with(world.server.issuer()));
    assert_eq!(world.count(Endpoint::Revocation), 2);
    assert!(!is_logged_in(&mut first).await);
    assert!(!is_logged_in(&mut second).await);
    assert!(is_logged_in(&mut bob).await);
}

/// The session ends here even where the server can't be told.
#[tokio::test]
async fn a_logout_while_the_server_is_away() {
    let world = World::new().await;
    let mut alice = world.logged_in("alice").await;
    let mut copied = alice.clone();
    world.server.set_offline(true);
    let page = alice.press("/logout").await;
    assert!(page.location().starts_with(world.server.issuer()));
    assert!(!is_logged_in(&mut copied).await);
}

/// Who is not logged in is not logged out.
#[tokio::test]
async fn a_stranger_logs_out() {
    let world = World::new().await;
    let mut stranger = world.visitor();
    stranger.open("/").await;
    assert_eq!(stranger.press("/logout").await.location(), "/");
    assert_eq!(stranger.press("/logout-everywhere").await.location(), "/");
    assert_eq!(world.count(Endpoint::Revocation), 0);
}

/// The request as a server sends it: no cookies, no origin.
async fn tell(world: &World, form: &str) -> Page {
    world.visitor().post("/backchannel-logout", &[], form).await
}

fn assert_refused(page: &Page) {
    assert_eq!(page.status, StatusCode::BAD_REQUEST);
    assert_eq!(page.header("cache-control"), "no-store");
    assert_eq!(page.header("content-type"), "application/json");
    assert_eq!(page.body, r#"{"error":"invalid_request"}"#);
}

/// BCL-9, BCL-10: the server tells of a logout, and it is over. The same token again, or one that is not the
/// server's, ends nothing.
#[tokio::test]
async fn the_server_tells() {
    let world = World::new().await;
    let mut alice = world.logged_in("alice").await;
    let mut bob = world.logged_in("bob").await;
    for form in ["", "logout_token=", "logout_token=a.b.c", "id_token=x"] {
        assert_refused(&tell(&world, form).await);
    }
    let foreign = world.server.logout_token("another", Some("alice"), None);
    assert_refused(&tell(&world, &format!("logout_token={foreign}")).await);
    assert!(is_logged_in(&mut alice).await);

    let token = world.server.logout_token(CLIENT_ID, Some("alice"), None);
    let form = format!("logout_token={token}");
    let page = tell(&world, &form).await;
    assert_eq!(page.status, StatusCode::OK);
    assert_eq!(page.header("cache-control"), "no-store");
    assert!(!is_logged_in(&mut alice).await);
    assert!(is_logged_in(&mut bob).await);

    let mut again = world.logged_in("alice").await;
    assert_refused(&tell(&world, &form).await);
    assert!(is_logged_in(&mut again).await);
}
