//! Sessions between this process and the store.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::time::sleep;

use super::cell::{Cell, Grant, Life};
use super::core::Core;
use super::ended;
use super::record::SessionRecord;
use super::session::SessionId;
use super::tokens::Tokens;
use super::turn::Turn;
use super::vault::Opened;
use crate::error::{ConfigError, Error, SignInAgain, StoreError};
use crate::store::{RecordKey, RecordKind};

/// How long to wait before tokens that could not be written are written again, at first and at most.
const SAVE_AGAIN: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));

/// How often a record that changes under our hands is read again.
const TRIES: usize = 8;

/// The sessions that somebody has a handle to, so that all handles to one are the same.
#[derive(Default)]
pub(crate) struct Cells {
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    cells: HashMap<RecordKey, Weak<Cell>>,
    sweep_beyond: usize,
}

impl Cells {
    fn get(&self, key: &RecordKey) -> Option<Arc<Cell>> {
        let table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.cells.get(key)?.upgrade()
    }

    /// Adds a cell, unless there is one by now; the one that counts comes back.
    fn add(&self, key: RecordKey, cell: Arc<Cell>) -> Arc<Cell> {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = table.cells.get(&key).and_then(Weak::upgrade) {
            return known;
        }
        if table.cells.len() > table.sweep_beyond {
            table.cells.retain(|_, cell| cell.strong_count() > 0);
            table.sweep_beyond = (2 * table.cells.len()).max(64);
        }
        table.cells.insert(key, Arc::downgrade(&cell));
        cell
    }
}

fn key(core: &Core, id: &SessionId) -> RecordKey {
    core.vault.key(RecordKind::Session, id.as_str())
}

/// Keeps a new session.
pub(crate) async fn create(core: &Core, cell: Cell) -> Result<Arc<Cell>, (Cell, StoreError)> {
    let key = key(core, &cell.id);
    let written = async {
        let life = Life::Live(cell.live(Clone::clone).map_err(|_| StoreError::Conflict)?);
        let record = SessionRecord::new(&cell, life).ok_or(StoreError::Conflict)?;
        let plain = record.write()?;
        let content = record.content(&plain, cell.id_token());
        core.vault.create(&key, content).await
    };
    match written.await {
        Ok(version) => {
            let cell = Arc::new(cell);
            if let Ok(tokens) = cell.live(Clone::clone) {
                cell.adopt(tokens, version, false);
            }
            Ok(core.shared.cells.add(key, cell))
        }
        Err(error) => Err((cell, error)),
    }
}

/// Writes a session in place of the version that was read; the new version comes back.
pub(crate) async fn write(
    core: &Core,
    cell: &Cell,
    life: Life,
    expected: u64,
    fence: Option<u64>,
    room: usize,
) -> Result<u64, StoreError> {
    let record = SessionRecord::new(cell, life).ok_or(StoreError::Conflict)?;
    let plain = record.write()?;
    let content = record.content(&plain, cell.id_token());
    let key = key(core, &cell.id);
    core.vault
        .replace(&key, expected, fence, room, content)
        .await
}

/// What a session is found to be when its record is read again.
pub(crate) enum Found {
    /// It lives; the cell has what the record has.
    Live,
    /// It has ended, here or elsewhere.
    Gone(SignInAgain),
}

/// Reads the record of a session again and takes over what another process wrote.
pub(crate) async fn read_again(core: &Core, cell: &Cell) -> Result<Found, Error> {
    save(core, cell).await?;
    let Some((record, now)) = load(core, &cell.id).await? else {
        return Ok(gone(core, cell, SignInAgain::LoggedOut));
    };
    let tokens = match record.life() {
        Life::Ended { cause, .. } => return Ok(gone(core, cell, cause)),
        Life::Live(tokens) => tokens,
    };
    // A store that went back to what it was (a failover, a backup) has tokens that the server takes no
    // longer: ours are written in their place.
    if cell.is_ahead_of(&tokens, now) {
        tracing::warn!(session = cell.id.tag(), "the store had older tokens");
        save(core, cell).await?;
        return Ok(live(cell));
    }
    let (version, _) = cell.version();
    if now == version {
        Ok(live(cell))
    } else {
        Ok(take_over(cell, tokens, now, false))
    }
}

fn live(cell: &Cell) -> Found {
    match cell.live(drop_ref) {
        Ok(()) => Found::Live,
        Err(cause) => Found::Gone(cause),
    }
}

const fn drop_ref<T>(_: &T) {}

/// Serves from these tokens, unless the session has ended here.
pub(crate) fn take_over(cell: &Cell, tokens: Tokens, version: u64, unsaved: bool) -> Found {
    cell.adopt(tokens, version, unsaved);
    live(cell)
}

/// The session is over for its handles here as well. The first cause stays.
fn ended_elsewhere(core: &Core, cell: &Cell, cause: SignInAgain) -> SignInAgain {
    match cell.end(cause) {
        Ok(cause) => {
            core.shared.watch.session_ended(&cell.id, cause);
            cause
        }
        Err(cause) => cause,
    }
}

async fn load(core: &Core, id: &SessionId) -> Result<Option<(SessionRecord, u64)>, StoreError> {
    let opened = core.vault.load(&key(core, id)).await?;
    opened.map(|opened| read(&opened)).transpose()
}

pub(crate) fn read(opened: &Opened) -> Result<(SessionRecord, u64), StoreError> {
    Ok((SessionRecord::read(&opened.plain)?, opened.version))
}

