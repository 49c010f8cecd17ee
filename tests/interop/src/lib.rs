//! Fixtures for tests against real servers that others wrote.
//!
//! [`NodeProvider`] runs the npm package `oidc-provider`, [`Keycloak`] the server of that name. Each
//! installs itself below `target/interop` the first time, starts on free ports of the loopback
//! interface with a certificate of its own [`Pki`], and dies with the process that started it.
//! [`Redis`] runs the `redis-server` of the system in the same way. [`Gateway`] is an address in front of it
//! that stays when another takes its place.
//! [`Terminal`] is a terminal with a shell in it.
//! [`SoftHsm`] is a PKCS#11 token in a folder.
//! [`Browser`] is the user: it fills in their login and consent pages. [`Chromium`] is a real browser. [`Program`] is a program that
//! logs the user in.
//!
//! Nothing here uses `fapi-client`: where a test fails, the server's side was set up by other code.

// Everything here serves tests, where a panic is how a failure is told.
#![allow(clippy::missing_panics_doc)]

mod browser;
mod chromium;
mod gateway;
mod key;
mod keycloak;
mod node;
mod pki;
mod process;
mod program;
mod redis;
mod registration;
mod setup;
mod softhsm;
mod terminal;

pub use browser::{Answer, Browser, User};
pub use chromium::Chromium;
pub use gateway::Gateway;
pub use key::{Algorithm, ClientKey};
pub use keycloak::Keycloak;
pub use node::NodeProvider;
pub use pki::Pki;
pub use program::{Program, Running};
pub use redis::{Monitor, Redis};
pub use registration::{REDIRECT_URI, Registration};
pub use softhsm::SoftHsm;
pub use terminal::Terminal;
