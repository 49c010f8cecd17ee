//! Tokens of the client's own.

use std::time::Duration;

use fapi_client::{
    AuthorizationDetail, Client, ConfigError, Endpoint as At, Error, KeySet, Service, SignInAgain,
    SoftwareKey, TransportFault, Violation,
};
use fapi_testkit::{Answer, Endpoint, Registration, Request, TestServer, TokenFault};
use serde_json::{Value, json};

use crate::common;

async fn service(client: &Client) -> Service {
    client
        .client_credentials()
        .scope("accounts")
        .start()
        .await
        .unwrap()
}

/// A call to the test API, and the request with which it arrived in the end.
async fn call(service: &Service, server: &TestServer) -> Request {
    service
        .get(format!("{}/accounts", server.api()))
        .send()
        .await
        .unwrap()
        .error_for_status()
        .unwrap();
    server.requests_to(Endpoint::Api).pop().unwrap()
}

fn last_token_request(server: &TestServer) -> Request {
    server.requests_to(Endpoint::Token).pop().unwrap()
}

/// The form without what is fresh in every request.
fn lasting(request: &Request) -> Vec<(String, String)> {
    let mut form = request.form.clone();
    form.retain(|(name, _)| name != "client_assertion");
    form
}

/// A token request that is refused, of a client that knows the server's nonce: one went out, and
/// nothing to the API.
async fn refused(client: &Client, server: &TestServer) -> Error {
    server.forget_requests();
    let error = client
        .client_credentials()
        .scope("payments")
        .start()
        .await
        .expect_err("the answer was taken");
    assert_eq!(server.count(Endpoint::Token), 1, "{error}");
    assert_eq!(server.count(Endpoint::Api), 0, "{error}");
    error
}

/// SP-5.3.2.1-N2, DPOP-5a, DPOP-ath, R6749-3.2, SP-5.3.3.1-5: the form and its proof. It needs no
/// redirect URI, and no user.
#[tokio::test]
async fn the_request_for_a_token() {
    let server = TestServer::start().await;
    let keys = KeySet::new(SoftwareKey::generate_es256().unwrap());
    server.register(
        Registration::new(common::CLIENT_ID)
            .jwks(keys.jwks())
            .grant_types(["client_credentials"]),
    );
    let client = Client::builder(server.issuer(), common::CLIENT_ID)
        .authenticate_with(fapi_client::ClientAuth::private_key_jwt(keys))
        .api(server.api())
        .transport(common::https(&server))
        .build()
        .await
        .unwrap();
    let resources = [
        server.api().to_owned() + "/",
        "https://other.example/api".to_owned(),
    ];
    let service = client
        .client_credentials()
        .scope("accounts payments")
        .resource(&resources[0])
        .resource(&resources[1])
        .authorization_detail(AuthorizationDetail::new("account_information").with("n", 1))
        .authorization_detail(AuthorizationDetail::new("payment_initiation"))
        .start()
        .await
        .unwrap();

    let request = last_token_request(&server);
    assert_eq!(
        request.form_names(),
        [
            "grant_type",
            "scope",
            "resource",
            "resource",
            "authorization_details",
            "client_id",
            "client_assertion_type",
            "client_assertion"
        ]
    );
    assert_eq!(request.form_value("grant_type"), Some("client_credentials"));
    assert_eq!(request.form_value("scope"), Some("accounts payments"));
    assert_eq!(request.form_values("resource"), resources);
    let details: Value =
        serde_json::from_str(request.form_value("authorization_details").unwrap()).unwrap();
    let asked = json!([{"type": "account_information", "n": 1}, {"type": "payment_initiation"}]);
    assert_eq!(details, asked);
    assert_eq!(
        service.authorization_details().unwrap().map(Value::from),
        Some(asked)
    );
    assert_eq!(
        request.assertion().unwrap().claim("aud"),
        &json!(server.issuer())
    );

    let proof = request.proof().unwrap();
    assert_eq!(proof.claim("ath"), &Value::Null);
    assert_eq!(proof.claim("htm"), &json!("POST"));
    assert_eq!(
        proof.claim("htu"),
        &json!(format!("{}/token", server.issuer()))
    );
    assert_eq!(call(&service, &server).await.status.unwrap(), 200);
    assert_eq!(
        service.scope().unwrap().as_deref(),
        Some("accounts payments")
    );
}

