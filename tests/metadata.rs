//! The server's metadata: whose it is, and what it may hold (spec section 4.9).

use fapi_client::{
    Client, ClientAuth, ClientBuilder, ConfigError, Error, KeySet, SoftwareKey, Violation,
};
use fapi_testkit::{Endpoint, MetadataFault, TestServer};
use serde_json::{Value, json};

use crate::common::{self, CLIENT_ID, REDIRECT_URI, Watched};

/// A builder whose issuer is another text than the server's own.
fn builder_for(server: &TestServer, issuer: &str) -> ClientBuilder {
    let keys = KeySet::new(SoftwareKey::generate_es256().unwrap());
    Client::builder(issuer, CLIENT_ID)
        .redirect_uri(REDIRECT_URI)
        .authenticate_with(ClientAuth::private_key_jwt(keys))
        .transport(common::https(server))
}

/// Builds a client, which must fail after one look at the metadata and with no other request.
async fn refused(server: &TestServer) -> Error {
    let error = common::builder(server).build().await.unwrap_err();
    let seen = server.requests();
    assert_eq!(seen.len(), 1, "{error:?}");
    assert_eq!(seen[0].endpoint, Endpoint::Metadata);
    error
}

/// META-1, SP-5.2.1-1, SP-5.3.3.1-11: what is no issuer is refused before anything is sent.
#[tokio::test]
async fn what_is_no_issuer_is_never_called() {
    let server = TestServer::start().await;
    let good = server.issuer();
    let plain = good.replacen("https:", "http:", 1);
    for issuer in [
        plain.as_str(),
        &format!("{good}?tenant=1"),
        &format!("{good}#here"),
        &good.replacen("https://", "https://user@", 1),
        &good.replacen("https://", "https://user:word@", 1),
        &format!(" {good}"),
        &format!("{good}\n"),
        &good.replacen("https", "HTTPS", 1),
        &good.replacen("//", "/\\", 1),
        "https://",
        "localhost",
        "file:///etc/passwd",
        "",
    ] {
        let watched = Watched::new(&server);
        let builder = builder_for(&server, issuer).transport(watched.clone());
        let error = builder.build().await.unwrap_err();
        let expected = ConfigError::Issuer(issuer.to_owned());
        assert_eq!(common::config(&error), Some(&expected), "{issuer:?}");
        assert_eq!(error.code(), "config.issuer");
        assert_eq!(watched.sent(), 0);
    }
    assert_eq!(server.requests().len(), 0);
}

/// META-4, SP-5.3.3.1-11, OFTEN-8: a document that names any other issuer is not used, however
/// little it differs; nothing is normalised.
#[tokio::test]
async fn a_document_of_another_issuer_is_refused() {
    let server = TestServer::builder().issuer_path("/tenant").start().await;
    let own = server.issuer().to_owned();
    for received in [
        "https://evil.example".to_owned(),
        format!("{own}/"),
        own.replacen("localhost", "LOCALHOST", 1),
        own.replacen("https", "HTTPS", 1),
        own.replacen("tenant", "%74enant", 1),
        own.replacen("tenant", "Tenant", 1),
        own.replacen("localhost", "localhost.", 1),
        format!("{own} "),
        format!("{own}?"),
        String::new(),
    ] {
        server.behave();
        server.forget_requests();
        server.misbehave(MetadataFault::Issuer(received.clone()));
        let expected = Violation::MetadataIssuer {
            expected: own.clone(),
            received,
        };
        assert_eq!(refused(&server).await.violation(), Some(&expected));
    }
}

/// META-4: the default port is not filled in or left out, and the program's own text counts as it
/// stands, not as it would be normalised.
#[tokio::test]
async fn the_issuer_of_the_program_is_not_normalised_either() {
    let server = TestServer::start().await;
    let own = server.issuer().to_owned();
    for issuer in [
        format!("{own}/"),
        own.replacen("localhost", "LOCALHOST", 1),
        own.replacen("localhost", "%6cocalhost", 1),
    ] {
        let error = builder_for(&server, &issuer).build().await.unwrap_err();
        let expected = Violation::MetadataIssuer {
            expected: issuer,
            received: own.clone(),
        };
        assert_eq!(error.violation(), Some(&expected));
    }
    assert_eq!(server.count(Endpoint::Metadata), 3);
}

/// META-4: an issuer that is missing or no text is another issuer, and is told before any other
/// member is looked at.
#[tokio::test]
async fn the_issuer_is_compared_before_all_else() {
    let server = TestServer::start().await;
    let own = server.issuer().to_owned();
    for value in [json!(null), json!([own]), json!({"issuer": own}), json!(1)] {
        server.behave();
        server.forget_requests();
        server.misbehave(MetadataFault::Set("issuer".to_owned(), value));
        server.misbehave(MetadataFault::PlainHttp("token_endpoint".to_owned()));
        server.misbehave(MetadataFault::Without("jwks_uri".to_owned()));
        let expected = Violation::MetadataIssuer {
            expected: own.clone(),
            received: String::new(),
        };
        assert_eq!(refused(&server).await.violation(), Some(&expected));
    }
    server.behave();
    server.forget_requests();
    server.misbehave(MetadataFault::Without("issuer".to_owned()));
    assert_eq!(refused(&server).await.code(), "violation.metadata_issuer");
}

