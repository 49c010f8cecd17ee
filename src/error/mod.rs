//! What can go wrong, split by who is at fault, so that a caller knows what to do.
//!
//! No error holds a token, a code, an assertion, a verifier or a query string, and what a server
//! wrote in words (`error_description`) is never part of `Debug` or `Display`.

mod config;
mod denied;
mod logout;
mod native;
mod store;
mod transport;
mod violation;

use std::fmt;

pub use config::{ConfigError, Finding, Preflight, Rule, Severity};
pub(crate) use denied::is_plain_word;
pub use denied::{ApiFailure, Denied, OAuthError, SignInAgain, StepUp};
pub use logout::LogoutRequestFault;
pub use native::NativeError;
pub use store::StoreError;
pub use transport::{TransportError, TransportFault};
pub use violation::{Endpoint, JwtFault, JwtKind, NonceFault, Violation};

/// What went wrong.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Ours to fix: a setting, a key or a call that can't be right.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The server, or an attacker in its place, broke a rule. Stop; trying again does not help.
    #[error(transparent)]
    Violation(#[from] Violation),
    /// The authorization server said no, or the user did.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The API wants the user to authenticate anew, in the manner that the value tells (RFC 9470).
    #[error(transparent)]
    StepUp(#[from] StepUp),
    /// The session is over. The user has to sign in again.
    #[error(transparent)]
    SignInAgain(#[from] SignInAgain),
    /// The API answered with a status that is not a success.
    #[error(transparent)]
    Api(#[from] ApiFailure),
    /// The request has to be sent again, and its body can't be.
    #[error(transparent)]
    NotReplayable(Box<NotReplayable>),
    /// The network or the server failed. Sessions and tokens are kept; a later try may work.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A key failed.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A login on the user's own device did not come to its end.
    #[error(transparent)]
    Native(#[from] NativeError),
}

impl Error {
    /// A stable name for this error, for logs, metrics and other languages.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Config(error) => error.code(),
            Self::Violation(error) => error.code(),
            Self::Denied(error) => error.code(),
            Self::StepUp(_) => "step_up",
            Self::SignInAgain(error) => error.code(),
            Self::Api(_) => "api",
            Self::NotReplayable(_) => "not_replayable",
            Self::Transport(error) => error.code(),
            Self::Store(error) => error.code(),
            Self::Key(error) => error.code(),
            Self::Native(error) => error.code(),
        }
    }

    /// Whether the same call, made again later, may succeed.
    ///
    /// It says nothing about what the first one did: see [`may_have_acted`](Self::may_have_acted). After
    /// [`Client::finish_login`](crate::Client::finish_login) it is a new login that may succeed, since
    /// a code is redeemed once.
    #[must_use]
    pub fn retry_may_help(&self) -> bool {
        match self {
            Self::Transport(error) => error.retry_may_help(),
            Self::Store(error) => error.retry_may_help(),
            Self::Key(error) => error.retry_may_help(),
            Self::Native(error) => error.retry_may_help(),
            Self::Denied(Denied::Server(error)) => error.is_temporary(),
            Self::Api(failure) => failure.is_temporary(),
            _ => false,
        }
    }

    /// Whether the request may have been acted on though no answer to it came. A payment is not made
    /// again after such an error before it is known what became of the first one.
    #[must_use]
    pub const fn may_have_acted(&self) -> bool {
        match self {
            Self::Transport(error) => error.may_have_acted(),
            _ => false,
        }
    }

    /// The rule that was broken, where one was.
    #[must_use]
    pub fn violation(&self) -> Option<&Violation> {
        match self {
            Self::Violation(violation) => Some(violation),
            _ => None,
        }
    }
}

impl From<NotReplayable> for Error {
    fn from(error: NotReplayable) -> Self {
        Self::NotReplayable(Box::new(error))
    }
}

/// A request had to be sent again, and its body was a stream that is spent.
///
/// Make the stream anew and send the request once more: what the server taught (its nonce, a fresh
/// token) is known by then.
#[derive(Clone, thiserror::Error)]
#[error(
    "the API wants the request again ({reason}) and its body can't be replayed; make the body anew and send once more (RFC 9449 section 9)"
)]
#[non_exhaustive]
pub struct NotReplayable {
    /// Why the request would have to go out again: `nonce`, `clock` or `token`.
    pub reason: &'static str,
    /// The answer as it came: status, headers and body.
    pub response: http::Response<bytes::Bytes>,
}

impl fmt::Debug for NotReplayable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("NotReplayable")
            .field("reason", &self.reason)
            .field("status", &self.response.status())
            .finish_non_exhaustive()
    }
}

