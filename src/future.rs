//! The shape of an asynchronous answer behind a trait object.

use std::future::Future;
use std::pin::Pin;

/// A boxed future, as the traits of this crate return it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
