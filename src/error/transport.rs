//! Failures of the network and of servers that are down.

use std::fmt;
use std::time::Duration;

use super::violation::Endpoint;

/// A request brought no answer that could be judged.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TransportError {
    /// What was called; `None` where the transport was used by itself.
    pub endpoint: Option<Endpoint>,
    /// What happened.
    pub fault: TransportFault,
}

/// How a request failed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TransportFault {
    /// The request's URI is not https (FAPI2-SP 5.2.1-1), names a user, or is not written as it would
    /// go out. Nothing was sent.
    Uri,
    /// There is no tokio runtime to work in. Nothing was sent.
    NoRuntime,
    /// No connection: name, network or refusal. Nothing was sent.
    Connect,
    /// The TLS handshake failed: a certificate that can't be trusted, a version or cipher suite that
    /// FAPI 2.0 does not allow.
    Tls(String),
    /// The time for the request was over.
    Timeout,
    /// The answer was larger than its limit.
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The connection broke, or what came is no HTTP.
    Broken,
    /// The stream that is the request's body failed.
    RequestBody,
    /// The server answered that it can't serve now.
    Unavailable {
        /// The HTTP status.
        status: u16,
        /// How long the server asks to wait (`Retry-After`), where it does.
        retry_after: Option<Duration>,
    },
}

impl TransportError {
    /// An error of a transport that does not know what it is used for.
    #[must_use]
    pub const fn new(fault: TransportFault) -> Self {
        Self {
            endpoint: None,
            fault,
        }
    }

    pub(crate) const fn at(mut self, endpoint: Endpoint) -> Self {
        self.endpoint = Some(endpoint);
        self
    }

    /// A stable name for this error.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self.fault {
            TransportFault::Uri => "transport.uri",
            TransportFault::NoRuntime => "transport.no_runtime",
            TransportFault::Connect => "transport.connect",
            TransportFault::Tls(_) => "transport.tls",
            TransportFault::Timeout => "transport.timeout",
            TransportFault::TooLarge { .. } => "transport.too_large",
            TransportFault::Broken => "transport.broken",
            TransportFault::RequestBody => "transport.request_body",
            TransportFault::Unavailable { .. } => "transport.unavailable",
        }
    }

    /// Whether the server may have acted on the request.
    #[must_use]
    pub const fn may_have_acted(&self) -> bool {
        matches!(
            self.fault,
            TransportFault::Timeout
                | TransportFault::Broken
                | TransportFault::TooLarge { .. }
                | TransportFault::Unavailable { .. }
        )
    }

    /// Whether a later try may work.
    #[must_use]
    pub const fn retry_may_help(&self) -> bool {
        !matches!(
            self.fault,
            TransportFault::Uri
                | TransportFault::NoRuntime
                | TransportFault::Tls(_)
                | TransportFault::TooLarge { .. }
                | TransportFault::RequestBody
        )
    }
}

impl std::error::Error for TransportError {}

impl fmt::Display for TransportError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(endpoint) = self.endpoint {
            write!(formatter, "{endpoint}: ")?;
        }
        match &self.fault {
            TransportFault::Uri => formatter
                .write_str("the URI is not https, names a user, or is not in its normal form"),
            TransportFault::NoRuntime => formatter.write_str("there is no tokio runtime"),
            TransportFault::Connect => formatter.write_str("no connection"),
            TransportFault::Tls(reason) => write!(formatter, "the TLS handshake failed: {reason}"),
            TransportFault::Timeout => formatter.write_str("no answer in time"),
            TransportFault::TooLarge { limit } => {
                write!(formatter, "the answer is larger than {limit} bytes")
            }
            TransportFault::Broken => formatter.write_str("the connection broke"),
            TransportFault::RequestBody => formatter.write_str("the request's body failed"),
            TransportFault::Unavailable {
                status,
                retry_after,
            } => {
                write!(formatter, "the server can't serve now (status {status})")?;
                match retry_after {
                    Some(wait) => write!(formatter, "; it asks to wait {} s", wait.as_secs()),
                    None => Ok(()),
                }
            }
        }
    }
}
