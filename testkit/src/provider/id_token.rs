//! ID tokens, right and wrong (OpenID Connect Core section 2).

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256, Sha512};

use crate::fault::IdTokenFault;
use crate::grants::Grant;
use crate::jose::{Alg, Draft, Signing, SigningKey, encode};
use crate::random;
use crate::registration::Registration;
use crate::state::{State, lock};

use super::authorize::EVIL;

/// How long an ID token lives, in seconds.
const LIFE: i64 = 300;

pub(crate) fn make(
    state: &State,
    client: &Registration,
    grant: &Grant,
    access_token: &str,
    nonce: Option<&str>,
) -> String {
    let key = state.active_key();
    let now = state.now();
    let mut claims = Map::new();
    let mut set = |name: &str, value: Value| claims.insert(name.to_owned(), value);
    set("iss", state.issuer.as_str().into());
    set("sub", grant.subject.as_str().into());
    set("aud", client.client_id.as_str().into());
    set("exp", (now + LIFE).into());
    set("iat", now.into());
    set("sid", grant.sid.as_str().into());
    set("at_hash", at_hash(key.alg, access_token).into());
    if let Some(nonce) = nonce {
        set("nonce", nonce.into());
    }
    if let Some(login) = &grant.signed_in {
        set("auth_time", login.auth_time.into());
        if grant.acr_asked {
            set("acr", login.acr.as_str().into());
        }
    }
    let mut draft = Draft::new(&key, "JWT", claims);
    let mut whole = None;
    for fault in state.id_token_faults() {
        match fault {
            IdTokenFault::Encrypted => whole = Some(encrypted()),
            IdTokenFault::Garbage => whole = Some("garbage".to_owned()),
            fault => misbehave(state, &mut draft, client, fault),
        }
    }
    state.mutate_id_token(&mut draft.header, &mut draft.claims);
    whole.unwrap_or_else(|| draft.finish(&key))
}

/// IDT-3.1.3.8: the left half of the hash that belongs to the algorithm.
fn at_hash(alg: Alg, access_token: &str) -> String {
    match alg {
        Alg::Es256 | Alg::Ps256 => encode(&Sha256::digest(access_token)[..16]),
        Alg::EdDsa | Alg::Ed25519 => encode(&Sha512::digest(access_token)[..32]),
    }
}

fn misbehave(state: &State, draft: &mut Draft, client: &Registration, fault: IdTokenFault) {
    use IdTokenFault as F;
    let now = state.now();
    let own = client.client_id.as_str();
    let Draft {
        header,
        claims,
        signing,
        duplicate,
    } = draft;
    let mut claim = |name: &str, value: Value| drop(claims.insert(name.to_owned(), value));
    let mut head = |name: &str, value: Value| drop(header.insert(name.to_owned(), value));
    match fault {
        F::WrongIssuer => claim("iss", EVIL.into()),
        F::WrongAudience => claim("aud", "another-client".into()),
        F::ExtraAudience => claim("aud", json!([own, "another-client"])),
        F::AudienceArray => claim("aud", json!([own])),
        F::EmptyAudience => claim("aud", json!([])),
        F::WrongAuthorizedParty => claim("azp", "another-client".into()),
        F::AuthorizedParty => claim("azp", own.into()),
        F::Expired => {
            claim("iat", (now - 3600 - LIFE).into());
            claim("exp", (now - 3600).into());
        }
        F::OldIssuedAt => claim("iat", (now - 7 * 24 * 3600).into()),
        F::IssuedAhead(by) => {
            claim("iat", (now + by).into());
            claim("exp", (now + by + LIFE).into());
        }
        F::NotBefore(by) => claim("nbf", (now + by).into()),
        F::WrongNonce => claim("nonce", random::token().into()),
        F::ExpiryAsText => claim("exp", (now + LIFE).to_string().into()),
        F::Expiry(value) => claim("exp", value),
        F::WrongSubject => claim("sub", "mallory".into()),
        F::EmptySubject => claim("sub", "".into()),
        F::NumericSubject => claim("sub", 4711.into()),
        F::LongSubject => claim("sub", "s".repeat(256).into()),
        F::WrongAccessTokenHash => claim("at_hash", encode(&random::bytes()[..16]).into()),
        F::Acr(text) => claim("acr", text.into()),
        F::OldAuthTime(age) => claim("auth_time", (now - age).into()),
        F::FractionalDates => {
            for name in ["exp", "iat", "auth_time"] {
                if let Some(date) = claims.get(name).and_then(Value::as_i64) {
                    // The text form, since a float would lose nothing here but its looks.
                    let date = serde_json::from_str(&format!("{date}.5")).unwrap_or_default();
                    claims.insert(name.to_owned(), date);
                }
            }
        }
        F::MissingIssuer => drop(claims.remove("iss")),
        F::MissingAudience => drop(claims.remove("aud")),
        F::MissingExpiry => drop(claims.remove("exp")),
        F::MissingIssuedAt => drop(claims.remove("iat")),
        F::MissingNonce => drop(claims.remove("nonce")),
        F::MissingSubject => drop(claims.remove("sub")),
        F::MissingAccessTokenHash => drop(claims.remove("at_hash")),
        F::MissingAcr => drop(claims.remove("acr")),
        F::MissingAuthTime => drop(claims.remove("auth_time")),
        F::DuplicateMember => *duplicate = Some(("iss".to_owned(), EVIL.into())),
        F::Rs256 => {
            let kid = lock(&state.keys).publish_rs256();
            head("alg", "RS256".into());
            head("kid", kid);
            *signing = Signing::Rs256;
        }
        F::None(spelling) => {
            head("alg", spelling.into());
            *signing = Signing::None;
        }
        F::Hs256WithPublicKey => {
            head("alg", "HS256".into());
            *signing = Signing::PublicKeyAsSecret;
        }
        F::Algorithm(name) => head("alg", name.into()),
        F::BadSignature => *signing = Signing::Flipped,
        F::ZeroSignature => *signing = Signing::Zeros,
        F::StrangerKey => *signing = Signing::StrangerKey,
        F::EmbeddedKey => {
            let stranger = SigningKey::generate(state.active_key().alg, 1);
            head("jwk", stranger.jwk.clone());
            *signing = Signing::Other(Box::new(stranger));
        }
        F::Jku(url) => head("jku", url.into()),
        F::X5u(url) => head("x5u", url.into()),
        F::X5c => head("x5c", json!(["MIIB"])),
        F::Critical => {
            head("crit", json!(["urn:example:unknown"]));
            head("urn:example:unknown", true.into());
        }
        F::EmptyCritical => head("crit", json!([])),
        F::Unencoded => {
            head("b64", false.into());
            head("crit", json!(["b64"]));
        }
        F::Zip => head("zip", "DEF".into()),
        F::WrongType => head("typ", "at+jwt".into()),
        F::UnknownKid => head("kid", random::token().into()),
        F::MissingKid => drop(header.remove("kid")),
        F::MissingAlgorithm => drop(header.remove("alg")),
        // These replace the whole token.
        F::Encrypted | F::Garbage => {}
    }
}

/// Looks like a JWE; nobody holds a key for it.
fn encrypted() -> String {
    let header = json!({"alg": "RSA-OAEP-256", "enc": "A256GCM", "cty": "JWT"}).to_string();
    let part = || encode(&random::bytes());
    format!(
        "{}.{}.{}.{}.{}",
        encode(header.as_bytes()),
        encode(&[7; 256]),
        encode(&random::bytes()[..12]),
        part(),
        encode(&random::bytes()[..16])
    )
}
