//! One server, one store, and as many processes as a test wants.

use std::sync::Arc;
use std::time::Duration;

use fapi_client::store::{RecordKind, SealingKey, SealingKeys};
use fapi_client::{
    Client, ClientBuilder, Error, KeySet, Session, SessionId, SignInAgain, StoreError, Stores,
};
use fapi_testkit::{Endpoint, Nonces, ServerBuilder, TestClock, TestServer};

use super::faulty::Faulty;
use crate::common;

pub struct World {
    pub server: TestServer,
    pub keys: KeySet,
    pub store: Arc<Faulty>,
    pub sealing: SealingKeys,
}

/// A server whose clock stands still, which rotates refresh tokens and keeps no retry window: a token
/// that is used twice is a session that is lost.
pub fn strict() -> ServerBuilder {
    lenient().rotation_grace(Duration::ZERO)
}

/// The same with the retry window of FAPI2-SP 5.3.2.1-9.
pub fn lenient() -> ServerBuilder {
    TestServer::builder()
        .clock(TestClock::at(1_800_000_000))
        .nonces(Nonces::Off)
        .refresh_rotation(true)
        .rotation_grace(Duration::from_secs(60))
}

impl World {
    pub async fn start(server: ServerBuilder) -> Self {
        let server = server.start().await;
        let keys = common::register(&server);
        Self {
            server,
            keys,
            store: Arc::default(),
            sealing: SealingKeys::new(SealingKey::generate("k").unwrap()),
        }
    }

    pub fn stores(&self) -> Stores {
        self.stores_with(self.sealing.clone())
    }

    pub fn stores_with(&self, sealing: SealingKeys) -> Stores {
        Self::stores_over(&self.store, sealing)
    }

    fn stores_over(store: &Arc<Faulty>, sealing: SealingKeys) -> Stores {
        Stores::from_parts(store.clone(), store.clone(), store.clone(), sealing)
    }

    pub fn builder(&self) -> ClientBuilder {
        common::builder_with(&self.server, self.keys.clone()).stores(self.stores())
    }

    /// The client of another process.
    pub async fn client(&self) -> Client {
        self.builder().build().await.unwrap()
    }

    /// Alice logs in; no request is on record.
    pub async fn session(&self, client: &Client) -> Session {
        let session = common::log_in_with(client, &self.server, "alice").await;
        self.server.forget_requests();
        session.unwrap()
    }

    /// Two processes with handles to one session.
    pub async fn two(&self) -> (Process, Process) {
        let (one, two) = (self.client().await, self.client().await);
        let first = self.session(&one).await;
        let second = two.session(first.id()).await.unwrap();
        self.server.forget_requests();
        (Process::new(one, first), Process::new(two, second))
    }

    /// The same, where the second has faults of its own.
    pub async fn two_beside(&self) -> (Process, Process, Arc<Faulty>) {
        let store = self.store.beside();
        let stores = Self::stores_over(&store, self.sealing.clone());
        let one = self.client().await;
        let two = self.builder().stores(stores).build().await.unwrap();
        let first = self.session(&one).await;
        let second = two.session(first.id()).await.unwrap();
        self.server.forget_requests();
        (Process::new(one, first), Process::new(two, second), store)
    }

    /// A program that starts an hour later, when no retry window is open any more, goes on with this session.
    pub async fn goes_on(&self, id: &SessionId) {
        self.advance(3600);
        let session = self.client().await.session(id).await.unwrap();
        session.refresh().await.unwrap();
        self.works(&session).await;
        assert_eq!(self.server.tokens_used_twice(), [""; 0]);
    }

    pub fn advance(&self, seconds: u64) {
        self.server.clock().advance(Duration::from_secs(seconds));
    }

    /// The API answers to this session, and to its own user.
    pub async fn works(&self, session: &Session) {
        let answer = common::get(session, &self.server, "/accounts").await;
        let seen: serde_json::Value = answer.unwrap().json().unwrap();
        assert_eq!(seen["sub"], "alice");
        assert_eq!(seen["cnf"]["jkt"], session.key_thumbprint().unwrap());
    }

    pub async fn call_fails(&self, session: &Session) -> Error {
        let answer = common::get(session, &self.server, "/accounts").await;
        answer.unwrap_err()
    }

    /// The refresh tokens that were sent, in their order.
    pub fn refresh_tokens(&self) -> Vec<String> {
        let requests = self.server.requests_to(Endpoint::Token).into_iter();
        requests
            .filter_map(|request| request.form_value("refresh_token").map(str::to_owned))
            .collect()
    }

    /// What the server was told to forget, in order.
    pub fn revoked(&self) -> Vec<String> {
        let requests = self.server.requests_to(Endpoint::Revocation).into_iter();
        requests
            .filter_map(|request| request.form_value("token").map(str::to_owned))
            .collect()
    }

    /// Nothing is in the store of any session.
    pub async fn no_record(&self) {
        assert!(self.store.keys(RecordKind::Session).await.is_empty());
    }

    pub fn nothing_twice(&self) {
        assert_eq!(self.server.tokens_used_twice(), [""; 0]);
        common::assert_fresh(&self.server);
    }
}

/// One of two processes.
pub struct Process {
    pub client: Client,
    pub session: Session,
}

impl Process {
    const fn new(client: Client, session: Session) -> Self {
        Self { client, session }
    }

    /// The session is over: its id finds nothing, a handle names the cause.
    pub async fn gone(&self, cause: SignInAgain) {
        assert_eq!(
            store_error(self.client.session(self.session.id()).await.unwrap_err()),
            StoreError::NoSuchSession
        );
        assert_eq!(self.session.scope().unwrap_err(), cause);
        let error = self.session.refresh().await.unwrap_err();
        assert_eq!(sign_in_again(error), cause);
        assert!(self.client.sessions_of("alice").await.unwrap().is_empty());
    }
}

pub fn store_error(error: Error) -> StoreError {
    match error {
        Error::Store(error) => error,
        other => panic!("{other:?}"),
    }
}

pub fn sign_in_again(error: Error) -> SignInAgain {
    match error {
        Error::SignInAgain(cause) => cause,
        other => panic!("{other:?}"),
    }
}
