//! What an API says of the token, and the bound on all retries together.

use fapi_client::{Error, NonceFault, SignInAgain, Violation};
use fapi_testkit::{Answer, ApiFault, Endpoint, Nonces, TestClock, TestServer, TokenFault};
use http::Method;

use super::{Place, Ready};
use crate::common;

fn token_of(server: &TestServer, number: usize) -> String {
    let request = &server.requests_to(Endpoint::Api)[number];
    request.header("authorization").unwrap().to_owned()
}

/// A session whose nonces are known, and no request on record.
async fn warm(server: &TestServer) -> fapi_client::Session {
    let ready = Ready::at(Place::Api, server).await;
    common::get(&ready.session, server, "/accounts")
        .await
        .unwrap();
    server.forget_requests();
    ready.session
}

/// ERR-3, SP-5.3.4-3, DPOP-7.1b, DPOP-7.2, R6750-3: `invalid_token`, in whatever challenge, means one
/// refresh and the same request with the new token, of any method; never another scheme.
#[tokio::test]
async fn invalid_token_means_one_refresh_and_one_more_call() {
    for fault in [
        ApiFault::InvalidToken,
        ApiFault::SchemeCase,
        ApiFault::Bearer,
        ApiFault::TwoChallenges,
        ApiFault::TwoHeaders,
        ApiFault::Tricky,
    ] {
        let server = TestServer::start().await;
        let session = warm(&server).await;
        for method in [Method::GET, Method::POST] {
            server.forget_requests();
            server.misbehave_times(fault, 1);
            let answer = session
                .request(method, format!("{}/pay", server.api()))
                .body("once".to_owned())
                .send()
                .await
                .unwrap();
            assert_eq!(answer.status(), 200, "{fault:?}");
            assert_eq!(server.count(Endpoint::Token), 1, "{fault:?}");
            assert_eq!(server.count(Endpoint::Api), 2, "{fault:?}");
            let (old, new) = (token_of(&server, 0), token_of(&server, 1));
            assert!(old.starts_with("DPoP ") && new.starts_with("DPoP "));
            assert_ne!(old, new);
            assert_eq!(server.requests_to(Endpoint::Api)[1].body, "once");
        }
        common::assert_fresh(&server);
    }
}

/// SP-5.3.4-3: an API that always says 401 gets two calls, and the server one refresh; then the answer
/// is the caller's. More is for `refresh()` to do.
#[tokio::test]
async fn an_api_that_always_refuses_gets_two_calls() {
    for fault in [ApiFault::InvalidToken, ApiFault::Bearer, ApiFault::NoError] {
        let server = TestServer::start().await;
        let session = warm(&server).await;
        server.misbehave(fault);
        let answer = common::get(&session, &server, "/accounts").await.unwrap();
        assert_eq!(answer.status(), 401, "{fault:?}");
        assert_eq!(server.count(Endpoint::Api), 2, "{fault:?}");
        assert_eq!(server.count(Endpoint::Token), 1, "{fault:?}");
        for request in server.requests_to(Endpoint::Api) {
            assert!(
                request
                    .header("authorization")
                    .unwrap()
                    .starts_with("DPoP ")
            );
        }
    }
}

/// ERR-3: a 401 that says nothing means one refresh; the request goes out again where it is idempotent,
/// or where the caller says so.
#[tokio::test]
async fn a_401_without_a_reason_resends_what_is_idempotent() {
    for fault in [ApiFault::NoError, ApiFault::NoChallenge] {
        for (method, said, sent) in [
            (Method::GET, false, 2),
            (Method::PUT, false, 2),
            (Method::DELETE, false, 2),
            (Method::POST, false, 1),
            (Method::PATCH, false, 1),
            (Method::POST, true, 2),
        ] {
            let server = TestServer::start().await;
            let session = warm(&server).await;
            server.misbehave_times(fault, 1);
            let mut request = session.request(method.clone(), format!("{}/pay", server.api()));
            if said {
                request = request.idempotent();
            }
            let answer = request.send().await.unwrap();
            let status = if sent == 2 { 200 } else { 401 };
            assert_eq!(answer.status(), status, "{method} {fault:?}");
            assert_eq!(server.count(Endpoint::Api), sent, "{method} {fault:?}");
            assert_eq!(server.count(Endpoint::Token), 1, "{method} {fault:?}");
        }
    }
}

/// ERR-5, ERR-6, SP-5.3.4-4: other errors are the caller's, and refresh nothing.
#[tokio::test]
async fn other_errors_refresh_nothing() {
    for (fault, status, word) in [
        (ApiFault::InsufficientScope, 403, Some("insufficient_scope")),
        (ApiFault::InvalidProof, 401, Some("invalid_dpop_proof")),
        // A word that is none of OAuth's is no reason to refresh, and is not handed on.
        (ApiFault::Malformed, 401, None),
    ] {
        let server = TestServer::start().await;
        let session = warm(&server).await;
        server.misbehave(fault);
        let answer = common::get(&session, &server, "/accounts").await.unwrap();
        let Err(Error::Api(failure)) = answer.error_for_status() else {
            panic!("{fault:?}");
        };
        assert_eq!(failure.status, status);
        assert_eq!(failure.error.as_deref(), word);
        assert_eq!(server.requests().len(), 1, "{fault:?}");
    }
    let server = TestServer::start().await;
    let session = warm(&server).await;
    let answer = common::get(&session, &server, "/scope/payments")
        .await
        .unwrap();
    let Err(Error::Api(failure)) = answer.error_for_status() else {
        panic!("the scope was not granted");
    };
    assert_eq!(failure.scope.as_deref(), Some("payments"));
    assert_eq!(server.requests().len(), 1);
}

