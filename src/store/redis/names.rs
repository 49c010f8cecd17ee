//! What things are called in Redis.

use crate::store::{Digest, RecordKey, RecordKind, TransactionKey};

/// The names under one prefix. It stands in braces, so that all of them lie in one slot of a cluster and a
/// script may use several.
pub(super) struct Names {
    prefix: String,
}

impl Names {
    pub(super) fn new(prefix: &str) -> Self {
        Self {
            prefix: format!("{{{prefix}}}"),
        }
    }

    fn of(&self, what: char, key: &RecordKey) -> String {
        let (kind, scope, id) = (key.kind.name(), key.scope, key.id);
        format!("{}:{what}:{kind}:{scope}:{id}", self.prefix)
    }

    pub(super) fn record(&self, key: &RecordKey) -> String {
        self.of('r', key)
    }

    /// The last version that was given.
    pub(super) fn versions(&self) -> String {
        format!("{}:v", self.prefix)
    }

    /// The ids of a kind and scope.
    pub(super) fn index(&self, kind: RecordKind, scope: &Digest) -> String {
        format!("{}:i:{}:{scope}", self.prefix, kind.name())
    }

    /// What the name of the index of each tag begins with.
    pub(super) fn tags(&self, kind: RecordKind, scope: &Digest) -> String {
        format!("{}:t:{}:{scope}:", self.prefix, kind.name())
    }

    /// The logins of an owner.
    pub(super) fn owner(&self, owner: &Digest) -> String {
        format!("{}:o:{owner}", self.prefix)
    }

    /// What the name of each login of an owner begins with; [`login`] follows.
    pub(super) fn logins(&self, owner: &Digest) -> String {
        format!("{}:l:{owner}:", self.prefix)
    }

    pub(super) fn lock(&self, name: &RecordKey) -> String {
        self.of('k', name)
    }

    /// The last number that a holder of the lock was given.
    pub(super) fn fences(&self, name: &RecordKey) -> String {
        self.of('f', name)
    }
}

/// The name of a login among those of its owner.
pub(super) fn login(key: &TransactionKey) -> String {
    format!("{}:{}", key.scope, key.id)
}

/// Reads what [`login`] wrote.
pub(super) fn read_login(owner: &Digest, name: &str) -> Option<TransactionKey> {
    let (scope, id) = name.split_once(':')?;
    Some(TransactionKey {
        owner: *owner,
        scope: Digest::parse(scope)?,
        id: Digest::parse(id)?,
    })
}
