//! Certificates for mutual TLS: loaded, held against their keys, and changed while the client runs.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use base64ct::{Base64, Encoding};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::sign::{CertifiedKey, SigningKey};
use serde_json::{Value, json};
use x509_cert::Certificate;
use x509_cert::der::{Decode, Encode};

use crate::certificate::ClientCertificate;
use crate::crypto::Crypto;
use crate::error::KeyError;
use crate::jose::{PublicJwk, base64url, private, sha256};
use crate::time::Timestamp;

/// The most certificates that a chain has.
const CHAIN_LIMIT: usize = 10;

impl ClientCertificate {
    /// Reads a certificate chain in PEM, the client's own certificate first, and its private key (PKCS#8,
    /// SEC1 or PKCS#1). Both may stand in one text, which is then given twice.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] where there is no certificate or no key, or where one is broken;
    /// [`KeyError::Unsupported`] and [`KeyError::TooShort`] where FAPI 2.0 does not allow the key
    /// (FAPI2-SP 5.4.1); [`KeyError::Mismatch`] where the key is not the certificate's;
    /// [`KeyError::NoCryptoProvider`] where neither feature `aws-lc` nor `ring` is on: then
    /// [`from_pem_with`](Self::from_pem_with) takes the provider.
    pub fn from_pem(chain: &str, key: &str) -> Result<Self, KeyError> {
        Self::from_pem_with(&Crypto::new()?, chain, key)
    }

    /// [`from_pem`](Self::from_pem) with a provider of your own.
    ///
    /// # Errors
    /// As [`from_pem`](Self::from_pem).
    pub fn from_pem_with(crypto: &Crypto, chain: &str, key: &str) -> Result<Self, KeyError> {
        let chain = CertificateDer::pem_slice_iter(chain.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| KeyError::Malformed("the PEM of its certificate is broken"))?;
        Self::with_key(chain, private::tls_key(crypto, key)?)
    }

    /// The certificates and a key that rustls can sign with.
    pub(crate) fn with_key(
        chain: Vec<CertificateDer<'static>>,
        key: Arc<dyn SigningKey>,
    ) -> Result<Self, KeyError> {
        if chain.len() > CHAIN_LIMIT {
            return Err(KeyError::Malformed("its chain has too many certificates"));
        }
        let leaf = chain
            .first()
            .ok_or(KeyError::Malformed("it has no certificate"))?;
        let thumbprint = base64url(&sha256(leaf));
        let read = read(leaf)?;
        let ends = read
            .tbs_certificate()
            .validity()
            .not_after
            .to_unix_duration();
        let expires_at = Timestamp::from_seconds(0).plus(ends);
        let certified = CertifiedKey::new(chain, key);
        match certified.keys_match() {
            // An external key need not tell its public half: the handshake will.
            Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {}
            Err(_) => return Err(KeyError::Mismatch),
        }
        Ok(Self::from_parts(certified, thumbprint, expires_at))
    }

    /// MTLS-2.2: the certificate's key as a JWK with the chain beside it (`x5c`), by which a server knows
    /// a certificate that no authority signed.
    fn jwk(&self) -> Result<Value, KeyError> {
        let chain = &self.certified().cert;
        let leaf = chain
            .first()
            .ok_or(KeyError::Malformed("it has no certificate"))?;
        let spki = read(leaf)?
            .tbs_certificate()
            .subject_public_key_info()
            .to_der()
            .map_err(|_| BROKEN)?;
        let key = PublicJwk::from_spki(&spki)?;
        let mut jwk = key.published_json(self.thumbprint());
        let chain = chain.iter().map(|one| Base64::encode_string(one));
        if let Some(members) = jwk.as_object_mut() {
            members.insert("x5c".to_owned(), chain.collect::<Vec<_>>().into());
            members.insert("x5t#S256".to_owned(), self.thumbprint().into());
        }
        Ok(jwk)
    }
}

const BROKEN: KeyError = KeyError::Malformed("its certificate is broken");

fn read(der: &CertificateDer<'_>) -> Result<Certificate, KeyError> {
    Certificate::from_der(der).map_err(|_| BROKEN)
}

/// The certificates of a client: one that it shows, and others that the server may know beside it.
///
/// Clients share one set, so a certificate is changed while the client runs: [`add`](Self::add) the new
/// one, have the server learn of it where it must (its key in [`jwks`](Self::jwks), for
/// `self_signed_tls_client_auth`), [`activate`](Self::activate) it, and [`remove`](Self::remove) the old
/// one. Access tokens that are bound to the old one are renewed before they are used again
/// (RFC 8705 section 6.3).
#[derive(Clone)]
pub struct CertificateSet {
    /// The lock is held only as long as it takes to read or put an `Arc`.
    held: Arc<RwLock<Arc<Held>>>,
}

