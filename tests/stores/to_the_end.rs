//! What goes on to its end though nobody waits for it, and what is told where it can't.

use std::time::Duration;

use fapi_client::store::RecordKind;
use fapi_client::{Client, Error, Event, LogoutRequestFault, SignInAgain, StoreError, Violation};
use fapi_testkit::{Answer, Endpoint};
use tokio::runtime::Runtime;

use super::faulty::Op;
use super::sealing::tag_of;
use super::world::{World, lenient, store_error, strict};
use crate::common;

const FORM: Option<&str> = Some("application/x-www-form-urlencoded");

/// The server tells of a logout, while one session can't be read. What it sent.
async fn told_while_a_load_fails(world: &World, client: &Client) -> String {
    let server = &world.server;
    let token = server.logout_token(common::CLIENT_ID, Some("alice"), None);
    let body = format!("logout_token={token}");
    // The first load asks whether the token is known.
    world
        .store
        .fail_after(Op::Load, 1, StoreError::Unavailable, 1);
    let told = client.backchannel_logout(FORM, body.as_bytes()).await;
    assert_eq!(store_error(told.unwrap_err()), StoreError::Unavailable);
    body
}

/// SES-3: a program that ends waits for the refresh in its background; the next run goes on with what it
/// brought, without any retry window.
#[test]
fn a_program_that_ends_waits_for_its_background() {
    let (first, second) = (Runtime::new().unwrap(), Runtime::new().unwrap());
    let (world, id) = first.block_on(async {
        let world = World::start(strict()).await;
        let client = world.client().await;
        let session = world.session(&client).await;
        assert!(client.settled(Duration::ZERO).await);
        world.advance(271);
        let hold = world.server.hold(Endpoint::Token);
        // All that the program wants; the token is renewed beside it.
        world.works(&session).await;
        world.server.wait_for(Endpoint::Token, 1).await;
        assert!(!client.settled(Duration::from_millis(50)).await);
        hold.release();
        assert!(client.settled(Duration::from_secs(30)).await);
        (world, session.id().clone())
    });
    first.shutdown_timeout(Duration::from_secs(5));
    second.block_on(world.goes_on(&id));
}

/// SES-5: a logout on a full disk is one, though there is no room for a tombstone: the record goes. Where
/// the server can't be told either, that is said, and the server is told later.
#[tokio::test]
async fn a_logout_needs_no_room() {
    for server_down in [false, true] {
        let world = World::start(strict()).await;
        let client = world.client().await;
        let session = world.session(&client).await;
        world.store.fail(Op::Replace, StoreError::NoSpace, 1000);
        if server_down {
            world
                .server
                .answer_always(Endpoint::Revocation, Answer::status(503));
        }
        let outcome = session.logout().await;
        assert_eq!(outcome.is_err(), server_down, "{outcome:?}");
        if let Err(error) = outcome {
            assert!(error.retry_may_help(), "{error:?}");
        }
        let gone = world.client().await.session(session.id()).await;
        assert_eq!(store_error(gone.unwrap_err()), StoreError::NoSuchSession);
        if server_down {
            world.server.behave();
            let before = world.server.count(Endpoint::Revocation);
            drop(common::begin(&client).await);
            world
                .server
                .wait_for(Endpoint::Revocation, before + 1)
                .await;
            assert!(client.settled(Duration::from_secs(30)).await);
        }
        world.no_record().await;
    }
}

/// SES-5: a logout that the store does not take at all is told as that, before what the server says: the
/// session may come back.
#[tokio::test]
async fn a_logout_that_the_store_does_not_take_is_told() {
    let world = World::start(strict()).await;
    let session = world.session(&world.client().await).await;
    world.store.fail(Op::Replace, StoreError::Unavailable, 1000);
    world.store.fail(Op::Delete, StoreError::Unavailable, 1000);
    world
        .server
        .answer_always(Endpoint::Revocation, Answer::status(503));
    let refused = session.logout().await.unwrap_err();
    assert_eq!(store_error(refused), StoreError::Unavailable);
    let error = world.call_fails(&session).await;
    assert!(matches!(error, Error::SignInAgain(SignInAgain::LoggedOut)));
}

/// BCL-8, BCL-9: a server that hangs up before the answer is there has logged the user out all the same;
/// the token counts once.
#[tokio::test]
async fn a_logout_that_the_server_does_not_wait_for() {
    let world = World::start(lenient()).await;
    let (one, two) = world.two().await;
    let sid = world.server.sid_of(common::CLIENT_ID, "alice");
    let token = world
        .server
        .logout_token(common::CLIENT_ID, Some("alice"), sid.as_deref());
    let body = format!("logout_token={token}");
    let lists = world.store.count(Op::List);
    let gate = world.store.hold_after(Op::List, 0, false);
    let (client, sent) = (one.client.clone(), body.clone());
    let handler =
        tokio::spawn(async move { client.backchannel_logout(FORM, sent.as_bytes()).await });
    world.store.wait_for(Op::List, lists + 1).await;
    handler.abort();
    handler.await.unwrap_err();
    gate.open();
    assert!(one.client.settled(Duration::from_secs(30)).await);
    one.gone(SignInAgain::LoggedOut).await;
    two.gone(SignInAgain::LoggedOut).await;
    let again = one.client.backchannel_logout(FORM, body.as_bytes()).await;
    assert_eq!(
        again.unwrap_err().violation(),
        Some(&Violation::LogoutRequest {
            fault: LogoutRequestFault::Replayed
        })
    );
}

