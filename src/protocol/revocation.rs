//! Token revocation (RFC 7009).

use http::StatusCode;

use super::answer::Answer;
use super::form::Form;
use crate::error::Error;
use crate::secret::{AccessToken, RefreshToken};

/// REV-2.1, REV-rt: the refresh token, with which the whole grant goes.
pub(crate) fn refresh_token(token: &RefreshToken) -> Form {
    request(token.reveal(), "refresh_token")
}

/// REV-2.1: an access token alone.
pub(crate) fn access_token(token: &AccessToken) -> Form {
    request(token.reveal(), "access_token")
}

fn request(token: &str, hint: &str) -> Form {
    Form::default()
        .field("token", token)
        .field("token_type_hint", hint)
}

/// REV-2.2: 200 means gone, for unknown tokens too; the body says nothing.
pub(crate) fn response(answer: &Answer) -> Result<(), Error> {
    answer.expect(StatusCode::OK)
}
