//! The tokens of one session, and the key that they are bound to.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;

use super::refresh::Refreshed;
use super::servers::Nonces;
use super::session::SessionId;
use super::single_flight::SingleFlight;
use crate::error::{Error, SignInAgain};
use crate::profile::REFRESH_AHEAD;
use crate::protocol::dpop::ProofKey;
use crate::protocol::form::Form;
use crate::protocol::id_token::IdToken;
use crate::protocol::token::TokenResponse;
use crate::secret::{AccessToken, RefreshToken};
use crate::time::Timestamp;

/// One session, or one token of the client's own. It is shared by all handles to it.
pub(crate) struct Cell {
    pub(crate) id: SessionId,
    /// The key that every token in here is bound to.
    pub(crate) key: ProofKey,
    pub(crate) nonces: Nonces,
    pub(crate) grant: Grant,
    pub(crate) flight: SingleFlight<Result<(), Error>>,
    state: Mutex<State>,
}

/// Where the tokens come from, and so how they are renewed.
#[allow(
    clippy::large_enum_variant,
    reason = "it lives in a cell, once a session"
)]
pub(crate) enum Grant {
    /// A user logged in.
    User {
        id_token: Option<IdToken>,
        /// What a further login of the same kind would ask for.
        asked: super::login::Target,
    },
    /// The client acts for itself: the form that asks for the token.
    Client { form: Form },
}

enum State {
    Live(Tokens),
    Ended {
        cause: SignInAgain,
        /// What the server has yet to be told to forget.
        unrevoked: Vec<Unrevoked>,
    },
}

/// The tokens of one answer, which the server has yet to be told to forget.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Unrevoked {
    pub(crate) refresh_token: Option<RefreshToken>,
    pub(crate) access_token: AccessToken,
}

/// The tokens as they stand.
pub(crate) struct Tokens {
    access_token: AccessToken,
    issued_at: Timestamp,
    expires_at: Option<Timestamp>,
    refresh_token: Option<RefreshToken>,
    scope: Option<String>,
    authorization_details: Option<Vec<Value>>,
    /// Counts the refreshes, so that none is made for a token that was replaced already.
    generation: u64,
    /// Whether an answer to a refresh was lost since the last one that came.
    answer_lost: bool,
    /// After a refresh that failed: not before then in the background.
    pause_until: Option<Timestamp>,
}

/// An access token that can be used, and whether it should be renewed soon.
pub(crate) struct Usable {
    pub(crate) access_token: AccessToken,
    pub(crate) generation: u64,
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

impl Tokens {
    pub(crate) fn new(response: TokenResponse, asked_scope: Option<&str>, now: Timestamp) -> Self {
        Self {
            access_token: response.access_token,
            issued_at: now,
            expires_at: response.expires_at,
            refresh_token: response.refresh_token,
            // R6749-5.1c: no scope in the answer means the scope that was asked for.
            scope: response.scope.or_else(|| asked_scope.map(str::to_owned)),
            authorization_details: response.authorization_details,
            generation: 0,
            answer_lost: false,
            pause_until: None,
        }
    }

