//! What is to be changed about a registered client.

use serde_json::{Map, Value};

use crate::error::{ConfigError, Error};
use crate::keys::CertificateSet;
use crate::profile::Algorithm;
use crate::protocol::authorization_request as request;
use crate::protocol::client_auth::{CertificateName, ClientAuth};
use crate::protocol::registration;
use crate::protocol::uri::RedirectUri;

/// What is to be changed about a registered client; the rest stays as it is. See
/// [`Registration::update`](crate::Registration::update).
#[derive(Clone, Debug, Default)]
#[must_use = "changes are made with Registration::update"]
pub struct RegistrationChanges {
    members: Map<String, Value>,
    auth: Option<ClientAuth>,
    certificates: Option<CertificateSet>,
    certificate_name: Option<CertificateName>,
    problem: Option<ConfigError>,
}

/// How a client proves who it is.
#[derive(Clone, Debug, Default)]
pub(super) struct Identity {
    pub(super) auth: Option<ClientAuth>,
    pub(super) certificates: Option<CertificateSet>,
}

impl Identity {
    /// What is new takes the place of what was before; what is not new stays.
    pub(super) fn renew(&mut self, with: Self) {
        self.auth = with.auth.or_else(|| self.auth.take());
        self.certificates = with.certificates.or_else(|| self.certificates.take());
    }
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

    /// Other keys: their public half is sent. A key that is still to sign for a while stays in the set. The
    /// way to authenticate stays the one that was registered.
    pub fn authenticate_with(mut self, auth: ClientAuth) -> Self {
        self.auth = Some(auth);
        self
    }

    /// Other certificates. For `self_signed_tls_client_auth` their keys are sent.
    pub fn client_certificate(mut self, certificates: impl Into<CertificateSet>) -> Self {
        self.certificates = Some(certificates.into());
        self
    }

    /// Something else that the server looks for in the certificate.
    pub fn certificate_name(mut self, name: CertificateName) -> Self {
        self.certificate_name = Some(name);
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

    /// The present metadata with the changes in it, and how the client proves from then on who it is.
    pub(super) fn applied(
        self,
        present: &Map<String, Value>,
        identity: &Identity,
    ) -> Result<(Map<String, Value>, Identity), Error> {
        if let Some(problem) = self.problem {
            return Err(problem.into());
        }
        let mut metadata = present.clone();
        metadata.extend(self.members);
        let method = metadata.get("token_endpoint_auth_method");
        let method = method.and_then(Value::as_str).map(str::to_owned);
        if let Some(auth) = &self.auth
            && method
                .as_deref()
                .is_some_and(|method| method != auth.name())
        {
            return Err(ConfigError::OtherAuthentication.into());
        }
        // What was registered says how the client authenticates, though nobody has told it since it was
        // loaded.
        let self_signed = ClientAuth::self_signed_tls_client_auth();
        let by_certificate =
            (method.as_deref() == Some(self_signed.name())).then_some(&self_signed);
        let auth = self.auth.as_ref().or(identity.auth.as_ref());
        let auth = auth.or(by_certificate);
        let certificates = self.certificates.as_ref();
        let certificates = certificates.or(identity.certificates.as_ref());
        if let Some(name) = self.certificate_name {
            if !auth.is_some_and(ClientAuth::is_known_by_an_authority) {
                return Err(ConfigError::CertificateName.into());
            }
            for member in CertificateName::MEMBERS {
                metadata.remove(member);
            }
            let (member, name) = name.member();
            metadata.insert(member.to_owned(), name.into());
        }
        let changed = self.auth.is_some() || self.certificates.is_some();
        // DCR-2a: keys behind a jwks_uri are served there.
        if let Some(auth) = auth
            && changed
            && !auth.is_known_by_an_authority()
            && !metadata.contains_key("jwks_uri")
        {
            if by_certificate.is_some() && certificates.is_none() {
                return Err(ConfigError::NoCertificate(auth.name()).into());
            }
            let keys = auth.jwks(certificates)?;
            metadata.insert("jwks".to_owned(), keys);
        }
        if let Some(algorithm) = self.auth.as_ref().and_then(ClientAuth::algorithm) {
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
        let identity = Identity {
            auth: self.auth,
            certificates: self.certificates,
        };
        Ok((metadata, identity))
    }

    fn set(&mut self, member: &str, value: Value) {
        self.members.insert(member.to_owned(), value);
    }

    /// The first problem is the one that is told.
    fn found(&mut self, problem: ConfigError) {
        self.problem.get_or_insert(problem);
    }
}
