//! Private keys in software: read from PEM or JWK, or made; signing by the provider.

use std::fmt;
use std::sync::Arc;

use p256::SecretKey;
use p256::elliptic_curve::Generate;
use p256::pkcs8::der::Decode;
use p256::pkcs8::der::asn1::{AnyRef, OctetStringRef};
use p256::pkcs8::spki::AlgorithmIdentifierRef;
use p256::pkcs8::{
    EncodePrivateKey, LineEnding, ObjectIdentifier, PrivateKeyInfoRef, SecretDocument,
};
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::{Signer, SigningKey};
use zeroize::Zeroizing;

use super::der::{EcPrivateKey, RsaPrivateKey};
use super::material::Material;
use super::{PublicJwk, kind, pem, provider};
use crate::crypto::Crypto;
use crate::error::KeyError;
use crate::profile::Algorithm;

const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// Signed once while a key is loaded, to see that its halves belong together.
const PROBE: &[u8] = b"do the two halves of this key belong together?";

/// A private key, handed to the provider once; it signs as often as it is asked to.
pub(crate) struct PrivateKey {
    public: PublicJwk,
    signer: Box<dyn Signer>,
    /// The key as PKCS#8, wiped when dropped.
    document: SecretDocument,
}

impl PrivateKey {
    /// Reads the one private key of a PEM text: PKCS#8, SEC1 or PKCS#1.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] where there is none, several, or one that is encrypted or broken;
    /// [`KeyError::Unsupported`] and [`KeyError::TooShort`] where FAPI 2.0 does not allow it;
    /// [`KeyError::Mismatch`] where its halves don't belong together.
    pub(crate) fn from_pem(crypto: &Crypto, text: &str) -> Result<Self, KeyError> {
        let block = pem::private_key(text)?;
        match block.label {
            "PRIVATE KEY" => Self::from_pkcs8(crypto, &block.der),
            "EC PRIVATE KEY" => Self::from_sec1(crypto, &block.der, true),
            "RSA PRIVATE KEY" => Self::from_pkcs1(crypto, &block.der),
            "ENCRYPTED PRIVATE KEY" => Err(pem::ENCRYPTED),
            "DSA PRIVATE KEY" => Err(KeyError::Unsupported("a DSA key")),
            _ => Err(KeyError::Malformed(
                "it is neither PKCS#8 nor SEC1 nor PKCS#1",
            )),
        }
    }

    /// Makes a P-256 key.
    ///
    /// # Errors
    /// [`KeyError::Randomness`] where the operating system gives none.
    pub(crate) fn generate_es256(crypto: &Crypto) -> Result<Self, KeyError> {
        let secret = SecretKey::try_generate_from_rng(&mut rand::rngs::SysRng)
            .map_err(|_| KeyError::Randomness)?;
        Self::from_p256(crypto, &secret)
    }

    pub(crate) const fn algorithm(&self) -> Algorithm {
        self.public.algorithm()
    }

    pub(crate) const fn public(&self) -> &PublicJwk {
        &self.public
    }

