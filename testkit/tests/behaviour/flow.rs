//! What a client that does everything right gets.

use fapi_testkit::{Alg, Discovery, Endpoint, Jwt, Nonces, TestServer};
use http::Method;
use serde_json::{Value, json};

use crate::party::{CALLBACK, Party, VERIFIER, callback, claims};
use crate::wire::{Key, decode};

#[tokio::test]
async fn the_whole_flow_works_with_every_algorithm() {
    type Make = fn() -> Key;
    for (make, alg) in [
        (Key::es256 as Make, Alg::Es256),
        (Key::eddsa as Make, Alg::EdDsa),
        (Key::ps256 as Make, Alg::Ps256),
        (Key::eddsa as Make, Alg::Ed25519),
    ] {
        let server = TestServer::builder().signing_algorithm(alg).start().await;
        let party = Party::with_keys(&server, "client", make(), make()).await;

        let tokens = party.log_in("openid email accounts").await;
        assert_eq!(tokens["token_type"], "DPoP");
        assert_eq!(tokens["scope"], "openid email accounts");
        assert_eq!(tokens["expires_in"], 300);
        let id_token = claims(&tokens);
        assert_eq!(id_token["iss"], server.issuer());
        assert_eq!(id_token["sub"], "alice");
        assert_eq!(id_token["aud"], "client");
        assert_eq!(id_token["nonce"], "the-nonce");
        assert!(id_token["at_hash"].is_string() && id_token["sid"].is_string());

        let token = tokens["access_token"].as_str().unwrap();
        let answer = party
            .with_nonce(|| party.api("/accounts?page=2", token))
            .await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.json()["sub"], "alice");
        assert_eq!(answer.json()["cnf"]["jkt"], party.dpop.thumbprint());

        let userinfo = party.with_nonce(|| party.userinfo(token)).await;
        assert_eq!(userinfo.json()["email"], "alice@example.com");

        let refresh_token = tokens["refresh_token"].as_str().unwrap();
        let refreshed = party.send(party.refresh(refresh_token)).await.json();
        assert!(refreshed.get("refresh_token").is_none());
        assert!(claims(&refreshed).get("nonce").is_none());
        assert_eq!(claims(&refreshed)["auth_time"], id_token["auth_time"]);

        assert_eq!(party.send(party.revoke(refresh_token)).await.status, 200);
        assert_eq!(
            party.send(party.api("/accounts", token)).await.error(),
            "invalid_token"
        );
        assert_eq!(
            party.send(party.refresh(refresh_token)).await.error(),
            "invalid_grant"
        );
    }
}

#[tokio::test]
async fn the_metadata_says_what_the_profile_wants() {
    let server = TestServer::builder().issuer_path("/tenant1").start().await;
    let party = Party::new(&server).await;
    let host = server.issuer().strip_suffix("/tenant1").unwrap();
    let oauth = format!("{host}/.well-known/oauth-authorization-server/tenant1");
    let metadata = party.send_raw(Method::GET, &oauth).await.json();
    assert_eq!(metadata, party.metadata);
    assert_eq!(metadata["issuer"], server.issuer());
    assert_eq!(metadata["require_pushed_authorization_requests"], true);
    assert_eq!(
        metadata["authorization_response_iss_parameter_supported"],
        true
    );
    assert_eq!(
        metadata["code_challenge_methods_supported"],
        json!(["S256"])
    );
    assert_eq!(
        metadata["token_endpoint_auth_methods_supported"],
        json!(["private_key_jwt"])
    );
    let tokens = party.log_in("openid").await;
    assert_eq!(claims(&tokens)["iss"], server.issuer());

    for (discovery, openid, oauth) in [
        (Discovery::OpenId, 200, 404),
        (Discovery::OAuth, 404, 200),
        (Discovery::Both, 200, 200),
    ] {
        let server = TestServer::builder().discovery(discovery).start().await;
        for (path, status) in [
            ("openid-configuration", openid),
            ("oauth-authorization-server", oauth),
        ] {
            let url = format!("{}/.well-known/{path}", server.issuer());
            assert_eq!(
                party.send_raw(Method::GET, &url).await.status,
                status,
                "{url}"
            );
        }
    }
}

