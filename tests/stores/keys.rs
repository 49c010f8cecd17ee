//! Keys of sessions in a key store, or one key for all.

use std::sync::Arc;
use std::time::Duration;

use fapi_client::store::{Digest, MemoryStore, RecordKind, Records, SealingKey, SealingKeys};
use fapi_client::{
    Client, ClientBuilder, Clients, ConfigError, Denied, Error, KeyError, KeySet, KeyStore,
    SealedKeys, Session, SignInAgain, SoftwareKey, StoreError, Stores,
};
use fapi_testkit::{Answer, Endpoint, TestServer};
use sha2::Digest as _;

use super::faulty::{Faulty, Op};
use super::loaded::holds;
use super::world::{World, lenient, sign_in_again, strict};
use crate::common;

/// A world whose keys have a store of their own.
struct Safe {
    world: World,
    store: Arc<Faulty>,
    keys: SealedKeys,
}

impl Safe {
    async fn start() -> Self {
        let store = Arc::new(Faulty::default());
        let sealing = SealingKeys::new(SealingKey::generate("keys").unwrap());
        let stores = Stores::from_parts(store.clone(), store.clone(), store.clone(), sealing);
        Self {
            world: World::start(strict()).await,
            keys: SealedKeys::new(&stores, "dpop"),
            store,
        }
    }

    fn builder(&self) -> ClientBuilder {
        self.world.builder().dpop_keys(self.keys.clone())
    }

    async fn client(&self) -> Client {
        self.builder().build().await.unwrap()
    }

    /// How many keys there are, and how many notes of keys that may have to go.
    async fn count(&self) -> (usize, usize) {
        (
            self.store.keys(RecordKind::Key).await.len(),
            self.world.store.keys(RecordKind::PendingKey).await.len(),
        )
    }

    async fn wait_for(&self, count: (usize, usize)) {
        while self.count().await != count {
            tokio::task::yield_now().await;
        }
    }
}

/// SES-7, SEC-6.3: every login makes a key of its own, which stays while its session does
/// and serves it after a restart; logout deletes it.
#[tokio::test]
async fn a_key_lives_as_long_as_its_session() {
    let safe = Safe::start().await;
    let client = safe.client().await;
    let (login, callback) =
        common::approved(&client, &safe.world.server, "alice", "openid accounts").await;
    assert_eq!(safe.count().await, (1, 1));
    let one = client
        .finish_login(login.transaction(), callback)
        .await
        .unwrap();
    assert_eq!(safe.count().await, (1, 0));
    let two = safe.world.session(&client).await;
    assert_ne!(one.key_thumbprint(), two.key_thumbprint());
    assert_eq!(safe.count().await, (2, 0));

    let after = safe.client().await;
    let session = after.session(one.id()).await.unwrap();
    assert_eq!(session.key_thumbprint(), one.key_thumbprint());
    safe.world.works(&session).await;
    session.refresh().await.unwrap();
    session.logout().await.unwrap();
    assert_eq!(safe.count().await, (1, 0));
    two.logout().await.unwrap();
    assert_eq!(safe.count().await, (0, 0));
    // No session's record holds a key.
    assert!(!holds(&safe.store.dump(), b"PRIVATE"));
}

/// SES-6: a login that comes to nothing leaves no key behind: denied, refused, not begun, not
/// kept, abandoned.
#[tokio::test]
async fn a_login_that_comes_to_nothing_leaves_no_key() {
    let safe = Safe::start().await;
    let (world, client) = (&safe.world, safe.client().await);
    let login = common::begin(&client).await;
    let callback = world
        .server
        .browser("alice")
        .deny(login.url().as_str())
        .await;
    let error = client.finish_login(login.transaction(), callback).await;
    let denied = error.unwrap_err();
    assert!(matches!(denied, Error::Denied(Denied::AccessDenied(_))));
    assert_eq!(safe.count().await, (0, 0));

    let (login, callback) = common::approved(&client, &world.server, "alice", "openid").await;
    world
        .server
        .answer_next(Endpoint::Token, Answer::error(400, "invalid_grant"));
    let error = client.finish_login(login.transaction(), callback).await;
    assert_eq!(error.unwrap_err().code(), "denied.server");
    assert_eq!(safe.count().await, (0, 0));

    world
        .server
        .answer_next(Endpoint::Par, Answer::error(400, "invalid_request"));
    let error = client.login().scope("openid").start().await.unwrap_err();
    assert_eq!(error.code(), "denied.server");
    assert_eq!(safe.count().await, (0, 0));

    world.store.fail(Op::Put, StoreError::Full, 1);
    let error = client.login().scope("openid").start().await.unwrap_err();
    assert_eq!(error.code(), "store.full");
    assert_eq!(safe.count().await, (0, 0));

    let (login, callback) = common::approved(&client, &world.server, "alice", "openid").await;
    world.store.fail(Op::Create, StoreError::NoSpace, 1);
    let error = client.finish_login(login.transaction(), callback).await;
    assert_eq!(error.unwrap_err().code(), "store.no_space");
    assert_eq!(safe.count().await, (0, 0));

    // Nobody comes back: the next login of any process clears up, once the login can't end any more.
    common::begin(&client).await;
    let next = safe.client().await;
    world.advance(15 * 60);
    common::begin(&next).await;
    assert_eq!(safe.count().await, (2, 2));
    world.advance(5 * 60);
    common::begin(&next).await;
    safe.wait_for((2, 2)).await;
    world.advance(20 * 60);
    common::begin(&next).await;
    safe.wait_for((1, 1)).await;
    assert_eq!(client.counters().store_failures, 1, "being full is none");
}

