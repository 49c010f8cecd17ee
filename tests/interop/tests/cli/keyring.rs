//! A session whose sealing key is in the keyring of a desktop.

use std::collections::HashMap;
use std::process::{Command, Stdio};
use std::{env, str};

use base64ct::{Base64, Base64UrlUnpadded, Encoding};
use fapi_client::{KeyError, SoftwareKey};
use fapi_testkit::{Endpoint, Request, TestServer};
use keyring_core::api::CredentialStoreApi;
use serde_json::Value;

use crate::loaded;
use crate::processes::Bench;

/// What tells a process that it is the one within the desktop of the test.
const WITHIN: &str = "FAPI_TEST_WITHIN";
const CONTROL: &[u8] = b"an item of the test's own";

/// What the keyring has, in clear.
#[derive(Debug)]
struct Item {
    attributes: String,
    value: Vec<u8>,
}

/// Prints everything that the keyring gives to whoever may ask, asked over the Secret Service without our own
/// code, with an item of the test's own, which shows that nothing is passed over.
fn print_items() {
    let store = zbus_secret_service_keyring_store::Store::new().unwrap();
    let control = store.build("control", "control", None).unwrap();
    control.set_secret(CONTROL).unwrap();
    for item in store.search(&HashMap::new()).unwrap() {
        let attributes = format!("{:?}", item.get_attributes().unwrap());
        println!(
            "\nitem {} {}",
            Base64::encode_string(attributes.as_bytes()),
            Base64::encode_string(&item.get_secret().unwrap()),
        );
    }
}

fn items(printed: &str) -> Vec<Item> {
    let lines = printed
        .lines()
        .filter_map(|line| line.strip_prefix("item "));
    let decoded = |text: &str| Base64::decode_vec(text).unwrap();
    lines
        .map(|line| line.split_once(' ').unwrap())
        .map(|(attributes, value)| Item {
            attributes: String::from_utf8(decoded(attributes)).unwrap(),
            value: decoded(value),
        })
        .collect()
}

/// The public half of the key that the session's tokens are bound to, as its proofs show it.
fn public_half(server: &TestServer) -> Value {
    let requests = server.requests_to(Endpoint::Token);
    let proof = requests.last().and_then(Request::proof).unwrap();
    proof.header["jwk"].clone()
}

/// SEC-cred, SES-8: the session is there for the next process, and neither the files nor the keyring's own
/// have anything in clear. What the keyring itself gives away is one sealing key: no token, no verifier, no
/// private key.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_in_the_keyring() {
    const DESKTOP: &str = "printf 'a password' | gnome-keyring-daemon --unlock --components=secrets >/dev/null || exit 9
        \"$@\" login --no-browser || exit 1
        \"$@\" status || exit 1
        exec \"$0\" --exact keyring::a_session_in_the_keyring --nocapture";
    if env::var_os(WITHIN).is_some() {
        return std::thread::spawn(print_items).join().unwrap();
    }
    let bench = Bench::new().await;
    let program = bench.process(&[], &["--store", "keyring"]);
    let mut desktop = Command::new("dbus-run-session");
    desktop
        .args(["--", "sh", "-c", DESKTOP])
        .arg(env::current_exe().unwrap())
        .arg(program.get_program())
        .args(program.get_args())
        .env(WITHIN, "1")
        .env("XDG_DATA_HOME", bench.folder.join("data"))
        .env("HOME", &bench.folder)
        .stdin(Stdio::null());
    let output = bench.log_in_by(desktop).await;
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("Logged in as alice."), "{said}");
    assert!(said.contains("alice at https://localhost"), "{said}");
    bench.nothing_in_clear(&bench.folder.join("state"));
    bench.nothing_in_clear(&bench.folder.join("data"));

    let (control, items): (Vec<_>, Vec<_>) = items(&said)
        .into_iter()
        .partition(|item| item.attributes.contains("control"));
    assert_eq!(control.len(), 1);
    assert_eq!(control[0].value, CONTROL);
    let [item] = &items[..] else {
        panic!("{} items", items.len());
    };
    // Nothing but 32 bytes as base64url, and these are not the private key of the session.
    let sealing_key = Base64UrlUnpadded::decode_vec(str::from_utf8(&item.value).unwrap()).unwrap();
    assert_eq!(sealing_key.len(), 32);
    let mut jwk = public_half(&bench.server);
    jwk["d"] = str::from_utf8(&item.value).unwrap().into();
    let error = SoftwareKey::from_jwk(&jwk.to_string()).unwrap_err();
    assert_eq!(error, KeyError::Mismatch);
    let secrets = bench.secrets();
    assert!(secrets.len() > 15);
    for secret in &secrets {
        for place in [&item.value, &sealing_key, item.attributes.as_bytes()] {
            assert!(!loaded::holds(place, secret), "{item:?}");
        }
    }
}
