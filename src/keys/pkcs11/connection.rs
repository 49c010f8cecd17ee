//! A session with the token, and a new one where the old one is lost.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use cryptoki::context::Pkcs11;
use cryptoki::mechanism::MechanismType;
use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;
use cryptoki::slot::Slot;

use super::fault::{Fault, GONE};
use super::gate::{self, Gate};
use super::module::{self, Choice};
use crate::error::KeyError;
use crate::jose::PublicJwk;
use crate::keys::KeyName;

/// What all sessions of a store share.
pub(super) struct Token {
    pub(super) module: PathBuf,
    pub(super) choice: Choice,
    pub(super) gate: Gate,
    /// How often keys were made or deleted. A token may give the handle of a deleted key to another
    /// one, so that handles are looked up anew after each change.
    changes: AtomicU64,
    /// Held while keys are made or deleted: tokens let two keys have one name.
    pub(super) writing: Mutex<()>,
}

impl Token {
    pub(super) fn new(module: PathBuf, choice: Choice, gate: Gate) -> Self {
        Self {
            module,
            choice,
            gate,
            changes: AtomicU64::new(0),
            writing: Mutex::default(),
        }
    }

    pub(super) fn changed(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
    }
}

/// The worker of one thread: a session, opened when it is first needed and again when it is lost.
pub(super) struct Worker {
    token: Arc<Token>,
    connection: Option<Connection>,
}

impl Worker {
    pub(super) const fn new(token: Arc<Token>) -> Self {
        Self {
            token,
            connection: None,
        }
    }

    /// Does something in the session. Where the session, the login or a handle is lost, opens a new
    /// session, and does it once more.
    pub(super) fn attempt<T>(
        &mut self,
        task: impl Fn(&mut Connection) -> Result<T, Fault>,
    ) -> Result<T, KeyError> {
        let mut outcome = self.once(&task, false);
        if matches!(outcome, Err(Fault::Lost(_))) {
            outcome = self.once(&task, true);
        }
        outcome.map_err(|fault| {
            if matches!(fault, Fault::Lost(_)) {
                self.connection = None;
            }
            fault.into_error()
        })
    }

    fn once<T>(
        &mut self,
        task: impl Fn(&mut Connection) -> Result<T, Fault>,
        anew: bool,
    ) -> Result<T, Fault> {
        let connection = match self.connection.take() {
            Some(connection) if !anew => connection,
            old => self.reconnect(old)?,
        };
        let connection = self.connection.insert(connection);
        let changes = self.token.changes.load(Ordering::Acquire);
        if connection.changes != changes {
            connection.changes = changes;
            connection.keys.clear();
        }
        task(connection)
    }

    /// Opens the new session before it closes the old one: with the last session the login ends, and
    /// the PIN would be asked for where only a handle was lost.
    fn reconnect(&self, old: Option<Connection>) -> Result<Connection, Fault> {
        match Connection::open(&self.token) {
            Err(Fault::Sessions(_)) if old.is_some() => {
                drop(old);
                Connection::open(&self.token)
            }
            outcome => outcome,
        }
    }
}

/// A session, logged in.
pub(super) struct Connection {
    pub(super) session: Session,
    pub(super) token: Arc<Token>,
    pub(super) module: Pkcs11,
    pub(super) slot: Slot,
    /// What the token can do.
    pub(super) mechanisms: Vec<MechanismType>,
    /// The keys that were looked up in this session.
    pub(super) keys: HashMap<KeyName, (ObjectHandle, PublicJwk)>,
    changes: u64,
    serial: String,
    login_required: bool,
}

impl Connection {
    fn open(token: &Arc<Token>) -> Result<Self, Fault> {
        let module = module::load(&token.module)?;
        let (slot, info) = module::find(&module, &token.choice)?;
        // Signing reads; what writes opens a session of its own. Some tokens have few of those.
        let session = module.open_ro_session(slot)?;
        token.gate.log_in(&session, &info)?;
        Ok(Self {
            mechanisms: module.get_mechanism_list(slot)?,
            session,
            token: token.clone(),
            module,
            slot,
            keys: HashMap::new(),
            changes: token.changes.load(Ordering::Acquire),
            serial: info.serial_number().to_owned(),
            login_required: info.login_required(),
        })
    }

    /// That this is still the same token, and that we are still logged in. A token that is not says of
    /// every key that it has none.
    pub(super) fn ensure_there(&self) -> Result<(), Fault> {
        let info = self.module.get_token_info(self.slot)?;
        if info.serial_number() != self.serial {
            return Err(Fault::Lost(GONE));
        }
        if self.login_required && !gate::is_logged_in(&self.session)? {
            return Err(Fault::Lost(KeyError::Unavailable));
        }
        Ok(())
    }

    pub(super) fn offers(&self, mechanism: MechanismType) -> bool {
        self.mechanisms.contains(&mechanism)
    }
}
