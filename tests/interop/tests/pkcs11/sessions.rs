//! Sessions whose keys are in the token: it is taken out, and put back.

use cryptoki::object::{Attribute, ObjectClass};
use fapi_client::store::{MemoryStore, SealingKey, SealingKeys};
use fapi_client::{
    Algorithm, Client, Error, KeyError, KeySet, KeyStore, Pkcs11Keys, Session, SignInAgain,
    SoftwareKey, Stores,
};
use fapi_interop::SoftHsm;
use fapi_testkit::{Endpoint, TestServer};

use super::login::builder;
use super::{absent, name, open};

/// A server that rotates refresh tokens and keeps no retry window: one that is used twice is a session that
/// is lost.
async fn strict() -> TestServer {
    let server = TestServer::builder().refresh_rotation(true);
    let server = server.rotation_grace(std::time::Duration::ZERO);
    server.start().await
}

fn stores() -> Stores {
    let sealing = SealingKeys::new(SealingKey::generate("k").unwrap());
    Stores::new(MemoryStore::new(), sealing)
}

/// Two clients over one store whose sessions have their keys in the token.
async fn two_clients(server: &TestServer) -> (Client, Client) {
    let (keys, stores) = (open().await, stores());
    let client_key = KeySet::new(SoftwareKey::generate_es256().unwrap());
    let client = async || {
        let builder = builder(server, &client_key).stores(stores.clone());
        builder.dpop_keys(keys.clone()).build().await.unwrap()
    };
    (client().await, client().await)
}

async fn log_in(client: &Client, server: &TestServer) -> Session {
    let login = client.login().scope("openid accounts").start().await;
    let login = login.unwrap();
    let callback = server.browser("alice").approve(login.url().as_str()).await;
    let session = client.finish_login(login.transaction(), callback).await;
    session.unwrap()
}

async fn call(session: &Session, server: &TestServer) -> Result<(), Error> {
    let answer = session.get(format!("{}/accounts", server.api())).send();
    answer.await?.error_for_status().map(drop)
}

fn key_error(error: Error) -> KeyError {
    match error {
        Error::Key(error) => error,
        other => panic!("{other:?}"),
    }
}

/// How many private keys are in the token.
fn keys_inside() -> usize {
    let private = [
        Attribute::Class(ObjectClass::PRIVATE_KEY),
        Attribute::Token(true),
    ];
    let session = super::keys::session();
    session.find_objects(&private).unwrap().len()
}

/// Waits for what is done in the background.
async fn until_inside(count: usize) {
    while keys_inside() != count {
        tokio::task::yield_now().await;
    }
}

/// SES-7: the key that the tokens are bound to is in the token. While that is out, nothing of
/// the session goes out, the error is the key's, and the session has not ended, neither here nor for a
/// process that opens it; when it is back, the session goes on. Logout deletes the key.
#[test]
fn the_key_of_a_session() {
    SoftHsm::apart("sessions::the_key_of_a_session", async |hsm| {
        let server = strict().await;
        let (one, other) = two_clients(&server).await;
        let session = log_in(&one, &server).await;
        assert_eq!(keys_inside(), 1);
        call(&session, &server).await.unwrap();

        for _ in 0..2 {
            hsm.take_out();
            let before = server.requests().len();
            let error = call(&session, &server).await.unwrap_err();
            assert!(error.retry_may_help());
            assert_eq!(key_error(error), absent());
            let error = session.refresh().await.unwrap_err();
            assert_eq!(key_error(error), absent());
            let error = other.session(session.id()).await.unwrap_err();
            assert_eq!(key_error(error), absent());
            let error = one.login().scope("openid").start().await.unwrap_err();
            assert_eq!(key_error(error), absent());
            assert_eq!(server.requests().len(), before);
            session.scope().unwrap();
            for client in [&one, &other] {
                assert_eq!(client.counters().sessions_ended, 0);
                assert_eq!(client.counters().store_failures, 0);
            }

            hsm.put_back();
            call(&session, &server).await.unwrap();
            session.refresh().await.unwrap();
            call(&session, &server).await.unwrap();
            let same = other.session(session.id()).await.unwrap();
            assert_eq!(same.key_thumbprint(), session.key_thumbprint());
            same.refresh().await.unwrap();
            call(&same, &server).await.unwrap();
            session.refresh().await.unwrap();
        }
        assert_eq!(server.tokens_used_twice(), [""; 0]);
        assert_eq!(keys_inside(), 1);
        session.logout().await.unwrap();
        assert_eq!(keys_inside(), 0);
        assert_eq!(server.count(Endpoint::Revocation), 1);
    });
}

