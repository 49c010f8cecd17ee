//! Logout tokens, and the endpoint that signs a browser out.

use std::time::Duration;

use fapi_testkit::{Browser, Endpoint, Jwt, Registration, TestServer};
use http::Method;
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use serde_json::{Value, json};

use crate::party::{CALLBACK, Party, callback, claims};
use crate::wire::decode;

const BACK: &str = "https://app.example/bye";

/// A client that is registered with an address to return to, and its ID token after alice's login.
async fn after_a_login(browser: &Browser, party: &Party) -> Value {
    let registration = party
        .registration()
        .post_logout_redirect_uri(BACK)
        .post_logout_redirect_uri("https://app.example/bye?x=1");
    party.server.register(registration);
    let url = party.push("openid", &[]).await;
    let code = callback(&browser.approve(&url).await)["code"].clone();
    party.with_nonce(|| party.code(&code)).await.json()
}

/// BCL-1: a logout token is what section 2.4 says, and signed with the server's key.
#[tokio::test]
async fn a_logout_token_is_what_the_specification_says() {
    let server = TestServer::start().await;
    let party = Party::new(&server).await;
    let tokens = party.log_in("openid").await;
    let sid = server.sid_of("client", "alice").unwrap();
    assert_eq!(claims(&tokens)["sid"], sid);
    assert_eq!(server.sid_of("client", "bob"), None);
    assert_eq!(server.sid_of("other", "alice"), None);

    let compact = server.logout_token("client", Some("alice"), Some(&sid));
    let token = Jwt::read(&compact).unwrap();
    assert_eq!(
        Value::Object(token.header),
        json!({"alg": "ES256", "kid": server.active_kid(), "typ": "logout+jwt"})
    );
    let now = party.now();
    let issued = token.claims["iat"].as_i64().unwrap();
    assert!((now - 5..=now).contains(&issued));
    assert_eq!(
        Value::Object(token.claims.clone()),
        json!({
            "iss": server.issuer(), "aud": "client", "sub": "alice", "sid": sid,
            "iat": issued, "exp": issued + 120, "jti": token.claims["jti"],
            "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
        })
    );
    let keys = party
        .send_raw(Method::GET, &party.endpoint("jwks_uri"))
        .await
        .json();
    let bytes = |name: &str| decode(keys["keys"][0][name].as_str().unwrap());
    let point = [vec![4], bytes("x"), bytes("y")].concat();
    let (input, signature) = compact.rsplit_once('.').unwrap();
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
        .verify(input.as_bytes(), &decode(signature))
        .unwrap();
    assert!(server.secrets_issued().contains(&compact));

    // Each has a `jti` of its own, and names whom the test names.
    let read = |subject, sid| {
        let compact = server.logout_token("client", subject, sid);
        Jwt::read(&compact).unwrap().claims
    };
    let (user, session) = (read(Some("alice"), None), read(None, Some("s")));
    assert_ne!(user["jti"], session["jti"]);
    assert!(user["sub"] == "alice" && !user.contains_key("sid"));
    assert!(session["sid"] == "s" && !session.contains_key("sub"));

    // A test may change both halves, until the server behaves again.
    server.mutate_logout_token(|header, claims| {
        header.insert("typ".to_owned(), "JWT".into());
        claims.insert("nonce".to_owned(), "n".into());
    });
    let changed = Jwt::read(&server.logout_token("client", None, None)).unwrap();
    assert!(changed.header["typ"] == "JWT" && changed.claims["nonce"] == "n");
    server.behave();
    let right = Jwt::read(&server.logout_token("client", None, None)).unwrap();
    assert!(right.header["typ"] == "logout+jwt" && !right.claims.contains_key("nonce"));
}

/// RPL-2: the metadata names the endpoint, and says that clients are told of logouts.
#[tokio::test]
async fn the_metadata_speaks_of_logout() {
    let server = TestServer::builder().issuer_path("/tenant1").start().await;
    let party = Party::new(&server).await;
    assert_eq!(
        party.endpoint("end_session_endpoint"),
        format!("{}/logout", server.issuer())
    );
    for member in [
        "backchannel_logout_supported",
        "backchannel_logout_session_supported",
    ] {
        assert_eq!(party.metadata[member], true, "{member}");
    }
}

