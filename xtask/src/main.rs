//! The checks that a change must pass, and the papers that are generated from the source.
//!
//! `cargo xtask` lists the commands; `cargo xtask ci` runs every check, one after the other.

mod cargo;
mod chaos;
mod ci;
mod deny;
mod deps;
mod hygiene;
mod interop;
mod metadata;
mod msrv;
mod newcomer;
mod public_api;
mod requirements;
mod rooms;
mod run;
mod source;

use std::env;
use std::process::ExitCode;

use run::Outcome;

/// A command, what it is for, and what it does with its arguments.
struct Command {
    name: &'static str,
    about: &'static str,
    run: fn(&[String]) -> Outcome,
}

const COMMANDS: &[Command] = &[
    Command {
        name: "ci",
        about: "every check below, in order; `ci NAME...` runs those named",
        run: ci::run,
    },
    Command {
        name: "fmt",
        about: "rustfmt changes nothing",
        run: |_| cargo::fmt(),
    },
    Command {
        name: "rooms",
        about: "who imports whom, panics, file lengths, lints",
        run: |_| rooms::run(),
    },
    Command {
        name: "hygiene",
        about: "no machine's paths, no registry hosts, no ignored test",
        run: |_| hygiene::run(),
    },
    Command {
        name: "requirements",
        about: "writes docs/requirements.md; --check compares",
        run: requirements::run,
    },
    Command {
        name: "deps",
        about: "the dependencies: how many, which, and all in use",
        run: |_| deps::run(),
    },
    Command {
        name: "msrv",
        about: "no dependency needs a newer Rust than this crate says",
        run: |_| msrv::run(),
    },
    Command {
        name: "lint",
        about: "clippy, with the default features and with ring alone",
        run: |_| cargo::lint(),
    },
    Command {
        name: "doc",
        about: "rustdoc, warnings refused",
        run: |_| cargo::doc(),
    },
    Command {
        name: "public-api",
        about: "writes docs/public-api.txt; --check compares",
        run: public_api::run,
    },
    Command {
        name: "features",
        about: "the tests with the default features, none, each alone, all",
        run: cargo::features,
    },
    Command {
        name: "quickstart",
        about: "the quickstart runs to its end",
        run: |_| cargo::quickstart(),
    },
    Command {
        name: "deny",
        about: "licences, banned crates, sources",
        run: |_| deny::run(),
    },
    Command {
        name: "interop",
        about: "the tests against servers that others wrote",
        run: |_| interop::run(),
    },
    Command {
        name: "chaos",
        about: "sessions in bad weather, 10 minutes on each store; `short` is 30 s",
        run: chaos::run,
    },
    Command {
        name: "bench",
        about: "what a session costs: at most 4 KiB in memory",
        run: |_| cargo::bench(),
    },
    Command {
        name: "newcomer",
        about: "the README's two commands, in a clone of HEAD",
        run: |_| newcomer::run(),
    },
];

fn main() -> ExitCode {
    if let Some(code) = public_api::stand_in_for_rustdoc() {
        return code;
    }
    let arguments: Vec<String> = env::args().skip(1).collect();
    let Some(command) = arguments
        .first()
        .and_then(|name| COMMANDS.iter().find(|command| command.name == name))
    else {
        usage();
        return ExitCode::from(2);
    };
    match (command.run)(arguments.get(1..).unwrap_or_default()) {
        Ok(note) => {
            println!("{note}");
            ExitCode::SUCCESS
        }
        Err(problems) => {
            if !problems.is_empty() {
                eprintln!("{problems}");
            }
            ExitCode::FAILURE
        }
    }
}

fn usage() {
    eprintln!("cargo xtask COMMAND\n");
    for Command { name, about, .. } in COMMANDS {
        eprintln!("  {name:<13} {about}");
    }
}
