//! UserInfo (OIDC Core section 5.3), plain and signed.

#[cfg(all(test, any(feature = "aws-lc", feature = "ring")))]
mod tests;

use std::fmt;

use http::StatusCode;
use serde_json::{Map, Value};

use super::answer::Answer;
use super::id_token::{self, Registered};
use crate::crypto::Crypto;
use crate::error::{Error, JwtFault, JwtKind, Violation};
use crate::jose::JwkSet;
use crate::jose::Jws;
use crate::profile::CLOCK_TOLERANCE_EXPIRED;
use crate::time::Timestamp;

/// What the server says about the user. It is about the same user as the ID token.
///
/// Its `Debug` names the claims and shows none of them.
#[derive(Clone, PartialEq)]
pub struct UserInfo {
    claims: Map<String, Value>,
}

impl UserInfo {
    /// Any claim.
    #[must_use]
    pub fn get(&self, claim: &str) -> Option<&Value> {
        self.claims.get(claim)
    }

    /// The user (`sub`).
    #[must_use]
    pub fn subject(&self) -> &str {
        self.claims
            .get("sub")
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// All claims.
    #[must_use]
    pub const fn claims(&self) -> &Map<String, Value> {
        &self.claims
    }
}

impl fmt::Debug for UserInfo {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("UserInfo ")?;
        formatter.debug_set().entries(self.claims.keys()).finish()
    }
}

/// The signed answer, where it is one.
///
/// # Errors
/// [`Violation::UserInfoUnsigned`] where a signed one is registered and a plain one came.
pub(crate) fn signed(answer: &Answer, registered: bool) -> Result<Option<String>, Error> {
    answer.expect(StatusCode::OK)?;
    if answer.media_type().as_deref() == Some("application/jwt") {
        let token = std::str::from_utf8(&answer.body).map_err(|_| fault(JwtFault::Malformed))?;
        return Ok(Some(token.to_owned()));
    }
    // UI-5.3.2s: what the registration promises is demanded.
    if registered {
        return Err(Violation::UserInfoUnsigned.into());
    }
    Ok(None)
}

/// Reads a plain answer.
///
/// # Errors
/// [`Violation::UserInfoSubject`] where it is about another user.
pub(crate) fn plain(answer: &Answer, subject: &str) -> Result<UserInfo, Error> {
    let claims = answer.json(StatusCode::OK)?;
    same_subject(claims.get("sub").and_then(Value::as_str), subject)?;
    Ok(UserInfo { claims })
}

/// Reads a signed answer.
///
/// # Errors
/// [`Violation::Jwt`], [`Violation::UserInfoSubject`].
pub(crate) fn verified(
    token: &str,
    crypto: &Crypto,
    keys: &JwkSet,
    registered: &Registered,
    subject: &str,
    now: Timestamp,
) -> Result<UserInfo, Violation> {
    let jws = Jws::parse(token).map_err(fault)?;
    id_token::plain_type(&jws).map_err(fault)?;
    jws.verify(crypto, keys).map_err(fault)?;
    let claims = jws.unverified_claims();
    // SEC-xjwt: the same key signs ID tokens and logout tokens for the same audience. These claims are
    // theirs.
    let foreign = ["nonce", "at_hash", "c_hash", "events"];
    if foreign.iter().any(|claim| claims.get(claim).is_some()) {
        return Err(fault(JwtFault::Type));
    }
    if let Some(expires_at) = claims.seconds("exp").map_err(fault)?
        && now >= expires_at.plus_seconds(CLOCK_TOLERANCE_EXPIRED)
    {
        return Err(fault(JwtFault::Expired));
    }
    id_token::issuer(claims, registered).map_err(fault)?;
    id_token::audience(claims, registered).map_err(fault)?;
    same_subject(claims.text("sub").map_err(fault)?, subject)?;
    Ok(UserInfo {
        claims: claims.as_map().clone(),
    })
}

/// UI-5.3.2: the `sub` is that of the ID token.
fn same_subject(received: Option<&str>, subject: &str) -> Result<(), Violation> {
    if received == Some(subject) {
        Ok(())
    } else {
        Err(Violation::UserInfoSubject)
    }
}

const fn fault(fault: JwtFault) -> Violation {
    Violation::Jwt {
        kind: JwtKind::UserInfo,
        fault,
    }
}
