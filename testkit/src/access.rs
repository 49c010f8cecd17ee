//! Checking access tokens, for UserInfo and the resource server alike.

use http::{StatusCode, header};

use crate::dpop::{self, Role};
use crate::form;
use crate::grants::{AccessToken, Binding, Grant};
use crate::record::Request;
use crate::reply::{ALGS, Refusal, Reply};
use crate::state::{State, lock};

/// The token of a request, with the grant behind it.
///
/// The token must come in the `Authorization` header (SP-5.3.4-1/2) and live (SP-5.3.4-3). One that is bound
/// to a key comes under the scheme `DPoP` with a proof by that key (DPOP-7.1a, SP-5.3.4-5), one that is bound
/// to a certificate under `Bearer`, over a connection that shows that certificate (MTLS-3).
pub(crate) fn check(
    state: &State,
    request: &Request,
    role: Role,
) -> Result<(AccessToken, Grant), Refusal> {
    let query = form::parse(request.query().unwrap_or_default().as_bytes()).unwrap_or_default();
    if form::value(&query, "access_token").is_some() || request.form_value("access_token").is_some()
    {
        return Err(Refusal::invalid_request(
            "the access token stands outside the header",
        ));
    }
    let mut headers = request.headers.get_all("authorization").iter();
    let value = match (headers.next(), headers.next()) {
        (Some(value), None) => value.to_str().unwrap_or_default(),
        (None, _) => return Err(anonymous()),
        (Some(_), Some(_)) => {
            return Err(Refusal::invalid_request(
                "there are two Authorization headers",
            ));
        }
    };
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    let bound = lock(&state.grants)
        .access_tokens
        .get(token)
        .map(|token| token.binding.clone());
    if let Some(Binding::Certificate(thumbprint)) = bound {
        return by_certificate(state, request, scheme, token, &thumbprint)
            .map_err(|reason| invalid_token(reason).under("Bearer"));
    }
    if !scheme.eq_ignore_ascii_case("DPoP") {
        // DPOP-7.2: a bound token is no bearer token.
        return Err(invalid_token(format!("the scheme `{scheme}`")));
    }
    let (found, grant) = {
        let grants = lock(&state.grants);
        let (found, grant) = grants
            .live(token, state.now())
            .map_err(|reason| invalid_token(reason.to_owned()))?;
        (found.clone(), grant.clone())
    };
    let proof = dpop::check(state, request, role, Some(token))?;
    if found.binding != Binding::Key(proof.jkt) {
        return Err(invalid_token(
            "the access token is bound to another key".to_owned(),
        ));
    }
    Ok((found, grant))
}

/// MTLS-3: a token that is bound to a certificate.
fn by_certificate(
    state: &State,
    request: &Request,
    scheme: &str,
    token: &str,
    thumbprint: &str,
) -> Result<(AccessToken, Grant), String> {
    if !scheme.eq_ignore_ascii_case("Bearer") {
        return Err(format!("the scheme `{scheme}`"));
    }
    if request.certificate() != Some(thumbprint) {
        return Err("the access token is bound to another certificate".to_owned());
    }
    let grants = lock(&state.grants);
    let (found, grant) = grants.live(token, state.now())?;
    Ok((found.clone(), grant.clone()))
}

fn invalid_token(reason: String) -> Refusal {
    Refusal::new(StatusCode::UNAUTHORIZED, "invalid_token", reason)
}

/// RFC 6750 section 3.1: who brings no token learns how to bring one, and no error.
fn anonymous() -> Refusal {
    let reply = Reply::empty(StatusCode::UNAUTHORIZED)
        .with(header::WWW_AUTHENTICATE, &format!(r#"DPoP algs="{ALGS}""#));
    Refusal {
        reply: Some(Box::new(reply)),
        ..invalid_token("there is no access token".to_owned())
    }
}
