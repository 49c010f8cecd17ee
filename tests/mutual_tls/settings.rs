//! Settings that can't be right: told before anything is sent.

use fapi_client::{
    CertificateName, Client, ClientAuth, ClientBuilder, ConfigError, KeySet, RegistrationChanges,
    RegistrationRequest, Rule, SealedKeys, Severity, SoftwareKey, Stores,
};
use fapi_testkit::{ClientCertificate as Kind, Endpoint, MetadataFault};
use serde_json::json;

use super::{Bound, By, NAME, builder, certificates, made, server};
use crate::common::{self, CLIENT_ID, REDIRECT_URI, Watched};

fn key() -> ClientAuth {
    ClientAuth::private_key_jwt(KeySet::new(SoftwareKey::generate_es256().unwrap()))
}

/// MTLS-2, MTLS-3: whatever needs a certificate is told where there is none, by its name.
#[tokio::test]
async fn what_needs_a_certificate_says_so() {
    type Change = fn(ClientBuilder) -> ClientBuilder;
    type Request = fn(RegistrationRequest) -> RegistrationRequest;
    let rows: [(ClientAuth, Change, Request, &str); 4] = [
        (
            ClientAuth::tls_client_auth(),
            |builder| builder,
            |request| request,
            "tls_client_auth",
        ),
        (
            ClientAuth::self_signed_tls_client_auth(),
            |builder| builder,
            |request| request,
            "self_signed_tls_client_auth",
        ),
        (
            key(),
            ClientBuilder::certificate_bound_tokens,
            RegistrationRequest::certificate_bound_tokens,
            "certificate_bound_tokens",
        ),
        (
            key(),
            ClientBuilder::use_mtls_endpoint_aliases,
            RegistrationRequest::use_mtls_endpoint_aliases,
            "use_mtls_endpoint_aliases",
        ),
    ];
    let server = server().await;
    for (auth, change, request, name) in rows {
        let expected = ConfigError::NoCertificate(name);
        let watched = Watched::new(&server);
        let builder = Client::builder(server.issuer(), CLIENT_ID)
            .redirect_uri(REDIRECT_URI)
            .authenticate_with(auth.clone())
            .transport(watched.clone());
        let error = change(builder).build().await.unwrap_err();
        assert_eq!(common::config(&error), Some(&expected));
        let asked = Client::register(server.issuer())
            .redirect_uri(REDIRECT_URI)
            .authenticate_with(auth)
            .transport(watched.clone());
        let error = request(asked).send().await.unwrap_err();
        assert_eq!(common::config(&error), Some(&expected));
        assert_eq!(watched.sent(), 0);
    }
}

/// SP-5.3.3.1-1: tokens are bound to one thing.
#[tokio::test]
async fn two_bindings_are_told() {
    let server = server().await;
    let set = certificates(&server);
    let signer = SoftwareKey::generate_es256().unwrap();
    let keys = SealedKeys::new(&Stores::memory(), "dpop");
    for builder in [
        builder(&server, By::Key, Bound::Certificate, &set).dpop_signer(signer),
        builder(&server, By::Key, Bound::Certificate, &set).dpop_keys(keys),
    ] {
        let error = builder.build().await.unwrap_err();
        assert_eq!(common::config(&error), Some(&ConfigError::TwoBindings));
    }
    assert_eq!(server.requests().len(), 0);
}

/// A transport of one's own that can show no certificate is told apart from one that can.
#[tokio::test]
async fn a_transport_without_certificates_is_told() {
    let server = server().await;
    let set = certificates(&server);
    let watched = Watched::new(&server);
    let error = builder(&server, By::Key, Bound::Key, &set)
        .transport(watched.clone())
        .build()
        .await
        .unwrap_err();
    let expected = ConfigError::NoClientCertificates;
    assert_eq!(common::config(&error), Some(&expected));
    let error = Client::register(server.issuer())
        .redirect_uri(REDIRECT_URI)
        .authenticate_with(key())
        .client_certificate(set)
        .transport(watched.clone())
        .send()
        .await
        .unwrap_err();
    assert_eq!(common::config(&error), Some(&expected));
    assert_eq!(watched.sent(), 0);
}

