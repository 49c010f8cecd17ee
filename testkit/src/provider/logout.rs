//! Logout: the tokens that tell a client of it (OpenID Connect Back-Channel Logout 1.0), and the endpoint
//! to which a client sends the browser (RP-Initiated Logout 1.0).

use http::{Method, StatusCode, header};
use serde_json::{Map, Value, json};

use crate::form::{self, Form};
use crate::jose::{Draft, Unverified};
use crate::random;
use crate::record::{Endpoint, Request};
use crate::registration::Registration;
use crate::reply::Reply;
use crate::state::{State, lock};

use super::authorize::{cookie, error_page};

/// How long a logout token lives, in seconds: the most that section 4 recommends.
const LIFE: i64 = 120;

/// What may be asked of the logout endpoint. A token under any other name would be one too many.
const PARAMETERS: [&str; 6] = [
    "id_token_hint",
    "logout_hint",
    "client_id",
    "post_logout_redirect_uri",
    "state",
    "ui_locales",
];

pub(crate) fn token(
    state: &State,
    client_id: &str,
    subject: Option<&str>,
    session_id: Option<&str>,
) -> String {
    let key = state.active_key();
    let now = state.now();
    let mut claims = Map::new();
    let mut set = |name: &str, value: Value| claims.insert(name.to_owned(), value);
    set("iss", state.issuer.as_str().into());
    set("aud", client_id.into());
    set("iat", now.into());
    set("exp", (now + LIFE).into());
    set("jti", random::token().into());
    set(
        "events",
        json!({"http://schemas.openid.net/event/backchannel-logout": {}}),
    );
    if let Some(subject) = subject {
        set("sub", subject.into());
    }
    if let Some(session_id) = session_id {
        set("sid", session_id.into());
    }
    let mut draft = Draft::new(&key, "logout+jwt", claims);
    state.mutate_logout_token(&mut draft.header, &mut draft.claims);
    let token = draft.finish(&key);
    state.secret(&token);
    token
}

/// Signs the browser out, and sends it back to the client.
///
/// Without a hint the user has to be asked (section 2), and this server stops at the page that asks.
pub(crate) fn end_session(state: &State, request: &Request) -> Reply {
    match asked(state, request) {
        Ok(asked) => signed_out(state, request, &asked),
        Err(reason) => error_page(state, Endpoint::EndSession, &reason),
    }
}

/// A request that holds.
struct Asked {
    /// The user of the hint.
    user: Option<String>,
    /// Where the browser goes afterwards.
    location: Option<String>,
}

fn asked(state: &State, request: &Request) -> Result<Asked, String> {
    let form = parameters(request)?;
    let value = |name: &str| form::value(&form, name);
    let hint = value("id_token_hint")
        .map(|hint| check_hint(state, hint))
        .transpose()
        .map_err(|reason| format!("the id_token_hint: {reason}"))?;
    let client = client(state, value("client_id"), hint.as_ref())?;
    let location = match (value("post_logout_redirect_uri"), value("state")) {
        (Some(uri), app) => {
            let client = client.ok_or("somewhere to return to, and no client")?;
            if !client.allows_return(uri) {
                return Err("the post_logout_redirect_uri is not registered".to_owned());
            }
            Some(location(uri, app))
        }
        (None, Some(_)) => return Err("a `state`, and nowhere to return to".to_owned()),
        (None, None) => None,
    };
    let user = hint.map(|hint| hint.user);
    let signed_in = cookie(request)
        .and_then(|cookie| lock(&state.grants).browsers.get(cookie).cloned())
        .map(|login| login.user);
    match (&user, &signed_in) {
        (Some(user), Some(other)) if user != other => {
            Err("another user is signed in at this browser".to_owned())
        }
        _ => Ok(Asked { user, location }),
    }
}

