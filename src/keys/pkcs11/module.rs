//! The library of a token, loaded once a process.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::slot::{Slot, TokenInfo};

use super::fault::Fault;
use crate::error::KeyError;

/// The modules that this process has loaded, by their canonical paths. They are never unloaded.
static MODULES: Mutex<BTreeMap<PathBuf, Arc<Module>>> = Mutex::new(BTreeMap::new());

struct Module {
    pkcs11: Pkcs11,
    /// Whether it was we who initialized it, and not another part of the program.
    ours: bool,
    /// How many leases there are. Held while the module is initialized anew.
    leases: Mutex<usize>,
}

/// A module in use: as long as there is another lease, it is not initialized anew.
pub(super) struct Lease(Arc<Module>);

/// Nothing in any slot is the token.
pub(super) const ABSENT: KeyError = KeyError::Absent("no token of that label or serial number");

/// Which token is meant. All that is set must match.
#[derive(Clone, Debug, Default)]
pub(super) struct Choice {
    pub(super) label: Option<String>,
    pub(super) serial: Option<String>,
}

impl Lease {
    /// Loads the module and initializes it, where that has not been done.
    pub(super) fn take(path: &Path) -> Result<Self, KeyError> {
        let fault = |reason: String| KeyError::Module {
            path: path.display().to_string(),
            reason,
        };
        let canonical = path
            .canonicalize()
            .map_err(|error| fault(error.to_string()))?;
        let mut modules = MODULES.lock().unwrap_or_else(PoisonError::into_inner);
        let module = if let Some(module) = modules.get(&canonical) {
            module.clone()
        } else {
            let pkcs11 = Pkcs11::new(path).map_err(|error| fault(error.to_string()))?;
            let ours = initialize(&pkcs11).map_err(|error| fault(error.to_string()))?;
            let module = Arc::new(Module {
                pkcs11,
                ours,
                leases: Mutex::new(0),
            });
            modules.insert(canonical, module.clone());
            module
        };
        // Before the count is waited for: another module may be wanted meanwhile.
        drop(modules);
        *module.leases.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        Ok(Self(module))
    }

    pub(super) fn pkcs11(&self) -> &Pkcs11 {
        &self.0.pkcs11
    }

    /// The slot that the token is in now.
    pub(super) fn find(&self, choice: &Choice) -> Result<(Slot, TokenInfo), Fault> {
        let slots = match self.pkcs11().get_slots_with_token() {
            // Another part of the program finalized the module, or we did and it did not begin anew: some
            // do not without their token.
            Err(Error::Pkcs11(RvError::CryptokiNotInitialized, _)) => {
                initialize(self.pkcs11()).map_err(|_| Fault::Lost(ABSENT))?;
                self.pkcs11().get_slots_with_token()?
            }
            slots => slots?,
        };
        let matching = slots.into_iter().filter_map(|slot| {
            // A slot that does not answer is as good as empty.
            let info = self.pkcs11().get_token_info(slot).ok()?;
            let is = |wanted: &Option<String>, there: &str| {
                wanted.as_ref().is_none_or(|wanted| wanted == there)
            };
            let chosen =
                is(&choice.label, info.label()) && is(&choice.serial, info.serial_number());
            (chosen && info.token_initialized()).then_some((slot, info))
        });
        let mut matching = matching.collect::<Vec<_>>();
        match (matching.pop(), matching.is_empty()) {
            (Some(token), true) => Ok(token),
            (Some(_), false) => Err(Fault::Final(KeyError::Refused(
                "several tokens have that label; choose one by its serial number".into(),
            ))),
            (None, _) => Err(Fault::Lost(ABSENT)),
        }
    }

    /// Initializes the module anew: some see a token that came back in no other way, and those of many
    /// HSMs a line that was cut. Only where nobody else in this process uses the module, as far as we
    /// can know: where we initialized it, and this is the only lease.
    pub(super) fn initialize_anew(&self) -> bool {
        let leases = self.0.leases.lock().unwrap_or_else(PoisonError::into_inner);
        // What fails to end is not begun again, and the next call finds out.
        self.0.ours
            && *leases == 1
            && self.0.pkcs11.clone().finalize().is_ok()
            && initialize(&self.0.pkcs11).is_ok()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut leases = self.0.leases.lock().unwrap_or_else(PoisonError::into_inner);
        *leases = leases.saturating_sub(1);
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
        let Err(KeyError::Module { path, reason }) = Lease::take(Path::new("/nowhere/module.so"))
        else {
            panic!("there is one");
        };
        assert_eq!(path, "/nowhere/module.so");
        assert!(reason.contains("No such file"), "{reason}");
    }

    /// A file that is no library is told by its path, and by what the system says of it.
    #[test]
    fn a_file_that_is_no_module() {
        let Err(KeyError::Module { path, reason }) = Lease::take(Path::new("Cargo.toml")) else {
            panic!("it is one");
        };
        assert_eq!(path, "Cargo.toml");
        assert!(reason.contains("libloading"), "{reason}");
    }
}
