//! Logins under way: kept for the browser that began them, taken once.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::core::Core;
use super::dpop_keys::{self, KeyRecord, KeySource};
use super::login::Target;
use super::record::{NonceRecord, TargetRecord, kept, kept_option, write};
use super::servers::Nonces;
use super::session::SessionId;
use crate::error::{Error, StoreError, Violation};
use crate::jose::sha256;
use crate::profile::TRANSACTION_LIFE;
use crate::protocol::authorization_response::{self as response, Callback, Candidate, Response};
use crate::protocol::dpop::ProofKey;
use crate::protocol::id_token::Asked;
use crate::protocol::uri::{Issuer, RedirectUri};
use crate::secret::{CodeVerifier, Nonce, State, TransactionHandle};
use crate::store::{Digest, TransactionKey};
use crate::time::Timestamp;

/// A login under way: everything that its callback is held against.
pub(crate) struct Transaction {
    pub(crate) issuer: Issuer,
    pub(crate) client_id: String,
    pub(crate) redirect_uri: RedirectUri,
    pub(crate) state: State,
    pub(crate) nonce: Option<Nonce>,
    pub(crate) verifier: CodeVerifier,
    /// The session that it will be.
    pub(crate) session: SessionId,
    /// SP-5.3.2.1-12: the key that the code is bound to; `None` where tokens are bound to a certificate.
    pub(crate) key: Option<ProofKey>,
    pub(crate) source: KeySource,
    pub(crate) nonces: Nonces,
    pub(crate) asked: Asked,
    pub(crate) wants_id_token: bool,
    /// The user that it has to be, where that is known.
    pub(crate) subject: Option<String>,
    pub(crate) target: Target,
}

/// A login under way as it is written down.
#[derive(Serialize, Deserialize)]
struct TransactionRecord {
    issuer: String,
    client_id: String,
    expires_at: Timestamp,
    redirect_uri: String,
    #[serde(with = "kept")]
    state: State,
    #[serde(with = "kept_option")]
    nonce: Option<Nonce>,
    #[serde(with = "kept")]
    verifier: CodeVerifier,
    session: String,
    key: KeyRecord,
    nonces: Vec<NonceRecord>,
    asked: Asked,
    wants_id_token: bool,
    subject: Option<String>,
    target: TargetRecord,
}

/// A transaction that was taken out of the store, and what the server answered to it.
pub(crate) struct Taken {
    pub(crate) transaction: Transaction,
    pub(crate) response: Response,
}

impl TransactionRecord {
    fn new(transaction: &Transaction, expires_at: Timestamp) -> Self {
        Self {
            issuer: transaction.issuer.as_str().to_owned(),
            client_id: transaction.client_id.clone(),
            expires_at,
            redirect_uri: transaction.redirect_uri.as_str().to_owned(),
            state: transaction.state.clone(),
            nonce: transaction.nonce.clone(),
            verifier: transaction.verifier.clone(),
            session: transaction.session.as_str().to_owned(),
            key: KeyRecord::new(&transaction.source, transaction.key.as_ref()),
            nonces: transaction.nonces.to_records(),
            asked: transaction.asked.clone(),
            wants_id_token: transaction.wants_id_token,
            subject: transaction.subject.clone(),
            target: TargetRecord::from(&transaction.target),
        }
    }

    fn read(bytes: &[u8]) -> Result<Self, StoreError> {
        serde_json::from_slice(bytes).map_err(|_| StoreError::Malformed("it is no login"))
    }

    async fn into_transaction(self, core: &Core) -> Result<Transaction, Error> {
        let (key, source) = self.key.open(core).await?;
        Ok(Transaction {
            issuer: Issuer::new(self.issuer)?,
            client_id: self.client_id,
            redirect_uri: RedirectUri::new(self.redirect_uri)?,
            state: self.state,
            nonce: self.nonce,
            verifier: self.verifier,
            session: SessionId::from(self.session),
            key,
            source,
            nonces: Nonces::from_records(&self.nonces),
            asked: self.asked,
            wants_id_token: self.wants_id_token,
            subject: self.subject,
            target: self.target.target()?,
        })
    }
}

