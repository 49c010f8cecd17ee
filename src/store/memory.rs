//! The memory of this process.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};
use tokio::time::{Instant, timeout};
use zeroize::Zeroizing;

use super::{
    Digest, Lease, Locks, Record, RecordKey, RecordKind, Records, Replace, Stored, TransactionKey,
    Transactions,
};
use crate::error::StoreError;
use crate::future::BoxFuture;

/// The most logins that one browser may have under way; a further one drops the oldest.
const PER_OWNER: usize = 16;
/// The most logins in all. Starting one costs a request to the server, so this is out of reach of
/// honest use within the life of a login.
const IN_ALL: usize = 100_000;
/// How often what has passed is swept out.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// Keeps everything in the memory of this process, as it comes, and wipes it when it goes.
#[derive(Default)]
pub struct MemoryStore {
    transactions: Mutex<Logins>,
    records: Mutex<Table>,
    gates: Mutex<Gates>,
}

impl MemoryStore {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl std::fmt::Debug for MemoryStore {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("MemoryStore")
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Default)]
struct Logins {
    owners: HashMap<Digest, Vec<Login>>,
    count: usize,
    sweep_at: Option<Instant>,
}

struct Login {
    key: TransactionKey,
    ends: Instant,
    bytes: Zeroizing<Vec<u8>>,
}

impl Logins {
    fn sweep(&mut self, now: Instant) {
        self.owners.retain(|_, logins| {
            logins.retain(|login| now < login.ends);
            !logins.is_empty()
        });
        self.count = self.owners.values().map(Vec::len).sum();
        self.sweep_at = Some(now + SWEEP_EVERY);
    }

    fn put(&mut self, login: Login, now: Instant) -> Result<(), StoreError> {
        if self.count >= IN_ALL || self.sweep_at.is_none_or(|at| now >= at) {
            self.sweep(now);
        }
        if self.count >= IN_ALL {
            return Err(StoreError::Full);
        }
        let own = self.owners.entry(login.key.owner).or_default();
        own.retain(|known| known.key != login.key);
        if own.len() >= PER_OWNER {
            own.remove(0);
        }
        own.push(login);
        self.count += 1;
        Ok(())
    }

    fn take(&mut self, key: &TransactionKey, now: Instant) -> Option<Vec<u8>> {
        let own = self.owners.get_mut(&key.owner)?;
        let at = own
            .iter()
            .position(|login| login.key == *key && now < login.ends)?;
        let mut login = own.remove(at);
        if own.is_empty() {
            self.owners.remove(&key.owner);
        }
        self.count = self.count.saturating_sub(1);
        Some(std::mem::take(&mut *login.bytes))
    }
}

impl Transactions for MemoryStore {
    fn put<'a>(
        &'a self,
        key: &'a TransactionKey,
        bytes: Vec<u8>,
        life: Duration,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let now = Instant::now();
            let login = Login {
                key: *key,
                ends: now + life,
                bytes: Zeroizing::new(bytes),
            };
            lock(&self.transactions).put(login, now)
        })
    }

    fn of<'a>(
        &'a self,
        owner: &'a Digest,
    ) -> BoxFuture<'a, Result<Vec<(TransactionKey, Vec<u8>)>, StoreError>> {
        Box::pin(async move {
            let now = Instant::now();
            let logins = lock(&self.transactions);
            let own = logins.owners.get(owner).map(Vec::as_slice);
            let live = own.unwrap_or_default().iter().filter(|one| now < one.ends);
            Ok(live.map(|one| (one.key, one.bytes.to_vec())).collect())
        })
    }

    fn take<'a>(
        &'a self,
        key: &'a TransactionKey,
    ) -> BoxFuture<'a, Result<Option<Vec<u8>>, StoreError>> {
        Box::pin(async move { Ok(lock(&self.transactions).take(key, Instant::now())) })
    }
}

/// Records by name, and the names by tag.
#[derive(Default)]
struct Table {
    records: BTreeMap<Place, Kept>,
    /// What has a tag: kind, scope, tag, id.
    tagged: BTreeSet<(RecordKind, Digest, Digest, Digest)>,
    last_version: u64,
    sweep_at: Option<Instant>,
}

struct Kept {
    version: u64,
    fence: u64,
    bytes: Zeroizing<Box<[u8]>>,
    tags: Box<[Digest]>,
    ends: Option<Instant>,
}

type Place = (RecordKind, Digest, Digest);

/// The ends of what begins with a kind and a scope.
const FIRST: Digest = Digest::from_bytes([0; 32]);
const LAST: Digest = Digest::from_bytes([0xff; 32]);

const fn place(key: &RecordKey) -> Place {
    (key.kind, key.scope, key.id)
}

impl Table {
    fn live(&self, key: &RecordKey, now: Instant) -> Option<&Kept> {
        self.records
            .get(&place(key))
            .filter(|kept| kept.ends.is_none_or(|ends| now < ends))
    }

    fn write(&mut self, key: &RecordKey, record: Record, fence: u64, now: Instant) -> u64 {
        if self.sweep_at.is_none_or(|at| now >= at) {
            let over = |kept: &Kept| kept.ends.is_some_and(|ends| now >= ends);
            let gone = self.records.iter().filter(|(_, kept)| over(kept));
            for place in gone.map(|(place, _)| *place).collect::<Vec<_>>() {
                self.remove(&place);
            }
            self.sweep_at = Some(now + SWEEP_EVERY);
        }
        self.remove(&place(key));
        self.last_version += 1;
        let kept = Kept {
            version: self.last_version,
            fence,
            bytes: Zeroizing::new(record.bytes.into_boxed_slice()),
            tags: record.tags.into_boxed_slice(),
            ends: record.life.map(|life| now + life),
        };
        for tag in &kept.tags {
            self.tagged.insert((key.kind, key.scope, *tag, key.id));
        }
        self.records.insert(place(key), kept);
        self.last_version
    }

