//! Clocks that jump.

use std::time::Duration;

use fapi_client::{ConfigError, Event};
use fapi_testkit::{Endpoint, TestClock};

use super::world::{World, lenient, strict};
use crate::common;

const NOW: i64 = 1_800_000_000;

/// SES-13, OP-5: a device whose clock is set back or ahead by an hour, which is more than is
/// corrected: the error says by how much and what to do, no session ends, and everything works when the clock is right
/// again.
#[tokio::test]
async fn a_clock_that_jumps_loses_nothing() {
    for jump in [-3_600, 3_600] {
        let world = World::start(strict()).await;
        let clock = TestClock::at(NOW);
        let builder = world.builder().clock(common::SharedClock(clock.clone()));
        let client = builder.build().await.unwrap();
        let session = world.session(&client).await;
        clock.set(NOW + jump);
        let mut events = client.events();
        let error = session.refresh().await.unwrap_err();
        let (origin, seconds) = (world.server.issuer().to_owned(), -jump);
        let said = ConfigError::Clock { seconds };
        assert_eq!(common::config(&error), Some(&said));
        assert!(said.to_string().contains("set it"));
        assert_eq!(
            events.next().await,
            Some(Event::ClockOffset { origin, seconds })
        );
        assert_eq!(client.counters().sessions_ended, 0);
        client.session(session.id()).await.unwrap();

        clock.set(NOW);
        world.works(&session).await;
        session.refresh().await.unwrap();
        world.works(&session).await;
        world.nothing_twice();
    }
}

/// The same where device and server agree: a token that seems not to be issued yet is used, and renewed; one
/// whose end has passed is renewed first.
#[tokio::test]
async fn all_clocks_jump_together() {
    let world = World::start(lenient()).await;
    let client = world.client().await;
    let session = world.session(&client).await;
    let server = &world.server;
    server.clock().rewind(Duration::from_secs(3_600));
    world.works(&session).await;
    server.wait_for(Endpoint::Token, 1).await;
    session.refresh().await.unwrap();
    world.works(&session).await;
    server.clock().advance(Duration::from_secs(2 * 3_600));
    server.forget_requests();
    world.works(&session).await;
    assert_eq!(server.count(Endpoint::Token), 1);
    let after = world.client().await;
    world
        .works(&after.session(session.id()).await.unwrap())
        .await;
    assert_eq!(client.counters().sessions_ended, 0);
    world.nothing_twice();
}

/// OIDC-10, SES-13: a clock that is set back does not keep a key set that is out of date.
#[tokio::test]
async fn keys_are_fetched_anew_after_the_clock_was_set_back() {
    let world = World::start(lenient()).await;
    let client = world.client().await;
    let log_in = || common::log_in_with(&client, &world.server, "alice");
    log_in().await.unwrap();
    let change = || {
        world.server.rotate_keys();
        world.server.retire_old_keys();
    };
    change();
    log_in().await.unwrap();
    world.server.clock().rewind(Duration::from_secs(3600));
    world.advance(120);
    change();
    log_in().await.unwrap();
}
