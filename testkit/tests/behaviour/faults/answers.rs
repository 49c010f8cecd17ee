//! Mutators, prescribed answers, holds, and servers that are gone.

use std::sync::Arc;
use std::time::Duration;

use fapi_testkit::{Answer, Endpoint, TestServer};
use http::Method;
use serde_json::{Value, json};

use super::{EVIL, party};
use crate::party::{callback, claims, http};
use crate::wire::decode;

#[tokio::test]
async fn mutators_change_what_is_sent_until_the_server_behaves() {
    let party = party().await;
    let server = &party.server;
    server.mutate_metadata(|document| document["x"] = 1.into());
    server.mutate_jwks(|document| document["x"] = 2.into());
    server.mutate_par_response(|body| body["x"] = 3.into());
    server.mutate_authorization_response(|all| all.push(("x".to_owned(), "4".to_owned())));
    server.mutate_token_response(|body| body["x"] = 5.into());
    server.mutate_id_token(|header, claims| {
        header.insert("x".to_owned(), 6.into());
        claims.insert("x".to_owned(), 7.into());
    });
    server.mutate_userinfo(|body| body["x"] = 8.into());
    let see = async || {
        let metadata = format!("{}/.well-known/openid-configuration", server.issuer());
        let par = party.send(party.par("openid")).await.json();
        let url = party.authorization_url(par["request_uri"].as_str().unwrap());
        let answer = callback(&server.browser("alice").approve(&url).await);
        let tokens = party.send(party.code(&answer["code"])).await.json();
        let id_token = tokens["id_token"].as_str().unwrap();
        let header: Value =
            serde_json::from_slice(&decode(id_token.split('.').next().unwrap())).unwrap();
        let userinfo = party
            .send(party.userinfo(tokens["access_token"].as_str().unwrap()))
            .await;
        [
            party.send_raw(Method::GET, &metadata).await.json()["x"].clone(),
            party
                .send_raw(Method::GET, &party.endpoint("jwks_uri"))
                .await
                .json()["x"]
                .clone(),
            par["x"].clone(),
            answer
                .get("x")
                .map(|text| text.parse::<u64>().unwrap())
                .into(),
            tokens["x"].clone(),
            header["x"].clone(),
            claims(&tokens).get("x").cloned().unwrap_or_default(),
            userinfo.json()["x"].clone(),
        ]
    };
    assert_eq!(
        see().await.to_vec(),
        (1..=8).map(Value::from).collect::<Vec<_>>()
    );
    server.behave();
    assert!(see().await.iter().all(Value::is_null));
}

/// How long the client waits for an answer. Long enough for a busy machine; three answers of the
/// test below never come.
const PATIENCE: Duration = Duration::from_secs(1);

