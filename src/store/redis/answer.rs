//! What the server answered, or why it did not.

use ::redis::{RedisError, Value};

use crate::error::StoreError;

/// Why there is no answer, or none of use.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The connection broke. Whether the command was executed is not known.
    Broken,
    /// No answer in time. Whether the command was executed is not known.
    Late,
    /// The server does not know the script yet. Nothing was executed.
    UnknownScript,
    /// The server is no primary, or no longer. Nothing was executed.
    NoPrimary,
    /// The server wants to know first who we are. Nothing was executed.
    Nameless,
    /// It said no, for good or for now.
    Refused(StoreError),
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Broken | Fault::Late | Fault::UnknownScript | Fault::NoPrimary => {
                Self::Unavailable
            }
            Fault::Nameless => Self::Credentials,
            Fault::Refused(error) => error,
        }
    }
}

impl Fault {
    /// From an error answer: its first word, and the others.
    fn of(code: &str, words: &str) -> Self {
        Self::Refused(match code {
            "NOSCRIPT" => return Self::UnknownScript,
            "READONLY" | "MASTERDOWN" => return Self::NoPrimary,
            "NOAUTH" => return Self::Nameless,
            "WRONGPASS" => StoreError::Credentials,
            "OOM" => StoreError::NoSpace,
            "WRONGTYPE" => StoreError::Foreign,
            "NOPERM" => setting(
                "the user lacks a permission in Redis; RedisStore's documentation names all that it needs",
            ),
            "DENIED" => setting("Redis is in protected mode; give it a password, and use it"),
            "MOVED" | "ASK" | "CROSSSLOT" => setting(
                "the server is one of a Redis cluster and does not hold this prefix; name the one that does",
            ),
            "ERR" if !words.contains("max number of clients") => setting(
                "the server refused a command; it must be Redis 7 or later, and allow scripts",
            ),
            // LOADING, BUSY, TRYAGAIN, CLUSTERDOWN, NOREPLICAS, MISCONF, and what is unknown.
            _ => StoreError::Unavailable,
        })
    }
}

fn setting(text: &str) -> StoreError {
    StoreError::Setting(text.to_owned())
}

/// Sorts the library's answer. Its error is dropped here: the text may hold parts of an answer.
pub(super) fn sort(answer: Result<Value, RedisError>) -> Result<Value, Fault> {
    match answer {
        Ok(Value::ServerError(error)) => {
            Err(Fault::of(error.code(), error.details().unwrap_or_default()))
        }
        Ok(value) => Ok(value),
        Err(error) => Err(error.code().map_or(Fault::Broken, |code| {
            Fault::of(code, error.detail().unwrap_or_default())
        })),
    }
}

const UNEXPECTED: StoreError = StoreError::Malformed("Redis answered with something unexpected");

pub(super) fn bytes(value: Value) -> Result<Vec<u8>, StoreError> {
    match value {
        Value::BulkString(bytes) => Ok(bytes),
        _ => Err(UNEXPECTED),
    }
}

pub(super) fn text(value: Value) -> Result<String, StoreError> {
    match value {
        Value::SimpleString(text) => Ok(text),
        Value::Okay => Ok("OK".to_owned()),
        other => String::from_utf8(bytes(other)?).map_err(|_| UNEXPECTED),
    }
}

pub(super) fn number(value: Value) -> Result<u64, StoreError> {
    text(value)?.parse().map_err(|_| UNEXPECTED)
}

pub(super) fn list(value: Value) -> Result<Vec<Value>, StoreError> {
    match value {
        Value::Array(values) => Ok(values),
        _ => Err(UNEXPECTED),
    }
}

pub(super) fn of_length<const N: usize>(value: Value) -> Result<[Value; N], StoreError> {
    list(value)?.try_into().map_err(|_| UNEXPECTED)
}

/// Nothing, or something.
pub(super) fn optional(value: Value) -> Option<Value> {
    (value != Value::Nil).then_some(value)
}

/// What a script says that has nothing to give: `done`, or why not.
pub(super) fn done(value: Value) -> Result<(), StoreError> {
    match text(value)?.as_str() {
        "done" => Ok(()),
        word => Err(refusal(word)),
    }
}

/// A word of the scripts' for what can't be done.
pub(super) fn refusal(word: &str) -> StoreError {
    match word {
        "exists" => StoreError::Exists,
        "conflict" => StoreError::Conflict,
        "fenced" => StoreError::Fenced,
        "lost" => StoreError::LeaseLost,
        _ => UNEXPECTED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What each error answer means; what the server says besides is not passed on.
    #[test]
    fn error_answers_are_told_apart() {
        let expected = [
            ("NOSCRIPT No matching script.", Fault::UnknownScript),
            ("READONLY You can't write", Fault::NoPrimary),
            ("MASTERDOWN Link with MASTER is down", Fault::NoPrimary),
            ("NOAUTH Authentication required.", Fault::Nameless),
            (
                "WRONGPASS invalid username-password pair",
                Fault::Refused(StoreError::Credentials),
            ),
            (
                "OOM command not allowed",
                Fault::Refused(StoreError::NoSpace),
            ),
            (
                "WRONGTYPE Operation against a key",
                Fault::Refused(StoreError::Foreign),
            ),
            (
                "LOADING Redis is loading",
                Fault::Refused(StoreError::Unavailable),
            ),
            (
                "ERR max number of clients reached",
                Fault::Refused(StoreError::Unavailable),
            ),
            ("SOMETHING new", Fault::Refused(StoreError::Unavailable)),
        ];
        for (answer, fault) in expected {
            let (code, words) = answer.split_once(' ').unwrap();
            assert_eq!(Fault::of(code, words), fault, "{answer}");
        }
        for answer in [
            "NOPERM this user has no permissions",
            "DENIED Redis is running in protected mode",
            "MOVED 1 10.0.0.1:6379",
            "ERR unknown command",
        ] {
            let (code, words) = answer.split_once(' ').unwrap();
            let Fault::Refused(StoreError::Setting(text)) = Fault::of(code, words) else {
                panic!("{answer}")
            };
            assert!(!text.contains(words), "{text}");
        }
    }

    /// An answer that is none of ours is an error, whatever its shape.
    #[test]
    fn unexpected_answers_are_refused() {
        let foreign = Value::Map(Vec::new());
        assert_eq!(bytes(foreign.clone()), Err(UNEXPECTED));
        assert_eq!(text(foreign.clone()), Err(UNEXPECTED));
        assert_eq!(number(Value::SimpleString("x".to_owned())), Err(UNEXPECTED));
        assert_eq!(list(foreign.clone()), Err(UNEXPECTED));
        assert_eq!(
            of_length::<2>(Value::Array(vec![foreign.clone()])),
            Err(UNEXPECTED)
        );
        assert_eq!(done(Value::Okay), Err(UNEXPECTED));
        assert_eq!(done(foreign), Err(UNEXPECTED));
    }
}
