//! The rooms of `src/`: who may import whom, which crates each may name, and how its code is kept.
//!
//! The table is the one in `docs/architecture.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::run::{self, Outcome};
use crate::source::{self, File, module_of};

/// Rooms that every other may use, and that use one another without a circle.
const GROUND: &[&str] = &[
    "profile",
    "secret",
    "time",
    "error",
    "certificate",
    "crypto",
    "future",
    "tls",
];

/// A room, and the rooms beside the ground that it may use.
const ROOMS: &[(&str, &[&str])] = &[
    ("jose", &[]),
    ("store", &[]),
    ("keys", &["jose", "store"]),
    ("protocol", &["keys", "jose"]),
    ("transport", &[]),
    (
        "client",
        &["jose", "store", "keys", "protocol", "transport"],
    ),
    (
        "native",
        &["jose", "store", "keys", "protocol", "transport", "client"],
    ),
    // The window for the types of rustls 0.23: it converts, for whichever room needs it.
    (
        "rustls_0_23",
        &["jose", "store", "keys", "protocol", "transport", "client"],
    ),
];

/// A crate or a type, and the only rooms that may name it.
const NAMES: &[(&str, &[&str])] = &[
    (
        "rustls",
        &[
            "jose",
            "transport",
            "keys",
            "certificate",
            "crypto",
            "tls",
            "rustls_0_23",
        ],
    ),
    ("reqwest", &["transport"]),
    ("rustls_platform_verifier", &["tls"]),
    ("tokio_rustls", &["store"]),
    ("redis", &["store"]),
    ("p256", &["jose", "keys"]),
    ("x509_cert", &["keys"]),
    ("p12_keystore", &["keys"]),
    ("josekit", &["jose"]),
    ("chacha20poly1305", &["store"]),
    ("argon2", &["store"]),
    ("keyring_core", &["store"]),
    ("zbus_secret_service_keyring_store", &["store"]),
    ("apple_native_keyring_store", &["store"]),
    ("windows_native_keyring_store", &["store"]),
    // No room that makes or reads messages has a clock, randomness or a runtime of its own.
    ("SystemTime", &["time"]),
    // What a store measures are lives and delays of its own.
    ("Instant", &["time", "store"]),
    ("rand", &["secret", "jose"]),
    ("tokio", &["client", "transport", "store", "keys", "native"]),
    ("cryptoki", &["keys"]),
];

/// What the head of `src/lib.rs` must say, so that clippy sees what this file does not.
const LINTS: &[&str] = &[
    "#![forbid(unsafe_code)]",
    "clippy::unwrap_used",
    "clippy::expect_used",
    "clippy::panic",
    "clippy::indexing_slicing",
    "clippy::string_slice",
];

const LONGEST_FILE: usize = 500;

pub(crate) fn run() -> Outcome {
    let files = read(Path::new("src"))?;
    let mut problems = Vec::new();
    let mut ground = BTreeMap::<String, BTreeSet<String>>::new();
    for file in &files {
        problems.extend(problems_of(file));
        let module = module_of(&file.path);
        if let Some(room) = module.first().filter(|room| GROUND.contains(room)) {
            let used = file.paths_from_the_root().into_iter().map(|name| name.text);
            let used = used.filter(|name| name != room && GROUND.contains(&name.as_str()));
            ground.entry((*room).to_owned()).or_default().extend(used);
        }
    }
    problems.extend(circle(&ground));
    problems.extend(lints()?);
    problems.extend(servers_on_their_own()?);
    if problems.is_empty() {
        Ok(format!("{} files keep to their rooms", files.len()))
    } else {
        Err(problems.join("\n"))
    }
}

/// The files of a folder, without what is compiled for tests alone.
fn read(folder: &Path) -> Result<Vec<File>, String> {
    let mut files = Vec::new();
    let mut for_tests = BTreeSet::new();
    for path in source::rust_files(folder)? {
        let file = File::read(&path)?;
        for name in file.test_modules() {
            for_tests.insert(
                [&module_of(&file.path)[..], &[name.as_str()]]
                    .concat()
                    .join("::"),
            );
        }
        files.push(file);
    }
    files.retain(|file| {
        let module = module_of(&file.path);
        !(1..=module.len()).any(|end| {
            module
                .get(..end)
                .is_some_and(|prefix| for_tests.contains(&prefix.join("::")))
        })
    });
    Ok(files.into_iter().map(File::without_tests).collect())
}

