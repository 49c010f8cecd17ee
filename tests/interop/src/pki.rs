use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};

/// An authority made for one test run, and one certificate of it for `localhost`.
#[derive(Debug)]
pub struct Pki {
    authority: String,
    certificate: String,
    key: String,
}

impl Pki {
    /// Makes the authority and the certificate, both with P-256 keys.
    #[must_use]
    pub fn new() -> Self {
        let authority_key = KeyPair::generate().expect("a key");
        let mut authority = CertificateParams::default();
        authority.distinguished_name = named("fapi-client interop tests");
        authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let authority_certificate = authority
            .self_signed(&authority_key)
            .expect("a certificate");
        let issuer = Issuer::new(authority, authority_key);

        let key = KeyPair::generate().expect("a key");
        let names = ["localhost", "127.0.0.1", "::1"].map(String::from);
        let mut server = CertificateParams::new(names).expect("valid names");
        server.distinguished_name = named("localhost");
        server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        server.use_authority_key_identifier_extension = true;
        let certificate = server.signed_by(&key, &issuer).expect("a certificate");

        Self {
            authority: authority_certificate.pem(),
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        }
    }

    /// The root to trust, as PEM.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// What a server on `localhost` shows, as PEM.
    #[must_use]
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// The key of [`Pki::certificate`], as PKCS#8 PEM.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl Default for Pki {
    fn default() -> Self {
        Self::new()
    }
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}
