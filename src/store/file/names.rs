//! The names of the files: words and hashes, with full stops between them.

use crate::store::{Digest, RecordKey, RecordKind, TransactionKey};

/// What a file that is being written is called until it is there. Whoever holds the store may remove it.
pub(super) const UNFINISHED: &str = ".tmp";
/// Bytes set aside for the next write of a record.
pub(super) const ROOM: &str = ".room";
/// What a lock is held by.
pub(super) const LOCK: &str = ".lock";

const LOGIN: &str = "login";

/// What a name stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Named {
    Record(RecordKey),
    Login(TransactionKey),
    Room(RecordKey),
    Lock(RecordKey),
    Unfinished,
}

pub(super) fn record(key: &RecordKey) -> String {
    format!("{}.{}.{}", key.kind.name(), key.scope, key.id)
}

pub(super) fn login(key: &TransactionKey) -> String {
    format!("{LOGIN}.{}.{}.{}", key.owner, key.scope, key.id)
}

pub(super) fn room(key: &RecordKey) -> String {
    record(key) + ROOM
}

pub(super) fn lock(key: &RecordKey) -> String {
    record(key) + LOCK
}

/// Reads a name; `None` for those of others, which are left alone.
pub(super) fn read(name: &str) -> Option<Named> {
    if let Some(whole) = name.strip_suffix(UNFINISHED) {
        let whole = whole.strip_suffix(ROOM).unwrap_or(whole);
        let ours = read_record(whole).is_some() || read_login(whole).is_some();
        return ours.then_some(Named::Unfinished);
    }
    if let Some(whole) = name.strip_suffix(ROOM) {
        return read_record(whole).map(Named::Room);
    }
    if let Some(whole) = name.strip_suffix(LOCK) {
        return read_record(whole).map(Named::Lock);
    }
    let record = read_record(name).map(Named::Record);
    record.or_else(|| read_login(name).map(Named::Login))
}

fn read_record(name: &str) -> Option<RecordKey> {
    let mut parts = name.split('.');
    let kind = parts.next()?;
    let kind = RecordKind::ALL.into_iter().find(|one| one.name() == kind)?;
    let scope = Digest::parse(parts.next()?)?;
    let id = Digest::parse(parts.next()?)?;
    parts
        .next()
        .is_none()
        .then_some(RecordKey { kind, scope, id })
}

fn read_login(name: &str) -> Option<TransactionKey> {
    let mut parts = name.split('.');
    if parts.next()? != LOGIN {
        return None;
    }
    let owner = Digest::parse(parts.next()?)?;
    let scope = Digest::parse(parts.next()?)?;
    let id = Digest::parse(parts.next()?)?;
    parts
        .next()
        .is_none()
        .then_some(TransactionKey { owner, scope, id })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(byte: u8) -> Digest {
        Digest::from_bytes([byte; 32])
    }

    /// Each name stands for one thing, and fits into the 143 bytes that some encrypting file systems
    /// allow.
    #[test]
    fn names_are_read_as_they_were_written() {
        for kind in RecordKind::ALL {
            let key = RecordKey {
                kind,
                scope: digest(1),
                id: digest(255),
            };
            assert_eq!(read(&record(&key)), Some(Named::Record(key)));
            assert_eq!(read(&room(&key)), Some(Named::Room(key)));
            assert_eq!(read(&lock(&key)), Some(Named::Lock(key)));
            for name in [record(&key), room(&key)] {
                let name = name + UNFINISHED;
                assert_eq!(read(&name), Some(Named::Unfinished));
                assert!(name.len() <= 143);
            }
        }
        let key = TransactionKey {
            owner: digest(1),
            scope: digest(2),
            id: digest(3),
        };
        assert_eq!(read(&login(&key)), Some(Named::Login(key)));
        let name = login(&key) + UNFINISHED;
        assert_eq!(read(&name), Some(Named::Unfinished));
        assert!(name.len() <= 143);
    }

    #[test]
    fn the_names_of_others_are_left_alone() {
        let key = RecordKey {
            kind: RecordKind::Session,
            scope: digest(1),
            id: digest(2),
        };
        let more = record(&key) + ".more";
        for name in ["lock", "notes.tmp", "session.a.b", "session", "", &more] {
            assert_eq!(read(name), None, "{name}");
        }
    }
}
