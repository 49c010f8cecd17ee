//! Tests of the room.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use super::{KeySet, Signature, Signer, SoftwareKey, prove};
use crate::crypto::Crypto;
use crate::error::KeyError;
use crate::future::BoxFuture;
use crate::jose::tests::{ED25519, ES256, ES256_JAVA, RSA2048, RSA2048_JWK, key_file, providers};
use crate::jose::{PublicJwk, sha256};
use crate::profile::Algorithm;

/// What becomes of a signature: from the key, the message and the right signature.
type Change = fn(&SoftwareKey, &[u8], Vec<u8>) -> Result<Vec<u8>, KeyError>;

/// A signer that does something else than it should.
struct Faulty {
    key: SoftwareKey,
    public: PublicJwk,
    algorithm: Algorithm,
    change: Change,
    signatures: Arc<AtomicUsize>,
}

impl Faulty {
    fn new(key: &SoftwareKey, change: Change) -> Self {
        Self {
            key: key.clone(),
            public: key.public_jwk().clone(),
            algorithm: key.algorithm(),
            change,
            signatures: Arc::default(),
        }
    }
}

impl Signer for Faulty {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    fn public_jwk(&self) -> &PublicJwk {
        &self.public
    }

    fn sign<'a>(&'a self, message: &'a [u8]) -> BoxFuture<'a, Result<Signature, KeyError>> {
        Box::pin(async move {
            self.signatures.fetch_add(1, Ordering::Relaxed);
            let signature = self.key.sign(message).await?;
            let signature = signature.as_bytes().to_vec();
            (self.change)(&self.key, message, signature).map(Signature::from_raw)
        })
    }
}

fn der(raw: &[u8]) -> Vec<u8> {
    let signature = p256::ecdsa::Signature::from_slice(raw).unwrap();
    signature.to_der().as_bytes().to_vec()
}

/// CA-9: keys of every kind prove themselves, under every provider.
#[tokio::test]
async fn software_keys_prove_themselves() {
    for (name, crypto) in providers() {
        for pem in [ES256, ES256_JAVA, RSA2048, ED25519] {
            let key = SoftwareKey::from_pem_with(&crypto, pem).unwrap();
            assert_eq!(prove(&crypto, &key).await, Ok(()), "{name}");
        }
        let key = SoftwareKey::generate_es256_with(&crypto).unwrap();
        let shared: Arc<dyn Signer> = Arc::new(key);
        assert_eq!(prove(&crypto, &shared).await, Ok(()), "{name}");
    }
}

/// CA-9: DER from a KMS is caught before a server sees it; read with `from_der` it is right.
#[tokio::test]
async fn signatures_in_der_are_caught() {
    for (_, crypto) in providers() {
        let key = SoftwareKey::from_pem_with(&crypto, ES256).unwrap();
        let signer = Faulty::new(&key, |_, _, raw| Ok(der(&raw)));
        let fault = KeyError::Signature {
            algorithm: Algorithm::Es256,
        };
        assert_eq!(prove(&crypto, &signer).await, Err(fault));
        let signer = Faulty::new(&key, |_, _, raw| {
            Signature::from_der(&der(&raw)).map(|signature| signature.as_bytes().to_vec())
        });
        assert_eq!(prove(&crypto, &signer).await, Ok(()));
    }
}

/// CA-9: an answer that is no signature, or one of another key or of a digest, is caught.
#[tokio::test]
async fn wrong_signatures_are_caught() {
    for (_, crypto) in providers() {
        for pem in [ES256, RSA2048, ED25519] {
            let key = SoftwareKey::from_pem_with(&crypto, pem).unwrap();
            let algorithm = key.algorithm();
            let malformed = Err(KeyError::Signature { algorithm });
            let empty = Faulty::new(&key, |_, _, _| Ok(Vec::new()));
            assert_eq!(prove(&crypto, &empty).await, malformed);
            let cut = Faulty::new(&key, |_, _, raw| Ok(raw[1..].to_vec()));
            assert_eq!(prove(&crypto, &cut).await, malformed);
            let zeros = Faulty::new(&key, |_, _, raw| Ok(vec![0; raw.len()]));
            assert_eq!(prove(&crypto, &zeros).await, Err(KeyError::Mismatch));
        }
        // The message was hashed before it was handed to something that hashes.
        let key = SoftwareKey::from_pem_with(&crypto, ES256).unwrap();
        let twice = Faulty::new(&key, |key, message, _| {
            let digest = sha256(message);
            let signature = now(key.sign(&digest))?;
            Ok(signature.as_bytes().to_vec())
        });
        assert_eq!(prove(&crypto, &twice).await, Err(KeyError::Mismatch));
    }
}

