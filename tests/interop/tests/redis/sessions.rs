//! Sessions of two processes while their Redis ends and comes back.

use std::time::Duration;

use fapi_client::{Error, Event, SignInAgain, StoreError};
use fapi_interop::Redis;
use fapi_testkit::{Answer, Endpoint};
use tokio::runtime::Runtime;
use tokio::task::spawn_blocking;

use crate::program::{GRACES, Process, World, store_error};
use crate::{connect, once_it_is_back};

/// How a server ends: in good order, or with SIGKILL.
const ENDINGS: [fn(&mut Redis); 2] = [Redis::stop, Redis::kill];

async fn two(world: &World, redis: &Redis) -> (Process, Process) {
    world.two(connect(redis).await, connect(redis).await).await
}

/// SES-2, SES-3: Redis ends and comes back while one process refreshes and another waits for its turn.
/// The one that waits is told; the other's answer is kept, and both go on from it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_restarts_in_mid_refresh() {
    for grace in GRACES {
        for end in ENDINGS {
            let mut redis = Redis::start();
            let world = World::start(grace).await;
            let (a, b) = two(&world, &redis).await;
            let hold = world.server.hold(Endpoint::Token);
            let refreshing = a.refreshing();
            world.server.wait_for(Endpoint::Token, 1).await;
            let waiting = b.refreshing();
            end(&mut redis);
            let error = waiting.await.unwrap().unwrap_err();
            assert!(error.retry_may_help());
            assert_eq!(store_error(error), StoreError::Unavailable);
            redis.start_again();
            hold.release();
            refreshing.await.unwrap().unwrap();
            world.works(&a).await;
            b.refresh_once_it_is_back().await;
            assert_eq!(world.refreshes(), 1);
            world.goes_on(&a, &b).await;
            world.each_once();
        }
    }
}

/// SES-3: the answer comes while Redis is away. The process that has it serves from it and says
/// that the store fails; the other one is told by each call that needs the store, sends nothing, and its
/// living token serves. When Redis is back, the tokens are written, and the other one goes on from them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_answer_comes_while_redis_is_away() {
    for grace in GRACES {
        for end in ENDINGS {
            let mut redis = Redis::start();
            let world = World::start(grace).await;
            let (a, b) = two(&world, &redis).await;
            let mut events = a.client.events();
            let hold = world.server.hold(Endpoint::Token);
            let refreshing = a.refreshing();
            world.server.wait_for(Endpoint::Token, 1).await;
            end(&mut redis);
            hold.release();
            refreshing.await.unwrap().unwrap();
            world.works(&a).await;
            let failing = Event::StoreFailing {
                error: StoreError::Unavailable,
            };
            assert_eq!(events.next().await, Some(failing));
            let session = a.session.id().clone();
            let updated = Event::SessionUpdated { session };
            while events.next().await.unwrap() != updated {}

            let gone = StoreError::Unavailable;
            let refused = b.session.refresh().await.unwrap_err();
            assert_eq!(store_error(refused), gone);
            let refused = b.client.session(b.session.id()).await.unwrap_err();
            assert_eq!(store_error(refused), gone);
            let refused = b.client.login().scope("openid").start().await;
            assert_eq!(store_error(refused.unwrap_err()), gone);
            world.works(&b).await;
            assert_eq!(world.refreshes(), 1);

            redis.start_again();
            b.refresh_once_it_is_back().await;
            assert_eq!(world.refreshes(), 1);
            world.goes_on(&a, &b).await;
            world.each_once();
        }
    }
}

