//! The client's keys: what signs for it, and the set that it publishes.

mod certificate;
#[cfg(feature = "pkcs11")]
mod pkcs11;
#[cfg(feature = "pkcs12")]
mod pkcs12;
mod prove;
mod sealed;
mod set;
mod signer;
mod software;
mod store;

pub use certificate::CertificateSet;
#[cfg(feature = "pkcs11")]
pub use pkcs11::{Pkcs11Builder, Pkcs11Keys};
use prove::prove;
pub use sealed::SealedKeys;
pub use set::KeySet;
pub use signer::{Signature, Signer};
pub use software::SoftwareKey;
pub use store::{KeyName, KeyStore};

#[cfg(all(test, any(feature = "aws-lc", feature = "ring")))]
mod tests;

#[cfg(all(test, not(any(feature = "aws-lc", feature = "ring"))))]
mod tests {
    use super::SoftwareKey;
    use crate::error::KeyError;

    /// SP-5.4.1-1.1: without a provider there is an error, and nothing to fall back on.
    #[test]
    fn without_a_provider_there_is_no_key() {
        let fault = SoftwareKey::generate_es256().unwrap_err();
        assert_eq!(fault, KeyError::NoCryptoProvider);
    }
}
