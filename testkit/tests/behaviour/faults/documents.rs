//! Metadata, authorization responses, tokens and UserInfo.

use fapi_testkit::{
    AuthorizationFault, MetadataFault, Nonces, ParFault, TestServer, TokenFault, UserInfoFault,
};
use http::Method;
use serde_json::{Value, json};

use super::{EVIL, party};
use crate::party::{Party, callback};
use crate::wire::{Reply, decode};

#[tokio::test]
async fn metadata_and_pushed_answers_are_wrong_on_command() {
    use MetadataFault as M;
    let party = party().await;
    let text = |text: &str| text.to_owned();
    let url = format!("{}/.well-known/openid-configuration", party.server.issuer());
    let metadata = async |fault: MetadataFault| {
        party.server.misbehave_times(fault, 1);
        party.send_raw(Method::GET, &url).await
    };
    assert_eq!(metadata(M::Issuer(text(EVIL))).await.json()["issuer"], EVIL);
    assert!(
        metadata(M::Without(text("jwks_uri")))
            .await
            .json()
            .get("jwks_uri")
            .is_none()
    );
    let set = M::Set(text("token_endpoint"), 7.into());
    assert_eq!(metadata(set).await.json()["token_endpoint"], 7);
    let plain = metadata(M::PlainHttp(text("token_endpoint"))).await.json();
    assert!(
        plain["token_endpoint"]
            .as_str()
            .unwrap()
            .starts_with("http://")
    );
    let twice = metadata(M::DuplicateIssuer).await;
    assert_eq!(
        String::from_utf8_lossy(&twice.body)
            .matches("\"issuer\"")
            .count(),
        2
    );
    let typed = metadata(M::ContentType(text("text/plain"))).await;
    assert_eq!(typed.header("content-type"), "text/plain");
    assert!(metadata(M::Html).await.json().is_null());
    assert_eq!(
        party.send_raw(Method::GET, &url).await.json(),
        party.metadata
    );

    let par = async |fault: ParFault| {
        party.server.misbehave_times(fault, 1);
        party.send(party.par("openid")).await
    };
    assert_eq!(par(ParFault::Status200).await.status, 200);
    assert!(
        par(ParFault::MissingRequestUri)
            .await
            .json()
            .get("request_uri")
            .is_none()
    );
    assert!(
        par(ParFault::MissingExpiresIn)
            .await
            .json()
            .get("expires_in")
            .is_none()
    );
    assert_eq!(
        par(ParFault::ExpiresIn(json!("90"))).await.json()["expires_in"],
        "90"
    );
    assert!(par(ParFault::Html).await.json().is_null());
    assert_eq!(
        par(ParFault::Error(text("invalid_scope"))).await.error(),
        "invalid_scope"
    );
}

#[tokio::test]
async fn authorization_responses_are_wrong_on_command() {
    use AuthorizationFault as F;
    type Row<'a> = (F, Box<dyn Fn(&str) -> bool + 'a>);
    let party = party().await;
    let issuer = party.server.issuer().to_owned();
    let text = |text: &str| text.to_owned();
    let browser = party.server.browser("alice");
    let count = |url: &str, name: &str| {
        url::Url::parse(url)
            .unwrap()
            .query_pairs()
            .filter(|(n, _)| n == name)
            .count()
    };
    #[rustfmt::skip]
    let rows: Vec<Row<'_>> = vec![
        (F::WrongIssuer, Box::new(|u| callback(u)["iss"] == EVIL)),
        (F::Issuer(format!("{issuer}/")), Box::new(|u| callback(u)["iss"] == format!("{issuer}/"))),
        (F::MissingIssuer, Box::new(|u| count(u, "iss") == 0)),
        (F::DuplicateIssuer, Box::new(|u| count(u, "iss") == 2 && callback(u)["iss"] == issuer)),
        (F::SecondIssuer, Box::new(|u| count(u, "iss") == 2 && callback(u)["iss"] == EVIL)),
        (F::WrongState, Box::new(|u| callback(u)["state"] != "the-state")),
        (F::MissingState, Box::new(|u| count(u, "state") == 0)),
        (F::DuplicateState, Box::new(|u| count(u, "state") == 2)),
        (F::MissingCode, Box::new(|u| count(u, "code") == 0)),
        (F::EmptyCode, Box::new(|u| callback(u)["code"].is_empty())),
        (F::DuplicateCode, Box::new(|u| count(u, "code") == 2)),
        (F::ExtraAccessToken, Box::new(|u| count(u, "access_token") == 1 && count(u, "code") == 1)),
        (F::ExtraIdToken, Box::new(|u| count(u, "id_token") == 1)),
        (F::ExtraResponse, Box::new(|u| count(u, "response") == 1)),
        (F::CodeAndError, Box::new(|u| count(u, "code") == 1 && count(u, "error") == 1)),
        (F::Error(text("server_error")), Box::new(|u| count(u, "code") == 0 && callback(u)["iss"] == issuer)),
        (F::ErrorWithoutIssuer(text("server_error")), Box::new(|u| count(u, "error") == 1 && count(u, "iss") == 0)),
        (F::ErrorWithWrongIssuer(text("server_error")), Box::new(|u| callback(u)["error"] == "server_error" && callback(u)["iss"] == EVIL)),
        (F::Fragment, Box::new(|u| u.contains("#code=") && !u.contains('?'))),
    ];
    for (fault, holds) in rows {
        party.server.misbehave_times(fault.clone(), 1);
        let url = browser.approve(&party.push("openid", &[]).await).await;
        assert!(holds(&url), "{fault:?}: {url}");
    }
    let right = callback(&browser.approve(&party.push("openid", &[]).await).await);
    assert_eq!(
        (right["iss"].as_str(), right["state"].as_str()),
        (issuer.as_str(), "the-state")
    );
}

