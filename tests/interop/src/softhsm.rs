use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::setup::{run, run_folder, tail};

/// Where Debian and others put the module.
const MODULES: [&str; 4] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
];
/// What tells a process that it is the one of the test, and where its token is.
const FOLDER: &str = "FAPI_INTEROP_SOFTHSM";

/// `SoftHSM2`: a PKCS#11 token in a folder. A process has one, and reads where it is when the module is
/// initialized; so each test runs in a process of its own.
#[derive(Debug)]
pub struct SoftHsm {
    folder: PathBuf,
}

impl SoftHsm {
    /// The label of the token.
    pub const TOKEN: &str = "interop";
    /// Its PIN, backwards: a process that was not told the PIN has it nowhere in its memory.
    pub const NIP: &str = "kZ9x-NIP-lausunu-wQ7";

    /// Runs a test, of which `name` is the whole name, in a process of its own with a token that is new.
    pub fn apart(name: &str, test: impl AsyncFnOnce(&Self)) {
        if let Some(folder) = std::env::var_os(FOLDER) {
            let folder = folder.into();
            let runtime = tokio::runtime::Runtime::new().expect("a runtime");
            runtime.block_on(test(&Self { folder }));
            return;
        }
        let hsm = Self {
            folder: run_folder("softhsm"),
        };
        fs::create_dir(hsm.tokens()).expect("the folder of the tokens");
        let settings = format!(
            "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
            hsm.tokens().display()
        );
        fs::write(hsm.settings(), settings).expect("the settings");
        hsm.initialize(Self::TOKEN);
        let program = std::env::current_exe().expect("the path of the test program");
        let mut child = Command::new(program);
        child
            .args(["--exact", name, "--nocapture", "--test-threads=1"])
            .env("SOFTHSM2_CONF", hsm.settings())
            .env(FOLDER, &hsm.folder);
        let log = hsm.folder.join("test.log");
        run(&mut child, &log, Duration::from_secs(120));
        // A name that is not the test's runs nothing.
        let said = fs::read_to_string(&log).expect("the log");
        assert!(said.contains("1 passed"), "{name}: {}", tail(&log));
    }

    /// The PIN of the token, in memory that holds it alone.
    #[must_use]
    pub fn pin() -> String {
        let mut pin = String::with_capacity(Self::NIP.len());
        pin.extend(Self::NIP.chars().rev());
        pin
    }

    /// The module.
    #[must_use]
    pub fn module() -> &'static Path {
        let found = MODULES.iter().map(Path::new).find(|path| path.is_file());
        found.expect("SoftHSM2 is not installed (Debian: softhsm2)")
    }

    /// Makes a token with that label and [`pin`](Self::pin).
    pub fn initialize(&self, label: &str) {
        self.util(&[
            "--init-token",
            "--free",
            "--label",
            label,
            "--so-pin",
            "a-so-pin",
            "--pin",
            &Self::pin(),
        ]);
    }

    /// Makes a key outside of the token, and puts it in.
    pub fn import(&self, label: &str, id: &str, pkcs8_pem: &str) {
        let file = self.folder.join("key.pem");
        fs::write(&file, pkcs8_pem).expect("the key");
        let file = file.to_string_lossy();
        self.util(&[
            "--import",
            &file,
            "--token",
            Self::TOKEN,
            "--label",
            label,
            "--id",
            id,
            "--pin",
            &Self::pin(),
        ]);
    }

    /// Takes the token out: its files are elsewhere.
    pub fn take_out(&self) {
        fs::rename(self.tokens(), self.away()).expect("the tokens are there");
    }

    /// Puts it back.
    pub fn put_back(&self) {
        fs::rename(self.away(), self.tokens()).expect("the tokens are away");
    }

    /// Puts in another one, with the same label and the same PIN and no keys.
    pub fn put_in_another(&self) {
        fs::create_dir(self.tokens()).expect("the tokens are away");
        self.initialize(Self::TOKEN);
    }

    /// Deletes all keys of all tokens, as another process would.
    pub fn lose_keys(&self) {
        let tokens = fs::read_dir(self.tokens()).expect("the tokens");
        for token in tokens.map(|token| token.expect("a token").path()) {
            let files = fs::read_dir(token).expect("the token");
            for file in files.map(|file| file.expect("a file").path()) {
                let is_object = file.extension().is_some_and(|end| end == "object");
                if is_object && file.file_name().is_some_and(|name| name != "token.object") {
                    fs::remove_file(file).expect("the key is deleted");
                }
            }
        }
    }

    /// The serial numbers of the tokens of that label.
    #[must_use]
    pub fn serials(&self, label: &str) -> Vec<String> {
        let slots = self.util(&["--show-slots"]);
        let mut serial = String::new();
        let mut found = Vec::new();
        for line in slots.lines() {
            match line.trim().split_once(':') {
                Some(("Serial number", text)) => text.trim().clone_into(&mut serial),
                Some(("Label", text)) if text.trim() == label => found.push(serial.clone()),
                _ => {}
            }
        }
        found
    }

    fn util(&self, arguments: &[&str]) -> String {
        let output = Command::new("softhsm2-util")
            .args(arguments)
            .env("SOFTHSM2_CONF", self.settings())
            .stdin(Stdio::null())
            .output()
            .expect("softhsm2-util is not installed (Debian: softhsm2)");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "softhsm2-util: {said}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn tokens(&self) -> PathBuf {
        self.folder.join("tokens")
    }

    fn away(&self) -> PathBuf {
        self.folder.join("away")
    }

    fn settings(&self) -> PathBuf {
        self.folder.join("softhsm2.conf")
    }
}
