//! Several processes with one store: restart, login across replicas, one refresh for all.

use fapi_client::{Clients, Error, SessionId, StoreError, Violation};
use fapi_testkit::{Endpoint, TestServer};
use tokio::task::JoinSet;

use super::world::{World, lenient, sign_in_again, store_error, strict};
use crate::common;

/// SES-1, SEC-6.3: a session that another process began is opened by its id, with the same key
/// and the same facts, and the authorization server is asked nothing.
#[tokio::test]
async fn a_session_outlives_its_process() {
    let world = World::start(strict()).await;
    let before = world.client().await;
    let session = world.session(&before).await;
    let (id, thumbprint) = (
        session.id().as_str().to_owned(),
        session.key_thumbprint().unwrap().to_owned(),
    );
    let expires_at = session.expires_at();
    let hint = session.id_token_hint().unwrap();
    drop((session, before));

    let after = world.client().await;
    world.server.forget_requests();
    let session = after.session(&SessionId::from(id)).await.unwrap();
    assert_eq!(session.key_thumbprint(), Some(thumbprint.as_str()));
    assert_eq!(session.subject(), Some("alice"));
    assert_eq!(session.scope(), Ok(Some("openid accounts".to_owned())));
    assert_eq!(session.expires_at(), expires_at);
    assert_eq!(session.id_token_hint().unwrap().expose(), hint.expose());
    assert_eq!(world.server.requests().len(), 0);
    world.works(&session).await;
    assert_eq!(world.server.requests().len(), 1);
    assert_eq!(after.sessions_of("alice").await.unwrap().len(), 1);
    assert_eq!(after.sessions().await.unwrap().len(), 1);
    session.refresh().await.unwrap();
    world.works(&session).await;
    world.nothing_twice();
}

/// DPOP-8a: the nonces of a session are kept with it, so that a restart costs no challenge at the token
/// endpoint.
#[tokio::test]
async fn nonces_outlive_the_process() {
    let world = World::start(strict().nonces(fapi_testkit::Nonces::Rotating)).await;
    let session = world.session(&world.client().await).await;
    let after = world.client().await;
    let session = after.session(session.id()).await.unwrap();
    world.server.forget_requests();
    session.refresh().await.unwrap();
    assert_eq!(world.server.count(Endpoint::Token), 1);
    assert_eq!(after.counters().nonces_retried, 0);
}

/// SES-1, SEC-6.4: a login that began at one replica is finished at another, once.
#[tokio::test]
async fn a_login_is_finished_at_another_replica() {
    let world = World::start(strict()).await;
    let (a, b) = (world.client().await, world.client().await);
    let (login, callback) = common::approved(&a, &world.server, "alice", "openid accounts").await;
    let session = b
        .finish_login(login.transaction(), &callback)
        .await
        .unwrap();
    world.works(&session).await;
    for client in [&a, &b] {
        let error = client
            .finish_login(login.transaction(), &callback)
            .await
            .unwrap_err();
        assert_eq!(error.violation(), Some(&Violation::NoSuchLogin));
    }
    assert_eq!(world.server.count(Endpoint::Token), 1);
    world.works(&a.session(session.id()).await.unwrap()).await;
}

/// SES-2, OFTEN-15: two processes, fifty callers each, one dead token: one refresh.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hundred_callers_of_two_processes_share_one_refresh() {
    let world = World::start(strict()).await;
    let (a, b) = world.two().await;
    for round in 1..=2 {
        world.advance(300);
        let mut callers = JoinSet::new();
        for _ in 0..50 {
            for process in [&a, &b] {
                let (session, server) = (process.session.clone(), world.server.clone());
                callers.spawn(async move { common::get(&session, &server, "/accounts").await });
            }
        }
        while let Some(answer) = callers.join_next().await {
            assert_eq!(answer.unwrap().unwrap().status(), 200);
        }
        assert_eq!(world.server.count(Endpoint::Token), round);
    }
    assert_eq!(world.server.count(Endpoint::Api), 200);
    world.nothing_twice();
    assert_eq!(a.session.expires_at(), b.session.expires_at());
}