#[tokio::test]
async fn answers_can_be_prescribed() {
    let party = party().await;
    let server = &party.server;
    let tokens = party.log_in("openid").await;
    let refresh_token = tokens["refresh_token"].as_str().unwrap();
    let attempt = async || {
        let shot = party.refresh(refresh_token);
        let request = party
            .http
            .post(&shot.url)
            .header("dpop", shot.proof.unwrap().sign(&party.dpop));
        let mut form: Vec<(String, String)> = shot.form;
        form.push((
            "client_assertion".to_owned(),
            shot.assertion.unwrap().sign(&party.key),
        ));
        let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        form.push(("client_assertion_type".to_owned(), kind.to_owned()));
        let mut text = url::form_urlencoded::Serializer::new(String::new());
        request
            .header("content-type", "application/x-www-form-urlencoded")
            .body(text.extend_pairs(&form).finish())
            .timeout(PATIENCE)
            .send()
            .await
    };
    server.answer_next(
        Endpoint::Token,
        Answer::status(500).header("retry-after", "1"),
    );
    server.answer_next(Endpoint::Token, Answer::redirect(307, EVIL));
    server.answer_next(Endpoint::Token, Answer::html(200));
    server.answer_next(Endpoint::Token, Answer::error(400, "invalid_grant"));
    let first = attempt().await.unwrap();
    assert_eq!(
        (
            first.status().as_u16(),
            first.headers()["retry-after"].as_bytes()
        ),
        (500, &b"1"[..])
    );
    let second = attempt().await.unwrap();
    assert_eq!(
        (
            second.status().as_u16(),
            second.headers()["location"].as_bytes()
        ),
        (307, EVIL.as_bytes())
    );
    assert_eq!(
        attempt().await.unwrap().headers()["content-type"],
        "text/html; charset=utf-8"
    );
    assert_eq!(attempt().await.unwrap().status(), 400);
    assert_eq!(attempt().await.unwrap().status(), 200);

    server.answer_next(Endpoint::Token, Answer::oversize(100_000));
    let large = attempt().await.unwrap();
    assert_eq!(large.content_length(), None);
    assert_eq!(large.bytes().await.unwrap().len(), 100_000);

    server.answer_next(Endpoint::Token, Answer::endless());
    let mut endless = attempt().await.unwrap();
    let mut read = 0;
    while read < 1_000_000 {
        read += endless.chunk().await.unwrap().unwrap().len();
    }
    drop(endless);

    server.answer_next(Endpoint::Token, Answer::slow());
    let mut slow = attempt().await.unwrap();
    assert_eq!(slow.chunk().await.unwrap().unwrap(), "{");
    assert!(slow.chunk().await.unwrap_err().is_timeout());

    for (answer, timeout, issued) in [
        (Answer::drop_connection(), false, 1),
        (Answer::refuse_connection(), false, 0),
        (Answer::hang(), true, 1),
        (Answer::status(200).after(Duration::from_secs(60)), true, 0),
    ] {
        let before = party.server.secrets_issued().len();
        server.answer_next(Endpoint::Token, answer.clone());
        let error = attempt().await.unwrap_err();
        assert_eq!(error.is_timeout(), timeout, "{answer:?}: {error:?}");
        // One assertion and one proof came in; an access and an ID token went out, or not.
        let after = party.server.secrets_issued().len();
        assert_eq!(after - before, 2 + 2 * issued, "{answer:?}");
        assert_eq!(
            server.requests_to(Endpoint::Token).last().unwrap().status,
            None
        );
    }

    server.answer_always(
        Endpoint::Token,
        Answer::json(200, &json!({"a": 1})).after_processing(),
    );
    for _ in 0..2 {
        assert_eq!(
            attempt().await.unwrap().bytes().await.unwrap(),
            r#"{"a":1}"#
        );
    }
    server.answer_next(Endpoint::Token, Answer::real());
    assert!(attempt().await.unwrap().bytes().await.unwrap().len() > 100);
    server.behave();
    assert_eq!(attempt().await.unwrap().status(), 200);
}

#[tokio::test]
async fn requests_can_be_held_and_servers_taken_away() {
    let party = Arc::new(party().await);
    let server = &party.server;
    let hold = server.hold(Endpoint::Token);
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            let party = party.clone();
            tokio::spawn(async move { party.send(party.service("a")).await.status })
        })
        .collect();
    server.wait_for(Endpoint::Token, 3).await;
    assert!(
        server
            .requests_to(Endpoint::Token)
            .iter()
            .all(|request| request.status.is_none())
    );
    hold.release();
    for task in waiting {
        assert_eq!(task.await.unwrap(), 200);
    }

    server.set_offline(true);
    let url = party.endpoint("jwks_uri");
    let error = party.http.get(&url).send().await.unwrap_err();
    assert!(error.status().is_none() && !error.is_timeout(), "{error:?}");
    server.set_offline(false);
    assert_eq!(party.send_raw(Method::GET, &url).await.status, 200);
}

#[tokio::test]
async fn servers_stop_when_the_last_handle_is_dropped() {
    let server = TestServer::start().await;
    let clone = server.clone();
    let url = format!("{}/jwks", server.issuer());
    let http = http(&server);
    drop(server);
    assert_eq!(http.get(&url).send().await.unwrap().status(), 200);
    drop(clone);
    // The servers' thread ends soon, though not at once.
    while http.get(&url).send().await.is_ok() {
        tokio::task::yield_now().await;
    }
}
