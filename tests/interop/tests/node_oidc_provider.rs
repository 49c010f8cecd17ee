//! The whole flow against node-oidc-provider with its FAPI 2.0 profile: PAR and DPoP nonces required.

#![allow(
    unreachable_pub,
    reason = "the helpers of a test binary have no outside"
)]

mod common;
mod registered;

use std::sync::OnceLock;

use common::{Setup, run_quickstart};
use fapi_client::{Denied, Endpoint, Error, OAuthError, Prompt, SignInAgain};
use fapi_interop::{Answer, Browser, NodeProvider, User};
use http::Method;
use registered::Newcomer;
use serde_json::{Value, json};

fn server() -> &'static NodeProvider {
    static SERVER: OnceLock<NodeProvider> = OnceLock::new();
    SERVER.get_or_init(NodeProvider::start)
}

fn setup<'a>(server: &'a NodeProvider, id: &str) -> Setup<'a> {
    Setup::new(
        server.pki(),
        server.issuer(),
        server.api(),
        server.client(id),
    )
}

async fn whole_flow(id: &str) {
    let server = server();
    let setup = setup(server, id);
    let report = setup.builder().preflight().await.unwrap();
    assert_eq!(report.findings(), []);
    let client = setup.client().await;
    assert_eq!(
        client.jwks().unwrap(),
        setup.registration.jwks(),
        "the set that the server was given"
    );

    let scope = "openid email accounts payments";
    let mut browser = setup.browser();
    let session = setup
        .log_in(&client, &mut browser, User::ALICE, scope)
        .await;
    assert_eq!(session.subject(), Some("alice"));
    assert_eq!(session.scope().unwrap().as_deref(), Some(scope));

    let accounts = format!("{}/accounts", server.api());
    let answer: Value = session.get(&accounts).send().await.unwrap().json().unwrap();
    assert_eq!(answer["subject"], "alice");

    let payments = format!("{}/payments", server.api());
    let order = json!({"amount": "12.50"});
    let call = session.post(&payments).json(&order);
    let answer: Value = call.send().await.unwrap().json().unwrap();
    assert_eq!(answer["received"], order);

    let userinfo = session.userinfo().await.unwrap();
    assert_eq!(userinfo.subject(), "alice");
    assert_eq!(userinfo.get("email"), Some(&json!("alice@example.com")));

    for _ in 0..2 {
        session.refresh().await.unwrap();
        let answer = session.get(&accounts).send().await.unwrap();
        assert_eq!(answer.status(), 200);
    }
    let refresh_tokens = if NodeProvider::rotates(setup.registration) {
        3
    } else {
        1
    };
    assert_eq!(setup.wire.refresh_tokens(), refresh_tokens);

    // REV-rt: with the refresh token goes the access token, which a thief might have kept.
    let stolen = session.prepare(Method::GET, &accounts).await.unwrap();
    session.logout().await.unwrap();
    let error = session.get(&accounts).send().await.unwrap_err();
    assert!(
        matches!(error, Error::SignInAgain(SignInAgain::LoggedOut)),
        "{error}"
    );
    let answer = Browser::client(server.pki())
        .get(&accounts)
        .headers(stolen.headers().clone())
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 401);

    let service = client
        .client_credentials()
        .scope("accounts")
        .start()
        .await
        .unwrap();
    let answer: Value = service.get(&accounts).send().await.unwrap().json().unwrap();
    assert_eq!(answer["client"], id);

    assert_eq!(setup.wire.refusals(), []);
    assert!(
        setup.wire.nonce_challenges() > 0,
        "this server demands nonces"
    );
    setup.wire.assert_every_jti_is_fresh();
}

#[tokio::test]
async fn es256_with_plain_userinfo() {
    whole_flow("es256").await;
}

#[tokio::test]
async fn ps256_with_signed_userinfo_and_rotated_refresh_tokens() {
    whole_flow("ps256").await;
}

#[tokio::test]
async fn eddsa_with_signed_userinfo() {
    whole_flow("eddsa").await;
}

#[tokio::test]
async fn loopback_with_rotated_refresh_tokens() {
    whole_flow("loopback").await;
}

/// DPOP-9: a nonce that the API takes no longer costs one more send, and the payment happens
/// once.
#[tokio::test]
async fn an_expired_nonce() {
    let server = NodeProvider::start(); // its counters are this test's alone
    let setup = setup(&server, "es256");
    let client = setup.client().await;
    let mut browser = setup.browser();
    let session = setup
        .log_in(&client, &mut browser, User::ALICE, "openid payments")
        .await;
    let http = Browser::client(server.pki());
    let test = |route: &str| format!("{}/test/{route}", server.api());
    let payments = format!("{}/payments", server.api());
    for challenged in [1, 2] {
        for _ in 0..2 {
            let answer = session
                .post(&payments)
                .json(&json!({}))
                .send()
                .await
                .unwrap();
            assert_eq!(answer.status(), 201);
        }
        let count = http.get(test("count")).send().await.unwrap();
        let count: Value = serde_json::from_str(&count.text().await.unwrap()).unwrap();
        assert_eq!(count["challenged"], challenged);
        assert_eq!(count["refused"], challenged, "for a nonce and nothing else");
        assert_eq!(count["served"], challenged * 2);
        http.post(test("expire-nonces")).send().await.unwrap();
    }
}

