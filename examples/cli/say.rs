//! What the user reads, or the script.

use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use fapi_client::{Denied, Error, NativeError};
use serde_json::{Value, json};

/// Answers go to standard output, everything else to standard error.
pub(crate) struct Say {
    json: bool,
}

impl Say {
    pub(crate) const fn new(json: bool) -> Self {
        Self { json }
    }

    /// The answer: as text, or as JSON.
    pub(crate) fn answer(&self, text: impl fmt::Display, json: &Value) {
        if self.json {
            println!("{json}");
        } else {
            println!("{text}");
        }
    }

    /// What goes on meanwhile.
    pub(crate) fn meanwhile(text: impl fmt::Display) {
        eprintln!("{text}");
    }

    /// What went wrong, and the status to end with: 2 the call itself, 3 the user has to log in, 4 the
    /// user or the server said no, 5 a later try may work, 130 Ctrl-C, 1 anything else.
    pub(crate) fn failure(&self, failure: &Failure) -> ExitCode {
        if self.json {
            eprintln!(
                "{}",
                json!({"error": failure.code(), "message": failure.to_string()})
            );
        } else {
            eprintln!("{failure}");
        }
        ExitCode::from(failure.status())
    }
}

/// Why a command did not succeed.
#[derive(Debug)]
pub(crate) enum Failure {
    Usage(&'static str),
    NotRegistered,
    NotLoggedIn,
    NoTerminal,
    CalledOff,
    PassphrasesDiffer,
    File(PathBuf, std::io::Error),
    Client(Error),
}

impl Failure {
    pub(crate) fn file(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::File(path, error)
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Usage(_) => "usage",
            Self::NotRegistered => "not_registered",
            Self::NotLoggedIn => "not_logged_in",
            Self::NoTerminal => "no_terminal",
            Self::CalledOff => "called_off",
            Self::PassphrasesDiffer => "passphrases_differ",
            Self::File(..) => "file",
            Self::Client(error) => error.code(),
        }
    }

    fn status(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::NotRegistered | Self::NoTerminal => 2,
            Self::NotLoggedIn | Self::Client(Error::SignInAgain(_)) => 3,
            Self::Client(Error::Denied(Denied::AccessDenied(_) | Denied::Server(_))) => 4,
            Self::CalledOff | Self::Client(Error::Native(NativeError::Cancelled)) => 130,
            Self::Client(error) if error.retry_may_help() => 5,
            _ => 1,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(text) => formatter.write_str(text),
            Self::NotRegistered => formatter.write_str(
                "this installation is not registered: run `register`, or give --client-id and --key",
            ),
            Self::NotLoggedIn => formatter.write_str("nobody is logged in: run `login`"),
            Self::NoTerminal => formatter.write_str(
                "there is no terminal to ask for the passphrase at: name a file with --passphrase-file",
            ),
            Self::CalledOff => formatter.write_str("called off at the passphrase"),
            Self::PassphrasesDiffer => {
                formatter.write_str("the two passphrases differ, and none was taken: try again")
            }
            Self::File(path, error) => {
                write!(formatter, "{}: {error}; {}", path.display(), what_to_do(error))
            }
            Self::Client(error) => error.fmt(formatter),
        }
    }
}

fn what_to_do(error: &std::io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::NotFound => "name a file that is there",
        ErrorKind::PermissionDenied => "see to it that you may use the file",
        ErrorKind::IsADirectory => "name a file, not a folder",
        ErrorKind::InvalidData => "name a file of text",
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "make room",
        _ => "see what is wrong with the file or its disk",
    }
}

impl<E: Into<Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Client(error.into())
    }
}
