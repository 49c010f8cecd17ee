//! Stores of keys that break a promise.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use fapi_client::{
    Algorithm, BoxFuture, KeyError, KeyName, KeyStore, PublicJwk, Signature, Signer, StoreError,
};
use fapi_testkit::contract::key_store_contract;

use super::breaks;
use crate::wire::Key;

#[derive(Clone, Copy, PartialEq, Debug)]
enum Fault {
    None,
    OtherKeyOpened,
    OneKey,
    CreateOverwrites,
    CreateOpens,
    MissingIsMade,
    DeleteKeeps,
    DeleteMissing,
    AnyCase,
    AnyAlgorithm,
    OtherError,
}

struct KeyInMemory {
    key: Key,
    algorithm: Algorithm,
    public: PublicJwk,
}

impl KeyInMemory {
    fn make(algorithm: Algorithm) -> Arc<Self> {
        let key = match algorithm {
            Algorithm::EdDsa => Key::eddsa(),
            _ => Key::es256(),
        };
        let public = PublicJwk::from_json(&key.jwk()).unwrap();
        Arc::new(Self {
            key,
            algorithm,
            public,
        })
    }
}

impl Signer for KeyInMemory {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    fn public_jwk(&self) -> &PublicJwk {
        &self.public
    }

    fn sign<'a>(&'a self, message: &'a [u8]) -> BoxFuture<'a, Result<Signature, KeyError>> {
        Box::pin(async { Ok(Signature::from_raw(self.key.sign(message))) })
    }
}

struct Keys {
    made: Mutex<HashMap<String, Arc<KeyInMemory>>>,
    one: Arc<KeyInMemory>,
    fault: Fault,
}

impl Keys {
    fn with(fault: Fault) -> Self {
        Self {
            made: Mutex::default(),
            one: KeyInMemory::make(Algorithm::Es256),
            fault,
        }
    }

    fn place(&self, name: &KeyName) -> String {
        match self.fault {
            Fault::AnyCase => name.as_str().to_lowercase(),
            _ => name.to_string(),
        }
    }

    fn make(&self, name: &KeyName, algorithm: Algorithm) -> Result<Arc<KeyInMemory>, KeyError> {
        let lacks = algorithm == Algorithm::Ps256 && self.fault != Fault::AnyAlgorithm;
        if lacks && self.fault == Fault::OtherError {
            return Err(KeyError::Store(StoreError::Unavailable));
        }
        if lacks {
            return Err(KeyError::StoreLacks(algorithm));
        }
        let mut keys = self.made.lock().unwrap();
        let place = self.place(name);
        match (keys.get(&place), self.fault) {
            (Some(known), Fault::CreateOpens) => return Ok(known.clone()),
            (Some(_), fault) if fault != Fault::CreateOverwrites => {
                let name = name.to_string();
                return Err(KeyError::Exists { name });
            }
            _ => {}
        }
        let key = match self.fault {
            Fault::OneKey => self.one.clone(),
            // A key of the algorithm that it has at hand, which says that it is another.
            Fault::AnyAlgorithm => KeyInMemory::make(Algorithm::Es256),
            _ => KeyInMemory::make(algorithm),
        };
        keys.insert(place, key.clone());
        Ok(key)
    }

    fn find(&self, name: &KeyName) -> Result<Arc<KeyInMemory>, KeyError> {
        let keys = self.made.lock().unwrap();
        match (keys.get(&self.place(name)), self.fault) {
            (Some(_), Fault::OtherKeyOpened) => Ok(self.one.clone()),
            (Some(key), _) => Ok(key.clone()),
            (None, Fault::MissingIsMade) => Ok(KeyInMemory::make(Algorithm::Es256)),
            (None, _) => Err(KeyError::Missing {
                name: name.to_string(),
            }),
        }
    }

    fn forget(&self, name: &KeyName) -> Result<(), KeyError> {
        if self.fault == Fault::DeleteKeeps {
            return Ok(());
        }
        let forgotten = self.made.lock().unwrap().remove(&self.place(name));
        match (forgotten, self.fault) {
            (None, Fault::DeleteMissing) => Err(KeyError::Missing {
                name: name.to_string(),
            }),
            _ => Ok(()),
        }
    }
}

impl KeyStore for Keys {
    fn create<'a>(
        &'a self,
        name: &'a KeyName,
        algorithm: Algorithm,
    ) -> BoxFuture<'a, Result<Arc<dyn Signer>, KeyError>> {
        let made = self.make(name, algorithm);
        Box::pin(async move { made.map(|key| key as Arc<dyn Signer>) })
    }

    fn open<'a>(&'a self, name: &'a KeyName) -> BoxFuture<'a, Result<Arc<dyn Signer>, KeyError>> {
        let found = self.find(name);
        Box::pin(async move { found.map(|key| key as Arc<dyn Signer>) })
    }

    fn delete<'a>(&'a self, name: &'a KeyName) -> BoxFuture<'a, Result<(), KeyError>> {
        let forgotten = self.forget(name);
        Box::pin(async move { forgotten })
    }
}

/// The contract asks for nothing that a store in hardware can't do, and takes one that makes other keys
/// as well, and lacks some.
#[tokio::test]
async fn a_sound_store_keeps_the_contract() {
    let store = Keys::with(Fault::None);
    key_store_contract(&store).await;
    assert!(store.made.lock().unwrap().is_empty(), "keys are left");
}

/// A store of keys with a fault in any call is found out.
#[tokio::test]
async fn faulty_stores_are_found_out() {
    let faults = [
        (
            Fault::OtherKeyOpened,
            "the key that is opened is not the one that was made",
        ),
        (Fault::OneKey, "a key that was deleted came back"),
        (
            Fault::CreateOverwrites,
            "a second key was made under one name",
        ),
        (Fault::CreateOpens, "a second key was made under one name"),
        (Fault::MissingIsMade, "a key that never was is not missing"),
        (Fault::DeleteKeeps, "a key that was deleted is not missing"),
        (Fault::DeleteMissing, "deleting a key failed"),
        (Fault::AnyCase, "making an ES256 key failed"),
        (
            Fault::AnyAlgorithm,
            "the key is not of the algorithm that was asked for",
        ),
        (
            Fault::OtherError,
            "an algorithm that the store does not make has another error",
        ),
    ];
    for (fault, promise) in faults {
        let store = Keys::with(fault);
        let contract = async move { key_store_contract(&store).await };
        breaks(contract, promise, &fault).await;
    }
}
