//! The passphrase that seals the files.

use std::fs;
use std::io::ErrorKind::{Interrupted, UnexpectedEof};
use std::path::Path;

use fapi_client::Error;
use fapi_client::store::{FileStore, SealingKeys};
use zeroize::Zeroizing;

use crate::arguments::Arguments;
use crate::say::Failure;

/// The sealing key that the passphrase gives: out of the file that the command line names, or typed in.
pub(crate) async fn sealing_keys(
    arguments: &Arguments,
    store: &FileStore,
    folder: &Path,
) -> Result<SealingKeys, Failure> {
    let passphrase = match &arguments.passphrase_file {
        Some(file) => Zeroizing::new(fs::read_to_string(file).map_err(Failure::file(file))?),
        None => typed(is_new(folder))?,
    };
    let passphrase = passphrase.trim_end_matches(['\r', '\n']);
    Ok(SealingKeys::from_passphrase(store, passphrase)
        .await
        .map_err(Error::from)?)
}

/// The first passphrase becomes the folder's own: the store writes its salt into this file.
fn is_new(folder: &Path) -> bool {
    !folder.join("passphrase").exists()
}

/// Asks at the terminal; for a new one twice, since a slip would lock the user out.
fn typed(is_new: bool) -> Result<Zeroizing<String>, Failure> {
    if !is_new {
        return ask("Passphrase: ");
    }
    let passphrase = ask("A new passphrase: ")?;
    let again = ask("The same again: ")?;
    if *passphrase != *again {
        return Err(Failure::PassphrasesDiffer);
    }
    Ok(passphrase)
}

fn ask(prompt: &str) -> Result<Zeroizing<String>, Failure> {
    match rpassword::prompt_password(prompt) {
        Ok(passphrase) => Ok(Zeroizing::new(passphrase)),
        // Ctrl-D; and Ctrl-C, where it does not end the program by itself.
        Err(error) if matches!(error.kind(), Interrupted | UnexpectedEof) => {
            Err(Failure::CalledOff)
        }
        Err(_) => Err(Failure::NoTerminal),
    }
}
