//! Sessions that have ended: forgotten here, always, and at the server as soon as it can be told.
//!
//! What the server has yet to be told stays in the store as a tombstone: it can't be used, it keeps a late
//! refresh from reviving the session, and it is worked off when the next login begins.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::cell::{Cell, Grant, Life};
use super::core::Core;
use super::dpop_keys;
use super::kept;
use super::record::{SessionRecord, tombstone};
use super::revoke::revoke;
use super::session::SessionId;
use super::single_flight::SingleFlight;
use super::tokens::Unrevoked;
use super::turn::Turn;
use crate::error::{Error, SignInAgain, StoreError};
use crate::store::RecordKind;

/// The most sessions that are remembered in this process for a store that failed.
const TOMBSTONES: usize = 10_000;
/// The most tombstones that are worked off when a login begins.
const ROUND: usize = 100;
/// How often a record that changes under our hands is read again.
const TRIES: usize = 8;

/// Sessions that are being buried, and those that the store could not be told of.
#[derive(Default)]
pub(crate) struct Graveyard {
    /// What is made up for, once at a time.
    flight: SingleFlight<()>,
    /// With which tombstone the next round begins, so that those that fail keep none of the others waiting.
    round: AtomicUsize,
    busy: Mutex<HashSet<String>>,
    unwritten: Mutex<Vec<Arc<Cell>>>,
}

impl Graveyard {
    /// Whether nobody else is at it.
    fn begin(&self, id: &SessionId) -> bool {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        busy.insert(id.as_str().to_owned())
    }

    fn end(&self, id: &SessionId) {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        busy.remove(id.as_str());
    }

    fn remember(&self, cell: &Arc<Cell>, unwritten: bool) {
        let mut cells = self
            .unwritten
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        cells.retain(|known| !Arc::ptr_eq(known, cell));
        if unwritten && cells.len() < TOMBSTONES {
            cells.push(cell.clone());
        }
    }

    /// With which of so many tombstones this round begins.
    fn first_of(&self, count: usize) -> usize {
        if count <= ROUND {
            return 0;
        }
        self.round.fetch_add(ROUND, Ordering::Relaxed) % count
    }

    fn take(&self) -> Vec<Arc<Cell>> {
        let mut cells = self
            .unwritten
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *cells)
    }
}

/// Ends a session whose tokens are worth nothing any more, and forgets it. What comes back is the first
/// cause there was, or [`StoreError::LeaseLost`] where another has written to the record meanwhile: then
/// nothing is certain, and nothing has ended.
pub(crate) async fn end(core: &Core, cell: &Cell, cause: SignInAgain) -> Error {
    if let Err(cause) = cell.live(|_| ()) {
        return cause.into();
    }
    let key = core.vault.key(RecordKind::Session, cell.id.as_str());
    let (version, _) = cell.version();
    let deleted = core.vault.delete(&key, Some(version)).await;
    if let Err(StoreError::Conflict) = deleted {
        return StoreError::LeaseLost.into();
    }
    match cell.end(cause) {
        Err(cause) => cause.into(),
        Ok(cause) => {
            core.shared.watch.session_ended(&cell.id, cause);
            // Where it can't be deleted, the next to open it is told the same by the server.
            if deleted.is_ok() {
                forget_key(core, cell).await;
            }
            cause.into()
        }
    }
}

async fn forget_key(core: &Core, cell: &Cell) {
    if let Grant::User { source, .. } = &cell.grant {
        dpop_keys::forget(core, source).await;
    }
}

/// Ends a session for the user.
pub(crate) async fn log_out(core: &Arc<Core>, cell: &Arc<Cell>) -> Result<(), Error> {
    if let Ok(cause) = cell.end(SignInAgain::LoggedOut) {
        core.shared.watch.session_ended(&cell.id, cause);
    }
    give_back(core, cell).await
}

