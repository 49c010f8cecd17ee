//! Tokens as they stand, what they are for, and what is left of them when a session has ended.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::login::Target;
use super::record::{kept, kept_list, kept_option};
use crate::profile::{CLOCK_TOLERANCE_AHEAD, REFRESH_AHEAD};
use crate::protocol::authorization_request as request;
use crate::protocol::form::Form;
use crate::protocol::token::TokenResponse;
use crate::secret::{AccessToken, RefreshToken};
use crate::time::Timestamp;

/// The most access tokens that a session keeps for parts of what was granted; the oldest goes.
pub(super) const PARTS: usize = 32;

/// What an access token is for: everything that was granted, or a part of it that a call named.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Part {
    pub(crate) scope: Option<String>,
    pub(crate) resources: Vec<String>,
}

impl Part {
    pub(crate) const fn is_all(&self) -> bool {
        self.scope.is_none() && self.resources.is_empty()
    }

    /// What a refresh asks for beside the refresh token (R6749-6, RI-2). For everything that was granted
    /// no scope is sent, so that none wider is.
    pub(crate) fn form(&self, asked: &Target) -> Form {
        if self.is_all() {
            return asked.of_one_api();
        }
        let form = Form::default().optional("scope", self.scope.as_deref());
        if self.resources.is_empty() {
            form.and(asked.of_one_api())
        } else {
            form.and(request::target(&self.resources, &[]))
        }
    }
}

/// Tokens that belong together, which the server has yet to be told to forget.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Unrevoked {
    #[serde(with = "kept_option")]
    pub(crate) refresh_token: Option<RefreshToken>,
    #[serde(with = "kept_list")]
    pub(crate) access_tokens: Vec<AccessToken>,
}

/// The tokens as they stand.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Tokens {
    #[serde(with = "kept_option")]
    pub(crate) refresh_token: Option<RefreshToken>,
    granted: Vec<Granted>,
    /// How many answers of the server there have been.
    answers: u64,
    /// Whether a refresh went out to which no answer has come. It was lost, or is still under way.
    in_flight: bool,
}

/// An access token, and what came with it.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Granted {
    pub(super) part: Part,
    #[serde(with = "kept")]
    pub(super) access_token: AccessToken,
    pub(super) issued_at: Timestamp,
    pub(super) expires_at: Option<Timestamp>,
    pub(super) scope: Option<String>,
    pub(super) authorization_details: Option<Vec<Value>>,
    /// The thumbprint of the certificate that the token is bound to; `None` where it is the session's key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) certificate: Option<String>,
    /// Counts the answers, so that no refresh is made for a token that was replaced already.
    pub(super) generation: u64,
}

/// An access token that can be used, and whether it should be renewed soon.
pub(crate) struct Usable {
    pub(crate) access_token: AccessToken,
    pub(crate) generation: u64,
    pub(crate) certificate: Option<String>,
    pub(crate) renew: Renew,
}

/// Whether a token has to be renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Renew {
    No,
    /// It lives, and not for long: in the background.
    Soon,
    /// It is dead.
    Now,
}

impl Granted {
    fn new(part: Part, response: TokenResponse, generation: u64, now: Timestamp) -> Self {
        Self {
            part,
            access_token: response.access_token,
            issued_at: now,
            expires_at: response.expires_at,
            scope: response.scope,
            authorization_details: response.authorization_details,
            certificate: response.certificate,
            generation,
        }
    }

    pub(super) fn renew(&self, now: Timestamp) -> Renew {
        let Some(expires_at) = self.expires_at else {
            return Renew::No;
        };
        if now >= expires_at {
            return Renew::Now;
        }
        let life = expires_at.seconds_since(self.issued_at);
        // A short life is not spent on renewing: the last quarter of it at most.
        let ahead = REFRESH_AHEAD.min(life / 4);
        // A clock that was set back says that the token is younger than new: its end can't be told.
        let before_it_was_issued = self.issued_at.seconds_since(now) > CLOCK_TOLERANCE_AHEAD;
        if now.plus_seconds(ahead) >= expires_at || before_it_was_issued {
            Renew::Soon
        } else {
            Renew::No
        }
    }
}

