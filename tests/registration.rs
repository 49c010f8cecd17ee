//! Programs that register a client of their own (RFC 7591).

mod kept;
mod managed;

use fapi_client::{
    Client, ClientAuth, ConfigError, Endpoint as At, Error, KeySet, OAuthError, Registration,
    RegistrationRequest, Rule, Severity, SoftwareKey, TransportFault, Violation,
};
use fapi_testkit::{Answer, Endpoint, MetadataFault, RegistrationFault, TestServer};
use serde_json::{Value, json};

use crate::common::{self, SharedClock, Watched};

const INITIAL: &str = "the-initial-access-token";

pub fn auth() -> ClientAuth {
    ClientAuth::private_key_jwt(KeySet::new(SoftwareKey::generate_es256().unwrap()))
}

/// A request that is good as it is.
pub fn request(server: &TestServer) -> RegistrationRequest {
    Client::register(server.issuer())
        .authenticate_with(auth())
        .redirect_uri(common::REDIRECT_URI)
        .client_name("Account Viewer")
        .scope("openid accounts")
        .transport(common::https(server))
        .clock(SharedClock(server.clock().clone()))
}

pub async fn register(server: &TestServer) -> Registration {
    request(server).send().await.unwrap()
}

pub fn weaker(member: &str) -> Violation {
    Violation::Registration {
        member: member.to_owned(),
    }
}

/// What the server said no with.
pub fn refusal(error: &Error) -> (&'static str, Option<u16>, String) {
    match error {
        Error::Denied(denied) => {
            let error: &OAuthError = denied.oauth_error();
            assert_eq!(error.endpoint(), At::Registration);
            (denied.code(), error.status(), error.error().to_owned())
        }
        other => panic!("not denied: {other:?}"),
    }
}

/// Registers, which must fail after one request at the registration endpoint and with none behind it.
async fn refused(server: &TestServer) -> Error {
    server.forget_requests();
    let error = request(server).send().await.unwrap_err();
    assert_eq!(server.count(Endpoint::Registration), 1, "{error:?}");
    let last = server.requests().pop().unwrap();
    assert_eq!(last.endpoint, Endpoint::Registration);
    error
}

/// DCR-2b, DCR-3.2.1, SP-5.1.1: a client that nobody knew before registers, logs in, calls an API.
#[tokio::test]
async fn a_program_registers_and_logs_in() {
    let server = TestServer::start().await;
    let registration = register(&server).await;
    assert_eq!(registration.issuer().as_str(), server.issuer());
    assert!(registration.client_id().starts_with("client-"));
    assert!(registration.is_managed());
    assert_eq!(server.refusals(), Vec::<String>::new());
    assert!(registration.issued_at().is_some());
    assert_eq!(registration.metadata()["client_name"], "Account Viewer");

    // One request, once, in JSON, with no authorization: nobody gave a token.
    let sent = server.requests_to(Endpoint::Registration);
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].header("content-type"), Some("application/json"));
    assert_eq!(sent[0].header("authorization"), None);
    let body: Value = serde_json::from_slice(&sent[0].body).unwrap();
    assert_eq!(&body, &Value::Object(registration.metadata().clone()));
    assert!(body["jwks"]["keys"][0].get("d").is_none());

    let client = registration
        .client_builder()
        .api(server.api())
        .build()
        .await
        .unwrap();
    assert_eq!(client.client_id(), registration.client_id());
    let session = common::log_in_with(&client, &server, "alice")
        .await
        .unwrap();
    let answer = common::get(&session, &server, "/accounts").await.unwrap();
    assert_eq!(answer.status(), 200);
}

/// NAT-7.3, SP-5.3.2.2-8: a program on the user's device registers a loopback address without a port,
/// and logs in with the port that it got.
#[tokio::test]
async fn a_native_program_takes_any_port() {
    let server = TestServer::start().await;
    for address in ["127.0.0.1", "[::1]"] {
        let registration = Client::register(server.issuer())
            .authenticate_with(auth())
            .redirect_uri(format!("http://{address}/callback"))
            .native()
            .transport(common::https(&server))
            .send()
            .await
            .unwrap();
        assert_eq!(registration.metadata()["application_type"], "native");
        let client = registration
            .client_builder()
            .redirect_uri(format!("http://{address}:49152/callback"))
            .api(server.api())
            .build()
            .await
            .unwrap();
        let session = common::log_in_with(&client, &server, "bob").await.unwrap();
        assert_eq!(session.subject(), Some("bob"));
    }
    // It is native by the address alone.
    let registration = Client::register(server.issuer())
        .authenticate_with(auth())
        .redirect_uri("http://127.0.0.1/callback")
        .transport(common::https(&server))
        .send()
        .await
        .unwrap();
    assert_eq!(registration.metadata()["application_type"], "native");
}

