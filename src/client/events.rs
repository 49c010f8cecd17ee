//! What happens inside, for those who watch: events, and how often each has been.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::session::SessionId;
use crate::error::{Endpoint, SignInAgain, StoreError};

/// How many events wait for a subscriber that is slow; older ones are dropped, and it is told how many.
const BACKLOG: usize = 1024;

/// Something that happened. None of them holds a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A login was finished, and its session kept.
    SessionCreated {
        /// The session.
        session: SessionId,
    },
    /// The tokens of a session were renewed, by this process or as it found them renewed by another.
    SessionUpdated {
        /// The session.
        session: SessionId,
    },
    /// A session is over.
    SessionEnded {
        /// The session.
        session: SessionId,
        /// Why.
        cause: SignInAgain,
    },
    /// A server asked for its new nonce, and the request went out once more.
    NonceRetried {
        /// Where.
        endpoint: Endpoint,
    },
    /// A server's clock differs from ours by so much more than was known. The user's device may have a
    /// wrong time.
    ClockOffset {
        /// The server.
        origin: String,
        /// How far its clock is ahead of ours, in seconds.
        seconds: i64,
    },
    /// The store failed. New tokens that could not be written are kept in memory, and written later.
    StoreFailing {
        /// How.
        error: StoreError,
    },
    /// So many events were dropped, since this subscriber was slow.
    Missed {
        /// How many.
        count: u64,
    },
}

/// How often what has happened, since the client (or its registry) was built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Logins that were finished.
    pub sessions_created: u64,
    /// Sessions whose tokens were renewed.
    pub sessions_updated: u64,
    /// Sessions that ended, for whatever cause.
    pub sessions_ended: u64,
    /// Of these, those that ended since an answer with a new refresh token was lost. More than none of
    /// them is worth an alert: the server keeps no retry window (FAPI2-SP 5.3.2.1-9).
    pub rotations_lost: u64,
    /// Refreshes that failed in a way that a later one may not.
    pub refreshes_failed: u64,
    /// Requests that went out once more with a server's new nonce.
    pub nonces_retried: u64,
    /// Times that a server's clock was found to differ from ours.
    pub clock_offsets: u64,
    /// Calls to the store that failed. Alert on it: while it grows, sessions are at risk.
    pub store_failures: u64,
}

/// The events of a client, from the moment of [`Client::events`](crate::Client::events) on.
pub struct Events {
    receiver: broadcast::Receiver<Event>,
}

impl Events {
    /// Waits for the next event; `None` when the client is gone.
    pub async fn next(&mut self) -> Option<Event> {
        match self.receiver.recv().await {
            Ok(event) => Some(event),
            Err(RecvError::Lagged(count)) => Some(Event::Missed { count }),
            Err(RecvError::Closed) => None,
        }
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Events")
    }
}

/// Where events go: to subscribers, to `tracing`, and into the counters.
#[derive(Clone)]
pub(crate) struct Watch {
    inner: Arc<Inner>,
}

struct Inner {
    sender: broadcast::Sender<Event>,
    counts: Counts,
}

#[derive(Default)]
struct Counts {
    sessions_created: AtomicU64,
    sessions_updated: AtomicU64,
    sessions_ended: AtomicU64,
    rotations_lost: AtomicU64,
    refreshes_failed: AtomicU64,
    nonces_retried: AtomicU64,
    clock_offsets: AtomicU64,
    store_failures: AtomicU64,
}

impl Default for Watch {
    fn default() -> Self {
        Self {
            inner: Arc::new(Inner {
                sender: broadcast::Sender::new(BACKLOG),
                counts: Counts::default(),
            }),
        }
    }
}

impl Watch {
    pub(crate) fn subscribe(&self) -> Events {
        Events {
            receiver: self.inner.sender.subscribe(),
        }
    }

    pub(crate) fn counters(&self) -> Counters {
        let counts = &self.inner.counts;
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Counters {
            sessions_created: of(&counts.sessions_created),
            sessions_updated: of(&counts.sessions_updated),
            sessions_ended: of(&counts.sessions_ended),
            rotations_lost: of(&counts.rotations_lost),
            refreshes_failed: of(&counts.refreshes_failed),
            nonces_retried: of(&counts.nonces_retried),
            clock_offsets: of(&counts.clock_offsets),
            store_failures: of(&counts.store_failures),
        }
    }

    fn tell(&self, count: &AtomicU64, event: Event) {
        count.fetch_add(1, Ordering::Relaxed);
        // Without a subscriber there is nobody to tell.
        drop(self.inner.sender.send(event));
    }

    pub(crate) fn session_created(&self, session: &SessionId) {
        tracing::info!(session = session.tag(), "login finished");
        let session = session.clone();
        let count = &self.inner.counts.sessions_created;
        self.tell(count, Event::SessionCreated { session });
    }

    pub(crate) fn session_updated(&self, session: &SessionId) {
        tracing::info!(session = session.tag(), "session updated");
        let session = session.clone();
        let count = &self.inner.counts.sessions_updated;
        self.tell(count, Event::SessionUpdated { session });
    }

    pub(crate) fn session_ended(&self, session: &SessionId, cause: SignInAgain) {
        tracing::info!(
            session = session.tag(),
            cause = cause.code(),
            "session ended"
        );
        let counts = &self.inner.counts;
        if cause == SignInAgain::RotationLost {
            counts.rotations_lost.fetch_add(1, Ordering::Relaxed);
        }
        let session = session.clone();
        let event = Event::SessionEnded { session, cause };
        self.tell(&counts.sessions_ended, event);
    }

    pub(crate) fn refresh_failed(&self, session: &SessionId, code: &'static str) {
        tracing::warn!(session = session.tag(), code, "refresh failed");
        let count = &self.inner.counts.refreshes_failed;
        count.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn nonce_retried(&self, endpoint: Endpoint) {
        tracing::debug!(endpoint = endpoint.name(), "nonce retried");
        let count = &self.inner.counts.nonces_retried;
        self.tell(count, Event::NonceRetried { endpoint });
    }

    pub(crate) fn clock_offset(&self, origin: &str, seconds: i64) {
        tracing::info!(origin, seconds, "clock offset");
        let origin = origin.to_owned();
        let count = &self.inner.counts.clock_offsets;
        self.tell(count, Event::ClockOffset { origin, seconds });
    }

    pub(crate) fn store_failing(&self, error: &StoreError) {
        tracing::warn!(code = error.code(), %error, "store failing");
        let error = error.clone();
        let count = &self.inner.counts.store_failures;
        self.tell(count, Event::StoreFailing { error });
    }
}