impl Tokens {
    /// The tokens of a login, or of the client's own.
    pub(crate) fn new(
        mut response: TokenResponse,
        asked_scope: Option<&str>,
        now: Timestamp,
    ) -> Self {
        let refresh_token = response.refresh_token.take();
        // R6749-5.1c: no scope in the answer means the scope that was asked for.
        response.scope = response.scope.or_else(|| asked_scope.map(str::to_owned));
        Self {
            refresh_token,
            granted: vec![Granted::new(Part::default(), response, 1, now)],
            answers: 1,
            in_flight: false,
        }
    }

    pub(super) fn granted(&self, part: &Part) -> Option<&Granted> {
        self.granted.iter().find(|one| one.part == *part)
    }

    pub(crate) fn generation(&self, part: &Part) -> u64 {
        self.granted(part).map_or(0, |one| one.generation)
    }

    /// These tokens, and the note that a refresh is under way, or that none is.
    pub(crate) const fn in_flight(mut self, in_flight: bool) -> Self {
        self.in_flight = in_flight;
        self
    }

    /// These tokens, counted as later than others that came after so many answers.
    pub(crate) const fn after_answers(mut self, answers: u64) -> Self {
        if self.answers <= answers {
            self.answers = answers.saturating_add(1);
        }
        self
    }

    pub(crate) const fn is_in_flight(&self) -> bool {
        self.in_flight
    }

    /// How many answers of the server there have been.
    pub(crate) const fn answers(&self) -> u64 {
        self.answers
    }

    /// These tokens after an answer. `complete`: everything about it was checked; else only the new
    /// refresh token is taken, so that it is not lost.
    pub(crate) fn after(
        &self,
        part: &Part,
        mut response: TokenResponse,
        complete: bool,
        now: Timestamp,
    ) -> Self {
        let mut tokens = self.clone();
        // SP-5.3.2.1-9, R6749-6: no new refresh token means that the old one stays.
        if let Some(refresh_token) = response.refresh_token.take() {
            tokens.refresh_token = Some(refresh_token);
        }
        tokens.in_flight = false;
        tokens.answers += 1;
        if !complete {
            return tokens;
        }
        let known = tokens.granted.iter().position(|one| one.part == *part);
        let before = known.map(|at| tokens.granted.remove(at));
        let asked = part.scope.clone();
        response.scope = response
            .scope
            .or_else(|| before.as_ref().and_then(|before| before.scope.clone()))
            .or(asked);
        response.authorization_details = response
            .authorization_details
            .or_else(|| before.as_ref()?.authorization_details.clone());
        let generation = before.map_or(0, |before| before.generation) + 1;
        if tokens.granted.len() >= PARTS
            && let Some(at) = tokens.granted.iter().position(|one| !one.part.is_all())
        {
            tokens.granted.remove(at);
        }
        let granted = Granted::new(part.clone(), response, generation, now);
        tokens.granted.push(granted);
        tokens
    }

    /// These tokens with the refresh token of an answer whose rest is still to be checked.
    pub(crate) fn with_new_refresh_token(&self, response: &TokenResponse) -> Self {
        let mut tokens = self.clone();
        if let Some(refresh_token) = &response.refresh_token {
            tokens.refresh_token = Some(refresh_token.clone());
        }
        tokens.in_flight = false;
        tokens.answers += 1;
        tokens
    }

    /// Everything in here, for the server to forget.
    pub(super) fn unrevoked(&self) -> Unrevoked {
        let granted = self.granted.iter();
        Unrevoked {
            refresh_token: self.refresh_token.clone(),
            access_tokens: granted.map(|one| one.access_token.clone()).collect(),
        }
    }
}

impl Unrevoked {
    pub(crate) fn of(response: TokenResponse) -> Self {
        Self {
            refresh_token: response.refresh_token,
            access_tokens: vec![response.access_token],
        }
    }
}
