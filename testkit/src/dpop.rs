//! Checking DPoP proofs (RFC 9449), and the nonces that they must bring.

use std::collections::VecDeque;

use http::{HeaderName, HeaderValue, StatusCode, header};
use serde_json::json;

use crate::fault::NonceFault;
use crate::jose::{Unverified, sha256, thumbprint};
use crate::random;
use crate::record::Request;
use crate::reply::{Refusal, Reply, challenge};
use crate::state::{State, lock};

/// How far a proof's `iat` may lie back, in seconds.
const MAX_AGE: i64 = 60;
/// How far it may lie ahead (SP-5.3.2.1-13).
pub(crate) const MAX_AHEAD: i64 = 10;

/// Nonces that proofs must bring (RFC 9449 sections 8 and 9).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Nonces {
    /// A nonce is demanded. It stays the same until
    /// [`TestServer::rotate_nonces`](crate::TestServer::rotate_nonces), and it is told in
    /// challenges alone.
    #[default]
    Required,
    /// A nonce is demanded, and every answer brings a new one. The last 16 are good.
    Rotating,
    /// A nonce is demanded, every answer brings a new one, and each is good for one request.
    SingleUse,
    /// None is demanded, and a proof that brings one is refused.
    Off,
}

/// A role that takes proofs. Each has nonces of its own (DPOP-nsep).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The authorization server's PAR and token endpoints.
    Provider,
    /// UserInfo: a protected resource at the authorization server's origin.
    UserInfo,
    /// The resource server.
    Api,
}

/// The nonces of all roles.
pub(crate) struct NoncePools {
    provider: Pool,
    userinfo: Pool,
    api: Pool,
}

impl NoncePools {
    pub(crate) fn new(provider: Nonces, api: Nonces) -> Self {
        Self {
            provider: Pool::new(provider),
            userinfo: Pool::new(provider),
            api: Pool::new(api),
        }
    }

    fn of(&mut self, role: Role) -> &mut Pool {
        match role {
            Role::Provider => &mut self.provider,
            Role::UserInfo => &mut self.userinfo,
            Role::Api => &mut self.api,
        }
    }

    /// Forgets all nonces, so that every client is challenged again.
    pub(crate) fn forget(&mut self) {
        for pool in [&mut self.provider, &mut self.userinfo, &mut self.api] {
            pool.good.clear();
        }
    }

    /// The nonce that an answer brings although nobody asked, if the policy has it so.
    pub(crate) fn unasked(&mut self, role: Role) -> Option<String> {
        let pool = self.of(role);
        matches!(pool.policy, Nonces::Rotating | Nonces::SingleUse).then(|| pool.next())
    }

    fn known_elsewhere(&self, role: Role, nonce: &str) -> bool {
        let pools = [
            (Role::Provider, &self.provider),
            (Role::UserInfo, &self.userinfo),
            (Role::Api, &self.api),
        ];
        pools
            .iter()
            .any(|(other, pool)| *other != role && pool.good.iter().any(|n| n == nonce))
    }
}

struct Pool {
    policy: Nonces,
    good: VecDeque<String>,
}

impl Pool {
    fn new(policy: Nonces) -> Self {
        Self {
            policy,
            good: VecDeque::new(),
        }
    }

    /// The nonce to demand.
    fn next(&mut self) -> String {
        if let (Nonces::Required, Some(nonce)) = (self.policy, self.good.front()) {
            return nonce.clone();
        }
        let nonce = random::token();
        self.good.push_back(nonce.clone());
        if self.policy == Nonces::Rotating && self.good.len() > 16 {
            self.good.pop_front();
        }
        nonce
    }

    fn takes(&mut self, nonce: &str) -> bool {
        let found = self.good.iter().position(|good| good == nonce);
        if let (Some(at), Nonces::SingleUse) = (found, self.policy) {
            self.good.remove(at);
        }
        found.is_some()
    }
}

/// A proof that holds.
pub(crate) struct Proof {
    /// The thumbprint of its key.
    pub(crate) jkt: String,
}

/// Checks the proof of a request in full (RFC 9449 section 4.3).
///
/// `access_token` is the token that came along: its hash must be in the proof, and where there is
/// none, the hash must not be there (DPOP-ath).
pub(crate) fn check(
    state: &State,
    request: &Request,
    role: Role,
    access_token: Option<&str>,
) -> Result<Proof, Refusal> {
    let status = match role {
        Role::Provider => StatusCode::BAD_REQUEST,
        Role::UserInfo | Role::Api => StatusCode::UNAUTHORIZED,
    };
    let (proof, nonce) = sound(state, request, access_token).map_err(|reason| {
        Refusal::new(
            status,
            "invalid_dpop_proof",
            format!("DPoP proof: {reason}"),
        )
    })?;
    let demand = |reason: &str, fault| demand(state, role, status, nonce.as_deref(), fault, reason);
    if let Some(fault) = state.nonce_fault(request.endpoint) {
        return Err(demand("another nonce is demanded on command", Some(fault)));
    }
    let mut pools = lock(&state.nonces);
    let elsewhere = nonce
        .as_ref()
        .is_some_and(|nonce| pools.known_elsewhere(role, nonce));
    let pool = pools.of(role);
    let verdict = match (&nonce, pool.policy) {
        (None, Nonces::Off) => Ok(()),
        (Some(_), Nonces::Off) => Err("a nonce that this role never gave"),
        (None, _) => Err("a nonce is demanded"),
        (Some(nonce), _) if pool.takes(nonce) => Ok(()),
        (Some(_), _) if elsewhere => Err("the nonce is another role's"),
        (Some(_), _) => Err("the nonce is not, or no longer, good"),
    };
    let off = pool.policy == Nonces::Off;
    drop(pools);
    match verdict {
        Ok(()) => Ok(proof),
        Err(reason) if off => Err(Refusal::new(
            status,
            "invalid_dpop_proof",
            format!("DPoP proof: {reason}"),
        )),
        Err(reason) => Err(demand(reason, None)),
    }
}