    /// Signs a message. The signature has the form of JOSE: for ES256, r and s of 32 bytes each.
    ///
    /// # Errors
    /// [`KeyError::Refused`] where the provider does not sign.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let signature = self
            .signer
            .sign(message)
            .map_err(|_| KeyError::Refused("the cryptography provider did not sign".to_owned()))?;
        match self.algorithm() {
            Algorithm::Es256 => raw_ecdsa(&signature),
            Algorithm::Ps256 | Algorithm::EdDsa => Ok(signature),
        }
    }

    /// The key as PKCS#8 in PEM. Whoever has it has the key.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] where it can't be written.
    pub(crate) fn to_pkcs8_pem(&self) -> Result<Zeroizing<String>, KeyError> {
        self.document
            .to_pem("PRIVATE KEY", LineEnding::LF)
            .map_err(|_| UNWRITABLE)
    }

    pub(super) fn with_key_id(mut self, key_id: &str) -> Self {
        self.public = self.public.with_key_id(key_id);
        self
    }

    fn from_pkcs8(crypto: &Crypto, der: &[u8]) -> Result<Self, KeyError> {
        let info = PrivateKeyInfoRef::from_der(der)
            .map_err(|_| KeyError::Malformed("its PKCS#8 is broken"))?;
        let inner = info.private_key.as_bytes();
        match kind::of(&info.algorithm)? {
            Algorithm::Es256 => Self::from_sec1(crypto, inner, false),
            Algorithm::Ps256 => Self::from_pkcs1(crypto, inner),
            Algorithm::EdDsa => {
                let seed = <&OctetStringRef>::from_der(inner)
                    .map_err(|_| KeyError::Malformed("its PKCS#8 is broken"))?;
                let public = info.public_key.and_then(|bits| bits.as_bytes());
                let public = public.map(Material::ed25519).transpose()?;
                Self::from_ed25519(crypto, seed.as_bytes(), public)
            }
        }
    }

    /// `names_curve`: outside PKCS#8 the structure itself has to say which curve it means.
    fn from_sec1(crypto: &Crypto, der: &[u8], names_curve: bool) -> Result<Self, KeyError> {
        let key = EcPrivateKey::read(der).map_err(|_| KeyError::Malformed("its SEC1 is broken"))?;
        match key.curve {
            Some(curve) => kind::p256_alone(curve)?,
            None if names_curve => return Err(KeyError::Malformed("it names no curve")),
            None => {}
        }
        let secret = p256_secret(key.secret)?;
        if let Some(public) = key.public {
            belong_together(&secret, &Material::p256(public)?)?;
        }
        Self::from_p256(crypto, &secret)
    }

    /// Every EC key is written anew, always with its public half: without it ring refuses a key.
    pub(super) fn from_p256(crypto: &Crypto, secret: &SecretKey) -> Result<Self, KeyError> {
        let document = secret.to_pkcs8_der().map_err(|_| UNWRITABLE)?;
        let key = provider::load(crypto, document.as_bytes())
            .ok_or(KeyError::ProviderLacks(Algorithm::Es256.name()))?;
        Ok(Self {
            public: Material::from(&secret.public_key()).into(),
            signer: provider::signer(&*key, Algorithm::Es256)?,
            document,
        })
    }

    pub(super) fn from_pkcs1(crypto: &Crypto, der: &[u8]) -> Result<Self, KeyError> {
        let key = RsaPrivateKey::read(der)
            .map_err(|_| KeyError::Malformed("its PKCS#1 is broken or has more than two primes"))?;
        let [modulus, exponent, ..] = key.0;
        let public = Material::rsa(modulus, exponent)?;
        // FIPS 186-5 section 5.1. ring refuses such keys, so none is taken under any provider.
        if exponent.len() < 3 {
            return Err(KeyError::Unsupported("an RSA key whose e is below 65537"));
        }
        let document = pkcs8(RSA_ENCRYPTION, Some(AnyRef::NULL), der)?;
        let loaded = provider::load(crypto, document.as_bytes()).ok_or({
            // ring takes primes of whole 512 bits. What is left to refuse in a key of good form and
            // length is that its numbers don't belong together.
            if modulus.len() % 128 == 0 {
                KeyError::Mismatch
            } else {
                KeyError::Unsupported("an RSA key of a length that the provider does not take")
            }
        })?;
        Self {
            public: public.into(),
            signer: provider::signer(&*loaded, Algorithm::Ps256)?,
            document,
        }
        .proven(crypto)
    }

    pub(super) fn from_ed25519(
        crypto: &Crypto,
        seed: &[u8],
        declared: Option<Material>,
    ) -> Result<Self, KeyError> {
        if seed.len() != 32 {
            return Err(KeyError::Malformed("an Ed25519 key is 32 bytes"));
        }
        // An OCTET STRING in an OCTET STRING (RFC 8410 section 7).
        let inner = Zeroizing::new([&[4, 32], seed].concat());
        let document = pkcs8(ED25519, None, &inner)?;
        let loaded = provider::load(crypto, document.as_bytes())
            .ok_or(KeyError::ProviderLacks(Algorithm::EdDsa.name()))?;
        let derived = loaded
            .public_key()
            .map(|spki| Material::from_spki(&spki))
            .transpose()?;
        let public = match (derived, declared) {
            (Some(derived), Some(declared)) if derived != declared => {
                return Err(KeyError::Mismatch);
            }
            (Some(public), _) | (None, Some(public)) => public,
            (None, None) => return Err(KeyError::ProviderLacks("the public half of Ed25519 keys")),
        };
        Self {
            public: public.into(),
            signer: provider::signer(&*loaded, Algorithm::EdDsa)?,
            document,
        }
        .proven(crypto)
    }

    fn proven(self, crypto: &Crypto) -> Result<Self, KeyError> {
        self.public.ensure_verifiable(crypto)?;
        // Some providers notice while they sign.
        let signature = self.sign(PROBE).map_err(|_| KeyError::Mismatch)?;
        if self.public.verify(crypto, PROBE, &signature) {
            Ok(self)
        } else {
            Err(KeyError::Mismatch)
        }
    }
}