/// A key could not be read, or did not sign.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The key can't be read. A private key is PEM (PKCS#8, SEC1 or PKCS#1) or a private JWK; a
    /// public one is PEM (SPKI) or a JWK without private members.
    #[error("the key can't be read: {0}")]
    Malformed(&'static str),
    /// The key is of a kind that FAPI 2.0 does not allow.
    #[error("FAPI 2.0 allows P-256, Ed25519 and RSA keys alone, this is {0} (FAPI2-SP 5.4.1-1)")]
    Unsupported(&'static str),
    /// The RSA key is too short.
    #[error("an RSA key has at least 2048 bits, this one has {bits} (FAPI2-SP 5.4.1-2)")]
    TooShort {
        /// The length of its modulus in bits.
        bits: usize,
    },
    /// What the private half signs, the public half does not verify: they don't belong together, or
    /// a signer of yours hashes twice or salts in another way.
    #[error("the public and the private half of the key don't belong together")]
    Mismatch,
    /// Two keys of one set have the same `kid`.
    #[error("two keys of the set have the kid {kid:?} (FAPI2-SP 5.4.2-3)")]
    DuplicateKeyId {
        /// The `kid` they share.
        kid: String,
    },
    /// The set holds no key of that `kid`.
    #[error("the set holds no key of the kid {kid:?}")]
    NoSuchKey {
        /// The `kid` asked for.
        kid: String,
    },
    /// The set has only the public half of that key, which can't sign.
    #[error("the set has only the public half of the key {kid:?}, which can't sign")]
    PublicOnly {
        /// The `kid` of the key.
        kid: String,
    },
    /// The active key can't be removed.
    #[error("the key {kid:?} is the active one; activate another before it is removed")]
    Active {
        /// The `kid` of the key.
        kid: String,
    },
    /// The signer answered with something that is no signature of its algorithm (spec CA-9).
    #[error(
        "the signer's answer is no {algorithm} signature; ECDSA signatures are r and s, 64 bytes, not DER"
    )]
    Signature {
        /// The algorithm it declares.
        algorithm: crate::profile::Algorithm,
    },
    /// A key store has a key of that name already.
    #[error("the key store has a key named {name:?} already; open it, or delete it first")]
    Exists {
        /// The name.
        name: String,
    },
    /// A key store has no key of that name: it was deleted, or belongs to another device.
    #[error(
        "the key store has no key named {name:?}; make a new one, and register it or sign in again"
    )]
    Missing {
        /// The name.
        name: String,
    },
    /// A name for a key that no key store takes.
    #[error("a key's name is 1 to 64 letters, digits, '-', '_' and '.', not {0:?}")]
    Name(String),
    /// The key store makes no keys of that algorithm.
    #[error("this key store makes no {0} keys")]
    StoreLacks(crate::profile::Algorithm),
    /// The token or the store of the keys is not there: pulled out, or never plugged in.
    #[error("the key store is not there ({0}); plug it in, then try again")]
    Absent(&'static str),
    /// The key store wants a PIN and refused the one it got, or has locked itself.
    #[error("the key store refused the PIN: {0}")]
    Pin(&'static str),
    /// The library by which the key store is reached can't be used: a setting is wrong, or a package is
    /// not installed.
    #[error("the PKCS#11 module {path:?} can't be used: {reason}")]
    Module {
        /// The file, as it was named.
        path: String,
        /// What is wrong with it, in the system's words.
        reason: String,
    },
    /// The store behind the key store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The signer refused or failed for good.
    #[error("the signer refused: {0}")]
    Refused(String),
    /// The signer can't be reached now.
    #[error("the signer can't be reached; try again")]
    Unavailable,
    /// There is no cryptography to sign with.
    #[error("no cryptography: turn on the feature `aws-lc` or `ring`, or hand over a provider")]
    NoCryptoProvider,
    /// The provider lacks an algorithm of FAPI 2.0.
    #[error("the cryptography provider does not offer {0}")]
    ProviderLacks(&'static str),
    /// The operating system gave no randomness.
    #[error("the operating system gave no randomness")]
    Randomness,
}

impl KeyError {
    /// A stable name for this error.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "key.malformed",
            Self::Unsupported(_) => "key.unsupported",
            Self::TooShort { .. } => "key.too_short",
            Self::Mismatch => "key.mismatch",
            Self::DuplicateKeyId { .. } => "key.duplicate_kid",
            Self::NoSuchKey { .. } => "key.no_such_key",
            Self::PublicOnly { .. } => "key.public_only",
            Self::Active { .. } => "key.active",
            Self::Signature { .. } => "key.signature",
            Self::Exists { .. } => "key.exists",
            Self::Missing { .. } => "key.missing",
            Self::Name(_) => "key.name",
            Self::StoreLacks(_) => "key.store_lacks",
            Self::Absent(_) => "key.absent",
            Self::Pin(_) => "key.pin",
            Self::Module { .. } => "key.module",
            Self::Store(error) => error.code(),
            Self::Refused(_) => "key.refused",
            Self::Unavailable => "key.unavailable",
            Self::NoCryptoProvider => "key.no_crypto_provider",
            Self::ProviderLacks(_) => "key.provider_lacks",
            Self::Randomness => "key.randomness",
        }
    }

    /// Whether the same call, made again later, may succeed.
    #[must_use]
    pub const fn retry_may_help(&self) -> bool {
        match self {
            Self::Unavailable | Self::Absent(_) => true,
            Self::Store(error) => error.retry_may_help(),
            _ => false,
        }
    }
}
