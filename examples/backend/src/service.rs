//! What machines ask for: our public keys, whether we are well, and how often what has happened.
//!
//! `/healthz` and `/metrics` are for the inside: the proxy in front should not pass them on.

use std::fmt::Write;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use fapi_client::{Error, SessionId, StoreError};

use crate::app::App;

/// `GET /jwks`: what is registered at the server as our `jwks_uri`. When keys change, the new one stands here
/// before it is used.
pub(crate) async fn jwks(State(app): State<App>) -> Response {
    let headers = [
        (CONTENT_TYPE, "application/jwk-set+json"),
        (CACHE_CONTROL, "public, max-age=300"),
    ];
    match app.shared.client.jwks() {
        Ok(jwks) => (headers, jwks.to_string()).into_response(),
        Err(error) => {
            tracing::error!(code = error.code(), "the key set can't be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// `GET /healthz`: whether the store answers, by a session that never was.
pub(crate) async fn healthz(State(app): State<App>) -> Response {
    let nobody = SessionId::from("healthz");
    match app.shared.client.session(&nobody).await {
        Err(Error::Store(StoreError::NoSuchSession)) => "ok\n".into_response(),
        Err(error) => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("{}\n", error.code()),
        )
            .into_response(),
        Ok(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// `GET /metrics`, in the text format of Prometheus.
pub(crate) async fn metrics(State(app): State<App>) -> Response {
    let counters = app.shared.client.counters();
    let all = [
        ("sessions_created", counters.sessions_created),
        ("sessions_updated", counters.sessions_updated),
        ("sessions_ended", counters.sessions_ended),
        ("rotations_lost", counters.rotations_lost),
        ("refreshes_failed", counters.refreshes_failed),
        ("nonces_retried", counters.nonces_retried),
        ("clock_offsets", counters.clock_offsets),
        ("store_failures", counters.store_failures),
    ];
    let mut text = String::new();
    for (name, count) in all {
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "# TYPE fapi_{name}_total counter\nfapi_{name}_total {count}"
        );
    }
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}
