//! Listing.

use fapi_client::store::{RecordKey, RecordKind, Records};

use super::super::given::digest;
use super::{create, delete, key, list, record, replace, replacing, tagged};

/// More than what a store may give in one answer of its own.
const MANY: u8 = 150;

/// A list holds the records of its kind and scope, and no other; neither does a record answer to
/// another kind or scope.
///
/// # Panics
/// Where it does not.
pub async fn records_are_listed_by_kind_and_scope(store: &dyn Records) {
    let first = key();
    let second = RecordKey {
        id: digest(),
        ..first
    };
    let other_kind = RecordKey {
        kind: RecordKind::Key,
        ..first
    };
    let other_scope = RecordKey {
        scope: digest(),
        ..first
    };
    let places = [
        (first, b"1"),
        (second, b"2"),
        (other_kind, b"3"),
        (other_scope, b"4"),
    ];
    for (key, bytes) in &places {
        create(store, key, record(*bytes)).await;
    }
    let mut own = vec![(first, b"1".to_vec()), (second, b"2".to_vec())];
    own.sort();
    for (key, expected) in [
        (first, own),
        (other_kind, vec![(other_kind, b"3".to_vec())]),
        (other_scope, vec![(other_scope, b"4".to_vec())]),
    ] {
        assert_eq!(
            list(store, key.kind, &key.scope, None).await,
            expected,
            "a list holds the records of its kind and scope"
        );
    }
    for kind in RecordKind::ALL {
        assert_eq!(
            list(store, kind, &digest(), None).await,
            [],
            "a scope without records has an empty list"
        );
    }
    delete(store, &first).await;
    assert_eq!(
        list(store, first.kind, &first.scope, None).await,
        [(second, b"2".to_vec())],
        "a record that was deleted is not listed"
    );
    for (key, _) in &places {
        delete(store, key).await;
    }
}

/// A record is listed by each of its tags, as they were last written, within its own kind and scope.
///
/// # Panics
/// Where it is not.
pub async fn records_are_listed_by_tag(store: &dyn Records) {
    let promise = "a list by tag holds the records that have it now";
    let [red, blue, green] = [digest(), digest(), digest()];
    let both = key();
    let one = RecordKey {
        id: digest(),
        ..both
    };
    let elsewhere = RecordKey {
        scope: digest(),
        ..both
    };
    let version = create(store, &both, tagged(b"both", &[red, blue])).await;
    create(store, &one, tagged(b"one", &[blue])).await;
    create(store, &elsewhere, tagged(b"elsewhere", &[red])).await;
    let all = async |tag| list(store, both.kind, &both.scope, Some(tag)).await;

    let mut blues = vec![(both, b"both".to_vec()), (one, b"one".to_vec())];
    blues.sort();
    assert_eq!(all(&red).await, [(both, b"both".to_vec())], "{promise}");
    assert_eq!(all(&blue).await, blues, "{promise}");
    assert_eq!(all(&green).await, [], "{promise}");
    assert_eq!(
        list(store, RecordKind::Key, &both.scope, Some(&red)).await,
        [],
        "a list by tag holds its own kind alone"
    );

    let change = replacing(version, tagged(b"changed", &[green]));
    let version = replace(store, &both, change).await;
    assert_eq!(all(&red).await, [], "{promise}");
    assert_eq!(all(&blue).await, [(one, b"one".to_vec())], "{promise}");
    assert_eq!(
        all(&green).await,
        [(both, b"changed".to_vec())],
        "{promise}"
    );

    replace(store, &both, replacing(version, record(b"bare"))).await;
    assert_eq!(all(&green).await, [], "{promise}");
    delete(store, &one).await;
    assert_eq!(all(&blue).await, [], "{promise}");
    create(store, &one, record(b"again")).await;
    assert_eq!(all(&blue).await, [], "{promise}");
    for key in [&both, &one, &elsewhere] {
        delete(store, key).await;
    }
}

/// A list holds every record, each once, however many there are.
///
/// # Panics
/// Where it does not.
pub async fn a_list_is_whole(store: &dyn Records) {
    let (scope, tag) = (digest(), digest());
    let mut expected = Vec::new();
    for at in 0..MANY {
        let key = RecordKey { scope, ..key() };
        create(store, &key, tagged(&[at], &[tag])).await;
        expected.push((key, vec![at]));
    }
    expected.sort();
    for by in [None, Some(&tag)] {
        assert_eq!(
            list(store, RecordKind::Session, &scope, by).await,
            expected,
            "a list holds every record, each once"
        );
    }
    for (key, _) in &expected {
        delete(store, key).await;
    }
}
