//! What a token's answers mean for whoever asked.

use cryptoki::error::{Error, RvError};

use crate::error::KeyError;

/// Why something did not work.
#[derive(Debug)]
pub(super) enum Fault {
    /// What was known of the token is gone: its slot, the session or the login. A new session may help;
    /// where it does not, this is the error.
    Lost(KeyError),
    /// A handle leads nowhere: the key was deleted, or the token is gone.
    Handle,
    /// Another try does not help.
    Final(KeyError),
}

/// The token is not in its slot.
pub(super) const GONE: KeyError = KeyError::Absent("the token was taken out");

impl Fault {
    pub(super) fn into_error(self) -> KeyError {
        match self {
            Self::Lost(error) | Self::Final(error) => error,
            Self::Handle => KeyError::Unavailable,
        }
    }
}

impl From<KeyError> for Fault {
    fn from(error: KeyError) -> Self {
        Self::Final(error)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let Error::Pkcs11(code, _) = &error else {
            return Self::Final(refused(&error));
        };
        if let Some(reason) = pin(code) {
            return Self::Final(KeyError::Pin(reason));
        }
        match code {
            RvError::TokenNotPresent
            | RvError::TokenNotRecognized
            | RvError::DeviceRemoved
            | RvError::SlotIdInvalid => Self::Lost(GONE),
            // The last three is what the library of an HSM in the network says when the line is cut.
            RvError::SessionHandleInvalid
            | RvError::SessionClosed
            | RvError::UserNotLoggedIn
            | RvError::OperationActive
            | RvError::CryptokiNotInitialized
            | RvError::DeviceError
            | RvError::GeneralError
            | RvError::FunctionFailed => Self::Lost(KeyError::Unavailable),
            RvError::KeyHandleInvalid | RvError::ObjectHandleInvalid => Self::Handle,
            RvError::HostMemory
            | RvError::CantLock
            | RvError::Cancel
            | RvError::FunctionCanceled => Self::Final(KeyError::Unavailable),
            _ => Self::Final(refused(&error)),
        }
    }
}

/// What is wrong with the PIN, where that is what the code says. None of these may be tried again: a
/// token locks itself after a few wrong ones.
pub(super) const fn pin(code: &RvError) -> Option<&'static str> {
    Some(match code {
        RvError::PinIncorrect => "it is wrong",
        RvError::PinInvalid => "it has characters that the token does not take",
        RvError::PinLenRange => "it is too short or too long for the token",
        RvError::PinExpired => "it has expired; set a new one with the token's own program",
        RvError::PinLocked => "the token has locked itself; unlock it with the token's own program",
        RvError::UserPinNotInitialized => "the token has none yet; set one with its own program",
        _ => return None,
    })
}

/// The code and the function that gave it. Neither the PIN nor what was signed is in there.
fn refused(error: &Error) -> KeyError {
    KeyError::Refused(match error {
        Error::Pkcs11(code, function) => format!("{code:?} by C_{function:?}"),
        other => other.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use cryptoki::context::Function;

    use super::*;

    fn fault(code: RvError) -> Fault {
        Fault::from(Error::Pkcs11(code, Function::Sign))
    }

    /// CA-9: what a new session may heal, and what is said where it does not.
    #[test]
    fn a_lost_token_is_told_from_a_lost_session() {
        for code in [
            RvError::TokenNotPresent,
            RvError::TokenNotRecognized,
            RvError::DeviceRemoved,
            RvError::SlotIdInvalid,
        ] {
            assert!(matches!(fault(code), Fault::Lost(error) if error == GONE));
        }
        for code in [
            RvError::SessionHandleInvalid,
            RvError::SessionClosed,
            RvError::UserNotLoggedIn,
            RvError::OperationActive,
            RvError::CryptokiNotInitialized,
            RvError::DeviceError,
            RvError::GeneralError,
            RvError::FunctionFailed,
        ] {
            assert!(matches!(fault(code), Fault::Lost(KeyError::Unavailable)));
        }
        for code in [RvError::KeyHandleInvalid, RvError::ObjectHandleInvalid] {
            assert!(matches!(fault(code), Fault::Handle));
        }
    }

    /// A PIN that was refused is never tried again: each of these is final.
    #[test]
    fn a_refused_pin_is_final() {
        for code in [
            RvError::PinIncorrect,
            RvError::PinInvalid,
            RvError::PinLenRange,
            RvError::PinExpired,
            RvError::PinLocked,
            RvError::UserPinNotInitialized,
        ] {
            assert!(matches!(fault(code), Fault::Final(KeyError::Pin(_))));
        }
    }

    /// Whatever else the token says is told by its code and by the function.
    #[test]
    fn the_rest_is_told_by_its_name() {
        let error = fault(RvError::MechanismInvalid).into_error();
        let told = KeyError::Refused("MechanismInvalid by C_Sign".into());
        assert_eq!(error, told);
    }
}
