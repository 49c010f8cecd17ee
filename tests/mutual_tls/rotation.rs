//! Another certificate while the client runs (MTLS-6.3), and tokens that are bound to what is gone.

use fapi_client::{CertificateSet, Error, KeyError, SignInAgain, Stores};
use fapi_testkit::{ClientCertificate as Kind, Endpoint, TestServer, TokenFault};
use serde_json::json;

use super::{Bound, By, NAME, builder, call, certificates, client, made, server, session};
use crate::common;

fn sign_in_again(error: &Error) -> Option<SignInAgain> {
    match error {
        Error::SignInAgain(cause) => Some(*cause),
        _ => None,
    }
}

fn rotate(set: &CertificateSet, server: &TestServer) -> String {
    let next = set.add(made(server, Kind::Valid)).unwrap();
    set.activate(&next).unwrap();
    next
}

/// MTLS-3, MTLS-6.3: after the certificate has changed, the next call refreshes first. The old token goes
/// nowhere, and the new one is bound to the new certificate.
#[tokio::test]
async fn the_next_call_refreshes_first() {
    for by in [By::Key, By::Certificate] {
        let (server, set, client) = client(by, Bound::Certificate).await;
        let session = session(&client, &server).await;
        call(&session, &server).await;
        let old = server.requests_to(Endpoint::Api).pop().unwrap();
        let before = set.active().thumbprint().to_owned();
        server.forget_requests();

        let next = rotate(&set, &server);
        set.remove(&before).unwrap();
        let seen = call(&session, &server).await;
        assert_eq!(seen["cnf"], json!({"x5t#S256": next}));
        let requests = server.requests();
        let endpoints: Vec<Endpoint> = requests.iter().map(|one| one.endpoint).collect();
        assert_eq!(endpoints, [Endpoint::Token, Endpoint::Api]);
        for request in &requests {
            assert_eq!(request.certificate(), Some(next.as_str()));
        }
        assert_eq!(requests[0].form_value("grant_type"), Some("refresh_token"));
        assert_ne!(
            requests[1].header("authorization"),
            old.header("authorization")
        );
        // Once is enough.
        call(&session, &server).await;
        assert_eq!(server.count(Endpoint::Token), 1);
        session.userinfo().await.unwrap();
        session.logout().await.unwrap();
        assert_eq!(server.refusals(), Vec::<String>::new());
    }
}

/// MTLS-6.3: many who call after the change share one refresh.
#[tokio::test]
async fn one_refresh_for_all() {
    let (server, set, client) = client(By::Certificate, Bound::Certificate).await;
    let session = session(&client, &server).await;
    let next = rotate(&set, &server);
    server.forget_requests();
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (session, server) = (session.clone(), server.clone());
        calls.spawn(async move { call(&session, &server).await });
    }
    while let Some(seen) = calls.join_next().await {
        assert_eq!(seen.unwrap()["cnf"], json!({"x5t#S256": next}));
    }
    assert_eq!(server.count(Endpoint::Token), 1);
    assert_eq!(server.count(Endpoint::Api), 20);
}

/// MTLS-3: a refresh whose answer was lost is made again with the certificate that is shown by then, and the
/// token is known by that.
#[tokio::test]
async fn a_lost_refresh_is_made_again_under_the_new_certificate() {
    let (server, set, client) = client(By::Certificate, Bound::Certificate).await;
    let session = session(&client, &server).await;
    rotate(&set, &server);
    server.answer_always(Endpoint::Token, fapi_testkit::Answer::drop_connection());
    let lost = session.get(format!("{}/accounts", server.mtls_api()));
    let lost = lost.send().await.unwrap_err();
    assert!(common::transport(&lost).is_some(), "{lost:?}");
    assert_eq!(server.count(Endpoint::Api), 0);
    server.behave();
    let next = rotate(&set, &server);
    let seen = call(&session, &server).await;
    assert_eq!(seen["cnf"], json!({"x5t#S256": next}));
}

