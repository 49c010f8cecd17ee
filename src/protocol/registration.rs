//! Dynamic client registration (RFC 7591) and its management (RFC 7592).
//!
//! Every member that decides about security is sent, since the defaults of RFC 7591 and OpenID Connect
//! are those of another time (a shared secret, RS256). What comes back is held against what was sent.

mod granted;

use http::StatusCode;
use serde_json::{Map, Value, json};
use url::Url;
use zeroize::Zeroize;

use super::answer::Answer;
use super::client_auth::CertificateName;
use super::metadata::ServerMetadata;
use super::uri::{RedirectUri, https};
use crate::error::{Denied, Error, OAuthError, Violation};
use crate::profile::Algorithm;
use crate::secret::RegistrationAccessToken;
use crate::time::Timestamp;

/// Where the server finds the client's public keys. DCR-2a: by one way, never by two.
#[derive(Clone, Debug)]
pub(crate) enum PublicKeys {
    /// There are none: an authority signed the client's certificate.
    None,
    /// The key set itself.
    Set(Value),
    /// Where it is served.
    Uri(Url),
}

/// What a client's certificate is for.
#[derive(Clone, Debug, Default)]
pub(crate) struct CertificateUse {
    /// What the server looks for in it.
    pub(crate) name: Option<CertificateName>,
    /// Whether tokens are bound to it, and not to DPoP keys.
    pub(crate) bound: bool,
    /// Whether the aliases are used in any case.
    pub(crate) aliases: bool,
}

/// The client that is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// How the client authenticates, as metadata calls it.
    pub(crate) authentication: &'static str,
    pub(crate) certificate: CertificateUse,
    pub(crate) keys: PublicKeys,
    pub(crate) redirect_uris: Vec<RedirectUri>,
    pub(crate) client_credentials: bool,
    pub(crate) native: bool,
    pub(crate) algorithms: Algorithms,
    pub(crate) software_statement: Option<String>,
    /// Members that the program set: names, contacts, what an ecosystem asks for.
    pub(crate) extra: Map<String, Value>,
}

/// The algorithms to register, under the names that the server has for them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Algorithms {
    /// What the client signs with: assertions and request objects. `None` where it signs none.
    pub(crate) client: Option<&'static str>,
    pub(crate) id_token: &'static str,
    pub(crate) authorization_response: &'static str,
    pub(crate) introspection: &'static str,
    /// `None` for a UserInfo that comes as plain JSON.
    pub(crate) userinfo: Option<&'static str>,
}

impl Algorithms {
    /// Chooses among what the server has. `id_token` is the program's wish.
    pub(crate) fn choose(
        metadata: &ServerMetadata,
        client: Option<Algorithm>,
        id_token: Option<Algorithm>,
        signed_userinfo: bool,
    ) -> Self {
        let listed = |member: &str| metadata.list(member).unwrap_or_default();
        // OIDC-reg: left unsaid it would be RS256, so one of ours is named though the server lists none.
        let best = |member: &str, otherwise: Algorithm| {
            let names = listed(member);
            let among = |algorithm: &Algorithm| algorithm.is_in(&names);
            let fits = Some(otherwise).filter(among);
            let fits = fits.or_else(|| Algorithm::ALL.into_iter().find(among));
            (fits.unwrap_or(otherwise), names)
        };
        let (id_token, names) = match id_token {
            Some(algorithm) => (algorithm, listed("id_token_signing_alg_values_supported")),
            None => best(
                "id_token_signing_alg_values_supported",
                client.unwrap_or(Algorithm::Es256),
            ),
        };
        let named = |member: &str| {
            let (algorithm, names) = best(member, id_token);
            algorithm.name_among(&names)
        };
        Self {
            client: client.map(|client| {
                client.name_among(&listed("token_endpoint_auth_signing_alg_values_supported"))
            }),
            id_token: id_token.name_among(&names),
            authorization_response: named("authorization_signing_alg_values_supported"),
            introspection: named("introspection_signing_alg_values_supported"),
            userinfo: signed_userinfo.then(|| named("userinfo_signing_alg_values_supported")),
        }
    }
}

/// The members that the crate itself sets, or that it can't honour. The program sets none of them.
const RESERVED: [&str; 41] = [
    "redirect_uris",
    "token_endpoint_auth_method",
    "token_endpoint_auth_signing_alg",
    "grant_types",
    "response_types",
    "response_modes",
    "id_token_signed_response_alg",
    "request_object_signing_alg",
    "require_signed_request_object",
    "authorization_signed_response_alg",
    "introspection_signed_response_alg",
    "userinfo_signed_response_alg",
    "dpop_bound_access_tokens",
    "tls_client_certificate_bound_access_tokens",
    "require_pushed_authorization_requests",
    "use_mtls_endpoint_aliases",
    "tls_client_auth_subject_dn",
    "tls_client_auth_san_dns",
    "tls_client_auth_san_uri",
    "tls_client_auth_san_ip",
    "tls_client_auth_san_email",
    "application_type",
    "jwks",
    "jwks_uri",
    "software_statement",
    "client_id",
    "client_secret",
    "client_id_issued_at",
    "client_secret_expires_at",
    "registration_access_token",
    "registration_client_uri",
    // Nothing is decrypted here.
    "id_token_encrypted_response_alg",
    "id_token_encrypted_response_enc",
    "userinfo_encrypted_response_alg",
    "userinfo_encrypted_response_enc",
    "authorization_encrypted_response_alg",
    "authorization_encrypted_response_enc",
    "introspection_encrypted_response_alg",
    "introspection_encrypted_response_enc",
    "request_object_encryption_alg",
    "request_object_encryption_enc",
];

