//! What runs on though nobody waits for it.

use tokio::sync::watch;

/// Counts the jobs that are under way in the background.
pub(crate) struct Background {
    running: watch::Sender<usize>,
}

impl Default for Background {
    fn default() -> Self {
        Self {
            running: watch::Sender::new(0),
        }
    }
}

impl Background {
    /// A job that is under way for as long as what comes back lives.
    pub(crate) fn begin(&self) -> Busy {
        self.running.send_modify(|running| *running += 1);
        Busy(self.running.clone())
    }

    /// Waits until none is under way.
    pub(crate) async fn settled(&self) {
        // The sender is here, so the channel stays open.
        let mut running = self.running.subscribe();
        drop(running.wait_for(|running| *running == 0).await);
    }
}

/// A job that is under way.
pub(crate) struct Busy(watch::Sender<usize>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.send_modify(|running| *running -= 1);
    }
}