/// MTLS-2.2: a certificate that no authority signed is registered before it is shown.
#[tokio::test]
async fn a_self_signed_certificate_changes() {
    let (server, set, client) = client(By::SelfSigned, Bound::Certificate).await;
    let session = session(&client, &server).await;
    let next = set.add(made(&server, Kind::SelfSigned)).unwrap();
    let published = client.jwks().unwrap();
    assert_eq!(published["keys"].as_array().unwrap().len(), 2);
    assert_eq!(published["keys"][1]["x5t#S256"], next);
    server.register(
        fapi_testkit::Registration::new(common::CLIENT_ID)
            .self_signed_tls_client_auth(published)
            .certificate_bound_tokens(),
    );
    set.activate(&next).unwrap();
    assert_eq!(
        call(&session, &server).await["cnf"],
        json!({"x5t#S256": next})
    );
}

/// MTLS-3: without a refresh token there is nothing to have the token bound anew with; nothing is sent. Under
/// the old certificate it goes on.
#[tokio::test]
async fn without_a_refresh_token_the_user_signs_in() {
    let (server, set, client) = client(By::Certificate, Bound::Certificate).await;
    server.misbehave(TokenFault::WithoutRefreshToken);
    let session = session(&client, &server).await;
    let before = set.active().thumbprint().to_owned();
    rotate(&set, &server);
    server.forget_requests();
    let error = session.get(format!("{}/accounts", server.mtls_api()));
    let error = error.send().await.unwrap_err();
    assert_eq!(sign_in_again(&error), Some(SignInAgain::KeyChanged));
    let error = session.userinfo().await.unwrap_err();
    assert_eq!(sign_in_again(&error), Some(SignInAgain::KeyChanged));
    assert_eq!(server.requests().len(), 0);

    set.activate(&before).unwrap();
    assert_eq!(
        call(&session, &server).await["cnf"],
        json!({"x5t#S256": before})
    );
}

/// MTLS-6.3: a token of the client's own is asked for anew.
#[tokio::test]
async fn a_service_token_is_asked_for_anew() {
    let (server, set, client) = client(By::Certificate, Bound::Certificate).await;
    let service = client.client_credentials().scope("accounts");
    let service = service.start().await.unwrap();
    assert_eq!(service.key_thumbprint(), None);
    let url = format!("{}/accounts", server.mtls_api());
    let seen = async || -> serde_json::Value {
        let answer = service.get(&url).send().await.unwrap();
        answer.error_for_status().unwrap().json().unwrap()
    };
    let shown = |set: &CertificateSet| json!({"x5t#S256": set.active().thumbprint()});
    assert_eq!(seen().await["cnf"], shown(&set));
    let next = rotate(&set, &server);
    assert_eq!(seen().await["cnf"], json!({"x5t#S256": next}));
    let requests = server.requests_to(Endpoint::Token);
    assert_eq!(requests.len(), 2);
    for request in requests {
        assert_eq!(request.form_value("grant_type"), Some("client_credentials"));
        assert_eq!(request.form_value("client_id"), Some(common::CLIENT_ID));
        assert!(request.proof().is_none() && request.assertion().is_none());
    }
    assert_eq!(server.refusals(), Vec::<String>::new());
}

