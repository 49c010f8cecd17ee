//! DPoP: what goes out as proof, and which nonce is in it (spec section 4.6).

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use base64ct::{Base64UrlUnpadded, Encoding};
use bytes::Bytes;
use fapi_client::{BoxFuture, HttpsTransport, Transport, TransportError, TransportRequest};
use fapi_testkit::{Endpoint, Jwt, Nonces, Request, TestServer};
use http::Response;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::common;

fn hash(text: &str) -> String {
    Base64UrlUnpadded::encode_string(&Sha256::digest(text.as_bytes()))
}

/// RFC 7638 for an EC key.
fn thumbprint(proof: &Jwt) -> String {
    let jwk = &proof.header["jwk"];
    let member = |name: &str| jwk[name].as_str().unwrap().to_owned();
    hash(&format!(
        r#"{{"crv":"{}","kty":"{}","x":"{}","y":"{}"}}"#,
        member("crv"),
        member("kty"),
        member("x"),
        member("y")
    ))
}

fn nonce_of(request: &Request) -> Option<String> {
    let proof = request.proof().unwrap();
    proof
        .claims
        .get("nonce")
        .map(|nonce| nonce.as_str().unwrap().to_owned())
}

fn last(server: &TestServer, endpoint: Endpoint) -> Request {
    server.requests_to(endpoint).pop().unwrap()
}

/// DPOP-4.1, DPOP-4.2a, DPOP-4.2b, DPOP-htu, DPOP-ath, DPOP-5a, DPOP-7.1a, DPOP-7.3, DPOP-10,
/// DPOP-10.1, SP-5.3.3.1-1, SP-5.3.3.1-3, R6750-2.1, OFTEN-5, OFTEN-14: every proof of a whole flow, looked at.
#[tokio::test]
async fn every_proof_of_a_flow_is_sound() {
    let server = TestServer::start().await;
    let session = common::log_in(&server, "alice").await.unwrap();
    let api = server.api();
    let seen: Value = session
        .get(format!("{api}/accounts?from=1&to=2"))
        .send()
        .await
        .unwrap()
        .json()
        .unwrap();
    session
        .post(format!("{api}/a%20b/ü"))
        .json(&json!({"amount": 1}))
        .send()
        .await
        .unwrap()
        .error_for_status()
        .unwrap();
    session.userinfo().await.unwrap();
    session.refresh().await.unwrap();
    common::get(&session, &server, "").await.unwrap();
    session.delete(format!("{api}/x")).send().await.unwrap();
    session.logout().await.unwrap();

    let jkt = session.key_thumbprint().unwrap();
    assert_eq!(seen["cnf"]["jkt"], jkt);
    let proven = [
        Endpoint::Par,
        Endpoint::Token,
        Endpoint::UserInfo,
        Endpoint::Api,
        Endpoint::Revocation,
    ];
    let mut tokens = HashSet::new();
    for request in server.requests() {
        let proofs = request.headers.get_all("dpop").iter().count();
        if !proven.contains(&request.endpoint) {
            assert_eq!(proofs, 0, "{request:?}");
            continue;
        }
        assert_eq!(proofs, 1, "{request:?}");
        let proof = request.proof().unwrap();
        assert_eq!(proof.header["typ"], "dpop+jwt");
        assert_eq!(proof.header["alg"], "ES256");
        assert_eq!(proof.header.len(), 3, "{:?}", proof.header);
        let jwk = proof.header["jwk"].as_object().unwrap();
        let members: HashSet<&str> = jwk.keys().map(String::as_str).collect();
        assert_eq!(members, HashSet::from(["kty", "crv", "x", "y"]));
        assert_eq!(thumbprint(&proof), jkt);
        assert_eq!(proof.claim("htm"), request.method.as_str());
        let htu = format!("https://{}{}", request.authority, request.path());
        assert_eq!(proof.claim("htu"), &htu);
        assert!((proof.claim("iat").as_i64().unwrap() - request.at).abs() <= 5);
        assert_eq!(proof.claim("jti").as_str().unwrap().len(), 43, "256 bits");

        let at_resource = matches!(request.endpoint, Endpoint::UserInfo | Endpoint::Api);
        let authorization = request.header("authorization");
        assert_eq!(authorization.is_some(), at_resource);
        if let Some(value) = authorization {
            let token = value.strip_prefix("DPoP ").unwrap();
            assert_eq!(proof.claim("ath"), &hash(token));
            tokens.insert(token.to_owned());
        } else {
            assert_eq!(proof.claim("ath"), &Value::Null);
        }
        if request.endpoint == Endpoint::Par {
            assert_eq!(request.form_value("dpop_jkt"), Some(jkt));
        }
    }
    assert_eq!(tokens.len(), 2, "the first token and the refreshed one");
    for request in server.requests() {
        for token in &tokens {
            assert!(!request.uri.contains(token.as_str()));
            assert!(!String::from_utf8_lossy(&request.body).contains(token.as_str()));
        }
    }
    common::assert_fresh(&server);
}