/// RPL-1, RPL-4: the browser is signed out and comes back with its `state`, by GET and by POST, with a
/// hint that has expired or whose key was replaced.
#[tokio::test]
async fn a_browser_is_signed_out_and_sent_back() {
    for posted in [false, true] {
        let server = TestServer::start().await;
        let party = Party::new(&server).await;
        let browser = server.browser("alice");
        let tokens = after_a_login(&browser, &party).await;
        server.clock().advance(Duration::from_secs(3600));
        server.rotate_keys();
        let hint = tokens["id_token"].as_str().unwrap();
        let end = party.endpoint("end_session_endpoint");
        let silent = || party.push("openid", &[("prompt", "none")]);
        let known = callback(&browser.approve(&silent().await).await);
        assert!(known.contains_key("code"), "{known:?}");

        let fields = [
            ("id_token_hint", hint),
            ("client_id", "client"),
            ("post_logout_redirect_uri", "https://app.example/bye?x=1"),
            ("state", "a b"),
            ("ui_locales", "de"),
        ];
        let answer = if posted {
            browser.post(&end, &fields).await.unwrap()
        } else {
            browser.visit(&url(&end, &fields)).await.unwrap()
        };
        assert_eq!(answer.status, 303, "{answer:?}");
        assert_eq!(
            answer.location(),
            Some("https://app.example/bye?x=1&state=a+b")
        );
        assert_eq!(answer.headers["cache-control"], "no-store");
        let unknown = callback(&browser.approve(&silent().await).await);
        assert_eq!(unknown["error"], "login_required");
        assert_eq!(server.count(Endpoint::EndSession), 1);
        let refusals = server.refusals();
        let mut refused = refusals.iter();
        assert!(
            !refused.any(|reason| reason.starts_with("EndSession")),
            "{refusals:?}"
        );

        // The same again: whoever is signed out is signed out.
        let again = browser.visit(&url(&end, &fields[..3])).await.unwrap();
        assert_eq!(again.location(), Some("https://app.example/bye?x=1"));
        let alone = browser.visit(&url(&end, &fields[..1])).await.unwrap();
        assert_eq!((alone.status.as_u16(), alone.location()), (200, None));
    }
}

