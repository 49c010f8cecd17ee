//! Client certificates from PKCS#12 files (RFC 7292), which is how authorities and directories often hand
//! them out.

use base64ct::{Base64, Encoding};
use p12_keystore::error::Error;
use p12_keystore::{CertificateBag, Pkcs12Archive};
use rustls::pki_types::CertificateDer;
use zeroize::Zeroizing;

use crate::certificate::ClientCertificate;
use crate::crypto::Crypto;
use crate::error::KeyError;
use crate::jose::private;

/// The largest file that is read, in bytes. Those with a chain have a few thousand.
const LIMIT: usize = 256 * 1024;

impl ClientCertificate {
    /// Reads a PKCS#12 file (`.p12`, `.pfx`) with one private key, the certificate of that key, and, as a
    /// rule, the certificates above it. Files under AES, and older ones under 3DES and RC2, are read.
    ///
    /// What the reader of these files makes of the key in between is freed and not wiped; where that counts,
    /// convert the file to PEM.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] where the password is wrong, the file broken or too large, or where it has no
    /// key, several, or no certificate for it; else as those of [`from_pem`](Self::from_pem).
    pub fn from_pkcs12(file: &[u8], password: &str) -> Result<Self, KeyError> {
        Self::from_pkcs12_with(&Crypto::new()?, file, password)
    }

    /// [`from_pkcs12`](Self::from_pkcs12) with a provider of your own.
    ///
    /// # Errors
    /// As [`from_pkcs12`](Self::from_pkcs12).
    pub fn from_pkcs12_with(
        crypto: &Crypto,
        file: &[u8],
        password: &str,
    ) -> Result<Self, KeyError> {
        if file.len() > LIMIT {
            return Err(KeyError::Malformed("the PKCS#12 file is too large"));
        }
        let archive = Pkcs12Archive::from_pkcs12(file, password).map_err(|error| unread(&error))?;
        let key = match archive.keys.as_slice() {
            [key] => key,
            [] => return Err(KeyError::Malformed("the PKCS#12 file has no private key")),
            _ => {
                return Err(KeyError::Malformed(
                    "the PKCS#12 file has several private keys; export one alone",
                ));
            }
        };
        let signing = private::tls_key(crypto, &pem(key.key.as_der()))?;
        let id = key.local_key_id.as_ref().map(AsRef::as_ref);
        let (own, others): (Vec<_>, Vec<_>) = archive
            .certs
            .iter()
            .partition(|one| id.is_some() && one.local_key_id.as_deref() == id);
        // Where nothing says which one is the key's, the key does.
        let candidates = if own.is_empty() { &others } else { &own };
        let mut outcome = Err(KeyError::Malformed(
            "the PKCS#12 file has no certificate for its key",
        ));
        for leaf in candidates {
            outcome = Self::with_key(chain(leaf, &archive.certs), signing.clone());
            if outcome.is_ok() {
                break;
            }
        }
        outcome
    }
}

/// A certificate, and those above it as far as they are there. One that signed itself adds nothing: who
/// trusts it has it.
fn chain(leaf: &CertificateBag, all: &[CertificateBag]) -> Vec<CertificateDer<'static>> {
    let mut chain = vec![&leaf.cert];
    let mut last = &leaf.cert;
    let signed_itself = |one: &p12_keystore::Certificate| one.subject() == one.issuer();
    while let Some(next) = all
        .iter()
        .map(|one| &one.cert)
        .find(|one| one.subject() == last.issuer() && !signed_itself(one) && !chain.contains(one))
    {
        chain.push(next);
        last = next;
    }
    let der = |one: &p12_keystore::Certificate| CertificateDer::from(one.as_der().to_vec());
    chain.into_iter().map(der).collect()
}

/// A PKCS#8 key as PEM, in lines of 64 characters.
fn pem(der: &[u8]) -> Zeroizing<String> {
    let text = Zeroizing::new(Base64::encode_string(der));
    let mut pem = Zeroizing::new(String::with_capacity(text.len() * 2 + 64));
    pem.push_str("-----BEGIN PRIVATE KEY-----\n");
    for (at, one) in text.chars().enumerate() {
        if at > 0 && at % 64 == 0 {
            pem.push('\n');
        }
        pem.push(one);
    }
    pem.push_str("\n-----END PRIVATE KEY-----\n");
    pem
}

fn unread(error: &Error) -> KeyError {
    KeyError::Malformed(match error {
        Error::MacError(_) | Error::Pkcs5Error(_) | Error::UnpadError => {
            "the password is wrong, or the PKCS#12 file is broken"
        }
        Error::UnsupportedEncryptionScheme | Error::UnsupportedMacAlgorithm => {
            "the PKCS#12 file is sealed in a way that is not known here; export it anew with AES-256"
        }
        _ => "the PKCS#12 file is broken, or is none",
    })
}