/// Answers for `https://api.example` in its place, and writes down what went there.
struct Elsewhere {
    inner: HttpsTransport,
    seen: Arc<Mutex<Vec<(String, Jwt)>>>,
}

impl Transport for Elsewhere {
    fn send(
        &self,
        request: TransportRequest,
    ) -> BoxFuture<'_, Result<Response<Bytes>, TransportError>> {
        if request.request.uri().host() != Some("api.example") {
            return self.inner.send(request);
        }
        let proof = Jwt::read(request.request.headers()["dpop"].to_str().unwrap()).unwrap();
        let uri = request.request.uri().to_string();
        self.seen.lock().unwrap().push((uri, proof));
        Box::pin(async { Ok(Response::new(Bytes::new())) })
    }
}

/// DPOP-htu, OFTEN-5: `htu` is the URL on the wire: lower-case host, no default port, path as sent, an
/// empty path as `/`; no query.
#[tokio::test]
async fn htu_is_the_url_on_the_wire() {
    let server = TestServer::start().await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let client = common::builder(&server)
        .api("https://API.example:443")
        .transport(Elsewhere {
            inner: common::https(&server),
            seen: seen.clone(),
        })
        .build()
        .await
        .unwrap();
    let session = common::log_in_with(&client, &server, "alice")
        .await
        .unwrap();
    for (url, wire, htu) in [
        (
            "https://api.example",
            "https://api.example/",
            "https://api.example/",
        ),
        (
            "HTTPS://API.Example:443/Accounts?a=b",
            "https://api.example/Accounts?a=b",
            "https://api.example/Accounts",
        ),
        (
            "https://api.example/a/../b/%2e%41ü?q=ü&r=%2F",
            "https://api.example/b/%2e%41%C3%BC?q=%C3%BC&r=%2F",
            "https://api.example/b/%2e%41%C3%BC",
        ),
        (
            "https://api.example//x;y=1/",
            "https://api.example//x;y=1/",
            "https://api.example//x;y=1/",
        ),
    ] {
        session.get(url).send().await.unwrap();
        let (uri, proof) = seen.lock().unwrap().pop().unwrap();
        assert_eq!(uri, wire);
        assert_eq!(proof.claim("htu"), htu);
    }
    assert_eq!(server.count(Endpoint::Api), 0);
}

/// DPOP-jkt-as, SEC-6.3, OFTEN-18: a key for one session at one server.
#[tokio::test]
async fn no_two_sessions_share_a_key() {
    let (one, two) = (TestServer::start().await, TestServer::start().await);
    let client = common::client(&one).await;
    let mut thumbprints = HashSet::new();
    for user in ["alice", "alice", "bob"] {
        let session = common::log_in_with(&client, &one, user).await.unwrap();
        thumbprints.insert(session.key_thumbprint().unwrap().to_owned());
    }
    let service = client
        .client_credentials()
        .scope("accounts")
        .start()
        .await
        .unwrap();
    thumbprints.insert(service.key_thumbprint().unwrap().to_owned());
    let elsewhere = common::log_in(&two, "alice").await.unwrap();
    thumbprints.insert(elsewhere.key_thumbprint().unwrap().to_owned());
    assert_eq!(thumbprints.len(), 5);
    let pushed: HashSet<_> = one
        .requests_to(Endpoint::Par)
        .iter()
        .map(|request| request.form_value("dpop_jkt").unwrap().to_owned())
        .collect();
    assert_eq!(pushed.len(), 3);
}

/// DPOP-nsep, DPOP-nonce, OFTEN-4: the nonces of token endpoint, UserInfo (under the same origin) and API
/// never cross, and each is used again where it belongs.
#[tokio::test]
async fn nonces_of_different_roles_never_cross() {
    let server = TestServer::start().await;
    let session = common::log_in(&server, "alice").await.unwrap();
    for _ in 0..2 {
        session.userinfo().await.unwrap();
        common::get(&session, &server, "/accounts").await.unwrap();
        session.refresh().await.unwrap();
    }
    let nonces = |endpoints: &[Endpoint]| -> HashSet<String> {
        server
            .requests()
            .iter()
            .filter(|request| endpoints.contains(&request.endpoint))
            .filter_map(nonce_of)
            .collect()
    };
    let provider = nonces(&[Endpoint::Par, Endpoint::Token]);
    let (userinfo, api) = (nonces(&[Endpoint::UserInfo]), nonces(&[Endpoint::Api]));
    assert_eq!((provider.len(), userinfo.len(), api.len()), (1, 1, 1));
    assert!(provider.is_disjoint(&userinfo) && provider.is_disjoint(&api));
    assert!(userinfo.is_disjoint(&api));
    for endpoint in [Endpoint::UserInfo, Endpoint::Api] {
        assert_eq!(nonce_of(&server.requests_to(endpoint)[0]), None);
        assert_eq!(server.count(endpoint), 3, "one challenge, once");
    }
}

