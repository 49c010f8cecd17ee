//! Logout by OpenID Connect: the server tells the program that a user is gone (Back-Channel Logout 1.0),
//! and the program sends the browser to the server's own logout (RP-Initiated Logout 1.0).

pub(crate) mod backchannel;
pub(crate) mod end_session;
#[cfg(all(test, any(feature = "aws-lc", feature = "ring")))]
mod tests;

pub use backchannel::{LogoutAnswer, LogoutToken};
pub use end_session::EndSessionForm;
