//! The metadata documents (RFC 8414, OpenID Discovery) and the key set.

use http::StatusCode;
use serde_json::{Value, json};

use crate::fault::MetadataFault;
use crate::jose::{Alg, encode, rs256_jwk};
use crate::misbehaviour::Document;
use crate::random;
use crate::reply::Reply;
use crate::state::{Keys, State, lock};

/// The metadata, as both documents show it.
pub(crate) fn metadata(state: &State) -> Reply {
    let mut document = document(state);
    let faults = state.metadata_faults();
    let mut content_type = "application/json".to_owned();
    for fault in &faults {
        match fault {
            MetadataFault::Issuer(issuer) => document["issuer"] = issuer.as_str().into(),
            MetadataFault::Without(name) => {
                document.as_object_mut().map(|members| members.remove(name));
            }
            MetadataFault::Set(name, value) => document[name] = value.clone(),
            MetadataFault::PlainHttp(name) => {
                let url = document[name].as_str().unwrap_or_default();
                document[name] = url.replacen("https:", "http:", 1).into();
            }
            MetadataFault::ContentType(value) => content_type.clone_from(value),
            MetadataFault::DuplicateIssuer | MetadataFault::Html => {}
        }
    }
    state.mutate(Document::Metadata, &mut document);
    let mut body = document.to_string();
    if faults.contains(&MetadataFault::DuplicateIssuer) {
        body.pop();
        body.push_str(r#","issuer":"https://evil.example"}"#);
    }
    if faults.contains(&MetadataFault::Html) {
        return Reply::html(
            StatusCode::OK,
            "<!doctype html><title>Hello</title>".to_owned(),
        );
    }
    Reply::new(StatusCode::OK, &content_type, body).cacheable()
}

fn document(state: &State) -> Value {
    let algs: Vec<&str> = Alg::ALL.iter().map(|alg| alg.name()).collect();
    let mut authorization_endpoint = state.url("/authorize");
    if let Some(query) = &state.config.authorization_query {
        authorization_endpoint = format!("{authorization_endpoint}?{query}");
    }
    let signing = [state.active_key().alg.name()];
    let mut document = json!({
        "issuer": state.issuer,
        "authorization_endpoint": authorization_endpoint,
        "pushed_authorization_request_endpoint": state.url("/par"),
        "token_endpoint": state.url("/token"),
        "userinfo_endpoint": state.url("/userinfo"),
        "revocation_endpoint": state.url("/revoke"),
        "end_session_endpoint": state.url("/logout"),
        "backchannel_logout_supported": true,
        "backchannel_logout_session_supported": true,
        "jwks_uri": state.url("/jwks"),
        "require_pushed_authorization_requests": true,
        "authorization_response_iss_parameter_supported": true,
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": algs,
        "revocation_endpoint_auth_methods_supported": ["private_key_jwt"],
        "revocation_endpoint_auth_signing_alg_values_supported": algs,
        "dpop_signing_alg_values_supported": algs,
        "id_token_signing_alg_values_supported": signing,
        "subject_types_supported": ["public"],
        "scopes_supported": ["openid", "profile", "email", "offline_access", "accounts", "payments"],
        "claims_supported": [
            "sub", "iss", "aud", "exp", "iat", "nonce", "acr", "auth_time", "sid", "name", "email"
        ],
        "acr_values_supported": state.config.acr_values,
        "authorization_details_types_supported": state.config.details_types,
        "prompt_values_supported": ["none", "login", "consent"],
        "claims_parameter_supported": true,
        "request_parameter_supported": false,
        "request_uri_parameter_supported": false,
    });
    if state.config.registering.on {
        document["registration_endpoint"] = state.url("/register").into();
    }
    if let Some(mtls) = &state.mutual_tls {
        let alias = |path: &str| format!("{}{}{path}", mtls.origin, state.issuer_path);
        document["mtls_endpoint_aliases"] = json!({
            "token_endpoint": alias("/token"),
            "pushed_authorization_request_endpoint": alias("/par"),
            "userinfo_endpoint": alias("/userinfo"),
            "revocation_endpoint": alias("/revoke"),
            // MTLS-5b: not for clients, which send browsers to the real one.
            "authorization_endpoint": alias("/authorize"),
        });
        document["tls_client_certificate_bound_access_tokens"] = true.into();
        let methods = json!([
            "private_key_jwt",
            "tls_client_auth",
            "self_signed_tls_client_auth"
        ]);
        document["revocation_endpoint_auth_methods_supported"] = methods.clone();
        document["token_endpoint_auth_methods_supported"] = methods;
    }
    if state.config.signed_userinfo {
        document["userinfo_signing_alg_values_supported"] = json!(signing);
    }
    document
}

/// The key set.
pub(crate) fn jwks(state: &State) -> Reply {
    let mut document = json!({"keys": published(&lock(&state.keys))});
    state.mutate(Document::Jwks, &mut document);
    Reply::json(StatusCode::OK, &document).cacheable()
}

fn published(keys: &Keys) -> Vec<Value> {
    let mut all = Vec::new();
    if keys.decoys {
        all.extend(decoys(keys));
    }
    all.extend(keys.former.iter().cloned());
    all.push(keys.active.jwk.clone());
    if keys.rs256 {
        all.push(rs256_jwk());
    }
    all
}

/// Keys that a client must pass over without refusing the set (SP-5.4.3, META-9, META-10).
fn decoys(keys: &Keys) -> Vec<Value> {
    let kid = keys.active.kid();
    let active = &keys.active.jwk;
    let other = |value: Value| -> Value {
        let mut key = active.clone();
        if let (Some(key), Value::Object(members)) = (key.as_object_mut(), value) {
            key.extend(members);
        }
        key
    };
    // The same `kid` and the wrong kind.
    let unlike = if keys.active.alg == Alg::Ps256 {
        json!({
            "kty": "OKP", "crv": "Ed25519", "kid": kid, "use": "sig",
            "x": encode(&random::bytes())
        })
    } else {
        let mut rsa = rs256_jwk();
        rsa["kid"] = kid.into();
        rsa
    };
    // The same `kid` and the right kind, but a stranger's: a verifier must try the next one too.
    let mut stranger = crate::jose::SigningKey::generate(keys.active.alg, keys.generation + 1).jwk;
    stranger["kid"] = kid.into();
    let mut private = stranger.clone();
    private["d"] = encode(&random::bytes()).into();
    vec![
        unlike,
        stranger,
        private,
        other(json!({"use": "enc"})),
        other(json!({"key_ops": ["encrypt"]})),
        other(json!({"alg": "RS512"})),
        json!({"kty": "oct", "kid": kid, "k": encode(&random::bytes())}),
        json!({"kty": "AKP", "kid": kid, "alg": "ML-DSA-65", "pub": encode(&random::bytes())}),
        json!({"kty": "EC", "crv": "P-256", "kid": kid, "x": "AA", "y": "AA"}),
        json!({"kty": "EC", "crv": "P-256", "kid": kid, "x": 7, "y": null}),
        json!({"kty": "OKP", "crv": "X25519", "kid": kid, "x": encode(&random::bytes())}),
        json!({"kty": "RSA", "kid": kid, "n": "AQAB", "e": "AQAB"}),
        json!({"kty": "EC", "crv": "secp256k1", "kid": "no-such-curve"}),
        json!({"kid": "without-a-type"}),
        json!({}),
    ]
}