/// DCR-2b, DCR-3.2.1, DCM-3: a client that registers itself logs in; its registration is read, changed
/// and deleted, each time with another token.
#[tokio::test]
async fn registers_at_node_oidc_provider_and_logs_in() {
    let server = server();
    let newcomer = Newcomer::new(server.pki(), server.issuer(), server.api());
    let error = newcomer.request().send().await.unwrap_err();
    assert!(matches!(error, Error::Denied(_)), "{error}");

    let request = newcomer.request();
    let request = request.initial_access_token(server.initial_access_token());
    let registration = request.send().await.unwrap();
    let mut registration = newcomer.reopened(registration).await;
    newcomer.log_in(&registration).await;
    newcomer.manage(&mut registration).await;
}

/// The user's no is told apart from the server's.
#[tokio::test]
async fn a_user_who_refuses() {
    let setup = setup(server(), "es256");
    let client = setup.client().await;
    let login = client.login().scope("openid").start().await.unwrap();
    let mut browser = setup.browser();
    let url = login.url().as_str();
    let callback = setup
        .visit(&mut browser, url, User::ALICE, Answer::Refuse)
        .await;
    let error = client
        .finish_login(login.transaction(), callback)
        .await
        .unwrap_err();
    assert!(
        matches!(error, Error::Denied(Denied::AccessDenied(_))),
        "{error}"
    );
    assert_eq!(setup.wire.served("/token").len(), 0);
}

/// RI-2: a resource indicator yields a JWT for the API, which takes it. Without `openid`, since this
/// server would give a token for UserInfo then.
#[tokio::test]
async fn a_resource_indicator() {
    let server = server();
    let setup = setup(server, "es256");
    let client = setup.client().await;
    let login = client
        .login()
        .scope("accounts")
        .resource(&format!("{}/", server.api()))
        .start()
        .await
        .unwrap();
    let mut browser = setup.browser();
    let url = login.url().as_str();
    let callback = setup
        .visit(&mut browser, url, User::ALICE, Answer::Allow)
        .await;
    let session = client
        .finish_login(login.transaction(), callback)
        .await
        .unwrap();
    let accounts = format!("{}/accounts", server.api());
    let answer: Value = session.get(accounts).send().await.unwrap().json().unwrap();
    assert_eq!(answer["subject"], "alice");
    let issued = &setup.wire.served("/token")[0].json()["access_token"];
    assert_eq!(issued.as_str().unwrap().split('.').count(), 3, "a JWT");
}

/// `prompt=none` succeeds for a user who is signed in, and fails with a word for a stranger.
#[tokio::test]
async fn silent_sign_in() {
    let setup = setup(server(), "es256");
    let client = setup.client().await;
    let mut browser = setup.browser();
    let session = setup
        .log_in(&client, &mut browser, User::BOB, "openid accounts")
        .await;

    let silent = || {
        client
            .login()
            .scope("openid accounts")
            .prompt(Prompt::None)
            .id_token_hint(session.id_token_hint().unwrap())
            .start()
    };
    let login = silent().await.unwrap();
    let url = login.url().as_str();
    let callback = setup
        .visit(&mut browser, url, User::ALICE, Answer::Refuse)
        .await;
    let again = client
        .finish_login(login.transaction(), callback)
        .await
        .unwrap();
    assert_eq!(again.subject(), Some("bob"));
    assert_ne!(again.id(), session.id());
    assert_ne!(again.key_thumbprint(), session.key_thumbprint());

    let login = silent().await.unwrap();
    let mut stranger = setup.browser();
    let url = login.url().as_str();
    let callback = setup
        .visit(&mut stranger, url, User::ALICE, Answer::Allow)
        .await;
    let error = client
        .finish_login(login.transaction(), callback)
        .await
        .unwrap_err();
    assert_eq!(refusal(&error).error(), "login_required");
    assert_eq!(refusal(&error).endpoint(), Endpoint::Authorization);
}

/// Two users of one client, in two browsers, share nothing.
#[tokio::test]
async fn two_users() {
    let server = server();
    let setup = setup(server, "es256");
    let client = setup.client().await;
    let mut sessions = Vec::new();
    for user in [User::ALICE, User::BOB] {
        let mut browser = setup.browser();
        let scope = "openid accounts";
        sessions.push(setup.log_in(&client, &mut browser, user, scope).await);
    }
    let accounts = format!("{}/accounts", server.api());
    for (session, user) in sessions.iter().zip(["alice", "bob"]) {
        let answer: Value = session.get(&accounts).send().await.unwrap().json().unwrap();
        assert_eq!(answer["subject"], user);
        assert_eq!(session.userinfo().await.unwrap().subject(), user);
        let found: Vec<_> = client.sessions_of(user).await.unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].id(), session.id());
    }
    assert_ne!(sessions[0].key_thumbprint(), sessions[1].key_thumbprint());
}

/// The quickstart of the README, as a program of its own, with its receiver on a loopback address.
#[tokio::test]
async fn quickstart() {
    let server = server();
    let setup = setup(server, "loopback");
    let accounts = format!("{}/accounts", server.api());
    let output = run_quickstart(&setup, &accounts, "openid accounts").await;
    assert!(output.contains("subject        alice"), "{output}");
    assert!(output.contains("the server wants its nonce"), "{output}");
}

fn refusal(error: &Error) -> &OAuthError {
    match error {
        Error::Denied(Denied::Server(refusal)) => refusal,
        error => panic!("{error}"),
    }
}
