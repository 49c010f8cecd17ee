//! The rule, row by row, and against answers in any order.

use http::header::WWW_AUTHENTICATE;
use http::{HeaderName, HeaderValue};

use super::*;

const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// An answer as a test puts it together.
#[derive(Clone, Debug)]
struct Answer {
    role: Role,
    status: u16,
    challenges: Vec<&'static str>,
    nonces: Vec<&'static str>,
    body: &'static str,
    proof: bool,
    clock_moved: bool,
    clock_beyond: Option<i64>,
}

impl Answer {
    fn of(role: Role, status: u16) -> Self {
        Self {
            role,
            status,
            challenges: Vec::new(),
            nonces: Vec::new(),
            body: "",
            proof: true,
            clock_moved: false,
            clock_beyond: None,
        }
    }

    /// Judges the answer to a request whose proof had the nonce `old`.
    fn judged(&self, spent: &mut Spent) -> Verdict {
        let challenges = self
            .challenges
            .iter()
            .map(|value| (WWW_AUTHENTICATE, *value));
        let nonces = self.nonces.iter().map(|value| (DPOP_NONCE, *value));
        let headers = challenges
            .chain(nonces)
            .map(|(name, value)| (name, HeaderValue::from_static(value)))
            .collect();
        judge(
            &Seen {
                role: self.role,
                status: StatusCode::from_u16(self.status).unwrap(),
                headers: &headers,
                body: self.body.as_bytes(),
                proof: self.proof,
                nonce: self.proof.then_some("old"),
                clock_moved: self.clock_moved,
                clock_beyond: self.clock_beyond,
            },
            spent,
        )
    }
}

const USE_NONCE: &str = r#"{"error":"use_dpop_nonce"}"#;
const ROLES: [Role; 2] = [Role::AuthorizationServer, Role::Resource];

