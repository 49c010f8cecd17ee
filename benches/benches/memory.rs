//! What a session costs in the memory store: an access token of 1 KiB, a refresh token of 256 bytes, one
//! P-256 key. The limit is 4 KiB.

use std::fs;
use std::process::ExitCode;

use fapi_benches::{Server, client, log_in};
use fapi_client::Stores;

const SESSIONS: u64 = 100_000;
const LIMIT: u64 = 4096;

/// Bytes of this process in memory, as the kernel counts them.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kilobytes.unwrap_or_default() * 1024
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let server = Server::default();
    let client = match client(&server, Stores::memory()).await {
        Ok(client) => client,
        Err(error) => {
            eprintln!("no client: {error}");
            return ExitCode::FAILURE;
        }
    };
    // What the first ones need is there for all.
    for _ in 0..1000 {
        if let Err(error) = log_in(&client).await {
            eprintln!("no login: {error}");
            return ExitCode::FAILURE;
        }
        tokio::task::yield_now().await;
    }
    let before = resident();
    for _ in 0..SESSIONS {
        if let Err(error) = log_in(&client).await {
            eprintln!("no login: {error}");
            return ExitCode::FAILURE;
        }
        // What a login does in the background has its turn, as on any server.
        tokio::task::yield_now().await;
    }
    let each = resident().saturating_sub(before) / SESSIONS;
    println!("{SESSIONS} sessions in memory: {each} bytes each, of {LIMIT} at most");
    if before == 0 || each > LIMIT {
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
