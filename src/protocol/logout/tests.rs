//! Each check, at its edge.

mod end_session;
mod request;
mod server;

use serde_json::{Value, json};

use super::LogoutToken;
use super::backchannel::check;
use crate::crypto::Crypto;
use crate::error::{JwtFault, JwtKind, Violation};
use crate::jose::tests::{ED25519, ES256, RSA2048, providers, signed, with};
use crate::jose::{JwkSet, PrivateKey};
use crate::profile::Algorithm;
use crate::protocol::id_token::Registered;
use crate::protocol::uri::Issuer;
use crate::time::Timestamp;

const NOW: i64 = 1_800_000_000;
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// A client and its server's key.
struct Desk {
    crypto: Crypto,
    key: PrivateKey,
    registered: Registered,
}

impl Desk {
    fn new() -> Self {
        Self::with_key(ES256)
    }

    fn with_key(pem: &str) -> Self {
        let (_, crypto) = providers().remove(0);
        Self {
            key: PrivateKey::from_pem(&crypto, pem).unwrap(),
            crypto,
            registered: Registered {
                issuer: Issuer::new("https://as.example/tenant").unwrap(),
                client_id: "client".to_owned(),
                algorithm: None,
                trusted_audiences: Vec::new(),
            },
        }
    }

    fn header(&self) -> Value {
        json!({"alg": self.key.algorithm().name(), "typ": "logout+jwt"})
    }

    fn check(&self, token: &str) -> Result<LogoutToken, Violation> {
        let set = json!({"keys": [self.key.public().to_json()]});
        let keys = JwkSet::parse(set.to_string().as_bytes()).unwrap();
        let now = Timestamp::from_seconds(NOW);
        check(token, &self.crypto, &keys, &self.registered, now)
    }

    /// A token with these claims, as text.
    fn text(&self, claims: &str) -> Result<LogoutToken, Violation> {
        self.check(&signed(&self.key, &self.header(), claims))
    }

    /// The fault of a token that has this claim; `None` where it is taken.
    fn fault(&self, name: &str, value: Value) -> Option<JwtFault> {
        fault(self.text(&with(claims(), name, value).to_string()))
    }

    /// The fault of a token that has this in its header.
    fn head(&self, name: &str, value: Value) -> Option<JwtFault> {
        let header = with(self.header(), name, value);
        fault(self.check(&signed(&self.key, &header, &claims().to_string())))
    }
}

fn fault(checked: Result<LogoutToken, Violation>) -> Option<JwtFault> {
    match checked {
        Ok(_) => None,
        Err(Violation::Jwt { kind, fault }) => {
            assert_eq!(kind, JwtKind::LogoutToken);
            Some(fault)
        }
        Err(other) => panic!("{other}"),
    }
}

fn claims() -> Value {
    json!({
        "iss": "https://as.example/tenant", "aud": "client", "sub": "alice", "sid": "s-1",
        "iat": NOW, "exp": NOW + 120, "jti": "j-1", "events": {EVENT: {}},
    })
}

/// BCL-1: what a sound token says, under each algorithm, with claims that nobody here knows.
#[test]
fn a_sound_token_is_read() {
    for pem in [ES256, RSA2048, ED25519] {
        let desk = Desk::with_key(pem);
        let token = desk.text(&claims().to_string()).unwrap();
        assert_eq!(token.subject(), Some("alice"));
        assert_eq!(token.session_id(), Some("s-1"));
        assert_eq!(token.token_id(), "j-1");
        assert_eq!(token.expires_at(), Timestamp::from_seconds(NOW + 120));
    }
    let desk = Desk::new();
    assert_eq!(desk.fault("azp", json!("other")), None);
    assert_eq!(desk.fault("typ", json!("Logout")), None);
    assert_eq!(
        desk.fault("events", json!({EVENT: {"a": 1}, "revoke": true})),
        None
    );
    assert_eq!(desk.fault("aud", json!(["client"])), None);
}

