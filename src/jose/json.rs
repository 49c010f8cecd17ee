//! JSON from outside: one object, no member twice, no deep nesting.

use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// How deep objects and arrays may nest. Nothing of JOSE or OpenID Connect comes near.
const MAX_DEPTH: usize = 32;

/// Why a text is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JsonFault {
    /// It is no JSON object, no UTF-8, or nests too deep.
    Malformed,
    /// JWT-json: a member stands twice in one of its objects. Two readers could see two documents.
    DuplicateMember,
}

/// Reads one JSON object and nothing after it.
pub(crate) fn parse_object(bytes: &[u8]) -> Result<Map<String, Value>, JsonFault> {
    let text = std::str::from_utf8(bytes).map_err(|_| JsonFault::Malformed)?;
    // A map would keep the last of two equal members in silence, so the text is walked once before.
    let duplicate = Cell::new(false);
    let mut walked = serde_json::Deserializer::from_str(text);
    Checked {
        duplicate: &duplicate,
        depth: MAX_DEPTH,
    }
    .deserialize(&mut walked)
    .map_err(|_| {
        if duplicate.get() {
            JsonFault::DuplicateMember
        } else {
            JsonFault::Malformed
        }
    })?;
    serde_json::from_str(text).map_err(|_| JsonFault::Malformed)
}

/// Walks over one value and keeps nothing of it.
#[derive(Clone, Copy)]
struct Checked<'a> {
    duplicate: &'a Cell<bool>,
    depth: usize,
}

impl Checked<'_> {
    fn deeper<E: Error>(self) -> Result<Self, E> {
        let depth = self
            .depth
            .checked_sub(1)
            .ok_or_else(|| E::custom("too deep"))?;
        Ok(Self { depth, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Checked<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Checked<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        while items.next_element_seed(inner)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        let mut names = HashSet::new();
        while let Some(name) = members.next_key::<String>()? {
            if !names.insert(name) {
                self.duplicate.set(true);
                return Err(A::Error::custom("a member stands there twice"));
            }
            members.next_value_seed(inner)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// JWT-json: a member that stands twice is found at every depth, under any spelling.
    #[test]
    fn duplicate_members_are_refused() {
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"a":{"b":1,"c":2,"b":3}}"#,
            r#"{"a":[0,[{"b":1,"b":3}]]}"#,
        ] {
            assert_eq!(
                parse_object(text.as_bytes()),
                Err(JsonFault::DuplicateMember),
                "{text}"
            );
        }
        assert!(parse_object(br#"{"a":{"a":[{"a":1},{"a":1}]}}"#).is_ok());
    }

    /// JWT-json: only one object of UTF-8 is read, and nothing may follow it.
    #[test]
    fn anything_but_one_object_is_refused() {
        for text in [
            &b""[..],
            b"[]",
            b"\"a\"",
            b"null",
            b"{} {}",
            b"{}x",
            b"{\"a\":1,}",
            b"{'a':1}",
            b"{\"a\":NaN}",
            b"{\"a\":1e999}",
            b"\xef\xbb\xbf{}",
            b"{\"a\":\"\xff\"}",
            b"{\"\xff\":1}",
            b"{\"a\":\"\\ud800\"}",
        ] {
            assert_eq!(parse_object(text), Err(JsonFault::Malformed), "{text:?}");
        }
        assert_eq!(
            parse_object(b" {\"a\":1}\n").unwrap().get("a"),
            Some(&Value::from(1))
        );
    }

    /// JWT-json: nesting is bounded, so that no text can exhaust the stack.
    #[test]
    fn deep_nesting_is_refused() {
        let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse_object(nested(MAX_DEPTH - 1).as_bytes()).is_ok());
        assert_eq!(
            parse_object(nested(MAX_DEPTH).as_bytes()),
            Err(JsonFault::Malformed)
        );
        assert_eq!(
            parse_object(nested(10_000).as_bytes()),
            Err(JsonFault::Malformed)
        );
    }
}
