//! Clients that register themselves.

use fapi_testkit::{Endpoint, TestServer};
use http::Method;
use serde_json::{Map, Value, json};

use super::party;
use crate::party::{CALLBACK, Party};
use crate::wire::{Key, Reply, Shot};

fn whole() -> Map<String, Value> {
    let key = Key::es256();
    let mut jwk = key.jwk();
    jwk["kid"] = key.thumbprint().into();
    let Value::Object(members) = json!({
        "redirect_uris": [CALLBACK],
        "application_type": "web",
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "response_modes": ["query"],
        "token_endpoint_auth_method": "private_key_jwt",
        "token_endpoint_auth_signing_alg": "ES256",
        "request_object_signing_alg": "ES256",
        "id_token_signed_response_alg": "ES256",
        "authorization_signed_response_alg": "ES256",
        "introspection_signed_response_alg": "ES256",
        "dpop_bound_access_tokens": true,
        "tls_client_certificate_bound_access_tokens": false,
        "require_pushed_authorization_requests": true,
        "use_mtls_endpoint_aliases": false,
        "jwks": {"keys": [jwk]},
    }) else {
        unreachable!()
    };
    members
}

async fn send(
    party: &Party,
    method: Method,
    url: &str,
    token: Option<&str>,
    body: Option<&Map<String, Value>>,
) -> Reply {
    let token = token.map(|token| ("authorization", format!("Bearer {token}")));
    let body = body.map(|body| Value::Object(body.clone()).to_string());
    party
        .send(Shot {
            method,
            url: url.to_owned(),
            form: vec![],
            assertion: None,
            proof: None,
            headers: token.into_iter().collect(),
            content_type: if body.is_some() {
                "application/json"
            } else {
                ""
            },
            body: body.map(String::into_bytes),
        })
        .await
}

async fn register(party: &Party, members: &Map<String, Value>) -> Reply {
    let url = party.endpoint("registration_endpoint");
    send(party, Method::POST, &url, None, Some(members)).await
}

/// DCR-2a, DCR-2b: a client says everything, in the words of FAPI 2.0.
#[tokio::test]
async fn a_registration_says_everything() {
    let party = party().await;
    for (member, _) in whole() {
        let mut members = whole();
        members.remove(&member);
        let reply = register(&party, &members).await;
        assert_eq!(reply.status, 400, "{member}");
        assert_eq!(reply.error(), "invalid_client_metadata", "{member}");
    }
    let mut private = whole()["jwks"].clone();
    private["keys"][0]["d"] = "AA".into();
    for (member, value, error) in [
        ("client_id", json!("mine"), "invalid_client_metadata"),
        ("client_secret", json!("mine"), "invalid_client_metadata"),
        (
            "registration_access_token",
            json!("mine"),
            "invalid_client_metadata",
        ),
        (
            "jwks_uri",
            json!("https://app.example/jwks"),
            "invalid_client_metadata",
        ),
        ("jwks", private, "invalid_client_metadata"),
        (
            "grant_types",
            json!(["authorization_code", "implicit"]),
            "invalid_client_metadata",
        ),
        (
            "id_token_signed_response_alg",
            json!("RS256"),
            "invalid_client_metadata",
        ),
        (
            "userinfo_signed_response_alg",
            json!("ES256"),
            "invalid_client_metadata",
        ),
        (
            "redirect_uris",
            json!(["http://127.0.0.1/cb"]),
            "invalid_redirect_uri",
        ),
        (
            "redirect_uris",
            json!(["http://app.example/cb"]),
            "invalid_redirect_uri",
        ),
        ("redirect_uris", json!([]), "invalid_redirect_uri"),
        (
            "software_statement",
            json!("no JWT"),
            "invalid_software_statement",
        ),
    ] {
        let mut members = whole();
        members.insert(member.to_owned(), value.clone());
        let reply = register(&party, &members).await;
        assert_eq!(reply.error(), error, "{member} {value}");
    }
    assert_eq!(register(&party, &whole()).await.status, 201);
    let mut native = whole();
    native.insert("application_type".to_owned(), "native".into());
    native.insert("redirect_uris".to_owned(), json!(["http://[::1]/cb"]));
    assert_eq!(register(&party, &native).await.status, 201);
}

