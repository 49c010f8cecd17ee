//! The stores that come with the crate keep the contracts that every store keeps.

mod files;
mod key_sources;
mod memory;
mod processes;
