//! ID tokens.

use fapi_testkit::IdTokenFault;
use http::Method;
use ring::signature::{ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use serde_json::{Value, json};

use super::{EVIL, party};
use crate::party::Party;
use crate::wire::decode;

#[tokio::test]
async fn id_tokens_are_wrong_on_command() {
    use IdTokenFault as F;
    type Row = (F, fn(&Seen) -> bool);
    let party = party().await;
    let text = |text: &str| text.to_owned();
    #[rustfmt::skip]
    let rows: Vec<Row> = vec![
        (F::WrongIssuer, |t| t.claim("iss", EVIL)),
        (F::MissingIssuer, |t| t.lacks("iss")),
        (F::WrongAudience, |t| t.claim("aud", "another-client")),
        (F::ExtraAudience, |t| t.claim("aud", json!(["client", "another-client"]))),
        (F::AudienceArray, |t| t.claim("aud", json!(["client"]))),
        (F::EmptyAudience, |t| t.claim("aud", json!([]))),
        (F::MissingAudience, |t| t.lacks("aud")),
        (F::WrongAuthorizedParty, |t| t.claim("azp", "another-client")),
        (F::AuthorizedParty, |t| t.claim("azp", "client")),
        (F::Expired, |t| t.verifies() && (-3620..=-3598).contains(&t.date("exp"))),
        (F::MissingExpiry, |t| t.lacks("exp")),
        (F::OldIssuedAt, |t| t.verifies() && t.date("iat") < -604_000 && t.date("exp") > 200),
        (F::IssuedAhead(61), |t| t.verifies() && (41..=61).contains(&t.date("iat"))),
        (F::MissingIssuedAt, |t| t.lacks("iat")),
        (F::NotBefore(61), |t| t.verifies() && (41..=61).contains(&t.date("nbf"))),
        (F::WrongNonce, |t| t.verifies() && t.claims["nonce"] != "the-nonce"),
        (F::MissingNonce, |t| t.lacks("nonce")),
        (F::FractionalDates, |t| t.verifies() && t.claims["exp"].is_f64() && t.raw_claims.contains(".5")),
        (F::ExpiryAsText, |t| t.verifies() && t.claims["exp"].is_string()),
        (F::Expiry(json!(1e300)), |t| t.claim("exp", 1e300)),
        (F::Rs256, |t| {
            let key = t.jwks["keys"].as_array().unwrap().iter().find(|k| k["kid"] == t.header["kid"]);
            let bytes = |name: &str| decode(key.unwrap()[name].as_str().unwrap());
            ring::signature::RsaPublicKeyComponents { n: bytes("n"), e: bytes("e") }
                .verify(&RSA_PKCS1_2048_8192_SHA256, t.input.as_bytes(), &t.signature)
                .is_ok()
        }),
        (F::None(text("nOnE")), |t| t.header["alg"] == "nOnE" && t.signature.is_empty() && t.parts == 3),
        (F::Hs256WithPublicKey, |t| {
            let key = t.jwks["keys"][0].to_string();
            let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key.as_bytes());
            ring::hmac::verify(&key, t.input.as_bytes(), &t.signature).is_ok()
        }),
        (F::Algorithm(text("ES384")), |t| t.verifies() && t.header["alg"] == "ES384"),
        (F::MissingAlgorithm, |t| t.verifies() && t.header.get("alg").is_none()),
        (F::BadSignature, |t| !t.verifies() && t.signature.len() == 64),
        (F::ZeroSignature, |t| t.signature == [0; 64]),
        (F::StrangerKey, |t| !t.verifies() && t.header["kid"] == t.jwks["keys"][0]["kid"]),
        (F::EmbeddedKey, |t| !t.verifies() && t.header["jwk"]["kty"] == "EC"),
        (F::Jku(text(EVIL)), |t| t.verifies() && t.header["jku"] == EVIL),
        (F::X5u(text(EVIL)), |t| t.verifies() && t.header["x5u"] == EVIL),
        (F::X5c, |t| t.verifies() && t.header["x5c"].is_array()),
        (F::Critical, |t| t.verifies() && t.header["crit"][0].is_string()),
        (F::EmptyCritical, |t| t.verifies() && t.header["crit"] == json!([])),
        (F::Unencoded, |t| t.verifies() && t.header["b64"] == false),
        (F::Zip, |t| t.verifies() && t.header["zip"] == "DEF"),
        (F::DuplicateMember, |t| t.verifies() && t.raw_claims.matches("\"iss\"").count() == 2),
        (F::WrongType, |t| t.verifies() && t.header["typ"] == "at+jwt"),
        (F::MissingSubject, |t| t.lacks("sub")),
        (F::WrongSubject, |t| t.claim("sub", "mallory")),
        (F::EmptySubject, |t| t.claim("sub", "")),
        (F::NumericSubject, |t| t.claim("sub", 4711)),
        (F::LongSubject, |t| t.verifies() && t.claims["sub"].as_str().unwrap().len() == 256),
        (F::WrongAccessTokenHash, |t| t.verifies() && t.claims["at_hash"].is_string()),
        (F::MissingAccessTokenHash, |t| t.lacks("at_hash")),
        (F::Acr(text("weak")), |t| t.claim("acr", "weak")),
        (F::MissingAcr, |t| t.lacks("acr")),
        (F::OldAuthTime(900), |t| t.verifies() && t.date("auth_time") <= -899),
        (F::MissingAuthTime, |t| t.lacks("auth_time")),
        (F::UnknownKid, |t| t.verifies() && t.header["kid"] != t.jwks["keys"][0]["kid"]),
        (F::MissingKid, |t| t.verifies() && t.header.get("kid").is_none()),
        (F::Encrypted, |t| t.parts == 5 && t.header["enc"] == "A256GCM"),
        (F::Garbage, |t| t.parts == 1),
    ];
    for (fault, holds) in rows {
        let seen = id_token(&party, fault.clone()).await;
        assert!(holds(&seen), "{fault:?}: {} {}", seen.header, seen.claims);
    }
    let seen = id_token(&party, F::MissingAcr).await;
    assert!(seen.verifies() && seen.claims["iss"] == seen.issuer.as_str());
}

