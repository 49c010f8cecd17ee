//! Who may log in to the token, and with which PIN.

use std::sync::{Mutex, PoisonError};

use cryptoki::error::{Error, RvError};
use cryptoki::session::{Session, SessionState, UserType};
use cryptoki::slot::TokenInfo;
use cryptoki::types::AuthPin;
use zeroize::Zeroizing;

use super::fault::{self, Fault};
use crate::error::KeyError;

/// What asks for the PIN.
pub(super) type PinSource = Box<dyn Fn() -> Result<Zeroizing<String>, KeyError> + Send + Sync>;

/// One login at a time, and none after a PIN was refused.
pub(super) struct Gate {
    source: Option<PinSource>,
    /// Held while a login is under way, so that a wrong PIN is tried once and not by every session.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// A PIN for one login.
    once: Option<Zeroizing<String>>,
    /// Whether there ever was one.
    had_one: bool,
    /// Why the token refused the last PIN.
    refused: Option<&'static str>,
}

impl Gate {
    pub(super) fn new(source: Option<PinSource>, once: Option<Zeroizing<String>>) -> Self {
        let state = State {
            had_one: once.is_some(),
            once,
            refused: None,
        };
        Self {
            source,
            state: Mutex::new(state),
        }
    }

    /// Forgets that a PIN was refused, and takes one for the next login, where there is one.
    pub(super) fn open(&self, once: Option<Zeroizing<String>>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.refused = None;
        if once.is_some() {
            state.had_one = true;
            state.once = once;
        }
    }

    /// Logs the user in, unless the token wants no login or the process is logged in already: a login
    /// holds for all sessions of the process.
    pub(super) fn log_in(&self, session: &Session, token: &TokenInfo) -> Result<(), Fault> {
        if !token.login_required() {
            return Ok(());
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if is_logged_in(session)? {
            return Ok(());
        }
        // A token locks itself after a few wrong PINs, so none that was refused is tried again.
        if let Some(reason) = state.refused {
            return Err(Fault::Final(KeyError::Pin(reason)));
        }
        if token.user_pin_locked() {
            return Err(Fault::from(KeyError::Pin(
                "the token has locked itself; unlock it with the token's own program",
            )));
        }
        let pin = self.pin(&mut state, token)?;
        let outcome = session.login(UserType::User, pin.as_ref());
        // Wiped before anything else happens.
        drop(pin);
        match outcome {
            Err(Error::Pkcs11(code, _)) if fault::pin(&code).is_some() => {
                state.refused = fault::pin(&code);
                Err(Fault::Final(KeyError::Pin(
                    state.refused.unwrap_or_default(),
                )))
            }
            Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(()),
            outcome => Ok(outcome?),
        }
    }

    /// The PIN for this login; none where it is typed in at the token itself.
    fn pin(&self, state: &mut State, token: &TokenInfo) -> Result<Option<AuthPin>, KeyError> {
        let pin = match (state.once.take(), &self.source) {
            (Some(pin), _) => pin,
            (None, Some(source)) => source()?,
            (None, None) if token.protected_authentication_path() => return Ok(None),
            (None, None) if state.had_one => {
                return Err(KeyError::Pin(
                    "it is needed again and was given once; call unlock_with",
                ));
            }
            (None, None) => {
                return Err(KeyError::Pin("the token wants one, and none is set"));
            }
        };
        // A copy of its own length, so that no grown buffer is left behind. Both are wiped.
        Ok(Some(AuthPin::from(pin.as_str())))
    }
}

pub(super) fn is_logged_in(session: &Session) -> Result<bool, Fault> {
    let state = session.get_session_info()?.session_state();
    Ok(matches!(state, SessionState::RoUser | SessionState::RwUser))
}
