//! What is remembered between two calls, and is no secret; and where the secrets are.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use fapi_client::store::FileStore;
use fapi_client::{
    Client, ClientAuth, Error, HttpsTransport, KeyName, KeySet, KeyStore, Registration, SealedKeys,
    SoftwareKey, Stores,
};
use serde_json::{Value, json};

use crate::arguments::{Arguments, Kind};
use crate::passphrase;
use crate::say::Failure;

/// The name of the program in the keyring, and of what it keeps.
pub(crate) const NAME: &str = "fapi-cli";
/// As it is registered: without a port, so that any counts (RFC 8252 section 7.3).
pub(crate) const REDIRECT_URI: &str = "http://127.0.0.1/callback";

/// The server, the client and the API.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Profile {
    pub(crate) issuer: String,
    /// A client that was registered by hand: its id, and the file with its key.
    pub(crate) by_hand: Option<(String, PathBuf)>,
    pub(crate) api: Option<String>,
    /// Where sessions are kept, unless the command line says otherwise; never [`Kind::Memory`].
    store: Option<Kind>,
}

impl Profile {
    /// What is remembered, and what the command line says anew.
    pub(crate) fn new(arguments: &Arguments, folder: &Path) -> Result<Self, Failure> {
        let mut profile = Self::remembered(folder)?.unwrap_or_default();
        if let Some(issuer) = &arguments.issuer {
            if profile.issuer != *issuer {
                profile = Self {
                    store: profile.store,
                    ..Self::default()
                };
            }
            profile.issuer.clone_from(issuer);
        }
        match (&arguments.client_id, &arguments.key) {
            (Some(id), Some(key)) => {
                let key = fs::canonicalize(key).map_err(Failure::file(key))?;
                profile.by_hand = Some((id.clone(), key));
            }
            (None, None) => {}
            _ => return Err(Failure::Usage("--client-id and --key go together")),
        }
        if let Some(api) = &arguments.api {
            profile.api = Some(api.clone());
        }
        if let Some(kind) = arguments.store.filter(|kind| *kind != Kind::Memory) {
            profile.store = Some(kind);
        }
        if profile.issuer.is_empty() {
            return Err(Failure::Usage("which server? --issuer URL"));
        }
        Ok(profile)
    }

    fn remembered(folder: &Path) -> Result<Option<Self>, Failure> {
        let file = folder.join("profile.json");
        let text = match fs::read_to_string(&file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text.map_err(Failure::file(&file))?,
        };
        let json: Value = serde_json::from_str(&text)
            .map_err(|_| Failure::Usage("profile.json is damaged: delete it and begin anew"))?;
        let text = |name: &str| json[name].as_str().map(str::to_owned);
        let by_hand = text("client_id").zip(text("key").map(PathBuf::from));
        Ok(Some(Self {
            issuer: text("issuer").unwrap_or_default(),
            by_hand,
            api: text("api"),
            store: text("store").and_then(|kind| Kind::read(&kind).ok()),
        }))
    }

    /// For the next command. Call it once this one has succeeded: what did not work is nothing to begin
    /// the next one with.
    pub(crate) fn remember(&self, folder: &Path) -> Result<(), Failure> {
        if Self::remembered(folder)?.as_ref() == Some(self) {
            return Ok(());
        }
        let json = json!({
            "issuer": self.issuer,
            "client_id": self.by_hand.as_ref().map(|(id, _)| id),
            "key": self.by_hand.as_ref().map(|(_, key)| key),
            "api": self.api,
            "store": self.store.map(Kind::name),
        });
        // Written whole or not at all, though two commands end at once.
        let file = folder.join("profile.json");
        let new = folder.join(format!("profile.json.{}", std::process::id()));
        fs::write(&new, format!("{json:#}\n")).map_err(Failure::file(&new))?;
        fs::rename(&new, &file).map_err(Failure::file(&file))
    }
}

/// The folder of this program, for its user alone.
pub(crate) fn folder(arguments: &Arguments) -> Result<PathBuf, Failure> {
    let folder = if let Some(folder) = &arguments.folder {
        folder.clone()
    } else {
        let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from);
        let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/state"));
        let base = state
            .filter(|path| path.is_absolute())
            .or_else(home)
            .ok_or(Failure::Usage(
                "there is no HOME: name a folder with --folder",
            ))?;
        base.join(NAME)
    };
    if !arguments.in_memory() {
        // The store makes the folder, readable for its user alone, or says what is wrong with it.
        FileStore::open(&folder).map_err(Error::from)?;
    }
    Ok(folder)
}

/// The stores that the command line asks for, or the last one did. Nothing is ever kept unsealed.
pub(crate) async fn stores(
    arguments: &Arguments,
    profile: &Profile,
    folder: &Path,
) -> Result<Stores, Failure> {
    let kind = arguments.store.or(profile.store).unwrap_or(Kind::Keyring);
    Ok(match kind {
        Kind::Memory => Stores::memory(),
        Kind::Keyring => Stores::keyring(folder, NAME).await.map_err(Error::from)?,
        Kind::File => {
            let store = FileStore::open(folder).map_err(Error::from)?;
            let keys = passphrase::sealing_keys(arguments, &store, folder).await?;
            Stores::new(store, keys)
        }
    })
}

/// The way out, with the roots that the command line names.
pub(crate) fn transport(arguments: &Arguments) -> Result<HttpsTransport, Failure> {
    let mut builder = HttpsTransport::builder();
    if let Some(file) = &arguments.ca {
        let pem = fs::read_to_string(file).map_err(Failure::file(file))?;
        builder = builder.only_root_certificates(pem).map_err(Error::from)?;
    }
    Ok(builder.build().map_err(Error::from)?)
}

/// The key of a client that registered itself: made once, sealed with everything else.
pub(crate) async fn own_key(stores: &Stores, issuer: &str) -> Result<ClientAuth, Error> {
    let keys = SealedKeys::new(stores, format!("{NAME} {issuer}"));
    let name = KeyName::new("client")?;
    let signer = match keys.open(&name).await {
        Err(fapi_client::KeyError::Missing { .. }) => {
            keys.create(&name, fapi_client::Algorithm::Es256).await?
        }
        signer => signer?,
    };
    Ok(ClientAuth::private_key_jwt(KeySet::new(signer)))
}

/// The client: registered by hand, or by this program.
pub(crate) async fn client(
    arguments: &Arguments,
    profile: &Profile,
    stores: &Stores,
) -> Result<Client, Failure> {
    let mut builder = if let Some((id, file)) = &profile.by_hand {
        let pem = fs::read_to_string(file).map_err(Failure::file(file))?;
        let key = SoftwareKey::from_pem(&pem).map_err(Error::from)?;
        Client::builder(&profile.issuer, id)
            .redirect_uri(REDIRECT_URI)
            .authenticate_with(ClientAuth::private_key_jwt(key))
    } else {
        let registration = Registration::load(stores, &profile.issuer, NAME)
            .await?
            .ok_or(Failure::NotRegistered)?;
        let key = own_key(stores, &profile.issuer).await?;
        registration
            .authenticate_with(key)
            .client_builder()
            .redirect_uri(REDIRECT_URI)
    };
    if let Some(api) = &profile.api {
        builder = builder.api(api);
    }
    builder = builder.transport(transport(arguments)?);
    Ok(builder.stores(stores.clone()).build().await?)
}