/// An ID token, taken apart by a reader that refuses nothing.
struct Seen {
    header: Value,
    claims: Value,
    raw_claims: String,
    signature: Vec<u8>,
    parts: usize,
    now: i64,
    issuer: String,
    jwks: Value,
    input: String,
}

impl Seen {
    fn verifies(&self) -> bool {
        let key = &self.jwks["keys"][0];
        let bytes = |name: &str| decode(key[name].as_str().unwrap());
        let point = [vec![4], bytes("x"), bytes("y")].concat();
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
            .verify(self.input.as_bytes(), &self.signature)
            .is_ok()
    }

    /// Verifies, and has this claim.
    fn claim(&self, name: &str, value: impl Into<Value>) -> bool {
        self.verifies() && self.claims[name] == value.into()
    }

    /// Verifies, and lacks this claim.
    fn lacks(&self, name: &str) -> bool {
        self.verifies() && self.claims.get(name).is_none()
    }

    fn date(&self, name: &str) -> i64 {
        self.claims[name].as_i64().unwrap() - self.now
    }
}

/// The token that a login gets while the fault is on.
async fn id_token(party: &Party, fault: IdTokenFault) -> Seen {
    party.server.misbehave_times(fault, 1);
    let tokens = party.log_in("openid").await;
    let compact = tokens["id_token"].as_str().unwrap();
    let pieces: Vec<&str> = compact.split('.').collect();
    let part = |at: usize| {
        pieces
            .get(at)
            .and_then(|part| try_decode(part))
            .unwrap_or_default()
    };
    Seen {
        header: serde_json::from_slice(&part(0)).unwrap_or_default(),
        claims: serde_json::from_slice(&part(1)).unwrap_or_default(),
        raw_claims: String::from_utf8_lossy(&part(1)).into_owned(),
        signature: part(2),
        parts: pieces.len(),
        now: party.now(),
        issuer: party.server.issuer().to_owned(),
        jwks: party
            .send_raw(Method::GET, &party.endpoint("jwks_uri"))
            .await
            .json(),
        input: pieces[..pieces.len().min(2)].join("."),
    }
}

fn try_decode(text: &str) -> Option<Vec<u8>> {
    use base64ct::{Base64UrlUnpadded, Encoding};
    Base64UrlUnpadded::decode_vec(text).ok()
}
