//! Mutual TLS (RFC 8705): certificates that authenticate, and certificates that tokens are bound to.

mod aliases;
mod certificates;
mod connections;
#[cfg(feature = "pkcs12")]
mod pkcs12;
mod registering;
mod rotation;
mod settings;
mod tokens;

use fapi_client::{
    CertificateSet, Client, ClientAuth, ClientBuilder, ClientCertificate, KeySet, Session,
    SoftwareKey,
};
use fapi_testkit::{
    ClientCertificate as Kind, Endpoint, Nonces, Registration, Request, TestServer, Tls,
};
use serde_json::{Value, json};

use crate::common::{self, CLIENT_ID, REDIRECT_URI};

/// The DNS name in the client's certificates.
const NAME: &str = "client.app.example";

/// How the client authenticates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Key,
    Certificate,
    SelfSigned,
}

/// What its tokens are bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bound {
    Key,
    Certificate,
}

async fn server() -> TestServer {
    let builder = TestServer::builder().mutual_tls().nonces(Nonces::Off);
    builder.start().await
}

fn made(server: &TestServer, kind: Kind) -> ClientCertificate {
    let (chain, key) = server.client_certificate(kind, &[NAME]);
    ClientCertificate::from_pem(&chain, &key).unwrap()
}

fn certificates(server: &TestServer) -> CertificateSet {
    CertificateSet::new(made(server, Kind::Valid))
}

/// A registered client that shows its certificate, and as which it is registered.
fn builder(server: &TestServer, by: By, bound: Bound, set: &CertificateSet) -> ClientBuilder {
    named(server, CLIENT_ID, by, bound, set)
}

fn named(
    server: &TestServer,
    client_id: &str,
    by: By,
    bound: Bound,
    set: &CertificateSet,
) -> ClientBuilder {
    let keys = KeySet::new(SoftwareKey::generate_es256().unwrap());
    let registration = Registration::new(client_id).redirect_uri(REDIRECT_URI);
    let (registration, auth) = match by {
        By::Key => (
            registration.jwks(keys.jwks()),
            ClientAuth::private_key_jwt(keys),
        ),
        By::Certificate => (
            registration.tls_client_auth_san_dns(NAME),
            ClientAuth::tls_client_auth(),
        ),
        By::SelfSigned => (
            registration.self_signed_tls_client_auth(set.jwks().unwrap()),
            ClientAuth::self_signed_tls_client_auth(),
        ),
    };
    let builder = Client::builder(server.issuer(), client_id)
        .redirect_uri(REDIRECT_URI)
        .authenticate_with(auth)
        .client_certificate(set.clone())
        .api(server.api())
        .api(server.mtls_api())
        .transport(common::https(server))
        .clock(common::SharedClock(server.clock().clone()));
    match bound {
        Bound::Key => {
            server.register(registration);
            builder
        }
        Bound::Certificate => {
            server.register(registration.certificate_bound_tokens());
            builder.certificate_bound_tokens()
        }
    }
}

/// A server, and a client of it whose certificate is as it has to be.
async fn client(by: By, bound: Bound) -> (TestServer, CertificateSet, Client) {
    let server = server().await;
    let kind = if by == By::SelfSigned {
        Kind::SelfSigned
    } else {
        Kind::Valid
    };
    let set = CertificateSet::new(made(&server, kind));
    let client = builder(&server, by, bound, &set).build().await.unwrap();
    (server, set, client)
}

async fn session(client: &Client, server: &TestServer) -> Session {
    common::log_in_with(client, server, "alice").await.unwrap()
}

/// What the API says about the token, called where TLS asks for the certificate.
async fn call(session: &Session, server: &TestServer) -> Value {
    let answer = session.get(format!("{}/accounts", server.mtls_api()));
    let answer = answer.send().await.unwrap().error_for_status().unwrap();
    answer.json().unwrap()
}

/// The requests to the endpoints that have an alias.
fn at_the_server(server: &TestServer) -> Vec<Request> {
    let mut requests = server.requests();
    requests.retain(|request| {
        matches!(
            request.endpoint,
            Endpoint::Par | Endpoint::Token | Endpoint::UserInfo | Endpoint::Revocation
        )
    });
    requests
}

fn authority(origin: &str) -> &str {
    origin.strip_prefix("https://").unwrap()
}

