//! The contract of `fapi_client::store::Locks`.
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use fapi_client::store::Locks;
//! # use fapi_testkit::contract::{LocksLapse, locks_contract};
//! # async fn test(store: impl Locks + 'static) {
//! locks_contract(Arc::new(store), LocksLapse::Yes).await;
//! # }
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use fapi_client::StoreError;
use fapi_client::store::{Lease, Locks, RecordKey, RecordKind};
use tokio::time::sleep;

use super::given::{digest, done};

/// A lease that no test outlasts, and the patience of who must get the lock in the end.
const LONG: Duration = Duration::from_secs(60);
/// A lease that is held by renewing it.
const SHORT: Duration = Duration::from_secs(1);
/// A lease that passes.
const PASSING: Duration = Duration::from_millis(500);
/// What a store may take to notice, beyond the lease.
const GRACE: Duration = Duration::from_secs(2);
/// How long somebody waits who won't get the lock.
const BRIEF: Duration = Duration::from_millis(200);
const TASKS: u32 = 50;

/// Whether a lock ends when it is not renewed, though its holder lives on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LocksLapse {
    /// It does: a lease in Redis, a row with a time in it.
    Yes,
    /// It ends with its holder alone, which the store notices by itself: a lock that the operating
    /// system releases with the process.
    WithItsHolder,
}

/// Checks that locks keep what `Locks` and `Lease` promise. It takes some seconds, and needs a tokio
/// runtime.
///
/// # Panics
/// At the first promise that is not kept, with its name.
pub async fn locks_contract(locks: Arc<dyn Locks>, lapse: LocksLapse) {
    one_at_a_time(&*locks).await;
    names_are_independent(&*locks).await;
    fences_grow(&*locks).await;
    a_waiter_gets_it(locks.clone()).await;
    what_it_guards_is_changed_by_one_at_a_time(locks.clone()).await;
    dropping_releases(&*locks).await;
    renewing_holds_it(&*locks).await;
    if lapse == LocksLapse::Yes {
        a_lease_passes(&*locks).await;
        a_late_holder_frees_nothing(&*locks).await;
    }
}

/// While one holds a lock, nobody else gets it, with patience or without; once it is released, the
/// next does.
///
/// # Panics
/// Where somebody does, or the next does not.
pub async fn one_at_a_time(locks: &dyn Locks) {
    let name = name();
    let held = acquire(locks, &name, LONG, Duration::ZERO).await;
    for patience in [Duration::ZERO, BRIEF] {
        is_locked(locks, &name, patience, "a lock has one holder at a time").await;
    }
    release(held).await;
    let next = acquire(locks, &name, LONG, GRACE).await;
    is_locked(locks, &name, BRIEF, "a lock has one holder at a time").await;
    release(next).await;
}

/// A lock of another name, be it another kind, scope or id alone, is another lock.
///
/// # Panics
/// Where it is not.
pub async fn names_are_independent(locks: &dyn Locks) {
    let name = name();
    let held = acquire(locks, &name, LONG, Duration::ZERO).await;
    let others = [
        RecordKey {
            kind: RecordKind::Key,
            ..name
        },
        RecordKey {
            scope: digest(),
            ..name
        },
        RecordKey {
            id: digest(),
            ..name
        },
    ];
    for (other, what) in others.iter().zip(["kind", "scope", "id"]) {
        match locks.acquire(other, LONG, BRIEF).await {
            Ok(lease) => release(lease).await,
            Err(error) => panic!("a lock of another {what} is another lock: {error}"),
        }
    }
    release(held).await;
}

/// Each holder has a higher number than every one before, however the lock was given up.
///
/// # Panics
/// Where it has not.
pub async fn fences_grow(locks: &dyn Locks) {
    let name = name();
    let mut highest = None;
    for turn in 0..6 {
        let lease = acquire(locks, &name, SHORT, SHORT + GRACE).await;
        let fence = lease.fence();
        assert!(
            highest.is_none_or(|before| fence > before),
            "fences grow from holder to holder: {fence} after {highest:?}"
        );
        highest = Some(fence);
        assert_eq!(lease.fence(), fence, "a holder has one fence");
        if turn == 2 {
            drop(lease);
        } else {
            release(lease).await;
        }
    }
}

/// Whoever waits gets the lock when it is released, within its patience.
///
/// # Panics
/// Where it does not.
pub async fn a_waiter_gets_it(locks: Arc<dyn Locks>) {
    let name = name();
    let held = acquire(&*locks, &name, LONG, Duration::ZERO).await;
    let fence = held.fence();
    let waiting = locks.clone();
    let waiter = tokio::spawn(async move { waiting.acquire(&name, LONG, LONG / 2).await });
    sleep(BRIEF).await;
    assert!(
        !waiter.is_finished(),
        "a lock has one holder at a time, and the others wait"
    );
    release(held).await;
    let outcome = waiter
        .await
        .unwrap_or_else(|_| panic!("acquiring panicked"));
    let lease = done(outcome, "a waiter gets the lock once it is released, which");
    assert!(lease.fence() > fence, "fences grow from holder to holder");
    release(lease).await;
}

