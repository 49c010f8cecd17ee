//! The contracts of stores notice a store that does not keep them: each fault makes them panic with the
//! promise that is broken.

mod keys;
mod leases;
mod locks;
mod records;
mod transactions;

use std::future::Future;

/// What a contract panicked with. That it does at all is part of the test.
async fn broken_promise(contract: impl Future<Output = ()> + Send + 'static) -> String {
    let panic = tokio::spawn(contract)
        .await
        .expect_err("the contract holds")
        .into_panic();
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => (*panic.downcast::<&str>().expect("a text")).to_owned(),
    }
}

/// The contract panics with this promise.
async fn breaks(
    contract: impl Future<Output = ()> + Send + 'static,
    promise: &str,
    fault: &(dyn std::fmt::Debug + Sync),
) {
    let text = broken_promise(contract).await;
    assert!(text.contains(promise), "{fault:?}: {text}");
}
