//! Renewing the tokens of a session: once for all who wait, wherever they are, and to the end even if
//! none of them stays.
//!
//! The order is what keeps a rotated refresh token from being lost: the session's turn is taken, the
//! record read again, "a refresh is under way" written with room for the answer, the request sent, the
//! answer written, and only then is it seen. Whoever dies in between leaves a record from which the next
//! one goes on with the old refresh token.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tracing::Instrument;

use super::authorization_server::{self, Call};
use super::cell::{Cell, Grant, Life};
use super::core::Core;
use super::ended;
use super::finish::{is_unknown_key, verified_id_token};
use super::kept::{self, Found};
use super::tokens::{Part, Renew, Tokens, Unrevoked, Usable};
use super::turn::{PATIENCE, Turn};
use crate::error::{Denied, Endpoint, Error, SignInAgain, StoreError, Violation};
use crate::protocol::id_token::{self, Occasion};
use crate::protocol::token::{self, TokenResponse};

/// After a refresh that failed, the background lets the server rest for so long. Who needs a token
/// now asks all the same.
const PAUSE: Duration = Duration::from_secs(10);
/// What is set aside for the answer while it is under way, in bytes beyond the record as it is.
const ROOM: usize = 16 * 1024;
/// How often a record that changes under our hands is read again.
const TRIES: usize = 4;

/// A token that lives: the one at hand, or a new one. Who holds a living token never waits.
pub(crate) async fn usable(
    core: &Arc<Core>,
    cell: &Arc<Cell>,
    part: &Part,
) -> Result<Usable, Error> {
    let certificate = core.bound_to()?;
    let generation = match cell.usable(part, core.now(), certificate.as_deref())? {
        Some(usable) => match usable.renew {
            Renew::No => return Ok(usable),
            Renew::Soon => {
                let job = job(core, cell, part, usable.generation);
                if let Err(error) = cell.flight(part).start(|| job) {
                    // The token lives; who finds it dead is told.
                    tracing::warn!(code = error.code(), "no refresh in the background");
                }
                return Ok(usable);
            }
            // MTLS-6.3: it lives, under a certificate that is not shown any more, and there is nothing to
            // have it bound anew with.
            Renew::Now
                if usable.certificate.as_deref() != certificate.as_deref()
                    && !cell.is_dead(core.now())
                    && !cell.can_renew()? =>
            {
                return Err(SignInAgain::KeyChanged.into());
            }
            Renew::Now => usable.generation,
        },
        None => 0,
    };
    refresh(core, cell, part, generation).await?;
    let usable = cell.usable(part, core.now(), certificate.as_deref())?;
    usable.ok_or_else(|| StoreError::Conflict.into())
}

/// Renews the token of a part, unless that of `generation` was replaced already.
pub(crate) async fn refresh(
    core: &Arc<Core>,
    cell: &Arc<Cell>,
    part: &Part,
    generation: u64,
) -> Result<(), Error> {
    // A run that one joins at its very end may be that of the generation before.
    while cell.generation(part)? == generation {
        let job = job(core, cell, part, generation);
        cell.flight(part).run(|| job).await??;
    }
    Ok(())
}

fn job(
    core: &Arc<Core>,
    cell: &Arc<Cell>,
    part: &Part,
    generation: u64,
) -> impl Future<Output = Result<(), Error>> + Send + 'static {
    let (core, cell, part) = (core.clone(), cell.clone(), part.clone());
    let span = tracing::info_span!("fapi.refresh", session = cell.id.tag());
    let busy = core.shared.background.begin();
    let job = async move {
        let _busy = busy;
        // Another run may have ended between the question and this answer.
        if cell.generation(&part)? != generation {
            return Ok(());
        }
        let outcome = match &cell.grant {
            Grant::User { .. } => in_turn(&core, &cell, &part, generation).await,
            Grant::Client { .. } => ask_anew(&core, &cell).await,
        };
        match &outcome {
            // It has ended, and is told of as that.
            Ok(()) | Err(Error::SignInAgain(_)) => {}
            Err(error) => {
                core.shared.watch.refresh_failed(&cell.id, error.code());
                cell.rest(core.now(), PAUSE);
            }
        }
        outcome
    };
    job.instrument(span)
}