/// RPL-1, RPL-3: what is refused; nobody is sent anywhere, and the browser stays signed in.
#[tokio::test]
async fn what_the_logout_endpoint_refuses() {
    let server = TestServer::start().await;
    let party = Party::new(&server).await;
    server.register(Registration::new("other"));
    let browser = server.browser("alice");
    let tokens = after_a_login(&browser, &party).await;
    let end = party.endpoint("end_session_endpoint");
    let hint = tokens["id_token"].as_str().unwrap();
    let (head, _) = hint.rsplit_once('.').unwrap();
    let unsigned = format!("{head}.{}", "A".repeat(86));
    let logout = server.logout_token("client", Some("alice"), None);
    server.mutate_logout_token(|header, _| {
        header.insert("typ".to_owned(), "JWT".into());
    });
    let typed = server.logout_token("client", Some("alice"), None);
    let stranger = TestServer::start().await;
    let foreign = {
        let party = Party::new(&stranger).await;
        let tokens = party.log_in("openid").await;
        tokens["id_token"].as_str().unwrap().to_owned()
    };
    server.mutate_id_token(|_, claims| {
        claims.insert("iss".to_owned(), "https://evil.example".into());
    });
    let issuer = party.log_in("openid").await;
    let issuer = issuer["id_token"].as_str().unwrap();
    server.behave();
    let access_token = tokens["access_token"].as_str().unwrap();

    let good = [
        ("id_token_hint", hint),
        ("client_id", "client"),
        ("post_logout_redirect_uri", BACK),
        ("state", "s"),
    ];
    let with = |name: &'static str, value| {
        let mut fields = good.to_vec();
        match fields.iter_mut().find(|(other, _)| *other == name) {
            Some(field) => field.1 = value,
            None => fields.push((name, value)),
        }
        fields
    };
    let mut twice = good.to_vec();
    twice.push(("state", "s"));
    #[rustfmt::skip]
    let rows = [
        (with("id_token_hint", &unsigned), "the id_token_hint: the signature does not verify"),
        (with("id_token_hint", &logout), "the id_token_hint: the type `logout+jwt`"),
        (with("id_token_hint", &typed), "the id_token_hint: no ID token, but a logout token"),
        (with("id_token_hint", &foreign), "the id_token_hint: no key of this server has its `kid`"),
        (with("id_token_hint", issuer), "the id_token_hint: it is another issuer's"),
        (with("id_token_hint", "x"), "the id_token_hint: 1 parts instead of 3"),
        (with("id_token_hint", access_token), "the id_token_hint: 1 parts instead of 3"),
        (with("client_id", "other"), "the id_token_hint is another client's"),
        (with("post_logout_redirect_uri", CALLBACK), "the post_logout_redirect_uri is not registered"),
        (with("post_logout_redirect_uri", "https://app.example/bye/"), "the post_logout_redirect_uri is not registered"),
        (with("access_token", access_token), "`access_token` has no place here"),
        (with("state", ""), "`state` is empty"),
        (twice, "`state` stands twice"),
        (vec![("post_logout_redirect_uri", BACK)], "somewhere to return to, and no client"),
        (vec![("client_id", "nobody")], "no client `nobody`"),
        (vec![good[0], good[3]], "a `state`, and nowhere to return to"),
    ];
    for (fields, reason) in rows {
        let by_url = browser.visit(&url(&end, &fields)).await.unwrap();
        let by_form = browser.post(&end, &fields).await.unwrap();
        for answer in [by_url, by_form] {
            assert_eq!(answer.status, 400, "{reason}: {answer:?}");
            assert_eq!(answer.location(), None, "{reason}");
            let recorded = server.refusals().pop().unwrap();
            assert_eq!(recorded, format!("EndSession: {reason}"));
        }
    }
    let both = browser.post(&format!("{end}?x=1"), &good).await.unwrap();
    assert_eq!(both.status, 400, "{both:?}");
    assert_eq!(
        server.refusals().pop().unwrap(),
        "EndSession: a form, and a query too"
    );
    let silent = party.push("openid", &[("prompt", "none")]).await;
    let known = callback(&browser.approve(&silent).await);
    assert!(known.contains_key("code"), "{known:?}");
}

/// RPL-1: nobody is signed out by another's hint, or without one.
#[tokio::test]
async fn who_is_signed_out_is_the_user_of_the_hint() {
    let server = TestServer::start().await;
    let party = Party::new(&server).await;
    let browser = server.browser("alice");
    let tokens = after_a_login(&browser, &party).await;
    let end = party.endpoint("end_session_endpoint");
    let good = [
        ("id_token_hint", tokens["id_token"].as_str().unwrap()),
        ("client_id", "client"),
        ("post_logout_redirect_uri", BACK),
    ];
    let mallory = server.browser("mallory");
    mallory.approve(&party.push("openid", &[]).await).await;
    let crossed = mallory.visit(&url(&end, &good)).await.unwrap();
    assert_eq!(crossed.status, 400, "{crossed:?}");
    assert_eq!(
        server.refusals().pop().unwrap(),
        "EndSession: another user is signed in at this browser"
    );
    // Without a hint the user is asked, and nothing has ended yet.
    let asking = browser.visit(&url(&end, &good[1..])).await.unwrap();
    assert_eq!((asking.status.as_u16(), asking.location()), (200, None));
    let silent = party.push("openid", &[("prompt", "none")]).await;
    let known = callback(&browser.approve(&silent).await);
    assert!(known.contains_key("code"), "{known:?}");
}

fn url(endpoint: &str, fields: &[(&str, &str)]) -> String {
    let mut url = url::Url::parse(endpoint).unwrap();
    url.query_pairs_mut().extend_pairs(fields);
    url.into()
}
