//! Renewing the tokens of a session: once for all who wait, and to the end even if none of them stays.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tracing::Instrument;

use super::authorization_server::{self, Call};
use super::core::Core;
use super::finish::verified_id_token;
use super::revoke::give_back;
use super::tokens::{Cell, Grant, Renew, Usable};
use crate::error::{Denied, Endpoint, Error, SignInAgain, Violation};
use crate::protocol::id_token::Occasion;
use crate::protocol::token::{self, TokenResponse};

/// After a refresh that failed, the background lets the server rest for so long. Who needs a token
/// now asks all the same.
const PAUSE: Duration = Duration::from_secs(10);

/// What a refresh brought.
pub(crate) struct Refreshed {
    pub(crate) response: TokenResponse,
    /// Whether everything about it was checked. Else only the new refresh token is kept, so that it
    /// is not lost.
    pub(crate) complete: bool,
}

/// A token that lives: the one at hand, or a new one. Who holds a living token never waits.
pub(crate) async fn usable(core: &Arc<Core>, cell: &Arc<Cell>) -> Result<Usable, Error> {
    let usable = cell.usable(core.now())?;
    match usable.renew {
        Renew::No => Ok(usable),
        Renew::Soon => {
            let job = job(core, cell, usable.generation);
            if let Err(error) = cell.flight.start(|| job) {
                // The token lives; who finds it dead is told.
                tracing::warn!(code = error.code(), "no refresh in the background");
            }
            Ok(usable)
        }
        Renew::Now => {
            refresh(core, cell, usable.generation).await?;
            Ok(cell.usable(core.now())?)
        }
    }
}

/// Renews the tokens, unless that of `generation` was replaced already.
pub(crate) async fn refresh(
    core: &Arc<Core>,
    cell: &Arc<Cell>,
    generation: u64,
) -> Result<(), Error> {
    // A run that one joins at its very end may be that of the generation before.
    while cell.generation()? == generation {
        let job = job(core, cell, generation);
        cell.flight.run(|| job).await??;
    }
    Ok(())
}

fn job(
    core: &Arc<Core>,
    cell: &Arc<Cell>,
    generation: u64,
) -> impl Future<Output = Result<(), Error>> + Send + 'static {
    let (core, cell) = (core.clone(), cell.clone());
    let span = tracing::info_span!("fapi.refresh", session = cell.id.tag());
    let job = async move {
        // Another run may have ended between the question and this answer.
        if cell.generation()? != generation {
            return Ok(());
        }
        let outcome = renew(&core, &cell).await;
        if let Err(error) = &outcome {
            tracing::warn!(
                session = cell.id.tag(),
                code = error.code(),
                "refresh failed"
            );
        }
        outcome
    };
    job.instrument(span)
}

async fn renew(core: &Arc<Core>, cell: &Arc<Cell>) -> Result<(), Error> {
    let lost = AtomicBool::new(cell.begin_refresh());
    let sent_at = core.now();
    let response = ask(core, cell, &lost).await;
    let lost = lost.load(Ordering::SeqCst);
    let response = match response {
        Ok(response) => response,
        Err(error) => return Err(failed(core, cell, error, lost)),
    };
    let checked = check(core, cell, &response).await;
    if let Err(Error::Violation(Violation::SubjectChanged)) = &checked {
        // IDT-12.2: another user's tokens. Nothing of this session can be trusted any more.
        end(core, cell, SignInAgain::SubjectChanged);
        cell.give_back(response);
        // Where the server can't be told now, the session is remembered.
        drop(give_back(core, cell).await);
        return checked;
    }
    let refreshed = Refreshed {
        response,
        complete: checked.is_ok(),
    };
    if !cell.replace(refreshed, sent_at, PAUSE) {
        // Logged out meanwhile: what the server has just given is given back.
        // Where the server can't be told now, the session is remembered.
        drop(give_back(core, cell).await);
        return Err(SignInAgain::LoggedOut.into());
    }
    if checked.is_ok() {
        tracing::info!(session = cell.id.tag(), "session updated");
    }
    checked
}

async fn ask(core: &Core, cell: &Cell, lost: &AtomicBool) -> Result<TokenResponse, Error> {
    let form = match &cell.grant {
        Grant::User { asked, .. } => {
            let refresh_token = cell.refresh_token()?.ok_or(SignInAgain::NoRefreshToken)?;
            token::refresh(&refresh_token).and(asked.of_one_api())
        }
        Grant::Client { form } => form.clone(),
    };
    let sent_at = core.now();
    let call = Call {
        endpoint: Endpoint::Token,
        form: &form,
        proof: Some((&cell.key, &cell.nonces)),
        lost_answer: matches!(cell.grant, Grant::User { .. }).then_some(lost),
    };
    let answer = authorization_server::send(core, call).await?;
    token::response(answer, sent_at)
}

/// IDT-12.2: where an ID token came with the new tokens, it is checked against the first one.
async fn check(core: &Core, cell: &Cell, response: &TokenResponse) -> Result<(), Error> {
    let (Some(id_token), Grant::User { .. }) = (&response.id_token, &cell.grant) else {
        return Ok(());
    };
    let occasion = Occasion::Refresh {
        first: cell.id_token(),
        access_token: &response.access_token,
    };
    verified_id_token(core, id_token, &occasion).await.map(drop)
}

/// ERR-8, ERR-10: what a failed refresh means for the session.
fn failed(core: &Core, cell: &Cell, error: Error, lost: bool) -> Error {
    match &error {
        Error::Denied(Denied::Server(refusal))
            if refusal.error() == "invalid_grant" && matches!(cell.grant, Grant::User { .. }) =>
        {
            let cause = if lost {
                SignInAgain::RotationLost
            } else {
                SignInAgain::RefreshTokenRefused
            };
            // Where the user logged out meanwhile, that is why.
            end(core, cell, cause).into()
        }
        // Nothing will bring this token back to life.
        Error::SignInAgain(SignInAgain::NoRefreshToken) if cell.is_dead(core.now()) => {
            end(core, cell, SignInAgain::NoRefreshToken).into()
        }
        _ => {
            let lost = lost || may_have_rotated(&error);
            cell.failed(lost, core.now(), PAUSE);
            error
        }
    }
}

/// Whether the server may have replaced the refresh token, though no answer came that could be read.
const fn may_have_rotated(error: &Error) -> bool {
    matches!(error, Error::Violation(_)) || error.may_have_acted()
}

/// Ends a session and forgets it. The cause that comes back is the first one there was.
pub(crate) fn end(core: &Core, cell: &Cell, cause: SignInAgain) -> SignInAgain {
    let cause = cell.end(cause);
    tracing::info!(
        session = cell.id.tag(),
        cause = cause.code(),
        "session ended"
    );
    core.shared.sessions.remove(&core.session_key(&cell.id));
    cause
}
