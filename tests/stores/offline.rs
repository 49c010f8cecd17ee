//! A server that can't be reached when a process starts.

use fapi_client::store::{RecordKey, RecordKind};
use fapi_client::{Error, SessionId, TransportFault};
use fapi_testkit::Endpoint;

use super::world::{World, strict};
use crate::common;

fn is_network(error: &Error) -> bool {
    matches!(
        common::transport(error).map(|error| &error.fault),
        Some(TransportFault::Connect | TransportFault::Broken)
    )
}

/// A session in the store, and a server that is down.
async fn down() -> (World, SessionId) {
    let world = World::start(strict()).await;
    let client = world.client().await;
    let session = world.session(&client).await;
    world.server.set_offline(true);
    (world, session.id().clone())
}

/// The record of the metadata, and that of the key set, which is shorter.
async fn documents(world: &World) -> [RecordKey; 2] {
    let keys = world.store.keys(RecordKind::Document).await;
    let mut lengths = Vec::new();
    for key in keys {
        lengths.push((world.store.read(&key).await.bytes.len(), key));
    }
    lengths.sort_unstable();
    assert_eq!(lengths.len(), 2);
    [lengths[1].1, lengths[0].1]
}

/// SES-9: with the last good metadata a client is built and a session opened though the server
/// is down; its calls fail as the network does, and it is no logout.
#[tokio::test]
async fn a_session_opens_offline() {
    let (world, id) = down().await;
    let client = world.client().await;
    assert_eq!(client.issuer().as_str(), world.server.issuer());
    let session = client.session(&id).await.unwrap();
    assert_eq!(session.subject(), Some("alice"));
    assert!(is_network(&world.call_fails(&session).await));
    let error = session.refresh().await.unwrap_err();
    assert!(is_network(&error), "{error:?}");
    assert!(error.retry_may_help());
    let error = client.login().scope("openid").start().await.unwrap_err();
    assert!(is_network(&error), "{error:?}");
    client.session(&id).await.unwrap();
    assert_eq!(client.counters().sessions_ended, 0);

    world.server.set_offline(false);
    world.works(&session).await;
    session.refresh().await.unwrap();
    world.works(&session).await;
    world.nothing_twice();
}

/// SES-9: the key set is kept too, so that an ID token can be checked where only the key set is
/// out of reach.
#[tokio::test]
async fn the_key_set_is_kept() {
    let world = World::start(strict()).await;
    world.session(&world.client().await).await;
    let client = world.client().await;
    world.server.forget_requests();
    world
        .server
        .answer_always(Endpoint::Jwks, fapi_testkit::Answer::status(503));
    common::log_in_with(&client, &world.server, "bob")
        .await
        .unwrap();
    assert_eq!(world.server.count(Endpoint::Jwks), 1);
}

/// SES-9: what was altered, or stands in another one's place, is no document of the server's:
/// nothing is built with it, no ID token is checked with it, and the error is the network's.
#[tokio::test]
async fn documents_that_were_tampered_with_are_not_used() {
    let (world, _) = down().await;
    let [metadata, jwks] = documents(&world).await;
    let (one, two) = (
        world.store.read(&metadata).await.bytes,
        world.store.read(&jwks).await.bytes,
    );
    let mut altered = one.clone();
    altered[60] ^= 1;
    let clear = format!("{{\"issuer\":\"{}\"}}", world.server.issuer()).into_bytes();
    for bytes in [altered, one[..40].to_vec(), clear, two.clone()] {
        world.store.tamper(&metadata, bytes).await;
        let built = world.builder().build().await;
        assert!(is_network(&built.unwrap_err()));
    }
    // The server's own answer puts things right.
    world.server.set_offline(false);
    let client = world.client().await;
    world.server.set_offline(true);
    world.client().await;

    world.server.set_offline(false);
    let mut altered = two;
    altered[60] ^= 1;
    for bytes in [altered, b"{\"keys\":[]}".to_vec(), one] {
        world.store.tamper(&jwks, bytes).await;
        world
            .server
            .answer_next(Endpoint::Jwks, fapi_testkit::Answer::status(503));
        let begun = client.login().scope("openid").start().await;
        assert_eq!(begun.unwrap_err().code(), "transport.unavailable");
    }
    assert!(client.counters().store_failures >= 3);
}

/// META-1, design (Sessions): stored metadata of another issuer, or of another client, is not this one's.
#[tokio::test]
async fn documents_belong_to_one_client() {
    let (world, id) = down().await;
    let other = fapi_client::Client::builder(world.server.issuer(), "other-client")
        .authenticate_with(fapi_client::ClientAuth::private_key_jwt(world.keys.clone()))
        .transport(common::https(&world.server))
        .stores(world.stores());
    assert!(is_network(&other.build().await.unwrap_err()));
    world.client().await.session(&id).await.unwrap();
}

/// A client that keeps nothing outside of its process needs the server to begin.
#[tokio::test]
async fn memory_keeps_no_documents() {
    let world = World::start(strict()).await;
    common::builder_with(&world.server, world.keys.clone())
        .build()
        .await
        .unwrap();
    world.server.set_offline(true);
    let builder = common::builder_with(&world.server, world.keys.clone());
    assert!(is_network(&builder.build().await.unwrap_err()));
    // Nor is there anything in a store that is new.
    assert!(is_network(&world.builder().build().await.unwrap_err()));
}