/// A token of the client's own is asked for anew. It is kept in this process alone.
async fn ask_anew(core: &Core, cell: &Cell) -> Result<(), Error> {
    let Grant::Client { form } = &cell.grant else {
        return Ok(());
    };
    let sent_at = core.now();
    let call = Call {
        endpoint: Endpoint::Token,
        form,
        proof: cell.proof(),
        lost_answer: None,
    };
    let response = authorization_server::tokens(core, call).await?;
    let tokens = cell.live(|tokens| tokens.after(&Part::default(), response, true, sent_at))?;
    cell.adopt(tokens, 0, false);
    Ok(())
}

/// Renews the tokens of a user when it is this session's turn here.
async fn in_turn(
    core: &Arc<Core>,
    cell: &Arc<Cell>,
    part: &Part,
    generation: u64,
) -> Result<(), Error> {
    let turn = Turn::take(core, &cell.id, PATIENCE).await?;
    let outcome = renew(core, cell, part, generation, &turn).await;
    if cell.version().1 {
        // The turn is kept until the store has the tokens, so that nobody renews with the old ones.
        kept::save_later(core, cell, turn);
    } else {
        turn.end().await;
    }
    outcome
}

async fn renew(
    core: &Arc<Core>,
    cell: &Arc<Cell>,
    part: &Part,
    generation: u64,
    turn: &Turn,
) -> Result<(), Error> {
    let Some(begun) = begin(core, cell, part, generation, turn).await? else {
        return Ok(());
    };
    // What came before may have taken long. Two who send the same refresh token are one too many.
    if let Err(error) = turn.renew().await {
        if !begun.lost {
            take_back_the_note(core, cell, turn).await;
        }
        // A turn that passed is no failure of the store's.
        return match error {
            StoreError::LeaseLost => Err(error.into()),
            error => core.vault.told(Err(error)).map_err(Error::from),
        };
    }
    let lost = AtomicBool::new(begun.lost);
    let sent_at = core.now();
    let response = turn.hold(ask(core, cell, part, &begun.tokens, &lost)).await;
    let lost = lost.load(Ordering::SeqCst);
    let response = match response {
        Ok(response) => response,
        Err(error) => return failed(core, cell, error, lost, &begun, turn).await,
    };
    let (mut known, mut version) = (begun.tokens, begun.version);
    let checked = if let Some(checked) = check_at_hand(core, cell, &response) {
        checked
    } else {
        // What was rotated is written before anything else is asked of the server: to wait for its keys is
        // to wait for a crash.
        known = known.with_new_refresh_token(&response);
        if let Err(error) = store(core, cell, known.clone(), version, turn).await {
            cell.give_back([Unrevoked::of(response)]);
            drop(ended::give_back(core, cell).await);
            return Err(error);
        }
        let stands = cell.live(Clone::clone)?;
        if stands.refresh_token != known.refresh_token {
            // Another had the turn by then, and what it got stays: these tokens are the older ones.
            return if stands.generation(part) == generation {
                Err(StoreError::LeaseLost.into())
            } else {
                Ok(())
            };
        }
        known = stands;
        version = cell.version().0;
        turn.hold(check(core, cell, &response)).await
    };
    if let Err(Error::Violation(Violation::SubjectChanged)) = &checked {
        // IDT-12.2: another user's tokens. Nothing of this session can be trusted any more.
        if let Ok(cause) = cell.end(SignInAgain::SubjectChanged) {
            core.shared.watch.session_ended(&cell.id, cause);
        }
        cell.give_back([Unrevoked::of(response)]);
        // Where the server can't be told now, the session is remembered.
        drop(ended::give_back(core, cell).await);
        return checked;
    }
    let complete = checked.is_ok();
    let tokens = known.after(part, response, complete, sent_at);
    store(core, cell, tokens, version, turn).await?;
    if complete {
        core.shared.watch.session_updated(&cell.id);
    }
    checked
}

