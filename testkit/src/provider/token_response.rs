//! The token response (RFC 6749 section 5.1): what it holds, and what it holds wrongly on command.

use http::StatusCode;
use serde_json::{Value, json};

use crate::fault::TokenFault;
use crate::grants::{AccessToken, Binding, Grant};
use crate::misbehaviour::Document;
use crate::registration::Registration;
use crate::reply::{Refusal, Reply};
use crate::state::{State, lock, seconds};

use super::id_token;

/// What of a grant this one token is to carry.
pub(super) struct Wish {
    pub(super) scope: Vec<String>,
    pub(super) resources: Vec<String>,
    pub(super) details: Option<Value>,
}

#[expect(
    clippy::too_many_arguments,
    reason = "one token answer has that many sources"
)]
pub(super) fn issue(
    state: &State,
    client: &Registration,
    binding: Binding,
    id: usize,
    grant: &Grant,
    wish: Wish,
    refresh_token: Option<String>,
    nonce: Option<&str>,
) -> Result<Value, Refusal> {
    // RI-sub, RAR-6: only narrower than what was granted.
    if !wish
        .resources
        .iter()
        .all(|wanted| grant.resources.contains(wanted))
    {
        let reason = "a resource that was not granted";
        return Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            "invalid_target",
            reason,
        ));
    }
    let details = match (wish.details, &grant.details) {
        (None, granted) => granted.clone(),
        (Some(wanted), Some(granted)) if within(&wanted, granted) => Some(wanted),
        (Some(_), _) => {
            let reason = "details that were not granted";
            return Err(Refusal::new(
                StatusCode::BAD_REQUEST,
                "invalid_authorization_details",
                reason,
            ));
        }
    };
    let life = state.config.access_token_life;
    let resources = if wish.resources.is_empty() {
        grant.resources.clone()
    } else {
        wish.resources
    };
    let openid = wish.scope.iter().any(|name| name == "openid");
    let mut body = json!({"token_type": binding.scheme()});
    if !wish.scope.is_empty() {
        body["scope"] = wish.scope.join(" ").into();
    }
    let access_token = lock(&state.grants).new_access_token(AccessToken {
        grant: id,
        binding,
        scope: wish.scope,
        resources,
        expires_at: state.after(life),
        revoked: false,
    });
    state.secret(&access_token);
    if openid {
        let token = id_token::make(state, client, grant, &access_token, nonce);
        state.secret(&token);
        body["id_token"] = token.into();
    }
    body["access_token"] = access_token.into();
    if state.config.expires_in {
        body["expires_in"] = seconds(life).into();
    }
    if let Some(token) = refresh_token {
        state.secret(&token);
        body["refresh_token"] = token.into();
    }
    // RAR-7
    if let Some(details) = details {
        body["authorization_details"] = details;
    }
    Ok(body)
}

fn within(wanted: &Value, granted: &Value) -> bool {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let granted = list(granted);
    list(wanted).iter().all(|detail| granted.contains(detail))
}

/// Lets the faults and the mutators loose, and writes the answer.
pub(super) fn send(state: &State, mut body: Value, faults: Vec<TokenFault>) -> Reply {
    use TokenFault as F;
    let mut content_type = "application/json".to_owned();
    let mut duplicate = false;
    for fault in faults {
        let mut set = |name: &str, value: Value| body[name] = value;
        match fault {
            F::Bearer => set("token_type", "Bearer".into()),
            F::TokenType(text) => set("token_type", text.into()),
            F::ExpiresIn(value) => set("expires_in", value),
            F::Scope(text) => set("scope", text.into()),
            F::EmptyAccessToken => set("access_token", "".into()),
            F::AccessTokenWithLineBreak => set("access_token", "a\r\nb: c".into()),
            F::MissingTokenType => remove(&mut body, "token_type"),
            F::MissingAccessToken => remove(&mut body, "access_token"),
            F::WithoutExpiresIn => remove(&mut body, "expires_in"),
            F::WithoutIdToken => remove(&mut body, "id_token"),
            F::WithoutRefreshToken => remove(&mut body, "refresh_token"),
            F::WithoutAuthorizationDetails => remove(&mut body, "authorization_details"),
            F::DuplicateMember => duplicate = true,
            F::ContentType(text) => content_type = text,
            F::Html => return html(StatusCode::OK),
            // Handled before anything was issued.
            F::HtmlError(_) | F::Error(..) => {}
        }
    }
    state.mutate(Document::Token, &mut body);
    let mut text = body.to_string();
    if duplicate {
        text.pop();
        text.push_str(r#","access_token":"another"}"#);
    }
    Reply::new(StatusCode::OK, &content_type, text)
}

fn remove(body: &mut Value, name: &str) {
    if let Some(members) = body.as_object_mut() {
        members.remove(name);
    }
}

pub(super) fn html(status: StatusCode) -> Reply {
    Reply::html(
        status,
        "<!doctype html><title>Sorry</title><p>This is no API.</p>".to_owned(),
    )
}
