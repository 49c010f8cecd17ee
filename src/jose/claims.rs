//! The claims of a JWT (RFC 7519 section 4), read with their types.

use serde_json::{Map, Value};

use crate::error::JwtFault;
use crate::time::Timestamp;

/// The end of the year 9999. A date beyond it is a mistake or an attack on arithmetic.
const LAST_SECOND: i64 = 253_402_300_799;

/// The claims of one JWT. Who reads them says whether its signature has been verified.
#[derive(Clone, PartialEq)]
pub(crate) struct Claims(Map<String, Value>);

impl Claims {
    pub(crate) const fn new(members: Map<String, Value>) -> Self {
        Self(members)
    }

    /// A claim as it stands there.
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// A claim that is a string where it is there.
    pub(crate) fn text(&self, name: &'static str) -> Result<Option<&str>, JwtFault> {
        self.get(name)
            .map(|value| value.as_str().ok_or(JwtFault::MalformedClaim(name)))
            .transpose()
    }

    /// A claim that must be there and be a string.
    pub(crate) fn required_text(&self, name: &'static str) -> Result<&str, JwtFault> {
        self.text(name)?.ok_or(JwtFault::MissingClaim(name))
    }

    /// JWT-json: a NumericDate where it is there, cut to whole seconds.
    pub(crate) fn seconds(&self, name: &'static str) -> Result<Option<Timestamp>, JwtFault> {
        self.get(name)
            .map(|value| numeric_date(value).ok_or(JwtFault::MalformedClaim(name)))
            .transpose()
    }

    /// A NumericDate that must be there.
    pub(crate) fn required_seconds(&self, name: &'static str) -> Result<Timestamp, JwtFault> {
        self.seconds(name)?.ok_or(JwtFault::MissingClaim(name))
    }

    /// `aud`: one string or an array of them, and never nothing.
    pub(crate) fn audience(&self) -> Result<Vec<&str>, JwtFault> {
        match self.get("aud") {
            None => Err(JwtFault::MissingClaim("aud")),
            Some(Value::String(one)) => Ok(vec![one]),
            Some(Value::Array(several)) if several.is_empty() => Err(JwtFault::MissingClaim("aud")),
            Some(Value::Array(several)) => several
                .iter()
                .map(|value| value.as_str().ok_or(JwtFault::MalformedClaim("aud")))
                .collect(),
            Some(_) => Err(JwtFault::MalformedClaim("aud")),
        }
    }

    pub(crate) const fn as_map(&self) -> &Map<String, Value> {
        &self.0
    }
}

/// Claims speak of the user: `Debug` names them and shows no value.
impl std::fmt::Debug for Claims {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Claims ")?;
        formatter.debug_set().entries(self.0.keys()).finish()
    }
}

fn numeric_date(value: &Value) -> Option<Timestamp> {
    let seconds = match value.as_i64() {
        Some(seconds) => seconds,
        None => whole_seconds(value.as_f64()?)?,
    };
    (0..=LAST_SECOND)
        .contains(&seconds)
        .then(|| Timestamp::from_seconds(seconds))
}

/// Cuts a fraction off. Every number in the range is one that an `f64` holds exactly.
#[allow(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "checked against the range"
)]
fn whole_seconds(seconds: f64) -> Option<i64> {
    (seconds >= 0.0 && seconds < LAST_SECOND as f64 + 1.0).then_some(seconds as i64)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn claims(value: Value) -> Claims {
        match value {
            Value::Object(members) => Claims::new(members),
            _ => panic!("no object"),
        }
    }

    /// JWT-json: dates may have fractions and are cut to seconds; what is no date is refused.
    #[test]
    fn dates_are_cut_to_seconds() {
        let read = |exp: Value| claims(json!({ "exp": exp })).required_seconds("exp");
        for (value, seconds) in [
            (json!(0), 0),
            (json!(1_700_000_000), 1_700_000_000),
            (json!(1_700_000_000.999), 1_700_000_000),
            (json!(1.7e9), 1_700_000_000),
            (json!(0.5), 0),
            (json!(253_402_300_799_i64), LAST_SECOND),
            (json!(253_402_300_799.5), LAST_SECOND),
        ] {
            assert_eq!(
                read(value.clone()),
                Ok(Timestamp::from_seconds(seconds)),
                "{value}"
            );
        }
        for value in [
            json!(-1),
            json!(-0.5),
            json!(1e300),
            json!(u64::MAX),
            json!(i64::MAX),
            json!(253_402_300_800_i64),
            json!("1700000000"),
            json!(null),
            json!([1]),
            json!(true),
        ] {
            assert_eq!(
                read(value.clone()),
                Err(JwtFault::MalformedClaim("exp")),
                "{value}"
            );
        }
        assert_eq!(claims(json!({})).seconds("exp"), Ok(None));
        assert_eq!(
            claims(json!({})).required_seconds("exp"),
            Err(JwtFault::MissingClaim("exp"))
        );
    }

    /// JWT-3.8-10: `aud` is a string or an array of strings, and an empty one names nobody.
    #[test]
    fn audience_is_one_string_or_several() {
        assert_eq!(claims(json!({"aud": "a"})).audience(), Ok(vec!["a"]));
        assert_eq!(
            claims(json!({"aud": ["a", "b"]})).audience(),
            Ok(vec!["a", "b"])
        );
        for (value, fault) in [
            (json!({}), JwtFault::MissingClaim("aud")),
            (json!({"aud": []}), JwtFault::MissingClaim("aud")),
            (json!({"aud": [1]}), JwtFault::MalformedClaim("aud")),
            (
                json!({"aud": ["a", ["b"]]}),
                JwtFault::MalformedClaim("aud"),
            ),
            (json!({"aud": {"a": 1}}), JwtFault::MalformedClaim("aud")),
            (json!({"aud": null}), JwtFault::MalformedClaim("aud")),
        ] {
            assert_eq!(claims(value).audience(), Err(fault));
        }
    }

    /// JWT-3.8-10: a claim of the wrong type is refused, and a missing one is told apart.
    #[test]
    fn texts_are_strings() {
        let claims = claims(json!({"iss": "https://as.example", "sub": 7}));
        assert_eq!(claims.required_text("iss"), Ok("https://as.example"));
        assert_eq!(claims.text("sub"), Err(JwtFault::MalformedClaim("sub")));
        assert_eq!(claims.text("acr"), Ok(None));
        assert_eq!(
            claims.required_text("acr"),
            Err(JwtFault::MissingClaim("acr"))
        );
    }

    /// SEC-cred: `Debug` names the claims and shows none of their values.
    #[test]
    fn debug_shows_no_values() {
        let shown = format!("{:?}", claims(json!({"sub": "alice"})));
        assert_eq!(shown, r#"Claims {"sub"}"#);
    }
}
