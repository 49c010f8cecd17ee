//! GNOME Keyring, over a session bus of its own.
//!
//! A test runs itself again, as another process within `dbus-run-session`.

#![cfg(all(unix, not(target_os = "macos")))]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{env, fs};

use base64ct::{Base64UrlUnpadded, Encoding};
use fapi_client::{Algorithm, KeyError, KeyName, KeyStore, SealedKeys, StoreError, Stores};
use keyring_core::api::CredentialStoreApi;

const FOLDER: &str = "FAPI_TEST_FOLDER";
const CASE: &str = "FAPI_TEST_CASE";
const SERVICE: &str = "fapi-client interop";

/// Runs a program in a session whose keyring a password has unlocked.
const UNLOCKED: &str = r#"
printf 'a password' | gnome-keyring-daemon --unlock --components=secrets >&2 || exit 1
for _ in $(seq 100); do
  dbus-send --session --print-reply=literal --dest=org.freedesktop.DBus / \
    org.freedesktop.DBus.NameHasOwner string:org.freedesktop.secrets | grep -q true && break
  sleep 0.1
done
"#;
const ONE: &str = r#"exec "$0" "$@""#;
const TWO: &str = r#""$0" "$@" & "$0" "$@"; status=$?; wait $! && exit $status"#;

/// A user of the machine: a home, which goes with the test.
struct Home(PathBuf);

impl Home {
    fn new(name: &str) -> Self {
        let path = env::temp_dir().join(format!("fapi-keyring-{}-{name}", std::process::id()));
        fs::create_dir_all(path.join("run")).unwrap();
        Self(path)
    }

    fn folder(&self) -> PathBuf {
        self.0.join("store")
    }

    /// What the test prints there in that case.
    fn run(&self, mut command: Command, test: &str, case: &str) -> String {
        let output = command
            .args([test, "--exact", "--nocapture"])
            .env(FOLDER, self.folder())
            .env(CASE, case)
            .env("HOME", &self.0)
            .env("XDG_DATA_HOME", self.0.join("data"))
            .env("XDG_CACHE_HOME", self.0.join("cache"))
            .env("XDG_RUNTIME_DIR", self.0.join("run"))
            .env_remove("DISPLAY")
            .env_remove("WAYLAND_DISPLAY")
            .output();
        said(&output.expect("dbus-run-session"))
    }

    /// The same within a session of its own.
    fn session(&self, script: &str, test: &str, case: &str) -> String {
        let mut command = Command::new("dbus-run-session");
        command.args(["--", "sh", "-c", script]);
        command.arg(env::current_exe().unwrap());
        self.run(command, test, case)
    }

