//! The command line.

use std::error::Error;
use std::path::PathBuf;

/// A real server to run against.
pub(crate) struct Options {
    pub(crate) issuer: String,
    pub(crate) client_id: String,
    pub(crate) key: PathBuf,
    pub(crate) api: Option<String>,
    pub(crate) scope: String,
    pub(crate) ca: Option<PathBuf>,
    pub(crate) redirect_uri: String,
}

const USAGE: &str = "usage: quickstart [--issuer URL --client-id ID --key FILE [--api URL] [--scope WORDS] [--ca FILE] [--redirect-uri http://127.0.0.1:PORT/PATH]]";

impl Options {
    /// `None` where there are no arguments.
    pub(crate) fn from_arguments() -> Result<Option<Self>, Box<dyn Error>> {
        let mut arguments = std::env::args().skip(1).peekable();
        if arguments.peek().is_none() {
            return Ok(None);
        }
        let (mut issuer, mut client_id, mut key) = (None, None, None);
        let (mut api, mut scope, mut ca, mut redirect_uri) = (None, None, None, None);
        while let Some(name) = arguments.next() {
            let slot = match name.as_str() {
                "--issuer" => &mut issuer,
                "--client-id" => &mut client_id,
                "--key" => &mut key,
                "--api" => &mut api,
                "--scope" => &mut scope,
                "--ca" => &mut ca,
                "--redirect-uri" => &mut redirect_uri,
                _ => return Err(USAGE.into()),
            };
            *slot = Some(arguments.next().ok_or(USAGE)?);
        }
        Ok(Some(Self {
            issuer: issuer.ok_or(USAGE)?,
            client_id: client_id.ok_or(USAGE)?,
            key: key.ok_or(USAGE)?.into(),
            api,
            scope: scope.unwrap_or_else(|| "openid".to_owned()),
            ca: ca.map(PathBuf::from),
            redirect_uri: redirect_uri.unwrap_or_else(|| "http://127.0.0.1:0/callback".to_owned()),
        }))
    }
}
