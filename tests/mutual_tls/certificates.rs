//! Reading certificates and their keys.

use std::sync::Arc;

use fapi_client::{CertificateSet, ClientCertificate, Crypto, KeyError, rustls_0_23};
use fapi_testkit::{ClientCertificate as Kind, TestServer};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{Signer, SigningKey};
use rustls::{SignatureAlgorithm, SignatureScheme};

use super::{Bound, By, NAME, builder, call, made, server, session, whole};

/// MTLS-3: the thumbprint is SHA-256 of the certificate, and the end of its life is told.
#[tokio::test]
async fn a_certificate_is_read() {
    let server = server().await;
    for kind in [Kind::Valid, Kind::P384, Kind::SelfSigned, Kind::Expired] {
        let (chain, key) = server.client_certificate(kind, &[NAME]);
        let expected = TestServer::thumbprint_of(&chain);
        let crypto = Crypto::new().unwrap();
        for certificate in [
            ClientCertificate::from_pem(&chain, &key).unwrap(),
            ClientCertificate::from_pem_with(&crypto, &chain, &key).unwrap(),
            // One text with both in it, and a chain.
            ClientCertificate::from_pem(
                &format!("{chain}{}{key}", server.ca_pem()),
                &format!("{chain}{key}"),
            )
            .unwrap(),
        ] {
            assert_eq!(certificate.thumbprint(), expected);
            let ended = certificate.expires_at().seconds() == 1_580_515_200;
            assert_eq!(
                ended,
                kind == Kind::Expired,
                "{:?}",
                certificate.expires_at()
            );
        }
    }
}

/// MTLS-2: what can't be a certificate with its key is told.
#[tokio::test]
async fn what_is_no_certificate_is_told() {
    let server = server().await;
    let (chain, key) = server.client_certificate(Kind::Valid, &[NAME]);
    let (_, other) = server.client_certificate(Kind::Valid, &[NAME]);
    let (_, larger) = server.client_certificate(Kind::P384, &[NAME]);
    let broken = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    let torn = chain.replacen('M', "*", 1);
    let read = |chain: &str, key: &str| ClientCertificate::from_pem(chain, key).map(drop);
    let malformed = |reason| Err(KeyError::Malformed(reason));
    assert_eq!(read("", &key), malformed("it has no certificate"));
    assert_eq!(read(&key, &key), malformed("it has no certificate"));
    assert_eq!(read(broken, &key), malformed("its certificate is broken"));
    assert_eq!(
        read(&torn, &key),
        malformed("the PEM of its certificate is broken")
    );
    let many = chain.repeat(11);
    assert_eq!(
        read(&many, &key),
        malformed("its chain has too many certificates")
    );
    assert_eq!(read(&chain, &other), Err(KeyError::Mismatch));
    assert_eq!(read(&chain, &larger), Err(KeyError::Mismatch));
    let error = ClientCertificate::from_pem(&chain, "").unwrap_err();
    assert_eq!(error.code(), "key.malformed");
    let error = ClientCertificate::from_pem(&chain, &chain).unwrap_err();
    assert_eq!(error.code(), "key.malformed");
    let short = include_str!("../keys/rsa1024.pem");
    assert_eq!(
        read(&chain, short),
        Err(KeyError::TooShort { bits: 1024 }),
        "SP-5.4.1-2"
    );
}

/// SEC-cred: nothing that can be printed shows a key.
#[tokio::test]
async fn debug_shows_no_key() {
    let server = server().await;
    let (chain, key) = server.client_certificate(Kind::Valid, &[NAME]);
    let certificate = ClientCertificate::from_pem(&chain, &key).unwrap();
    let set = CertificateSet::from(certificate.clone());
    let shown = format!("{certificate:?} {set:?}");
    assert!(shown.contains(certificate.thumbprint()));
    for line in key.lines().filter(|line| !line.starts_with('-')) {
        assert!(!shown.contains(line), "{shown}");
    }
    assert!(shown.len() < 400, "{shown}");
}

