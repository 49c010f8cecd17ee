//! From an error of the HTTP library to a [`TransportFault`], without its URL.

use crate::error::TransportFault;
use crate::tls;

/// What happened. The error itself is dropped here: its text names the URL, query and all.
pub(super) fn of(error: &reqwest::Error) -> TransportFault {
    let connecting = error.is_connect();
    match tls::cause(error) {
        // A server that refuses us under TLS 1.3 says so in an alert after the handshake.
        Some(cause) if connecting || matches!(cause, rustls::Error::AlertReceived(_)) => {
            TransportFault::Tls(tls::reason(cause))
        }
        _ if connecting => TransportFault::Connect,
        _ if error.is_timeout() => TransportFault::Timeout,
        _ => TransportFault::Broken,
    }
}
