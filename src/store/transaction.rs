//! Logins under way.

use std::time::Duration;

use super::Digest;
use crate::error::StoreError;
use crate::future::BoxFuture;

/// The name of a login under way.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct TransactionKey {
    /// The browser that it belongs to: the hash of its handle.
    pub owner: Digest,
    /// The client and the server that it is at.
    pub scope: Digest,
    /// Which one of that browser's it is: the hash of its `state`.
    pub id: Digest,
}

/// Logins as they are kept, with their names.
pub type StoredTransactions = Vec<(TransactionKey, Vec<u8>)>;

/// Logins under way. Each call is atomic: of two that take the same login at once, one gets it.
///
/// An owner can have several. A store may bound how many, at 16 or more, and drops the oldest then; one
/// that holds too many in all answers [`StoreError::Full`].
///
/// `fapi_testkit::contract::transactions_contract` tests an implementation.
pub trait Transactions: Send + Sync {
    /// Keeps a login for so long, at most; the store may drop it afterwards, by its own clock.
    fn put<'a>(
        &'a self,
        key: &'a TransactionKey,
        bytes: Vec<u8>,
        life: Duration,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// The logins of an owner, oldest first. Reading uses nothing up.
    fn of<'a>(&'a self, owner: &'a Digest)
    -> BoxFuture<'a, Result<StoredTransactions, StoreError>>;

    /// Takes a login out, once. `None` where it is not there: never was, has passed, or was taken.
    fn take<'a>(
        &'a self,
        key: &'a TransactionKey,
    ) -> BoxFuture<'a, Result<Option<Vec<u8>>, StoreError>>;
}
