//! What can go wrong with a login on the user's own device, beside the login itself.

use std::io;
use std::net::SocketAddr;

use super::violation::Violation;

/// A login on the user's own device did not come to its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NativeError {
    /// The user did not come back in time.
    #[error("the user did not come back in time; begin a new login{}", last_refused(refused.as_deref()))]
    TimedOut {
        /// Why the last callback that came did not count, where one came. It used nothing up.
        refused: Option<Box<Violation>>,
    },
    /// The program called the login off.
    #[error("the login was called off")]
    Cancelled,
    /// There is no listening at that address.
    #[error("can't listen on {address} ({kind}); is the port taken?")]
    Listen {
        /// The address and port; port 0 where the system was to choose.
        address: SocketAddr,
        /// What the system says.
        kind: io::ErrorKind,
    },
    /// The system takes no more connections.
    #[error("the system hands over no more connections ({0}); begin a new login")]
    Accept(io::ErrorKind),
    /// What the browser was to open is not an https URL.
    #[error("a browser is sent to https URLs alone")]
    BrowserUrl,
    /// No browser could be started. The user can open the URL by hand, on another device even where the
    /// port is forwarded.
    #[error("no browser could be started; open the URL by hand")]
    NoBrowser,
}

fn last_refused(refused: Option<&Violation>) -> String {
    refused
        .map(|violation| format!(" (the last callback did not count: {violation})"))
        .unwrap_or_default()
}

impl NativeError {
    /// A stable name for this error.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TimedOut { .. } => "native.timed_out",
            Self::Cancelled => "native.cancelled",
            Self::Listen { .. } => "native.listen",
            Self::Accept(_) => "native.accept",
            Self::BrowserUrl => "native.browser_url",
            Self::NoBrowser => "native.no_browser",
        }
    }

    /// Whether the same call, made again later, may succeed.
    #[must_use]
    pub const fn retry_may_help(&self) -> bool {
        matches!(
            self,
            Self::TimedOut { .. } | Self::Listen { .. } | Self::Accept(_)
        )
    }
}
