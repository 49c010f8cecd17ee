//! What is in a store: nothing that can be read, moved or altered.

use fapi_client::store::{Digest, RecordKind, SealingKey, SealingKeys, Transactions};
use fapi_client::{Crypto, Event, SoftwareKey, StoreError, Stores, Violation};
use fapi_testkit::Endpoint;
use sha2::Digest as _;
use std::time::Duration;

use super::files::Scratch;
use super::loaded;
use super::world::{World, lenient, store_error, strict};
use crate::common;

/// SES-8, SEC-6.7: a session's record that was put in another one's place opens neither. Both are
/// told of, left as they are, and passed over in lists.
#[tokio::test]
async fn a_record_that_was_moved_is_refused() {
    let world = World::start(strict()).await;
    let client = world.client().await;
    let alice = world.session(&client).await;
    let bob = common::log_in_with(&client, &world.server, "bob")
        .await
        .unwrap();
    let keys = world.store.keys(RecordKind::Session).await;
    let bytes = world.store.read(&keys[0]).await.bytes;
    world.store.tamper(&keys[1], bytes.clone()).await;
    let (alice, bob) = (alice.id().clone(), bob.id().clone());

    let client = world.client().await;
    let mut events = client.events();
    world.server.forget_requests();
    world.works(&client.session(&alice).await.unwrap()).await;
    let error = client.session(&bob).await.unwrap_err();
    assert_eq!(store_error(error), StoreError::NotAuthentic);
    let failing = Event::StoreFailing {
        error: StoreError::NotAuthentic,
    };
    assert_eq!(events.next().await, Some(failing.clone()));
    assert_eq!(client.sessions().await.unwrap().len(), 1);
    assert_eq!(events.next().await, Some(failing));
    assert_eq!(
        world.store.read(&keys[1]).await.bytes,
        bytes,
        "left as it is"
    );
    assert_eq!(world.server.requests().len(), 1);
}

/// SES-8: tags are in clear and prove nothing. A record that was put under another user's tag is no session
/// of that user's.
#[tokio::test]
async fn a_tag_of_another_user_gives_nothing() {
    let world = World::start(strict()).await;
    let client = world.client().await;
    let alice = world.session(&client).await;
    let key = world.store.only(RecordKind::Session).await;
    let bytes = world.store.read(&key).await.bytes;
    let tags = ["alice", "bob"].map(|subject| tag_of(&["sub", subject]));
    world
        .store
        .tamper_with_tags(&key, bytes, tags.to_vec())
        .await;

    assert!(client.sessions_of("bob").await.unwrap().is_empty());
    let found = client.sessions_of("alice").await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].id(), alice.id());
}

/// What records are found by: the digest of texts, each with its length.
pub fn tag_of(parts: &[&str]) -> Digest {
    let mut hash = sha2::Sha256::new();
    for part in parts {
        hash.update(u64::try_from(part.len()).unwrap().to_be_bytes());
        hash.update(part);
    }
    Digest::from_bytes(hash.finalize().into())
}

/// SES-8: what can't be opened is a typed error that says what to do, and is left as it is;
/// a session that is at hand neither refreshes over it nor ends.
#[tokio::test]
async fn records_that_can_not_be_opened_are_left_alone() {
    let world = World::start(strict()).await;
    let (a, b) = world.two().await;
    let key = world.store.only(RecordKind::Session).await;
    let whole = world.store.read(&key).await.bytes;
    let mut altered = whole.clone();
    *altered.last_mut().unwrap() ^= 1;
    let mut later = whole.clone();
    later[4] = 9;
    let mut other_key = whole.clone();
    other_key[6] = b'x';
    let rows = [
        (altered, StoreError::NotAuthentic),
        (later, StoreError::UnknownFormat(9)),
        (other_key, StoreError::UnknownSealingKey("x".to_owned())),
        (whole[..20].to_vec(), StoreError::Truncated),
        (Vec::new(), StoreError::Foreign),
        (b"{\"id\":\"x\"}".to_vec(), StoreError::Foreign),
    ];
    for (bytes, expected) in rows {
        world.store.tamper(&key, bytes.clone()).await;
        for process in [&a, &b] {
            let found = process.client.session(process.session.id()).await;
            assert_eq!(store_error(found.unwrap_err()), expected);
            let error = process.session.refresh().await.unwrap_err();
            assert_eq!(store_error(error), expected);
            world.works(&process.session).await;
        }
        assert_eq!(world.store.read(&key).await.bytes, bytes);
    }
    assert_eq!(world.server.count(Endpoint::Token), 0);
    world.store.tamper(&key, whole).await;
    b.session.refresh().await.unwrap();
    a.session.refresh().await.unwrap();
    world.nothing_twice();
}

