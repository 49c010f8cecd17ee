//! Authenticating clients: by `private_key_jwt` (RFC 7523, SP-5.3.2.1-6, SP-5.3.2.1-8), or, where they are
//! registered for it, by their certificates.

use http::StatusCode;
use serde_json::{Value, json};

use crate::dpop::MAX_AHEAD;
use crate::form;
use crate::jose::{Alg, Unverified};
use crate::mutual_tls::{self, Authentication};
use crate::record::Request;
use crate::registration::Registration;
use crate::reply::Refusal;
use crate::state::State;

/// The only `client_assertion_type` that there is.
const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// How long an assertion may live, in seconds (K-6).
const MAX_LIFE: i64 = 300;

/// Checks the form of a request to the authorization server, and who sends it.
///
/// `repeatable` are the parameters that may stand more than once.
pub(crate) fn authenticate(
    state: &State,
    request: &Request,
    repeatable: &[&str],
) -> Result<Registration, Refusal> {
    check_form(request, repeatable).map_err(Refusal::invalid_request)?;
    client(state, request).map_err(|reason| {
        Refusal::new(
            StatusCode::UNAUTHORIZED,
            "invalid_client",
            format!("client: {reason}"),
        )
    })
}

/// R6749-3.2: a form in UTF-8, nothing twice, nothing empty; and nothing in the query.
fn check_form(request: &Request, repeatable: &[&str]) -> Result<(), String> {
    let media_type = request.header("content-type").unwrap_or_default();
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(format!("the content type `{media_type}`"));
    }
    if request.query().is_some() {
        return Err("the URL has a query".to_owned());
    }
    let form = form::parse(&request.body)?;
    if let Some(name) = form::repeated(&form, repeatable) {
        return Err(format!("`{name}` stands twice"));
    }
    match form.iter().find(|(_, value)| value.is_empty()) {
        Some((name, _)) => Err(format!("`{name}` is empty")),
        None => Ok(()),
    }
}

fn client(state: &State, request: &Request) -> Result<Registration, String> {
    // CA-2: one way to authenticate, and this one.
    if request.headers.contains_key("authorization")
        || request.form_value("client_secret").is_some()
    {
        return Err("it authenticates by more than an assertion".to_owned());
    }
    // MTLS-2: without `client_id` nobody knows whose certificate it would have to be.
    let named = request
        .form_value("client_id")
        .and_then(|id| state.client(id));
    if let Some(client) = named
        && !matches!(client.authentication, Authentication::PrivateKeyJwt)
    {
        mutual_tls::authenticate(&client.authentication, request)?;
        return Ok(client);
    }
    if request.form_value("client_assertion_type") != Some(TYPE) {
        return Err("`client_assertion_type` is missing or unknown".to_owned());
    }
    let assertion = request
        .form_value("client_assertion")
        .ok_or("it brings no assertion")?;
    let jwt = Unverified::parse(assertion)?;
    check_type(jwt.header.get("typ"))?;

    let id = jwt.text("sub")?;
    let client = state
        .client(id)
        .ok_or_else(|| format!("`{id}` is not registered"))?;
    if !matches!(client.authentication, Authentication::PrivateKeyJwt) {
        return Err(format!("`{id}` is registered for a certificate"));
    }
    if !client.algorithms.contains(&jwt.alg) {
        return Err(format!(
            "the algorithm {} is not registered for it",
            jwt.alg.name()
        ));
    }
    jwt.verify(key(&client, jwt.header.get("kid"), jwt.alg)?)?;

    if jwt.text("iss")? != id {
        return Err("`iss` is not `sub`".to_owned());
    }
    // CA-3
    if request
        .form_value("client_id")
        .is_some_and(|given| given != id)
    {
        return Err("`client_id` is not `sub`".to_owned());
    }
    // SP-5.3.2.1-8: the issuer as a string; an endpoint's URL or an array is refused.
    if jwt.text("aud")? != state.issuer {
        return Err("`aud` is not the issuer".to_owned());
    }
    let now = state.now();
    let exp = jwt.date("exp")?;
    if exp <= now {
        return Err(format!("it expired {} s ago", now - exp));
    }
    if exp > now + MAX_LIFE + MAX_AHEAD {
        return Err("it lives longer than 5 minutes".to_owned());
    }
    let iat = jwt.date("iat")?;
    if iat > now + MAX_AHEAD {
        return Err(format!("`iat` lies {} s ahead", iat - now));
    }
    if exp > iat + MAX_LIFE || exp <= iat {
        return Err("its life, `iat` to `exp`, is not between 1 s and 5 minutes".to_owned());
    }
    if jwt.claims.contains_key("nbf") && jwt.date("nbf")? > now + MAX_AHEAD {
        return Err("`nbf` lies ahead".to_owned());
    }
    let jti = jwt.text("jti")?;
    // SP-5.4.1-4: 128 random bits are 22 characters of base64url.
    if jti.len() < 22 {
        return Err("`jti` is too short".to_owned());
    }
    // CA-6: the one thing that makes an assertion worthless to whoever sees it.
    if !state.first_use(id, jti) {
        return Err("`jti` has been used before".to_owned());
    }
    Ok(client)
}

/// CA-5: the type of RFC 7523bis, the common one, or none.
fn check_type(typ: Option<&Value>) -> Result<(), String> {
    match typ {
        None => Ok(()),
        Some(Value::String(typ))
            if typ.eq_ignore_ascii_case("JWT")
                || typ.eq_ignore_ascii_case("client-authentication+jwt") =>
        {
            Ok(())
        }
        Some(typ) => Err(format!("`typ` is {typ}")),
    }
}

/// CA-7: the header names one of the registered keys.
fn key<'a>(client: &'a Registration, kid: Option<&Value>, alg: Alg) -> Result<&'a Value, String> {
    let kid = kid.ok_or("the header has no `kid`")?;
    let key = client
        .keys
        .iter()
        .find(|key| key.get("kid") == Some(kid))
        .ok_or("no key of that `kid` is registered")?;
    match key.get("alg") {
        Some(other) if *other != json!(alg.name()) => Err(format!("the key is for {other} alone")),
        _ => Ok(key),
    }
}
