//! Stores that fail.

use std::path::PathBuf;

use fapi_client::{Event, Events, StoreError};
use fapi_testkit::Endpoint;

use super::faulty::Op;
use super::world::{World, store_error, strict};
use crate::common;

fn errors() -> Vec<StoreError> {
    let path = PathBuf::from("/var/lib/app/sessions");
    vec![
        StoreError::NoSpace,
        StoreError::Unavailable,
        StoreError::NotPermitted {
            action: "write",
            path: path.clone(),
        },
        StoreError::TooOpen { path },
        StoreError::Credentials,
        StoreError::KeyringLocked,
        StoreError::KeyringTimeout(10),
    ]
}

async fn next_failure(events: &mut Events) -> StoreError {
    loop {
        if let Event::StoreFailing { error } = events.next().await.unwrap() {
            return error;
        }
    }
}

/// SES-3: where "a refresh is under way" can't be written, nothing is sent, and the error says
/// why. A token that lives still serves; a dead one does not go out. Later everything works.
#[tokio::test]
async fn nothing_is_sent_that_could_not_be_noted() {
    let world = World::start(strict()).await;
    let client = world.client().await;
    let session = world.session(&client).await;
    let mut events = client.events();
    for (count, error) in errors().into_iter().enumerate() {
        world.store.fail(Op::Replace, error.clone(), 1);
        let failed = session.refresh().await.unwrap_err();
        assert_eq!(store_error(failed), error);
        assert_eq!(next_failure(&mut events).await, error);
        world.works(&session).await;
        assert_eq!(client.counters().store_failures, count as u64 + 1);
        assert_eq!(client.counters().refreshes_failed, count as u64 + 1);
    }
    assert_eq!(world.server.count(Endpoint::Token), 0);
    world.advance(300);
    world.server.forget_requests();
    world.store.fail(Op::Replace, StoreError::NoSpace, 1);
    let failed = world.call_fails(&session).await;
    assert_eq!(store_error(failed), StoreError::NoSpace);
    assert_eq!(world.server.requests().len(), 0);
    world.works(&session).await;
    assert_eq!(world.server.count(Endpoint::Token), 1);
    world.nothing_twice();
}

/// SES-3: the same where the record can't be read again, or the session's turn can't be had.
#[tokio::test]
async fn nothing_is_sent_out_of_turn_or_unread() {
    let world = World::start(strict()).await;
    let client = world.client().await;
    let session = world.session(&client).await;
    for op in [Op::Load, Op::Acquire] {
        for error in [StoreError::Unavailable, StoreError::Credentials] {
            world.store.fail(op, error.clone(), 1);
            assert_eq!(store_error(session.refresh().await.unwrap_err()), error);
            world.works(&session).await;
        }
    }
    let failures = client.counters().store_failures;
    // Another process that is slow is no failure of the store's.
    world.store.fail(Op::Acquire, StoreError::Locked, 1);
    let error = session.refresh().await.unwrap_err();
    assert!(error.retry_may_help());
    assert_eq!(store_error(error), StoreError::Locked);
    assert_eq!(client.counters().store_failures, failures);
    assert_eq!(failures, 4);
    assert_eq!(world.server.count(Endpoint::Token), 0);
    world.store.fail(Op::Load, StoreError::Unavailable, 1);
    let error = client.session(session.id()).await.unwrap_err();
    assert_eq!(store_error(error), StoreError::Unavailable);
    session.refresh().await.unwrap();
    world
        .works(&client.session(session.id()).await.unwrap())
        .await;
}

/// SES-3, ERR-12: a background refresh that the store stopped rests for ten seconds as well.
#[tokio::test]
async fn the_background_lets_a_failing_store_rest() {
    let world = World::start(strict()).await;
    let client = world.client().await;
    let session = world.session(&client).await;
    world.advance(271);
    let before = world.store.count(Op::Acquire);
    world.store.fail(Op::Replace, StoreError::NoSpace, 1);
    let mut events = client.events();
    world.works(&session).await;
    assert_eq!(next_failure(&mut events).await, StoreError::NoSpace);
    while client.counters().refreshes_failed == 0 {
        tokio::task::yield_now().await;
    }
    world.advance(9);
    for _ in 0..5 {
        world.works(&session).await;
    }
    assert_eq!(world.store.count(Op::Acquire), before + 1);
    assert_eq!(world.server.count(Endpoint::Token), 0);
    world.advance(1);
    world.works(&session).await;
    world.server.wait_for(Endpoint::Token, 1).await;
}

/// SES-3: where the new tokens can't be written, this process serves from them, says so, and
/// writes them when the store is well again. The next process goes on from them. A rotated token is
/// never revoked.
#[tokio::test]
async fn tokens_that_could_not_be_written_are_written_later() {
    for error in errors() {
        let world = World::start(strict()).await;
        let (a, b) = world.two().await;
        let mut events = a.client.events();
        world.store.fail_after(Op::Replace, 1, error.clone(), 2);
        a.session.refresh().await.unwrap();
        world.works(&a.session).await;
        assert_eq!(next_failure(&mut events).await, error);
        assert_eq!(a.client.counters().sessions_updated, 1);
        // This one waits for its turn, which comes when the tokens are kept, and finds them.
        b.session.refresh().await.unwrap();
        world.works(&b.session).await;
        assert_eq!(world.server.count(Endpoint::Token), 1);
        b.session.refresh().await.unwrap();
        a.session.refresh().await.unwrap();
        a.session.refresh().await.unwrap();
        for process in [&a, &b] {
            world.works(&process.session).await;
        }
        assert_eq!(a.client.counters().store_failures, 2);
        let sent = world.refresh_tokens();
        assert_eq!(sent.len(), 3);
        assert!(sent[0] != sent[1] && sent[1] != sent[2]);
        world.nothing_twice();
        assert!(world.revoked().is_empty());
    }
}

