//! The key set of a server (RFC 7517 section 5).

use serde_json::Value;

use super::{PublicJwk, parse_object};
use crate::error::Violation;
use crate::profile::{Algorithm, JWKS_MAX_BYTES, JWKS_MAX_KEYS, JWKS_MAX_TRIES};

/// The keys of a server that can verify something.
#[derive(Clone, Debug, Default)]
pub(crate) struct JwkSet {
    keys: Vec<PublicJwk>,
}

impl JwkSet {
    /// Reads a key set. A key that is malformed, of another kind, too short (SP-5.4.1-2), symmetric
    /// or private is passed over: one bad key must not take the others with it.
    ///
    /// # Errors
    /// [`Violation::Jwks`] where the document itself can't be read.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Violation> {
        if bytes.len() > JWKS_MAX_BYTES {
            return Err(Violation::Jwks);
        }
        let document = parse_object(bytes).map_err(|_| Violation::Jwks)?;
        let Some(Value::Array(keys)) = document.get("keys") else {
            return Err(Violation::Jwks);
        };
        let keys = keys
            .iter()
            .filter_map(|key| PublicJwk::from_json(key).ok())
            .take(JWKS_MAX_KEYS)
            .collect();
        Ok(Self { keys })
    }

    /// SP-5.4.3: the keys to try on a signature: first by `kid`, then by what fits its algorithm
    /// (`kty` and `crv`, `use`, `key_ops`, `alg`). Several keys may share a `kid`. Where the header
    /// names none, all that fit are tried, within bounds.
    pub(crate) fn candidates(&self, key_id: Option<&str>, algorithm: Algorithm) -> Vec<&PublicJwk> {
        self.keys
            .iter()
            .filter(|key| key_id.is_none() || key.key_id() == key_id)
            .filter(|key| key.verifies(algorithm))
            .take(JWKS_MAX_TRIES)
            .collect()
    }

    #[cfg(test)]
    pub(crate) const fn len(&self) -> usize {
        self.keys.len()
    }

    #[cfg(test)]
    pub(crate) const fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}
