//! Private keys in PEM, from OpenSSL and from Java.

use zeroize::Zeroizing;

use super::{ED25519, ES256, ES256_JAVA, ES256_SEC1, RSA2048, RSA2048_PKCS1, key_file, providers};
use crate::crypto::Crypto;
use crate::error::KeyError;
use crate::jose::{PrivateKey, PublicJwk};
use crate::profile::Algorithm;

fn fault(pem: &str) -> KeyError {
    let mut faults: Vec<_> = providers()
        .iter()
        .map(|(_, crypto)| PrivateKey::from_pem(crypto, pem).unwrap_err())
        .collect();
    faults.dedup();
    assert_eq!(faults.len(), 1, "the providers differ: {faults:?}");
    faults.remove(0)
}

fn loads(crypto: &Crypto, pem: &str) -> PrivateKey {
    let key = PrivateKey::from_pem(crypto, pem).unwrap();
    let signature = key.sign(b"message").unwrap();
    assert!(key.public().verify(crypto, b"message", &signature));
    assert!(!key.public().verify(crypto, b"another message", &signature));
    key
}

/// SP-5.4.1-1.2: keys from OpenSSL (PKCS#8, SEC1 with its parameters, PKCS#1) and from Java load
/// under every provider, are the same key in every form, and sign.
#[test]
fn keys_of_every_form_load() {
    for (name, crypto) in providers() {
        for (forms, algorithm, public) in [
            (
                &[ES256, ES256_SEC1][..],
                Algorithm::Es256,
                key_file!("es256-public.pem"),
            ),
            (
                &[RSA2048, RSA2048_PKCS1],
                Algorithm::Ps256,
                key_file!("rsa2048-public.pem"),
            ),
            (
                &[ED25519],
                Algorithm::EdDsa,
                key_file!("ed25519-public.pem"),
            ),
        ] {
            let public = PublicJwk::from_pem(public).unwrap();
            for pem in forms {
                let key = loads(&crypto, pem);
                assert_eq!(key.algorithm(), algorithm, "{name}");
                assert_eq!(key.public(), &public, "{name}");
            }
        }
    }
}

/// SP-5.4.1-1.2: an EC key without its public half, as Java writes it, loads under every provider;
/// ring refuses such a key unless it is encoded anew.
#[test]
fn java_keys_load() {
    for (_, crypto) in providers() {
        assert_eq!(loads(&crypto, ES256_JAVA).algorithm(), Algorithm::Es256);
    }
}

/// SP-5.4.1-1.2: a key that is written is the same key when it is read again.
#[test]
fn keys_are_written_as_pkcs8() {
    for (_, crypto) in providers() {
        for pem in [
            ES256,
            ES256_SEC1,
            ES256_JAVA,
            RSA2048,
            RSA2048_PKCS1,
            ED25519,
        ] {
            let key = PrivateKey::from_pem(&crypto, pem).unwrap();
            let written = key.to_pkcs8_pem().unwrap();
            assert_eq!(loads(&crypto, &written).public(), key.public());
        }
        let pem = PrivateKey::from_pem(&crypto, ES256_SEC1)
            .unwrap()
            .to_pkcs8_pem()
            .unwrap();
        assert_eq!(
            *pem,
            *Zeroizing::new(ES256.to_owned()),
            "as OpenSSL writes it"
        );
    }
}

/// SP-5.4.1-4: a generated key is fresh and signs.
#[test]
fn keys_are_generated() {
    for (_, crypto) in providers() {
        let one = PrivateKey::generate_es256(&crypto).unwrap();
        let two = PrivateKey::generate_es256(&crypto).unwrap();
        assert_ne!(one.public(), two.public());
        let written = one.to_pkcs8_pem().unwrap();
        assert_eq!(loads(&crypto, &written).public(), one.public());
    }
}

/// SP-5.4.1-2: an RSA key of 1024 bits is refused when it is loaded.
#[test]
fn short_rsa_keys_are_refused() {
    assert_eq!(
        fault(key_file!("rsa1024.pem")),
        KeyError::TooShort { bits: 1024 }
    );
}

/// SP-5.4.1-1.2, SP-5.4.1-3: a key of another kind or curve is refused by its name.
#[test]
fn other_kinds_are_refused() {
    for (pem, what) in [
        (key_file!("refused/p384.pem"), "a P-384 key"),
        (key_file!("refused/secp256k1.pem"), "a secp256k1 key"),
        (key_file!("refused/secp256k1-sec1.pem"), "a secp256k1 key"),
        (
            key_file!("refused/es256-explicit.pem"),
            "an EC key whose curve is spelled out",
        ),
        (
            key_file!("refused/rsa-e3.pem"),
            "an RSA key whose e is below 65537",
        ),
        (key_file!("refused/ed448.pem"), "an Ed448 key"),
        (key_file!("refused/x25519.pem"), "a key for key agreement"),
        (key_file!("refused/dsa.pem"), "a DSA key"),
        (
            key_file!("refused/rsa-pss.pem"),
            "an id-RSASSA-PSS key; write it as an ordinary RSA key (rsaEncryption)",
        ),
    ] {
        assert_eq!(fault(pem), KeyError::Unsupported(what));
    }
}

