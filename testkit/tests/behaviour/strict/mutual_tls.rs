//! Mutual TLS (RFC 8705): certificates that authenticate, and tokens that are bound to them.

use fapi_testkit::{ClientCertificate, Endpoint, Nonces, Registration, TestServer};
use http::Method;
use serde_json::{Value, json};

use super::{check, party};
use crate::party::{CALLBACK, Party, http_showing};
use crate::wire::{Reply, Shot};

/// What one request gets wrong.
type Spoil = fn(&Party, &mut Shot);

const NAME: &str = "client.app.example";

async fn server() -> TestServer {
    let builder = TestServer::builder().nonces(Nonces::Off).mutual_tls();
    builder.start().await
}

/// A client that shows a certificate, under the name `registration` gives it.
async fn showing(server: &TestServer, kind: ClientCertificate, names: &[&str]) -> Party {
    let mut party = Party::new(server).await;
    party.http = http_showing(server, &server.client_certificate(kind, names));
    party
}

/// A token request of a client that a certificate authenticates, at the alias.
fn service(party: &Party) -> Shot {
    let mut shot = party.service("accounts");
    shot.url = alias(party, "token_endpoint");
    shot.assertion = None;
    shot.add("client_id", &party.id);
    if let Some(proof) = &mut shot.proof {
        proof.claim("htu", shot.url.clone());
    }
    shot
}

fn alias(party: &Party, name: &str) -> String {
    let alias = &party.metadata["mtls_endpoint_aliases"][name];
    alias.as_str().unwrap().to_owned()
}

fn bearer(party: &Party, origin: &str, token: &str) -> Shot {
    let mut shot = party.call(Method::GET, &format!("{origin}/accounts"), token);
    shot.proof = None;
    shot.headers = vec![("authorization", format!("Bearer {token}"))];
    shot
}

fn bound(id: &str) -> Registration {
    Registration::new(id)
        .redirect_uri(CALLBACK)
        .tls_client_auth_san_dns(NAME)
        .certificate_bound_tokens()
}

/// SP-5.2.2.1-2, MTLS-3.4: what the metadata say, with mutual TLS and without it.
#[tokio::test]
async fn the_metadata_say_it() {
    let party = Party::new(&server().await).await;
    let origin = party.server.mtls_origin();
    assert_eq!(alias(&party, "token_endpoint"), format!("{origin}/token"));
    for name in [
        "authorization_endpoint",
        "userinfo_endpoint",
        "revocation_endpoint",
    ] {
        assert!(alias(&party, name).starts_with(origin));
    }
    let metadata = &party.metadata;
    assert_eq!(metadata["tls_client_certificate_bound_access_tokens"], true);
    assert_eq!(
        metadata["token_endpoint_auth_methods_supported"],
        json!([
            "private_key_jwt",
            "tls_client_auth",
            "self_signed_tls_client_auth"
        ])
    );
    let without = super::party().await;
    for member in [
        "mtls_endpoint_aliases",
        "tls_client_certificate_bound_access_tokens",
    ] {
        assert_eq!(without.metadata.get(member), None);
    }
}

/// MTLS-2, CA-2: `client_id`, the right certificate, and nothing else.
#[tokio::test]
async fn a_certificate_authenticates() {
    let server = server().await;
    let party = showing(&server, ClientCertificate::Valid, &[NAME]).await;
    let names = [
        bound(&party.id),
        bound(&party.id).tls_client_auth_subject_dn(&format!("CN={NAME}")),
    ];
    for registration in names {
        server.register(registration);
        let mut shot = service(&party);
        shot.proof = None;
        assert_eq!(party.send(shot).await.status, 200);
    }
    let spoilt: [(&str, Spoil); 6] = [
        ("no client_id", |_, shot| shot.unset("client_id")),
        ("another client_id", |_, shot| shot.set("client_id", "x")),
        ("an assertion", |party, shot| {
            shot.assertion = Some(party.assertion());
        }),
        ("a secret", |_, shot| shot.add("client_secret", "x")),
        ("Basic", |_, shot| {
            shot.headers
                .push(("authorization", "Basic eDp5".to_owned()));
        }),
        ("no certificate", |party, shot| {
            shot.url = party.endpoint("token_endpoint");
        }),
    ];
    for (what, spoil) in spoilt {
        let mut shot = service(&party);
        shot.proof = None;
        spoil(&party, &mut shot);
        check(what, &party.send(shot).await, "401 invalid_client");
    }
    for other in [
        bound(&party.id).tls_client_auth_subject_dn("CN=other.app.example"),
        bound(&party.id).tls_client_auth_subject_dn("no name"),
        bound(&party.id).tls_client_auth_san_dns("app.example"),
    ] {
        server.register(other);
        let mut shot = service(&party);
        shot.proof = None;
        check(
            "another name",
            &party.send(shot).await,
            "401 invalid_client",
        );
    }
}

