//! Logins under way, in memory.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::error::StoreError;
use crate::time::Timestamp;

/// The most logins that one browser may have under way; a further one drops the oldest.
const PER_OWNER: usize = 16;
/// The most logins in all. Starting one costs a request to the server, so this is out of reach of
/// honest use within the life of a login.
const IN_ALL: usize = 100_000;
/// How often what has expired is swept out, in seconds.
const SWEEP_EVERY: i64 = 60;

/// Records under an owner (the hash of a browser's handle), each with an id within it and an end.
pub(crate) struct Transactions<T> {
    table: Mutex<Table<T>>,
}

struct Table<T> {
    owners: HashMap<[u8; 32], Vec<Entry<T>>>,
    count: usize,
    sweep_at: Timestamp,
}

struct Entry<T> {
    id: [u8; 32],
    expires_at: Timestamp,
    record: T,
}

impl<T: Clone> Transactions<T> {
    pub(crate) fn new() -> Self {
        Self {
            table: Mutex::new(Table {
                owners: HashMap::new(),
                count: 0,
                sweep_at: Timestamp::from_seconds(i64::MIN),
            }),
        }
    }

    /// Keeps a record until it is taken or has expired.
    ///
    /// # Errors
    /// [`StoreError::Full`].
    pub(crate) fn put(
        &self,
        owner: [u8; 32],
        id: [u8; 32],
        record: T,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        if now >= table.sweep_at || table.count >= IN_ALL {
            table.sweep(now);
        }
        if table.count >= IN_ALL {
            return Err(StoreError::Full);
        }
        let entries = table.owners.entry(owner).or_default();
        let dropped = entries.len() >= PER_OWNER;
        if dropped {
            entries.remove(0);
        }
        entries.push(Entry {
            id,
            expires_at,
            record,
        });
        if !dropped {
            table.count += 1;
        }
        Ok(())
    }

    /// The live records of an owner. Reading uses nothing up.
    pub(crate) fn of(&self, owner: &[u8; 32], now: Timestamp) -> Vec<([u8; 32], T)> {
        let table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let entries = table.owners.get(owner).map(Vec::as_slice);
        entries
            .unwrap_or_default()
            .iter()
            .filter(|entry| now < entry.expires_at)
            .map(|entry| (entry.id, entry.record.clone()))
            .collect()
    }

    /// Takes a record out: of two that try at once, one gets it.
    pub(crate) fn take(&self, owner: &[u8; 32], id: &[u8; 32], now: Timestamp) -> Option<T> {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let entries = table.owners.get_mut(owner)?;
        let at = entries
            .iter()
            .position(|entry| entry.id == *id && now < entry.expires_at)?;
        let entry = entries.remove(at);
        if entries.is_empty() {
            table.owners.remove(owner);
        }
        table.count -= 1;
        Some(entry.record)
    }
}

impl<T> Table<T> {
    fn sweep(&mut self, now: Timestamp) {
        self.owners.retain(|_, entries| {
            entries.retain(|entry| now < entry.expires_at);
            !entries.is_empty()
        });
        self.count = self.owners.values().map(Vec::len).sum();
        self.sweep_at = now.plus_seconds(SWEEP_EVERY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWNER: [u8; 32] = [1; 32];
    const OTHER: [u8; 32] = [2; 32];

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    /// SP-5.3.3.2-4, SEC-6.4: a record is taken once, by its owner, before it expires.
    #[test]
    fn a_record_is_taken_once() {
        let store = Transactions::new();
        store.put(OWNER, [7; 32], "login", at(100), at(0)).unwrap();
        assert_eq!(store.take(&OTHER, &[7; 32], at(1)), None);
        assert_eq!(store.of(&OWNER, at(99)).len(), 1);
        assert_eq!(store.of(&OWNER, at(100)).len(), 0);
        assert_eq!(store.take(&OWNER, &[7; 32], at(100)), None);
        assert_eq!(store.take(&OWNER, &[7; 32], at(99)), Some("login"));
        assert_eq!(store.take(&OWNER, &[7; 32], at(99)), None);
    }

    /// One browser can't fill the store: its oldest login goes.
    #[test]
    fn an_owner_has_a_bound() {
        let store = Transactions::new();
        for id in 0..20 {
            store.put(OWNER, [id; 32], id, at(100), at(0)).unwrap();
        }
        let kept: Vec<u8> = store.of(&OWNER, at(1)).iter().map(|(_, id)| *id).collect();
        assert_eq!(kept, (4..20).collect::<Vec<_>>());
    }

    /// What has expired makes room.
    #[test]
    fn expired_records_are_swept_out() {
        let store = Transactions::new();
        store.put(OWNER, [1; 32], 1, at(10), at(0)).unwrap();
        store.put(OTHER, [2; 32], 2, at(1000), at(100)).unwrap();
        assert_eq!(store.table.lock().unwrap().count, 1);
        assert_eq!(store.table.lock().unwrap().owners.len(), 1);
    }
}