/// A refresh that may go out.
struct Begun {
    tokens: Tokens,
    version: u64,
    /// Whether an earlier one went out to which no answer came.
    lost: bool,
}

/// Reads the record again and writes down that a refresh goes out; `None` where another process has
/// renewed the tokens already.
async fn begin(
    core: &Arc<Core>,
    cell: &Arc<Cell>,
    part: &Part,
    generation: u64,
    turn: &Turn,
) -> Result<Option<Begun>, Error> {
    let mut outcome = StoreError::Conflict;
    for _ in 0..TRIES {
        let (_, unsaved) = cell.version();
        if let Found::Gone(cause) = kept::read_again(core, cell).await? {
            if unsaved {
                // Nobody else knows of these tokens.
                drop(ended::give_back(core, cell).await);
            }
            return Err(cause.into());
        }
        if cell.generation(part)? != generation {
            core.shared.watch.session_updated(&cell.id);
            return Ok(None);
        }
        let (version, _) = cell.version();
        let known = cell.live(Clone::clone)?;
        if known.refresh_token.is_none() {
            return Err(no_refresh_token(core, cell).await);
        }
        let lost = known.is_in_flight();
        let tokens = known.in_flight(true);
        let life = Life::Live(tokens.clone());
        let fence = Some(turn.fence());
        // Where this can't be written, nothing is sent: a failing store never costs a token.
        match kept::write(core, cell, life, version, fence, ROOM).await {
            Ok(version) => {
                cell.adopt(tokens.clone(), version, false);
                return Ok(Some(Begun {
                    tokens,
                    version,
                    lost,
                }));
            }
            Err(StoreError::Conflict) => outcome = StoreError::Conflict,
            // Another has the turn by now. Where it has not renewed yet, it is waited for another time.
            Err(StoreError::Fenced) => outcome = StoreError::LeaseLost,
            Err(error) => return Err(error.into()),
        }
    }
    Err(outcome.into())
}

async fn no_refresh_token(core: &Arc<Core>, cell: &Arc<Cell>) -> Error {
    let cause = SignInAgain::NoRefreshToken;
    // Nothing will bring a dead token back to life.
    if cell.is_dead(core.now()) {
        ended::end(core, cell, cause).await
    } else {
        cause.into()
    }
}

async fn ask(
    core: &Core,
    cell: &Cell,
    part: &Part,
    tokens: &Tokens,
    lost: &AtomicBool,
) -> Result<TokenResponse, Error> {
    let Grant::User { asked, .. } = &cell.grant else {
        return Err(SignInAgain::NoRefreshToken.into());
    };
    let refresh_token = tokens.refresh_token.as_ref();
    let refresh_token = refresh_token.ok_or(SignInAgain::NoRefreshToken)?;
    let form = token::refresh(refresh_token).and(part.form(asked));
    let call = Call {
        endpoint: Endpoint::Token,
        form: &form,
        proof: cell.proof(),
        lost_answer: Some(lost),
    };
    authorization_server::tokens(core, call).await
}

/// The same check with the keys that are here; `None` where others have to be fetched for it.
fn check_at_hand(core: &Core, cell: &Cell, response: &TokenResponse) -> Option<Result<(), Error>> {
    let Some(id_token) = &response.id_token else {
        return Some(Ok(()));
    };
    let keys = core.jwks.at_hand(core.now())?;
    let occasion = occasion(cell, response);
    match id_token::check(
        id_token,
        &core.shared.crypto,
        &keys,
        &core.registered,
        &occasion,
        core.now(),
    ) {
        Err(violation) if is_unknown_key(&violation) => None,
        checked => Some(checked.map(drop).map_err(Error::from)),
    }
}

fn occasion<'a>(cell: &'a Cell, response: &'a TokenResponse) -> Occasion<'a> {
    Occasion::Refresh {
        first: cell.id_token(),
        access_token: &response.access_token,
    }
}

