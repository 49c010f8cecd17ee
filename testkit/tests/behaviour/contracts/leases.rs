//! Locks that lapse, as they are in a database or a cache: sound, and with faults.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fapi_client::store::{Lease, Locks, RecordKey};
use fapi_client::{BoxFuture, StoreError};
use fapi_testkit::contract::{LocksLapse, locks_contract};
use tokio::time::{Instant, sleep};

use super::breaks;

#[derive(Clone, Copy, PartialEq, Debug)]
enum Fault {
    None,
    NeverPasses,
    PassesAtOnce,
    RenewDoesNothing,
    RenewIsBelieved,
    ReleaseFreesAll,
    DropFreesAll,
    DropKeeps,
    LostOnceMore,
}

#[derive(Default)]
struct Table {
    held: HashMap<RecordKey, (u64, Instant)>,
    last: u64,
}

struct Leases {
    table: Arc<Mutex<Table>>,
    fault: Fault,
}

struct Held {
    table: Arc<Mutex<Table>>,
    name: RecordKey,
    fence: u64,
    lease: Duration,
    fault: Fault,
}

impl Leases {
    fn with(fault: Fault) -> Arc<Self> {
        Arc::new(Self {
            table: Arc::default(),
            fault,
        })
    }

    fn attempt(&self, name: &RecordKey, lease: Duration) -> Option<Held> {
        let mut table = self.table.lock().unwrap();
        let now = Instant::now();
        let holder = table.held.get(name).copied();
        if holder.is_some_and(|(_, ends)| now < ends || self.fault == Fault::NeverPasses) {
            return None;
        }
        table.last += 1;
        let fence = table.last;
        let ends = match self.fault {
            Fault::PassesAtOnce if lease < Duration::from_secs(1) => now,
            _ => now + lease,
        };
        table.held.insert(*name, (fence, ends));
        Some(Held {
            table: self.table.clone(),
            name: *name,
            fence,
            lease,
            fault: self.fault,
        })
    }
}

impl Locks for Leases {
    fn acquire<'a>(
        &'a self,
        name: &'a RecordKey,
        lease: Duration,
        patience: Duration,
    ) -> BoxFuture<'a, Result<Box<dyn Lease>, StoreError>> {
        Box::pin(async move {
            let until = Instant::now() + patience;
            loop {
                if let Some(held) = self.attempt(name, lease) {
                    return Ok(Box::new(held) as Box<dyn Lease>);
                }
                if Instant::now() >= until {
                    return Err(StoreError::Locked);
                }
                sleep(Duration::from_millis(5)).await;
            }
        })
    }
}

impl Held {
    fn free(&self, whosever: bool) {
        let mut table = self.table.lock().unwrap();
        let holder = table.held.get(&self.name).map(|(fence, _)| *fence);
        if whosever || holder == Some(self.fence) {
            table.held.remove(&self.name);
        }
    }
}

impl Lease for Held {
    fn fence(&self) -> u64 {
        self.fence
    }

    fn renew(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            let mut table = self.table.lock().unwrap();
            let now = Instant::now();
            let holder = table.held.get(&self.name).copied();
            let free = holder.is_none_or(|(_, ends)| now >= ends);
            let own = holder.is_some_and(|(fence, _)| fence == self.fence);
            match self.fault {
                Fault::RenewDoesNothing | Fault::RenewIsBelieved if !own || free => {
                    return if self.fault == Fault::RenewIsBelieved {
                        Ok(())
                    } else {
                        Err(StoreError::LeaseLost)
                    };
                }
                Fault::RenewDoesNothing => return Ok(()),
                // Takes the lock anew where it is free, whoever had it in between.
                Fault::LostOnceMore if free => {}
                _ if own && !free => {}
                _ => return Err(StoreError::LeaseLost),
            }
            table.held.insert(self.name, (self.fence, now + self.lease));
            Ok(())
        })
    }

    fn release(self: Box<Self>) -> BoxFuture<'static, Result<(), StoreError>> {
        self.free(self.fault == Fault::ReleaseFreesAll);
        Box::pin(async { Ok(()) })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        match self.fault {
            // It is free when the lease passes.
            Fault::DropKeeps => {}
            fault => self.free(fault == Fault::DropFreesAll),
        }
    }
}

/// The contract asks for nothing that a lock in a cache can't do, whether dropping frees it at once or
/// when the lease passes.
#[tokio::test]
async fn sound_leases_keep_the_contract() {
    for fault in [Fault::None, Fault::DropKeeps] {
        locks_contract(Leases::with(fault), LocksLapse::Yes).await;
    }
}

/// Leases with a fault in any call are found out.
#[tokio::test]
async fn faulty_leases_are_found_out() {
    let late = "a holder whose lease has passed does not free the next one's lock";
    let faults = [
        (
            Fault::NeverPasses,
            "a lock that is not renewed is free after its lease",
        ),
        (Fault::PassesAtOnce, "a lease holds until it passes"),
        (Fault::RenewDoesNothing, "a lock that is renewed is held on"),
        (
            Fault::RenewIsBelieved,
            "a lease that has passed can't be renewed",
        ),
        (
            Fault::LostOnceMore,
            "a lock that has been somebody else's can't be renewed",
        ),
        (Fault::ReleaseFreesAll, late),
        (Fault::DropFreesAll, late),
    ];
    let runs = faults.map(|(fault, promise)| {
        tokio::spawn(async move {
            let contract = locks_contract(Leases::with(fault), LocksLapse::Yes);
            breaks(contract, promise, &fault).await;
        })
    });
    for run in runs {
        run.await.unwrap();
    }
}
