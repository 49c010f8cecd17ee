//! FAPI 2.0 as data: the algorithms, lifetimes, sizes and limits that every room keeps to.
//!
//! Nothing here can be widened by a setting. Where a value is a choice within what the
//! specification allows, the reason stands beside it.

use std::fmt;
use std::time::Duration;

/// A signature algorithm that FAPI 2.0 allows (Security Profile 5.4.1).
///
/// There is no `RS256`, no `HS256` and no `none`: a JWT signed with anything else is refused, and
/// nothing else can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// RSASSA-PSS with SHA-256, keys of 2048 bits or more.
    Ps256,
    /// Ed25519, named `EdDSA` on the wire; `Ed25519` (RFC 9864) is understood as well.
    EdDsa,
}

impl Algorithm {
    /// Every algorithm, in the order in which this crate prefers them.
    pub const ALL: [Self; 3] = [Self::Es256, Self::Ps256, Self::EdDsa];

    /// The name in a JOSE header and in metadata.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Ps256 => "PS256",
            Self::EdDsa => "EdDSA",
        }
    }

    /// Reads the name in a JOSE header or in metadata. Names are compared to the letter, so that
    /// `nOnE` and `es256` are as unknown as `RS256`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "ES256" => Some(Self::Es256),
            "PS256" => Some(Self::Ps256),
            "EdDSA" | "Ed25519" => Some(Self::EdDsa),
            _ => None,
        }
    }

    /// The name under which a server knows the algorithm: Ed25519 has two, and `EdDSA` is the one to
    /// use unless only the other is listed (OP-2).
    pub(crate) fn name_among(self, names: &[String]) -> &'static str {
        let listed = |name: &str| names.iter().any(|one| one == name);
        match self {
            Self::EdDsa if listed("Ed25519") && !listed("EdDSA") => "Ed25519",
            _ => self.name(),
        }
    }

    /// Whether a list of metadata names this algorithm, under any of its names.
    pub(crate) fn is_in(self, names: &[String]) -> bool {
        names.iter().any(|name| Self::from_name(name) == Some(self))
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// SP-5.4.1-2: the smallest RSA key, ours or a server's, in bits.
pub(crate) const RSA_MIN_BITS: usize = 2048;
/// The largest RSA key of a server's that is tried; beyond it a verification is a burden.
pub(crate) const RSA_MAX_BITS: usize = 4096;

/// K-5, SP-5.4.1-4: random values carry 256 bits.
pub(crate) const RANDOM_BYTES: usize = 32;
/// SP-5.3.3.2-7: the longest `nonce` of an authentication request, in characters.
pub(crate) const NONCE_MAX_CHARS: usize = 64;

/// K-6: how long a client assertion lives.
pub(crate) const ASSERTION_LIFE: Duration = Duration::from_secs(60);
/// How long a login may take, from the pushed request to the callback. The `expires_in` of the
/// pushed request bounds only how long its URL may be handed out (K-9).
pub(crate) const TRANSACTION_LIFE: Duration = Duration::from_secs(15 * 60);
/// K-9: from here on a `request_uri` lives longer than the specification lets it.
pub(crate) const REQUEST_URI_LIFE_LIMIT: Duration = Duration::from_secs(600);

/// K-8: how far ahead of our clock an `iat` may lie.
pub(crate) const CLOCK_TOLERANCE_AHEAD: i64 = 30;
/// K-8: how long after its `exp` a token is still taken.
pub(crate) const CLOCK_TOLERANCE_EXPIRED: i64 = 30;
/// IDT-10: the age at which an ID token of the code flow is too old to be an answer to our request.
pub(crate) const ID_TOKEN_MAX_AGE: i64 = 600;
/// The age at which a logout token is too old. A captured one is of no use beyond it, however long its
/// `exp` says that it lives.
pub(crate) const LOGOUT_TOKEN_MAX_AGE: i64 = 600;
/// The longest `jti` of a logout token, in bytes: each is kept until the token is too old.
pub(crate) const LOGOUT_TOKEN_ID_MAX_BYTES: usize = 255;
/// The most by which the learned clock offset may move our clock, in seconds.
pub(crate) const CLOCK_OFFSET_LIMIT: i64 = 600;
/// An offset smaller than this, in seconds, is the network's doing and is not learned.
pub(crate) const CLOCK_OFFSET_FLOOR: i64 = 5;

/// How long before its end an access token is renewed, so that it does not die on the way.
pub(crate) const REFRESH_AHEAD: i64 = 30;

/// K-16: the largest metadata document.
pub(crate) const METADATA_MAX_BYTES: usize = 256 * 1024;
/// K-16: the largest key set.
pub(crate) const JWKS_MAX_BYTES: usize = 256 * 1024;
/// The most keys that are read out of a key set.
pub(crate) const JWKS_MAX_KEYS: usize = 100;
/// The most keys that are tried on one signature (SP-5.4.3).
pub(crate) const JWKS_MAX_TRIES: usize = 8;
/// K-16: the largest answer of any other endpoint of an authorization server.
pub(crate) const ANSWER_MAX_BYTES: usize = 256 * 1024;
/// The largest compact JWT.
pub(crate) const JWT_MAX_BYTES: usize = 64 * 1024;
/// The largest callback: a redirect's URL or a posted form.
pub(crate) const CALLBACK_MAX_BYTES: usize = 32 * 1024;
/// The largest request to the program's logout endpoint: the largest JWT, and room for parameters that
/// nobody here knows.
pub(crate) const LOGOUT_REQUEST_MAX_BYTES: usize = JWT_MAX_BYTES + 16 * 1024;
/// The largest answer of an API, unless the caller raises it.
pub(crate) const API_MAX_BYTES: usize = 4 * 1024 * 1024;
/// The longest DPoP nonce that is kept.
pub(crate) const DPOP_NONCE_MAX_CHARS: usize = 512;

/// K-16: how long one request to an authorization server may take in all.
pub(crate) const AS_TIMEOUT: Duration = Duration::from_secs(20);
/// How long one request to an API may take in all, unless the caller says otherwise.
pub(crate) const API_TIMEOUT: Duration = Duration::from_secs(60);

/// The longest wait that a server's `Retry-After` is taken for.
pub(crate) const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// META-8: the shortest time for which a metadata document or a key set is kept.
pub(crate) const CACHE_MIN: Duration = Duration::from_secs(5 * 60);
/// META-8: the longest time for which a metadata document or a key set is kept unasked.
pub(crate) const CACHE_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// META-8: how long one is kept where the server does not say.
pub(crate) const CACHE_DEFAULT: Duration = Duration::from_secs(60 * 60);
/// META-9: how often an unknown `kid` may cause a key set to be fetched anew.
pub(crate) const JWKS_REFETCH_EVERY: i64 = 60;
