//! Each check, at its edge.

mod occasion;

use serde_json::json;

use super::*;
use crate::jose::PrivateKey;
use crate::jose::tests::{ED25519, ES256, RSA2048, providers, signed, with};

const NOW: i64 = 1_800_000_000;
const ACCESS_TOKEN: &str = "access-token";

/// A client, its server's key, and what the login asked for.
struct Desk {
    crypto: Crypto,
    key: PrivateKey,
    registered: Registered,
    asked: Asked,
    nonce: Option<Nonce>,
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
            asked: Asked::default(),
            nonce: Some(Nonce::new("n-1")),
        }
    }

    fn keys(&self) -> JwkSet {
        let set = json!({"keys": [self.key.public().to_json()]});
        JwkSet::parse(set.to_string().as_bytes()).unwrap()
    }

    fn sign(&self, claims: &Value) -> String {
        let header = json!({"alg": self.key.algorithm().name()});
        signed(&self.key, &header, &claims.to_string())
    }

    fn login(&self, claims: &Value) -> Result<IdToken, Violation> {
        self.login_token(&self.sign(claims))
    }

    fn login_token(&self, token: &str) -> Result<IdToken, Violation> {
        let occasion = Occasion::Login {
            nonce: self.nonce.as_ref(),
            asked: &self.asked,
            access_token: &AccessToken::new(ACCESS_TOKEN),
        };
        self.check(token, &occasion)
    }

    fn refresh(&self, first: Option<&IdToken>, claims: &Value) -> Result<IdToken, Violation> {
        let occasion = Occasion::Refresh {
            first,
            access_token: &AccessToken::new(ACCESS_TOKEN),
        };
        self.check(&self.sign(claims), &occasion)
    }

    fn check(&self, token: &str, occasion: &Occasion<'_>) -> Result<IdToken, Violation> {
        let now = Timestamp::from_seconds(NOW);
        check(
            token,
            &self.crypto,
            &self.keys(),
            &self.registered,
            occasion,
            now,
        )
    }

    /// The fault of a login whose ID token has this claim; `None` where it is taken.
    fn fault(&self, name: &str, value: Value) -> Option<JwtFault> {
        fault(self.login(&with(claims(), name, value)))
    }
}

fn fault(checked: Result<IdToken, Violation>) -> Option<JwtFault> {
    match checked {
        Ok(_) => None,
        Err(Violation::Jwt { kind, fault }) => {
            assert_eq!(kind, JwtKind::IdToken);
            Some(fault)
        }
        Err(other) => panic!("{other}"),
    }
}

fn claims() -> Value {
    json!({
        "iss": "https://as.example/tenant", "aud": "client", "sub": "alice", "nonce": "n-1",
        "iat": NOW, "exp": NOW + 300,
    })
}

/// IDT-2: the same text, or another issuer.
#[test]
fn the_issuer_is_the_text_itself() {
    let desk = Desk::new();
    assert_eq!(desk.fault("iss", json!("https://as.example/tenant")), None);
    for other in [
        "https://as.example/tenant/",
        "https://as.example/Tenant",
        "https://as.example:443/tenant",
        "https://as.example",
        "",
    ] {
        assert_eq!(desk.fault("iss", json!(other)), Some(JwtFault::Issuer));
    }
    assert_eq!(
        desk.fault("iss", json!(null)),
        Some(JwtFault::MissingClaim("iss"))
    );
    assert_eq!(
        desk.fault("iss", json!(7)),
        Some(JwtFault::MalformedClaim("iss"))
    );
}

/// IDT-3, IDT-4, IDT-5: the client, others that are trusted, and the party it was issued to.
#[test]
fn the_audience_is_the_client() {
    let mut desk = Desk::new();
    for trusted in [false, true] {
        if trusted {
            desk.registered.trusted_audiences = vec!["other".to_owned()];
        }
        let further = (!trusted).then_some(JwtFault::FurtherAudience);
        for (audience, azp, expected) in [
            (json!("client"), json!(null), None),
            (json!(["client"]), json!(null), None),
            (json!(["client"]), json!("client"), None),
            (
                json!("client"),
                json!("other"),
                Some(JwtFault::AuthorizedParty),
            ),
            (
                json!("client"),
                json!(1),
                Some(JwtFault::MalformedClaim("azp")),
            ),
            (json!("Client"), json!(null), Some(JwtFault::Audience)),
            (json!("other"), json!("client"), Some(JwtFault::Audience)),
            (json!([]), json!(null), Some(JwtFault::MissingClaim("aud"))),
            (
                json!(null),
                json!(null),
                Some(JwtFault::MissingClaim("aud")),
            ),
            (json!(["other", "client"]), json!("client"), further.clone()),
            (
                json!(["client", "other"]),
                json!(null),
                further.or(Some(JwtFault::AuthorizedParty)),
            ),
            (
                json!(["client", "third"]),
                json!("client"),
                Some(JwtFault::FurtherAudience),
            ),
        ] {
            let claims = with(with(claims(), "aud", audience.clone()), "azp", azp);
            assert_eq!(fault(desk.login(&claims)), expected, "{audience}");
        }
    }
}

