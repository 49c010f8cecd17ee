//! Registrations that are read, changed and deleted (RFC 7592).

use std::time::Duration;

use fapi_client::{
    ConfigError, Endpoint as At, Registration, RegistrationChanges, StoreError, Stores, Violation,
};
use fapi_testkit::{Answer, Endpoint, TestServer};
use http::Method;
use serde_json::{Value, json};

use super::kept::{Foreign, store};
use super::{auth, refusal, register, request, weaker};
use crate::common;

/// A server that gives another token with each answer.
async fn rotating() -> TestServer {
    let builder = TestServer::builder().registration_token_rotation(true);
    builder.start().await
}

async fn load(stores: &Stores, server: &TestServer) -> Registration {
    let loaded = Registration::load(stores, server.issuer(), "app").await;
    loaded.unwrap().unwrap().transport(common::https(server))
}

/// DCM-2.2: an update sends everything with the client id, and none of what the server alone gives.
#[tokio::test]
async fn an_update_sends_everything() {
    let server = TestServer::start().await;
    let mut registration = register(&server).await;
    let before = registration.metadata().clone();
    let auth = auth();
    let changes = RegistrationChanges::new()
        .client_name("Another Name")
        .scope("openid accounts payments")
        .redirect_uris([common::REDIRECT_URI, "https://app.example/second"])
        .metadata("x_bank", 7)
        .authenticate_with(auth);
    registration.update(changes).await.unwrap();

    let sent = server.requests_to(Endpoint::Management).pop().unwrap();
    assert_eq!(sent.method, Method::PUT);
    assert!(sent.path().ends_with(registration.client_id()));
    let mut body: Value = serde_json::from_slice(&sent.body).unwrap();
    let body = body.as_object_mut().unwrap();
    assert_eq!(body.remove("client_id").unwrap(), registration.client_id());
    assert_eq!(body, registration.metadata());
    for member in [
        "registration_access_token",
        "registration_client_uri",
        "client_secret_expires_at",
        "client_id_issued_at",
        "client_secret",
    ] {
        assert!(!body.contains_key(member), "{member}");
    }
    assert_eq!(body["client_name"], "Another Name");
    assert_ne!(body["jwks"], before["jwks"]);
    for (member, value) in before {
        let changed = ["client_name", "scope", "redirect_uris", "jwks"];
        assert!(changed.contains(&member.as_str()) || body[&member] == value);
    }

    // The new keys are the ones that log in.
    let client = registration.client_builder().build().await.unwrap();
    common::log_in_with(&client, &server, "alice")
        .await
        .unwrap();
}

/// DCM-2.2, DCR-3.2.1: an answer to an update or a look that is weaker, or about another client, is
/// refused, and the registration stays what it was.
#[tokio::test]
async fn a_weaker_answer_is_refused() {
    let server = TestServer::start().await;
    let mut registration = register(&server).await;
    let before = registration.metadata().clone();
    for (member, value) in [
        ("client_id", json!("another")),
        ("dpop_bound_access_tokens", json!(false)),
        ("id_token_signed_response_alg", json!("RS256")),
        ("redirect_uris", json!(["https://evil.example/"])),
    ] {
        server.behave();
        server.mutate_registration_response(move |body| body[member] = value.clone());
        let changes = RegistrationChanges::new().client_name("Another Name");
        let error = registration.update(changes).await.unwrap_err();
        assert_eq!(error.violation(), Some(&weaker(member)));
        assert_eq!(registration.metadata(), &before);
        let named = registration.read().await.unwrap_err();
        assert_eq!(named.violation(), Some(&weaker(member)));
        assert_eq!(registration.metadata(), &before);
    }
    server.behave();
    registration.read().await.unwrap();
    assert_eq!(registration.metadata()["client_name"], "Another Name");
}

