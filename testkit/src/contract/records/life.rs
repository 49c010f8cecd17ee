//! What is kept, how much of it, and for how long.

use std::time::Duration;

use fapi_client::StoreError;
use fapi_client::store::{Record, RecordKey, Records, Replace};

use super::super::given::{BEYOND_SHORT, LONG, SHORT, bytes, digest};
use super::{
    create, delete, holds, is_absent, key, list, load, record, refused, replace, replacing, tagged,
};

/// Bytes come back as they were written: none, every value, 256 KiB; loaded and listed, created and
/// replaced.
///
/// # Panics
/// Where they don't.
pub async fn bytes_come_back_as_they_were(store: &dyn Records) {
    let key = key();
    let mut version = create(store, &key, record(b"anything")).await;
    for length in [0, 1, 256, 4096, 256 * 1024, 3] {
        let promise = format!("{length} bytes come back as they were");
        let written = bytes(length);
        version = replace(store, &key, replacing(version, record(&written))).await;
        holds(store, &key, version, &written, &promise).await;
        delete(store, &key).await;
        version = create(store, &key, record(&written)).await;
        holds(store, &key, version, &written, &promise).await;
        let listed = list(store, key.kind, &key.scope, None).await;
        assert!(listed == [(key, written)], "{promise}, in a list too");
    }
    delete(store, &key).await;
}

/// Room for the next write is asked for and set aside, is no part of the record, and the next write
/// may need all of it.
///
/// # Panics
/// Where it is not so.
pub async fn room_is_set_aside(store: &dyn Records) {
    const ROOM: usize = 64 * 1024;
    let key = key();
    let version = create(store, &key, record(b"before")).await;
    let asking = Replace {
        room: ROOM,
        ..replacing(version, record(b"during"))
    };
    let version = replace(store, &key, asking).await;
    holds(
        store,
        &key,
        version,
        b"during",
        "room is no part of a record",
    )
    .await;
    let grown = bytes(b"during".len() + ROOM);
    let version = replace(store, &key, replacing(version, record(&grown))).await;
    holds(store, &key, version, &grown, "a record grows into its room").await;
    let version = replace(store, &key, replacing(version, record(b"after"))).await;
    holds(store, &key, version, b"after", "a record shrinks again").await;
    delete(store, &key).await;
}

/// A record passes with the life that it was last written with: then it is neither loaded nor listed nor
/// replaced, and its name is free. One without a life stays.
///
/// # Panics
/// Where it does not pass, or passes and should not.
pub async fn a_record_passes(store: &dyn Records) {
    let (scope, tag) = (digest(), digest());
    let living = |life| Record {
        life,
        ..tagged(b"alive", &[tag])
    };
    let [at_once, soon, shortened, prolonged, freed] =
        [(); 5].map(|()| RecordKey { scope, ..key() });

    let version = create(store, &at_once, living(Some(Duration::ZERO))).await;
    is_gone(store, &at_once, version).await;

    create(store, &soon, living(Some(SHORT))).await;
    let version = create(store, &shortened, living(None)).await;
    let last = replace(store, &shortened, replacing(version, living(Some(SHORT)))).await;
    for (key, life) in [(&prolonged, Some(LONG)), (&freed, None)] {
        let version = create(store, key, living(Some(SHORT))).await;
        replace(store, key, replacing(version, living(life))).await;
    }
    tokio::time::sleep(BEYOND_SHORT).await;

    is_gone(store, &shortened, last).await;
    let mut staying = vec![(prolonged, b"alive".to_vec()), (freed, b"alive".to_vec())];
    staying.sort();
    for by in [None, Some(&tag)] {
        let mut listed = list(store, key().kind, &scope, by).await;
        listed.retain(|(key, _)| *key != at_once && *key != shortened);
        assert_eq!(
            listed, staying,
            "after the life of some records, the others alone are listed"
        );
    }
    for key in [&prolonged, &freed] {
        assert!(
            load(store, key).await.is_some(),
            "a record passed with a life that a later write took back"
        );
    }
    is_absent(store, &soon, "a record is gone after its life").await;
    for key in [&at_once, &soon, &shortened, &prolonged, &freed] {
        delete(store, key).await;
    }
}

/// A record whose life has passed is as if it had never been.
async fn is_gone(store: &dyn Records, key: &RecordKey, version: u64) {
    let promise = "a record is gone after its life";
    is_absent(store, key, promise).await;
    let listed = list(store, key.kind, &key.scope, None).await;
    assert!(
        listed.iter().all(|(listed, _)| listed != key),
        "{promise}, and not listed"
    );
    let outcome = store
        .replace(key, replacing(version, record(b"late")))
        .await;
    refused(outcome, &StoreError::Conflict, promise);
    let outcome = store.delete(key, Some(version)).await;
    assert_eq!(outcome, Ok(()), "{promise}, and can be deleted");
    let version = create(store, key, record(b"again")).await;
    holds(store, key, version, b"again", "a name is free again").await;
}