#[tokio::test]
async fn the_published_key_verifies_the_id_token() {
    let server = TestServer::builder()
        .signing_algorithm(Alg::EdDsa)
        .start()
        .await;
    let party = Party::new(&server).await;
    let tokens = party.log_in("openid").await;
    let jwks = party
        .send_raw(Method::GET, &party.endpoint("jwks_uri"))
        .await
        .json();
    let key = &jwks["keys"][0];
    let compact = tokens["id_token"].as_str().unwrap();
    let jwt = Jwt::read(compact).unwrap();
    assert_eq!(jwt.header["kid"], key["kid"]);
    assert_eq!(key["alg"], "EdDSA");
    let (input, signature) = compact.rsplit_once('.').unwrap();
    ring::signature::UnparsedPublicKey::new(
        &ring::signature::ED25519,
        decode(key["x"].as_str().unwrap()),
    )
    .verify(input.as_bytes(), &decode(signature))
    .unwrap();
}

#[tokio::test]
async fn a_key_of_the_test_can_sign_id_tokens() {
    let key = std::sync::Arc::new(Key::eddsa());
    let mut jwk = key.jwk();
    jwk["kid"] = "mine".into();
    let signer = key.clone();
    let server = TestServer::builder()
        .signing_key(jwk, Alg::EdDsa, move |message| signer.sign(message))
        .signed_userinfo(true)
        .start()
        .await;
    let party = Party::new(&server).await;
    let tokens = party.log_in("openid").await;
    let token = tokens["access_token"].as_str().unwrap();
    let userinfo = party.with_nonce(|| party.userinfo(token)).await;
    assert_eq!(userinfo.header("content-type"), "application/jwt");
    for compact in [
        tokens["id_token"].as_str().unwrap(),
        std::str::from_utf8(&userinfo.body).unwrap(),
    ] {
        let jwt = Jwt::read(compact).unwrap();
        assert_eq!(jwt.header["kid"], "mine");
        assert_eq!(jwt.claims["iss"], server.issuer());
        assert_eq!(jwt.claims["aud"], "client");
    }
}

