//! Where a registration is kept: in a store, sealed.

use std::sync::{Arc, Mutex};

use fapi_client::store::{
    Digest, MemoryStore, Record, RecordKey, RecordKind, Records, Replace, SealingKey, SealingKeys,
    Stored,
};
use fapi_client::{BoxFuture, Error, Registration, StoreError, Stores};
use fapi_testkit::{Endpoint, TestServer};

use super::{auth, register};
use crate::common;

/// The memory of this process as somebody else's store: sealed, and with a hand in it.
#[derive(Clone, Default)]
pub struct Foreign {
    store: Arc<MemoryStore>,
    keys: Arc<Mutex<Vec<RecordKey>>>,
    broken: Arc<Mutex<bool>>,
}

impl Foreign {
    pub fn stores(&self) -> Stores {
        let sealing = SealingKey::new("k1", [7; 32]).unwrap();
        let records = Arc::new(self.clone());
        let (transactions, locks) = (self.store.clone(), self.store.clone());
        Stores::from_parts(transactions, records, locks, SealingKeys::new(sealing))
    }

    /// The names that were asked for, in their order.
    fn keys(&self) -> Vec<RecordKey> {
        self.keys.lock().unwrap().clone()
    }

    pub fn break_down(&self, broken: bool) {
        *self.broken.lock().unwrap() = broken;
    }

    /// What is kept, as it is kept.
    pub async fn bytes(&self) -> Vec<u8> {
        let key = *self.keys().last().unwrap();
        self.store.load(&key).await.unwrap().unwrap().bytes
    }

    fn note(&self, key: &RecordKey) -> Result<(), StoreError> {
        self.keys.lock().unwrap().push(*key);
        if *self.broken.lock().unwrap() {
            return Err(StoreError::NoSpace);
        }
        Ok(())
    }
}

impl Records for Foreign {
    fn load<'a>(&'a self, key: &'a RecordKey) -> BoxFuture<'a, Result<Option<Stored>, StoreError>> {
        Box::pin(async move {
            self.note(key)?;
            self.store.load(key).await
        })
    }

    fn create<'a>(
        &'a self,
        key: &'a RecordKey,
        record: Record,
    ) -> BoxFuture<'a, Result<u64, StoreError>> {
        Box::pin(async move {
            self.note(key)?;
            self.store.create(key, record).await
        })
    }

    fn replace<'a>(
        &'a self,
        key: &'a RecordKey,
        replace: Replace,
    ) -> BoxFuture<'a, Result<u64, StoreError>> {
        Box::pin(async move {
            self.note(key)?;
            self.store.replace(key, replace).await
        })
    }

    fn delete<'a>(
        &'a self,
        key: &'a RecordKey,
        expected: Option<u64>,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            self.note(key)?;
            self.store.delete(key, expected).await
        })
    }

    fn list<'a>(
        &'a self,
        kind: RecordKind,
        scope: &'a Digest,
        tag: Option<&'a Digest>,
    ) -> BoxFuture<'a, Result<Vec<Stored>, StoreError>> {
        self.store.list(kind, scope, tag)
    }
}

pub fn store(error: &Error) -> Option<&StoreError> {
    match error {
        Error::Store(error) => Some(error),
        _ => None,
    }
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|part| part == text.as_bytes())
}

/// DCR-3.2.1: a registration comes back from the memory of the process and from a sealed store as it
/// was, manages the client, and logs in.
#[tokio::test]
async fn a_registration_outlives_the_program() {
    let server = TestServer::start().await;
    let foreign = Foreign::default();
    for stores in [Stores::memory(), foreign.stores()] {
        let none = Registration::load(&stores, server.issuer(), "app").await;
        assert!(none.unwrap().is_none());

        let mut registration = super::request(&server).send().await.unwrap();
        registration.save(&stores, "app").await.unwrap();
        let loaded = Registration::load(&stores, server.issuer(), "app").await;
        let mut loaded = loaded.unwrap().unwrap().transport(common::https(&server));
        assert_eq!(loaded.client_id(), registration.client_id());
        assert_eq!(loaded.metadata(), registration.metadata());
        assert_eq!(loaded.issued_at(), registration.issued_at());
        loaded.read().await.unwrap();

        let other = Registration::load(&stores, server.issuer(), "other").await;
        assert!(other.unwrap().is_none());
        let other = Registration::load(&stores, "https://other.example", "app").await;
        assert!(other.unwrap().is_none());
    }

    // The keys have a place of their own.
    let auth = auth();
    let registration = super::request(&server).authenticate_with(auth.clone());
    let mut registration = registration.send().await.unwrap();
    let stores = foreign.stores();
    registration.save(&stores, "second").await.unwrap();
    let loaded = Registration::load(&stores, server.issuer(), "second").await;
    let client = loaded
        .unwrap()
        .unwrap()
        .authenticate_with(auth)
        .transport(common::https(&server))
        .client_builder()
        .clock(common::SharedClock(server.clock().clone()))
        .build()
        .await
        .unwrap();
    common::log_in_with(&client, &server, "alice")
        .await
        .unwrap();
}

