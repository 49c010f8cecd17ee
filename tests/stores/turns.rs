//! Stores that go back, holders who lost their turn, and answers that wait to be written.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fapi_client::StoreError;
use fapi_client::store::RecordKind;
use fapi_testkit::{Answer, Endpoint};
use serde_json::json;
use tokio::runtime::Runtime;

use super::faulty::Op;
use super::world::{Process, World, lenient, store_error, strict};

/// Two whom no lock keeps apart; the server refuses the next refresh token.
async fn refused() -> (World, Process, Process) {
    let world = World::start(lenient()).await;
    let (a, b, beside) = world.two_beside().await;
    world.store.open_locks();
    beside.open_locks();
    world.server.answer_next(
        Endpoint::Token,
        Answer::json(400, &json!({"error": "invalid_grant"})),
    );
    (world, a, b)
}

/// SES-2, SES-3: a store that went back to what it was (a failover, a backup) takes no token away: the
/// process that has later ones writes them in place of the old ones, and no old one goes out.
#[tokio::test]
async fn a_store_that_went_back_costs_no_token() {
    let world = World::start(strict()).await;
    let session = world.session(&world.client().await).await;
    let key = world.store.only(RecordKind::Session).await;
    let before = world.store.read(&key).await.bytes;
    session.refresh().await.unwrap();
    session.refresh().await.unwrap();
    world.store.tamper(&key, before).await;
    session.refresh().await.unwrap();
    session.refresh().await.unwrap();
    assert!(world.server.tokens_used_twice().is_empty());
    world.works(&session).await;
    // What the store has now is what another process goes on with.
    let other = world.client().await;
    let other = other.session(session.id()).await.unwrap();
    other.refresh().await.unwrap();
    assert!(world.server.tokens_used_twice().is_empty());
}

/// SES-10: who was refused while another noted a refresh of its own concludes nothing: the other one's
/// answer is what counts.
#[tokio::test]
async fn a_refusal_ends_nothing_while_another_renews() {
    let (world, a, b) = refused().await;
    let loads = world.store.count(Op::Load);
    let gate = world.store.hold_after(Op::Load, 1, false);
    let going = a.session.clone();
    let refreshing = tokio::spawn(async move { going.refresh().await });
    world.store.wait_for(Op::Load, loads + 2).await;
    // A was refused, and is about to read again. B has the turn by now.
    let hold = world.server.hold(Endpoint::Token);
    let going = b.session.clone();
    let other = tokio::spawn(async move { going.refresh().await });
    world.server.wait_for(Endpoint::Token, 2).await;
    gate.open();
    let refused = refreshing.await.unwrap().unwrap_err();
    assert_eq!(store_error(refused), StoreError::LeaseLost);
    assert_eq!(world.store.count(Op::Delete), 0);
    hold.release();
    other.await.unwrap().unwrap();
    world.works(&b.session).await;
    world.works(&a.session).await;
}

/// SES-10: a session that another process renewed while this one was about to delete it lives on in both.
#[tokio::test]
async fn a_delete_that_comes_too_late_ends_nothing() {
    let (world, a, b) = refused().await;
    let deletes = world.store.count(Op::Delete);
    let gate = world.store.hold_after(Op::Delete, 0, false);
    let going = a.session.clone();
    let refreshing = tokio::spawn(async move { going.refresh().await });
    world.store.wait_for(Op::Delete, deletes + 1).await;
    b.session.refresh().await.unwrap();
    gate.open();
    let refused = refreshing.await.unwrap().unwrap_err();
    assert_eq!(store_error(refused), StoreError::LeaseLost);
    world.works(&b.session).await;
    world.works(&a.session).await;
    a.client.session(a.session.id()).await.unwrap();
}

/// SES-3, SES-4: where the refreshed ID token needs keys that have to be fetched, the new refresh token is
/// written before. A crash while the key set is waited for loses nothing, without any retry window.
#[test]
fn the_answer_is_written_before_keys_are_fetched() {
    let (first, second) = (Runtime::new().unwrap(), Runtime::new().unwrap());
    let (world, id) = first.block_on(async {
        let world = World::start(strict()).await;
        let session = world.session(&world.client().await).await;
        world.advance(30 * 24 * 3600);
        world.server.answer_next(Endpoint::Jwks, Answer::hang());
        let going = session.clone();
        tokio::spawn(async move { going.refresh().await });
        world.server.wait_for(Endpoint::Jwks, 1).await;
        (world, session.id().clone())
    });
    first.shutdown_timeout(Duration::from_secs(5));
    second.block_on(world.goes_on(&id));
}

/// SES-10: who lost the turn before the request went out sends nothing.
#[tokio::test]
async fn nothing_goes_out_without_the_turn() {
    let world = World::start(strict()).await;
    let client = world.client().await;
    let session = world.session(&client).await;
    world.store.lose_leases(1);
    let refused = session.refresh().await.unwrap_err();
    assert_eq!(store_error(refused), StoreError::LeaseLost);
    assert_eq!(world.server.count(Endpoint::Token), 0);
    // The store did what it had to.
    assert_eq!(client.counters().store_failures, 0);
    session.refresh().await.unwrap();
    world.works(&session).await;
}

/// SES-10: who has to wait for keys after the turn was lost puts no older token in place of a newer one.
#[tokio::test]
async fn an_answer_that_waits_for_keys_replaces_no_later_one() {
    let world = World::start(lenient()).await;
    // The second has no keys at hand: it has verified nothing yet.
    let (b, a, beside) = world.two_beside().await;
    world.store.open_locks();
    beside.open_locks();
    let once = AtomicBool::new(true);
    world.server.mutate_token_response(move |body| {
        if once.swap(false, Ordering::SeqCst) {
            body["refresh_token"] = "of-an-older-answer".into();
        }
    });
    // A's note is written; what it gets is held up.
    let writes = beside.count(Op::Replace);
    let gate = beside.hold_after(Op::Replace, 1, false);
    let going = a.session.clone();
    let refreshing = tokio::spawn(async move { going.refresh().await });
    beside.wait_for(Op::Replace, writes + 2).await;
    b.session.refresh().await.unwrap();
    gate.open();
    refreshing.await.unwrap().unwrap();
    for session in [&a.session, &b.session, &a.session] {
        session.refresh().await.unwrap();
        world.works(session).await;
    }
    let sent = world.refresh_tokens();
    assert!(!sent.iter().any(|token| token == "of-an-older-answer"));
    assert!(world.server.tokens_used_twice().is_empty());
}
