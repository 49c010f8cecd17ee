//! Values that travel through the browser and that nobody but us can read or make.
//!
//! A session's id is kept in the browser's cookie itself, encrypted and authenticated, so that there is no
//! table from cookies to sessions that replicas would have to share. XChaCha20-Poly1305, as the store
//! uses, under a key made from the store's: its own, so that a cookie is never taken for a record.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64ct::{Base64UrlUnpadded, Encoding};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use fapi_client::store::SealingKey;
use rand::TryRng;
use sha2::{Digest, Sha256};

use crate::Trouble;

const NONCE_BYTES: usize = 24;
/// More than any value of ours; a longer one is not worth decoding.
const SEALED_MAX_CHARS: usize = 512;

/// Seals and opens. The first key seals; former ones still open.
pub(crate) struct Seal {
    keys: Vec<XChaCha20Poly1305>,
    /// Values of another application under the same key are not ours.
    application: String,
}

impl Seal {
    /// Without a key one is made, which is lost with this process, as sessions in memory are.
    pub(crate) fn new(keys: &[SealingKey], application: &str) -> Result<Self, Trouble> {
        let made;
        let keys = if keys.is_empty() {
            made = [SealingKey::generate("this-process")?];
            &made
        } else {
            keys
        };
        let keys = keys.iter().map(|key| {
            let own = Sha256::new()
                .chain_update(b"fapi-backend: values that travel through the browser\0")
                .chain_update(key.to_base64url().as_bytes())
                .finalize();
            XChaCha20Poly1305::new(&own)
        });
        Ok(Self {
            keys: keys.collect(),
            application: application.to_owned(),
        })
    }

    /// Seals a value for one place (the name of its cookie), for so long. `None` where the operating
    /// system gives no randomness.
    pub(crate) fn close(&self, place: &str, value: &str, life: Duration) -> Option<String> {
        let mut nonce = [0_u8; NONCE_BYTES];
        rand::rngs::SysRng.try_fill_bytes(&mut nonce).ok()?;
        let mut plain = (now() + life.as_secs()).to_be_bytes().to_vec();
        plain.extend_from_slice(value.as_bytes());
        let payload = Payload {
            msg: &plain,
            aad: &self.associated(place),
        };
        let text = self.keys.first()?;
        let text = text.encrypt(&XNonce::from(nonce), payload).ok()?;
        Some(Base64UrlUnpadded::encode_string(
            &[&nonce[..], &text].concat(),
        ))
    }

    /// The value, where we sealed it for this place and its time is not over.
    pub(crate) fn open(&self, place: &str, sealed: &str) -> Option<String> {
        if sealed.len() > SEALED_MAX_CHARS {
            return None;
        }
        let sealed = Base64UrlUnpadded::decode_vec(sealed).ok()?;
        let (nonce, text) = sealed.split_first_chunk::<NONCE_BYTES>()?;
        let associated = self.associated(place);
        let plain = self.keys.iter().find_map(|key| {
            let payload = Payload {
                msg: text,
                aad: &associated,
            };
            key.decrypt(&XNonce::from(*nonce), payload).ok()
        })?;
        let (expiry, value) = plain.split_first_chunk::<8>()?;
        if u64::from_be_bytes(*expiry) <= now() {
            return None;
        }
        String::from_utf8(value.to_vec()).ok()
    }

    fn associated(&self, place: &str) -> Vec<u8> {
        // A cookie's name has no space in it.
        format!("{place} {}", self.application).into_bytes()
    }
}

/// 256 random bits as text; `None` where the operating system gives none.
pub(crate) fn random() -> Option<String> {
    let mut bytes = [0_u8; 32];
    rand::rngs::SysRng.try_fill_bytes(&mut bytes).ok()?;
    Some(Base64UrlUnpadded::encode_string(&bytes))
}

pub(crate) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn seal(keys: &[SealingKey]) -> Seal {
        Seal::new(keys, "https://app.example").unwrap()
    }

    /// A value is opened by every replica, in its place alone, until its time is over.
    #[test]
    fn a_value_is_bound_to_its_place_and_time() {
        let keys = [SealingKey::generate("k1").unwrap()];
        let (one, other) = (seal(&keys), seal(&keys));
        let sealed = one.close("__Host-session", "the-id", HOUR).unwrap();
        assert!(!sealed.contains("the-id"));
        assert_eq!(
            other.open("__Host-session", &sealed).as_deref(),
            Some("the-id")
        );
        assert_eq!(other.open("__Host-login", &sealed), None);
        let elsewhere = Seal::new(&keys, "https://other.example").unwrap();
        assert_eq!(elsewhere.open("__Host-session", &sealed), None);
        let over = one.close("__Host-session", "the-id", Duration::ZERO);
        assert_eq!(other.open("__Host-session", &over.unwrap()), None);
        assert_ne!(one.close("__Host-session", "the-id", HOUR).unwrap(), sealed);
    }

    /// Every change of every character is noticed, and every cut.
    #[test]
    fn nothing_can_be_altered() {
        let one = seal(&[]);
        let sealed = one.close("c", "v", HOUR).unwrap();
        for at in 0..sealed.len() {
            let mut altered = sealed.clone().into_bytes();
            altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(one.open("c", std::str::from_utf8(&altered).unwrap()), None);
            assert_eq!(one.open("c", sealed.get(..at).unwrap()), None);
        }
        assert_eq!(one.open("c", &"A".repeat(513)), None);
    }

    /// Keys change: what a former one sealed is opened still, and what a stranger sealed never.
    #[test]
    fn keys_rotate() {
        let [old, new] = ["old", "new"].map(|id| SealingKey::generate(id).unwrap());
        let sealed = seal(std::slice::from_ref(&old))
            .close("c", "v", HOUR)
            .unwrap();
        assert_eq!(seal(std::slice::from_ref(&new)).open("c", &sealed), None);
        let both = seal(&[new.clone(), old]);
        assert_eq!(both.open("c", &sealed).as_deref(), Some("v"));
        let anew = both.close("c", "v", HOUR).unwrap();
        assert_eq!(seal(&[new]).open("c", &anew).as_deref(), Some("v"));
    }
}
