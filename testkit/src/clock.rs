//! The time that a server believes in, and that a test can move.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A clock that tests can move. Clones show the same time.
///
/// Give one to [`ServerBuilder::clock`](crate::ServerBuilder::clock) and to the client under test,
/// and both sides move together. To set the two apart, use
/// [`TestServer::set_clock_offset`](crate::TestServer::set_clock_offset).
///
/// ```
/// use std::time::Duration;
/// use fapi_testkit::TestClock;
///
/// let clock = TestClock::at(1_700_000_000);
/// clock.advance(Duration::from_secs(60));
/// assert_eq!(clock.now(), 1_700_000_060);
/// ```
#[derive(Clone, Debug)]
pub struct TestClock {
    runs: bool,
    /// Milliseconds; added to the real time if the clock runs, else the time itself.
    shift: Arc<AtomicI64>,
}

impl TestClock {
    /// A clock that follows the machine's, until it is moved.
    #[must_use]
    pub fn system() -> Self {
        Self {
            runs: true,
            shift: Arc::new(AtomicI64::new(0)),
        }
    }

    /// A clock that stands still at `unix` seconds, until it is moved.
    #[must_use]
    pub fn at(unix: i64) -> Self {
        Self {
            runs: false,
            shift: Arc::new(AtomicI64::new(unix.saturating_mul(1000))),
        }
    }

    /// Seconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn now(&self) -> i64 {
        self.millis().div_euclid(1000)
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        self.shift.fetch_add(millis(by), Ordering::SeqCst);
    }

    /// Moves the clock back.
    pub fn rewind(&self, by: Duration) {
        self.shift.fetch_sub(millis(by), Ordering::SeqCst);
    }

    /// Moves the clock to `unix` seconds. A clock that runs goes on from there.
    pub fn set(&self, unix: i64) {
        let base = if self.runs { real_millis() } else { 0 };
        self.shift.store(
            unix.saturating_mul(1000).saturating_sub(base),
            Ordering::SeqCst,
        );
    }

    fn millis(&self) -> i64 {
        let base = if self.runs { real_millis() } else { 0 };
        base.saturating_add(self.shift.load(Ordering::SeqCst))
    }
}

impl Default for TestClock {
    fn default() -> Self {
        Self::system()
    }
}

fn real_millis() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, millis)
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_running_clock_can_be_set_and_runs_on() {
        let clock = TestClock::system();
        clock.set(1_000);
        assert!((1_000..1_005).contains(&clock.now()));
        clock.rewind(Duration::from_secs(500));
        assert!((500..505).contains(&clock.now()));
    }
}
