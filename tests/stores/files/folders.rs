//! Which folders can hold a store.

use std::fs;

use fapi_client::StoreError;
use fapi_client::store::{FileStore, Records};

use super::{Scratch, key, record};

fn refused(path: &std::path::Path) -> StoreError {
    FileStore::open(path).unwrap_err()
}

/// A folder is made, with those above it, for its owner alone; files too.
#[cfg(unix)]
#[tokio::test]
async fn a_folder_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;

    let folder = Scratch::new();
    let path = folder.path().join("deep").join("down");
    let store = FileStore::open(&path).unwrap();
    assert_eq!(store.path(), path);
    store.create(&key(1), record(b"bytes")).await.unwrap();
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    for entry in fs::read_dir(&path).unwrap() {
        let entry = entry.unwrap().path();
        assert_eq!(mode(&entry), 0o600, "{entry:?}");
    }
}

/// A folder that others may use holds no store: not to read, not to write, not to pass through.
#[cfg(unix)]
#[test]
fn a_folder_that_is_open_to_others() {
    use std::os::unix::fs::PermissionsExt;

    let folder = Scratch::new();
    fs::create_dir(folder.path()).unwrap();
    for mode in [0o755, 0o770, 0o701, 0o710, 0o702, 0o1777] {
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode)).unwrap();
        let path = folder.path().to_owned();
        assert_eq!(refused(&path), StoreError::TooOpen { path }, "{mode:o}");
        assert!(folder.names().is_empty());
    }
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    folder.open();
}

#[test]
fn a_file_is_no_folder() {
    let folder = Scratch::new();
    fs::write(folder.path(), b"a file").unwrap();
    assert_eq!(
        refused(folder.path()),
        StoreError::Path {
            path: folder.path().to_owned(),
            reason: "it is not a folder"
        }
    );
    let below = folder.path().join("below");
    #[cfg(unix)]
    assert_eq!(
        refused(&below),
        StoreError::Path {
            path: below.clone(),
            reason: "a part of it is not a folder"
        }
    );
    assert!(!below.exists());
    assert_eq!(fs::read(folder.path()).unwrap(), b"a file");
    fs::remove_file(folder.path()).unwrap();
}

/// A link may lead to where others can write.
#[cfg(unix)]
#[test]
fn a_link_is_not_followed() {
    let [folder, link] = [Scratch::new(), Scratch::new()];
    folder.open();
    std::os::unix::fs::symlink(folder.path(), link.path()).unwrap();
    assert_eq!(
        refused(link.path()),
        StoreError::Path {
            path: link.path().to_owned(),
            reason: "it is a symbolic link"
        }
    );
    fs::remove_file(link.path()).unwrap();
}

/// A place where nobody may write, not even root.
#[cfg(target_os = "linux")]
#[test]
fn a_place_that_can_not_be_written() {
    let path = std::path::PathBuf::from("/sys/fapi-client");
    assert_eq!(
        refused(&path),
        StoreError::NotPermitted {
            action: "write",
            path
        }
    );
}

/// The file of the store itself: another program's, or a newer version's.
#[test]
fn the_folder_of_another_program() {
    let cases = [
        (&b"SQLite format 3"[..], StoreError::Foreign),
        (
            b"FAPS\x02 and whatever follows",
            StoreError::UnknownFormat(2),
        ),
    ];
    for (text, expected) in cases {
        let folder = Scratch::new();
        folder.open();
        fs::write(folder.at("store"), text).unwrap();
        assert_eq!(refused(folder.path()), expected);
        assert_eq!(fs::read(folder.at("store")).unwrap(), text);
        assert_eq!(folder.names(), ["store"]);
    }
}

/// Without a runtime there is an error, and nothing is written.
#[test]
fn calls_need_a_runtime() {
    let folder = Scratch::new();
    let store = folder.open();
    let key = key(1);
    let mut calls = store.create(&key, record(b"bytes"));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let answer = calls.as_mut().poll(&mut context);
    assert_eq!(answer, std::task::Poll::Ready(Err(StoreError::NoRuntime)));
    assert_eq!(folder.names(), ["store"]);
}
