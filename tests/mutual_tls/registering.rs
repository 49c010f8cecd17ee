//! Clients with certificates that register themselves (RFC 7591, RFC 8705 section 2.1.2).

use std::net::{IpAddr, Ipv6Addr};

use fapi_client::{
    CertificateName, CertificateSet, Client, ClientAuth, ClientCertificate, ConfigError, Denied,
    Error, KeySet, Registration, RegistrationChanges, RegistrationRequest, SoftwareKey, Stores,
    Violation,
};
use fapi_testkit::{ClientCertificate as Kind, Endpoint, TestServer};
use serde_json::{Value, json};

use super::{NAME, call, certificates, made, server, session};
use crate::common::{self, REDIRECT_URI};

fn request(server: &TestServer, auth: ClientAuth, set: &CertificateSet) -> RegistrationRequest {
    Client::register(server.issuer())
        .redirect_uri(REDIRECT_URI)
        .authenticate_with(auth)
        .client_certificate(set.clone())
        .transport(common::https(server))
}

fn body(server: &TestServer, endpoint: Endpoint) -> Value {
    let sent = server.requests_to(endpoint).pop().unwrap();
    serde_json::from_slice(&sent.body).unwrap()
}

/// Logs in with the client of a registration, and calls the API.
async fn works(registration: &Registration, server: &TestServer) -> Value {
    let client = registration.client_builder().api(server.mtls_api());
    let client = client.build().await.unwrap();
    let session = session(&client, server).await;
    call(&session, server).await
}

/// MTLS-2.1, MTLS-3.4, DCR-2b: each name goes out alone, and the server finds it in the certificate.
#[tokio::test]
async fn a_client_is_known_by_one_name() {
    let server = server().await;
    let names = [
        NAME,
        "https://app.example/client",
        "2001:db8::7",
        "client@app.example",
    ];
    let (chain, key) = server.client_certificate(Kind::Valid, &names);
    let set = CertificateSet::new(ClientCertificate::from_pem(&chain, &key).unwrap());
    let address = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7));
    let rows = [
        (
            CertificateName::SubjectDn(format!("CN={NAME}")),
            "tls_client_auth_subject_dn",
            format!("CN={NAME}"),
        ),
        (
            CertificateName::SanDns(NAME.to_owned()),
            "tls_client_auth_san_dns",
            NAME.to_owned(),
        ),
        (
            CertificateName::SanUri(names[1].to_owned()),
            "tls_client_auth_san_uri",
            names[1].to_owned(),
        ),
        (
            CertificateName::SanIp(address),
            "tls_client_auth_san_ip",
            names[2].to_owned(),
        ),
        (
            CertificateName::SanEmail(names[3].to_owned()),
            "tls_client_auth_san_email",
            names[3].to_owned(),
        ),
    ];
    let members = rows.each_ref().map(|(_, member, _)| *member);
    for (name, member, value) in rows {
        let registration = request(&server, ClientAuth::tls_client_auth(), &set)
            .certificate_name(name)
            .certificate_bound_tokens()
            .send()
            .await
            .unwrap();
        let sent = body(&server, Endpoint::Registration);
        assert_eq!(sent["token_endpoint_auth_method"], "tls_client_auth");
        assert_eq!(sent[member], value);
        let count = members.iter().filter(|one| sent.get(**one).is_some());
        assert_eq!(count.count(), 1);
        assert_eq!(sent["tls_client_certificate_bound_access_tokens"], true);
        assert_eq!(sent["dpop_bound_access_tokens"], false);
        assert_eq!(sent["use_mtls_endpoint_aliases"], false);
        for absent in ["jwks", "jwks_uri", "token_endpoint_auth_signing_alg"] {
            assert_eq!(sent.get(absent), None, "{absent}");
        }
        let seen = works(&registration, &server).await;
        let shown = json!({"x5t#S256": set.active().thumbprint()});
        assert_eq!(seen["cnf"], shown);
    }
    assert_eq!(server.refusals(), Vec::<String>::new());
}

/// MTLS-2.1: a certificate with another name in it is not the client's.
#[tokio::test]
async fn another_name_is_refused_by_the_server() {
    let server = server().await;
    let set = certificates(&server);
    let other = CertificateName::SanDns("other.app.example".to_owned());
    let registration = request(&server, ClientAuth::tls_client_auth(), &set)
        .certificate_name(other)
        .send()
        .await
        .unwrap();
    let client = registration.client_builder().build().await.unwrap();
    let error = client.login().scope("openid").start().await.unwrap_err();
    let Error::Denied(Denied::Server(refusal)) = &error else {
        panic!("{error:?}");
    };
    assert_eq!(refusal.error(), "invalid_client");
    assert_eq!(server.count(Endpoint::Authorization), 0);
}

