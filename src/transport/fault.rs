//! From an error of the HTTP library to a [`TransportFault`], without its URL.

use rustls::AlertDescription;

use crate::error::TransportFault;
use crate::tls;

/// What happened. The error itself is dropped here: its text names the URL, query and all.
pub(super) fn of(error: &reqwest::Error) -> TransportFault {
    let connecting = error.is_connect();
    match tls::cause(error) {
        Some(cause) if connecting || is_refusal(cause) => TransportFault::Tls(tls::reason(cause)),
        _ if connecting => TransportFault::Connect,
        _ if error.is_timeout() => TransportFault::Timeout,
        _ => TransportFault::Broken,
    }
}

/// A server that refuses our certificate, or the lack of one, under TLS 1.3 says so in an alert after the
/// handshake, and has read nothing by then. Any other alert may come in the middle of its work.
const fn is_refusal(cause: &rustls::Error) -> bool {
    use AlertDescription as Alert;

    matches!(
        cause,
        rustls::Error::AlertReceived(
            Alert::HandshakeFailure
                | Alert::BadCertificate
                | Alert::UnsupportedCertificate
                | Alert::CertificateRevoked
                | Alert::CertificateExpired
                | Alert::CertificateUnknown
                | Alert::UnknownCA
                | Alert::AccessDenied
                | Alert::CertificateRequired
        )
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ERR-10, ERR-11: of the alerts after a handshake, those about certificates say that nothing was acted on;
    /// others don't.
    #[test]
    fn an_alert_is_a_refusal_or_a_lost_answer() {
        use AlertDescription as Alert;

        let refusal = |alert| is_refusal(&rustls::Error::AlertReceived(alert));
        for alert in [
            Alert::CertificateRequired,
            Alert::UnknownCA,
            Alert::AccessDenied,
        ] {
            assert!(refusal(alert), "{alert:?}");
        }
        for alert in [Alert::InternalError, Alert::DecodeError, Alert::CloseNotify] {
            assert!(!refusal(alert), "{alert:?}");
        }
    }
}
