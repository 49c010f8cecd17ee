//! Logouts that the server tells of, and the browser's way through the server's own logout.

use fapi_client::store::Transactions as _;
use fapi_client::{
    ConfigError, Error, JwtFault, JwtKind, LogoutAnswer, LogoutRequestFault, LogoutToken,
    SignInAgain, StoreError, Violation,
};
use fapi_testkit::{Endpoint, Registration};
use serde_json::json;

use super::faulty::Op;
use super::world::{Process, World, lenient, store_error};
use crate::common;

const FORM: Option<&str> = Some("application/x-www-form-urlencoded");

async fn told(process: &Process, token: &str) -> Result<LogoutToken, Error> {
    let body = format!("logout_token={token}");
    process
        .client
        .backchannel_logout(FORM, body.as_bytes())
        .await
}

/// The token for alice's session, or for alice.
fn token(world: &World, subject: bool, session: bool) -> String {
    let sid = world.server.sid_of(common::CLIENT_ID, "alice");
    let subject = subject.then_some("alice");
    let sid = sid.as_deref().filter(|_| session);
    world.server.logout_token(common::CLIENT_ID, subject, sid)
}

fn request_fault(error: &Error) -> Option<LogoutRequestFault> {
    match error.violation() {
        Some(Violation::LogoutRequest { fault }) => Some(*fault),
        _ => None,
    }
}

/// BCL-1, BCL-9, BCL-11: by `sid` and by `sub`, the session ends for every process, its tokens are given
/// back, and the server gets its 200 without waiting for that.
#[tokio::test]
async fn a_session_ends_for_all_processes() {
    for (subject, session) in [(true, true), (false, true), (true, false)] {
        let world = World::start(lenient()).await;
        let (one, two) = world.two().await;
        let hold = world.server.hold(Endpoint::Revocation);
        let outcome = told(&one, &token(&world, subject, session)).await;
        let answer = LogoutAnswer::of(&outcome).into_response();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["cache-control"], "no-store");
        outcome.unwrap();
        one.gone(SignInAgain::LoggedOut).await;
        assert!(two.client.sessions_of("alice").await.unwrap().is_empty());
        hold.release();
        world.server.wait_for(Endpoint::Revocation, 1).await;
        two.gone(SignInAgain::LoggedOut).await;
        assert_eq!(world.server.count(Endpoint::Token), 0);
    }
}

/// BCL-9: another user's session, and another session of the same user where the token names one, live on.
#[tokio::test]
async fn nobody_else_is_logged_out() {
    let world = World::start(lenient()).await;
    let client = world.client().await;
    let bob = common::log_in_with(&client, &world.server, "bob").await;
    let bob = bob.unwrap();
    let alice = Process {
        session: world.session(&client).await,
        client,
    };
    told(&alice, &token(&world, true, true)).await.unwrap();
    alice.gone(SignInAgain::LoggedOut).await;
    common::get(&bob, &world.server, "/accounts").await.unwrap();
    // A token for a user who has no session here is fine.
    let stranger = world
        .server
        .logout_token(common::CLIENT_ID, Some("carol"), None);
    told(&alice, &stranger).await.unwrap();
    common::get(&bob, &world.server, "/accounts").await.unwrap();
}

/// BCL-8: a token counts once, at every process; a captured one logs nobody out again.
#[tokio::test]
async fn a_token_counts_once() {
    let world = World::start(lenient()).await;
    let (one, two) = world.two().await;
    let once = world
        .server
        .logout_token(common::CLIENT_ID, Some("alice"), None);
    told(&one, &once).await.unwrap();
    world.server.wait_for(Endpoint::Revocation, 1).await;
    let later = world.session(&two.client).await;
    for process in [&one, &two] {
        let outcome = told(process, &once).await;
        assert_eq!(LogoutAnswer::of(&outcome), LogoutAnswer::Refused);
        let error = outcome.unwrap_err();
        assert_eq!(request_fault(&error), Some(LogoutRequestFault::Replayed));
    }
    world.works(&later).await;
}

/// BCL-8: where the session could not be ended, the server's repeat is good.
#[tokio::test]
async fn a_store_that_fails_lets_the_server_repeat() {
    let world = World::start(lenient()).await;
    let (one, _) = world.two().await;
    let token = token(&world, true, true);
    // By session and by user.
    world.store.fail(Op::List, StoreError::Unavailable, 2);
    let outcome = told(&one, &token).await;
    assert_eq!(LogoutAnswer::of(&outcome), LogoutAnswer::Failed);
    assert_eq!(LogoutAnswer::Failed.into_response().status(), 400);
    assert_eq!(store_error(outcome.unwrap_err()), StoreError::Unavailable);
    world.works(&one.session).await;
    told(&one, &token).await.unwrap();
    one.gone(SignInAgain::LoggedOut).await;
}

