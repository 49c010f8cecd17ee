//! What no file of the repository may hold: a path of someone's machine, the host of a registry
//! (packages are named, and each client knows where it gets them), a test that is switched off.

use std::fs;
use std::path::Path;

use crate::run::{self, Outcome, minutes};
use crate::source::{self, File};

/// Where a home or a working folder begins. Written in pieces, since this file is looked at too.
const MACHINE_PATHS: &[&str] = &[
    concat!("/wo", "rk/"),
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
    concat!("/Us", "ers/"),
    concat!("C:\\", "Users"),
];

const REGISTRY_HOSTS: &[&str] = &[
    concat!("index.", "crates.io"),
    concat!("static.", "crates.io"),
    concat!("registry.", "npmjs"),
    concat!("registry.", "yarnpkg"),
    concat!("repo1.", "maven"),
    concat!("repo.", "maven"),
    concat!("files.", "pythonhosted"),
    concat!("proxy.", "golang"),
    concat!("deb.", "debian"),
];

/// The address of each package, which npm writes into its lock file unless told not to.
const NPM_ADDRESS: &str = concat!("\"reso", "lved\": \"http");

/// The one source that Cargo.lock may name.
const CARGO_SOURCE: &str = "\"registry+https://github.com/rust-lang/crates.io-index\"";

pub(crate) fn run() -> Outcome {
    let mut problems = Vec::new();
    let files = files()?;
    for path in &files {
        // What is not text is not looked at.
        if let Ok(text) = fs::read_to_string(run::root().join(path)) {
            problems.extend(text_problems(path, &text));
        }
    }
    for place in ["src", "tests", "examples", "testkit", "xtask"] {
        for path in source::rust_files(Path::new(place))? {
            problems.extend(ignored_tests(&File::read(&path)?));
        }
    }
    if problems.is_empty() {
        Ok(format!("{} files are clean", files.len()))
    } else {
        Err(problems.join("\n"))
    }
}

/// What git tracks, or would if all were added.
fn files() -> Result<Vec<String>, String> {
    let mut git = run::program("git");
    git.args(["ls-files", "--cached", "--others", "--exclude-standard"]);
    let text = run::read(git, minutes(1))?;
    Ok(text.lines().map(str::to_owned).collect())
}

fn text_problems(path: &str, text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let words = MACHINE_PATHS
            .iter()
            .chain(REGISTRY_HOSTS)
            .chain([&NPM_ADDRESS]);
        let found: Vec<&str> = words.copied().filter(|word| line.contains(word)).collect();
        let foreign = path.ends_with("Cargo.lock")
            && line.starts_with("source = ")
            && !line.ends_with(CARGO_SOURCE);
        if !found.is_empty() || foreign {
            let what = if foreign {
                String::from("another source")
            } else {
                found.join(", ")
            };
            problems.push(format!("{path}:{}: names {what}", number + 1));
        }
    }
    problems
}

fn ignored_tests(file: &File) -> Vec<String> {
    let items = file.documented();
    let ignored = items
        .iter()
        .filter(|item| item.is_ignored || item.doc.contains("```ignore"));
    ignored
        .map(|item| {
            format!(
                "{}:{}: `{}` is switched off",
                file.path, item.line, item.name
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::text_problems;

    #[test]
    fn the_lock_file_may_name_one_source() {
        let ours = "source = \"registry+https://github.com/rust-lang/crates.io-index\"\n";
        assert!(text_problems("Cargo.lock", ours).is_empty());
        let other = "source = \"git+https://example.com/x\"\n";
        assert_eq!(
            text_problems("Cargo.lock", other),
            ["Cargo.lock:1: names another source"]
        );
    }
}