/// SES-2, SES-11: what another process renewed is taken over, and told of.
#[tokio::test]
async fn what_another_process_renewed_is_taken_over() {
    let world = World::start(strict()).await;
    let (a, b) = world.two().await;
    world.advance(300);
    world.works(&a.session).await;
    world.works(&b.session).await;
    assert_eq!(world.server.count(Endpoint::Token), 1);
    for process in [&a, &b] {
        assert_eq!(process.client.counters().sessions_updated, 1);
        assert_eq!(process.client.counters().refreshes_failed, 0);
    }
    // `session()` sees it at once.
    a.session.refresh().await.unwrap();
    world.advance(10);
    a.session.refresh().await.unwrap();
    let found = b.client.session(b.session.id()).await.unwrap();
    assert_eq!(found.expires_at(), a.session.expires_at());
    assert_eq!(b.session.expires_at(), a.session.expires_at());
    b.session.refresh().await.unwrap();
    world.nothing_twice();
}

/// SES-1, SEC-6.7: registries whose stores are one. A session of one server's is unknown at the
/// other; a callback finds its client at any replica, and no other.
#[tokio::test]
async fn registries_share_stores() {
    let world = World::start(lenient()).await;
    let other = TestServer::start().await;
    let keys = common::register(&other);
    let registry = async || {
        let clients = Clients::builder()
            .transport(common::https(&world.server))
            .clock(common::SharedClock(world.server.clock().clone()))
            .stores(world.stores())
            .build()
            .unwrap();
        for (server, keys) in [(&world.server, &world.keys), (&other, &keys)] {
            let client = clients.client(server.issuer(), common::CLIENT_ID);
            client
                .redirect_uri(common::REDIRECT_URI)
                .authenticate_with(fapi_client::ClientAuth::private_key_jwt(keys.clone()))
                .api(server.api())
                .build()
                .await
                .unwrap();
        }
        clients
    };
    let (a, b) = (registry().await, registry().await);
    let begun = a.get(world.server.issuer()).unwrap();
    let (login, callback) =
        common::approved(&begun, &world.server, "alice", "openid accounts").await;
    // At the other server's client there is no such login.
    let elsewhere = b.get(other.issuer()).unwrap();
    let error = elsewhere
        .finish_login(login.transaction(), &callback)
        .await
        .unwrap_err();
    assert_eq!(error.violation(), Some(&Violation::NoSuchLogin));
    let session = b
        .finish_login(login.transaction(), &callback)
        .await
        .unwrap();
    assert_eq!(other.count(Endpoint::Token), 0);
    world.works(&session).await;
    for clients in [&a, &b] {
        let client = clients.get(other.issuer()).unwrap();
        let error = client.session(session.id()).await.unwrap_err();
        assert_eq!(store_error(error), StoreError::NoSuchSession);
        assert!(client.sessions().await.unwrap().is_empty());
        let client = clients.get(world.server.issuer()).unwrap();
        world
            .works(&client.session(session.id()).await.unwrap())
            .await;
    }
    assert_eq!(b.counters().sessions_created, 1);
    assert_eq!(a.counters().sessions_created, 0);
}

/// Without a record there is no session, whatever the id is.
#[tokio::test]
async fn an_id_that_nobody_gave_finds_nothing() {
    let world = World::start(strict()).await;
    let client = world.client().await;
    for id in ["", "guessed", &"x".repeat(100_000)] {
        let error = client.session(&SessionId::from(id)).await.unwrap_err();
        assert_eq!(store_error(error), StoreError::NoSuchSession);
    }
    assert_eq!(client.counters().store_failures, 0);
}

/// ERR-8: a refusal ends the session for every process; each says so by its own handle.
#[tokio::test]
async fn a_refused_refresh_token_ends_the_session_everywhere() {
    let world = World::start(strict()).await;
    let (a, b) = world.two().await;
    world.server.revoke_refresh_tokens();
    let error = a.session.refresh().await.unwrap_err();
    assert_eq!(
        sign_in_again(error),
        fapi_client::SignInAgain::RefreshTokenRefused
    );
    world.no_record().await;
    let before = world.server.requests().len();
    let error = b.session.refresh().await.unwrap_err();
    assert!(matches!(error, Error::SignInAgain(_)), "{error:?}");
    assert_eq!(world.server.requests().len(), before, "nothing goes out");
}
