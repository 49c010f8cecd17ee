//! The answers that are a plain no, in the words of OAuth.

use std::fmt;
use std::time::Duration;

use super::violation::Endpoint;

/// The authorization server said no, or the user did.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Denied {
    /// The user, or a policy in the user's name, refused: `access_denied` in the callback.
    #[error("the user refused")]
    AccessDenied(OAuthError),
    /// The server refused.
    #[error(transparent)]
    Server(OAuthError),
    /// The server does not take, or no longer takes, the access token of the registration: the initial
    /// one, or the one that came with the client (RFC 7592 section 2).
    #[error(
        "the server does not take the access token of the registration; register anew, or ask the server's operator"
    )]
    RegistrationToken(OAuthError),
    /// The server lets no client do this by itself (RFC 7592 section 2: status 403 or 405).
    #[error("the server does not let clients do this themselves; ask its operator")]
    NotOffered(OAuthError),
}

impl Denied {
    /// A stable name for this error.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::AccessDenied(_) => "denied.access_denied",
            Self::Server(_) => "denied.server",
            Self::RegistrationToken(_) => "denied.registration_token",
            Self::NotOffered(_) => "denied.not_offered",
        }
    }

    /// What the server answered.
    #[must_use]
    pub const fn oauth_error(&self) -> &OAuthError {
        match self {
            Self::AccessDenied(error)
            | Self::Server(error)
            | Self::RegistrationToken(error)
            | Self::NotOffered(error) => error,
        }
    }
}

/// An error in OAuth's words (RFC 6749 section 5.2).
#[derive(Clone, PartialEq, Eq)]
pub struct OAuthError {
    endpoint: Endpoint,
    status: Option<u16>,
    error: String,
    description: Option<String>,
}

impl OAuthError {
    /// `error` is kept only where it is the plain word that OAuth demands: anything else could
    /// carry back what was sent.
    pub(crate) fn new(
        endpoint: Endpoint,
        status: Option<u16>,
        error: &str,
        description: Option<String>,
    ) -> Self {
        Self {
            endpoint,
            status,
            error: plain_word(error).unwrap_or("unnamed_error").to_owned(),
            description,
        }
    }

    /// The endpoint that answered.
    #[must_use]
    pub const fn endpoint(&self) -> Endpoint {
        self.endpoint
    }

    /// The HTTP status; `None` for an error that came through the browser.
    #[must_use]
    pub const fn status(&self) -> Option<u16> {
        self.status
    }

    /// The error code: `invalid_grant`, `invalid_client`, `login_required`, …
    #[must_use]
    pub fn error(&self) -> &str {
        &self.error
    }

    /// What the server says in words. Text from outside: it belongs in no log unread and on no page
    /// unescaped, and so neither `Debug` nor `Display` show it.
    #[must_use]
    pub fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    pub(crate) fn is_temporary(&self) -> bool {
        matches!(
            self.error.as_str(),
            "temporarily_unavailable" | "server_error" | "slow_down"
        )
    }
}

/// An error code of OAuth: at most 64 lower-case letters, digits, `_`, `-` and `.`. What a server
/// echoes of a token or a code has other characters, or more of them.
fn plain_word(error: &str) -> Option<&str> {
    is_plain_word(error).then_some(error)
}

pub(crate) fn is_plain_word(error: &str) -> bool {
    let plain =
        |byte: u8| byte.is_ascii_lowercase() || matches!(byte, b'_' | b'-' | b'.' | b'0'..=b'9');
    !error.is_empty() && error.len() <= 64 && error.bytes().all(plain)
}

impl fmt::Debug for OAuthError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("OAuthError")
            .field("endpoint", &self.endpoint)
            .field("status", &self.status)
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for OAuthError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} refused: {}", self.endpoint, self.error)
    }
}

impl std::error::Error for OAuthError {}

/// The API wants a stronger or a fresher authentication of the user (RFC 9470 section 3).
///
/// [`Session::step_up`](crate::Session::step_up) begins the login that it asks for. The access token
/// stays good for everything else.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the API wants the user to authenticate anew; begin a login with Session::step_up (RFC 9470)"
)]
#[non_exhaustive]
pub struct StepUp {
    /// The authentication contexts of which one will do, best first.
    pub acr_values: Vec<String>,
    /// How old the user's authentication may be.
    pub max_age: Option<Duration>,
    /// The scope that the API names, where it does.
    pub scope: Option<String>,
}

impl StepUp {
    pub(crate) const fn new(
        acr_values: Vec<String>,
        max_age: Option<Duration>,
        scope: Option<String>,
    ) -> Self {
        Self {
            acr_values,
            max_age,
            scope,
        }
    }
}

/// The session is over.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, serde::Serialize, serde::Deserialize,
)]
#[non_exhaustive]
pub enum SignInAgain {
    /// The access token is at its end and the server gave no refresh token.
    #[error("the access token has expired and there is no refresh token; the user has to sign in")]
    NoRefreshToken,
    /// The server takes the refresh token no longer (`invalid_grant`).
    #[error("the server takes the refresh token no longer; the user has to sign in")]
    RefreshTokenRefused,
    /// The server replaced the refresh token, its answer was lost, and it takes the old one no longer.
    #[error("the answer with the new refresh token was lost; the user has to sign in")]
    RotationLost,
    /// The server answered a refresh with another user's tokens. They are given back.
    #[error("the server answered with another user's tokens; the user has to sign in")]
    SubjectChanged,
    /// The key that the tokens are bound to is not there any more: another device, a restored backup, a
    /// key store that was emptied.
    #[error("the key that the tokens are bound to is gone; the user has to sign in")]
    KeyLost,
    /// Another key than the one that the tokens are bound to is there under its name; or the client shows
    /// another certificate than theirs, and there is no refresh token to have them bound anew with.
    #[error("the key that the tokens are bound to was replaced; the user has to sign in")]
    KeyChanged,
    /// The session was logged out.
    #[error("the session was logged out; the user has to sign in")]
    LoggedOut,
}

impl SignInAgain {
    /// A stable name for this error.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoRefreshToken => "sign_in_again.no_refresh_token",
            Self::RefreshTokenRefused => "sign_in_again.refresh_token_refused",
            Self::RotationLost => "sign_in_again.rotation_lost",
            Self::SubjectChanged => "sign_in_again.subject_changed",
            Self::KeyLost => "sign_in_again.key_lost",
            Self::KeyChanged => "sign_in_again.key_changed",
            Self::LoggedOut => "sign_in_again.logged_out",
        }
    }
}

/// An API answered with a status that is not a success.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the API answered with status {status}{}", error.as_deref().map(|word| format!(" ({word})")).unwrap_or_default())]
#[non_exhaustive]
pub struct ApiFailure {
    /// The HTTP status.
    pub status: u16,
    /// The error code of its challenge: `invalid_token`, `insufficient_scope`, …
    pub error: Option<String>,
    /// The scope that its challenge names.
    pub scope: Option<String>,
    /// How long it asks to wait.
    pub retry_after: Option<Duration>,
    /// The `x-fapi-interaction-id` of the request, for the two logs to be laid side by side.
    pub interaction_id: String,
}

impl ApiFailure {
    pub(crate) const fn new(
        status: u16,
        error: Option<String>,
        scope: Option<String>,
        retry_after: Option<Duration>,
        interaction_id: String,
    ) -> Self {
        Self {
            status,
            error,
            scope,
            retry_after,
            interaction_id,
        }
    }

    /// Whether the same request may succeed later.
    pub(crate) const fn is_temporary(&self) -> bool {
        matches!(self.status, 408 | 429 | 502 | 503 | 504)
    }
}
