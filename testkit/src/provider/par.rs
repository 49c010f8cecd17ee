//! Pushed authorization requests (RFC 9126).

use http::StatusCode;
use serde_json::{Value, json};
use url::Url;

use crate::assertion;
use crate::dpop::{self, Role};
use crate::fault::ParFault;
use crate::form::{self, Form};
use crate::grants::Pushed;
use crate::misbehaviour::Document;
use crate::random;
use crate::record::Request;
use crate::registration::Registration;
use crate::reply::{Refusal, Reply};
use crate::state::{State, lock, seconds};

pub(crate) fn answer(state: &State, request: &Request) -> Result<Reply, Refusal> {
    let client = assertion::authenticate(state, request, &["resource"])?;
    let jkt = bound_key(state, &client, request)?;
    check(state, &client, request)?;

    let form: Form = request
        .form
        .iter()
        .filter(|(name, _)| !name.starts_with("client_assertion"))
        .cloned()
        .collect();
    let faults = state.par_faults();
    if let Some(code) = faults.iter().find_map(|fault| match fault {
        ParFault::Error(code) => Some(code),
        _ => None,
    }) {
        return Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            code,
            "refused on command",
        ));
    }
    let request_uri = format!("urn:ietf:params:oauth:request_uri:{}", random::token());
    let life = state.config.request_uri_life;
    let pushed = Pushed {
        client_id: client.client_id,
        form,
        jkt,
        expires_at: state.after(life),
        used: false,
    };
    lock(&state.grants)
        .pushed
        .insert(request_uri.clone(), pushed);
    state.secret(&request_uri);

    let mut body = json!({"request_uri": request_uri, "expires_in": seconds(life)});
    let mut status = StatusCode::CREATED;
    let mut html = false;
    for fault in faults {
        match fault {
            ParFault::Status200 => status = StatusCode::OK,
            ParFault::MissingRequestUri => remove(&mut body, "request_uri"),
            ParFault::MissingExpiresIn => remove(&mut body, "expires_in"),
            ParFault::ExpiresIn(value) => body["expires_in"] = value,
            ParFault::Html => html = true,
            ParFault::Error(_) => {}
        }
    }
    state.mutate(Document::Par, &mut body);
    if html {
        return Ok(Reply::html(
            status,
            "<!doctype html><title>Created</title>".to_owned(),
        ));
    }
    Ok(Reply::json(status, &body))
}

/// DPOP-10.1: the key of the proof, or of `dpop_jkt`; where both are there, they agree.
fn bound_key(
    state: &State,
    client: &Registration,
    request: &Request,
) -> Result<Option<String>, Refusal> {
    let named = request.form_value("dpop_jkt");
    if client.certificate_bound && (named.is_some() || request.headers.contains_key("dpop")) {
        return Err(Refusal::invalid_request(
            "a key of a client whose tokens are bound to its certificate",
        ));
    }
    if named.is_some_and(|jkt| !is_sha256(jkt)) {
        return Err(Refusal::invalid_request(
            "`dpop_jkt` is not a SHA-256 thumbprint",
        ));
    }
    if !request.headers.contains_key("dpop") {
        return Ok(named.map(str::to_owned));
    }
    let proof = dpop::check(state, request, Role::Provider, None)?;
    match named {
        Some(jkt) if jkt != proof.jkt => Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            "invalid_dpop_proof",
            "`dpop_jkt` names another key than the proof's",
        )),
        _ => Ok(Some(proof.jkt)),
    }
}

