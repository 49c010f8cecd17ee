//! JWTs: those of the client are verified here, those of the server are made here.
//!
//! The code is the testkit's own and shares nothing with any client: ES256 by `p256`, Ed25519 by
//! `ed25519-dalek`, PS256 by `ring`.

pub(crate) mod json;
mod sign;
mod verify;

use base64ct::{Base64UrlUnpadded, Encoding};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

pub(crate) use sign::{Draft, SignFn, Signing, SigningKey, rs256_jwk};
pub(crate) use verify::{check_public_jwk, check_signature};

/// A signature algorithm that the FAPI 2.0 Security Profile admits (section 5.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Alg {
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// Ed25519 under its older name, `EdDSA`.
    EdDsa,
    /// Ed25519 under the name of RFC 9864.
    Ed25519,
}

impl Alg {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Es256, Self::Ps256, Self::EdDsa, Self::Ed25519];

    /// The name that stands in the header member `alg`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Ps256 => "PS256",
            Self::EdDsa => "EdDSA",
            Self::Ed25519 => "Ed25519",
        }
    }

    /// SP-5.4.1-1.2: any other name is refused, `none` in any spelling among them.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|alg| alg.name() == name)
    }
}

/// A compact JWS, taken apart and not yet verified.
pub(crate) struct Unverified {
    pub(crate) alg: Alg,
    pub(crate) header: Map<String, Value>,
    pub(crate) claims: Map<String, Value>,
    signed: Vec<u8>,
    signature: Vec<u8>,
}

impl Unverified {
    /// Takes a JWT apart, and refuses it unless its form and its header are beyond doubt.
    pub(crate) fn parse(compact: &str) -> Result<Self, String> {
        let parts: Vec<&str> = compact.split('.').collect();
        let [header, claims, signature] = parts[..] else {
            return Err(format!("{} parts instead of 3", parts.len()));
        };
        let signed = format!("{header}.{claims}").into_bytes();
        let header = json::object(&decode(header)?).map_err(|e| format!("header: {e}"))?;
        let claims = json::object(&decode(claims)?).map_err(|e| format!("claims: {e}"))?;
        // SP-5.4.2-2, JWT-crit, JWT-3.6: none of these has a place in a client's JWT.
        for name in ["crit", "b64", "zip", "jku", "x5u"] {
            if header.contains_key(name) {
                return Err(format!("the header has `{name}`"));
            }
        }
        let alg = header
            .get("alg")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let alg = Alg::from_name(alg).ok_or_else(|| format!("the algorithm `{alg}`"))?;
        Ok(Self {
            alg,
            header,
            claims,
            signed,
            signature: decode(signature)?,
        })
    }

    pub(crate) fn verify(&self, jwk: &Value) -> Result<(), String> {
        check_signature(self.alg, jwk, &self.signed, &self.signature)
    }

    pub(crate) fn text(&self, claim: &str) -> Result<&str, String> {
        match self.claims.get(claim) {
            Some(Value::String(text)) => Ok(text),
            Some(_) => Err(format!("`{claim}` is not a string")),
            None => Err(format!("`{claim}` is missing")),
        }
    }

    /// A date, as a whole number of seconds.
    pub(crate) fn date(&self, claim: &str) -> Result<i64, String> {
        match self.claims.get(claim) {
            Some(value) => value
                .as_i64()
                .ok_or(format!("`{claim}` is not a whole number")),
            None => Err(format!("`{claim}` is missing")),
        }
    }
}

/// The JWK thumbprint of RFC 7638, with SHA-256.
pub(crate) fn thumbprint(jwk: &Value) -> Result<String, String> {
    let text = |name: &str| {
        jwk.get(name)
            .and_then(Value::as_str)
            .ok_or_else(|| format!("the JWK has no `{name}`"))
    };
    // Written out by hand: the members' order decides the hash, and a JSON library's may change.
    let canonical = match text("kty")? {
        "EC" => format!(
            r#"{{"crv":{},"kty":"EC","x":{},"y":{}}}"#,
            json!(text("crv")?),
            json!(text("x")?),
            json!(text("y")?)
        ),
        "OKP" => {
            format!(
                r#"{{"crv":{},"kty":"OKP","x":{}}}"#,
                json!(text("crv")?),
                json!(text("x")?)
            )
        }
        "RSA" => {
            format!(
                r#"{{"e":{},"kty":"RSA","n":{}}}"#,
                json!(text("e")?),
                json!(text("n")?)
            )
        }
        other => return Err(format!("the key type `{other}`")),
    };
    Ok(sha256(canonical.as_bytes()))
}

/// base64url of the SHA-256 of `text`: `code_challenge`, `ath` and thumbprints.
pub(crate) fn sha256(text: &[u8]) -> String {
    encode(&Sha256::digest(text))
}

pub(crate) fn encode(bytes: &[u8]) -> String {
    Base64UrlUnpadded::encode_string(bytes)
}

pub(crate) fn decode(text: &str) -> Result<Vec<u8>, String> {
    Base64UrlUnpadded::decode_vec(text).map_err(|_| "not base64url without padding".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7638 section 3.1.
    #[test]
    fn the_thumbprint_is_that_of_the_rfc() {
        let jwk = json!({
            "kty": "RSA",
            "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
            "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"
        });
        assert_eq!(
            thumbprint(&jwk).unwrap(),
            "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
        );
    }

    #[test]
    fn a_header_that_leaves_doubt_is_refused() {
        for header in [
            r#"{"alg":"RS256"}"#,
            r#"{"alg":"none"}"#,
            r#"{"alg":"nOnE"}"#,
            r#"{"alg":"HS256"}"#,
            r#"{"alg":"es256"}"#,
            "{}",
            r#"{"alg":"ES256","alg":"ES256"}"#,
            r#"{"alg":"ES256","crit":["exp"]}"#,
            r#"{"alg":"ES256","jku":"https://evil.example"}"#,
            r#"{"alg":"ES256","b64":true}"#,
            r#"["ES256"]"#,
        ] {
            let compact = format!(
                "{}.{}.{}",
                encode(header.as_bytes()),
                encode(b"{}"),
                encode(b"x")
            );
            assert!(Unverified::parse(&compact).is_err(), "{header}");
        }
    }
}
