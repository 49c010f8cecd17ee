//! The client's certificate as TLS shows it (RFC 8705), and what tokens that are bound to it are known by.

use std::fmt;
use std::sync::Arc;

use rustls::sign::CertifiedKey;

use crate::time::Timestamp;

/// A certificate of the client's with the key behind it, for mutual TLS (RFC 8705).
///
/// It comes from PEM ([`from_pem`](Self::from_pem)), from a PKCS#12 file (`from_pkcs12`, feature `pkcs12`), or
/// from a key that stays where it is, such as one in
/// an HSM ([`rustls_0_23::client_certificate`](crate::rustls_0_23::client_certificate)). Cloning it is
/// cheap.
#[derive(Clone)]
pub struct ClientCertificate(Arc<Parts>);

struct Parts {
    certified: Arc<CertifiedKey>,
    thumbprint: String,
    expires_at: Timestamp,
}

impl ClientCertificate {
    /// From its parts, which belong together.
    pub(crate) fn from_parts(
        certified: CertifiedKey,
        thumbprint: String,
        expires_at: Timestamp,
    ) -> Self {
        Self(Arc::new(Parts {
            certified: Arc::new(certified),
            thumbprint,
            expires_at,
        }))
    }

    /// MTLS-3: SHA-256 of the certificate in base64url, as tokens that are bound to it hold it
    /// (`cnf.x5t#S256`).
    #[must_use]
    pub fn thumbprint(&self) -> &str {
        &self.0.thumbprint
    }

    /// When the certificate ends. Put a new one in its place before: see
    /// [`CertificateSet`](crate::CertificateSet).
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.0.expires_at
    }

    /// The certificates, the client's own first, and the key, as rustls takes them.
    pub(crate) fn certified(&self) -> &Arc<CertifiedKey> {
        &self.0.certified
    }
}

/// Names the certificate; of the key it shows nothing.
impl fmt::Debug for ClientCertificate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ClientCertificate")
            .field("thumbprint", &self.0.thumbprint)
            .field("expires_at", &self.0.expires_at)
            .finish_non_exhaustive()
    }
}