/// Section 2: by GET in the query or by POST in a form, and nothing twice.
fn parameters(request: &Request) -> Result<Form, String> {
    let query = request.query().unwrap_or_default().as_bytes();
    let form = if request.method == Method::POST {
        let media = request.header("content-type").unwrap_or_default();
        if media != "application/x-www-form-urlencoded" {
            return Err(format!("the media type `{media}`"));
        }
        if !query.is_empty() {
            return Err("a form, and a query too".to_owned());
        }
        form::parse(&request.body)?
    } else {
        form::parse(query)?
    };
    if let Some(name) = form::repeated(&form, &[]) {
        return Err(format!("`{name}` stands twice"));
    }
    for (name, value) in &form {
        if !PARAMETERS.contains(&name.as_str()) {
            return Err(format!("`{name}` has no place here"));
        }
        if value.is_empty() {
            return Err(format!("`{name}` is empty"));
        }
    }
    Ok(form)
}

/// Whose session ends, and at which clients.
struct Hint {
    user: String,
    audience: Vec<String>,
}

/// An ID token of this server's, which may have expired (section 4).
fn check_hint(state: &State, hint: &str) -> Result<Hint, String> {
    let token = Unverified::parse(hint)?;
    match token.header.get("typ").and_then(Value::as_str) {
        None | Some("JWT") => {}
        Some(typ) => return Err(format!("the type `{typ}`")),
    }
    if token.claims.contains_key("events") {
        return Err("no ID token, but a logout token".to_owned());
    }
    let own: Vec<Value> = {
        let keys = lock(&state.keys);
        let all = keys.former.iter().chain([&keys.active.jwk]);
        all.filter(|jwk| token.header.get("kid") == Some(&jwk["kid"]))
            .cloned()
            .collect()
    };
    let jwk = own.first().ok_or("no key of this server has its `kid`")?;
    token.verify(jwk)?;
    if token.text("iss")? != state.issuer {
        return Err("it is another issuer's".to_owned());
    }
    let audience = match token.claims.get("aud") {
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(several)) => several
            .iter()
            .filter_map(|one| one.as_str().map(str::to_owned))
            .collect(),
        _ => return Err("`aud` is missing".to_owned()),
    };
    Ok(Hint {
        user: token.text("sub")?.to_owned(),
        audience,
    })
}

/// The client that asks: the one it names, which has to be the hint's; else the hint's.
fn client(
    state: &State,
    named: Option<&str>,
    hint: Option<&Hint>,
) -> Result<Option<Registration>, String> {
    let id = match (named, hint) {
        (Some(named), Some(hint)) if !hint.audience.iter().any(|one| one == named) => {
            return Err("the id_token_hint is another client's".to_owned());
        }
        (Some(named), _) => named,
        (None, Some(hint)) => hint.audience.first().map_or("", String::as_str),
        (None, None) => return Ok(None),
    };
    let client = state.client(id);
    client.map(Some).ok_or(format!("no client `{id}`"))
}

fn location(uri: &str, app: Option<&str>) -> String {
    let Some(app) = app else {
        return uri.to_owned();
    };
    let delimiter = if uri.contains('?') { '&' } else { '?' };
    let state = form::encode(&vec![("state".to_owned(), app.to_owned())]);
    format!("{uri}{delimiter}{state}")
}

fn signed_out(state: &State, request: &Request, asked: &Asked) -> Reply {
    let page = |text: &str| {
        let html = format!("<!doctype html><title>Sign out</title><p>{text}</p>");
        Reply::html(StatusCode::OK, html)
    };
    if asked.user.is_none() {
        return page("Do you want to sign out?");
    }
    if let Some(cookie) = cookie(request) {
        lock(&state.grants).browsers.remove(cookie);
    }
    match &asked.location {
        Some(location) => Reply::empty(StatusCode::SEE_OTHER)
            .with(header::LOCATION, location)
            .with(header::CACHE_CONTROL, "no-store")
            .with(header::REFERRER_POLICY, "no-referrer"),
        None => page("You are signed out."),
    }
}