/// Ends a session here, in the store as well, and has the server told in the background: it may be
/// waiting for an answer itself.
pub(crate) async fn end_here(core: &Arc<Core>, cell: &Arc<Cell>) -> Result<(), Error> {
    if let Ok(cause) = cell.end(SignInAgain::LoggedOut) {
        core.shared.watch.session_ended(&cell.id, cause);
    }
    // Where the store fails now, the job marks it another time, or remembers it for the next login.
    let marked = mark(core, cell).await;
    let begun = SingleFlight::default().start(|| job(core, cell)).map(drop);
    marked.map_err(Error::from).and(begun)
}

/// Ends a session that nobody has, and gives it back in the background.
pub(crate) fn abandon(core: &Arc<Core>, cell: &Arc<Cell>) {
    if let Ok(cause) = cell.end(SignInAgain::LoggedOut) {
        core.shared.watch.session_ended(&cell.id, cause);
    }
    if SingleFlight::default().start(|| job(core, cell)).is_err() {
        // Outside of a runtime it waits for the next login.
        core.graveyard.remember(cell, true);
    }
}

/// Buries an ended session, to the end even if the caller goes away: the store forgets it, the server is
/// told to.
pub(crate) async fn give_back(core: &Arc<Core>, cell: &Arc<Cell>) -> Result<(), Error> {
    // Nobody joins: what each call finds to be revoked is its own to see through.
    SingleFlight::default().run(|| job(core, cell)).await?
}

fn job(
    core: &Arc<Core>,
    cell: &Arc<Cell>,
) -> impl Future<Output = Result<(), Error>> + Send + 'static {
    let (core, cell) = (core.clone(), cell.clone());
    let busy = core.shared.background.begin();
    async move {
        let _busy = busy;
        let first = core.graveyard.begin(&cell.id);
        let outcome = bury(&core, &cell).await;
        if first {
            core.graveyard.end(&cell.id);
        }
        if let Err(error) = &outcome {
            tracing::warn!(session = cell.id.tag(), code = error.code(), "not revoked");
        }
        outcome
    }
}

async fn bury(core: &Core, cell: &Arc<Cell>) -> Result<(), Error> {
    // The session's turn where it is free, so that no refresh begins meanwhile. One that is under way is
    // not waited for: it finds the tombstone, and gives back what it brings.
    let turn = Turn::take(core, &cell.id, Duration::ZERO).await.ok();
    let marked = mark(core, cell).await;
    if let Some(turn) = turn {
        turn.end().await;
    }
    let known = cell.unrevoked();
    let revoked = revoke(core, cell).await;
    let settled = match marked {
        Ok(()) => settle(core, cell, &known).await,
        Err(error) => Err(error),
    };
    core.graveyard.remember(cell, settled.is_err());
    // Of two things that went wrong the store's is told: there the session may come back to life.
    settled?;
    revoked
}

/// Puts a tombstone in the session's place. What the record has is to be revoked too: another process
/// may have renewed.
async fn mark(core: &Core, cell: &Cell) -> Result<(), StoreError> {
    let key = core.vault.key(RecordKind::Session, cell.id.as_str());
    for _ in 0..TRIES {
        let Some(opened) = core.vault.load(&key).await? else {
            return Ok(());
        };
        let (record, version) = kept::read(&opened)?;
        let has_ended = record.has_ended();
        cell.give_back(record.life().into_unrevoked());
        if has_ended {
            return Ok(());
        }
        match kept::write(core, cell, remains(cell), version, None, 0).await {
            Ok(_) => return Ok(()),
            Err(StoreError::Conflict) => {}
            // There may be no room for a tombstone; to delete needs none. A late refresh that finds no
            // record takes that for a logout as well.
            Err(error) => match core.vault.delete(&key, Some(version)).await {
                Ok(()) => return Ok(()),
                Err(StoreError::Conflict) => {}
                Err(_) => return Err(error),
            },
        }
    }
    Err(StoreError::Conflict)
}

fn remains(cell: &Cell) -> Life {
    let cause = cell.live(|_| ()).err().unwrap_or(SignInAgain::LoggedOut);
    Life::Ended {
        cause,
        unrevoked: cell.unrevoked(),
    }
}

