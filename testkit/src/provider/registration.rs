//! Registering clients (RFC 7591), and managing them (RFC 7592).

use http::{Method, StatusCode, header};
use serde_json::{Map, Value, json};

use crate::fault::RegistrationFault;
use crate::jose::{Alg, json};
use crate::misbehaviour::Document;
use crate::mutual_tls::{self, Authentication, CertificateName};
use crate::random;
use crate::record::{Endpoint, Request};
use crate::registration::{Registration, check_keys, loopback};
use crate::reply::{Refusal, Reply};
use crate::state::{Managed, State, lock};

/// What only the server says about a client.
const GIVEN: [&str; 5] = [
    "client_secret",
    "client_secret_expires_at",
    "client_id_issued_at",
    "registration_access_token",
    "registration_client_uri",
];

/// Members that a client of FAPI 2.0 says and that have one value (DCR-2b).
fn fixed(login: bool, certificate_bound: bool) -> [(&'static str, Value); 4] {
    let modes = if login { json!(["query"]) } else { json!([]) };
    [
        ("dpop_bound_access_tokens", (!certificate_bound).into()),
        (
            "tls_client_certificate_bound_access_tokens",
            certificate_bound.into(),
        ),
        ("require_pushed_authorization_requests", true.into()),
        ("response_modes", modes),
    ]
}

/// How the client will prove who it is, and what it is known by (DCR-2a, MTLS-2.1, MTLS-2.2).
fn identity(
    state: &State,
    client: Registration,
    members: &Map<String, Value>,
) -> Result<Registration, Refusal> {
    const METHOD: &str = "token_endpoint_auth_method";
    let named = |member: &&&str| members.contains_key(**member);
    let names: Vec<_> = CertificateName::MEMBERS.iter().filter(named).collect();
    let method = members.get(METHOD).and_then(Value::as_str);
    if names.len() != usize::from(method == Some("tls_client_auth")) {
        return Err(metadata(
            "not one name for `tls_client_auth`, and else none",
        ));
    }
    let mut client = client;
    match method {
        Some("private_key_jwt") => {
            client.algorithms = vec![algorithm(members, "token_endpoint_auth_signing_alg")?];
            algorithm(members, "request_object_signing_alg")?;
            client.keys = keys(members)?;
        }
        Some("tls_client_auth") if state.mutual_tls.is_some() => {
            if members.contains_key("jwks") || members.contains_key("jwks_uri") {
                return Err(metadata("keys that nothing is signed with"));
            }
            let name = names
                .first()
                .and_then(|member| CertificateName::of(member, members.get(**member)?.as_str()?));
            client = client.tls_client_auth(name.ok_or_else(|| metadata("the name is no text"))?);
        }
        Some("self_signed_tls_client_auth") if state.mutual_tls.is_some() => {
            let jwks = members.get("jwks").cloned().unwrap_or_default();
            let known = mutual_tls::certificates(jwks).map_err(metadata)?;
            client.authentication = Authentication::SelfSignedTls(known);
        }
        _ => return Err(metadata(format!("`{METHOD}` is missing, or not offered"))),
    }
    if method != Some("private_key_jwt") && members.contains_key("token_endpoint_auth_signing_alg")
    {
        return Err(metadata("an algorithm for assertions, and no assertions"));
    }
    Ok(client)
}

/// A member that is true or false. True needs mutual TLS.
fn flag(state: &State, members: &Map<String, Value>, name: &str) -> Result<bool, Refusal> {
    match members.get(name) {
        Some(Value::Bool(on)) if !on || state.mutual_tls.is_some() => Ok(*on),
        _ => Err(metadata(format!("`{name}` is missing, or not offered"))),
    }
}

/// A client registers.
pub(crate) fn register(state: &State, request: &Request) -> Result<Reply, Refusal> {
    let token = bearer(request)?;
    match (&state.config.registering.initial_access_token, token) {
        (Some(expected), Some(token)) if token == expected => {}
        (None, None) => {}
        (Some(_), None) => return Err(unauthorized("there is no initial access token")),
        (_, Some(_)) => return Err(unauthorized("the initial access token is unknown")),
    }
    let members = body(request)?;
    if members.contains_key("client_id") {
        return Err(metadata("the client names its own `client_id`"));
    }
    let faults = state.registration_faults();
    for fault in &faults {
        if let RegistrationFault::Error(status, code) = fault {
            let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::BAD_REQUEST);
            return Err(Refusal::new(status, code, "refused on command"));
        }
    }
    let client_id = format!("client-{}", random::token());
    let client = check(state, &client_id, &members)?;
    lock(&state.clients).insert(client_id.clone(), client);
    let managed = Managed {
        token: new_token(state),
        issued_at: state.now(),
        metadata: members,
    };
    let mut body = shown(state, &client_id, &managed);
    lock(&state.managed).insert(client_id, managed);
    let mut status = StatusCode::CREATED;
    for fault in &faults {
        match fault {
            RegistrationFault::Status200 => status = StatusCode::OK,
            RegistrationFault::ClientSecret => {
                let secret = random::token();
                state.secret(&secret);
                body["client_secret"] = secret.into();
                body["client_secret_expires_at"] = 0.into();
            }
            _ => {}
        }
    }
    state.mutate(Document::Registration, &mut body);
    let mut text = body.to_string();
    if faults.contains(&RegistrationFault::DuplicateMember) {
        text.pop();
        text.push_str(r#","client_id":"another"}"#);
    }
    if faults.contains(&RegistrationFault::Html) {
        return Ok(Reply::html(status, "<!doctype html>".to_owned()));
    }
    Ok(Reply::new(status, "application/json", text))
}

/// A client looks at its registration, changes it, or ends it.
pub(crate) fn manage(state: &State, request: &Request) -> Result<Reply, Refusal> {
    let client_id = request.path().rsplit('/').next().unwrap_or_default();
    let token = bearer(request)?.ok_or_else(|| unauthorized("there is no access token"))?;
    // DCM-2.3: whoever asks for a client that is gone has a token that is void.
    let known = lock(&state.managed).get(client_id).cloned();
    let mut managed = known
        .filter(|managed| managed.token == token)
        .ok_or_else(|| unauthorized("the registration access token is void"))?;
    if request.method == Method::DELETE {
        if !request.body.is_empty() {
            return Err(Refusal::invalid_request("a DELETE has no body"));
        }
        lock(&state.managed).remove(client_id);
        lock(&state.clients).remove(client_id);
        lock(&state.grants).revoke_client(client_id);
        return Ok(Reply::empty(StatusCode::NO_CONTENT));
    }
    if request.method == Method::PUT {
        let mut members = body(request)?;
        // DCM-2.2
        if members.remove("client_id") != Some(client_id.into()) {
            return Err(Refusal::invalid_request("`client_id` is not the client's"));
        }
        let client = check(state, client_id, &members)?;
        lock(&state.clients).insert(client_id.to_owned(), client);
        managed.metadata = members;
    }
    // DCM-3
    if state.config.registering.token_rotation {
        managed.token = new_token(state);
    }
    let mut body = shown(state, client_id, &managed);
    lock(&state.managed).insert(client_id.to_owned(), managed);
    state.mutate(Document::Registration, &mut body);
    Ok(Reply::json(StatusCode::OK, &body))
}

/// RFC 7591 section 3.2.1: everything that is registered, and what the server adds.
fn shown(state: &State, client_id: &str, managed: &Managed) -> Value {
    let mut body = Value::Object(managed.metadata.clone());
    body["client_id"] = client_id.into();
    body["client_id_issued_at"] = managed.issued_at.into();
    body["registration_client_uri"] = state.url(&format!("/register/{client_id}")).into();
    body["registration_access_token"] = managed.token.as_str().into();
    body
}

fn new_token(state: &State) -> String {
    let token = random::token();
    state.secret(&token);
    token
}

/// The one Bearer token of a request, where it brings one.
fn bearer(request: &Request) -> Result<Option<&str>, Refusal> {
    let mut headers = request.headers.get_all(header::AUTHORIZATION).iter();
    let (first, second) = (headers.next(), headers.next());
    if second.is_some() {
        return Err(Refusal::invalid_request("two Authorization headers"));
    }
    let Some(value) = first else { return Ok(None) };
    value
        .to_str()
        .ok()
        .and_then(|value| value.strip_prefix("Bearer "))
        .filter(|token| !token.is_empty())
        .map(Some)
        .ok_or_else(|| unauthorized("another scheme than Bearer"))
}

/// RFC 6750 section 3.
fn unauthorized(reason: &str) -> Refusal {
    let mut refusal = Refusal::new(StatusCode::UNAUTHORIZED, "invalid_token", reason);
    let reply = Reply::empty(StatusCode::UNAUTHORIZED)
        .with(header::WWW_AUTHENTICATE, r#"Bearer error="invalid_token""#);
    refusal.reply = Some(Box::new(reply));
    refusal
}

fn body(request: &Request) -> Result<Map<String, Value>, Refusal> {
    let media_type = request.header("content-type").unwrap_or_default();
    if !media_type.eq_ignore_ascii_case("application/json") {
        return Err(Refusal::invalid_request(format!(
            "the content type `{media_type}`"
        )));
    }
    let members = json::object(&request.body).map_err(Refusal::invalid_request)?;
    match GIVEN.iter().find(|name| members.contains_key(**name)) {
        Some(name) => Err(metadata(format!("the client says `{name}`"))),
        None => Ok(members),
    }
}

fn metadata(reason: impl Into<String>) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, "invalid_client_metadata", reason)
}

