//! The authorization endpoint, and the page on which the user decides.

use http::{StatusCode, header};
use serde_json::Value;

use crate::fault::AuthorizationFault;
use crate::form::{self, Form};
use crate::grants::{Code, Grant, Pushed, SignedIn};
use crate::jose::json;
use crate::random;
use crate::record::{Endpoint, Request};
use crate::reply::Reply;
use crate::state::{State, lock, seconds};

use super::par;

/// The cookie that says who is signed in at a browser.
const COOKIE: &str = "__Host-testkit";

/// Somebody else's issuer, for faults.
pub(crate) const EVIL: &str = "https://evil.example";

/// Shows the page, or, with `prompt=none`, answers at once.
pub(crate) fn page(state: &State, request: &Request) -> Reply {
    let (request_uri, pushed) = match visit(state, request) {
        Ok(visit) => visit,
        Err(reason) => return error_page(state, Endpoint::Authorization, &reason),
    };
    if form::value(&pushed.form, "prompt") == Some("none") {
        lock(&state.grants)
            .pushed
            .entry(request_uri)
            .and_modify(|pushed| pushed.used = true);
        let decision = still_signed_in(state, request, &pushed, None)
            .map_or(Decision::Refused("login_required"), Decision::Approved);
        return respond(state, &pushed, &decision);
    }
    let page = random::token();
    let html = consent_html(state, &pushed, &page);
    lock(&state.grants).pages.insert(page, request_uri);
    Reply::html(StatusCode::OK, html)
}

/// Takes what the user decided.
pub(crate) fn decide(state: &State, request: &Request) -> Reply {
    let value = |name: &str| request.form_value(name);
    let fail = |reason: &str| error_page(state, Endpoint::Consent, reason);
    let (Some(page), Some(user), Some(decision)) =
        (value("page"), value("user"), value("decision"))
    else {
        return fail("the page's form is incomplete");
    };
    let mut grants = lock(&state.grants);
    let Some(request_uri) = grants.pages.remove(page) else {
        drop(grants);
        return fail("this page has been used before");
    };
    // SP-5.3.2.2-N3: the single use bites here, not when the page is loaded.
    let pushed = grants
        .pushed
        .get_mut(&request_uri)
        .filter(|pushed| !pushed.used);
    let Some(pushed) = pushed else {
        drop(grants);
        return fail("the request_uri has been used before");
    };
    pushed.used = true;
    let pushed = pushed.clone();
    drop(grants);

    if decision != "approve" {
        return respond(state, &pushed, &Decision::Refused("access_denied"));
    }
    let login = match still_signed_in(state, request, &pushed, Some(user)) {
        Some(login) if value("acr").is_none_or(|acr| acr == login.acr) => login,
        _ => match choose_acr(state, &pushed, value("acr")) {
            Ok(acr) => SignedIn {
                user: user.to_owned(),
                auth_time: state.now(),
                acr,
            },
            Err(error) => return respond(state, &pushed, &Decision::Refused(error)),
        },
    };
    let cookie = random::token();
    lock(&state.grants)
        .browsers
        .insert(cookie.clone(), login.clone());
    respond(state, &pushed, &Decision::Approved(login)).with(
        header::SET_COOKIE,
        &format!("{COOKIE}={cookie}; Path=/; Secure; HttpOnly; SameSite=Lax"),
    )
}

/// Checks what the browser brought (SP-5.3.2.2-2..4, SP-5.3.3.2-6).
fn visit(state: &State, request: &Request) -> Result<(String, Pushed), String> {
    let mut query = form::parse(request.query().unwrap_or_default().as_bytes())?;
    let own = state
        .config
        .authorization_query
        .as_deref()
        .unwrap_or_default();
    for pair in form::parse(own.as_bytes())? {
        let at = query.iter().position(|other| *other == pair);
        query.remove(at.ok_or_else(|| format!("the endpoint's own `{}` is missing", pair.0))?);
    }
    let names: Vec<&str> = query.iter().map(|(name, _)| name.as_str()).collect();
    if names.len() != 2 || !names.contains(&"client_id") || !names.contains(&"request_uri") {
        return Err(format!(
            "not `client_id` and `request_uri` alone, but {names:?}"
        ));
    }
    let request_uri = form::value(&query, "request_uri").unwrap_or_default();
    let pushed = lock(&state.grants).pushed.get(request_uri).cloned();
    let pushed = pushed.ok_or("a request_uri that nobody was given")?;
    if form::value(&query, "client_id") != Some(&pushed.client_id) {
        return Err("the request_uri is another client's".to_owned());
    }
    if pushed.used {
        return Err("the request_uri has been used before".to_owned());
    }
    if state.now() >= pushed.expires_at {
        return Err("the request_uri has expired".to_owned());
    }
    Ok((request_uri.to_owned(), pushed))
}

