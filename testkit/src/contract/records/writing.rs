//! Creating, replacing and deleting.

use std::collections::HashSet;

use fapi_client::StoreError;
use fapi_client::store::{Records, Replace};

use super::super::given::together;
use super::{create, delete, holds, is_absent, key, load, record, refused, replace, replacing};

/// How many write at once.
const WRITERS: u8 = 24;

/// A record is made where there is none, and never over another one.
///
/// # Panics
/// Where it is not.
pub async fn a_record_is_created_once(store: &dyn Records) {
    let key = key();
    is_absent(store, &key, "a record that never was").await;
    let version = create(store, &key, record(b"first")).await;
    holds(store, &key, version, b"first", "a record was created").await;
    let promise = "a record is not created over another";
    let outcome = store.create(&key, record(b"second")).await;
    refused(outcome, &StoreError::Exists, promise);
    holds(store, &key, version, b"first", promise).await;
    delete(store, &key).await;
}

/// Creating is atomic: of many that create the same record at once, one does.
///
/// # Panics
/// Where none does, or several do.
pub async fn of_many_creators_one_writes(store: &dyn Records) {
    let key = key();
    let promise = "of many that create a record at once, one does";
    let calls = (0..WRITERS).map(|at| store.create(&key, record(&[at])));
    let outcomes = together(calls.collect()).await;
    one_wrote(store, &key, outcomes, &StoreError::Exists, promise).await;
    delete(store, &key).await;
}

/// A record is replaced where the version that the writer has read is there, and left alone where
/// another one is, or none.
///
/// # Panics
/// Where it is not.
pub async fn the_expected_version_is_replaced(store: &dyn Records) {
    let key = key();
    let first = create(store, &key, record(b"first")).await;
    let second = replace(store, &key, replacing(first, record(b"second"))).await;
    holds(store, &key, second, b"second", "a record was replaced").await;
    let promise = "a record is not replaced by a writer that read another version";
    for stale in [first, second.wrapping_add(1_000_000)] {
        let outcome = store.replace(&key, replacing(stale, record(b"late"))).await;
        refused(outcome, &StoreError::Conflict, promise);
        holds(store, &key, second, b"second", promise).await;
    }
    delete(store, &key).await;
    let promise = "a record that is not there is not replaced";
    for expected in [second, 0] {
        let outcome = store
            .replace(&key, replacing(expected, record(b"late")))
            .await;
        refused(outcome, &StoreError::Conflict, promise);
        is_absent(store, &key, promise).await;
    }
}

/// Replacing is atomic: of many that replace the same version at once, one does.
///
/// # Panics
/// Where none does, or several do.
pub async fn of_many_replacers_one_writes(store: &dyn Records) {
    let key = key();
    let promise = "of many that replace a version at once, one does";
    let expected = create(store, &key, record(b"first")).await;
    let calls = (0..WRITERS).map(|at| store.replace(&key, replacing(expected, record(&[at]))));
    let outcomes = together(calls.collect()).await;
    one_wrote(store, &key, outcomes, &StoreError::Conflict, promise).await;
    delete(store, &key).await;
}

async fn one_wrote(
    store: &dyn Records,
    key: &fapi_client::store::RecordKey,
    outcomes: Vec<Result<u64, StoreError>>,
    otherwise: &StoreError,
    promise: &str,
) {
    let mut written = Vec::new();
    for (at, outcome) in (0..WRITERS).zip(outcomes) {
        match outcome {
            Ok(version) => written.push((version, at)),
            Err(error) => assert_eq!(error, *otherwise, "{promise}, and the others are told so"),
        }
    }
    assert_eq!(written.len(), 1, "{promise}, not {}", written.len());
    for (version, at) in written {
        holds(store, key, version, &[at], promise).await;
    }
}

/// Each write has a version of its own, also where the record was deleted in between: a writer that
/// read the former record must not replace or delete the one that came after.
///
/// # Panics
/// Where a version comes back.
pub async fn a_version_is_never_used_twice(store: &dyn Records) {
    let key = key();
    let mut seen = HashSet::new();
    for _ in 0..3 {
        let mut version = create(store, &key, record(b"same")).await;
        for _ in 0..4 {
            assert!(seen.insert(version), "the version {version} came twice");
            version = replace(store, &key, replacing(version, record(b"same"))).await;
        }
        assert!(seen.insert(version), "the version {version} came twice");
        delete(store, &key).await;
    }
}

/// A writer whose lock is a later holder's by now is refused, though it read the right version; the
/// highest fence is remembered, also across writes without one.
///
/// # Panics
/// Where it is not.
pub async fn a_late_writer_is_fenced_off(store: &dyn Records) {
    let key = key();
    let with = |expected, fence, bytes: &[u8]| Replace {
        fence,
        ..replacing(expected, record(bytes))
    };
    let version = create(store, &key, record(b"new")).await;
    let version = replace(store, &key, with(version, Some(7), b"seven")).await;

    let promise = "a lower fence is refused";
    let outcome = store.replace(&key, with(version, Some(5), b"five")).await;
    refused(outcome, &StoreError::Fenced, promise);
    holds(store, &key, version, b"seven", promise).await;

    let version = replace(store, &key, with(version, None, b"none")).await;
    holds(store, &key, version, b"none", "a write without a fence").await;
    let promise = "the fence is remembered across a write without one";
    let outcome = store.replace(&key, with(version, Some(5), b"five")).await;
    refused(outcome, &StoreError::Fenced, promise);
    holds(store, &key, version, b"none", promise).await;

    let version = replace(store, &key, with(version, Some(7), b"seven")).await;
    holds(store, &key, version, b"seven", "the same fence once more").await;
    let version = replace(store, &key, with(version, Some(10), b"ten")).await;
    holds(store, &key, version, b"ten", "a higher fence").await;
    // As text, 9 is more than 10.
    let promise = "the highest fence counts";
    let outcome = store.replace(&key, with(version, Some(9), b"nine")).await;
    refused(outcome, &StoreError::Fenced, promise);
    holds(store, &key, version, b"ten", promise).await;
    delete(store, &key).await;
}

/// A record is deleted in the version that is expected, or in any; where there is none, that is no
/// error. It can be created again.
///
/// # Panics
/// Where it is not so.
pub async fn a_record_is_deleted(store: &dyn Records) {
    let key = key();
    for expected in [None, Some(1)] {
        let outcome = store.delete(&key, expected).await;
        assert_eq!(outcome, Ok(()), "a record that is not there is deleted");
    }
    let stale = create(store, &key, record(b"first")).await;
    let version = replace(store, &key, replacing(stale, record(b"second"))).await;

    let promise = "a record is not deleted by a writer that read another version";
    let outcome = store.delete(&key, Some(stale)).await;
    refused(outcome, &StoreError::Conflict, promise);
    holds(store, &key, version, b"second", promise).await;

    let outcome = store.delete(&key, Some(version)).await;
    assert_eq!(outcome, Ok(()), "the expected version is deleted");
    is_absent(store, &key, "a record was deleted").await;
    let outcome = store.delete(&key, Some(version)).await;
    assert_eq!(outcome, Ok(()), "a record that is not there is deleted");

    let version = create(store, &key, record(b"third")).await;
    holds(store, &key, version, b"third", "a record was created again").await;
    delete(store, &key).await;
    assert!(
        load(store, &key).await.is_none(),
        "a record is deleted in any version"
    );
}