/// SES-5, SES-7: a logout while the token is out ends the session all the same, and says that the server
/// could not be told; nothing goes out. When the token is back, the next login makes up for it, and the key
/// is deleted.
#[test]
fn a_logout_while_the_token_is_out() {
    SoftHsm::apart("sessions::a_logout_while_the_token_is_out", async |hsm| {
        let (keys, server) = (open().await, strict().await);
        let client_key = KeySet::new(SoftwareKey::generate_es256().unwrap());
        let client = builder(&server, &client_key).dpop_keys(keys.clone());
        let client = client.build().await.unwrap();
        let session = log_in(&client, &server).await;
        hsm.take_out();
        let before = server.requests().len();
        let error = session.logout().await.unwrap_err();
        assert_eq!(key_error(error), absent());
        assert_eq!(session.scope().unwrap_err(), SignInAgain::LoggedOut);
        assert!(client.sessions().await.unwrap().is_empty());
        assert_eq!(server.requests().len(), before);

        hsm.put_back();
        let login = client.login().scope("openid").start().await.unwrap();
        server.wait_for(Endpoint::Revocation, 1).await;
        // That of the login that has begun.
        until_inside(1).await;
        client.abandon_login(login.transaction()).await.unwrap();
        until_inside(0).await;
    });
}

/// SES-7: another token was put in. Its keys are not the session's: that one has to sign in again
/// where it is opened, and a handle that is open says that its key is missing. Nothing goes out.
#[test]
fn another_token_in_its_place() {
    SoftHsm::apart("sessions::another_token_in_its_place", async |hsm| {
        let server = strict().await;
        let (one, other) = two_clients(&server).await;
        let session = log_in(&one, &server).await;
        hsm.take_out();
        assert_eq!(
            key_error(call(&session, &server).await.unwrap_err()),
            absent()
        );
        hsm.put_in_another();
        let before = server.requests().len();
        let error = key_error(call(&session, &server).await.unwrap_err());
        assert!(matches!(error, KeyError::Missing { .. }), "{error:?}");
        match other.session(session.id()).await.unwrap_err() {
            Error::SignInAgain(cause) => assert_eq!(cause, SignInAgain::KeyLost),
            error => panic!("{error:?}"),
        }
        assert_eq!(server.requests().len(), before);
        session.scope().unwrap();
    });
}

/// CA-1: the key of the client's assertions is in the token. While that is out, no refresh
/// and no revocation goes out, and the error is the key's; API calls with a living token do. When it is back,
/// the session goes on, and the server is told of what it missed.
#[test]
fn the_key_of_the_client() {
    SoftHsm::apart("sessions::the_key_of_the_client", async |hsm| {
        let (keys, server): (Pkcs11Keys, _) = (open().await, strict().await);
        let key = keys.create(&name("client"), Algorithm::Es256).await;
        let client = builder(&server, &KeySet::new(key.unwrap())).build();
        let client = client.await.unwrap();
        let session = log_in(&client, &server).await;
        for _ in 0..2 {
            hsm.take_out();
            let (tokens, all) = (server.count(Endpoint::Token), server.requests().len());
            let error = session.refresh().await.unwrap_err();
            assert!(error.retry_may_help());
            assert_eq!(key_error(error), absent());
            assert_eq!(server.requests().len(), all);
            call(&session, &server).await.unwrap();
            assert_eq!(server.count(Endpoint::Token), tokens);
            assert_eq!(client.counters().sessions_ended, 0);
            hsm.put_back();
            session.refresh().await.unwrap();
            call(&session, &server).await.unwrap();
        }
        assert_eq!(server.tokens_used_twice(), [""; 0]);

        hsm.take_out();
        assert_eq!(key_error(session.logout().await.unwrap_err()), absent());
        assert_eq!(session.scope().unwrap_err(), SignInAgain::LoggedOut);
        assert_eq!(server.count(Endpoint::Revocation), 0);
        hsm.put_back();
        session.logout().await.unwrap();
        assert_eq!(server.count(Endpoint::Revocation), 1);
        // The client's own key stays.
        assert_eq!(keys_inside(), 1);
    });
}