/// BCL-2, SEC-xjwt, JWT-3.11: the type of logout tokens or none, and no other kind's.
#[test]
fn the_type_is_its_own_or_none() {
    let desk = Desk::new();
    for typ in [
        json!("logout+jwt"),
        json!("Logout+JWT"),
        json!("application/logout+jwt"),
        json!(null),
    ] {
        assert_eq!(desk.head("typ", typ.clone()), None, "{typ}");
    }
    for typ in [
        "JWT",
        "jwt",
        "at+jwt",
        "dpop+jwt",
        "oauth-authz-req+jwt",
        "secevent+jwt",
        "id_token",
        "logout+jwt ",
        "application/jwt",
        "",
    ] {
        assert_eq!(
            desk.head("typ", json!(typ)),
            Some(JwtFault::Type),
            "{typ:?}"
        );
    }
    assert_eq!(desk.head("typ", json!(7)), Some(JwtFault::Malformed));
}

/// BCL-3, SP-5.4.1-1.2: signed, with an algorithm of FAPI's, and the registered one where one is.
#[test]
fn the_algorithm_is_one_of_fapis() {
    let mut desk = Desk::new();
    for alg in ["none", "nOnE", "RS256", "HS256", "ES384", "es256", ""] {
        assert_eq!(
            desk.head("alg", json!(alg)),
            Some(JwtFault::Algorithm),
            "{alg}"
        );
    }
    assert_eq!(desk.head("alg", json!(null)), Some(JwtFault::Algorithm));
    // One of FAPI's, for which the server has no key.
    assert_eq!(desk.head("alg", json!("PS256")), Some(JwtFault::NoKey));
    desk.registered.algorithm = Some(Algorithm::Es256);
    assert_eq!(desk.head("typ", json!(null)), None);
    desk.registered.algorithm = Some(Algorithm::Ps256);
    assert_eq!(
        desk.head("typ", json!(null)),
        Some(JwtFault::OtherAlgorithm)
    );
}

/// BCL-3: the signature is always verified, with the server's keys.
#[test]
fn the_signature_is_verified() {
    let desk = Desk::new();
    let token = signed(&desk.key, &desk.header(), &claims().to_string());
    let (head, _) = token.rsplit_once('.').unwrap();
    let other = with(claims(), "sub", json!("bob")).to_string();
    let other = signed(&desk.key, &desk.header(), &other);
    let (_, signature) = other.rsplit_once('.').unwrap();
    let refused = |token: &str| fault(desk.check(token));
    assert_eq!(
        refused(&format!("{head}.{signature}")),
        Some(JwtFault::Signature)
    );
    assert_eq!(refused(&format!("{head}.")), Some(JwtFault::Signature));
    // Another key of the same kind.
    let (_, crypto) = providers().remove(0);
    let stranger = PrivateKey::generate_es256(&crypto).unwrap();
    let forged = signed(&stranger, &desk.header(), &claims().to_string());
    assert_eq!(refused(&forged), Some(JwtFault::Signature));
    // A `kid` that the set does not have.
    assert_eq!(desk.head("kid", json!("other")), Some(JwtFault::NoKey));
    // A key that the token brings along is not looked at.
    let header = with(desk.header(), "jwk", stranger.public().to_json());
    let forged = signed(&stranger, &header, &claims().to_string());
    assert_eq!(refused(&forged), Some(JwtFault::Signature));
    for name in ["crit", "zip", "b64"] {
        assert_eq!(desk.head(name, json!(["x"])), Some(JwtFault::Header(name)));
    }
}

