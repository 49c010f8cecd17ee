//! A logout that the server tells of: sessions found by what it names, ended here, told once.

use std::sync::Arc;
use std::time::Duration;

use tracing::Instrument;

use super::core::Core;
use super::finish::is_unknown_key;
use super::record::{by_session_id, by_subject};
use super::vault::Content;
use super::{ended, kept};
use crate::error::{Error, LogoutRequestFault, StoreError, Violation};
use crate::protocol::logout::{LogoutToken, backchannel};
use crate::store::RecordKind;

/// Reads a request of the server's, verifies its token, and ends the sessions that it means.
pub(crate) async fn logout(
    core: &Arc<Core>,
    content_type: Option<&str>,
    body: &[u8],
) -> Result<LogoutToken, Error> {
    let span = tracing::info_span!("fapi.backchannel_logout", issuer = core.issuer().as_str());
    log_out(core, content_type, body).instrument(span).await
}

async fn log_out(
    core: &Arc<Core>,
    content_type: Option<&str>,
    body: &[u8],
) -> Result<LogoutToken, Error> {
    let token = backchannel::read(content_type, body)?;
    let token = verified(core, &token).await?;
    // BCL-8: each token counts once. Whoever has caught one can't use it again.
    let used = core.vault.key(RecordKind::Used, token.token_id());
    let life = token.remember_until().seconds_since(core.now()).max(1);
    let content = Content {
        plain: b"{}",
        tags: Vec::new(),
        life: Some(Duration::from_secs(u64::try_from(life).unwrap_or(1))),
    };
    match core.vault.create(&used, content).await {
        Ok(_) => {}
        Err(StoreError::Exists) => {
            let fault = LogoutRequestFault::Replayed;
            return Err(Violation::LogoutRequest { fault }.into());
        }
        Err(error) => return Err(error.into()),
    }
    match end_sessions(core, &token).await {
        Ok(()) => Ok(token),
        Err(error) => {
            // The server may tell of it again.
            drop(core.vault.delete(&used, None).await);
            Err(error)
        }
    }
}

async fn verified(core: &Core, token: &str) -> Result<LogoutToken, Error> {
    let keys = core.jwks.get(core).await?;
    let (crypto, now) = (&core.shared.crypto, core.now());
    let check = |keys: &_| backchannel::check(token, crypto, keys, &core.registered, now);
    match check(&keys) {
        Err(violation) if is_unknown_key(&violation) => {
            match core.jwks.renewed(core, &keys).await? {
                Some(keys) => Ok(check(&keys)?),
                None => Err(violation.into()),
            }
        }
        checked => Ok(checked?),
    }
}

/// BCL-9: the session of that `sid`; without one, all sessions of the user. None is fine.
async fn end_sessions(core: &Arc<Core>, token: &LogoutToken) -> Result<(), Error> {
    let tags = [
        token.session_id().map(by_session_id),
        token.subject().map(by_subject),
    ];
    for tag in tags.iter().flatten() {
        for opened in core.vault.list(RecordKind::Session, Some(tag)).await? {
            let Ok((record, version)) = core.vault.told(kept::read(&opened)) else {
                continue;
            };
            let id_token = record.parts()?.0;
            let meant = id_token
                .is_some_and(|id_token| token.concerns(id_token.subject(), id_token.session_id()));
            if !meant {
                continue;
            }
            match kept::of_record(core, record, version).await {
                Ok(Some(cell)) => ended::end_here(core, &cell).await?,
                Ok(None) => {}
                // Without its key it can't be used, and nothing can be proven to the server.
                Err(Error::SignInAgain(_)) => {
                    core.vault.delete(&opened.key, Some(version)).await?;
                }
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}
