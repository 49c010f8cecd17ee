//! Chromium, node-oidc-provider with its own pages, and the application between them.
//!
//! The application is on `127.0.0.1` and the server on `localhost`: two sites, so that `SameSite` means what
//! it means in life.

use std::sync::OnceLock;

use fapi_backend::app::App;
use fapi_backend::settings::{BaseUrl, Settings, Store};
use fapi_backend::tls::TlsListener;
use fapi_client::{KeySet, SoftwareKey};
use fapi_interop::{Browser, Chromium, NodeProvider, User};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// One server for the tests, each with an application of its own.
fn server() -> &'static NodeProvider {
    static SERVER: OnceLock<NodeProvider> = OnceLock::new();
    SERVER.get_or_init(NodeProvider::start)
}

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
        "backchannel_logout_uri": format!("{base_url}/backchannel-logout"),
        "backchannel_logout_session_required": true,
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

const START: &str = "Your accounts in one place";
const HOME: &str = "You are logged in";

/// Signs in and agrees, on the server's own pages.
async fn sign_in(browser: &Chromium, pictures: bool) {
    browser.until_text("h1", "Sign-in").await;
    if pictures {
        browser.screenshot("2-server-login").await;
    }
    browser
        .type_into("input[name=login]", User::ALICE.name)
        .await;
    browser
        .type_into("input[name=password]", User::ALICE.password)
        .await;
    browser.click("button[type=submit]").await;
    browser.until_text("h1", "Authorize").await;
    if pictures {
        browser.screenshot("3-server-consent").await;
    }
    browser.click("button[type=submit]").await;
    browser.until_text("h1", HOME).await;
}

/// What the browser complains of. It has no fonts from elsewhere, and the pages no icon.
async fn complaints(browser: &Chromium) -> Vec<String> {
    let console = browser.console().await;
    let lines = console.as_array().unwrap().iter();
    let messages = lines.filter_map(|line| line["message"].as_str());
    messages
        .filter(|text| {
            !["fonts.googleapis", "favicon.ico", "[DOM]"]
                .iter()
                .any(|known| text.contains(known))
        })
        .map(str::to_owned)
        .collect()
}

/// The user's whole way, in a browser that keeps every rule: CSP through the redirects of a form,
/// `SameSite` across sites, `__Host-` cookies, `Origin` on posts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_logs_in_and_out() {
    let server = server();
    let base_url = start(server).await;
    let browser = Chromium::start().await;

    browser.open(&base_url).await;
    browser.until_text("h1", START).await;
    browser.screenshot("1-start").await;
    browser.click("button").await;
    sign_in(&browser, true).await;
    assert_eq!(browser.url().await, format!("{base_url}/"));
    assert_eq!(browser.text("main p strong").await, "alice");
    browser.screenshot("4-logged-in").await;

    // What the browser made of the cookies, and what a script would see of them.
    let mut names = Vec::new();
    for cookie in browser.cookies().await {
        assert_eq!(cookie["secure"], true, "{cookie}");
        assert_eq!(cookie["httpOnly"], true, "{cookie}");
        assert_eq!(cookie["sameSite"], "Lax", "{cookie}");
        assert_eq!(cookie["path"], "/", "{cookie}");
        names.push(cookie["name"].as_str().unwrap().to_owned());
    }
    names.sort();
    assert_eq!(names, ["__Host-csrf", "__Host-login", "__Host-session"]);
    assert_eq!(browser.script("return document.cookie").await, "");

    browser.click("form[action='/accounts'] button").await;
    browser.until_text("h1", "Your accounts").await;
    assert!(browser.text("pre").await.contains("\"DE-1\""));
    browser.screenshot("5-api").await;
    browser.click("a.button").await;
    browser.until_text("h1", HOME).await;
    assert_eq!(complaints(&browser).await, [] as [&str; 0]);

    browser.click("form[action='/logout'] button").await;
    browser.until_text("h1", &asks(server)).await;
    browser.screenshot("6-server-logout").await;
    browser.click("button[value=yes]").await;
    browser.until_text("h1", START).await;
    browser.screenshot("7-logged-out").await;
    assert_eq!(browser.url().await, format!("{base_url}/"));
    let cookies = browser.cookies().await;
    let names: Vec<&Value> = cookies.iter().map(|cookie| &cookie["name"]).collect();
    assert!(!names.contains(&&json!("__Host-session")), "{names:?}");
    assert!(!names.contains(&&json!("__Host-logout")), "{names:?}");

    // The user is signed out at the server too: it asks who it is.
    browser.click("button").await;
    sign_in(&browser, false).await;
}

