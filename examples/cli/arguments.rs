//! The command line.

use std::path::PathBuf;
use std::time::Duration;

pub(crate) const USAGE: &str = "\
usage: cli COMMAND [OPTIONS]

  register --issuer URL [--api URL]   registers this installation at the server (RFC 7591)
  login                               logs in with the browser
  call METHOD URL [--body TEXT]       calls the API
  status                              says who is logged in
  logout                              logs out, here and at the server

options
  --issuer URL --client-id ID --key FILE   a client that was registered by hand; FILE is PEM
  --api ORIGIN           where the token may go
  --scope WORDS          what to ask for; \"openid\" unless given
  --initial-access-token FILE   what the server's operator gave for registering
  --store keyring|file|memory   where sessions are kept; keyring unless given. In memory nothing is kept:
                         `call` logs in, calls and logs out
  --folder DIR           the folder of the files
  --passphrase-file FILE the passphrase for --store file, where it is not typed in
  --ca FILE              root certificates (PEM) to trust, and no others
  --no-browser           prints the URL and starts no browser
  --timeout SECONDS      how long the login may take; 300 unless given
  --json                 answers in JSON
  -h, --help             prints this

The server, the client, --api and --store (but memory) are remembered once a command has succeeded.";

/// Whether help is asked for, at any place; the text of a request's body may be anything.
pub(crate) fn ask_for_help(words: &[String]) -> bool {
    let is_help = |word: &String| word == "--help" || word == "-h";
    let before = std::iter::once(None).chain(words.iter().map(Some));
    before
        .zip(words)
        .any(|(before, word)| is_help(word) && before.is_none_or(|before| before != "--body"))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Keyring,
    File,
    Memory,
}

impl Kind {
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        match text {
            "keyring" => Ok(Self::Keyring),
            "file" => Ok(Self::File),
            "memory" => Ok(Self::Memory),
            other => Err(format!("--store is keyring, file or memory, not {other}")),
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Keyring => "keyring",
            Self::File => "file",
            Self::Memory => "memory",
        }
    }
}

#[derive(Debug)]
pub(crate) enum Command {
    Register,
    Login,
    Call { method: String, url: String },
    Status,
    Logout,
}

#[derive(Debug)]
pub(crate) struct Arguments {
    pub(crate) command: Command,
    pub(crate) issuer: Option<String>,
    pub(crate) client_id: Option<String>,
    pub(crate) key: Option<PathBuf>,
    pub(crate) api: Option<String>,
    pub(crate) scope: Option<String>,
    pub(crate) initial_access_token: Option<PathBuf>,
    pub(crate) store: Option<Kind>,
    pub(crate) folder: Option<PathBuf>,
    pub(crate) passphrase_file: Option<PathBuf>,
    pub(crate) ca: Option<PathBuf>,
    pub(crate) body: Option<String>,
    pub(crate) browser: bool,
    pub(crate) timeout: Duration,
    pub(crate) json: bool,
}

impl Arguments {
    /// Whether nothing at all is to stay on this machine.
    pub(crate) fn in_memory(&self) -> bool {
        self.store == Some(Kind::Memory)
    }

    pub(crate) fn read(words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut arguments = Self {
            command: Command::Status,
            issuer: None,
            client_id: None,
            key: None,
            api: None,
            scope: None,
            initial_access_token: None,
            store: None,
            folder: None,
            passphrase_file: None,
            ca: None,
            body: None,
            browser: true,
            timeout: Duration::from_secs(300),
            json: false,
        };
        let mut plain = Vec::new();
        let mut words = words;
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
            match word.as_str() {
                "--issuer" => arguments.issuer = Some(value()?),
                "--client-id" => arguments.client_id = Some(value()?),
                "--key" => arguments.key = Some(value()?.into()),
                "--api" => arguments.api = Some(value()?),
                "--scope" => arguments.scope = Some(value()?),
                "--initial-access-token" => {
                    arguments.initial_access_token = Some(value()?.into());
                }
                "--store" => arguments.store = Some(Kind::read(&value()?)?),
                "--folder" => arguments.folder = Some(value()?.into()),
                "--passphrase-file" => arguments.passphrase_file = Some(value()?.into()),
                "--ca" => arguments.ca = Some(value()?.into()),
                "--body" => arguments.body = Some(value()?),
                "--no-browser" => arguments.browser = false,
                "--timeout" => {
                    let seconds = value()?.parse().map_err(|_| "--timeout takes seconds")?;
                    arguments.timeout = Duration::from_secs(seconds);
                }
                "--json" => arguments.json = true,
                option if option.starts_with("--") => return Err(format!("unknown: {option}")),
                _ => plain.push(word),
            }
        }
        let plain: Vec<&str> = plain.iter().map(String::as_str).collect();
        arguments.command = match plain.as_slice() {
            ["register"] => Command::Register,
            ["login"] => Command::Login,
            ["call", method, url] => Command::Call {
                method: method.to_ascii_uppercase(),
                url: (*url).to_owned(),
            },
            ["status"] => Command::Status,
            ["logout"] => Command::Logout,
            [] => return Err("which command?".to_owned()),
            _ => return Err(format!("no such command: {}", plain.join(" "))),
        };
        Ok(arguments)
    }
}
