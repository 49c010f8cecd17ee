//! Keys in software that are kept, sealed, in a store.

use std::sync::Arc;

use fapi_client::store::{
    Digest, MemoryStore, Record, RecordKey, RecordKind, Records, SealingKey, SealingKeys, Stored,
};
use fapi_client::{
    Algorithm, Crypto, KeyError, KeyName, KeyStore, SealedKeys, Signer, StoreError, Stores,
};
use fapi_testkit::contract::key_store_contract;
use sha2::{Digest as _, Sha256};

const NAMESPACE: &str = "https://as.example client";

struct Kept {
    store: Arc<MemoryStore>,
    stores: Stores,
    keys: SealedKeys,
}

fn kept() -> Kept {
    let store = Arc::new(MemoryStore::new());
    let sealing = SealingKeys::new(SealingKey::generate("k1").unwrap());
    let stores = Stores::from_parts(store.clone(), store.clone(), store.clone(), sealing);
    let keys = SealedKeys::new(&stores, NAMESPACE);
    Kept {
        store,
        stores,
        keys,
    }
}

fn name(text: &str) -> KeyName {
    KeyName::new(text).unwrap()
}

fn place(namespace: &str, name: &str) -> RecordKey {
    let hash = |text: &str| Digest::from_bytes(Sha256::digest(text.as_bytes()).into());
    RecordKey {
        kind: RecordKind::Key,
        scope: hash(namespace),
        id: hash(name),
    }
}

impl Kept {
    async fn record(&self, namespace: &str, name: &str) -> Option<Stored> {
        self.store.load(&place(namespace, name)).await.unwrap()
    }

    async fn put(&self, namespace: &str, name: &str, bytes: Vec<u8>) {
        let record = Record {
            bytes,
            tags: Vec::new(),
            life: None,
        };
        let key = place(namespace, name);
        self.store.delete(&key, None).await.unwrap();
        self.store.create(&key, record).await.unwrap();
    }
}

fn public(signer: &dyn Signer) -> String {
    signer.public_jwk().thumbprint()
}

/// Sealed or in memory alone, with the provider of the features or another: the contract holds.
#[tokio::test]
async fn the_contract_is_kept() {
    key_store_contract(&kept().keys).await;
    let keys = SealedKeys::new(&Stores::memory(), NAMESPACE);
    key_store_contract(&keys).await;
    key_store_contract(&keys.with_crypto(Crypto::new().unwrap())).await;
}

/// SEC-cred: what the store sees of a key is sealed: no PEM, no PKCS#8, no name and no namespace; and
/// nothing of it is in `Debug`.
#[tokio::test]
async fn no_key_is_in_the_store_in_clear() {
    let kept = kept();
    kept.keys
        .create(&name("payroll"), Algorithm::Es256)
        .await
        .unwrap();
    let stored = kept.record(NAMESPACE, "payroll").await.unwrap();
    // The head of every PKCS#8 document: version 0, id-ecPublicKey.
    let pkcs8: &[u8] = &[0x02, 0x01, 0x00, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48];
    let clear: [&[u8]; 5] = [b"PRIVATE", b"MIGHAgEA", pkcs8, b"payroll", b"as.example"];
    for text in clear {
        assert!(
            !stored.bytes.windows(text.len()).any(|part| part == text),
            "{text:?} is in the store"
        );
    }
    assert!(stored.bytes.starts_with(b"FAPI"));
    let shown = format!("{:?} {stored:?}", kept.keys);
    assert!(!shown.contains("PRIVATE"), "{shown}");
}

/// A key that is moved to another name or namespace is not opened there: whoever writes to the store can't
/// make one client sign with another's key.
#[tokio::test]
async fn a_key_that_was_moved_is_refused() {
    let kept = kept();
    let (one, other) = (name("one"), name("other"));
    kept.keys.create(&one, Algorithm::Es256).await.unwrap();
    let made = kept.keys.create(&other, Algorithm::Es256).await.unwrap();
    let elsewhere = SealedKeys::new(&kept.stores, "https://as.example other");
    let bytes = kept.record(NAMESPACE, "one").await.unwrap().bytes;
    let own = kept.record(NAMESPACE, "other").await.unwrap().bytes;

    kept.put(NAMESPACE, "other", bytes.clone()).await;
    kept.put("https://as.example other", "one", bytes).await;
    let refused = Some(KeyError::Store(StoreError::NotAuthentic));
    assert_eq!(kept.keys.open(&other).await.err(), refused);
    assert_eq!(elsewhere.open(&one).await.err(), refused);

    kept.put(NAMESPACE, "other", own).await;
    let opened = kept.keys.open(&other).await.unwrap();
    assert_eq!(public(&*opened), public(&*made));
}

