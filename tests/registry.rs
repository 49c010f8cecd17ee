//! Several servers in one program: a callback can't be carried from one to the other, and they share
//! nothing that would link or confuse them (SEC-mix, SEC-6.3, ISS-4).

use std::collections::BTreeSet;

use fapi_client::{
    Client, ClientAuth, ClientBuilder, Clients, ConfigError, Error, KeySet, Login, SoftwareKey,
    StoreError, Violation,
};
use fapi_testkit::{AuthorizationFault, Endpoint, MetadataFault, Request, TestServer};

use crate::common::{self, CLIENT_ID, REDIRECT_URI};

/// Two servers, and a registry with a client of each under the same client id.
struct Bench {
    honest: TestServer,
    evil: TestServer,
    clients: Clients,
}

impl Bench {
    async fn start() -> Self {
        let (honest, evil) = (TestServer::start().await, TestServer::start().await);
        // All test servers of a process have the same root.
        let clients = Clients::builder()
            .transport(common::https(&honest))
            .clock(common::SharedClock(honest.clock().clone()))
            .build()
            .unwrap();
        let bench = Self {
            honest,
            evil,
            clients,
        };
        for server in [&bench.honest, &bench.evil] {
            bench.builder(server).build().await.unwrap();
        }
        bench
    }

    fn builder(&self, server: &TestServer) -> ClientBuilder {
        settings(
            self.clients.client(server.issuer(), CLIENT_ID),
            common::register(server),
        )
        .api(server.api())
    }

    fn client(&self, server: &TestServer) -> Client {
        self.clients.get(server.issuer()).unwrap()
    }

    /// Begins a login at a server, in the browser of another login where one is given.
    async fn begin(&self, server: &TestServer, browser: Option<&Login>) -> Login {
        let client = self.client(server);
        let mut login = client.login().scope("openid accounts");
        if let Some(browser) = browser {
            login = login.in_browser(browser.transaction());
        }
        login.start().await.unwrap()
    }

    async fn finish(&self, login: &Login, callback: &str) -> Result<String, Error> {
        let session = self
            .clients
            .finish_login(login.transaction(), callback)
            .await?;
        Ok(session.subject().unwrap().to_owned())
    }

    fn assert_no_token_request(&self) {
        assert_eq!(self.honest.count(Endpoint::Token), 0);
        assert_eq!(self.evil.count(Endpoint::Token), 0);
    }
}

fn settings(builder: ClientBuilder, keys: KeySet) -> ClientBuilder {
    builder
        .redirect_uri(REDIRECT_URI)
        .authenticate_with(ClientAuth::private_key_jwt(keys))
}

async fn approve(server: &TestServer, user: &str, login: &Login) -> String {
    server.browser(user).approve(login.url().as_str()).await
}

fn issuer_of(server: &TestServer) -> Violation {
    Violation::Issuer {
        expected: server.issuer().to_owned(),
    }
}

/// BCP-2.1, BCP-4.4.2: a callback finds its client through the login of its browser.
#[tokio::test]
async fn a_callback_finds_its_server() {
    let bench = Bench::start().await;
    for server in [&bench.honest, &bench.evil] {
        let login = bench.begin(server, None).await;
        let callback = approve(server, "alice", &login).await;
        assert_eq!(bench.finish(&login, &callback).await.unwrap(), "alice");
        assert_eq!(server.count(Endpoint::Token), 1);
    }
}

/// SEC-mix, A1a, BCP-4.4.2, SP-5.3.3.2-5: the mix-up. A login that began at the attacker's server is
/// answered by the honest one, or the other way round; neither gets the other's code.
#[tokio::test]
async fn a_mix_up_is_refused() {
    let bench = Bench::start().await;
    let (honest, evil) = (&bench.honest, &bench.evil);
    for (began, answers) in [(evil, honest), (honest, evil)] {
        // The one that began says in the callback that it was the other.
        let login = bench.begin(began, None).await;
        began.misbehave_times(AuthorizationFault::Issuer(answers.issuer().to_owned()), 1);
        let callback = approve(began, "alice", &login).await;
        let error = bench.finish(&login, &callback).await.unwrap_err();
        assert_eq!(error.violation(), Some(&issuer_of(began)));

        // The browser was sent on to the other, whose code comes back under the first one's state.
        let login = bench.begin(began, None).await;
        let pushed = began.requests_to(Endpoint::Par).pop().unwrap();
        let state = pushed.form_value("state").unwrap().to_owned();
        let other = bench.begin(answers, Some(&login)).await;
        answers.mutate_authorization_response(move |parameters| {
            for (name, value) in parameters {
                if name == "state" {
                    value.clone_from(&state);
                }
            }
        });
        let callback = approve(answers, "alice", &other).await;
        answers.behave();
        let error = bench.finish(&login, &callback).await.unwrap_err();
        assert_eq!(error.violation(), Some(&issuer_of(began)));
        bench.assert_no_token_request();
    }
}