/// A change that can't be right is told before anything is sent.
#[tokio::test]
async fn a_wrong_change_is_not_sent() {
    let server = TestServer::start().await;
    let mut registration = register(&server).await;
    let none: [&str; 0] = [];
    for (changes, expected) in [
        (
            RegistrationChanges::new().redirect_uris(["http://app.example/"]),
            ConfigError::RedirectUri,
        ),
        (
            RegistrationChanges::new().redirect_uris(none),
            ConfigError::NoRedirectUri,
        ),
        (RegistrationChanges::new().scope(""), ConfigError::Scope),
        (
            RegistrationChanges::new().metadata("jwks_uri", "https://evil.example"),
            ConfigError::ReservedParameter("jwks_uri".to_owned()),
        ),
    ] {
        let error = registration.update(changes).await.unwrap_err();
        assert_eq!(common::config(&error), Some(&expected));
    }
    assert_eq!(server.count(Endpoint::Management), 0);
}

/// DCM-3: each answer brings another token. It is stored before the call returns, and the old one is
/// dropped, in memory and in the store.
#[tokio::test]
async fn a_new_token_is_stored_at_once() {
    let server = rotating().await;
    let stores = Foreign::default().stores();
    let mut registration = register(&server).await;
    registration.save(&stores, "app").await.unwrap();
    for _ in 0..3 {
        registration.read().await.unwrap();
        let mut loaded = load(&stores, &server).await;
        loaded.read().await.unwrap();
        registration = loaded;
    }
    let used = server.requests_to(Endpoint::Management);
    let mut tokens: Vec<_> = used
        .iter()
        .map(|request| request.header("authorization").unwrap().to_owned())
        .collect();
    assert_eq!(tokens.len(), 6);
    tokens.dedup();
    assert_eq!(tokens.len(), 6, "each token once");
    assert_eq!(server.refusals(), Vec::<String>::new());
}

/// DCM-3: a token that comes with an answer that is refused counts all the same; the one before is void.
#[tokio::test]
async fn a_new_token_counts_though_the_answer_does_not() {
    let server = rotating().await;
    let stores = Stores::memory();
    let mut registration = register(&server).await;
    registration.save(&stores, "app").await.unwrap();
    server.mutate_registration_response(|body| body["dpop_bound_access_tokens"] = false.into());
    let error = registration.read().await.unwrap_err();
    assert_eq!(error.violation(), Some(&weaker("dpop_bound_access_tokens")));
    server.behave();
    load(&stores, &server).await.delete().await.unwrap();
}

/// DCM-3: a store that fails is told. The new token is kept here, and saved by another try.
#[tokio::test]
async fn a_token_that_could_not_be_stored_is_not_lost() {
    let server = rotating().await;
    let foreign = Foreign::default();
    let stores = foreign.stores();
    let mut registration = register(&server).await;
    registration.save(&stores, "app").await.unwrap();
    foreign.break_down(true);
    let error = registration.read().await.unwrap_err();
    assert_eq!(store(&error), Some(&StoreError::NoSpace));
    foreign.break_down(false);
    registration.save(&stores, "app").await.unwrap();
    load(&stores, &server).await.read().await.unwrap();
}

/// DCM-3: who goes away while the server answers loses no token: what it brings is stored all the same.
#[tokio::test]
async fn a_token_is_stored_though_nobody_waits_for_it() {
    let server = rotating().await;
    let stores = Foreign::default().stores();
    let mut registration = register(&server).await;
    registration.save(&stores, "app").await.unwrap();
    let hold = server.hold(Endpoint::Management);
    let asking = tokio::spawn(async move { registration.read().await });
    server.wait_for(Endpoint::Management, 1).await;
    asking.abort();
    asking.await.unwrap_err();
    hold.release();
    let mut loaded = load(&stores, &server).await;
    let kept = || async { load(&stores, &server).await.to_bytes().unwrap() };
    let before = loaded.to_bytes().unwrap();
    while *kept().await == *before {
        tokio::task::yield_now().await;
    }
    loaded = load(&stores, &server).await;
    loaded.read().await.unwrap();
    assert_eq!(server.refusals(), Vec::<String>::new());
}

