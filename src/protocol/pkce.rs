//! Proof Key for Code Exchange (RFC 7636). `S256` alone; there is no `plain` (PKCE-7.2).

use crate::jose::{base64url, sha256};
use crate::secret::CodeVerifier;

/// PKCE-4.3: always sent, since its default is `plain`.
pub(crate) const METHOD: &str = "S256";

/// PKCE-4.2: the challenge that goes into the pushed request.
pub(crate) fn challenge(verifier: &CodeVerifier) -> String {
    base64url(&sha256(verifier.reveal().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// PKCE-4.2: the vector of RFC 7636 appendix B.
    #[test]
    fn the_challenge_of_appendix_b() {
        let verifier = CodeVerifier::new("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        assert_eq!(
            challenge(&verifier),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
        );
    }

    /// PKCE-4.1, K-4: 43 characters of the unreserved set.
    #[test]
    fn a_verifier_is_long_enough() {
        for _ in 0..100 {
            let verifier = CodeVerifier::random().unwrap();
            assert_eq!(verifier.reveal().len(), 43);
            assert!(
                verifier
                    .reveal()
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
            );
        }
    }
}