/// SEC-mix: one browser logs in at both servers at once; each callback goes to the server that gave
/// the code, in either order.
#[tokio::test]
async fn one_browser_logs_in_at_both() {
    let bench = Bench::start().await;
    let (honest, evil) = (&bench.honest, &bench.evil);
    let first = bench.begin(honest, None).await;
    let second = bench.begin(evil, Some(&first)).await;
    assert_eq!(first.transaction().expose(), second.transaction().expose());
    let callback = approve(evil, "bob", &second).await;
    assert_eq!(bench.finish(&first, &callback).await.unwrap(), "bob");
    assert_eq!(honest.count(Endpoint::Token), 0);
    let callback = approve(honest, "alice", &first).await;
    assert_eq!(bench.finish(&second, &callback).await.unwrap(), "alice");
    assert_eq!(honest.count(Endpoint::Token), 1);
    assert_eq!(evil.count(Endpoint::Token), 1);
    assert!(honest.refusals().iter().all(|one| one.contains("nonce")));
}

/// SEC-mix: a client of its own takes only the callbacks of logins that began with it.
#[tokio::test]
async fn a_client_takes_its_own_callbacks_alone() {
    let bench = Bench::start().await;
    let (honest, evil) = (&bench.honest, &bench.evil);
    let login = bench.begin(honest, None).await;
    let callback = approve(honest, "alice", &login).await;
    let other = bench.client(evil);
    let error = other
        .finish_login(login.transaction(), &callback)
        .await
        .unwrap_err();
    assert_eq!(error.violation(), Some(&Violation::NoSuchLogin));
    // With a login of its own under way in that browser it still takes no other's.
    bench.begin(evil, Some(&login)).await;
    let error = other
        .finish_login(login.transaction(), &callback)
        .await
        .unwrap_err();
    assert_eq!(error.violation(), Some(&issuer_of(evil)));
    bench.assert_no_token_request();
    assert_eq!(bench.finish(&login, &callback).await.unwrap(), "alice");
}

/// ISS-4: each issuer has one client; a second one is refused, whatever its client id, and the first
/// stays.
#[tokio::test]
async fn an_issuer_stands_once() {
    let bench = Bench::start().await;
    let issuer = bench.honest.issuer();
    for client_id in [CLIENT_ID, "another"] {
        let keys = KeySet::new(SoftwareKey::generate_es256().unwrap());
        let builder = settings(bench.clients.client(issuer, client_id), keys);
        let error = builder.build().await.unwrap_err();
        let expected = ConfigError::DuplicateIssuer(issuer.to_owned());
        assert_eq!(common::config(&error), Some(&expected));
    }
    assert_eq!(bench.client(&bench.honest).client_id(), CLIENT_ID);
    let login = bench.begin(&bench.honest, None).await;
    let callback = approve(&bench.honest, "alice", &login).await;
    assert_eq!(bench.finish(&login, &callback).await.unwrap(), "alice");
}

/// SP-5.3.3.1-10, SEC-ssrf: an issuer that the program did not name is unknown, whatever a callback
/// says, and is never called.
#[tokio::test]
async fn an_unknown_issuer_is_never_taken_up() {
    let bench = Bench::start().await;
    let stranger = TestServer::start().await;
    for issuer in [
        stranger.issuer(),
        &format!("{}/", bench.honest.issuer()),
        &bench.honest.issuer().to_uppercase(),
        "",
    ] {
        assert_eq!(
            bench.clients.get(issuer).unwrap_err(),
            ConfigError::UnknownIssuer(issuer.to_owned())
        );
    }
    let login = bench.begin(&bench.honest, None).await;
    let callback = format!("?code=c&state=s&iss={}", stranger.issuer());
    let error = bench.finish(&login, &callback).await.unwrap_err();
    assert_eq!(error.violation(), Some(&issuer_of(&bench.honest)));
    let nobody = Clients::builder()
        .transport(common::https(&stranger))
        .build()
        .unwrap();
    let error = nobody
        .finish_login(login.transaction(), callback)
        .await
        .unwrap_err();
    assert_eq!(error.violation(), Some(&Violation::NoSuchLogin));
    assert_eq!(stranger.requests().len(), 0);
    bench.assert_no_token_request();
}

