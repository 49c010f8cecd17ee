//! One holder at a time.

use std::time::Duration;

use super::RecordKey;
use crate::error::StoreError;
use crate::future::BoxFuture;

/// Locks that reach as far as the store does: tasks for memory, processes for files, machines for Redis.
///
/// `fapi_testkit::contract::locks_contract` tests an implementation.
pub trait Locks: Send + Sync {
    /// Takes the lock of that name. It ends when it is released, or when its holder's process dies, or
    /// has not renewed it for `lease`: whichever of these the store can tell, and at least one of the
    /// last two. Where somebody else holds it, waits up to `patience`, and then answers
    /// [`StoreError::Locked`].
    fn acquire<'a>(
        &'a self,
        name: &'a RecordKey,
        lease: Duration,
        patience: Duration,
    ) -> BoxFuture<'a, Result<Box<dyn Lease>, StoreError>>;
}

/// A lock that is held. Where it is dropped without [`release`](Self::release), it is released as soon
/// as the store can, and at the latest when the lease passes.
pub trait Lease: Send + Sync {
    /// A number that is higher than that of every earlier holder of this lock. Writes carry it
    /// ([`Replace::fence`](super::Replace::fence)), so that a holder whose lease has passed can't
    /// overwrite what a later one wrote.
    fn fence(&self) -> u64;

    /// Holds it for another lease, counted from now. [`StoreError::LeaseLost`] where it has passed and
    /// is, or may be, somebody else's.
    fn renew(&self) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Gives it up. An error is of no consequence: the lease passes.
    fn release(self: Box<Self>) -> BoxFuture<'static, Result<(), StoreError>>;
}
