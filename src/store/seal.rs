//! Sealing: what leaves this process for a store is encrypted and bound to its place.

use std::fmt;

use base64ct::{Base64UrlUnpadded, Encoding};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use super::stores::About;
use crate::error::StoreError;
use crate::secret::random_bytes;

const MAGIC: &[u8; 4] = b"FAPI";
/// The one format that there is. Another is refused, never guessed at.
const FORMAT: u8 = 1;
const NONCE_BYTES: usize = 24;
const ID_MAX_CHARS: usize = 64;

/// A key that seals: 256 bits, under a name of its own.
#[derive(Clone)]
pub struct SealingKey {
    id: String,
    key: Zeroizing<[u8; 32]>,
}

impl SealingKey {
    /// Takes 32 random bytes. The id is written beside what is sealed: 1 to 64 letters, digits, `-`,
    /// `_` and `.`.
    ///
    /// # Errors
    /// [`StoreError::SealingKeyId`] for another id.
    pub fn new(id: impl Into<String>, key: [u8; 32]) -> Result<Self, StoreError> {
        let id = id.into();
        let key = Zeroizing::new(key);
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if id.is_empty() || id.len() > ID_MAX_CHARS || !id.bytes().all(plain) {
            return Err(StoreError::SealingKeyId);
        }
        Ok(Self { id, key })
    }

    /// Makes a key from the operating system's randomness.
    ///
    /// # Errors
    /// [`StoreError::SealingKeyId`]; [`StoreError::Randomness`].
    pub fn generate(id: impl Into<String>) -> Result<Self, StoreError> {
        let key = random_bytes().map_err(|_| StoreError::Randomness)?;
        Self::new(id, *key)
    }

    /// Reads a key of 43 characters of base64url, as a secret manager or an environment hands it over.
    ///
    /// # Errors
    /// [`StoreError::SealingKey`] where it is not that; [`StoreError::SealingKeyId`].
    pub fn from_base64url(id: impl Into<String>, text: &str) -> Result<Self, StoreError> {
        let mut key = Zeroizing::new([0_u8; 32]);
        let read = Base64UrlUnpadded::decode(text.trim(), key.as_mut())
            .map_err(|_| StoreError::SealingKey)?;
        if read.len() != key.len() {
            return Err(StoreError::SealingKey);
        }
        Self::new(id, *key)
    }

    /// The key as 43 characters of base64url, wiped when dropped. Whoever has it can read the store.
    #[must_use]
    pub fn to_base64url(&self) -> Zeroizing<String> {
        Zeroizing::new(Base64UrlUnpadded::encode_string(self.key.as_ref()))
    }

    /// The name of the key.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new((&*self.key).into())
    }
}

/// Shows the id.
impl fmt::Debug for SealingKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SealingKey({:?})", self.id)
    }
}

/// The keys that seal: one for what is written, and former ones for what is still there.
///
/// To change the key, make a new one the active one and name the old one as former, in every replica;
/// records are sealed anew as they are written, and the old key can go when none is left that it opens.
#[derive(Clone, Debug)]
pub struct SealingKeys {
    active: SealingKey,
    former: Vec<SealingKey>,
}

impl SealingKeys {
    /// One key.
    #[must_use]
    pub const fn new(active: SealingKey) -> Self {
        Self {
            active,
            former: Vec::new(),
        }
    }

    /// Adds a key that opens and no longer seals.
    #[must_use]
    pub fn and_former(mut self, key: SealingKey) -> Self {
        self.former.push(key);
        self
    }

    pub(super) fn seal(&self, about: &About<'_>, plain: &[u8]) -> Result<Vec<u8>, StoreError> {
        let nonce = random_bytes::<NONCE_BYTES>().map_err(|_| StoreError::Randomness)?;
        let mut sealed = header(&self.active.id);
        let aad = associated(&sealed, about);
        let payload = Payload {
            msg: plain,
            aad: &aad,
        };
        let text = self
            .active
            .cipher()
            .encrypt(&XNonce::from(*nonce), payload)
            .map_err(|_| StoreError::NotAuthentic)?;
        sealed.extend_from_slice(nonce.as_ref());
        sealed.extend_from_slice(&text);
        Ok(sealed)
    }

    pub(super) fn open(
        &self,
        about: &About<'_>,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let envelope = Envelope::read(sealed)?;
        let key = std::iter::once(&self.active)
            .chain(&self.former)
            .find(|key| key.id == envelope.key_id)
            .ok_or_else(|| StoreError::UnknownSealingKey(envelope.key_id.to_owned()))?;
        let aad = associated(&header(&key.id), about);
        let payload = Payload {
            msg: envelope.text,
            aad: &aad,
        };
        key.cipher()
            .decrypt(&XNonce::from(*envelope.nonce), payload)
            .map(Zeroizing::new)
            .map_err(|_| StoreError::NotAuthentic)
    }
}

/// What stands before the nonce: whose format it is, which, and the key's id.
fn header(key_id: &str) -> Vec<u8> {
    let mut header = Vec::with_capacity(MAGIC.len() + 2 + key_id.len());
    header.extend_from_slice(MAGIC);
    header.push(FORMAT);
    // An id has at most 64 characters.
    header.push(u8::try_from(key_id.len()).unwrap_or(u8::MAX));
    header.extend_from_slice(key_id.as_bytes());
    header
}

