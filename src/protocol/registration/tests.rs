use bytes::Bytes;

use super::super::uri::Issuer;
use super::*;
use crate::error::Endpoint;

fn keys() -> Value {
    json!({"keys": [{"kty": "EC", "crv": "P-256", "x": "eA", "y": "eQ", "kid": "k1", "use": "sig", "alg": "ES256"}]})
}

fn metadata(document: &Value) -> ServerMetadata {
    let issuer = Issuer::new("https://as.example").unwrap();
    super::super::metadata::parse(&issuer, document.to_string().as_bytes()).unwrap()
}

fn wanted() -> Wanted {
    let server = metadata(&json!({"issuer": "https://as.example"}));
    Wanted {
        authentication: "private_key_jwt",
        certificate: CertificateUse::default(),
        keys: PublicKeys::Set(keys()),
        redirect_uris: vec![RedirectUri::new("https://app.example/cb").unwrap()],
        client_credentials: false,
        native: false,
        algorithms: Algorithms::choose(&server, Some(Algorithm::Es256), None, false),
        software_statement: None,
        extra: Map::new(),
    }
}

fn read(asked: &Map<String, Value>, status: u16, body: &str) -> Result<Registered, Error> {
    answer(asked, status, body)?.registered
}

fn answer(asked: &Map<String, Value>, status: u16, body: &str) -> Result<Answered, Error> {
    let answer = http::Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .body(Bytes::copy_from_slice(body.as_bytes()))
        .unwrap();
    let answer = Answer::new(Endpoint::Registration, answer);
    super::response(answer, StatusCode::CREATED, asked)
}

/// Reads an echo of the request with some members put in its place.
fn echoed(asked: &Map<String, Value>, changes: &[(&str, Value)]) -> Result<Registered, Error> {
    let mut body = asked.clone();
    body.insert("client_id".to_owned(), "c-1".into());
    for (member, value) in changes {
        body.insert((*member).to_owned(), value.clone());
    }
    read(asked, 201, &Value::Object(body).to_string())
}

fn refused(member: &str) -> Violation {
    Violation::Registration {
        member: member.to_owned(),
    }
}

/// DCR-2b, OIDC-reg, DPOP-5.2, MS-5.3.3: every member is said, and none is left to a default.
#[test]
fn the_request_says_everything() {
    assert_eq!(
        Value::Object(request(&wanted())),
        json!({
            "application_type": "web",
            "authorization_signed_response_alg": "ES256",
            "dpop_bound_access_tokens": true,
            "grant_types": ["authorization_code", "refresh_token"],
            "id_token_signed_response_alg": "ES256",
            "introspection_signed_response_alg": "ES256",
            "jwks": keys(),
            "redirect_uris": ["https://app.example/cb"],
            "request_object_signing_alg": "ES256",
            "require_pushed_authorization_requests": true,
            "response_modes": ["query"],
            "response_types": ["code"],
            "tls_client_certificate_bound_access_tokens": false,
            "token_endpoint_auth_method": "private_key_jwt",
            "token_endpoint_auth_signing_alg": "ES256",
            "use_mtls_endpoint_aliases": false,
        })
    );
}

/// DCR-2a, DCR-2b, DCR-ss: a program on the user's device, keys behind an address, a statement as it is.
#[test]
fn the_request_of_a_program_with_everything() {
    let server = metadata(&json!({
        "issuer": "https://as.example",
        "token_endpoint_auth_signing_alg_values_supported": ["Ed25519"],
        "id_token_signing_alg_values_supported": ["RS256", "PS256"],
        "authorization_signing_alg_values_supported": ["EdDSA", "ES256"],
        "userinfo_signing_alg_values_supported": ["PS256"],
    }));
    let wanted = Wanted {
        keys: PublicKeys::Uri(Url::parse("https://app.example/jwks").unwrap()),
        redirect_uris: vec![
            RedirectUri::new("http://127.0.0.1/cb").unwrap(),
            RedirectUri::new("http://[::1]/cb").unwrap(),
        ],
        client_credentials: true,
        native: true,
        algorithms: Algorithms::choose(&server, Some(Algorithm::EdDsa), None, true),
        software_statement: Some("e30.e30.sig".to_owned()),
        extra: Map::from_iter([("client_name".to_owned(), "App".into())]),
        ..wanted()
    };
    assert_eq!(
        Value::Object(request(&wanted)),
        json!({
            "application_type": "native",
            "authorization_signed_response_alg": "ES256",
            "client_name": "App",
            "dpop_bound_access_tokens": true,
            "grant_types": ["authorization_code", "refresh_token", "client_credentials"],
            "id_token_signed_response_alg": "PS256",
            "introspection_signed_response_alg": "PS256",
            "jwks_uri": "https://app.example/jwks",
            "redirect_uris": ["http://127.0.0.1/cb", "http://[::1]/cb"],
            "request_object_signing_alg": "Ed25519",
            "require_pushed_authorization_requests": true,
            "response_modes": ["query"],
            "response_types": ["code"],
            "software_statement": "e30.e30.sig",
            "tls_client_certificate_bound_access_tokens": false,
            "token_endpoint_auth_method": "private_key_jwt",
            "token_endpoint_auth_signing_alg": "Ed25519",
            "use_mtls_endpoint_aliases": false,
            "userinfo_signed_response_alg": "PS256",
        })
    );
}