/// BCL-3, JWT-json: what is no compact JWS, and what is read in two ways.
#[test]
fn what_is_no_jws_is_refused() {
    let desk = Desk::new();
    for (token, expected) in [
        ("", JwtFault::Malformed),
        ("a.b", JwtFault::Malformed),
        ("a.b.c", JwtFault::Malformed),
        ("a.b.c.d.e", JwtFault::Encrypted),
    ] {
        assert_eq!(fault(desk.check(token)), Some(expected), "{token}");
    }
    let long = with(claims(), "x", json!("x".repeat(64 * 1024))).to_string();
    assert_eq!(fault(desk.text(&long)), Some(JwtFault::Malformed));
    let sound = claims().to_string();
    let (start, _) = sound.rsplit_once('}').unwrap();
    for twice in [r#""sub":"bob""#, r#""events":{}"#, r#""x":{"y":1,"y":2}"#] {
        assert_eq!(
            fault(desk.text(&format!("{start},{twice}}}"))),
            Some(JwtFault::DuplicateMember),
            "{twice}"
        );
    }
    assert_eq!(fault(desk.text("[]")), Some(JwtFault::Malformed));
}

/// BCL-4: issuer and audience, each alone.
#[test]
fn issuer_and_audience_are_ours() {
    let mut desk = Desk::new();
    for (name, value, expected) in [
        ("iss", json!("https://as.example/tenant/"), JwtFault::Issuer),
        ("iss", json!("https://evil.example"), JwtFault::Issuer),
        ("iss", json!(null), JwtFault::MissingClaim("iss")),
        ("iss", json!(7), JwtFault::MalformedClaim("iss")),
        ("aud", json!("other"), JwtFault::Audience),
        ("aud", json!("client "), JwtFault::Audience),
        ("aud", json!(["other"]), JwtFault::Audience),
        ("aud", json!(["client", "other"]), JwtFault::FurtherAudience),
        ("aud", json!([]), JwtFault::MissingClaim("aud")),
        ("aud", json!(null), JwtFault::MissingClaim("aud")),
        ("aud", json!([7]), JwtFault::MalformedClaim("aud")),
    ] {
        assert_eq!(
            desk.fault(name, value.clone()),
            Some(expected),
            "{name} {value}"
        );
    }
    // Named as trusted it is no surprise, and a logout token needs no `azp` for it.
    desk.registered.trusted_audiences = vec!["other".to_owned()];
    assert_eq!(desk.fault("aud", json!(["client", "other"])), None);
    assert_eq!(
        desk.fault("aud", json!(["other"])),
        Some(JwtFault::Audience)
    );
}

/// BCL-5, K-8: `exp` and `iat` at their edges, with fractions too.
#[test]
fn the_times_at_their_edges() {
    let desk = Desk::new();
    let number = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    for (name, value, expected) in [
        ("exp", json!(NOW - 29), None),
        ("exp", json!(NOW - 30), Some(JwtFault::Expired)),
        ("exp", number("1799999970.9"), Some(JwtFault::Expired)),
        ("exp", number("1799999971.5"), None),
        ("exp", json!(null), Some(JwtFault::MissingClaim("exp"))),
        ("exp", json!("soon"), Some(JwtFault::MalformedClaim("exp"))),
        ("exp", json!(-1), Some(JwtFault::MalformedClaim("exp"))),
        ("iat", json!(NOW + 30), None),
        ("iat", number("1800000030.9"), None),
        ("iat", json!(NOW + 31), Some(JwtFault::IssuedAhead)),
        ("iat", json!(NOW - 600), None),
        ("iat", json!(NOW - 601), Some(JwtFault::IssuedTooLongAgo)),
        (
            "iat",
            number("1799999399.9"),
            Some(JwtFault::IssuedTooLongAgo),
        ),
        ("iat", json!(null), Some(JwtFault::MissingClaim("iat"))),
        ("iat", json!("now"), Some(JwtFault::MalformedClaim("iat"))),
        ("nbf", json!(NOW + 30), None),
        ("nbf", json!(NOW + 31), Some(JwtFault::IssuedAhead)),
    ] {
        assert_eq!(desk.fault(name, value.clone()), expected, "{name} {value}");
    }
    // Old, though its `exp` lies in the future.
    let old = with(with(claims(), "exp", json!(NOW + 86_400)), "iat", json!(0));
    assert_eq!(
        fault(desk.text(&old.to_string())),
        Some(JwtFault::IssuedTooLongAgo)
    );
}