/// DCR-2b: a client that acts for no user registers without a redirect URI, and gets tokens.
#[tokio::test]
async fn a_service_registers() {
    let server = TestServer::start().await;
    let registration = Client::register(server.issuer())
        .authenticate_with(auth())
        .client_credentials()
        .transport(common::https(&server))
        .send()
        .await
        .unwrap();
    let client = registration
        .client_builder()
        .api(server.api())
        .build()
        .await
        .unwrap();
    let service = client.client_credentials().start().await.unwrap();
    let url = format!("{}/accounts", server.api());
    assert_eq!(service.get(url).send().await.unwrap().status(), 200);
}

/// DCR-2a, DCR-ss: keys behind an address take the place of the set; a statement and the members of an
/// ecosystem go out as they are.
#[tokio::test]
async fn what_a_program_adds_goes_out_as_it_is() {
    let server = TestServer::start().await;
    let registration = request(&server)
        .jwks_uri("https://app.example/jwks")
        .software_statement("e30.e30.c2ln")
        .contacts(["a@app.example", "b@app.example"])
        .post_logout_redirect_uri("https://app.example/bye")
        .post_logout_redirect_uri("https://app.example/farewell")
        .backchannel_logout_uri("https://app.example/logout")
        .metadata("x_bank", json!({"role": "AISP"}))
        .send()
        .await
        .unwrap();
    let sent = server.requests_to(Endpoint::Registration).pop().unwrap();
    let body: Value = serde_json::from_slice(&sent.body).unwrap();
    for (member, value) in [
        ("jwks", Value::Null),
        ("jwks_uri", json!("https://app.example/jwks")),
        ("software_statement", json!("e30.e30.c2ln")),
        ("contacts", json!(["a@app.example", "b@app.example"])),
        (
            "post_logout_redirect_uris",
            json!(["https://app.example/bye", "https://app.example/farewell"]),
        ),
        (
            "backchannel_logout_uri",
            json!("https://app.example/logout"),
        ),
        ("backchannel_logout_session_required", json!(true)),
        ("x_bank", json!({"role": "AISP"})),
    ] {
        assert_eq!(body[member], value, "{member}");
        let granted = registration.metadata().get(member).cloned();
        assert_eq!(granted.unwrap_or_default(), value, "{member}");
    }
}

/// DCR-3.2.1, SP-5.3.2.1-4, SP-5.4.1-1.2, OIDC-reg: a server that registers something weaker than was
/// asked for gets no client.
#[tokio::test]
async fn a_weaker_registration_is_refused() {
    let server = TestServer::start().await;
    for (member, value) in [
        ("token_endpoint_auth_method", json!("client_secret_basic")),
        ("token_endpoint_auth_signing_alg", json!("RS256")),
        ("id_token_signed_response_alg", json!("RS256")),
        ("request_object_signing_alg", json!("none")),
        ("authorization_signed_response_alg", json!("RS256")),
        ("introspection_signed_response_alg", json!("RS256")),
        ("userinfo_signed_response_alg", json!("RS256")),
        ("dpop_bound_access_tokens", json!(false)),
        ("require_pushed_authorization_requests", json!(false)),
        (
            "redirect_uris",
            json!([common::REDIRECT_URI, "https://evil.example/"]),
        ),
        ("grant_types", json!(["authorization_code", "implicit"])),
        ("response_types", json!(["code", "token"])),
        ("jwks", json!({"keys": []})),
        // DCR-2a
        ("jwks_uri", json!("https://evil.example/jwks")),
        ("registration_client_uri", json!("http://localhost/c")),
    ] {
        server.behave();
        server.mutate_registration_response(move |body| body[member] = value.clone());
        let error = refused(&server).await;
        assert_eq!(error.violation(), Some(&weaker(member)));
        assert_eq!(error.code(), "violation.registration");
    }
}

/// DCR-3.2.1, JWT-json: 201 and one JSON object with a `client_id`, or nothing is registered for us.
#[tokio::test]
async fn a_success_is_whole() {
    let server = TestServer::start().await;
    let endpoint = At::Registration;
    let malformed = |member: &str| Violation::Answer {
        endpoint,
        member: member.to_owned(),
    };
    let status = Violation::Status {
        endpoint,
        status: 200,
    };
    for (fault, expected) in [
        (RegistrationFault::Status200, status),
        (RegistrationFault::DuplicateMember, malformed("")),
        (RegistrationFault::Html, Violation::ContentType { endpoint }),
    ] {
        server.behave();
        server.misbehave(fault);
        assert_eq!(refused(&server).await.violation(), Some(&expected));
    }
    server.behave();
    server.mutate_registration_response(|body| body["client_id"] = Value::Null);
    let error = refused(&server).await;
    assert_eq!(error.violation(), Some(&malformed("client_id")));
}

