//! The contracts of the stores' traits.

use std::sync::Arc;

use fapi_interop::Redis;
use fapi_testkit::contract::{LocksLapse, locks_contract, records_contract, transactions_contract};

use crate::connect;

/// SEC-6.4: a login under way is found by its own browser, and taken once.
#[tokio::test]
async fn transactions_keep_the_contract() {
    let redis = Redis::start();
    transactions_contract(&connect(&redis).await).await;
}

/// Records are written by one at a time, under versions and fences, and pass.
#[tokio::test]
async fn records_keep_the_contract() {
    let redis = Redis::start();
    records_contract(&connect(&redis).await).await;
}

/// A lock has one holder at a time: tasks of one thread.
#[tokio::test]
async fn locks_keep_the_contract() {
    let redis = Redis::start();
    locks_contract(Arc::new(connect(&redis).await), LocksLapse::Yes).await;
}

/// A lock has one holder at a time: tasks of several threads.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn locks_keep_the_contract_between_threads() {
    let redis = Redis::start();
    locks_contract(Arc::new(connect(&redis).await), LocksLapse::Yes).await;
}

/// All of it over TLS, on one connection at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_contracts_share_a_connection() {
    let redis = Redis::start_with_tls();
    let store = crate::builder(&redis)
        .root_certificates_pem(redis.pki().authority())
        .connect()
        .await
        .unwrap();
    let store = Arc::new(store);
    tokio::join!(
        transactions_contract(&*store),
        records_contract(&*store),
        locks_contract(store.clone(), LocksLapse::Yes),
    );
}

/// All keys of a script lie in one slot: the contracts hold in a cluster, which refuses a script otherwise.
#[tokio::test]
async fn the_contracts_hold_in_a_cluster() {
    let redis = Redis::start_as_cluster();
    let store = Arc::new(connect(&redis).await);
    tokio::join!(
        transactions_contract(&*store),
        records_contract(&*store),
        locks_contract(store.clone(), LocksLapse::Yes),
    );
}
