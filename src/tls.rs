//! TLS as FAPI 2.0 wants it (Security Profile 5.2), from the roots and the provider: for the requests of
//! `transport`, and for a store that is reached over the network.

use std::error::Error;
use std::io;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
#[cfg(feature = "redis")]
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject;
use rustls::sign::SingleCertAndKey;
use rustls::{CipherSuite, ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};
use rustls_platform_verifier::Verifier;

use crate::certificate::ClientCertificate;
use crate::crypto::Crypto;
use crate::error::{ConfigError, StoreError};

/// SP-5.2.2-2: of TLS 1.2, the four suites that RFC 9325 section 4.2 recommends.
const TLS12_SUITES: [CipherSuite; 4] = [
    CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
];

/// The longest reason that is passed on. Parts of it are the peer's words.
const REASON_MAX_CHARS: usize = 200;

/// Why there is no TLS to be had: a setting, in words.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault(String);

impl From<Fault> for ConfigError {
    fn from(fault: Fault) -> Self {
        Self::Transport(fault.0)
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        Self::Setting(fault.0)
    }
}

/// Whose certificates are taken.
#[derive(Clone, Default)]
pub(crate) struct Roots {
    named: Vec<CertificateDer<'static>>,
    without_platform: bool,
}

impl Roots {
    /// Adds the certificates of a PEM text.
    pub(crate) fn add(&mut self, pem: &[u8]) -> Result<(), Fault> {
        let before = self.named.len();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate =
                certificate.map_err(|_| error("the PEM of the root certificates is malformed"))?;
            self.named.push(certificate);
        }
        if self.named.len() == before {
            return Err(error("the PEM of the root certificates has none"));
        }
        Ok(())
    }

    /// From here on the platform's own roots count for nothing.
    pub(crate) const fn forget_platform(&mut self) {
        self.without_platform = true;
    }
}

/// The settings of every connection.
pub(crate) fn config(crypto: &Crypto, roots: Roots) -> Result<ClientConfig, Fault> {
    let provider = Arc::new(trimmed(crypto.provider()));
    // SP-5.2.1-2: TLS 1.2 and 1.3; rustls has nothing older.
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| tls_error(&error))?;
    let mut config = if roots.without_platform {
        // SP-5.2.2.1-1: the list of an ecosystem, and nothing besides.
        named(builder, roots.named)?
    } else {
        platform(builder, roots.named, provider)?
    };
    // SP-5.2.1-3: what is sent before the handshake ends can be replayed by whoever records it.
    config.enable_early_data = false;
    Ok(config)
}

/// The same settings with a client certificate, and with no TLS session of theirs (MTLS-pool): one that is
/// resumed says who the client is.
pub(crate) fn with_certificate(
    config: &ClientConfig,
    certificate: &ClientCertificate,
) -> ClientConfig {
    let mut config = config.clone();
    let certified = certificate.certified().clone();
    config.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(certified));
    config.resumption = Resumption::default();
    config
}

/// The provider without the suites of TLS 1.2 that BCP 195 does not recommend.
fn trimmed(provider: &CryptoProvider) -> CryptoProvider {
    let mut provider = provider.clone();
    provider
        .cipher_suites
        .retain(|suite| suite.tls13().is_some() || TLS12_SUITES.contains(&suite.suite()));
    provider
}

fn named(
    builder: ConfigBuilder<ClientConfig, WantsVerifier>,
    certificates: Vec<CertificateDer<'static>>,
) -> Result<ClientConfig, Fault> {
    let mut store = RootCertStore::empty();
    for certificate in certificates {
        store.add(certificate).map_err(|error| tls_error(&error))?;
    }
    Ok(builder.with_root_certificates(store).with_no_client_auth())
}

/// SP-5.2.1-5: the operating system's verifier, with its roots and those that were named. `dangerous`
/// is how rustls calls the door for any verifier but its own; there is no way to put in one that does
/// not verify.
fn platform(
    builder: ConfigBuilder<ClientConfig, WantsVerifier>,
    certificates: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
) -> Result<ClientConfig, Fault> {
    let verifier = if certificates.is_empty() {
        Verifier::new(provider).map_err(|error| tls_error(&error))?
    } else {
        with_platform_and(certificates, provider)?
    };
    Ok(builder
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth())
}

#[cfg(not(target_os = "android"))]
fn with_platform_and(
    certificates: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
) -> Result<Verifier, Fault> {
    Verifier::new_with_extra_roots(certificates, provider).map_err(|error| tls_error(&error))
}

