//! PEM (RFC 7468), as it is found in the wild: text around the blocks, CRLF, OpenSSL's headers.

use base64ct::{Base64, Encoding};
use zeroize::Zeroizing;

use crate::error::KeyError;

/// Beyond this a text is no key.
const MAX_CHARS: usize = 64 * 1024;

/// One block, decoded.
pub(super) struct Block<'a> {
    pub(super) label: &'a str,
    pub(super) der: Zeroizing<Vec<u8>>,
}

/// The one private key of a text. Certificates, public keys and curve parameters may stand around it.
pub(super) fn private_key(text: &str) -> Result<Block<'_>, KeyError> {
    if text.trim_start().starts_with('{') {
        return Err(KeyError::Malformed("it is JSON; read it with from_jwk"));
    }
    one(
        text,
        |label| label.ends_with("PRIVATE KEY"),
        "it holds no private key in PEM",
    )
}

/// The one public key of a text.
pub(super) fn public_key(text: &str) -> Result<Block<'_>, KeyError> {
    one(
        text,
        |label| label == "PUBLIC KEY",
        "it holds no public key in PEM (SPKI)",
    )
}

fn one<'a>(
    text: &'a str,
    wanted: impl Fn(&str) -> bool,
    missing: &'static str,
) -> Result<Block<'a>, KeyError> {
    if text.len() > MAX_CHARS {
        return Err(KeyError::Malformed("it is too long"));
    }
    let mut found = None;
    let mut lines = text.lines().map(str::trim);
    while let Some(line) = lines.next() {
        let Some(label) = line
            .strip_prefix("-----BEGIN ")
            .and_then(|rest| rest.strip_suffix("-----"))
        else {
            continue;
        };
        let block = Block {
            label,
            der: body(label, &mut lines, wanted(label))?,
        };
        if !wanted(label) {
            continue;
        }
        if found.replace(block).is_some() {
            return Err(KeyError::Malformed("it holds several keys"));
        }
    }
    found.ok_or(KeyError::Malformed(missing))
}

/// Reads up to the end line; decodes only what is wanted.
fn body<'a>(
    label: &str,
    lines: &mut impl Iterator<Item = &'a str>,
    decode: bool,
) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    // As large as it can get, so that it never moves and leaves a copy behind.
    let mut base64 = Zeroizing::new(String::with_capacity(MAX_CHARS));
    for line in lines {
        if line
            .strip_prefix("-----END ")
            .and_then(|rest| rest.strip_suffix("-----"))
            == Some(label)
        {
            if !decode {
                return Ok(Zeroizing::default());
            }
            return Base64::decode_vec(&base64)
                .map(Zeroizing::new)
                .map_err(|_| KeyError::Malformed("its base64 is broken"));
        }
        if line.starts_with("-----") {
            break;
        }
        if line.starts_with("Proc-Type:") && line.ends_with("ENCRYPTED") {
            return Err(ENCRYPTED);
        }
        if !line.contains(':') {
            base64.push_str(line);
        }
    }
    Err(KeyError::Malformed("its PEM has no end line"))
}

pub(super) const ENCRYPTED: KeyError = KeyError::Malformed("it is encrypted; decrypt it first");
