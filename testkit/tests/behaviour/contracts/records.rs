//! Stores of records that break a promise.

use std::collections::HashMap;
use std::sync::Mutex;

use fapi_client::store::{
    Digest, MemoryStore, Record, RecordKey, RecordKind, Records, Replace, Stored,
};
use fapi_client::{BoxFuture, StoreError};
use fapi_testkit::contract::records_contract;

use super::breaks;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    CreateOverwrites,
    CreateLooksFirst,
    AnyVersion,
    VersionIsReadFirst,
    ReplaceCreates,
    NoFence,
    FenceIsForgotten,
    FirstFenceStays,
    DeleteAnyVersion,
    MissingIsConflict,
    AnyKind,
    NoTags,
    OldTags,
    AnyTag,
    OnePage,
    Repeated,
    Text,
    RoomIsPadding,
    Eternal,
    FirstLife,
}

struct Broken {
    store: MemoryStore,
    /// What each record was created with.
    first: Mutex<HashMap<RecordKey, Record>>,
    fault: Fault,
}

impl Broken {
    async fn version(&self, key: &RecordKey) -> Result<Option<u64>, StoreError> {
        let stored = self.store.load(key).await?;
        Ok(stored.map(|stored| stored.version))
    }

    fn changed(&self, mut record: Record) -> Record {
        match self.fault {
            Fault::NoTags => record.tags.clear(),
            Fault::Text => {
                let text = String::from_utf8_lossy(&record.bytes).into_owned();
                record.bytes = text.into_bytes();
            }
            Fault::Eternal => record.life = None,
            _ => {}
        }
        record
    }

    async fn rewrite(&self, key: &RecordKey, mut replace: Replace) -> Result<u64, StoreError> {
        replace.record = self.changed(replace.record);
        let known = self.version(key).await?;
        match self.fault {
            Fault::AnyVersion => replace.expected = known.ok_or(StoreError::Conflict)?,
            Fault::VersionIsReadFirst => {
                if known != Some(replace.expected) {
                    return Err(StoreError::Conflict);
                }
                tokio::task::yield_now().await;
                replace.expected = self.version(key).await?.unwrap_or_default();
            }
            Fault::ReplaceCreates if known.is_none() => {
                return self.store.create(key, replace.record).await;
            }
            Fault::NoFence => replace.fence = None,
            Fault::FenceIsForgotten
                if replace.fence.is_none() && known == Some(replace.expected) =>
            {
                self.store.delete(key, Some(replace.expected)).await?;
                return self.store.create(key, replace.record).await;
            }
            // A higher fence passes, and is not remembered.
            Fault::FirstFenceStays => replace.fence = replace.fence.filter(|fence| *fence < 10),
            Fault::OldTags => {
                let tags = self.first.lock().unwrap()[key].tags.clone();
                replace.record.tags.extend(tags);
            }
            Fault::FirstLife => {
                let life = self.first.lock().unwrap()[key].life;
                replace.record.life = life.or(replace.record.life);
            }
            Fault::RoomIsPadding => {
                let length = replace.record.bytes.len() + replace.room;
                replace.record.bytes.resize(length, 0);
            }
            _ => {}
        }
        self.store.replace(key, replace).await
    }
}

impl Records for Broken {
    fn load<'a>(&'a self, key: &'a RecordKey) -> BoxFuture<'a, Result<Option<Stored>, StoreError>> {
        self.store.load(key)
    }

    fn create<'a>(
        &'a self,
        key: &'a RecordKey,
        record: Record,
    ) -> BoxFuture<'a, Result<u64, StoreError>> {
        Box::pin(async move {
            self.first.lock().unwrap().insert(*key, record.clone());
            match self.fault {
                Fault::CreateOverwrites => self.store.delete(key, None).await?,
                Fault::CreateLooksFirst if self.version(key).await?.is_none() => {
                    tokio::task::yield_now().await;
                    self.store.delete(key, None).await?;
                }
                _ => {}
            }
            self.store.create(key, self.changed(record)).await
        })
    }

    fn replace<'a>(
        &'a self,
        key: &'a RecordKey,
        replace: Replace,
    ) -> BoxFuture<'a, Result<u64, StoreError>> {
        Box::pin(self.rewrite(key, replace))
    }

    fn delete<'a>(
        &'a self,
        key: &'a RecordKey,
        expected: Option<u64>,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            match self.fault {
                Fault::DeleteAnyVersion => self.store.delete(key, None).await,
                Fault::MissingIsConflict
                    if expected.is_some() && self.version(key).await?.is_none() =>
                {
                    Err(StoreError::Conflict)
                }
                _ => self.store.delete(key, expected).await,
            }
        })
    }

    fn list<'a>(
        &'a self,
        kind: RecordKind,
        scope: &'a Digest,
        tag: Option<&'a Digest>,
    ) -> BoxFuture<'a, Result<Vec<Stored>, StoreError>> {
        Box::pin(async move {
            let tag = tag.filter(|_| self.fault != Fault::AnyTag);
            let mut found = self.store.list(kind, scope, tag).await?;
            match self.fault {
                Fault::AnyKind => {
                    for other in RecordKind::ALL.into_iter().filter(|other| *other != kind) {
                        found.extend(self.store.list(other, scope, tag).await?);
                    }
                }
                Fault::OnePage => found.truncate(100),
                // As a scan may that runs while a table grows.
                Fault::Repeated if found.len() > 100 => found.extend(found.first().cloned()),
                _ => {}
            }
            Ok(found)
        })
    }
}