/// The client that the metadata describe, where they are those of FAPI 2.0 and leave nothing to a
/// default.
fn check(
    state: &State,
    client_id: &str,
    members: &Map<String, Value>,
) -> Result<Registration, Refusal> {
    let mut client = Registration::new(client_id);
    client.grant_types = texts(members, "grant_types")?;
    let login = client.allows_grant("authorization_code");
    let grants = ["authorization_code", "refresh_token", "client_credentials"];
    let strange = |grant: &String| !grants.contains(&grant.as_str());
    if client.grant_types.is_empty() || client.grant_types.iter().any(strange) {
        return Err(metadata(
            "`grant_types` has none, or one that is not offered",
        ));
    }
    client.certificate_bound = flag(state, members, "tls_client_certificate_bound_access_tokens")?;
    flag(state, members, "use_mtls_endpoint_aliases")?;
    for (name, value) in fixed(login, client.certificate_bound) {
        if members.get(name) != Some(&value) {
            return Err(metadata(format!("`{name}` is not {value}")));
        }
    }
    let response_types: &[&str] = if login { &["code"] } else { &[] };
    if texts(members, "response_types")? != response_types {
        return Err(metadata("`response_types` does not fit the grants"));
    }
    client.redirect_uris = redirect_uris(members, login)?;
    client = identity(state, client, members)?;
    // What the server signs, it signs with the key that it has.
    let own = state.config.signing_algorithm;
    let mut signed = vec![
        "id_token_signed_response_alg",
        "authorization_signed_response_alg",
        "introspection_signed_response_alg",
    ];
    if state.config.signed_userinfo {
        signed.push("userinfo_signed_response_alg");
    } else if members.contains_key("userinfo_signed_response_alg") {
        return Err(metadata("UserInfo is not signed here"));
    }
    for name in signed {
        if algorithm(members, name)? != own {
            return Err(metadata(format!("`{name}` is not {}", own.name())));
        }
    }
    if let Some(scope) = members.get("scope") {
        let scope = scope
            .as_str()
            .ok_or_else(|| metadata("`scope` is no text"))?;
        client = client.scope(scope);
    }
    if let Some(statement) = members.get("software_statement") {
        let parts = statement.as_str().map(|text| text.split('.').count());
        if parts != Some(3) {
            return Err(Refusal::new(
                StatusCode::BAD_REQUEST,
                "invalid_software_statement",
                "`software_statement` is no JWT",
            ));
        }
    }
    Ok(client)
}

