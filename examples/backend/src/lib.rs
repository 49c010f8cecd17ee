//! A web application on FAPI 2.0, to be read from here on: `main.rs` is the program, the rest is a
//! library so that its tests can start it.
//!
//! | file | what it does |
//! |---|---|
//! | [`app`] | what all requests share: the client, the seal; and the routes |
//! | `login` | the login button, and the callback |
//! | `home` | the first page, and the API call |
//! | `logout` | log out here, everywhere, and when the server tells of it |
//! | `forgery` | refuses what another site made the browser send |
//! | `cookies`, `seal` | the cookies, and how a session's id travels in one |
//! | `pages`, `failure` | HTML, the security headers, and what a user reads when something fails |
//! | `service` | `/jwks`, `/healthz`, `/metrics` |
//! | [`tls`] | https without a proxy in front |
//!
//! Three rules run through all of it:
//!
//! * Whatever changes something is a POST with a token of ours (FAPI2-SP 5.3.3.1-12).
//! * The browser never sees a token, nor the id of a session in clear.
//! * No replica knows anything that another does not: what is not in the store is in a sealed cookie.

#![forbid(unsafe_code)]
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice
)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)
)]

pub mod app;
mod cookies;
mod failure;
mod forgery;
mod home;
mod login;
mod logout;
mod pages;
mod seal;
mod service;
pub mod settings;
pub mod tls;

/// What stops the program from starting. A person reads it.
pub type Trouble = Box<dyn std::error::Error + Send + Sync>;
