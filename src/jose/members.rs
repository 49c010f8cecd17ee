//! Members of a JWK, read with their types.

use serde_json::{Map, Value};

use super::from_base64url;
use crate::error::KeyError;

pub(super) fn text<'a>(
    members: &'a Map<String, Value>,
    name: &str,
) -> Result<Option<&'a str>, KeyError> {
    match members.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(KeyError::Malformed("a member is no string")),
    }
}

pub(super) fn bytes(members: &Map<String, Value>, name: &str) -> Result<Vec<u8>, KeyError> {
    text(members, name)?
        .and_then(from_base64url)
        .ok_or(KeyError::Malformed("a member is missing or no base64url"))
}

/// `key_ops`.
pub(super) fn operations(members: &Map<String, Value>) -> Result<Option<Vec<String>>, KeyError> {
    let malformed = KeyError::Malformed("its key_ops are no array of strings");
    match members.get("key_ops") {
        None => Ok(None),
        Some(Value::Array(several)) => several
            .iter()
            .map(|operation| operation.as_str().map(str::to_owned))
            .collect::<Option<_>>()
            .map(Some)
            .ok_or(malformed),
        Some(_) => Err(malformed),
    }
}
