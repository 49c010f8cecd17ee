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

/// The private half of the P-256 key of that thumbprint, in all [`forms`].
pub(crate) fn private_half(thumbprint: &str) -> Vec<Vec<u8>> {
    let loaded = LOADED.lock().unwrap().clone();
    let is_it = |pkcs8: &&Vec<u8>| {
        let (x, y) = pkcs8.last_chunk::<64>().unwrap().split_at(32);
        let [x, y, d] = [x, y, &number(pkcs8)].map(Base64UrlUnpadded::encode_string);
        let jwk = serde_json::json!({"kty": "EC", "crv": "P-256", "x": x, "y": y, "d": d});
        let key = SoftwareKey::from_jwk(&jwk.to_string()).unwrap();
        key.public_jwk().thumbprint() == thumbprint
    };
    forms(loaded.iter().find(is_it).expect("the key was loaded"))
}

/// What a private key might be written as: the number `d` as bytes, as JWK has it, in base64 and in
/// hexadecimal; and PKCS#8, whole and as the lines of PEM.
pub(crate) fn forms(pkcs8: &[u8]) -> Vec<Vec<u8>> {
    let d = number(pkcs8);
    let pem = Base64::encode_string(pkcs8);
    let lines = pem.as_bytes().chunks_exact(64).map(<[u8]>::to_vec);
    let mut forms = vec![
        d.to_vec(),
        Base64UrlUnpadded::encode_string(&d).into_bytes(),
        Base64::encode_string(&d).into_bytes(),
        hexadecimal(&d),
        pkcs8.to_vec(),
    ];
    forms.extend(lines);
    forms
}

fn hexadecimal(bytes: &[u8]) -> Vec<u8> {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    digits
        .map(|digit| b"0123456789abcdef"[usize::from(digit)])
        .collect()
}

/// The `privateKey` of an ECPrivateKey (RFC 5915).
fn number(pkcs8: &[u8]) -> [u8; 32] {
    let before = [0x02, 0x01, 0x01, 0x04, 0x20];
    let at = pkcs8.windows(before.len()).position(|part| part == before);
    let rest = &pkcs8[at.expect("a P-256 key") + before.len()..];
    *rest.first_chunk().expect("a whole key")
}

/// Whether these bytes are anywhere in those.
pub(crate) fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
