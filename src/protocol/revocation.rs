//! Token revocation (RFC 7009).

use http::StatusCode;

use super::answer::Answer;
use super::form::Form;
use crate::error::Error;
use crate::secret::RefreshToken;

/// REV-2.1, REV-rt: the refresh token, with which the whole grant goes.
pub(crate) fn request(token: &RefreshToken) -> Form {
    Form::default()
        .field("token", token.reveal())
        .field("token_type_hint", "refresh_token")
}

/// REV-2.2: 200 means gone, for unknown tokens too; the body says nothing.
pub(crate) fn response(answer: &Answer) -> Result<(), Error> {
    answer.expect(StatusCode::OK)
}
