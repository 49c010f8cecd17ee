//! node-oidc-provider: registration, login, call, logout, Ctrl-C.

use fapi_interop::{Chromium, NodeProvider, User};
use serde_json::Value;

use crate::{Cli, done};

async fn sign_in(browser: &Chromium, url: &str) {
    browser.open(url).await;
    browser.until_text("h1", "Sign-in").await;
    browser
        .type_into("input[name=login]", User::ALICE.name)
        .await;
    browser
        .type_into("input[name=password]", User::ALICE.password)
        .await;
    browser.click("button[type=submit]").await;
    browser.until_text("h1", "Authorize").await;
    browser.click("button[type=submit]").await;
}

/// NAT-4, NAT-7.3, NAT-8.3, NAT-key, DCR-2b: an installation registers, its user logs in with the browser,
/// calls, and logs out; each command is a process of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_at_a_terminal() {
    let server = NodeProvider::start();
    let cli = Cli::new(server.pki().authority());
    let (said, status) = cli.run("status");
    assert!(said.contains("which server? --issuer URL"), "{said}");
    assert_eq!(status, 2);

    let token = cli
        .terminal
        .file("initial-access-token", server.initial_access_token());
    let (issuer, api) = (server.issuer(), server.api());
    let register = format!(
        "register --issuer {issuer} --api {api} --scope 'openid accounts' --initial-access-token {}",
        token.display()
    );
    let (said, status) = cli.run("login --issuer https://nobody.example");
    assert!(
        said.contains("this installation is not registered"),
        "{said}"
    );
    assert_eq!(status, 2);
    let (said, status) = cli.run(&register);
    assert!(said.contains("registered, as "), "{said}");
    assert_eq!(status, 0);
    let (said, _) = cli.run(&register);
    assert!(said.contains("registered already"), "{said}");
    let (said, status) = cli.run(&format!("call GET {api}/accounts"));
    assert!(said.contains("nobody is logged in"), "{said}");
    assert_eq!(status, 3);

    // Ctrl-C leaves nothing behind.
    let (before, _) = cli.kept();
    cli.login("--scope 'openid accounts'");
    cli.terminal.interrupt();
    let (said, status) = cli.terminal.ended();
    assert_eq!(status, 130, "{said}");
    let (after, _) = cli.kept();
    let logins = |names: &[String]| names.iter().filter(|name| name.contains("login")).count();
    assert_eq!(logins(&before), logins(&after), "{after:?}");

    let url = cli.login("--scope 'openid accounts'");
    let browser = Chromium::start().await;
    sign_in(&browser, &url).await;
    done(&browser, "cli-node-oidc-provider").await;
    let (said, status) = cli.terminal.ended();
    assert!(said.contains("Logged in as alice."), "{said}");
    assert_eq!(status, 0);
    cli.nothing_in_clear();

    let (said, status) = cli.run(&format!("call GET {api}/accounts"));
    assert!(said.contains("DE-1"), "{said}");
    assert_eq!(status, 0);
    let (said, _) = cli.run(&format!("call GET {api}/accounts --json"));
    let line = said.lines().find(|line| line.starts_with('{')).unwrap();
    let answer: Value = serde_json::from_str(line).unwrap();
    assert_eq!(answer["status"], 200);
    let (said, status) = cli.run("call GET https://elsewhere.example/");
    assert!(said.contains("the access token may not go to"), "{said}");
    assert_eq!(status, 1);
    let (said, status) = cli.run("status");
    assert!(said.contains(&format!("alice at {issuer}")), "{said}");
    assert_eq!(status, 0);

    let (said, status) = cli.run("logout");
    assert!(said.contains("Logged out."), "{said}");
    assert_eq!(status, 0);
    let (_, status) = cli.run("status");
    assert_eq!(status, 3);
}

/// The login ends with its time, and says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_that_nobody_finishes() {
    let server = NodeProvider::start();
    let cli = Cli::new(server.pki().authority());
    let key = cli
        .terminal
        .file("key.pem", server.client("loopback").key.pem());
    let (said, status) = cli.run(&format!(
        "login --issuer {} --client-id loopback --key {} --no-browser --timeout 1",
        server.issuer(),
        key.display()
    ));
    assert!(
        said.contains("the user did not come back in time"),
        "{said}"
    );
    assert_eq!(status, 5);
    let (names, _) = cli.kept();
    assert!(
        !names.iter().any(|name| name.contains("login")),
        "{names:?}"
    );
}