/// MTLS-2.2, DCR-2a: the certificates go out in the key set; the flag for aliases is registered as it is.
#[tokio::test]
async fn self_signed_certificates_are_registered_in_the_key_set() {
    let server = server().await;
    let set = CertificateSet::new(made(&server, Kind::SelfSigned));
    let auth = ClientAuth::self_signed_tls_client_auth();
    let mut registration = request(&server, auth, &set)
        .use_mtls_endpoint_aliases()
        .send()
        .await
        .unwrap();
    let sent = body(&server, Endpoint::Registration);
    assert_eq!(
        sent["token_endpoint_auth_method"],
        "self_signed_tls_client_auth"
    );
    assert_eq!(sent["jwks"], set.jwks().unwrap());
    assert_eq!(sent["use_mtls_endpoint_aliases"], true);
    assert_eq!(sent["dpop_bound_access_tokens"], true);
    let seen = works(&registration, &server).await;
    assert!(seen["cnf"]["jkt"].is_string());

    // The next certificate is registered before it is shown.
    let next = set.add(made(&server, Kind::SelfSigned)).unwrap();
    let auth = ClientAuth::self_signed_tls_client_auth();
    let changes = RegistrationChanges::new().authenticate_with(auth);
    registration.update(changes).await.unwrap();
    let sent = body(&server, Endpoint::Management);
    assert_eq!(sent["jwks"], set.jwks().unwrap());
    assert_eq!(sent["jwks"]["keys"].as_array().unwrap().len(), 2);
    set.activate(&next).unwrap();
    works(&registration, &server).await;

    // Another set takes the place of the first.
    let other = CertificateSet::new(made(&server, Kind::SelfSigned));
    let changes = RegistrationChanges::new().client_certificate(other.clone());
    registration.update(changes).await.unwrap();
    let sent = body(&server, Endpoint::Management);
    assert_eq!(sent["jwks"], other.jwks().unwrap());
    works(&registration, &server).await;
    let last = server.requests_to(Endpoint::Token).pop().unwrap();
    assert_eq!(last.certificate(), Some(other.active().thumbprint()));
    assert_eq!(server.refusals(), Vec::<String>::new());
}

/// MTLS-2.1, DCM-2.2: what the server looks for is replaced by one other thing.
#[tokio::test]
async fn a_name_is_replaced() {
    let server = server().await;
    let set = certificates(&server);
    let mut registration = request(&server, ClientAuth::tls_client_auth(), &set)
        .certificate_name(CertificateName::SanDns("old.app.example".to_owned()))
        .certificate_bound_tokens()
        .send()
        .await
        .unwrap();
    let name = CertificateName::SubjectDn(format!("CN={NAME}"));
    let changes = RegistrationChanges::new().certificate_name(name);
    registration.update(changes).await.unwrap();
    let sent = body(&server, Endpoint::Management);
    assert_eq!(sent["tls_client_auth_subject_dn"], format!("CN={NAME}"));
    assert_eq!(sent.get("tls_client_auth_san_dns"), None);
    assert_eq!(sent.get("jwks"), None);
    works(&registration, &server).await;
}

/// DCR-3.2.1, MTLS-3.4: what was registered comes back from the store; the certificate is given again, and
/// nothing goes out without it.
#[tokio::test]
async fn a_stored_registration_asks_for_its_certificate() {
    let server = server().await;
    let set = certificates(&server);
    let stores = Stores::memory();
    let mut registration = request(&server, ClientAuth::tls_client_auth(), &set)
        .certificate_name(CertificateName::SanDns(NAME.to_owned()))
        .certificate_bound_tokens()
        .use_mtls_endpoint_aliases()
        .send()
        .await
        .unwrap();
    registration.save(&stores, "app").await.unwrap();
    drop(registration);
    let load = async || {
        let loaded = Registration::load(&stores, server.issuer(), "app").await;
        let loaded = loaded.unwrap().unwrap();
        loaded.transport(common::https(&server))
    };
    server.forget_requests();
    let loaded = load().await;
    let without = loaded.authenticate_with(ClientAuth::tls_client_auth());
    let error = without.client_builder().build().await.unwrap_err();
    let expected = ConfigError::NoCertificate("tls_client_auth");
    assert_eq!(common::config(&error), Some(&expected));
    assert_eq!(server.requests().len(), 0);

    let whole = load()
        .await
        .authenticate_with(ClientAuth::tls_client_auth())
        .client_certificate(set.clone());
    let seen = works(&whole, &server).await;
    let shown = json!({"x5t#S256": set.active().thumbprint()});
    assert_eq!(seen["cnf"], shown);
}