/// META-11, META-4: a client that could not be built is not in the registry; built right, it is.
#[tokio::test]
async fn a_client_joins_when_it_is_built() {
    let bench = Bench::start().await;
    let third = TestServer::start().await;
    third.misbehave(MetadataFault::Issuer(bench.honest.issuer().to_owned()));
    let error = bench.builder(&third).build().await.unwrap_err();
    assert_eq!(error.code(), "violation.metadata_issuer");
    third.behave();
    assert!(bench.builder(&third).preflight().await.unwrap().passed());
    assert_eq!(
        bench.clients.get(third.issuer()).unwrap_err(),
        ConfigError::UnknownIssuer(third.issuer().to_owned())
    );
    bench.builder(&third).build().await.unwrap();
    assert_eq!(bench.client(&third).issuer().as_str(), third.issuer());
}

fn thumbprints(requests: &[Request]) -> BTreeSet<String> {
    let key = |request: &Request| request.proof().unwrap().header["jwk"].to_string();
    requests.iter().map(key).collect()
}

fn nonces(requests: &[Request]) -> BTreeSet<String> {
    let nonce = |request: &Request| {
        let proof = request.proof().unwrap();
        proof.claim("nonce").as_str().map(str::to_owned)
    };
    requests.iter().filter_map(nonce).collect()
}

/// SEC-6.3, DPOP-jkt-as, DPOP-nsep, PRIV-7, OFTEN-18: no proof key and no nonce of one server is ever
/// seen by another, and each assertion is for the server that gets it (SP-5.3.3.1-5).
#[tokio::test]
async fn servers_share_no_keys_and_no_nonces() {
    let bench = Bench::start().await;
    let mut seen = Vec::new();
    for server in [&bench.honest, &bench.evil] {
        let login = bench.begin(server, None).await;
        let callback = approve(server, "alice", &login).await;
        bench.finish(&login, &callback).await.unwrap();
        let session = bench
            .client(server)
            .sessions_of("alice")
            .await
            .unwrap()
            .remove(0);
        let accounts = format!("{}/accounts", server.api());
        session.get(accounts).send().await.unwrap();
        let mut requests = server.requests_to(Endpoint::Par);
        requests.extend(server.requests_to(Endpoint::Token));
        for request in &requests {
            let assertion = request.assertion().unwrap();
            assert_eq!(assertion.claim("aud"), server.issuer());
        }
        requests.extend(server.requests_to(Endpoint::Api));
        assert_eq!(thumbprints(&requests).len(), 1);
        assert_eq!(nonces(&requests).len(), 2, "one of each role");
        seen.push((thumbprints(&requests), nonces(&requests)));
    }
    assert!(seen[0].0.is_disjoint(&seen[1].0));
    assert!(seen[0].1.is_disjoint(&seen[1].1));
}

/// SEC-6.3, BCP-4.9.1, OFTEN-18: a session belongs to its server. Its id opens nothing at another, its
/// user is not that server's user of the same name, and its token does not go to that server's API.
#[tokio::test]
async fn a_session_belongs_to_its_server() {
    let bench = Bench::start().await;
    let (honest, evil) = (&bench.honest, &bench.evil);
    let login = bench.begin(honest, None).await;
    let callback = approve(honest, "alice", &login).await;
    bench.finish(&login, &callback).await.unwrap();
    let (own, other) = (bench.client(honest), bench.client(evil));
    let session = own.sessions_of("alice").await.unwrap().remove(0);
    assert_eq!(
        own.session(session.id()).await.unwrap().subject(),
        Some("alice")
    );
    let error = other.session(session.id()).await.unwrap_err();
    assert!(
        matches!(error, Error::Store(StoreError::NoSuchSession)),
        "{error:?}"
    );
    assert_eq!(other.sessions_of("alice").await.unwrap().len(), 0);
    let url = format!("{}/accounts", evil.api());
    let error = session.get(url).send().await.unwrap_err();
    let expected = ConfigError::ForeignOrigin(evil.api().to_owned());
    assert_eq!(common::config(&error), Some(&expected));
    assert_eq!(evil.count(Endpoint::Api), 0);
}
