//! Locks between tasks that break a promise.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fapi_client::store::{Lease, Locks, MemoryStore, RecordKey, RecordKind};
use fapi_client::{BoxFuture, StoreError};
use fapi_testkit::contract::{LocksLapse, locks_contract};

use super::breaks;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    NoExclusion,
    OneScope,
    OneKind,
    SameFence,
    FallingFence,
    NoPatience,
    KeptWhenDropped,
    RenewFails,
}

struct Broken {
    store: MemoryStore,
    turns: AtomicU64,
    fault: Fault,
}

struct BrokenLease {
    held: Option<Box<dyn Lease>>,
    fence: u64,
    fault: Fault,
}

impl Locks for Broken {
    fn acquire<'a>(
        &'a self,
        name: &'a RecordKey,
        lease: Duration,
        patience: Duration,
    ) -> BoxFuture<'a, Result<Box<dyn Lease>, StoreError>> {
        Box::pin(async move {
            let (mut name, mut patience) = (*name, patience);
            let turn = self.turns.fetch_add(1, Ordering::SeqCst);
            match self.fault {
                Fault::NoExclusion => name.id = digest(turn),
                Fault::OneScope => name.scope = digest(0),
                Fault::OneKind => name.kind = RecordKind::Used,
                Fault::NoPatience => patience = Duration::ZERO,
                _ => {}
            }
            let held = self.store.acquire(&name, lease, patience).await?;
            let fence = match self.fault {
                Fault::SameFence => 1,
                Fault::FallingFence => u64::MAX - held.fence(),
                _ => held.fence(),
            };
            Ok(Box::new(BrokenLease {
                held: Some(held),
                fence,
                fault: self.fault,
            }) as Box<dyn Lease>)
        })
    }
}

fn digest(number: u64) -> fapi_client::store::Digest {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    fapi_client::store::Digest::from_bytes(bytes)
}

impl Lease for BrokenLease {
    fn fence(&self) -> u64 {
        self.fence
    }

    fn renew(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        let fails = self.fault == Fault::RenewFails;
        Box::pin(async move {
            if fails {
                Err(StoreError::LeaseLost)
            } else {
                Ok(())
            }
        })
    }

    fn release(mut self: Box<Self>) -> BoxFuture<'static, Result<(), StoreError>> {
        match self.held.take() {
            Some(held) => held.release(),
            None => Box::pin(async { Ok(()) }),
        }
    }
}

impl Drop for BrokenLease {
    fn drop(&mut self) {
        if self.fault == Fault::KeptWhenDropped {
            std::mem::forget(self.held.take());
        }
    }
}

/// Locks with a fault in any call are found out.
#[tokio::test]
async fn faulty_locks_are_found_out() {
    let faults = [
        (Fault::NoExclusion, "a lock has one holder at a time"),
        (Fault::OneScope, "a lock of another scope is another lock"),
        (Fault::OneKind, "a lock of another kind is another lock"),
        (Fault::SameFence, "fences grow from holder to holder"),
        (Fault::FallingFence, "fences grow from holder to holder"),
        (
            Fault::NoPatience,
            "a lock has one holder at a time, and the others wait",
        ),
        (Fault::KeptWhenDropped, "acquiring a lock that is free"),
        (Fault::RenewFails, "a lock that is renewed is held on"),
    ];
    for (fault, promise) in faults {
        let locks = Arc::new(Broken {
            store: MemoryStore::new(),
            turns: AtomicU64::new(0),
            fault,
        });
        let contract = locks_contract(locks, LocksLapse::WithItsHolder);
        breaks(contract, promise, &fault).await;
    }
}
