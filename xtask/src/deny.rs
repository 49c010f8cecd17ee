//! Licences, banned crates and sources, by cargo-deny; what is allowed stands in `deny.toml`.
//!
//! Advisories need the advisory database, which only the network has: they are a step of the
//! release, in `CONTRIBUTING.md`.

use std::fs;
use std::path::PathBuf;

use crate::run::{self, Outcome, minutes};

const VERSION: &str = "0.20.2";

pub(crate) fn run() -> Outcome {
    let tool = install()?;
    let mut command = run::program(&tool.to_string_lossy());
    command.args([
        "--locked",
        "check",
        "--hide-inclusion-graph",
        "licenses",
        "bans",
        "sources",
    ]);
    run::show(command, minutes(5))?;
    Ok(format!("cargo-deny {VERSION} allows every crate"))
}

/// Builds cargo-deny once and keeps it beside the other things that are built.
fn install() -> Result<PathBuf, String> {
    let root = run::target().join("xtask-tools");
    let tool = root.join("bin").join(if cfg!(windows) {
        "cargo-deny.exe"
    } else {
        "cargo-deny"
    });
    let mut ask = run::program(&tool.to_string_lossy());
    ask.arg("--version");
    if run::read(ask, minutes(1)).is_ok_and(|text| text.trim().ends_with(VERSION)) {
        return Ok(tool);
    }
    let build = root.join("build");
    let mut command = run::cargo(&["install", "--locked", "cargo-deny", "--version", VERSION]);
    command
        .arg("--root")
        .arg(&root)
        .arg("--target-dir")
        .arg(&build);
    // It runs for a second, so it is not worth optimizing for minutes.
    command
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1")
        .env("CARGO_PROFILE_RELEASE_LTO", "off");
    run::show(command, minutes(20))?;
    let _ = fs::remove_dir_all(build);
    Ok(tool)
}
