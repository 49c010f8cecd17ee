//! The tokens of one session, and the key that they are bound to.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::dpop_keys::KeySource;
use super::login::Target;
use super::record::{kept, kept_list, kept_option};
use super::servers::Nonces;
use super::session::SessionId;
use super::single_flight::SingleFlight;
use crate::error::{Error, SignInAgain};
use crate::profile::{CLOCK_TOLERANCE_AHEAD, REFRESH_AHEAD};
use crate::protocol::authorization_request as request;
use crate::protocol::dpop::ProofKey;
use crate::protocol::form::Form;
use crate::protocol::id_token::IdToken;
use crate::protocol::token::TokenResponse;
use crate::secret::{AccessToken, RefreshToken};
use crate::time::Timestamp;

/// The most access tokens that a session keeps for parts of what was granted; the oldest goes.
const PARTS: usize = 32;

/// One session, or one token of the client's own. It is shared by all handles to it.
pub(crate) struct Cell {
    pub(crate) id: SessionId,
    /// The key that every token in here is bound to.
    pub(crate) key: ProofKey,
    pub(crate) nonces: Nonces,
    pub(crate) grant: Grant,
    flights: Mutex<HashMap<Part, Arc<SingleFlight<Result<(), Error>>>>>,
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
        asked: Target,
        /// Where the key comes from.
        source: KeySource,
    },
    /// The client acts for itself: the form that asks for the token.
    Client { form: Form },
}

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

/// Where a session stands.
struct State {
    life: Life,
    /// The version of the record that this was read from or written as.
    version: u64,
    /// Whether the store has yet to be told of these tokens.
    unsaved: bool,
    /// After a refresh that failed: not before then in the background.
    pause_until: Option<Timestamp>,
}