/// Writes down what is still to be revoked, or forgets the session. What another process has added to the
/// tombstone since the `known` tokens were read from it stays there.
async fn settle(core: &Core, cell: &Cell, known: &[Unrevoked]) -> Result<(), StoreError> {
    let key = core.vault.key(RecordKind::Session, cell.id.as_str());
    for _ in 0..TRIES {
        let opened = core.vault.load(&key).await?;
        let read = opened.map(|opened| kept::read(&opened)).transpose()?;
        let version = read.as_ref().map(|(_, version)| *version);
        let mut known_there = None;
        if let Some((record, _)) = read {
            let has_ended = record.has_ended();
            let there = record.life().into_unrevoked();
            known_there = has_ended.then(|| there.clone());
            cell.give_back(there.into_iter().filter(|one| !known.contains(one)));
        }
        let left = remains(cell);
        let none_left = cell.unrevoked().is_empty();
        let outcome = match version {
            None if none_left => Ok(()),
            None => {
                let Some(record) = SessionRecord::new(cell, left) else {
                    return Ok(());
                };
                let plain = record.write()?;
                let content = record.content(&plain, None);
                core.vault.create(&key, content).await.map(drop)
            }
            Some(version) if none_left => core.vault.delete(&key, Some(version)).await,
            // A tombstone that says the same grows older, and passes when the tokens have.
            Some(_) if known_there == Some(cell.unrevoked()) => Ok(()),
            Some(version) => kept::write(core, cell, left, version, None, 0)
                .await
                .map(drop),
        };
        match outcome {
            Err(StoreError::Conflict | StoreError::Exists) => {}
            Ok(()) => {
                if none_left {
                    forget_key(core, cell).await;
                }
                return Ok(());
            }
            Err(error) => return Err(error),
        }
    }
    Err(StoreError::Conflict)
}

/// Tells the server, in the background, of the sessions that it could not be told of.
pub(crate) fn retry(core: &Arc<Core>) {
    let (again, busy) = (core.clone(), core.shared.background.begin());
    let job = || async move {
        let _busy = busy;
        for cell in again.graveyard.take() {
            drop(job(&again, &cell).await);
        }
        if let Err(error) = work_off(&again).await {
            tracing::warn!(code = error.code(), "logouts are not made up for");
        }
    };
    // Outside of a runtime it stays for later; nothing may panic for it.
    drop(core.graveyard.flight.start(job));
}

async fn work_off(core: &Arc<Core>) -> Result<(), Error> {
    if let Err(error) = dpop_keys::sweep(core).await {
        tracing::warn!(code = error.code(), "keys of abandoned logins are left");
    }
    let mut ended = core
        .vault
        .list(RecordKind::Session, Some(&tombstone()))
        .await?;
    let first = core.graveyard.first_of(ended.len());
    ended.rotate_left(first);
    for opened in ended.into_iter().take(ROUND) {
        // One that is damaged is told of, and keeps none of the others.
        let Ok((record, version)) = core.vault.told(kept::read(&opened)) else {
            continue;
        };
        if !core.graveyard.begin(&record.id()) {
            continue;
        }
        let id = record.id();
        match kept::restored(core, record, version).await {
            Ok(cell) => drop(bury(core, &Arc::new(cell)).await),
            // Without its key nothing can be proven to the server; the tokens die by themselves.
            Err(Error::SignInAgain(_)) => {
                let key = core.vault.key(RecordKind::Session, id.as_str());
                drop(core.vault.delete(&key, Some(version)).await);
            }
            Err(error) => tracing::warn!(code = error.code(), "a logout is not made up for"),
        }
        core.graveyard.end(&id);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SES-5: however many tombstones fail each time, each of the others has its round.
    #[test]
    fn every_tombstone_has_its_round() {
        let graveyard = Graveyard::default();
        assert_eq!(graveyard.first_of(0), 0);
        assert_eq!(graveyard.first_of(ROUND), 0);
        let count = 2 * ROUND + 50;
        let mut seen = HashSet::new();
        for _ in 0..3 {
            let first = graveyard.first_of(count);
            seen.extend((first..first + ROUND).map(|at| at % count));
        }
        assert_eq!(seen.len(), count);
    }
}
