//! ID tokens (OIDC Core sections 2, 3.1.3.7, 3.1.3.8 and 12.2).

#[cfg(all(test, any(feature = "aws-lc", feature = "ring")))]
mod tests;

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::uri::Issuer;
use crate::crypto::Crypto;
use crate::error::{JwtFault, JwtKind, Violation};
use crate::jose::Claims;
use crate::jose::JwkSet;
use crate::jose::Jws;
use crate::jose::{base64url, sha256, sha512};
use crate::profile::{Algorithm, CLOCK_TOLERANCE_AHEAD, CLOCK_TOLERANCE_EXPIRED, ID_TOKEN_MAX_AGE};
use crate::secret::{AccessToken, IdTokenHint, Nonce};
use crate::time::Timestamp;

/// What is fixed by the client's registration.
#[derive(Clone, Debug)]
pub(crate) struct Registered {
    pub(crate) issuer: Issuer,
    pub(crate) client_id: String,
    /// The registered algorithm; `None` where any that FAPI allows will do.
    pub(crate) algorithm: Option<Algorithm>,
    /// Audiences beside the client itself that are no surprise.
    pub(crate) trusted_audiences: Vec<String>,
}

/// What one login asked for.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Asked {
    pub(crate) max_age: Option<Duration>,
    pub(crate) auth_time: bool,
    /// The contexts of which one has to be there; `Some` and empty where any will do.
    pub(crate) acr: Option<Vec<String>>,
}

impl Asked {
    /// Whether there is anything that only an ID token can show.
    pub(crate) const fn is_something(&self) -> bool {
        self.max_age.is_some() || self.auth_time || self.acr.is_some()
    }
}

/// What an ID token is held against.
pub(crate) enum Occasion<'a> {
    /// The answer to a login.
    Login {
        nonce: Option<&'a Nonce>,
        asked: &'a Asked,
        access_token: &'a AccessToken,
    },
    /// The answer to a refresh.
    Refresh {
        first: Option<&'a IdToken>,
        access_token: &'a AccessToken,
    },
}

/// Who logged in, and how. Every check has passed.
///
/// Its `Debug` names the claims and shows none of them.
#[derive(Clone)]
pub struct IdToken {
    claims: Map<String, Value>,
    subject: String,
    auth_time: Option<Timestamp>,
    nonce: Option<Nonce>,
    raw: IdTokenHint,
}

impl IdToken {
    /// The user, unique at this issuer and never given to another (`sub`). It is no `client_id`, even
    /// where the two look alike (SEC-6.7).
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The authentication context (`acr`).
    #[must_use]
    pub fn acr(&self) -> Option<&str> {
        self.claims.get("acr")?.as_str()
    }

    /// When the user authenticated (`auth_time`).
    #[must_use]
    pub const fn auth_time(&self) -> Option<Timestamp> {
        self.auth_time
    }

    /// The session at the server (`sid`), for back-channel logout.
    #[must_use]
    pub fn session_id(&self) -> Option<&str> {
        self.claims.get("sid")?.as_str()
    }

    /// Any claim.
    #[must_use]
    pub fn get(&self, claim: &str) -> Option<&Value> {
        self.claims.get(claim)
    }

    /// All claims.
    #[must_use]
    pub const fn claims(&self) -> &Map<String, Value> {
        &self.claims
    }

    /// The token itself, for the `id_token_hint` of a later request.
    #[must_use]
    pub const fn hint(&self) -> &IdTokenHint {
        &self.raw
    }
}

impl IdToken {
    /// An ID token out of a record of ours, which was checked when it came, and sealed since.
    pub(crate) fn restored(raw: &IdTokenHint) -> Result<Self, JwtFault> {
        let jws = Jws::parse(raw.expose())?;
        let claims = jws.unverified_claims();
        Self::of(claims, raw)
    }

    fn of(claims: &Claims, raw: &IdTokenHint) -> Result<Self, JwtFault> {
        Ok(Self {
            subject: subject(claims)?.to_owned(),
            auth_time: claims.seconds("auth_time")?,
            nonce: claims.text("nonce")?.map(Nonce::new),
            raw: raw.clone(),
            claims: claims.as_map().clone(),
        })
    }
}

impl fmt::Debug for IdToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("IdToken ")?;
        formatter.debug_set().entries(self.claims.keys()).finish()
    }
}

