//! Keycloak, with a client that was registered by hand.

use fapi_interop::{Chromium, Keycloak, User};

use crate::{Cli, done};

/// NAT-4, NAT-7.3: the same command line, another server, its own pages.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_at_a_terminal() {
    let server = Keycloak::start();
    let issuer = server.issuer();
    let cli = Cli::new(server.pki().authority());
    let key = cli
        .terminal
        .file("key.pem", server.client("loopback").key.pem());
    let url = cli.login(&format!(
        "--issuer {issuer} --client-id loopback --key {} --api {}",
        key.display(),
        server.origin()
    ));
    let browser = Chromium::start().await;
    browser.open(&url).await;
    browser.type_into("#username", User::ALICE.name).await;
    browser.type_into("#password", User::ALICE.password).await;
    browser.click("[type=submit]").await;
    browser.click("[name=accept]").await;
    done(&browser, "cli-keycloak").await;
    let (said, status) = cli.terminal.ended();
    assert!(said.contains("Logged in as "), "{said}");
    assert_eq!(status, 0);
    cli.nothing_in_clear();
    let (said, status) = cli.run(&format!("call GET {issuer}/account/"));
    assert!(said.contains("\"username\":\"alice\""), "{said}");
    assert_eq!(status, 0);
    let (said, status) = cli.run("logout");
    assert!(said.contains("Logged out."), "{said}");
    assert_eq!(status, 0);
}