/// DCR-3.2.2: the server's words come through. 401 is about the token, 403 and 405 about what clients
/// may do.
#[tokio::test]
async fn a_refusal_is_told_in_the_servers_words() {
    let server = TestServer::start().await;
    for word in [
        "invalid_redirect_uri",
        "invalid_client_metadata",
        "invalid_software_statement",
        "unapproved_software_statement",
    ] {
        server.misbehave_times(RegistrationFault::Error(400, word.to_owned()), 1);
        let error = refused(&server).await;
        assert_eq!(
            refusal(&error),
            ("denied.server", Some(400), word.to_owned())
        );
    }
    for (status, code, word) in [
        (401, "denied.registration_token", "invalid_token"),
        (403, "denied.not_offered", "forbidden"),
        (405, "denied.not_offered", "method_not_allowed"),
    ] {
        server.answer_next(Endpoint::Registration, Answer::status(status));
        let error = refused(&server).await;
        assert_eq!(refusal(&error), (code, Some(status), word.to_owned()));
    }
}

/// BCP-4.12, ERR-11, ERR-12: no redirect is followed, and a request whose answer was lost is not sent
/// again: it may have made a client.
#[tokio::test]
async fn one_request_and_no_other() {
    let server = TestServer::start().await;
    let target = format!("{}/register", server.issuer());
    server.answer_next(Endpoint::Registration, Answer::redirect(307, &target));
    let redirect = Violation::Redirect {
        endpoint: At::Registration,
        status: 307,
    };
    assert_eq!(refused(&server).await.violation(), Some(&redirect));

    server.answer_next(Endpoint::Registration, Answer::drop_connection());
    let error = refused(&server).await;
    let lost = common::transport(&error).unwrap();
    assert_eq!(lost.endpoint, Some(At::Registration));
    assert_eq!(lost.fault, TransportFault::Broken);
    assert!(error.may_have_acted());

    server.answer_next(Endpoint::Registration, Answer::error(503, "server_error"));
    assert_eq!(refused(&server).await.code(), "transport.unavailable");
}

/// SP-5.2.1-1, META-5: a registration endpoint without TLS is refused before anything goes there, and so
/// is a server that has none.
#[tokio::test]
async fn an_endpoint_without_tls_gets_nothing() {
    let server = TestServer::start().await;
    let member = "registration_endpoint".to_owned();
    server.misbehave_times(MetadataFault::PlainHttp(member.clone()), 1);
    let error = request(&server)
        .initial_access_token(INITIAL)
        .send()
        .await
        .unwrap_err();
    let insecure = Violation::InsecureEndpoint { member };
    assert_eq!(error.violation(), Some(&insecure));

    let server_without = TestServer::builder().registration(false).start().await;
    let error = request(&server_without).send().await.unwrap_err();
    let none = ConfigError::NoEndpoint("registration_endpoint");
    assert_eq!(common::config(&error), Some(&none));
    for server in [server, server_without] {
        assert_eq!(server.count(Endpoint::Registration), 0);
        assert_eq!(server.requests().len(), 1);
    }
}

/// META-11, CA-8: a client that could not log in afterwards is not registered.
#[tokio::test]
async fn a_server_that_does_not_fit_gets_no_client() {
    let server = TestServer::start().await;
    let name = "token_endpoint_auth_signing_alg_values_supported".to_owned();
    server.misbehave(MetadataFault::Set(name, json!(["PS256"])));
    let error = request(&server).send().await.unwrap_err();
    assert_eq!(
        common::findings(&error),
        [(Rule::ClientAssertionAlgorithm, Severity::Broken)]
    );
    assert_eq!(server.count(Endpoint::Registration), 0);
}