/// DPOP-7.1a, DPOP-ath: the token goes to the API under `DPoP`, with a proof of the service's own key.
/// SEC-6.3: each service has a key of its own.
#[tokio::test]
async fn the_token_is_bound_to_a_key_of_its_own() {
    let server = TestServer::start().await;
    let client = common::client(&server).await;
    let first = service(&client).await;
    let second = client.client_credentials().scope("payments");
    let second = second.start().await.unwrap();
    assert_ne!(first.key_thumbprint(), second.key_thumbprint());
    let request = call(&first, &server).await;
    assert!(
        request
            .header("authorization")
            .unwrap()
            .starts_with("DPoP ")
    );
    assert!(request.proof().unwrap().claim("ath").is_string());
    let other = call(&second, &server).await;
    assert_ne!(
        request.proof().unwrap().header["jwk"],
        other.proof().unwrap().header["jwk"]
    );
}

/// SEC-6.7: the client is no user, even of its own name.
#[tokio::test]
async fn the_client_is_no_user() {
    let server = TestServer::start().await;
    let client = common::client(&server).await;
    let _service = service(&client).await;
    assert!(
        client
            .sessions_of(common::CLIENT_ID)
            .await
            .unwrap()
            .is_empty()
    );
    assert!(client.sessions_of("").await.unwrap().is_empty());
    assert_eq!(server.count(Endpoint::Jwks), 0);
    assert_eq!(server.count(Endpoint::UserInfo), 0);
}

/// SP-5.3.4-3, ERR-3: a token at its end is replaced by the same request with a fresh assertion and
/// proof, and never with a refresh token, even where the server gave one.
#[tokio::test]
async fn the_token_is_renewed() {
    let clock = fapi_testkit::TestClock::at(1_800_000_000);
    let server = TestServer::builder().clock(clock).start().await;
    let client = common::client(&server).await;
    server.mutate_token_response(|body| body["refresh_token"] = "not-for-you".into());
    let service = client
        .client_credentials()
        .scope("accounts")
        .resource(&format!("{}/", server.api()))
        .start()
        .await
        .unwrap();
    let first = last_token_request(&server);
    let before = call(&service, &server).await;
    server.forget_requests();

    // By the clock.
    server.clock().advance(Duration::from_secs(301));
    let after = call(&service, &server).await;
    assert_eq!(server.count(Endpoint::Token), 1);
    assert_ne!(
        before.header("authorization"),
        after.header("authorization")
    );
    let second = last_token_request(&server);
    assert_eq!(lasting(&second), lasting(&first));
    for (one, other) in [
        (first.assertion().unwrap(), second.assertion().unwrap()),
        (first.proof().unwrap(), second.proof().unwrap()),
    ] {
        assert_ne!(one.claim("jti"), other.claim("jti"));
    }
    assert_eq!(
        first.proof().unwrap().header["jwk"],
        second.proof().unwrap().header["jwk"]
    );

    // Because the API says so.
    server.revoke_access_tokens();
    call(&service, &server).await;
    assert_eq!(server.count(Endpoint::Token), 2);
    assert_eq!(lasting(&last_token_request(&server)), lasting(&first));
}

/// DPOP-5b, R6749-5.1a: a token that is not bound is refused here as well, at first and at a renewal.
#[tokio::test]
async fn a_downgrade_is_refused() {
    let clock = fapi_testkit::TestClock::at(1_800_000_000);
    let server = TestServer::builder().clock(clock).start().await;
    let client = common::client(&server).await;
    let service = service(&client).await;
    server.misbehave(TokenFault::Bearer);
    let error = refused(&client, &server).await;
    assert_eq!(error.violation(), Some(&Violation::TokenTypeDowngrade));

    server.clock().advance(Duration::from_secs(301));
    let error = service
        .get(format!("{}/accounts", server.api()))
        .send()
        .await
        .unwrap_err();
    assert_eq!(error.violation(), Some(&Violation::TokenTypeDowngrade));
    assert_eq!(server.count(Endpoint::Api), 0);
    server.behave();
    // Nothing is lost: the next call asks again.
    call(&service, &server).await;
}

