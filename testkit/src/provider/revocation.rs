//! Revocation (RFC 7009).

use http::StatusCode;

use crate::assertion;
use crate::record::Request;
use crate::reply::{Refusal, Reply};
use crate::state::{State, lock};

pub(crate) fn answer(state: &State, request: &Request) -> Result<Reply, Refusal> {
    let client = assertion::authenticate(state, request, &[])?;
    let name = request.form_value("token");
    let name = name.ok_or_else(|| Refusal::invalid_request("`token` is missing"))?;

    let mut grants = lock(&state.grants);
    let access = grants.access_tokens.get(name).map(|token| token.grant);
    let refresh = grants.refresh_tokens.get(name).map(|token| token.grant);
    // REV-2.2: a token that nobody knows is as good as revoked.
    let Some(grant) = access.or(refresh) else {
        return Ok(Reply::empty(StatusCode::OK));
    };
    if grants.grant(grant).client_id != client.client_id {
        return Err(Refusal::invalid_grant("the token is another client's"));
    }
    match grants.access_tokens.get_mut(name) {
        Some(token) => token.revoked = true,
        // REV-rt: the refresh token takes the grant's access tokens with it.
        None => grants.revoke(grant),
    }
    Ok(Reply::empty(StatusCode::OK))
}
