//! Chromium, node-oidc-provider with its own pages, and the application between them.
//!
//! The application is on `127.0.0.1` and the server on `localhost`: two sites, so that `SameSite` means what
//! it means in life.

use fapi_backend::app::App;
use fapi_backend::settings::{BaseUrl, Settings, Store};
use fapi_backend::tls::TlsListener;
use fapi_client::{KeySet, SoftwareKey};
use fapi_interop::{Browser, Chromium, NodeProvider, User};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// Registers the application at the server, and starts it over https.
async fn start(server: &NodeProvider) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("https://{}", listener.local_addr().unwrap());
    let key = KeySet::new(SoftwareKey::generate_es256().unwrap());
    let metadata = json!({
        "client_name": "The backend example",
        "application_type": "web",
        "redirect_uris": [format!("{base_url}/callback")],
        "post_logout_redirect_uris": [format!("{base_url}/signed-out")],
        "response_types": ["code"],
        "grant_types": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_method": "private_key_jwt",
        "token_endpoint_auth_signing_alg": "ES256",
        "jwks": key.jwks(),
        "id_token_signed_response_alg": "ES256",
        "dpop_bound_access_tokens": true,
        "require_pushed_authorization_requests": true,
        "scope": "openid accounts",
    });
    let answer = Browser::client(server.pki())
        .post(format!("{}/reg", server.issuer()))
        .bearer_auth(server.initial_access_token())
        .header("content-type", "application/json")
        .body(metadata.to_string())
        .send()
        .await
        .unwrap();
    let answer = answer.text().await.unwrap();
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let settings = Settings {
        issuer: server.issuer().to_owned(),
        client_id: answer["client_id"]
            .as_str()
            .unwrap_or_else(|| panic!("{answer}"))
            .to_owned(),
        key,
        base_url: BaseUrl::parse(&base_url).unwrap(),
        scope: "openid accounts".to_owned(),
        api: Some(format!("{}/accounts", server.api())),
        ca_pem: Some(server.pki().authority().to_owned()),
        store: Store::Memory,
        sealing_keys: Vec::new(),
    };
    let routes = App::build(settings).await.unwrap().routes();
    let pki = server.pki();
    let listener = TlsListener::new(listener, pki.certificate(), pki.key()).unwrap();
    tokio::spawn(async move { axum::serve(listener, routes).await });
    base_url
}

/// The user's whole way, in a browser that keeps every rule.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_logs_in_and_out() {
    let server = NodeProvider::start();
    let base_url = start(&server).await;
    let browser = Chromium::start().await;

    browser.open(&base_url).await;
    browser.until_title("Your accounts in one place").await;
    browser.screenshot("1-start").await;
    browser.click("button").await;

    browser.until_title("Sign-in").await;
    assert!(browser.url().await.starts_with(server.issuer()));
    browser.screenshot("2-provider-login").await;
    browser
        .type_into("input[name=login]", User::ALICE.name)
        .await;
    browser
        .type_into("input[name=password]", User::ALICE.password)
        .await;
    browser.click("button[type=submit]").await;

    browser.until_title("Authorize").await;
    browser.screenshot("3-provider-consent").await;
    browser.click("button[type=submit]").await;

    browser.until_title("You are logged in").await;
    browser.screenshot("4-logged-in").await;
    assert_eq!(browser.url().await, format!("{base_url}/"));
    assert_eq!(browser.text("main p strong").await, "alice");

    browser.click("form[action='/accounts'] button").await;
    browser.until_title("Your accounts").await;
    browser.screenshot("5-api").await;
    assert!(browser.text("pre").await.contains("\"DE-1\""));
    browser.click("a.button").await;

    browser.until_title("You are logged in").await;
    browser.click("form[action='/logout'] button").await;
    browser.until_title("You are logged out").await;
    browser.screenshot("6-logged-out").await;
    browser.click("form button").await;

    browser.until_title("Logout Request").await;
    browser.screenshot("7-provider-logout").await;
    println!("{}", browser.console().await);
}
