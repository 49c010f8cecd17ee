//! How a token is chosen and unlocked.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use super::Pkcs11Keys;
use super::connection::Token;
use super::gate::{Gate, PinSource};
use super::module::Choice;
use super::pool::Pool;
use crate::error::KeyError;

/// What is set before a token is opened. [`Pkcs11Keys::builder`] begins it.
#[must_use = "nothing happens before `open`"]
pub struct Pkcs11Builder {
    module: PathBuf,
    choice: Choice,
    source: Option<PinSource>,
    once: Option<Zeroizing<String>>,
    sessions: u8,
    time_limit: Duration,
}

impl Pkcs11Builder {
    pub(super) fn new(module: PathBuf) -> Self {
        Self {
            module,
            choice: Choice::default(),
            source: None,
            once: None,
            sessions: 2,
            time_limit: Duration::from_secs(10),
        }
    }

    /// The label of the token (`CKA_LABEL` of `CK_TOKEN_INFO`), which it got when it was initialized.
    pub fn token_label(mut self, label: impl Into<String>) -> Self {
        self.choice.label = Some(label.into());
        self
    }

    /// The serial number of the token. Where a label is set as well, both must match. With a serial
    /// number the PIN goes to that one token, and never to another that was given the same label.
    pub fn token_serial(mut self, serial: impl Into<String>) -> Self {
        self.choice.serial = Some(serial.into());
        self
    }

    /// What gives the PIN, each time a login is needed: a question to the operator, or a secret store.
    /// It is asked once for all sessions, and again when the token was away. What it returns is wiped as
    /// soon as the token has it; an error of its own is handed on.
    ///
    /// It is called on a thread of its own, and may wait. [`time_limit`](Self::time_limit) counts that
    /// time as well.
    ///
    /// Without a PIN, a token that has a PIN pad asks there.
    pub fn pin(
        mut self,
        source: impl Fn() -> Result<Zeroizing<String>, KeyError> + Send + Sync + 'static,
    ) -> Self {
        self.source = Some(Box::new(source));
        self
    }

    /// A PIN for the first login alone, wiped as soon as the token has it. Where another login is
    /// needed, because the token was away, calls fail with [`KeyError::Pin`] until
    /// [`Pkcs11Keys::unlock_with`] brings it again, or [`pin`](Self::pin) is set as well.
    pub fn pin_once(mut self, pin: impl Into<Zeroizing<String>>) -> Self {
        self.once = Some(pin.into());
        self
    }

    /// How many signatures the token makes at once, 1 to 8. Two by default. Each is a session and a
    /// thread; making and deleting keys takes one more session for a moment.
    pub const fn sessions(mut self, sessions: u8) -> Self {
        self.sessions = sessions;
        self
    }

    /// How long one call may take, the wait for a free session included. 10 seconds by default; making a
    /// key may take six times as long, which RSA keys on a card do. What takes longer is
    /// [`KeyError::Unavailable`]; where the token has begun it, it ends it nevertheless.
    pub const fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = limit;
        self
    }

    /// Loads the module, finds the token and logs in.
    ///
    /// # Errors
    /// [`KeyError::Module`] where the module can't be loaded; [`KeyError::Absent`] where the token is
    /// not there; [`KeyError::Pin`] where it refuses the PIN, or wants one and none is set;
    /// [`KeyError::Refused`] where neither label nor serial number is set, where several tokens match,
    /// or where a setting is out of its range; [`KeyError::Unavailable`] where it takes too long.
    pub async fn open(self) -> Result<Pkcs11Keys, KeyError> {
        let refused = |why: &str| Err(KeyError::Refused(why.into()));
        // Whatever is plugged in would get the PIN otherwise.
        if self.choice.label.is_none() && self.choice.serial.is_none() {
            return refused("choose the token by its label or its serial number");
        }
        if !(1..=8).contains(&self.sessions) {
            return refused("a token is used with 1 to 8 sessions");
        }
        let gate = Gate::new(self.source, self.once);
        let token = Token::new(self.module.clone(), self.choice.clone(), gate);
        let pool = Pool::start(self.sessions.into(), self.time_limit, move || token.clone())?;
        let keys = Pkcs11Keys {
            pool: Arc::new(pool),
            module: self.module,
            choice: self.choice,
        };
        keys.check().await?;
        Ok(keys)
    }
}

/// Names the module and the token, and nothing of the PIN.
impl fmt::Debug for Pkcs11Builder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Pkcs11Builder")
            .field("module", &self.module)
            .field("token", &self.choice)
            .field("sessions", &self.sessions)
            .field("time_limit", &self.time_limit)
            .finish_non_exhaustive()
    }
}
