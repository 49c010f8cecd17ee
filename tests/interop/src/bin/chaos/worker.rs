//! One process: it uses sessions at random, several at once, until it is killed.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fapi_client::{Client, Error, SessionId, StoreError};

use crate::plan::Plan;
use crate::weather::Dice;

const TASKS: u64 = 8;

pub(crate) async fn run(file: &str) -> ExitCode {
    let plan = Arc::new(Plan::read(file));
    // The store may be down just now.
    let client = loop {
        match plan.client().await {
            Ok(client) => break client,
            Err(error) if error.retry_may_help() => {
                tokio::time::sleep(Duration::from_millis(100)).await
            }
            Err(error) => {
                println!("LOST - {}", error.code());
                return ExitCode::FAILURE;
            }
        }
    };
    let seen: Arc<Mutex<BTreeMap<String, u64>>> = Arc::default();
    for task in 0..TASKS {
        let dice = Dice::new(u64::from(std::process::id()) << 8 | task);
        tokio::spawn(use_sessions(
            plan.clone(),
            client.clone(),
            dice,
            seen.clone(),
        ));
    }
    loop {
        tokio::time::sleep(Duration::from_millis(250)).await;
        let counters = client.counters();
        let mut line = format!("SEEN refreshes={}", counters.sessions_updated);
        for (name, count) in &*seen.lock().expect("no panic inside") {
            line.push_str(&format!(" {name}={count}"));
        }
        println!("{line}");
    }
}

async fn use_sessions(
    plan: Arc<Plan>,
    client: Client,
    mut dice: Dice,
    seen: Arc<Mutex<BTreeMap<String, u64>>>,
) {
    loop {
        let at = dice.below(plan.sessions.len());
        let id = SessionId::from(plan.sessions[at].as_str());
        let outcome = async {
            let session = client.session(&id).await?;
            let answer = session.get(plan.url()).send().await?;
            answer.error_for_status().map(drop)
        };
        let name = match outcome.await {
            Ok(()) => "calls".to_owned(),
            Err(error) => {
                if is_a_loss(&error) {
                    println!("LOST {} {}", id.tag(), error.code());
                }
                error.code().to_owned()
            }
        };
        *seen
            .lock()
            .expect("no panic inside")
            .entry(name)
            .or_default() += 1;
        tokio::time::sleep(Duration::from_millis(
            u64::try_from(dice.below(20)).unwrap_or(0),
        ))
        .await;
    }
}

/// Whether the user would have to sign in, or the store has lost or spoilt a record.
const fn is_a_loss(error: &Error) -> bool {
    match error {
        Error::SignInAgain(_) => true,
        Error::Store(error) => {
            !error.retry_may_help() || matches!(error, StoreError::NoSuchSession)
        }
        _ => false,
    }
}
