//! The server tells the program that a user is gone (OpenID Connect Back-Channel Logout 1.0).
//!
//! Anyone can post to the program's logout endpoint. What makes a request the server's is the logout
//! token in it alone.

use std::fmt;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::crypto::Crypto;
use crate::error::{Error, JwtFault, JwtKind, LogoutRequestFault, Violation};
use crate::jose::{Claims, JwkSet, Jws};
use crate::profile::{
    CLOCK_TOLERANCE_EXPIRED, LOGOUT_REQUEST_MAX_BYTES, LOGOUT_TOKEN_ID_MAX_BYTES,
    LOGOUT_TOKEN_MAX_AGE,
};
use crate::protocol::authorization_response::pairs;
use crate::protocol::id_token::{self, Registered};
use crate::time::Timestamp;

/// The member of `events` that says what the token is for.
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// Whom the server logs out. Every check has passed but one: that its `jti` has not come before.
///
/// Its `Debug` shows neither the user nor the session.
#[derive(Clone, PartialEq, Eq)]
pub struct LogoutToken {
    subject: Option<String>,
    session_id: Option<String>,
    token_id: String,
    issued_at: Timestamp,
    expires_at: Timestamp,
}

impl LogoutToken {
    /// The user (`sub`), where the token names one.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    /// The session at the server (`sid`), where the token names one. Without it all sessions of the
    /// user are meant.
    #[must_use]
    pub fn session_id(&self) -> Option<&str> {
        self.session_id.as_deref()
    }

    /// What this token has and no other of the same issuer (`jti`): 1 to 255 bytes.
    #[must_use]
    pub fn token_id(&self) -> &str {
        &self.token_id
    }

    /// When the token ends (`exp`).
    #[must_use]
    pub const fn expires_at(&self) -> Timestamp {
        self.expires_at
    }

    /// Until when the `jti` has to be remembered: from this second on the token is refused for its age
    /// or its end. It lies at most some ten minutes ahead, whatever `exp` says.
    #[must_use]
    pub fn remember_until(&self) -> Timestamp {
        let too_old = self.issued_at.plus_seconds(LOGOUT_TOKEN_MAX_AGE + 1);
        let ended = self.expires_at.plus_seconds(CLOCK_TOLERANCE_EXPIRED);
        too_old.min(ended)
    }

    /// Whether a session of this issuer is meant, by the `sub` and the `sid` of its ID token (section
    /// 2.7).
    ///
    /// A token with `sid` means that one session, and a token without means all of the user's. Where
    /// the token names both, both have to fit. A session that was given no `sid` goes by its user: rather
    /// one logout too many than a session that lives on.
    #[must_use]
    pub fn concerns(&self, subject: &str, session_id: Option<&str>) -> bool {
        let same_user = self.subject.as_deref().map(|named| named == subject);
        let same_session = match (self.session_id.as_deref(), session_id) {
            (Some(named), Some(own)) => Some(named == own),
            _ => None,
        };
        match (same_user, same_session) {
            (Some(user), Some(session)) => user && session,
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => false,
        }
    }
}

impl fmt::Debug for LogoutToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("LogoutToken")
            .field("names_user", &self.subject.is_some())
            .field("names_session", &self.session_id.is_some())
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// Takes the logout token out of a request: the value of its `Content-Type`, and its body.
///
/// # Errors
/// [`Violation::LogoutRequest`].
pub(crate) fn read(
    content_type: Option<&str>,
    body: &[u8],
) -> Result<Zeroizing<String>, Violation> {
    let refused = |fault| Violation::LogoutRequest { fault };
    let media_type = content_type.and_then(|text| text.split(';').next());
    if !media_type.is_some_and(|media| {
        media
            .trim()
            .eq_ignore_ascii_case("application/x-www-form-urlencoded")
    }) {
        return Err(refused(LogoutRequestFault::MediaType));
    }
    if body.len() > LOGOUT_REQUEST_MAX_BYTES {
        return Err(refused(LogoutRequestFault::TooLong));
    }
    let malformed = refused(LogoutRequestFault::Malformed);
    let text = std::str::from_utf8(body).map_err(|_| malformed.clone())?;
    let mut found = None;
    for pair in pairs(text) {
        let (name, value) = pair.map_err(|_| malformed.clone())?;
        // Section 2.5: other parameters are passed over. R6749-dup: this one stands there once, or two
        // readers could see two tokens.
        if name.as_str() == "logout_token" && found.replace(value).is_some() {
            return Err(refused(LogoutRequestFault::Duplicate));
        }
    }
    found
        .filter(|token| !token.is_empty())
        .ok_or_else(|| refused(LogoutRequestFault::Missing))
}

/// Checks a logout token. The numbers are those of section 2.6.
///
/// # Errors
/// [`Violation::Jwt`] with the first rule that is broken.
pub(crate) fn check(
    token: &str,
    crypto: &Crypto,
    keys: &JwkSet,
    registered: &Registered,
    now: Timestamp,
) -> Result<LogoutToken, Violation> {
    verify(token, crypto, keys, registered, now).map_err(|fault| Violation::Jwt {
        kind: JwtKind::LogoutToken,
        fault,
    })
}