/// What the server asks before it signs a user out.
fn asks(server: &NodeProvider) -> String {
    let host = server.issuer().trim_start_matches("https://");
    format!("Do you want to sign-out from {host}?")
}

/// The user signs out at the server. The server tells the application, and there it is over too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_signs_out_at_the_server() {
    let server = server();
    let base_url = start(server).await;
    let browser = Chromium::start().await;
    browser.open(&base_url).await;
    browser.click("button").await;
    sign_in(&browser, false).await;

    browser
        .open(&format!("{}/session/end", server.issuer()))
        .await;
    browser.until_text("h1", &asks(server)).await;
    browser.click("button[value=yes]").await;
    browser.until_text("h1", "Sign-out Success").await;
    browser.open(&base_url).await;
    assert_eq!(browser.text("h1").await, START, "{}", server.log());
}

/// The user says no, and reads so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_does_not_agree() {
    let server = server();
    let base_url = start(server).await;
    let browser = Chromium::start().await;
    browser.open(&base_url).await;
    browser.click("button").await;
    browser.until_text("h1", "Sign-in").await;
    browser.click("a[href$='/abort']").await;
    browser.until_text("h1", "You did not agree").await;
    browser.screenshot("8-did-not-agree").await;
    browser.click("a.button").await;
    browser.until_text("h1", START).await;
}

/// Two tabs begin a login each, and both end well: the second while the first waits at the server.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_with_two_tabs() {
    let server = server();
    let base_url = start(server).await;
    let browser = Chromium::start().await;
    browser.open(&base_url).await;
    browser.click("button").await;
    browser.until_text("h1", "Sign-in").await;
    let first = browser.tab().await;

    browser.open_tab().await;
    browser.open(&base_url).await;
    browser.click("button").await;
    sign_in(&browser, false).await;

    browser.go_to_tab(&first).await;
    browser
        .type_into("input[name=login]", User::ALICE.name)
        .await;
    browser
        .type_into("input[name=password]", User::ALICE.password)
        .await;
    browser.click("button[type=submit]").await;
    // The consent was given in the other tab.
    browser.until_text("h1", HOME).await;
    assert_eq!(browser.text("main p strong").await, "alice");
}

/// SP-5.3.3.1-12: the page of another site posts the login form by itself. Nothing is begun.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_site_posts_the_form() {
    let server = NodeProvider::start(); // its log is this test's alone
    let base_url = start(&server).await;
    let browser = Chromium::start().await;
    browser.open(&base_url).await;
    browser.until_text("h1", START).await;
    // Another site by its name, with a page of its own.
    let evil = axum::Router::new().route(
        "/",
        axum::routing::get(move || async move {
            let form = format!(
                "<form method=\"post\" action=\"{base_url}/login\"><button>Win</button></form>"
            );
            axum::response::Html(format!("<h1>Evil</h1>{form}"))
        }),
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { axum::serve(listener, evil).await });
    browser.open(&format!("http://localhost:{port}/")).await;
    browser.until_text("h1", "Evil").await;
    browser.click("button").await;
    browser
        .until_text("h1", "That did not come from this page")
        .await;
    browser.screenshot("9-forged").await;
    assert!(!server.log().contains("pushed_authorization_request"));
    let cookies = browser.cookies().await;
    let names: Vec<&Value> = cookies.iter().map(|cookie| &cookie["name"]).collect();
    assert!(!names.contains(&&json!("__Host-login")), "{names:?}");
}
