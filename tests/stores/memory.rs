//! The memory of this process.

use std::sync::Arc;

use fapi_client::store::MemoryStore;
use fapi_testkit::contract::{LocksLapse, locks_contract, records_contract, transactions_contract};

/// SEC-6.4: a login under way is found by its own browser, and taken once.
#[tokio::test]
async fn transactions_keep_the_contract() {
    transactions_contract(&MemoryStore::new()).await;
}

/// Records are written by one at a time, under versions and fences, and pass.
#[tokio::test]
async fn records_keep_the_contract() {
    records_contract(&MemoryStore::new()).await;
}

/// A lock has one holder at a time: tasks of one thread.
#[tokio::test]
async fn locks_keep_the_contract() {
    locks_contract(Arc::new(MemoryStore::new()), LocksLapse::WithItsHolder).await;
}

/// A lock has one holder at a time: tasks of several threads.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn locks_keep_the_contract_between_threads() {
    locks_contract(Arc::new(MemoryStore::new()), LocksLapse::WithItsHolder).await;
}

/// The contracts can run on one store again, and with one another.
#[tokio::test]
async fn the_contracts_share_a_store() {
    let store = Arc::new(MemoryStore::new());
    for _ in 0..2 {
        tokio::join!(
            transactions_contract(&*store),
            records_contract(&*store),
            locks_contract(store.clone(), LocksLapse::WithItsHolder),
        );
    }
}
