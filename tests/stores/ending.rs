//! Sessions that end in one process while others use them.

use fapi_client::{Event, SignInAgain, StoreError};
use fapi_testkit::{Answer, Endpoint};

use super::faulty::Op;
use super::world::{World, lenient, sign_in_again, store_error, strict};
use crate::common;

const OUT: SignInAgain = SignInAgain::LoggedOut;

/// SES-5: logout in one process ends the session in the other; nothing more goes out for it.
#[tokio::test]
async fn a_logout_ends_the_session_everywhere() {
    let world = World::start(strict()).await;
    let (a, b) = world.two().await;
    let mut events = a.client.events();
    b.session.logout().await.unwrap();
    world.no_record().await;
    let before = world.server.requests().len();
    a.gone(OUT).await;
    b.gone(OUT).await;
    let error = world.call_fails(&a.session).await;
    assert_eq!(sign_in_again(error), OUT);
    assert_eq!(world.server.requests().len(), before);
    let ended = Event::SessionEnded {
        session: a.session.id().clone(),
        cause: OUT,
    };
    assert_eq!(events.next().await, Some(ended));
    for process in [&a, &b] {
        assert_eq!(process.client.counters().sessions_ended, 1);
    }
}

/// SES-5: a refresh that is under way in one process when another logs out revives nothing;
/// what it brings is revoked.
#[tokio::test]
async fn a_late_refresh_of_another_process_revives_nothing() {
    let world = World::start(lenient()).await;
    let (a, b) = world.two().await;
    let hold = world.server.hold(Endpoint::Token);
    let going = a.session.clone();
    let refreshing = tokio::spawn(async move { going.refresh().await });
    world.server.wait_for(Endpoint::Token, 1).await;
    // The server does not hear of the logout before it has answered the refresh.
    let revocation = world.server.hold(Endpoint::Revocation);
    let leaving = b.session.clone();
    let leaving = tokio::spawn(async move { leaving.logout().await });
    world.server.wait_for(Endpoint::Revocation, 1).await;
    hold.release();
    world.server.wait_for(Endpoint::Revocation, 2).await;
    revocation.release();
    assert_eq!(sign_in_again(refreshing.await.unwrap().unwrap_err()), OUT);
    leaving.await.unwrap().unwrap();
    a.gone(OUT).await;
    b.gone(OUT).await;
    world.no_record().await;
    let revoked = world.revoked();
    assert!(revoked.iter().any(|one| *one == world.refresh_tokens()[0]));
    assert!(revoked.iter().any(|one| *one != revoked[0]), "the new one");
    assert!(revoked.iter().all(|one| !world.server.is_live(one)));
}

/// REV-2.2.1: of two processes that bury one session, the one whose revocation succeeds does not throw away
/// the tombstone of the other, whose revocation failed.
#[tokio::test]
async fn a_tombstone_keeps_what_another_process_added() {
    let world = World::start(lenient()).await;
    let (a, b) = world.two().await;
    let hold = world.server.hold(Endpoint::Token);
    let going = a.session.clone();
    let refreshing = tokio::spawn(async move { going.refresh().await });
    world.server.wait_for(Endpoint::Token, 1).await;
    // B has told the server, and not yet read the record again to delete it.
    let gate = world.store.hold_after(Op::Load, 1, false);
    let loads = world.store.count(Op::Load);
    let leaving = b.session.clone();
    let leaving = tokio::spawn(async move { leaving.logout().await });
    world.store.wait_for(Op::Load, loads + 2).await;
    assert_eq!(world.server.count(Endpoint::Revocation), 1);
    // What A's refresh brings can't be revoked now.
    world
        .server
        .answer_next(Endpoint::Revocation, Answer::status(503));
    world
        .server
        .answer_next(Endpoint::Revocation, Answer::status(503));
    world.server.answer_next(
        Endpoint::Token,
        Answer::json(
            200,
            &serde_json::json!({
                "access_token": "late-access-token", "token_type": "DPoP", "expires_in": 300,
                "refresh_token": "late-refresh-token",
            }),
        ),
    );
    hold.release();
    assert_eq!(sign_in_again(refreshing.await.unwrap().unwrap_err()), OUT);
    gate.open();
    leaving.await.unwrap().unwrap();
    world.server.behave();
    // The next login of any process makes up for it.
    common::begin(&world.client().await).await;
    while !world.revoked().contains(&"late-refresh-token".to_owned()) || !empty(&world).await {
        tokio::task::yield_now().await;
    }
    let late = world.revoked();
    let late = late.iter().filter(|one| *one == "late-refresh-token");
    assert!(late.count() >= 2, "once in vain, and once more");
    a.gone(OUT).await;
    b.gone(OUT).await;
}

async fn empty(world: &World) -> bool {
    world
        .store
        .keys(fapi_client::store::RecordKind::Session)
        .await
        .is_empty()
}

/// REV-2.2.1, design (Sessions): logout while the server is down ends the session at once and everywhere.
/// The next login of another process tells the server, and then nothing is left.
#[tokio::test]
async fn a_tombstone_is_worked_off_by_the_next_login() {
    let world = World::start(strict()).await;
    let (a, b) = world.two().await;
    world.server.set_offline(true);
    let error = a.session.logout().await.unwrap_err();
    assert!(["transport.connect", "transport.broken"].contains(&error.code()));
    a.gone(OUT).await;
    b.gone(OUT).await;
    assert!(!empty(&world).await, "the tombstone");
    world.server.set_offline(false);
    drop((a, b));
    let next = world.client().await;
    assert!(next.sessions().await.unwrap().is_empty());
    common::begin(&next).await;
    world.server.wait_for(Endpoint::Revocation, 1).await;
    while !empty(&world).await {
        tokio::task::yield_now().await;
    }
    let revoked = world.revoked();
    assert_eq!(revoked.len(), 1);
    assert!(!world.server.is_live(&revoked[0]));
    // And that was all.
    common::begin(&next).await;
    common::log_in_with(&next, &world.server, "bob")
        .await
        .unwrap();
    assert_eq!(world.revoked().len(), 1);
}

/// SES-5: logout ends the session here even if the store fails; the store is told later.
#[tokio::test]
async fn a_logout_that_the_store_does_not_take() {
    let world = World::start(strict()).await;
    let (a, b) = world.two().await;
    world.store.fail(Op::Load, StoreError::Unavailable, 1);
    let error = a.session.logout().await.unwrap_err();
    assert_eq!(store_error(error), StoreError::Unavailable);
    assert_eq!(a.session.scope().unwrap_err(), OUT);
    assert_eq!(world.revoked().len(), 1);
    a.session.logout().await.unwrap();
    world.no_record().await;
    a.gone(OUT).await;
    b.gone(OUT).await;
}
