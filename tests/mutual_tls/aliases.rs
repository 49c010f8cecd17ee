//! Where requests go: to the endpoints, or to their aliases.

use fapi_client::Violation;
use fapi_testkit::{Endpoint, MetadataFault, Nonces, TestServer};
use serde_json::json;

use super::{Bound, By, at_the_server, authority, builder, call, certificates, server, session};
use crate::common;

/// SP-5.2.2.1-2, SP-5.2.2.1-3: with a certificate that neither authenticates nor binds tokens the aliases
/// are used where the client is registered for them, and nowhere else.
#[tokio::test]
async fn transport_alone_uses_aliases_where_it_is_told_to() {
    for told in [false, true] {
        let server = server().await;
        let set = certificates(&server);
        let builder = builder(&server, By::Key, Bound::Key, &set);
        let builder = if told {
            builder.use_mtls_endpoint_aliases()
        } else {
            builder
        };
        let client = builder.build().await.unwrap();
        let session = session(&client, &server).await;
        call(&session, &server).await;
        session.userinfo().await.unwrap();
        session.logout().await.unwrap();

        let (origin, shown) = if told {
            (server.mtls_origin(), Some(set.active()))
        } else {
            (server.issuer(), None)
        };
        let requests = at_the_server(&server);
        assert!(requests.len() >= 4);
        for request in requests {
            assert_eq!(request.authority, authority(origin), "{request:?}");
            let shown = shown
                .as_ref()
                .map(fapi_client::ClientCertificate::thumbprint);
            assert_eq!(request.certificate(), shown);
        }
        // SP-5.2.3-3, MTLS-5b
        let visits = server.requests_to(Endpoint::Authorization);
        assert_eq!(visits.len(), 1);
        assert_eq!(visits[0].authority, authority(server.issuer()));
        assert_eq!(server.refusals(), Vec::<String>::new());
    }
}

/// MTLS-5c, SP-5.3.3.1-5: on an alias the assertion is for the issuer as ever, and the proof for the URL that
/// is really called.
#[tokio::test]
async fn an_alias_changes_the_url_and_not_the_audience() {
    let server = server().await;
    let set = certificates(&server);
    let client = builder(&server, By::Key, Bound::Key, &set)
        .use_mtls_endpoint_aliases()
        .build()
        .await
        .unwrap();
    let session = session(&client, &server).await;
    session.refresh().await.unwrap();
    session.userinfo().await.unwrap();
    let origin = server.mtls_origin();
    for (endpoint, path) in [(Endpoint::Par, "/par"), (Endpoint::Token, "/token")] {
        let requests = server.requests_to(endpoint);
        assert!(!requests.is_empty());
        for request in requests {
            let assertion = request.assertion().unwrap();
            assert_eq!(assertion.claim("aud"), &json!(server.issuer()));
            let proof = request.proof().unwrap();
            assert_eq!(proof.claim("htu"), &json!(format!("{origin}{path}")));
        }
    }
    let userinfo = server.requests_to(Endpoint::UserInfo).pop().unwrap();
    assert_eq!(
        userinfo.proof().unwrap().claim("htu"),
        &json!(format!("{origin}/userinfo"))
    );
}

/// MTLS-5a, SP-5.3.3.1-7: an endpoint without an alias is called where it is, and aliases of others are
/// nothing to us, whatever they are.
#[tokio::test]
async fn what_has_no_alias_is_called_where_it_is() {
    let server = server().await;
    let alias = format!("{}/token", server.mtls_origin());
    let aliases = json!({
        "token_endpoint": alias,
        "authorization_endpoint": "http://evil.example/authorize",
        "introspection_endpoint": 7,
        "jwks_uri": "https://evil.example/jwks",
        "registration_endpoint": "https://evil.example/register",
        "end_session_endpoint": "https://evil.example/logout",
    });
    let member = "mtls_endpoint_aliases".to_owned();
    server.misbehave(MetadataFault::Set(member, aliases));
    let set = certificates(&server);
    let client = builder(&server, By::Key, Bound::Certificate, &set)
        .build()
        .await
        .unwrap();
    let session = session(&client, &server).await;
    call(&session, &server).await;
    let at = |endpoint| server.requests_to(endpoint).pop().unwrap().authority;
    assert_eq!(at(Endpoint::Par), authority(server.issuer()));
    assert_eq!(at(Endpoint::Authorization), authority(server.issuer()));
    assert_eq!(at(Endpoint::Jwks), authority(server.issuer()));
    assert_eq!(at(Endpoint::Token), authority(server.mtls_origin()));
}

/// MTLS-5a: an endpoint that is found among the aliases alone is called there.
#[tokio::test]
async fn what_has_an_alias_alone_is_called_there() {
    let server = server().await;
    server.misbehave(MetadataFault::Without("revocation_endpoint".to_owned()));
    let set = certificates(&server);
    let builder = builder(&server, By::Certificate, Bound::Certificate, &set);
    let client = builder.build().await.unwrap();
    session(&client, &server).await.logout().await.unwrap();
    let told = server.requests_to(Endpoint::Revocation);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].authority, authority(server.mtls_origin()));
    assert!(!server.is_live(told[0].form_value("token").unwrap()));
}

/// MTLS-5a: a server without aliases is called where it is.
#[tokio::test]
async fn a_server_without_aliases_is_called_where_it_is() {
    let server = server().await;
    server.misbehave(MetadataFault::Without("mtls_endpoint_aliases".to_owned()));
    let set = certificates(&server);
    let client = builder(&server, By::Key, Bound::Key, &set)
        .use_mtls_endpoint_aliases()
        .build()
        .await
        .unwrap();
    session(&client, &server).await;
    for request in at_the_server(&server) {
        assert_eq!(request.authority, authority(server.issuer()));
    }
}

/// SP-5.2.1-1, META-5, MTLS-5a: aliases that are no object, or of which one that is called is no https URL,
/// are refused with the whole document, whether or not they would be used. Nothing goes out afterwards.
#[tokio::test]
async fn broken_aliases_are_refused() {
    let member = "mtls_endpoint_aliases";
    let broken = |member: &str| Violation::MetadataMember {
        member: member.to_owned(),
    };
    let insecure = |member: &str| Violation::InsecureEndpoint {
        member: member.to_owned(),
    };
    for (aliases, expected) in [
        (json!([]), broken(member)),
        (json!("https://as.example"), broken(member)),
        (json!(null), broken(member)),
        (json!({"token_endpoint": 7}), broken("token_endpoint")),
        (
            json!({"token_endpoint": "http://as.example/token"}),
            insecure("token_endpoint"),
        ),
        (
            json!({"pushed_authorization_request_endpoint": "http://as.example/par"}),
            insecure("pushed_authorization_request_endpoint"),
        ),
        (
            json!({"userinfo_endpoint": "http://as.example/userinfo"}),
            insecure("userinfo_endpoint"),
        ),
        (
            json!({"revocation_endpoint": "http://as.example/revoke"}),
            insecure("revocation_endpoint"),
        ),
    ] {
        let server = TestServer::builder()
            .mutual_tls()
            .nonces(Nonces::Off)
            .start()
            .await;
        let fault = MetadataFault::Set(member.to_owned(), aliases.clone());
        server.misbehave(fault);
        let error = common::builder(&server).build().await.unwrap_err();
        assert_eq!(error.violation(), Some(&expected), "{aliases}");
        assert_eq!(server.requests().len(), 1);
    }
}
