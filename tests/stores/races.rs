//! Two processes at one session at once, and what each finds.

use std::sync::Arc;

use bytes::Bytes;
use fapi_client::{
    BoxFuture, HttpsTransport, SignInAgain, StoreError, Transport, TransportError, TransportRequest,
};
use fapi_testkit::{Answer, Endpoint};
use http::Response;
use tokio::sync::{Semaphore, watch};

use super::faulty::Op;
use super::world::{World, lenient, sign_in_again, store_error, strict};
use crate::common;

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

/// SES-10, ERR-8, OFTEN-15: two processes that both believe to hold the session's turn refresh at
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
        let other = if narrower {
            other.with_scope("accounts").unwrap()
        } else {
            other
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

/// SES-10: where both are answered, what the later one got stays, and nothing is used twice.
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

/// SES-5: tokens that a process could not write, of a session that another one ends meanwhile, revive
/// nothing and are revoked.
#[tokio::test]
async fn tokens_that_are_written_too_late_are_given_back() {
    let world = World::start(strict()).await;
    let (a, b, _) = world.two_beside().await;
    world
        .store
        .fail_after(Op::Replace, 1, StoreError::NoSpace, 1);
    let gate = world.store.hold_after(Op::Replace, 0, false);
    let writes = world.store.count(Op::Replace);
    a.session.refresh().await.unwrap();
    world.works(&a.session).await;
    world.store.wait_for(Op::Replace, writes + 3).await;
    b.session.logout().await.unwrap();
    assert_eq!(world.revoked().len(), 1);
    gate.open();
    world.server.wait_for(Endpoint::Revocation, 2).await;
    let revoked = world.revoked();
    assert_eq!(revoked[0], world.refresh_tokens()[0]);
    assert_ne!(revoked[1], revoked[0], "what only this process knew of");
    assert!(!world.server.is_live(&revoked[1]));
    a.gone(SignInAgain::LoggedOut).await;
    b.gone(SignInAgain::LoggedOut).await;
    world.no_record().await;
}

/// SES-10: tokens that a process could not write reach the one that took it for dead, before that
/// one gives up.
#[tokio::test]
async fn tokens_that_are_written_late_reach_the_other() {
    let world = World::start(strict()).await;
    let (a, b, other) = world.two_beside().await;
    world.store.open_locks();
    other.open_locks();
    world
        .store
        .fail_after(Op::Replace, 1, StoreError::NoSpace, 1);
    let gate = world.store.hold_after(Op::Replace, 0, false);
    let writes = world.store.count(Op::Replace);
    a.session.refresh().await.unwrap();
    world.store.wait_for(Op::Replace, writes + 3).await;
    // B finds the note of a refresh that seems lost, and sends the old refresh token.
    let hold = world.server.hold(Endpoint::Token);
    world
        .server
        .answer_next(Endpoint::Token, Answer::error(400, "invalid_grant"));
    let going = b.session.clone();
    let second = tokio::spawn(async move { going.refresh().await });
    world.server.wait_for(Endpoint::Token, 2).await;
    gate.open();
    world.store.wait_for(Op::Replace, writes + 4).await;
    hold.release();
    second.await.unwrap().unwrap();
    for process in [&a, &b] {
        world.works(&process.session).await;
        process.session.refresh().await.unwrap();
        assert_eq!(process.client.counters().sessions_ended, 0);
    }
    world.nothing_twice();
    assert!(world.revoked().is_empty());
}

/// SES-10: a process whose lock has passed before it could note its refresh sends nothing, and
/// goes on with what the later holder got; or says that it can be tried again.
#[tokio::test]
async fn who_lost_the_lock_sends_nothing() {
    let world = World::start(strict()).await;
    let (a, b, other) = world.two_beside().await;
    world.store.open_locks();
    other.open_locks();
    for finished in [true, false] {
        let writes = world.store.count(Op::Replace);
        let gate = world.store.hold_after(Op::Replace, 0, false);
        let going = a.session.clone();
        let first = tokio::spawn(async move { going.refresh().await });
        world.store.wait_for(Op::Replace, writes + 1).await;
        world.server.forget_requests();
        let hold = (!finished).then(|| world.server.hold(Endpoint::Token));
        let going = b.session.clone();
        let second = tokio::spawn(async move { going.refresh().await });
        world.server.wait_for(Endpoint::Token, 1).await;
        if finished {
            second.await.unwrap().unwrap();
            gate.open();
            first.await.unwrap().unwrap();
        } else {
            gate.open();
            let error = first.await.unwrap().unwrap_err();
            assert!(error.retry_may_help());
            assert_eq!(store_error(error), StoreError::LeaseLost);
            drop(hold);
            second.await.unwrap().unwrap();
            a.session.refresh().await.unwrap();
        }
        assert_eq!(world.server.count(Endpoint::Token), 1);
        world.works(&a.session).await;
        world.works(&b.session).await;
        b.session.refresh().await.unwrap();
        a.session.refresh().await.unwrap();
    }
    world.nothing_twice();
}

/// ERR-8, design (Sessions): a refusal is concluded from only after the store has been read again. Where that
/// fails, the session is left, and the next refresh is told the same.
#[tokio::test]
async fn nothing_is_concluded_unread() {
    let world = World::start(strict()).await;
    let (a, b) = world.two().await;
    world.server.revoke_refresh_tokens();
    world
        .store
        .fail_after(Op::Load, 1, StoreError::Unavailable, 1);
    let error = a.session.refresh().await.unwrap_err();
    assert_eq!(store_error(error), StoreError::Unavailable);
    for process in [&a, &b] {
        world.works(&process.session).await;
        let found = process.client.session(process.session.id()).await;
        world.works(&found.unwrap()).await;
    }
    let cause = SignInAgain::RefreshTokenRefused;
    assert_eq!(sign_in_again(a.session.refresh().await.unwrap_err()), cause);
    assert_eq!(world.server.count(Endpoint::Token), 2);
    world.no_record().await;
}
