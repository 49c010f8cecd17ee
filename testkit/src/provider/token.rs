//! The token endpoint (RFC 6749, RFC 9449 section 5).

use http::StatusCode;
use serde_json::Value;

use crate::assertion;
use crate::dpop::{self, Role};
use crate::fault::TokenFault;
use crate::grants::{Binding, Grant, RefreshToken};
use crate::jose::sha256;
use crate::random;
use crate::record::Request;
use crate::registration::Registration;
use crate::reply::{Refusal, Reply};
use crate::state::{State, lock, seconds};

use super::par;
use super::token_response::{Wish, html, issue, send};

pub(crate) fn answer(state: &State, request: &Request) -> Result<Reply, Refusal> {
    let client = assertion::authenticate(state, request, &["resource"])?;
    // DPOP-5a: a proof with every token request, and before anything is used up.
    let binding = binding(state, &client, request)?;
    let grant_type = required(request, "grant_type")?;
    let known = ["authorization_code", "refresh_token", "client_credentials"];
    if !known.contains(&grant_type) {
        let reason = format!("the grant type `{grant_type}`");
        return Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            "unsupported_grant_type",
            reason,
        ));
    }
    if !client.allows_grant(grant_type) {
        let reason = format!("the grant type `{grant_type}` is not registered for the client");
        return Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            "unauthorized_client",
            reason,
        ));
    }
    let faults = state.token_faults();
    for fault in &faults {
        match fault {
            TokenFault::Error(status, code) => {
                let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::BAD_REQUEST);
                return Err(Refusal::new(status, code, "refused on command"));
            }
            TokenFault::HtmlError(status) => {
                let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::BAD_REQUEST);
                return Ok(html(status));
            }
            _ => {}
        }
    }
    let body = match grant_type {
        "authorization_code" => redeem(state, request, &client, binding)?,
        "refresh_token" => refresh(state, request, &client, binding)?,
        _ => client_credentials(state, request, &client, binding)?,
    };
    Ok(send(state, body, faults))
}

/// What the new tokens will be bound to: the key of the proof, or the certificate that was shown.
fn binding(state: &State, client: &Registration, request: &Request) -> Result<Binding, Refusal> {
    if !client.certificate_bound {
        let proof = dpop::check(state, request, Role::Provider, None)?;
        return Ok(Binding::Key(proof.jkt));
    }
    if request.headers.contains_key("dpop") {
        return Err(Refusal::invalid_request(
            "a proof from a client whose tokens are bound to its certificate",
        ));
    }
    match request.certificate() {
        Some(thumbprint) => Ok(Binding::Certificate(thumbprint.to_owned())),
        None => Err(Refusal::invalid_request(
            "the connection showed no certificate to bind tokens to",
        )),
    }
}

fn required<'a>(request: &'a Request, name: &str) -> Result<&'a str, Refusal> {
    request
        .form_value(name)
        .ok_or_else(|| Refusal::invalid_request(format!("`{name}` is missing")))
}

/// Redeems a code.
fn redeem(
    state: &State,
    request: &Request,
    client: &Registration,
    binding: Binding,
) -> Result<Value, Refusal> {
    let name = required(request, "code")?;
    let redirect_uri = required(request, "redirect_uri")?;
    let verifier = required(request, "code_verifier")?;
    let narrowed = par::resources(&request.form)?;
    let details = par::details(state, request.form_value("authorization_details"))?;

    let mut grants = lock(&state.grants);
    let id = grants.codes.get(name).map(|code| code.grant);
    let id = id.ok_or_else(|| Refusal::invalid_grant("a code that nobody was given"))?;
    let grant = grants.grant(id).clone();
    if grant.client_id != client.client_id {
        return Err(Refusal::invalid_grant("the code is another client's"));
    }
    let Some(code) = grants.codes.get_mut(name) else {
        return Err(Refusal::invalid_grant("a code that nobody was given"));
    };
    // SP-5.3.2.2-9: a code comes back only when it was stolen, so what it gave is taken back.
    if std::mem::replace(&mut code.used, true) {
        grants.revoke(id);
        return Err(Refusal::invalid_grant("the code has been used before"));
    }
    if state.now() >= code.expires_at {
        return Err(Refusal::invalid_grant("the code has expired"));
    }
    if code.redirect_uri != redirect_uri {
        return Err(Refusal::invalid_grant(
            "`redirect_uri` is not that of the request",
        ));
    }
    // PKCE-4.1
    let unreserved = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    if !(43..=128).contains(&verifier.len()) || !verifier.bytes().all(unreserved) {
        return Err(Refusal::invalid_grant("`code_verifier` is malformed"));
    }
    if code.challenge != sha256(verifier.as_bytes()) {
        return Err(Refusal::invalid_grant(
            "`code_verifier` does not fit the challenge",
        ));
    }
    // SP-5.3.2.1-12, DPOP-10
    let other = |jkt: &String| binding != Binding::Key(jkt.clone());
    if code.jkt.as_ref().is_some_and(other) {
        return Err(Refusal::invalid_grant("the code is bound to another key"));
    }
    let refresh_token = client
        .allows_grant("refresh_token")
        .then(|| grants.new_refresh_token(id));
    drop(grants);
    let wish = Wish {
        scope: grant.scope.clone(),
        resources: narrowed,
        details,
    };
    issue(
        state,
        client,
        binding,
        id,
        &grant,
        wish,
        refresh_token,
        grant.nonce.as_deref(),
    )
}

