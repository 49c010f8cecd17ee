//! The library of a token, loaded once a process.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::slot::{Slot, TokenInfo};

use super::fault::Fault;
use crate::error::KeyError;

/// The modules that this process has loaded, by their canonical paths. They are never finalized: another
/// part of the program may use them as well.
static MODULES: Mutex<BTreeMap<PathBuf, Pkcs11>> = Mutex::new(BTreeMap::new());

/// Which token is meant. All that is set must match.
#[derive(Clone, Debug, Default)]
pub(super) struct Choice {
    pub(super) label: Option<String>,
    pub(super) serial: Option<String>,
}

/// The module, initialized.
pub(super) fn load(path: &Path) -> Result<Pkcs11, KeyError> {
    let fault = |reason: String| KeyError::Module {
        path: path.display().to_string(),
        reason,
    };
    let canonical = path
        .canonicalize()
        .map_err(|error| fault(error.to_string()))?;
    // Held while the module is initialized, which happens once.
    let mut modules = MODULES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(module) = modules.get(&canonical) {
        return Ok(module.clone());
    }
    let module = Pkcs11::new(path).map_err(|error| fault(error.to_string()))?;
    initialize(&module).map_err(|error| fault(error.to_string()))?;
    modules.insert(canonical, module.clone());
    Ok(module)
}

/// The slot that the token is in now.
pub(super) fn find(module: &Pkcs11, choice: &Choice) -> Result<(Slot, TokenInfo), Fault> {
    let slots = match module.get_slots_with_token() {
        // Another part of the program finalized the module.
        Err(Error::Pkcs11(RvError::CryptokiNotInitialized, _)) => {
            initialize(module)?;
            module.get_slots_with_token()?
        }
        slots => slots?,
    };
    let matching = slots.into_iter().filter_map(|slot| {
        // A slot that does not answer is as good as empty.
        let info = module.get_token_info(slot).ok()?;
        let is = |wanted: &Option<String>, there: &str| {
            wanted.as_ref().is_none_or(|wanted| wanted == there)
        };
        let chosen = is(&choice.label, info.label()) && is(&choice.serial, info.serial_number());
        (chosen && info.token_initialized()).then_some((slot, info))
    });
    let mut matching = matching.collect::<Vec<_>>();
    match (matching.pop(), matching.is_empty()) {
        (Some(token), true) => Ok(token),
        (Some(_), false) => Err(Fault::Final(KeyError::Refused(
            "several tokens have that label; choose one by its serial number".into(),
        ))),
        (None, _) => Err(Fault::Lost(KeyError::Absent(
            "no token of that label or serial number",
        ))),
    }
}

fn initialize(module: &Pkcs11) -> Result<(), Error> {
    match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => Ok(()),
        other => other,
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