#[allow(
    clippy::large_enum_variant,
    reason = "it lives in a cell, once a session"
)]
pub(crate) enum Life {
    Live(Tokens),
    Ended {
        cause: SignInAgain,
        /// What the server has yet to be told to forget.
        unrevoked: Vec<Unrevoked>,
    },
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
struct Granted {
    part: Part,
    #[serde(with = "kept")]
    access_token: AccessToken,
    issued_at: Timestamp,
    expires_at: Option<Timestamp>,
    scope: Option<String>,
    authorization_details: Option<Vec<Value>>,
    /// Counts the answers, so that no refresh is made for a token that was replaced already.
    generation: u64,
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

impl Granted {
    fn new(part: Part, response: TokenResponse, generation: u64, now: Timestamp) -> Self {
        Self {
            part,
            access_token: response.access_token,
            issued_at: now,
            expires_at: response.expires_at,
            scope: response.scope,
            authorization_details: response.authorization_details,
            generation,
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

    fn granted(&self, part: &Part) -> Option<&Granted> {
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

    /// Everything in here, for the server to forget.
    fn unrevoked(&self) -> Unrevoked {
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

impl Cell {
    pub(crate) fn new(
        id: SessionId,
        key: ProofKey,
        nonces: Nonces,
        grant: Grant,
        tokens: Tokens,
    ) -> Self {
        Self::with_life(id, key, nonces, grant, Life::Live(tokens), 0)
    }

    pub(crate) fn with_life(
        id: SessionId,
        key: ProofKey,
        nonces: Nonces,
        grant: Grant,
        life: Life,
        version: u64,
    ) -> Self {
        Self {
            id,
            key,
            nonces,
            grant,
            flights: Mutex::default(),
            state: Mutex::new(State {
                life,
                version,
                unsaved: false,
                pause_until: None,
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The refresh of one part, once for all who wait for it.
    pub(crate) fn flight(&self, part: &Part) -> Arc<SingleFlight<Result<(), Error>>> {
        let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        if flights.len() > PARTS {
            // Whoever waits holds a handle of its own.
            flights.retain(|_, flight| Arc::strong_count(flight) > 1);
        }
        flights.entry(part.clone()).or_default().clone()
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
    pub(crate) fn live<R>(&self, read: impl FnOnce(&Tokens) -> R) -> Result<R, SignInAgain> {
        match &self.state().life {
            Life::Live(tokens) => Ok(read(tokens)),
            Life::Ended { cause, .. } => Err(*cause),
        }
    }

    /// The access token for a part; `None` where there has been none yet.
    pub(crate) fn usable(
        &self,
        part: &Part,
        now: Timestamp,
    ) -> Result<Option<Usable>, SignInAgain> {
        let state = self.state();
        let tokens = match &state.life {
            Life::Live(tokens) => tokens,
            Life::Ended { cause, .. } => return Err(*cause),
        };
        let can_renew = self.can_renew_with(tokens);
        let paused = state.pause_until.is_some_and(|until| now < until);
        Ok(tokens.granted(part).map(|granted| Usable {
            access_token: granted.access_token.clone(),
            generation: granted.generation,
            renew: match granted.renew(now) {
                Renew::Soon if !can_renew || paused => Renew::No,
                renew => renew,
            },
        }))
    }

    fn can_renew_with(&self, tokens: &Tokens) -> bool {
        tokens.refresh_token.is_some() || matches!(self.grant, Grant::Client { .. })
    }

    pub(crate) fn can_renew(&self) -> Result<bool, SignInAgain> {
        self.live(|tokens| self.can_renew_with(tokens))
    }

    /// Whether every access token that the session was begun with is at its end.
    pub(crate) fn is_dead(&self, now: Timestamp) -> bool {
        self.usable(&Part::default(), now)
            .is_ok_and(|usable| usable.is_none_or(|usable| usable.renew == Renew::Now))
    }

    pub(crate) fn generation(&self, part: &Part) -> Result<u64, SignInAgain> {
        self.live(|tokens| tokens.generation(part))
    }

    pub(crate) fn scope(&self, part: &Part) -> Result<Option<String>, SignInAgain> {
        self.live(|tokens| tokens.granted(part)?.scope.clone())
    }

    pub(crate) fn authorization_details(
        &self,
        part: &Part,
    ) -> Result<Option<Vec<Value>>, SignInAgain> {
        self.live(|tokens| tokens.granted(part)?.authorization_details.clone())
    }

    pub(crate) fn expires_at(&self, part: &Part) -> Result<Option<Timestamp>, SignInAgain> {
        self.live(|tokens| tokens.granted(part)?.expires_at)
    }

    /// Takes tokens over that the store has, or is about to have: `unsaved` where it could not be
    /// told. `false` where the session has ended.
    pub(crate) fn adopt(&self, tokens: Tokens, version: u64, unsaved: bool) -> bool {
        let mut state = self.state();
        match &mut state.life {
            Life::Live(known) => *known = tokens,
            Life::Ended { .. } => return false,
        }
        state.version = version;
        state.unsaved = unsaved;
        state.pause_until = None;
        true
    }

    /// Takes tokens over that were read without the session's turn, where they are newer than those here.
    pub(crate) fn adopt_newer(&self, tokens: Tokens, version: u64) {
        let mut state = self.state();
        let unsaved = state.unsaved;
        if let Life::Live(known) = &mut state.life
            && !unsaved
            && tokens.answers > known.answers
        {
            *known = tokens;
            state.version = version;
        }
    }

    /// Notes that the store has the tokens after so many answers.
    pub(crate) fn saved(&self, answers: u64, version: u64) {
        let mut state = self.state();
        if let Life::Live(tokens) = &state.life
            && tokens.answers == answers
        {
            state.version = version;
            state.unsaved = false;
        }
    }

    /// The version of the record that the tokens were read from or written as, and whether the store
    /// has yet to be told of them.
    pub(crate) fn version(&self) -> (u64, bool) {
        let state = self.state();
        (state.version, state.unsaved)
    }

    /// The background lets the server rest until then.
    pub(crate) fn rest(&self, now: Timestamp, pause: Duration) {
        self.state().pause_until = Some(now.plus(pause));
    }

    /// Ends the session. `Ok` with the cause where it had not ended; else the first cause.
    pub(crate) fn end(&self, because: SignInAgain) -> Result<SignInAgain, SignInAgain> {
        let mut state = self.state();
        match &mut state.life {
            Life::Ended { cause, .. } => Err(*cause),
            Life::Live(tokens) => {
                let unrevoked = match because {
                    SignInAgain::LoggedOut | SignInAgain::SubjectChanged => {
                        vec![tokens.unrevoked()]
                    }
                    // The server takes these tokens no longer.
                    _ => Vec::new(),
                };
                state.life = Life::Ended {
                    cause: because,
                    unrevoked,
                };
                Ok(because)
            }
        }
    }

    /// Adds tokens that nobody may use to what is still to be revoked, where the session has ended.
    pub(crate) fn give_back(&self, tokens: impl IntoIterator<Item = Unrevoked>) {
        if let Life::Ended { unrevoked, .. } = &mut self.state().life {
            for one in tokens {
                if !unrevoked.contains(&one) {
                    unrevoked.push(one);
                }
            }
        }
    }

    /// What is still to be revoked.
    pub(crate) fn unrevoked(&self) -> Vec<Unrevoked> {
        match &self.state().life {
            Life::Live(_) => Vec::new(),
            Life::Ended { unrevoked, .. } => unrevoked.clone(),
        }
    }

    /// Notes what came of a revocation: what is left of these tokens to be revoked, if anything.
    pub(crate) fn settle(&self, tokens: &Unrevoked, left: Option<Unrevoked>) {
        if let Life::Ended { unrevoked, .. } = &mut self.state().life {
            unrevoked.retain(|known| known != tokens);
            unrevoked.extend(left);
        }
    }
}

impl Life {
    /// What is left to be revoked where a record is found live though its session has ended.
    pub(crate) fn into_unrevoked(self) -> Vec<Unrevoked> {
        match self {
            Self::Live(tokens) => vec![tokens.unrevoked()],
            Self::Ended { unrevoked, .. } => unrevoked,
        }
    }
}
