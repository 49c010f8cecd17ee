//! Logins on the user's own device, through the public API against the servers of `fapi-testkit`. The
//! browser is a socket, so that it can be anything that comes to the port.

#![cfg(any(feature = "aws-lc", feature = "ring"))]
#![allow(
    unreachable_pub,
    reason = "the helpers of a test binary have no outside"
)]
#![allow(clippy::too_many_lines, reason = "a scenario is told in one piece")]

#[allow(dead_code, reason = "shared with the tests of behaviour")]
#[path = "../common/mod.rs"]
mod common;
mod desk;
mod end;
mod listen;
mod login;
mod strangers;
