//! The command line.

use std::fs;

use fapi_backend::Trouble;
use fapi_backend::settings::{BaseUrl, Settings, Store};
use fapi_client::store::SealingKey;
use fapi_client::{KeySet, SoftwareKey};
use zeroize::Zeroizing;

pub(crate) const USAGE: &str = "\
A web application on FAPI 2.0.

usage: fapi-backend --demo [--listen ADDRESS]
       fapi-backend --issuer URL --client-id ID --key FILE --base-url https://HOST [options]

  --demo                a test server in this process, and the application on it
  --issuer URL          the server, named as it names itself
  --client-id ID        our name there
  --key FILE            our private key (PEM: P-256, Ed25519 or RSA); its public half is at /jwks
  --base-url URL        where users reach us; register URL/callback as redirect URI,
                        URL/signed-out as post-logout redirect URI, URL/backchannel-logout
  --scope WORDS         what to ask users for                            [openid]
  --api URL             what to call for a user
  --listen ADDRESS      where to listen                                  [127.0.0.1:8080; demo 127.0.0.1:8443]
  --tls-cert FILE       speak https, with this certificate chain (PEM) and
  --tls-key FILE        its key; without them a proxy in front speaks https
  --store memory|URL    where sessions are: redis://127.0.0.1, rediss://HOST [memory]
  --redis-user NAME     who we are at Redis                              [default]
  --redis-password-file FILE
  --sealing-key FILE    43 characters of base64url (32 bytes), the same in all replicas, mode 0600;
                        again for a former key that should still open
  --ca FILE             trust these certificates (PEM) instead of the system's

The environment can hold FAPI_REDIS_PASSWORD and FAPI_SEALING_KEY instead of files.";

pub(crate) enum Command {
    Help,
    #[cfg(feature = "demo")]
    Demo {
        listen: String,
    },
    Serve(Box<Options>),
}

pub(crate) struct Options {
    pub(crate) settings: Settings,
    pub(crate) listen: String,
    pub(crate) certificate: Option<Certificate>,
}

/// What a server shows over https, as PEM.
pub(crate) struct Certificate {
    pub(crate) chain: String,
    pub(crate) key: Zeroizing<String>,
}

/// What stood on the command line, as text.
#[derive(Default)]
struct Given {
    demo: bool,
    issuer: Option<String>,
    client_id: Option<String>,
    key: Option<String>,
    base_url: Option<String>,
    scope: Option<String>,
    api: Option<String>,
    listen: Option<String>,
    tls_cert: Option<String>,
    tls_key: Option<String>,
    store: Option<String>,
    redis_user: Option<String>,
    redis_password_file: Option<String>,
    sealing_keys: Vec<String>,
    ca: Option<String>,
}

impl Command {
    pub(crate) fn from_arguments(
        mut arguments: impl Iterator<Item = String>,
    ) -> Result<Self, Trouble> {
        let mut given = Given::default();
        while let Some(name) = arguments.next() {
            let slot = match name.as_str() {
                "--help" | "-h" => return Ok(Self::Help),
                "--demo" => {
                    given.demo = true;
                    continue;
                }
                "--sealing-key" => {
                    given.sealing_keys.push(value(&name, arguments.next())?);
                    continue;
                }
                "--issuer" => &mut given.issuer,
                "--client-id" => &mut given.client_id,
                "--key" => &mut given.key,
                "--base-url" => &mut given.base_url,
                "--scope" => &mut given.scope,
                "--api" => &mut given.api,
                "--listen" => &mut given.listen,
                "--tls-cert" => &mut given.tls_cert,
                "--tls-key" => &mut given.tls_key,
                "--store" => &mut given.store,
                "--redis-user" => &mut given.redis_user,
                "--redis-password-file" => &mut given.redis_password_file,
                "--ca" => &mut given.ca,
                other => return Err(format!("no such option: {other} (try --help)").into()),
            };
            *slot = Some(value(&name, arguments.next())?);
        }
        if !given.demo {
            return Ok(Self::Serve(Box::new(given.options()?)));
        }
        #[cfg(feature = "demo")]
        return Ok(Self::Demo {
            listen: given.listen.unwrap_or_else(|| "127.0.0.1:8443".to_owned()),
        });
        #[cfg(not(feature = "demo"))]
        Err("this program was built without the feature `demo`".into())
    }
}

impl Given {
    fn options(self) -> Result<Options, Trouble> {
        let certificate = match (self.tls_cert, self.tls_key) {
            (Some(chain), Some(key)) => Some(Certificate {
                chain: read(&chain)?,
                key: Zeroizing::new(read(&key)?),
            }),
            (None, None) => None,
            _ => return Err("--tls-cert and --tls-key belong together".into()),
        };
        let key = Zeroizing::new(read(&needed("--key", self.key)?)?);
        let password = match self.redis_password_file {
            Some(file) => Some(Zeroizing::new(read(&file)?.trim_end().to_owned())),
            None => std::env::var("FAPI_REDIS_PASSWORD")
                .ok()
                .map(Zeroizing::new),
        };
        let settings = Settings {
            issuer: needed("--issuer", self.issuer)?,
            client_id: needed("--client-id", self.client_id)?,
            key: KeySet::new(SoftwareKey::from_pem(&key)?),
            base_url: BaseUrl::parse(&needed("--base-url", self.base_url)?)?,
            scope: self.scope.unwrap_or_else(|| "openid".to_owned()),
            api: self.api,
            ca_pem: self.ca.as_deref().map(read).transpose()?,
            store: match self.store.as_deref() {
                None | Some("memory") => Store::Memory,
                Some(url) => Store::Redis {
                    url: url.to_owned(),
                    user: self.redis_user.unwrap_or_else(|| "default".to_owned()),
                    password,
                },
            },
            sealing_keys: sealing_keys(&self.sealing_keys)?,
        };
        Ok(Options {
            settings,
            listen: self.listen.unwrap_or_else(|| "127.0.0.1:8080".to_owned()),
            certificate,
        })
    }
}

fn sealing_keys(files: &[String]) -> Result<Vec<SealingKey>, Trouble> {
    let mut keys = Vec::new();
    for file in files {
        keys.push(SealingKey::from_key_file(file)?);
    }
    if let (true, Ok(text)) = (keys.is_empty(), std::env::var("FAPI_SEALING_KEY")) {
        let text = Zeroizing::new(text);
        keys.push(SealingKey::from_base64url("environment", &text)?);
    }
    Ok(keys)
}

fn value(name: &str, value: Option<String>) -> Result<String, Trouble> {
    value.ok_or_else(|| format!("{name} needs a value (try --help)").into())
}

fn needed(name: &str, value: Option<String>) -> Result<String, Trouble> {
    value.ok_or_else(|| format!("{name} is missing (try --help, or --demo)").into())
}

fn read(file: &str) -> Result<String, Trouble> {
    fs::read_to_string(file).map_err(|error| format!("{file}: {error}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(arguments: &[&str]) -> String {
        let arguments = arguments.iter().map(|one| (*one).to_owned());
        match Command::from_arguments(arguments) {
            Err(trouble) => trouble.to_string(),
            Ok(_) => String::new(),
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(refusal(&[]), "--key is missing (try --help, or --demo)");
        assert_eq!(
            refusal(&["--issuer"]),
            "--issuer needs a value (try --help)"
        );
        assert_eq!(
            refusal(&["--insecure"]),
            "no such option: --insecure (try --help)"
        );
        assert_eq!(
            refusal(&["--tls-cert", "x"]),
            "--tls-cert and --tls-key belong together"
        );
        assert_eq!(refusal(&["--help"]), "");
    }
}
