//! The pushed request: what is in it, who signed it, and what is left for the browser (spec sections
//! 4.2 to 4.4).

use std::collections::BTreeSet;
use std::time::Duration;

use base64ct::{Base64UrlUnpadded, Encoding};
use fapi_client::{
    AuthorizationDetail, ClaimRequest, ClaimsRequest, ConfigError, Error, Login, LoginRequest,
    Prompt,
};
use fapi_testkit::{Endpoint, Nonces, Request, TestClock, TestServer};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::common::{self, CLIENT_ID, REDIRECT_URI};

const NOW: i64 = 1_800_000_000;

/// A server that demands no nonces, so that each push is one request.
async fn server() -> TestServer {
    TestServer::builder()
        .clock(TestClock::at(NOW))
        .nonces(Nonces::Off)
        .start()
        .await
}

fn s256(text: &str) -> String {
    Base64UrlUnpadded::encode_string(&Sha256::digest(text))
}

/// RFC 7638: the thumbprint of a P-256 key.
fn thumbprint(jwk: &Value) -> String {
    s256(&format!(
        r#"{{"crv":"P-256","kty":"EC","x":{},"y":{}}}"#,
        jwk["x"], jwk["y"]
    ))
}

fn pushed(server: &TestServer) -> Request {
    server.requests_to(Endpoint::Par).pop().unwrap()
}

/// PAR-2, PAR-2.1, SP-5.3.3.2-1, SP-5.3.3.2-2, SP-5.3.2.2-6, SP-5.2.3-3, CA-2, CA-3, PKCE-4.3, K-5,
/// R6749-3.2: one POST of one form, with these parameters once each and no other; the authorization
/// endpoint is left to the browser.
#[tokio::test]
async fn the_form_has_these_parameters_and_no_other() {
    let server = server().await;
    let login = common::begin(&common::client(&server).await).await;
    let request = pushed(&server);
    let names: Vec<&str> = request.form_names();
    assert_eq!(names.len(), 11);
    assert_eq!(
        names.into_iter().collect::<BTreeSet<_>>(),
        BTreeSet::from([
            "client_assertion",
            "client_assertion_type",
            "client_id",
            "code_challenge",
            "code_challenge_method",
            "dpop_jkt",
            "nonce",
            "redirect_uri",
            "response_type",
            "scope",
            "state",
        ])
    );
    let value = |name| request.form_value(name).unwrap();
    assert_eq!(value("response_type"), "code");
    assert_eq!(value("client_id"), CLIENT_ID);
    assert_eq!(value("redirect_uri"), REDIRECT_URI);
    assert_eq!(value("scope"), "openid accounts");
    // PKCE-4.3, PKCE-4.2, SP-5.4.1-4, K-5: 256 bits each, hashed or random.
    assert_eq!(value("code_challenge_method"), "S256");
    for name in ["code_challenge", "state", "nonce", "dpop_jkt"] {
        let bytes = Base64UrlUnpadded::decode_vec(value(name)).unwrap();
        assert_eq!(bytes.len(), 32, "{name}");
    }
    assert_eq!(request.method, http::Method::POST);
    assert_eq!(request.query(), None);
    assert_eq!(
        request.header("content-type"),
        Some("application/x-www-form-urlencoded")
    );
    assert_eq!(request.header("authorization"), None);
    assert_eq!(server.count(Endpoint::Authorization), 0);
    assert_eq!(login.expires_at().seconds(), NOW + 60);
}

/// A login without `openid` has no use for a nonce, and one without scope sends none.
#[tokio::test]
async fn what_is_not_asked_for_is_not_sent() {
    let server = server().await;
    let client = common::client(&server).await;
    client.login().start().await.unwrap();
    let names = pushed(&server);
    let names = names.form_names();
    assert!(!names.contains(&"nonce") && !names.contains(&"scope"));
}

/// PAR-dpop, DPOP-10, DPOP-10.1, SP-5.3.2.1-12: `dpop_jkt` is the thumbprint of the key of the proof
/// that comes with it, and the code is redeemed with that key.
#[tokio::test]
async fn the_code_is_bound_to_the_key_of_the_proof() {
    let server = server().await;
    let client = common::client(&server).await;
    let session = common::log_in_with(&client, &server, "alice")
        .await
        .unwrap();
    let request = pushed(&server);
    let proof = request.proof().unwrap();
    let jkt = thumbprint(&proof.header["jwk"]);
    assert_eq!(request.form_value("dpop_jkt"), Some(jkt.as_str()));
    assert_eq!(session.key_thumbprint(), Some(jkt.as_str()));
    assert_eq!(proof.claim("htm"), "POST");
    assert_eq!(
        proof.claim("htu"),
        &json!(format!("{}/par", server.issuer()))
    );
    // OFTEN-5: there is no token yet to be hashed.
    assert_eq!(proof.claim("ath"), &Value::Null);
    let token = server.requests_to(Endpoint::Token).pop().unwrap();
    assert_eq!(thumbprint(&token.proof().unwrap().header["jwk"]), jkt);
}