/// MTLS-2.1, MTLS-2.2: one that nobody signed is no `tls_client_auth`, even with the right names in it; one
/// of a strange authority does not get through the handshake.
#[tokio::test]
async fn a_strange_certificate_does_not() {
    let server = server().await;
    for names in [&[NAME][..], &["fapi-testkit authority", NAME]] {
        let party = showing(&server, ClientCertificate::SelfSigned, names).await;
        server.register(bound(&party.id));
        let mut shot = service(&party);
        shot.proof = None;
        let reply = party.send(shot).await;
        check("self-signed", &reply, "401 invalid_client");
    }
    for kind in [
        ClientCertificate::OtherAuthority,
        ClientCertificate::Expired,
    ] {
        let party = showing(&server, kind, &[NAME]).await;
        server.register(bound(&party.id));
        let before = server.count(Endpoint::Token);
        let url = alias(&party, "token_endpoint");
        assert!(party.http.post(url).send().await.is_err(), "{kind:?}");
        assert_eq!(server.count(Endpoint::Token), before);
    }
}

/// CA-2: who is registered for an assertion brings one, whatever it shows; who is registered for a
/// certificate shows it.
#[tokio::test]
async fn a_client_keeps_to_its_way() {
    let server = server().await;
    let party = showing(&server, ClientCertificate::Valid, &[NAME]).await;
    check(
        "no assertion",
        &party.send(service(&party)).await,
        "401 invalid_client",
    );
    server.register(bound(&party.id).jwks(jwks(&party)));
    check(
        "no client_id",
        &party.send(party.service("a")).await,
        "401 invalid_client",
    );
}

fn jwks(party: &Party) -> Value {
    let mut jwk = party.key.jwk();
    jwk["kid"] = party.key.thumbprint().into();
    json!({"keys": [jwk]})
}

/// MTLS-3: the token is bound to the certificate, and good with it alone, as `Bearer` alone.
#[tokio::test]
async fn a_bound_token_is_good_with_its_certificate_alone() {
    let server = server().await;
    let certificate = server.client_certificate(ClientCertificate::Valid, &[NAME]);
    let mut party = Party::new(&server).await;
    party.http = http_showing(&server, &certificate);
    server.register(bound(&party.id));
    check(
        "a proof",
        &party.send(service(&party)).await,
        "400 invalid_request",
    );
    let mut shot = service(&party);
    shot.proof = None;
    let tokens = party.send(shot).await.json();
    assert_eq!(tokens["token_type"], "Bearer");
    let token = tokens["access_token"].as_str().unwrap();

    let (api, mtls) = (server.api().to_owned(), server.mtls_api().to_owned());
    let good = party.send(bearer(&party, &mtls, token)).await;
    assert_eq!(good.status, 200);
    let thumbprint = TestServer::thumbprint_of(&certificate.0);
    assert_eq!(good.json()["cnf"], json!({"x5t#S256": thumbprint}));
    let last = server.requests_to(Endpoint::Api).pop().unwrap();
    assert_eq!(last.certificate(), Some(thumbprint.as_str()));
    assert_eq!(format!("https://{}", last.authority), mtls);

    let refused = |what: &str, reply: &Reply| {
        check(what, reply, "401 invalid_token");
        let challenge = reply.header("www-authenticate");
        assert!(challenge.starts_with("Bearer "), "{what}: {challenge}");
    };
    let reply = party.send(bearer(&party, &api, token)).await;
    refused("no certificate", &reply);
    let reply = party
        .send(party.call(Method::GET, &format!("{mtls}/"), token))
        .await;
    refused("as DPoP", &reply);
    let other = showing(&server, ClientCertificate::Valid, &[NAME]).await;
    let reply = other.send(bearer(&other, &mtls, token)).await;
    refused("another certificate", &reply);
    server.revoke_access_tokens();
    let reply = party.send(bearer(&party, &mtls, token)).await;
    refused("revoked", &reply);
}