/// JWT-json, META-4: of a document that names two issuers neither is believed.
#[tokio::test]
async fn a_document_with_two_issuers_is_refused() {
    let server = TestServer::start().await;
    server.misbehave(MetadataFault::DuplicateIssuer);
    let expected = Violation::MetadataMember {
        member: String::new(),
    };
    assert_eq!(refused(&server).await.violation(), Some(&expected));
}

/// META-5, SP-5.2.1-1, SP-5.4.2-1: every endpoint is an https URL, without user and fragment.
#[tokio::test]
async fn an_endpoint_that_is_not_https_is_refused() {
    let server = TestServer::start().await;
    for member in [
        "authorization_endpoint",
        "token_endpoint",
        "pushed_authorization_request_endpoint",
        "jwks_uri",
        "userinfo_endpoint",
        "revocation_endpoint",
    ] {
        let mut faults = vec![MetadataFault::PlainHttp(member.to_owned())];
        for url in [
            "/token",
            "//as.example/token",
            "ftp://as.example/token",
            "https://user:word@as.example/token",
            "https://as.example/token#part",
            "",
        ] {
            faults.push(MetadataFault::Set(member.to_owned(), url.into()));
        }
        for fault in faults {
            server.behave();
            server.forget_requests();
            server.misbehave(fault.clone());
            let expected = Violation::InsecureEndpoint {
                member: member.to_owned(),
            };
            assert_eq!(
                refused(&server).await.violation(),
                Some(&expected),
                "{fault:?}"
            );
        }
        for value in [json!(null), json!(7), json!(["https://as.example/token"])] {
            server.behave();
            server.forget_requests();
            server.misbehave(MetadataFault::Set(member.to_owned(), value));
            let expected = Violation::MetadataMember {
                member: member.to_owned(),
            };
            assert_eq!(refused(&server).await.violation(), Some(&expected));
        }
    }
}

/// META-6, META-7: members that the crate does not know are kept and readable, and change nothing;
/// `signed_metadata` is such a one.
#[tokio::test]
async fn unknown_members_are_readable() {
    let server = TestServer::start().await;
    let unknown = json!({"deep": ["a", 1, null], "token_endpoint": "http://evil.example"});
    server.mutate_metadata(move |document| {
        document["x_bank"] = unknown.clone();
        document["signed_metadata"] = "eyJhbGciOiJub25lIn0.e30.".into();
        document["mtls_endpoint_aliases"] = json!({"token_endpoint": "https://evil.example/t"});
    });
    let client = common::client(&server).await;
    let metadata = client.metadata();
    assert_eq!(metadata.get("x_bank").unwrap()["deep"][0], "a");
    assert_eq!(metadata.get("x_bonk"), None);
    assert_eq!(metadata.issuer().as_str(), server.issuer());
    assert!(metadata.document().contains_key("signed_metadata"));
    common::log_in_with(&client, &server, "alice")
        .await
        .unwrap();
}

/// SP-5.3.3.1-9, SP-5.3.3.1-5: a pushed request goes where the document says, and is for the issuer all
/// the same.
#[tokio::test]
async fn endpoints_come_from_the_document_alone() {
    let front = TestServer::start().await;
    let back = TestServer::start().await;
    // The document of the one names the endpoints of the other.
    let (own, other) = (front.issuer().to_owned(), back.issuer().to_owned());
    front.mutate_metadata(move |document| {
        for (name, value) in document.as_object_mut().unwrap() {
            if let Value::String(url) = value
                && name != "issuer"
            {
                *url = url.replacen(&own, &other, 1);
            }
        }
    });
    let client = common::client(&front).await;
    let error = client.login().scope("openid").start().await.unwrap_err();
    // SP-5.3.3.1-5, SEC-aud: the assertion stays one for the issuer, so the other can't use it.
    assert_eq!(error.code(), "denied.server");
    let pushed = back.requests_to(Endpoint::Par);
    let assertion = pushed[0].assertion().unwrap();
    assert_eq!(assertion.claim("aud"), front.issuer());
    assert_eq!(front.count(Endpoint::Par), 0);
    assert_eq!(front.count(Endpoint::Metadata), 1);
    assert_eq!(back.count(Endpoint::Metadata), 0);
}

/// SP-5.3.3.1-9: of a whole flow, every request goes to the URL that the document names, to the letter.
#[tokio::test]
async fn every_endpoint_is_the_documents() {
    let server = TestServer::start().await;
    server.mutate_metadata(|document| {
        for (name, value) in document.as_object_mut().unwrap() {
            if let Value::String(url) = value
                && (name.ends_with("_endpoint") || name == "jwks_uri")
            {
                *url = url.replacen("localhost", "127.0.0.1", 1);
            }
        }
    });
    let session = common::log_in(&server, "alice").await.unwrap();
    session.userinfo().await.unwrap();
    session.refresh().await.unwrap();
    session.logout().await.unwrap();
    for endpoint in [
        Endpoint::Jwks,
        Endpoint::Par,
        Endpoint::Token,
        Endpoint::UserInfo,
        Endpoint::Revocation,
    ] {
        let requests = server.requests_to(endpoint);
        assert!(!requests.is_empty(), "{endpoint:?}");
        for request in requests {
            assert!(request.authority.starts_with("127.0.0.1:"), "{endpoint:?}");
        }
    }
}