/// SES-5: a process that has tokens which the store lacks is logged out all the same, and what
/// it has is revoked.
#[tokio::test]
async fn tokens_that_could_not_be_written_are_revoked_at_logout() {
    let world = World::start(strict()).await;
    let (a, b) = world.two().await;
    world
        .store
        .fail_after(Op::Replace, 1, StoreError::NoSpace, 1);
    a.session.refresh().await.unwrap();
    a.session.logout().await.unwrap();
    a.gone(fapi_client::SignInAgain::LoggedOut).await;
    b.gone(fapi_client::SignInAgain::LoggedOut).await;
    world.no_record().await;
    assert!(!world.revoked().is_empty());
    assert!(world.revoked().iter().all(|one| !world.server.is_live(one)));
}

/// SES-3: a store that writes and answers with an error. The note: nothing is sent. The answer:
/// it is found there, and counts.
#[tokio::test]
async fn a_store_that_writes_and_says_it_did_not() {
    let world = World::start(strict()).await;
    let (a, b) = world.two().await;
    world
        .store
        .twice_after(Op::Replace, 0, StoreError::Unavailable);
    let error = a.session.refresh().await.unwrap_err();
    assert_eq!(store_error(error), StoreError::Unavailable);
    assert_eq!(world.server.count(Endpoint::Token), 0);
    world.works(&a.session).await;

    world
        .store
        .twice_after(Op::Replace, 1, StoreError::Unavailable);
    a.session.refresh().await.unwrap();
    world.works(&a.session).await;
    b.session.refresh().await.unwrap();
    assert_eq!(world.server.count(Endpoint::Token), 1);
    b.session.refresh().await.unwrap();
    world.works(&b.session).await;
    a.session.refresh().await.unwrap();
    a.session.refresh().await.unwrap();
    world.works(&a.session).await;
    assert_eq!(world.server.count(Endpoint::Token), 3);
    world.nothing_twice();
    assert!(world.revoked().is_empty());
    assert_eq!(a.client.counters().sessions_ended, 0);
}

/// SES-6: a new login whose tokens can't be kept is given back, and the error says why; the
/// store has nothing of it.
#[tokio::test]
async fn a_login_that_can_not_be_kept_is_revoked() {
    let mut rows: Vec<_> = errors().into_iter().map(|error| (false, error)).collect();
    rows.push((true, StoreError::Unavailable));
    for (twice, error) in rows {
        let world = World::start(strict()).await;
        let client = world.client().await;
        let (login, callback) =
            common::approved(&client, &world.server, "alice", "openid accounts").await;
        if twice {
            world.store.twice_after(Op::Create, 0, error.clone());
        } else {
            world.store.fail(Op::Create, error.clone(), 1);
        }
        let failed = client
            .finish_login(login.transaction(), &callback)
            .await
            .unwrap_err();
        assert_eq!(store_error(failed), error);
        let revoked = world.revoked();
        assert_eq!(revoked.len(), 1);
        assert!(!world.server.is_live(&revoked[0]));
        world.no_record().await;
        assert!(client.sessions().await.unwrap().is_empty());
        // Nobody has seen a session: there is none to tell of.
        assert_eq!(client.counters().sessions_created, 0);
        assert_eq!(client.counters().sessions_ended, 0);
        assert_eq!(client.counters().store_failures, 1);
        world.session(&client).await;
    }
}

/// SES-6: where the server can't be told either, the next login makes up for it.
#[tokio::test]
async fn a_login_that_can_not_be_kept_is_revoked_later() {
    let world = World::start(strict()).await;
    let client = world.client().await;
    let (login, callback) =
        common::approved(&client, &world.server, "alice", "openid accounts").await;
    world.store.fail(Op::Create, StoreError::NoSpace, 2);
    world.server.answer_next(
        Endpoint::Revocation,
        fapi_testkit::Answer::drop_connection(),
    );
    world
        .server
        .answer_next(Endpoint::Revocation, fapi_testkit::Answer::status(503));
    let failed = client.finish_login(login.transaction(), &callback).await;
    assert_eq!(store_error(failed.unwrap_err()), StoreError::NoSpace);
    assert_eq!(world.server.count(Endpoint::Revocation), 1);
    common::begin(&client).await;
    world.server.wait_for(Endpoint::Revocation, 2).await;
    common::begin(&client).await;
    world.server.wait_for(Endpoint::Revocation, 3).await;
    let revoked = world.revoked();
    assert!(revoked.iter().all(|one| *one == revoked[0]));
    world.store.wait_for(Op::Delete, 1).await;
    world.no_record().await;
}

/// Logins need the store: where it fails, they do, with its error, and no code is redeemed.
#[tokio::test]
async fn a_login_needs_the_store() {
    let world = World::start(strict()).await;
    let client = world.client().await;
    for error in [StoreError::Full, StoreError::Unavailable] {
        world.store.fail(Op::Put, error.clone(), 1);
        let failed = client.login().scope("openid").start().await.unwrap_err();
        assert_eq!(store_error(failed), error);
    }
    let (login, callback) =
        common::approved(&client, &world.server, "alice", "openid accounts").await;
    for op in [Op::Of, Op::Take] {
        world.store.fail(op, StoreError::Unavailable, 1);
        let failed = client.finish_login(login.transaction(), &callback).await;
        assert_eq!(store_error(failed.unwrap_err()), StoreError::Unavailable);
    }
    assert_eq!(world.server.count(Endpoint::Token), 0);
    let session = client.finish_login(login.transaction(), &callback).await;
    world.works(&session.unwrap()).await;
}
