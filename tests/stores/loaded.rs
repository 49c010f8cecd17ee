//! The private keys that a client has, as its provider of cryptography is handed them: what no store may hold
//! in clear.

use std::sync::{Arc, Mutex, OnceLock};

use base64ct::{Base64, Base64UrlUnpadded, Encoding};
use fapi_client::{Crypto, SoftwareKey, rustls_0_23};
use rustls::crypto::{CryptoProvider, KeyProvider};
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::SigningKey;

static LOADED: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());
static BEHIND: OnceLock<&'static dyn KeyProvider> = OnceLock::new();

#[derive(Debug)]
struct Noting;

impl KeyProvider for Noting {
    fn load_private_key(
        &self,
        key: PrivateKeyDer<'static>,
    ) -> Result<Arc<dyn SigningKey>, rustls::Error> {
        LOADED.lock().unwrap().push(key.secret_der().to_vec());
        BEHIND.get().unwrap().load_private_key(key)
    }
}

/// The same provider, whose keys are noted.
pub(crate) fn noting(provider: CryptoProvider) -> Crypto {
    BEHIND.get_or_init(|| provider.key_provider);
    rustls_0_23::crypto(Arc::new(CryptoProvider {
        key_provider: &Noting,
        ..provider
    }))
}

/// The private half of the P-256 key of that thumbprint, in all forms that it might be written in: the number
/// `d` as bytes, as JWK has it and in hexadecimal, and the whole key as PKCS#8 has it.
pub(crate) fn private_half(thumbprint: &str) -> Vec<Vec<u8>> {
    let loaded = LOADED.lock().unwrap().clone();
    let found = loaded.iter().find_map(|pkcs8| {
        let d = number(pkcs8)?;
        let (x, y) = pkcs8.last_chunk::<64>()?.split_at(32);
        let [x, y, d] = [x, y, &d[..]].map(Base64UrlUnpadded::encode_string);
        let jwk = serde_json::json!({"kty": "EC", "crv": "P-256", "x": x, "y": y, "d": d});
        let key = SoftwareKey::from_jwk(&jwk.to_string()).ok()?;
        let is_it = key.public_jwk().thumbprint() == thumbprint;
        is_it.then(|| (number(pkcs8).unwrap(), pkcs8.clone()))
    });
    let (d, pkcs8) = found.expect("the key was loaded");
    let hex: String = d.iter().map(|byte| format!("{byte:02x}")).collect();
    vec![
        d.to_vec(),
        Base64UrlUnpadded::encode_string(&d).into_bytes(),
        Base64::encode_string(&d).into_bytes(),
        hex.into_bytes(),
        Base64::encode_string(&pkcs8).into_bytes(),
        pkcs8,
    ]
}

/// The `privateKey` of an ECPrivateKey (RFC 5915).
fn number(pkcs8: &[u8]) -> Option<[u8; 32]> {
    let before = [0x02, 0x01, 0x01, 0x04, 0x20];
    let at = pkcs8
        .windows(before.len())
        .position(|part| part == before)?;
    pkcs8.get(at + before.len()..)?.first_chunk().copied()
}

/// Whether these bytes are anywhere in those.
pub(crate) fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
