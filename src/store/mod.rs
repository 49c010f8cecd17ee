//! Where logins under way and sessions are kept. The store knows nothing of what is in them.

mod sessions;
mod transactions;

pub(crate) use sessions::{SessionKey, Sessions};
pub(crate) use transactions::Transactions;