/// DCR-2b: a client that signs its assertions registers tokens that are bound to its certificate.
#[tokio::test]
async fn a_client_with_a_key_registers_bound_tokens() {
    let server = server().await;
    let set = certificates(&server);
    let keys = KeySet::new(SoftwareKey::generate_es256().unwrap());
    let registration = request(&server, ClientAuth::private_key_jwt(keys), &set)
        .certificate_bound_tokens()
        .send()
        .await
        .unwrap();
    let seen = works(&registration, &server).await;
    let shown = json!({"x5t#S256": set.active().thumbprint()});
    assert_eq!(seen["cnf"], shown);
}

/// DCR-3.2.1, MTLS-2.1, MTLS-3.4: a server that registers something weaker, or something else to look for,
/// gets no client.
#[tokio::test]
async fn a_weaker_registration_is_refused() {
    let server = server().await;
    let set = certificates(&server);
    for (member, value) in [
        ("token_endpoint_auth_method", json!("private_key_jwt")),
        ("token_endpoint_auth_method", json!("client_secret_basic")),
        ("tls_client_certificate_bound_access_tokens", json!(false)),
        ("dpop_bound_access_tokens", json!(true)),
        ("use_mtls_endpoint_aliases", json!(true)),
        ("tls_client_auth_san_dns", json!("evil.example")),
        ("tls_client_auth_subject_dn", json!("CN=evil")),
        ("tls_client_auth_san_uri", json!("https://evil.example")),
        ("tls_client_auth_san_ip", json!("192.0.2.1")),
        ("tls_client_auth_san_email", json!("a@evil.example")),
    ] {
        server.behave();
        server.mutate_registration_response(move |body| body[member] = value.clone());
        let error = request(&server, ClientAuth::tls_client_auth(), &set)
            .certificate_name(CertificateName::SanDns(NAME.to_owned()))
            .certificate_bound_tokens()
            .send()
            .await
            .unwrap_err();
        let expected = Violation::Registration {
            member: member.to_owned(),
        };
        assert_eq!(error.violation(), Some(&expected));
        let last = server.requests().pop().unwrap();
        assert_eq!(last.endpoint, Endpoint::Registration);
    }
}

/// MTLS-2.2, DCM-2.2: a registration that was loaded is changed with its certificates or not at all: an update
/// never leaves the server without a key to know the client by, nor with one that the client does not have.
#[tokio::test]
async fn a_loaded_registration_is_changed_with_its_certificates() {
    let server = server().await;
    let stores = Stores::memory();
    let set = CertificateSet::new(made(&server, Kind::SelfSigned));
    let mut registration = request(&server, ClientAuth::self_signed_tls_client_auth(), &set)
        .send()
        .await
        .unwrap();
    registration.save(&stores, "app").await.unwrap();
    let loaded = Registration::load(&stores, server.issuer(), "app").await;
    let mut loaded = loaded.unwrap().unwrap().transport(common::https(&server));
    server.forget_requests();
    let changes = RegistrationChanges::new()
        .authenticate_with(ClientAuth::self_signed_tls_client_auth())
        .client_name("Another");
    let error = loaded.update(changes).await.unwrap_err();
    let expected = ConfigError::NoCertificate("self_signed_tls_client_auth");
    assert_eq!(common::config(&error), Some(&expected));
    assert_eq!(server.count(Endpoint::Management), 0);

    let other = CertificateSet::new(made(&server, Kind::SelfSigned));
    let changes = RegistrationChanges::new().client_certificate(other.clone());
    loaded.update(changes).await.unwrap();
    let sent = body(&server, Endpoint::Management);
    assert_eq!(sent["jwks"], other.jwks().unwrap());
    let loaded = loaded.authenticate_with(ClientAuth::self_signed_tls_client_auth());
    works(&loaded, &server).await;
}

/// MTLS-5a: the registration itself goes to the alias, where there is one and a certificate counts.
#[tokio::test]
async fn the_registration_goes_to_its_alias() {
    for bound in [true, false] {
        let server = server().await;
        let origin = server.mtls_origin().to_owned();
        server.mutate_metadata(move |document| {
            let alias = format!("{origin}/register");
            document["mtls_endpoint_aliases"]["registration_endpoint"] = alias.into();
        });
        let set = certificates(&server);
        let auth = ClientAuth::private_key_jwt(SoftwareKey::generate_es256().unwrap());
        let mut request = request(&server, auth, &set);
        if bound {
            request = request.certificate_bound_tokens();
        }
        request.send().await.unwrap();
        let sent = server.requests_to(Endpoint::Registration).pop().unwrap();
        let shown = bound.then(|| set.active().thumbprint().to_owned());
        assert_eq!(sent.certificate(), shown.as_deref());
    }
}
