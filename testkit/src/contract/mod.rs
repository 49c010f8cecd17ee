//! What the traits of `fapi-client` promise, as tests that run on any implementation: the crate's own
//! and yours.
//!
//! Each function panics, as a test does, at the first promise that is not kept, and says which.

pub mod signer;
pub mod transport;
pub mod wire;

pub use signer::signer_contract;
pub use transport::transport_contract;
