//! Many sessions, several processes, and everything that goes wrong, on each store that processes share.

use crate::run::{self, Outcome, minutes};

const STORES: [&str; 2] = ["redis", "files"];
/// How long each store has bad weather in a short run and in a long one, in seconds.
const SHORT: &str = "30";
const LONG: &str = "600";

/// `chaos` is the long run, `chaos short` the one of `ci`.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    match arguments {
        [] => weather(LONG),
        [word] if word == "short" => short(),
        [seconds] if seconds.parse::<u32>().is_ok() => weather(seconds),
        _ => Err(String::from("`chaos`, `chaos short` or `chaos SECONDS`")),
    }
}

pub(crate) fn short() -> Outcome {
    weather(SHORT)
}

fn weather(seconds: &str) -> Outcome {
    for store in STORES {
        let chaos = ["run", "--locked", "-p", "fapi-interop", "--bin", "chaos"];
        let options = ["--", "--store", store, "--seconds", seconds];
        run::show(run::cargo(&[&chaos[..], &options].concat()), minutes(40))?;
    }
    Ok(format!(
        "{seconds} s of bad weather on each of {STORES:?}, and every session works"
    ))
}