#[tokio::test]
async fn token_responses_are_wrong_on_command() {
    use TokenFault as F;
    type Row = (F, fn(&Reply, &Value) -> bool);
    let party = party().await;
    let text = |text: &str| text.to_owned();
    #[rustfmt::skip]
    let rows: Vec<Row> = vec![
        (F::Bearer, |_, body| body["token_type"] == "Bearer"),
        (F::TokenType(text("dPoP")), |_, body| body["token_type"] == "dPoP"),
        (F::MissingTokenType, |_, body| body.get("token_type").is_none()),
        (F::MissingAccessToken, |_, body| body.get("access_token").is_none()),
        (F::EmptyAccessToken, |_, body| body["access_token"] == ""),
        (F::AccessTokenWithLineBreak, |_, body| body["access_token"].as_str().unwrap().contains('\n')),
        (F::WithoutExpiresIn, |_, body| body.get("expires_in").is_none()),
        (F::ExpiresIn(json!("300")), |_, body| body["expires_in"] == "300"),
        (F::ExpiresIn(json!(-1)), |_, body| body["expires_in"] == -1),
        (F::WithoutIdToken, |_, body| body.get("id_token").is_none()),
        (F::WithoutRefreshToken, |_, body| body.get("refresh_token").is_none()),
        (F::Scope(text("openid")), |_, body| body["scope"] == "openid"),
        (F::DuplicateMember, |reply, _| String::from_utf8_lossy(&reply.body).matches("\"access_token\"").count() == 2),
        (F::ContentType(text("text/plain")), |reply, body| reply.header("content-type") == "text/plain" && body.is_object()),
        (F::Html, |reply, body| reply.status == 200 && reply.header("content-type").starts_with("text/html") && body.is_null()),
        (F::HtmlError(502), |reply, body| reply.status == 502 && body.is_null()),
        (F::Error(400, text("invalid_grant")), |reply, _| reply.status == 400 && reply.error() == "invalid_grant"),
    ];
    for (fault, holds) in rows {
        let code = party.fresh_code("openid accounts").await;
        party.server.misbehave_times(fault.clone(), 1);
        let reply = party.send(party.code(&code)).await;
        assert!(holds(&reply, &reply.json()), "{fault:?}: {reply:?}");
    }
    let details = [(
        "authorization_details",
        r#"[{"type":"payment_initiation"}]"#,
    )];
    let url = party.push("openid", &details).await;
    let code = callback(&party.server.browser("alice").approve(&url).await)["code"].clone();
    party.server.misbehave(F::WithoutAuthorizationDetails);
    let body = party.send(party.code(&code)).await.json();
    assert!(body["access_token"].is_string() && body.get("authorization_details").is_none());
    party.server.behave();

    // A prescribed error uses nothing up.
    let code = party.fresh_code("openid").await;
    party
        .server
        .misbehave_times(F::Error(503, text("temporarily_unavailable")), 1);
    assert_eq!(party.send(party.code(&code)).await.status, 503);
    assert_eq!(party.send(party.code(&code)).await.status, 200);
}

#[tokio::test]
async fn userinfo_is_wrong_on_command() {
    use UserInfoFault as U;
    let party = party().await;
    let tokens = party.log_in("openid").await;
    let token = tokens["access_token"].as_str().unwrap();
    let userinfo = async |fault: UserInfoFault| {
        party.server.misbehave_times(fault, 1);
        party.send(party.userinfo(token)).await
    };
    assert_eq!(userinfo(U::WrongSubject).await.json()["sub"], "mallory");
    assert_eq!(userinfo(U::MissingSubject).await.json(), json!({}));
    assert_eq!(
        userinfo(U::OtherForm).await.header("content-type"),
        "application/jwt"
    );
    let typed = userinfo(U::ContentType("text/plain".to_owned())).await;
    assert_eq!(typed.header("content-type"), "text/plain");

    let server = TestServer::builder()
        .nonces(Nonces::Off)
        .signed_userinfo(true)
        .start()
        .await;
    let party = Party::new(&server).await;
    let tokens = party.log_in("openid").await;
    let token = tokens["access_token"].as_str().unwrap();
    let signed = async |fault: UserInfoFault| {
        server.misbehave_times(fault, 1);
        let reply = party.send(party.userinfo(token)).await;
        let text = String::from_utf8(reply.body).unwrap();
        let json = |at: usize| -> Value {
            serde_json::from_slice(&decode(text.split('.').nth(at).unwrap())).unwrap()
        };
        (json(0), json(1))
    };
    assert_eq!(signed(U::WrongIssuer).await.1["iss"], EVIL);
    assert_eq!(signed(U::WrongAudience).await.1["aud"], "another-client");
    assert!(
        signed(U::WithoutIssuerAndAudience)
            .await
            .1
            .get("aud")
            .is_none()
    );
    assert!(signed(U::Expired).await.1["exp"].as_i64().unwrap() < party.now());
    assert_eq!(signed(U::None).await.0["alg"], "none");
    assert_eq!(signed(U::Rs256).await.0["alg"], "RS256");
    assert_eq!(signed(U::BadSignature).await.1["sub"], "alice");
}