/// ERR-3: without a refresh token, `invalid_token` means that the user has to sign in; a 401 without a
/// reason stays an answer.
#[tokio::test]
async fn without_a_refresh_token_nothing_is_renewed() {
    let server = TestServer::start().await;
    server.misbehave(TokenFault::WithoutRefreshToken);
    let session = warm(&server).await;
    server.misbehave_times(ApiFault::InvalidToken, 1);
    let error = common::get(&session, &server, "/accounts")
        .await
        .unwrap_err();
    assert!(
        matches!(error, Error::SignInAgain(SignInAgain::NoRefreshToken)),
        "{error:?}"
    );
    server.misbehave_times(ApiFault::NoError, 1);
    let answer = common::get(&session, &server, "/accounts").await.unwrap();
    assert_eq!(answer.status(), 401);
    assert_eq!(server.requests().len(), 2);
}

/// SU-3, SU-4, ERR-4: a demand for another authentication is the caller's: no refresh, no second call,
/// and the token stays good elsewhere.
#[tokio::test]
async fn a_step_up_never_refreshes() {
    let server = TestServer::start().await;
    let session = warm(&server).await;
    let path = "/step-up?acr=phr+phrh&max_age=60";
    let error = common::get(&session, &server, path).await.unwrap_err();
    let Error::StepUp(step_up) = error else {
        panic!("{error:?}");
    };
    assert_eq!(step_up.acr_values, ["phr", "phrh"]);
    assert_eq!(step_up.max_age, Some(std::time::Duration::from_secs(60)));
    assert_eq!(server.requests().len(), 1);
    let answer = common::get(&session, &server, "/accounts").await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(server.count(Endpoint::Token), 0);
}

/// DPOP-8a, ERR-1 to ERR-6: one retry for each cause makes four sends at most, in whatever order the causes
/// come; a fifth demand is refused, a fourth 401 is the caller's.
#[tokio::test]
async fn no_request_goes_out_more_than_four_times() {
    let nonce = |value: &str| {
        Answer::status(401)
            .header("www-authenticate", r#"DPoP error="use_dpop_nonce""#)
            .header("dpop-nonce", value)
    };
    let clock = || {
        Answer::status(401)
            .header("www-authenticate", r#"DPoP error="invalid_dpop_proof""#)
            .header("date", "Fri, 15 Jan 2027 08:05:00 GMT")
    };
    let token =
        || Answer::status(401).header("www-authenticate", r#"Bearer error="invalid_token""#);
    let orders = [
        [nonce("one"), clock(), token()],
        [nonce("one"), token(), clock()],
        [clock(), nonce("one"), token()],
        [clock(), token(), nonce("one")],
        [token(), nonce("one"), clock()],
        [token(), clock(), nonce("one")],
    ];
    for order in orders {
        for (last, refused) in [(nonce("two"), true), (token(), false), (clock(), false)] {
            let server = TestServer::builder()
                .clock(TestClock::at(1_800_000_000))
                .nonces(Nonces::Off)
                .start()
                .await;
            let session = warm(&server).await;
            for answer in order.clone() {
                server.answer_next(Endpoint::Api, answer);
            }
            server.answer_always(Endpoint::Api, last);
            let outcome = common::get(&session, &server, "/accounts").await;
            match outcome {
                Ok(answer) => {
                    assert!(!refused);
                    assert_eq!(answer.status(), 401);
                }
                Err(error) => {
                    assert!(refused, "{error:?}");
                    assert_eq!(
                        error.violation(),
                        Some(&Violation::DpopNonce {
                            endpoint: fapi_client::Endpoint::Resource,
                            fault: NonceFault::Again
                        })
                    );
                }
            }
            assert_eq!(server.count(Endpoint::Api), 4);
            assert_eq!(server.count(Endpoint::Token), 1);
            common::assert_fresh(&server);
        }
    }
}

/// ERR-11, SEC-6.4, DPOP-idem: where an answer is lost, neither the redemption of a code nor a call of an
/// API nor a pushed request goes out again.
#[tokio::test]
async fn a_lost_answer_is_not_asked_for_again() {
    for place in [Place::Par, Place::Code, Place::Api, Place::UserInfo] {
        for lost in [Answer::drop_connection(), Answer::refuse_connection()] {
            let server = TestServer::builder().nonces(Nonces::Off).start().await;
            let mut ready = Ready::at(place, &server).await;
            server.answer_always(place.endpoint(), lost);
            let error = ready.act(&server).await.unwrap_err();
            assert_eq!(error.code(), "transport.broken", "{place:?}");
            assert_eq!(server.requests().len(), 1, "{place:?}");
        }
    }
}