/// Runs a future that is ready at once.
fn now<T>(mut future: BoxFuture<'_, T>) -> T {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match future.as_mut().poll(&mut context) {
        std::task::Poll::Ready(value) => value,
        std::task::Poll::Pending => panic!("not ready"),
    }
}

/// CA-9: a public key that is not the signer's, or an algorithm that is not the key's, is caught; what
/// the signer itself says is handed on.
#[tokio::test]
async fn wrong_declarations_are_caught() {
    for (_, crypto) in providers() {
        let key = SoftwareKey::from_pem_with(&crypto, ES256).unwrap();
        let other = SoftwareKey::generate_es256_with(&crypto).unwrap();
        let mut signer = Faulty::new(&key, |_, _, raw| Ok(raw));
        assert_eq!(prove(&crypto, &signer).await, Ok(()));
        signer.algorithm = Algorithm::EdDsa;
        assert_eq!(prove(&crypto, &signer).await, Err(KeyError::Mismatch));
        signer.algorithm = Algorithm::Es256;
        signer.public = other.public_jwk().clone();
        assert_eq!(prove(&crypto, &signer).await, Err(KeyError::Mismatch));
        let down = Faulty::new(&key, |_, _, _| Err(KeyError::Unavailable));
        assert_eq!(prove(&crypto, &down).await, Err(KeyError::Unavailable));
    }
}

/// CA-9: a signer of a set is proven when it is first used, also one that came later, and only once;
/// one that failed is asked again.
#[tokio::test]
async fn signers_of_a_set_are_proven_once() {
    for (_, crypto) in providers() {
        let key = SoftwareKey::from_pem_with(&crypto, ES256).unwrap();
        let good = Faulty::new(&key, |_, _, raw| Ok(raw));
        let signatures = good.signatures.clone();
        let keys = KeySet::new(good);
        for _ in 0..3 {
            assert_eq!(keys.active().prove_once(&crypto).await, Ok(()));
            assert_eq!(signatures.load(Ordering::Relaxed), 1);
        }

        let key = SoftwareKey::from_pem_with(&crypto, ED25519).unwrap();
        let bad = Faulty::new(&key, |_, _, _| Ok(Vec::new()));
        let signatures = bad.signatures.clone();
        keys.activate(&keys.add(bad).unwrap()).unwrap();
        for round in 1..=2 {
            let fault = KeyError::Signature {
                algorithm: Algorithm::EdDsa,
            };
            assert_eq!(keys.active().prove_once(&crypto).await, Err(fault));
            assert_eq!(signatures.load(Ordering::Relaxed), round);
        }
    }
}

/// SP-5.4.1-1.2: a provider that lacks an algorithm is named as the fault, not the key.
#[tokio::test]
async fn a_provider_that_lacks_an_algorithm_is_named() {
    for (_, crypto) in providers() {
        let key = SoftwareKey::from_pem_with(&crypto, ES256).unwrap();
        let mut poor = (**crypto.provider()).clone();
        poor.signature_verification_algorithms = rustls::crypto::WebPkiSupportedAlgorithms {
            all: &[],
            mapping: &[],
        };
        let poor = Crypto::from_provider(Arc::new(poor));
        assert_eq!(
            prove(&poor, &key).await,
            Err(KeyError::ProviderLacks("ES256"))
        );
        let fault = SoftwareKey::from_pem_with(&poor, RSA2048).unwrap_err();
        assert_eq!(fault, KeyError::ProviderLacks("PS256"));
        let fault = SoftwareKey::from_pem_with(&poor, ED25519).unwrap_err();
        assert_eq!(fault, KeyError::ProviderLacks("EdDSA"));
    }
}

