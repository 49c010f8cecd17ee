//! A command line for APIs that FAPI 2.0 protects: log in with the browser, call, log out.
//!
//! ```console
//! $ alias bank='cargo run -q --example cli --features keyring-os,loopback,passphrase --'
//! $ bank register --issuer https://as.bank.example --api https://api.bank.example
//! $ bank login --scope "openid accounts"
//! $ bank call GET https://api.bank.example/accounts
//! $ bank status
//! $ bank logout
//! ```
//!
//! A server without registration gives a client id by hand: `bank login --issuer … --client-id … --key
//! private-key.pem --api …`.
//!
//! Tokens, their keys and the registered client's key are in files that are sealed with a key out of the
//! operating system's keyring (`--store keyring`), or with a passphrase (`--store file`). Two terminals may
//! refresh at once. What a command was told is remembered for the next one, once it has succeeded.

#[path = "cli/arguments.rs"]
mod arguments;
#[path = "cli/commands.rs"]
mod commands;
#[path = "cli/passphrase.rs"]
mod passphrase;
#[path = "cli/profile.rs"]
mod profile;
#[path = "cli/say.rs"]
mod say;

use std::process::ExitCode;

use arguments::Arguments;
use say::Say;

#[tokio::main]
async fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if arguments::ask_for_help(&words) {
        println!("{}", arguments::USAGE);
        return ExitCode::SUCCESS;
    }
    let arguments = match Arguments::read(words.into_iter()) {
        Ok(arguments) => arguments,
        Err(problem) => {
            eprintln!("{problem}\n\n{}", arguments::USAGE);
            return ExitCode::from(2);
        }
    };
    let say = Say::new(arguments.json);
    match commands::run(&arguments, &say).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => say.failure(&failure),
    }
}