/// SES-8: sealing keys change while sessions live. A process that has the former one opens and
/// seals anew; one that lacks the new one says which it lacks.
#[tokio::test]
async fn sealing_keys_change() {
    let world = World::start(strict()).await;
    let old = SealingKey::generate("2025").unwrap();
    let new = SealingKey::generate("2026").unwrap();
    let client = async |sealing| {
        let stores = world.stores_with(sealing);
        world.builder().stores(stores).build().await.unwrap()
    };
    let before = client(SealingKeys::new(old.clone())).await;
    let id = world.session(&before).await.id().clone();
    let alone = client(SealingKeys::new(new.clone())).await;
    let error = alone.session(&id).await.unwrap_err();
    let lacks = |id: &str| StoreError::UnknownSealingKey(id.to_owned());
    assert_eq!(store_error(error), lacks("2025"));
    let both = client(SealingKeys::new(new.clone()).and_former(old.clone())).await;
    let session = both.session(&id).await.unwrap();
    world.works(&session).await;
    session.refresh().await.unwrap();
    world.works(&alone.session(&id).await.unwrap()).await;
    let late = client(SealingKeys::new(old)).await;
    let error = late.session(&id).await.unwrap_err();
    assert_eq!(store_error(error), lacks("2026"));
    // A key of the same name that is another one.
    let forged = client(SealingKeys::new(SealingKey::generate("2026").unwrap())).await;
    let error = forged.session(&id).await.unwrap_err();
    assert_eq!(store_error(error), StoreError::NotAuthentic);
}

/// SEC-6.5, A1b: a login under way that was put in another browser's place is none of that browser's, and
/// nothing is sent.
#[tokio::test]
async fn a_login_that_was_moved_is_none() {
    let world = World::start(strict()).await;
    let client = world.client().await;
    let (attacker, own) = common::approved(&client, &world.server, "mallory", "openid").await;
    let (victim, callback) =
        common::approved(&client, &world.server, "alice", "openid accounts").await;
    let logins = world.store.logins();
    let (from, to) = (logins[1], logins[0]);
    let bytes = world.store.inner.of(&from.owner).await.unwrap()[0]
        .1
        .clone();
    let moved = fapi_client::store::TransactionKey {
        owner: to.owner,
        ..from
    };
    let life = Duration::from_secs(600);
    world.store.inner.put(&moved, bytes, life).await.unwrap();
    // Beside the attacker's own login, to which this callback is no answer, and alone.
    for expected in [Violation::State, Violation::NoSuchLogin] {
        let error = client
            .finish_login(attacker.transaction(), &callback)
            .await
            .unwrap_err();
        assert_eq!(error.violation(), Some(&expected));
        if expected == Violation::State {
            assert_eq!(world.server.count(Endpoint::Token), 0);
            client
                .finish_login(attacker.transaction(), &own)
                .await
                .unwrap();
        }
    }
    assert_eq!(world.server.count(Endpoint::Token), 1);
    let session = client.finish_login(victim.transaction(), &callback).await;
    world.works(&session.unwrap()).await;
}

/// The provider of cryptography of these tests, which notes the keys that it is handed.
fn noting() -> Crypto {
    #[cfg(feature = "aws-lc")]
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    #[cfg(not(feature = "aws-lc"))]
    let provider = rustls::crypto::ring::default_provider();
    loaded::noting(provider)
}