#[derive(Clone)]
struct Held {
    active: ClientCertificate,
    /// All of them, the active one included, in the order in which they came.
    all: Vec<ClientCertificate>,
}

impl CertificateSet {
    /// A set of one certificate, which is active.
    #[must_use]
    pub fn new(certificate: ClientCertificate) -> Self {
        let all = vec![certificate.clone()];
        Self {
            held: Arc::new(RwLock::new(Arc::new(Held {
                active: certificate,
                all,
            }))),
        }
    }

    /// The certificate that is shown.
    #[must_use]
    pub fn active(&self) -> ClientCertificate {
        self.snapshot().active.clone()
    }

    /// Adds a certificate that is to be shown later, and returns its thumbprint.
    ///
    /// # Errors
    /// [`KeyError::DuplicateKeyId`] where the set has it.
    pub fn add(&self, certificate: ClientCertificate) -> Result<String, KeyError> {
        let thumbprint = certificate.thumbprint().to_owned();
        self.change(|held| {
            if held.find(certificate.thumbprint()).is_ok() {
                let kid = certificate.thumbprint().to_owned();
                return Err(KeyError::DuplicateKeyId { kid });
            }
            held.all.push(certificate);
            Ok(())
        })?;
        Ok(thumbprint)
    }

    /// Shows this certificate from the next connection on. Connections under the old one come to their end.
    ///
    /// # Errors
    /// [`KeyError::NoSuchKey`] where the set has none of that thumbprint.
    pub fn activate(&self, thumbprint: &str) -> Result<(), KeyError> {
        self.change(|held| {
            held.active = held.find(thumbprint)?.clone();
            Ok(())
        })
    }

    /// Takes a certificate out of the set.
    ///
    /// # Errors
    /// [`KeyError::NoSuchKey`] where the set has none of that thumbprint, [`KeyError::Active`] where it is
    /// the one that is shown.
    pub fn remove(&self, thumbprint: &str) -> Result<(), KeyError> {
        self.change(|held| {
            held.find(thumbprint)?;
            if held.active.thumbprint() == thumbprint {
                let kid = thumbprint.to_owned();
                return Err(KeyError::Active { kid });
            }
            held.all.retain(|one| one.thumbprint() != thumbprint);
            Ok(())
        })
    }

    /// MTLS-2.2: the public key set to register for `self_signed_tls_client_auth`: each certificate's key
    /// with the certificate beside it (`x5c`).
    ///
    /// # Errors
    /// [`KeyError::Unsupported`] where a certificate's key is of a kind that has no place there (of the
    /// curves, P-256 alone has).
    pub fn jwks(&self) -> Result<Value, KeyError> {
        let held = self.snapshot();
        let keys = held.all.iter().map(ClientCertificate::jwk);
        Ok(json!({ "keys": keys.collect::<Result<Vec<_>, _>>()? }))
    }

    fn snapshot(&self) -> Arc<Held> {
        // A panic elsewhere leaves a whole `Arc` behind the lock.
        self.held
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn change(
        &self,
        change: impl FnOnce(&mut Held) -> Result<(), KeyError>,
    ) -> Result<(), KeyError> {
        let mut shared = self.held.write().unwrap_or_else(PoisonError::into_inner);
        let mut held = Held::clone(&shared);
        change(&mut held)?;
        *shared = Arc::new(held);
        Ok(())
    }
}

impl Held {
    fn find(&self, thumbprint: &str) -> Result<&ClientCertificate, KeyError> {
        let found = self.all.iter().find(|one| one.thumbprint() == thumbprint);
        found.ok_or_else(|| KeyError::NoSuchKey {
            kid: thumbprint.to_owned(),
        })
    }
}

impl From<ClientCertificate> for CertificateSet {
    fn from(certificate: ClientCertificate) -> Self {
        Self::new(certificate)
    }
}

impl fmt::Debug for CertificateSet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = self.snapshot();
        let all = held.all.iter().map(ClientCertificate::thumbprint);
        formatter
            .debug_struct("CertificateSet")
            .field("active", &held.active.thumbprint())
            .field("all", &all.collect::<Vec<_>>())
            .finish()
    }
}