/// DCM-3: a call that is given up goes on, and the next call of the same registration goes on from what it
/// brought, though it is kept nowhere else.
#[tokio::test]
async fn a_call_that_was_given_up_costs_no_token() {
    let server = rotating().await;
    let mut registration = register(&server).await;
    let hold = server.hold(Endpoint::Management);
    let given_up = tokio::time::timeout(Duration::from_millis(200), registration.read()).await;
    given_up.expect_err("the server holds the answer back");
    server.wait_for(Endpoint::Management, 1).await;
    hold.release();
    registration.read().await.unwrap();
    registration.read().await.unwrap();
    assert_eq!(server.refusals(), Vec::<String>::new());
}

/// DCM-2.3: 204, and the client is gone at the server and in the store. Nothing is sent for it again.
#[tokio::test]
async fn a_client_is_deleted() {
    let server = TestServer::start().await;
    let stores = Stores::memory();
    let mut registration = register(&server).await;
    registration.save(&stores, "app").await.unwrap();
    let mut copy = load(&stores, &server).await;
    registration.delete().await.unwrap();
    assert!(!registration.is_managed());
    let left = Registration::load(&stores, server.issuer(), "app").await;
    assert!(left.unwrap().is_none());
    let sent = server.requests_to(Endpoint::Management).pop().unwrap();
    assert_eq!((sent.method, sent.body.len()), (Method::DELETE, 0));

    server.forget_requests();
    let error = registration.delete().await.unwrap_err();
    assert_eq!(common::config(&error), Some(&ConfigError::Unmanaged));
    assert_eq!(server.requests().len(), 0);

    let client = registration.client_builder().build().await.unwrap();
    let error = common::log_in_with(&client, &server, "alice").await;
    assert_eq!(error.unwrap_err().code(), "denied.server");

    // DCM-2.3: the token is void.
    let error = copy.read().await.unwrap_err();
    let void = (
        "denied.registration_token",
        Some(401),
        "invalid_token".to_owned(),
    );
    assert_eq!(refusal(&error), void);
}

/// DCM-2.3: 401, 403 and 405 say what they mean, another success is none; what is kept stays.
#[tokio::test]
async fn a_client_that_can_not_be_deleted_stays() {
    let server = TestServer::start().await;
    let stores = Stores::memory();
    let mut registration = register(&server).await;
    registration.save(&stores, "app").await.unwrap();
    for (status, code, word) in [
        (401, "denied.registration_token", "invalid_token"),
        (403, "denied.not_offered", "forbidden"),
        (405, "denied.not_offered", "method_not_allowed"),
    ] {
        server.answer_next(Endpoint::Management, Answer::status(status));
        let error = registration.delete().await.unwrap_err();
        assert_eq!(refusal(&error), (code, Some(status), word.to_owned()));
    }
    server.answer_next(Endpoint::Management, Answer::status(200));
    let error = registration.delete().await.unwrap_err();
    let status = Violation::Status {
        endpoint: At::Registration,
        status: 200,
    };
    assert_eq!(error.violation(), Some(&status));
    assert_eq!(server.count(Endpoint::Management), 4);
    load(&stores, &server).await.delete().await.unwrap();
}

/// RFC 7591 section 3.2.1: a server that gives no token manages no clients, and is not asked to.
#[tokio::test]
async fn a_server_without_management_is_not_asked() {
    let server = TestServer::start().await;
    server.mutate_registration_response(|body| {
        body.as_object_mut()
            .unwrap()
            .remove("registration_access_token");
    });
    let mut registration = request(&server).send().await.unwrap();
    assert!(!registration.is_managed());
    let changes = RegistrationChanges::new();
    for error in [
        registration.read().await.unwrap_err(),
        registration.update(changes).await.unwrap_err(),
        registration.delete().await.unwrap_err(),
    ] {
        assert_eq!(common::config(&error), Some(&ConfigError::Unmanaged));
    }
    assert_eq!(server.count(Endpoint::Management), 0);
}