/// A store whose versions begin anew with each record.
#[derive(Default)]
struct Counting {
    store: MemoryStore,
    counts: Mutex<HashMap<RecordKey, (u64, u64)>>,
}

impl Counting {
    fn inner(&self, key: &RecordKey, version: u64) -> u64 {
        let counts = self.counts.lock().unwrap();
        let (count, inner) = counts.get(key).copied().unwrap_or_default();
        if count == version { inner } else { 0 }
    }

    fn next(&self, key: &RecordKey, inner: u64, anew: bool) -> u64 {
        let mut counts = self.counts.lock().unwrap();
        let entry = counts.entry(*key).or_default();
        *entry = (if anew { 1 } else { entry.0 + 1 }, inner);
        entry.0
    }
}

impl Records for Counting {
    fn load<'a>(&'a self, key: &'a RecordKey) -> BoxFuture<'a, Result<Option<Stored>, StoreError>> {
        Box::pin(async move {
            let mut stored = self.store.load(key).await?;
            if let Some(stored) = &mut stored {
                stored.version = self.counts.lock().unwrap()[key].0;
            }
            Ok(stored)
        })
    }

    fn create<'a>(
        &'a self,
        key: &'a RecordKey,
        record: Record,
    ) -> BoxFuture<'a, Result<u64, StoreError>> {
        Box::pin(async move {
            let inner = self.store.create(key, record).await?;
            Ok(self.next(key, inner, true))
        })
    }

    fn replace<'a>(
        &'a self,
        key: &'a RecordKey,
        mut replace: Replace,
    ) -> BoxFuture<'a, Result<u64, StoreError>> {
        Box::pin(async move {
            replace.expected = self.inner(key, replace.expected);
            let inner = self.store.replace(key, replace).await?;
            Ok(self.next(key, inner, false))
        })
    }

    fn delete<'a>(
        &'a self,
        key: &'a RecordKey,
        expected: Option<u64>,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        let expected = expected.map(|version| self.inner(key, version));
        self.store.delete(key, expected)
    }

    fn list<'a>(
        &'a self,
        kind: RecordKind,
        scope: &'a Digest,
        tag: Option<&'a Digest>,
    ) -> BoxFuture<'a, Result<Vec<Stored>, StoreError>> {
        self.store.list(kind, scope, tag)
    }
}

const OTHER_VERSION: &str = "a record is not replaced by a writer that read another version";
const BY_TAG: &str = "a list by tag holds the records that have it now";
const WHOLE: &str = "a list holds every record, each once";

/// A store with a fault in any call is found out.
#[tokio::test]
async fn faulty_stores_are_found_out() {
    let faults = [
        (
            Fault::CreateOverwrites,
            "a record is not created over another",
        ),
        (
            Fault::CreateLooksFirst,
            "of many that create a record at once, one does, not 24",
        ),
        (Fault::AnyVersion, OTHER_VERSION),
        (
            Fault::VersionIsReadFirst,
            "of many that replace a version at once, one does, not 24",
        ),
        (
            Fault::ReplaceCreates,
            "a record that is not there is not replaced",
        ),
        (Fault::NoFence, "a lower fence is refused"),
        (
            Fault::FenceIsForgotten,
            "the fence is remembered across a write without one",
        ),
        (Fault::FirstFenceStays, "the highest fence counts"),
        (
            Fault::DeleteAnyVersion,
            "a record is not deleted by a writer that read another version",
        ),
        (
            Fault::MissingIsConflict,
            "a record that is not there is deleted",
        ),
        (
            Fault::AnyKind,
            "a list holds the records of its kind and scope",
        ),
        (Fault::NoTags, BY_TAG),
        (Fault::OldTags, BY_TAG),
        (Fault::AnyTag, BY_TAG),
        (Fault::OnePage, WHOLE),
        (Fault::Repeated, WHOLE),
        (Fault::Text, "256 bytes come back as they were"),
        (Fault::RoomIsPadding, "room is no part of a record"),
        (Fault::Eternal, "a record is gone after its life"),
        (
            Fault::FirstLife,
            "after the life of some records, the others alone are listed",
        ),
    ];
    for (fault, promise) in faults {
        let store = Broken {
            store: MemoryStore::new(),
            first: Mutex::default(),
            fault,
        };
        breaks(
            async move { records_contract(&store).await },
            promise,
            &fault,
        )
        .await;
    }
}

/// A version that counts from one again after a record was deleted lets a late writer overwrite the record
/// that came after.
#[tokio::test]
async fn versions_that_come_back_are_found_out() {
    let contract = async { records_contract(&Counting::default()).await };
    breaks(contract, "the version 1 came twice", &"Counting").await;
}
