//! Many sessions, several processes, and everything that goes wrong: workers killed, answers dropped and
//! delayed, the store restarted. At the end every session still works, and no worker has ended but those that
//! were killed.
//!
//! `chaos --store redis|files --seconds N [--seed N]` is the test; `chaos worker FILE` is one process of
//! it, which the test starts and kills.

// Everything here serves a test, where a panic is how a failure is told.
#![allow(clippy::missing_panics_doc)]

mod plan;
mod process;
mod weather;
mod worker;

use std::collections::BTreeMap;
use std::env;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use fapi_client::{Client, KeySet, SessionId, SoftwareKey};
use fapi_testkit::{Nonces, Registration, TestServer};

use plan::Plan;
use weather::Weather;

const SESSIONS: usize = 200;
const WORKERS: usize = 4;
const ACCESS_TOKEN_LIFE: Duration = Duration::from_secs(2);
/// How long the server takes the old refresh token after a rotation.
const GRACE: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    if let [mode, file] = arguments.as_slice()
        && mode == "worker"
    {
        return runtime.block_on(worker::run(file));
    }
    let option = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).cloned()
    };
    let store = option("--store").unwrap_or_else(|| "redis".to_owned());
    let seconds = option("--seconds").and_then(|text| text.parse().ok());
    let seed = option("--seed").and_then(|text| text.parse().ok());
    runtime.block_on(test(
        &store,
        Duration::from_secs(seconds.unwrap_or(30)),
        seed.unwrap_or(0x5eed),
    ))
}

async fn test(store: &str, length: Duration, seed: u64) -> ExitCode {
    let server = TestServer::builder()
        .refresh_rotation(true)
        .rotation_grace(GRACE)
        .access_token_life(ACCESS_TOKEN_LIFE)
        .nonces(Nonces::default())
        .start()
        .await;
    let key = SoftwareKey::generate_es256().expect("a key");
    server.register(
        Registration::new(plan::CLIENT_ID)
            .jwks(KeySet::new(key.clone()).jwks())
            .redirect_uri(plan::REDIRECT_URI),
    );
    let (plan, redis) = Plan::new(&server, &key, store);
    let client = plan.client().await.expect("a client");
    let sessions = log_in(&client, &server).await;
    let plan = plan.with_sessions(&sessions);
    drop(client);
    println!("{SESSIONS} sessions on {store}; {length:?} of weather, seed {seed}");

    let mut weather = Weather::new(server.clone(), plan.clone(), redis, seed);
    weather.start_workers(WORKERS);
    let end = Instant::now() + length;
    while Instant::now() < end {
        weather.tick().await;
    }
    let report = weather.clear().await;
    let lost = check(&plan, &sessions).await;
    let twice = server.tokens_used_twice().len();
    report.print();
    println!(
        "at the end: {} of {SESSIONS} sessions work, {twice} refresh tokens used twice outside of the grace",
        SESSIONS - lost.len(),
    );
    for (tag, code) in &lost {
        println!("lost: {tag} {code}");
    }
    let good = lost.is_empty()
        && twice == 0
        && report.lost.is_empty()
        && report.ended.is_empty()
        && report.calls > 0;
    println!(
        "{} passed, {} failed",
        usize::from(good),
        usize::from(!good)
    );
    if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

async fn log_in(client: &Client, server: &TestServer) -> Vec<SessionId> {
    let mut sessions = Vec::new();
    for number in 0..SESSIONS {
        let login = client.login().scope("openid accounts").start().await;
        let login = login.expect("a login begins");
        let browser = server.browser(&format!("user-{number}"));
        let callback = browser.approve(login.url().as_str()).await;
        let session = client.finish_login(login.transaction(), callback).await;
        sessions.push(session.expect("a login ends").id().clone());
    }
    sessions
}

/// Every session is opened by a process that has not seen it, renewed, and used. What does not work at
/// once (a lease of a dead process has to pass) is tried again for a while.
async fn check(plan: &Plan, sessions: &[SessionId]) -> BTreeMap<String, String> {
    let client = plan.client().await.expect("a client");
    let mut lost = BTreeMap::new();
    for id in sessions {
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            let outcome = async {
                let session = client.session(id).await?;
                session.refresh().await?;
                let answer = session.get(plan.url()).send().await?;
                answer.error_for_status().map(drop)
            };
            match outcome.await {
                Ok(()) => break,
                Err(error) if Instant::now() < end && error.retry_may_help() => {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                Err(error) => {
                    lost.insert(id.tag(), error.code().to_owned());
                    break;
                }
            }
        }
    }
    lost
}