/// MTLS-3: a token whose certificate the API does not see is refused there and renewed once, and the answer
/// stands.
#[tokio::test]
async fn an_api_that_sees_no_certificate_refuses() {
    let (server, _, client) = client(By::Certificate, Bound::Certificate).await;
    let session = session(&client, &server).await;
    server.forget_requests();
    let answer = common::get(&session, &server, "/accounts").await.unwrap();
    assert_eq!(answer.status(), 401);
    let challenge = answer.headers()["www-authenticate"].to_str().unwrap();
    assert!(challenge.starts_with(r#"Bearer error="invalid_token""#));
    assert_eq!(server.count(Endpoint::Token), 1);
    assert_eq!(server.count(Endpoint::Api), 2);
    for request in server.requests_to(Endpoint::Api) {
        assert_eq!(request.certificate(), None);
        assert!(request.proof().is_none());
    }
}

/// MTLS-3, ERR-3: a token that was revoked is renewed, by the `Bearer` challenge.
#[tokio::test]
async fn a_revoked_token_is_renewed() {
    let (server, _, client) = client(By::Key, Bound::Certificate).await;
    let session = session(&client, &server).await;
    server.revoke_access_tokens();
    server.forget_requests();
    call(&session, &server).await;
    assert_eq!(server.count(Endpoint::Token), 1);
    assert_eq!(server.count(Endpoint::Api), 2);
}

/// MTLS-3, SP-5.3.3.1-1: a session whose tokens are bound to a key is none for a client that binds them to
/// its certificate, and the other way round. Nothing is sent.
#[tokio::test]
async fn a_session_of_another_binding_is_lost() {
    for (first, second) in [
        (Bound::Key, Bound::Certificate),
        (Bound::Certificate, Bound::Key),
    ] {
        let server = server().await;
        let set = certificates(&server);
        let stores = Stores::memory();
        let client = async |bound| {
            let builder = builder(&server, By::Certificate, bound, &set);
            builder.stores(stores.clone()).build().await.unwrap()
        };
        let before = session(&client(first).await, &server).await;
        let id = before.id().clone();
        drop(before);
        let after = client(second).await;
        server.forget_requests();
        let error = after.session(&id).await.unwrap_err();
        assert_eq!(sign_in_again(&error), Some(SignInAgain::KeyLost));
        assert_eq!(server.requests().len(), 0);
    }
}

/// MTLS-3: a session comes back from the store with the certificate that its token is bound to; another
/// process that shows another certificate refreshes first.
#[tokio::test]
async fn a_stored_session_knows_its_certificate() {
    let server = server().await;
    let set = certificates(&server);
    let stores = Stores::memory();
    let client = async |set: &CertificateSet| {
        let builder = builder(&server, By::Certificate, Bound::Certificate, set);
        builder.stores(stores.clone()).build().await.unwrap()
    };
    let before = session(&client(&set).await, &server).await;
    let id = before.id().clone();
    drop(before);
    let same = client(&set).await.session(&id).await.unwrap();
    server.forget_requests();
    call(&same, &server).await;
    assert_eq!(server.count(Endpoint::Token), 0);
    drop(same);

    let other = certificates(&server);
    let again = client(&other).await.session(&id).await.unwrap();
    assert_eq!(
        call(&again, &server).await["cnf"],
        json!({"x5t#S256": other.active().thumbprint()})
    );
    assert_eq!(server.count(Endpoint::Token), 1);
}

/// A set names what it has, and keeps the certificate that is shown.
#[tokio::test]
async fn a_set_is_changed_with_care() {
    let server = server().await;
    let first = made(&server, Kind::Valid);
    let set = CertificateSet::new(first.clone());
    let own = first.thumbprint().to_owned();
    let duplicate = KeyError::DuplicateKeyId { kid: own.clone() };
    assert_eq!(set.add(first).unwrap_err(), duplicate);
    let unknown = || KeyError::NoSuchKey {
        kid: "x".to_owned(),
    };
    assert_eq!(set.activate("x").unwrap_err(), unknown());
    assert_eq!(set.remove("x").unwrap_err(), unknown());
    let active = KeyError::Active { kid: own.clone() };
    assert_eq!(set.remove(&own).unwrap_err(), active);
    assert_eq!(set.active().thumbprint(), own);
    let (chain, _) = server.client_certificate(Kind::Valid, &[NAME]);
    assert_ne!(TestServer::thumbprint_of(&chain), own);
}
