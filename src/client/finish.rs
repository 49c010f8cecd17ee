//! Finishing a login: from the callback to a session.

use std::sync::Arc;

use tracing::Instrument;

use super::authorization_server::{self, Call};
use super::core::Core;
use super::login::Target;
use super::servers::Nonces;
use super::session::{Session, SessionId};
use super::tokens::{Cell, Grant, Tokens};
use crate::error::{Endpoint, Error, JwtFault, Violation};
use crate::jose::sha256;
use crate::profile::TRANSACTION_LIFE;
use crate::protocol::authorization_response::{self as response, Callback, Candidate, Response};
use crate::protocol::dpop::ProofKey;
use crate::protocol::id_token::{self, Asked, IdToken, Occasion};
use crate::protocol::token::{self, TokenResponse};
use crate::protocol::uri::{Issuer, RedirectUri};
use crate::secret::{AuthorizationCode, CodeVerifier, Nonce, State, TransactionHandle};

/// A login under way: everything that its callback is held against.
#[derive(Debug)]
pub(crate) struct Transaction {
    pub(crate) issuer: Issuer,
    pub(crate) client_id: String,
    pub(crate) redirect_uri: RedirectUri,
    pub(crate) state: State,
    pub(crate) nonce: Option<Nonce>,
    pub(crate) verifier: CodeVerifier,
    /// SP-5.3.2.1-12: the key that the code is bound to.
    pub(crate) key: ProofKey,
    pub(crate) nonces: Nonces,
    pub(crate) asked: Asked,
    pub(crate) wants_id_token: bool,
    /// The user that it has to be, where that is known.
    pub(crate) subject: Option<String>,
    pub(crate) target: Target,
}

/// A transaction that was taken out of the store, and what the server answered to it.
pub(crate) struct Taken {
    pub(crate) transaction: Arc<Transaction>,
    response: Response,
}

/// Puts a login under the handle of its browser: the one it has, where we know it, else a new one.
/// A handle that is unknown here may have been planted by somebody else (SEC-6.5).
pub(crate) fn keep(
    core: &Core,
    browser: Option<TransactionHandle>,
    transaction: Transaction,
) -> Result<TransactionHandle, Error> {
    let store = &core.shared.transactions;
    let now = core.now();
    let known = browser.filter(|handle| !store.of(&owner(handle), now).is_empty());
    let handle = match known {
        Some(handle) => handle,
        None => TransactionHandle::random()?,
    };
    store.put(
        owner(&handle),
        sha256(transaction.state.reveal().as_bytes()),
        Arc::new(transaction),
        now.plus(core.transaction_life.min(TRANSACTION_LIFE)),
        now,
    )?;
    Ok(handle)
}

/// The store knows a browser by the hash of its handle: who reads the store can't finish a login.
fn owner(handle: &TransactionHandle) -> [u8; 32] {
    sha256(handle.expose().as_bytes())
}

/// Finds the login that a callback answers among those of its browser at this client, and takes it.
pub(crate) fn take_own(
    core: &Core,
    handle: &TransactionHandle,
    callback: &Callback,
) -> Result<Taken, Error> {
    take(core, handle, callback, |transaction| {
        transaction.issuer == *core.issuer() && transaction.client_id == core.client_id
    })
}

/// The order: read, `iss` and `state`, and only then is the login taken, atomically. A forged callback
/// uses nothing up (ERR-14).
pub(crate) fn take(
    core: &Core,
    handle: &TransactionHandle,
    callback: &Callback,
    counts: impl Fn(&Transaction) -> bool,
) -> Result<Taken, Error> {
    let store = &core.shared.transactions;
    let (owner, now) = (owner(handle), core.now());
    let mut own = store.of(&owner, now);
    own.retain(|(_, transaction)| counts(transaction));
    let candidates: Vec<Candidate<'_>> = own
        .iter()
        .map(|(_, transaction)| Candidate {
            issuer: &transaction.issuer,
            state: &transaction.state,
        })
        .collect();
    let unchecked = response::read(callback)?;
    let chosen = unchecked.choose(&candidates)?;
    let (id, _) = own.get(chosen).ok_or(Violation::NoSuchLogin)?;
    // SEC-6.4: of two callbacks at once, one goes on.
    let transaction = store.take(&owner, id, now).ok_or(Violation::NoSuchLogin)?;
    Ok(Taken {
        transaction,
        response: unchecked.into_response()?,
    })
}