#[tokio::test]
async fn the_resource_server_has_paths_with_a_meaning() {
    let server = TestServer::builder().nonces(Nonces::Off).start().await;
    let party = Party::new(&server).await;
    let tokens = party.log_in("accounts").await;
    assert!(tokens.get("id_token").is_none());
    let token = tokens["access_token"].as_str().unwrap();

    let mut shot = party.api("/anything", token);
    shot.headers.push((
        "x-fapi-interaction-id",
        "93bac548-d2de-4546-b106-880a5018460d".to_owned(),
    ));
    let answer = party.send(shot).await;
    assert_eq!(
        answer.header("x-fapi-interaction-id"),
        "93bac548-d2de-4546-b106-880a5018460d"
    );

    let scope = party.send(party.api("/scope/payments", token)).await;
    assert_eq!(
        (scope.status.as_u16(), scope.error().as_str()),
        (403, "insufficient_scope")
    );
    assert!(
        scope
            .header("www-authenticate")
            .contains(r#"scope="payments""#)
    );
    assert_eq!(
        party.send(party.api("/scope/accounts", token)).await.status,
        200
    );

    assert_eq!(
        party
            .send(party.api("/big?bytes=100000", token))
            .await
            .body
            .len(),
        100_000
    );
    assert_eq!(
        party.send(party.api("/status/418", token)).await.status,
        418
    );

    let mut echo = party.call(Method::PUT, &format!("{}/echo", server.api()), token);
    echo.content_type = "text/plain";
    echo.body = Some(b"hello".to_vec());
    assert_eq!(party.send(echo).await.body, b"hello");
}

#[tokio::test]
async fn service_tokens_details_resources_and_narrower_scopes() {
    let server = TestServer::builder().nonces(Nonces::Off).start().await;
    let party = Party::new(&server).await;
    let service = party.send(party.service("payments")).await.json();
    assert!(service.get("refresh_token").is_none() && service.get("id_token").is_none());
    let token = service["access_token"].as_str().unwrap();
    assert_eq!(
        party.send(party.api("/", token)).await.json()["sub"],
        "client"
    );

    let details =
        r#"[{"type":"payment_initiation","amount":"1.00"},{"type":"account_information"}]"#;
    let api = format!("{}/", server.api());
    let extra = [
        ("authorization_details", details),
        ("resource", api.as_str()),
        ("resource", "https://other.example/"),
    ];
    let url = party.push("accounts payments", &extra).await;
    let code = callback(&server.browser("alice").approve(&url).await)["code"].clone();
    let tokens = party.send(party.code(&code)).await.json();
    assert_eq!(
        tokens["authorization_details"],
        serde_json::from_str::<Value>(details).unwrap()
    );
    let token = tokens["access_token"].as_str().unwrap();
    assert_eq!(party.send(party.api("/", token)).await.status, 200);

    let refresh_token = tokens["refresh_token"].as_str().unwrap();
    let mut shot = party.refresh(refresh_token);
    shot.set("scope", "accounts");
    shot.set("resource", "https://other.example/");
    shot.set(
        "authorization_details",
        r#"[{"type":"account_information"}]"#,
    );
    let narrow = party.send(shot).await.json();
    assert_eq!(narrow["scope"], "accounts");
    assert_eq!(
        narrow["authorization_details"],
        json!([{"type": "account_information"}])
    );
    let token = narrow["access_token"].as_str().unwrap();
    assert_eq!(
        party.send(party.api("/", token)).await.error(),
        "invalid_token"
    );
}

#[tokio::test]
async fn requests_and_secrets_are_recorded() {
    let server = TestServer::start().await;
    let party = Party::new(&server).await;
    let code = party.fresh_code("openid").await;
    let tokens = party.with_nonce(|| party.code(&code)).await.json();

    let par = &server.requests_to(Endpoint::Par)[1];
    assert_eq!(par.status.unwrap(), 201);
    assert_eq!(par.form_value("redirect_uri"), Some(CALLBACK));
    assert_eq!(par.assertion().unwrap().claim("aud"), server.issuer());
    assert_eq!(par.proof().unwrap().claim("htm"), "POST");
    assert_eq!(server.requests_to(Endpoint::Authorization).len(), 1);

    let secrets = server.secrets_issued();
    let token = &server.requests_to(Endpoint::Token)[0];
    for secret in [
        code.as_str(),
        tokens["access_token"].as_str().unwrap(),
        tokens["refresh_token"].as_str().unwrap(),
        tokens["id_token"].as_str().unwrap(),
        VERIFIER,
        token.header("dpop").unwrap(),
        token.form_value("client_assertion").unwrap(),
    ] {
        assert!(secrets.iter().any(|known| known == secret), "{secret}");
    }
    server.forget_requests();
    assert!(server.requests().is_empty() && server.refusals().is_empty());
}

#[tokio::test]
async fn keys_rotate_and_decoys_stand_before_the_right_one() {
    let server = TestServer::start().await;
    let party = Party::new(&server).await;
    let before = server.active_kid();
    server.rotate_keys();
    server.publish_decoy_keys();
    let tokens = party.log_in("openid").await;
    let kid = Jwt::read(tokens["id_token"].as_str().unwrap())
        .unwrap()
        .header["kid"]
        .clone();
    assert_eq!(kid, server.active_kid());
    assert_ne!(kid, before);
    let jwks = party
        .send_raw(Method::GET, &party.endpoint("jwks_uri"))
        .await
        .json();
    let keys = jwks["keys"].as_array().unwrap();
    assert!(keys.iter().filter(|key| key["kid"] == kid).count() > 5);
    assert_eq!(keys.last().unwrap()["kid"], kid);
    assert!(keys.iter().any(|key| key["kid"] == before));
    server.retire_old_keys();
    let jwks = party
        .send_raw(Method::GET, &party.endpoint("jwks_uri"))
        .await
        .json();
    assert!(
        !jwks["keys"]
            .as_array()
            .unwrap()
            .iter()
            .any(|key| key["kid"] == before)
    );
}
