//! The dependencies: how many there are, that OpenSSL is not among them, that each one is used,
//! and that the features do not pull one another in.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::run::{self, Outcome, minutes};
use crate::source;

/// The most crates that the default features may bring, build scripts included.
const LIMIT: usize = 156;
/// Nobody should need OpenSSL's headers, or a second TLS, to build the default set.
const UNWANTED: &[&str] = &["openssl", "openssl-sys", "native-tls", "josekit", "rsa"];
/// A package, and where its dependencies and those of its tests may be named.
const PACKAGES: &[(&str, &[&str], &[&str])] = &[
    (".", &["src"], &["src", "tests", "examples"]),
    (
        "testkit",
        &["testkit/src"],
        &["testkit/src", "testkit/tests"],
    ),
    ("benches", &["benches"], &["benches"]),
    (
        "examples/backend",
        &["examples/backend/src"],
        &["examples/backend"],
    ),
    (
        "tests/interop",
        // It runs the command line as a program of its own.
        &["tests/interop", "examples/cli"],
        // The backend example's browser tests its replicas as well.
        &["tests/interop", "examples/backend/tests"],
    ),
    ("xtask", &["xtask/src"], &["xtask/src"]),
];

pub(crate) fn run() -> Outcome {
    let crates = tree(&["-e", "normal,build"])?;
    let mut problems = Vec::new();
    if crates.len() > LIMIT {
        problems.push(format!(
            "the default set is {} crates, more than {LIMIT}",
            crates.len()
        ));
    }
    for name in UNWANTED
        .iter()
        .filter(|name| crates.iter().any(|found| names(found, name)))
    {
        problems.push(format!("the default set brings {name}"));
    }
    // With `ring` chosen, nothing (the testkit included) may turn the other provider on again.
    let ring = tree(&[
        "-e",
        "normal,build,dev",
        "--no-default-features",
        "--features",
        "ring",
    ])?;
    if ring.iter().any(|found| names(found, "aws-lc-rs")) {
        problems.push(String::from(
            "aws-lc-rs is compiled though the feature `ring` is alone",
        ));
    }
    for (package, places, test_places) in PACKAGES {
        problems.extend(unused(package, places, test_places)?);
    }
    if problems.is_empty() {
        Ok(format!(
            "{} crates in the default set, each dependency in use",
            crates.len()
        ))
    } else {
        Err(problems.join("\n"))
    }
}

/// The crates of a tree, as `name vX.Y.Z`, without our own.
fn tree(arguments: &[&str]) -> Result<BTreeSet<String>, String> {
    let tree = ["tree", "--locked", "-p", "fapi-client", "--prefix", "none"];
    let text = run::read(run::cargo(&[&tree[..], arguments].concat()), minutes(5))?;
    let found = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        Some(format!("{} {}", words.next()?, words.next()?))
    });
    Ok(found
        .filter(|name| !name.starts_with("fapi-client "))
        .collect())
}

fn names(found: &str, name: &str) -> bool {
    found.split(' ').next() == Some(name)
}

fn unused(package: &str, places: &[&str], test_places: &[&str]) -> Result<Vec<String>, String> {
    let manifest = run::root().join(package).join("Cargo.toml");
    let text = fs::read_to_string(&manifest).map_err(|e| format!("{}: {e}", manifest.display()))?;
    let manifest: toml::Table =
        toml::from_str(&text).map_err(|error| format!("{package}/Cargo.toml: {error}"))?;
    let mut problems = Vec::new();
    for (table, places) in [("dependencies", places), ("dev-dependencies", test_places)] {
        let words = words(places)?;
        let listed = manifest.get(table).and_then(toml::Value::as_table);
        for name in listed.into_iter().flat_map(toml::Table::keys) {
            if !words.contains(&name.replace('-', "_")) {
                problems.push(format!(
                    "{package}/Cargo.toml: nothing in {places:?} names {name}"
                ));
            }
        }
    }
    Ok(problems)
}

/// Every identifier in the Rust files of some folders.
fn words(places: &[&str]) -> Result<BTreeSet<String>, String> {
    let mut words = BTreeSet::new();
    for place in places {
        for path in source::rust_files(Path::new(place))? {
            words.extend(source::File::read(&path)?.words());
        }
    }
    Ok(words)
}
