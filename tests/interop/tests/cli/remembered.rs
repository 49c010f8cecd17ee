//! What one command leaves for the next: server, client, API and store.

use std::fs;

use fapi_client::{KeySet, SoftwareKey};
use fapi_interop::{Browser, Pki};
use fapi_testkit::{Endpoint, Registration, TestServer};
use serde_json::Value;

use crate::Cli;

/// A test server at which people may register, and a client that was registered by hand.
struct Home {
    server: TestServer,
    cli: Cli,
    by_hand: String,
}

impl Home {
    async fn new() -> Self {
        let server = TestServer::start().await;
        let key = SoftwareKey::generate_es256().unwrap();
        server.register(
            Registration::new("by-hand")
                .jwks(KeySet::new(key.clone()).jwks())
                .redirect_uri("http://127.0.0.1/callback"),
        );
        let cli = Cli::new(&server.ca_pem());
        let file = cli.terminal.file("key.pem", &key.to_pkcs8_pem().unwrap());
        let by_hand = format!(
            "--issuer {} --client-id by-hand --key {}",
            server.issuer(),
            file.display()
        );
        Self {
            server,
            cli,
            by_hand,
        }
    }

    fn accounts(&self) -> String {
        format!("{}/accounts", self.server.api())
    }

    /// Alice, whose browser goes where the command says.
    async fn log_in(&self, line: &str) -> (String, i32) {
        let url = self.cli.url_of(line);
        let callback = self.server.browser("alice").approve(&url).await;
        let client = Browser::client(&Pki::new());
        let page = client.get(callback).send().await.unwrap();
        assert_eq!(page.status(), 303);
        self.cli.terminal.ended()
    }

    fn profile(&self) -> Option<String> {
        fs::read_to_string(self.cli.terminal.folder().join("state/profile.json")).ok()
    }

    fn remembered(&self, name: &str) -> Value {
        let profile: Value = serde_json::from_str(&self.profile().unwrap()).unwrap();
        profile[name].clone()
    }

    /// The answer of a command in JSON, and its status.
    fn json(&self, command: &str) -> (Value, i32) {
        let (said, status) = self.cli.run(&format!("{command} --json"));
        let line = said.lines().find(|line| line.starts_with('{'));
        let line = line.unwrap_or_else(|| panic!("{said}"));
        (serde_json::from_str(line).unwrap(), status)
    }
}

/// What did not work is nothing for the next command to begin with.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_failed_is_forgotten() {
    let home = Home::new().await;
    let (_, status) = home.cli.run("login --issuer https://nobody.example");
    assert_eq!((status, home.profile()), (2, None));
    let by_hand = &home.by_hand;
    let (_, status) = home
        .cli
        .run(&format!("login {by_hand} --no-browser --timeout 1"));
    assert_eq!((status, home.profile()), (5, None));
    let (said, status) = home.cli.run("status");
    assert!(said.contains("which server? --issuer URL"), "{said}");
    assert_eq!(status, 2);

    let (_, status) = home.json(&format!("register --issuer {}", home.server.issuer()));
    assert_eq!(status, 0);
    let before = home.profile();
    for wrong in [
        "login --issuer https://nobody.example",
        "status --api https://elsewhere.example",
    ] {
        let (_, status) = home.cli.run(wrong);
        assert_ne!(status, 0);
        assert_eq!(home.profile(), before);
    }
    let (error, status) = home.json("status");
    assert_eq!((&error["error"], status), (&"not_logged_in".into(), 3));
}

/// NAT-key: a registration takes the place of a client that was registered by hand, and not before it has
/// succeeded.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registration_after_a_client_by_hand() {
    let home = Home::new().await;
    let (cli, issuer) = (&home.cli, home.server.issuer());
    let line = cli.line(&format!("login {}", home.by_hand));
    let (_, status) = home.log_in(&line).await;
    assert_eq!(status, 0);
    assert_eq!(home.remembered("client_id"), "by-hand");
    let (answer, _) = home.json("status");
    assert_eq!(answer["client_id"], "by-hand");

    let (said, status) = cli.terminal.run(cli.bare_line("register --store memory"));
    assert!(
        said.contains("a registration in memory would be lost at once"),
        "{said}"
    );
    assert_eq!(status, 2);
    assert_eq!(home.remembered("client_id"), "by-hand");
    assert_eq!(home.server.count(Endpoint::Registration), 0);

    let (answer, status) = home.json("register --scope 'openid accounts'");
    assert_eq!((&answer["new"], status), (&true.into(), 0));
    let id = answer["client_id"].as_str().unwrap();
    assert!(
        cli.terminal
            .screen()
            .contains("by-hand, which was registered by hand, is used no more."),
        "{}",
        cli.terminal.screen()
    );
    assert_eq!(home.remembered("client_id"), Value::Null);
    assert_eq!(home.remembered("key"), Value::Null);
    let (answer, status) = home.json("register");
    assert_eq!((&answer["new"], status), (&false.into(), 0));
    assert_eq!(answer["client_id"], id);
    assert_eq!(home.server.count(Endpoint::Registration), 1);

    let (error, status) = home.json("status");
    assert_eq!((&error["error"], status), (&"not_logged_in".into(), 3));
    let (said, status) = home
        .log_in(&cli.line("login --scope 'openid accounts'"))
        .await;
    assert_eq!(status, 0, "{said}");
    let (answer, status) = home.json("status");
    assert_eq!(status, 0);
    assert_eq!(answer["issuer"], issuer);
    assert_eq!(answer["client_id"], id);
    assert_eq!(answer["subject"], "alice");
    assert_eq!(answer["scope"], "openid accounts");
    assert!(answer["expires_at"].is_i64(), "{answer}");
    cli.nothing_in_clear();
}

/// The kind of store is remembered, but for memory; of which nothing stays: what is called in it is logged
/// in before and out afterwards.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_kind_of_store() {
    let home = Home::new().await;
    let (cli, state) = (&home.cli, home.cli.terminal.folder().join("state"));
    let (by_hand, url) = (&home.by_hand, home.accounts());
    let api = home.server.api();
    let memory = |command: &str| cli.bare_line(&format!("{command} --store memory"));

    let call = format!("call GET {url} {by_hand} --api {api} --scope 'openid accounts'");
    let (said, status) = home.log_in(&memory(&call)).await;
    assert!(said.contains("Logged in as alice."), "{said}");
    assert_eq!(status, 0, "{said}");
    assert!(home.server.count(Endpoint::Api) > 0);
    assert!(home.server.count(Endpoint::Revocation) > 0);
    assert!(!state.exists());
    let (said, status) = cli.terminal.run(memory(&format!("status {by_hand}")));
    assert!(said.contains("nobody is logged in"), "{said}");
    assert_eq!(status, 3);
    assert!(!state.exists());

    let login = format!("login {by_hand} --api {api} --scope 'openid accounts'");
    let (_, status) = home.log_in(&cli.line(&login)).await;
    assert_eq!((status, home.remembered("store")), (0, "file".into()));
    let passphrase = cli.sealed.trim_start_matches("--store file ");
    let without_store = |command: &str| cli.bare_line(&format!("{command} {passphrase}"));
    let (said, status) = cli.terminal.run(without_store("status"));
    assert!(said.contains("alice at "), "{said}");
    assert_eq!(status, 0);

    let before = home.profile();
    let (_, status) = home.log_in(&memory(&format!("call GET {url}"))).await;
    assert_eq!((status, home.profile()), (0, before.clone()));
    let (said, status) = cli.terminal.run(without_store(&format!("call GET {url}")));
    assert_eq!((status, home.profile()), (0, before), "{said}");
}
