//! One run of a job for however many wait for it.

use std::future::Future;
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

use crate::error::{ConfigError, Error, TransportError, TransportFault};

/// Runs a job once for all who ask while it runs. The job goes on when those who wait go away: it is
/// a task of its own.
pub(crate) struct SingleFlight<T> {
    running: Mutex<Option<watch::Receiver<Option<T>>>>,
}

impl<T> Default for SingleFlight<T> {
    fn default() -> Self {
        Self {
            running: Mutex::new(None),
        }
    }
}

impl<T: Clone + Send + Sync + 'static> SingleFlight<T> {
    /// Joins the run that is under way, or begins one, and waits for its end.
    ///
    /// # Errors
    /// [`ConfigError::NoRuntime`] outside of tokio; [`TransportFault::Broken`] where the runtime ended
    /// the job, or the job panicked.
    pub(crate) async fn run<F>(&self, job: impl FnOnce() -> F) -> Result<T, Error>
    where
        F: Future<Output = T> + Send + 'static,
    {
        outcome(self.start(job)?).await
    }

    /// Joins the run that is under way, or begins one, and does not wait.
    ///
    /// # Errors
    /// [`ConfigError::NoRuntime`] outside of tokio.
    pub(crate) fn start<F>(
        &self,
        job: impl FnOnce() -> F,
    ) -> Result<watch::Receiver<Option<T>>, Error>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let mut slot = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = slot.as_ref().filter(|running| is_under_way(running)) {
            return Ok(running.clone());
        }
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| ConfigError::NoRuntime)?;
        let (sender, receiver) = watch::channel(None);
        let job = job();
        runtime.spawn(async move {
            let outcome = job.await;
            sender.send_replace(Some(outcome));
        });
        *slot = Some(receiver.clone());
        Ok(receiver)
    }

    /// The run that is under way, if there is one.
    pub(crate) fn under_way(&self) -> Option<watch::Receiver<Option<T>>> {
        let slot = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        slot.as_ref()
            .filter(|running| is_under_way(running))
            .cloned()
    }
}

/// A run is under way while it has no outcome and its sender still lives.
fn is_under_way<T>(running: &watch::Receiver<Option<T>>) -> bool {
    running.has_changed().is_ok() && running.borrow().is_none()
}

/// Waits for the end of a run.
///
/// # Errors
/// [`TransportFault::Broken`] where the runtime ended the job, or the job panicked.
pub(crate) async fn outcome<T: Clone>(mut run: watch::Receiver<Option<T>>) -> Result<T, Error> {
    let ended = run.wait_for(Option::is_some).await;
    match ended.as_deref() {
        Ok(Some(outcome)) => Ok(outcome.clone()),
        _ => Err(TransportError::new(TransportFault::Broken).into()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;

    use super::*;

    /// META-8: however many ask, the job runs once; the next who ask run it anew.
    #[tokio::test]
    async fn a_job_runs_once_for_all() {
        let flight = Arc::new(SingleFlight::default());
        let runs = Arc::new(AtomicUsize::new(0));
        let gate = Arc::new(Notify::new());
        let mut waiting = Vec::new();
        for _ in 0..100 {
            let (flight, runs, gate) = (flight.clone(), runs.clone(), gate.clone());
            waiting.push(tokio::spawn(async move {
                flight
                    .run(|| async move {
                        gate.notified().await;
                        runs.fetch_add(1, Ordering::SeqCst)
                    })
                    .await
                    .unwrap()
            }));
        }
        tokio::task::yield_now().await;
        gate.notify_one();
        for one in waiting {
            assert_eq!(one.await.unwrap(), 0);
        }
        gate.notify_one();
        let (counted, opened) = (runs.clone(), gate.clone());
        let job = || async move {
            opened.notified().await;
            counted.fetch_add(1, Ordering::SeqCst)
        };
        assert_eq!(flight.run(job).await.unwrap(), 1);
    }

    /// A caller that goes away does not end the job.
    #[tokio::test]
    async fn a_job_outlives_its_callers() {
        let flight = SingleFlight::default();
        let (done, mut finished) = watch::channel(false);
        let run = flight.run(|| async move {
            tokio::task::yield_now().await;
            done.send_replace(true);
        });
        drop(tokio::time::timeout(std::time::Duration::ZERO, run).await);
        finished.wait_for(|done| *done).await.unwrap();
    }

    /// A job that panics is an error, and the next one runs.
    #[tokio::test]
    async fn a_panic_is_an_error() {
        let flight = SingleFlight::default();
        let broken = flight.run(|| async { panic!("on purpose") }).await;
        assert_eq!(broken.unwrap_err().code(), "transport.broken");
        assert_eq!(flight.run(|| async { 5 }).await.unwrap(), 5);
    }
}