/// A login, calls, a refresh, UserInfo and a logout; every request is what it has to be.
async fn whole(by: By, bound: Bound, set: &CertificateSet, server: &TestServer) {
    let client = builder(server, by, bound, set).build().await.unwrap();
    let shown = set.active().thumbprint().to_owned();
    let session = session(&client, server).await;
    let cnf = match bound {
        Bound::Key => json!({"jkt": session.key_thumbprint().unwrap()}),
        Bound::Certificate => json!({"x5t#S256": shown}),
    };
    assert_eq!(session.key_thumbprint().is_some(), bound == Bound::Key);
    assert_eq!(call(&session, server).await["cnf"], cnf);
    session.refresh().await.unwrap();
    assert_eq!(call(&session, server).await["cnf"], cnf);
    assert_eq!(session.userinfo().await.unwrap().subject(), "alice");
    session.logout().await.unwrap();
    assert_eq!(server.refusals(), Vec::<String>::new(), "{by:?} {bound:?}");

    let by_certificate = by != By::Key || bound == Bound::Certificate;
    let origin = if by_certificate {
        server.mtls_origin()
    } else {
        server.issuer()
    };
    let requests = at_the_server(server);
    for endpoint in [
        Endpoint::Par,
        Endpoint::Token,
        Endpoint::UserInfo,
        Endpoint::Revocation,
    ] {
        assert!(requests.iter().any(|one| one.endpoint == endpoint));
    }
    for request in &requests {
        assert_eq!(request.authority, authority(origin), "{request:?}");
        let at = by_certificate.then_some(shown.as_str());
        assert_eq!(request.certificate(), at, "{request:?}");
        if request.endpoint != Endpoint::UserInfo {
            // MTLS-2, CA-2
            assert_eq!(request.form_value("client_id"), Some(CLIENT_ID));
            assert_eq!(request.assertion().is_some(), by == By::Key);
            assert_eq!(
                request.form_value("client_assertion_type").is_some(),
                by == By::Key
            );
        }
        assert_eq!(request.proof().is_some(), bound == Bound::Key);
    }
    let scheme = match bound {
        Bound::Key => "DPoP ",
        Bound::Certificate => "Bearer ",
    };
    for request in server.requests_to(Endpoint::Api) {
        let authorization = request.header("authorization").unwrap();
        assert!(authorization.starts_with(scheme), "{by:?} {bound:?}");
        assert_eq!(request.certificate(), Some(shown.as_str()));
        assert_eq!(request.proof().is_some(), bound == Bound::Key);
    }
    // MTLS-5b
    for request in server.requests_to(Endpoint::Authorization) {
        assert_eq!(request.authority, authority(server.issuer()));
    }
    let told = server.requests_to(Endpoint::Revocation).pop().unwrap();
    assert!(!server.is_live(told.form_value("token").unwrap()));
}

/// SP-5.3.2.1-4, SP-5.3.3.1-1, MTLS-2, MTLS-3, SP-5.3.3.1-7: every way to authenticate goes with either way
/// to bind tokens.
#[tokio::test]
async fn all_pairs_work() {
    for by in [By::Key, By::Certificate] {
        for bound in [Bound::Key, Bound::Certificate] {
            let server = server().await;
            whole(by, bound, &certificates(&server), &server).await;
        }
    }
}

/// SP-5.2.1-2, MTLS-3: both versions of TLS ask for the certificate in a way of their own.
#[tokio::test]
async fn both_versions_of_tls_show_the_certificate() {
    for tls in [Tls::Only12, Tls::Only13] {
        let server = TestServer::builder()
            .mutual_tls()
            .nonces(Nonces::Off)
            .tls(tls)
            .start()
            .await;
        let set = certificates(&server);
        whole(By::Certificate, Bound::Certificate, &set, &server).await;
    }
}

/// MTLS-2.2: a certificate that no authority signed is known by the key set.
#[tokio::test]
async fn a_self_signed_certificate_authenticates() {
    for bound in [Bound::Key, Bound::Certificate] {
        let server = server().await;
        let set = CertificateSet::new(made(&server, Kind::SelfSigned));
        whole(By::SelfSigned, bound, &set, &server).await;
    }
}

/// SP-5.4.1-3: the larger curves serve in TLS, though they sign no tokens.
#[tokio::test]
async fn a_key_on_p384_works() {
    let server = server().await;
    let set = CertificateSet::new(made(&server, Kind::P384));
    whole(By::Certificate, Bound::Certificate, &set, &server).await;
}
