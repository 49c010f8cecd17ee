//! A store that fails on command.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use fapi_client::store::{
    Digest, Lease, Locks, MemoryStore, Record, RecordKey, RecordKind, Records, Replace, Stored,
    TransactionKey, Transactions,
};
use fapi_client::{BoxFuture, StoreError};
use tokio::sync::watch;

/// A call to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Load,
    Create,
    Replace,
    Delete,
    List,
    Acquire,
    Put,
    Of,
    Take,
}

/// What happens to a call.
#[derive(Clone)]
enum Way {
    /// It comes before the call in question.
    Pass,
    /// Nothing is done.
    Fail(StoreError),
    /// It is done, and an error is answered.
    Twice(StoreError),
    /// It is done, or not, once the gate is open.
    Hold {
        done: bool,
        gate: watch::Receiver<bool>,
    },
}

/// Memory, with faults.
#[derive(Default)]
pub struct Faulty {
    pub inner: Arc<MemoryStore>,
    plans: Mutex<Vec<(Op, Way)>>,
    calls: watch::Sender<Vec<Op>>,
    open_locks: AtomicBool,
    lost: Arc<AtomicUsize>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    bytes: Vec<Vec<u8>>,
    keys: Vec<RecordKey>,
    owners: Vec<TransactionKey>,
}

/// Calls wait while this lives.
pub struct Gate(watch::Sender<bool>);

impl Gate {
    pub fn open(self) {
        self.0.send_replace(true);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap()
}

impl Faulty {
    /// What another process sees: the same memory, with faults of its own.
    pub fn beside(&self) -> Arc<Self> {
        Arc::new(Self {
            inner: self.inner.clone(),
            ..Self::default()
        })
    }

    fn plan(&self, op: Op, pass: usize, way: &Way, times: usize) {
        let mut plans = lock(&self.plans);
        plans.extend((0..pass).map(|_| (op, Way::Pass)));
        plans.extend((0..times).map(|_| (op, way.clone())));
    }

    /// The next calls fail, and nothing is done.
    pub fn fail(&self, op: Op, error: StoreError, times: usize) {
        self.fail_after(op, 0, error, times);
    }

    /// The same, after so many that succeed.
    pub fn fail_after(&self, op: Op, pass: usize, error: StoreError, times: usize) {
        self.plan(op, pass, &Way::Fail(error), times);
    }

    /// A call, after so many that succeed, is done, and an error is answered all the same.
    pub fn twice_after(&self, op: Op, pass: usize, error: StoreError) {
        self.plan(op, pass, &Way::Twice(error), 1);
    }

    /// A call, after so many that go through, waits: before it is done, or when it is done.
    pub fn hold_after(&self, op: Op, pass: usize, done: bool) -> Gate {
        let (sender, gate) = watch::channel(false);
        self.plan(op, pass, &Way::Hold { done, gate }, 1);
        Gate(sender)
    }

    /// Locks exclude nobody from now on; their fences still grow.
    pub fn open_locks(&self) {
        self.open_locks.store(true, Ordering::SeqCst);
    }

    /// So many locks are found to be lost when they are renewed.
    pub fn lose_leases(&self, count: usize) {
        self.lost.store(count, Ordering::SeqCst);
    }

    pub fn count(&self, op: Op) -> usize {
        self.calls.borrow().iter().filter(|one| **one == op).count()
    }

    /// Waits until there have been so many calls.
    pub async fn wait_for(&self, op: Op, count: usize) {
        let mut calls = self.calls.subscribe();
        let enough = |calls: &Vec<Op>| calls.iter().filter(|one| **one == op).count() >= count;
        calls.wait_for(enough).await.unwrap();
    }

    /// The names of the records of a kind that are there.
    pub async fn keys(&self, kind: RecordKind) -> Vec<RecordKey> {
        let seen = lock(&self.seen).keys.clone();
        let mut keys = Vec::new();
        for key in seen.iter().filter(|key| key.kind == kind) {
            if !keys.contains(key) && self.inner.load(key).await.unwrap().is_some() {
                keys.push(*key);
            }
        }
        keys
    }

    /// The name of the only record of a kind.
    pub async fn only(&self, kind: RecordKind) -> RecordKey {
        let keys = self.keys(kind).await;
        assert_eq!(keys.len(), 1, "{kind:?}");
        keys[0]
    }

    pub async fn read(&self, key: &RecordKey) -> Stored {
        self.inner.load(key).await.unwrap().unwrap()
    }

    /// Puts bytes in a record's place, as one who can write to the store does.
    pub async fn tamper(&self, key: &RecordKey, bytes: Vec<u8>) {
        self.tamper_with_tags(key, bytes, Vec::new()).await;
    }

    /// The same, with the tags that the record is found by.
    pub async fn tamper_with_tags(&self, key: &RecordKey, bytes: Vec<u8>, tags: Vec<Digest>) {
        let expected = self.read(key).await.version;
        let record = Record {
            bytes,
            tags,
            life: None,
        };
        let replace = Replace {
            expected,
            fence: None,
            room: 0,
            record,
        };
        self.inner.replace(key, replace).await.unwrap();
    }

    /// The logins that were ever kept.
    pub fn logins(&self) -> Vec<TransactionKey> {
        lock(&self.seen).owners.clone()
    }

    /// Everything that was ever kept, with the names it was kept under.
    pub fn dump(&self) -> Vec<u8> {
        let seen = lock(&self.seen);
        let names = format!("{:?} {:?}", seen.keys, seen.owners);
        let mut dump = seen.bytes.join(&b'\n');
        dump.extend_from_slice(names.as_bytes());
        dump
    }

