use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::process::Process;
use crate::registration::Registration;
use crate::{Algorithm, Pki, key, setup};

const VERSION: &str = "26.7.3";
const SHA256: &str = "27a6535553c3cdcd083872ba40629efafb3475e3b758e0c6f691395561dd0f1f";

/// What Keycloak is built with, once, so that each start is quick.
const BUILD: [&str; 4] = [
    "--db=dev-mem",
    "--health-enabled=false",
    "--metrics-enabled=false",
    "--transaction-xa-enabled=false",
];

/// Keycloak with its FAPI 2.0 policies for DPoP.
///
/// It has two realms, alike but for refresh tokens, which `fapi-rotating` rotates and `fapi` does
/// not. Users are `alice` and `bob`. Its APIs are UserInfo and the account API.
#[derive(Debug)]
pub struct Keycloak {
    process: Process,
    pki: Pki,
    origin: String,
    clients: Vec<Registration>,
}

impl Keycloak {
    /// Installs the server where that has not been done, starts it and waits until it answers.
    #[must_use]
    pub fn start() -> Self {
        let installed = install();
        let home = setup::run_folder("keycloak");
        let pki = Pki::new();
        let clients = Registration::all();

        // A home for each run, which shares all that is only read.
        for part in ["lib", "providers", "themes", "conf"] {
            std::os::unix::fs::symlink(installed.join(part), home.join(part)).expect("a link");
        }
        let write = |name: &str, text: &str| {
            let path = home.join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("the folder of the run");
            fs::write(&path, text).expect("the folder of the run is ours");
            path.to_str().expect("a path in UTF-8").to_owned()
        };
        for (realm, rotating) in [("fapi", false), ("fapi-rotating", true)] {
            let import = realm_import(realm, rotating, &clients);
            write(
                &format!("data/import/{realm}-realm.json"),
                &import.to_string(),
            );
        }
        let certificate = write("certificate.pem", pki.certificate());
        let key = write("key.pem", pki.key());
        let port = free_port();
        let origin = format!("https://localhost:{port}");

        let mut command = java(&home);
        command.args([
            "start",
            "--optimized",
            "--import-realm",
            "--http-enabled=false",
        ]);
        command.args(["--cache=local", "--http-host=127.0.0.1"]);
        // Each login, refresh and revocation leaves a line in the log.
        command.arg("--spi-events-listener--jboss-logging--success-level=info");
        command.arg(format!("--https-port={port}"));
        command.arg(format!("--hostname={origin}"));
        command.arg(format!("--https-certificate-file={certificate}"));
        command.arg(format!("--https-certificate-key-file={key}"));
        let log = home.join("log");
        let mut process = Process::start(&mut command, &log);
        process.until(Duration::from_secs(240), || {
            let text = fs::read_to_string(&log).unwrap_or_default();
            text.contains("Listening on: https://").then_some(())
        });
        Self {
            process,
            pki,
            origin,
            clients,
        }
    }

    /// The issuer whose refresh tokens stay the same, as FAPI 2.0 wants.
    #[must_use]
    pub fn issuer(&self) -> String {
        format!("{}/realms/fapi", self.origin)
    }

    /// The issuer that rotates refresh tokens.
    #[must_use]
    pub fn rotating_issuer(&self) -> String {
        format!("{}/realms/fapi-rotating", self.origin)
    }

    /// Scheme, host and port of everything.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// What to trust.
    #[must_use]
    pub fn pki(&self) -> &Pki {
        &self.pki
    }

    /// A client by its id.
    #[must_use]
    pub fn client(&self, id: &str) -> &Registration {
        self.clients
            .iter()
            .find(|client| client.client_id == id)
            .expect("a client of that id")
    }

    /// Whether Keycloak's own FAPI 2.0 profile for DPoP applies to this client. It refuses EdDSA,
    /// redirects to a loopback address, and to revoke a confidential client's refresh token.
    #[must_use]
    pub fn strict(client: &Registration) -> bool {
        !client.loopback && client.key.algorithm() != Algorithm::EdDsa
    }

    /// What the server wrote last, to explain a failure.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }
}

/// Keycloak can't say which port it took, so one is looked for here, below the range from which the
/// system gives ports to outgoing connections: it must stay free until Keycloak is up.
fn free_port() -> u16 {
    let mut start = [0; 2];
    aws_lc_rs::rand::fill(&mut start).expect("randomness");
    let start = u16::from_be_bytes(start) % 9_000;
    (0..1_000)
        .map(|step| 20_000 + start + step)
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a free port")
}