fn verify(
    token: &str,
    crypto: &Crypto,
    keys: &JwkSet,
    registered: &Registered,
    now: Timestamp,
) -> Result<LogoutToken, JwtFault> {
    // 1: none is registered as encrypted, so an encrypted one ends here.
    let jws = Jws::parse(token)?;
    own_type(&jws)?;
    // 3: the algorithm registered for ID tokens, where one was named, and one of FAPI's in any case.
    if registered
        .algorithm
        .is_some_and(|algorithm| algorithm != jws.algorithm())
    {
        return Err(JwtFault::OtherAlgorithm);
    }
    // 2
    jws.verify(crypto, keys)?;
    let claims = jws.unverified_claims();
    // 4. `azp` is a claim of ID tokens, and is no more asked for than any other foreign claim.
    id_token::issuer(claims, registered)?;
    id_token::addressed(claims, registered)?;
    id_token::times(claims, LOGOUT_TOKEN_MAX_AGE, now)?;
    // 7, SEC-xjwt: it keeps an ID token from being taken for a logout token, and the other way round.
    if claims.get("nonce").is_some() {
        return Err(JwtFault::ForeignNonce);
    }
    // 6
    event(claims)?;
    // 5
    let subject = claims
        .text("sub")?
        .map(id_token::sound_subject)
        .transpose()?;
    let session_id = claims.text("sid")?;
    if session_id.is_some_and(str::is_empty) {
        return Err(JwtFault::MalformedClaim("sid"));
    }
    if subject.is_none() && session_id.is_none() {
        return Err(JwtFault::NobodyNamed);
    }
    Ok(LogoutToken {
        subject: subject.map(str::to_owned),
        session_id: session_id.map(str::to_owned),
        token_id: token_id(claims)?.to_owned(),
        issued_at: claims.required_seconds("iat")?,
        expires_at: claims.required_seconds("exp")?,
    })
}

/// SEC-xjwt, JWT-3.11: the type of logout tokens, or none.
///
/// Section 2.4 recommends the type and does not demand it, so a token without one is told by its
/// `events` and by the `nonce` that it may not have. Any other type is that of another kind, and `JWT`
/// is what the same server, with the same key and for the same audience, writes on its ID tokens.
fn own_type(jws: &Jws<'_>) -> Result<(), JwtFault> {
    let Some(typ) = jws.typ() else {
        return Ok(());
    };
    // RFC 7515 section 4.1.9: the media type may stand there whole.
    if ["logout+jwt", "application/logout+jwt"]
        .iter()
        .any(|own| typ.eq_ignore_ascii_case(own))
    {
        Ok(())
    } else {
        Err(JwtFault::Type)
    }
}

fn event(claims: &Claims) -> Result<(), JwtFault> {
    match claims.get("events") {
        None => Err(JwtFault::MissingClaim("events")),
        Some(Value::Object(events)) => match events.get(EVENT) {
            None => Err(JwtFault::LogoutEvent),
            Some(Value::Object(_)) => Ok(()),
            Some(_) => Err(JwtFault::LogoutEventValue),
        },
        Some(_) => Err(JwtFault::MalformedClaim("events")),
    }
}

fn token_id(claims: &Claims) -> Result<&str, JwtFault> {
    let token_id = claims.required_text("jti")?;
    if token_id.is_empty() || token_id.len() > LOGOUT_TOKEN_ID_MAX_BYTES {
        return Err(JwtFault::MalformedClaim("jti"));
    }
    Ok(token_id)
}

/// What the program answers to a server that told it of a logout (section 2.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogoutAnswer {
    /// The sessions have ended, or there were none: status 200.
    Done,
    /// The request or its token was refused: status 400, `invalid_request`.
    Refused,
    /// The request was good, and the sessions could not be ended: status 400, `server_error`. The
    /// server may send it again.
    Failed,
}

impl LogoutAnswer {
    /// The answer that belongs to an outcome.
    pub const fn of<T>(outcome: &Result<T, Error>) -> Self {
        match outcome {
            Ok(_) => Self::Done,
            Err(Error::Violation(_)) => Self::Refused,
            Err(_) => Self::Failed,
        }
    }

    /// The answer for any web framework: status, headers (`Cache-Control: no-store` among them) and body.
    /// It does not say which rule was broken: whoever asks may be anyone.
    #[must_use]
    pub fn into_response(self) -> http::Response<Bytes> {
        let (status, body) = match self {
            Self::Done => (StatusCode::OK, ""),
            Self::Refused => (StatusCode::BAD_REQUEST, r#"{"error":"invalid_request"}"#),
            Self::Failed => (StatusCode::BAD_REQUEST, r#"{"error":"server_error"}"#),
        };
        let mut response = http::Response::new(Bytes::from_static(body.as_bytes()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if !body.is_empty() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        response
    }
}

impl From<LogoutAnswer> for http::Response<Bytes> {
    fn from(answer: LogoutAnswer) -> Self {
        answer.into_response()
    }
}
