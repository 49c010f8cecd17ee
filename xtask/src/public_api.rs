//! The public API as a list, in `docs/public-api.txt`, so that a change of it is seen in review.
//!
//! The list is read out of rustdoc's JSON. Stable Rust writes that only when it is told that it may:
//! this program stands in for rustdoc, gives it leave, and leaves the rest of the build alone.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::process::{Command, ExitCode};

use crate::run::{self, Outcome, minutes};

const FILE: &str = "docs/public-api.txt";
const CRATES: [&str; 2] = ["fapi-client", "fapi-testkit"];
/// Set where this program is called as if it were rustdoc.
const STAND_IN: &str = "XTASK_STANDS_IN_FOR_RUSTDOC";

/// Runs rustdoc in place of this program, where cargo has called it as such.
pub(crate) fn stand_in_for_rustdoc() -> Option<ExitCode> {
    env::var_os(STAND_IN)?;
    let mut rustdoc = Command::new("rustdoc");
    rustdoc
        .args(env::args_os().skip(1))
        .env("RUSTC_BOOTSTRAP", "1")
        .env_remove(STAND_IN);
    let done = rustdoc.status().is_ok_and(|status| status.success());
    Some(if done {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

pub(crate) fn run(arguments: &[String]) -> Outcome {
    if arguments.iter().any(|argument| argument == "--check") {
        return check();
    }
    let listing = listing()?;
    fs::write(run::root().join(FILE), &listing).map_err(|error| format!("{FILE}: {error}"))?;
    Ok(format!("{FILE}: {} lines", listing.lines().count()))
}

pub(crate) fn check() -> Outcome {
    let listing = listing()?;
    let written = fs::read_to_string(run::root().join(FILE)).unwrap_or_default();
    if written == listing {
        return Ok(format!("the public API is the one in {FILE}"));
    }
    let gone = written
        .lines()
        .filter(|line| !listing.lines().any(|other| other == *line));
    let new = listing
        .lines()
        .filter(|line| !written.lines().any(|other| other == *line));
    let mut text = format!("{FILE} is out of date; `cargo xtask public-api` writes it");
    for (sign, line) in gone
        .map(|line| ('-', line))
        .chain(new.map(|line| ('+', line)))
        .take(60)
    {
        let _ = write!(text, "\n{sign} {line}");
    }
    Err(text)
}

fn listing() -> Result<String, String> {
    let mut text = String::from(
        "# The public API, with all features. `cargo xtask public-api` writes this file.\n",
    );
    for name in CRATES {
        let _ = writeln!(text, "\n## {name}\n");
        let path = rustdoc_json(name)?;
        let api = public_api::Builder::from_rustdoc_json(path)
            .omit_blanket_impls(true)
            .omit_auto_trait_impls(true)
            .build()
            .map_err(|error| format!("{name}: {error}"))?;
        let mut is_plain = false;
        for item in api.items().map(ToString::to_string) {
            if item.starts_with("impl") {
                is_plain = is_plain_impl(&item);
            }
            if !(is_plain && is_plain_method(&item) || item.contains(" core::marker::Structural")) {
                let _ = writeln!(text, "{item}");
            }
        }
    }
    Ok(text)
}

/// Whether an item implements one of the traits whose methods say nothing that the trait does not.
fn is_plain_impl(item: &str) -> bool {
    [
        "clone::Clone",
        "cmp::",
        "default::Default",
        "fmt::",
        "hash::Hash",
        "error::Error",
    ]
    .iter()
    .any(|name| item.contains(&format!(" core::{name}")))
}

fn is_plain_method(item: &str) -> bool {
    let name = item
        .split('(')
        .next()
        .and_then(|head| head.rsplit("::").next());
    let name = name.map(|name| name.split('<').next().unwrap_or(name));
    item.starts_with("pub fn")
        && matches!(
            name,
            Some("clone" | "cmp" | "default" | "eq" | "fmt" | "hash" | "partial_cmp" | "source")
        )
}

fn rustdoc_json(name: &str) -> Result<std::path::PathBuf, String> {
    let path = run::target()
        .join("doc")
        .join(name.replace('-', "_"))
        .with_extension("json");
    let this = env::current_exe().map_err(|error| error.to_string())?;
    let json = ["--", "-Z", "unstable-options", "--output-format", "json"];
    let rustdoc = ["rustdoc", "--locked", "--lib", "--all-features", "-p", name];
    let mut command = run::cargo(&rustdoc);
    command.args(json).env("RUSTDOC", this).env(STAND_IN, "1");
    run::show(command, minutes(10))?;
    if path.is_file() {
        Ok(path)
    } else {
        Err(format!("rustdoc wrote no {}", path.display()))
    }
}
