//! What a store can fail with.

/// A store failed.
///
/// What a store of your own answers with: [`Unavailable`](Self::Unavailable) for what may pass by
/// itself, and the variant that says what to do for what will not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no session of that id.
    #[error("there is no session of that id; the user has to sign in")]
    NoSuchSession,
    /// The store holds as many logins as it may.
    #[error(
        "too many logins are under way; try again in a while, and guard the page that begins them"
    )]
    Full,
    /// The store did not answer.
    #[error("the store did not answer; try again")]
    Unavailable,
    /// A record of that name is there already.
    #[error("a record of that name is there already")]
    Exists,
    /// Another version of the record is there, or none: somebody else has written. Read again.
    #[error("the record has changed meanwhile; read it again")]
    Conflict,
    /// A later holder of the lock has written already.
    #[error("a later holder of the lock has written; this one came too late")]
    Fenced,
    /// Somebody else holds the lock, and did not let go in time.
    #[error("another process holds the lock of this session; try again")]
    Locked,
    /// The lock was not renewed in time and may be somebody else's.
    #[error("the lock was lost; read again and begin anew")]
    LeaseLost,
    /// The disk, or what is allotted of it, is full.
    #[error("there is no space left where the store writes; make room, nothing was lost")]
    NoSpace,
    /// The store may not write there, or not read.
    #[error("the store may not {action} {path:?}: check who owns it and how it is mounted")]
    NotPermitted {
        /// `read` or `write`.
        action: &'static str,
        /// The file or folder.
        path: std::path::PathBuf,
    },
    /// Others may read the folder of the store, or the file of its key.
    #[error("{path:?} may be read or written by others; run `chmod go=` on it")]
    TooOpen {
        /// The folder or file.
        path: std::path::PathBuf,
    },
    /// A path that can't be the folder of a store.
    #[error("{path:?} can't hold a store: {reason}")]
    Path {
        /// The path.
        path: std::path::PathBuf,
        /// Why.
        reason: &'static str,
    },
    /// What is there was not written by this crate.
    #[error(
        "the record was not written by fapi-client; it is left as it is: name another folder or prefix"
    )]
    Foreign,
    /// What is there ends too early.
    #[error("the record ends too early; it is left as it is, and the user has to sign in")]
    Truncated,
    /// What is there has a format that this version does not know.
    #[error("the record has format {0}, which this version does not know; use a newer fapi-client")]
    UnknownFormat(u8),
    /// What is there was sealed with a key that is not among those given.
    #[error(
        "the record is sealed with the key {0:?}, which is not among the sealing keys: add it with and_former, or the user signs in again"
    )]
    UnknownSealingKey(String),
    /// What is there was altered, moved from another record's place, or sealed with another key of the
    /// same id.
    #[error(
        "the record was altered, moved, or sealed with another key of that id: find out who writes to the store; the user has to sign in"
    )]
    NotAuthentic,
    /// What is there can be opened and not be understood.
    #[error("the record can't be read ({0}); the user has to sign in")]
    Malformed(&'static str),
    /// A sealing key is 32 bytes.
    #[error("a sealing key is 32 bytes, or 43 characters of base64url")]
    SealingKey,
    /// The id of a sealing key has other characters, or too many.
    #[error("the id of a sealing key is 1 to 64 letters, digits, '-', '_' and '.'")]
    SealingKeyId,
    /// The passphrase is not the one that the store was made with.
    #[error(
        "the passphrase is not the one that this store was made with: try again, or begin with an empty folder and sign in"
    )]
    Passphrase,
    /// The operating system gave no randomness.
    #[error("the operating system gave no randomness")]
    Randomness,
    /// There is no keyring: a machine without a desktop session, a container.
    #[error(
        "this machine has no keyring that can be used ({0}); start one, or choose another store (files with a passphrase)"
    )]
    NoKeyring(&'static str),
    /// The keyring is locked and was not unlocked.
    #[error("the keyring is locked; unlock it and try again")]
    KeyringLocked,
    /// The keyring did not answer in time, for instance since it waits for somebody to unlock it.
    #[error("the keyring did not answer within {0} s; unlock it and try again")]
    KeyringTimeout(u64),
    /// The keyring failed.
    #[error("the keyring failed: {0}")]
    Keyring(&'static str),
    /// The store refused who we say we are.
    #[error("the store refused the name or the password of this client")]
    Credentials,
    /// A setting of the store can't be right.
    #[error("the store's setting can't be right: {0}")]
    Setting(String),
    /// The call needs a tokio runtime and found none.
    #[error("this call needs a running tokio runtime")]
    NoRuntime,
}

impl StoreError {
    /// A stable name for this error.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoSuchSession => "store.no_such_session",
            Self::Full => "store.full",
            Self::Unavailable => "store.unavailable",
            Self::Exists => "store.exists",
            Self::Conflict => "store.conflict",
            Self::Fenced => "store.fenced",
            Self::Locked => "store.locked",
            Self::LeaseLost => "store.lease_lost",
            Self::NoSpace => "store.no_space",
            Self::NotPermitted { .. } => "store.not_permitted",
            Self::TooOpen { .. } => "store.too_open",
            Self::Path { .. } => "store.path",
            Self::Foreign => "store.foreign",
            Self::Truncated => "store.truncated",
            Self::UnknownFormat(_) => "store.unknown_format",
            Self::UnknownSealingKey(_) => "store.unknown_sealing_key",
            Self::NotAuthentic => "store.not_authentic",
            Self::Malformed(_) => "store.malformed",
            Self::SealingKey => "store.sealing_key",
            Self::SealingKeyId => "store.sealing_key_id",
            Self::Passphrase => "store.passphrase",
            Self::Randomness => "store.randomness",
            Self::NoKeyring(_) => "store.no_keyring",
            Self::KeyringLocked => "store.keyring_locked",
            Self::KeyringTimeout(_) => "store.keyring_timeout",
            Self::Keyring(_) => "store.keyring",
            Self::Credentials => "store.credentials",
            Self::Setting(_) => "store.setting",
            Self::NoRuntime => "store.no_runtime",
        }
    }

    /// Whether the same call, made again later, may succeed.
    #[must_use]
    pub const fn retry_may_help(&self) -> bool {
        matches!(
            self,
            Self::Full
                | Self::Unavailable
                | Self::Conflict
                | Self::Locked
                | Self::LeaseLost
                | Self::NoSpace
                | Self::KeyringLocked
                | Self::KeyringTimeout(_)
        )
    }
}
