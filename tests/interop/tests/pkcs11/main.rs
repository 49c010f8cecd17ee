//! Keys in a PKCS#11 token, with SoftHSM2. Each test has a token and a process of its own.

mod away;
mod keys;
mod login;
mod pin;
mod sessions;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fapi_client::{Algorithm, KeyError, KeyName, KeyStore, Pkcs11Builder, Pkcs11Keys, Signer};
use fapi_interop::SoftHsm;
use josekit::jwk::Jwk;
use josekit::jws::{ES256, JwsVerifier, PS256};
use zeroize::Zeroizing;

fn builder() -> Pkcs11Builder {
    // Where other tests keep the machine busy, SoftHSM2 takes its time over RSA keys.
    Pkcs11Keys::builder(SoftHsm::module())
        .token_label(SoftHsm::TOKEN)
        .time_limit(Duration::from_secs(20))
}

async fn open() -> Pkcs11Keys {
    builder()
        .pin(|| Ok(SoftHsm::pin().into()))
        .open()
        .await
        .unwrap()
}

fn name(name: &str) -> KeyName {
    KeyName::new(name).unwrap()
}

async fn create(keys: &Pkcs11Keys, key: &str) -> Arc<dyn Signer> {
    keys.create(&name(key), Algorithm::Es256).await.unwrap()
}

fn missing(key: &str) -> KeyError {
    KeyError::Missing { name: key.into() }
}

fn absent() -> KeyError {
    KeyError::Absent("no token of that label or serial number")
}

/// That a signer signs, by the word of other code.
async fn assert_signs(signer: &dyn Signer, message: &[u8]) {
    let signature = signer.sign(message).await.unwrap();
    let jwk = Jwk::from_map(signer.public_jwk().to_json().as_object().unwrap().clone()).unwrap();
    let verifier: Box<dyn JwsVerifier> = match signer.algorithm() {
        Algorithm::Es256 => Box::new(ES256.verifier_from_jwk(&jwk).unwrap()),
        _ => Box::new(PS256.verifier_from_jwk(&jwk).unwrap()),
    };
    verifier.verify(message, signature.as_bytes()).unwrap();
}

/// What asks for the PIN, and how often it was asked.
#[derive(Clone, Default)]
struct Asked(Arc<AtomicUsize>);

impl Asked {
    fn answer(
        &self,
        pin: impl Fn() -> String + Send + Sync + 'static,
    ) -> impl Fn() -> Result<Zeroizing<String>, KeyError> + Send + Sync + 'static {
        let asked = self.0.clone();
        move || {
            asked.fetch_add(1, Ordering::SeqCst);
            Ok(pin().into())
        }
    }

    fn times(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}
