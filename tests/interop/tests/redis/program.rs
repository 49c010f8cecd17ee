//! A program that logs users in, in several processes.

use std::time::Duration;

use fapi_client::store::{RedisStore, SealingKey, SealingKeys, Stores};
use fapi_client::{
    Client, ClientAuth, ClientBuilder, Clock, Error, HttpsTransport, KeySet, Session, SoftwareKey,
    StoreError, Timestamp,
};
use fapi_testkit::{Endpoint, Nonces, Registration, TestClock, TestServer};
use tokio::task::JoinHandle;

const REDIRECT_URI: &str = "https://app.example/callback";

struct SharedClock(TestClock);

impl Clock for SharedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(self.0.now())
    }
}

/// Makes the program known to the server.
pub(crate) fn register(server: &TestServer) -> KeySet {
    let keys = KeySet::new(SoftwareKey::generate_es256().unwrap());
    server.register(
        Registration::new("client-id")
            .jwks(keys.jwks())
            .redirect_uri(REDIRECT_URI),
    );
    keys
}

pub(crate) fn replica(server: &TestServer, keys: &KeySet, stores: Stores) -> ClientBuilder {
    let https = HttpsTransport::builder()
        .only_root_certificates(server.ca_pem())
        .unwrap()
        .no_proxy()
        .build()
        .unwrap();
    Client::builder(server.issuer(), "client-id")
        .redirect_uri(REDIRECT_URI)
        .authenticate_with(ClientAuth::private_key_jwt(keys.clone()))
        .api(server.api())
        .transport(https)
        .clock(SharedClock(server.clock().clone()))
        .stores(stores)
}

/// The retry windows that the tests go through: that of FAPI2-SP 5.3.2.1-9, and none, where a refresh token
/// that is used twice is a session that is lost.
pub(crate) const GRACES: [Duration; 2] = [Duration::from_secs(60), Duration::ZERO];

/// A server that rotates refresh tokens, whose clock stands still.
pub(crate) struct World {
    pub(crate) server: TestServer,
    keys: KeySet,
    sealing: SealingKeys,
}

/// One of several processes, with a handle to the session of all.
pub(crate) struct Process {
    pub(crate) client: Client,
    pub(crate) session: Session,
}

impl World {
    pub(crate) async fn start(grace: Duration) -> Self {
        let server = TestServer::builder()
            .clock(TestClock::at(1_800_000_000))
            .nonces(Nonces::Off)
            .refresh_rotation(true)
            .rotation_grace(grace)
            .start()
            .await;
        let keys = register(&server);
        Self {
            server,
            keys,
            sealing: SealingKeys::new(SealingKey::generate("k").unwrap()),
        }
    }

    /// The client of a process with that connection.
    pub(crate) async fn client(&self, store: RedisStore) -> Client {
        let stores = Stores::new(store, self.sealing.clone());
        let client = replica(&self.server, &self.keys, stores).build();
        client.await.unwrap()
    }

    /// Two processes with handles to one session; no request is on record.
    pub(crate) async fn two(&self, one: RedisStore, two: RedisStore) -> (Process, Process) {
        let (one, two) = (self.client(one).await, self.client(two).await);
        let login = one.login().scope("openid accounts").start().await.unwrap();
        let browser = self.server.browser("alice");
        let callback = browser.approve(login.url().as_str()).await;
        let first = one.finish_login(login.transaction(), callback).await;
        let first = first.unwrap();
        let second = two.session(first.id()).await.unwrap();
        self.server.forget_requests();
        let process = |client, session| Process { client, session };
        (process(one, first), process(two, second))
    }

    async fn call(&self, process: &Process) -> Result<(), Error> {
        let accounts = format!("{}/accounts", self.server.api());
        let seen: serde_json::Value = process.session.get(accounts).send().await?.json()?;
        assert_eq!(seen["sub"], "alice");
        Ok(())
    }

    /// The API answers to this process.
    pub(crate) async fn works(&self, process: &Process) {
        self.call(process).await.unwrap();
    }

    /// A call does not go out, for the store's fault.
    pub(crate) async fn call_fails(&self, process: &Process) -> StoreError {
        store_error(self.call(process).await.unwrap_err())
    }

    /// How often tokens were asked for.
    pub(crate) fn refreshes(&self) -> usize {
        self.server.count(Endpoint::Token)
    }

    /// Both processes renew by turns, each with what the other one got; nothing was used twice, nobody was
    /// signed out, and nothing was given back.
    pub(crate) async fn goes_on(&self, a: &Process, b: &Process) {
        let before = self.refreshes();
        for (number, process) in [(1, a), (2, b), (3, a)] {
            while self.refreshes() < before + number {
                // The first finds what the other one has got.
                process.session.refresh().await.unwrap();
            }
            self.works(process).await;
        }
        for process in [a, b] {
            self.works(process).await;
            assert_eq!(process.client.counters().sessions_ended, 0);
        }
        assert_eq!(self.server.tokens_used_twice(), [""; 0]);
        assert_eq!(self.server.count(Endpoint::Revocation), 0);
    }

    /// The refresh tokens that went out, in their order.
    pub(crate) fn refresh_tokens(&self) -> Vec<String> {
        let requests = self.server.requests_to(Endpoint::Token).into_iter();
        let tokens = requests.filter_map(|request| {
            let token = request.form_value("refresh_token");
            token.map(str::to_owned)
        });
        tokens.collect()
    }

    /// No refresh token went out a second time.
    pub(crate) fn each_once(&self) {
        let mut tokens = self.refresh_tokens();
        let sent = tokens.len();
        tokens.sort_unstable();
        tokens.dedup();
        assert_eq!(tokens.len(), sent);
    }
}

impl Process {
    /// Begins to renew the tokens, elsewhere.
    pub(crate) fn refreshing(&self) -> JoinHandle<Result<(), Error>> {
        let session = self.session.clone();
        tokio::spawn(async move { session.refresh().await })
    }

    /// Renews the tokens, as soon as the store is there.
    pub(crate) async fn refresh_once_it_is_back(&self) {
        let refresh = async || self.session.refresh().await.map_err(store_error);
        crate::once_it_is_back(refresh).await;
    }
}

pub(crate) fn store_error(error: Error) -> StoreError {
    match error {
        Error::Store(error) => error,
        other => panic!("{other:?}"),
    }
}
