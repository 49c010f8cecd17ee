//! What is told of: events and counters.

use std::fmt::Write as _;

use fapi_client::{Endpoint as At, Event, SignInAgain, StoreError};
use fapi_testkit::{Endpoint, Nonces};

use super::faulty::Op;
use super::world::{World, lenient, strict};
use crate::{common, secrets};

/// SES-11: a session's life is told in order, to all who listen, and counted.
#[tokio::test]
async fn a_sessions_life_is_told() {
    let world = World::start(strict()).await;
    let client = world.client().await;
    let (mut one, mut two) = (client.events(), client.events());
    let session = world.session(&client).await;
    session.refresh().await.unwrap();
    world.store.fail(Op::Load, StoreError::Unavailable, 1);
    session.refresh().await.unwrap_err();
    session.logout().await.unwrap();
    let other = world.session(&client).await;
    world.server.revoke_refresh_tokens();
    other.refresh().await.unwrap_err();

    let ended = |session: &fapi_client::Session, cause| Event::SessionEnded {
        session: session.id().clone(),
        cause,
    };
    let expected = [
        Event::SessionCreated {
            session: session.id().clone(),
        },
        Event::SessionUpdated {
            session: session.id().clone(),
        },
        Event::StoreFailing {
            error: StoreError::Unavailable,
        },
        ended(&session, SignInAgain::LoggedOut),
        Event::SessionCreated {
            session: other.id().clone(),
        },
        ended(&other, SignInAgain::RefreshTokenRefused),
    ];
    let mut shown = String::new();
    for event in expected {
        write!(shown, "{event:?}").unwrap();
        assert_eq!(one.next().await, Some(event.clone()));
        assert_eq!(two.next().await, Some(event));
    }
    for secret in [session.id().as_str(), other.id().as_str(), "alice"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    let counters = client.counters();
    assert_eq!(counters.sessions_created, 2);
    assert_eq!(counters.sessions_updated, 1);
    assert_eq!(counters.sessions_ended, 2);
    assert_eq!(counters.rotations_lost, 0);
    assert_eq!(counters.refreshes_failed, 1);
    assert_eq!(counters.store_failures, 1);
    assert_eq!(counters.nonces_retried, 0);
    assert_eq!(counters.clock_offsets, 0);
    drop((session, other, client));
    assert_eq!(one.next().await, None, "nobody is left to tell anything");
}

/// The lines of the log that say this, with that in them.
fn lines(words: &str, of: &str) -> Vec<String> {
    let logged = secrets::logged();
    let lines = logged.lines();
    let found = lines.filter(|line| line.contains(words) && line.contains(of));
    found.map(str::to_owned).collect()
}

/// DPOP-8a, OP-5: nonces that were asked for and clocks that differ are told and logged, with where.
#[tokio::test]
async fn nonces_and_clocks_are_told() {
    secrets::captured();
    let world = World::start(lenient().nonces(Nonces::Rotating)).await;
    let client = world.client().await;
    let mut events = client.events();
    let session = world.session(&client).await;
    let retried = |endpoint| Some(Event::NonceRetried { endpoint });
    let first = events.next().await;
    assert_eq!(first, retried(At::PushedAuthorizationRequest));
    while let Some(event) = events.next().await {
        if matches!(event, Event::SessionCreated { .. }) {
            break;
        }
    }
    world.server.rotate_nonces();
    session.refresh().await.unwrap();
    assert_eq!(events.next().await, retried(At::Token));
    // Within the span of this session's refresh.
    let logged = lines("nonce retried", &session.id().tag());
    assert_eq!(logged.len(), 1, "{logged:?}");
    assert!(logged[0].contains(" DEBUG fapi.refresh{session="));
    assert!(logged[0].ends_with("nonce retried endpoint=\"token\""));
    assert!(matches!(
        events.next().await,
        Some(Event::SessionUpdated { .. })
    ));
    world.server.set_clock_offset(8);
    session.refresh().await.unwrap();
    let offset = loop {
        if let Event::ClockOffset { origin, seconds } = events.next().await.unwrap() {
            break (origin, seconds);
        }
    };
    assert_eq!(offset, (world.server.issuer().to_owned(), 8));
    // The port is this server's own.
    let logged = lines("clock offset", world.server.issuer());
    assert_eq!(logged.len(), 1, "{logged:?}");
    assert!(logged[0].contains(" INFO "));
    let end = format!("clock offset origin={:?} seconds=8", world.server.issuer());
    assert!(logged[0].ends_with(&end), "{logged:?}");
    assert_eq!(client.counters().clock_offsets, 1);
    assert!(client.counters().nonces_retried >= 2);
}

/// SEC-cred: what is logged of stores, refreshes, crashes and logouts has no secret in it.
#[tokio::test]
async fn nothing_that_is_logged_is_secret() {
    secrets::captured();
    let world = World::start(strict()).await;
    let (a, b) = world.two().await;
    world.store.fail(Op::Replace, StoreError::NoSpace, 1);
    a.session.refresh().await.unwrap_err();
    world
        .store
        .fail_after(Op::Replace, 1, StoreError::Unavailable, 1);
    a.session.refresh().await.unwrap();
    b.session.refresh().await.unwrap();
    world.works(&b.session).await;
    world.server.set_offline(true);
    let late = world.client().await;
    a.session.logout().await.unwrap_err();
    late.session(a.session.id()).await.unwrap_err();
    world.server.set_offline(false);
    b.session.logout().await.unwrap();

    let logged = secrets::logged();
    for words in [
        "store failing",
        "session updated",
        "session ended",
        "not revoked",
    ] {
        assert!(logged.contains(words), "{words}");
    }
    let mut known = world.server.secrets_issued();
    known.extend(world.refresh_tokens());
    known.push(a.session.id().as_str().to_owned());
    for secret in known {
        assert!(!logged.contains(&secret), "{secret}");
    }
}

/// A subscriber that is slow is told how many events it has missed, and then goes on; nothing waits for it.
#[tokio::test]
async fn a_slow_subscriber_is_told_what_it_missed() {
    let world = World::start(strict()).await;
    let client = world.client().await;
    let session = world.session(&client).await;
    let mut events = client.events();
    world.store.fail(Op::Load, StoreError::Unavailable, 1_030);
    for _ in 0..1_030 {
        client.session(session.id()).await.unwrap_err();
    }
    assert_eq!(events.next().await, Some(Event::Missed { count: 6 }));
    for _ in 0..1_024 {
        let failing = Event::StoreFailing {
            error: StoreError::Unavailable,
        };
        assert_eq!(events.next().await, Some(failing));
    }
    session.refresh().await.unwrap();
    assert!(matches!(
        events.next().await,
        Some(Event::SessionUpdated { .. })
    ));
    assert_eq!(client.counters().store_failures, 1_030);
    assert_eq!(world.server.count(Endpoint::Token), 1);
    common::get(&session, &world.server, "/accounts")
        .await
        .unwrap();
}
