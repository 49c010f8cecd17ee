//! Sessions with the token, and new ones where they are lost.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use cryptoki::context::Pkcs11;
use cryptoki::mechanism::MechanismType;
use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;
use cryptoki::slot::Slot;

use super::fault::{Fault, GONE};
use super::gate::{self, Gate};
use super::module::{ABSENT, Choice, Lease};
use crate::error::KeyError;
use crate::jose::PublicJwk;
use crate::keys::KeyName;

/// A token, there or away.
pub(super) struct Token {
    module: PathBuf,
    choice: Choice,
    pub(super) gate: Gate,
    /// Sessions that are open and not in use: not more than there are threads.
    idle: Mutex<Vec<Connection>>,
    /// How often keys were made or deleted. A token may give the handle of a deleted key to another
    /// one, so that handles are looked up anew after each change.
    changes: AtomicU64,
    /// Held while keys are made or deleted: tokens let two keys have one name.
    writing: Mutex<()>,
}

impl Token {
    pub(super) fn new(module: PathBuf, choice: Choice, gate: Gate) -> Self {
        Self {
            module,
            choice,
            gate,
            idle: Mutex::default(),
            changes: AtomicU64::new(0),
            writing: Mutex::default(),
        }
    }

    /// Does something in a session. Where the session, the login or a handle is lost, opens a new
    /// session, and does it once more.
    pub(super) fn attempt<T>(
        &self,
        task: impl Fn(&mut Connection) -> Result<T, Fault>,
    ) -> Result<T, KeyError> {
        let idle = self.idle().pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => self.connect(None)?,
        };
        let mut outcome = self.once(&mut connection, &task);
        if matches!(outcome, Err(Fault::Lost(_))) {
            connection = self.connect(Some(connection))?;
            outcome = self.once(&mut connection, &task);
        }
        if !matches!(outcome, Err(Fault::Lost(_))) {
            self.idle().push(connection);
        }
        outcome.map_err(Fault::into_error)
    }

    /// Held while keys are made or deleted.
    pub(super) fn writing(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keys were made or deleted.
    pub(super) fn changed(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
    }

    fn once<T>(
        &self,
        connection: &mut Connection,
        task: impl Fn(&mut Connection) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let changes = self.changes.load(Ordering::Acquire);
        if connection.changes != changes {
            connection.changes = changes;
            connection.keys.clear();
        }
        task(connection)
    }

    /// Opens a new session, before it closes the old one: with the last session the login ends, and the
    /// PIN would be asked for where only a handle was lost.
    fn connect(&self, old: Option<Connection>) -> Result<Connection, KeyError> {
        let mut opened = Connection::open(self, false);
        if matches!(opened, Err(Fault::Sessions(_))) && old.is_some() {
            drop(old);
            opened = Connection::open(self, false);
        } else if matches!(opened, Err(Fault::Lost(KeyError::Absent(_)))) {
            // No session with a token that is away is worth anything.
            drop(old);
            self.idle().clear();
            opened = Connection::open(self, true);
        }
        opened.map_err(Fault::into_error)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A session, logged in.
pub(super) struct Connection {
    // Closed before the module may be initialized anew.
    pub(super) session: Session,
    lease: Lease,
    pub(super) slot: Slot,
    /// What the token can do.
    mechanisms: Vec<MechanismType>,
    /// The keys that were looked up in this session.
    pub(super) keys: HashMap<KeyName, (ObjectHandle, PublicJwk)>,
    changes: u64,
    serial: String,
    login_required: bool,
}

impl Connection {
    fn open(token: &Token, anew: bool) -> Result<Self, Fault> {
        let lease = Lease::take(&token.module)?;
        if anew && !lease.initialize_anew() {
            return Err(Fault::Lost(ABSENT));
        }
        let (slot, info) = lease.find(&token.choice)?;
        // Signing reads; what writes opens a session of its own. Some tokens have few of those.
        let session = lease.pkcs11().open_ro_session(slot)?;
        token.gate.log_in(&session, &info)?;
        Ok(Self {
            session,
            mechanisms: lease.pkcs11().get_mechanism_list(slot)?,
            lease,
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
        let info = self.module().get_token_info(self.slot)?;
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

    pub(super) fn module(&self) -> &Pkcs11 {
        self.lease.pkcs11()
    }
}
