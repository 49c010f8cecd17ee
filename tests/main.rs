//! Behaviour through the public API, against the servers of `fapi-testkit`. One file a subject.

#![allow(
    unreachable_pub,
    reason = "the helpers of a test binary have no outside"
)]
#![allow(clippy::too_many_lines, reason = "a scenario is told in one piece")]

mod common;
mod login;
mod revocation;
mod secrets;
mod signer;
mod transport;
