//! Telling the server to forget the tokens of a session that has ended (RFC 7009).

use super::authorization_server::{self, Call};
use super::cell::Cell;
use super::core::Core;
use super::tokens::Unrevoked;
use crate::error::{ConfigError, Endpoint, Error};
use crate::protocol::form::Form;
use crate::protocol::revocation;

/// Has everything revoked that still is to be. What the server can't take now is kept for another
/// try (REV-2.2.1).
pub(crate) async fn revoke(core: &Core, cell: &Cell) -> Result<(), Error> {
    if matches!(
        core.endpoint(Endpoint::Revocation).await,
        Err(Error::Config(ConfigError::NoEndpoint(_)))
    ) {
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
        let without_it = Unrevoked {
            refresh_token: None,
            ..tokens.clone()
        };
        cell.settle(&tokens, Some(without_it.clone()));
        tokens = without_it;
    }
    let mut outcome = Ok(());
    while let Some(token) = tokens.access_tokens.last() {
        match tell(core, cell, &revocation::access_token(token)).await {
            Err(error) if !is_final(&error) => return Err(error),
            told => outcome = outcome.and(told),
        }
        let mut left = tokens.clone();
        left.access_tokens.pop();
        let more = (!left.access_tokens.is_empty()).then(|| left.clone());
        cell.settle(&tokens, more);
        tokens = left;
    }
    outcome.map_err(|error| refusal.unwrap_or(error))
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
        proof: cell.proof(),
        lost_answer: None,
    };
    let answer = authorization_server::send(core, call).await?;
    revocation::response(&answer)
}
