//! A few threads that wait for a token's answers, so that no task has to.

#[cfg(test)]
mod tests;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;

use crate::error::KeyError;

type Job<W> = Box<dyn FnOnce(&mut W) + Send>;

/// Threads with a worker each, which never leaves its thread. They end when the pool is dropped and
/// what they are at is done.
pub(super) struct Pool<W> {
    jobs: mpsc::Sender<Job<W>>,
    /// A permit for each thread: a job is handed over when a thread is free for it, so that none wait
    /// where nobody waits for them any more.
    free: Arc<Semaphore>,
    limit: Duration,
}

impl<W: 'static> Pool<W> {
    /// Starts the threads. `hire` makes the worker of each; it is asked for another where one panics.
    pub(super) fn start(
        threads: usize,
        limit: Duration,
        hire: impl Fn() -> W + Send + Sync + 'static,
    ) -> Result<Self, KeyError> {
        let (jobs, queue) = mpsc::channel::<Job<W>>();
        let queue = Arc::new(Mutex::new(queue));
        let hire = Arc::new(hire);
        for _ in 0..threads {
            let (queue, hire) = (queue.clone(), hire.clone());
            thread::Builder::new()
                .name("fapi-pkcs11".into())
                .spawn(move || work(&queue, &*hire))
                .map_err(|_| KeyError::Unavailable)?;
        }
        Ok(Self {
            jobs,
            free: Arc::new(Semaphore::new(threads)),
            limit,
        })
    }

    /// Has a worker do something, and waits for it no longer than the limit. Where nobody waits any
    /// more, it is not begun; where it has begun, it is finished.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        task: impl FnOnce(&mut W) -> Result<T, KeyError> + Send + 'static,
    ) -> Result<T, KeyError> {
        self.run_within(self.limit, task).await
    }

    /// The same for what takes its time: six times the limit.
    pub(super) async fn run_slowly<T: Send + 'static>(
        &self,
        task: impl FnOnce(&mut W) -> Result<T, KeyError> + Send + 'static,
    ) -> Result<T, KeyError> {
        self.run_within(self.limit.saturating_mul(6), task).await
    }

    async fn run_within<T: Send + 'static>(
        &self,
        limit: Duration,
        task: impl FnOnce(&mut W) -> Result<T, KeyError> + Send + 'static,
    ) -> Result<T, KeyError> {
        if Handle::try_current().is_err() {
            return Err(KeyError::Refused(
                "keys in a token are used inside of a tokio runtime alone".into(),
            ));
        }
        timeout(limit, self.hand_over(task))
            .await
            .unwrap_or(Err(KeyError::Unavailable))
    }

    async fn hand_over<T: Send + 'static>(
        &self,
        task: impl FnOnce(&mut W) -> Result<T, KeyError> + Send + 'static,
    ) -> Result<T, KeyError> {
        let free = self.free.clone().acquire_owned().await;
        let free = free.map_err(|_| KeyError::Unavailable)?;
        let (answer, answered) = oneshot::channel();
        let job: Job<W> = Box::new(move |worker| {
            let _free = free;
            if !answer.is_closed() {
                // Nobody may be waiting for it by now.
                let _ = answer.send(task(worker));
            }
        });
        self.jobs.send(job).map_err(|_| KeyError::Unavailable)?;
        // A job that panicked never answers.
        answered.await.unwrap_or(Err(KeyError::Unavailable))
    }
}

fn work<W>(queue: &Mutex<Receiver<Job<W>>>, hire: &dyn Fn() -> W) {
    let mut worker = hire();
    loop {
        // Held while waiting: the others wait for the lock instead, which is the same to them.
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        if catch_unwind(AssertUnwindSafe(|| job(&mut worker))).is_err() {
            worker = hire();
        }
    }
}