/// Puts a login under the handle of its browser: the one it has, where we know it, else a new one.
/// A handle that is unknown here may have been planted by somebody else (SEC-6.5).
pub(crate) async fn keep(
    core: &Core,
    browser: Option<TransactionHandle>,
    transaction: &Transaction,
) -> Result<TransactionHandle, Error> {
    let known = match browser {
        Some(handle) => is_known(core, &handle).await?.then_some(handle),
        None => None,
    };
    let handle = match known {
        Some(handle) => handle,
        None => TransactionHandle::random()?,
    };
    let life = core.transaction_life.min(TRANSACTION_LIFE);
    let record = TransactionRecord::new(transaction, core.now().plus(life));
    core.vault
        .put_transaction(
            owner(&handle),
            transaction.state.reveal(),
            &write(&record)?,
            life,
        )
        .await?;
    Ok(handle)
}

/// Whether a login of this browser's is under way, at this client or at another of its registry.
async fn is_known(core: &Core, handle: &TransactionHandle) -> Result<bool, Error> {
    let stored = of(core, &owner(handle)).await?;
    let elsewhere = stored
        .iter()
        .any(|(key, _)| key.scope != core.vault.scope());
    Ok(elsewhere || !live(core, stored).is_empty())
}

/// The store knows a browser by the hash of its handle: who reads the store can't finish a login.
fn owner(handle: &TransactionHandle) -> Digest {
    Digest::from_bytes(sha256(handle.expose().as_bytes()))
}

type Kept = Vec<(TransactionKey, Vec<u8>)>;

async fn of(core: &Core, owner: &Digest) -> Result<Kept, StoreError> {
    let transactions = &core.vault.stores().transactions;
    core.vault.told(transactions.of(owner).await)
}

/// Those that are this client's and have not expired. One that can't be opened is told of and passed
/// over: it may be planted.
fn live(core: &Core, stored: Kept) -> Vec<(TransactionKey, TransactionRecord)> {
    let now = core.now();
    let own = stored
        .into_iter()
        .filter(|(key, _)| key.scope == core.vault.scope());
    own.filter_map(|(key, bytes)| {
        let plain = core.vault.open_transaction(&key, bytes).ok()?;
        let record = core.vault.told(TransactionRecord::read(&plain)).ok()?;
        (now < record.expires_at).then_some((key, record))
    })
    .collect()
}

/// Finds the login that a callback answers among those of its browser, at one of these clients, and takes
/// it.
///
/// The order: read, `iss` and `state`, and only then is the login taken, atomically. A forged callback
/// uses nothing up (ERR-14).
pub(crate) async fn take(
    cores: &[Arc<Core>],
    handle: &TransactionHandle,
    callback: &Callback,
) -> Result<(Arc<Core>, Taken), Error> {
    let unchecked = response::read(callback)?;
    let any = cores.first().ok_or(Violation::NoSuchLogin)?;
    let stored = of(any, &owner(handle)).await?;
    let mut own = Vec::new();
    for core in cores {
        let found = live(core, stored.clone()).into_iter();
        own.extend(found.map(|(key, record)| (core, key, record)));
    }
    let issuers: Vec<Issuer> = own.iter().map(|(core, ..)| core.issuer().clone()).collect();
    let candidates: Vec<Candidate<'_>> = own
        .iter()
        .zip(&issuers)
        .map(|((_, _, record), issuer)| Candidate {
            issuer,
            state: &record.state,
        })
        .collect();
    let chosen = unchecked.choose(&candidates)?;
    if chosen >= own.len() {
        return Err(Violation::NoSuchLogin.into());
    }
    let (core, key, _) = own.swap_remove(chosen);
    // SEC-6.4: of two callbacks at once, one goes on, with what the store hands to it alone.
    let transactions = &core.vault.stores().transactions;
    let taken = core.vault.told(transactions.take(&key).await)?;
    let taken = taken.ok_or(Violation::NoSuchLogin)?;
    let plain = core.vault.open_transaction(&key, taken)?;
    let record = TransactionRecord::read(&plain)?;
    let transaction = record.into_transaction(core).await?;
    Ok((
        core.clone(),
        Taken {
            transaction,
            response: unchecked.into_response()?,
        },
    ))
}

/// Takes every login of a browser at this client out, and the keys that were made for them.
pub(crate) async fn abandon(core: &Core, handle: &TransactionHandle) -> Result<(), Error> {
    let stored = of(core, &owner(handle)).await?;
    for (key, record) in live(core, stored) {
        let transactions = &core.vault.stores().transactions;
        if core.vault.told(transactions.take(&key).await)?.is_some()
            && let Ok((_, source)) = record.key.open(core).await
        {
            dpop_keys::forget(core, &source).await;
        }
    }
    Ok(())
}
