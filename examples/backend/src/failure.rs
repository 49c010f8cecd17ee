//! What a user reads when something fails, and what the log says.
//!
//! The page says what the user can do, in words of ours: nothing that a server wrote, and not which check
//! failed, since whoever reads it may be who tried. The log has the error's code, which is stable.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use fapi_client::{Denied, Error};

use crate::cookies;
use crate::pages::{HOME, page};

/// Why a request was not done.
pub(crate) enum Failure {
    /// An error of the client's.
    Client(Error),
    /// The request may be another site's doing.
    Forged(&'static str),
    /// The operating system gave no randomness.
    Randomness,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Client(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let error = match self {
            Self::Client(error) => error,
            Self::Forged(reason) => {
                tracing::warn!(reason, "a request that may be forged was refused");
                return tell(
                    StatusCode::FORBIDDEN,
                    "That did not come from this page",
                    "The request did not come from a page of ours, or the page was open for too long. \
                     Nothing was done. Please try again from the start.",
                );
            }
            Self::Randomness => {
                tracing::error!("the operating system gave no randomness");
                return ours();
            }
        };
        tracing::warn!(code = error.code(), "a request failed");
        match error {
            // The user said no. That is no failure.
            Error::Denied(Denied::AccessDenied(_)) => tell(
                StatusCode::OK,
                "You did not agree",
                "Nothing was shared, and you are not logged in. You can try again whenever you like.",
            ),
            Error::Denied(_) => tell(
                StatusCode::BAD_GATEWAY,
                "The server said no",
                "Your bank’s server did not take our request. Please try again later.",
            ),
            // FAPI2-SP 5.3.3.2-4/5: a callback of another browser, of another server, or a second time.
            Error::Violation(_) => tell(
                StatusCode::BAD_REQUEST,
                "This login can’t be finished",
                "It was begun in another browser, took too long, or has been finished already. \
                 Please begin again.",
            ),
            Error::SignInAgain(_) => {
                let mut response = tell(
                    StatusCode::UNAUTHORIZED,
                    "Please log in again",
                    "Your session is over.",
                );
                cookies::forget(&mut response, cookies::SESSION);
                response
            }
            Error::Api(_) | Error::StepUp(_) => tell(
                StatusCode::BAD_GATEWAY,
                "The API said no",
                "It did not answer our request. Please try again later.",
            ),
            Error::Transport(_) => tell(
                StatusCode::BAD_GATEWAY,
                "The server can’t be reached",
                "Please try again in a minute. You are still logged in if you were.",
            ),
            Error::Store(_) => tell(
                StatusCode::SERVICE_UNAVAILABLE,
                "We have a problem",
                "Our own storage does not answer. Please try again in a minute.",
            ),
            _ => ours(),
        }
    }
}

fn ours() -> Response {
    tell(
        StatusCode::INTERNAL_SERVER_ERROR,
        "We have a problem",
        "This is our fault, not yours. Please try again later.",
    )
}

fn tell(status: StatusCode, title: &str, text: &str) -> Response {
    page(status, title, &format!("<p>{text}</p>{HOME}"))
}