/// What is searched for would be found: a key as PEM has it, with its lines apart as in JSON, and its number.
#[test]
fn a_private_key_in_clear_is_found() {
    let key = SoftwareKey::generate_es256_with(&noting()).unwrap();
    let forms = loaded::private_half(&key.public_jwk().thumbprint());
    let pem = key.to_pkcs8_pem().unwrap();
    let found = |text: &[u8]| forms.iter().any(|form| loaded::holds(text, form));
    assert!(found(pem.as_bytes()));
    assert!(found(serde_json::to_string(&*pem).unwrap().as_bytes()));
    for form in &forms[..4] {
        assert!(found(&[b"{\"d\":\"", &form[..], b"\"}"].concat()));
    }
    assert!(!found(key.public_jwk().to_json().to_string().as_bytes()));
}

/// The life of a session: a login, calls, refreshes, and a logout that the server can't be told of at first.
/// After each step there is a look at the store. What comes back may never be seen there.
async fn life(world: &World, stores: Stores, mut look: impl FnMut()) -> Vec<Vec<u8>> {
    let builder = world.builder().stores(stores).crypto_provider(noting());
    let client = builder.build().await.unwrap();
    look();
    let (login, callback) =
        common::approved(&client, &world.server, "alice", "openid accounts").await;
    look();
    let session = client
        .finish_login(login.transaction(), callback)
        .await
        .unwrap();
    look();
    world.works(&session).await;
    session.refresh().await.unwrap();
    look();
    let part = session.with_scope("accounts").unwrap();
    world.works(&part).await;
    look();
    world.server.set_offline(true);
    session.logout().await.unwrap_err();
    look();
    world.server.set_offline(false);
    session.logout().await.unwrap();
    look();

    let mut secrets = world.server.secrets_issued();
    for request in world.server.requests() {
        for name in ["state", "nonce", "code_verifier", "refresh_token"] {
            secrets.extend(request.form_value(name).map(str::to_owned));
        }
    }
    secrets.extend([
        login.transaction().expose().to_owned(),
        session.id().as_str().to_owned(),
        session.key_thumbprint().unwrap().to_owned(),
        world.server.issuer().to_owned(),
    ]);
    let words = ["alice", "PRIVATE", "access_token", "accounts", "client-id"];
    secrets.extend(words.map(str::to_owned));
    assert!(secrets.len() > 20);
    let mut secrets: Vec<_> = secrets.into_iter().map(String::into_bytes).collect();
    secrets.extend(loaded::private_half(session.key_thumbprint().unwrap()));
    secrets
}

fn has_none_of(dump: &[u8], secrets: &[Vec<u8>]) {
    for secret in secrets {
        let text = String::from_utf8_lossy(secret);
        assert!(!loaded::holds(dump, secret), "{text}");
    }
}

/// SEC-cred: through logins, refreshes, a crash of the store and a logout nothing that is secret was ever in
/// the store in clear: no token, no code, no verifier, no key, no handle, no id, no name of a user.
#[tokio::test]
async fn the_store_never_sees_a_secret() {
    let world = World::start(lenient().nonces(fapi_testkit::Nonces::Rotating)).await;
    let secrets = life(&world, world.stores(), || {}).await;
    let dump = world.store.dump();
    assert!(dump.len() > 10_000);
    has_none_of(&dump, &secrets);
}

/// SEC-cred: the same for what is in files, and for their names, after each step.
#[tokio::test]
async fn files_never_hold_a_secret() {
    let world = World::start(lenient().nonces(fapi_testkit::Nonces::Rotating)).await;
    let scratch = Scratch::new();
    let stores = Stores::new(scratch.open(), world.sealing.clone());
    let mut dump = Vec::new();
    let look = || {
        for name in scratch.names() {
            dump.extend_from_slice(name.as_bytes());
            dump.extend(std::fs::read(scratch.at(&name)).unwrap());
        }
    };
    let secrets = life(&world, stores, look).await;
    assert!(dump.len() > 10_000);
    has_none_of(&dump, &secrets);
}
