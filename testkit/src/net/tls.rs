//! TLS: an authority of our own, certificates for loopback, and the settings of both sides.

use std::io;
use std::sync::{Arc, LazyLock, Mutex};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P384_SHA384, SanType,
    date_time_ymd,
};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::server::{ClientHello as RustlsHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{
    CipherSuite, ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion,
};

use super::asking::Asking;
use crate::record::ClientHello;

/// The certificate that a server shows (SP-5.2.1-5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Certificate {
    /// A right one, for `localhost`, `127.0.0.1` and `::1`.
    #[default]
    Valid,
    /// One for another host.
    OtherHost,
    /// One whose names stand in the common name alone.
    CommonNameOnly,
    /// One that has expired.
    Expired,
    /// One of an authority that nobody trusts.
    OtherAuthority,
    /// One that no authority signed.
    SelfSigned,
}

/// The TLS versions and cipher suites that a server takes (SP-5.2.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Tls {
    /// TLS 1.3, and TLS 1.2 with the suites that BCP 195 recommends.
    #[default]
    Both,
    /// TLS 1.3 alone.
    Only13,
    /// TLS 1.2 alone, with the suites that BCP 195 recommends.
    Only12,
    /// TLS 1.2 alone, with ChaCha20-Poly1305 alone, which BCP 195 does not recommend.
    Only12ChaCha,
}

/// A certificate for a client (RFC 8705), with a key on P-256 unless it says otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientCertificate {
    /// One that the testkit's authority signed.
    #[default]
    Valid,
    /// The same, with a key on P-384.
    P384,
    /// The same, and expired.
    Expired,
    /// One of an authority that nobody trusts.
    OtherAuthority,
    /// One that no authority signed.
    SelfSigned,
}

/// An authority that signs certificates.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    /// The one that all servers of this process share, so that a client needs to trust but one.
    pub(crate) fn shared() -> Arc<Self> {
        static SHARED: LazyLock<Arc<Authority>> = LazyLock::new(|| Arc::new(Authority::new()));
        SHARED.clone()
    }

    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name = name("fapi-testkit authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, key_pair()).expect("sound parameters");
        Self { issuer }
    }

    pub(crate) fn pem(&self) -> String {
        self.issuer.pem()
    }

    pub(crate) fn der(&self) -> CertificateDer<'static> {
        self.issuer.der().clone()
    }

    /// Makes a certificate for these names or addresses: it and its key, as PEM.
    pub(crate) fn issue_for(&self, names: &[&str]) -> (String, String) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("host names or addresses");
        params.distinguished_name = name("fapi-testkit");
        let key = key_pair();
        let certificate = params.signed_by(&key, &self.issuer);
        let certificate = certificate.expect("sound parameters");
        (certificate.pem(), key.serialize_pem())
    }

    /// Makes a certificate for a client: it and its key, as PEM.
    pub(crate) fn issue_client(&self, kind: ClientCertificate, names: &[&str]) -> (String, String) {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names.iter().map(|name| san(name)).collect();
        params.distinguished_name = name(names.first().unwrap_or(&"client"));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        if kind == ClientCertificate::Expired {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2020, 2, 1);
        }
        let key = match kind {
            ClientCertificate::P384 => {
                KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).expect("ring makes P-384 keys")
            }
            _ => key_pair(),
        };
        let certificate = match kind {
            ClientCertificate::SelfSigned => params.self_signed(&key),
            ClientCertificate::OtherAuthority => {
                let mut other = CertificateParams::default();
                other.distinguished_name = name("another authority");
                other.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
                let other = CertifiedIssuer::self_signed(other, key_pair());
                params.signed_by(&key, &other.expect("sound parameters"))
            }
            _ => params.signed_by(&key, &self.issuer),
        };
        let certificate = certificate.expect("sound parameters");
        (certificate.pem(), key.serialize_pem())
    }

    /// Makes a certificate with its key.
    fn issue(&self, kind: Certificate) -> CertifiedKey {
        let names: &[&str] = match kind {
            Certificate::OtherHost => &["other.example"],
            Certificate::CommonNameOnly => &[],
            _ => &["localhost", "127.0.0.1", "::1"],
        };
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("sound names");
        params.distinguished_name = name("localhost");
        if kind == Certificate::Expired {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2020, 2, 1);
        }
        let key = key_pair();
        let certificate = match kind {
            Certificate::SelfSigned => params.self_signed(&key),
            Certificate::OtherAuthority => params.signed_by(&key, &Self::new().issuer),
            _ => params.signed_by(&key, &self.issuer),
        };
        let chain = vec![certificate.expect("sound parameters").der().clone()];
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        CertifiedKey::from_der(chain, key, &provider(Tls::Both)).expect("the key fits")
    }
}