    fn renew(&self, now: Timestamp) -> Renew {
        let Some(expires_at) = self.expires_at else {
            return Renew::No;
        };
        if now >= expires_at {
            return Renew::Now;
        }
        let life = expires_at.seconds_since(self.issued_at);
        // A short life is not spent on renewing: the last quarter of it at most.
        let ahead = REFRESH_AHEAD.min(life / 4);
        let paused = self.pause_until.is_some_and(|until| now < until);
        if now.plus_seconds(ahead) >= expires_at && !paused {
            Renew::Soon
        } else {
            Renew::No
        }
    }
}

impl Unrevoked {
    fn of(response: TokenResponse) -> Self {
        Self {
            refresh_token: response.refresh_token,
            access_token: response.access_token,
        }
    }
}

impl Cell {
    pub(crate) fn new(
        id: SessionId,
        key: ProofKey,
        nonces: Nonces,
        grant: Grant,
        tokens: Tokens,
    ) -> Self {
        Self {
            id,
            key,
            nonces,
            grant,
            flight: SingleFlight::default(),
            state: Mutex::new(State::Live(tokens)),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn id_token(&self) -> Option<&IdToken> {
        match &self.grant {
            Grant::User { id_token, .. } => id_token.as_ref(),
            Grant::Client { .. } => None,
        }
    }

    pub(crate) fn subject(&self) -> Option<&str> {
        self.id_token().map(IdToken::subject)
    }

    /// Reads the tokens, where the session has not ended.
    fn live<R>(&self, read: impl FnOnce(&Tokens) -> R) -> Result<R, SignInAgain> {
        match &*self.state() {
            State::Live(tokens) => Ok(read(tokens)),
            State::Ended { cause, .. } => Err(cause.clone()),
        }
    }

    pub(crate) fn usable(&self, now: Timestamp) -> Result<Usable, SignInAgain> {
        self.live(|tokens| {
            let can_renew =
                tokens.refresh_token.is_some() || matches!(self.grant, Grant::Client { .. });
            let renew = match tokens.renew(now) {
                Renew::Soon if !can_renew => Renew::No,
                renew => renew,
            };
            Usable {
                access_token: tokens.access_token.clone(),
                generation: tokens.generation,
                renew,
            }
        })
    }

    /// Whether the access token is at its end.
    pub(crate) fn is_dead(&self, now: Timestamp) -> bool {
        self.usable(now)
            .is_ok_and(|usable| usable.renew == Renew::Now)
    }

    pub(crate) fn generation(&self) -> Result<u64, SignInAgain> {
        self.live(|tokens| tokens.generation)
    }

    pub(crate) fn refresh_token(&self) -> Result<Option<RefreshToken>, SignInAgain> {
        self.live(|tokens| tokens.refresh_token.clone())
    }

    pub(crate) fn scope(&self) -> Result<Option<String>, SignInAgain> {
        self.live(|tokens| tokens.scope.clone())
    }

    pub(crate) fn authorization_details(&self) -> Result<Option<Vec<Value>>, SignInAgain> {
        self.live(|tokens| tokens.authorization_details.clone())
    }

    pub(crate) fn expires_at(&self) -> Result<Option<Timestamp>, SignInAgain> {
        self.live(|tokens| tokens.expires_at)
    }

    /// Puts new tokens in the place of the old ones; `false` where the session was logged out
    /// meanwhile. A new refresh token is then to be revoked as the old one is.
    pub(crate) fn replace(&self, refreshed: Refreshed, now: Timestamp, pause: Duration) -> bool {
        match &mut *self.state() {
            State::Live(tokens) => {
                let Refreshed { response, complete } = refreshed;
                // SP-5.3.2.1-9, R6749-6: no new refresh token means that the old one stays.
                if response.refresh_token.is_some() {
                    tokens.refresh_token = response.refresh_token;
                }
                tokens.answer_lost = false;
                if complete {
                    tokens.access_token = response.access_token;
                    tokens.issued_at = now;
                    tokens.expires_at = response.expires_at;
                    tokens.scope = response.scope.or_else(|| tokens.scope.take());
                    if response.authorization_details.is_some() {
                        tokens.authorization_details = response.authorization_details;
                    }
                    tokens.generation += 1;
                    tokens.pause_until = None;
                } else {
                    tokens.pause_until = Some(now.plus(pause));
                }
                true
            }
            State::Ended { unrevoked, .. } => {
                unrevoked.push(Unrevoked::of(refreshed.response));
                false
            }
        }
    }

    /// Notes that a refresh goes out. Until its answer is here it counts as lost, even if nobody is left
    /// to say so, as where the runtime ends. Whether an earlier answer was lost comes back.
    pub(crate) fn begin_refresh(&self) -> bool {
        match &mut *self.state() {
            State::Live(tokens) => std::mem::replace(&mut tokens.answer_lost, true),
            State::Ended { .. } => false,
        }
    }

    /// Notes that a refresh failed in a way that a later one may not.
    pub(crate) fn failed(&self, answer_lost: bool, now: Timestamp, pause: Duration) {
        if let State::Live(tokens) = &mut *self.state() {
            tokens.answer_lost = answer_lost;
            tokens.pause_until = Some(now.plus(pause));
        }
    }

    /// Ends the session, and says why it has ended: the first cause stays.
    pub(crate) fn end(&self, because: SignInAgain) -> SignInAgain {
        let mut state = self.state();
        match &mut *state {
            State::Ended { cause, .. } => cause.clone(),
            State::Live(tokens) => {
                let unrevoked = match because {
                    SignInAgain::LoggedOut | SignInAgain::SubjectChanged => vec![Unrevoked {
                        refresh_token: tokens.refresh_token.take(),
                        access_token: tokens.access_token.clone(),
                    }],
                    // The server takes these tokens no longer.
                    _ => Vec::new(),
                };
                *state = State::Ended {
                    cause: because.clone(),
                    unrevoked,
                };
                because
            }
        }
    }

    /// Adds tokens that nobody may use to what is still to be revoked.
    pub(crate) fn give_back(&self, response: TokenResponse) {
        if let State::Ended { unrevoked, .. } = &mut *self.state() {
            unrevoked.push(Unrevoked::of(response));
        }
    }

    /// What is still to be revoked.
    pub(crate) fn unrevoked(&self) -> Vec<Unrevoked> {
        match &*self.state() {
            State::Live(_) => Vec::new(),
            State::Ended { unrevoked, .. } => unrevoked.clone(),
        }
    }

    /// Notes what came of a revocation: what is left of these tokens to be revoked, if anything.
    pub(crate) fn settle(&self, tokens: &Unrevoked, left: Option<Unrevoked>) {
        if let State::Ended { unrevoked, .. } = &mut *self.state() {
            unrevoked.retain(|known| known != tokens);
            unrevoked.extend(left);
        }
    }
}