/// IDT-12.2: where an ID token came with the new tokens, it is checked against the first one.
async fn check(core: &Core, cell: &Cell, response: &TokenResponse) -> Result<(), Error> {
    let Some(id_token) = &response.id_token else {
        return Ok(());
    };
    verified_id_token(core, id_token, &occasion(cell, response))
        .await
        .map(drop)
}

/// Writes what the server gave, before anyone sees it.
async fn store(
    core: &Arc<Core>,
    cell: &Arc<Cell>,
    tokens: Tokens,
    version: u64,
    turn: &Turn,
) -> Result<(), Error> {
    let fence = Some(turn.fence());
    let life = Life::Live(tokens.clone());
    let found = match kept::write(core, cell, life, version, fence, 0).await {
        Ok(version) => Ok(kept::take_over(cell, tokens.clone(), version, false)),
        // Somebody has written meanwhile: a logout, or another process that took over from one that
        // seemed dead.
        Err(StoreError::Conflict | StoreError::Fenced) => {
            kept::write_late(core, cell, &tokens, fence).await
        }
        Err(error) => Err(error),
    };
    // A rotated token is never given up for a full disk: this process serves from it.
    let found = found.unwrap_or_else(|_| kept::take_over(cell, tokens.clone(), version, true));
    match found {
        Found::Live => Ok(()),
        Found::Gone(cause) => {
            // What the server has just given is given back.
            cell.give_back(Life::Live(tokens).into_unrevoked());
            drop(ended::give_back(core, cell).await);
            Err(cause.into())
        }
    }
}

/// ERR-8, ERR-10: what a failed refresh means for the session.
async fn failed(
    core: &Arc<Core>,
    cell: &Arc<Cell>,
    error: Error,
    lost: bool,
    begun: &Begun,
    turn: &Turn,
) -> Result<(), Error> {
    if let Error::Denied(Denied::Server(refusal)) = &error
        && refusal.error() == "invalid_grant"
    {
        // Read again before giving up: somebody may have renewed while we seemed to hold the turn, this
        // part or another. Who still lacks a token asks anew, with the new refresh token.
        match kept::read_again(core, cell).await {
            Ok(Found::Gone(cause)) => return Err(cause.into()),
            Ok(Found::Live) if cell.live(Tokens::answers)? != begun.tokens.answers() => {
                take_back_the_note(core, cell, turn).await;
                return Ok(());
            }
            // The record is another's by now, who noted a refresh after us: its answer is what counts.
            Ok(Found::Live) if cell.version().0 != begun.version => {
                return Err(StoreError::LeaseLost.into());
            }
            Ok(Found::Live) => {}
            Err(error) => {
                // Nothing is concluded from what was not read: the next refresh is told the same.
                if !lost {
                    take_back_the_note(core, cell, turn).await;
                }
                return Err(error);
            }
        }
        let cause = if lost {
            SignInAgain::RotationLost
        } else {
            SignInAgain::RefreshTokenRefused
        };
        // Where the user logged out meanwhile, that is why.
        return Err(ended::end(core, cell, cause).await);
    }
    let lost = lost || may_have_rotated(&error);
    if !lost {
        // Nothing went out that could have been acted on: the note is taken back. Where that fails, a
        // later refusal reads as a lost rotation, and nothing else comes of it.
        take_back_the_note(core, cell, turn).await;
    }
    Err(error)
}

/// Writes down that no refresh is under way any more.
async fn take_back_the_note(core: &Core, cell: &Cell, turn: &Turn) {
    let (version, _) = cell.version();
    let Ok(tokens) = cell.live(Clone::clone) else {
        return;
    };
    let tokens = tokens.in_flight(false);
    let (life, fence) = (Life::Live(tokens.clone()), Some(turn.fence()));
    if let Ok(version) = kept::write(core, cell, life, version, fence, 0).await {
        cell.adopt(tokens, version, false);
    }
}

/// Whether the server may have replaced the refresh token, though no answer came that could be read.
const fn may_have_rotated(error: &Error) -> bool {
    matches!(error, Error::Violation(_)) || error.may_have_acted()
}
