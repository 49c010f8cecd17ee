//! The web application of `examples/backend`: in a real browser, and as several replicas over Redis.

mod browser;
mod replicas;
#[path = "../../../../examples/backend/tests/behaviour/visitor.rs"]
mod visitor;
