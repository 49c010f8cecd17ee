//! The authorization server.

pub(crate) mod authorize;
pub(crate) mod id_token;
pub(crate) mod logout;
pub(crate) mod metadata;
pub(crate) mod par;
pub(crate) mod registration;
pub(crate) mod revocation;
pub(crate) mod token;
mod token_response;
pub(crate) mod userinfo;

use http::{Method, StatusCode, header};

use crate::record::{Endpoint, Request};
use crate::reply::Reply;
use crate::state::{Discovery, State};

/// The endpoint that stands at a path.
pub(crate) fn route(state: &State, path: &str) -> Endpoint {
    if metadata_path(state, path) {
        return Endpoint::Metadata;
    }
    match path.strip_prefix(state.issuer_path.as_str()) {
        Some("/jwks") => Endpoint::Jwks,
        Some("/par") => Endpoint::Par,
        Some("/authorize") => Endpoint::Authorization,
        Some("/consent") => Endpoint::Consent,
        Some("/token") => Endpoint::Token,
        Some("/userinfo") => Endpoint::UserInfo,
        Some("/revoke") => Endpoint::Revocation,
        Some("/logout") => Endpoint::EndSession,
        Some(path) if state.config.registering.on => registration::route(path),
        _ => Endpoint::Other,
    }
}

/// META-2: OpenID appends to the issuer, RFC 8414 inserts before its path.
fn metadata_path(state: &State, path: &str) -> bool {
    let openid = format!("{}/.well-known/openid-configuration", state.issuer_path);
    let oauth = format!(
        "/.well-known/oauth-authorization-server{}",
        state.issuer_path
    );
    match state.config.discovery {
        Discovery::OpenId => path == openid,
        Discovery::OAuth => path == oauth,
        Discovery::Both => path == openid || path == oauth,
    }
}

/// Answers a request.
pub(crate) fn answer(state: &State, request: &Request) -> Reply {
    let endpoint = request.endpoint;
    let methods: &[Method] = match endpoint {
        Endpoint::Metadata | Endpoint::Jwks | Endpoint::Authorization => &[Method::GET],
        Endpoint::UserInfo | Endpoint::EndSession => &[Method::GET, Method::POST],
        Endpoint::Par
        | Endpoint::Token
        | Endpoint::Revocation
        | Endpoint::Registration
        | Endpoint::Consent => &[Method::POST],
        Endpoint::Management => &[Method::GET, Method::PUT, Method::DELETE],
        Endpoint::Api | Endpoint::Other => {
            state.refused(endpoint, &format!("nothing is at {}", request.path()));
            return Reply::empty(StatusCode::NOT_FOUND);
        }
    };
    if !methods.contains(&request.method) {
        state.refused(endpoint, &format!("the method {}", request.method));
        let allow: Vec<&str> = methods.iter().map(Method::as_str).collect();
        return Reply::empty(StatusCode::METHOD_NOT_ALLOWED).with(header::ALLOW, &allow.join(", "));
    }
    match endpoint {
        Endpoint::Metadata => metadata::metadata(state),
        Endpoint::Jwks => metadata::jwks(state),
        Endpoint::Par => {
            par::answer(state, request).unwrap_or_else(|refusal| refusal.into_json(state, endpoint))
        }
        Endpoint::Authorization => authorize::page(state, request),
        Endpoint::Consent => authorize::decide(state, request),
        Endpoint::Token => token::answer(state, request)
            .unwrap_or_else(|refusal| refusal.into_json(state, endpoint)),
        Endpoint::UserInfo => userinfo::answer(state, request)
            .unwrap_or_else(|refusal| refusal.into_challenge(state, endpoint)),
        Endpoint::Revocation => revocation::answer(state, request)
            .unwrap_or_else(|refusal| refusal.into_json(state, endpoint)),
        Endpoint::Registration => registration::register(state, request)
            .unwrap_or_else(|refusal| refusal.into_json(state, endpoint)),
        Endpoint::Management => registration::manage(state, request)
            .unwrap_or_else(|refusal| refusal.into_json(state, endpoint)),
        Endpoint::EndSession => logout::end_session(state, request),
        Endpoint::Api | Endpoint::Other => Reply::empty(StatusCode::NOT_FOUND),
    }
}
