//! Nonce challenges and those of the resource server.

use fapi_testkit::{ApiFault, Endpoint, Fault, NonceFault, TestServer};

use super::party;
use crate::party::Party;

#[tokio::test]
async fn nonce_challenges_are_wrong_on_command() {
    use NonceFault as N;
    type Row = (N, fn(&[&[u8]]) -> bool);
    let server = TestServer::start().await;
    let party = Party::new(&server).await;
    let tokens = party.log_in("openid").await;
    let token = tokens["access_token"].as_str().unwrap();
    party.with_nonce(|| party.api("/", token)).await;
    #[rustfmt::skip]
    let rows: [Row; 9] = [
        (N::Always, |nonces| nonces.len() == 1),
        (N::MissingHeader, |nonces| nonces.is_empty()),
        (N::TwoHeaders, |nonces| nonces.len() == 2 && nonces[0] != nonces[1]),
        (N::Malformed, |nonces| nonces[0].contains(&b' ')),
        (N::Empty, |nonces| nonces == [b""]),
        (N::Oversized, |nonces| nonces[0].len() == 4 * 1024),
        (N::Same, |nonces| nonces.len() == 1),
        (N::OtherStatus, |nonces| nonces.len() == 1),
        (N::InBody, |nonces| nonces.len() == 1),
    ];
    for (fault, holds) in rows {
        for at_api in [true, false] {
            let mut shot = if at_api {
                party.api("/", token)
            } else {
                party.service("a")
            };
            if fault == N::Same {
                shot.proof().claim("nonce", "the-one-before");
            }
            server.misbehave_times(fault, 1);
            let reply = party.send(shot).await;
            let nonces: Vec<&[u8]> = reply
                .headers
                .get_all("dpop-nonce")
                .iter()
                .map(http::HeaderValue::as_bytes)
                .collect();
            assert!(holds(&nonces), "{fault:?}: {reply:?}");
            assert_eq!(reply.error(), "use_dpop_nonce", "{fault:?}");
            let other = fault == N::OtherStatus;
            assert_eq!(
                reply.status,
                if at_api == other { 400 } else { 401 },
                "{fault:?}"
            );
            if at_api {
                assert_eq!(
                    reply.header("www-authenticate").is_empty(),
                    fault == N::InBody
                );
            }
            if fault == N::Same {
                assert_eq!(nonces, [b"the-one-before"]);
            }
        }
    }
    server.misbehave(Fault::NonceAt(Endpoint::Api, N::Always));
    let storm = [
        party.send(party.api("/", token)).await,
        party.send(party.api("/", token)).await,
    ];
    assert!(storm.iter().all(|reply| reply.error() == "use_dpop_nonce"));
    assert_ne!(storm[0].header("dpop-nonce"), storm[1].header("dpop-nonce"));
    assert_eq!(party.with_nonce(|| party.service("a")).await.status, 200);
    server.behave();
    assert_eq!(party.send(party.api("/", token)).await.status, 200);
}

#[tokio::test]
async fn api_challenges_are_wrong_on_command() {
    use ApiFault as A;
    type Row = (A, u16, &'static [&'static str]);
    let party = party().await;
    let tokens = party.log_in("accounts").await;
    let token = tokens["access_token"].as_str().unwrap();
    #[rustfmt::skip]
    let rows: [Row; 11] = [
        (A::InvalidToken, 401, &["DPoP error=\"invalid_token\""]),
        (A::SchemeCase, 401, &["dPoP error=\"invalid_token\""]),
        (A::Bearer, 401, &["Bearer realm"]),
        (A::TwoChallenges, 401, &["Bearer realm=\"api\", error=\"invalid_token\", DPoP error"]),
        (A::TwoHeaders, 401, &["Bearer realm", "DPoP error"]),
        (A::NoError, 401, &["DPoP algs=\"ES256\""]),
        (A::NoChallenge, 401, &[]),
        (A::Malformed, 401, &["DPoP error=\"invalid_token,"]),
        (A::InvalidProof, 401, &["DPoP error=\"invalid_dpop_proof\""]),
        (A::InsufficientScope, 403, &["DPoP error=\"insufficient_scope\""]),
        (A::Tricky, 401, &["Negotiate dGVzdA=="]),
    ];
    for (fault, status, expected) in rows {
        party.server.misbehave_times(fault, 1);
        let reply = party.send(party.api("/", token)).await;
        assert_eq!(reply.status, status, "{fault:?}");
        let challenges: Vec<&str> = reply
            .headers
            .get_all("www-authenticate")
            .iter()
            .map(|v| v.to_str().unwrap())
            .collect();
        assert_eq!(challenges.len(), expected.len(), "{fault:?}");
        for (found, expected) in challenges.iter().zip(expected) {
            assert!(found.starts_with(expected), "{fault:?}: {found}");
        }
        assert_eq!(party.send(party.api("/", token)).await.status, 200);
    }
}
