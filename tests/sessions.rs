//! Sessions: finding them, sharing them, ending them.

mod logout;

use std::fmt::Debug;
use std::time::Duration;

use fapi_client::{
    ApiRequest, ApiResponse, Client, Clients, Error, JwtFault, JwtKind, Login, Prepared, Service,
    Session, SessionId, SignInAgain, StoreError, Violation,
};
use fapi_testkit::{Endpoint, Nonces, TestClock, TestServer};
use http::Method;
use tokio::task::JoinSet;

use crate::common;

fn no_such_session(found: &Result<Session, Error>) -> bool {
    matches!(found, Err(Error::Store(StoreError::NoSuchSession)))
}

/// SEC-6.7: a session is found by its id and by its user, at the client that began it and at no other.
#[tokio::test]
async fn sessions_are_found_by_id_and_by_user() {
    let (server, other) = (TestServer::start().await, TestServer::start().await);
    let client = common::client(&server).await;
    let one = common::log_in_with(&client, &server, "alice")
        .await
        .unwrap();
    let two = common::log_in_with(&client, &server, "alice")
        .await
        .unwrap();
    let bob = common::log_in_with(&client, &server, "bob").await.unwrap();
    let elsewhere = common::client(&other).await;
    common::log_in_with(&elsewhere, &other, "alice")
        .await
        .unwrap();

    assert_eq!(one.id().as_str().len(), 43, "256 bits");
    let stored = SessionId::from(one.id().as_str());
    assert_eq!(
        client.session(&stored).await.unwrap().subject(),
        Some("alice")
    );
    let mut of_alice: Vec<_> = client
        .sessions_of("alice")
        .await
        .unwrap()
        .iter()
        .map(|s| s.id().clone())
        .collect();
    let mut expected = vec![one.id().clone(), two.id().clone()];
    of_alice.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
    expected.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
    assert_eq!(of_alice, expected);
    assert_eq!(client.sessions_of("bob").await.unwrap()[0].id(), bob.id());
    assert!(client.sessions_of("ALICE").await.unwrap().is_empty());
    assert!(
        client
            .sessions_of(common::CLIENT_ID)
            .await
            .unwrap()
            .is_empty()
    );
    assert!(no_such_session(&elsewhere.session(one.id()).await));
    assert!(no_such_session(
        &client.session(&SessionId::from("guessed")).await
    ));

    one.logout().await.unwrap();
    assert!(no_such_session(&client.session(one.id()).await));
    assert_eq!(client.sessions_of("alice").await.unwrap()[0].id(), two.id());
    assert_eq!(client.sessions_of("alice").await.unwrap().len(), 1);
}

/// All clones, and what `session()` gives, are one session: one refresh serves all, one logout ends all.
#[tokio::test]
async fn clones_are_one_session() {
    let server = TestServer::start().await;
    let client = common::client(&server).await;
    let session = common::log_in_with(&client, &server, "alice")
        .await
        .unwrap();
    let clone = session.clone();
    let found = client.session(session.id()).await.unwrap();
    common::get(&session, &server, "/accounts").await.unwrap();
    clone.refresh().await.unwrap();
    server.forget_requests();
    common::get(&found, &server, "/accounts").await.unwrap();
    common::get(&session, &server, "/accounts").await.unwrap();
    let used: Vec<_> = server
        .requests_to(Endpoint::Api)
        .iter()
        .map(|request| request.header("authorization").unwrap().to_owned())
        .collect();
    assert_eq!(used.len(), 2, "the nonce is known to all");
    assert_eq!(used[0], used[1]);
    found.logout().await.unwrap();
    for handle in [session, clone, found] {
        let error = common::get(&handle, &server, "/accounts")
            .await
            .unwrap_err();
        assert!(matches!(error, Error::SignInAgain(SignInAgain::LoggedOut)));
    }
}

/// DPOP-nsep, SEC-6.3: under challenges and side by side, each session's requests carry its own token and
/// a proof of its own key, and every answer is about its own user.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sessions_side_by_side_never_swap_tokens() {
    let server = TestServer::builder()
        .nonces(Nonces::SingleUse)
        .start()
        .await;
    let client = common::client(&server).await;
    let mut calls = JoinSet::new();
    for user in ["alice", "bob", "carol"] {
        let session = common::log_in_with(&client, &server, user).await.unwrap();
        for _ in 0..10 {
            let (session, server) = (session.clone(), server.clone());
            calls.spawn(async move {
                let answer = common::get(&session, &server, "/accounts").await?;
                let seen: serde_json::Value = answer.json()?;
                assert_eq!(seen["sub"], user);
                assert_eq!(seen["cnf"]["jkt"], session.key_thumbprint().unwrap());
                Ok::<_, Error>(())
            });
        }
    }
    while let Some(outcome) = calls.join_next().await {
        outcome.unwrap().unwrap();
    }
    common::assert_fresh(&server);
}