    fn see(&self, key: &RecordKey, bytes: &[u8]) {
        let mut seen = lock(&self.seen);
        seen.keys.push(*key);
        seen.bytes.push(bytes.to_vec());
    }

    async fn call<T>(
        &self,
        op: Op,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let way = {
            let mut plans = lock(&self.plans);
            let at = plans.iter().position(|(planned, _)| *planned == op);
            at.map_or(Way::Pass, |at| plans.remove(at).1)
        };
        let count = || self.calls.send_modify(|calls| calls.push(op));
        match way {
            Way::Pass => {
                let outcome = work.await;
                count();
                outcome
            }
            Way::Fail(error) => {
                count();
                Err(error)
            }
            Way::Twice(error) => {
                work.await?;
                count();
                Err(error)
            }
            Way::Hold {
                done: true,
                mut gate,
            } => {
                let outcome = work.await;
                count();
                let _ = gate.wait_for(|open| *open).await;
                outcome
            }
            Way::Hold {
                done: false,
                mut gate,
            } => {
                count();
                let _ = gate.wait_for(|open| *open).await;
                work.await
            }
        }
    }
}

impl Records for Faulty {
    fn load<'a>(&'a self, key: &'a RecordKey) -> BoxFuture<'a, Result<Option<Stored>, StoreError>> {
        Box::pin(self.call(Op::Load, self.inner.load(key)))
    }

    fn create<'a>(
        &'a self,
        key: &'a RecordKey,
        record: Record,
    ) -> BoxFuture<'a, Result<u64, StoreError>> {
        self.see(key, &record.bytes);
        Box::pin(self.call(Op::Create, self.inner.create(key, record)))
    }

    fn replace<'a>(
        &'a self,
        key: &'a RecordKey,
        replace: Replace,
    ) -> BoxFuture<'a, Result<u64, StoreError>> {
        self.see(key, &replace.record.bytes);
        Box::pin(self.call(Op::Replace, self.inner.replace(key, replace)))
    }

    fn delete<'a>(
        &'a self,
        key: &'a RecordKey,
        expected: Option<u64>,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.call(Op::Delete, self.inner.delete(key, expected)))
    }

    fn list<'a>(
        &'a self,
        kind: RecordKind,
        scope: &'a Digest,
        tag: Option<&'a Digest>,
    ) -> BoxFuture<'a, Result<Vec<Stored>, StoreError>> {
        Box::pin(self.call(Op::List, self.inner.list(kind, scope, tag)))
    }
}

impl Transactions for Faulty {
    fn put<'a>(
        &'a self,
        key: &'a TransactionKey,
        bytes: Vec<u8>,
        life: Duration,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        {
            let mut seen = lock(&self.seen);
            seen.owners.push(*key);
            seen.bytes.push(bytes.clone());
        }
        Box::pin(self.call(Op::Put, self.inner.put(key, bytes, life)))
    }

    fn of<'a>(
        &'a self,
        owner: &'a Digest,
    ) -> BoxFuture<'a, Result<Vec<(TransactionKey, Vec<u8>)>, StoreError>> {
        Box::pin(self.call(Op::Of, self.inner.of(owner)))
    }

    fn take<'a>(
        &'a self,
        key: &'a TransactionKey,
    ) -> BoxFuture<'a, Result<Option<Vec<u8>>, StoreError>> {
        Box::pin(self.call(Op::Take, self.inner.take(key)))
    }
}

/// Above those of locks that exclude.
static FENCES: AtomicU64 = AtomicU64::new(1_000);

/// A lock that excludes nobody: its holder was taken for dead.
struct Open(u64);

impl Lease for Open {
    fn fence(&self) -> u64 {
        self.0
    }

    fn renew(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async { Ok(()) })
    }

    fn release(self: Box<Self>) -> BoxFuture<'static, Result<(), StoreError>> {
        Box::pin(async { Ok(()) })
    }
}

/// A lock that is lost on command.
struct Losing {
    inner: Box<dyn Lease>,
    lost: Arc<AtomicUsize>,
}

impl Lease for Losing {
    fn fence(&self) -> u64 {
        self.inner.fence()
    }

    fn renew(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        let less = |lost: usize| lost.checked_sub(1);
        if (self.lost)
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, less)
            .is_ok()
        {
            return Box::pin(async { Err(StoreError::LeaseLost) });
        }
        self.inner.renew()
    }

    fn release(self: Box<Self>) -> BoxFuture<'static, Result<(), StoreError>> {
        self.inner.release()
    }
}

impl Locks for Faulty {
    fn acquire<'a>(
        &'a self,
        name: &'a RecordKey,
        lease: Duration,
        patience: Duration,
    ) -> BoxFuture<'a, Result<Box<dyn Lease>, StoreError>> {
        if self.open_locks.load(Ordering::SeqCst) {
            let fence = FENCES.fetch_add(1, Ordering::SeqCst);
            let open = async move { Ok(Box::new(Open(fence)) as Box<dyn Lease>) };
            return Box::pin(self.call(Op::Acquire, open));
        }
        let held = async move {
            let inner = self.inner.acquire(name, lease, patience).await?;
            let lost = self.lost.clone();
            Ok(Box::new(Losing { inner, lost }) as Box<dyn Lease>)
        };
        Box::pin(self.call(Op::Acquire, held))
    }
}
