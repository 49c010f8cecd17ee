//! UserInfo, plain and signed.

use base64ct::{Base64UrlUnpadded, Encoding};
use fapi_client::{
    Client, Endpoint as At, JwtFault, JwtKind, Session, Signer, SoftwareKey, TransportFault,
    UserInfo, Violation,
};
use fapi_testkit::{
    Alg, Answer, Endpoint, Jwt, ServerBuilder, TestClock, TestServer, UserInfoFault as F,
};
use serde_json::json;

use crate::common;

const NOW: i64 = 1_800_000_000;

fn builder() -> ServerBuilder {
    TestServer::builder().clock(TestClock::at(NOW))
}

async fn plain() -> (TestServer, Session) {
    let server = builder().start().await;
    let session = common::log_in(&server, "alice").await.unwrap();
    (server, session)
}

/// A server that signs, and a client that registered that.
async fn signed() -> (TestServer, Session) {
    let server = builder().signed_userinfo(true).start().await;
    let session = log_in(&server, demanding(&server).await).await;
    (server, session)
}

async fn demanding(server: &TestServer) -> Client {
    common::builder(server)
        .signed_userinfo()
        .build()
        .await
        .unwrap()
}

async fn log_in(server: &TestServer, client: Client) -> Session {
    let login = client
        .login()
        .scope("openid profile email accounts")
        .start()
        .await
        .unwrap();
    let callback = server.browser("alice").approve(login.url().as_str()).await;
    client
        .finish_login(login.transaction(), callback)
        .await
        .unwrap()
}

/// A UserInfo that is refused, after one request with which the server was content.
async fn refused(server: &TestServer, session: &Session) -> Violation {
    // The server's nonce is known from here on, and tokens are live.
    server.forget_requests();
    let error = session.userinfo().await.expect_err("it was taken");
    let requests = server.requests_to(Endpoint::UserInfo);
    let answered = requests
        .iter()
        .filter(|request| request.status.is_none_or(|status| status != 401))
        .count();
    assert_eq!(answered, 1, "{error}");
    assert_eq!(server.count(Endpoint::Api), 0, "{error}");
    assert_eq!(server.count(Endpoint::Token), 0, "{error}");
    error
        .violation()
        .unwrap_or_else(|| panic!("{error}"))
        .clone()
}

fn broken(fault: JwtFault) -> Violation {
    Violation::Jwt {
        kind: JwtKind::UserInfo,
        fault,
    }
}

/// UI-5.3.2, DPOP-7.1a, DPOP-ath, SP-5.3.3.1-3: the claims, asked for with token and proof in the
/// headers alone.
#[tokio::test]
async fn plain_claims() {
    let server = builder().start().await;
    let session = log_in(&server, common::client(&server).await).await;
    let info = session.userinfo().await.unwrap();
    assert_eq!(info.subject(), "alice");
    assert_eq!(info.get("email"), Some(&json!("alice@example.com")));
    assert_eq!(info.claims()["email_verified"], json!(true));

    let request = server.requests_to(Endpoint::UserInfo).pop().unwrap();
    assert_eq!(request.method, "GET");
    assert_eq!(request.query(), None);
    assert!(request.body.is_empty());
    assert!(
        request
            .header("authorization")
            .unwrap()
            .starts_with("DPoP ")
    );
    let proof = request.proof().unwrap();
    assert!(proof.claim("ath").is_string());
    assert_eq!(
        proof.claim("htu"),
        &json!(format!("{}/userinfo", server.issuer()))
    );
}

/// UI-5.3.2: another user's claims, or nobody's, are thrown away.
#[tokio::test]
async fn claims_of_another_user_are_refused() {
    for (server, session) in [plain().await, signed().await] {
        for fault in [F::WrongSubject, F::MissingSubject] {
            server.misbehave(fault);
            assert_eq!(refused(&server, &session).await, Violation::UserInfoSubject);
            server.behave();
        }
        server.mutate_userinfo(|body| body["sub"] = json!("Alice"));
        assert_eq!(refused(&server, &session).await, Violation::UserInfoSubject);
        server.behave();
        assert_eq!(session.userinfo().await.unwrap().subject(), "alice");
    }
}

