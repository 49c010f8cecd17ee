//! The library of a token, loaded once a process.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::slot::{Slot, TokenInfo};

use super::fault::Fault;
use crate::error::KeyError;

/// The modules that this process has loaded, by their canonical paths. They are never unloaded.
static MODULES: Mutex<BTreeMap<PathBuf, Arc<Module>>> = Mutex::new(BTreeMap::new());

/// How long a session with a token that is away may take to notice, before the module is left as it is.
const PATIENCE: Duration = Duration::from_secs(1);

pub(super) struct Module {
    pkcs11: Pkcs11,
    /// Whether it was we who initialized it, and not another part of the program.
    ours: bool,
    /// Held while tokens are looked for and while the module is initialized anew.
    state: Mutex<State>,
    returned: Condvar,
}

#[derive(Default)]
struct State {
    leases: usize,
    /// How often the module was initialized anew.
    renewed: usize,
}

/// A module in use: as long as there is a lease, it is not initialized anew.
pub(super) struct Lease(Arc<Module>);

/// A token in its slot.
pub(super) struct Found {
    pub(super) lease: Lease,
    pub(super) slot: Slot,
    pub(super) info: TokenInfo,
}

/// Nothing in any slot is the token.
const ABSENT: KeyError = KeyError::Absent("no token of that label or serial number");

/// Which token is meant. All that is set must match.
#[derive(Clone, Debug, Default)]
pub(super) struct Choice {
    pub(super) label: Option<String>,
    pub(super) serial: Option<String>,
}

/// Loads the module and initializes it, where that has not been done.
pub(super) fn load(path: &Path) -> Result<Arc<Module>, KeyError> {
    let fault = |reason: String| KeyError::Module {
        path: path.display().to_string(),
        reason,
    };
    let canonical = path
        .canonicalize()
        .map_err(|error| fault(error.to_string()))?;
    let mut modules = MODULES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(module) = modules.get(&canonical) {
        return Ok(module.clone());
    }
    let pkcs11 = Pkcs11::new(path).map_err(|error| fault(error.to_string()))?;
    let ours = initialize(&pkcs11).map_err(|error| fault(error.to_string()))?;
    let module = Arc::new(Module {
        pkcs11,
        ours,
        state: Mutex::default(),
        returned: Condvar::new(),
    });
    modules.insert(canonical, module.clone());
    Ok(module)
}

impl Module {
    /// The token in the slot that it is in now.
    pub(super) fn find(self: &Arc<Self>, choice: &Choice) -> Result<Found, Fault> {
        self.find_under(&mut self.state(), choice)
    }

    /// The same after the module was initialized anew: some see in no other way that a token is back, or
    /// the line to an HSM. That is done where nobody else in this process uses the module, as far as we
    /// can know: where we initialized it, and nobody has a lease.
    pub(super) fn find_anew(self: &Arc<Self>, choice: &Choice) -> Result<Found, Fault> {
        let mut state = self.state();
        let renewed = state.renewed;
        if self.ours {
            let in_use = |state: &mut State| state.leases > 0 && state.renewed == renewed;
            let waited = self
                .returned
                .wait_timeout_while(state, PATIENCE, in_use)
                .unwrap_or_else(PoisonError::into_inner);
            state = waited.0;
            if state.leases == 0 && state.renewed == renewed {
                state.renewed += 1;
                // Where one of them fails, the module is not initialized, and the search finds out.
                let _ = self.pkcs11.clone().finalize();
                let _ = initialize(&self.pkcs11);
                self.returned.notify_all();
            }
        }
        self.find_under(&mut state, choice)
    }

    fn find_under(self: &Arc<Self>, state: &mut State, choice: &Choice) -> Result<Found, Fault> {
        let slots = match self.pkcs11.get_slots_with_token() {
            // Another part of the program finalized the module, or we did and it did not begin anew: some
            // do not without their token.
            Err(Error::Pkcs11(RvError::CryptokiNotInitialized, _)) => {
                initialize(&self.pkcs11).map_err(|_| Fault::Lost(ABSENT))?;
                self.pkcs11.get_slots_with_token()?
            }
            slots => slots?,
        };
        let matching = slots.into_iter().filter_map(|slot| {
            // A slot that does not answer is as good as empty.
            let info = self.pkcs11.get_token_info(slot).ok()?;
            let is = |wanted: &Option<String>, there: &str| {
                wanted.as_ref().is_none_or(|wanted| wanted == there)
            };
            let chosen =
                is(&choice.label, info.label()) && is(&choice.serial, info.serial_number());
            (chosen && info.token_initialized()).then_some((slot, info))
        });
        let mut matching = matching.collect::<Vec<_>>();
        match (matching.pop(), matching.is_empty()) {
            (Some((slot, info)), true) => {
                state.leases = state.leases.saturating_add(1);
                let lease = Lease(self.clone());
                Ok(Found { lease, slot, info })
            }
            (Some(_), false) => Err(Fault::Final(KeyError::Refused(
                "several tokens have that label; choose one by its serial number".into(),
            ))),
            (None, _) => Err(Fault::Lost(ABSENT)),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease {
    pub(super) fn pkcs11(&self) -> &Pkcs11 {
        &self.0.pkcs11
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.leases = state.leases.saturating_sub(1);
        self.0.returned.notify_all();
    }
}

/// Whether it was not initialized before.
fn initialize(module: &Pkcs11) -> Result<bool, Error> {
    match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => Ok(false),
        outcome => outcome.map(|()| true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A module that is not there is told by its path.
    #[test]
    fn a_module_that_is_not_there() {
        let Err(KeyError::Module { path, reason }) = load(Path::new("/nowhere/module.so")) else {
            panic!("there is one");
        };
        assert_eq!(path, "/nowhere/module.so");
        assert!(reason.contains("No such file"), "{reason}");
    }

    /// A file that is no library is told by its path, and by what the system says of it.
    #[test]
    fn a_file_that_is_no_module() {
        let Err(KeyError::Module { path, reason }) = load(Path::new("Cargo.toml")) else {
            panic!("it is one");
        };
        assert_eq!(path, "Cargo.toml");
        assert!(reason.contains("libloading"), "{reason}");
    }
}