/// BCL-6, SEC-xjwt: the event, and no `nonce`.
#[test]
fn the_event_tells_it_from_other_tokens() {
    let desk = Desk::new();
    for (name, value, expected) in [
        ("events", json!(null), JwtFault::MissingClaim("events")),
        ("events", json!([EVENT]), JwtFault::MalformedClaim("events")),
        ("events", json!(EVENT), JwtFault::MalformedClaim("events")),
        ("events", json!({}), JwtFault::LogoutEvent),
        (
            "events",
            json!({"http://schemas.openid.net/event/frontchannel-logout": {}}),
            JwtFault::LogoutEvent,
        ),
        ("events", json!({EVENT: null}), JwtFault::LogoutEventValue),
        ("events", json!({EVENT: []}), JwtFault::LogoutEventValue),
        ("events", json!({EVENT: true}), JwtFault::LogoutEventValue),
        ("nonce", json!("n-1"), JwtFault::ForeignNonce),
        ("nonce", json!(""), JwtFault::ForeignNonce),
        ("nonce", json!(7), JwtFault::ForeignNonce),
    ] {
        assert_eq!(
            desk.fault(name, value.clone()),
            Some(expected),
            "{name} {value}"
        );
    }
    let null = claims().to_string().replacen('{', r#"{"nonce":null,"#, 1);
    assert_eq!(fault(desk.text(&null)), Some(JwtFault::ForeignNonce));
}

/// BCL-7: a user, a session, or both.
#[test]
fn somebody_is_named() {
    let desk = Desk::new();
    for (name, value, expected) in [
        ("sub", json!(null), None),
        ("sid", json!(null), None),
        ("sub", json!("s".repeat(255)), None),
        ("sid", json!("s".repeat(1000)), None),
        ("sub", json!(""), Some(JwtFault::MalformedClaim("sub"))),
        (
            "sub",
            json!("s".repeat(256)),
            Some(JwtFault::MalformedClaim("sub")),
        ),
        ("sub", json!("ä"), Some(JwtFault::MalformedClaim("sub"))),
        ("sub", json!(7), Some(JwtFault::MalformedClaim("sub"))),
        ("sid", json!(""), Some(JwtFault::MalformedClaim("sid"))),
        ("sid", json!(7), Some(JwtFault::MalformedClaim("sid"))),
        ("sid", json!(["s-1"]), Some(JwtFault::MalformedClaim("sid"))),
    ] {
        assert_eq!(desk.fault(name, value.clone()), expected, "{name} {value}");
    }
    let nobody = with(with(claims(), "sub", json!(null)), "sid", json!(null));
    assert_eq!(
        fault(desk.text(&nobody.to_string())),
        Some(JwtFault::NobodyNamed)
    );
}

/// BCL-8: the `jti` is there, and short enough to be kept.
#[test]
fn the_token_has_a_name() {
    let desk = Desk::new();
    for (value, expected) in [
        (json!("j"), None),
        (json!("j".repeat(255)), None),
        (json!(null), Some(JwtFault::MissingClaim("jti"))),
        (json!(""), Some(JwtFault::MalformedClaim("jti"))),
        (
            json!("j".repeat(256)),
            Some(JwtFault::MalformedClaim("jti")),
        ),
        (json!(7), Some(JwtFault::MalformedClaim("jti"))),
    ] {
        assert_eq!(desk.fault("jti", value.clone()), expected, "{value}");
    }
}

/// BCL-8, BCL-5: a token is remembered for exactly as long as it would be taken.
#[test]
fn a_token_is_remembered_until_it_is_refused() {
    let desk = Desk::new();
    let set = json!({"keys": [desk.key.public().to_json()]});
    let keys = JwkSet::parse(set.to_string().as_bytes()).unwrap();
    for (exp, until, expected) in [
        (NOW + 120, NOW + 150, JwtFault::Expired),
        (NOW + 86_400, NOW + 601, JwtFault::IssuedTooLongAgo),
        (253_402_300_799, NOW + 601, JwtFault::IssuedTooLongAgo),
    ] {
        let text = with(claims(), "exp", json!(exp)).to_string();
        let token = signed(&desk.key, &desk.header(), &text);
        let at = |now: Timestamp| check(&token, &desk.crypto, &keys, &desk.registered, now);
        let until = Timestamp::from_seconds(until);
        let taken = at(until.plus_seconds(-1)).unwrap();
        assert_eq!(taken.remember_until(), until);
        assert_eq!(fault(at(until)), Some(expected));
    }
}

/// BCL-2, BCL-6, SEC-xjwt: other JWTs of the same server for the same client are no logout tokens.
#[test]
fn other_tokens_are_no_logout_tokens() {
    let desk = Desk::new();
    let id_token = json!({
        "iss": "https://as.example/tenant", "aud": "client", "sub": "alice", "sid": "s-1",
        "iat": NOW, "exp": NOW + 300, "nonce": "n-1", "jti": "j-1",
    });
    let without_nonce = with(id_token.clone(), "nonce", json!(null));
    let access_token = json!({
        "iss": "https://as.example/tenant", "aud": "client", "sub": "alice", "iat": NOW,
        "exp": NOW + 300, "jti": "j-1", "client_id": "client", "scope": "openid",
    });
    for (typ, claims, expected) in [
        (json!("JWT"), &id_token, JwtFault::Type),
        (json!(null), &id_token, JwtFault::ForeignNonce),
        (
            json!(null),
            &without_nonce,
            JwtFault::MissingClaim("events"),
        ),
        (json!("at+jwt"), &access_token, JwtFault::Type),
        (json!(null), &access_token, JwtFault::MissingClaim("events")),
    ] {
        let header = with(desk.header(), "typ", typ.clone());
        let token = signed(&desk.key, &header, &claims.to_string());
        assert_eq!(fault(desk.check(&token)), Some(expected), "{typ} {claims}");
    }
}

/// BCL-9: which sessions a token means.
#[test]
fn sessions_are_found_by_session_and_user() {
    let desk = Desk::new();
    let read = |without: &str| {
        desk.text(&with(claims(), without, json!(null)).to_string())
            .unwrap()
    };
    let (both, user, session) = (read("azp"), read("sid"), read("sub"));
    for (token, subject, sid, expected) in [
        (&both, "alice", Some("s-1"), true),
        (&both, "alice", Some("s-2"), false),
        (&both, "bob", Some("s-1"), false),
        (&both, "alice", None, true),
        (&both, "bob", None, false),
        (&user, "alice", Some("s-1"), true),
        (&user, "alice", Some("s-2"), true),
        (&user, "alice", None, true),
        (&user, "bob", Some("s-1"), false),
        (&session, "alice", Some("s-1"), true),
        (&session, "bob", Some("s-1"), true),
        (&session, "alice", Some("s-2"), false),
        (&session, "alice", None, false),
    ] {
        assert_eq!(
            token.concerns(subject, sid),
            expected,
            "{token:?} {subject} {sid:?}"
        );
    }
}

/// BCL-1, PRIV-7: `Debug` shows neither user nor session.
#[test]
fn debug_shows_nobody() {
    let token = Desk::new().text(&claims().to_string()).unwrap();
    let shown = format!("{token:?}");
    for hidden in ["alice", "s-1", "j-1"] {
        assert!(!shown.contains(hidden), "{shown}");
    }
}