fn realm_import(realm: &str, rotating: bool, clients: &[Registration]) -> Value {
    let mut import: Value =
        serde_json::from_str(include_str!("../keycloak/realm.json")).expect("JSON");
    import["realm"] = realm.into();
    import["revokeRefreshToken"] = rotating.into();
    for user in import["users"].as_array_mut().expect("users") {
        user["realmRoles"] = json!([format!("default-roles-{realm}")]);
    }
    import["clients"] = clients.iter().map(representation).collect();
    // Without these roles a token can't be used at the account API.
    import["clientScopeMappings"] = json!({
        "account": clients
            .iter()
            .map(|client| json!({
                "client": client.client_id,
                "roles": ["view-profile", "manage-account"],
            }))
            .collect::<Vec<_>>(),
    });
    import
}

fn representation(client: &Registration) -> Value {
    let algorithm = client.key.algorithm().name();
    let mut representation = json!({
        "clientId": client.client_id,
        "name": client.client_id,
        "protocol": "openid-connect",
        "publicClient": false,
        "clientAuthenticatorType": "client-jwt",
        "redirectUris": [client.redirect_uri()],
        "standardFlowEnabled": true,
        "implicitFlowEnabled": false,
        "directAccessGrantsEnabled": false,
        "serviceAccountsEnabled": true,
        "consentRequired": true,
        "fullScopeAllowed": false,
        "attributes": {
            "fapi.profile": if Keycloak::strict(client) { "strict" } else { "widened" },
            "use.jwks.string": "true",
            "jwks.string": client.jwks().to_string(),
            "token.endpoint.auth.signing.alg": algorithm,
            "id.token.signed.response.alg": algorithm,
            "access.token.signed.response.alg": algorithm,
            "pkce.code.challenge.method": "S256",
            "require.pushed.authorization.requests": "true",
            "dpop.bound.access.tokens": "true",
        },
    });
    if client.signed_userinfo {
        representation["attributes"]["user.info.response.signature.alg"] = algorithm.into();
    }
    representation
}

/// Fetches, unpacks and builds the server, and gives the folder it lies in.
fn install() -> PathBuf {
    setup::demand("java", "-version", "version \"", 17, "Java 17 or newer");
    setup::demand("mvn", "--version", "Apache Maven ", 3, "Maven 3");
    let state = key::fingerprint(format!("{SHA256} {BUILD:?}").as_bytes());
    let folder = setup::cache().join(format!("keycloak-{}", &state[..16]));
    let home = folder.join(format!("keycloak-{VERSION}"));
    setup::once(&folder, || {
        let artifact = format!("org.keycloak:keycloak-quarkus-dist:{VERSION}:zip");
        // The copy is what is checked, the unpacking is Maven's: no other program is needed.
        maven(&folder, "copy", &artifact);
        let zip = folder.join(format!("keycloak-quarkus-dist-{VERSION}.zip"));
        let hash = key::fingerprint(&fs::read(&zip).expect("the zip that Maven fetched"));
        assert_eq!(
            hash, SHA256,
            "Keycloak's zip is not the one that these tests know"
        );
        let _ = fs::remove_dir_all(&home);
        maven(&folder, "unpack", &artifact);
        let _ = fs::remove_file(zip);
        build(&home, &folder.join("build.log"));
    });
    home
}

fn maven(folder: &Path, goal: &str, artifact: &str) {
    let mut command = Command::new("mvn");
    command
        .current_dir(folder)
        .args(["--batch-mode", "--strict-checksums"])
        .arg(format!(
            "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:{goal}"
        ))
        .arg(format!("-Dartifact={artifact}"))
        .arg(format!("-DoutputDirectory={}", folder.display()));
    setup::run(
        &mut command,
        &folder.join(format!("maven-{goal}.log")),
        Duration::from_secs(900),
    );
}

fn build(home: &Path, log: &Path) {
    let mut command = java(home);
    command.arg("build").args(BUILD);
    setup::run(&mut command, log, Duration::from_secs(400));
}

/// The server's program without the script that usually starts it, so that the process is our child.
fn java(home: &Path) -> Command {
    let mut command = Command::new("java");
    command
        .current_dir(home)
        .args(["-Xms64m", "-Xmx768m", "-XX:+UseG1GC", "-XX:TieredStopAtLevel=1"])
        .arg(format!("-Dkc.home.dir={}", home.display()))
        .arg(format!("-Djboss.server.config.dir={}", home.join("conf").display()))
        .arg("-Djava.util.logging.manager=org.jboss.logmanager.LogManager")
        .arg("-Djava.util.concurrent.ForkJoinPool.common.threadFactory=io.quarkus.bootstrap.forkjoin.QuarkusForkJoinWorkerThreadFactory")
        .arg("-Dpicocli.disable.closures=true")
        .args(["-Duser.language=en", "-Dfile.encoding=UTF-8"])
        .args(
            ["java.util", "java.util.concurrent", "java.security", "java.lang"]
                .map(|package| format!("--add-opens=java.base/{package}=ALL-UNNAMED")),
        )
        .arg("-cp")
        .arg(home.join("lib/quarkus-run.jar"))
        .arg("io.quarkus.bootstrap.runner.QuarkusEntryPoint");
    command
}
