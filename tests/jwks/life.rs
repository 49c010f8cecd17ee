//! How long a key set is kept, and what happens while it can't be had.

use std::time::Duration;

use fapi_client::{Endpoint as At, Error, TransportFault};
use fapi_testkit::{Answer, Endpoint};

use super::{fetches, log_in, not_begun, refused, server};
use crate::common;

/// META-9, META-8: a key set is kept as long as the server says, and then fetched anew, once.
#[tokio::test]
async fn a_key_set_is_fetched_anew_when_it_is_old() {
    let server = server().await;
    let client = common::client(&server).await;
    log_in(&client, &server).await.unwrap();
    server.clock().advance(Duration::from_secs(299));
    log_in(&client, &server).await.unwrap();
    assert_eq!(fetches(&server), 1);
    server.clock().advance(Duration::from_secs(1));
    log_in(&client, &server).await.unwrap();
    log_in(&client, &server).await.unwrap();
    assert_eq!(fetches(&server), 2);
}

/// META-8: a key that was retired verifies nothing once the key set is fetched anew.
#[tokio::test]
async fn a_retired_key_is_forgotten() {
    let server = server().await;
    let client = common::client(&server).await;
    log_in(&client, &server).await.unwrap();
    client.sessions_of("alice").await.unwrap()[0]
        .logout()
        .await
        .unwrap();
    server.mutate_jwks(|set| set["keys"] = serde_json::json!([]));
    server.clock().advance(Duration::from_secs(3_600));
    let error = refused(&client, &server).await;
    assert_eq!(
        error.violation(),
        Some(&super::broken(fapi_client::JwtFault::NoKey))
    );
}

/// META-8, ERR-12: while the key set can't be had the last one stays in force, and the server is asked
/// once a minute.
#[tokio::test]
async fn the_last_key_set_serves_while_the_server_is_down() {
    let server = server().await;
    let client = common::client(&server).await;
    log_in(&client, &server).await.unwrap();
    for answer in [
        Answer::status(503),
        Answer::refuse_connection(),
        Answer::endless(),
    ] {
        server.answer_always(Endpoint::Jwks, answer);
        server.clock().advance(Duration::from_secs(3_600));
        server.forget_requests();
        for _ in 0..3 {
            log_in(&client, &server).await.unwrap();
        }
        assert_eq!(fetches(&server), 1);
        server.clock().advance(Duration::from_secs(60));
        log_in(&client, &server).await.unwrap();
        assert_eq!(fetches(&server), 2);
        server.behave();
        server.clock().advance(Duration::from_secs(60));
        log_in(&client, &server).await.unwrap();
        assert_eq!(fetches(&server), 3);
    }
}

/// ERR-12, ERR-16: without any key set a server that is down is an error of the network, which may pass;
/// so it is where a new key can't be looked up.
#[tokio::test]
async fn a_server_that_is_down_is_no_violation() {
    let server = server().await;
    let client = common::client(&server).await;
    let down = TransportFault::Unavailable {
        status: 503,
        retry_after: Some(Duration::from_secs(5)),
    };
    let unavailable = || Answer::status(503).header("retry-after", "5");
    server.answer_next(Endpoint::Jwks, unavailable());
    let Error::Transport(error) = not_begun(&client, &server).await else {
        panic!("no error of the transport")
    };
    assert_eq!((error.endpoint, &error.fault), (Some(At::Jwks), &down));
    assert!(error.retry_may_help());

    log_in(&client, &server).await.unwrap();
    client.sessions_of("alice").await.unwrap()[0]
        .logout()
        .await
        .unwrap();
    server.rotate_keys();
    server.answer_next(Endpoint::Jwks, unavailable());
    let Error::Transport(error) = refused(&client, &server).await else {
        panic!("no error of the transport")
    };
    assert_eq!((error.endpoint, &error.fault), (Some(At::Jwks), &down));
    // A minute later the new key is found.
    server.clock().advance(Duration::from_secs(60));
    log_in(&client, &server).await.unwrap();
}
