//! What servers have taught us: their nonces and how far our clock is off.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use http::HeaderMap;
use http::header::{AGE, DATE};

use super::events::Watch;
use super::record::NonceRecord;
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
    /// The nonces as they are written down with a session.
    pub(crate) fn to_records(&self) -> Vec<NonceRecord> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let records = last.iter().map(|((origin, role), nonce)| NonceRecord {
            origin: origin.as_str().to_owned(),
            role: *role,
            nonce: nonce.clone(),
        });
        records.collect()
    }

    /// Nonces that were written down. One of a server that can't be named is forgotten.
    pub(crate) fn from_records(records: &[NonceRecord]) -> Self {
        let known = records.iter().filter_map(|record| {
            let origin = Origin::named(&record.origin).ok()?;
            Some(((origin, record.role), record.nonce.clone()))
        });
        Self {
            last: Mutex::new(known.collect()),
        }
    }

    pub(crate) fn get(&self, origin: &Origin, role: Role) -> Option<String> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.get(&(origin.clone(), role)).cloned()
    }

    /// DPOP-8.2: learns from any answer, a success as well as an error. `own` is the nonce that a
    /// challenge gave to this request alone; it becomes everybody's where the answer brings no other.
    pub(crate) fn learn(
        &self,
        origin: &Origin,
        role: Role,
        own: Option<&str>,
        headers: &HeaderMap,
    ) {
        if let Some(nonce) = dpop::nonce(headers).ok().or_else(|| own.map(str::to_owned)) {
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            last.insert((origin.clone(), role), nonce);
        }
    }
}

/// What one attempt was signed with; its answer is judged by it.
#[derive(Clone, Debug)]
pub(crate) struct Signed {
    /// When, by our clock.
    pub(crate) at: Timestamp,
    /// What was added to that for this server, in seconds.
    pub(crate) offset: i64,
    pub(crate) nonce: Option<String>,
}

/// How far each server's clock is from ours, in seconds (SP-5.3.3.1-N1, OP-5). It moves the times in
/// what we sign and nothing else.
#[derive(Default)]
pub(crate) struct ClockOffsets {
    offsets: Mutex<HashMap<Origin, i64>>,
    watch: Watch,
}

impl ClockOffsets {
    pub(crate) fn new(watch: Watch) -> Self {
        Self {
            offsets: Mutex::default(),
            watch,
        }
    }

    /// What to add to our time for this server.
    pub(crate) fn offset(&self, origin: &Origin) -> i64 {
        let offsets = self.offsets.lock().unwrap_or_else(PoisonError::into_inner);
        offsets.get(origin).copied().unwrap_or(0)
    }

    /// Learns from the `Date` of an answer to a request: whether the offset is another one now than that
    /// which the request was signed with, and how far the clocks differ where that is more than is made up
    /// for. Of several requests that were refused at once, all are told so.
    ///
    /// The server wrote the date between the two times. What fits in between, such as a body that came
    /// slowly, is no error of a clock.
    pub(crate) fn learn(
        &self,
        origin: &Origin,
        headers: &HeaderMap,
        signed: &Signed,
        now: Timestamp,
    ) -> Learned {
        let Some(date) = date_of(headers) else {
            return Learned::default();
        };
        let least = date.seconds_since(now.max(signed.at));
        let most = date.seconds_since(signed.at);
        let mut offsets = self.offsets.lock().unwrap_or_else(PoisonError::into_inner);
        let known = offsets.entry(origin.clone()).or_insert(0);
        let differs = (*known).clamp(least, most);
        let seen = differs.clamp(-CLOCK_OFFSET_LIMIT, CLOCK_OFFSET_LIMIT);
        if seen.saturating_sub(*known).abs() > CLOCK_OFFSET_FLOOR {
            *known = seen;
            self.watch.clock_offset(origin.as_str(), differs);
        }
        Learned {
            moved: known.saturating_sub(signed.offset).abs() > CLOCK_OFFSET_FLOOR,
            beyond: (differs != seen).then_some(differs),
        }
    }
}

