//! DPoP proofs and their nonces.

use fapi_testkit::{Endpoint, TestServer};
use http::Method;
use serde_json::json;

use super::{Row, check, der, flip, party, refuses};
use crate::party::Party;
use crate::wire::{Draft, Key, Shot, b64, hash, unique};

#[rustfmt::skip]
const PROOFS: &[Row] = &[
    ("no proof", |s| s.proof = None, "400 invalid_dpop_proof"),
    ("two proofs", |s| s.headers.push(("dpop", "x".to_owned())), "400 invalid_dpop_proof"),
    ("garbage", |s| s.proof().instead = Some("x.y.z".to_owned()), "400 invalid_dpop_proof"),
    ("typ", |s| s.proof().head("typ", "JWT"), "400 invalid_dpop_proof"),
    ("alg none", |s| { s.proof().head("alg", "none"); s.proof().spoil = Some(|_| vec![]); }, "400 invalid_dpop_proof"),
    ("another alg", |s| s.proof().head("alg", "PS256"), "400 invalid_dpop_proof"),
    ("no jwk", |s| s.proof().without("jwk"), "400 invalid_dpop_proof"),
    ("private jwk", |s| s.proof().header["jwk"]["d"] = "AA".into(), "400 invalid_dpop_proof"),
    ("symmetric jwk", |s| s.proof().head("jwk", json!({"kty": "oct", "k": "AA"})), "400 invalid_dpop_proof"),
    ("another jwk", |s| s.proof().head("jwk", Key::es256().jwk()), "400 invalid_dpop_proof"),
    ("off the curve", |s| s.proof().header["jwk"]["y"] = b64(&[1; 32]).into(), "400 invalid_dpop_proof"),
    ("signature", |s| s.proof().spoil = Some(flip), "400 invalid_dpop_proof"),
    ("DER", |s| s.proof().spoil = Some(der), "400 invalid_dpop_proof"),
    ("htm", |s| s.proof().claim("htm", "PUT"), "400 invalid_dpop_proof"),
    ("htm in lower case", |s| { let htm = s.method.as_str().to_lowercase(); s.proof().claim("htm", htm); }, "400 invalid_dpop_proof"),
    ("htu", |s| s.proof().claim("htu", "https://other.example/"), "400 invalid_dpop_proof"),
    ("htu with a fragment", |s| { let htu = format!("{}#x", s.proof().claims["htu"].as_str().unwrap()); s.proof().claim("htu", htu); }, "400 invalid_dpop_proof"),
    ("htu in upper case", |s| { let htu = s.proof().claims["htu"] .as_str().unwrap().replace("localhost", "LOCALHOST"); s.proof().claim("htu", htu); }, "400 invalid_dpop_proof"),
    ("old", |s| age(s, -62), "400 invalid_dpop_proof"),
    ("ahead", |s| age(s, 40), "400 invalid_dpop_proof"),
    ("no iat", |s| s.proof().without("iat"), "400 invalid_dpop_proof"),
    ("no jti", |s| s.proof().without("jti"), "400 invalid_dpop_proof"),
    ("short jti", |s| s.proof().claim("jti", "1"), "400 invalid_dpop_proof"),
    ("a nonce that nobody gave", |s| s.proof().claim("nonce", unique()), "400 invalid_dpop_proof"),
];

/// DPOP-4 to DPOP-7: what a proof must be, where there is no token.
#[tokio::test]
async fn proofs_are_checked_at_the_token_endpoint() {
    let party = party().await;
    refuses(&party, PROOFS, async || party.service("a")).await;
    #[rustfmt::skip]
    let rows: &[Row] = &[
        ("ath without a token", |s| s.proof().claim("ath", hash(b"x")), "400 invalid_dpop_proof"),
    ];
    refuses(&party, rows, async || party.service("a")).await;
    replayed_proof(&party, || party.service("a"), "400 invalid_dpop_proof").await;
}

