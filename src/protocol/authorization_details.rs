//! Rich authorization requests (RFC 9396).

use std::fmt;

use serde_json::{Map, Value};

use crate::error::ConfigError;

/// One element of `authorization_details` (RFC 9396 section 2): an object with a `type`.
///
/// Its `Debug` shows the type, and only the names of the other members: they may be account numbers.
#[derive(Clone, PartialEq)]
pub struct AuthorizationDetail {
    kind: String,
    members: Map<String, Value>,
}

impl AuthorizationDetail {
    /// A detail of a type.
    #[must_use]
    pub fn new(kind: impl Into<String>) -> Self {
        Self {
            kind: kind.into(),
            members: Map::new(),
        }
    }

    /// Adds a member: `locations`, `actions`, `datatypes`, `identifier`, `privileges`, or one that the
    /// type defines.
    #[must_use]
    pub fn with(mut self, member: impl Into<String>, value: impl Into<Value>) -> Self {
        self.members.insert(member.into(), value.into());
        self
    }

    /// Its `type`.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Reads what [`to_json`](Self::to_json) wrote.
    pub(crate) fn from_json(json: &Value) -> Option<Self> {
        let mut members = json.as_object()?.clone();
        match members.remove("type")? {
            Value::String(kind) => Some(Self { kind, members }),
            _ => None,
        }
    }

    pub(crate) fn to_json(&self) -> Value {
        let mut json = self.members.clone();
        json.insert("type".to_owned(), self.kind.clone().into());
        Value::Object(json)
    }
}

impl fmt::Debug for AuthorizationDetail {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "AuthorizationDetail({}) ", self.kind)?;
        formatter.debug_set().entries(self.members.keys()).finish()
    }
}

/// RAR-2, RAR-10: each detail has a type, and one that the server knows where it says which.
pub(crate) fn check_details(
    details: &[AuthorizationDetail],
    known: Option<&[String]>,
) -> Result<(), ConfigError> {
    for detail in details {
        let unknown = known.is_some_and(|known| !known.contains(&detail.kind));
        if detail.kind.is_empty() || unknown {
            return Err(ConfigError::AuthorizationDetail(detail.kind.clone()));
        }
    }
    Ok(())
}