/// UI-5.3.2: who did not ask for `openid` has no user to ask about, and nothing goes out.
#[tokio::test]
async fn without_openid_there_is_no_userinfo() {
    let server = builder().start().await;
    let client = common::client(&server).await;
    let login = client.login().scope("accounts").start().await.unwrap();
    let callback = server.browser("alice").approve(login.url().as_str()).await;
    let session = client
        .finish_login(login.transaction(), callback)
        .await
        .unwrap();
    let error = session.userinfo().await.unwrap_err();
    assert_eq!(error.code(), "config.no_subject");
    assert_eq!(server.count(Endpoint::UserInfo), 0);
}

/// UI-5.3.2s, SP-5.4.1-1.2: signed claims of every algorithm, for those who registered them and for
/// those who did not.
#[tokio::test]
async fn signed_claims() {
    for alg in Alg::ALL {
        let server = builder()
            .signed_userinfo(true)
            .signing_algorithm(alg)
            .start()
            .await;
        for registered in [true, false] {
            let client = if registered {
                demanding(&server).await
            } else {
                common::client(&server).await
            };
            let session = log_in(&server, client).await;
            let info = session.userinfo().await.unwrap();
            assert_eq!(info.subject(), "alice");
            assert_eq!(info.get("email"), Some(&json!("alice@example.com")));
        }
    }
}

/// UI-5.3.2s, SP-5.4.1-1.2, SP-5.4.1-1.3, JWT-3.3, JWT-3.8-10, OFTEN-9: each check of the signed form.
#[tokio::test]
async fn bad_signed_claims_are_refused() {
    let (server, session) = signed().await;
    for (fault, expected) in [
        (F::WrongIssuer, JwtFault::Issuer),
        (F::WrongAudience, JwtFault::Audience),
        (F::WithoutIssuerAndAudience, JwtFault::MissingClaim("iss")),
        (F::BadSignature, JwtFault::Signature),
        (F::None, JwtFault::Algorithm),
        (F::Rs256, JwtFault::Algorithm),
        (F::Expired, JwtFault::Expired),
    ] {
        server.misbehave(fault.clone());
        assert_eq!(
            refused(&server, &session).await,
            broken(expected),
            "{fault:?}"
        );
        server.behave();
    }
    assert_eq!(session.userinfo().await.unwrap().subject(), "alice");
}

/// UI-5.3.2s: what the registration promises is demanded.
#[tokio::test]
async fn unsigned_claims_are_refused_where_signed_ones_are_registered() {
    let (server, session) = signed().await;
    server.misbehave(F::OtherForm);
    assert_eq!(
        refused(&server, &session).await,
        Violation::UserInfoUnsigned
    );
    server.behave();
    // A JWT under the name of JSON is no signed answer either.
    server.misbehave(F::ContentType("application/json".to_owned()));
    assert_eq!(
        refused(&server, &session).await,
        Violation::UserInfoUnsigned
    );
}

/// UI-5.3.2s: one that comes signed unasked is verified all the same.
#[tokio::test]
async fn unasked_signatures_are_verified() {
    let (server, session) = plain().await;
    server.misbehave(F::OtherForm);
    assert_eq!(session.userinfo().await.unwrap().subject(), "alice");
    server.misbehave(F::BadSignature);
    assert_eq!(
        refused(&server, &session).await,
        broken(JwtFault::Signature)
    );
}

/// SEC-xjwt, JWT-3.11: an ID token of the same user and client, signed with the same key, is no UserInfo.
#[tokio::test]
async fn an_id_token_is_no_userinfo() {
    let (server, session) = signed().await;
    let id_token = session.id_token_hint().unwrap().expose().to_owned();
    assert_eq!(Jwt::read(&id_token).unwrap().claim("sub"), &json!("alice"));
    // Let the nonce be known.
    session.userinfo().await.unwrap();
    let answer = Answer::status(200)
        .header("content-type", "application/jwt")
        .body(id_token);
    server.answer_next(Endpoint::UserInfo, answer);
    assert_eq!(refused(&server, &session).await, broken(JwtFault::Type));

    for claim in ["nonce", "at_hash", "c_hash", "events"] {
        server.mutate_userinfo(move |body| body[claim] = json!("x"));
        assert_eq!(refused(&server, &session).await, broken(JwtFault::Type));
        server.behave();
    }
}

