//! What servers have taught us: their nonces and how far our clock is off.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use http::HeaderMap;
use http::header::{AGE, DATE};

use super::retry::Role;
use crate::profile::{CLOCK_OFFSET_FLOOR, CLOCK_OFFSET_LIMIT};
use crate::protocol::dpop;
use crate::protocol::uri::Origin;
use crate::time::Timestamp;

/// The last nonce of each server, in each of its roles. There are as many as the program named
/// origins.
#[derive(Debug, Default)]
pub(crate) struct Nonces {
    last: Mutex<HashMap<(Origin, Role), String>>,
}

impl Nonces {
    /// The same nonces, to be kept by somebody else from here on.
    pub(crate) fn copy(&self) -> Self {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        Self {
            last: Mutex::new(last.clone()),
        }
    }

    pub(crate) fn get(&self, origin: &Origin, role: Role) -> Option<String> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.get(&(origin.clone(), role)).cloned()
    }

    /// DPOP-8.2: learns from any answer, a success as well as an error.
    pub(crate) fn learn(&self, origin: &Origin, role: Role, headers: &HeaderMap) {
        if let Ok(nonce) = dpop::nonce(headers) {
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            last.insert((origin.clone(), role), nonce);
        }
    }
}

/// How far each server's clock is from ours, in seconds (SP-5.3.3.1-N1, OP-5). It moves the times in
/// what we sign and nothing else.
#[derive(Default)]
pub(crate) struct ClockOffsets {
    offsets: Mutex<HashMap<Origin, i64>>,
}

impl ClockOffsets {
    /// The time to sign with for this server.
    pub(crate) fn time_for(&self, origin: &Origin, now: Timestamp) -> Timestamp {
        let offsets = self.offsets.lock().unwrap_or_else(PoisonError::into_inner);
        now.plus_seconds(offsets.get(origin).copied().unwrap_or(0))
    }

    /// Learns from the `Date` of an answer that just came; whether that moved the offset.
    pub(crate) fn learn(&self, origin: &Origin, headers: &HeaderMap, now: Timestamp) -> bool {
        let Some(date) = date_of(headers) else {
            return false;
        };
        let seen = date
            .seconds_since(now)
            .clamp(-CLOCK_OFFSET_LIMIT, CLOCK_OFFSET_LIMIT);
        let mut offsets = self.offsets.lock().unwrap_or_else(PoisonError::into_inner);
        let known = offsets.entry(origin.clone()).or_insert(0);
        let moved = seen.saturating_sub(*known).abs() > CLOCK_OFFSET_FLOOR;
        if moved {
            *known = seen;
            tracing::info!(origin = origin.as_str(), seconds = seen, "clock offset");
        }
        moved
    }
}

/// The date of an answer that comes from the server itself and from no cache.
fn date_of(headers: &HeaderMap) -> Option<Timestamp> {
    if headers.contains_key(AGE) {
        return None;
    }
    let text = headers.get(DATE)?.to_str().ok()?;
    httpdate::parse_http_date(text).ok().map(Timestamp::from)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn origin(text: &str) -> Origin {
        Origin::named(text).unwrap()
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (
                    http::HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect()
    }

    /// DPOP-nsep: a nonce belongs to one server in one role.
    #[test]
    fn nonces_are_kept_apart() {
        let nonces = Nonces::default();
        let (one, two) = (origin("https://one.example"), origin("https://two.example"));
        nonces.learn(&one, Role::Resource, &headers(&[("dpop-nonce", "a")]));
        assert_eq!(nonces.get(&one, Role::Resource).as_deref(), Some("a"));
        assert_eq!(nonces.get(&one, Role::AuthorizationServer), None);
        assert_eq!(nonces.get(&two, Role::Resource), None);
        nonces.learn(&one, Role::Resource, &headers(&[]));
        assert_eq!(nonces.get(&one, Role::Resource).as_deref(), Some("a"));
    }

    /// SP-5.3.3.1-N1, OP-5: an offset is learned beyond 5 seconds and kept within 10 minutes.
    #[test]
    fn offsets_have_a_floor_and_a_limit() {
        let offsets = ClockOffsets::default();
        let server = origin("https://as.example");
        // 784111777 is the date below.
        let at = |offset: i64| Timestamp::from_seconds(784_111_777 - offset);
        let date = headers(&[("date", "Sun, 06 Nov 1994 08:49:37 GMT")]);
        assert!(!offsets.learn(&server, &date, at(5)));
        assert_eq!(offsets.time_for(&server, at(5)), at(5));
        assert!(offsets.learn(&server, &date, at(-300)));
        assert_eq!(offsets.time_for(&server, at(-300)), at(0));
        assert!(!offsets.learn(&server, &date, at(-304)));
        assert!(offsets.learn(&server, &date, at(100_000)));
        assert_eq!(offsets.time_for(&server, at(0)), at(-600));
        let other = origin("https://other.example");
        assert_eq!(offsets.time_for(&other, at(0)), at(0));
    }

    /// An answer out of a cache says nothing about the time.
    #[test]
    fn a_cached_answer_teaches_nothing() {
        let offsets = ClockOffsets::default();
        let cached = headers(&[("date", "Sun, 06 Nov 1994 08:49:37 GMT"), ("age", "60")]);
        let server = origin("https://as.example");
        assert!(!offsets.learn(&server, &cached, Timestamp::from_seconds(0)));
    }
}