/// Whether a program may set this member.
pub(crate) fn is_reserved(member: &str) -> bool {
    RESERVED.contains(&member)
}

/// DCR-2b: the request, with every member said and none left to a default.
pub(crate) fn request(wanted: &Wanted) -> Map<String, Value> {
    let login = !wanted.redirect_uris.is_empty();
    let mut grant_types = Vec::new();
    if login {
        grant_types.extend(["authorization_code", "refresh_token"]);
    }
    if wanted.client_credentials {
        grant_types.push("client_credentials");
    }
    let only_for_logins = |value: &'static str| login.then_some(value).into_iter();
    let redirect_uris = wanted.redirect_uris.iter().map(RedirectUri::as_str);
    let mut members = wanted.extra.clone();
    let mut set = |member: &str, value: Value| {
        members.insert(member.to_owned(), value);
    };
    set("redirect_uris", redirect_uris.collect());
    set("grant_types", json!(grant_types));
    set("response_types", only_for_logins("code").collect());
    set("response_modes", only_for_logins("query").collect());
    let application_type = if wanted.native { "native" } else { "web" };
    set("application_type", application_type.into());
    set("token_endpoint_auth_method", wanted.authentication.into());
    if let Some(name) = &wanted.certificate.name {
        let (member, name) = name.member();
        set(member, name.into());
    }
    let algorithms = wanted.algorithms;
    if let Some(client) = algorithms.client {
        set("token_endpoint_auth_signing_alg", client.into());
        set("request_object_signing_alg", client.into());
    }
    for (member, name) in [
        ("id_token_signed_response_alg", algorithms.id_token),
        (
            "authorization_signed_response_alg",
            algorithms.authorization_response,
        ),
        (
            "introspection_signed_response_alg",
            algorithms.introspection,
        ),
    ] {
        set(member, name.into());
    }
    if let Some(name) = algorithms.userinfo {
        set("userinfo_signed_response_alg", name.into());
    }
    let by_certificate = wanted.certificate.bound;
    set("dpop_bound_access_tokens", (!by_certificate).into());
    set(
        "tls_client_certificate_bound_access_tokens",
        by_certificate.into(),
    );
    set("require_pushed_authorization_requests", true.into());
    set(
        "use_mtls_endpoint_aliases",
        wanted.certificate.aliases.into(),
    );
    match &wanted.keys {
        PublicKeys::None => {}
        PublicKeys::Set(jwks) => set("jwks", jwks.clone()),
        PublicKeys::Uri(uri) => set("jwks_uri", uri.as_str().into()),
    }
    // DCR-ss: passed on as it is.
    if let Some(statement) = &wanted.software_statement {
        set("software_statement", statement.as_str().into());
    }
    members
}

/// DCM-2.2: what replaces a registration: all its metadata and its `client_id`. The four members that
/// the server alone gives are not in `metadata` in the first place.
pub(crate) fn update(client_id: &str, metadata: &Map<String, Value>) -> Map<String, Value> {
    let mut members = metadata.clone();
    members.insert("client_id".to_owned(), client_id.into());
    members
}

/// What a client was registered as.
#[derive(Debug)]
pub(crate) struct Registered {
    pub(crate) client_id: String,
    pub(crate) issued_at: Option<Timestamp>,
    /// What was asked for, with what the server made of it. No secret is in it.
    pub(crate) metadata: Map<String, Value>,
}

/// What manages a client: one is worth nothing without the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Management {
    pub(crate) uri: Option<Url>,
    pub(crate) access_token: Option<RegistrationAccessToken>,
}

impl Management {
    /// DCM-3: what an answer brings replaces what was before; what it does not bring stays.
    pub(crate) fn renew(&mut self, with: Self) {
        self.uri = with.uri.or_else(|| self.uri.take());
        self.access_token = with.access_token.or_else(|| self.access_token.take());
    }
}

/// An answer that can be read.
#[derive(Debug)]
pub(crate) struct Answered {
    /// DCM-3: what manages the client from now on. It holds even where the rest is refused, since the
    /// server has forgotten what was before.
    pub(crate) management: Management,
    pub(crate) registered: Result<Registered, Error>,
}

