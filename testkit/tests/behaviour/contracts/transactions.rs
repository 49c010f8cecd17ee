//! Stores of logins under way that break a promise.

use std::time::Duration;

use fapi_client::store::{Digest, MemoryStore, TransactionKey, Transactions};
use fapi_client::{BoxFuture, StoreError};
use fapi_testkit::contract::transactions_contract;

use super::breaks;

#[derive(Clone, Copy, Debug)]
enum Fault {
    TakeLeaves,
    TakeIsRead,
    ReadingTakes,
    NewestFirst,
    AnyScope,
    FirstStays,
    Text,
    Eternal,
    Few,
}

struct Broken {
    store: MemoryStore,
    fault: Fault,
}

impl Broken {
    /// What is kept of a login, without taking it.
    async fn look(&self, key: &TransactionKey) -> Result<Option<Vec<u8>>, StoreError> {
        let mut own = self.store.of(&key.owner).await?;
        own.retain(|(known, _)| known == key);
        Ok(own.pop().map(|(_, bytes)| bytes))
    }
}

impl Transactions for Broken {
    fn put<'a>(
        &'a self,
        key: &'a TransactionKey,
        bytes: Vec<u8>,
        life: Duration,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            match self.fault {
                Fault::FirstStays if self.look(key).await?.is_some() => Ok(()),
                Fault::Text => {
                    let text = String::from_utf8_lossy(&bytes).into_owned();
                    self.store.put(key, text.into_bytes(), life).await
                }
                Fault::Eternal => {
                    let day = Duration::from_secs(24 * 3600);
                    self.store.put(key, bytes, life.max(day)).await
                }
                Fault::Few => {
                    let own = self.store.of(&key.owner).await?;
                    if let [(oldest, _), .., _] = own.as_slice()
                        && own.len() >= 15
                    {
                        self.store.take(oldest).await?;
                    }
                    self.store.put(key, bytes, life).await
                }
                _ => self.store.put(key, bytes, life).await,
            }
        })
    }

    fn of<'a>(
        &'a self,
        owner: &'a Digest,
    ) -> BoxFuture<'a, Result<Vec<(TransactionKey, Vec<u8>)>, StoreError>> {
        Box::pin(async move {
            let mut own = self.store.of(owner).await?;
            match self.fault {
                Fault::ReadingTakes => {
                    for (key, _) in &own {
                        self.store.take(key).await?;
                    }
                }
                Fault::NewestFirst => own.reverse(),
                _ => {}
            }
            Ok(own)
        })
    }

    fn take<'a>(
        &'a self,
        key: &'a TransactionKey,
    ) -> BoxFuture<'a, Result<Option<Vec<u8>>, StoreError>> {
        Box::pin(async move {
            match self.fault {
                Fault::TakeLeaves => self.look(key).await,
                Fault::TakeIsRead => {
                    let found = self.look(key).await?;
                    tokio::task::yield_now().await;
                    self.store.take(key).await?;
                    Ok(found)
                }
                Fault::AnyScope => {
                    let own = self.store.of(&key.owner).await?;
                    match own.iter().find(|(known, _)| known.id == key.id) {
                        Some((known, _)) => self.store.take(known).await,
                        None => Ok(None),
                    }
                }
                _ => self.store.take(key).await,
            }
        })
    }
}

/// SEC-6.4: a store with a fault in any call is found out.
#[tokio::test]
async fn faulty_stores_are_found_out() {
    let faults = [
        (Fault::TakeLeaves, "a login was taken twice"),
        (
            Fault::TakeIsRead,
            "of 24 that took one login at once, 24 got it",
        ),
        (
            Fault::ReadingTakes,
            "reading changed what an owner has under way",
        ),
        (Fault::NewestFirst, "not the owner's logins, oldest first"),
        (Fault::AnyScope, "a login was taken under another scope"),
        (
            Fault::FirstStays,
            "what was put again did not replace what was there",
        ),
        (Fault::Text, "256 bytes came back as others"),
        (Fault::Eternal, "a login without any life is read"),
        (Fault::Few, "of an owner's 16 logins, 15 are kept"),
    ];
    for (fault, promise) in faults {
        let store = MemoryStore::new();
        let contract = async move { transactions_contract(&Broken { store, fault }).await };
        breaks(contract, promise, &fault).await;
    }
}
