//! Client certificates from PKCS#12 files, as OpenSSL writes them.

use fapi_client::{CertificateSet, ClientCertificate, Crypto, KeyError};
use fapi_testkit::TestServer;

use super::{Bound, By, whole};

const PASSWORD: &str = "correct-horse";
const MODERN: &[u8] = include_bytes!("../keys/pkcs12/modern.p12");
const LEGACY: &[u8] = include_bytes!("../keys/pkcs12/legacy.p12");

fn read(file: &[u8], password: &str) -> Result<ClientCertificate, KeyError> {
    ClientCertificate::from_pkcs12(file, password)
}

/// MTLS-3: files under AES-256, and older ones under 3DES and RC2.
#[test]
fn files_of_openssl_are_read() {
    let expected = TestServer::thumbprint_of(include_str!("../keys/pkcs12/client.pem"));
    for file in [MODERN, LEGACY] {
        let certificate = read(file, PASSWORD).unwrap();
        assert_eq!(certificate.thumbprint(), expected);
        let crypto = Crypto::new().unwrap();
        let again = ClientCertificate::from_pkcs12_with(&crypto, file, PASSWORD).unwrap();
        assert_eq!(again.thumbprint(), expected);
        assert_eq!(again.expires_at(), certificate.expires_at());
        // SEC-cred
        assert!(!format!("{certificate:?}").contains(PASSWORD));
    }
}

/// MTLS-2.2: the certificate goes with those above it, without the root: who trusts that has it.
#[test]
fn the_chain_is_in_its_order() {
    for file in [MODERN, LEGACY] {
        let set = CertificateSet::new(read(file, PASSWORD).unwrap());
        let jwks = set.jwks().unwrap();
        let chain = jwks["keys"][0]["x5c"].as_array().unwrap();
        let pem =
            |text: &str| -> String { text.lines().filter(|line| !line.starts_with('-')).collect() };
        assert_eq!(
            chain,
            &[
                pem(include_str!("../keys/pkcs12/client.pem")),
                pem(include_str!("../keys/pkcs12/middle.pem"))
            ]
        );
    }
}

/// MTLS-2: what can't be read is told, with what to do about it.
#[test]
fn what_is_no_such_file_is_told() {
    let wrong = KeyError::Malformed("the password is wrong, or the PKCS#12 file is broken");
    let broken = KeyError::Malformed("the PKCS#12 file is broken, or is none");
    for file in [MODERN, LEGACY] {
        assert_eq!(read(file, "wrong").unwrap_err(), wrong);
        assert_eq!(read(file, "").unwrap_err(), wrong);
        let (half, _) = file.split_at(file.len() / 2);
        assert_eq!(read(half, PASSWORD).unwrap_err(), broken);
        let mut flipped = file.to_vec();
        flipped[file.len() / 2] ^= 1;
        assert_eq!(read(&flipped, PASSWORD).unwrap_err(), wrong);
    }
    assert_eq!(read(b"", PASSWORD).unwrap_err(), broken);
    let pem = include_bytes!("../keys/pkcs12/client.pem");
    assert_eq!(read(pem, PASSWORD).unwrap_err(), broken);
    assert_eq!(
        read(&vec![0; 300 * 1024], PASSWORD).unwrap_err(),
        KeyError::Malformed("the PKCS#12 file is too large")
    );
    let without = include_bytes!("../keys/pkcs12/without-key.p12");
    assert_eq!(
        read(without, PASSWORD).unwrap_err(),
        KeyError::Malformed("the PKCS#12 file has no private key")
    );
    let strange = include_bytes!("../keys/pkcs12/strange.p12");
    assert_eq!(
        read(strange, PASSWORD).unwrap_err(),
        KeyError::Malformed(
            "the PKCS#12 file is sealed in a way that is not known here; export it anew with AES-256"
        )
    );
}

/// MTLS-2: whichever bit is another one, the file is refused and nothing panics; save for one that says that
/// the hash has no parameters, which nothing rests on.
#[test]
fn no_bit_may_be_another() {
    let whole = read(MODERN, PASSWORD).unwrap();
    let mut ignored = 0;
    for at in 0..MODERN.len() {
        let mut flipped = MODERN.to_vec();
        flipped[at] ^= 1;
        match read(&flipped, PASSWORD) {
            Err(error) => assert_eq!(error.code(), "key.malformed", "{at}: {error}"),
            Ok(read) => {
                assert_eq!(read.thumbprint(), whole.thumbprint());
                ignored += 1;
            }
        }
    }
    assert_eq!(ignored, 1);
}

/// MTLS-2, MTLS-3: a certificate from a file serves like any other.
#[tokio::test]
async fn a_client_uses_its_file() {
    let server = super::server().await;
    let file = include_bytes!("../keys/pkcs12/self-signed.p12");
    let set = CertificateSet::new(read(file, PASSWORD).unwrap());
    whole(By::SelfSigned, Bound::Certificate, &set, &server).await;
}
