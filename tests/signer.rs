//! Software keys keep the contract that every signer keeps, whatever they were loaded from.

use fapi_client::{KeyError, SoftwareKey};
use fapi_testkit::contract::signer_contract;

/// CA-9, SP-5.4.1-1.2: keys of OpenSSL, of Java, of a JWK and made here, checked with other code than
/// they sign with.
#[tokio::test]
async fn software_keys_keep_the_contract() {
    signer_contract(&SoftwareKey::generate_es256().unwrap()).await;
    for pem in [
        include_str!("keys/es256-pkcs8.pem"),
        include_str!("keys/es256-sec1.pem"),
        include_str!("keys/es256-java.pem"),
        include_str!("keys/rsa2048-pkcs8.pem"),
        include_str!("keys/rsa2048-pkcs1.pem"),
        include_str!("keys/ed25519.pem"),
    ] {
        signer_contract(&SoftwareKey::from_pem(pem).unwrap()).await;
    }
    let jwk = include_str!("keys/rsa2048.json");
    signer_contract(&SoftwareKey::from_jwk(jwk).unwrap()).await;
}

/// A key that was made here is written down and read again as the same key.
#[tokio::test]
async fn a_key_survives_its_pem() {
    let made = SoftwareKey::generate_es256().unwrap();
    let read = SoftwareKey::from_pem(&made.to_pkcs8_pem().unwrap()).unwrap();
    let thumbprint = |key: &SoftwareKey| fapi_client::Signer::public_jwk(key).thumbprint();
    assert_eq!(thumbprint(&made), thumbprint(&read));
    signer_contract(&read).await;
}

/// SP-5.4.1-2, K-3: a short RSA key is refused with its length.
#[test]
fn a_short_rsa_key_is_refused() {
    assert_eq!(
        SoftwareKey::from_pem(include_str!("keys/rsa1024.pem")).unwrap_err(),
        KeyError::TooShort { bits: 1024 }
    );
}
