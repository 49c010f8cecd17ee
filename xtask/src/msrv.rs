//! The oldest Rust: no dependency may need a newer one than this crate says it does.
//!
//! Whether the code itself keeps to that version is clippy's `incompatible_msrv`, part of `lint`.

use std::fs;

use crate::metadata::{Package, metadata};
use crate::run::{self, Outcome};

pub(crate) fn run() -> Outcome {
    let metadata = metadata()?;
    let mut graph = metadata.graph_of("fapi-client");
    for package in metadata.graph_of("fapi-testkit") {
        let known = |one: &&Package| one.name == package.name && one.version == package.version;
        if !graph.iter().any(|one| known(&&**one)) {
            graph.push(package);
        }
    }
    let ours = graph
        .iter()
        .find(|package| package.name == "fapi-client")
        .and_then(|package| package.rust_version.as_deref())
        .ok_or("fapi-client names no rust-version")?;
    let limit = version(ours).ok_or_else(|| format!("rust-version {ours:?} is not a version"))?;

    let mut problems: Vec<String> = graph
        .iter()
        .filter(|package| needed(package).is_some_and(|needed| needed > limit))
        .map(|package| {
            let needed = package.rust_version.as_deref().unwrap_or_default();
            format!(
                "{} {} needs Rust {needed}, ours is {ours}",
                package.name, package.version
            )
        })
        .collect();
    let manifest = fs::read_to_string(run::root().join("Cargo.toml")).map_err(|e| e.to_string())?;
    if !manifest.contains("incompatible_msrv") {
        problems.push(String::from(
            "Cargo.toml does not turn on clippy::incompatible_msrv",
        ));
    }
    if !problems.is_empty() {
        return Err(problems.join("\n"));
    }

    let newest = graph.iter().max_by_key(|package| needed(package));
    let silent = graph
        .iter()
        .filter(|package| package.rust_version.is_none())
        .count();
    Ok(format!(
        "Rust {ours} suffices for {} crates; the newest needed is {} by {}; {silent} do not say",
        graph.len(),
        newest
            .and_then(|package| package.rust_version.as_deref())
            .unwrap_or("none"),
        newest.map_or("none", |package| &package.name),
    ))
}

/// What a dependency needs; our own package is what they are held against.
fn needed(package: &Package) -> Option<[u32; 3]> {
    if ["fapi-client", "fapi-testkit"].contains(&package.name.as_str()) {
        return None;
    }
    version(package.rust_version.as_deref()?)
}

fn version(text: &str) -> Option<[u32; 3]> {
    let mut numbers = text.split('.').map(str::parse::<u32>);
    let major = numbers.next()?.ok()?;
    let minor = numbers.next().unwrap_or(Ok(0)).ok()?;
    let patch = numbers.next().unwrap_or(Ok(0)).ok()?;
    Some([major, minor, patch])
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn versions_compare_as_numbers() {
        assert!(version("1.9") < version("1.89"));
        assert!(version("1.89.0") == version("1.89"));
        assert_eq!(version("stable"), None);
    }
}
