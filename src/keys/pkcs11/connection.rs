//! Sessions with the token, and new ones where they are lost.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use cryptoki::context::Pkcs11;
use cryptoki::mechanism::MechanismType;
use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;
use cryptoki::slot::Slot;

use super::fault::{Fault, GONE};
use super::gate::{self, Gate};
use super::module::{self, Choice, Found, Lease};
use crate::error::KeyError;
use crate::jose::PublicJwk;
use crate::keys::KeyName;

/// The tokens of this process. One that is away keeps no session that would keep a module from being
/// initialized anew.
static TOKENS: Mutex<Vec<Weak<Token>>> = Mutex::new(Vec::new());

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
    pub(super) fn new(module: PathBuf, choice: Choice, gate: Gate) -> Arc<Self> {
        let token = Arc::new(Self {
            module,
            choice,
            gate,
            idle: Mutex::default(),
            changes: AtomicU64::new(0),
            writing: Mutex::default(),
        });
        let mut tokens = TOKENS.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.retain(|token| token.strong_count() > 0);
        tokens.push(Arc::downgrade(&token));
        token
    }

    /// Does something in a session. Where a handle is lost, looks the key up anew; where the session or
    /// the login is lost, opens a new session; and does it once more.
    pub(super) fn attempt<T>(
        &self,
        task: impl Fn(&mut Connection) -> Result<T, Fault>,
    ) -> Result<T, KeyError> {
        let idle = self.idle().pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => self.connect()?,
        };
        let mut outcome = self.once(&mut connection, &task);
        if matches!(outcome, Err(Fault::Handle)) {
            connection.keys.clear();
            let there = connection.ensure_there();
            outcome = there.and_then(|()| self.once(&mut connection, &task));
        }
        if matches!(outcome, Err(Fault::Lost(_))) {
            drop(connection);
            connection = self.connect()?;
            outcome = self.once(&mut connection, &task);
        }
        if !matches!(outcome, Err(Fault::Lost(_) | Fault::Handle)) {
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

    /// Opens a session with the token, in whichever slot it is now.
    fn connect(&self) -> Result<Connection, KeyError> {
        let module = module::load(&self.module)?;
        let found = match module.find(&self.choice) {
            // Where another token of the module is there, the module is left as it is.
            Err(Fault::Lost(KeyError::Absent(_))) if !self.others_are_there() => {
                module.find_anew(&self.choice)
            }
            found => found,
        };
        found
            .and_then(|found| Connection::open(self, found))
            .map_err(Fault::into_error)
    }

    /// Closes the sessions with tokens of the module that are away, and says whether there are others.
    fn others_are_there(&self) -> bool {
        let tokens: Vec<_> = {
            let tokens = TOKENS.lock().unwrap_or_else(PoisonError::into_inner);
            tokens.iter().filter_map(Weak::upgrade).collect()
        };
        let of_the_module = tokens.iter().filter(|token| token.module == self.module);
        let mut there = false;
        for token in of_the_module {
            let mut idle = token.idle();
            idle.retain(|connection| connection.ensure_there().is_ok());
            there |= !idle.is_empty();
        }
        there
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
    fn open(token: &Token, found: Found) -> Result<Self, Fault> {
        let Found { lease, slot, info } = found;
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