/// Refreshes. The refresh token of a confidential client is bound to the client and not to a key
/// (DPOP-5c).
fn refresh(
    state: &State,
    request: &Request,
    client: &Registration,
    binding: Binding,
) -> Result<Value, Refusal> {
    let name = required(request, "refresh_token")?;
    let narrowed = par::resources(&request.form)?;
    let details = par::details(state, request.form_value("authorization_details"))?;
    let now = state.now();

    let mut grants = lock(&state.grants);
    let token = grants.refresh_tokens.get(name);
    let token =
        token.ok_or_else(|| Refusal::invalid_grant("a refresh token that nobody issued"))?;
    let id = token.grant;
    let grant = grants.grant(id).clone();
    if grant.client_id != client.client_id {
        return Err(Refusal::invalid_grant(
            "the refresh token is another client's",
        ));
    }
    if token.revoked || grant.revoked {
        return Err(Refusal::invalid_grant("the refresh token is revoked"));
    }
    // R6749-6
    let scope = match par::scope(client, request.form_value("scope"))? {
        asked if asked.is_empty() => grant.scope.clone(),
        asked if asked.iter().all(|name| grant.scope.contains(name)) => asked,
        _ => {
            let reason = "the scope is wider than what was granted";
            return Err(Refusal::new(
                StatusCode::BAD_REQUEST,
                "invalid_scope",
                reason,
            ));
        }
    };
    let successor = match &token.successor {
        None if state.config.refresh_rotation => Some(grants.new_refresh_token(id)),
        None => None,
        // SP-5.3.2.1-9: an answer that was lost is given again, until its token has been seen.
        Some((next, rotated_at))
            if now < rotated_at + seconds(state.config.rotation_grace)
                && !grants
                    .refresh_tokens
                    .get(next)
                    .is_some_and(|next| next.used) =>
        {
            Some(next.clone())
        }
        Some(_) => {
            grants.revoke(id);
            drop(grants);
            lock(&state.records).tokens_used_twice.push(name.to_owned());
            return Err(Refusal::invalid_grant(
                "the refresh token has been rotated away",
            ));
        }
    };
    if let Some(token) = grants.refresh_tokens.get_mut(name) {
        mark_used(token, successor.as_deref(), now);
    }
    drop(grants);
    let wish = Wish {
        scope,
        resources: narrowed,
        details,
    };
    // IDT-12.2: a refreshed ID token has no nonce.
    issue(state, client, binding, id, &grant, wish, successor, None)
}

fn mark_used(token: &mut RefreshToken, successor: Option<&str>, now: i64) {
    token.used = true;
    if let (Some(next), None) = (successor, &token.successor) {
        token.successor = Some((next.to_owned(), now));
    }
}

/// Gives the client a token for itself.
fn client_credentials(
    state: &State,
    request: &Request,
    client: &Registration,
    binding: Binding,
) -> Result<Value, Refusal> {
    let scope = par::scope(client, request.form_value("scope"))?;
    if scope.iter().any(|name| name == "openid") {
        let reason = "`openid` needs a user";
        return Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            "invalid_scope",
            reason,
        ));
    }
    let resources = par::resources(&request.form)?;
    let details = par::details(state, request.form_value("authorization_details"))?;
    let grant = Grant {
        client_id: client.client_id.clone(),
        subject: client.client_id.clone(),
        scope: scope.clone(),
        details,
        resources,
        nonce: None,
        signed_in: None,
        acr_asked: false,
        sid: random::token(),
        revoked: false,
    };
    let id = lock(&state.grants).add(grant.clone());
    let wish = Wish {
        scope,
        resources: Vec::new(),
        details: None,
    };
    issue(state, client, binding, id, &grant, wish, None, None)
}