/// DPOP-nonce, SP-5.3.3.1-8: the nonce that PAR taught is in the first proof at the token endpoint, so
/// that no code is at stake in a challenge.
#[tokio::test]
async fn the_nonce_of_par_serves_at_the_token_endpoint() {
    let server = TestServer::start().await;
    common::log_in(&server, "alice").await.unwrap();
    assert_eq!(server.count(Endpoint::Par), 2);
    assert_eq!(server.count(Endpoint::Token), 1);
    let taught = nonce_of(&last(&server, Endpoint::Par));
    assert!(taught.is_some());
    assert_eq!(nonce_of(&last(&server, Endpoint::Token)), taught);
}

/// DPOP-8.2, OFTEN-4: the nonce of a success is in the next proof, without another round trip.
#[tokio::test]
async fn a_nonce_of_a_success_is_used_next() {
    for policy in [Nonces::Rotating, Nonces::SingleUse] {
        let server = TestServer::builder().nonces(policy).start().await;
        let session = common::log_in(&server, "alice").await.unwrap();
        let mut answer = common::get(&session, &server, "/accounts").await.unwrap();
        assert_eq!(server.count(Endpoint::Api), 2, "{policy:?}");
        for done in 3..6 {
            let taught = answer.headers()["dpop-nonce"].to_str().unwrap().to_owned();
            answer = common::get(&session, &server, "/accounts").await.unwrap();
            assert_eq!(answer.status(), 200);
            assert_eq!(nonce_of(&last(&server, Endpoint::Api)), Some(taught));
            assert_eq!(server.count(Endpoint::Api), done, "{policy:?}");
        }
        for _ in 0..3 {
            session.refresh().await.unwrap();
        }
        assert_eq!(server.count(Endpoint::Token), 4, "{policy:?}");
        common::assert_fresh(&server);
    }
}

/// DPOP-8.2: the nonce of an error, even of another session's, is used next as well.
#[tokio::test]
async fn a_nonce_of_an_error_is_used_next() {
    let server = TestServer::builder().nonces(Nonces::Rotating).start().await;
    let client = common::client(&server).await;
    let one = common::log_in_with(&client, &server, "alice")
        .await
        .unwrap();
    let two = common::log_in_with(&client, &server, "bob").await.unwrap();
    let answer = common::get(&one, &server, "/status/500").await.unwrap();
    assert_eq!(answer.status(), 500);
    let taught = answer.headers()["dpop-nonce"].to_str().unwrap().to_owned();
    assert_eq!(server.count(Endpoint::Api), 2);
    let answer = common::get(&two, &server, "/accounts").await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(server.count(Endpoint::Api), 3);
    assert_eq!(nonce_of(&last(&server, Endpoint::Api)), Some(taught));
}

/// SP-5.3.3.1-8: a server without nonces sees none, and no request twice.
#[tokio::test]
async fn without_nonces_nothing_goes_out_twice() {
    let server = TestServer::builder().nonces(Nonces::Off).start().await;
    let session = common::log_in(&server, "alice").await.unwrap();
    common::get(&session, &server, "/accounts").await.unwrap();
    session.userinfo().await.unwrap();
    for endpoint in [
        Endpoint::Par,
        Endpoint::Token,
        Endpoint::Api,
        Endpoint::UserInfo,
    ] {
        assert_eq!(server.count(endpoint), 1, "{endpoint:?}");
        assert_eq!(nonce_of(&last(&server, endpoint)), None);
    }
}

/// DPOP-8.2, DPOP-9, DPOP-7.3: where each nonce is good for one request, calls side by side all succeed:
/// a retry brings the nonce of its own challenge, which no other call has used up.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn calls_side_by_side_do_not_use_up_each_others_nonces() {
    const CALLS: usize = 24;
    let server = TestServer::builder()
        .nonces(Nonces::SingleUse)
        .start()
        .await;
    let client = common::client(&server).await;
    let session = common::log_in_with(&client, &server, "alice")
        .await
        .unwrap();
    common::get(&session, &server, "/accounts").await.unwrap();
    server.forget_requests();
    let mut calls = tokio::task::JoinSet::new();
    for number in 0..CALLS {
        let (session, url) = (session.clone(), format!("{}/{number}", server.api()));
        calls.spawn(async move {
            let answer = session.get(url).send().await?;
            answer.error_for_status().map(drop)
        });
        let client = client.clone();
        calls.spawn(async move {
            let service = client.client_credentials().scope("accounts");
            service.start().await.map(drop)
        });
    }
    while let Some(outcome) = calls.join_next().await {
        outcome.unwrap().unwrap();
    }
    assert!(server.count(Endpoint::Api) <= 2 * CALLS);
    assert!(server.count(Endpoint::Token) <= 2 * CALLS);
    common::assert_fresh(&server);
}
