//! One session's turn: whoever holds it may renew the tokens, on this machine or another.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use tokio::time::timeout;

use super::core::Core;
use super::session::SessionId;
use crate::error::StoreError;
use crate::store::{Lease, RecordKind};

/// How long a turn lasts that is not renewed, where the store counts it: so long others wait for a
/// machine that died.
const LEASE: Duration = Duration::from_secs(10);
/// How often it is renewed while a request is under way.
const RENEW_EVERY: Duration = Duration::from_secs(3);
/// How long to wait for one's turn. A refresh with its retries takes no longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(75);

/// The lock of one session, held.
pub(crate) struct Turn {
    lease: Box<dyn Lease>,
}

impl Turn {
    /// Waits for one's turn.
    ///
    /// # Errors
    /// [`StoreError::Locked`] where somebody else has had it for longer than `patience`.
    pub(crate) async fn take(
        core: &Core,
        session: &SessionId,
        patience: Duration,
    ) -> Result<Self, StoreError> {
        let name = core.vault.key(RecordKind::Session, session.as_str());
        let locks = &core.vault.stores().locks;
        let lease = core
            .vault
            .told(locks.acquire(&name, LEASE, patience).await)?;
        Ok(Self { lease })
    }

    pub(crate) fn fence(&self) -> u64 {
        self.lease.fence()
    }

    /// Holds the turn for another lease, or finds that it is somebody else's by now.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`]; what the store fails with.
    pub(crate) async fn renew(&self) -> Result<(), StoreError> {
        self.lease.renew().await
    }

    /// Works, and keeps the turn meanwhile.
    pub(crate) async fn hold<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            if let Ok(outcome) = timeout(RENEW_EVERY, work.as_mut()).await {
                return outcome;
            }
            // Where it is lost, what is written next is refused (its fence is a lower one).
            if let Err(error) = self.lease.renew().await {
                tracing::warn!(code = error.code(), "the lock of a session was not renewed");
            }
        }
    }

    /// Lets the next one in.
    pub(crate) async fn end(self) {
        if let Err(error) = self.lease.release().await {
            tracing::debug!(
                code = error.code(),
                "the lock of a session passes by itself"
            );
        }
    }
}