/// What the browser is known by.
pub(super) fn cookie(request: &Request) -> Option<&str> {
    let cookies = request.header("cookie")?;
    cookies
        .split("; ")
        .find_map(|pair| pair.strip_prefix(COOKIE)?.strip_prefix('='))
}

/// The sign-in that the browser has already, if it serves for this request.
fn still_signed_in(
    state: &State,
    request: &Request,
    pushed: &Pushed,
    user: Option<&str>,
) -> Option<SignedIn> {
    let login = lock(&state.grants).browsers.get(cookie(request)?)?.clone();
    let prompt = form::value(&pushed.form, "prompt").unwrap_or_default();
    let max_age = form::value(&pushed.form, "max_age").and_then(|age| age.parse::<i64>().ok());
    let fits = user.is_none_or(|user| user == login.user)
        && !prompt.split(' ').any(|prompt| prompt == "login")
        && max_age.is_none_or(|age| state.now() - login.auth_time < age.max(1))
        && asked_acr(pushed).is_none_or(|(asked, _)| asked.contains(&login.acr));
    fits.then_some(login)
}

/// The authentication class that the user reaches.
fn choose_acr(
    state: &State,
    pushed: &Pushed,
    forced: Option<&str>,
) -> Result<String, &'static str> {
    if let Some(acr) = forced {
        return Ok(acr.to_owned());
    }
    let offered = &state.config.acr_values;
    let usual = || offered.first().cloned().unwrap_or_default();
    let Some((asked, essential)) = asked_acr(pushed) else {
        return Ok(usual());
    };
    match asked.into_iter().find(|acr| offered.contains(acr)) {
        Some(acr) => Ok(acr),
        // SU-5
        None if essential => Err("unmet_authentication_requirements"),
        None => Ok(usual()),
    }
}

/// The `acr` values that were asked for, and whether by an essential claim.
fn asked_acr(pushed: &Pushed) -> Option<(Vec<String>, bool)> {
    let claims = form::value(&pushed.form, "claims").unwrap_or("{}");
    let claims = json::parse(claims.as_bytes()).unwrap_or_default();
    let acr = &claims["id_token"]["acr"];
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let by_claim: Vec<String> = acr["values"]
        .as_array()
        .map(|values| values.iter().filter_map(text).collect())
        .or_else(|| text(&acr["value"]).map(|value| vec![value]))
        .unwrap_or_default();
    if !by_claim.is_empty() {
        return Some((by_claim, acr["essential"] == Value::Bool(true)));
    }
    let values = form::value(&pushed.form, "acr_values")?;
    Some((values.split(' ').map(str::to_owned).collect(), false))
}

