//! Several terminals at once, machines without a keyring, and what is left in files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use base64ct::{Base64, Encoding};
use fapi_client::{KeySet, SoftwareKey};
use fapi_interop::{Browser, Pki};
use fapi_testkit::{Endpoint, Registration, TestServer};

use crate::{Cli, loaded};

/// A program, a test server that knows it, and a folder.
pub(crate) struct Bench {
    pub(crate) server: TestServer,
    pub(crate) folder: PathBuf,
    cli: Cli,
    /// The private half of the program's key, in all forms.
    private_half: Vec<Vec<u8>>,
}

impl Bench {
    pub(crate) async fn new() -> Self {
        let server = TestServer::builder()
            .refresh_rotation(true)
            // A token that is used twice is a session that is lost.
            .rotation_grace(Duration::ZERO)
            .access_token_life(Duration::from_secs(1))
            .start()
            .await;
        let key = SoftwareKey::generate_es256().unwrap();
        server.register(
            Registration::new("cli")
                .jwks(KeySet::new(key.clone()).jwks())
                .redirect_uri("http://127.0.0.1/callback"),
        );
        let cli = Cli::new(&server.ca_pem());
        let folder = cli.terminal.folder().to_owned();
        let pem = key.to_pkcs8_pem().unwrap();
        let _ = cli.terminal.file("key.pem", &pem);
        let pkcs8: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        Self {
            server,
            folder,
            cli,
            private_half: loaded::forms(&Base64::decode_vec(&pkcs8).unwrap()),
        }
    }

    /// One process of the program, as the terminal would start it.
    pub(crate) fn process(&self, words: &[&str], store: &[&str]) -> Command {
        let file = |name: &str| self.folder.join(name).into_os_string();
        let mut command = Command::new(env!("CARGO_BIN_EXE_cli"));
        command
            .args(words)
            .args(["--issuer", self.server.issuer(), "--client-id", "cli"])
            .args(["--api", self.server.api(), "--scope", "openid accounts"])
            .arg("--key")
            .arg(file("key.pem"))
            .arg("--ca")
            .arg(file("ca.pem"))
            .args(store)
            .arg("--folder")
            .arg(file("state"))
            .stdin(Stdio::null());
        command
    }

    fn sealed_with_passphrase(&self) -> [String; 4] {
        let file = self.folder.join("passphrase").display().to_string();
        ["--store", "file", "--passphrase-file", &file].map(str::to_owned)
    }

    /// The user, whose browser follows the URL that is on the program's standard error.
    async fn log_in(&self, mut command: Command) -> Output {
        command.arg("--no-browser");
        self.log_in_by(command).await
    }

    pub(crate) async fn log_in_by(&self, mut command: Command) -> Output {
        let log = self.folder.join("said");
        command
            .stdout(Stdio::piped())
            .stderr(fs::File::create(&log).unwrap());
        let child = command.spawn().unwrap();
        let url = loop {
            let said = fs::read_to_string(&log).unwrap();
            let found = said
                .lines()
                .map(str::trim)
                .find(|line| line.starts_with("https://"));
            if let Some(url) = found.filter(|_| said.contains("Waiting")) {
                break url.to_owned();
            }
            assert!(!said.contains("failed"), "{said}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        let callback = self.server.browser("alice").approve(&url).await;
        let page = Browser::client(&Pki::new())
            .get(callback)
            .send()
            .await
            .unwrap();
        assert_eq!(page.status(), 303);
        tokio::task::spawn_blocking(|| child.wait_with_output().unwrap())
            .await
            .unwrap()
    }

    /// What nobody may find: what was issued, and the private half of the program's key.
    pub(crate) fn secrets(&self) -> Vec<Vec<u8>> {
        let issued = self.server.secrets_issued().into_iter();
        let mut secrets: Vec<_> = issued.map(String::into_bytes).collect();
        for request in self.server.requests() {
            let of_the_login = ["state", "nonce", "code_verifier", "refresh_token"].into_iter();
            let values = of_the_login.filter_map(|name| request.form_value(name));
            secrets.extend(values.map(|value| value.as_bytes().to_vec()));
        }
        secrets.extend(self.private_half.iter().cloned());
        secrets
    }

    /// What was issued is in no file.
    pub(crate) fn nothing_in_clear(&self, folder: &Path) {
        self.cli.nothing_in_clear();
        let secrets = self.secrets();
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap().flatten() {
                if entry.path().is_dir() {
                    folders.push(entry.path());
                    continue;
                }
                let bytes = fs::read(entry.path()).unwrap_or_default();
                for secret in &secrets {
                    assert!(!loaded::holds(&bytes, secret), "{}", entry.path().display());
                }
            }
        }
    }
}

fn words(store: &[String]) -> Vec<&str> {
    store.iter().map(String::as_str).collect()
}

/// Design (Sessions): ten terminals whose token has expired refresh once in all, and none loses the
/// rotated token, though the server keeps no retry window.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn terminals_that_refresh_at_once() {
    let bench = Bench::new().await;
    let store = bench.sealed_with_passphrase();
    let store = words(&store);
    let output = bench.log_in(bench.process(&["login"], &store)).await;
    assert!(output.status.success());
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "Logged in as alice.\n"
    );
    let url = format!("{}/accounts", bench.server.api());
    for _ in 0..3 {
        // The token's second is over.
        tokio::time::sleep(Duration::from_millis(1100)).await;
        bench.server.forget_requests();
        let terminals: Vec<_> = (0..10)
            .map(|_| {
                let mut call = bench.process(&["call", "GET", &url], &store);
                call.stdout(Stdio::piped())
                    .stderr(Stdio::piped())
                    .spawn()
                    .unwrap()
            })
            .collect();
        for terminal in terminals {
            let output = terminal.wait_with_output().unwrap();
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{errors}");
        }
        // Whoever starts late may find the new token at its end as well.
        assert!(bench.server.count(Endpoint::Token) < 10);
    }
    assert_eq!(bench.server.tokens_used_twice(), [""; 0]);
    bench.nothing_in_clear(&bench.folder.join("state"));
    let output = bench.process(&["logout"], &store).output().unwrap();
    assert!(output.status.success());
}

/// A machine without a keyring says so, and writes nothing that is not sealed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_without_a_keyring() {
    let bench = Bench::new().await;
    let output = bench
        .process(&["login", "--json"], &["--store", "keyring"])
        .env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere")
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        errors.contains("\"error\":\"store.no_keyring\""),
        "{errors}"
    );
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(bench.server.count(Endpoint::Par), 0);
    bench.cli.nothing_in_clear();
}