/// Redeems the code of a callback that holds, checks what comes, and keeps the session.
pub(crate) async fn finish(core: &Arc<Core>, taken: Taken) -> Result<Session, Error> {
    let span = tracing::info_span!("fapi.finish_login", issuer = core.issuer().as_str());
    session_of(core, taken).instrument(span).await
}

async fn session_of(core: &Arc<Core>, taken: Taken) -> Result<Session, Error> {
    let Taken {
        transaction,
        response,
    } = taken;
    let code = response.into_code()?;
    let sent_at = core.now();
    let tokens = redeem(core, &transaction, code).await?;
    let id_token = id_token_of(core, &transaction, &tokens).await?;
    granted_details(&transaction, &tokens)?;
    let tokens = Tokens::new(tokens, transaction.target.scope.as_deref(), sent_at);
    let grant = Grant::User {
        id_token,
        asked: transaction.target.clone(),
    };
    let cell = Arc::new(Cell::new(
        SessionId::random()?,
        transaction.key.clone(),
        transaction.nonces.copy(),
        grant,
        tokens,
    ));
    let key = core.session_key(&cell.id);
    core.shared.sessions.put(key, cell.clone());
    tracing::info!(session = cell.id.tag(), "login finished");
    Ok(Session::new(core.clone(), cell))
}

/// K-10, ERR-11, SEC-6.4: at once, with the key that the code is bound to, and never a second time.
async fn redeem(
    core: &Core,
    transaction: &Transaction,
    code: AuthorizationCode,
) -> Result<TokenResponse, Error> {
    let form = token::redeem_code(
        code,
        transaction.verifier.clone(),
        &transaction.redirect_uri,
    );
    let sent_at = core.now();
    let call = Call {
        endpoint: Endpoint::Token,
        form: &form,
        proof: Some((&transaction.key, &transaction.nonces)),
        lost_answer: None,
    };
    let answer = authorization_server::send(core, call).await?;
    token::response(answer, sent_at)
}

async fn id_token_of(
    core: &Core,
    transaction: &Transaction,
    tokens: &TokenResponse,
) -> Result<Option<IdToken>, Error> {
    if !transaction.wants_id_token {
        // One that nobody asked for has no nonce to be held against: it says nothing.
        return Ok(None);
    }
    // SP-5.3.2.3: `openid` promises one.
    let id_token = tokens.id_token.as_ref().ok_or(Violation::MissingIdToken)?;
    let occasion = Occasion::Login {
        nonce: transaction.nonce.as_ref(),
        asked: &transaction.asked,
        access_token: &tokens.access_token,
    };
    let id_token = verified_id_token(core, id_token, &occasion).await?;
    match &transaction.subject {
        Some(subject) if subject != id_token.subject() => Err(Violation::SubjectChanged.into()),
        _ => Ok(Some(id_token)),
    }
}

/// RAR-7: what was asked for in detail is answered in detail.
fn granted_details(transaction: &Transaction, tokens: &TokenResponse) -> Result<(), Violation> {
    let asked = !transaction.target.authorization_details.is_empty();
    if asked && tokens.authorization_details.is_none() {
        return Err(Violation::MissingAuthorizationDetails);
    }
    Ok(())
}

/// Checks an ID token. Where no known key made its signature the key set is fetched once more, since
/// the server may have changed its keys (OIDC-10).
pub(crate) async fn verified_id_token(
    core: &Core,
    token: &str,
    occasion: &Occasion<'_>,
) -> Result<IdToken, Error> {
    let keys = core.jwks.get(core).await?;
    let check = |keys: &_| {
        id_token::check(
            token,
            &core.shared.crypto,
            keys,
            &core.registered,
            occasion,
            core.now(),
        )
    };
    match check(&keys) {
        Err(violation) if is_unknown_key(&violation) => match core.jwks.renewed(core, &keys).await?
        {
            Some(keys) => Ok(check(&keys)?),
            None => Err(violation.into()),
        },
        checked => Ok(checked?),
    }
}

pub(crate) const fn is_unknown_key(violation: &Violation) -> bool {
    matches!(
        violation,
        Violation::Jwt {
            fault: JwtFault::NoKey | JwtFault::Signature,
            ..
        }
    )
}
