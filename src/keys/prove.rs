//! Whether a signer does what it declares.

use super::Signer;
use crate::crypto::Crypto;
use crate::error::KeyError;

/// What is signed. It is no JWT, so that the signature is good for nothing else.
const PROBE: &[u8] = b"fapi-client checks that this key signs what its public half verifies";

/// CA-9: has a probe signed and verifies it with the public key that the signer declares, so that a
/// wrong key or a wrong form of signature shows now and not as a server's `invalid_client`.
///
/// # Errors
/// [`KeyError::Signature`] where the answer has not the form of a signature (DER instead of r and s);
/// [`KeyError::Mismatch`] where it does not verify; [`KeyError::ProviderLacks`] where the provider
/// can't tell; whatever the signer itself fails with.
pub(crate) async fn prove(crypto: &Crypto, signer: &dyn Signer) -> Result<(), KeyError> {
    let algorithm = signer.algorithm();
    let public = signer.public_jwk();
    if public.algorithm() != algorithm
        || !public.names_its_algorithm()
        || public.is_for_encryption()
    {
        return Err(KeyError::Mismatch);
    }
    public.ensure_verifiable(crypto)?;
    let signature = signer.sign(PROBE).await?;
    if signature.as_bytes().len() != public.signature_len() {
        return Err(KeyError::Signature { algorithm });
    }
    if public.verify(crypto, PROBE, signature.as_bytes()) {
        Ok(())
    } else {
        Err(KeyError::Mismatch)
    }
}