/// R6749-5.2, RAR-5, RI-2: the server's no, in its words. A client's own token does not end with
/// `invalid_grant`: there is no user to sign in again.
#[tokio::test]
async fn a_refusal_is_handed_up() {
    let clock = fapi_testkit::TestClock::at(1_800_000_000);
    let server = TestServer::builder().clock(clock).start().await;
    let client = common::client(&server).await;
    let service = service(&client).await;
    for word in [
        "invalid_scope",
        "invalid_target",
        "invalid_authorization_details",
        "unauthorized_client",
        "invalid_client",
    ] {
        server.misbehave(TokenFault::Error(400, word.to_owned()));
        let Error::Denied(denied) = refused(&client, &server).await else {
            panic!("{word} is a refusal")
        };
        assert_eq!(denied.oauth_error().error(), word);
        assert_eq!(denied.oauth_error().endpoint(), At::Token);
        server.behave();
    }

    server.clock().advance(Duration::from_secs(301));
    server.misbehave(TokenFault::Error(400, "invalid_grant".to_owned()));
    let url = format!("{}/accounts", server.api());
    let error = service.get(&url).send().await.unwrap_err();
    assert_eq!(error.code(), "denied.server");
    server.behave();
    call(&service, &server).await;
}

/// ERR-11, ERR-12: an answer that is lost, or a server that is down, is an error. Nothing goes out again
/// by itself.
#[tokio::test]
async fn a_lost_answer_is_an_error() {
    let server = TestServer::start().await;
    let client = common::client(&server).await;
    service(&client).await;
    for (answer, expected) in [
        (Answer::drop_connection(), TransportFault::Broken),
        (
            Answer::status(503).header("retry-after", "9"),
            TransportFault::Unavailable {
                status: 503,
                retry_after: Some(Duration::from_secs(9)),
            },
        ),
    ] {
        server.answer_next(Endpoint::Token, answer);
        match refused(&client, &server).await {
            Error::Transport(error) => assert_eq!(error.fault, expected),
            other => panic!("{other}"),
        }
    }
    server.answer_next(Endpoint::Token, Answer::redirect(307, server.api()));
    assert_eq!(
        refused(&client, &server).await.violation(),
        Some(&Violation::Redirect {
            endpoint: At::Token,
            status: 307
        })
    );
}

/// RAR-7: details that were asked for and are not in the answer were not granted.
#[tokio::test]
async fn missing_details_are_refused() {
    let server = TestServer::start().await;
    let client = common::client(&server).await;
    server.misbehave(TokenFault::WithoutAuthorizationDetails);
    let error = client
        .client_credentials()
        .authorization_detail(AuthorizationDetail::new("payment_initiation"))
        .start()
        .await
        .unwrap_err();
    assert_eq!(
        error.violation(),
        Some(&Violation::MissingAuthorizationDetails)
    );
    assert_eq!(server.count(Endpoint::Api), 0);
}

/// RAR-2, RAR-10, RI-2, BCP-4.9.1: what can't be right is refused before anything goes out.
#[tokio::test]
async fn what_can_not_be_right_stays_here() {
    let server = TestServer::start().await;
    let client = common::client(&server).await;
    let ask = || client.client_credentials();
    let config = async |request: fapi_client::ServiceRequest| match request.start().await {
        Err(Error::Config(error)) => error,
        other => panic!("{other:?}"),
    };
    assert_eq!(config(ask().scope("a\"b")).await, ConfigError::Scope);
    assert_eq!(config(ask().scope("")).await, ConfigError::Scope);
    for resource in ["accounts", "https://api.example/#part"] {
        assert_eq!(
            config(ask().resource(resource)).await,
            ConfigError::Resource
        );
    }
    for kind in ["", "unheard_of"] {
        let detail = AuthorizationDetail::new(kind);
        assert_eq!(
            config(ask().authorization_detail(detail)).await,
            ConfigError::AuthorizationDetail(kind.to_owned())
        );
    }
    assert_eq!(server.count(Endpoint::Token), 0);

    let service = service(&client).await;
    let error = service
        .get("https://elsewhere.example/accounts")
        .send()
        .await
        .unwrap_err();
    assert!(matches!(
        error,
        Error::Config(ConfigError::ForeignOrigin(_))
    ));
    assert_eq!(server.count(Endpoint::Api), 0);
    let ended: Result<_, SignInAgain> = service.scope();
    assert_eq!(ended.unwrap().as_deref(), Some("accounts"));
}
