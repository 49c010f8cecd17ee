//! What is wrong with a request that asks for a logout.

/// Why a request to the program's own logout endpoint can't be read (OpenID Connect Back-Channel
/// Logout 1.0 section 2.5). Anyone can send one: nothing in it is believed yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LogoutRequestFault {
    /// It is no form: its media type is not `application/x-www-form-urlencoded`.
    #[error("it is no form (application/x-www-form-urlencoded)")]
    MediaType,
    /// It is longer than any logout token.
    #[error("it is too long")]
    TooLong,
    /// Its form has broken escapes, or is no UTF-8.
    #[error("its form is malformed")]
    Malformed,
    /// It has no `logout_token`, or an empty one.
    #[error("it has no logout_token")]
    Missing,
    /// It has `logout_token` twice.
    #[error("it has logout_token twice")]
    Duplicate,
    /// Its token has come before.
    #[error("its logout token has come before")]
    Replayed,
}
