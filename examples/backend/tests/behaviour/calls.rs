//! The API call.

use fapi_testkit::{Answer, ApiFault, Endpoint};
use reqwest::StatusCode;
use serde_json::json;

use crate::world::World;

/// The API's answer is shown, and is text, whatever is in it.
#[tokio::test]
async fn an_answer_is_shown_as_text() {
    let world = World::new().await;
    let mut alice = world.logged_in("alice").await;
    let page = alice.press("/accounts").await;
    assert_eq!(page.status, StatusCode::OK);
    assert_eq!(page.title(), "Your accounts");
    assert!(page.body.contains("&quot;sub&quot;: &quot;alice&quot;"));

    let evil = json!({"<script>alert(1)</script>": "</pre><img src=x onerror=alert(2)>"});
    world
        .server
        .answer_next(Endpoint::Api, Answer::json(200, &evil));
    let page = alice.press("/accounts").await;
    assert!(
        page.body
            .contains("&lt;script&gt;alert(1)&lt;/script&gt;&quot;")
    );
    assert!(!page.body.contains("<script"));
    assert!(!page.body.contains("<img"));
}

/// Access tokens end and nonces change; the user sees nothing of it.
#[tokio::test]
async fn a_token_is_renewed() {
    let world = World::new().await;
    let mut alice = world.logged_in("alice").await;
    world.server.expire_access_tokens();
    world.server.rotate_nonces();
    assert_eq!(alice.press("/accounts").await.title(), "Your accounts");
}

/// SU-1: where the API wants more proof of who the user is, the browser goes to the server for it.
#[tokio::test]
async fn an_api_that_wants_another_login() {
    let world = World::with_api("/step-up?acr=phrh").await;
    let mut alice = world.logged_in("alice").await;
    let url = alice.press("/accounts").await.location().to_owned();
    let pushed = world.server.requests_to(Endpoint::Par);
    let pushed = pushed.last().unwrap();
    assert_eq!(pushed.form_value("acr_values"), Some("phrh"));
    assert_eq!(pushed.form_value("scope"), Some("openid accounts"));

    let user = world.server.browser("alice").with_acr("phrh");
    let callback = user.approve(&url).await;
    assert_eq!(alice.open(&callback).await.location(), "/");
    let home = alice.open("/").await;
    assert_eq!(home.body.matches("<li>").count(), 1);
    assert_eq!(alice.press("/accounts").await.title(), "Your accounts");
}

/// A grant that was taken back at the server: the user has to log in again, and the cookie goes.
#[tokio::test]
async fn a_grant_that_was_taken_back() {
    let world = World::new().await;
    let mut alice = world.logged_in("alice").await;
    world.server.revoke_grants();
    let page = alice.press("/accounts").await;
    assert_eq!(page.status, StatusCode::UNAUTHORIZED);
    assert_eq!(page.title(), "Please log in again");
    assert!(!alice.cookies.contains_key("__Host-session"));
    let home = alice.open("/").await;
    assert_eq!(home.title(), "Your accounts in one place");
}

/// An API that refuses, and one that fails.
#[tokio::test]
async fn an_api_that_says_no() {
    let world = World::new().await;
    let mut alice = world.logged_in("alice").await;
    world.server.misbehave_times(ApiFault::InsufficientScope, 1);
    let page = alice.press("/accounts").await;
    assert_eq!(page.status, StatusCode::BAD_GATEWAY);
    assert_eq!(page.title(), "The API said no");
    world
        .server
        .answer_next(Endpoint::Api, Answer::json(500, &json!({"why": "secret"})));
    let page = alice.press("/accounts").await;
    assert_eq!(page.status, StatusCode::BAD_GATEWAY);
    assert_eq!(page.title(), "The API said no");
    assert!(!page.body.contains("secret"));
}

/// Without a session there is no call.
#[tokio::test]
async fn a_stranger_calls_nothing() {
    let world = World::new().await;
    let mut stranger = world.visitor();
    stranger.open("/").await;
    let page = stranger.press("/accounts").await;
    assert_eq!(page.status, StatusCode::UNAUTHORIZED);
    assert_eq!(world.count(Endpoint::Api), 0);
}
