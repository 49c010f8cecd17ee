//! What is to be changed about a registered client.

use serde_json::{Map, Value};

use crate::error::ConfigError;
use crate::profile::Algorithm;
use crate::protocol::authorization_request as request;
use crate::protocol::client_auth::ClientAuth;
use crate::protocol::registration;
use crate::protocol::uri::RedirectUri;

/// What is to be changed about a registered client; the rest stays as it is. See
/// [`Registration::update`](crate::Registration::update).
#[derive(Clone, Debug, Default)]
#[must_use = "changes are made with Registration::update"]
pub struct RegistrationChanges {
    members: Map<String, Value>,
    auth: Option<ClientAuth>,
    problem: Option<ConfigError>,
}

impl RegistrationChanges {
    /// No change yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// These redirect URIs, in place of the present ones.
    pub fn redirect_uris<U: Into<String>>(mut self, uris: impl IntoIterator<Item = U>) -> Self {
        let uris: Result<Vec<Value>, _> = uris
            .into_iter()
            .map(|uri| RedirectUri::new(uri).map(|uri| uri.as_str().into()))
            .collect();
        match uris {
            Ok(uris) if uris.is_empty() => self.found(ConfigError::NoRedirectUri),
            Ok(uris) => self.set("redirect_uris", uris.into()),
            Err(problem) => self.found(problem),
        }
        self
    }

    /// Other keys: their public half is sent. A key that is still to sign for a while stays in the set.
    pub fn authenticate_with(mut self, auth: ClientAuth) -> Self {
        self.auth = Some(auth);
        self
    }

    /// Another name.
    pub fn client_name(mut self, name: impl Into<String>) -> Self {
        self.set("client_name", name.into().into());
        self
    }

    /// Another scope, as words with spaces between them.
    pub fn scope(mut self, scope: &str) -> Self {
        match request::scope(scope) {
            Ok(scope) => self.set("scope", scope.into()),
            Err(problem) => self.found(problem),
        }
        self
    }

    /// A further member that an ecosystem asks for, as
    /// [`RegistrationRequest::metadata`](crate::RegistrationRequest::metadata).
    pub fn metadata(mut self, name: &str, value: impl Into<Value>) -> Self {
        if registration::is_reserved(name) {
            self.found(ConfigError::ReservedParameter(name.to_owned()));
        } else {
            self.set(name, value.into());
        }
        self
    }

    /// The present metadata with the changes in it, and the new way to authenticate.
    pub(super) fn applied(
        self,
        present: &Map<String, Value>,
    ) -> Result<(Map<String, Value>, Option<ClientAuth>), ConfigError> {
        if let Some(problem) = self.problem {
            return Err(problem);
        }
        let mut metadata = present.clone();
        metadata.extend(self.members);
        if let Some(auth) = &self.auth {
            // DCR-2a: keys behind a jwks_uri are served there.
            if !metadata.contains_key("jwks_uri") {
                metadata.insert("jwks".to_owned(), auth.keys().jwks());
            }
            let algorithm = auth.keys().active().signer.algorithm();
            for member in [
                "token_endpoint_auth_signing_alg",
                "request_object_signing_alg",
            ] {
                let known = metadata.get(member).and_then(Value::as_str);
                // Ed25519 keeps the name that the server has for it.
                if known.and_then(Algorithm::from_name) != Some(algorithm) {
                    metadata.insert(member.to_owned(), algorithm.name().into());
                }
            }
        }
        Ok((metadata, self.auth))
    }

    fn set(&mut self, member: &str, value: Value) {
        self.members.insert(member.to_owned(), value);
    }

    /// The first problem is the one that is told.
    fn found(&mut self, problem: ConfigError) {
        self.problem.get_or_insert(problem);
    }
}