/// The place of a record, which is sealed with it: each part with its length, so that no two places
/// read the same.
fn associated(header: &[u8], about: &About<'_>) -> Vec<u8> {
    let parts: [&[u8]; 5] = [
        header,
        about.kind.as_bytes(),
        about.issuer.as_bytes(),
        about.client_id.as_bytes(),
        about.id,
    ];
    let mut text = Vec::new();
    for part in parts {
        text.extend_from_slice(&(part.len() as u64).to_be_bytes());
        text.extend_from_slice(part);
    }
    text
}

struct Envelope<'a> {
    key_id: &'a str,
    nonce: &'a [u8; NONCE_BYTES],
    text: &'a [u8],
}

impl<'a> Envelope<'a> {
    fn read(sealed: &'a [u8]) -> Result<Self, StoreError> {
        let rest = sealed.strip_prefix(MAGIC).ok_or(StoreError::Foreign)?;
        let (format, rest) = rest.split_first().ok_or(StoreError::Truncated)?;
        if *format != FORMAT {
            return Err(StoreError::UnknownFormat(*format));
        }
        let (length, rest) = rest.split_first().ok_or(StoreError::Truncated)?;
        let (key_id, rest) = rest
            .split_at_checked(usize::from(*length))
            .ok_or(StoreError::Truncated)?;
        let key_id = std::str::from_utf8(key_id).map_err(|_| StoreError::Foreign)?;
        let (nonce, text) = rest
            .split_first_chunk::<NONCE_BYTES>()
            .ok_or(StoreError::Truncated)?;
        Ok(Self {
            key_id,
            nonce,
            text,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about(id: &[u8]) -> About<'_> {
        About {
            kind: "session",
            issuer: "https://as.example",
            client_id: "client",
            id,
        }
    }

    fn keys(id: &str) -> SealingKeys {
        SealingKeys::new(SealingKey::generate(id).unwrap())
    }

    /// What was sealed is opened at its place and nowhere else: not for another record, another
    /// kind, another client, another server.
    #[test]
    fn a_record_is_bound_to_its_place() {
        let keys = keys("k1");
        let sealed = keys.seal(&about(b"alice"), b"tokens").unwrap();
        assert!(!sealed.windows(6).any(|window| window == b"tokens"));
        assert_eq!(**keys.open(&about(b"alice"), &sealed).unwrap(), *b"tokens");
        let elsewhere = [
            about(b"bob"),
            About {
                kind: "key",
                ..about(b"alice")
            },
            About {
                issuer: "https://as.exampl",
                client_id: "eclient",
                ..about(b"alice")
            },
            About {
                client_id: "other",
                ..about(b"alice")
            },
        ];
        for place in elsewhere {
            assert_eq!(
                keys.open(&place, &sealed).unwrap_err(),
                StoreError::NotAuthentic
            );
        }
    }

    /// Every change of every byte is noticed, and every cut.
    #[test]
    fn nothing_can_be_altered() {
        let keys = keys("k1");
        let sealed = keys.seal(&about(b"alice"), b"tokens").unwrap();
        for at in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[at] ^= 1;
            let error = keys.open(&about(b"alice"), &altered).unwrap_err();
            let expected = match at {
                0..4 => matches!(error, StoreError::Foreign),
                4 => matches!(error, StoreError::UnknownFormat(0)),
                5 => matches!(
                    error,
                    StoreError::UnknownSealingKey(_) | StoreError::Foreign
                ),
                6..8 => matches!(error, StoreError::UnknownSealingKey(_)),
                _ => matches!(error, StoreError::NotAuthentic),
            };
            assert!(expected, "{at}: {error}");
            let error = keys.open(&about(b"alice"), &sealed[..at]).unwrap_err();
            assert!(
                matches!(
                    error,
                    StoreError::Foreign | StoreError::Truncated | StoreError::NotAuthentic
                ),
                "{at}: {error}"
            );
        }
    }

    /// Keys change: what a former one sealed is opened, and what is sealed anew is under the new one.
    #[test]
    fn sealing_keys_rotate() {
        let old = SealingKey::generate("2025").unwrap();
        let new = SealingKey::generate("2026").unwrap();
        let before = SealingKeys::new(old.clone());
        let sealed = before.seal(&about(b"alice"), b"tokens").unwrap();
        let alone = SealingKeys::new(new.clone());
        assert_eq!(
            alone.open(&about(b"alice"), &sealed).unwrap_err(),
            StoreError::UnknownSealingKey("2025".to_owned())
        );
        let both = alone.and_former(old);
        assert_eq!(**both.open(&about(b"alice"), &sealed).unwrap(), *b"tokens");
        let anew = both.seal(&about(b"alice"), b"tokens").unwrap();
        assert_eq!(
            before.open(&about(b"alice"), &anew).unwrap_err(),
            StoreError::UnknownSealingKey("2026".to_owned())
        );
        assert_eq!(
            format!("{both:?}"),
            "SealingKeys { active: SealingKey(\"2026\"), former: [SealingKey(\"2025\")] }"
        );
    }

    /// A key is 32 bytes with a plain name.
    #[test]
    fn keys_that_are_none() {
        let key = SealingKey::generate("k").unwrap();
        let text = key.to_base64url();
        let again = SealingKey::from_base64url("k", &text).unwrap();
        assert_eq!(*again.to_base64url(), *text);
        for bad in ["", "abc", &format!("{}A", &*text), "%%%"] {
            assert_eq!(
                SealingKey::from_base64url("k", bad).unwrap_err(),
                StoreError::SealingKey,
                "{bad}"
            );
        }
        for bad in ["", "a b", "ü", &"x".repeat(65)] {
            assert_eq!(
                SealingKey::generate(bad).unwrap_err(),
                StoreError::SealingKeyId
            );
        }
    }
}