/// SES-7: the key of a session that is over goes with it; one that the server has yet to hear
/// of keeps its key until then, for the proof.
#[tokio::test]
async fn the_key_of_a_session_that_is_over_is_deleted() {
    let safe = Safe::start().await;
    let (world, client) = (&safe.world, safe.client().await);
    let session = world.session(&client).await;
    world.server.revoke_refresh_tokens();
    let error = session.refresh().await.unwrap_err();
    assert_eq!(sign_in_again(error), SignInAgain::RefreshTokenRefused);
    assert_eq!(safe.count().await, (0, 0));

    let session = world.session(&client).await;
    world.server.set_offline(true);
    session.logout().await.unwrap_err();
    assert_eq!(safe.count().await, (1, 0));
    world.server.set_offline(false);
    common::begin(&safe.client().await).await;
    // That of the login that has just begun is left.
    safe.wait_for((1, 1)).await;
    world.no_record().await;
    assert_eq!(world.revoked().len(), 1);
}

/// A note that was left behind does not cost a session that lives its key.
#[tokio::test]
async fn a_note_that_was_left_behind_deletes_nothing() {
    let safe = Safe::start().await;
    let (world, client) = (&safe.world, safe.client().await);
    world.store.fail(Op::Delete, StoreError::Unavailable, 1);
    let session = world.session(&client).await;
    assert_eq!(safe.count().await, (1, 1));
    world.advance(21 * 60);
    common::begin(&client).await;
    // The note is settled; that of the login that has just begun stands.
    safe.wait_for((2, 1)).await;
    world.works(&session).await;
    let after = safe.client().await;
    world
        .works(&after.session(session.id()).await.unwrap())
        .await;
}

async fn restored(client: &Client, session: &Session) -> Error {
    client.session(session.id()).await.unwrap_err()
}

/// SES-7: at restore a key that is gone, or is another one, is an error of its
/// own, and the record is left for the day that the key is back; a key store that does not answer loses
/// nothing.
#[tokio::test]
async fn keys_that_are_lost_or_changed() {
    let safe = Safe::start().await;
    let (world, client) = (&safe.world, safe.client().await);
    let (one, two) = (world.session(&client).await, world.session(&client).await);
    world.server.forget_requests();
    let keys = safe.store.keys(RecordKind::Key).await;
    let after = safe.client().await;
    world.server.forget_requests();

    safe.store.fail(Op::Load, StoreError::Unavailable, 1);
    let error = restored(&after, &one).await;
    assert!(error.retry_may_help());
    let Error::Key(KeyError::Store(StoreError::Unavailable)) = error else {
        panic!("{error:?}");
    };
    world.works(&after.session(one.id()).await.unwrap()).await;

    // Without the key, of a process that knows no keys by name, or has another key.
    safe.store.inner.delete(&keys[1], None).await.unwrap();
    let lost = restored(&safe.client().await, &two).await;
    assert_eq!(sign_in_again(lost), SignInAgain::KeyLost);
    let plain = world.client().await;
    assert_eq!(
        sign_in_again(restored(&plain, &two).await),
        SignInAgain::KeyLost
    );
    let mut sessions = after.sessions().await.unwrap();
    assert_eq!(sessions.len(), 1);
    assert_eq!(sessions.remove(0).id(), one.id());
    assert_eq!(world.store.keys(RecordKind::Session).await.len(), 2);

    // Whoever holds the key store's sealing key can put another key there; nobody else can.
    let name = fapi_client::KeyName::new(format!("dpop-{}", name_of(&two))).unwrap();
    safe.keys
        .create(&name, fapi_client::Algorithm::Es256)
        .await
        .unwrap();
    let changed = restored(&safe.client().await, &two).await;
    assert_eq!(sign_in_again(changed), SignInAgain::KeyChanged);
    let bytes = safe.store.read(&keys[0]).await.bytes;
    safe.store.tamper(&keys[1], bytes).await;
    let moved = restored(&safe.client().await, &two).await;
    assert!(matches!(
        moved,
        Error::Key(KeyError::Store(StoreError::NotAuthentic))
    ));
}

