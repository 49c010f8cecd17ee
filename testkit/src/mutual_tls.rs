//! Mutual TLS (RFC 8705): which certificate a connection showed, and whether it is the client's.

use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use base64ct::{Base64, Encoding};
use serde_json::Value;
use tokio_rustls::rustls::pki_types::CertificateDer;
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;

use crate::jose::{decode, sha256};
use crate::record::Request;
use crate::registration::check_keys;

/// What the server looks for in the certificate of a client (RFC 8705 section 2.1.2).
#[derive(Clone, Debug)]
pub(crate) enum CertificateName {
    SubjectDn(String),
    SanDns(String),
    SanUri(String),
    SanIp(String),
    SanEmail(String),
}

/// How a client proves who it is.
#[derive(Clone, Debug)]
pub(crate) enum Authentication {
    PrivateKeyJwt,
    /// A certificate of the testkit's authority, with this name in it.
    Tls(CertificateName),
    /// One of these certificates, whoever signed it.
    SelfSignedTls(Vec<Vec<u8>>),
}

/// A certificate that a connection showed, and whose key it proved.
#[derive(Debug)]
pub(crate) struct Shown {
    der: Vec<u8>,
    /// MTLS-3: `x5t#S256`.
    pub(crate) thumbprint: String,
    /// Whether the testkit's authority signed it.
    trusted: bool,
}

impl Shown {
    pub(crate) fn new(chain: &[CertificateDer<'_>]) -> Option<Arc<Self>> {
        let der = chain.first()?.to_vec();
        Some(Arc::new(Self {
            thumbprint: sha256(&der),
            // The handshake lets no others through.
            trusted: !is_self_signed(&der),
            der,
        }))
    }
}

impl CertificateName {
    /// The name of a registration's member, with its value.
    pub(crate) fn of(member: &str, value: &str) -> Option<Self> {
        let value = value.to_owned();
        Some(match member {
            "tls_client_auth_subject_dn" => Self::SubjectDn(value),
            "tls_client_auth_san_dns" => Self::SanDns(value),
            "tls_client_auth_san_uri" => Self::SanUri(value),
            "tls_client_auth_san_ip" => Self::SanIp(value),
            "tls_client_auth_san_email" => Self::SanEmail(value),
            _ => return None,
        })
    }

    /// The members of a registration that name it.
    pub(crate) const MEMBERS: [&str; 5] = [
        "tls_client_auth_subject_dn",
        "tls_client_auth_san_dns",
        "tls_client_auth_san_uri",
        "tls_client_auth_san_ip",
        "tls_client_auth_san_email",
    ];

    fn is_in(&self, certificate: &Certificate) -> bool {
        let certificate = certificate.tbs_certificate();
        if let Self::SubjectDn(text) = self {
            let own = certificate.subject().to_string();
            return Name::from_str(text).is_ok_and(|name| name.to_string() == own);
        }
        let Ok(Some((_, SubjectAltName(names)))) = certificate.get_extension::<SubjectAltName>()
        else {
            return false;
        };
        names.iter().any(|name| match (self, name) {
            (Self::SanDns(text), GeneralName::DnsName(name)) => {
                name.as_str().eq_ignore_ascii_case(text)
            }
            (Self::SanUri(text), GeneralName::UniformResourceIdentifier(name)) => {
                name.as_str() == text
            }
            (Self::SanEmail(text), GeneralName::Rfc822Name(name)) => name.as_str() == text,
            (Self::SanIp(text), GeneralName::IpAddress(bytes)) => {
                let bytes = bytes.as_bytes();
                match text.parse() {
                    Ok(IpAddr::V4(address)) => address.octets() == *bytes,
                    Ok(IpAddr::V6(address)) => address.octets() == *bytes,
                    Err(_) => false,
                }
            }
            _ => false,
        })
    }
}

/// MTLS-2: a request of a client that a certificate authenticates.
pub(crate) fn authenticate(
    authentication: &Authentication,
    request: &Request,
) -> Result<(), String> {
    // CA-2: one way to authenticate, and this one.
    for name in ["client_assertion", "client_assertion_type", "client_secret"] {
        if request.form_value(name).is_some() {
            return Err(format!("it brings `{name}` beside its certificate"));
        }
    }
    let shown = request.shown.as_ref();
    let shown = shown.ok_or("the connection showed no certificate")?;
    match authentication {
        Authentication::PrivateKeyJwt => Err("it is registered for an assertion".to_owned()),
        Authentication::Tls(_) if !shown.trusted => {
            Err("no authority that is known signed its certificate".to_owned())
        }
        Authentication::Tls(name) if !name.is_in(&read(&shown.der)?) => {
            Err(format!("{name:?} is not in its certificate"))
        }
        Authentication::SelfSignedTls(known) if !known.contains(&shown.der) => {
            Err("its certificate is not in its JWK set".to_owned())
        }
        Authentication::Tls(_) | Authentication::SelfSignedTls(_) => Ok(()),
    }
}

/// MTLS-2.2: the certificates of a JWK set, each of which has to be that of the key beside it.
pub(crate) fn certificates(jwks: Value) -> Result<Vec<Vec<u8>>, String> {
    check_keys(jwks)?.iter().map(certificate_of).collect()
}

fn certificate_of(key: &Value) -> Result<Vec<u8>, String> {
    let first = key["x5c"][0].as_str().ok_or("a key has no `x5c`")?;
    let der = Base64::decode_vec(first).map_err(|_| "`x5c` is not base64")?;
    let text = |name: &str| decode(key[name].as_str().unwrap_or_default());
    let public = match key["kty"].as_str() {
        Some("EC") => [&[4], &text("x")?[..], &text("y")?[..]].concat(),
        Some("OKP") => text("x")?,
        _ => text("n")?,
    };
    let certificate = read(&der)?;
    let own = certificate.tbs_certificate().subject_public_key_info();
    let own = own.subject_public_key.raw_bytes();
    if !own.windows(public.len()).any(|window| window == public) {
        return Err("the certificate in `x5c` is another key's".to_owned());
    }
    match key["x5t#S256"].as_str() {
        Some(thumbprint) if thumbprint != sha256(&der) => {
            Err("`x5t#S256` is not that of `x5c`".to_owned())
        }
        _ => Ok(der),
    }
}

/// Whether a certificate says that it signed itself.
pub(crate) fn is_self_signed(der: &[u8]) -> bool {
    read(der).is_ok_and(|certificate| {
        let certificate = certificate.tbs_certificate();
        certificate.issuer() == certificate.subject()
    })
}

fn read(der: &[u8]) -> Result<Certificate, String> {
    Certificate::from_der(der).map_err(|error| format!("the certificate: {error}"))
}

/// The thumbprint of a certificate in PEM.
pub(crate) fn thumbprint(pem: &str) -> Option<String> {
    let text: String = pem
        .lines()
        .skip_while(|line| !line.starts_with("-----BEGIN CERTIFICATE"))
        .skip(1)
        .take_while(|line| !line.starts_with('-'))
        .collect();
    let der = Base64::decode_vec(&text).ok()?;
    (!der.is_empty()).then(|| sha256(&der))
}
