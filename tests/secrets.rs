//! No secret gets out by a side door.

use std::io;
use std::sync::{Arc, Mutex, OnceLock};

use fapi_testkit::{Endpoint, Nonces, TestServer};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;

use crate::common;

/// Everything that was logged.
#[derive(Clone, Default)]
pub struct Captured(pub Arc<Mutex<Vec<u8>>>);

impl io::Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Captured {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// What is logged from now on by the whole process, whatever runs in it: more to search, and nothing that is
/// missed.
pub fn captured() -> Captured {
    static CAPTURED: OnceLock<Captured> = OnceLock::new();
    let begin = || {
        let captured = Captured::default();
        let layer = tracing_subscriber::fmt::layer()
            .with_ansi(false)
            .with_writer(captured.clone())
            .with_span_events(tracing_subscriber::fmt::format::FmtSpan::FULL);
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::set_global_default(subscriber).unwrap();
        captured
    };
    CAPTURED.get_or_init(begin).clone()
}

/// What was logged so far.
pub fn logged() -> String {
    String::from_utf8(captured().0.lock().unwrap().clone()).unwrap()
}

/// SEC-cred, R6750-5.3: everything that is logged by every crate during a full login, API calls, a
/// refresh, a refusal and a logout is searched for every secret that was used. `Debug` of everything
/// public is searched as well.
#[tokio::test]
async fn no_secret_is_logged() {
    captured();
    let server = TestServer::builder()
        .nonces(Nonces::Rotating)
        .refresh_rotation(true)
        .start()
        .await;
    let client = common::client(&server).await;
    let login = common::begin(&client).await;
    let callback = server.browser("alice").approve(login.url().as_str()).await;
    let session = client
        .finish_login(login.transaction(), &callback)
        .await
        .unwrap();
    let mut shown = vec![format!("{client:?} {login:?} {session:?}")];
    let again = client.finish_login(login.transaction(), &callback).await;
    let refused = again.unwrap_err();
    let prepared = session
        .prepare(http::Method::GET, format!("{}/x", server.api()))
        .await
        .unwrap();
    shown.push(format!("{prepared:?} {refused:?} {refused}"));
    server.revoke_access_tokens();
    let request = session.get(format!("{}/accounts", server.api()));
    shown.push(format!("{request:?}"));
    let response = request.send().await.unwrap();
    shown.push(format!("{response:?}"));
    let info = session.userinfo().await.unwrap();
    shown.push(format!(
        "{info:?} {:?} {:?}",
        session.id(),
        session.id_token()
    ));
    session.refresh().await.unwrap();
    session.logout().await.unwrap();
    let over = session.refresh().await.unwrap_err();
    shown.push(format!("{over:?} {over}"));

    let logged = logged();
    assert!(logged.contains("login finished"), "{logged}");
    assert!(logged.contains("session ended"), "{logged}");
    let mut secrets = server.secrets_issued();
    secrets.push(login.transaction().expose().to_owned());
    secrets.push(session.id().as_str().to_owned());
    let request_uri = login
        .url()
        .query_pairs()
        .find(|(name, _)| name == "request_uri");
    secrets.push(request_uri.unwrap().1.into_owned());
    for request in server.requests() {
        for name in ["authorization", "dpop"] {
            secrets.extend(request.header(name).map(str::to_owned));
        }
        for name in [
            "state",
            "nonce",
            "code",
            "code_verifier",
            "client_assertion",
        ] {
            secrets.extend(request.form_value(name).map(str::to_owned));
        }
    }
    let shown = shown.join("\n");
    assert!(secrets.len() > 20, "{}", secrets.len());
    for secret in secrets {
        assert!(!logged.contains(&secret), "logged: {secret}");
        assert!(!shown.contains(&secret), "shown: {secret}");
    }
    assert!(!shown.contains("alice"), "{shown}");
    assert!(server.count(Endpoint::Token) >= 3);
}

/// R6750-2.1, SP-5.3.3.1-3, SP-5.3.4-1: tokens are in no URL and in no body that goes to an API.
#[tokio::test]
async fn tokens_are_in_no_url() {
    let server = TestServer::start().await;
    let session = common::log_in(&server, "alice").await.unwrap();
    session
        .post(format!("{}/accounts", server.api()))
        .form([("a", "b")])
        .send()
        .await
        .unwrap();
    let secrets = server.secrets_issued();
    for request in server.requests() {
        if request.endpoint == Endpoint::Authorization || request.endpoint == Endpoint::Consent {
            continue;
        }
        for secret in &secrets {
            assert!(!request.uri.contains(secret.as_str()));
            if request.endpoint == Endpoint::Api {
                assert!(!String::from_utf8_lossy(&request.body).contains(secret.as_str()));
            }
        }
    }
}
