//! Processes that die while they renew.

use std::time::Duration;

use fapi_client::{Client, Session, SignInAgain, StoreError};
use fapi_testkit::{Answer, Endpoint};
use tokio::runtime::Runtime;

use super::faulty::Op;
use super::world::{World, lenient, sign_in_again, store_error};

/// When the process dies.
#[derive(Clone, Copy, Debug, PartialEq)]
enum When {
    /// The note that a refresh goes out is not written yet.
    BeforeTheNote,
    /// It is written, and nothing has gone out.
    BeforeTheRequest,
    /// The server has rotated the token, and its answer is not there.
    BeforeTheAnswer,
    /// The answer is there, and not yet in the store.
    BeforeTheWrite,
    /// The answer is in the store, and the process does not know.
    AfterTheWrite,
}

const ALL: [When; 5] = [
    When::BeforeTheNote,
    When::BeforeTheRequest,
    When::BeforeTheAnswer,
    When::BeforeTheWrite,
    When::AfterTheWrite,
];

/// A process refreshes and dies; what another finds.
fn crash(when: When, grace: u64, then: impl AsyncFnOnce(&World, &Client, &Session)) {
    let (dying, living) = (Runtime::new().unwrap(), Runtime::new().unwrap());
    let (world, id, gate) = dying.block_on(async {
        let server = lenient().rotation_grace(Duration::from_secs(grace));
        let world = World::start(server).await;
        let session = world.session(&world.client().await).await;
        let writes = world.store.count(Op::Replace);
        let gate = match when {
            When::BeforeTheNote => Some(world.store.hold_after(Op::Replace, 0, false)),
            When::BeforeTheRequest => Some(world.store.hold_after(Op::Replace, 0, true)),
            When::BeforeTheWrite => Some(world.store.hold_after(Op::Replace, 1, false)),
            When::AfterTheWrite => Some(world.store.hold_after(Op::Replace, 1, true)),
            When::BeforeTheAnswer => {
                world.server.answer_next(Endpoint::Token, Answer::hang());
                None
            }
        };
        let going = session.clone();
        tokio::spawn(async move { going.refresh().await });
        let writes = writes
            + match when {
                When::BeforeTheWrite | When::AfterTheWrite => 2,
                _ => 1,
            };
        world.store.wait_for(Op::Replace, writes).await;
        if when == When::BeforeTheAnswer {
            world.server.wait_for(Endpoint::Token, 1).await;
        }
        (world, session.id().clone(), gate)
    });
    // Its tasks end where they are, as if the machine were gone, and its locks with them.
    dying.shutdown_timeout(Duration::from_secs(5));
    drop(gate);
    living.block_on(async {
        let client = world.client().await;
        let session = client.session(&id).await.unwrap();
        then(&world, &client, &session).await;
    });
}

/// SES-4, ERR-10, SP-5.3.2.1-9: where the server keeps its retry window, nothing is lost,
/// whenever a process dies: the next one goes on, with the old refresh token where it has to.
#[test]
fn with_a_retry_window_a_crash_loses_nothing() {
    for when in ALL {
        crash(when, 60, async |world, client, session| {
            // The access token of before is still good.
            world.works(session).await;
            session.refresh().await.unwrap();
            world.works(session).await;
            session.refresh().await.unwrap();
            world.works(session).await;
            world.nothing_twice();
            assert_eq!(client.counters().sessions_ended, 0, "{when:?}");
            let sent = world.refresh_tokens();
            let expected = match when {
                When::BeforeTheNote | When::BeforeTheRequest => 2,
                _ => 3,
            };
            assert_eq!(sent.len(), expected, "{when:?}");
        });
    }
}

/// SES-4, ERR-8: where the server keeps none, the user is told that the rotation was lost, and
/// only where it was; the record is gone.
#[test]
fn without_a_retry_window_a_lost_rotation_is_named() {
    for when in ALL {
        crash(when, 0, async |world, client, session| {
            let outcome = session.refresh().await;
            if !matches!(when, When::BeforeTheAnswer | When::BeforeTheWrite) {
                outcome.unwrap();
                world.works(session).await;
                session.refresh().await.unwrap();
                world.nothing_twice();
                return;
            }
            let cause = SignInAgain::RotationLost;
            assert_eq!(sign_in_again(outcome.unwrap_err()), cause, "{when:?}");
            assert_eq!(world.server.count(Endpoint::Token), 2);
            assert_eq!(client.counters().rotations_lost, 1);
            assert_eq!(client.counters().sessions_ended, 1);
            assert_eq!(client.counters().refreshes_failed, 0);
            world.no_record().await;
            let error = client.session(session.id()).await.unwrap_err();
            assert_eq!(store_error(error), StoreError::NoSuchSession);
            assert!(world.revoked().is_empty(), "there is nothing to revoke");
        });
    }
}
