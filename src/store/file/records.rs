//! Records, one file each. All but reading is done while the store is held.

use super::folder::Folder;
use super::format::{Content, MAX_BYTES, NEVER};
use super::names::{self, Named};
use crate::error::StoreError;
use crate::secret::random_bytes;
use crate::store::{Digest, Record, RecordKey, RecordKind, Replace, Stored};
use crate::time::unix_nanos;

/// What a file holds, where it is there and has not passed.
fn live(folder: &Folder, name: &str, now: u64) -> Result<Option<Content>, StoreError> {
    let Some(text) = folder.read(name, MAX_BYTES)? else {
        return Ok(None);
    };
    Content::decode(&text).map(|content| content.is_live(now).then_some(content))
}

/// The same, for one file of several: what nobody can use does not stand in the way of the others.
pub(super) fn live_among(
    folder: &Folder,
    name: &str,
    now: u64,
) -> Result<Option<Content>, StoreError> {
    match live(folder, name, now) {
        Err(error @ (StoreError::Foreign | StoreError::Truncated | StoreError::Malformed(_))) => {
            tracing::warn!(%error, file = name, "a file of the store is passed over");
            Ok(None)
        }
        other => other,
    }
}

pub(super) fn ends(now: u64, life: Option<std::time::Duration>) -> u64 {
    life.map_or(NEVER, |life| {
        let life = u64::try_from(life.as_nanos()).unwrap_or(NEVER);
        now.saturating_add(life)
    })
}

pub(super) fn load(folder: &Folder, key: &RecordKey) -> Result<Option<Stored>, StoreError> {
    let found = live(folder, &names::record(key), unix_nanos())?;
    Ok(found.map(|content| stored(*key, content)))
}

fn stored(key: RecordKey, content: Content) -> Stored {
    Stored {
        key,
        version: content.version,
        bytes: content.bytes,
    }
}

fn content(record: Record, version: u64, fence: u64, now: u64) -> Content {
    Content {
        version,
        fence,
        written: now,
        ends: ends(now, record.life),
        tags: record.tags,
        bytes: record.bytes,
    }
}

pub(super) fn create(folder: &Folder, key: &RecordKey, record: Record) -> Result<u64, StoreError> {
    let (name, now) = (names::record(key), unix_nanos());
    if live(folder, &name, now)?.is_some() {
        return Err(StoreError::Exists);
    }
    // A record that is deleted and made anew begins elsewhere: who knows the former one's version
    // does not hit this one with it.
    let first = random_bytes().map_err(|_| StoreError::Randomness)?;
    let version = u64::from_be_bytes(*first) >> 1;
    let text = content(record, version, 0, now).encode()?;
    folder.remove(&names::room(key))?;
    folder.write(&name, &text)?;
    Ok(version)
}

pub(super) fn replace(
    folder: &Folder,
    key: &RecordKey,
    replace: Replace,
) -> Result<u64, StoreError> {
    let (name, room, now) = (names::record(key), names::room(key), unix_nanos());
    let known = live(folder, &name, now)?.ok_or(StoreError::Conflict)?;
    let fence = replace.fence.unwrap_or(known.fence);
    if fence < known.fence {
        return Err(StoreError::Fenced);
    }
    if known.version != replace.expected {
        return Err(StoreError::Conflict);
    }
    let version = known.version.wrapping_add(1);
    let text = content(replace.record, version, fence, now).encode()?;
    // First the space for the next write. Where it can't be had, nothing has changed.
    let next_room = match replace.room {
        0 => None,
        more => {
            let size = text.len().saturating_add(more).min(MAX_BYTES);
            Some(folder.write_unfinished(&room, &filler(size)?)?)
        }
    };
    let written = match folder.has_file(&room) {
        Ok(true) => folder.write_through(&room, &name, &text),
        Ok(false) => folder.write(&name, &text),
        Err(error) => Err(error),
    };
    match next_room {
        Some(unfinished) if written.is_ok() => {
            folder.rename(&unfinished, &room)?;
            folder.sync()?;
        }
        Some(_) => {
            folder.remove(&(room + names::UNFINISHED))?;
        }
        None => {}
    }
    written.map(|()| version)
}

/// Bytes that no file system can leave out or make smaller.
fn filler(size: usize) -> Result<Vec<u8>, StoreError> {
    let seed = random_bytes().map_err(|_| StoreError::Randomness)?;
    let mut state = u64::from_be_bytes(*seed);
    let mut text = Vec::with_capacity(size + 8);
    while text.len() < size {
        // SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators).
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        text.extend_from_slice(&(word ^ (word >> 31)).to_be_bytes());
    }
    text.truncate(size);
    Ok(text)
}

pub(super) fn delete(
    folder: &Folder,
    key: &RecordKey,
    expected: Option<u64>,
) -> Result<(), StoreError> {
    let name = names::record(key);
    let known = live(folder, &name, unix_nanos())?.map(|content| content.version);
    if expected.is_some() && known.is_some() && known != expected {
        return Err(StoreError::Conflict);
    }
    folder.remove(&name)?;
    folder.remove(&names::room(key))?;
    folder.sync()
}

pub(super) fn list(
    folder: &Folder,
    kind: RecordKind,
    scope: &Digest,
    tag: Option<&Digest>,
) -> Result<Vec<Stored>, StoreError> {
    let now = unix_nanos();
    let mut found = Vec::new();
    for name in folder.names()? {
        let Some(Named::Record(key)) = names::read(&name) else {
            continue;
        };
        if key.kind != kind || key.scope != *scope {
            continue;
        }
        let content = live_among(folder, &name, now)?;
        let content = content.filter(|content| tag.is_none_or(|tag| content.tags.contains(tag)));
        found.extend(content.map(|content| stored(key, content)));
    }
    Ok(found)
}