/// BCL-9: one session that can't be ended keeps none of the others alive, and the server may tell again.
#[tokio::test]
async fn one_that_fails_keeps_no_other_alive() {
    let world = World::start(lenient()).await;
    let (one, _) = world.two().await;
    let other = world.session(&one.client).await;
    let third = world.session(&one.client).await;
    let body = told_while_a_load_fails(&world, &one.client).await;
    for session in [&one.session, &other, &third] {
        assert_eq!(session.scope(), Err(SignInAgain::LoggedOut));
    }
    let told = one.client.backchannel_logout(FORM, body.as_bytes()).await;
    told.unwrap();
    assert!(one.client.settled(Duration::from_secs(30)).await);
    world.no_record().await;
}

/// SES-6, ERR-11: a browser that hangs up while its login is finished leaves no session that nobody could
/// log out, and no grant at the server.
#[tokio::test]
async fn a_login_that_nobody_waits_for_is_given_back() {
    let world = World::start(lenient()).await;
    let client = world.client().await;
    let (login, callback) =
        common::approved(&client, &world.server, "alice", "openid accounts").await;
    let creates = world.store.count(Op::Create);
    let gate = world.store.hold_after(Op::Create, 0, false);
    let going = client.clone();
    let (handle, sent) = (login.transaction().clone(), callback.clone());
    let handler = tokio::spawn(async move { going.finish_login(handle, sent).await });
    world.store.wait_for(Op::Create, creates + 1).await;
    handler.abort();
    handler.await.unwrap_err();
    gate.open();
    assert!(client.settled(Duration::from_secs(30)).await);
    assert!(world.store.keys(RecordKind::Session).await.is_empty());
    let issued = world.server.secrets_issued();
    let live = issued.iter().filter(|one| world.server.is_live(one));
    assert_eq!(live.count(), 0);
    // The second callback of that browser finds no login, and no code goes out again.
    let tokens = world.server.count(Endpoint::Token);
    let again = client.finish_login(login.transaction(), &callback).await;
    assert_eq!(
        again.unwrap_err().violation(),
        Some(&Violation::NoSuchLogin)
    );
    assert_eq!(world.server.count(Endpoint::Token), tokens);
}

/// SES-5: what the server takes no revocation for is not written down anew at each attempt, so that it
/// passes some day.
#[tokio::test]
async fn a_tombstone_grows_old() {
    let world = World::start(strict()).await;
    let client = world.client().await;
    let session = world.session(&client).await;
    world
        .server
        .answer_always(Endpoint::Revocation, Answer::status(503));
    session.logout().await.unwrap_err();
    assert!(client.settled(Duration::from_secs(30)).await);
    let writes = world.store.count(Op::Replace);
    for _ in 0..3 {
        let before = world.server.count(Endpoint::Revocation);
        drop(common::begin(&client).await);
        world
            .server
            .wait_for(Endpoint::Revocation, before + 1)
            .await;
        assert!(client.settled(Duration::from_secs(30)).await);
    }
    assert_eq!(world.store.count(Op::Replace), writes);
}

/// BCL-9, SES-5: a back-channel logout that the store does not take at once ends the session all the same: the
/// job beside it tries again.
#[tokio::test]
async fn a_back_channel_logout_is_made_up_for() {
    let world = World::start(lenient()).await;
    let (one, two) = world.two().await;
    told_while_a_load_fails(&world, &one.client).await;
    assert!(one.client.settled(Duration::from_secs(30)).await);
    two.gone(SignInAgain::LoggedOut).await;
    world.no_record().await;
}

/// SES-5, SES-8: a tombstone that is damaged is told of, and keeps none of the others from the server.
#[tokio::test]
async fn a_damaged_tombstone_keeps_no_other() {
    let world = World::start(strict()).await;
    let client = world.client().await;
    let sessions = [world.session(&client).await, world.session(&client).await];
    world
        .server
        .answer_always(Endpoint::Revocation, Answer::status(503));
    for session in &sessions {
        session.logout().await.unwrap_err();
    }
    assert!(client.settled(Duration::from_secs(30)).await);
    let keys = world.store.keys(RecordKind::Session).await;
    assert_eq!(keys.len(), 2);
    let mut bytes = world.store.read(&keys[0]).await.bytes;
    *bytes.last_mut().unwrap() ^= 1;
    let tags = vec![tag_of(&["ended"])];
    world.store.tamper_with_tags(&keys[0], bytes, tags).await;
    world.server.behave();
    world.server.forget_requests();

    let mut events = client.events();
    drop(common::begin(&client).await);
    world.server.wait_for(Endpoint::Revocation, 1).await;
    assert!(client.settled(Duration::from_secs(30)).await);
    let failing = Event::StoreFailing {
        error: StoreError::NotAuthentic,
    };
    assert_eq!(events.next().await, Some(failing));
    assert_eq!(
        world.store.keys(RecordKind::Session).await,
        [keys[0]],
        "left as it is"
    );
}

/// SES-3: it waits for a token of the client's own as well, though whoever asked for it has gone.
#[tokio::test]
async fn a_program_that_ends_waits_for_a_service_token() {
    let world = World::start(strict()).await;
    let client = world.client().await;
    let hold = world.server.hold(Endpoint::Token);
    let going = client.clone();
    let asking = tokio::spawn(async move {
        let service = going.client_credentials().scope("accounts");
        service.start().await
    });
    world.server.wait_for(Endpoint::Token, 1).await;
    asking.abort();
    asking.await.unwrap_err();
    assert!(!client.settled(Duration::from_millis(50)).await);
    hold.release();
    assert!(client.settled(Duration::from_secs(30)).await);
    let service = client.client_credentials().scope("accounts");
    service.start().await.unwrap();
    assert_eq!(world.server.count(Endpoint::Token), 1);
}