/// SP-5.1.1, SP-5.3.2.2-8, SP-5.4.2-1, DCR-2a, DCR-2b: what can't be right is told before anything is
/// sent, and no program sets what the crate sets.
#[tokio::test]
async fn wrong_settings_are_told_before_anything_is_sent() {
    let server = TestServer::start().await;
    let watched = Watched::new(&server);
    let good = || request(&server).transport(watched.clone());
    let without_auth = Client::register(server.issuer())
        .redirect_uri(common::REDIRECT_URI)
        .transport(watched.clone());
    let without_redirect = Client::register(server.issuer())
        .authenticate_with(auth())
        .transport(watched.clone());
    let insecure = |origin: &str| ConfigError::InsecureUrl(origin.to_owned());
    let mut rows = vec![
        (without_auth, ConfigError::NoClientAuthentication),
        (without_redirect, ConfigError::NoRedirectUri),
        (
            good().redirect_uri("http://localhost/callback"),
            ConfigError::RedirectUri,
        ),
        (good().scope("a\"b"), ConfigError::Scope),
        (
            good().jwks_uri("http://app.example/jwks"),
            insecure("http://app.example"),
        ),
        (
            good().backchannel_logout_uri("http://app.example/logout"),
            insecure("http://app.example"),
        ),
        (
            good().post_logout_redirect_uri("ftp://app.example"),
            ConfigError::RedirectUri,
        ),
    ];
    for member in [
        "redirect_uris",
        "token_endpoint_auth_method",
        "id_token_signed_response_alg",
        "dpop_bound_access_tokens",
        "require_pushed_authorization_requests",
        "grant_types",
        "response_types",
        "jwks",
        "jwks_uri",
        "client_secret",
        "registration_access_token",
        "id_token_encrypted_response_alg",
    ] {
        let reserved = ConfigError::ReservedParameter(member.to_owned());
        rows.push((good().metadata(member, "x"), reserved));
    }
    for (request, expected) in rows {
        let error = request.send().await.unwrap_err();
        assert_eq!(common::config(&error), Some(&expected));
    }
    let error = Client::register("http://as.example").send().await;
    let issuer = ConfigError::Issuer("http://as.example".to_owned());
    assert_eq!(common::config(&error.unwrap_err()), Some(&issuer));
    assert_eq!(watched.sent(), 0);
    assert_eq!(server.requests().len(), 0);
}

/// DCR-2b: the initial access token goes to the registration endpoint and nowhere else, not even with
/// the login that follows.
#[tokio::test]
async fn the_initial_token_goes_to_one_place() {
    let server = TestServer::builder()
        .initial_access_token(INITIAL)
        .start()
        .await;
    for (request, reason) in [
        (request(&server), "there is no initial access token"),
        (
            request(&server).initial_access_token("another"),
            "the initial access token is unknown",
        ),
    ] {
        let error = request.send().await.unwrap_err();
        assert_eq!(
            refusal(&error),
            (
                "denied.registration_token",
                Some(401),
                "invalid_token".to_owned()
            )
        );
        let refusals = server.refusals();
        assert_eq!(refusals.last(), Some(&format!("Registration: {reason}")));
    }
    server.forget_requests();
    let registration = request(&server)
        .initial_access_token(INITIAL)
        .send()
        .await
        .unwrap();
    let client = registration.client_builder().build().await.unwrap();
    common::log_in_with(&client, &server, "alice")
        .await
        .unwrap();
    let bearer = format!("Bearer {INITIAL}");
    for request in server.requests() {
        let carried = request.header("authorization") == Some(&bearer);
        assert_eq!(
            carried,
            request.endpoint == Endpoint::Registration,
            "{request:?}"
        );
        assert!(!request.uri.contains(INITIAL));
        assert!(!String::from_utf8_lossy(&request.body).contains(INITIAL));
    }

    // What can't stand in a header is told, and nothing goes out with it.
    server.forget_requests();
    let error = request(&server).initial_access_token("a\nb").send().await;
    let header = ConfigError::Header("authorization".to_owned());
    assert_eq!(common::config(&error.unwrap_err()), Some(&header));
    assert_eq!(server.count(Endpoint::Registration), 0);
}

/// SEC-cred: neither the tokens nor a secret that nobody asked for show in `Debug`, in metadata or in
/// errors.
#[tokio::test]
async fn no_secret_shows() {
    let server = TestServer::builder()
        .initial_access_token(INITIAL)
        .start()
        .await;
    server.misbehave(RegistrationFault::ClientSecret);
    let asked = request(&server).initial_access_token(INITIAL);
    let mut shown = vec![format!("{asked:?}")];
    let registration = asked.send().await.unwrap();
    shown.push(format!("{registration:?} {:?}", registration.metadata()));
    server.mutate_registration_response(|body| body["dpop_bound_access_tokens"] = false.into());
    let asked = request(&server).initial_access_token(INITIAL);
    let error = asked.send().await.unwrap_err();
    shown.push(format!("{error} {error:?}"));
    let shown = shown.join("\n");

    let mut secrets = server.secrets_issued();
    assert!(secrets.len() >= 2, "a client_secret and a token");
    secrets.push(INITIAL.to_owned());
    for secret in secrets {
        assert!(!shown.contains(&secret), "{shown}");
    }
    for member in ["client_secret", "registration_access_token"] {
        assert!(!registration.metadata().contains_key(member));
    }
    assert_eq!(error.violation(), Some(&weaker("dpop_bound_access_tokens")));
}