/// MTLS-2.1, MTLS-3.4, DCR-2a: a client that an authority's certificate authenticates says what to look for in
/// it, and has no keys and no algorithms of its own.
#[test]
fn the_request_of_a_client_with_a_certificate() {
    let server = metadata(&json!({"issuer": "https://as.example"}));
    let wanted = Wanted {
        authentication: "tls_client_auth",
        certificate: CertificateUse {
            name: Some(CertificateName::SanDns("app.example".to_owned())),
            bound: true,
            aliases: true,
        },
        keys: PublicKeys::None,
        algorithms: Algorithms::choose(&server, None, None, false),
        ..wanted()
    };
    let asked = request(&wanted);
    assert_eq!(
        Value::Object(asked.clone()),
        json!({
            "application_type": "web",
            "authorization_signed_response_alg": "ES256",
            "dpop_bound_access_tokens": false,
            "grant_types": ["authorization_code", "refresh_token"],
            "id_token_signed_response_alg": "ES256",
            "introspection_signed_response_alg": "ES256",
            "redirect_uris": ["https://app.example/cb"],
            "require_pushed_authorization_requests": true,
            "response_modes": ["query"],
            "response_types": ["code"],
            "tls_client_auth_san_dns": "app.example",
            "tls_client_certificate_bound_access_tokens": true,
            "token_endpoint_auth_method": "tls_client_auth",
            "use_mtls_endpoint_aliases": true,
        })
    );
    for member in asked.keys() {
        assert!(is_reserved(member), "{member}");
    }
    assert!(echoed(&asked, &[]).is_ok());
    for (member, value) in [
        ("tls_client_auth_san_dns", json!("evil.example")),
        ("tls_client_auth_subject_dn", json!("CN=evil")),
        ("dpop_bound_access_tokens", json!(true)),
        ("tls_client_certificate_bound_access_tokens", json!(false)),
        ("use_mtls_endpoint_aliases", json!(false)),
        ("token_endpoint_auth_method", json!("private_key_jwt")),
    ] {
        let error = echoed(&asked, &[(member, value)]).unwrap_err();
        assert_eq!(error.violation(), Some(&refused(member)), "{member}");
    }
}

/// DCR-2b: a client that acts for no user asks for no response type and no redirect.
#[test]
fn the_request_of_a_service() {
    let wanted = Wanted {
        redirect_uris: Vec::new(),
        client_credentials: true,
        ..wanted()
    };
    let request = request(&wanted);
    assert_eq!(request["redirect_uris"], json!([]));
    assert_eq!(request["grant_types"], json!(["client_credentials"]));
    assert_eq!(request["response_types"], json!([]));
    assert_eq!(request["response_modes"], json!([]));
}

/// No program sets what the crate sets.
#[test]
fn every_member_that_is_set_is_reserved() {
    let mut wanted = wanted();
    wanted.software_statement = Some("x".to_owned());
    wanted.algorithms.userinfo = Some("ES256");
    for member in request(&wanted).keys() {
        assert!(is_reserved(member), "{member}");
    }
    assert!(is_reserved("jwks_uri"));
    assert!(!is_reserved("client_name"));
}

/// DCR-3.2.1: a short answer, in which everything stands as it was asked for.
#[test]
fn what_is_not_repeated_stands() {
    let asked = request(&wanted());
    let registered = read(
        &asked,
        201,
        r#"{"client_id":"c-1","client_id_issued_at":7}"#,
    )
    .unwrap();
    assert_eq!(registered.client_id, "c-1");
    assert_eq!(registered.issued_at, Some(Timestamp::from_seconds(7)));
    assert_eq!(registered.metadata, asked);
}

