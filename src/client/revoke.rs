//! Telling the server to forget the tokens of a session that has ended.

use std::sync::{Arc, Mutex, PoisonError};

use super::authorization_server::{self, Call};
use super::core::Core;
use super::single_flight::SingleFlight;
use super::tokens::{Cell, Unrevoked};
use crate::error::{Endpoint, Error};
use crate::protocol::form::Form;
use crate::protocol::revocation;

/// The most ended sessions that are remembered for a server which can't be told of them.
const TOMBSTONES: usize = 10_000;

/// Sessions that have ended here, and of which the server has yet to be told.
#[derive(Default)]
pub(crate) struct Tombstones {
    cells: Mutex<Vec<Arc<Cell>>>,
}

impl Tombstones {
    fn set(&self, cell: &Arc<Cell>) {
        let mut cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
        cells.retain(|known| !Arc::ptr_eq(known, cell));
        if !cell.unrevoked().is_empty() && cells.len() < TOMBSTONES {
            cells.push(cell.clone());
        }
    }

    fn take(&self) -> Vec<Arc<Cell>> {
        std::mem::take(&mut *self.cells.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Has the tokens of an ended session revoked, to the end even if the caller goes away, and remembers
/// it where the server could not be told.
pub(crate) async fn give_back(core: &Arc<Core>, cell: &Arc<Cell>) -> Result<(), Error> {
    // Nobody joins: what each call finds to be revoked is its own to see through.
    SingleFlight::default().run(|| job(core, cell)).await?
}

fn job(
    core: &Arc<Core>,
    cell: &Arc<Cell>,
) -> impl Future<Output = Result<(), Error>> + Send + 'static {
    let (core, cell) = (core.clone(), cell.clone());
    async move {
        let outcome = revoke(&core, &cell).await;
        if let Err(error) = &outcome {
            tracing::warn!(session = cell.id.tag(), code = error.code(), "not revoked");
        }
        core.tombstones.set(&cell);
        outcome
    }
}

/// Tells the server of the sessions that it could not be told of, in the background.
pub(crate) fn retry(core: &Arc<Core>) {
    for cell in core.tombstones.take() {
        // Outside of a runtime it stays remembered; nothing may panic for it.
        if SingleFlight::default().start(|| job(core, &cell)).is_err() {
            core.tombstones.set(&cell);
        }
    }
}

/// Has everything revoked that still is to be. What the server can't take now is kept for another
/// try (REV-2.2.1).
async fn revoke(core: &Core, cell: &Cell) -> Result<(), Error> {
    if core.metadata.last().revocation_endpoint.is_none() {
        tracing::warn!("the server has no revocation_endpoint; its tokens live until they expire");
        for tokens in cell.unrevoked() {
            cell.settle(&tokens, None);
        }
        return Ok(());
    }
    let mut outcome = Ok(());
    for tokens in cell.unrevoked() {
        outcome = outcome.and(revoke_one(core, cell, tokens).await);
    }
    outcome
}

/// REV-rt: the refresh token, with which the whole grant goes. Some servers revoke none
/// (`unsupported_token_type` and other words); then the access token, so that no token of the session
/// is left that could be used before it expires. A refusal is the server's last word.
async fn revoke_one(core: &Core, cell: &Cell, mut tokens: Unrevoked) -> Result<(), Error> {
    let mut refusal = None;
    if let Some(token) = &tokens.refresh_token {
        match tell(core, cell, &revocation::refresh_token(token)).await {
            Err(error) if is_final(&error) => refusal = Some(error),
            Err(error) => return Err(error),
            Ok(()) => {
                cell.settle(&tokens, None);
                return Ok(());
            }
        }
        let access_token_alone = Unrevoked {
            refresh_token: None,
            ..tokens.clone()
        };
        cell.settle(&tokens, Some(access_token_alone.clone()));
        tokens = access_token_alone;
    }
    let access_token = revocation::access_token(&tokens.access_token);
    match tell(core, cell, &access_token).await {
        Err(error) if !is_final(&error) => Err(error),
        outcome => {
            cell.settle(&tokens, None);
            outcome.map_err(|error| refusal.unwrap_or(error))
        }
    }
}

/// Whether the server has judged, and would judge the same another time.
fn is_final(error: &Error) -> bool {
    matches!(error, Error::Denied(_)) && !error.retry_may_help()
}

/// The session's proof goes along, since some servers revoke a bound token for the holder of its key
/// alone; the others pass over it.
async fn tell(core: &Core, cell: &Cell, form: &Form) -> Result<(), Error> {
    let call = Call {
        endpoint: Endpoint::Revocation,
        form,
        proof: Some((&cell.key, &cell.nonces)),
        lost_answer: None,
    };
    let answer = authorization_server::send(core, call).await?;
    revocation::response(&answer)
}
