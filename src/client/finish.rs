//! Finishing a login: from the callback to a session.

use std::sync::Arc;

use tokio::sync::oneshot;
use tracing::Instrument;

use super::authorization_server::{self, Call};
use super::cell::{Cell, Grant};
use super::core::Core;
use super::session::Session;
use super::tokens::Tokens;
use super::transactions::{self, Taken, Transaction};
use super::{dpop_keys, ended, kept};
use crate::error::{
    ConfigError, Endpoint, Error, JwtFault, SignInAgain, TransportError, TransportFault, Violation,
};
use crate::protocol::authorization_response::{Callback, Response};
use crate::protocol::id_token::{self, IdToken, Occasion};
use crate::protocol::token::{self, TokenResponse};
use crate::secret::{AuthorizationCode, TransactionHandle};

/// Takes the login that a callback answers at one of these clients, redeems the code, checks what comes, and
/// keeps the session.
///
/// Who goes away before the login is taken has used nothing up. From then on it goes to its end without
/// them, since a code is redeemed once; a session that nobody waits for is given back.
pub(crate) async fn finish(
    cores: &[Arc<Core>],
    handle: TransactionHandle,
    callback: Callback,
) -> Result<Session, Error> {
    let runtime = tokio::runtime::Handle::try_current().map_err(|_| ConfigError::NoRuntime)?;
    let (core, taken) = transactions::take(cores, &handle, &callback).await?;
    let span = tracing::info_span!("fapi.finish_login", issuer = core.issuer().as_str());
    let (tell, told) = oneshot::channel();
    let busy = core.shared.background.begin();
    let job = async move {
        let cell = session_of(&core, taken).await;
        // Where nobody waits, it comes back and is dropped.
        drop(tell.send(cell.map(|cell| Unclaimed(Some((core, cell))))));
        drop(busy);
    };
    runtime.spawn(job.instrument(span));
    match told.await {
        Ok(outcome) => outcome?.claim(),
        // The runtime ended the job.
        Err(_) => Err(TransportError::new(TransportFault::Broken).into()),
    }
}

/// A new session on the way to who waits for it. Where it does not arrive, nobody could ever log it out.
struct Unclaimed(Option<(Arc<Core>, Arc<Cell>)>);

impl Unclaimed {
    fn claim(mut self) -> Result<Session, Error> {
        match self.0.take() {
            Some((core, cell)) => Ok(Session::new(core, cell)),
            None => Err(TransportError::new(TransportFault::Broken).into()),
        }
    }
}

impl Drop for Unclaimed {
    fn drop(&mut self) {
        if let Some((core, cell)) = self.0.take() {
            tracing::warn!(session = cell.id.tag(), "a login that nobody waits for");
            ended::abandon(&core, &cell);
        }
    }
}

async fn session_of(core: &Arc<Core>, taken: Taken) -> Result<Arc<Cell>, Error> {
    let Taken {
        transaction,
        response,
    } = taken;
    match granted(core, &transaction, response).await {
        Ok((id_token, tokens)) => kept(core, transaction, id_token, tokens).await,
        Err(error) => {
            // Nothing is bound to this key, and nothing will be.
            dpop_keys::forget(core, &transaction.source).await;
            Err(error)
        }
    }
}

/// What the server gives for the code, checked.
async fn granted(
    core: &Core,
    transaction: &Transaction,
    response: Response,
) -> Result<(Option<IdToken>, Tokens), Error> {
    let code = response.into_code()?;
    let sent_at = core.now();
    let tokens = redeem(core, transaction, code).await?;
    let id_token = id_token_of(core, transaction, &tokens).await?;
    granted_details(transaction, &tokens)?;
    let scope = transaction.target.scope.as_deref();
    Ok((id_token, Tokens::new(tokens, scope, sent_at)))
}

/// Keeps the session. Where the store can't, nobody could renew its tokens: they are given back.
async fn kept(
    core: &Arc<Core>,
    transaction: Transaction,
    id_token: Option<IdToken>,
    tokens: Tokens,
) -> Result<Arc<Cell>, Error> {
    let grant = Grant::User {
        id_token,
        asked: transaction.target,
        source: transaction.source.clone(),
    };
    let cell = Cell::new(
        transaction.session,
        transaction.key,
        transaction.nonces,
        grant,
        tokens,
    );
    match kept::create(core, cell).await {
        Ok(cell) => {
            dpop_keys::settle(core, &transaction.source).await;
            core.shared.watch.session_created(&cell.id);
            Ok(cell)
        }
        Err((cell, error)) => {
            // Nobody has seen this session: there is no end of it to tell of.
            let _ = cell.end(SignInAgain::LoggedOut);
            drop(ended::give_back(core, &Arc::new(cell)).await);
            Err(error.into())
        }
    }
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
    )
    .and(transaction.target.of_one_api());
    let key = transaction.key.as_ref();
    let call = Call {
        endpoint: Endpoint::Token,
        form: &form,
        proof: key.map(|key| (key, &transaction.nonces)),
        lost_answer: None,
    };
    authorization_server::tokens(core, call).await
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