/// Reads the server's answer to a registration (201), a look at one or an update of one (200).
///
/// # Errors
/// [`Denied`] as [`denied`] says; [`Violation::Status`], [`Violation::Answer`]; DCR-3.2.1:
/// [`Violation::Registration`] for the first member that is not what was asked for.
pub(crate) fn response(
    mut answer: Answer,
    success: StatusCode,
    asked: &Map<String, Value>,
) -> Result<Answered, Error> {
    let body = match denied(&answer) {
        Some(denied) => Err(denied.into()),
        None => answer.json(success),
    };
    answer.wipe();
    let mut body = body?;
    let management = management(&answer, &mut body);
    let registered = match &management {
        Ok(_) => read(&answer, &mut body, asked),
        Err(violation) => Err(violation.clone().into()),
    };
    // Whatever secret was not taken out is wiped, a client_secret that nobody asked for above all.
    for member in SECRETS {
        if let Some(Value::String(text)) = body.get_mut(member) {
            text.zeroize();
        }
    }
    Ok(Answered {
        management: management.unwrap_or_default(),
        registered,
    })
}

const SECRETS: [&str; 2] = ["client_secret", "registration_access_token"];

/// DCM-2.3: reads the server's answer to a deletion.
pub(crate) fn deleted(answer: &Answer) -> Result<(), Error> {
    match denied(answer) {
        Some(denied) => Err(denied.into()),
        None => answer.expect(StatusCode::NO_CONTENT),
    }
}

/// What the server does not let us do: 401, the token is void; 403 and 405, clients may not. The other
/// errors of OAuth (DCR-3.2.2: `invalid_redirect_uri`, `invalid_client_metadata`,
/// `invalid_software_statement`, `unapproved_software_statement`) stay [`Denied::Server`].
fn denied(answer: &Answer) -> Option<Denied> {
    let error = |otherwise: &str| {
        answer.oauth_error().unwrap_or_else(|| {
            OAuthError::new(
                answer.endpoint,
                Some(answer.status.as_u16()),
                otherwise,
                None,
            )
        })
    };
    match answer.status {
        StatusCode::UNAUTHORIZED => Some(Denied::RegistrationToken(error("invalid_token"))),
        StatusCode::FORBIDDEN => Some(Denied::NotOffered(error("forbidden"))),
        StatusCode::METHOD_NOT_ALLOWED => Some(Denied::NotOffered(error("method_not_allowed"))),
        _ => None,
    }
}

fn read(
    answer: &Answer,
    body: &mut Map<String, Value>,
    asked: &Map<String, Value>,
) -> Result<Registered, Error> {
    let client_id = match body.remove("client_id") {
        Some(Value::String(text)) if is_visible(&text, true) => text,
        _ => return Err(answer.malformed("client_id").into()),
    };
    // An update names its client, which no answer turns into another.
    if asked.get("client_id").is_some_and(|id| *id != client_id) {
        return Err(granted::refused("client_id").into());
    }
    let issued_at = seconds(answer, body, "client_id_issued_at")?;
    // It is the secret's, and there is none that we use.
    seconds(answer, body, "client_secret_expires_at")?;
    if let Some(Value::String(mut secret)) = body.remove("client_secret") {
        secret.zeroize();
    }
    granted::compare(asked, body)?;
    let mut metadata = asked.clone();
    metadata.remove("client_id");
    let said = std::mem::take(body).into_iter();
    metadata.extend(said.filter(|(_, value)| !value.is_null()));
    Ok(Registered {
        client_id,
        issued_at,
        metadata,
    })
}

fn management(answer: &Answer, body: &mut Map<String, Value>) -> Result<Management, Violation> {
    let access_token = match body.remove("registration_access_token") {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => {
            let token = RegistrationAccessToken::new(text);
            if !is_visible(token.reveal(), false) {
                return Err(answer.malformed("registration_access_token"));
            }
            Some(token)
        }
        Some(_) => return Err(answer.malformed("registration_access_token")),
    };
    let uri = match body.remove("registration_client_uri") {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => {
            // SP-5.2.1-1: the token goes nowhere without TLS.
            let uri = https(&text).ok_or_else(|| granted::refused("registration_client_uri"))?;
            Some(uri)
        }
        Some(_) => return Err(answer.malformed("registration_client_uri")),
    };
    Ok(Management { uri, access_token })
}

/// A point in time, in seconds, or nothing.
fn seconds(
    answer: &Answer,
    body: &mut Map<String, Value>,
    member: &str,
) -> Result<Option<Timestamp>, Violation> {
    match body.remove(member) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            let seconds = value.as_u64().and_then(|value| i64::try_from(value).ok());
            let seconds = seconds.ok_or_else(|| answer.malformed(member))?;
            Ok(Some(Timestamp::from_seconds(seconds)))
        }
    }
}

/// Visible characters of ASCII (RFC 6749 appendix A), so that the text can stand in a header.
fn is_visible(text: &str, space: bool) -> bool {
    let visible = |byte: u8| matches!(byte, 0x21..=0x7e) || (space && byte == b' ');
    !text.is_empty() && text.bytes().all(visible)
}

#[cfg(test)]
mod tests;
