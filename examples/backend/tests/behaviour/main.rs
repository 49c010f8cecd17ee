//! The application as browsers, other sites and the server see it.

mod calls;
mod forgery;
mod login;
mod logout;
mod program;
mod service;
mod visitor;
mod world;
