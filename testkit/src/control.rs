//! Making the servers do what a test wants: faults, prescribed answers, keys, tokens, time.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::{Map, Value};
use tokio::sync::watch;

use crate::fault::Fault;
use crate::misbehaviour::{Document, Misbehaviour};
use crate::net::answer::Answer;
use crate::provider::logout;
use crate::record::Endpoint;
use crate::server::TestServer;
use crate::state::lock;

/// Faults and prescribed answers.
impl TestServer {
    /// Switches a fault on, until [`behave`](Self::behave).
    pub fn misbehave(&self, fault: impl Into<Fault>) {
        lock(&self.state.misbehaviour).switch_on(fault.into(), None);
    }

    /// Switches a fault on for the next `times` answers that it touches.
    pub fn misbehave_times(&self, fault: impl Into<Fault>, times: usize) {
        if times > 0 {
            lock(&self.state.misbehaviour).switch_on(fault.into(), Some(times));
        }
    }

    /// Switches all faults off, and forgets mutators, prescribed answers and holds.
    pub fn behave(&self) {
        *lock(&self.state.misbehaviour) = Misbehaviour::default();
    }

    /// Changes the header and the claims of every ID token before it is signed.
    pub fn mutate_id_token(
        &self,
        mutator: impl Fn(&mut Map<String, Value>, &mut Map<String, Value>) + Send + Sync + 'static,
    ) {
        lock(&self.state.misbehaviour).mutate_id_token(Arc::new(mutator));
    }

    /// Changes the header and the claims of every logout token before it is signed.
    pub fn mutate_logout_token(
        &self,
        mutator: impl Fn(&mut Map<String, Value>, &mut Map<String, Value>) + Send + Sync + 'static,
    ) {
        lock(&self.state.misbehaviour).mutate_logout_token(Arc::new(mutator));
    }

    /// Changes every successful token response.
    pub fn mutate_token_response(&self, mutator: impl Fn(&mut Value) + Send + Sync + 'static) {
        self.mutate(Document::Token, mutator);
    }

    /// Changes the metadata.
    pub fn mutate_metadata(&self, mutator: impl Fn(&mut Value) + Send + Sync + 'static) {
        self.mutate(Document::Metadata, mutator);
    }

    /// Changes every successful answer to a pushed authorization request.
    pub fn mutate_par_response(&self, mutator: impl Fn(&mut Value) + Send + Sync + 'static) {
        self.mutate(Document::Par, mutator);
    }

    /// Changes every answer about a registered client.
    pub fn mutate_registration_response(
        &self,
        mutator: impl Fn(&mut Value) + Send + Sync + 'static,
    ) {
        self.mutate(Document::Registration, mutator);
    }

    /// Changes the UserInfo claims, before they are signed where they are.
    pub fn mutate_userinfo(&self, mutator: impl Fn(&mut Value) + Send + Sync + 'static) {
        self.mutate(Document::UserInfo, mutator);
    }

    /// Changes the key set.
    pub fn mutate_jwks(&self, mutator: impl Fn(&mut Value) + Send + Sync + 'static) {
        self.mutate(Document::Jwks, mutator);
    }

    /// Changes the parameters of every authorization response.
    pub fn mutate_authorization_response(
        &self,
        mutator: impl Fn(&mut Vec<(String, String)>) + Send + Sync + 'static,
    ) {
        lock(&self.state.misbehaviour).mutate_authorization_response(Arc::new(mutator));
    }

    /// Prescribes the answer to the next request at an endpoint. Several queue up.
    pub fn answer_next(&self, endpoint: Endpoint, answer: Answer) {
        lock(&self.state.misbehaviour).queue(endpoint, answer);
    }

    /// Prescribes the answer to every request at an endpoint, until [`behave`](Self::behave).
    pub fn answer_always(&self, endpoint: Endpoint, answer: Answer) {
        lock(&self.state.misbehaviour).stand(endpoint, answer);
    }

    /// Lets requests to an endpoint wait, unprocessed, until the hold is released or dropped.
    ///
    /// ```
    /// # async fn example(server: fapi_testkit::TestServer) {
    /// use fapi_testkit::Endpoint;
    ///
    /// let hold = server.hold(Endpoint::Token);
    /// // ... start what is to be tested ...
    /// server.wait_for(Endpoint::Token, 1).await;
    /// // ... let more callers arrive, or the first one go away ...
    /// hold.release();
    /// # }
    /// ```
    #[must_use = "requests wait as long as the hold lives"]
    pub fn hold(&self, endpoint: Endpoint) -> Hold {
        let (release, released) = watch::channel(false);
        lock(&self.state.misbehaviour).hold(endpoint, released);
        Hold { release }
    }

