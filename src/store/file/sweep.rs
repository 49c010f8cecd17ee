//! Takes away what has passed and what a crash left, now and then.

use super::folder::{Folder, is_still_there};
use super::format;
use super::guard::Guard;
use super::names::{self, Named};
use crate::error::StoreError;
use crate::time::unix_nanos;

/// How often, in nanoseconds, among all processes.
const EVERY: u64 = 300 * 1_000_000_000;

/// Sweeps where nobody has done so for a while. It is a favour: an error of it is nobody's.
pub(super) fn when_due(folder: &Folder, guard: &mut Guard) {
    let time = unix_nanos();
    // A clock that was set back does not end the sweeping.
    if time.abs_diff(guard.swept()) < EVERY {
        return;
    }
    let swept = guard
        .set_swept(time, folder)
        .and_then(|()| now(folder, time));
    if let Err(error) = swept {
        tracing::debug!(%error, "the folder of the store was not swept");
    }
}

/// Sweeps. The store is held, so nobody is in the middle of a write.
pub(super) fn now(folder: &Folder, time: u64) -> Result<(), StoreError> {
    for name in folder.names()? {
        let swept = one(folder, &name, time);
        if let Err(error) = swept {
            tracing::debug!(%error, file = name, "a file of the store was not swept");
        }
    }
    Ok(())
}

fn one(folder: &Folder, name: &str, time: u64) -> Result<(), StoreError> {
    let gone = match names::read(name) {
        Some(Named::Unfinished) => true,
        Some(Named::Record(_) | Named::Login(_)) => has_passed(folder, name, time)?,
        Some(Named::Room(key)) => !folder.has_file(&names::record(&key))?,
        Some(Named::Lock(_)) => return remove_lock(folder, name),
        None => false,
    };
    if gone {
        folder.remove(name)?;
    }
    Ok(())
}

/// What can't be read is left as it is.
fn has_passed(folder: &Folder, name: &str, time: u64) -> Result<bool, StoreError> {
    match folder.read_head(name, format::HEAD)? {
        Some(head) => Ok(format::ends(&head)? <= time),
        None => Ok(false),
    }
}

/// Removes the file of a lock that nobody holds. Whoever opened it meanwhile sees, once it has the
/// lock, that the file is no longer there, and begins anew. Where that can't be seen, the file stays.
fn remove_lock(folder: &Folder, name: &str) -> Result<(), StoreError> {
    if cfg!(unix) {
        let file = folder.open_lock(name)?;
        if file.try_lock().is_ok() && is_still_there(&file, &folder.at(name)) {
            folder.remove(name)?;
        }
    }
    Ok(())
}
