//! What the authorization server has given out, and what became of it.

use std::collections::HashMap;

use serde_json::Value;

use crate::form::Form;
use crate::random;

/// A pushed authorization request.
#[derive(Clone)]
pub(crate) struct Pushed {
    pub(crate) client_id: String,
    pub(crate) form: Form,
    pub(crate) jkt: Option<String>,
    pub(crate) expires_at: i64,
    pub(crate) used: bool,
}

/// A user who has signed in at a browser.
#[derive(Clone)]
pub(crate) struct SignedIn {
    pub(crate) user: String,
    pub(crate) auth_time: i64,
    pub(crate) acr: String,
}

/// What a user, or the client for itself, was granted.
#[derive(Clone)]
pub(crate) struct Grant {
    pub(crate) client_id: String,
    pub(crate) subject: String,
    pub(crate) scope: Vec<String>,
    pub(crate) details: Option<Value>,
    pub(crate) resources: Vec<String>,
    pub(crate) nonce: Option<String>,
    /// The sign-in behind it; none for the client's own grant.
    pub(crate) signed_in: Option<SignedIn>,
    pub(crate) acr_asked: bool,
    pub(crate) sid: String,
    pub(crate) revoked: bool,
}

pub(crate) struct Code {
    pub(crate) grant: usize,
    pub(crate) redirect_uri: String,
    pub(crate) challenge: String,
    pub(crate) jkt: Option<String>,
    pub(crate) expires_at: i64,
    pub(crate) used: bool,
}

/// What an access token is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Binding {
    /// The key of DPoP proofs, by its thumbprint.
    Key(String),
    /// The client's certificate, by its thumbprint.
    Certificate(String),
}

impl Binding {
    /// The scheme under which the token comes, and `token_type`.
    pub(crate) const fn scheme(&self) -> &'static str {
        match self {
            Self::Key(_) => "DPoP",
            Self::Certificate(_) => "Bearer",
        }
    }

    /// The claim `cnf`.
    pub(crate) fn cnf(&self) -> Value {
        match self {
            Self::Key(thumbprint) => serde_json::json!({"jkt": thumbprint}),
            Self::Certificate(thumbprint) => serde_json::json!({"x5t#S256": thumbprint}),
        }
    }
}

#[derive(Clone)]
pub(crate) struct AccessToken {
    pub(crate) grant: usize,
    pub(crate) binding: Binding,
    pub(crate) scope: Vec<String>,
    pub(crate) resources: Vec<String>,
    pub(crate) expires_at: i64,
    pub(crate) revoked: bool,
}

pub(crate) struct RefreshToken {
    pub(crate) grant: usize,
    pub(crate) used: bool,
    pub(crate) revoked: bool,
    /// The token that took its place, and when.
    pub(crate) successor: Option<(String, i64)>,
}

#[derive(Default)]
pub(crate) struct Grants {
    pub(crate) pushed: HashMap<String, Pushed>,
    /// Consent pages that are open, by their identifier: the `request_uri` of each.
    pub(crate) pages: HashMap<String, String>,
    /// Browsers that are signed in, by their cookie.
    pub(crate) browsers: HashMap<String, SignedIn>,
    pub(crate) codes: HashMap<String, Code>,
    pub(crate) access_tokens: HashMap<String, AccessToken>,
    pub(crate) refresh_tokens: HashMap<String, RefreshToken>,
    given: Vec<Grant>,
}

impl Grants {
    pub(crate) fn add(&mut self, grant: Grant) -> usize {
        self.given.push(grant);
        self.given.len() - 1
    }

    pub(crate) fn grant(&self, id: usize) -> &Grant {
        &self.given[id]
    }

    /// The session of the last login of a user at a client.
    pub(crate) fn sid_of(&self, client_id: &str, user: &str) -> Option<String> {
        let login = |grant: &&Grant| {
            grant.signed_in.is_some() && grant.client_id == client_id && grant.subject == user
        };
        self.given
            .iter()
            .rev()
            .find(login)
            .map(|grant| grant.sid.clone())
    }

    /// Revokes a grant with all its tokens.
    pub(crate) fn revoke(&mut self, id: usize) {
        self.given[id].revoked = true;
    }

    /// Revokes every grant that there is.
    pub(crate) fn revoke_all(&mut self) {
        self.given.iter_mut().for_each(|grant| grant.revoked = true);
    }

    /// Revokes what a client was given.
    pub(crate) fn revoke_client(&mut self, client_id: &str) {
        let its = |grant: &&mut Grant| grant.client_id == client_id;
        let grants = self.given.iter_mut().filter(its);
        grants.for_each(|grant| grant.revoked = true);
    }

    /// An access token that lives, with the grant behind it; else the reason why it does not.
    pub(crate) fn live(
        &self,
        token: &str,
        now: i64,
    ) -> Result<(&AccessToken, &Grant), &'static str> {
        let token = self
            .access_tokens
            .get(token)
            .ok_or("an access token that nobody issued")?;
        let grant = self.grant(token.grant);
        if token.revoked || grant.revoked {
            return Err("the access token is revoked");
        }
        if now >= token.expires_at {
            return Err("the access token has expired");
        }
        Ok((token, grant))
    }

    pub(crate) fn new_access_token(&mut self, token: AccessToken) -> String {
        let name = random::token();
        self.access_tokens.insert(name.clone(), token);
        name
    }

    pub(crate) fn new_refresh_token(&mut self, grant: usize) -> String {
        let name = random::token();
        let token = RefreshToken {
            grant,
            used: false,
            revoked: false,
            successor: None,
        };
        self.refresh_tokens.insert(name.clone(), token);
        name
    }
}