    /// Nothing but the name of the key and the file of the store was written.
    fn has_no_key(&self) {
        let entries = fs::read_dir(self.folder()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["keyring", "store"]);
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn said(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{errors}");
    assert!(text.contains("1 passed"), "{text}{errors}");
    text
}

/// The case, where this is the process within the session.
fn case() -> Option<(String, PathBuf)> {
    let case = env::var(CASE).ok()?;
    Some((case, env::var_os(FOLDER)?.into()))
}

async fn open(folder: &Path) -> Result<Stores, StoreError> {
    Stores::keyring(folder, SERVICE).await
}

fn keys(stores: &Stores) -> (SealedKeys, KeyName) {
    let keys = SealedKeys::new(stores, "https://as.example client");
    (keys, KeyName::new("client").unwrap())
}

/// The key of the store, as the keyring hands it to whoever may ask: asked without our own code.
fn secret(folder: &Path) -> Vec<u8> {
    let user = fs::read_to_string(folder.join("keyring")).unwrap();
    let ask = move || {
        let store = zbus_secret_service_keyring_store::Store::new().unwrap();
        let entry = store.build(SERVICE, &user, None).unwrap();
        entry.get_secret().unwrap()
    };
    std::thread::spawn(ask).join().unwrap()
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let kind = fs::symlink_metadata(&path).unwrap();
        if kind.is_dir() {
            files(&path, found);
        } else if kind.is_file() {
            found.push(path);
        }
    }
}

/// A key that is made in one session opens what it sealed in the next, and is nowhere in the clear.
#[tokio::test]
async fn a_key_is_kept() {
    match case() {
        Some((case, folder)) if case == "make" => {
            let (keys, name) = keys(&open(&folder).await.unwrap());
            keys.create(&name, Algorithm::Es256).await.unwrap();
        }
        Some((_, folder)) => {
            let (keys, name) = keys(&open(&folder).await.unwrap());
            keys.open(&name).await.unwrap();
            let text = secret(&folder);
            let plain = Base64UrlUnpadded::decode_vec(std::str::from_utf8(&text).unwrap());
            let plain = plain.unwrap();
            assert_eq!((text.len(), plain.len()), (43, 32));
            let mut found = Vec::new();
            files(folder.parent().unwrap(), &mut found);
            assert!(found.iter().any(|file| file.ends_with("login.keyring")));
            for file in found {
                let kept = fs::read(&file).unwrap();
                for secret in [&text, &plain] {
                    let shown = kept.windows(secret.len()).any(|part| part == secret);
                    assert!(!shown, "{file:?} shows the key");
                }
            }
        }
        None => {
            let home = Home::new("kept");
            for case in ["make", "open"] {
                home.session(&[UNLOCKED, ONE].concat(), "a_key_is_kept", case);
            }
            // The keyring of another user has another key: what is sealed stays shut.
            let other = Home::new("other");
            fs::rename(home.folder(), other.folder()).unwrap();
            let script = [UNLOCKED, ONE].concat();
            other.session(&script, "a_key_that_is_gone", "gone");
        }
    }
}

/// A folder that came without its keyring is an error of its own, which says which key is missing.
#[tokio::test]
async fn a_key_that_is_gone() {
    match case() {
        Some((_, folder)) => {
            let (keys, name) = keys(&open(&folder).await.unwrap());
            let refused = keys.open(&name).await.map(|_| ()).unwrap_err();
            let KeyError::Store(StoreError::UnknownSealingKey(id)) = refused else {
                panic!("{refused}");
            };
            assert!(id.starts_with("keyring-"), "{id}");
        }
        None => {
            let home = Home::new("gone");
            let script = [UNLOCKED, ONE].concat();
            home.session(&script, "a_key_is_kept", "make");
            fs::remove_dir_all(home.0.join("data")).unwrap();
            home.session(&script, "a_key_that_is_gone", "gone");
        }
    }
}

/// Two processes that are the first to ask end with one key.
#[tokio::test]
async fn two_processes_make_one_key() {
    if let Some((_, folder)) = case() {
        println!("\nsealed by {:?}", open(&folder).await.unwrap());
        return;
    }
    for round in 0..3 {
        let home = Home::new(&format!("two-{round}"));
        let script = [UNLOCKED, TWO].concat();
        let text = home.session(&script, "two_processes_make_one_key", "both");
        let said: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with("sealed by"))
            .collect();
        assert!(said.len() == 2 && said[0] == said[1], "{text}");
        assert!(said[0].contains("keyring-"), "{text}");
    }
}

/// A keyring that is locked, where nobody is there to unlock it.
#[tokio::test]
async fn a_keyring_that_is_locked() {
    if let Some((case, folder)) = case() {
        let opened = open(&folder).await;
        match case.as_str() {
            "make" => drop(opened.unwrap()),
            _ => assert_eq!(opened.unwrap_err(), StoreError::KeyringLocked),
        }
        return;
    }
    let test = "a_keyring_that_is_locked";
    let home = Home::new("locked");
    let unlocked = [UNLOCKED, ONE].concat();
    home.session(&unlocked, test, "make");
    // The bus starts the keyring, and nobody gives it the password: with a key in it, and without.
    home.session(ONE, test, "locked");
    fs::remove_dir_all(home.folder()).unwrap();
    home.session(ONE, test, "locked");
    home.has_no_key();
}

/// A keyring that has nowhere to keep a key, as that of a fresh machine without a desktop.
#[tokio::test]
async fn a_keyring_without_a_collection() {
    if let Some((_, folder)) = case() {
        let why = "it has no default collection";
        let refused = open(&folder).await.unwrap_err();
        assert_eq!(refused, StoreError::NoKeyring(why));
        return;
    }
    let home = Home::new("none");
    home.session(ONE, "a_keyring_without_a_collection", "none");
    home.has_no_key();
}

/// A machine without a session bus, or without a keyring on it.
#[tokio::test]
async fn a_machine_without_a_keyring() {
    if let Some((_, folder)) = case() {
        let why = "no session bus with a Secret Service answers";
        let refused = open(&folder).await.unwrap_err();
        assert_eq!(refused, StoreError::NoKeyring(why));
        return;
    }
    let home = Home::new("machine");
    let mut command = Command::new(env::current_exe().unwrap());
    let nowhere = format!("unix:path={}", home.0.join("no-bus").display());
    command.env("DBUS_SESSION_BUS_ADDRESS", nowhere);
    home.run(command, "a_machine_without_a_keyring", "no bus");
    home.has_no_key();
}
