//! The command line `examples/cli.rs`, in a real terminal, with a real browser, against servers that others
//! wrote; and, against the testkit, several of it at once, what it remembers, and what it asks.

#![allow(
    unreachable_pub,
    reason = "the helpers of a test binary have no outside"
)]

mod asked;
mod keycloak;
#[cfg(all(unix, not(target_os = "macos")))]
mod keyring;
#[path = "../../../stores/loaded.rs"]
#[allow(
    dead_code,
    reason = "the keys of these tests are made by other processes"
)]
mod loaded;
mod node_oidc_provider;
mod processes;
mod remembered;

use std::path::Path;

use fapi_interop::{Chromium, Terminal};

/// What `native` shows when the login has succeeded.
const DONE: &str = "You are signed in";

/// The command line, with what every call of a test needs.
struct Cli {
    terminal: Terminal,
    /// The authority to trust, and the folder.
    bare: String,
    /// The files, and what they are sealed with.
    sealed: String,
}

impl Cli {
    /// A command line whose files are sealed with a passphrase, in a folder of its own.
    fn new(ca: &str) -> Self {
        let terminal = Terminal::open();
        let ca = terminal.file("ca.pem", ca);
        let passphrase = terminal.file("passphrase", "a passphrase of several words\n");
        // A person's browser, for the program: it notes where it was sent.
        let browser = terminal.file("browser", "#!/bin/sh\nprintf '%s' \"$1\" > \"$0.url\"\n");
        executable(&browser);
        let state = terminal.folder().join("state");
        let bare = format!("--ca {} --folder {}", ca.display(), state.display());
        let sealed = format!("--store file --passphrase-file {}", passphrase.display());
        terminal.type_line(&format!("export BROWSER={}", browser.display()));
        terminal.type_line(&format!("alias cli={}", env!("CARGO_BIN_EXE_cli")));
        Self {
            terminal,
            bare,
            sealed,
        }
    }

    fn line(&self, command: &str) -> String {
        format!("cli {command} {} {}", self.bare, self.sealed)
    }

    /// The same without a word about the store.
    fn bare_line(&self, command: &str) -> String {
        format!("cli {command} {}", self.bare)
    }

    /// Runs a command to its end: what it said, and its status.
    fn run(&self, command: &str) -> (String, i32) {
        self.terminal.run(self.line(command))
    }

    /// Begins a login, and gives the URL that it prints, which is the one that the browser was sent to.
    fn login(&self, options: &str) -> String {
        self.url_of(&self.line(&format!("login {options}")))
    }

    /// Begins a command that logs in.
    fn url_of(&self, line: &str) -> String {
        self.terminal.start(line);
        let url = self.terminal.until(|screen| {
            let waiting = screen.contains("Waiting for you to log in");
            let url = screen
                .lines()
                .map(str::trim)
                .find(|line| line.starts_with("https://"));
            url.filter(|_| waiting).map(str::to_owned)
        });
        let sent = self.terminal.folder().join("browser.url");
        let started = || std::fs::read_to_string(&sent).ok();
        self.terminal
            .until(|_| started().filter(|sent| *sent == url));
        assert!(self.terminal.screen().contains("Your browser is open."));
        url
    }

    /// The names of the files that the program keeps, and what is in all of them.
    fn kept(&self) -> (Vec<String>, Vec<u8>) {
        let (mut names, mut bytes) = (Vec::new(), Vec::new());
        let mut folders = vec![self.terminal.folder().join("state")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                if entry.path().is_dir() {
                    folders.push(entry.path());
                } else {
                    names.push(entry.file_name().to_string_lossy().into_owned());
                    bytes.extend(std::fs::read(entry.path()).unwrap());
                }
            }
        }
        (names, bytes)
    }

    /// Nothing that looks like a token, a key or a code is in clear.
    fn nothing_in_clear(&self) {
        let (_, bytes) = self.kept();
        for secret in [
            "eyJ",
            "PRIVATE KEY",
            "refresh_token",
            "access_token",
            "code_verifier",
        ] {
            let found = bytes
                .windows(secret.len())
                .any(|part| part == secret.as_bytes());
            assert!(!found, "{secret}");
        }
    }
}

fn executable(file: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o700)).unwrap();
}

/// The browser is on the last page: success, and neither code nor state in its address.
async fn done(browser: &Chromium, picture: &str) {
    browser.until_text("h1", DONE).await;
    let url = browser.url().await;
    assert!(url.starts_with("http://127.0.0.1:"), "{url}");
    assert!(!url.contains('?'), "{url}");
    browser.screenshot(picture).await;
}
