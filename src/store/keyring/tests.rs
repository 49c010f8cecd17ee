use std::any::Any;
use std::collections::HashMap;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Barrier, Mutex};

use keyring_core::api::{Credential, CredentialApi, CredentialStoreApi};
use keyring_core::{Result as Answer, mock};

use super::*;

const SERVICE: &str = "example";
const USER: &str = "alice";

fn mock() -> (Arc<mock::Store>, Keyring) {
    let store = mock::Store::new().unwrap();
    (store.clone(), Keyring::new(store))
}

fn entry(store: &mock::Store) -> Entry {
    store.build(SERVICE, USER, None).unwrap()
}

fn fail(store: &mock::Store, error: Error) {
    let entry = entry(store);
    let credential: &mock::Cred = entry.as_any().downcast_ref().unwrap();
    credential.set_error(error);
}

fn because(text: &str) -> Box<dyn std::error::Error + Send + Sync> {
    text.into()
}

/// The key is made once. In the keyring it is text: some keep nothing else.
#[tokio::test]
async fn a_key_is_made_once() {
    let (store, keyring) = mock();
    let first = keyring.sealing_keys(SERVICE, USER).await.unwrap();
    let again = keyring.sealing_keys(SERVICE, USER).await.unwrap();
    assert_eq!(format!("{first:?}"), format!("{again:?}"));
    let text = entry(&store).get_password().unwrap();
    assert_eq!(text.len(), 43);
    assert!(!format!("{first:?} {keyring:?}").contains(&text));
    let other = keyring.sealing_keys(SERVICE, "bob").await.unwrap();
    assert_ne!(format!("{first:?}"), format!("{other:?}"));
}

/// Each error of a keyring has one meaning, makes no key and shows no secret.
#[tokio::test]
async fn errors_have_a_meaning() {
    let secret = || b"AAAAAAAAAAAAAAAA-secret".to_vec();
    let not_a_key = StoreError::Keyring("what it holds is not a sealing key");
    let names = StoreError::Setting("the keyring refuses the value of \"user\"".to_owned());
    let cases = [
        (
            Error::NoStorageAccess(because("SS error: prompt dismissed")),
            StoreError::KeyringLocked,
        ),
        (
            Error::NoStorageAccess(because("SS Error: object locked")),
            StoreError::KeyringLocked,
        ),
        (
            Error::PlatformFailure(because(
                "SS error: connection closed before prompt completed",
            )),
            StoreError::KeyringLocked,
        ),
        (
            Error::NoStorageAccess(because("SS error: result not returned from SS API")),
            StoreError::NoKeyring("it has no default collection"),
        ),
        (
            Error::PlatformFailure(because("no secret service provider or dbus session found")),
            StoreError::NoKeyring("no Secret Service answers"),
        ),
        (
            Error::NoDefaultStore,
            StoreError::NoKeyring("this system has none that is known"),
        ),
        (
            Error::PlatformFailure(because("secret")),
            StoreError::Keyring("the operating system reports a failure"),
        ),
        (Error::BadEncoding(secret()), not_a_key.clone()),
        (Error::BadDataFormat(secret(), because("secret")), not_a_key),
        (
            Error::BadStoreFormat("secret".to_owned()),
            StoreError::Keyring("it can't be read"),
        ),
        (
            Error::Ambiguous(Vec::new()),
            StoreError::Keyring("it holds several entries of that name"),
        ),
        (
            Error::NotSupportedByStore("secret".to_owned()),
            StoreError::Keyring("it can't keep a key"),
        ),
        (Error::TooLong("user".to_owned(), 3), names.clone()),
        (
            Error::Invalid("user".to_owned(), "secret".to_owned()),
            names,
        ),
    ];
    for (error, meaning) in cases {
        let (store, keyring) = mock();
        fail(&store, error);
        let found = keyring.sealing_keys(SERVICE, USER).await.unwrap_err();
        assert_eq!(found, meaning);
        assert!(!format!("{found} {found:?}").contains("secret"));
        assert!(matches!(entry(&store).get_secret(), Err(Error::NoEntry)));
    }
}

/// What is there and is no key is never overwritten.
#[tokio::test]
async fn an_entry_of_others_stays() {
    for other in [&b"hunter2"[..], b"\xff\xfe", b""] {
        let (store, keyring) = mock();
        entry(&store).set_secret(other).unwrap();
        assert_eq!(
            keyring.sealing_keys(SERVICE, USER).await.unwrap_err(),
            StoreError::Keyring("what it holds is not a sealing key")
        );
        assert_eq!(entry(&store).get_secret().unwrap(), other);
    }
}

#[test]
fn a_runtime_is_needed() {
    let (store, keyring) = mock();
    let mut asked = Box::pin(keyring.sealing_keys(SERVICE, USER));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let std::task::Poll::Ready(answer) = asked.as_mut().poll(&mut context) else {
        panic!("it waits for a runtime");
    };
    assert_eq!(answer.unwrap_err(), StoreError::NoRuntime);
    assert!(matches!(entry(&store).get_secret(), Err(Error::NoEntry)));
}

/// A store whose entries do as they are told.
struct Told(Arc<dyn CredentialApi + Send + Sync>);

impl CredentialStoreApi for Told {
    fn vendor(&self) -> String {
        String::new()
    }

    fn id(&self) -> String {
        String::new()
    }

