use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::Pool;
use crate::error::KeyError;

const LONG: Duration = Duration::from_secs(60);

fn pool(threads: usize, limit: Duration) -> Pool<u32> {
    Pool::start(threads, limit, || 0).unwrap()
}

/// A job that waits until the test lets go of it.
fn blocked(
    pool: &Arc<Pool<u32>>,
) -> (
    mpsc::Sender<()>,
    tokio::task::JoinHandle<Result<(), KeyError>>,
) {
    let (release, released) = mpsc::channel::<()>();
    let pool = pool.clone();
    let job = tokio::spawn(async move {
        pool.run(move |_| {
            let _ = released.recv();
            Ok(())
        })
        .await
    });
    (release, job)
}

/// CA-9: what takes longer than the limit is over for the caller, and the thread is free again when it
/// is really over.
#[tokio::test]
async fn a_call_ends_with_its_limit() {
    let pool = Arc::new(pool(1, Duration::ZERO));
    let (release, job) = blocked(&pool);
    assert_eq!(job.await.unwrap(), Err(KeyError::Unavailable));

    drop(release);
    assert_eq!(pool.hand_over(|_| Ok(7)).await, Ok(7));
}

/// What nobody waits for any more is never begun.
#[tokio::test]
async fn what_was_given_up_is_not_begun() {
    let pool = Arc::new(pool(1, Duration::ZERO));
    let (release, job) = blocked(&pool);
    assert_eq!(job.await.unwrap(), Err(KeyError::Unavailable));
    let begun = Arc::new(Mutex::new(0));
    let count = begun.clone();
    let waiting = pool.run(move |_| {
        *count.lock().unwrap() += 1;
        Ok(())
    });
    assert_eq!(waiting.await, Err(KeyError::Unavailable));

    drop(release);
    assert_eq!(pool.hand_over(|_| Ok(())).await, Ok(()));
    assert_eq!(*begun.lock().unwrap(), 0);
}

/// A panic (of what asks for the PIN) is one call's, and its thread goes on with a new worker.
#[tokio::test]
async fn a_panic_is_one_calls() {
    let pool = pool(1, LONG);
    let set = pool.run(|worker| {
        *worker = 5;
        Ok(())
    });
    set.await.unwrap();
    let panicked = pool.run::<()>(|_| panic!("of the test"));
    assert_eq!(panicked.await, Err(KeyError::Unavailable));
    assert_eq!(pool.run(|worker| Ok(*worker)).await, Ok(0));
}

/// Dropping the pool ends its threads.
#[tokio::test]
async fn threads_end_with_the_pool() {
    let alive = Arc::new(());
    let witness = Arc::downgrade(&alive);
    let pool = Pool::start(3, LONG, move || alive.clone()).unwrap();
    assert_eq!(pool.run(|_| Ok(())).await, Ok(()));
    drop(pool);
    while witness.strong_count() > 0 {
        tokio::task::yield_now().await;
    }
}

/// As many at once as there are threads.
#[tokio::test]
async fn threads_work_beside_each_other() {
    let pool = Arc::new(pool(2, LONG));
    let (release, job) = blocked(&pool);
    assert_eq!(pool.run(|_| Ok(1)).await, Ok(1));
    drop(release);
    assert_eq!(job.await.unwrap(), Ok(()));
}

/// Outside of a runtime there is an error that says so, and no panic.
#[test]
fn outside_of_a_runtime() {
    let pool = pool(1, LONG);
    let mut call = Box::pin(pool.run(|_| Ok(())));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let refused =
        KeyError::Refused("keys in a token are used inside of a tokio runtime alone".into());
    let answer = std::pin::Pin::as_mut(&mut call).poll(&mut context);
    assert_eq!(answer, std::task::Poll::Ready(Err(refused)));
}
