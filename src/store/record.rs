//! Records that have a version.

use std::fmt;
use std::time::Duration;

use base64ct::{Base64UrlUnpadded, Encoding};

use crate::error::StoreError;
use crate::future::BoxFuture;

/// 32 bytes that stand for something: a hash, never the thing itself.
///
/// `Display` and `Debug` are 43 characters of base64url, which are safe in a file name, a key and a
/// column.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Takes 32 bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Reads what [`Display`](fmt::Display) wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = Base64UrlUnpadded::decode_vec(text).ok()?;
        bytes.try_into().ok().map(Self)
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&Base64UrlUnpadded::encode_string(&self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// What a record is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
#[non_exhaustive]
pub enum RecordKind {
    /// A session: its tokens, its key, whose it is.
    Session,
    /// A private key in software.
    Key,
    /// A document of the server's that was good when it was last read: metadata, key set.
    Document,
    /// What a server answered to a registration.
    Registration,
    /// A key that was made for a login under way, and is to be deleted if that login comes to nothing.
    PendingKey,
    /// A value that counts once, such as the `jti` of a logout token.
    Used,
}

impl RecordKind {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::Session,
        Self::Key,
        Self::Document,
        Self::Registration,
        Self::PendingKey,
        Self::Used,
    ];

    /// A word of lower-case letters, for file names, keys and columns. It stays what it is.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Key => "key",
            Self::Document => "document",
            Self::Registration => "registration",
            Self::PendingKey => "pendingkey",
            Self::Used => "used",
        }
    }
}

/// The name of a record.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct RecordKey {
    /// What it is.
    pub kind: RecordKind,
    /// Whose it is: one client at one server, which no record of another's is found under.
    pub scope: Digest,
    /// Which one it is.
    pub id: Digest,
}

/// A record to be written.
#[derive(Clone)]
pub struct Record {
    /// What to keep: sealed, but for the memory of this process.
    pub bytes: Vec<u8>,
    /// What it can be listed by.
    pub tags: Vec<Digest>,
    /// How long it is of use, where that is known. The store may drop it afterwards, by its own clock.
    pub life: Option<Duration>,
}

/// How a record is put in place of another.
#[derive(Clone)]
pub struct Replace {
    /// The version that it replaces. Where another is there by now, nothing is written.
    pub expected: u64,
    /// The [`fence`](super::Lease::fence) of the lock that the writer holds. A store remembers the
    /// highest that it has seen for a record, and refuses a lower one: its writer has lost the lock
    /// without knowing.
    pub fence: Option<u64>,
    /// How many bytes the next replacement may need beyond those of this one. A store whose space can
    /// run out sets them aside now, so that what comes next can be written though the disk is full.
    pub room: usize,
    /// What to write.
    pub record: Record,
}

/// A record as it is kept.
#[derive(Clone)]
pub struct Stored {
    /// Its name.
    pub key: RecordKey,
    /// A number that is another one after each write.
    pub version: u64,
    /// What is kept.
    pub bytes: Vec<u8>,
}

/// `Debug` shows sizes.
impl fmt::Debug for Record {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Record({} bytes)", self.bytes.len())
    }
}

impl fmt::Debug for Replace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Replace")
            .field("expected", &self.expected)
            .field("fence", &self.fence)
            .field("room", &self.room)
            .field("record", &self.record)
            .finish()
    }
}

impl fmt::Debug for Stored {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Stored")
            .field("key", &self.key)
            .field("version", &self.version)
            .field("bytes", &self.bytes.len())
            .finish()
    }
}

/// Records that have a version. Each call is atomic: of two writers that expect the same version, one
/// writes.
///
/// `fapi_testkit::contract::records_contract` tests an implementation. A call must end: set a time limit and
/// answer with [`StoreError::Unavailable`] beyond it. An error must say what is so: an answer that was
/// lost after a write is an error, and the caller reads again.
pub trait Records: Send + Sync {
    /// The record of that name, if there is one.
    fn load<'a>(&'a self, key: &'a RecordKey) -> BoxFuture<'a, Result<Option<Stored>, StoreError>>;

    /// Writes a record that is not there yet; its version comes back. [`StoreError::Exists`] where it
    /// is there.
    fn create<'a>(
        &'a self,
        key: &'a RecordKey,
        record: Record,
    ) -> BoxFuture<'a, Result<u64, StoreError>>;

    /// Writes a record in place of the version that is expected; the new version comes back.
    /// [`StoreError::Conflict`] where another version, or none, is there; [`StoreError::Fenced`] where
    /// a later holder of the lock has written.
    fn replace<'a>(
        &'a self,
        key: &'a RecordKey,
        replace: Replace,
    ) -> BoxFuture<'a, Result<u64, StoreError>>;

    /// Deletes a record, whether it is there or not; with `expected`, that version alone, else
    /// [`StoreError::Conflict`] (where none is there, there is no conflict).
    fn delete<'a>(
        &'a self,
        key: &'a RecordKey,
        expected: Option<u64>,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// The records of a kind and scope, with a tag where one is given, in no order.
    fn list<'a>(
        &'a self,
        kind: RecordKind,
        scope: &'a Digest,
        tag: Option<&'a Digest>,
    ) -> BoxFuture<'a, Result<Vec<Stored>, StoreError>>;
}