/// A key that was altered, cut, sealed with another key or by somebody else says so, and stays in the store.
#[tokio::test]
async fn a_key_that_is_not_as_it_was_written_is_refused() {
    let kept = kept();
    let one = name("one");
    kept.keys.create(&one, Algorithm::Es256).await.unwrap();
    let bytes = kept.record(NAMESPACE, "one").await.unwrap().bytes;
    let mut altered = bytes.clone();
    *altered.last_mut().unwrap() ^= 1;
    for (bytes, error) in [
        (altered, StoreError::NotAuthentic),
        (bytes[..10].to_vec(), StoreError::Truncated),
        (b"-----BEGIN PRIVATE KEY-----".to_vec(), StoreError::Foreign),
    ] {
        kept.put(NAMESPACE, "one", bytes.clone()).await;
        let outcome = kept.keys.open(&one).await;
        assert_eq!(outcome.err(), Some(KeyError::Store(error)));
        assert_eq!(kept.record(NAMESPACE, "one").await.unwrap().bytes, bytes);
    }
    kept.put(NAMESPACE, "one", bytes).await;
    let others = SealingKeys::new(SealingKey::generate("k2").unwrap());
    let store = kept.store.clone();
    let stores = Stores::from_parts(store.clone(), store.clone(), store, others);
    let outcome = SealedKeys::new(&stores, NAMESPACE).open(&one).await;
    let unknown = StoreError::UnknownSealingKey("k1".to_owned());
    assert_eq!(outcome.err(), Some(KeyError::Store(unknown)));
    assert!(kept.keys.open(&one).await.is_ok());
}

/// An algorithm that it makes no keys of is refused, and nothing is written.
#[tokio::test]
async fn other_algorithms_are_refused() {
    let kept = kept();
    for algorithm in [Algorithm::Ps256, Algorithm::EdDsa] {
        let outcome = kept.keys.create(&name("one"), algorithm).await;
        assert_eq!(outcome.err(), Some(KeyError::StoreLacks(algorithm)));
        assert!(kept.record(NAMESPACE, "one").await.is_none());
    }
}

/// Of many that make a key under one name at once, one does, and all open that one.
#[tokio::test]
async fn one_key_is_made_under_a_name() {
    let kept = kept();
    let one = name("one");
    let mut made = Vec::new();
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let (keys, one) = (kept.keys.clone(), one.clone());
            tokio::spawn(async move { keys.create(&one, Algorithm::Es256).await })
        })
        .collect();
    for task in tasks {
        match task.await.unwrap() {
            Ok(signer) => made.push(public(&*signer)),
            Err(error) => assert_eq!(
                error,
                KeyError::Exists {
                    name: "one".to_owned()
                }
            ),
        }
    }
    let opened = kept.keys.open(&one).await.unwrap();
    assert_eq!(made, [public(&*opened)]);
}

/// A namespace has names of its own: the same name is another key, and deleting one leaves the other.
#[tokio::test]
async fn namespaces_are_apart() {
    let kept = kept();
    let one = name("one");
    let elsewhere = SealedKeys::new(&kept.stores, "https://as.example other");
    kept.keys.create(&one, Algorithm::Es256).await.unwrap();
    let other = elsewhere.create(&one, Algorithm::Es256).await.unwrap();
    kept.keys.delete(&one).await.unwrap();
    let missing = KeyError::Missing {
        name: "one".to_owned(),
    };
    assert_eq!(kept.keys.open(&one).await.err(), Some(missing));
    let opened = elsewhere.open(&one).await.unwrap();
    assert_eq!(public(&*opened), public(&*other));
}
