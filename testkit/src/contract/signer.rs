//! The contract of `fapi_client::Signer`.
//!
//! ```no_run
//! # use fapi_client::{KeyError, Signer};
//! # use fapi_testkit::contract::signer_contract;
//! # async fn test(signer: impl Signer) {
//! signer_contract(&signer).await;
//! # }
//! ```

use fapi_client::{Algorithm, Signer};

use crate::jose::{Alg, check_public_jwk, check_signature};

/// Checks that a signer keeps what `Signer` promises. Its signatures are verified with other code than
/// the crate's.
///
/// # Panics
/// At the first promise that is not kept, with its name.
pub async fn signer_contract(signer: &dyn Signer) {
    its_public_key_is_sound(signer);
    it_signs_any_message(signer).await;
    it_signs_the_message_and_not_another(signer).await;
}

/// SP-5.4.1-1.2, SP-5.4.2-0: the public JWK is public, of an allowed kind and size, and serves the
/// algorithm that the signer declares.
///
/// # Panics
/// Where it is not.
pub fn its_public_key_is_sound(signer: &dyn Signer) {
    let jwk = signer.public_jwk();
    check_public_jwk(&jwk.to_json()).unwrap_or_else(|fault| panic!("the public JWK: {fault}"));
    assert_eq!(
        jwk.algorithm(),
        signer.algorithm(),
        "the public JWK serves another algorithm than the signer declares"
    );
}

/// CA-9: messages of every length are signed in the form of JOSE (r and s of ES256 in 64 bytes, not
/// DER; a PS256 salt of 32 bytes).
///
/// # Panics
/// Where one is not.
pub async fn it_signs_any_message(signer: &dyn Signer) {
    for length in [0, 1, 31, 32, 64, 300, 10_000] {
        let message = vec![b'm'; length];
        let signature = sign(signer, &message).await;
        verify(signer, &message, &signature)
            .unwrap_or_else(|fault| panic!("a message of {length} bytes: {fault}"));
    }
}

/// The message itself is signed, and not a digest that was taken for it.
///
/// # Panics
/// Where a signature holds for another message.
pub async fn it_signs_the_message_and_not_another(signer: &dyn Signer) {
    let signature = sign(signer, b"one message").await;
    assert!(
        verify(signer, b"another message", &signature).is_err(),
        "the signature of one message holds for another"
    );
}

async fn sign(signer: &dyn Signer, message: &[u8]) -> Vec<u8> {
    match signer.sign(message).await {
        Ok(signature) => signature.as_bytes().to_vec(),
        Err(error) => panic!("it does not sign: {error}"),
    }
}

fn verify(signer: &dyn Signer, message: &[u8], signature: &[u8]) -> Result<(), String> {
    let alg = match signer.algorithm() {
        Algorithm::Es256 => Alg::Es256,
        Algorithm::Ps256 => Alg::Ps256,
        Algorithm::EdDsa => Alg::EdDsa,
        other => return Err(format!("{other} is not known here")),
    };
    check_signature(alg, &signer.public_jwk().to_json(), message, signature)
}
