//! The contract of `fapi_client::KeyStore`.
//!
//! ```no_run
//! # use fapi_client::KeyStore;
//! # use fapi_testkit::contract::key_store_contract;
//! # async fn test(store: impl KeyStore) {
//! key_store_contract(&store).await;
//! # }
//! ```

use std::sync::Arc;

use fapi_client::{Algorithm, KeyError, KeyName, KeyStore, Signer};

use super::given::{digest, done};
use super::signer::signer_contract;

/// Checks that a store of keys keeps what `KeyStore` promises, and that its keys keep what `Signer`
/// promises. It makes eight keys or so, and deletes them.
///
/// # Panics
/// At the first promise that is not kept, with its name.
pub async fn key_store_contract(store: &dyn KeyStore) {
    it_makes_a_key_that_signs(store).await;
    a_key_is_opened_as_it_was_made(store).await;
    a_name_is_used_once(store).await;
    a_missing_key_is_missing(store).await;
    a_deleted_key_is_gone(store).await;
    names_are_told_apart(store).await;
    it_makes_what_it_says_or_nothing(store).await;
}

/// It makes ES256 keys, and they keep the contract of signers.
///
/// # Panics
/// Where it does not, or they don't.
pub async fn it_makes_a_key_that_signs(store: &dyn KeyStore) {
    let name = name();
    let signer = create(store, &name).await;
    assert_eq!(
        signer.algorithm(),
        Algorithm::Es256,
        "the key is not of the algorithm that was asked for"
    );
    signer_contract(&*signer).await;
    delete(store, &name).await;
}

/// The key that is opened is the one that was made, as often as it is opened.
///
/// # Panics
/// Where it is another.
pub async fn a_key_is_opened_as_it_was_made(store: &dyn KeyStore) {
    let name = name();
    let made = create(store, &name).await;
    for _ in 0..2 {
        let opened = done(store.open(&name).await, "opening a key");
        assert_eq!(
            public(&*opened),
            public(&*made),
            "the key that is opened is not the one that was made"
        );
        signer_contract(&*opened).await;
    }
    delete(store, &name).await;
}

/// A key is not made over another one.
///
/// # Panics
/// Where it is.
pub async fn a_name_is_used_once(store: &dyn KeyStore) {
    let name = name();
    let made = create(store, &name).await;
    assert_eq!(
        store.create(&name, Algorithm::Es256).await.err(),
        Some(KeyError::Exists {
            name: name.to_string()
        }),
        "a second key was made under one name"
    );
    let opened = done(store.open(&name).await, "opening a key");
    assert_eq!(
        public(&*opened),
        public(&*made),
        "a key was changed since another was to be made under its name"
    );
    delete(store, &name).await;
}

/// A key that never was is missing, under its name.
///
/// # Panics
/// Where it is not.
pub async fn a_missing_key_is_missing(store: &dyn KeyStore) {
    is_missing(store, &name(), "a key that never was").await;
}

/// A key that was deleted is missing; to delete it once more is no error; its name can be used again,
/// for another key.
///
/// # Panics
/// Where it is not so.
pub async fn a_deleted_key_is_gone(store: &dyn KeyStore) {
    let name = name();
    delete(store, &name).await;
    let first = create(store, &name).await;
    delete(store, &name).await;
    is_missing(store, &name, "a key that was deleted").await;
    delete(store, &name).await;
    let second = create(store, &name).await;
    assert_ne!(
        public(&*first),
        public(&*second),
        "a key that was deleted came back"
    );
    delete(store, &name).await;
}

/// Two names are two keys, if they differ in their last character, in a dot or in upper case alone, and
/// deleting one leaves the others.
///
/// # Panics
/// Where they are not.
pub async fn names_are_told_apart(store: &dyn KeyStore) {
    let long = format!("{:A<63}", name().as_str());
    let names = [
        named(format!("{long}a")),
        named(format!("{long}A")),
        named(format!("{long}b")),
        named(format!(".{long}")),
    ];
    let mut keys = Vec::new();
    for name in &names {
        keys.push(public(&*create(store, name).await));
    }
    for (at, key) in keys.iter().enumerate() {
        assert!(
            !keys.iter().skip(at + 1).any(|other| other == key),
            "two names have one key"
        );
    }
    for (name, key) in names.iter().zip(&keys) {
        let opened = done(store.open(name).await, "opening a key");
        assert_eq!(public(&*opened), *key, "a name opens another's key");
        delete(store, name).await;
    }
}

/// For the other algorithms there is a key that keeps the contract of signers, or
/// [`KeyError::StoreLacks`] and no key.
///
/// # Panics
/// Where there is neither.
pub async fn it_makes_what_it_says_or_nothing(store: &dyn KeyStore) {
    for algorithm in [Algorithm::EdDsa, Algorithm::Ps256] {
        let name = name();
        match store.create(&name, algorithm).await {
            Ok(signer) => {
                assert_eq!(
                    signer.algorithm(),
                    algorithm,
                    "the key is not of the algorithm that was asked for"
                );
                signer_contract(&*signer).await;
            }
            Err(error) => {
                assert_eq!(
                    error,
                    KeyError::StoreLacks(algorithm),
                    "an algorithm that the store does not make has another error"
                );
                is_missing(store, &name, "a key that could not be made").await;
            }
        }
        delete(store, &name).await;
    }
}

fn name() -> KeyName {
    named(format!("contract-{}", digest()))
}

fn named(text: String) -> KeyName {
    done(KeyName::new(text), "naming a key")
}

fn public(signer: &dyn Signer) -> String {
    signer.public_jwk().to_json().to_string()
}

async fn create(store: &dyn KeyStore, name: &KeyName) -> Arc<dyn Signer> {
    done(
        store.create(name, Algorithm::Es256).await,
        "making an ES256 key",
    )
}

async fn delete(store: &dyn KeyStore, name: &KeyName) {
    done(store.delete(name).await, "deleting a key");
}

async fn is_missing(store: &dyn KeyStore, name: &KeyName, what: &str) {
    assert_eq!(
        store.open(name).await.err(),
        Some(KeyError::Missing {
            name: name.to_string()
        }),
        "{what} is not missing"
    );
}