#[cfg(target_os = "android")]
fn with_platform_and(
    _: Vec<CertificateDer<'static>>,
    _: Arc<CryptoProvider>,
) -> Result<Verifier, Fault> {
    Err(error(
        "Android's verifier takes no further roots: name all of them with only_root_certificates",
    ))
}

fn tls_error(error: &rustls::Error) -> Fault {
    Fault(error.to_string())
}

fn error(text: &str) -> Fault {
    Fault(text.to_owned())
}

/// The error of rustls that lies at the bottom, where there is one. It travels inside of an
/// `io::Error`, whose `source` skips it.
pub(crate) fn cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    if let Some(tls) = error.downcast_ref::<rustls::Error>() {
        return Some(tls);
    }
    let inside = error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref)
        .and_then(|inner| cause(inner));
    inside.or_else(|| error.source().and_then(cause))
}

/// Why a handshake came to nothing, where it will come to nothing again: a certificate that is not
/// taken, or a peer that does not speak TLS.
#[cfg(feature = "redis")]
pub(crate) fn lasting_reason(error: &io::Error) -> Option<String> {
    let lasting = |cause: &&rustls::Error| {
        matches!(
            cause,
            rustls::Error::InvalidCertificate(_) | rustls::Error::InvalidMessage(_)
        )
    };
    cause(error).filter(lasting).map(reason)
}

/// The name that a certificate must have.
#[cfg(feature = "redis")]
pub(crate) fn server_name(host: &str) -> Result<ServerName<'static>, Fault> {
    ServerName::try_from(host.to_owned())
        .map_err(|_| error("the host is none that a certificate can name"))
}

/// What rustls says, cut, on one line: a certificate's names are an attacker's to choose.
pub(crate) fn reason(error: &rustls::Error) -> String {
    error
        .to_string()
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(REASON_MAX_CHARS)
        .collect()
}

#[cfg(all(test, any(feature = "aws-lc", feature = "ring")))]
mod tests {
    use rustls::{ProtocolVersion, SupportedCipherSuite};

    use super::*;

    /// SP-5.2.2-2: under TLS 1.2 exactly the four suites are offered; all of TLS 1.3 stay.
    #[test]
    fn only_recommended_suites_are_offered() {
        let crypto = Crypto::new().unwrap();
        let of = |provider: &CryptoProvider, version: ProtocolVersion| -> Vec<CipherSuite> {
            let suites = provider.cipher_suites.iter();
            suites
                .filter(|suite| suite.version().version == version)
                .map(SupportedCipherSuite::suite)
                .collect()
        };
        let provider = trimmed(crypto.provider());

        let mut tls12 = of(&provider, ProtocolVersion::TLSv1_2);
        tls12.sort_by_key(|suite| u16::from(*suite));
        let mut recommended = TLS12_SUITES;
        recommended.sort_by_key(|suite| u16::from(*suite));
        assert_eq!(tls12, recommended);
        assert_eq!(
            of(&provider, ProtocolVersion::TLSv1_3),
            of(crypto.provider(), ProtocolVersion::TLSv1_3)
        );
    }

    /// A PEM text without a certificate is an error when it is handed over, not at the first login.
    #[test]
    fn a_pem_without_certificates_is_refused() {
        for pem in [
            "",
            "no PEM",
            "-----BEGIN CERTIFICATE-----\n%\n-----END CERTIFICATE-----\n",
        ] {
            let mut roots = Roots::default();
            let Fault(text) = roots.add(pem.as_bytes()).unwrap_err();
            assert!(
                text.starts_with("the PEM of the root certificates"),
                "{pem:?}: {text}"
            );
        }
    }

    #[test]
    fn a_tls_error_is_found_inside_of_io_errors() {
        let tls = rustls::Error::General("no".to_owned());
        let inner = io::Error::new(io::ErrorKind::InvalidData, tls.clone());
        let outer = io::Error::other(inner);
        assert_eq!(cause(&outer), Some(&tls));
        assert_eq!(cause(&io::Error::other("none")), None);
    }

    #[test]
    fn a_reason_is_short_and_on_one_line() {
        let text = reason(&rustls::Error::General("a\r\nforged: line".repeat(100)));
        assert_eq!(text.chars().count(), REASON_MAX_CHARS);
        assert!(!text.contains(char::is_control));
    }
}
