//! One source of randomness.

use base64ct::{Base64UrlUnpadded, Encoding};
use rand::TryRng;
use rand::rngs::SysRng;

/// 256 random bits as base64url: codes, tokens, nonces and identifiers.
pub(crate) fn token() -> String {
    Base64UrlUnpadded::encode_string(&bytes())
}

pub(crate) fn bytes() -> [u8; 32] {
    let mut bytes = [0; 32];
    SysRng
        .try_fill_bytes(&mut bytes)
        .expect("the system gives random bytes");
    bytes
}
