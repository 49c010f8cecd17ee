//! Where logins under way, sessions and keys are kept, and who may change one at a time.
//!
//! Three small traits, and [`Stores`], which bundles them for a client:
//!
//! * [`Transactions`]: logins under way, put with a lifetime and taken once;
//! * [`Records`]: sessions, and whatever else has a version: created, replaced if nobody else did so
//!   meanwhile, deleted, listed;
//! * [`Locks`]: one holder at a time, for a while, with a number that grows.
//!
//! A store sees **sealed** bytes alone ([`SealingKeys`]), under names that are hashes. It needs to keep
//! no secrets and to know nothing of what is in them; whoever can write to it can't move one user's
//! record to another's. The one exception is the memory of this process ([`Stores::memory`]), which
//! keeps what it gets, and wipes it.
//!
//! A store of your own (a database, another cache) implements the traits; the crate `fapi-testkit` has
//! a contract test for each.

mod file;
mod key_file;
#[cfg(feature = "keyring")]
mod keyring;
mod lock;
mod memory;
#[cfg(feature = "passphrase")]
mod passphrase;
mod record;
#[cfg(feature = "redis")]
mod redis;
mod seal;
mod stores;
mod transaction;

pub use file::FileStore;
#[cfg(feature = "keyring")]
pub use keyring::Keyring;
pub use lock::{Lease, Locks};
pub use memory::MemoryStore;
pub use record::{Digest, Record, RecordKey, RecordKind, Records, Replace, Stored};
#[cfg(feature = "redis")]
pub use redis::{RedisStore, RedisStoreBuilder};
pub use seal::{SealingKey, SealingKeys};
pub(crate) use stores::About;
pub use stores::Stores;
pub use transaction::{StoredTransactions, TransactionKey, Transactions};
