//! Private keys as JSON Web Keys (RFC 7518 section 6, RFC 8037 section 2).

use serde_json::{Map, Value};
use zeroize::{Zeroize, Zeroizing};

use super::der::RsaPrivateKey;
use super::private::{PrivateKey, belong_together, p256_secret};
use super::{JsonFault, PublicJwk, members, parse_object};
use crate::crypto::Crypto;
use crate::error::KeyError;
use crate::profile::Algorithm;

impl PrivateKey {
    /// Reads a private JWK. A `kid` of its own is kept.
    ///
    /// # Errors
    /// As [`from_pem`](Self::from_pem), and [`KeyError::Unsupported`] where `use` or `alg` say that
    /// the key is for something else.
    pub(crate) fn from_jwk(crypto: &Crypto, json: &str) -> Result<Self, KeyError> {
        let members = Wiped(parse_object(json.as_bytes()).map_err(|fault| match fault {
            JsonFault::Malformed => KeyError::Malformed("it is no JSON object"),
            JsonFault::DuplicateMember => KeyError::Malformed("a member stands there twice"),
        })?);
        let public = PublicJwk::from_members(&members.0)?;
        // JWT-3.1: a key serves one purpose and one algorithm.
        if public.is_for_encryption() {
            return Err(KeyError::Unsupported("a key for encryption"));
        }
        if !public.names_its_algorithm() {
            return Err(KeyError::Unsupported(
                "a key for another algorithm than its type has here",
            ));
        }
        if members.0.contains_key("oth") {
            return Err(KeyError::Unsupported("an RSA key of more than two primes"));
        }
        let key = match public.algorithm() {
            Algorithm::Es256 => {
                let secret = members.secret("d")?;
                if secret.len() != 32 {
                    return Err(KeyError::Malformed("its d is not of 32 bytes"));
                }
                let secret = p256_secret(&secret)?;
                belong_together(&secret, public.material())?;
                Self::from_p256(crypto, &secret)?
            }
            Algorithm::Ps256 => Self::from_pkcs1(crypto, &members.pkcs1()?)?,
            Algorithm::EdDsa => {
                let declared = public.material().clone();
                Self::from_ed25519(crypto, &members.secret("d")?, Some(declared))?
            }
        };
        Ok(match public.key_id() {
            Some(key_id) => key.with_key_id(key_id),
            None => key,
        })
    }
}

/// The members of a private JWK, whose texts are wiped when dropped.
struct Wiped(Map<String, Value>);

impl Wiped {
    fn secret(&self, name: &str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        if !self.0.contains_key(name) {
            return Err(KeyError::Malformed(
                "it has no private half, or not all of it",
            ));
        }
        members::bytes(&self.0, name).map(Zeroizing::new)
    }

    /// The numbers in the form of PKCS#1, which takes all of them: without the primes a key can't be
    /// used in a safe manner.
    fn pkcs1(&self) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let names = ["n", "e", "d", "p", "q", "dp", "dq", "qi"];
        let mut numbers = Vec::with_capacity(names.len());
        for name in names {
            numbers.push(self.secret(name)?);
        }
        let mut key = RsaPrivateKey([&[]; 8]);
        for (slot, number) in key.0.iter_mut().zip(&numbers) {
            *slot = number;
        }
        key.write()
            .map_err(|_| KeyError::Malformed("its numbers can't be encoded"))
    }
}

impl Drop for Wiped {
    fn drop(&mut self) {
        for value in self.0.values_mut() {
            if let Value::String(text) = value {
                text.zeroize();
            }
        }
    }
}