/// What an answer taught of the server's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Learned {
    /// Whether the offset is another one than that which the request was signed with.
    pub(crate) moved: bool,
    /// How far the clocks differ, in seconds, where that is more than is made up for.
    pub(crate) beyond: Option<i64>,
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
        nonces.learn(&one, Role::Resource, None, &headers(&[("dpop-nonce", "a")]));
        assert_eq!(nonces.get(&one, Role::Resource).as_deref(), Some("a"));
        assert_eq!(nonces.get(&one, Role::AuthorizationServer), None);
        assert_eq!(nonces.get(&two, Role::Resource), None);
        nonces.learn(&one, Role::Resource, None, &headers(&[]));
        assert_eq!(nonces.get(&one, Role::Resource).as_deref(), Some("a"));
    }

    /// 784111777 is the date below.
    const DATE: i64 = 784_111_777;

    fn dated() -> HeaderMap {
        headers(&[("date", "Sun, 06 Nov 1994 08:49:37 GMT")])
    }

    /// A request that was signed when the server's clock was `ahead` of ours.
    fn signed(ahead: i64, offset: i64) -> Signed {
        Signed {
            at: Timestamp::from_seconds(DATE - ahead),
            offset,
            nonce: None,
        }
    }

    /// SP-5.3.3.1-N1, OP-5: an offset is learned beyond 5 seconds and kept within 10 minutes.
    #[test]
    fn offsets_have_a_floor_and_a_limit() {
        let offsets = ClockOffsets::default();
        let server = origin("https://as.example");
        let learn = |ahead: i64| {
            let signed = signed(ahead, offsets.offset(&server));
            offsets.learn(&server, &dated(), &signed, signed.at).moved
        };
        for (ahead, moved, offset) in [
            (5, false, 0),
            (-300, true, -300),
            (-304, false, -300),
            (100_000, true, 600),
            (601, false, 600),
            (0, true, 0),
        ] {
            assert_eq!(learn(ahead), moved, "{ahead}");
            assert_eq!(offsets.offset(&server), offset, "{ahead}");
        }
        assert_eq!(offsets.offset(&origin("https://other.example")), 0);
    }

    /// SP-5.3.3.1-N1: of two requests that were signed with the wrong time, the second to be answered
    /// is told as well, though the first has taught the offset already.
    #[test]
    fn all_who_signed_with_the_wrong_time_are_told() {
        let offsets = ClockOffsets::default();
        let server = origin("https://as.example");
        for _ in 0..2 {
            let learned = offsets.learn(&server, &dated(), &signed(300, 0), signed(300, 0).at);
            assert_eq!((learned.moved, learned.beyond), (true, None));
        }
        let learned = offsets.learn(&server, &dated(), &signed(300, 300), signed(300, 0).at);
        assert_eq!(learned, Learned::default());
        let learned = offsets.learn(&server, &dated(), &signed(3_600, 300), signed(3_600, 0).at);
        assert_eq!((learned.moved, learned.beyond), (true, Some(3_600)));
    }

    /// SP-5.3.3.1-N1: an answer that took a minute does not make the clocks differ by a minute.
    #[test]
    fn a_slow_answer_moves_nothing() {
        let offsets = ClockOffsets::default();
        let server = origin("https://as.example");
        let late = Timestamp::from_seconds(DATE + 60);
        assert!(!offsets.learn(&server, &dated(), &signed(1, 0), late).moved);
        assert_eq!(offsets.offset(&server), 0);
        // 300 ahead when it was sent, 240 when it came: the least change that explains it.
        assert!(
            offsets
                .learn(
                    &server,
                    &dated(),
                    &signed(300, 0),
                    Timestamp::from_seconds(DATE - 240)
                )
                .moved
        );
        assert_eq!(offsets.offset(&server), 240);
    }

    /// An answer out of a cache says nothing about the time.
    #[test]
    fn a_cached_answer_teaches_nothing() {
        let offsets = ClockOffsets::default();
        let cached = headers(&[("date", "Sun, 06 Nov 1994 08:49:37 GMT"), ("age", "60")]);
        let server = origin("https://as.example");
        let now = Timestamp::from_seconds(0);
        assert_eq!(
            offsets.learn(&server, &cached, &signed(DATE, 0), now),
            Learned::default()
        );
        assert_eq!(offsets.offset(&server), 0);
    }
}