/// CA-9: only an ECDSA signature on P-256 is read from DER.
#[test]
fn signatures_are_read_from_der() {
    let fault = Err(KeyError::Signature {
        algorithm: Algorithm::Es256,
    });
    for bad in [
        &[][..],
        &[0; 64],
        // r = s = 0
        &[0x30, 6, 2, 1, 0, 2, 1, 0],
        // r = 1, s = 0
        &[0x30, 6, 2, 1, 1, 2, 1, 0],
        // bytes behind it
        &[0x30, 6, 2, 1, 1, 2, 1, 1, 0],
    ] {
        assert_eq!(Signature::from_der(bad), fault, "{bad:?}");
    }
    let signature = Signature::from_der(&[0x30, 6, 2, 1, 1, 2, 1, 2]).unwrap();
    assert_eq!(signature.as_bytes().len(), 64);
    assert_eq!((signature.as_bytes()[31], signature.as_bytes()[63]), (1, 2));
}

/// SP-5.4.2-0: the published set names every key, says what it is for, and has no private member.
#[test]
fn the_published_set_is_public() {
    for (_, crypto) in providers() {
        let keys = KeySet::new(SoftwareKey::from_pem_with(&crypto, ES256).unwrap());
        keys.add(SoftwareKey::from_pem_with(&crypto, RSA2048).unwrap())
            .unwrap();
        keys.add(SoftwareKey::from_pem_with(&crypto, ED25519).unwrap())
            .unwrap();
        let jwks = keys.jwks();
        let published = jwks["keys"].as_array().unwrap();
        let algorithms: Vec<_> = published
            .iter()
            .map(|key| key["alg"].as_str().unwrap())
            .collect();
        assert_eq!(algorithms, ["ES256", "PS256", "EdDSA"]);
        for key in published {
            assert_eq!(key["use"], "sig");
            // The thumbprint, of the key as anyone reads it.
            let read = PublicJwk::from_json(key).unwrap();
            assert_eq!(key["kid"], Value::from(read.thumbprint()));
            for private in ["d", "p", "q", "dp", "dq", "qi", "k", "oth"] {
                assert_eq!(key.get(private), None, "{private}");
            }
        }
    }
}

/// SP-5.4.2-0: nothing of a private key is in the published set, whichever form it came in.
#[test]
fn no_private_number_is_published() {
    let (_, crypto) = providers().remove(0);
    let private: Value = serde_json::from_str(RSA2048_JWK).unwrap();
    let keys = KeySet::from(SoftwareKey::from_jwk_with(&crypto, RSA2048_JWK).unwrap());
    let text = [keys.jwks().to_string(), format!("{keys:?}")].concat();
    assert!(text.contains(keys.active().kid.as_str()));
    for member in ["d", "p", "q", "dp", "dq", "qi"] {
        assert!(
            !text.contains(private[member].as_str().unwrap()),
            "{member}"
        );
    }
}

/// SP-5.4.2-3: two keys of one `kid` don't come into one set.
#[test]
fn a_kid_names_one_key() {
    let (_, crypto) = providers().remove(0);
    let one = SoftwareKey::from_pem_with(&crypto, ES256).unwrap();
    let two = SoftwareKey::generate_es256_with(&crypto).unwrap();
    let keys = KeySet::new(one.clone());
    let kid = one.public_jwk().thumbprint();
    let twice = KeyError::DuplicateKeyId { kid: kid.clone() };
    assert_eq!(keys.add(one.clone()), Err(twice.clone()));
    assert_eq!(keys.publish(one.public_jwk().clone()), Err(twice.clone()));
    // Another key under that name.
    let disguised = two.public_jwk().clone().with_key_id(&kid);
    assert_eq!(keys.publish(disguised), Err(twice));
    assert_eq!(keys.jwks()["keys"].as_array().unwrap().len(), 1);
}

/// CA-7, SEC-6.8: the active key is changed while the set is in use, seen by every clone, and the old one stays
/// published until it is removed.
#[test]
fn keys_are_changed_while_in_use() {
    let (_, crypto) = providers().remove(0);
    let one = SoftwareKey::from_pem_with(&crypto, ES256).unwrap();
    let two = SoftwareKey::from_pem_with(&crypto, ED25519).unwrap();
    let keys = KeySet::new(one.clone());
    let running = keys.clone();
    let old = running.active();
    assert_eq!(old.kid, one.public_jwk().thumbprint());

    let next = keys.add(two).unwrap();
    assert_eq!(running.active().kid, old.kid, "published is not active");
    keys.activate(&next).unwrap();
    assert_eq!(running.active().kid, next);
    assert_eq!(running.active().signer.algorithm(), Algorithm::EdDsa);
    assert_eq!(running.jwks()["keys"].as_array().unwrap().len(), 2);

    assert_eq!(
        keys.remove(&next),
        Err(KeyError::Active { kid: next.clone() })
    );
    keys.remove(&old.kid).unwrap();
    assert_eq!(running.jwks()["keys"].as_array().unwrap().len(), 1);
    let gone = KeyError::NoSuchKey {
        kid: old.kid.clone(),
    };
    assert_eq!(keys.remove(&old.kid), Err(gone.clone()));
    assert_eq!(keys.activate(&old.kid), Err(gone));
}