/// SU-3, SU-4, IDT-12: a step-up begins a login for the same target and user with what the API wants, and
/// the ID token has to show it. The first session stays as it is.
#[tokio::test]
async fn a_step_up_begins_the_login_that_the_api_wants() {
    let server = TestServer::builder()
        .clock(TestClock::at(1_800_000_000))
        .start()
        .await;
    let client = common::client(&server).await;
    let session = common::log_in_with(&client, &server, "alice")
        .await
        .unwrap();
    server.clock().advance(Duration::from_secs(120));
    let path = "/step-up?acr=phr&max_age=60";
    let Err(Error::StepUp(wanted)) = common::get(&session, &server, path).await else {
        panic!("the login is too weak");
    };
    server.forget_requests();

    let login = session.step_up(&wanted).start().await.unwrap();
    let pushed = server.requests_to(Endpoint::Par).pop().unwrap();
    assert_eq!(pushed.form_value("scope"), Some("openid accounts"));
    assert_eq!(pushed.form_value("acr_values"), Some("phr"));
    assert_eq!(pushed.form_value("max_age"), Some("60"));
    assert_eq!(server.count(Endpoint::Token), 0, "nothing is refreshed");
    let callback = server.browser("alice").approve(login.url().as_str()).await;
    let stronger = client
        .finish_login(login.transaction(), callback)
        .await
        .unwrap();
    assert_eq!(stronger.id_token().unwrap().acr(), Some("phr"));
    let answer = common::get(&stronger, &server, path).await.unwrap();
    assert_eq!(answer.status(), 200);
    common::get(&session, &server, "/accounts").await.unwrap();
    assert_ne!(session.id(), stronger.id());

    let weak = session.step_up(&wanted).start().await.unwrap();
    let browser = server.browser("alice").with_acr("urn:example:acr:password");
    let callback = browser.approve(weak.url().as_str()).await;
    let error = client
        .finish_login(weak.transaction(), callback)
        .await
        .unwrap_err();
    assert_eq!(
        error.violation(),
        Some(&Violation::Jwt {
            kind: JwtKind::IdToken,
            fault: JwtFault::Acr
        })
    );
    let other = session.step_up(&wanted).start().await.unwrap();
    let callback = server.browser("bob").approve(other.url().as_str()).await;
    let error = client
        .finish_login(other.transaction(), callback)
        .await
        .unwrap_err();
    assert_eq!(error.violation(), Some(&Violation::SubjectChanged));
    assert_eq!(client.sessions_of("alice").await.unwrap().len(), 2);
    assert!(client.sessions_of("bob").await.unwrap().is_empty());
}

/// Everything that a program holds can go to any thread and live as long as it likes.
#[test]
fn handles_can_be_shared() {
    fn shared<T: Send + Sync + 'static>() {}
    fn cheap<T: Clone + Send + Sync + Debug + 'static>() {}
    cheap::<Client>();
    cheap::<Clients>();
    cheap::<Session>();
    cheap::<Service>();
    cheap::<SessionId>();
    cheap::<ApiResponse>();
    cheap::<Error>();
    shared::<ApiRequest>();
    shared::<Prepared>();
    shared::<Login>();
}

/// SEC-cred: what a program may print shows no secret of any kind, before and after each step.
#[tokio::test]
async fn nothing_that_can_be_printed_shows_a_secret() {
    let server = TestServer::builder().refresh_rotation(true).start().await;
    let client = common::client(&server).await;
    let (login, callback) = common::approved(&client, &server, "alice", "openid accounts").await;
    let mut printed = vec![format!("{client:?} {login:?} {:?}", login.transaction())];
    let handle = login.transaction().expose().to_owned();
    let session = client
        .finish_login(login.transaction(), callback)
        .await
        .unwrap();
    let hint = session.id_token_hint().unwrap();
    let request = session.get(format!("{}/a?q=query-secret", server.api()));
    printed.push(format!(
        "{session:?} {hint:?} {:?} {request:?}",
        session.id_token()
    ));
    let answer = request.send().await.unwrap();
    let prepared = session.prepare(Method::GET, server.api()).await.unwrap();
    let unsent = format!("{:?}", prepared.headers());
    printed.push(format!("{answer:?} {prepared:?} {unsent}"));
    let info = session.userinfo().await.unwrap();
    let service = client
        .client_credentials()
        .scope("accounts")
        .start()
        .await
        .unwrap();
    printed.push(format!("{info:?} {service:?}"));
    server.revoke_grants();
    let error = session.refresh().await.unwrap_err();
    printed.push(format!("{error} {error:?}"));
    let again = client
        .finish_login(login.transaction(), "code=x")
        .await
        .unwrap_err();
    printed.push(format!("{again} {again:?}"));

    let printed = printed.join("\n");
    let mut secrets = server.secrets_issued();
    secrets.extend([handle, "query-secret".to_owned(), hint.expose().to_owned()]);
    assert!(secrets.len() > 20, "the test knows what to look for");
    for secret in secrets {
        assert!(!printed.contains(&secret), "{secret} in {printed}");
    }
}
