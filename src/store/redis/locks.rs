//! Locks: a hash with holder `h` and fence `f` that ends with the lease, and a counter of the fences.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};
use zeroize::Zeroizing;

use super::answer::{done, number, optional};
use super::link::{Again, Link};
use super::scripts::{ACQUIRE, Call, RELEASE, RENEW};
use super::{RedisStore, milliseconds};
use crate::error::StoreError;
use crate::future::BoxFuture;
use crate::secret::{random_bytes, random_text};
use crate::store::{Lease, Locks, RecordKey};

/// How long a lock is remembered after its last holder, so that its numbers grow even where clocks go
/// back. Without it they follow the server's clock.
const FENCE_KEPT: Duration = Duration::from_secs(30 * 24 * 3600);
/// How long is waited between two tries, at first and at most.
const WAIT_FIRST: Duration = Duration::from_millis(10);
const WAIT_MOST: Duration = Duration::from_millis(100);

/// A lock that is held, or may be. Dropped, it is given up as soon as may be.
struct Hold {
    link: Arc<Link>,
    lock: String,
    fences: String,
    /// Who we are to this lock: random, for no two holders are alike.
    holder: Zeroizing<String>,
    lease: Duration,
    runtime: Handle,
    given_up: bool,
}

impl Hold {
    fn call(&self) -> Call {
        Call::new([self.lock.clone(), self.fences.clone()])
            .argument(self.holder.as_str())
            .argument(milliseconds(self.lease))
            .argument(milliseconds(self.lease.saturating_add(FENCE_KEPT)))
    }

    /// The number of this holder, unless somebody else has the lock.
    async fn acquire(&self) -> Result<Option<u64>, StoreError> {
        let fence = self
            .link
            .run(&ACQUIRE, &self.call(), Again::Harmless)
            .await?;
        optional(fence).map(number).transpose()
    }

    async fn renew(&self) -> Result<(), StoreError> {
        done(self.link.run(&RENEW, &self.call(), Again::Harmless).await?)
    }
}

async fn release(link: &Arc<Link>, lock: &str, holder: &str) -> Result<(), StoreError> {
    let call = Call::new([lock.to_owned()]).argument(holder);
    done(link.run(&RELEASE, &call, Again::Never).await?)
}

impl Drop for Hold {
    fn drop(&mut self) {
        if self.given_up {
            return;
        }
        let (link, lock) = (self.link.clone(), std::mem::take(&mut self.lock));
        let holder = std::mem::take(&mut self.holder);
        // Where it comes to nothing, the lease passes.
        self.runtime.spawn(async move {
            let _ = release(&link, &lock, &holder).await;
        });
    }
}

impl Locks for RedisStore {
    fn acquire<'a>(
        &'a self,
        name: &'a RecordKey,
        lease: Duration,
        patience: Duration,
    ) -> BoxFuture<'a, Result<Box<dyn Lease>, StoreError>> {
        Box::pin(async move {
            let runtime = Handle::try_current().map_err(|_| StoreError::NoRuntime)?;
            let mut hold = Hold {
                link: self.link.clone(),
                lock: self.names.lock(name),
                fences: self.names.fences(name),
                holder: random_text().map_err(|_| StoreError::Randomness)?,
                lease,
                runtime,
                given_up: false,
            };
            let begun = Instant::now();
            let mut wait = WAIT_FIRST;
            loop {
                if let Some(fence) = hold.acquire().await? {
                    return Ok(Box::new(RedisLease { hold, fence }) as Box<dyn Lease>);
                }
                let left = patience.saturating_sub(begun.elapsed());
                if left.is_zero() {
                    hold.given_up = true;
                    return Err(StoreError::Locked);
                }
                sleep(jittered(wait)?.min(left)).await;
                wait = (wait * 2).min(WAIT_MOST);
            }
        })
    }
}

/// Between half of it and all of it, so that those who wait do not all ask at once.
fn jittered(wait: Duration) -> Result<Duration, StoreError> {
    let [random] = *random_bytes::<1>().map_err(|_| StoreError::Randomness)?;
    let half = wait / 2;
    Ok(half + half * u32::from(random) / u32::from(u8::MAX))
}

struct RedisLease {
    hold: Hold,
    fence: u64,
}

impl Lease for RedisLease {
    fn fence(&self) -> u64 {
        self.fence
    }

    fn renew(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.hold.renew())
    }

    fn release(self: Box<Self>) -> BoxFuture<'static, Result<(), StoreError>> {
        Box::pin(async move {
            let mut hold = self.hold;
            let released = release(&hold.link, &hold.lock, &hold.holder).await;
            hold.given_up = true;
            released
        })
    }
}