/// DPOP-8a, DPOP-9, K-12: a demand for a nonce counts at 400 and 401 of either role, in any
/// challenge and in the body, and at no other status.
#[test]
fn a_demand_for_a_nonce_is_seen_wherever_it_stands() {
    let places: [(&[&'static str], &'static str); 6] = [
        (&[], USE_NONCE),
        (&[r#"DPoP error="use_dpop_nonce""#], ""),
        (
            &[r#"Bearer realm="a", dPoP algs="ES256", error=use_dpop_nonce"#],
            "",
        ),
        (
            &[r#"DPoP error="use_dpop_nonce", Bearer error="invalid_token""#],
            "",
        ),
        (
            &[
                r#"Bearer error="invalid_token""#,
                r#"DPOP error="use_dpop_nonce""#,
            ],
            "<html>",
        ),
        (
            &["Negotiate dGVzdA==", r#"bearer error="use_dpop_nonce""#],
            "{}",
        ),
    ];
    for role in ROLES {
        for (challenges, body) in places {
            for status in [200, 201, 301, 400, 401, 402, 403, 404, 429, 500, 502, 503] {
                let mut answer = Answer::of(role, status);
                answer.challenges = challenges.to_vec();
                answer.body = body;
                answer.nonces = vec!["new"];
                let expected = match status {
                    400 | 401 => Verdict::Again(Cause::Nonce),
                    _ => Verdict::Take,
                };
                assert_eq!(answer.judged(&mut Spent::default()), expected, "{answer:?}");
            }
        }
    }
}

/// DPOP-8a, DPOP-8.1: the demand comes with exactly one new, well-formed nonce.
#[test]
fn a_demand_without_one_good_nonce_is_refused() {
    let rows: [(&[&'static str], NonceFault); 5] = [
        (&[], NonceFault::Missing),
        (&["new", "newer"], NonceFault::Several),
        (&["a b"], NonceFault::Malformed),
        (&[""], NonceFault::Malformed),
        (&["old"], NonceFault::Same),
    ];
    for role in ROLES {
        for (nonces, fault) in rows {
            let mut answer = Answer::of(role, 401);
            answer.body = USE_NONCE;
            answer.nonces = nonces.to_vec();
            let mut spent = Spent::default();
            assert_eq!(
                answer.judged(&mut spent),
                Verdict::Refuse(fault),
                "{answer:?}"
            );
        }
    }
}

/// DPOP-8a: a second demand is refused, and one that answers a request without a proof is none.
#[test]
fn a_nonce_is_worth_one_retry() {
    let mut answer = Answer::of(Role::AuthorizationServer, 400);
    answer.body = USE_NONCE;
    answer.nonces = vec!["new"];
    let mut spent = Spent::default();
    assert_eq!(answer.judged(&mut spent), Verdict::Again(Cause::Nonce));
    assert_eq!(
        answer.judged(&mut spent),
        Verdict::Refuse(NonceFault::Again)
    );
    answer.proof = false;
    assert_eq!(answer.judged(&mut Spent::default()), Verdict::Take);
}

/// ERR-6, ERR-9, OP-5: times that were refused though all was made up for that may be: the clock is off.
#[test]
fn times_that_can_not_be_made_up_for_are_told() {
    let mut answer = Answer::of(Role::AuthorizationServer, 400);
    answer.body = r#"{"error":"invalid_client"}"#;
    answer.clock_beyond = Some(3_600);
    let mut spent = Spent::default();
    assert_eq!(answer.judged(&mut spent), Verdict::ClockOff(3_600));
    // The retry that may help goes first.
    answer.clock_moved = true;
    let again = Verdict::Again(Cause::Clock);
    assert_eq!(answer.judged(&mut spent), again);
    assert_eq!(answer.judged(&mut spent), Verdict::ClockOff(3_600));
    // Any other refusal is what it says.
    answer.body = r#"{"error":"invalid_grant"}"#;
    assert_eq!(answer.judged(&mut spent), Verdict::Take);
}

/// ERR-6, ERR-9: times that were refused are worth a retry where the clock was wrong.
#[test]
fn refused_times_are_worth_a_retry_where_the_clock_moved() {
    let rows = [
        (
            Role::AuthorizationServer,
            r#"{"error":"invalid_client"}"#,
            true,
        ),
        (
            Role::AuthorizationServer,
            r#"{"error":"invalid_dpop_proof"}"#,
            true,
        ),
        (
            Role::AuthorizationServer,
            r#"{"error":"invalid_grant"}"#,
            false,
        ),
        (Role::Resource, r#"{"error":"invalid_dpop_proof"}"#, true),
    ];
    for (role, body, worth) in rows {
        for moved in [true, false] {
            let mut answer = Answer::of(role, 400);
            answer.body = body;
            answer.clock_moved = moved;
            let mut spent = Spent::default();
            let first = if worth && moved {
                Verdict::Again(Cause::Clock)
            } else {
                Verdict::Take
            };
            assert_eq!(answer.judged(&mut spent), first, "{answer:?}");
            assert_eq!(answer.judged(&mut spent), Verdict::Take, "{answer:?}");
        }
    }
}

/// ERR-3, ERR-4, ERR-5, SP-5.3.4-3, SP-5.3.4-4: what an API says of its token.
#[test]
fn a_token_is_renewed_for_invalid_token_alone() {
    let rows: [(u16, &[&'static str], Verdict); 9] = [
        (
            401,
            &[r#"DPoP error="invalid_token""#],
            Verdict::Again(Cause::Token),
        ),
        (
            401,
            &[r#"Bearer error="invalid_token""#],
            Verdict::Again(Cause::Token),
        ),
        (
            401,
            &["Basic realm=a", "dpop error=invalid_token"],
            Verdict::Again(Cause::Token),
        ),
        (401, &[], Verdict::Again(Cause::Unexplained)),
        (
            401,
            &[r#"DPoP algs="ES256""#],
            Verdict::Again(Cause::Unexplained),
        ),
        (
            401,
            &[r#"DPoP error="insufficient_user_authentication""#],
            Verdict::Take,
        ),
        (401, &[r#"DPoP error="invalid_dpop_proof""#], Verdict::Take),
        (403, &[r#"DPoP error="insufficient_scope""#], Verdict::Take),
        (400, &[r#"DPoP error="invalid_token""#], Verdict::Take),
    ];
    for (status, challenges, verdict) in rows {
        let mut answer = Answer::of(Role::Resource, status);
        answer.challenges = challenges.to_vec();
        let mut spent = Spent::default();
        assert_eq!(answer.judged(&mut spent), verdict, "{answer:?}");
        assert_eq!(answer.judged(&mut spent), Verdict::Take, "{answer:?}");
        answer.role = Role::AuthorizationServer;
        assert_eq!(
            answer.judged(&mut Spent::default()),
            Verdict::Take,
            "{answer:?}"
        );
    }
}

/// Numbers that look random and are the same in every run (xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(end).unwrap()).unwrap()
    }

    fn of<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len())]
    }

    fn some(&mut self, values: &[&'static str]) -> Vec<&'static str> {
        (0..self.below(3)).map(|_| self.of(values)).collect()
    }

    fn answer(&mut self, role: Role, proof: bool) -> Answer {
        Answer {
            role,
            status: self.of(&[
                200, 201, 302, 400, 400, 401, 401, 401, 403, 404, 429, 500, 503,
            ]),
            challenges: self.some(&[
                r#"DPoP error="use_dpop_nonce""#,
                r#"Bearer realm="a", DPoP error="use_dpop_nonce""#,
                r#"DPoP error="invalid_token""#,
                r#"Bearer error="invalid_token""#,
                r#"DPoP error="invalid_dpop_proof""#,
                r#"DPoP error="insufficient_scope""#,
                r#"DPoP algs="ES256""#,
                r#"DPoP error="invalid_token, =,, "#,
            ]),
            nonces: self.some(&["new", "newer", "old", "a b", ""]),
            body: self.of(&[
                "",
                "<html>",
                USE_NONCE,
                r#"{"error":"invalid_dpop_proof"}"#,
                r#"{"error":"invalid_client"}"#,
                r#"{"error":7}"#,
            ]),
            proof,
            clock_moved: self.of(&[true, false]),
            clock_beyond: self.of(&[None, Some(3_600)]),
        }
    }
}

/// Whatever a server answers, a request goes out four times at most (three times at the authorization
/// server), never twice for one cause, and for 400 and 401 alone.
#[test]
fn no_sequence_of_answers_makes_a_loop() {
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let mut most = [0; 2];
    for _ in 0..50_000 {
        let at = numbers.below(ROLES.len());
        let (role, proof) = (ROLES[at], numbers.below(8) > 0);
        let mut spent = Spent::default();
        let mut causes: Vec<&'static str> = Vec::new();
        loop {
            let answer = numbers.answer(role, proof);
            match answer.judged(&mut spent) {
                Verdict::Take => break,
                Verdict::ClockOff(_) => {
                    assert!(answer.clock_beyond.is_some(), "{answer:?}");
                    break;
                }
                Verdict::Refuse(_) => {
                    assert!(proof, "{answer:?}");
                    break;
                }
                Verdict::Again(cause) => {
                    assert!(matches!(answer.status, 400 | 401), "{answer:?}");
                    assert!(!causes.contains(&cause.name()), "{causes:?} {answer:?}");
                    assert!(proof || cause != Cause::Nonce, "{answer:?}");
                    causes.push(cause.name());
                }
            }
        }
        if role == Role::AuthorizationServer {
            assert!(!causes.contains(&"token"), "{causes:?}");
        }
        most[at] = most[at].max(1 + causes.len());
    }
    assert_eq!(most, [3, 4], "every retry is reached, and no more");
}