/// MTLS-2.1, MTLS-3.4: a client with a certificate names one thing to look for, and has no keys; without mutual
/// TLS there are no such clients.
#[tokio::test]
async fn clients_with_certificates_register() {
    let with = TestServer::builder().mutual_tls().start().await;
    let (with, without) = (Party::new(&with).await, party().await);
    let named = || {
        let mut members = whole();
        for member in [
            "jwks",
            "token_endpoint_auth_signing_alg",
            "request_object_signing_alg",
        ] {
            members.remove(member);
        }
        let mut set = |name: &str, value: Value| drop(members.insert(name.to_owned(), value));
        set("token_endpoint_auth_method", "tls_client_auth".into());
        set("tls_client_auth_san_dns", "client.app.example".into());
        set("tls_client_certificate_bound_access_tokens", true.into());
        set("dpop_bound_access_tokens", false.into());
        members
    };
    assert_eq!(register(&with, &named()).await.status, 201);
    let refused = register(&without, &named()).await;
    assert_eq!(refused.error(), "invalid_client_metadata");
    for (member, value) in [
        ("tls_client_auth_san_dns", Value::Null),
        ("tls_client_auth_san_dns", json!(7)),
        ("tls_client_auth_san_uri", json!("https://app.example")),
        ("dpop_bound_access_tokens", json!(true)),
        ("tls_client_certificate_bound_access_tokens", json!("true")),
        ("use_mtls_endpoint_aliases", Value::Null),
        ("token_endpoint_auth_method", json!("private_key_jwt")),
        (
            "token_endpoint_auth_method",
            json!("self_signed_tls_client_auth"),
        ),
        ("token_endpoint_auth_signing_alg", json!("ES256")),
        ("jwks", whole()["jwks"].clone()),
    ] {
        let mut members = named();
        if value.is_null() {
            members.remove(member);
        } else {
            members.insert(member.to_owned(), value.clone());
        }
        let reply = register(&with, &members).await;
        assert_eq!(reply.error(), "invalid_client_metadata", "{member} {value}");
    }
    let mut aliases = whole();
    aliases.insert("use_mtls_endpoint_aliases".to_owned(), true.into());
    assert_eq!(register(&with, &aliases).await.status, 201);
    assert_eq!(register(&without, &aliases).await.status, 400);
}

/// DCM-2.2, DCM-2.3, DCM-3: what manages a client is its own token, and the latest one.
#[tokio::test]
async fn a_client_is_managed_by_its_token() {
    let server = TestServer::builder()
        .registration_token_rotation(true)
        .start()
        .await;
    let party = Party::new(&server).await;
    let created = register(&party, &whole()).await.json();
    let text = |body: &Value, member: &str| body[member].as_str().unwrap().to_owned();
    let url = text(&created, "registration_client_uri");
    let first = text(&created, "registration_access_token");

    let stranger = text(
        &register(&party, &whole()).await.json(),
        "registration_access_token",
    );
    for token in [None, Some("unknown"), Some(stranger.as_str())] {
        let reply = send(&party, Method::GET, &url, token, None).await;
        assert_eq!(reply.status, 401);
        assert_eq!(
            reply.header("www-authenticate"),
            r#"Bearer error="invalid_token""#
        );
    }
    let seen = send(&party, Method::GET, &url, Some(&first), None).await;
    assert_eq!(seen.status, 200);
    let second = text(&seen.json(), "registration_access_token");
    let again = send(&party, Method::GET, &url, Some(&first), None).await;
    assert_eq!(again.status, 401, "the first token is void");

    let mut update = whole();
    let put = async |members: &Map<String, Value>| {
        send(&party, Method::PUT, &url, Some(&second), Some(members)).await
    };
    assert_eq!(put(&update).await.error(), "invalid_request");
    update.insert("client_id".to_owned(), created["client_id"].clone());
    for member in ["registration_access_token", "client_id_issued_at"] {
        let mut members = update.clone();
        members.insert(member.to_owned(), created[member].clone());
        assert_eq!(put(&members).await.error(), "invalid_client_metadata");
    }
    let changed = put(&update).await;
    assert_eq!(changed.status, 200);
    let third = text(&changed.json(), "registration_access_token");
    let gone = send(&party, Method::DELETE, &url, Some(&third), None).await;
    assert_eq!(gone.status, 204);
    let void = send(&party, Method::GET, &url, Some(&third), None).await;
    assert_eq!(void.status, 401);
    assert!(server.count(Endpoint::Management) > 0);
}