    fn remove(&mut self, place: &Place) {
        if let Some(kept) = self.records.remove(place) {
            for tag in &kept.tags {
                self.tagged.remove(&(place.0, place.1, *tag, place.2));
            }
        }
    }

    /// The places with a kind and a scope, and a tag where one is given.
    fn places(&self, kind: RecordKind, scope: Digest, tag: Option<Digest>) -> Vec<Place> {
        if let Some(tag) = tag {
            let (first, last) = ((kind, scope, tag, FIRST), (kind, scope, tag, LAST));
            let found = self.tagged.range(first..=last);
            return found.map(|(.., id)| (kind, scope, *id)).collect();
        }
        let found = self
            .records
            .range((kind, scope, FIRST)..=(kind, scope, LAST));
        found.map(|(place, _)| *place).collect()
    }
}

impl Records for MemoryStore {
    fn load<'a>(&'a self, key: &'a RecordKey) -> BoxFuture<'a, Result<Option<Stored>, StoreError>> {
        Box::pin(async move {
            let table = lock(&self.records);
            let kept = table.live(key, Instant::now());
            Ok(kept.map(|kept| Stored {
                key: *key,
                version: kept.version,
                bytes: kept.bytes.to_vec(),
            }))
        })
    }

    fn create<'a>(
        &'a self,
        key: &'a RecordKey,
        record: Record,
    ) -> BoxFuture<'a, Result<u64, StoreError>> {
        Box::pin(async move {
            let (mut table, now) = (lock(&self.records), Instant::now());
            if table.live(key, now).is_some() {
                return Err(StoreError::Exists);
            }
            Ok(table.write(key, record, 0, now))
        })
    }

    fn replace<'a>(
        &'a self,
        key: &'a RecordKey,
        replace: Replace,
    ) -> BoxFuture<'a, Result<u64, StoreError>> {
        Box::pin(async move {
            let (mut table, now) = (lock(&self.records), Instant::now());
            let known = table.live(key, now).ok_or(StoreError::Conflict)?;
            let fence = replace.fence.unwrap_or(known.fence);
            if fence < known.fence {
                return Err(StoreError::Fenced);
            }
            if known.version != replace.expected {
                return Err(StoreError::Conflict);
            }
            Ok(table.write(key, replace.record, fence, now))
        })
    }

    fn delete<'a>(
        &'a self,
        key: &'a RecordKey,
        expected: Option<u64>,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let mut table = lock(&self.records);
            let known = table.live(key, Instant::now()).map(|kept| kept.version);
            if expected.is_some() && known.is_some() && known != expected {
                return Err(StoreError::Conflict);
            }
            table.remove(&place(key));
            Ok(())
        })
    }

    fn list<'a>(
        &'a self,
        kind: RecordKind,
        scope: &'a Digest,
        tag: Option<&'a Digest>,
    ) -> BoxFuture<'a, Result<Vec<Stored>, StoreError>> {
        Box::pin(async move {
            let now = Instant::now();
            let table = lock(&self.records);
            let places = table.places(kind, *scope, tag.copied());
            let found = places.into_iter().filter_map(|(kind, scope, id)| {
                let key = RecordKey { kind, scope, id };
                let kept = table.live(&key, now)?;
                Some(Stored {
                    key,
                    version: kept.version,
                    bytes: kept.bytes.to_vec(),
                })
            });
            Ok(found.collect())
        })
    }
}

/// Locks between the tasks of this process. Who holds one can't die without its lock: the guard goes
/// with the task.
#[derive(Default)]
struct Gates {
    by_name: HashMap<RecordKey, Arc<AsyncMutex<()>>>,
    sweep_beyond: usize,
    last_fence: u64,
}

impl Gates {
    fn gate(&mut self, name: &RecordKey) -> Arc<AsyncMutex<()>> {
        if self.by_name.len() > self.sweep_beyond {
            // Whoever holds or waits for a gate has a handle of its own to it.
            self.by_name.retain(|_, gate| Arc::strong_count(gate) > 1);
            self.sweep_beyond = (2 * self.by_name.len()).max(64);
        }
        self.by_name.entry(*name).or_default().clone()
    }
}

struct MemoryLease {
    fence: u64,
    held: OwnedMutexGuard<()>,
}

impl Locks for MemoryStore {
    fn acquire<'a>(
        &'a self,
        name: &'a RecordKey,
        _lease: Duration,
        patience: Duration,
    ) -> BoxFuture<'a, Result<Box<dyn Lease>, StoreError>> {
        Box::pin(async move {
            let gate = lock(&self.gates).gate(name);
            let held = timeout(patience, gate.lock_owned())
                .await
                .map_err(|_| StoreError::Locked)?;
            let mut gates = lock(&self.gates);
            gates.last_fence += 1;
            let fence = gates.last_fence;
            Ok(Box::new(MemoryLease { fence, held }) as Box<dyn Lease>)
        })
    }
}

impl Lease for MemoryLease {
    fn fence(&self) -> u64 {
        self.fence
    }

    fn renew(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async { Ok(()) })
    }

    fn release(self: Box<Self>) -> BoxFuture<'static, Result<(), StoreError>> {
        drop(self.held);
        Box::pin(async { Ok(()) })
    }
}