/// Checks an ID token. The numbers are those of OIDC Core section 3.1.3.7.
///
/// # Errors
/// [`Violation::Jwt`] with the first rule that is broken; [`Violation::SubjectChanged`] on refresh.
pub(crate) fn check(
    token: &str,
    crypto: &Crypto,
    keys: &JwkSet,
    registered: &Registered,
    occasion: &Occasion<'_>,
    now: Timestamp,
) -> Result<IdToken, Violation> {
    verify(token, crypto, keys, registered, occasion, now).map_err(|failure| match failure {
        Failure::Fault(fault) => Violation::Jwt {
            kind: JwtKind::IdToken,
            fault,
        },
        Failure::SubjectChanged => Violation::SubjectChanged,
    })
}

enum Failure {
    Fault(JwtFault),
    SubjectChanged,
}

impl From<JwtFault> for Failure {
    fn from(fault: JwtFault) -> Self {
        Self::Fault(fault)
    }
}

fn verify(
    token: &str,
    crypto: &Crypto,
    keys: &JwkSet,
    registered: &Registered,
    occasion: &Occasion<'_>,
    now: Timestamp,
) -> Result<IdToken, Failure> {
    let jws = Jws::parse(token)?;
    plain_type(&jws)?;
    // 7: the registered algorithm, where one was named.
    if registered
        .algorithm
        .is_some_and(|algorithm| algorithm != jws.algorithm())
    {
        return Err(JwtFault::OtherAlgorithm.into());
    }
    // 6, MS-5.6.2-1: the signature always, though the token came over TLS.
    jws.verify(crypto, keys)?;
    let claims = jws.unverified_claims();
    // 2
    issuer(claims, registered)?;
    // 3, 4, 5
    audience(claims, registered)?;
    // 9, 10
    times(claims, ID_TOKEN_MAX_AGE, now)?;
    let subject = subject(claims)?;
    let access_token = match occasion {
        Occasion::Login {
            nonce,
            asked,
            access_token,
        } => {
            // 11
            same_nonce(claims, *nonce)?;
            // 12, 13
            authentication(claims, asked, now)?;
            access_token
        }
        Occasion::Refresh {
            first,
            access_token,
        } => {
            if let Some(first) = first {
                same_user(claims, subject, first)?;
            }
            access_token
        }
    };
    access_token_hash(claims, jws.algorithm(), access_token)?;
    Ok(IdToken::of(claims, &IdTokenHint::new(token))?)
}

/// SEC-xjwt, JWT-3.11: an ID token has no type of its own; one that has another kind's is that kind.
pub(crate) fn plain_type(jws: &Jws<'_>) -> Result<(), JwtFault> {
    match jws.typ() {
        None => Ok(()),
        Some(typ) if typ.eq_ignore_ascii_case("JWT") => Ok(()),
        Some(_) => Err(JwtFault::Type),
    }
}

pub(crate) fn issuer(claims: &Claims, registered: &Registered) -> Result<(), JwtFault> {
    if claims.required_text("iss")? == registered.issuer.as_str() {
        Ok(())
    } else {
        Err(JwtFault::Issuer)
    }
}

pub(crate) fn audience(claims: &Claims, registered: &Registered) -> Result<(), JwtFault> {
    let audiences = addressed(claims, registered)?;
    match claims.text("azp")? {
        Some(party) if party != registered.client_id => Err(JwtFault::AuthorizedParty),
        None if audiences > 1 => Err(JwtFault::AuthorizedParty),
        _ => Ok(()),
    }
}

/// The client is among the audiences, and nobody who is not trusted; how many there are.
pub(crate) fn addressed(claims: &Claims, registered: &Registered) -> Result<usize, JwtFault> {
    let audience = claims.audience()?;
    let client_id = registered.client_id.as_str();
    if !audience.contains(&client_id) {
        return Err(JwtFault::Audience);
    }
    let trusted = |one: &&str| {
        *one == client_id
            || registered
                .trusted_audiences
                .iter()
                .any(|known| known == one)
    };
    if audience.iter().all(trusted) {
        Ok(audience.len())
    } else {
        Err(JwtFault::FurtherAudience)
    }
}