/// The session of that id, as the store has it now.
pub(crate) async fn open(core: &Core, id: &SessionId) -> Result<Option<Arc<Cell>>, Error> {
    if let Some((record, version)) = load(core, id).await? {
        return of_record(core, record, version).await;
    }
    if let Some(cell) = core.shared.cells.get(&key(core, id))
        && !cell.version().1
    {
        ended_elsewhere(core, &cell, SignInAgain::LoggedOut);
    }
    Ok(None)
}

/// The session of a record; `None` where it has ended, here or in the store.
pub(crate) async fn of_record(
    core: &Core,
    record: SessionRecord,
    version: u64,
) -> Result<Option<Arc<Cell>>, Error> {
    let cell = with_record(core, record, version).await?;
    Ok(cell.filter(|cell| cell.live(drop_ref).is_ok()))
}

/// The session of a record that lives. It may have ended here, and the store not have been told.
pub(crate) async fn with_record(
    core: &Core,
    record: SessionRecord,
    version: u64,
) -> Result<Option<Arc<Cell>>, Error> {
    let id = record.id();
    let name = key(core, &id);
    if let Some(cell) = core.shared.cells.get(&name) {
        match record.life() {
            Life::Ended { cause, .. } => {
                ended_elsewhere(core, &cell, cause);
                return Ok(None);
            }
            // What this process has may be newer than what was just read.
            Life::Live(tokens) => cell.adopt_newer(tokens, version),
        }
        return Ok(Some(cell));
    }
    if record.has_ended() {
        return Ok(None);
    }
    let cell = restored(core, record, version).await?;
    Ok(Some(core.shared.cells.add(name, Arc::new(cell))))
}

/// A session out of its record, whether it lives or has ended.
pub(crate) async fn restored(
    core: &Core,
    record: SessionRecord,
    version: u64,
) -> Result<Cell, Error> {
    let (id_token, asked, nonces) = record.parts()?;
    let (key, source) = record.key.open(core).await?;
    let grant = Grant::User {
        id_token,
        asked,
        source,
    };
    let id = record.id();
    Ok(Cell::with_life(
        id,
        key,
        nonces,
        grant,
        record.life(),
        version,
    ))
}

/// Writes tokens that could not be written before.
pub(crate) async fn save(core: &Core, cell: &Cell) -> Result<(), StoreError> {
    let (version, unsaved) = cell.version();
    let Ok(tokens) = cell.live(Clone::clone) else {
        return Ok(());
    };
    if !unsaved {
        return Ok(());
    }
    let answers = tokens.answers();
    match write(core, cell, Life::Live(tokens.clone()), version, None, 0).await {
        Ok(version) => {
            cell.saved(answers, version);
            Ok(())
        }
        // Another has written: a logout, or one who took these tokens for lost; or our own write was
        // done after all.
        Err(StoreError::Conflict) => write_late(core, cell, &tokens, None).await.map(drop),
        Err(error) => Err(error),
    }
}

/// Writes tokens though somebody has written since they were asked for. A session that has ended stays so,
/// and a later answer stays. What is older gives way, and the note that another one's refresh is under way
/// is kept: if the server refuses the old refresh token to that one, it reads again and finds these.
pub(crate) async fn write_late(
    core: &Core,
    cell: &Cell,
    tokens: &Tokens,
    mut fence: Option<u64>,
) -> Result<Found, StoreError> {
    for _ in 0..TRIES {
        let (known, version) = match load(core, &cell.id).await? {
            None => return Ok(gone(core, cell, SignInAgain::LoggedOut)),
            Some((record, version)) => match record.life() {
                Life::Ended { cause, .. } => return Ok(gone(core, cell, cause)),
                Life::Live(known) => (known, version),
            },
        };
        // Who may write with its fence is the last who asked, and has the last answer.
        let last = fence.is_some();
        if !last && known.answers() >= tokens.answers() {
            return Ok(take_over(cell, known, version, false));
        }
        let ours = tokens.clone().in_flight(!last && known.is_in_flight());
        // What is last counts as that, however many answers the other one had.
        let ours = ours.after_answers(known.answers());
        match write(core, cell, Life::Live(ours.clone()), version, fence, 0).await {
            Ok(version) => return Ok(take_over(cell, ours, version, false)),
            Err(StoreError::Conflict) => {}
            Err(StoreError::Fenced) => fence = None,
            Err(error) => return Err(error),
        }
    }
    Err(StoreError::Conflict)
}

fn gone(core: &Core, cell: &Cell, cause: SignInAgain) -> Found {
    Found::Gone(ended_elsewhere(core, cell, cause))
}

/// Writes them again and again, until the store has them, and keeps the session's turn so long.
pub(crate) fn save_later(core: &Arc<Core>, cell: &Arc<Cell>, turn: Turn) {
    let (core, cell) = (core.clone(), cell.clone());
    let Ok(runtime) = tokio::runtime::Handle::try_current().map_err(|_| ConfigError::NoRuntime)
    else {
        return;
    };
    let busy = core.shared.background.begin();
    runtime.spawn(async move {
        let _busy = busy;
        let (mut pause, longest) = SAVE_AGAIN;
        while cell.version().1 {
            turn.hold(sleep(pause)).await;
            pause = (2 * pause).min(longest);
            if save(&core, &cell).await.is_ok() {
                break;
            }
        }
        if cell.live(drop_ref).is_err() {
            // It has ended elsewhere, and nobody else knows of these tokens.
            drop(ended::give_back(&core, &cell).await);
        }
        turn.end().await;
    });
}
