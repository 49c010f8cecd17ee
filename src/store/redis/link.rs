//! The one connection that all commands share, and what takes its place when it breaks.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{Cmd, Value};
use tokio::runtime::Handle;
use tokio::sync::Mutex as AsyncMutex;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::answer::{Fault, sort};
use super::open::open;
use super::scripts::{Call, Script};
use super::settings::Settings;
use crate::error::StoreError;

/// How long no connection is tried after one came to nothing, at first and at most. It doubles between.
const REST_FIRST: Duration = Duration::from_millis(50);
const REST_MOST: Duration = Duration::from_secs(1);

/// Whether a command may be sent once more where its first outcome is not known.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    /// It only reads, or does the same the second time.
    Harmless,
    /// Its caller has to read what became of it.
    Never,
}

pub(super) struct Link {
    pub(super) settings: Settings,
    state: Mutex<State>,
    /// Held by whoever makes a connection.
    gate: AsyncMutex<()>,
}

#[derive(Default)]
struct State {
    live: Option<Arc<Live>>,
    failed: Option<Failed>,
}

/// The last try, which came to nothing.
struct Failed {
    error: StoreError,
    rest: Duration,
    until: Instant,
}

/// A connection, and the task that reads and writes it. It ends with the last who uses it.
pub(super) struct Live {
    connection: MultiplexedConnection,
    driver: JoinHandle<()>,
}

impl Live {
    pub(super) const fn new(connection: MultiplexedConnection, driver: JoinHandle<()>) -> Self {
        Self { connection, driver }
    }

    /// Sends a command and waits for the answer so long.
    pub(super) async fn send(&self, command: &Cmd, limit: Duration) -> Result<Value, Fault> {
        let mut connection = self.connection.clone();
        match timeout(limit, connection.send_packed_command(command)).await {
            Ok(answer) => sort(answer),
            Err(_) => Err(Fault::Late),
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Link {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            settings,
            state: Mutex::default(),
            gate: AsyncMutex::default(),
        }
    }

    /// Runs a script.
    pub(super) async fn run(
        self: &Arc<Self>,
        script: &Script,
        call: &Call,
        again: Again,
    ) -> Result<Value, StoreError> {
        match self.send(&script.by_name(call), again).await {
            // After a restart, or in the server that took another's place.
            Err(Fault::UnknownScript) => Ok(self.send(&script.in_full(call), again).await?),
            other => Ok(other?),
        }
    }

    /// Sends a command that reads.
    pub(super) async fn read(self: &Arc<Self>, command: &Cmd) -> Result<Value, StoreError> {
        Ok(self.send(command, Again::Harmless).await?)
    }

    async fn send(self: &Arc<Self>, command: &Cmd, again: Again) -> Result<Value, Fault> {
        match self.try_once(command).await {
            // Nothing was executed: once more, over another connection.
            Err(Fault::NoPrimary | Fault::Nameless) => self.try_once(command).await,
            Err(Fault::Broken) if again == Again::Harmless => self.try_once(command).await,
            other => other,
        }
    }

    async fn try_once(self: &Arc<Self>, command: &Cmd) -> Result<Value, Fault> {
        let live = self.live().await.map_err(Fault::Refused)?;
        let answer = live.send(command, self.settings.timeout).await;
        if let Err(Fault::Broken | Fault::Late | Fault::NoPrimary | Fault::Nameless) = answer {
            self.discard(&live);
        }
        answer
    }

    /// The connection that stands, or a new one.
    pub(super) async fn live(self: &Arc<Self>) -> Result<Arc<Live>, StoreError> {
        if let Some(live) = self.standing() {
            return Ok(live);
        }
        let runtime = Handle::try_current().map_err(|_| StoreError::NoRuntime)?;
        let link = self.clone();
        // A task of its own: a caller that goes away does not undo what others wait for.
        let made = runtime.spawn(async move { link.replace().await }).await;
        made.unwrap_or(Err(StoreError::Unavailable))
    }

    async fn replace(&self) -> Result<Arc<Live>, StoreError> {
        let _one = self.gate.lock().await;
        // Somebody else may have been faster, or may just have failed.
        if let Some(live) = self.standing() {
            return Ok(live);
        }
        if let Some(error) = self.resting() {
            return Err(error);
        }
        let limit = self.settings.connect_timeout;
        let made = timeout(limit, open(&self.settings)).await;
        let made = made.unwrap_or(Err(StoreError::Unavailable)).map(Arc::new);
        let mut state = self.state();
        match &made {
            Ok(live) => {
                state.live = Some(live.clone());
                state.failed = None;
            }
            Err(error) => {
                let last = state.failed.as_ref().map(|failed| failed.rest);
                let rest = last.map_or(REST_FIRST, |last| (last * 2).min(REST_MOST));
                state.failed = Some(Failed {
                    error: error.clone(),
                    rest,
                    until: Instant::now() + rest,
                });
            }
        }
        made
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn standing(&self) -> Option<Arc<Live>> {
        let mut state = self.state();
        // A connection that the server closed, or whose runtime has ended, is noticed by its task.
        if state
            .live
            .as_ref()
            .is_some_and(|live| live.driver.is_finished())
        {
            state.live = None;
        }
        state.live.clone()
    }

    fn resting(&self) -> Option<StoreError> {
        let state = self.state();
        let failed = state.failed.as_ref()?;
        (Instant::now() < failed.until).then(|| failed.error.clone())
    }

    fn discard(&self, live: &Arc<Live>) {
        let mut state = self.state();
        if state
            .live
            .as_ref()
            .is_some_and(|known| Arc::ptr_eq(known, live))
        {
            state.live = None;
        }
    }
}