/// Fifty tasks that read, wait a little and write, one at a time: nothing that one of them wrote is
/// lost.
///
/// # Panics
/// Where something is.
pub async fn what_it_guards_is_changed_by_one_at_a_time(locks: Arc<dyn Locks>) {
    let name = name();
    let counter = Arc::new(AtomicU32::new(0));
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let (locks, counter) = (locks.clone(), counter.clone());
            tokio::spawn(async move {
                let lease = acquire(&*locks, &name, LONG, 2 * LONG).await;
                let read = counter.load(Ordering::SeqCst);
                for _ in 0..4 {
                    tokio::task::yield_now().await;
                }
                counter.store(read + 1, Ordering::SeqCst);
                release(lease).await;
            })
        })
        .collect();
    for task in tasks {
        if let Err(error) = task.await {
            std::panic::resume_unwind(error.into_panic());
        }
    }
    assert_eq!(
        counter.load(Ordering::SeqCst),
        TASKS,
        "what a lock guards is changed by one at a time"
    );
}

/// A lock that is dropped and not released, since its holder was cancelled, is free when its lease has
/// passed at the latest.
///
/// # Panics
/// Where it is not.
pub async fn dropping_releases(locks: &dyn Locks) {
    let name = name();
    drop(acquire(locks, &name, SHORT, Duration::ZERO).await);
    match locks.acquire(&name, LONG, SHORT + GRACE).await {
        Ok(lease) => release(lease).await,
        Err(error) => panic!("a lock that was dropped is free again: {error}"),
    }
}

/// Whoever renews a lock holds it beyond the lease.
///
/// # Panics
/// Where it is lost.
pub async fn renewing_holds_it(locks: &dyn Locks) {
    let name = name();
    let held = acquire(locks, &name, SHORT, Duration::ZERO).await;
    for _ in 0..6 {
        sleep(SHORT / 4).await;
        if let Err(error) = held.renew().await {
            panic!("a lock that is renewed is held on: {error}");
        }
        let promise = "a lock that is renewed is held on";
        is_locked(locks, &name, Duration::ZERO, promise).await;
    }
    release(held).await;
}

/// A lock that is not renewed is free when its lease has passed, and not before; its former holder is
/// told so, also when the next is done, and the next has a higher fence.
///
/// # Panics
/// Where it is not so.
pub async fn a_lease_passes(locks: &dyn Locks) {
    let name = name();
    let (old, new) = pass(locks, &name).await;
    assert_eq!(
        old.renew().await,
        Err(StoreError::LeaseLost),
        "a lease that has passed can't be renewed"
    );
    assert_eq!(new.renew().await, Ok(()), "the new holder holds the lock");
    release(new).await;
    // It is free now, and is not the old holder's again: another one has written meanwhile.
    assert_eq!(
        old.renew().await,
        Err(StoreError::LeaseLost),
        "a lock that has been somebody else's can't be renewed"
    );
}

/// A holder whose lease has passed takes nothing from the next one, whether it releases or drops what it
/// held.
///
/// # Panics
/// Where it does.
pub async fn a_late_holder_frees_nothing(locks: &dyn Locks) {
    let promise = "a holder whose lease has passed does not free the next one's lock";
    for releases in [true, false] {
        let name = name();
        let (old, new) = pass(locks, &name).await;
        if releases {
            // There may be an error or none: it is of no consequence.
            let _ = old.release().await;
        } else {
            drop(old);
        }
        is_locked(locks, &name, BRIEF, promise).await;
        assert_eq!(new.renew().await, Ok(()), "{promise}");
        release(new).await;
    }
}

/// A lock whose lease has passed in its holder's hands, and is another's.
async fn pass(locks: &dyn Locks, name: &RecordKey) -> (Box<dyn Lease>, Box<dyn Lease>) {
    let old = acquire(locks, name, PASSING, Duration::ZERO).await;
    is_locked(locks, name, Duration::ZERO, "a lease holds until it passes").await;
    match locks.acquire(name, LONG, PASSING + GRACE).await {
        Ok(new) => {
            let (was, is) = (old.fence(), new.fence());
            assert!(
                is > was,
                "fences grow from holder to holder: {is} after {was}"
            );
            (old, new)
        }
        Err(error) => panic!("a lock that is not renewed is free after its lease: {error}"),
    }
}

fn name() -> RecordKey {
    RecordKey {
        kind: RecordKind::Session,
        scope: digest(),
        id: digest(),
    }
}

async fn acquire(
    locks: &dyn Locks,
    name: &RecordKey,
    lease: Duration,
    patience: Duration,
) -> Box<dyn Lease> {
    done(
        locks.acquire(name, lease, patience).await,
        "acquiring a lock that is free",
    )
}

async fn release(lease: Box<dyn Lease>) {
    done(lease.release().await, "releasing a lock");
}

async fn is_locked(locks: &dyn Locks, name: &RecordKey, patience: Duration, promise: &str) {
    let outcome = locks.acquire(name, LONG, patience).await;
    let error = outcome.map(|lease| lease.fence()).err();
    assert_eq!(error, Some(StoreError::Locked), "{promise}");
}
