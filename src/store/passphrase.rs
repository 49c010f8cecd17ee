//! A sealing key out of a passphrase (Argon2id, RFC 9106).

use argon2::{Algorithm, Argon2, Params, Version};
use base64ct::{Base64UrlUnpadded, Encoding};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{FileStore, SealingKey, SealingKeys};
use crate::error::StoreError;
use crate::secret::random_bytes;

const FILE: &str = "passphrase";
const MAGIC: &[u8; 4] = b"FAPP";
const FORMAT: u8 = 1;

impl SealingKeys {
    /// The key that a passphrase and the store's own salt give. The first passphrase that a store is
    /// opened with becomes its passphrase; ask twice for it.
    ///
    /// The salt, the costs and a value to check the passphrase with are in the file `passphrase` of the
    /// folder. The costs are 64 MiB, three passes and one lane, more than OWASP asks for; this takes some
    /// tenths of a second on a thread of its own. Without the file, what the key has sealed is lost.
    ///
    /// # Errors
    /// [`StoreError::Passphrase`] for another passphrase than the first; [`StoreError::Setting`] for an
    /// empty one; [`StoreError::Foreign`], [`StoreError::Truncated`], [`StoreError::UnknownFormat`] and
    /// [`StoreError::Malformed`] for a file that can't be used; what a folder may fail with.
    pub async fn from_passphrase(store: &FileStore, passphrase: &str) -> Result<Self, StoreError> {
        if passphrase.is_empty() {
            let why = "a passphrase has at least one character";
            return Err(StoreError::Setting(why.to_owned()));
        }
        let first = Zeroizing::new(passphrase.to_owned());
        let again = first.clone();
        let make = move || Kept::new(COSTS, &first).map(|kept| kept.encode());
        let text = store.once(FILE, make).await?;
        let open = move || Kept::decode(&text)?.open(&again);
        let key = store.blocking(move |_| open()).await?;
        Ok(Self::new(key))
    }
}

/// How much work one attempt at a passphrase is.
#[derive(Clone, Copy)]
struct Costs {
    kibibytes: u32,
    passes: u32,
    lanes: u32,
}

const COSTS: Costs = Costs {
    kibibytes: 64 << 10,
    passes: 3,
    lanes: 1,
};

impl Costs {
    /// Not below what OWASP asks for, or whoever can write the file makes guessing cheap; and not so
    /// high that it stops the machine.
    fn are_sane(self) -> bool {
        (19 << 10..=1 << 20).contains(&self.kibibytes)
            && (2..=16).contains(&self.passes)
            && (1..=16).contains(&self.lanes)
    }

    fn derive(self, passphrase: &str, salt: &[u8; 16]) -> Result<Derived, StoreError> {
        const REFUSED: StoreError = StoreError::Malformed("Argon2 refuses its costs");
        if !self.are_sane() {
            return Err(StoreError::Malformed(
                "the costs of its passphrase are out of bounds",
            ));
        }
        let params = Params::new(self.kibibytes, self.passes, self.lanes, Some(64));
        let argon2 = Argon2::new(
            Algorithm::Argon2id,
            Version::V0x13,
            params.map_err(|_| REFUSED)?,
        );
        let mut out = Zeroizing::new([0_u8; 64]);
        argon2
            .hash_password_into(passphrase.as_bytes(), salt, out.as_mut())
            .map_err(|_| REFUSED)?;
        let (key, proof) = out.split_first_chunk::<32>().ok_or(REFUSED)?;
        Ok(Derived {
            key: Zeroizing::new(*key),
            check: Sha256::digest(proof).into(),
        })
    }
}

/// A key, and what it can be recognized by. One says nothing about the other.
struct Derived {
    key: Zeroizing<[u8; 32]>,
    check: [u8; 32],
}

/// What the file holds.
struct Kept {
    costs: Costs,
    salt: [u8; 16],
    check: [u8; 32],
}

impl Kept {
    fn new(costs: Costs, passphrase: &str) -> Result<Self, StoreError> {
        let salt = *random_bytes().map_err(|_| StoreError::Randomness)?;
        let check = costs.derive(passphrase, &salt)?.check;
        Ok(Self { costs, salt, check })
    }

