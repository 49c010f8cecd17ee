//! Sessions that end in one process while others use them.

use std::sync::Arc;

use bytes::Bytes;
use fapi_client::{
    BoxFuture, Event, HttpsTransport, SignInAgain, StoreError, Transport, TransportError,
    TransportRequest,
};
use fapi_testkit::{Answer, Endpoint};
use http::Response;
use tokio::sync::{Semaphore, watch};

use super::faulty::Op;
use super::world::{World, lenient, sign_in_again, store_error, strict};
use crate::common;

const OUT: SignInAgain = SignInAgain::LoggedOut;

/// Design (Sessions): logout in one process ends the session in the other; nothing more goes out for it.
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

/// Design (Sessions): a refresh that is under way in one process when another logs out revives nothing;
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

/// Design (Sessions): logout ends the session here even if the store fails; the store is told later.
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

/// Lets requests to the token endpoint go one by one.
struct Gated {
    inner: HttpsTransport,
    may_go: Arc<Semaphore>,
    waiting: watch::Sender<usize>,
}

impl Transport for Gated {
    fn send(
        &self,
        request: TransportRequest,
    ) -> BoxFuture<'_, Result<Response<Bytes>, TransportError>> {
        Box::pin(async move {
            if request.request.uri().path().ends_with("/token") {
                self.waiting.send_modify(|count| *count += 1);
                self.may_go.acquire().await.unwrap().forget();
            }
            self.inner.send(request).await
        })
    }
}

/// Lessons 1 (11), ERR-8, OFTEN-15: two processes that both believe to hold the session's turn refresh at
/// once. The one that the server refuses reads again, finds what the other got, and goes on with it.
#[tokio::test]
async fn who_is_refused_adopts_what_the_other_got() {
    // With a token that was renewed for the same part, and for another.
    for narrower in [false, true] {
        let world = World::start(strict()).await;
        let a = world.client().await;
        let session = world.session(&a).await;
        let may_go = Arc::new(Semaphore::new(0));
        let (waiting, mut is_waiting) = watch::channel(0);
        let gated = Gated {
            inner: common::https(&world.server),
            may_go: may_go.clone(),
            waiting,
        };
        let b = world.builder().transport(gated).build().await.unwrap();
        let other = b.session(session.id()).await.unwrap();
        let other = match narrower {
            true => other.with_scope("accounts").unwrap(),
            false => other,
        };
        world.store.open_locks();
        world.server.forget_requests();

        // A's request is out; B takes A for dead, and is about to send the same refresh token.
        let hold = world.server.hold(Endpoint::Token);
        let going = session.clone();
        let first = tokio::spawn(async move { going.refresh().await });
        world.server.wait_for(Endpoint::Token, 1).await;
        let going = other.clone();
        let second = tokio::spawn(async move { going.refresh().await });
        is_waiting.wait_for(|count| *count == 1).await.unwrap();
        hold.release();
        first.await.unwrap().unwrap();
        // The server refuses the old one, and no more than that.
        world
            .server
            .answer_next(Endpoint::Token, Answer::error(400, "invalid_grant"));
        may_go.add_permits(10);
        second.await.unwrap().unwrap();

        for session in [&session, &other] {
            world.works(session).await;
        }
        let sent = world.refresh_tokens();
        assert_eq!(sent[0], sent[1]);
        assert_eq!(sent.len(), if narrower { 3 } else { 2 });
        other.refresh().await.unwrap();
        session.refresh().await.unwrap();
        world.nothing_twice();
        assert!(world.revoked().is_empty());
        for client in [&a, &b] {
            assert_eq!(client.counters().sessions_ended, 0);
            assert_eq!(client.counters().rotations_lost, 0);
        }
        // The note of the refresh that was refused is not left behind: a refusal is one.
        world.server.revoke_refresh_tokens();
        let error = session.refresh().await.unwrap_err();
        assert_eq!(sign_in_again(error), SignInAgain::RefreshTokenRefused);
    }
}

/// Design (Sessions): where both are answered, what the later one got stays, and nothing is used twice.
#[tokio::test]
async fn of_two_answers_the_later_one_stays() {
    let world = World::start(lenient()).await;
    let (a, b) = world.two().await;
    world.store.open_locks();
    let hold = world.server.hold(Endpoint::Token);
    let mut refreshing = Vec::new();
    for (count, process) in [(1, &a), (2, &b)] {
        let going = process.session.clone();
        refreshing.push(tokio::spawn(async move { going.refresh().await }));
        world.server.wait_for(Endpoint::Token, count).await;
    }
    hold.release();
    for one in refreshing {
        one.await.unwrap().unwrap();
    }
    for process in [&a, &b, &a] {
        world.works(&process.session).await;
        process.session.refresh().await.unwrap();
        world.works(&process.session).await;
    }
    world.nothing_twice();
    assert!(world.revoked().is_empty());
}