enum Decision {
    Approved(SignedIn),
    Refused(&'static str),
}

/// Sends the browser back to the client, with 303 (SP-5.3.2.2-10/11).
fn respond(state: &State, pushed: &Pushed, decision: &Decision) -> Reply {
    let value = |name: &str| form::value(&pushed.form, name);
    let mut parameters: Form = match decision {
        Decision::Approved(login) => vec![("code".to_owned(), issue(state, pushed, login))],
        Decision::Refused(error) => vec![("error".to_owned(), (*error).to_owned())],
    };
    if let Some(app) = value("state") {
        parameters.push(("state".to_owned(), app.to_owned()));
    }
    // SP-5.3.2.2-7
    parameters.push(("iss".to_owned(), state.issuer.clone()));

    let mut delimiter = None;
    for fault in state.authorization_faults() {
        if fault == AuthorizationFault::Fragment {
            delimiter = Some('#');
        }
        misbehave(&mut parameters, fault);
    }
    state.mutate_authorization_response(&mut parameters);

    let redirect_uri = value("redirect_uri").unwrap_or_default();
    let delimiter = delimiter.unwrap_or(if redirect_uri.contains('?') { '&' } else { '?' });
    let location = format!("{redirect_uri}{delimiter}{}", form::encode(&parameters));
    Reply::empty(StatusCode::SEE_OTHER)
        .with(header::LOCATION, &location)
        .with(header::CACHE_CONTROL, "no-store")
        .with(header::REFERRER_POLICY, "no-referrer")
}

fn issue(state: &State, pushed: &Pushed, login: &SignedIn) -> String {
    let value = |name: &str| form::value(&pushed.form, name);
    let claims = json::parse(value("claims").unwrap_or("{}").as_bytes()).unwrap_or_default();
    let grant = Grant {
        client_id: pushed.client_id.clone(),
        subject: login.user.clone(),
        scope: value("scope")
            .map(|s| s.split(' ').map(str::to_owned).collect())
            .unwrap_or_default(),
        details: par::details(state, value("authorization_details"))
            .ok()
            .flatten(),
        resources: form::values(&pushed.form, "resource"),
        nonce: value("nonce").map(str::to_owned),
        signed_in: Some(login.clone()),
        acr_asked: value("acr_values").is_some() || claims["id_token"].get("acr").is_some(),
        sid: random::token(),
        revoked: false,
    };
    let code = random::token();
    let mut grants = lock(&state.grants);
    let grant = grants.add(grant);
    grants.codes.insert(
        code.clone(),
        Code {
            grant,
            redirect_uri: value("redirect_uri").unwrap_or_default().to_owned(),
            challenge: value("code_challenge").unwrap_or_default().to_owned(),
            jkt: pushed.jkt.clone(),
            expires_at: state.now() + seconds(state.config.code_life),
            used: false,
        },
    );
    drop(grants);
    state.secret(&code);
    code
}

fn misbehave(parameters: &mut Form, fault: AuthorizationFault) {
    use AuthorizationFault as F;
    let set = |parameters: &mut Form, name: &str, value: &str| {
        parameters.retain(|(other, _)| other != name);
        parameters.push((name.to_owned(), value.to_owned()));
    };
    let add = |parameters: &mut Form, name: &str, value: &str| {
        parameters.push((name.to_owned(), value.to_owned()));
    };
    let without = |parameters: &mut Form, name: &str| parameters.retain(|(other, _)| other != name);
    let current = |parameters: &Form, name: &str| {
        form::value(parameters, name).unwrap_or_default().to_owned()
    };
    match fault {
        F::WrongIssuer => set(parameters, "iss", EVIL),
        F::Issuer(issuer) => set(parameters, "iss", &issuer),
        F::MissingIssuer => without(parameters, "iss"),
        F::DuplicateIssuer => {
            let issuer = current(parameters, "iss");
            add(parameters, "iss", &issuer);
        }
        F::SecondIssuer => add(parameters, "iss", EVIL),
        F::WrongState => set(parameters, "state", &random::token()),
        F::MissingState => without(parameters, "state"),
        F::DuplicateState => {
            let state = current(parameters, "state");
            add(parameters, "state", &state);
        }
        F::MissingCode => without(parameters, "code"),
        F::EmptyCode => set(parameters, "code", ""),
        F::DuplicateCode => add(parameters, "code", &random::token()),
        F::ExtraAccessToken => add(parameters, "access_token", &random::token()),
        F::ExtraIdToken => add(parameters, "id_token", "eyJhbGciOiJub25lIn0.e30."),
        F::ExtraResponse => add(parameters, "response", "eyJhbGciOiJub25lIn0.e30."),
        F::CodeAndError => add(parameters, "error", "access_denied"),
        F::Error(error) => {
            without(parameters, "code");
            set(parameters, "error", &error);
        }
        F::ErrorWithoutIssuer(error) => {
            misbehave(parameters, F::Error(error));
            without(parameters, "iss");
        }
        F::ErrorWithWrongIssuer(error) => {
            misbehave(parameters, F::Error(error));
            set(parameters, "iss", EVIL);
        }
        F::Fragment => {}
    }
}

fn consent_html(state: &State, pushed: &Pushed, page: &str) -> String {
    let text = |name: &str| escape(form::value(&pushed.form, name).unwrap_or("nothing"));
    // SP-5.3.2.2-13: who asks, and for what.
    format!(
        "<!doctype html><title>Sign in</title>\
         <h1>{client} asks for access</h1><p>Scope: {scope}</p>\
         <form method=\"post\" action=\"{action}\">\
         <input type=\"hidden\" name=\"page\" value=\"{page}\">\
         <label>Your name <input name=\"user\" value=\"alice\"></label>\
         <button name=\"decision\" value=\"approve\">Approve</button>\
         <button name=\"decision\" value=\"deny\">Deny</button></form>",
        client = escape(&pushed.client_id),
        scope = text("scope"),
        action = state.url("/consent"),
    )
}

pub(super) fn error_page(state: &State, endpoint: Endpoint, reason: &str) -> Reply {
    state.refused(endpoint, reason);
    let html = format!(
        "<!doctype html><title>Refused</title><p>{}</p>",
        escape(reason)
    );
    Reply::html(StatusCode::BAD_REQUEST, html)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