/// SP-5.3.2.2: what a pushed request must hold, and must not.
fn check(state: &State, client: &Registration, request: &Request) -> Result<(), Refusal> {
    let value = |name: &str| request.form_value(name);
    let required = |name: &str| {
        value(name).ok_or_else(|| Refusal::invalid_request(format!("`{name}` is missing")))
    };
    let bad = |error: &str, reason: &str| {
        Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            error,
            reason.to_owned(),
        ))
    };
    required("client_id")?;
    // PAR-2.1
    if value("request_uri").is_some() {
        return bad(
            "invalid_request",
            "a pushed request can't hold a `request_uri`",
        );
    }
    if value("request").is_some() {
        return bad("request_not_supported", "request objects are not supported");
    }
    // SP-5.3.2.2-1
    if required("response_type")? != "code" {
        return bad("unsupported_response_type", "`response_type` is not `code`");
    }
    if value("response_mode").is_some_and(|mode| mode != "query") {
        return bad("invalid_request", "`response_mode` is not `query`");
    }
    if !client.allows_grant("authorization_code") {
        return bad(
            "unauthorized_client",
            "the code grant is not registered for the client",
        );
    }
    // SP-5.3.2.2-6, SP-5.3.2.2-8
    if !client.allows_redirect(required("redirect_uri")?) {
        return bad("invalid_request", "the `redirect_uri` is not registered");
    }
    // SP-5.3.2.2-5, PKCE-4.3
    if required("code_challenge_method")? != "S256" {
        return bad("invalid_request", "`code_challenge_method` is not `S256`");
    }
    if !is_sha256(required("code_challenge")?) {
        return bad("invalid_request", "`code_challenge` is not a SHA-256 hash");
    }
    // SP-5.3.2.2-14
    if value("nonce").is_some_and(|nonce| nonce.len() > 64) {
        return bad("invalid_request", "`nonce` is longer than 64 characters");
    }
    if value("max_age").is_some_and(|age| age.parse::<u32>().is_err()) {
        return bad("invalid_request", "`max_age` is not a number of seconds");
    }
    if value("claims").is_some_and(|text| crate::jose::json::object(text.as_bytes()).is_err()) {
        return bad("invalid_request", "`claims` is not a JSON object");
    }
    if let Some(prompt) = value("prompt") {
        let prompts: Vec<&str> = prompt.split(' ').collect();
        if prompts.len() > 1 && prompts.contains(&"none") {
            return bad("invalid_request", "`prompt` has `none` and others");
        }
    }
    scope(client, value("scope"))?;
    details(state, value("authorization_details"))?;
    resources(&request.form)?;
    Ok(())
}

fn is_sha256(text: &str) -> bool {
    text.len() == 43 && crate::jose::decode(text).is_ok()
}

fn remove(body: &mut Value, name: &str) {
    if let Some(members) = body.as_object_mut() {
        members.remove(name);
    }
}

/// The scope that was asked for, if the client may have it.
pub(crate) fn scope(client: &Registration, asked: Option<&str>) -> Result<Vec<String>, Refusal> {
    let Some(asked) = asked else {
        return Ok(Vec::new());
    };
    let mut scope = Vec::new();
    for name in asked.split(' ') {
        // RFC 6749 section 3.3: visible ASCII without quote and backslash.
        let sound = !name.is_empty()
            && name
                .bytes()
                .all(|b| b.is_ascii_graphic() && !b"\"\\".contains(&b));
        if !sound || !client.allows_scope(name) || scope.iter().any(|other| other == name) {
            return Err(Refusal::new(
                StatusCode::BAD_REQUEST,
                "invalid_scope",
                format!("the scope `{name}` is malformed, repeated or not allowed"),
            ));
        }
        scope.push(name.to_owned());
    }
    Ok(scope)
}

/// RAR-2, RAR-5: an array of objects, each of a type that is supported.
pub(crate) fn details(state: &State, asked: Option<&str>) -> Result<Option<Value>, Refusal> {
    let Some(asked) = asked else { return Ok(None) };
    let bad = |reason: &str| {
        Refusal::new(
            StatusCode::BAD_REQUEST,
            "invalid_authorization_details",
            reason,
        )
    };
    let value = crate::jose::json::parse(asked.as_bytes()).map_err(|e| bad(&e))?;
    let list = value.as_array().filter(|list| !list.is_empty());
    for detail in list.ok_or_else(|| bad("`authorization_details` is not a list"))? {
        let kind = detail["type"].as_str().unwrap_or_default();
        if !state.config.details_types.iter().any(|known| known == kind) {
            return Err(bad("a detail without a type, or of an unknown one"));
        }
    }
    Ok(Some(value))
}

/// RI-2: absolute URIs without a fragment.
pub(crate) fn resources(form: &Form) -> Result<Vec<String>, Refusal> {
    let resources = form::values(form, "resource");
    for resource in &resources {
        if Url::parse(resource).map_or(true, |url| url.fragment().is_some()) {
            return Err(Refusal::new(
                StatusCode::BAD_REQUEST,
                "invalid_target",
                format!("`{resource}` is not an absolute URI without a fragment"),
            ));
        }
    }
    Ok(resources)
}