/// `exp` and `iat` are there, `nbf` may be; the token was issued at most `max_age` seconds ago.
pub(crate) fn times(claims: &Claims, max_age: i64, now: Timestamp) -> Result<(), JwtFault> {
    if now
        >= claims
            .required_seconds("exp")?
            .plus_seconds(CLOCK_TOLERANCE_EXPIRED)
    {
        return Err(JwtFault::Expired);
    }
    let issued_at = claims.required_seconds("iat")?;
    issued_recently(issued_at, now)?;
    if now.seconds_since(issued_at) > max_age {
        return Err(JwtFault::IssuedTooLongAgo);
    }
    match claims.seconds("nbf")? {
        Some(not_before) => issued_recently(not_before, now),
        None => Ok(()),
    }
}

/// K-8, SP-5.3.2.1-13: a little ahead is a clock that runs fast, more is not.
fn issued_recently(at: Timestamp, now: Timestamp) -> Result<(), JwtFault> {
    if at.seconds_since(now) > CLOCK_TOLERANCE_AHEAD {
        Err(JwtFault::IssuedAhead)
    } else {
        Ok(())
    }
}

fn subject(claims: &Claims) -> Result<&str, JwtFault> {
    sound_subject(claims.required_text("sub")?)
}

/// IDT-sub: 1 to 255 characters of ASCII.
pub(crate) fn sound_subject(subject: &str) -> Result<&str, JwtFault> {
    if subject.is_empty() || subject.len() > 255 || !subject.is_ascii() {
        return Err(JwtFault::MalformedClaim("sub"));
    }
    Ok(subject)
}

fn same_nonce(claims: &Claims, sent: Option<&Nonce>) -> Result<(), JwtFault> {
    let Some(sent) = sent else {
        return Ok(());
    };
    let received = claims
        .text("nonce")?
        .ok_or(JwtFault::MissingClaim("nonce"))?;
    if Nonce::new(received) == *sent {
        Ok(())
    } else {
        Err(JwtFault::Nonce)
    }
}

fn authentication(claims: &Claims, asked: &Asked, now: Timestamp) -> Result<(), JwtFault> {
    if let Some(wanted) = &asked.acr {
        let acr = claims.text("acr")?.ok_or(JwtFault::MissingClaim("acr"))?;
        if !wanted.is_empty() && !wanted.iter().any(|one| one == acr) {
            return Err(JwtFault::Acr);
        }
    }
    if !asked.auth_time && asked.max_age.is_none() {
        return Ok(());
    }
    let auth_time = claims.required_seconds("auth_time")?;
    issued_recently(auth_time, now).map_err(|_| JwtFault::AuthTime)?;
    if let Some(max_age) = asked.max_age
        && now
            > auth_time
                .plus(max_age)
                .plus_seconds(CLOCK_TOLERANCE_EXPIRED)
    {
        return Err(JwtFault::AuthTime);
    }
    Ok(())
}

/// IDT-12.2: the user of a refreshed ID token is the user who logged in, then as well.
fn same_user(claims: &Claims, subject: &str, first: &IdToken) -> Result<(), Failure> {
    if subject != first.subject {
        return Err(Failure::SubjectChanged);
    }
    if let Some(received) = claims.text("nonce")?
        && first.nonce.as_ref() != Some(&Nonce::new(received))
    {
        return Err(JwtFault::Nonce.into());
    }
    match (claims.seconds("auth_time")?, first.auth_time) {
        (Some(now), Some(then)) if now != then => Err(JwtFault::AuthTime.into()),
        _ => Ok(()),
    }
}

/// IDT-3.1.3.8: the left half of the hash that belongs to the algorithm. An algorithm without a known
/// hash does not compile, so none passes unchecked.
fn access_token_hash(
    claims: &Claims,
    algorithm: Algorithm,
    access_token: &AccessToken,
) -> Result<(), JwtFault> {
    let Some(received) = claims.text("at_hash")? else {
        return Ok(());
    };
    let bytes = access_token.reveal().as_bytes();
    let expected = match algorithm {
        Algorithm::Es256 | Algorithm::Ps256 => base64url(sha256(bytes).split_at(16).0),
        Algorithm::EdDsa => base64url(sha512(bytes).split_at(32).0),
    };
    if received == expected {
        Ok(())
    } else {
        Err(JwtFault::AccessTokenHash)
    }
}
