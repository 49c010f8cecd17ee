//! From an error of the HTTP library to a [`TransportFault`], without its URL.

use std::error::Error;
use std::io;

use crate::error::TransportFault;

/// The longest reason that is passed on. Parts of it are the peer's words.
const REASON_MAX_CHARS: usize = 200;

/// What happened. The error itself is dropped here: its text names the URL, query and all.
pub(super) fn of(error: &reqwest::Error) -> TransportFault {
    let connecting = error.is_connect();
    match tls_error(error) {
        // A server that refuses us under TLS 1.3 says so in an alert after the handshake.
        Some(tls) if connecting || matches!(tls, rustls::Error::AlertReceived(_)) => {
            TransportFault::Tls(reason(tls))
        }
        _ if connecting => TransportFault::Connect,
        _ if error.is_timeout() => TransportFault::Timeout,
        _ => TransportFault::Broken,
    }
}

/// The error of rustls that lies at the bottom, where there is one. It travels inside of an
/// `io::Error`, whose `source` skips it.
fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    if let Some(tls) = error.downcast_ref::<rustls::Error>() {
        return Some(tls);
    }
    let inside = error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref)
        .and_then(|inner| tls_error(inner));
    inside.or_else(|| error.source().and_then(tls_error))
}

/// What rustls says, cut, on one line: a certificate's names are an attacker's to choose.
fn reason(error: &rustls::Error) -> String {
    error
        .to_string()
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(REASON_MAX_CHARS)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tls_error_is_found_inside_of_io_errors() {
        let tls = rustls::Error::General("no".to_owned());
        let inner = io::Error::new(io::ErrorKind::InvalidData, tls.clone());
        let outer = io::Error::other(inner);
        assert_eq!(tls_error(&outer), Some(&tls));
        assert_eq!(tls_error(&io::Error::other("none")), None);
    }

    #[test]
    fn a_reason_is_short_and_on_one_line() {
        let text = reason(&rustls::Error::General("a\r\nforged: line".repeat(100)));
        assert_eq!(text.chars().count(), REASON_MAX_CHARS);
        assert!(!text.contains(char::is_control));
    }
}
