//! The stores that come with the crate keep the contracts that every store keeps.

mod memory;