fn problems_of(file: &File) -> Vec<String> {
    let path = &file.path;
    let mut problems = Vec::new();
    if file.lines > LONGEST_FILE {
        problems.push(format!(
            "{path}: {} lines, more than {LONGEST_FILE}",
            file.lines
        ));
    }
    for found in file.panics() {
        problems.push(format!(
            "{path}:{}: `{}` ends the program",
            found.line, found.text
        ));
    }
    // The front door shows what is in every room.
    let Some(&room) = module_of(path).first() else {
        return problems;
    };
    let Some(allowed) = allowed(room) else {
        problems.push(format!(
            "{path}: the room `{room}` is not in the table of xtask/src/rooms.rs"
        ));
        return problems;
    };
    for found in file.paths_from_the_root() {
        let name = found.text.as_str();
        if name != room && !GROUND.contains(&name) && !allowed.contains(&name) {
            let line = found.line;
            problems.push(format!(
                "{path}:{line}: `{room}` may not import `crate::{name}`"
            ));
        }
    }
    for found in file.names() {
        let rule = NAMES.iter().find(|(name, _)| *name == found.text);
        if let Some((name, rooms)) = rule.filter(|(_, rooms)| !rooms.contains(&room)) {
            let line = found.line;
            problems.push(format!(
                "{path}:{line}: `{name}` is named outside {rooms:?}"
            ));
        }
    }
    problems
}

fn allowed(room: &str) -> Option<&'static [&'static str]> {
    if GROUND.contains(&room) {
        return Some(&[]);
    }
    ROOMS
        .iter()
        .find(|(name, _)| *name == room)
        .map(|(_, allowed)| *allowed)
}

/// A circle among the rooms of the ground, if there is one.
fn circle(uses: &BTreeMap<String, BTreeSet<String>>) -> Option<String> {
    // Rooms that use nothing are taken away until none is left; what stays is a circle.
    let mut left: BTreeMap<&String, BTreeSet<&String>> = uses
        .iter()
        .map(|(room, used)| (room, used.iter().collect()))
        .collect();
    loop {
        let rooms: BTreeSet<&String> = left.keys().copied().collect();
        let before = left.len();
        left.retain(|_, used| used.iter().any(|name| rooms.contains(name)));
        if left.is_empty() {
            return None;
        }
        if left.len() == before {
            let names: Vec<String> = left
                .iter()
                .map(|(room, used)| format!("{room} uses {used:?}"))
                .collect();
            return Some(format!("the ground has a circle: {}", names.join(", ")));
        }
    }
}

fn lints() -> Result<Vec<String>, String> {
    let text = fs::read_to_string(run::root().join("src/lib.rs")).map_err(|e| e.to_string())?;
    let missing = LINTS.iter().filter(|lint| !text.contains(*lint));
    Ok(missing
        .map(|lint| format!("src/lib.rs: the lint {lint} is not turned on"))
        .collect())
}

/// The testkit checks what the crate sends, so it may share no code with it: only its contract
/// tests, which are for implementations of the crate's traits, name the crate.
fn servers_on_their_own() -> Result<Vec<String>, String> {
    let mut problems = Vec::new();
    for file in read(Path::new("testkit/src"))? {
        if file.path.starts_with("testkit/src/contract") {
            continue;
        }
        for found in file.names() {
            if found.text == "fapi_client" {
                let (path, line) = (&file.path, found.line);
                problems.push(format!(
                    "{path}:{line}: only `contract` may name fapi_client"
                ));
            }
        }
    }
    Ok(problems)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::circle;

    fn uses(pairs: &[(&str, &[&str])]) -> BTreeMap<String, BTreeSet<String>> {
        let own = |names: &&[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        pairs
            .iter()
            .map(|(room, used)| ((*room).to_owned(), own(used)))
            .collect()
    }

    #[test]
    fn a_circle_is_found() {
        assert!(circle(&uses(&[("error", &["time"]), ("time", &[])])).is_none());
        assert!(circle(&uses(&[("error", &["time"]), ("time", &["secret"])])).is_none());
        assert!(circle(&uses(&[("error", &["time"]), ("time", &["error"])])).is_some());
    }
}
