//! MTLS-pool: a connection says who the client is, so that none is shared.

use std::collections::HashSet;

use fapi_client::{Client, Clients};
use fapi_testkit::{Endpoint, Request, TestServer};

use super::{Bound, By, NAME, builder, call, certificates, named, server, session};
use crate::common::{self, CLIENT_ID, REDIRECT_URI};

/// The connections at which a certificate was shown, and whether they went on with an earlier TLS session.
fn connections(requests: &[Request], thumbprint: &str) -> HashSet<(u64, bool)> {
    let of = |request: &&Request| request.certificate() == Some(thumbprint);
    let of = requests.iter().filter(of);
    of.map(|request| (request.connection, request.resumed))
        .collect()
}

fn numbers(connections: &HashSet<(u64, bool)>) -> HashSet<u64> {
    connections.iter().map(|(number, _)| *number).collect()
}

fn earliest(connections: &HashSet<(u64, bool)>) -> Option<(u64, bool)> {
    connections.iter().min().copied()
}

/// MTLS-pool: two clients over one transport to the same hosts share neither a connection nor a TLS session.
/// The server would have gone on with a session: it does so for one of them.
#[tokio::test]
async fn two_clients_share_no_connection() {
    let server = server().await;
    let transport = common::https(&server);
    let (first, second) = (certificates(&server), certificates(&server));
    let (one, two) = (first.active(), second.active());
    let mut clients = Vec::new();
    for (id, set) in [("one", &first), ("two", &second)] {
        let builder = named(&server, id, By::Certificate, Bound::Certificate, set);
        let client = builder.transport(transport.clone()).build().await.unwrap();
        let session = session(&client, &server).await;
        call(&session, &server).await;
        clients.push((client, session));
    }
    let requests = server.requests();
    let (of_one, of_two) = (
        connections(&requests, one.thumbprint()),
        connections(&requests, two.thumbprint()),
    );
    assert!(!of_one.is_empty() && !of_two.is_empty());
    assert!(numbers(&of_one).is_disjoint(&numbers(&of_two)));
    // What needs no certificate showed none, over connections of its own.
    let without = requests.iter().filter(|one| one.certificate().is_none());
    let without: HashSet<u64> = without.map(|request| request.connection).collect();
    assert!(without.is_disjoint(&numbers(&of_one)) && without.is_disjoint(&numbers(&of_two)));
    // The first of each began with a full handshake. Later ones, to the other port of the same host, may go
    // on with the client's own session.
    for connections in [&of_one, &of_two] {
        assert_eq!(
            earliest(connections).map(|(_, resumed)| resumed),
            Some(false)
        );
    }

    // Without its connections a client goes on with its own TLS session, and with no other's.
    server.set_offline(true);
    server.set_offline(false);
    server.forget_requests();
    for (_, session) in &clients {
        call_again(session, &server).await;
    }
    let requests = server.requests_to(Endpoint::Api);
    assert!(
        requests.iter().any(|request| request.resumed),
        "{requests:?}"
    );
    for (request, certificate) in requests.iter().zip([&one, &two]) {
        assert_eq!(request.certificate(), Some(certificate.thumbprint()));
    }
}

/// A call that may find its connection cut.
async fn call_again(session: &fapi_client::Session, server: &TestServer) {
    let url = format!("{}/accounts", server.mtls_api());
    for _ in 0..3 {
        if let Ok(answer) = session.get(&url).send().await {
            assert_eq!(answer.status(), 200);
            return;
        }
    }
    panic!("the API can't be reached");
}

/// MTLS-pool: clients of one registry share its transport, and show their own certificates all the same.
#[tokio::test]
async fn clients_of_a_registry_share_no_connection() {
    let (here, there) = (server().await, server().await);
    let clients = Clients::builder()
        .transport(common::https(&here))
        .build()
        .unwrap();
    let mut shown = Vec::new();
    for own in [&here, &there] {
        let set = certificates(own);
        let auth = fapi_client::ClientAuth::tls_client_auth();
        own.register(
            fapi_testkit::Registration::new(CLIENT_ID)
                .redirect_uri(REDIRECT_URI)
                .tls_client_auth_san_dns(NAME)
                .certificate_bound_tokens(),
        );
        let client: Client = clients
            .client(own.issuer(), CLIENT_ID)
            .redirect_uri(REDIRECT_URI)
            .authenticate_with(auth)
            .client_certificate(set.clone())
            .certificate_bound_tokens()
            .api(here.mtls_api())
            .build()
            .await
            .unwrap();
        let session = session(&client, own).await;
        let answer = session.get(format!("{}/accounts", here.mtls_api()));
        let status = answer.send().await.unwrap().status();
        // The API knows the tokens of its own server alone.
        assert_eq!(status == 200, own.issuer() == here.issuer(), "{status}");
        shown.push(set.active().thumbprint().to_owned());
    }
    let requests = here.requests_to(Endpoint::Api);
    let (one, two) = (
        connections(&requests, &shown[0]),
        connections(&requests, &shown[1]),
    );
    assert_eq!(one.len(), 1);
    assert_eq!(two.len(), 1);
    assert!(numbers(&one).is_disjoint(&numbers(&two)));
    // The first client was at this server before, with a session of its own; the second was not.
    assert_eq!(earliest(&two).map(|(_, resumed)| resumed), Some(false));
}

/// A certificate of an authority that the server does not know ends in the handshake; nothing was sent.
#[tokio::test]
async fn a_strange_certificate_ends_in_the_handshake() {
    let server = server().await;
    let strange = super::made(&server, fapi_testkit::ClientCertificate::OtherAuthority);
    let set = fapi_client::CertificateSet::new(strange);
    let client = builder(&server, By::Certificate, Bound::Certificate, &set)
        .build()
        .await
        .unwrap();
    let error = client.login().scope("openid").start().await.unwrap_err();
    let transport = common::transport(&error).unwrap();
    assert_eq!(
        transport.endpoint,
        Some(fapi_client::Endpoint::PushedAuthorizationRequest)
    );
    assert_eq!(server.count(Endpoint::Par), 0);
}
