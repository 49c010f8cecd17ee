//! A logout that the server tells of: sessions found by what it names, ended here, told once.

use std::sync::Arc;
use std::time::Duration;

use tracing::Instrument;

use super::core::Core;
use super::finish::is_unknown_key;
use super::record::{by_session_id, by_subject};
use super::single_flight::SingleFlight;
use super::vault::{Content, Opened};
use super::{ended, kept};
use crate::error::{Error, LogoutRequestFault, StoreError, Violation};
use crate::protocol::logout::{LogoutToken, backchannel};
use crate::store::RecordKind;

/// How much longer a token is remembered than by the clock here: another replica's may run behind.
const OTHER_CLOCKS: Duration = Duration::from_secs(60);

/// Reads a request of the server's, verifies its token, and ends the sessions that it means.
pub(crate) async fn logout(
    core: &Arc<Core>,
    content_type: Option<&str>,
    body: &[u8],
) -> Result<LogoutToken, Error> {
    let span = tracing::info_span!("fapi.backchannel_logout", issuer = core.issuer().as_str());
    let token = backchannel::read(content_type, body)?;
    // To the end, though the server hangs up meanwhile: it may not tell of it again.
    let (core, busy) = (core.clone(), core.shared.background.begin());
    let job = async move {
        let _busy = busy;
        log_out(&core, &token).await
    };
    SingleFlight::default().run(|| job.instrument(span)).await?
}

async fn log_out(core: &Arc<Core>, token: &str) -> Result<LogoutToken, Error> {
    let token = verified(core, token).await?;
    // BCL-8: each token counts once. Whoever has caught one can't use it again.
    let used = core.vault.key(RecordKind::Used, token.token_id());
    let replayed = || Violation::LogoutRequest {
        fault: LogoutRequestFault::Replayed,
    };
    if core.vault.load(&used).await?.is_some() {
        return Err(replayed().into());
    }
    // The sessions first: a crash in between leaves a token that the server may send again, and to end a
    // session twice does no harm.
    end_sessions(core, &token).await?;
    let life = token.remember_until().seconds_since(core.now()).max(0);
    let life = Duration::from_secs(u64::try_from(life).unwrap_or(0));
    let content = Content {
        plain: b"{}",
        tags: Vec::new(),
        life: Some(life + OTHER_CLOCKS),
    };
    match core.vault.create(&used, content).await {
        Ok(_) => Ok(token),
        Err(StoreError::Exists) => Err(replayed().into()),
        Err(error) => Err(error.into()),
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

/// BCL-9: the session of that `sid`; without one, all sessions of the user. None is fine. One that can't be
/// ended keeps none of the others alive; the first error is told.
async fn end_sessions(core: &Arc<Core>, token: &LogoutToken) -> Result<(), Error> {
    let tags = [
        token.session_id().map(by_session_id),
        token.subject().map(by_subject),
    ];
    let mut outcome = Ok(());
    for tag in tags.iter().flatten() {
        match core.vault.list(RecordKind::Session, Some(tag)).await {
            Ok(found) => {
                for opened in found {
                    outcome = outcome.and(end_session(core, token, &opened).await);
                }
            }
            Err(error) => outcome = outcome.and(Err(error.into())),
        }
    }
    outcome
}

async fn end_session(core: &Arc<Core>, token: &LogoutToken, opened: &Opened) -> Result<(), Error> {
    // One that is damaged can't be opened by anybody.
    let read = kept::read(opened).and_then(|(record, version)| {
        let id_token = record.parts()?.0;
        Ok((record, version, id_token))
    });
    let Ok((record, version, id_token)) = core.vault.told(read) else {
        return Ok(());
    };
    let meant =
        id_token.is_some_and(|token_of| token.concerns(token_of.subject(), token_of.session_id()));
    if !meant {
        return Ok(());
    }
    match kept::with_record(core, record, version).await {
        Ok(Some(cell)) => ended::end_here(core, &cell).await,
        Ok(None) => Ok(()),
        // Without its key it can't be used, and nothing can be proven to the server.
        Err(Error::SignInAgain(_)) => Ok(core.vault.delete(&opened.key, Some(version)).await?),
        Err(error) => Err(error),
    }
}
