//! What the client adds to an API call, to opening a session and to a refresh, as ratios to one ES256
//! signature, all in one run.

use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use fapi_benches::{API, Server, client, log_in};
use fapi_client::store::{MemoryStore, SealingKey, SealingKeys};
use fapi_client::{Error, Signer, SoftwareKey, Stores};

const ROUNDS: u32 = 2000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Error> {
    let signer = SoftwareKey::generate_es256()?;
    let start = Instant::now();
    for _ in 0..ROUNDS {
        black_box(signer.sign(b"what a proof is about").await?);
    }
    let signature = start.elapsed();
    println!("one ES256 signature: 1.0");
    let sealed = SealingKeys::new(SealingKey::generate("bench")?);
    for (name, stores) in [
        ("memory", Stores::memory()),
        ("memory, sealed", Stores::new(MemoryStore::new(), sealed)),
    ] {
        let client = client(&Server::default(), stores).await?;
        let session = log_in(&client).await?;
        let (id, url) = (session.id().clone(), format!("{API}/accounts"));

        let start = Instant::now();
        for _ in 0..ROUNDS {
            black_box(session.get(&url).send().await?);
        }
        report(name, "an API call", start.elapsed(), signature);

        drop(session);
        let start = Instant::now();
        for _ in 0..ROUNDS {
            black_box(client.session(&id).await?);
        }
        report(name, "opening a session", start.elapsed(), signature);

        let session = client.session(&id).await?;
        let start = Instant::now();
        for _ in 0..ROUNDS {
            session.refresh().await?;
        }
        report(name, "a refresh", start.elapsed(), signature);
    }
    Ok(())
}

fn report(stores: &str, what: &str, took: Duration, signature: Duration) {
    println!(
        "{what} ({stores}): {:.1}",
        took.as_secs_f64() / signature.as_secs_f64()
    );
}
