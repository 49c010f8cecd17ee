//! One session as all its handles share it: its key, its nonces, its tokens, and how they are renewed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;

use super::dpop_keys::KeySource;
use super::login::Target;
use super::servers::Nonces;
use super::session::SessionId;
use super::single_flight::SingleFlight;
use super::tokens::{PARTS, Part, Renew, Tokens, Unrevoked, Usable};
use crate::error::{Error, SignInAgain};
use crate::protocol::dpop::ProofKey;
use crate::protocol::form::Form;
use crate::protocol::id_token::IdToken;
use crate::time::Timestamp;

/// The refresh of one part.
type Flight = SingleFlight<Result<(), Error>>;

/// One session, or one token of the client's own. It is shared by all handles to it.
pub(crate) struct Cell {
    pub(crate) id: SessionId,
    /// The key that every token in here is bound to; `None` where each is bound to a certificate.
    pub(crate) key: Option<ProofKey>,
    pub(crate) nonces: Nonces,
    pub(crate) grant: Grant,
    flights: Mutex<HashMap<Part, Arc<Flight>>>,
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

impl Cell {
    pub(crate) fn new(
        id: SessionId,
        key: Option<ProofKey>,
        nonces: Nonces,
        grant: Grant,
        tokens: Tokens,
    ) -> Self {
        Self::with_life(id, key, nonces, grant, Life::Live(tokens), 0)
    }

    pub(crate) fn with_life(
        id: SessionId,
        key: Option<ProofKey>,
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

    /// What requests in the name of the session are proven with.
    pub(crate) fn proof(&self) -> Option<(&ProofKey, &Nonces)> {
        Some((self.key.as_ref()?, &self.nonces))
    }

    /// The refresh of one part, once for all who wait for it.
    pub(crate) fn flight(&self, part: &Part) -> Arc<Flight> {
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
    ///
    /// MTLS-3, MTLS-6.3: one that is bound to another certificate than the client shows now has to be
    /// renewed as if it were dead.
    pub(crate) fn usable(
        &self,
        part: &Part,
        now: Timestamp,
        certificate: Option<&str>,
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
            certificate: granted.certificate.clone(),
            renew: match granted.renew(now) {
                _ if granted.certificate.as_deref() != certificate => Renew::Now,
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
        self.live(|tokens| tokens.granted(&Part::default()).map(|one| one.renew(now)))
            .is_ok_and(|renew| renew.is_none_or(|renew| renew == Renew::Now))
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
            && tokens.answers() > known.answers()
        {
            *known = tokens;
            state.version = version;
        }
    }

    /// Whether there are later tokens here than those that were read. They are then to be written in place
    /// of that version.
    pub(crate) fn is_ahead_of(&self, read: &Tokens, version: u64) -> bool {
        let mut state = self.state();
        let ahead = matches!(&state.life, Life::Live(known) if known.answers() > read.answers());
        if ahead {
            state.version = version;
            state.unsaved = true;
        }
        ahead
    }

    /// Notes that the store has the tokens after so many answers.
    pub(crate) fn saved(&self, answers: u64, version: u64) {
        let mut state = self.state();
        if let Life::Live(tokens) = &state.life
            && tokens.answers() == answers
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