/// What clients offered, written down as connections open.
pub(crate) type Hellos = Arc<Mutex<Vec<ClientHello>>>;

/// The settings of a server.
pub(crate) fn server_config(
    authority: &Authority,
    certificate: Certificate,
    tls: Tls,
    hellos: Hellos,
) -> ServerConfig {
    let key = Arc::new(authority.issue(certificate));
    config(tls, None, Resolver { key, hellos })
}

/// The settings of a server that asks for a client certificate.
pub(crate) fn mtls_server_config(
    authority: &Authority,
    certificate: Certificate,
    tls: Tls,
    hellos: Hellos,
) -> ServerConfig {
    let key = Arc::new(authority.issue(certificate));
    let asking = Asking::new(authority, Arc::new(provider(tls)));
    config(tls, Some(asking), Resolver { key, hellos })
}

fn config(tls: Tls, asking: Option<Asking>, resolver: Resolver) -> ServerConfig {
    let versions: &[&SupportedProtocolVersion] = match tls {
        Tls::Both => &[&TLS13, &TLS12],
        Tls::Only13 => &[&TLS13],
        Tls::Only12 | Tls::Only12ChaCha => &[&TLS12],
    };
    let config = ServerConfig::builder_with_provider(Arc::new(provider(tls)))
        .with_protocol_versions(versions)
        .expect("the provider has suites for these versions");
    let config = match asking {
        Some(asking) => config.with_client_cert_verifier(Arc::new(asking)),
        None => config.with_no_client_auth(),
    };
    let mut config = config.with_cert_resolver(Arc::new(resolver));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config
}

/// The settings of a client that trusts the authority.
pub(crate) fn client_config(authority: &Authority) -> io::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.der()).map_err(io::Error::other)?;
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider(Tls::Both)))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// SP-5.2.2-1: with TLS 1.2 the suites of RFC 9325 section 4.2, and no others.
fn provider(tls: Tls) -> CryptoProvider {
    let mut provider = ring::default_provider();
    provider.cipher_suites.retain(|suite| {
        if suite.version().version == TLS13.version {
            return true;
        }
        let chacha = matches!(
            suite.suite(),
            CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
                | CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256
        );
        chacha == (tls == Tls::Only12ChaCha)
    });
    provider
}

#[derive(Debug)]
struct Resolver {
    key: Arc<CertifiedKey>,
    hellos: Hellos,
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: RustlsHello<'_>) -> Option<Arc<CertifiedKey>> {
        let text = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
        let hello = ClientHello {
            server_name: hello.server_name().map(str::to_owned),
            cipher_suites: hello
                .cipher_suites()
                .iter()
                .map(|suite| u16::from(*suite))
                .collect(),
            alpn: hello
                .alpn()
                .map(|names| names.map(text).collect())
                .unwrap_or_default(),
        };
        if let Ok(mut hellos) = self.hellos.lock() {
            hellos.push(hello);
        }
        Some(self.key.clone())
    }
}

/// An alternative name: a URI, an e-mail address, an IP address or a DNS name.
fn san(name: &str) -> SanType {
    let text = || name.try_into().expect("a name in ASCII");
    if name.contains("://") {
        SanType::URI(text())
    } else if name.contains('@') {
        SanType::Rfc822Name(text())
    } else {
        match name.parse() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) => SanType::DnsName(text()),
        }
    }
}

fn name(common: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common);
    name
}

fn key_pair() -> KeyPair {
    KeyPair::generate().expect("ring makes P-256 keys")
}