/// MTLS-2.2: only kinds of keys that have a place in a key set can be registered there.
#[tokio::test]
async fn a_key_set_takes_some_kinds() {
    let server = server().await;
    let set = CertificateSet::new(made(&server, Kind::P384));
    assert_eq!(
        set.jwks().unwrap_err(),
        KeyError::Unsupported("a P-384 key")
    );
    let set = CertificateSet::new(made(&server, Kind::SelfSigned));
    let jwks = set.jwks().unwrap();
    let key = &jwks["keys"][0];
    assert_eq!(key["x5t#S256"], set.active().thumbprint());
    assert_eq!(key["x5c"].as_array().unwrap().len(), 1);
    assert_eq!(key["kty"], "EC");
    assert!(key.get("d").is_none());
}

/// A key that tells nothing of itself, as one in an HSM.
#[derive(Debug)]
struct External {
    inner: Arc<dyn SigningKey>,
    public: bool,
}

impl SigningKey for External {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        self.inner.choose_scheme(offered)
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.inner.algorithm()
    }

    fn public_key(&self) -> Option<rustls::pki_types::SubjectPublicKeyInfoDer<'_>> {
        self.public.then(|| self.inner.public_key()).flatten()
    }
}

fn external(pem: &str, public: bool) -> Arc<dyn SigningKey> {
    let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).unwrap();
    #[cfg(feature = "aws-lc")]
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    #[cfg(not(feature = "aws-lc"))]
    let provider = rustls::crypto::ring::default_provider();
    let inner = provider.key_provider.load_private_key(key).unwrap();
    Arc::new(External { inner, public })
}

fn chain(pem: &str) -> Vec<CertificateDer<'static>> {
    let chain = CertificateDer::pem_slice_iter(pem.as_bytes());
    chain.collect::<Result<_, _>>().unwrap()
}

/// A key that stays where it is signs in the handshake.
#[tokio::test]
async fn a_key_that_stays_where_it_is() {
    let server = server().await;
    let (pem, key) = server.client_certificate(Kind::Valid, &[NAME]);
    let certificate = rustls_0_23::client_certificate(chain(&pem), external(&key, false)).unwrap();
    let set = CertificateSet::new(certificate);
    whole(By::Certificate, Bound::Certificate, &set, &server).await;
}

/// A key that tells its public half is held against the certificate.
#[tokio::test]
async fn an_external_key_is_held_against_its_certificate() {
    let server = server().await;
    let (pem, key) = server.client_certificate(Kind::Valid, &[NAME]);
    let (_, other) = server.client_certificate(Kind::Valid, &[NAME]);
    let made =
        |key: &str| rustls_0_23::client_certificate(chain(&pem), external(key, true)).map(drop);
    assert_eq!(made(&key), Ok(()));
    assert_eq!(made(&other), Err(KeyError::Mismatch));
    let none = rustls_0_23::client_certificate(Vec::new(), external(&key, true));
    assert_eq!(
        none.unwrap_err(),
        KeyError::Malformed("it has no certificate")
    );
}

/// A certificate whose key is another's ends in the handshake, where nobody can tell before: no request
/// arrives.
#[tokio::test]
async fn a_wrong_external_key_ends_in_the_handshake() {
    let server = server().await;
    let (pem, _) = server.client_certificate(Kind::Valid, &[NAME]);
    let (_, other) = server.client_certificate(Kind::Valid, &[NAME]);
    let wrong = rustls_0_23::client_certificate(chain(&pem), external(&other, false)).unwrap();
    let set = CertificateSet::new(wrong);
    let client = builder(&server, By::Certificate, Bound::Certificate, &set)
        .build()
        .await
        .unwrap();
    let error = client.login().scope("openid").start().await.unwrap_err();
    assert!(crate::common::transport(&error).is_some(), "{error:?}");
    assert_eq!(server.count(fapi_testkit::Endpoint::Par), 0);

    // With the right one it goes on.
    let right = set.add(made(&server, Kind::Valid)).unwrap();
    set.activate(&right).unwrap();
    call(&session(&client, &server).await, &server).await;
}
