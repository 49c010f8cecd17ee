//! Where a sealing key comes from: a file, a passphrase.

use std::fs;

use fapi_client::StoreError;
use fapi_client::store::{SealingKey, SealingKeys};

use super::files::Scratch;

fn key_file(text: &[u8]) -> (Scratch, std::path::PathBuf) {
    let folder = Scratch::new();
    folder.open();
    let path = folder.at("key");
    fs::write(&path, text).unwrap();
    #[cfg(unix)]
    mode(&path, 0o600);
    (folder, path)
}

#[cfg(unix)]
fn mode(path: &std::path::Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;

    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A key file is read, with or without an end of line; the id of the key comes from the key.
#[test]
fn a_key_out_of_a_file() {
    let key = SealingKey::generate("new").unwrap();
    let text = key.to_base64url();
    let (_folder, path) = key_file(text.as_bytes());
    let read = SealingKey::from_key_file(&path).unwrap();
    assert_eq!(*read.to_base64url(), *text);
    assert!(read.id().starts_with("file-"));
    fs::write(&path, format!("{}\n", &*text)).unwrap();
    let again = SealingKey::from_key_file(&path).unwrap();
    assert_eq!(again.id(), read.id());
    let keys = SealingKeys::from_key_file(&path).unwrap();
    assert!(!format!("{keys:?}").contains(&**text));

    let other = SealingKey::generate("new").unwrap().to_base64url();
    fs::write(&path, &*other).unwrap();
    let other = SealingKey::from_key_file(&path).unwrap();
    assert_ne!(other.id(), read.id());
}

/// Whoever can read the file can read the store: others may not.
#[cfg(unix)]
#[test]
fn a_key_file_that_is_open_to_others() {
    let text = SealingKey::generate("new").unwrap().to_base64url();
    let (_folder, path) = key_file(text.as_bytes());
    for open in [0o644, 0o640, 0o660, 0o604, 0o602, 0o444, 0o610] {
        mode(&path, open);
        let too_open = StoreError::TooOpen { path: path.clone() };
        assert_eq!(
            SealingKeys::from_key_file(&path).unwrap_err(),
            too_open,
            "{open:o}"
        );
    }
    // As systemd and Kubernetes hand it to a service of another user.
    for closed in [0o600, 0o400, 0o440] {
        mode(&path, closed);
        SealingKeys::from_key_file(&path).unwrap();
    }
}

#[test]
fn a_key_file_that_is_none() {
    let longer = "A".repeat(44);
    let endless = "A".repeat(100_000);
    for bad in ["", "abc", &longer, &endless, "\u{fc}"] {
        let (_folder, path) = key_file(bad.as_bytes());
        let refused = SealingKeys::from_key_file(&path).unwrap_err();
        assert_eq!(refused, StoreError::SealingKey);
    }
    let (folder, path) = key_file(b"\xff\xfe");
    let refused = SealingKeys::from_key_file(&path).unwrap_err();
    assert_eq!(refused, StoreError::SealingKey);

    let absent = folder.at("absent");
    assert_eq!(
        SealingKeys::from_key_file(&absent).unwrap_err(),
        StoreError::Setting(format!("there is no key file {}", absent.display()))
    );
    assert_eq!(
        SealingKeys::from_key_file(folder.path()).unwrap_err(),
        StoreError::Setting(format!("{} is not a key file", folder.path().display()))
    );
}

/// The first passphrase becomes the store's, also where two processes come first; another is told so
/// at once.
#[cfg(feature = "passphrase")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_out_of_a_passphrase() {
    const WORDS: &str = "correct horse battery staple";
    let folder = Scratch::new();
    let [store, sibling] = [folder.open(), folder.open()];
    let (first, second) = tokio::join!(
        SealingKeys::from_passphrase(&store, WORDS),
        SealingKeys::from_passphrase(&sibling, WORDS),
    );
    let first = format!("{:?}", first.unwrap());
    assert_eq!(first, format!("{:?}", second.unwrap()));
    assert_eq!(folder.names(), ["passphrase", "store"]);
    let kept = fs::read(folder.at("passphrase")).unwrap();
    assert!(!kept.windows(7).any(|window| window == b"correct"));

    let wrong = SealingKeys::from_passphrase(&folder.open(), "correct house").await;
    assert_eq!(wrong.unwrap_err(), StoreError::Passphrase);
    let empty = SealingKeys::from_passphrase(&folder.open(), "").await;
    let why = "a passphrase has at least one character";
    assert_eq!(empty.unwrap_err(), StoreError::Setting(why.to_owned()));
    assert_eq!(fs::read(folder.at("passphrase")).unwrap(), kept);
    let again = SealingKeys::from_passphrase(&folder.open(), WORDS).await;
    assert_eq!(format!("{:?}", again.unwrap()), first);
}

/// A file that can't be used is an error, and stays: with another salt, everything would be lost.
#[cfg(feature = "passphrase")]
#[tokio::test]
async fn a_passphrase_file_that_is_damaged() {
    let folder = Scratch::new();
    let store = folder.open();
    let costly = [&b"FAPP\x01"[..], &[0xff; 12], &[0; 48]].concat();
    let cases = [
        (b"".to_vec(), StoreError::Truncated),
        (b"FAPP\x01".to_vec(), StoreError::Truncated),
        (b"FAPP\x02".to_vec(), StoreError::UnknownFormat(2)),
        (b"hello".to_vec(), StoreError::Foreign),
        (
            costly,
            StoreError::Malformed("the costs of its passphrase are out of bounds"),
        ),
    ];
    for (text, expected) in cases {
        fs::write(folder.at("passphrase"), &text).unwrap();
        let refused = SealingKeys::from_passphrase(&store, "correct horse").await;
        assert_eq!(refused.unwrap_err(), expected);
        assert_eq!(fs::read(folder.at("passphrase")).unwrap(), text);
    }
}