/// SES-3: while Redis is away no refresh goes out, since it can't be noted. A living token serves
/// meanwhile; a dead one is the store's error, and nothing is sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_goes_out_while_redis_is_away() {
    for grace in GRACES {
        for end in ENDINGS {
            let mut redis = Redis::start();
            let world = World::start(grace).await;
            let (a, b) = two(&world, &redis).await;
            end(&mut redis);
            for process in [&a, &b] {
                let error = process.session.refresh().await.unwrap_err();
                assert_eq!(store_error(error), StoreError::Unavailable);
                world.works(process).await;
            }
            let lived = world.server.requests().len();
            world.server.clock().advance(Duration::from_secs(300));
            for process in [&a, &b] {
                assert_eq!(world.call_fails(process).await, StoreError::Unavailable);
            }
            assert_eq!(world.server.requests().len(), lived);
            assert_eq!(world.refreshes(), 0);

            redis.start_again();
            for process in [&a, &b] {
                process.refresh_once_it_is_back().await;
                world.works(process).await;
            }
            world.goes_on(&a, &b).await;
            world.each_once();
        }
    }
}

/// What a process that dies in mid-refresh has come to.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Reached {
    /// Its request was on the way.
    Sent,
    /// The server has rotated the refresh token; the answer was on the way.
    Answered,
}

/// A process dies in mid-refresh, and Redis with it. Another one goes on when Redis is back and the lease of
/// the dead one has passed.
async fn dies_together(
    end: fn(&mut Redis),
    grace: Duration,
    reached: Reached,
    then: impl AsyncFnOnce(&World, &Process, &Process),
) {
    let mut redis = Redis::start();
    let world = World::start(grace).await;
    let (a, b) = two(&world, &redis).await;
    let dying = Runtime::new().unwrap();
    let client = world.client(connect(&redis).await).await;
    let session = client.session(a.session.id()).await.unwrap();
    let hold = match reached {
        Reached::Sent => Some(world.server.hold(Endpoint::Token)),
        Reached::Answered => {
            world.server.answer_next(Endpoint::Token, Answer::hang());
            None
        }
    };
    dying.spawn(async move { session.refresh().await });
    world.server.wait_for(Endpoint::Token, 1).await;
    // What is held is cut off, and never looked at.
    world.server.set_offline(reached == Reached::Sent);
    end(&mut redis);
    let limit = Duration::from_secs(5);
    let dead = spawn_blocking(move || dying.shutdown_timeout(limit));
    dead.await.unwrap();
    drop((client, hold));
    world.server.set_offline(false);
    redis.start_again();
    once_it_is_back(async || a.client.sessions().await.map_err(store_error)).await;
    then(&world, &a, &b).await;
}

/// SES-4, SP-5.3.2.1-9: a process dies in mid-refresh, together with Redis: the next one takes the
/// old refresh token once more. Nothing is lost where the server keeps its retry window, nor where the
/// request had not arrived; where it had, without a window, the rotation is lost, and the session with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_dies_together_with_redis() {
    let goes_on = async |world: &World, a: &Process, b: &Process| {
        b.refresh_once_it_is_back().await;
        world.works(b).await;
        world.goes_on(a, b).await;
    };
    let is_lost = async |world: &World, a: &Process, b: &Process| {
        // The first to find out says why; the other one finds that the session is gone.
        for (process, expected) in [(b, SignInAgain::RotationLost), (a, SignInAgain::LoggedOut)] {
            match process.session.refresh().await.unwrap_err() {
                Error::SignInAgain(cause) => assert_eq!(cause, expected),
                other => panic!("{other:?}"),
            }
            let gone = process.client.session(process.session.id()).await;
            assert_eq!(store_error(gone.unwrap_err()), StoreError::NoSuchSession);
        }
        assert_eq!(b.client.counters().rotations_lost, 1);
        assert_eq!(world.refreshes(), 2);
    };
    let [stop, kill] = ENDINGS;
    let [window, none] = GRACES;
    tokio::join!(
        dies_together(kill, window, Reached::Answered, goes_on),
        dies_together(stop, window, Reached::Sent, goes_on),
        dies_together(kill, none, Reached::Sent, goes_on),
        dies_together(stop, none, Reached::Answered, is_lost),
    );
}