    fn build(
        &self,
        _service: &str,
        _user: &str,
        _modifiers: Option<&HashMap<&str, &str>>,
    ) -> Answer<Entry> {
        Ok(Entry::new_with_credential(self.0.clone()))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

macro_rules! no_more_than_secrets {
    () => {
        fn delete_credential(&self) -> Answer<()> {
            Err(Error::NoEntry)
        }

        fn get_credential(&self) -> Answer<Option<Arc<Credential>>> {
            Ok(None)
        }

        fn get_specifiers(&self) -> Option<(String, String)> {
            None
        }

        fn as_any(&self) -> &dyn Any {
            self
        }
    };
}

/// Waits for somebody to unlock it, until the other end goes.
struct Silent(Mutex<Receiver<()>>);

impl CredentialApi for Silent {
    fn set_secret(&self, _secret: &[u8]) -> Answer<()> {
        Err(Error::NoEntry)
    }

    fn get_secret(&self) -> Answer<Vec<u8>> {
        let _ = self.0.lock().unwrap().recv();
        Err(Error::NoEntry)
    }

    no_more_than_secrets!();
}

/// A keyring that never answers holds up neither the caller nor the end of the runtime, and costs one
/// thread however often it is asked.
#[test]
fn a_keyring_that_never_answers() {
    let (unlock, locked) = channel();
    let silent = Arc::new(Silent(Mutex::new(locked)));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let keyring = Keyring::new(Arc::new(Told(silent.clone())));
    let keyring = keyring.time_limit(Duration::from_millis(20));
    for _ in 0..3 {
        let asked = runtime.block_on(keyring.sealing_keys(SERVICE, USER));
        assert_eq!(asked.unwrap_err(), StoreError::KeyringTimeout(1));
    }
    drop(runtime);
    // The silent one is held here, by the store of the keyring, and by at most one thread's entry.
    assert!(Arc::strong_count(&silent) <= 3);
    drop(unlock);
}

/// Forgets what it is told.
struct Forgetful;

impl CredentialApi for Forgetful {
    fn set_secret(&self, _secret: &[u8]) -> Answer<()> {
        Ok(())
    }

    fn get_secret(&self) -> Answer<Vec<u8>> {
        Err(Error::NoEntry)
    }

    no_more_than_secrets!();
}

/// A key that the keyring did not keep seals nothing.
#[tokio::test]
async fn a_keyring_that_forgets() {
    let keyring = Keyring::new(Arc::new(Told(Arc::new(Forgetful))));
    assert_eq!(
        keyring.sealing_keys(SERVICE, USER).await.unwrap_err(),
        StoreError::Keyring("it did not keep the key")
    );
}

/// Dies.
struct Panicking;

impl CredentialApi for Panicking {
    fn set_secret(&self, _secret: &[u8]) -> Answer<()> {
        Ok(())
    }

    fn get_secret(&self) -> Answer<Vec<u8>> {
        panic!("a fault of the library");
    }

    no_more_than_secrets!();
}

#[tokio::test]
async fn a_keyring_that_panics() {
    let keyring = Keyring::new(Arc::new(Told(Arc::new(Panicking))));
    for _ in 0..2 {
        assert_eq!(
            keyring.sealing_keys(SERVICE, USER).await.unwrap_err(),
            StoreError::Keyring("its library ended without an answer")
        );
    }
}

/// Makes everybody find nothing at first, at the same time.
struct Racing {
    secret: Mutex<Option<Vec<u8>>>,
    first: Barrier,
    reads: Mutex<usize>,
}

impl CredentialApi for Racing {
    fn set_secret(&self, secret: &[u8]) -> Answer<()> {
        *self.secret.lock().unwrap() = Some(secret.to_vec());
        Ok(())
    }

    fn get_secret(&self) -> Answer<Vec<u8>> {
        let found = self.secret.lock().unwrap().clone();
        let mut reads = self.reads.lock().unwrap();
        *reads += 1;
        let early = *reads <= 2;
        drop(reads);
        if early {
            self.first.wait();
        }
        found.ok_or(Error::NoEntry)
    }

    no_more_than_secrets!();
}

/// Two that make the first key of a folder at once end with the same one; another folder has another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_key_for_a_folder() {
    let racing = Arc::new(Racing {
        secret: Mutex::new(None),
        first: Barrier::new(2),
        reads: Mutex::new(0),
    });
    let folder = crate::store::file::tests::Scratch::new();
    let path = folder.path().to_owned();
    let ask = || {
        let keyring = Keyring::new(Arc::new(Told(racing.clone())));
        let store = FileStore::open(&path).unwrap();
        tokio::spawn(async move { keyring.sealing_keys_for(&store, SERVICE).await })
    };
    let (one, two) = (ask(), ask());
    let one = one.await.unwrap().unwrap();
    let two = two.await.unwrap().unwrap();
    assert_eq!(format!("{one:?}"), format!("{two:?}"));
    assert!(!path.join("keyring.lock").exists());

    let (store, keyring) = mock();
    let elsewhere = crate::store::file::tests::Scratch::new();
    for path in [&path, elsewhere.path()] {
        let files = FileStore::open(path).unwrap();
        keyring.sealing_keys_for(&files, SERVICE).await.unwrap();
    }
    assert_eq!(store.inner.lock().unwrap().borrow().len(), 2);
}
