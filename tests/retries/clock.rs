//! A clock that is wrong, and a server that says so.

use fapi_client::{ConfigError, Denied, Error};
use fapi_testkit::{Answer, Endpoint, Nonces, TestClock, TestServer};

use super::{Place, Ready, assert_repeated};
use crate::common;

const NOW: i64 = 1_800_000_000;

/// A server whose clock stands still, and which asks for no nonces.
async fn still() -> TestServer {
    TestServer::builder()
        .clock(TestClock::at(NOW))
        .nonces(Nonces::Off)
        .start()
        .await
}

fn times(server: &TestServer, endpoint: Endpoint) -> Vec<i64> {
    server
        .requests_to(endpoint)
        .iter()
        .map(|request| request.proof().unwrap().claim("iat").as_i64().unwrap() - NOW)
        .collect()
}

/// A client whose every answer so far came from a server with the same clock. No ID token is asked for:
/// the offset moves what is signed, never what is verified (OP-5).
async fn ready(place: Place, server: &TestServer) -> Ready {
    let client = common::client(server).await;
    let (login, callback) = common::approved(&client, server, "alice", "accounts").await;
    let session = client
        .finish_login(login.transaction(), callback)
        .await
        .unwrap();
    let waiting = match place {
        Place::Code => Some(common::approved(&client, server, "alice", "accounts").await),
        _ => None,
    };
    server.forget_requests();
    Ready {
        place,
        client,
        session,
        waiting,
    }
}

/// SP-5.3.3.1-N1, OP-5, ERR-6, ERR-9, OFTEN-19: a server whose clock is minutes away refuses once; the
/// second attempt is signed with its time.
#[tokio::test]
async fn a_wrong_clock_costs_one_retry() {
    for (place, offsets) in [
        (Place::Par, [-500, 500]),
        // A later clock would let the code expire.
        (Place::Code, [-500, -100]),
        (Place::Refresh, [-500, 500]),
        (Place::Api, [-280, 280]),
    ] {
        for offset in offsets {
            let server = still().await;
            let mut ready = ready(place, &server).await;
            server.set_clock_offset(offset);
            ready.act(&server).await.unwrap();
            assert_repeated(&server, place, 2);
            assert_eq!(times(&server, place.endpoint()), [0, offset], "{place:?}");
            if place == Place::Api {
                assert_eq!(server.count(Endpoint::Token), 0);
            }
        }
    }
}

/// SP-5.3.3.1-N1, OP-5: more than ten minutes are not believed.
#[tokio::test]
async fn an_offset_beyond_ten_minutes_is_refused() {
    for (offset, believed) in [(1_200, 600), (-1_200, -600)] {
        let server = still().await;
        let mut ready = ready(Place::Par, &server).await;
        server.set_clock_offset(offset);
        let error = ready.act(&server).await.unwrap_err();
        let seconds = offset;
        assert_eq!(
            common::config(&error),
            Some(&ConfigError::Clock { seconds })
        );
        assert_eq!(times(&server, Endpoint::Par), [0, believed]);
        assert_eq!(server.requests().len(), 2);
    }
}

/// SP-5.3.3.1-N1: the offset is learned from a success too, for that server alone, and not from an answer
/// that comes out of a cache.
#[tokio::test]
async fn an_offset_is_learned_from_any_answer_of_the_server_itself() {
    let server = still().await;
    let session = ready(Place::Api, &server).await.session;
    server.answer_next(
        Endpoint::Api,
        Answer::status(200)
            .header("age", "30")
            .header("date", "Fri, 15 Jan 2027 08:05:00 GMT"),
    );
    server.set_clock_offset(9);
    for _ in 0..3 {
        common::get(&session, &server, "/accounts").await.unwrap();
    }
    assert_eq!(times(&server, Endpoint::Api), [0, 0, 9]);
    session.refresh().await.unwrap();
    assert_eq!(times(&server, Endpoint::Token), [0]);
}

/// ERR-6, ERR-9: times that are refused though the clocks agree are an error, and nothing goes out again.
#[tokio::test]
async fn refused_times_without_an_offset_are_an_error() {
    for (place, error) in [
        (Place::Par, "invalid_client"),
        (Place::Par, "invalid_dpop_proof"),
        (Place::Code, "invalid_client"),
        (Place::Refresh, "invalid_dpop_proof"),
        (Place::Refresh, "invalid_client"),
    ] {
        let server = still().await;
        let mut ready = ready(place, &server).await;
        server.answer_always(place.endpoint(), Answer::error(401, error));
        let refused = ready.act(&server).await.unwrap_err();
        let Error::Denied(Denied::Server(refusal)) = &refused else {
            panic!("{refused:?}");
        };
        assert_eq!(refusal.error(), error);
        assert_eq!(server.requests().len(), 1, "{place:?}");
    }
}

/// SP-5.3.3.1-N1: of many calls that were signed with the wrong time at once, each gets its retry, not
/// only the one whose answer taught the offset.
#[tokio::test]
async fn calls_side_by_side_all_get_their_retry() {
    const CALLS: usize = 8;
    let server = still().await;
    let session = ready(Place::Api, &server).await.session;
    server.set_clock_offset(200);
    let hold = server.hold(Endpoint::Api);
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..CALLS {
        let (session, server) = (session.clone(), server.clone());
        calls.spawn(async move { common::get(&session, &server, "/accounts").await });
    }
    server.wait_for(Endpoint::Api, CALLS).await;
    hold.release();
    while let Some(answer) = calls.join_next().await {
        assert_eq!(answer.unwrap().unwrap().status(), 200);
    }
    assert_eq!(server.count(Endpoint::Api), 2 * CALLS);
    assert_eq!(server.count(Endpoint::Token), 0);
    common::assert_fresh(&server);
}
