//! What the traits of `fapi-client` promise, as tests that run on any implementation: the crate's own
//! and yours.
//!
//! Each function panics, as a test does, at the first promise that is not kept, and says which. The
//! contracts of stores use random names and take away what they wrote, so that they can run again and
//! again on a store that others use as well.

mod given;
pub mod key_store;
pub mod locks;
pub mod records;
pub mod signer;
pub mod transactions;
pub mod transport;
pub mod wire;

pub use key_store::key_store_contract;
pub use locks::{LocksLapse, locks_contract};
pub use records::records_contract;
pub use signer::signer_contract;
pub use transactions::transactions_contract;
pub use transport::transport_contract;
