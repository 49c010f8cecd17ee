use std::fmt::Write as _;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PSS_SHA256,
    RsaKeyPair,
};
use base64ct::{Base64, Base64UrlUnpadded, Encoding};
use serde_json::{Value, json};

/// The three algorithms that FAPI 2.0 allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// ECDSA on P-256.
    Es256,
    /// RSA-PSS, 2048 bits.
    Ps256,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// The name in a JWS header.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Ps256 => "PS256",
            Self::EdDsa => "EdDSA",
        }
    }
}

/// A client's key: PEM for the client, JWK for the server, and a signature for the fixtures' own
/// tests.
#[derive(Debug)]
pub struct ClientKey {
    algorithm: Algorithm,
    pem: String,
    public: Value,
    pair: Pair,
}

#[derive(Debug)]
enum Pair {
    Ec(EcdsaKeyPair),
    Rsa(RsaKeyPair),
    Ed(Ed25519KeyPair),
}

impl ClientKey {
    /// Makes a key.
    #[must_use]
    pub fn generate(algorithm: Algorithm) -> Self {
        let (der, mut public, thumbprint_of, pair) = match algorithm {
            Algorithm::Es256 => {
                let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
                let point = pair.public_key().as_ref();
                let (x, y) = (base64url(&point[1..33]), base64url(&point[33..]));
                let public = json!({"kty": "EC", "crv": "P-256", "x": x, "y": y});
                let text = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
                let der = pair.to_pkcs8v1().expect("PKCS#8").as_ref().to_vec();
                (der, public, text, Pair::Ec(pair))
            }
            Algorithm::Ps256 => {
                let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
                let n = base64url(
                    pair.public_key()
                        .modulus()
                        .big_endian_without_leading_zero(),
                );
                let e = base64url(
                    pair.public_key()
                        .exponent()
                        .big_endian_without_leading_zero(),
                );
                let public = json!({"kty": "RSA", "n": n, "e": e});
                let text = format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#);
                let der = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair)
                    .expect("PKCS#8")
                    .as_ref()
                    .to_vec();
                (der, public, text, Pair::Rsa(pair))
            }
            Algorithm::EdDsa => {
                let pair = Ed25519KeyPair::generate().expect("a key");
                let x = base64url(pair.public_key().as_ref());
                let public = json!({"kty": "OKP", "crv": "Ed25519", "x": x});
                let text = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
                let der = pair.to_pkcs8v1().expect("PKCS#8").as_ref().to_vec();
                (der, public, text, Pair::Ed(pair))
            }
        };
        // RFC 7638: the thumbprint is of the required members alone, in the order of the alphabet.
        public["kid"] = Value::from(base64url(&sha256(thumbprint_of.as_bytes())));
        public["alg"] = Value::from(algorithm.name());
        public["use"] = Value::from("sig");
        Self {
            algorithm,
            pem: pem(&der),
            public,
            pair,
        }
    }

    /// The algorithm it signs with.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The private key, PKCS#8.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The public key, with the RFC 7638 thumbprint as `kid`.
    #[must_use]
    pub fn public_jwk(&self) -> &Value {
        &self.public
    }

    /// The RFC 7638 thumbprint.
    #[must_use]
    pub fn thumbprint(&self) -> &str {
        self.public["kid"].as_str().expect("every key has one")
    }

    /// A JWS, compact, of these two JSON objects.
    #[must_use]
    pub fn sign(&self, header: &Value, payload: &Value) -> String {
        let [header, payload] =
            [header, payload].map(|part| base64url(part.to_string().as_bytes()));
        let input = format!("{header}.{payload}");
        let random = SystemRandom::new();
        let signature = match &self.pair {
            Pair::Ec(pair) => pair
                .sign(&random, input.as_bytes())
                .expect("a signature")
                .as_ref()
                .to_vec(),
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PSS_SHA256, &random, input.as_bytes(), &mut signature)
                    .expect("a signature");
                signature
            }
            Pair::Ed(pair) => pair.sign(input.as_bytes()).as_ref().to_vec(),
        };
        format!("{input}.{}", base64url(&signature))
    }
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes)
        .as_ref()
        .to_vec()
}

/// The SHA-256 of some text or file, in hexadecimal digits.
pub(crate) fn fingerprint(bytes: &[u8]) -> String {
    sha256(bytes).iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn base64url(bytes: &[u8]) -> String {
    Base64UrlUnpadded::encode_string(bytes)
}

fn pem(der: &[u8]) -> String {
    let text = Base64::encode_string(der);
    let mut pem = String::from("-----BEGIN PRIVATE KEY-----\n");
    for line in text.as_bytes().chunks(64) {
        pem.push_str(&String::from_utf8_lossy(line));
        pem.push('\n');
    }
    pem.push_str("-----END PRIVATE KEY-----\n");
    pem
}
