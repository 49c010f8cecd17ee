//! What every process of the test knows.

use std::fs;
use std::path::PathBuf;

use fapi_client::store::{FileStore, RedisStore, SealingKey, SealingKeys};
use fapi_client::{
    Client, ClientAuth, Error, HttpsTransport, SessionId, SoftwareKey, StoreError, Stores,
};
use fapi_interop::Redis;
use fapi_testkit::TestServer;
use serde_json::{Value, json};

pub(crate) const CLIENT_ID: &str = "chaos";
pub(crate) const REDIRECT_URI: &str = "https://app.example/callback";

/// Where the sessions are.
#[derive(Clone, Debug)]
pub(crate) enum StorePlan {
    Redis(String),
    Files(PathBuf),
}

/// What a process needs to take part.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    issuer: String,
    api: String,
    ca: String,
    key: String,
    sealing_key: String,
    store: StorePlan,
    pub(crate) sessions: Vec<String>,
    folder: PathBuf,
}

impl Plan {
    pub(crate) fn new(
        server: &TestServer,
        key: &SoftwareKey,
        store: &str,
    ) -> (Self, Option<Redis>) {
        let folder = std::env::temp_dir().join(format!("fapi-chaos-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder for the run");
        let (store, redis) = match store {
            "redis" => {
                let redis = Redis::start();
                (StorePlan::Redis(redis.url()), Some(redis))
            }
            "files" => (StorePlan::Files(folder.join("store")), None),
            other => panic!("no store is called {other}; redis and files are"),
        };
        let sealing = SealingKey::generate("chaos").expect("randomness");
        let plan = Self {
            issuer: server.issuer().to_owned(),
            api: server.api().to_owned(),
            ca: server.ca_pem(),
            key: key.to_pkcs8_pem().expect("PEM").to_string(),
            sealing_key: sealing.to_base64url().to_string(),
            store,
            sessions: Vec::new(),
            folder,
        };
        (plan, redis)
    }

    pub(crate) fn with_sessions(mut self, sessions: &[SessionId]) -> Self {
        self.sessions = sessions.iter().map(|id| id.as_str().to_owned()).collect();
        self
    }

    /// Writes the plan down for a worker.
    pub(crate) fn write(&self) -> PathBuf {
        let store = match &self.store {
            StorePlan::Redis(url) => json!({"redis": url}),
            StorePlan::Files(folder) => json!({"files": folder}),
        };
        let plan = json!({
            "issuer": self.issuer, "api": self.api, "ca": self.ca, "key": self.key,
            "sealing_key": self.sealing_key, "store": store, "sessions": self.sessions,
        });
        let file = self.folder.join("plan.json");
        fs::write(&file, plan.to_string()).expect("the folder is ours");
        file
    }

    pub(crate) fn read(file: &str) -> Self {
        let text = fs::read_to_string(file).expect("the plan");
        let plan: Value = serde_json::from_str(&text).expect("JSON");
        let text = |name: &str| plan[name].as_str().expect("a text").to_owned();
        let store = match (
            plan["store"]["redis"].as_str(),
            plan["store"]["files"].as_str(),
        ) {
            (Some(url), _) => StorePlan::Redis(url.to_owned()),
            (_, Some(folder)) => StorePlan::Files(folder.into()),
            _ => panic!("no store"),
        };
        let sessions = plan["sessions"].as_array().expect("a list").iter();
        Self {
            issuer: text("issuer"),
            api: text("api"),
            ca: text("ca"),
            key: text("key"),
            sealing_key: text("sealing_key"),
            store,
            sessions: sessions
                .filter_map(|id| id.as_str().map(str::to_owned))
                .collect(),
            folder: PathBuf::new(),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("{}/accounts", self.api)
    }

    async fn stores(&self) -> Result<Stores, StoreError> {
        let sealing = SealingKeys::new(SealingKey::from_base64url("chaos", &self.sealing_key)?);
        match &self.store {
            StorePlan::Redis(url) => {
                let store = RedisStore::builder(url)
                    .credentials(Redis::USER, Redis::PASSWORD)
                    .connect()
                    .await?;
                Ok(Stores::new(store, sealing))
            }
            StorePlan::Files(folder) => Ok(Stores::new(FileStore::open(folder)?, sealing)),
        }
    }

    pub(crate) async fn client(&self) -> Result<Client, Error> {
        let transport = HttpsTransport::builder()
            .only_root_certificates(&self.ca)?
            .no_proxy()
            .build()?;
        Client::builder(&self.issuer, CLIENT_ID)
            .redirect_uri(REDIRECT_URI)
            .authenticate_with(ClientAuth::private_key_jwt(SoftwareKey::from_pem(
                &self.key,
            )?))
            .api(&self.api)
            .transport(transport)
            .stores(self.stores().await?)
            .build()
            .await
    }

    /// Takes away what the run has left.
    pub(crate) fn clean(&self) {
        drop(fs::remove_dir_all(&self.folder));
    }
}