/// SP-5.3.3.2-3, SP-5.3.3.2-4, K-4, PKCE-4.1, PKCE-4.2, SEC-pkce, R6749-4.1.3: the verifier of 32 random
/// octets goes to the token endpoint alone, and hashes to the challenge.
#[tokio::test]
async fn the_verifier_answers_the_challenge() {
    let server = server().await;
    let client = common::client(&server).await;
    common::log_in_with(&client, &server, "alice")
        .await
        .unwrap();
    let token = server.requests_to(Endpoint::Token).pop().unwrap();
    let verifier = token.form_value("code_verifier").unwrap().to_owned();
    assert_eq!(verifier.len(), 43);
    let request = pushed(&server);
    assert_eq!(
        request.form_value("code_challenge"),
        Some(s256(&verifier).as_str())
    );
    assert_eq!(token.form_value("redirect_uri"), Some(REDIRECT_URI));
    for request in server.requests() {
        if request.endpoint != Endpoint::Token {
            assert!(!String::from_utf8_lossy(&request.body).contains(&verifier));
        }
        assert!(!request.uri.contains(&verifier));
    }
}

/// PAR-4, SP-5.3.3.2-4, BCP-2.1.1, DPOP-jkt-as, OFTEN-14: each start pushes anew, with nothing of the
/// one before in it.
#[tokio::test]
async fn two_starts_share_nothing() {
    let server = server().await;
    let client = common::client(&server).await;
    let logins = [common::begin(&client).await, common::begin(&client).await];
    assert_ne!(logins[0].url(), logins[1].url());
    assert_ne!(
        logins[0].transaction().expose(),
        logins[1].transaction().expose()
    );
    let pushes = server.requests_to(Endpoint::Par);
    assert_eq!(pushes.len(), 2);
    for name in [
        "state",
        "nonce",
        "code_challenge",
        "dpop_jkt",
        "client_assertion",
    ] {
        assert_ne!(
            pushes[0].form_value(name).unwrap(),
            pushes[1].form_value(name).unwrap(),
            "{name}"
        );
    }
}

/// SP-5.3.3.2-6, OFTEN-3: the browser carries `client_id` and `request_uri`, behind the query that the
/// endpoint itself has, and the server takes it so.
#[tokio::test]
async fn the_url_has_two_parameters() {
    for own in [None, Some("tenant=a%20b&flag=")] {
        let mut builder = TestServer::builder().nonces(Nonces::Off);
        if let Some(query) = own {
            builder = builder.authorization_endpoint_query(query);
        }
        let server = builder.start().await;
        let client = common::client(&server).await;
        let login = begin_with_everything(client.login()).await.unwrap();
        let url = login.url();
        let mut names: Vec<String> = url.query_pairs().map(|(name, _)| name.into()).collect();
        assert_eq!(
            names.split_off(names.len() - 2),
            ["client_id", "request_uri"]
        );
        assert_eq!(names.len(), own.map_or(0, |_| 2));
        assert!(own.is_none_or(|own| url.query().unwrap().starts_with(own)));
        assert_eq!(url.fragment(), None);
        assert_eq!(url.path(), "/authorize");
        let callback = server.browser("alice").approve(url.as_str()).await;
        assert!(callback.starts_with(REDIRECT_URI));
        // `login_hint`, the extra parameter and the state are in the form, and in no URL.
        let state = pushed(&server).form_value("state").unwrap().to_owned();
        for secret in ["alice@bank.example", "to%20test", "to+test", state.as_str()] {
            assert!(!url.as_str().contains(secret));
        }
    }
}

async fn begin_with_everything(login: LoginRequest) -> Result<Login, Error> {
    login
        .scope("openid  accounts ")
        .max_age(Duration::from_millis(300_900))
        .acr_values(["phr", "phrh"])
        .claims(
            ClaimsRequest::new()
                .id_token("auth_time", ClaimRequest::essential())
                .userinfo("email", ClaimRequest::voluntary()),
        )
        .prompt(Prompt::Login)
        .prompt(Prompt::Consent)
        .login_hint("alice@bank.example")
        .ui_locales(["gsw-CH", "de"])
        .resource("https://api.example/accounts?x=1")
        .resource("urn:example:payments")
        .authorization_detail(
            AuthorizationDetail::new("account_information").with("actions", json!(["list"])),
        )
        .authorization_detail(AuthorizationDetail::new("payment_initiation"))
        .nonce("n".repeat(64))
        .parameter("purpose", "to test")
        .start()
        .await
}

/// PRIV-7, SP-5.3.2.2-N5, RI-2, RAR-2, SP-5.3.2.1-14, SP-5.3.2.2-14: each parameter of a login is
/// pushed as its specification writes it.
#[tokio::test]
async fn typed_parameters_are_pushed() {
    let server = server().await;
    let client = common::client(&server).await;
    begin_with_everything(client.login()).await.unwrap();
    let request = pushed(&server);
    let nonce = "n".repeat(64);
    for (name, expected) in [
        ("scope", "openid accounts"),
        ("max_age", "300"),
        ("acr_values", "phr phrh"),
        ("prompt", "login consent"),
        ("login_hint", "alice@bank.example"),
        ("ui_locales", "gsw-CH de"),
        ("nonce", &nonce),
        ("purpose", "to test"),
    ] {
        assert_eq!(request.form_values(name), [expected], "{name}");
    }
    assert_eq!(
        request.form_values("resource"),
        ["https://api.example/accounts?x=1", "urn:example:payments"]
    );
    let json_of = |name| -> Value { request.form_value(name).unwrap().parse().unwrap() };
    assert_eq!(
        json_of("claims"),
        json!({"id_token": {"auth_time": {"essential": true}}, "userinfo": {"email": null}})
    );
    assert_eq!(
        json_of("authorization_details"),
        json!([
            {"type": "account_information", "actions": ["list"]},
            {"type": "payment_initiation"},
        ])
    );
}