/// BCL-2 to BCL-7, BCL-10, SEC-xjwt: whatever is no logout token of this server's ends nothing.
#[tokio::test]
async fn what_is_no_logout_token_ends_nothing() {
    type Mutate = fn(&mut serde_json::Map<String, serde_json::Value>);

    let world = World::start(lenient()).await;
    let (one, _) = world.two().await;
    let good = token(&world, true, true);
    let other_body = format!("logout_token={good}&logout_token={good}");
    for (media, body, fault) in [
        (
            Some("application/json"),
            good.as_str(),
            LogoutRequestFault::MediaType,
        ),
        (None, good.as_str(), LogoutRequestFault::MediaType),
        (FORM, "", LogoutRequestFault::Missing),
        (FORM, "logout_token=", LogoutRequestFault::Missing),
        (FORM, other_body.as_str(), LogoutRequestFault::Duplicate),
    ] {
        let refused = one.client.backchannel_logout(media, body.as_bytes()).await;
        assert_eq!(request_fault(&refused.unwrap_err()), Some(fault));
    }
    let hint = one.session.id_token_hint().unwrap();
    let id_token = told(&one, hint.expose()).await.unwrap_err();
    let jwt = |fault| Violation::Jwt {
        kind: JwtKind::LogoutToken,
        fault,
    };
    assert!(matches!(
        id_token.violation(),
        Some(Violation::Jwt {
            kind: JwtKind::LogoutToken,
            ..
        })
    ));
    let rows: [(Mutate, JwtFault); 4] = [
        (
            |claims| drop(claims.insert("nonce".into(), json!("n"))),
            JwtFault::ForeignNonce,
        ),
        (
            |claims| drop(claims.remove("events")),
            JwtFault::MissingClaim("events"),
        ),
        (
            |claims| drop(claims.insert("aud".into(), json!("other"))),
            JwtFault::Audience,
        ),
        (
            |claims| drop(claims.insert("iss".into(), json!("https://evil.example"))),
            JwtFault::Issuer,
        ),
    ];
    for (mutate, fault) in rows {
        world
            .server
            .mutate_logout_token(move |_, claims| mutate(claims));
        let error = told(&one, &token(&world, true, true)).await.unwrap_err();
        assert_eq!(error.violation(), Some(&jwt(fault)));
        world.server.behave();
    }
    assert_eq!(world.server.count(Endpoint::Revocation), 0);
    world.works(&one.session).await;
}

/// OIDC-10: a logout token under a key that is new is verified with the key set fetched anew.
#[tokio::test]
async fn a_key_that_is_new_is_fetched() {
    let world = World::start(lenient()).await;
    let (one, _) = world.two().await;
    world.server.rotate_keys();
    told(&one, &token(&world, true, true)).await.unwrap();
    assert_eq!(world.server.count(Endpoint::Jwks), 1);
    one.gone(SignInAgain::LoggedOut).await;
}

/// RPL-1 to RPL-5: the browser goes through the server's logout and comes back with its state; another's
/// state is refused.
#[tokio::test]
async fn the_browser_goes_through_the_servers_logout() {
    const BACK: &str = "https://app.example/goodbye";
    let world = World::start(lenient()).await;
    world.server.register(
        Registration::new(common::CLIENT_ID)
            .jwks(world.keys.jwks())
            .redirect_uri(common::REDIRECT_URI)
            .post_logout_redirect_uri(BACK),
    );
    let client = world.client().await;
    let browser = world.server.browser("alice");
    let login = common::begin(&client).await;
    let callback = browser.approve(login.url().as_str()).await;
    let session = client.finish_login(login.transaction(), callback).await;
    let session = session.unwrap();
    session.logout().await.unwrap();

    let way = session.end_session(Some(BACK), &[]).unwrap();
    let shown = format!("{way:?}");
    assert!(
        !shown.contains(session.id_token_hint().unwrap().expose()),
        "{shown}"
    );
    let answer = browser.visit(way.url().as_str()).await.unwrap();
    let back = answer.location().unwrap();
    assert!(back.starts_with(BACK), "{back}");
    client.logout_returned(way.state().unwrap(), back).unwrap();
    let error = client.logout_returned("another", back).unwrap_err();
    assert_eq!(error.violation(), Some(&Violation::LogoutState));

    let nowhere = session.end_session(Some("http://app.example/goodbye"), &[]);
    assert!(matches!(
        nowhere.unwrap_err(),
        Error::Config(ConfigError::PostLogoutRedirectUri)
    ));
    assert!(session.end_session(None, &[]).unwrap().state().is_none());
}

/// ERR-14, SEC-6.4: a login that was given up leaves nothing in the store; its callback finds no login, and
/// no code is redeemed.
#[tokio::test]
async fn a_login_that_is_given_up_leaves_nothing() {
    let world = World::start(lenient()).await;
    let client = world.client().await;
    let (login, callback) = common::approved(&client, &world.server, "alice", "openid").await;
    let owner = world.store.logins()[0].owner;
    assert_eq!(world.store.of(&owner).await.unwrap().len(), 1);
    client.abandon_login(login.transaction()).await.unwrap();
    assert_eq!(world.store.of(&owner).await.unwrap(), []);
    let error = client.finish_login(login.transaction(), callback).await;
    assert_eq!(
        error.unwrap_err().violation(),
        Some(&Violation::NoSuchLogin)
    );
    assert_eq!(world.server.count(Endpoint::Token), 0);
    client.abandon_login("unknown").await.unwrap();
}
