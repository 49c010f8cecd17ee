use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::process::Process;
use crate::registration::Registration;
use crate::{Pki, key, setup};

/// node-oidc-provider with its FAPI 2.0 profile, and an API that takes its tokens.
///
/// It requires PAR and a DPoP nonce everywhere. Users are `alice` and `bob`, with any password.
/// Refresh tokens of the clients `ps256` and `loopback` are rotated. The API serves `GET /accounts`
/// (scope `accounts`) and `POST /payments` (scope `payments`), and is also the resource indicator
/// that yields JWT access tokens in place of opaque ones.
#[derive(Debug)]
pub struct NodeProvider {
    process: Process,
    pki: Pki,
    issuer: String,
    api: String,
    clients: Vec<Registration>,
}

const ROTATING: [&str; 2] = ["ps256", "loopback"];
const INITIAL_ACCESS_TOKEN: &str = "what-the-operator-gave";

impl NodeProvider {
    /// Installs the server where that has not been done, starts it and waits until it listens.
    #[must_use]
    pub fn start() -> Self {
        let program = install();
        let folder = setup::run_folder("node");
        let pki = Pki::new();
        let clients = Registration::all();
        let ready = folder.join("ready.json");
        let write = |name: &str, text: &str| {
            let path = folder.join(name);
            fs::write(&path, text).expect("the folder of the run is ours");
            path
        };
        let configuration = json!({
            "certificate": write("certificate.pem", pki.certificate()),
            "key": write("key.pem", pki.key()),
            "ready": ready,
            "rotating": ROTATING,
            "initialAccessToken": INITIAL_ACCESS_TOKEN,
            "clients": clients.iter().map(metadata).collect::<Vec<_>>(),
        });
        let configuration = write("configuration.json", &configuration.to_string());

        let mut command = Command::new("node");
        command.arg(program).arg(configuration);
        // It tells clients of logouts, over https.
        let authority = write("authority.pem", pki.authority());
        command.env("NODE_EXTRA_CA_CERTS", authority);
        let mut process = Process::start(&mut command, &folder.join("log"));
        let addresses = process.until(Duration::from_secs(60), || fs::read(&ready).ok());
        let addresses: Value = serde_json::from_slice(&addresses).expect("JSON");
        let address = |name: &str| addresses[name].as_str().expect("an address").to_owned();
        let (issuer, api) = (address("issuer"), address("api"));
        Self {
            process,
            pki,
            issuer,
            api,
            clients,
        }
    }

    /// The issuer identifier.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The origin of the API.
    #[must_use]
    pub fn api(&self) -> &str {
        &self.api
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

    /// The token that clients register themselves with.
    #[must_use]
    pub const fn initial_access_token(&self) -> &'static str {
        INITIAL_ACCESS_TOKEN
    }

    /// Whether the refresh tokens of this client are rotated.
    #[must_use]
    pub fn rotates(client: &Registration) -> bool {
        ROTATING.contains(&client.client_id)
    }

    /// What the server wrote last, to explain a failure.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }
}

fn metadata(client: &Registration) -> Value {
    let algorithm = client.key.algorithm().name();
    let mut metadata = json!({
        "client_id": client.client_id,
        "client_name": client.client_id,
        "application_type": if client.loopback { "native" } else { "web" },
        "redirect_uris": [client.redirect_uri()],
        "response_types": ["code"],
        "grant_types": ["authorization_code", "refresh_token", "client_credentials"],
        "token_endpoint_auth_method": "private_key_jwt",
        "token_endpoint_auth_signing_alg": algorithm,
        "jwks": client.jwks(),
        "id_token_signed_response_alg": algorithm,
        "dpop_bound_access_tokens": true,
        "require_pushed_authorization_requests": true,
    });
    if client.signed_userinfo {
        metadata["userinfo_signed_response_alg"] = algorithm.into();
    }
    metadata
}

/// Installs the packages that the lock file names, and gives the path of the program.
fn install() -> std::path::PathBuf {
    const FILES: [(&str, &str); 4] = [
        ("package.json", include_str!("../node/package.json")),
        (
            "package-lock.json",
            include_str!("../node/package-lock.json"),
        ),
        (".npmrc", include_str!("../node/.npmrc")),
        ("server.mjs", include_str!("../node/server.mjs")),
    ];
    setup::demand("node", "--version", "v", 20, "Node.js 20 or newer");
    setup::demand("npm", "--version", "", 9, "npm, which comes with Node.js");

    // One folder for each state of the files, so that an old one is never taken for the new.
    let state = key::fingerprint(FILES.map(|(_, text)| text).concat().as_bytes());
    let folder = setup::cache().join(format!("node-{}", &state[..16]));
    setup::once(&folder, || {
        for (name, text) in FILES {
            fs::write(folder.join(name), text).expect("the cache is ours");
        }
        npm(&folder);
    });
    folder.join("server.mjs")
}

fn npm(folder: &Path) {
    let mut command = Command::new("npm");
    command.args(["ci", "--ignore-scripts"]).current_dir(folder);
    setup::run(
        &mut command,
        &folder.join("npm.log"),
        Duration::from_secs(300),
    );
}
