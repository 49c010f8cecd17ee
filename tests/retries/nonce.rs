//! The demand for a nonce, well made and badly made.

use fapi_client::{NonceFault, Violation};
use fapi_testkit::{Answer, Endpoint, Fault, NonceFault as Wrong, TestServer};

use super::{Place, Ready, assert_repeated};

/// DPOP-8a, DPOP-9, ERR-1, ERR-2, OFTEN-4: a demand is answered once, with the same request, the same
/// token, a new proof and a new assertion; nothing is refreshed for it.
#[tokio::test]
async fn a_demand_is_answered_with_the_same_request_once() {
    for place in Place::ALL {
        let server = TestServer::start().await;
        let mut ready = Ready::at(place, &server).await;
        server.rotate_nonces();
        ready.act(&server).await.unwrap();
        let requests = assert_repeated(&server, place, 2);
        let nonces: Vec<_> = requests
            .iter()
            .map(|request| request.proof().unwrap().claim("nonce").clone())
            .collect();
        assert_ne!(nonces[0], nonces[1], "{place:?}");
        assert!(nonces[1].is_string());
        if place.is_resource() {
            assert_eq!(server.count(Endpoint::Token), 0, "{place:?}");
        }
    }
}

/// DPOP-8a, DPOP-9, DPOP-7.1b, R6750-3, K-12: the demand counts at status 400 and 401 of either role, in
/// a challenge at any position, under any scheme and in any letter case, and in a JSON body.
#[tokio::test]
async fn a_demand_is_seen_wherever_it_stands() {
    let body = || Answer::error(400, "use_dpop_nonce");
    let status = Answer::status;
    let header = "www-authenticate";
    let shapes: Vec<(&str, Answer)> = vec![
        ("400, body", body()),
        ("401, body", Answer::error(401, "use_dpop_nonce")),
        (
            "401, challenge",
            status(401).header(header, r#"DPoP error="use_dpop_nonce", algs="ES256""#),
        ),
        (
            "400, challenge, letter case",
            status(400).header(header, r"dPoP algs=ES256, ERROR=use_dpop_nonce"),
        ),
        (
            "last of three in one header",
            status(401).header(
                header,
                r#"Basic realm="a, b", Bearer error="invalid_token", DPoP error="use_dpop_nonce""#,
            ),
        ),
        (
            "first of two headers",
            status(401)
                .header(header, r#"DPoP error="use_dpop_nonce""#)
                .header(header, r#"Bearer error="invalid_token""#),
        ),
        (
            "second of two headers",
            status(401)
                .header(header, r#"Bearer realm="api", error="invalid_token""#)
                .header(header, r#"DPoP error="use_dpop_nonce""#),
        ),
        (
            "scheme Bearer",
            status(401).header(header, r#"Bearer error="use_dpop_nonce""#),
        ),
    ];
    for place in Place::ALL {
        let server = TestServer::start().await;
        for (name, shape) in &shapes {
            let mut ready = Ready::at(place, &server).await;
            server.answer_next(
                place.endpoint(),
                shape.clone().header("dpop-nonce", "fresh-nonce"),
            );
            server.answer_next(place.endpoint(), place.success());
            ready.act(&server).await.unwrap();
            let requests = assert_repeated(&server, place, 2);
            let proof = requests[1].proof().unwrap();
            assert_eq!(proof.claim("nonce"), "fresh-nonce", "{place:?}, {name}");
            if place.is_resource() {
                assert_eq!(server.count(Endpoint::Token), 0, "{place:?}, {name}");
            }
        }
    }
}

/// DPOP-8a, K-12: a real demand with the other role's status, or in an API's JSON body, is answered too.
#[tokio::test]
async fn a_demand_with_the_other_roles_status_is_answered() {
    for (place, fault) in [
        (Place::Par, Wrong::OtherStatus),
        (Place::Code, Wrong::OtherStatus),
        (Place::Refresh, Wrong::OtherStatus),
        (Place::Api, Wrong::OtherStatus),
        (Place::UserInfo, Wrong::OtherStatus),
        (Place::Api, Wrong::InBody),
        (Place::UserInfo, Wrong::InBody),
    ] {
        let server = TestServer::start().await;
        let mut ready = Ready::at(place, &server).await;
        server.rotate_nonces();
        server.misbehave_times(Fault::NonceAt(place.endpoint(), fault), 1);
        ready.act(&server).await.unwrap();
        assert_repeated(&server, place, 2);
    }
}

/// DPOP-8a, DPOP-8.1, SP-5.3.3.1-8: a demand with no nonce, two, a malformed, an empty, an oversized or
/// the same one, and one that never ends, stop the request. Nothing goes out after it.
#[tokio::test]
async fn a_bad_demand_stops_the_request() {
    let rows = [
        (Wrong::MissingHeader, NonceFault::Missing, 1),
        (Wrong::TwoHeaders, NonceFault::Several, 1),
        (Wrong::Malformed, NonceFault::Malformed, 1),
        (Wrong::Empty, NonceFault::Malformed, 1),
        (Wrong::Oversized, NonceFault::Malformed, 1),
        (Wrong::Same, NonceFault::Same, 1),
        (Wrong::Always, NonceFault::Again, 2),
    ];
    for place in Place::ALL {
        for (wrong, fault, mut sent) in rows {
            let server = TestServer::start().await;
            let mut ready = Ready::at(place, &server).await;
            if place.is_resource() && wrong == Wrong::Same {
                // No nonce is known yet, so that the first demand brings a new one.
                sent = 2;
            }
            server.misbehave(Fault::NonceAt(place.endpoint(), wrong));
            let error = ready.act(&server).await.unwrap_err();
            assert_eq!(
                error.violation(),
                Some(&Violation::DpopNonce {
                    endpoint: place.named(),
                    fault
                }),
                "{place:?}, {wrong:?}"
            );
            assert!(!error.retry_may_help());
            assert_repeated(&server, place, sent);
            assert_eq!(server.requests().len(), sent, "{place:?}, {wrong:?}");
        }
    }
}

/// DPOP-8a: a nonce beside another error is no demand. `invalid_grant` with a nonce does not redeem a
/// code a second time.
#[tokio::test]
async fn a_nonce_beside_another_error_is_no_demand() {
    for place in [Place::Par, Place::Code, Place::Refresh] {
        let server = TestServer::start().await;
        let mut ready = Ready::at(place, &server).await;
        server.answer_always(
            place.endpoint(),
            Answer::error(400, "invalid_request").header("dpop-nonce", "another"),
        );
        let error = ready.act(&server).await.unwrap_err();
        assert_eq!(error.code(), "denied.server", "{place:?}");
        assert_eq!(server.requests().len(), 1, "{place:?}");
    }
}

/// DPOP-idem, ERR-12, SEC-6.4: a server that fails or is busy gets no request twice, whatever nonce and
/// whatever error it names.
#[tokio::test]
async fn a_server_that_is_down_gets_no_request_twice() {
    for place in Place::ALL {
        for status in [429, 500, 502, 503] {
            let server = TestServer::start().await;
            let mut ready = Ready::at(place, &server).await;
            server.answer_always(
                place.endpoint(),
                Answer::error(status, "use_dpop_nonce")
                    .header("dpop-nonce", "another")
                    .header("retry-after", "2"),
            );
            let error = ready.act(&server).await.unwrap_err();
            let code = match (place, status) {
                (Place::Api, _) | (Place::UserInfo, 429) => "api",
                _ => "transport.unavailable",
            };
            assert_eq!(error.code(), code, "{place:?}, {status}");
            assert_eq!(server.requests().len(), 1, "{place:?}, {status}");
        }
    }
}
