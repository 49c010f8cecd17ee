//! The program: reads the command line, builds the application and serves it.
//!
//! `cargo run -p fapi-backend -- --help` says how.

#![forbid(unsafe_code)]

#[cfg(feature = "demo")]
mod demo;
mod options;

use std::process::ExitCode;

use fapi_backend::Trouble;
use fapi_backend::app::App;
use fapi_backend::tls::TlsListener;
use options::{Certificate, Command, Options, USAGE};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::INFO)
        .with_writer(std::io::stderr)
        .init();
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => {
            eprintln!("fapi-backend: {trouble}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Trouble> {
    match Command::from_arguments(std::env::args().skip(1))? {
        Command::Help => {
            println!("{USAGE}");
            Ok(())
        }
        #[cfg(feature = "demo")]
        Command::Demo { listen } => {
            let listener = TcpListener::bind(&listen).await?;
            let demo = demo::start(listener.local_addr()?).await?;
            demo.explain();
            serve(listener, demo.options()).await
        }
        Command::Serve(options) => serve(TcpListener::bind(&options.listen).await?, *options).await,
    }
}

async fn serve(listener: TcpListener, options: Options) -> Result<(), Trouble> {
    let app = App::build(options.settings).await?;
    let routes = app.routes();
    tracing::info!(address = %listener.local_addr()?, tls = options.certificate.is_some(), "listening");
    match options.certificate {
        Some(Certificate { chain, key }) => {
            let listener = TlsListener::new(listener, &chain, &key)?;
            axum::serve(listener, routes)
                .with_graceful_shutdown(interrupted())
                .await?;
        }
        // A proxy in front speaks https with the browser.
        None => {
            axum::serve(listener, routes)
                .with_graceful_shutdown(interrupted())
                .await?;
        }
    }
    app.settled().await;
    Ok(())
}

async fn interrupted() {
    // Where there is no such signal, nothing interrupts.
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