/// DCR-3.2.1: what a server may say otherwise: order, further members, a scope of its own, no refresh
/// tokens, the other name of Ed25519, keys without their use.
#[test]
fn harmless_differences_are_taken() {
    let mut wanted = wanted();
    wanted.algorithms.client = Some("EdDSA");
    wanted
        .redirect_uris
        .push(RedirectUri::new("https://app.example/cb2").unwrap());
    let asked = request(&wanted);
    let mut bare = keys();
    for member in ["use", "alg", "kid"] {
        bare["keys"][0].as_object_mut().unwrap().remove(member);
    }
    let registered = echoed(
        &asked,
        &[
            ("scope", "openid".into()),
            ("subject_type", "public".into()),
            ("require_auth_time", false.into()),
            ("post_logout_redirect_uris", json!([])),
            ("jwks_uri", Value::Null),
            ("jwks", bare),
            ("token_endpoint_auth_signing_alg", "Ed25519".into()),
            ("grant_types", json!(["authorization_code"])),
            (
                "redirect_uris",
                json!(["https://app.example/cb2", "https://app.example/cb"]),
            ),
        ],
    )
    .unwrap();
    assert_eq!(registered.metadata["scope"], "openid");
    assert_eq!(
        registered.metadata["grant_types"],
        json!(["authorization_code"])
    );
    assert!(!registered.metadata.contains_key("jwks_uri"));
}

/// DCR-3.2.1, SP-5.3.2.1-2, SP-5.3.2.1-4, SP-5.4.1-1.2, OIDC-reg, DPOP-5.2: each weaker value, by name.
#[test]
fn every_weaker_value_is_named() {
    let mut wanted = wanted();
    wanted.extra.insert(
        "backchannel_logout_uri".to_owned(),
        "https://app.example/logout".into(),
    );
    let asked = request(&wanted);
    let mut strange = keys();
    strange["keys"][0]["x"] = "eB".into();
    let mut renamed = keys();
    renamed["keys"][0]["kid"] = "k2".into();
    let mut more = keys();
    more["keys"]
        .as_array_mut()
        .unwrap()
        .push(strange["keys"][0].clone());
    let cases = [
        ("token_endpoint_auth_method", json!("client_secret_basic")),
        ("token_endpoint_auth_method", json!("none")),
        ("token_endpoint_auth_signing_alg", json!("RS256")),
        ("token_endpoint_auth_signing_alg", json!("PS256")),
        ("id_token_signed_response_alg", json!("RS256")),
        ("id_token_signed_response_alg", json!("none")),
        ("id_token_signed_response_alg", json!("PS256")),
        ("request_object_signing_alg", json!("none")),
        ("authorization_signed_response_alg", json!("RS256")),
        ("introspection_signed_response_alg", json!("HS256")),
        ("userinfo_signed_response_alg", json!("RS256")),
        ("userinfo_signed_response_alg", json!(7)),
        ("dpop_bound_access_tokens", json!(false)),
        ("dpop_bound_access_tokens", json!("true")),
        ("tls_client_certificate_bound_access_tokens", json!(true)),
        ("require_pushed_authorization_requests", json!(false)),
        ("use_mtls_endpoint_aliases", json!(true)),
        ("application_type", json!("native")),
        ("redirect_uris", json!([])),
        (
            "redirect_uris",
            json!(["https://app.example/cb", "https://evil.example/cb"]),
        ),
        ("redirect_uris", json!("https://app.example/cb")),
        ("grant_types", json!(["authorization_code", "implicit"])),
        ("grant_types", json!(["authorization_code", "password"])),
        ("grant_types", json!(["refresh_token"])),
        ("response_types", json!(["code", "code id_token"])),
        ("response_types", json!(["token"])),
        ("response_modes", json!(["query", "fragment"])),
        ("response_modes", json!([])),
        ("post_logout_redirect_uris", json!(["https://evil.example"])),
        ("backchannel_logout_uri", json!("https://evil.example")),
        ("software_statement", json!("e30.e30.x")),
        ("jwks", strange),
        ("jwks", renamed),
        ("jwks", more),
        ("jwks", json!({"keys": []})),
        ("jwks", json!([])),
        // DCR-2a: two ways to the keys are one too many.
        ("jwks_uri", json!("https://evil.example/jwks")),
        ("id_token_encrypted_response_alg", json!("RSA-OAEP")),
        ("introspection_encrypted_response_alg", json!("RSA-OAEP")),
        ("require_signed_request_object", json!(true)),
        ("registration_client_uri", json!("http://as.example/c-1")),
    ];
    for (member, value) in cases {
        let error = echoed(&asked, &[(member, value.clone())]).unwrap_err();
        assert_eq!(
            error.violation(),
            Some(&refused(member)),
            "{member} {value}"
        );
    }
}