/// The private key of a certificate, as TLS signs with it. Beside the kinds that sign tokens the larger
/// curves serve there (SP-5.4.1-3), where the provider knows them.
///
/// # Errors
/// As those of [`PrivateKey::from_pem`].
pub(crate) fn tls_key(crypto: &Crypto, text: &str) -> Result<Arc<dyn SigningKey>, KeyError> {
    let (block, refused) = (pem::private_key(text)?, KeyError::ProviderLacks("its kind"));
    match PrivateKey::from_pem(crypto, text) {
        Ok(key) => provider::load(crypto, key.document.as_bytes()).ok_or(refused),
        Err(KeyError::Unsupported("a P-384 key" | "a P-521 key")) => {
            let der = PrivateKeyDer::try_from(block.der.to_vec()).map_err(|_| refused.clone())?;
            let key = crypto.provider().key_provider.load_private_key(der);
            key.map_err(|_| refused)
        }
        Err(error) => Err(error),
    }
}

/// Shows the algorithm and nothing else.
impl fmt::Debug for PrivateKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PrivateKey({})", self.algorithm())
    }
}

const UNWRITABLE: KeyError = KeyError::Malformed("it can't be written as PKCS#8");

/// CA-9: turns the DER of an ECDSA signature into r and s, 64 bytes.
pub(crate) fn raw_ecdsa(der: &[u8]) -> Result<Vec<u8>, KeyError> {
    p256::ecdsa::Signature::from_der(der)
        .map(|signature| signature.to_bytes().to_vec())
        .map_err(|_| KeyError::Signature {
            algorithm: Algorithm::Es256,
        })
}

pub(super) fn p256_secret(bytes: &[u8]) -> Result<SecretKey, KeyError> {
    SecretKey::from_slice(bytes).map_err(|_| KeyError::Malformed("it is no private key of P-256"))
}

pub(super) fn belong_together(secret: &SecretKey, public: &Material) -> Result<(), KeyError> {
    if Material::from(&secret.public_key()) == *public {
        Ok(())
    } else {
        Err(KeyError::Mismatch)
    }
}

fn pkcs8(
    oid: ObjectIdentifier,
    parameters: Option<AnyRef<'_>>,
    key: &[u8],
) -> Result<SecretDocument, KeyError> {
    let key = OctetStringRef::new(key).map_err(|_| UNWRITABLE)?;
    let info = PrivateKeyInfoRef::new(AlgorithmIdentifierRef { oid, parameters }, key);
    SecretDocument::try_from(info).map_err(|_| UNWRITABLE)
}