/// SEC-cred: the ID token of a session is handed over as a hint, byte for byte.
#[tokio::test]
async fn an_id_token_is_a_hint_for_the_next_login() {
    let server = server().await;
    let client = common::client(&server).await;
    let session = common::log_in_with(&client, &server, "alice")
        .await
        .unwrap();
    let hint = session.id_token_hint().unwrap();
    let login = client.login().scope("openid").id_token_hint(hint.clone());
    let url = login.start().await.unwrap().url().to_string();
    let request = pushed(&server);
    assert_eq!(request.form_value("id_token_hint"), Some(hint.expose()));
    assert!(!url.contains(hint.expose()));
}

/// SP-5.3.3.2-7, PAR-2.1, R6749-3.2, RI-2, RAR-2, RAR-10: a parameter that can't be right is refused
/// before anything is sent.
#[tokio::test]
async fn wrong_parameters_are_refused_before_anything_is_sent() {
    type Change = fn(LoginRequest) -> LoginRequest;
    let server = server().await;
    let client = common::client(&server).await;
    let parameter = |name: &str| ConfigError::Parameter(name.to_owned());
    let detail = |kind: &str| ConfigError::AuthorizationDetail(kind.to_owned());
    let mut rows: Vec<(Change, ConfigError)> = vec![
        (
            |login| login.nonce("n".repeat(65)),
            ConfigError::NonceTooLong,
        ),
        (|login| login.nonce(""), ConfigError::NonceTooLong),
        (|login| login.scope(""), ConfigError::Scope),
        (|login| login.scope("openid \"x\""), ConfigError::Scope),
        (|login| login.scope("caf\u{e9}"), ConfigError::Scope),
        (|login| login.resource("/accounts"), ConfigError::Resource),
        (
            |login| login.resource("https://api.example/#part"),
            ConfigError::Resource,
        ),
        (
            |login| login.authorization_detail(AuthorizationDetail::new("")),
            detail(""),
        ),
        (
            |login| login.authorization_detail(AuthorizationDetail::new("unheard_of")),
            detail("unheard_of"),
        ),
        (|login| login.parameter("purpose", ""), parameter("purpose")),
        (|login| login.parameter("", "x"), parameter("")),
        (
            |login| login.parameter("a", "1").parameter("a", "2"),
            parameter("a"),
        ),
        (|login| login.login_hint(""), parameter("login_hint")),
        (|login| login.acr_values([""]), parameter("acr_values")),
        (|login| login.ui_locales([""]), parameter("ui_locales")),
    ];
    macro_rules! reserved {
        ($($name:literal),*) => {$(
            rows.push((
                |login| login.parameter($name, "x"),
                ConfigError::ReservedParameter($name.to_owned()),
            ));
        )*};
    }
    reserved!(
        "request_uri",
        "request",
        "response_type",
        "response_mode",
        "client_id",
        "client_secret",
        "client_assertion",
        "redirect_uri",
        "state",
        "nonce",
        "scope",
        "code_challenge",
        "code_challenge_method",
        "dpop_jkt"
    );
    server.forget_requests();
    for (change, expected) in rows {
        let error = change(client.login()).start().await.unwrap_err();
        assert_eq!(common::config(&error), Some(&expected));
    }
    assert_eq!(server.requests().len(), 0);
}

/// NAT-7.3, SP-5.3.2.2-8: a program on the user's own device comes back to a port of its own, which the
/// server need not know.
#[tokio::test]
async fn a_loopback_redirect_keeps_its_port() {
    let server = server().await;
    let keys = common::register(&server);
    let registration = |uri| {
        fapi_testkit::Registration::new(CLIENT_ID)
            .jwks(keys.jwks())
            .redirect_uri(uri)
    };
    for (registered, own) in [
        ("http://127.0.0.1/cb", "http://127.0.0.1:4711/cb"),
        ("http://[::1]/cb", "http://[::1]:4711/cb"),
    ] {
        server.register(registration(registered));
        let builder = common::builder_with(&server, keys.clone()).redirect_uri(own);
        let client = builder.build().await.unwrap();
        let session = common::log_in_with(&client, &server, "alice")
            .await
            .unwrap();
        assert_eq!(session.subject(), Some("alice"));
        assert_eq!(pushed(&server).form_value("redirect_uri"), Some(own));
        let token = server.requests_to(Endpoint::Token).pop().unwrap();
        assert_eq!(token.form_value("redirect_uri"), Some(own));
    }
}
