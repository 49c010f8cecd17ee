//! Client authentication: `private_key_jwt` (RFC 7523 section 2.2, OIDC Core section 9), and with the
//! client's certificate (RFC 8705 section 2).

use std::net::IpAddr;

use serde_json::{Value, json};

use super::form::Form;
use super::metadata::ServerMetadata;
use crate::crypto::Crypto;
use crate::error::{Error, KeyError};
use crate::jose::jws;
use crate::keys::{CertificateSet, KeySet, Signer};
use crate::profile::{ASSERTION_LIFE, Algorithm};
use crate::time::Timestamp;

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// How the client proves who it is. FAPI 2.0 knows no public clients and no shared secrets
/// (SP-5.3.3.1-2).
#[derive(Clone, Debug)]
pub struct ClientAuth(Method);

#[derive(Clone, Debug)]
enum Method {
    PrivateKeyJwt { keys: KeySet, typed: bool },
    Tls,
    SelfSignedTls,
}

impl ClientAuth {
    /// `private_key_jwt`: the active key of the set signs an assertion for every attempt.
    #[must_use]
    pub fn private_key_jwt(keys: impl Into<KeySet>) -> Self {
        Self(Method::PrivateKeyJwt {
            keys: keys.into(),
            typed: false,
        })
    }

    /// `tls_client_auth` (RFC 8705 section 2.1): the client's certificate, which an authority signed that
    /// the server knows, and in which the server looks for what was registered: a subject, or a name.
    ///
    /// The certificate is given to the builder:
    /// [`client_certificate`](crate::ClientBuilder::client_certificate).
    #[must_use]
    pub const fn tls_client_auth() -> Self {
        Self(Method::Tls)
    }

    /// `self_signed_tls_client_auth` (RFC 8705 section 2.2): the client's certificate, which the server
    /// knows by its key set: [`CertificateSet::jwks`](crate::CertificateSet::jwks).
    ///
    /// The certificate is given to the builder:
    /// [`client_certificate`](crate::ClientBuilder::client_certificate).
    #[must_use]
    pub const fn self_signed_tls_client_auth() -> Self {
        Self(Method::SelfSignedTls)
    }

    /// Says in the assertion's header that it is one (`typ` `client-authentication+jwt`,
    /// draft-ietf-oauth-rfc7523bis). For servers that are known to take it; others may refuse it,
    /// so it is off unless called (CA-5). It changes nothing where a certificate authenticates.
    #[must_use]
    pub fn with_explicit_type(self) -> Self {
        match self.0 {
            Method::PrivateKeyJwt { keys, .. } => Self(Method::PrivateKeyJwt { keys, typed: true }),
            tls => Self(tls),
        }
    }

    /// The keys that sign assertions; `None` where a certificate authenticates.
    pub(crate) const fn keys(&self) -> Option<&KeySet> {
        match &self.0 {
            Method::PrivateKeyJwt { keys, .. } => Some(keys),
            Method::Tls | Method::SelfSignedTls => None,
        }
    }

    /// Whether the server knows the client by a certificate that an authority signed, and by no key.
    pub(crate) const fn is_known_by_an_authority(&self) -> bool {
        matches!(self.0, Method::Tls)
    }

    /// What the active key signs with, where a key authenticates.
    pub(crate) fn algorithm(&self) -> Option<Algorithm> {
        Some(self.keys()?.active().signer.algorithm())
    }

    /// What the server knows the client by. `tls_client_auth` has an authority for that, and no keys.
    pub(crate) fn jwks(&self, certificates: Option<&CertificateSet>) -> Result<Value, KeyError> {
        match (&self.0, certificates) {
            (Method::PrivateKeyJwt { keys, .. }, _) => Ok(keys.jwks()),
            (Method::SelfSignedTls, Some(certificates)) => certificates.jwks(),
            (Method::SelfSignedTls, None) => {
                Err(KeyError::Malformed("there is no certificate to publish"))
            }
            (Method::Tls, _) => Ok(json!({"keys": []})),
        }
    }

    /// What metadata and registrations call it.
    pub(crate) const fn name(&self) -> &'static str {
        match &self.0 {
            Method::PrivateKeyJwt { .. } => "private_key_jwt",
            Method::Tls => "tls_client_auth",
            Method::SelfSignedTls => "self_signed_tls_client_auth",
        }
    }

    /// The fields that authenticate one attempt. `jti` is fresh for each (CA-6).
    pub(crate) async fn fields(
        &self,
        crypto: &Crypto,
        metadata: &ServerMetadata,
        client_id: &str,
        jti: &str,
        now: Timestamp,
    ) -> Result<Form, Error> {
        // MTLS-2: always, so that the server knows whose certificate it has to look at.
        let form = Form::default().field("client_id", client_id);
        // CA-2: one way at a time.
        let Method::PrivateKeyJwt { keys, typed } = &self.0 else {
            return Ok(form);
        };
        let key = keys.active();
        // A key that became active while the client runs has signed nothing yet.
        key.prove_once(crypto).await?;
        let header = json!({
            "alg": algorithm_name(key.signer.algorithm(), metadata),
            "kid": key.kid,
            "typ": if *typed { "client-authentication+jwt" } else { "JWT" },
        });
        // SP-5.3.3.1-5, SEC-aud, MTLS-5c: the issuer as a string, and never anything that came from
        // metadata as an endpoint: a malicious server could name another's endpoint there.
        let claims = json!({
            "iss": client_id,
            "sub": client_id,
            "aud": metadata.issuer().as_str(),
            "jti": jti,
            "iat": now.seconds(),
            "exp": now.plus(ASSERTION_LIFE).seconds(),
        });
        let assertion = sign(&*key.signer, &header, &claims).await?;
        Ok(form
            .field("client_assertion_type", ASSERTION_TYPE)
            .field("client_assertion", &assertion))
    }
}