/// IDT-9, IDT-10, K-8, SP-5.3.2.1-13, JWT-json: 30 seconds either way, and ten minutes of age.
#[test]
fn times_at_their_edges() {
    let desk = Desk::new();
    for (name, value, expected) in [
        ("exp", json!(NOW - 29), None),
        ("exp", json!(NOW - 30), Some(JwtFault::Expired)),
        ("exp", json!(null), Some(JwtFault::MissingClaim("exp"))),
        ("exp", json!("soon"), Some(JwtFault::MalformedClaim("exp"))),
        ("iat", json!(NOW + 10), None),
        ("iat", json!(NOW + 30), None),
        ("iat", json!(NOW + 31), Some(JwtFault::IssuedAhead)),
        ("iat", json!(NOW - 600), None),
        ("iat", json!(NOW - 601), Some(JwtFault::IssuedTooLongAgo)),
        ("iat", json!(null), Some(JwtFault::MissingClaim("iat"))),
        ("nbf", json!(NOW - 100_000), None),
        ("nbf", json!(NOW + 30), None),
        ("nbf", json!(NOW + 31), Some(JwtFault::IssuedAhead)),
        ("nbf", json!(true), Some(JwtFault::MalformedClaim("nbf"))),
    ] {
        assert_eq!(desk.fault(name, value.clone()), expected, "{name} {value}");
    }
}

/// IDT-sub: 1 to 255 characters of ASCII.
#[test]
fn the_subject_has_a_form() {
    let desk = Desk::new();
    for (subject, expected) in [
        (json!("a"), None),
        (json!("s".repeat(255)), None),
        (
            json!("s".repeat(256)),
            Some(JwtFault::MalformedClaim("sub")),
        ),
        (json!(""), Some(JwtFault::MalformedClaim("sub"))),
        (json!("ü"), Some(JwtFault::MalformedClaim("sub"))),
        (json!(1), Some(JwtFault::MalformedClaim("sub"))),
        (json!(null), Some(JwtFault::MissingClaim("sub"))),
    ] {
        assert_eq!(desk.fault("sub", subject), expected);
    }
}

/// IDT-3.1.3.8: the left half of SHA-256, and of SHA-512 for Ed25519; never the other one.
#[test]
fn the_hash_of_the_access_token_belongs_to_the_algorithm() {
    let bytes = ACCESS_TOKEN.as_bytes();
    let short = base64url(&sha256(bytes)[..16]);
    let long = base64url(&sha512(bytes)[..32]);
    for (pem, right, wrong) in [
        (ES256, &short, &long),
        (RSA2048, &short, &long),
        (ED25519, &long, &short),
    ] {
        let desk = Desk::with_key(pem);
        let refused = Some(JwtFault::AccessTokenHash);
        assert_eq!(desk.fault("at_hash", json!(right)), None);
        assert_eq!(desk.fault("at_hash", json!(wrong)), refused);
        assert_eq!(desk.fault("at_hash", json!("")), refused);
        let whole = base64url(&sha256(bytes));
        assert_eq!(desk.fault("at_hash", json!(whole)), refused);
        assert_eq!(
            desk.fault("at_hash", json!(1)),
            Some(JwtFault::MalformedClaim("at_hash"))
        );
        // At a refresh as well.
        let claims = with(claims(), "at_hash", json!(wrong));
        assert_eq!(fault(desk.refresh(None, &claims)), refused);
    }
}

/// IDT-6, IDT-7, MS-5.6.2-1, JWT-3.11: the signature, the registered algorithm and the type.
#[test]
fn the_signature_the_algorithm_and_the_type() {
    let mut desk = Desk::new();
    let token = desk.sign(&claims());
    assert!(desk.login_token(&token).is_ok());
    let other = Desk::new();
    let (head, _) = token.rsplit_once('.').unwrap();
    let (_, foreign) = other
        .sign(&with(claims(), "sub", json!("mallory")))
        .rsplit_once('.')
        .map(|(head, signature)| (head.to_owned(), signature.to_owned()))
        .unwrap();
    assert_eq!(
        fault(desk.login_token(&format!("{head}.{foreign}"))),
        Some(JwtFault::Signature)
    );
    let typed = |typ: &str| {
        let header = json!({"alg": "ES256", "typ": typ});
        signed(&desk.key, &header, &claims().to_string())
    };
    for (typ, expected) in [
        ("JWT", None),
        ("jwt", None),
        ("at+jwt", Some(JwtFault::Type)),
        ("JWT ", Some(JwtFault::Type)),
        ("", Some(JwtFault::Type)),
    ] {
        assert_eq!(fault(desk.login_token(&typed(typ))), expected, "{typ}");
    }
    desk.registered.algorithm = Some(Algorithm::Es256);
    assert!(desk.login_token(&token).is_ok());
    desk.registered.algorithm = Some(Algorithm::Ps256);
    assert_eq!(
        fault(desk.login_token(&token)),
        Some(JwtFault::OtherAlgorithm)
    );
}

/// SEC-cred, PRIV-7: what the token says is read by name, and not shown by `Debug`.
#[test]
fn what_a_token_says() {
    let desk = Desk::new();
    let mut said = with(claims(), "acr", json!("high"));
    said = with(with(said, "sid", json!("s-1")), "auth_time", json!(NOW));
    let token = desk.login(&said).unwrap();
    assert_eq!(token.subject(), "alice");
    assert_eq!(token.acr(), Some("high"));
    assert_eq!(token.session_id(), Some("s-1"));
    assert_eq!(token.auth_time(), Some(Timestamp::from_seconds(NOW)));
    assert_eq!(token.get("acr"), Some(&json!("high")));
    assert_eq!(Value::Object(token.claims().clone()), said);
    let raw = desk.sign(&said);
    assert_eq!(
        token.hint().expose().rsplit_once('.').unwrap().0,
        raw.rsplit_once('.').unwrap().0
    );
    let shown = format!("{token:?}");
    assert!(shown.contains("sub") && !shown.contains("alice"), "{shown}");
    assert!(!shown.contains(token.hint().expose()), "{shown}");
}