/// MTLS-2.1: what the server looks for goes with `tls_client_auth`, and with nothing else.
#[tokio::test]
async fn a_name_goes_with_one_way_to_authenticate() {
    let server = server().await;
    let set = certificates(&server);
    let name = || CertificateName::SanDns(NAME.to_owned());
    let request = |auth| {
        Client::register(server.issuer())
            .redirect_uri(REDIRECT_URI)
            .authenticate_with(auth)
            .client_certificate(set.clone())
            .transport(common::https(&server))
    };
    for request in [
        request(ClientAuth::tls_client_auth()),
        request(key()).certificate_name(name()),
        request(ClientAuth::self_signed_tls_client_auth()).certificate_name(name()),
    ] {
        let error = request.send().await.unwrap_err();
        let expected = ConfigError::CertificateName;
        assert_eq!(common::config(&error), Some(&expected));
    }
    assert_eq!(server.requests().len(), 0);
}

/// MTLS-2, DCM-2.2: a registered client keeps its way to authenticate, and its name goes with that.
#[tokio::test]
async fn an_update_keeps_the_way_to_authenticate() {
    let server = server().await;
    let mut registration = Client::register(server.issuer())
        .redirect_uri(REDIRECT_URI)
        .authenticate_with(key())
        .transport(common::https(&server))
        .send()
        .await
        .unwrap();
    server.forget_requests();
    for auth in [
        ClientAuth::tls_client_auth(),
        ClientAuth::self_signed_tls_client_auth(),
    ] {
        let changes = RegistrationChanges::new().authenticate_with(auth);
        let error = registration.update(changes).await.unwrap_err();
        let expected = ConfigError::OtherAuthentication;
        assert_eq!(common::config(&error), Some(&expected));
    }
    let name = CertificateName::SanDns(NAME.to_owned());
    let changes = RegistrationChanges::new().certificate_name(name);
    let error = registration.update(changes).await.unwrap_err();
    let expected = ConfigError::CertificateName;
    assert_eq!(common::config(&error), Some(&expected));
    assert_eq!(server.requests().len(), 0);
}

/// MTLS-2: a certificate that has expired is found by `build`.
#[tokio::test]
async fn an_expired_certificate_is_found() {
    let server = server().await;
    let set = fapi_client::CertificateSet::new(made(&server, Kind::Expired));
    let error = builder(&server, By::Certificate, Bound::Certificate, &set)
        .build()
        .await
        .unwrap_err();
    assert_eq!(
        common::findings(&error),
        [(Rule::Certificate, Severity::Broken)]
    );
    assert_eq!(server.count(Endpoint::Par), 0);
}

/// MTLS-3.4, SP-5.3.2.1-4, SP-5.3.2.1-6, CA-8, META-11: a server that does not bind tokens to certificates, or
/// does not know the way to authenticate, is found by `build` and by a registration. What a client with a
/// certificate does not use may be missing.
#[tokio::test]
async fn a_server_that_does_not_fit_is_found() {
    let rows = [
        (
            MetadataFault::Set(
                "tls_client_certificate_bound_access_tokens".to_owned(),
                json!(false),
            ),
            Rule::SenderConstraint,
        ),
        (
            MetadataFault::Without("tls_client_certificate_bound_access_tokens".to_owned()),
            Rule::SenderConstraint,
        ),
        (
            MetadataFault::Set(
                "token_endpoint_auth_methods_supported".to_owned(),
                json!(["private_key_jwt", "self_signed_tls_client_auth"]),
            ),
            Rule::ClientAuthentication,
        ),
    ];
    for (fault, rule) in rows {
        let server = server().await;
        server.misbehave(fault);
        let set = certificates(&server);
        let broken = [(rule, Severity::Broken)];
        let error = builder(&server, By::Certificate, Bound::Certificate, &set)
            .build()
            .await
            .unwrap_err();
        assert_eq!(common::findings(&error), broken);
        let error = Client::register(server.issuer())
            .redirect_uri(REDIRECT_URI)
            .authenticate_with(ClientAuth::tls_client_auth())
            .client_certificate(set)
            .certificate_name(CertificateName::SanDns(NAME.to_owned()))
            .certificate_bound_tokens()
            .transport(common::https(&server))
            .send()
            .await
            .unwrap_err();
        assert_eq!(common::findings(&error), broken);
        assert_eq!(server.count(Endpoint::Registration), 0);
    }
    let server = server().await;
    for member in [
        "dpop_signing_alg_values_supported",
        "token_endpoint_auth_signing_alg_values_supported",
    ] {
        server.misbehave(MetadataFault::Without(member.to_owned()));
    }
    let set = certificates(&server);
    let builder = builder(&server, By::Certificate, Bound::Certificate, &set);
    assert_eq!(builder.preflight().await.unwrap().findings(), []);
}