/// SP-5.4.1-2: an RSA key of an odd length either serves or is refused for its length.
#[test]
fn rsa_keys_of_odd_lengths() {
    let length = "an RSA key of a length that the provider does not take";
    for (name, crypto) in providers() {
        match PrivateKey::from_pem(&crypto, key_file!("rsa2560.pem")) {
            Ok(key) => assert_eq!((name, key.algorithm()), ("aws-lc", Algorithm::Ps256)),
            Err(fault) => assert_eq!((name, fault), ("ring", KeyError::Unsupported(length))),
        }
    }
}

/// SP-5.4.1-1.1: a key that can't be read says why.
#[test]
fn unreadable_keys_are_refused() {
    let encrypted = "it is encrypted; decrypt it first";
    let several = [ES256, ED25519].concat();
    let (begin, _) = ES256.split_once("-----END").unwrap();
    let wrong_label = ES256.replace("PRIVATE KEY", "RSA PRIVATE KEY");
    let wrong_end = ES256.replace("END PRIVATE", "END EC PRIVATE");
    let (head, tail) = ES256.split_at(60);
    let broken = format!("{head}*{tail}");
    let cut = "-----BEGIN PRIVATE KEY-----\nMEECAQAwEwYHKoZIzj0C\n-----END PRIVATE KEY-----";
    let long = " ".repeat(64 * 1024 + 1);
    for (pem, what) in [
        (key_file!("refused/es256-encrypted.pem"), encrypted),
        (key_file!("refused/rsa-encrypted.pem"), encrypted),
        (
            key_file!("refused/rsa-3primes.pem"),
            "its PKCS#1 is broken or has more than two primes",
        ),
        (
            key_file!("refused/es256-openssh.pem"),
            "it is neither PKCS#8 nor SEC1 nor PKCS#1",
        ),
        (
            key_file!("es256-public.pem"),
            "it holds no private key in PEM",
        ),
        ("", "it holds no private key in PEM"),
        ("not a key", "it holds no private key in PEM"),
        (r#" {"kty":"EC"}"#, "it is JSON; read it with from_jwk"),
        (&several, "it holds several keys"),
        (begin, "its PEM has no end line"),
        (&wrong_end, "its PEM has no end line"),
        (&broken, "its base64 is broken"),
        (cut, "its PKCS#8 is broken"),
        (
            &wrong_label,
            "its PKCS#1 is broken or has more than two primes",
        ),
        (&long, "it is too long"),
    ] {
        assert_eq!(fault(pem), KeyError::Malformed(what));
    }
}

/// SP-5.4.1-1.1: text around a key, CRLF and a public key beside it do no harm.
#[test]
fn pem_is_found_in_its_surroundings() {
    let public = key_file!("es256-public.pem");
    for (_, crypto) in providers() {
        for text in [
            ES256.replace('\n', "\r\n"),
            format!("Bag Attributes\n    friendlyName: k1\n{ES256}"),
            format!("{public}\n{ES256}\n{public}"),
            format!("\n\n   {ES256}\n\n"),
        ] {
            loads(&crypto, &text);
        }
    }
}

/// CA-9: an EC key whose public half is another key's is refused, inside SEC1 as well.
#[test]
fn halves_that_do_not_belong_together_are_refused() {
    use base64ct::{Base64, Encoding};
    let der = |pem: &str| {
        let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        Base64::decode_vec(&body).unwrap()
    };
    let mut key = der(ES256);
    let (_, crypto) = providers().remove(0);
    let other = PrivateKey::generate_es256(&crypto).unwrap();
    let other = der(&other.to_pkcs8_pem().unwrap());
    let at = key.len() - 64;
    key[at..].copy_from_slice(&other[other.len() - 64..]);
    let body = Base64::encode_string(&key);
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n");
    assert_eq!(fault(&pem), KeyError::Mismatch);

    let at = key.len() - 1;
    key[at] ^= 1;
    let body = Base64::encode_string(&key);
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n");
    assert_eq!(
        fault(&pem),
        KeyError::Malformed("its point does not lie on P-256")
    );
}

/// SEC-cred: `Debug` of a private key shows its algorithm alone.
#[test]
fn debug_shows_no_key() {
    for (_, crypto) in providers() {
        for (pem, shown) in [
            (ES256, "PrivateKey(ES256)"),
            (RSA2048, "PrivateKey(PS256)"),
            (ED25519, "PrivateKey(EdDSA)"),
        ] {
            let key = PrivateKey::from_pem(&crypto, pem).unwrap();
            assert_eq!(format!("{key:?}"), shown);
        }
    }
}

/// SP-5.4.1-1.1: no key makes the reader panic: bytes of its DER changed, and its end cut off.
#[test]
fn no_key_makes_it_panic() {
    use base64ct::{Base64, Encoding};
    for (_, crypto) in providers() {
        for (pem, label, step) in [
            (ES256, "PRIVATE KEY", 1),
            (ES256_JAVA, "PRIVATE KEY", 1),
            (ED25519, "PRIVATE KEY", 1),
            (RSA2048_PKCS1, "RSA PRIVATE KEY", 13),
        ] {
            let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
            let der = Base64::decode_vec(&body).unwrap();
            let read = |der: &[u8]| {
                let body = Base64::encode_string(der);
                let pem = format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----");
                if let Ok(key) = PrivateKey::from_pem(&crypto, &pem) {
                    let signature = key.sign(b"message").unwrap();
                    assert!(key.public().verify(&crypto, b"message", &signature));
                }
            };
            for at in (0..der.len()).step_by(step) {
                for change in [1, 0x80, 0xff] {
                    let mut changed = der.clone();
                    changed[at] ^= change;
                    read(&changed);
                }
                read(&der[..at]);
            }
        }
    }
}
