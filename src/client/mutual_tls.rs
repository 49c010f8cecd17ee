//! The way out with the client's certificate, and a new one when the certificate changes.

use std::sync::{Arc, Mutex, PoisonError};

use crate::error::ConfigError;
use crate::keys::CertificateSet;
use crate::protocol::client_auth::ClientAuth;
use crate::transport::Transport;

/// A way out, and the thumbprint of the certificate that is shown on it.
#[derive(Clone)]
pub(crate) struct Way {
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) certificate: Option<Arc<str>>,
}

/// MTLS-pool: a way out for each certificate, with connections of its own.
pub(crate) struct MutualTls {
    certificates: CertificateSet,
    /// The way out without a certificate.
    plain: Arc<dyn Transport>,
    way: Mutex<Way>,
}

impl MutualTls {
    pub(crate) fn new(
        certificates: CertificateSet,
        plain: Arc<dyn Transport>,
    ) -> Result<Self, ConfigError> {
        let way = Mutex::new(way(&certificates, &*plain)?);
        Ok(Self {
            certificates,
            plain,
            way,
        })
    }

    pub(crate) const fn certificates(&self) -> &CertificateSet {
        &self.certificates
    }

    /// The way out with the certificate that is active now. Connections under another are let go.
    pub(crate) fn way(&self) -> Result<Way, ConfigError> {
        let mut current = self.way.lock().unwrap_or_else(PoisonError::into_inner);
        let active = self.certificates.active();
        if current.certificate.as_deref() != Some(active.thumbprint()) {
            *current = way(&self.certificates, &*self.plain)?;
        }
        Ok(current.clone())
    }
}

fn way(certificates: &CertificateSet, plain: &dyn Transport) -> Result<Way, ConfigError> {
    let active = certificates.active();
    Ok(Way {
        transport: plain.with_client_certificate(&active)?,
        certificate: Some(active.thumbprint().into()),
    })
}

/// That there is a certificate where something needs one.
pub(crate) fn needs_certificate(
    auth: &ClientAuth,
    certificates: Option<&CertificateSet>,
    bound: bool,
    aliases: bool,
) -> Result<(), ConfigError> {
    let needed = match auth.keys() {
        None => auth.name(),
        Some(_) if bound => "certificate_bound_tokens",
        Some(_) if aliases => "use_mtls_endpoint_aliases",
        Some(_) => return Ok(()),
    };
    match certificates {
        Some(_) => Ok(()),
        None => Err(ConfigError::NoCertificate(needed)),
    }
}
