//! The resource server.
//!
//! Every path answers; some have a meaning of their own.

use std::fmt::Write;

use http::{StatusCode, header};
use serde_json::json;

use crate::access;
use crate::dpop::Role;
use crate::fault::ApiFault;
use crate::form::{self, Form};
use crate::grants::{AccessToken, Grant};
use crate::record::{Endpoint, Request};
use crate::reply::{Refusal, Reply, challenge};
use crate::state::State;

pub(crate) fn answer(state: &State, request: &Request) -> Reply {
    let reply = allowed(state, request)
        .unwrap_or_else(|refusal| refusal.into_challenge(state, Endpoint::Api));
    match request.header("x-fapi-interaction-id") {
        Some(id) => reply.with(INTERACTION, id),
        None => reply,
    }
}

const INTERACTION: http::HeaderName = http::HeaderName::from_static("x-fapi-interaction-id");

fn allowed(state: &State, request: &Request) -> Result<Reply, Refusal> {
    let (token, grant) = access::check(state, request, Role::Api)?;
    // RI-2: a token for certain resources is good for no other.
    let here = |resource: &String| {
        let mtls = state.mutual_tls.as_ref().map(|mtls| &mtls.api);
        [Some(&state.api), mtls].into_iter().flatten().any(|api| {
            resource
                .strip_prefix(api)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    };
    if !token.resources.is_empty() && !token.resources.iter().any(here) {
        let reason = "the access token is for other resources";
        return Err(
            Refusal::new(StatusCode::UNAUTHORIZED, "invalid_token", reason)
                .under(token.binding.scheme()),
        );
    }
    if let Some(fault) = state.api_faults().pop() {
        state.refused(Endpoint::Api, "refused on command");
        return Ok(wrong(fault, token.binding.scheme()));
    }
    let query = form::parse(request.query().unwrap_or_default().as_bytes()).unwrap_or_default();
    let path = request.path();
    if let Some(scope) = path.strip_prefix("/scope/") {
        demand_scope(&token, scope)?;
    }
    if path == "/step-up" {
        demand_login(state, &token, &grant, &query)?;
    }
    if path == "/echo" {
        let media_type = request
            .header("content-type")
            .unwrap_or("application/octet-stream");
        return Ok(Reply::new(StatusCode::OK, media_type, request.body.clone()));
    }
    if path == "/big" {
        let bytes = form::value(&query, "bytes")
            .and_then(|n| n.parse().ok())
            .unwrap_or(0);
        return Ok(Reply::new(
            StatusCode::OK,
            "application/octet-stream",
            vec![b'x'; bytes],
        ));
    }
    let status = path
        .strip_prefix("/status/")
        .and_then(|status| status.parse().ok());
    let status = status.and_then(|status| StatusCode::from_u16(status).ok());
    Ok(Reply::json(
        status.unwrap_or(StatusCode::OK),
        &json!({
            "sub": grant.subject,
            "client_id": grant.client_id,
            "scope": token.scope.join(" "),
            "cnf": token.binding.cnf(),
            "method": request.method.as_str(),
            "path": path,
            "query": request.query(),
            "body_length": request.body.len(),
        }),
    ))
}

/// SP-5.3.4-4
fn demand_scope(token: &AccessToken, scope: &str) -> Result<(), Refusal> {
    if token.scope.iter().any(|name| name == scope) {
        return Ok(());
    }
    let reason = format!("the scope `{scope}` was not granted");
    let reply = Reply::empty(StatusCode::FORBIDDEN).with(
        header::WWW_AUTHENTICATE,
        &format!(
            "{}, scope=\"{scope}\"",
            challenge(token.binding.scheme(), "insufficient_scope", &reason)
        ),
    );
    Err(Refusal {
        reply: Some(Box::new(reply)),
        ..Refusal::new(StatusCode::FORBIDDEN, "insufficient_scope", reason)
    })
}

/// SU-3: the login must have had one of the classes of `acr`, and be no older than `max_age`.
fn demand_login(
    state: &State,
    token: &AccessToken,
    grant: &Grant,
    query: &Form,
) -> Result<(), Refusal> {
    const ERROR: &str = "insufficient_user_authentication";
    let acr = form::value(query, "acr");
    let max_age = form::value(query, "max_age").and_then(|age| age.parse::<i64>().ok());
    let fits = grant.signed_in.as_ref().is_some_and(|login| {
        acr.is_none_or(|acr| acr.split(' ').any(|acr| acr == login.acr))
            && max_age.is_none_or(|age| state.now() - login.auth_time <= age)
    });
    if fits {
        return Ok(());
    }
    let reason = "the login is too weak or too old";
    let mut value = challenge(token.binding.scheme(), ERROR, reason);
    if let Some(acr) = acr {
        let acr = acr.replace(['"', '\\'], "");
        let _ = write!(value, ", acr_values=\"{acr}\"");
    }
    if let Some(age) = max_age {
        let _ = write!(value, ", max_age={age}");
    }
    let reply = Reply::empty(StatusCode::UNAUTHORIZED).with(header::WWW_AUTHENTICATE, &value);
    Err(Refusal {
        reply: Some(Box::new(reply)),
        ..Refusal::new(StatusCode::UNAUTHORIZED, ERROR, reason)
    })
}

fn wrong(fault: ApiFault, scheme: &str) -> Reply {
    const REASON: &str = "refused on command";
    let invalid = challenge(scheme, "invalid_token", REASON);
    let bearer = r#"Bearer realm="api", error="invalid_token""#;
    let status = match fault {
        ApiFault::InsufficientScope => StatusCode::FORBIDDEN,
        _ => StatusCode::UNAUTHORIZED,
    };
    let challenges = match fault {
        ApiFault::InvalidToken => vec![invalid],
        ApiFault::SchemeCase => vec![invalid.replacen("DPoP", "dPoP", 1)],
        ApiFault::Bearer => vec![bearer.to_owned()],
        ApiFault::TwoChallenges => vec![format!("{bearer}, {invalid}")],
        ApiFault::TwoHeaders => vec![bearer.to_owned(), invalid],
        ApiFault::NoError => vec![r#"DPoP algs="ES256""#.to_owned()],
        ApiFault::NoChallenge => vec![],
        ApiFault::Malformed => vec![r#"DPoP error="invalid_token, =,, ""#.to_owned()],
        ApiFault::InvalidProof => vec![challenge("DPoP", "invalid_dpop_proof", REASON)],
        ApiFault::InsufficientScope => vec![challenge(scheme, "insufficient_scope", REASON)],
        ApiFault::Tricky => vec![
            r#"Negotiate dGVzdA==, DPoP error_description="say \"Bearer error=use_dpop_nonce\", please", error=invalid_token"#
                .to_owned(),
        ],
    };
    challenges
        .into_iter()
        .fold(Reply::empty(status), |reply, value| {
            reply.with(header::WWW_AUTHENTICATE, &value)
        })
}
