//! The steps that are one or more calls of cargo: format, lints, docs, tests by feature, quickstart.

use std::process::Command;

use crate::run::{self, Outcome, minutes};

/// One set of features to test under, and which tests can run there.
struct Features {
    name: &'static str,
    arguments: &'static [&'static str],
    /// What to run, where it is not everything.
    tests: &'static [&'static str],
}

const DEFAULT: Features = Features {
    name: "default",
    arguments: &[],
    tests: &[],
};

/// `aws-lc` alone is the default set, so it has no entry of its own.
const BESIDE_THE_DEFAULT: &[Features] = &[
    // Without a provider there is no TLS: what can run is the proof that `build()` asks for one.
    Features {
        name: "none",
        arguments: &["--no-default-features"],
        tests: &["--test", "no_provider"],
    },
    Features {
        name: "ring",
        arguments: &["--no-default-features", "--features", "ring"],
        tests: &[],
    },
    Features {
        name: "all",
        arguments: &["--all-features"],
        tests: &[],
    },
];

pub(crate) fn fmt() -> Outcome {
    run::show(run::cargo(&["fmt", "--all", "--check"]), minutes(2))?;
    Ok(String::from("rustfmt changes nothing"))
}

pub(crate) fn lint() -> Outcome {
    const DENY: [&str; 3] = ["--", "-D", "warnings"];
    let everything = ["clippy", "--locked", "--workspace", "--all-targets"];
    run::show(run::cargo(&[&everything[..], &DENY].concat()), minutes(20))?;
    for set in BESIDE_THE_DEFAULT {
        // Where few tests can run, what the others need is unused and says nothing.
        let targets = match set.tests {
            [] => vec!["--all-targets"],
            tests => [&["--lib", "--examples"], tests].concat(),
        };
        let client = ["clippy", "--locked", "-p", "fapi-client"];
        let arguments = [&client[..], &targets, set.arguments, &DENY].concat();
        run::show(run::cargo(&arguments), minutes(20))?;
    }
    Ok(String::from("clippy has nothing to say"))
}

pub(crate) fn doc() -> Outcome {
    let sets = [
        &["-p", "fapi-client"][..],
        &["-p", "fapi-client", "--all-features"],
        &["-p", "fapi-testkit"],
    ];
    for set in sets {
        let doc = ["doc", "--locked", "--no-deps"];
        let mut command = run::cargo(&[&doc[..], set].concat());
        command.env("RUSTDOCFLAGS", "-D warnings");
        run::show(command, minutes(10))?;
    }
    Ok(String::from("rustdoc has nothing to say"))
}

/// The benchmark that has a limit.
pub(crate) fn bench() -> Outcome {
    let memory = [
        "bench",
        "--locked",
        "-p",
        "fapi-benches",
        "--bench",
        "memory",
    ];
    let said = run::tee(run::cargo(&memory), minutes(20))?;
    let line = said.lines().find(|line| line.contains("bytes each"));
    Ok(line.unwrap_or("measured").to_owned())
}

pub(crate) fn features(names: &[String]) -> Outcome {
    let sets: Vec<&Features> = [&DEFAULT]
        .into_iter()
        .chain(BESIDE_THE_DEFAULT)
        .filter(|set| names.is_empty() || names.iter().any(|name| name == set.name))
        .collect();
    test_with(&sets)
}

pub(crate) fn features_beside_the_default() -> Outcome {
    test_with(&BESIDE_THE_DEFAULT.iter().collect::<Vec<_>>())
}

fn test_with(sets: &[&Features]) -> Outcome {
    if sets.is_empty() {
        return Err(String::from(
            "the sets of features are: default, none, ring, all",
        ));
    }
    let mut notes = Vec::new();
    let mut problems = Vec::new();
    for set in sets {
        let test = ["test", "--locked", "-p", "fapi-client"];
        let command = run::cargo(&[&test[..], set.arguments, set.tests].concat());
        match tests(command, 20) {
            Ok(count) => notes.push(format!("{}: {count}", set.name)),
            Err(problem) => problems.push(format!("{}: {problem}", set.name)),
        }
    }
    if problems.is_empty() {
        Ok(format!(
            "tests that passed, by features: {}",
            notes.join(", ")
        ))
    } else {
        Err(problems.join("\n"))
    }
}

/// The tests of these checks themselves.
pub(crate) fn own_tests() -> Outcome {
    let count = tests(run::cargo(&["test", "--locked", "-p", "xtask"]), 15)?;
    Ok(format!("{count} tests of the checks passed"))
}

/// The web application that is an example, and a workspace member of its own.
pub(crate) fn backend() -> Outcome {
    let count = tests(run::cargo(&["test", "--locked", "-p", "fapi-backend"]), 20)?;
    Ok(format!("{count} tests of the backend example passed"))
}

pub(crate) fn quickstart() -> Outcome {
    let example = ["run", "--locked", "--example", "quickstart"];
    run::show(run::cargo(&example), minutes(15))?;
    Ok(String::from("the quickstart ran to its end"))
}

/// Runs tests and returns how many passed. None at all, or one that was skipped, is a failure.
pub(crate) fn tests(command: Command, limit: u64) -> Result<u64, String> {
    let output = run::tee(command, minutes(limit))?;
    let passed = total(&output, "passed");
    if passed == 0 {
        return Err(String::from("no test ran"));
    }
    match total(&output, "ignored") {
        0 => Ok(passed),
        ignored => Err(format!("{ignored} tests were skipped")),
    }
}

/// Adds up one number of the lines `test result: ok. 3 passed; 0 failed; 0 ignored; ...`.
fn total(output: &str, what: &str) -> u64 {
    output
        .lines()
        .filter_map(|line| line.strip_prefix("test result: "))
        .flat_map(|line| line.split(['.', ';']))
        .filter_map(|part| part.trim().strip_suffix(what)?.trim().parse::<u64>().ok())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::total;

    #[test]
    fn counts_are_added_up_over_all_targets() {
        let output = "running 2 tests\n\
            test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s\n\
            test result: ok. 40 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 1.50s\n";
        assert_eq!(total(output, "passed"), 42);
        assert_eq!(total(output, "ignored"), 1);
    }
}