/// What a server looks for in the client's certificate (RFC 8705 section 2.1.2). MTLS-2.1: one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CertificateName {
    /// The subject as a whole, in the form of RFC 4514.
    SubjectDn(String),
    /// A DNS name among the alternative names.
    SanDns(String),
    /// A URI among the alternative names.
    SanUri(String),
    /// An IP address among the alternative names.
    SanIp(IpAddr),
    /// An e-mail address among the alternative names.
    SanEmail(String),
}

impl CertificateName {
    /// The members of a registration that say it, of which one stands there.
    pub(crate) const MEMBERS: [&str; 5] = [
        "tls_client_auth_subject_dn",
        "tls_client_auth_san_dns",
        "tls_client_auth_san_uri",
        "tls_client_auth_san_ip",
        "tls_client_auth_san_email",
    ];

    pub(crate) fn member(&self) -> (&'static str, String) {
        let [subject_dn, san_dns, san_uri, san_ip, san_email] = Self::MEMBERS;
        match self {
            Self::SubjectDn(name) => (subject_dn, name.clone()),
            Self::SanDns(name) => (san_dns, name.clone()),
            Self::SanUri(name) => (san_uri, name.clone()),
            Self::SanIp(address) => (san_ip, address.to_string()),
            Self::SanEmail(address) => (san_email, address.clone()),
        }
    }
}

fn algorithm_name(algorithm: Algorithm, metadata: &ServerMetadata) -> &'static str {
    let listed = metadata.list("token_endpoint_auth_signing_alg_values_supported");
    algorithm.name_among(&listed.unwrap_or_default())
}

async fn sign(
    signer: &dyn Signer,
    header: &serde_json::Value,
    claims: &serde_json::Value,
) -> Result<String, KeyError> {
    let input = jws::signing_input(header, claims);
    let signature = signer.sign(input.as_bytes()).await?;
    Ok(jws::join(input, signature.as_bytes()))
}

#[cfg(all(test, any(feature = "aws-lc", feature = "ring")))]
mod tests {
    use std::net::Ipv6Addr;

    use super::super::uri::Issuer;
    use super::*;
    use crate::keys::SoftwareKey;

    async fn names(auth: &ClientAuth) -> Vec<String> {
        let issuer = Issuer::new("https://as.example").unwrap();
        let document = br#"{"issuer":"https://as.example"}"#;
        let metadata = super::super::metadata::parse(&issuer, document).unwrap();
        let crypto = Crypto::new().unwrap();
        let now = Timestamp::from_seconds(1000);
        let form = auth.fields(&crypto, &metadata, "c", "jti", now).await;
        let form = form.unwrap();
        assert!(form.fields().any(|field| field == ("client_id", "c")));
        form.fields().map(|(name, _)| name.to_owned()).collect()
    }

    /// MTLS-2, CA-2: `client_id` goes out always, and an assertion where a key authenticates and nowhere
    /// else.
    #[tokio::test]
    async fn one_way_at_a_time() {
        let key = ClientAuth::private_key_jwt(SoftwareKey::generate_es256().unwrap());
        let fields = ["client_id", "client_assertion_type", "client_assertion"];
        assert_eq!(names(&key).await, fields);
        assert_eq!(names(&key.with_explicit_type()).await, fields);
        for tls in [
            ClientAuth::tls_client_auth(),
            ClientAuth::self_signed_tls_client_auth(),
            ClientAuth::tls_client_auth().with_explicit_type(),
        ] {
            assert_eq!(names(&tls).await, ["client_id"]);
            assert!(tls.keys().is_none() && tls.algorithm().is_none());
        }
        let known_by_an_authority = ClientAuth::tls_client_auth().jwks(None);
        assert_eq!(known_by_an_authority.unwrap(), json!({"keys": []}));
        // Nothing is published where the server would have nothing to know the client by.
        let nobody = ClientAuth::self_signed_tls_client_auth().jwks(None);
        assert!(matches!(nobody, Err(KeyError::Malformed(_))));
    }

    /// MTLS-2.1: each name has a member of its own.
    #[test]
    fn a_name_is_one_member() {
        let names = [
            CertificateName::SubjectDn("CN=a".to_owned()),
            CertificateName::SanDns("a".to_owned()),
            CertificateName::SanUri("a".to_owned()),
            CertificateName::SanIp(Ipv6Addr::LOCALHOST.into()),
            CertificateName::SanEmail("a".to_owned()),
        ];
        let members = names.each_ref().map(|name| name.member().0);
        assert_eq!(members, CertificateName::MEMBERS);
        assert_eq!(names[3].member().1, "::1");
    }
}
