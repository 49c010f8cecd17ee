//! What a newcomer does: clone, and run the README's two commands.

use std::fs;

use crate::cargo;
use crate::run::{self, Outcome, minutes};

/// Clones HEAD beside the other things that are built, and runs the two commands there. The crates
/// of the registry are taken from this target directory, so that only our own are built anew.
pub(crate) fn run() -> Outcome {
    let readme = fs::read_to_string(run::root().join("README.md")).map_err(|e| e.to_string())?;
    for command in ["cargo run --example quickstart", "cargo test"] {
        if !readme
            .lines()
            .any(|line| line.trim().trim_start_matches("$ ").starts_with(command))
        {
            return Err(format!("README.md does not show `{command}`"));
        }
    }
    let target = run::target();
    let clone = target.join("newcomer");
    if clone.exists() {
        fs::remove_dir_all(&clone).map_err(|error| format!("{}: {error}", clone.display()))?;
    }
    let mut git = run::program("git");
    git.args(["clone", "--quiet", "--depth", "1"]);
    git.arg(format!("file://{}", run::root().display()))
        .arg(&clone);
    run::show(git, minutes(2))?;

    let mut quickstart = run::cargo(&["run", "--example", "quickstart"]);
    quickstart
        .current_dir(&clone)
        .env("CARGO_TARGET_DIR", &target);
    run::show(quickstart, minutes(15))?;
    let mut test = run::cargo(&["test"]);
    test.current_dir(&clone).env("CARGO_TARGET_DIR", &target);
    let passed = cargo::tests(test, 20)?;
    let _ = fs::remove_dir_all(&clone);
    Ok(format!(
        "a clone runs the quickstart and passes {passed} tests"
    ))
}