/// SP-5.4.2-2, SEC-ssrf, JWT-3.8-10: a stranger's token whose header brings its key along, and says
/// where it is published, is a stranger's. Neither address is fetched.
#[tokio::test]
async fn a_header_that_points_elsewhere_is_not_followed() {
    let (server, session) = signed().await;
    session.userinfo().await.unwrap();
    let stranger = SoftwareKey::generate_es256().unwrap();
    let elsewhere = format!("{}/keys", server.api());
    let claims = json!({"iss": server.issuer(), "aud": common::CLIENT_ID, "sub": "alice"});
    for kid in [server.active_kid(), "stranger".to_owned()] {
        let header = json!({
            "alg": "ES256", "kid": kid, "jku": elsewhere, "x5u": elsewhere,
            "jwk": stranger.public_jwk().to_json(),
        });
        let input = [header.to_string(), claims.to_string()]
            .map(|part| Base64UrlUnpadded::encode_string(part.as_bytes()))
            .join(".");
        let signature = stranger.sign(input.as_bytes()).await.unwrap();
        let signature = Base64UrlUnpadded::encode_string(signature.as_bytes());
        let answer = Answer::status(200)
            .header("content-type", "application/jwt")
            .body(format!("{input}.{signature}"));
        server.answer_next(Endpoint::UserInfo, answer);
        let fault = if kid == "stranger" {
            JwtFault::NoKey
        } else {
            JwtFault::Signature
        };
        assert_eq!(refused(&server, &session).await, broken(fault));
        assert_eq!(server.count(Endpoint::Other), 0);
    }
}

/// R6749-5.2, BCP-4.12, K-15, K-16, ERR-12: answers that are no UserInfo at all.
#[tokio::test]
async fn other_answers_are_refused() {
    let (server, session) = plain().await;
    session.userinfo().await.unwrap();
    let media = |media: &str, body: &'static str| {
        Answer::status(200).header("content-type", media).body(body)
    };
    let malformed = Violation::Answer {
        endpoint: At::UserInfo,
        member: String::new(),
    };
    let wrong_type = Violation::ContentType {
        endpoint: At::UserInfo,
    };
    for (answer, expected) in [
        (Answer::html(200), wrong_type.clone()),
        (media("text/plain", r#"{"sub":"alice"}"#), wrong_type),
        (media("application/json", "[]"), malformed.clone()),
        (
            media("application/json", r#"{"sub":"alice","sub":"mallory"}"#),
            malformed,
        ),
        (media("application/jwt", "no"), broken(JwtFault::Malformed)),
        (
            media("application/jwt", "a.b.c.d.e"),
            broken(JwtFault::Encrypted),
        ),
        (
            Answer::redirect(302, &format!("{}/userinfo", server.api())),
            Violation::Redirect {
                endpoint: At::UserInfo,
                status: 302,
            },
        ),
        (
            Answer::json(201, &json!({"sub": "alice"})),
            Violation::Status {
                endpoint: At::UserInfo,
                status: 201,
            },
        ),
    ] {
        server.answer_next(Endpoint::UserInfo, answer);
        assert_eq!(refused(&server, &session).await, expected);
    }

    for (answer, expected) in [
        (
            Answer::endless(),
            TransportFault::TooLarge { limit: 262_144 },
        ),
        (
            Answer::status(503),
            TransportFault::Unavailable {
                status: 503,
                retry_after: None,
            },
        ),
    ] {
        server.answer_next(Endpoint::UserInfo, answer);
        let error = session.userinfo().await.unwrap_err();
        let fapi_client::Error::Transport(error) = error else {
            panic!("{error}")
        };
        assert_eq!(error.fault, expected);
        assert_eq!(error.endpoint, Some(At::UserInfo));
    }
}

/// OIDC-10, META-9: keys that rotate between the login and UserInfo are found.
#[tokio::test]
async fn rotated_keys_are_found() {
    let (server, session) = signed().await;
    server.rotate_keys();
    server.retire_old_keys();
    let fetched = server.count(Endpoint::Jwks);
    let info: UserInfo = session.userinfo().await.unwrap();
    assert_eq!(info.subject(), "alice");
    assert_eq!(server.count(Endpoint::Jwks), fetched + 1);
}