/// DCR-2a: the keys themselves, or where they are. Those that are elsewhere are not fetched.
fn keys(members: &Map<String, Value>) -> Result<Vec<Value>, Refusal> {
    match (members.get("jwks"), members.get("jwks_uri")) {
        (Some(jwks), None) => check_keys(jwks.clone()).map_err(metadata),
        (None, Some(uri)) if is_https(uri) => Ok(Vec::new()),
        (None, Some(_)) => Err(metadata("`jwks_uri` is no https URL")),
        (Some(_), Some(_)) => Err(metadata("`jwks` and `jwks_uri` together")),
        (None, None) => Err(metadata("neither `jwks` nor `jwks_uri`")),
    }
}

fn is_https(value: &Value) -> bool {
    value
        .as_str()
        .and_then(|text| url::Url::parse(text).ok())
        .is_some_and(|url| url.scheme() == "https")
}

/// SP-5.3.2.2-8, NAT-7.3: https, and for native programs http on a loopback address.
fn redirect_uris(members: &Map<String, Value>, login: bool) -> Result<Vec<String>, Refusal> {
    let native = match members.get("application_type").and_then(Value::as_str) {
        Some("native") => true,
        Some("web") => false,
        _ => return Err(metadata("`application_type` is neither web nor native")),
    };
    let uris = texts(members, "redirect_uris")?;
    let bad =
        |reason: String| Refusal::new(StatusCode::BAD_REQUEST, "invalid_redirect_uri", reason);
    if uris.is_empty() == login {
        return Err(bad("`redirect_uris` does not fit the grants".to_owned()));
    }
    for uri in &uris {
        if !(is_https(&uri.as_str().into()) || native && loopback(uri).is_some()) {
            return Err(bad(format!(
                "`{uri}` is neither https nor a native loopback"
            )));
        }
    }
    Ok(uris)
}

fn texts(members: &Map<String, Value>, name: &str) -> Result<Vec<String>, Refusal> {
    let list = members.get(name).and_then(Value::as_array);
    list.and_then(|list| {
        let texts = list.iter().map(|value| value.as_str().map(str::to_owned));
        texts.collect()
    })
    .ok_or_else(|| metadata(format!("`{name}` is missing, or no list of texts")))
}

/// SP-5.4.1-1.2
fn algorithm(members: &Map<String, Value>, name: &str) -> Result<Alg, Refusal> {
    let text = members.get(name).and_then(Value::as_str);
    text.and_then(Alg::from_name)
        .ok_or_else(|| metadata(format!("`{name}` is missing, or not one of FAPI 2.0")))
}

/// Where a path of the registration endpoint leads.
pub(crate) fn route(path: &str) -> Endpoint {
    match path.strip_prefix("/register") {
        Some("") => Endpoint::Registration,
        Some(rest) if rest.starts_with('/') => Endpoint::Management,
        _ => Endpoint::Other,
    }
}
