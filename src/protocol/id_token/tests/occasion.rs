//! What a login asked for, and what a refresh may not change.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Desk, NOW, claims, fault};
use crate::error::{JwtFault, Violation};
use crate::jose::tests::with;

/// IDT-11: the nonce that was sent. Where none was, none is asked for.
#[test]
fn the_nonce_is_the_one_that_was_sent() {
    let mut desk = Desk::new();
    assert_eq!(desk.fault("nonce", json!("n-2")), Some(JwtFault::Nonce));
    assert_eq!(desk.fault("nonce", json!("")), Some(JwtFault::Nonce));
    assert_eq!(
        desk.fault("nonce", json!(null)),
        Some(JwtFault::MissingClaim("nonce"))
    );
    assert_eq!(
        desk.fault("nonce", json!(1)),
        Some(JwtFault::MalformedClaim("nonce"))
    );
    desk.nonce = None;
    assert_eq!(desk.fault("nonce", json!(null)), None);
}

/// IDT-12: any context, one of several, or none asked for.
#[test]
fn the_context_is_one_that_was_asked_for() {
    let mut desk = Desk::new();
    let missing = Some(JwtFault::MissingClaim("acr"));
    for (asked, acr, expected) in [
        (None, json!(null), None),
        (None, json!("low"), None),
        (Some(vec![]), json!("low"), None),
        (Some(vec![]), json!(null), missing.clone()),
        (Some(vec!["high", "mid"]), json!("mid"), None),
        (Some(vec!["high", "mid"]), json!("low"), Some(JwtFault::Acr)),
        (Some(vec!["high"]), json!("hig"), Some(JwtFault::Acr)),
        (Some(vec!["high"]), json!(null), missing),
    ] {
        desk.asked.acr =
            asked.map(|several: Vec<&str>| several.into_iter().map(str::to_owned).collect());
        assert_eq!(desk.fault("acr", acr), expected);
    }
}

/// IDT-13: `auth_time` where it was asked for, and how old it may be.
#[test]
fn the_time_of_the_login_at_its_edges() {
    let mut desk = Desk::new();
    let missing = Some(JwtFault::MissingClaim("auth_time"));
    let malformed = Some(JwtFault::MalformedClaim("auth_time"));
    let age = |seconds| Some(Duration::from_secs(seconds));
    for (demanded, max_age, value, expected) in [
        (false, None, json!(null), None),
        (false, None, json!(0), None),
        (false, None, json!("x"), malformed.clone()),
        (true, None, json!(null), missing.clone()),
        (true, None, json!(0), None),
        (true, None, json!("x"), malformed),
        (true, None, json!(NOW + 31), Some(JwtFault::AuthTime)),
        (false, age(300), json!(null), missing),
        (false, age(300), json!(NOW - 330), None),
        (false, age(300), json!(NOW - 331), Some(JwtFault::AuthTime)),
        (false, age(300), json!(NOW + 30), None),
        (false, age(300), json!(NOW + 31), Some(JwtFault::AuthTime)),
        (false, age(0), json!(NOW - 30), None),
        (false, age(0), json!(NOW - 31), Some(JwtFault::AuthTime)),
        (false, age(u64::MAX), json!(0), None),
    ] {
        desk.asked.auth_time = demanded;
        desk.asked.max_age = max_age;
        let name = format!("{demanded} {max_age:?} {value}");
        assert_eq!(desk.fault("auth_time", value), expected, "{name}");
    }
}

/// IDT-12.2: the same user, the same login.
#[test]
fn a_refreshed_token_is_about_the_same_login() {
    let desk = Desk::new();
    let half: Value = serde_json::from_str("1799999990.5").unwrap();
    for auth_time in [json!(null), json!(NOW - 10), half] {
        let first = desk
            .login(&with(claims(), "auth_time", auth_time.clone()))
            .unwrap();
        let again = |name: &str, value: Value| {
            let claims = with(with(claims(), "nonce", json!(null)), name, value);
            desk.refresh(Some(&first), &claims)
        };
        assert_eq!(
            again("sub", json!("mallory")).unwrap_err(),
            Violation::SubjectChanged
        );
        assert_eq!(fault(again("nonce", json!(null))), None);
        assert_eq!(fault(again("nonce", json!("n-1"))), None);
        assert_eq!(fault(again("nonce", json!("n-2"))), Some(JwtFault::Nonce));
        assert_eq!(fault(again("auth_time", json!(null))), None);
        assert_eq!(fault(again("auth_time", json!(NOW - 10))), None);
        let known = !auth_time.is_null();
        assert_eq!(
            fault(again("auth_time", json!(NOW - 9))),
            known.then_some(JwtFault::AuthTime)
        );
        assert_eq!(
            fault(again("iss", json!("https://evil.example"))),
            Some(JwtFault::Issuer)
        );
        assert_eq!(
            fault(again("aud", json!("other"))),
            Some(JwtFault::Audience)
        );
    }
    // A login without a nonce gets none later on.
    let mut silent = Desk::new();
    silent.nonce = None;
    let first = silent.login(&with(claims(), "nonce", json!(null))).unwrap();
    assert_eq!(
        fault(silent.refresh(Some(&first), &claims())),
        Some(JwtFault::Nonce)
    );
    assert_eq!(fault(silent.refresh(None, &claims())), None);
}
