//! The contract of `fapi_client::store::Records`.
//!
//! ```no_run
//! # use fapi_client::store::Records;
//! # use fapi_testkit::contract::records_contract;
//! # async fn test(store: impl Records) {
//! records_contract(&store).await;
//! # }
//! ```

mod life;
mod listing;
mod writing;

use fapi_client::StoreError;
use fapi_client::store::{Digest, Record, RecordKey, RecordKind, Records, Replace, Stored};

pub use life::{a_record_passes, bytes_come_back_as_they_were, room_is_set_aside};
pub use listing::{
    a_list_is_whole, records_are_listed_by_kind_and_scope, records_are_listed_by_tag,
};
pub use writing::{
    a_late_writer_is_fenced_off, a_record_is_created_once, a_record_is_deleted,
    a_version_is_never_used_twice, of_many_creators_one_writes, of_many_replacers_one_writes,
    the_expected_version_is_replaced,
};

use super::given::{digest, done};

/// Checks that a store keeps what `Records` promises.
///
/// # Panics
/// At the first promise that is not kept, with its name.
pub async fn records_contract(store: &dyn Records) {
    a_record_is_created_once(store).await;
    of_many_creators_one_writes(store).await;
    the_expected_version_is_replaced(store).await;
    of_many_replacers_one_writes(store).await;
    a_version_is_never_used_twice(store).await;
    a_late_writer_is_fenced_off(store).await;
    a_record_is_deleted(store).await;
    records_are_listed_by_kind_and_scope(store).await;
    records_are_listed_by_tag(store).await;
    a_list_is_whole(store).await;
    bytes_come_back_as_they_were(store).await;
    room_is_set_aside(store).await;
    a_record_passes(store).await;
}

fn key() -> RecordKey {
    RecordKey {
        kind: RecordKind::Session,
        scope: digest(),
        id: digest(),
    }
}

fn record(bytes: &[u8]) -> Record {
    Record {
        bytes: bytes.to_vec(),
        tags: Vec::new(),
        life: None,
    }
}

fn tagged(bytes: &[u8], tags: &[Digest]) -> Record {
    Record {
        tags: tags.to_vec(),
        ..record(bytes)
    }
}

fn replacing(expected: u64, record: Record) -> Replace {
    Replace {
        expected,
        fence: None,
        room: 0,
        record,
    }
}

async fn create(store: &dyn Records, key: &RecordKey, record: Record) -> u64 {
    done(store.create(key, record).await, "creating a record")
}

async fn replace(store: &dyn Records, key: &RecordKey, replace: Replace) -> u64 {
    done(store.replace(key, replace).await, "replacing a record")
}

async fn delete(store: &dyn Records, key: &RecordKey) {
    done(store.delete(key, None).await, "deleting a record");
}

async fn load(store: &dyn Records, key: &RecordKey) -> Option<Stored> {
    done(store.load(key).await, "loading a record")
}

/// What a list holds, in the order of the names.
async fn list(
    store: &dyn Records,
    kind: RecordKind,
    scope: &Digest,
    tag: Option<&Digest>,
) -> Vec<(RecordKey, Vec<u8>)> {
    let found = done(store.list(kind, scope, tag).await, "listing records");
    let mut found: Vec<_> = found.into_iter().map(|one| (one.key, one.bytes)).collect();
    found.sort();
    found
}

/// The record is there, in that version, with those bytes.
async fn holds(store: &dyn Records, key: &RecordKey, version: u64, bytes: &[u8], promise: &str) {
    let Some(stored) = load(store, key).await else {
        panic!("{promise}: there is no record");
    };
    assert!(
        stored.key == *key && stored.version == version && stored.bytes == bytes,
        "{promise}: not version {version} and its {} bytes, but {stored:?}",
        bytes.len()
    );
}

async fn is_absent(store: &dyn Records, key: &RecordKey, promise: &str) {
    let stored = load(store, key).await;
    assert!(stored.is_none(), "{promise}: there is {stored:?}");
}

fn refused<T: std::fmt::Debug>(outcome: Result<T, StoreError>, with: &StoreError, promise: &str) {
    assert_eq!(outcome.as_ref().err(), Some(with), "{promise}: {outcome:?}");
}