    /// Cuts all connections, and every new one, until called with `false`.
    pub fn set_offline(&self, offline: bool) {
        self.state.offline.send_replace(offline);
    }

    fn mutate(&self, document: Document, mutator: impl Fn(&mut Value) + Send + Sync + 'static) {
        lock(&self.state.misbehaviour).mutate(document, Arc::new(mutator));
    }
}

/// Requests wait while this lives.
#[derive(Debug)]
pub struct Hold {
    release: watch::Sender<bool>,
}

impl Hold {
    /// Lets the requests go on.
    pub fn release(self) {
        self.release.send_replace(true);
    }
}

/// Keys, tokens, nonces and time.
impl TestServer {
    /// Signs with a new key under a new `kid` from now on. The old key stays in the key set.
    pub fn rotate_keys(&self) {
        lock(&self.state.keys).rotate(self.state.config.signing_algorithm);
    }

    /// Takes the keys that are no longer active out of the key set.
    pub fn retire_old_keys(&self) {
        lock(&self.state.keys).former.clear();
    }

    /// Puts keys into the key set, before the active one, that a client must pass over: with the
    /// same `kid` but of another kind or for another use, symmetric, unknown, malformed
    /// (SP-5.4.3, META-9, META-10).
    pub fn publish_decoy_keys(&self) {
        lock(&self.state.keys).decoys = true;
    }

    /// The `kid` of the key that signs.
    #[must_use]
    pub fn active_kid(&self) -> String {
        self.state.active_key().kid().to_owned()
    }

    /// Makes every access token that there is `invalid_token`. Refresh tokens stay good.
    pub fn revoke_access_tokens(&self) {
        for token in lock(&self.state.grants).access_tokens.values_mut() {
            token.revoked = true;
        }
    }

    /// Lets every access token that there is expire now.
    pub fn expire_access_tokens(&self) {
        let now = self.state.now();
        for token in lock(&self.state.grants).access_tokens.values_mut() {
            token.expires_at = now;
        }
    }

    /// Makes every refresh token that there is `invalid_grant`. Access tokens stay good.
    pub fn revoke_refresh_tokens(&self) {
        for token in lock(&self.state.grants).refresh_tokens.values_mut() {
            token.revoked = true;
        }
    }

    /// Takes back every grant with all its tokens, as a user does at the bank's site.
    pub fn revoke_grants(&self) {
        lock(&self.state.grants).revoke_all();
    }

    /// Whether a token that was issued, access or refresh, still lives.
    #[must_use]
    pub fn is_live(&self, token: &str) -> bool {
        let now = self.state.now();
        let grants = lock(&self.state.grants);
        let refresh = || {
            grants
                .refresh_tokens
                .get(token)
                .is_some_and(|token| !token.revoked && !grants.grant(token.grant).revoked)
        };
        grants.live(token, now).is_ok() || refresh()
    }

    /// Signs a logout token for a client, with a fresh `jti` and a life of two minutes (Back-Channel Logout
    /// 1.0 section 2.4). It names the user, the session, both, or, to be refused, neither. The test posts
    /// it to the client under test.
    #[must_use]
    pub fn logout_token(
        &self,
        client_id: &str,
        subject: Option<&str>,
        session_id: Option<&str>,
    ) -> String {
        logout::token(&self.state, client_id, subject, session_id)
    }

    /// The `sid` of the last login of a user at a client, as its ID tokens have it.
    #[must_use]
    pub fn sid_of(&self, client_id: &str, user: &str) -> Option<String> {
        lock(&self.state.grants).sid_of(client_id, user)
    }

    /// Forgets all DPoP nonces, so that every client is challenged again.
    pub fn rotate_nonces(&self) {
        lock(&self.state.nonces).forget();
    }

    /// The servers believe, and say in `Date`, that it is that many seconds later than the clock
    /// shows; earlier, if negative.
    pub fn set_clock_offset(&self, seconds: i64) {
        self.state.clock_offset.store(seconds, Ordering::SeqCst);
    }
}