/// DPOP-7.2: a token that is bound to a key is never good as `Bearer`, whatever certificate is shown.
#[tokio::test]
async fn a_token_of_a_key_is_no_bearer_token() {
    let server = server().await;
    let party = showing(&server, ClientCertificate::Valid, &[NAME]).await;
    let tokens = party.send(party.service("accounts")).await.json();
    assert_eq!(tokens["token_type"], "DPoP");
    let token = tokens["access_token"].as_str().unwrap();
    let mtls = server.mtls_api().to_owned();
    let reply = party.send(bearer(&party, &mtls, token)).await;
    check("as Bearer", &reply, "401 invalid_token");
    let reply = party
        .send(party.call(Method::GET, &format!("{mtls}/"), token))
        .await;
    assert_eq!(reply.status, 200);
}

/// MTLS-3: a client with bound tokens pushes no key, and asks for no token without a certificate.
#[tokio::test]
async fn a_client_with_bound_tokens_has_no_key() {
    let server = server().await;
    let party = showing(&server, ClientCertificate::Valid, &[NAME]).await;
    server.register(party.registration().certificate_bound_tokens());
    let mut with_proof = party.par("openid");
    with_proof.unset("dpop_jkt");
    let mut with_jkt = party.par("openid");
    with_jkt.proof = None;
    for shot in [with_proof, with_jkt] {
        check("a key", &party.send(shot).await, "400 invalid_request");
    }
    let mut plain = party.par("openid");
    plain.unset("dpop_jkt");
    plain.proof = None;
    assert_eq!(party.send(plain).await.status, 201);
    let mut without = party.service("accounts");
    without.proof = None;
    check(
        "no certificate",
        &party.send(without).await,
        "400 invalid_request",
    );
}

/// MTLS-2.2: a key set with certificates that don't belong there stops the test at once.
#[tokio::test]
async fn unsound_certificates_panic() {
    let party = party().await;
    let keys = jwks(&party);
    let other = party
        .server
        .client_certificate(ClientCertificate::SelfSigned, &[NAME]);
    let lines = other.0.lines().filter(|line| !line.starts_with('-'));
    let mut foreign = keys.clone();
    foreign["keys"][0]["x5c"] = json!([lines.collect::<String>()]);
    let mut broken = keys.clone();
    broken["keys"][0]["x5c"] = json!(["AAAA"]);
    for set in [keys, foreign, broken] {
        let text = set.to_string();
        let result =
            std::panic::catch_unwind(|| Registration::new("c").self_signed_tls_client_auth(set));
        assert!(result.is_err(), "{text}");
    }
}

/// MTLS-pool: each connection has a number, and says whether it went on with an earlier TLS session.
#[tokio::test]
async fn connections_are_told_apart() {
    let server = server().await;
    let certificate = server.client_certificate(ClientCertificate::P384, &[NAME]);
    let url = format!("{}/jwks", server.mtls_origin());
    let one = http_showing(&server, &certificate);
    for _ in 0..2 {
        one.get(&url).send().await.unwrap();
    }
    http_showing(&server, &certificate)
        .get(&url)
        .send()
        .await
        .unwrap();
    let requests = server.requests_to(Endpoint::Jwks);
    let numbers: Vec<u64> = requests.iter().map(|one| one.connection).collect();
    assert_eq!(numbers[0], numbers[1]);
    assert_ne!(numbers[1], numbers[2]);
    assert!(requests.iter().all(|one| !one.resumed));
    let thumbprint = TestServer::thumbprint_of(&certificate.0);
    for request in requests {
        assert_eq!(request.certificate(), Some(thumbprint.as_str()));
    }
}
