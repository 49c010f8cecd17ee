//! The servers, driven by a client that is written by hand.

mod contracts;
mod faults;
mod flow;
mod logout;
mod over_time;
mod party;
mod strict;
mod tls;
mod wire;
