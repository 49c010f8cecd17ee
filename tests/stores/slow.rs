//! Stores that are slow to answer, and callers who do not wait for them.

use std::time::Duration;

use fapi_client::{Error, Session, SignInAgain};
use fapi_testkit::Endpoint;
use tokio::task::JoinHandle;

use super::faulty::Op;
use super::world::{World, sign_in_again, strict};
use crate::common;

/// Where a refresh waits before it has sent anything: for its turn, for the record, for its note.
const BEFORE: [Op; 3] = [Op::Acquire, Op::Load, Op::Replace];

fn refreshing(session: &Session) -> JoinHandle<Result<(), Error>> {
    let session = session.clone();
    tokio::spawn(async move { session.refresh().await })
}

fn calling(world: &World, session: &Session) -> JoinHandle<Result<(), Error>> {
    let session = session.clone();
    let url = format!("{}/accounts", world.server.api());
    tokio::spawn(async move { session.get(url).send().await.map(drop) })
}

/// Its end is that of a caller who went away.
async fn goes_away<T: std::fmt::Debug>(caller: JoinHandle<T>) {
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
}

/// SES-3, SES-12: while the store is slow, nothing is sent that is not noted, and whoever has a living
/// token does not wait. Who began the refresh may go away; who waits for it gets it, and it is one.
#[tokio::test]
async fn a_slow_store_stops_nobody_whose_token_lives() {
    for op in BEFORE {
        let world = World::start(strict()).await;
        let client = world.client().await;
        let session = world.session(&client).await;
        let before = world.store.count(op);
        let gate = world.store.hold_after(op, 0, false);
        let first = refreshing(&session);
        world.store.wait_for(op, before + 1).await;
        let second = refreshing(&session);
        for _ in 0..3 {
            world.works(&session).await;
        }
        goes_away(first).await;
        assert!(!second.is_finished(), "{op:?}");
        assert_eq!(world.server.count(Endpoint::Token), 0, "{op:?}");
        gate.open();
        second.await.unwrap().unwrap();
        assert_eq!(world.server.count(Endpoint::Token), 1, "{op:?}");
        session.refresh().await.unwrap();
        world.works(&session).await;
        let sent = world.refresh_tokens();
        assert!(sent.len() == 2 && sent[0] != sent[1], "{op:?}");
        assert_eq!(client.counters().store_failures, 0);
        assert_eq!(client.counters().refreshes_failed, 0);
        world.nothing_twice();
    }
}

/// SES-3: those whose token is dead wait for the store, before the request and after it; new
/// tokens are seen by nobody before they are kept. All who wait may go away: the refresh comes to its end, and
/// this process and another go on from it.
#[tokio::test]
async fn a_refresh_that_all_have_left_is_kept() {
    let (note, answer) = (0, 1);
    let held = [
        (Op::Acquire, 0, false),
        (Op::Load, 0, false),
        (Op::Replace, note, false),
        (Op::Replace, note, true),
        (Op::Replace, answer, false),
        (Op::Replace, answer, true),
    ];
    for (op, pass, done) in held {
        let place = format!("{op:?} {pass} {done}");
        // The metadata lives longer, and is not written meanwhile.
        let server = strict().access_token_life(Duration::from_secs(60));
        let world = World::start(server).await;
        let (a, b) = world.two().await;
        world.advance(60);
        let before = world.store.count(op);
        let gate = world.store.hold_after(op, pass, done);
        let callers = [(); 3].map(|()| calling(&world, &a.session));
        world.store.wait_for(op, before + pass + 1).await;
        assert_eq!(world.server.count(Endpoint::Token), pass, "{place}");
        assert_eq!(world.server.count(Endpoint::Api), 0, "{place}");
        for caller in callers {
            goes_away(caller).await;
        }
        gate.open();
        world.works(&a.session).await;
        world.works(&b.session).await;
        assert_eq!(world.server.count(Endpoint::Token), 1, "{place}");
        b.session.refresh().await.unwrap();
        world.works(&b.session).await;
        let sent = world.refresh_tokens();
        assert!(sent.len() == 2 && sent[0] != sent[1], "{place}");
        for process in [&a, &b] {
            assert_eq!(process.client.counters().sessions_ended, 0, "{place}");
            assert_eq!(process.client.counters().store_failures, 0, "{place}");
        }
        world.nothing_twice();
        assert!(world.revoked().is_empty(), "{place}");
    }
}

/// SES-5: a logout does not wait for a refresh that the store holds up. That one then finds that
/// the session has ended, and sends nothing.
#[tokio::test]
async fn a_logout_overtakes_a_refresh_that_waits() {
    for op in BEFORE {
        let world = World::start(strict()).await;
        let (a, b) = world.two().await;
        let before = world.store.count(op);
        let gate = world.store.hold_after(op, 0, false);
        let refresh = refreshing(&a.session);
        world.store.wait_for(op, before + 1).await;
        b.session.logout().await.unwrap();
        gate.open();
        let error = refresh.await.unwrap().unwrap_err();
        assert_eq!(sign_in_again(error), SignInAgain::LoggedOut, "{op:?}");
        assert_eq!(world.server.count(Endpoint::Token), 0, "{op:?}");
        a.gone(SignInAgain::LoggedOut).await;
        b.gone(SignInAgain::LoggedOut).await;
        world.no_record().await;
    }
}

/// SEC-6.4: whoever goes away while the store is looking for the login has used nothing up: the same callback
/// finishes it, and the code goes out once.
#[tokio::test]
async fn a_login_waits_for_the_store() {
    for op in [Op::Of, Op::Take] {
        let world = World::start(strict()).await;
        let client = world.client().await;
        let (login, callback) =
            common::approved(&client, &world.server, "alice", "openid accounts").await;
        let handle = login.transaction().clone();
        let before = world.store.count(op);
        let gate = world.store.hold_after(op, 0, false);
        let first = {
            let (client, handle, callback) = (client.clone(), handle.clone(), callback.clone());
            tokio::spawn(async move { client.finish_login(handle, callback).await })
        };
        world.store.wait_for(op, before + 1).await;
        goes_away(first).await;
        gate.open();
        assert_eq!(world.server.count(Endpoint::Token), 0, "{op:?}");
        let session = client.finish_login(handle, callback).await.unwrap();
        assert_eq!(world.server.count(Endpoint::Token), 1, "{op:?}");
        world.works(&session).await;
        assert_eq!(client.counters().sessions_created, 1);
        world.nothing_twice();
    }
}

/// SES-12: a session is opened when the store answers, by all who wait for it, and is one: they
/// refresh once. Who went away takes nothing along.
#[tokio::test]
async fn a_session_is_opened_when_the_store_answers() {
    let world = World::start(strict()).await;
    let id = world.session(&world.client().await).await.id().clone();
    let client = world.client().await;
    let before = world.store.count(Op::Load);
    let gates = [(); 3].map(|()| world.store.hold_after(Op::Load, 0, false));
    let open = || {
        let (client, id) = (client.clone(), id.clone());
        tokio::spawn(async move { client.session(&id).await })
    };
    let (gone, one, two) = (open(), open(), open());
    world.store.wait_for(Op::Load, before + 3).await;
    goes_away(gone).await;
    for gate in gates {
        gate.open();
    }
    let (one, two) = (one.await.unwrap().unwrap(), two.await.unwrap().unwrap());
    let (first, second) = tokio::join!(one.refresh(), two.refresh());
    first.unwrap();
    second.unwrap();
    assert_eq!(world.server.count(Endpoint::Token), 1);
    world.works(&one).await;
    world.works(&two).await;
    world.nothing_twice();
}
