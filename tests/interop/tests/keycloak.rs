//! The whole flow against Keycloak with its FAPI 2.0 policies for DPoP.

#![allow(
    unreachable_pub,
    reason = "the helpers of a test binary have no outside"
)]

mod common;

use std::sync::OnceLock;

use common::{Setup, run_quickstart};
use fapi_client::{Denied, Error, Prompt, Session, SignInAgain};
use fapi_interop::{Answer, Browser, Keycloak, User};
use http::Method;
use serde_json::{Value, json};

fn server() -> &'static Keycloak {
    static SERVER: OnceLock<Keycloak> = OnceLock::new();
    SERVER.get_or_init(Keycloak::start)
}

fn setup(id: &str, issuer: &str) -> Setup<'static> {
    let server = server();
    Setup::new(server.pki(), issuer, server.origin(), server.client(id))
}

/// In both realms: one keeps refresh tokens, as FAPI 2.0 wants it, the other one rotates them.
async fn whole_flow(id: &str) {
    for issuer in [server().issuer(), server().rotating_issuer()] {
        let setup = setup(id, &issuer);
        let report = setup.builder().preflight().await.unwrap();
        assert_eq!(report.findings(), []);
        let client = setup.client().await;
        let mut browser = setup.browser();
        let session = setup
            .log_in(&client, &mut browser, User::ALICE, "openid email")
            .await;

        let userinfo = session.userinfo().await.unwrap();
        assert_eq!(userinfo.get("email"), Some(&json!("alice@example.com")));
        assert_eq!(Some(userinfo.subject()), session.subject());

        let account = format!("{issuer}/account/");
        let call = session.get(&account).header("accept", "application/json");
        let answer: Value = call.send().await.unwrap().json().unwrap();
        assert_eq!(answer["username"], "alice");

        for _ in 0..2 {
            session.refresh().await.unwrap();
            session.userinfo().await.unwrap();
        }
        // It names a refresh token anew each time, and in one realm takes no old one.
        assert_eq!(setup.wire.refresh_tokens(), 3);
        assert_eq!(setup.wire.refusals(), []);
        assert_eq!(
            setup.wire.nonce_challenges(),
            0,
            "this server has no nonces"
        );

        log_out(&setup, session).await;

        let service = client
            .client_credentials()
            .scope("openid")
            .start()
            .await
            .unwrap();
        let userinfo = format!("{issuer}/protocol/openid-connect/userinfo");
        let answer = service.get(userinfo).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        setup.wire.assert_every_jti_is_fresh();
    }
}

/// REV-rt: the access token ends with the session, whether Keycloak revokes the refresh token, with
/// which it goes, or refuses to.
async fn log_out(setup: &Setup<'_>, session: Session) {
    let userinfo = format!("{}/protocol/openid-connect/userinfo", setup.issuer);
    let stolen = session.prepare(Method::GET, &userinfo).await.unwrap();

    session.logout().await.unwrap();

    let error = session.userinfo().await.unwrap_err();
    assert!(
        matches!(error, Error::SignInAgain(SignInAgain::LoggedOut)),
        "{error}"
    );
    let answer = Browser::client(setup.pki)
        .get(&userinfo)
        .headers(stolen.headers().clone())
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 401);

    let refused = usize::from(Keycloak::strict(setup.registration));
    let refusals = setup.wire.refusals();
    assert_eq!(refusals.len(), refused, "{refusals:?}");
    let revoked = setup.wire.served("/revoke");
    assert_eq!(revoked.len(), 1);
    let hint = ["refresh_token", "access_token"][refused];
    assert_eq!(revoked[0].field("token_type_hint"), Some(hint));
    assert!(revoked[0].proof.is_some(), "Keycloak wants one here too");
}

#[tokio::test]
async fn es256_with_plain_userinfo() {
    whole_flow("es256").await;
}

#[tokio::test]
async fn ps256_with_signed_userinfo() {
    whole_flow("ps256").await;
}

#[tokio::test]
async fn eddsa_with_signed_userinfo() {
    whole_flow("eddsa").await;
}

#[tokio::test]
async fn loopback() {
    whole_flow("loopback").await;
}

/// The user's no is told apart from the server's.
#[tokio::test]
async fn a_user_who_refuses() {
    let setup = setup("es256", &server().issuer());
    let client = setup.client().await;
    let login = client.login().scope("openid").start().await.unwrap();
    let mut browser = setup.browser();
    let url = login.url().as_str();
    let callback = setup
        .visit(&mut browser, url, User::BOB, Answer::Refuse)
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

/// `prompt=none` succeeds for a user who is signed in, and fails with a word for a stranger.
#[tokio::test]
async fn silent_sign_in() {
    let setup = setup("ps256", &server().issuer());
    let client = setup.client().await;
    let mut browser = setup.browser();
    let session = setup
        .log_in(&client, &mut browser, User::BOB, "openid")
        .await;

    for (browser, signed_in) in [(&mut browser, true), (&mut setup.browser(), false)] {
        let login = client
            .login()
            .scope("openid")
            .prompt(Prompt::None)
            .id_token_hint(session.id_token_hint().unwrap())
            .start()
            .await
            .unwrap();
        let url = login.url().as_str();
        let callback = setup.visit(browser, url, User::ALICE, Answer::Refuse).await;
        match client.finish_login(login.transaction(), callback).await {
            Ok(again) => {
                assert!(signed_in);
                assert_eq!(again.subject(), session.subject());
            }
            Err(Error::Denied(Denied::Server(refusal))) => {
                assert!(!signed_in, "{refusal}");
                assert_eq!(refusal.error(), "login_required");
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// The quickstart of the README, as a program of its own, with its receiver on a loopback address.
#[tokio::test]
async fn quickstart() {
    let issuer = server().issuer();
    let setup = setup("loopback", &issuer);
    run_quickstart(&setup, &format!("{issuer}/account/"), "openid").await;
}
