//! The providers against each other, and signatures that are none.

use super::{ED25519, ES256, ES256_JAVA, RSA2048, providers};
use crate::jose::{PrivateKey, PublicJwk};

/// SP-5.4.1-1.2: what one provider signs, every other verifies, for every kind of key.
#[test]
fn providers_verify_each_other() {
    for (signing, signer) in providers() {
        for pem in [ES256, ES256_JAVA, RSA2048, ED25519] {
            let key = PrivateKey::from_pem(&signer, pem).unwrap();
            let public = PublicJwk::from_json(&key.public().to_json()).unwrap();
            for round in 0_u8..20 {
                let message = [round; 100];
                let signature = key.sign(&message).unwrap();
                assert_eq!(signature.len(), public.signature_len());
                for (verifying, verifier) in providers() {
                    assert!(
                        public.verify(&verifier, &message, &signature),
                        "{signing} signs and {verifying} verifies {}",
                        key.algorithm()
                    );
                }
            }
        }
    }
}

/// With both features on, both providers are really tested.
#[cfg(all(feature = "aws-lc", feature = "ring"))]
#[test]
fn both_providers_are_tested() {
    let names: Vec<_> = providers().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["aws-lc", "ring"]);
}

/// JWT-3.4: ECDSA signatures of zeros ("psychic signatures"), of other lengths and in DER are refused.
#[test]
fn malformed_ecdsa_signatures_are_refused() {
    for (name, crypto) in providers() {
        let key = PrivateKey::from_pem(&crypto, ES256).unwrap();
        let good = key.sign(b"message").unwrap();
        let (r, s) = good.split_at(32);
        let zero = [0; 32];
        let order = [
            0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
            0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63,
            0x25, 0x51,
        ];
        let der = p256::ecdsa::Signature::from_slice(&good).unwrap().to_der();
        for (what, bad) in [
            ("r = 0", [&zero, s].concat()),
            ("s = 0", [r, &zero].concat()),
            ("r = s = 0", [zero, zero].concat()),
            ("r = n", [&order, s].concat()),
            ("s = n", [r, &order].concat()),
            ("63 bytes", good[..63].to_vec()),
            ("65 bytes", [&good[..], &[0]].concat()),
            ("65 bytes, zero in front", [&[0], &good[..]].concat()),
            ("DER", der.as_bytes().to_vec()),
            ("nothing", Vec::new()),
            ("s, r", [s, r].concat()),
        ] {
            assert!(
                !key.public().verify(&crypto, b"message", &bad),
                "{name}: {what}"
            );
        }
        assert!(key.public().verify(&crypto, b"message", &good));
    }
}

/// JWT-3.4: RSA and Ed25519 signatures of other lengths, or of nothing but zeros, are refused.
#[test]
fn malformed_signatures_are_refused() {
    for (name, crypto) in providers() {
        for pem in [RSA2048, ED25519] {
            let key = PrivateKey::from_pem(&crypto, pem).unwrap();
            let good = key.sign(b"message").unwrap();
            for bad in [
                vec![0; good.len()],
                good[1..].to_vec(),
                [&good[..], &[0]].concat(),
                [&[0], &good[..]].concat(),
                Vec::new(),
            ] {
                assert!(!key.public().verify(&crypto, b"message", &bad), "{name}");
            }
        }
    }
}