    fn open(&self, passphrase: &str) -> Result<SealingKey, StoreError> {
        let derived = self.costs.derive(passphrase, &self.salt)?;
        if !bool::from(derived.check.ct_eq(&self.check)) {
            return Err(StoreError::Passphrase);
        }
        // The salt is no secret, and another one makes another key.
        let id = Base64UrlUnpadded::encode_string(&self.salt);
        SealingKey::new(format!("passphrase-{id}"), *derived.key)
    }

    fn encode(&self) -> Vec<u8> {
        let mut text = Vec::from(*MAGIC);
        text.push(FORMAT);
        for cost in [self.costs.kibibytes, self.costs.passes, self.costs.lanes] {
            text.extend_from_slice(&cost.to_be_bytes());
        }
        text.extend_from_slice(&self.salt);
        text.extend_from_slice(&self.check);
        text
    }

    fn decode(text: &[u8]) -> Result<Self, StoreError> {
        let mut rest = super::file::Rest::after_magic(text, MAGIC)?;
        let [format] = rest.take()?;
        if format != FORMAT {
            return Err(StoreError::UnknownFormat(format));
        }
        let costs = Costs {
            kibibytes: u32::from_be_bytes(rest.take()?),
            passes: u32::from_be_bytes(rest.take()?),
            lanes: u32::from_be_bytes(rest.take()?),
        };
        let (salt, check) = (rest.take()?, rest.take()?);
        rest.end()?;
        Ok(Self { costs, salt, check })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The least that is taken: what the tests are about does not depend on it.
    const CHEAP: Costs = Costs {
        kibibytes: 19 << 10,
        passes: 2,
        lanes: 1,
    };

    #[test]
    fn the_same_passphrase_gives_the_same_key() {
        let kept = Kept::new(CHEAP, "correct horse").unwrap();
        let read = Kept::decode(&kept.encode()).unwrap();
        let first = kept.open("correct horse").unwrap();
        let again = read.open("correct horse").unwrap();
        assert_eq!(*first.to_base64url(), *again.to_base64url());
        assert_eq!(first.id(), again.id());
        let wrong = read.open("correct house").unwrap_err();
        assert_eq!(wrong, StoreError::Passphrase);

        let other = Kept::new(CHEAP, "correct horse").unwrap();
        let other = other.open("correct horse").unwrap();
        assert_ne!(*first.to_base64url(), *other.to_base64url());
        assert_ne!(first.id(), other.id());
    }

    /// Whoever can write the file can't make guessing cheap, and can't stop the machine.
    #[test]
    fn costs_are_bounded() {
        let bounds = [
            (0, 3, 1),
            ((19 << 10) - 1, 3, 1),
            ((1 << 20) + 1, 3, 1),
            (u32::MAX, 3, 1),
            (19 << 10, 1, 1),
            (19 << 10, 17, 1),
            (19 << 10, 3, 0),
            (19 << 10, 3, 17),
        ];
        for (kibibytes, passes, lanes) in bounds {
            let kept = Kept {
                costs: Costs {
                    kibibytes,
                    passes,
                    lanes,
                },
                salt: [0; 16],
                check: [0; 32],
            };
            let read = Kept::decode(&kept.encode()).unwrap();
            assert_eq!(
                read.open("correct horse").unwrap_err(),
                StoreError::Malformed("the costs of its passphrase are out of bounds"),
                "{kibibytes} {passes} {lanes}"
            );
        }
    }

    #[test]
    fn a_file_that_is_none() {
        let kept = Kept {
            costs: COSTS,
            salt: [1; 16],
            check: [2; 32],
        };
        let text = kept.encode();
        for end in 0..text.len() {
            let error = Kept::decode(&text[..end]).err();
            assert_eq!(error, Some(StoreError::Truncated), "{end}");
        }
        let longer = Kept::decode(&[&text[..], b"x"].concat()).err();
        assert_eq!(
            longer,
            Some(StoreError::Malformed("it is longer than it says"))
        );
        let mut newer = text.clone();
        newer[4] = 9;
        assert_eq!(
            Kept::decode(&newer).err(),
            Some(StoreError::UnknownFormat(9))
        );
        assert_eq!(Kept::decode(b"hello").err(), Some(StoreError::Foreign));
    }
}