/// The same at UserInfo and at the resource server, where a token comes along.
#[tokio::test]
async fn proofs_are_checked_at_resources() {
    let party = party().await;
    let tokens = party.log_in("openid").await;
    let token = tokens["access_token"].as_str().unwrap();
    let unauthorized: Vec<Row> = PROOFS
        .iter()
        .map(|(what, spoil, _)| (*what, *spoil, "401 invalid_dpop_proof"))
        .collect();
    #[rustfmt::skip]
    let rows: &[Row] = &[
        ("no ath", |s| s.proof().without("ath"), "401 invalid_dpop_proof"),
        ("another ath", |s| s.proof().claim("ath", hash(b"x")), "401 invalid_dpop_proof"),
        ("Bearer", |s| s.headers[0].1 = s.headers[0].1.replace("DPoP", "Bearer"), "401 invalid_token"),
        ("unknown token", |s| s.headers[0].1 = "DPoP unknown".to_owned(), "401 invalid_token"),
        ("no token", |s| s.headers.clear(), "401"),
        ("two tokens", |s| s.headers.push(s.headers[0].clone()), "400 invalid_request"),
        ("token in the query", |s| s.url.push_str("?access_token=x"), "400 invalid_request"),
        ("token in the body", |s| { s.method = Method::POST; s.content_type = "application/x-www-form-urlencoded"; s.add("access_token", "x"); }, "400 invalid_request"),
    ];
    for at_api in [true, false] {
        let make = async || {
            if at_api {
                party.api("/a", token)
            } else {
                party.userinfo(token)
            }
        };
        refuses(&party, &unauthorized, make).await;
        refuses(&party, rows, make).await;
        replayed_proof(
            &party,
            || {
                if at_api {
                    party.api("/a", token)
                } else {
                    party.userinfo(token)
                }
            },
            "401 invalid_dpop_proof",
        )
        .await;
        let mut lower = make().await;
        lower.headers[0].1 = lower.headers[0].1.replace("DPoP", "dpop");
        assert_eq!(party.send(lower).await.status, 200);
    }
    let mut query = party.api("/a?x=1", token);
    query.proof().claims["htu"] = query.url.as_str().into();
    check(
        "htu with a query",
        &party.send(query).await,
        "401 invalid_dpop_proof",
    );

    // SP-5.3.4-5: a stolen token is worthless to another key.
    let thief = Party::with_keys(&party.server, "thief", Key::es256(), Key::es256()).await;
    check(
        "stolen",
        &thief.send(thief.api("/a", token)).await,
        "401 invalid_token",
    );

    let service = party.send(party.service("a")).await.json();
    let service = service["access_token"].as_str().unwrap();
    check(
        "no openid",
        &party.send(party.userinfo(service)).await,
        "403 insufficient_scope",
    );
}

async fn replayed_proof(party: &Party, make: impl Fn() -> Shot, expected: &str) {
    let first = make();
    let proof = first.proof.clone();
    assert_eq!(party.send(first).await.status, 200);
    let mut second = make();
    second.proof = proof;
    check("replayed", &party.send(second).await, expected);
}

/// DPOP-nsep: the nonce of one role is not good for another.
#[tokio::test]
async fn nonces_of_other_roles_are_refused() {
    let server = TestServer::start().await;
    let party = Party::new(&server).await;
    let tokens = party.log_in("openid").await;
    let token = tokens["access_token"].as_str().unwrap();
    let nonce = server.requests_to(Endpoint::Token)[0]
        .proof()
        .unwrap()
        .claim("nonce")
        .clone();
    for mut shot in [party.api("/", token), party.userinfo(token)] {
        shot.proof().claims["nonce"] = nonce.clone();
        check(
            "another role's",
            &party.send(shot).await,
            "401 use_dpop_nonce",
        );
        assert!(
            server
                .refusals()
                .last()
                .unwrap()
                .ends_with("the nonce is another role's")
        );
    }
    let mut wrong = party.service("a");
    wrong.proof().claims["nonce"] = 7.into();
    check(
        "a number",
        &party.send(wrong).await,
        "400 invalid_dpop_proof",
    );
}

/// SP-5.3.2.1-13: up to 10 s ahead is taken; the server's own offset counts, and `Date` tells it.
#[tokio::test]
async fn the_clock_of_the_server_can_be_wrong() {
    let party = party().await;
    let mut ahead = party.service("a");
    age(&mut ahead, 9);
    assert_eq!(party.send(ahead).await.status, 200);
    party.server.set_clock_offset(-120);
    let reply = party.send(party.service("a")).await;
    check("slow server", &reply, "401 invalid_client");
    let date = httpdate::parse_http_date(reply.header("date")).unwrap();
    let date = date
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    assert!((party.now() - 120).abs_diff(date.cast_signed()) <= 20);
}

fn age(shot: &mut Shot, by: i64) {
    let proof: &mut Draft = shot.proof();
    let iat = proof.claims["iat"].as_i64().unwrap();
    proof.claims["iat"] = (iat + by).into();
}