/// SEC-cred: the store sees neither the token nor the client id.
#[tokio::test]
async fn the_store_sees_nothing() {
    let server = TestServer::start().await;
    let foreign = Foreign::default();
    let mut registration = register(&server).await;
    registration.save(&foreign.stores(), "app").await.unwrap();
    let bytes = foreign.bytes().await;
    assert!(!contains(&bytes, registration.client_id()));
    let plain = registration.to_bytes().unwrap();
    assert!(contains(&plain, registration.client_id()));
    let secrets = server.secrets_issued();
    assert!(!secrets.is_empty());
    for secret in secrets {
        assert!(contains(&plain, &secret));
        assert!(!contains(&bytes, &secret));
    }
}

/// A record that was moved to another name or another issuer, or altered, is refused.
#[tokio::test]
async fn a_moved_record_is_refused() {
    let server = TestServer::start().await;
    let foreign = Foreign::default();
    let stores = foreign.stores();
    register(&server).await.save(&stores, "app").await.unwrap();
    let bytes = foreign.bytes().await;

    let elsewhere = "https://other.example";
    for (issuer, name) in [(server.issuer(), "moved"), (elsewhere, "app")] {
        let none = Registration::load(&stores, issuer, name).await;
        assert!(none.unwrap().is_none());
        let record = Record {
            bytes: bytes.clone(),
            tags: Vec::new(),
            life: None,
        };
        let key = *foreign.keys().last().unwrap();
        foreign.store.create(&key, record).await.unwrap();
        let error = Registration::load(&stores, issuer, name).await.unwrap_err();
        assert_eq!(store(&error), Some(&StoreError::NotAuthentic));
    }

    let plain = register(&server).await.to_bytes().unwrap();
    for bytes in [&b"{}"[..], b"", b"[]", br#"{"format":1}"#] {
        let malformed = StoreError::Malformed("it is no registration");
        assert_eq!(Registration::from_bytes(bytes).unwrap_err(), malformed);
    }
    let newer = String::from_utf8(plain.to_vec()).unwrap();
    let newer = newer.replacen("\"format\":1", "\"format\":2", 1);
    let error = Registration::from_bytes(newer.as_bytes()).unwrap_err();
    assert_eq!(error, StoreError::UnknownFormat(2));
}

/// One registration does not overwrite another, with whose token it would lose the client. One that was
/// changed elsewhere meanwhile is not overwritten either.
#[tokio::test]
async fn no_registration_is_overwritten() {
    let server = TestServer::start().await;
    let stores = Stores::memory();
    let mut first = register(&server).await;
    first.save(&stores, "app").await.unwrap();
    let error = register(&server).await.save(&stores, "app").await;
    assert_eq!(store(&error.unwrap_err()), Some(&StoreError::Exists));

    let load = || Registration::load(&stores, server.issuer(), "app");
    let (mut one, mut two) = (
        load().await.unwrap().unwrap(),
        load().await.unwrap().unwrap(),
    );
    assert_eq!(one.client_id(), first.client_id());
    one.save(&stores, "app").await.unwrap();
    let error = two.save(&stores, "app").await.unwrap_err();
    assert_eq!(store(&error), Some(&StoreError::Conflict));
    one.save(&stores, "app").await.unwrap();
    assert_eq!(server.count(Endpoint::Management), 0);
}