/// The digest of an id, as names are made of it: its length in 8 bytes, and the id.
fn name_of(session: &Session) -> Digest {
    let id = session.id().as_str().as_bytes();
    let hash = sha2::Sha256::new()
        .chain_update((id.len() as u64).to_be_bytes())
        .chain_update(id)
        .finalize();
    Digest::from_bytes(hash.into())
}

/// A key store that fails when a login begins: nothing is sent, and no note is left for ever.
#[tokio::test]
async fn a_key_that_can_not_be_made() {
    let safe = Safe::start().await;
    let (world, client) = (&safe.world, safe.client().await);
    safe.store.fail(Op::Create, StoreError::Unavailable, 1);
    let error = client.login().scope("openid").start().await.unwrap_err();
    assert!(matches!(
        error,
        Error::Key(KeyError::Store(StoreError::Unavailable))
    ));
    assert_eq!(world.server.count(Endpoint::Par), 0);
    world.advance(21 * 60);
    common::begin(&client).await;
    safe.wait_for((1, 1)).await;
}

fn signer() -> SoftwareKey {
    SoftwareKey::generate_es256().unwrap()
}

/// `dpop_signer`: one key serves all sessions, and after a restart the same one has to be there.
#[tokio::test]
async fn one_key_for_all_sessions() {
    let world = World::start(strict()).await;
    let pem = signer().to_pkcs8_pem().unwrap();
    let client = async || {
        let key = SoftwareKey::from_pem(&pem).unwrap();
        world.builder().dpop_signer(key).build().await.unwrap()
    };
    let (before, after) = (client().await, client().await);
    let (one, two) = (world.session(&before).await, world.session(&before).await);
    assert_eq!(one.key_thumbprint(), two.key_thumbprint());
    let session = after.session(one.id()).await.unwrap();
    world.works(&session).await;
    session.refresh().await.unwrap();

    let other = world.builder().dpop_signer(signer()).build().await.unwrap();
    assert_eq!(
        sign_in_again(restored(&other, &one).await),
        SignInAgain::KeyChanged
    );
    let none = world.client().await;
    assert_eq!(
        sign_in_again(restored(&none, &one).await),
        SignInAgain::KeyLost
    );
    assert_eq!(world.store.keys(RecordKind::Session).await.len(), 2);
    // Logout leaves the program's own key alone.
    two.logout().await.unwrap();
    world.works(&one).await;
    assert_eq!(two.scope().unwrap_err(), SignInAgain::LoggedOut);
    assert_eq!(before.sessions().await.unwrap().len(), 1);
}

/// SEC-6.8: a key that authenticates the client signs no proofs, be it the active one or one that is only
/// published. Nothing goes out.
#[tokio::test]
async fn a_key_has_one_purpose() {
    let world = World::start(lenient()).await;
    for active in [true, false] {
        let pem = signer().to_pkcs8_pem().unwrap();
        let key = || SoftwareKey::from_pem(&pem).unwrap();
        let keys = if active {
            KeySet::new(key())
        } else {
            let keys = KeySet::new(signer());
            keys.add(key()).unwrap();
            keys
        };
        let builder = common::builder_with(&world.server, keys).dpop_signer(key());
        let error = builder.build().await.unwrap_err();
        assert_eq!(common::config(&error), Some(&ConfigError::DpopKeyPurpose));
    }
    assert_eq!(world.server.requests().len(), 0);
}

/// SEC-6.3, DPOP-jkt-as: two servers never see one key.
#[tokio::test]
async fn two_servers_share_no_key() {
    let (one, two) = (TestServer::start().await, TestServer::start().await);
    let pem = signer().to_pkcs8_pem().unwrap();
    let clients = Clients::builder()
        .transport(common::https(&one))
        .stores(Stores::new(
            MemoryStore::new(),
            SealingKeys::new(SealingKey::generate("k").unwrap()),
        ))
        .build()
        .unwrap();
    let build = async |server: &TestServer, key| {
        let keys = common::register(server);
        clients
            .client(server.issuer(), common::CLIENT_ID)
            .authenticate_with(fapi_client::ClientAuth::private_key_jwt(keys))
            .dpop_signer(key)
            .build()
            .await
    };
    let key = || SoftwareKey::from_pem(&pem).unwrap();
    build(&one, key()).await.unwrap();
    let error = build(&two, key()).await.unwrap_err();
    assert!(matches!(error, Error::Config(ConfigError::SharedDpopKey)));
    build(&two, signer()).await.unwrap();
}

/// The longest life that a setting can name is one of fifteen minutes, for a login's key as well.
#[tokio::test]
async fn a_login_life_without_end() {
    let world = World::start(lenient()).await;
    let keys = SealedKeys::new(&world.stores(), "dpop");
    let builder = world.builder().dpop_keys(keys);
    let client = builder.login_life(Duration::MAX).build().await.unwrap();
    client
        .login()
        .scope("openid accounts")
        .start()
        .await
        .unwrap();
}
