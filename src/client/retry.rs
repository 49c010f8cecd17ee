//! When a request goes out again. One retry for each cause, so four sends at most.

use http::{HeaderMap, StatusCode};

use crate::error::NonceFault;
use crate::protocol::challenge::{self, Challenge};
use crate::protocol::dpop;

/// In which role a server was spoken to. What it taught in one role says nothing about the other
/// (DPOP-nsep), even under the same origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub(crate) enum Role {
    AuthorizationServer,
    Resource,
}

/// Why a request goes out again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The server wants its new nonce in the proof.
    Nonce,
    /// The server refused our times, and has just told us the right one.
    Clock,
    /// The API says that the token is good no more.
    Token,
    /// The API says 401 and not why.
    Unexplained,
}

impl Cause {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Nonce => "nonce",
            Self::Clock => "clock",
            Self::Token | Self::Unexplained => "token",
        }
    }
}

/// The causes that have had their retry.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spent {
    nonce: bool,
    clock: bool,
    token: bool,
}

impl Spent {
    /// Takes the one retry of a cause, where it is still there.
    const fn take(&mut self, cause: Cause) -> bool {
        let spent = match cause {
            Cause::Nonce => &mut self.nonce,
            Cause::Clock => &mut self.clock,
            Cause::Token | Cause::Unexplained => &mut self.token,
        };
        let first = !*spent;
        *spent = true;
        first
    }
}

/// An answer, and what it answers.
pub(crate) struct Seen<'a> {
    pub(crate) role: Role,
    pub(crate) status: StatusCode,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: &'a [u8],
    /// Whether our proof was on the request.
    pub(crate) proof: bool,
    /// The nonce in that proof.
    pub(crate) nonce: Option<&'a str>,
    /// Whether our clock offset is another one now, by the `Date` of this answer or of one that came
    /// meanwhile, than when the request was signed.
    pub(crate) clock_moved: bool,
    /// How far the clocks differ, in seconds, where that is more than is made up for.
    pub(crate) clock_beyond: Option<i64>,
}

/// What to do with an answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It stands.
    Take,
    /// The request goes out again.
    Again(Cause),
    /// The server wants a nonce in a way that no honest server does.
    Refuse(NonceFault),
    /// The server refused our times, and our clock is off by so many seconds, which is more than is made
    /// up for.
    ClockOff(i64),
}

/// Judges an answer, and takes the retry that it grants.
pub(crate) fn judge(seen: &Seen<'_>, spent: &mut Spent) -> Verdict {
    if !matches!(
        seen.status,
        StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED
    ) {
        return Verdict::Take;
    }
    let challenges = challenge::challenges(seen.headers);
    let in_body = challenge::body_error(seen.body);
    let says = |error: &str| {
        challenge::errors(&challenges).any(|one| one == error) || in_body.as_deref() == Some(error)
    };
    if seen.proof && says("use_dpop_nonce") {
        return nonce(seen, spent);
    }
    let times_refused = (seen.proof && says("invalid_dpop_proof"))
        || (seen.role == Role::AuthorizationServer && says("invalid_client"));
    if times_refused && seen.clock_moved && spent.take(Cause::Clock) {
        return Verdict::Again(Cause::Clock);
    }
    if times_refused && let Some(seconds) = seen.clock_beyond {
        return Verdict::ClockOff(seconds);
    }
    if seen.role == Role::Resource && seen.status == StatusCode::UNAUTHORIZED {
        return token(&challenges, spent);
    }
    Verdict::Take
}

/// DPOP-8a, DPOP-9: exactly one new, well-formed nonce, and once.
fn nonce(seen: &Seen<'_>, spent: &mut Spent) -> Verdict {
    match dpop::nonce(seen.headers) {
        Err(fault) => Verdict::Refuse(fault),
        Ok(nonce) if seen.nonce == Some(nonce.as_str()) => Verdict::Refuse(NonceFault::Same),
        Ok(_) if spent.take(Cause::Nonce) => Verdict::Again(Cause::Nonce),
        Ok(_) => Verdict::Refuse(NonceFault::Again),
    }
}

/// ERR-3, SP-5.3.4-3: one refresh. `insufficient_scope` and
/// `insufficient_user_authentication` never come here as `invalid_token` does (ERR-4, ERR-5).
fn token(challenges: &[Challenge], spent: &mut Spent) -> Verdict {
    let cause = if challenge::errors(challenges).any(|error| error == "invalid_token") {
        Cause::Token
    } else if challenge::errors(challenges).next().is_none() {
        Cause::Unexplained
    } else {
        return Verdict::Take;
    };
    if spent.take(cause) {
        Verdict::Again(cause)
    } else {
        Verdict::Take
    }
}

#[cfg(test)]
mod tests;
