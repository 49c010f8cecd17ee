//! Logins under way, one file each.

use std::time::Duration;

use super::folder::Folder;
use super::format::{Content, MAX_BYTES};
use super::names::{self, Named};
use super::records::{ends, live_among};
use super::sweep;
use crate::error::StoreError;
use crate::store::{Digest, TransactionKey};
use crate::time::unix_nanos;

/// The most logins that one browser may have under way; a further one drops the oldest.
const PER_OWNER: usize = 16;
/// The most logins in all. A folder serves one user or a few, so this is out of reach of honest use.
const IN_ALL: usize = 10_000;

pub(super) fn put(
    folder: &Folder,
    key: &TransactionKey,
    bytes: Vec<u8>,
    life: Duration,
) -> Result<(), StoreError> {
    let now = unix_nanos();
    let content = Content {
        version: 0,
        fence: 0,
        written: now,
        ends: ends(now, Some(life)),
        tags: Vec::new(),
        bytes,
    };
    let text = content.encode()?;
    let mut others = others(folder, key)?;
    if others.len() >= IN_ALL {
        sweep::now(folder, now)?;
        others = self::others(folder, key)?;
    }
    if others.len() >= IN_ALL {
        return Err(StoreError::Full);
    }
    others.retain(|other| other.owner == key.owner);
    if others.len() >= PER_OWNER {
        drop_oldest(folder, &others, now)?;
    }
    folder.write(&names::login(key), &text)
}

fn others(folder: &Folder, key: &TransactionKey) -> Result<Vec<TransactionKey>, StoreError> {
    let names = folder.names()?.into_iter();
    let logins = names.filter_map(|name| match names::read(&name) {
        Some(Named::Login(found)) if found != *key => Some(found),
        _ => None,
    });
    Ok(logins.collect())
}

/// Makes room for one more.
fn drop_oldest(folder: &Folder, own: &[TransactionKey], now: u64) -> Result<(), StoreError> {
    let mut known = Vec::new();
    for key in own {
        let name = names::login(key);
        // What has passed, or can't be read, goes first.
        let written = live_among(folder, &name, now)?.map_or(0, |content| content.written);
        known.push((written, name));
    }
    known.sort();
    let surplus = known.len().saturating_sub(PER_OWNER - 1);
    for (_, name) in known.into_iter().take(surplus) {
        folder.remove(&name)?;
    }
    Ok(())
}

pub(super) fn of(
    folder: &Folder,
    owner: &Digest,
) -> Result<Vec<(TransactionKey, Vec<u8>)>, StoreError> {
    let now = unix_nanos();
    let mut found = Vec::new();
    for name in folder.names()? {
        let Some(Named::Login(key)) = names::read(&name) else {
            continue;
        };
        if key.owner != *owner {
            continue;
        }
        let content = live_among(folder, &name, now)?;
        found.extend(content.map(|content| (content.written, key, content.bytes)));
    }
    found.sort_by_key(|(written, ..)| *written);
    let logins = found.into_iter().map(|(_, key, bytes)| (key, bytes));
    Ok(logins.collect())
}

pub(super) fn take(folder: &Folder, key: &TransactionKey) -> Result<Option<Vec<u8>>, StoreError> {
    let name = names::login(key);
    let Some(text) = folder.read(&name, MAX_BYTES)? else {
        return Ok(None);
    };
    let content = Content::decode(&text)?;
    // Whoever removes the file has it.
    let taken = folder.remove(&name)?;
    folder.sync()?;
    let live = taken && content.is_live(unix_nanos());
    Ok(live.then_some(content.bytes))
}
