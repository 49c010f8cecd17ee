//! Every check, one after the other, with a summary at the end.

use std::time::{Duration, Instant};

use crate::run::Outcome;
use crate::{cargo, chaos, deny, deps, hygiene, interop, msrv, public_api, requirements, rooms};

struct Step {
    name: &'static str,
    run: fn() -> Outcome,
}

/// What answers soon comes first. The tests with the default features are `cargo test` itself,
/// which `.ci/run` has run before.
const STEPS: &[Step] = &[
    Step {
        name: "fmt",
        run: cargo::fmt,
    },
    Step {
        name: "rooms",
        run: rooms::run,
    },
    Step {
        name: "hygiene",
        run: hygiene::run,
    },
    Step {
        name: "requirements",
        run: requirements::check,
    },
    Step {
        name: "deps",
        run: deps::run,
    },
    Step {
        name: "msrv",
        run: msrv::run,
    },
    Step {
        name: "system",
        run: interop::prepare,
    },
    Step {
        name: "lint",
        run: cargo::lint,
    },
    Step {
        name: "doc",
        run: cargo::doc,
    },
    Step {
        name: "public-api",
        run: public_api::check,
    },
    Step {
        name: "quickstart",
        run: cargo::quickstart,
    },
    Step {
        name: "backend",
        run: cargo::backend,
    },
    Step {
        name: "features",
        run: cargo::features_beside_the_default,
    },
    Step {
        name: "xtask",
        run: cargo::own_tests,
    },
    Step {
        name: "deny",
        run: deny::run,
    },
    Step {
        name: "interop",
        run: interop::tests,
    },
    Step {
        name: "chaos",
        run: chaos::short,
    },
    Step {
        name: "bench",
        run: cargo::bench,
    },
];

/// Runs the steps named, or all of them.
pub(crate) fn run(names: &[String]) -> Outcome {
    if let Some(unknown) = names
        .iter()
        .find(|name| STEPS.iter().all(|step| step.name != *name))
    {
        return Err(format!("ci has no step {unknown:?}"));
    }
    let mut results = Vec::new();
    for step in STEPS {
        if names.is_empty() || names.iter().any(|name| name == step.name) {
            println!("\n== {} ==", step.name);
            let start = Instant::now();
            let outcome = (step.run)();
            match &outcome {
                Ok(note) => println!("{note}"),
                Err(problems) => println!("FAILED: {problems}"),
            }
            results.push((step.name, start.elapsed(), outcome));
        }
    }
    summary(&results)
}

fn summary(results: &[(&str, Duration, Outcome)]) -> Outcome {
    println!("\n== summary ==");
    for (name, time, outcome) in results {
        let (word, note) = match outcome {
            Ok(note) => ("ok", note),
            Err(problems) => ("FAILED", problems),
        };
        let first = note.lines().next().unwrap_or_default();
        println!(
            "{word:<6} {name:<13} {:>6.1} s  {first}",
            time.as_secs_f64()
        );
    }
    let failed = results
        .iter()
        .filter(|(_, _, outcome)| outcome.is_err())
        .count();
    let line = format!("\n{} passed, {failed} failed", results.len() - failed);
    if failed == 0 {
        return Ok(line);
    }
    println!("{line}");
    Err(String::new())
}
