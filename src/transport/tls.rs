//! TLS as FAPI 2.0 wants it (Security Profile 5.2), from the roots and the provider.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{CipherSuite, ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};
use rustls_platform_verifier::Verifier;

use crate::crypto::Crypto;
use crate::error::ConfigError;

/// SP-5.2.2-2: of TLS 1.2, the four suites that RFC 9325 section 4.2 recommends.
const TLS12_SUITES: [CipherSuite; 4] = [
    CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
];

/// Whose certificates are taken.
#[derive(Clone, Default)]
pub(super) struct Roots {
    named: Vec<CertificateDer<'static>>,
    without_platform: bool,
}

impl Roots {
    /// Adds the certificates of a PEM text.
    pub(super) fn add(&mut self, pem: &[u8]) -> Result<(), ConfigError> {
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
    pub(super) const fn forget_platform(&mut self) {
        self.without_platform = true;
    }
}

/// The settings of every connection.
pub(super) fn config(crypto: &Crypto, roots: Roots) -> Result<ClientConfig, ConfigError> {
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
    // The HTTP library does not set these for settings that are handed to it.
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
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
) -> Result<ClientConfig, ConfigError> {
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
) -> Result<ClientConfig, ConfigError> {
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
) -> Result<Verifier, ConfigError> {
    Verifier::new_with_extra_roots(certificates, provider).map_err(|error| tls_error(&error))
}

#[cfg(target_os = "android")]
fn with_platform_and(
    _: Vec<CertificateDer<'static>>,
    _: Arc<CryptoProvider>,
) -> Result<Verifier, ConfigError> {
    Err(error(
        "Android's verifier takes no further roots: name all of them with only_root_certificates",
    ))
}

fn tls_error(error: &rustls::Error) -> ConfigError {
    ConfigError::Transport(error.to_string())
}

pub(super) fn error(text: &str) -> ConfigError {
    ConfigError::Transport(text.to_owned())
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
            let error = roots.add(pem.as_bytes()).unwrap_err();
            assert!(
                matches!(error, ConfigError::Transport(_)),
                "{pem:?}: {error}"
            );
        }
    }
}