/// Everything but the nonce, which is returned.
fn sound(
    state: &State,
    request: &Request,
    access_token: Option<&str>,
) -> Result<(Proof, Option<String>), String> {
    // DPOP-4.1: one header, and in it one proof.
    let mut headers = request.headers.get_all("dpop").iter();
    let (Some(compact), None) = (headers.next(), headers.next()) else {
        return Err("there is not exactly one DPoP header".to_owned());
    };
    let jwt = Unverified::parse(compact.to_str().map_err(|_| "not ASCII")?)?;
    if jwt.header.get("typ") != Some(&json!("dpop+jwt")) {
        return Err("`typ` is not `dpop+jwt`".to_owned());
    }
    let jwk = jwt.header.get("jwk").ok_or("the header has no `jwk`")?;
    jwt.verify(jwk)?;
    let jkt = thumbprint(jwk)?;

    let jti = jwt.text("jti")?;
    // DPOP-4.2b: 96 random bits are 16 characters of base64url.
    if jti.len() < 16 {
        return Err("`jti` is too short to be unique".to_owned());
    }
    if jwt.text("htm")? != request.method.as_str() {
        return Err("`htm` is another method".to_owned());
    }
    // DPOP-htu: exactly what was called, without query and fragment.
    let htu = format!("https://{}{}", request.authority, request.path());
    if jwt.text("htu")? != htu {
        return Err(format!("`htu` is not {htu}"));
    }
    let (iat, now) = (jwt.date("iat")?, state.now());
    if iat > now + MAX_AHEAD || iat < now - MAX_AGE {
        return Err(format!("`iat` is {} s from the server's time", iat - now));
    }
    match (access_token, jwt.claims.get("ath")) {
        (None, None) => {}
        (None, Some(_)) => return Err("`ath` where there is no access token".to_owned()),
        (Some(token), _) => {
            if jwt.text("ath")? != sha256(token.as_bytes()) {
                return Err("`ath` is not the access token's hash".to_owned());
            }
        }
    }
    let nonce = match jwt.claims.get("nonce") {
        None => None,
        Some(_) => Some(jwt.text("nonce")?.to_owned()),
    };
    // Last, so that a proof that fails otherwise is not used up.
    if !state.first_use(&jkt, jti) {
        return Err("`jti` has been used before".to_owned());
    }
    Ok((Proof { jkt }, nonce))
}

/// A challenge that demands a nonce: 400 with a JSON error at the authorization server, 401 with
/// `WWW-Authenticate` at a protected resource.
fn demand(
    state: &State,
    role: Role,
    status: StatusCode,
    previous: Option<&str>,
    fault: Option<NonceFault>,
    reason: &str,
) -> Refusal {
    const ERROR: &str = "use_dpop_nonce";
    let status = match (fault, role) {
        (Some(NonceFault::OtherStatus), Role::Provider) => StatusCode::UNAUTHORIZED,
        (Some(NonceFault::OtherStatus), _) => StatusCode::BAD_REQUEST,
        _ => status,
    };
    let mut reply = Reply::json(
        status,
        &json!({"error": ERROR, "error_description": reason}),
    );
    if role != Role::Provider && fault != Some(NonceFault::InBody) {
        reply.body = bytes::Bytes::new();
        reply.headers.remove(header::CONTENT_TYPE);
        reply = reply.with(header::WWW_AUTHENTICATE, &challenge("DPoP", ERROR, reason));
    }
    let nonce = match fault {
        // With a storm even `Required` gives another one each time.
        Some(NonceFault::Always) => {
            let mut pools = lock(&state.nonces);
            let pool = pools.of(role);
            pool.good.clear();
            pool.next()
        }
        _ => lock(&state.nonces).of(role).next(),
    };
    let nonces = match fault {
        Some(NonceFault::MissingHeader) => vec![],
        Some(NonceFault::TwoHeaders) => vec![nonce, random::token()],
        Some(NonceFault::Malformed) => vec!["white space and \"quotes\"".to_owned()],
        Some(NonceFault::Empty) => vec![String::new()],
        Some(NonceFault::Oversized) => vec!["n".repeat(4 * 1024)],
        Some(NonceFault::Same) => vec![previous.map_or(nonce, str::to_owned)],
        _ => vec![nonce],
    };
    for nonce in nonces {
        if let Ok(value) = HeaderValue::from_str(&nonce) {
            reply.headers.append(NONCE, value);
        }
    }
    Refusal {
        reply: Some(Box::new(reply)),
        ..Refusal::new(status, ERROR, reason)
    }
}

/// The header that brings a nonce.
pub(crate) const NONCE: HeaderName = HeaderName::from_static("dpop-nonce");
