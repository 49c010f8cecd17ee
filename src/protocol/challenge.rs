//! Challenges: what an API says it wants (RFC 9110 section 11.6.1, RFC 6750, RFC 9449, RFC 9470).

use std::time::Duration;

use http::HeaderMap;
use http::header::WWW_AUTHENTICATE;
use serde_json::Value;

use crate::error::StepUp;
use crate::jose::parse_object;

/// One challenge of a `WWW-Authenticate` header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    scheme: String,
    parameters: Vec<(String, String)>,
}

impl Challenge {
    /// The scheme, in lower case: `dpop`, `bearer`.
    #[must_use]
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// Whether it speaks of access tokens.
    fn is_ours(&self) -> bool {
        matches!(self.scheme(), "dpop" | "bearer")
    }

    /// A parameter: `error`, `scope`, `acr_values`, … Names are in lower case.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }
}

/// Every challenge of every `WWW-Authenticate` header, as far as they can be read (R6750-3). At most
/// 32, each with at most 32 parameters.
pub(crate) fn challenges(headers: &HeaderMap) -> Vec<Challenge> {
    let mut found = Vec::new();
    for value in headers.get_all(WWW_AUTHENTICATE) {
        if let Ok(text) = value.to_str() {
            Parser { rest: text }.challenges(&mut found);
        }
    }
    found.truncate(32);
    found
}

/// The error codes of the DPoP and Bearer challenges.
pub(crate) fn errors(challenges: &[Challenge]) -> impl Iterator<Item = &str> {
    challenges
        .iter()
        .filter(|challenge| challenge.is_ours())
        .filter_map(|challenge| challenge.parameter("error"))
}

/// The `error` of a small JSON body.
pub(crate) fn body_error(body: &[u8]) -> Option<String> {
    const LIMIT: usize = 8 * 1024;
    if body.len() > LIMIT {
        return None;
    }
    let object = parse_object(body).ok()?;
    object
        .get("error")
        .and_then(Value::as_str)
        .map(str::to_owned)
}

/// SU-3: the demand for another authentication, where there is one.
pub(crate) fn step_up(challenges: &[Challenge]) -> Option<StepUp> {
    let challenge = challenges.iter().find(|challenge| {
        challenge.is_ours()
            && challenge.parameter("error") == Some("insufficient_user_authentication")
    })?;
    let words = challenge.parameter("acr_values").unwrap_or_default();
    Some(StepUp::new(
        words.split_ascii_whitespace().map(str::to_owned).collect(),
        challenge
            .parameter("max_age")
            .and_then(|seconds| seconds.parse().ok())
            .map(Duration::from_secs),
        challenge.parameter("scope").map(str::to_owned),
    ))
}

struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    /// `scheme [ token68 / #auth-param ]`, separated by commas, as parameters are as well. What can't
    /// be read ends the reading of this header; what was read before it counts.
    fn challenges(mut self, found: &mut Vec<Challenge>) {
        while let Some(scheme) = self.next_word() {
            let mut challenge = Challenge {
                scheme: scheme.to_ascii_lowercase(),
                parameters: Vec::new(),
            };
            self.spaces();
            self.token68();
            while let Some((name, value)) = self.parameter() {
                if challenge.parameters.len() < 32 {
                    challenge.parameters.push((name, value));
                }
            }
            found.push(challenge);
            if found.len() >= 32 {
                return;
            }
        }
    }

    fn next_word(&mut self) -> Option<&'a str> {
        self.rest = self.rest.trim_start_matches([',', ' ', '\t']);
        self.word()
    }

    fn word(&mut self) -> Option<&'a str> {
        let tchar = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        let end = self
            .rest
            .bytes()
            .position(|byte| !tchar(byte))
            .unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        if word.is_empty() {
            return None;
        }
        self.rest = rest;
        Some(word)
    }

    fn spaces(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
    }

    /// Passes over a token68, which stands alone before a comma or the end.
    fn token68(&mut self) {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
        let end = self
            .rest
            .bytes()
            .position(|byte| !inner(byte))
            .unwrap_or(self.rest.len());
        let after = self.rest.split_at(end).1.trim_start_matches('=');
        let after = after.trim_start_matches([' ', '\t']);
        if end > 0 && (after.is_empty() || after.starts_with(',')) {
            self.rest = after;
        }
    }

    /// `name = value`, after any commas. Nothing is passed over where it is none.
    fn parameter(&mut self) -> Option<(String, String)> {
        let before = self.rest;
        let read = self.read_parameter();
        if read.is_none() {
            self.rest = before;
        }
        read
    }

    fn read_parameter(&mut self) -> Option<(String, String)> {
        let name = self.next_word()?;
        self.spaces();
        self.rest = self.rest.strip_prefix('=')?;
        self.spaces();
        let value = match self.rest.strip_prefix('"') {
            Some(rest) => {
                self.rest = rest;
                self.quoted()?
            }
            None => self.word()?.to_owned(),
        };
        Some((name.to_ascii_lowercase(), value))
    }

    fn quoted(&mut self) -> Option<String> {
        let mut value = String::new();
        let mut characters = self.rest.chars();
        loop {
            match characters.next()? {
                '"' => {
                    self.rest = characters.as_str();
                    return Some(value);
                }
                '\\' => value.push(characters.next()?),
                other => value.push(other),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn parse(values: &[&str]) -> Vec<Challenge> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(WWW_AUTHENTICATE, HeaderValue::from_str(value).unwrap());
        }
        challenges(&headers)
    }

    fn challenge(scheme: &str, parameters: &[(&str, &str)]) -> Challenge {
        Challenge {
            scheme: scheme.to_owned(),
            parameters: parameters
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        }
    }

    /// R6750-3, DPOP-7.1b: several challenges, in one header and in two, in any letter case.
    #[test]
    fn several_challenges() {
        let dpop = challenge(
            "dpop",
            &[("error", "use_dpop_nonce"), ("algs", "ES256 PS256")],
        );
        let bearer = challenge(
            "bearer",
            &[("realm", "a, b=\"c\""), ("error", "invalid_token")],
        );
        let texts = [
            r#"DPoP error="use_dpop_nonce", algs="ES256 PS256""#,
            r#"bEARER realm="a, b=\"c\"",error=invalid_token"#,
        ];
        assert_eq!(parse(&texts), [dpop.clone(), bearer.clone()]);
        assert_eq!(parse(&[&texts.join(", ")]), [dpop.clone(), bearer.clone()]);
        assert_eq!(
            parse(&[&format!("Negotiate abc/+==, Basic, {}", texts[0])]),
            [challenge("negotiate", &[]), challenge("basic", &[]), dpop]
        );
    }

    /// R6750-3: what can't be read does no harm, and what was read before it counts.
    #[test]
    fn broken_challenges() {
        for (text, schemes) in [
            ("", vec![]),
            (",,,", vec![]),
            ("DPoP error=\"open", vec!["dpop"]),
            ("DPoP error=", vec!["dpop"]),
            ("=x", vec![]),
            ("DPoP", vec!["dpop"]),
        ] {
            let found = parse(&[text]);
            let first: Vec<&str> = found.iter().take(1).map(Challenge::scheme).collect();
            assert_eq!(first, schemes, "{text}");
            assert_eq!(errors(&found).count(), 0, "{text}");
        }
    }

    /// SU-3: what a step-up asks for.
    #[test]
    fn a_step_up() {
        let found = parse(&[
            r#"DPoP error="insufficient_user_authentication", acr_values="gold silver", max_age="60", scope="pay""#,
        ]);
        let step_up = step_up(&found).unwrap();
        assert_eq!(step_up.acr_values, ["gold", "silver"]);
        assert_eq!(step_up.max_age, Some(Duration::from_secs(60)));
        assert_eq!(step_up.scope.as_deref(), Some("pay"));
        assert_eq!(super::step_up(&parse(&["DPoP error=invalid_token"])), None);
    }

    /// The errors of other schemes are not ours.
    #[test]
    fn only_our_schemes_count() {
        let found = parse(&[
            "Basic error=invalid_token",
            "DPoP error=a",
            "Bearer error=b",
        ]);
        assert_eq!(errors(&found).collect::<Vec<_>>(), ["a", "b"]);
    }

    /// A body is looked at where it is small JSON.
    #[test]
    fn errors_in_bodies() {
        assert_eq!(body_error(br#"{"error":"x"}"#).as_deref(), Some("x"));
        assert_eq!(body_error(b"<html>"), None);
        let large = format!(r#"{{"error":"x","y":"{}"}}"#, "z".repeat(9000));
        assert_eq!(body_error(large.as_bytes()), None);
    }
}
