//! What the contracts of stores have in common: random names, bytes of every kind, many calls at once.

use std::fmt::Display;
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use fapi_client::BoxFuture;
use fapi_client::store::Digest;

use crate::random;

/// A life that no test outlasts.
pub(super) const LONG: Duration = Duration::from_secs(600);
/// A life that a test outlasts, and how long it waits to have done so.
pub(super) const SHORT: Duration = Duration::from_secs(1);
pub(super) const BEYOND_SHORT: Duration = Duration::from_millis(1200);

/// A name that nobody else has.
pub(super) fn digest() -> Digest {
    Digest::from_bytes(random::bytes())
}

/// Every value that a byte has, again and again.
pub(super) fn bytes(length: usize) -> Vec<u8> {
    (0..=u8::MAX).cycle().take(length).collect()
}

/// The value, or a panic that says what failed.
pub(super) fn done<T, E: Display>(outcome: Result<T, E>, what: &str) -> T {
    outcome.unwrap_or_else(|error| panic!("{what} failed: {error}"))
}

/// Drives calls at once, and gives their outcomes in the order of the calls.
pub(super) async fn together<T>(mut calls: Vec<BoxFuture<'_, T>>) -> Vec<T> {
    let mut outcomes: Vec<Option<T>> = calls.iter().map(|_| None).collect();
    poll_fn(|context| {
        let mut waiting = false;
        for (call, outcome) in calls.iter_mut().zip(&mut outcomes) {
            if outcome.is_none() {
                match call.as_mut().poll(context) {
                    Poll::Ready(value) => *outcome = Some(value),
                    Poll::Pending => waiting = true,
                }
            }
        }
        if waiting {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    })
    .await;
    outcomes.into_iter().flatten().collect()
}