/// SP-5.4.2-0: a key of another replica is published with its own name and can't be made active; one
/// for encryption says so.
#[test]
fn public_halves_are_published() {
    let (_, crypto) = providers().remove(0);
    let keys = KeySet::new(SoftwareKey::generate_es256_with(&crypto).unwrap());
    let public = PublicJwk::from_pem(key_file!("rsa2048-public.pem")).unwrap();
    let kid = keys
        .publish(public.clone().with_key_id("replica-2"))
        .unwrap();
    assert_eq!(kid, "replica-2");
    assert_eq!(keys.activate(&kid), Err(KeyError::PublicOnly { kid }));
    assert_eq!(keys.jwks()["keys"][1]["kid"], "replica-2");

    let mut encryption = public.to_json();
    encryption["use"] = "enc".into();
    encryption["alg"] = "RSA-OAEP-256".into();
    keys.publish(PublicJwk::from_json(&encryption).unwrap())
        .unwrap();
    assert_eq!(keys.jwks()["keys"][2]["use"], "enc");
    assert_eq!(keys.jwks()["keys"][2]["alg"], "RSA-OAEP-256");

    let mut other = public.to_json();
    other["alg"] = "RS256".into();
    assert_eq!(
        keys.publish(PublicJwk::from_json(&other).unwrap()),
        Err(KeyError::Unsupported(
            "a key for another algorithm than its type has here"
        ))
    );
}

/// SP-5.4.1-1.2: a signer whose algorithm is not that of its key does not come into a set.
#[test]
fn signers_are_what_they_declare() {
    let (_, crypto) = providers().remove(0);
    let key = SoftwareKey::generate_es256_with(&crypto).unwrap();
    let keys = KeySet::new(SoftwareKey::generate_es256_with(&crypto).unwrap());
    let mut signer = Faulty::new(&key, |_, _, raw| Ok(raw));
    signer.algorithm = Algorithm::Ps256;
    assert_eq!(keys.add(signer), Err(KeyError::Mismatch));
}

/// CA-7: a `kid` of the JWK's own is the name of the key.
#[test]
fn a_jwk_keeps_its_kid() {
    let (_, crypto) = providers().remove(0);
    let mut jwk: Value = serde_json::from_str(RSA2048_JWK).unwrap();
    jwk["kid"] = "mine".into();
    let keys = KeySet::new(SoftwareKey::from_jwk_with(&crypto, &jwk.to_string()).unwrap());
    assert_eq!(keys.active().kid, "mine");
    assert_eq!(keys.jwks()["keys"][0]["kid"], "mine");
}

/// SEC-cred: `Debug` of keys, sets and signatures shows no key and no signature, in text, hex or
/// decimal.
#[tokio::test]
async fn debug_shows_no_key() {
    let (_, crypto) = providers().remove(0);
    for pem in [ES256, RSA2048, ED25519] {
        let key = SoftwareKey::from_pem_with(&crypto, pem).unwrap();
        let signature = key.sign(b"message").await.unwrap();
        let algorithm = key.algorithm();
        assert_eq!(format!("{key:?}"), format!("SoftwareKey({algorithm})"));
        assert_eq!(format!("{key:#?}"), format!("SoftwareKey({algorithm})"));
        let length = signature.as_bytes().len();
        assert_eq!(
            format!("{signature:?}"),
            format!("Signature({length} bytes)")
        );
        let kid = key.public_jwk().thumbprint();
        let keys = KeySet::new(key);
        let expected = format!(r#"KeySet {{ active: "{kid}", published: ["{kid}"] }}"#);
        assert_eq!(format!("{keys:?}"), expected);
    }
}

/// SoftwareKey, KeySet and every signer go from thread to thread.
#[test]
fn keys_are_send_and_sync() {
    fn check<T: Send + Sync + Clone + 'static>() {}
    check::<SoftwareKey>();
    check::<KeySet>();
    check::<Arc<dyn Signer>>();
}