/// DCR-2a: keys that were to be behind an address don't come back as a set.
#[test]
fn a_set_in_place_of_an_address_is_refused() {
    let wanted = Wanted {
        keys: PublicKeys::Uri(Url::parse("https://app.example/jwks").unwrap()),
        ..wanted()
    };
    let asked = request(&wanted);
    assert!(echoed(&asked, &[]).is_ok());
    let error = echoed(&asked, &[("jwks", keys())]).unwrap_err();
    assert_eq!(error.violation(), Some(&refused("jwks")));
}

/// DCR-3.2.1: 201 alone; JSON; nothing twice; a `client_id`; and every member of its own type.
#[test]
fn malformed_answers_are_refused() {
    let asked = request(&wanted());
    for (body, member) in [
        ("{}", "client_id"),
        (r#"{"client_id":""}"#, "client_id"),
        (r#"{"client_id":7}"#, "client_id"),
        (r#"{"client_id":"a\nb"}"#, "client_id"),
        (r#"{"client_id":"a","client_id":"b"}"#, ""),
        ("[]", ""),
        (
            r#"{"client_id":"a","registration_access_token":"a b"}"#,
            "registration_access_token",
        ),
        (
            r#"{"client_id":"a","registration_access_token":7}"#,
            "registration_access_token",
        ),
        (
            r#"{"client_id":"a","registration_client_uri":7}"#,
            "registration_client_uri",
        ),
        (
            r#"{"client_id":"a","client_id_issued_at":"7"}"#,
            "client_id_issued_at",
        ),
        (
            r#"{"client_id":"a","client_secret_expires_at":-1}"#,
            "client_secret_expires_at",
        ),
    ] {
        assert_eq!(
            read(&asked, 201, body).unwrap_err().violation(),
            Some(&Violation::Answer {
                endpoint: Endpoint::Registration,
                member: member.to_owned()
            }),
            "{body}"
        );
    }
    assert_eq!(
        read(&asked, 200, r#"{"client_id":"a"}"#)
            .unwrap_err()
            .violation(),
        Some(&Violation::Status {
            endpoint: Endpoint::Registration,
            status: 200
        })
    );
}

/// SEC-cred: a secret that nobody asked for is not kept, and the token is in no `Debug`.
#[test]
fn secrets_stay_out() {
    let asked = request(&wanted());
    let mut body = asked.clone();
    for (member, value) in [
        ("client_id", "c-1"),
        ("client_secret", "s3cret"),
        ("registration_access_token", "t0ken"),
        ("registration_client_uri", "https://as.example/c-1"),
    ] {
        body.insert(member.to_owned(), value.into());
    }
    let answered = answer(&asked, 201, &Value::Object(body.clone()).to_string()).unwrap();
    let shown = format!("{answered:?}");
    assert!(
        !shown.contains("s3cret") && !shown.contains("t0ken"),
        "{shown}"
    );
    assert_eq!(answered.registered.unwrap().metadata, asked);

    // DCM-3: the new token counts though the rest does not.
    body.insert("dpop_bound_access_tokens".to_owned(), false.into());
    let answered = answer(&asked, 201, &Value::Object(body).to_string()).unwrap();
    let error = answered.registered.unwrap_err();
    assert_eq!(
        error.violation(),
        Some(&refused("dpop_bound_access_tokens"))
    );
    let mut management = Management {
        uri: None,
        access_token: Some(RegistrationAccessToken::new("before")),
    };
    management.renew(answered.management);
    assert_eq!(
        management.access_token,
        Some(RegistrationAccessToken::new("t0ken"))
    );
    management.renew(Management::default());
    assert_eq!(
        management.access_token,
        Some(RegistrationAccessToken::new("t0ken"))
    );
}

/// DCM-2.2: an update names its client, and the answer is about no other.
#[test]
fn an_update_is_about_one_client() {
    let asked = update("c-1", &request(&wanted()));
    assert_eq!(asked["client_id"], "c-1");
    for member in [
        "registration_access_token",
        "registration_client_uri",
        "client_secret_expires_at",
        "client_id_issued_at",
    ] {
        assert!(!asked.contains_key(member));
    }
    assert!(echoed(&asked, &[]).is_ok());
    let error = echoed(&asked, &[("client_id", "c-2".into())]).unwrap_err();
    assert_eq!(error.violation(), Some(&refused("client_id")));
}
