//! Where the server's metadata is looked for, and what is taken for an answer (META-2, META-3).

use std::time::Duration;

use fapi_client::{
    Denied, Discovery, Endpoint as At, Error, TransportError, TransportFault, Violation,
};
use fapi_testkit::{Answer, Discovery as Published, Endpoint, MetadataFault, TestServer};

use crate::common::{self, Watched};

/// Builds a client, which must fail after one look at the metadata and with no other request.
async fn refused(server: &TestServer) -> Error {
    let error = common::builder(server).build().await.unwrap_err();
    let seen = server.requests();
    assert_eq!(seen.len(), 1, "{error:?}");
    assert_eq!(seen[0].endpoint, Endpoint::Metadata);
    error
}

/// META-2, OFTEN-8, SP-5.3.2.1-1: OpenID's suffix is appended, RFC 8414's is inserted; the second
/// place is looked at where the first has nothing.
#[tokio::test]
async fn both_places_are_known() {
    for path in ["", "/tenant/one"] {
        let openid = format!("{path}/.well-known/openid-configuration");
        let oauth = format!("/.well-known/oauth-authorization-server{path}");
        let both: &[&String] = &[&openid, &oauth];
        let rows = [
            (Published::Both, Discovery::Auto, &both[..1], true),
            (Published::OpenId, Discovery::Auto, &both[..1], true),
            (Published::OAuth, Discovery::Auto, both, true),
            (Published::Both, Discovery::OpenId, &both[..1], true),
            (Published::Both, Discovery::OAuth, &both[1..], true),
            (Published::OAuth, Discovery::OpenId, &both[..1], false),
            (Published::OpenId, Discovery::OAuth, &both[1..], false),
        ];
        for (published, discovery, asked, found) in rows {
            let mut server = TestServer::builder().discovery(published);
            if !path.is_empty() {
                server = server.issuer_path(path);
            }
            let server = server.start().await;
            let built = common::builder(&server).discovery(discovery).build().await;
            let requests = server.requests();
            let paths: Vec<&String> = requests.iter().map(|request| &request.uri).collect();
            assert_eq!(paths, asked, "{published:?}, {discovery:?}");
            if found {
                assert_eq!(built.unwrap().issuer().as_str(), server.issuer());
            } else {
                let expected = Violation::Status {
                    endpoint: At::Metadata,
                    status: 404,
                };
                assert_eq!(built.unwrap_err().violation(), Some(&expected));
            }
        }
    }
}

/// META-2: an issuer that ends with a slash has the same two places.
#[tokio::test]
async fn a_slash_at_the_end_of_the_issuer_is_not_doubled() {
    let server = TestServer::builder().issuer_path("/t/").start().await;
    common::client(&server).await;
    assert_eq!(
        server.requests()[0].uri,
        "/t/.well-known/openid-configuration"
    );
}

/// META-2, META-3, BCP-4.12, OFTEN-17: only 404 leads to the second place. A redirect is an error,
/// and its target is never called.
#[tokio::test]
async fn nothing_but_404_leads_on() {
    let server = TestServer::start().await;
    let elsewhere = format!("{}/.well-known/oauth-authorization-server", server.issuer());
    for status in [301, 302, 303, 307, 308] {
        server.forget_requests();
        server.answer_next(Endpoint::Metadata, Answer::redirect(status, &elsewhere));
        let expected = Violation::Redirect {
            endpoint: At::Metadata,
            status,
        };
        assert_eq!(refused(&server).await.violation(), Some(&expected));
    }
    for status in [201, 204, 400, 401, 403, 405, 410] {
        server.forget_requests();
        server.answer_next(Endpoint::Metadata, Answer::html(status));
        let expected = Violation::Status {
            endpoint: At::Metadata,
            status,
        };
        assert_eq!(refused(&server).await.violation(), Some(&expected));
    }
    for status in [429, 500, 502, 503] {
        server.forget_requests();
        let busy = Answer::status(status).header("retry-after", "30");
        server.answer_next(Endpoint::Metadata, busy);
        let error = refused(&server).await;
        let fault = TransportFault::Unavailable {
            status,
            retry_after: Some(Duration::from_secs(30)),
        };
        assert_at_metadata(&error, fault);
        assert!(error.retry_may_help());
    }
    server.forget_requests();
    server.answer_next(Endpoint::Metadata, Answer::error(400, "invalid_request"));
    match refused(&server).await {
        Error::Denied(Denied::Server(error)) => {
            assert_eq!(
                (error.endpoint(), error.error()),
                (At::Metadata, "invalid_request")
            );
        }
        other => panic!("{other:?}"),
    }
    server.forget_requests();
    server.answer_next(Endpoint::Metadata, Answer::html(404));
    common::client(&server).await;
    assert_eq!(server.count(Endpoint::Metadata), 2);
}

fn assert_at_metadata(error: &Error, fault: TransportFault) {
    let mut expected = TransportError::new(fault);
    expected.endpoint = Some(At::Metadata);
    assert_eq!(common::transport(error), Some(&expected));
}

/// META-3: the document is asked for plainly, and comes as `application/json` or not at all.
#[tokio::test]
async fn the_document_is_json() {
    let server = TestServer::start().await;
    for fault in [
        MetadataFault::Html,
        MetadataFault::ContentType("text/plain".to_owned()),
        MetadataFault::ContentType("application/jwt".to_owned()),
        MetadataFault::ContentType("application/jsonp".to_owned()),
        MetadataFault::ContentType("text/html; x=application/json".to_owned()),
        MetadataFault::ContentType(String::new()),
    ] {
        server.behave();
        server.forget_requests();
        server.misbehave(fault);
        let expected = Violation::ContentType {
            endpoint: At::Metadata,
        };
        assert_eq!(refused(&server).await.violation(), Some(&expected));
    }
    server.behave();
    for body in ["", "[]", "null", "{", "{\"issuer\":", "\"https\"", "{}{}"] {
        server.forget_requests();
        let answer = Answer::status(200)
            .header("content-type", "application/json")
            .body(body);
        server.answer_next(Endpoint::Metadata, answer);
        let expected = Violation::MetadataMember {
            member: String::new(),
        };
        assert_eq!(
            refused(&server).await.violation(),
            Some(&expected),
            "{body}"
        );
    }
    server.forget_requests();
    server.misbehave(MetadataFault::ContentType(
        "Application/JSON; charset=utf-8".to_owned(),
    ));
    common::client(&server).await;
    let request = &server.requests()[0];
    assert_eq!(request.method, http::Method::GET);
    assert_eq!(request.header("accept"), Some("application/json"));
    assert_eq!(request.header("authorization"), None);
    assert_eq!(request.header("dpop"), None);
    assert!(request.body.is_empty());
}

/// K-16, SEC-jwks: a document has a size and a time, whatever the server sends.
#[tokio::test]
async fn the_document_is_bounded() {
    let server = TestServer::start().await;
    for answer in [Answer::oversize(256 * 1024 + 1), Answer::endless()] {
        server.forget_requests();
        server.answer_next(Endpoint::Metadata, answer);
        let error = refused(&server).await;
        assert_at_metadata(&error, TransportFault::TooLarge { limit: 256 * 1024 });
    }
    for answer in [Answer::slow(), Answer::hang()] {
        server.answer_next(Endpoint::Metadata, answer);
        let watched = Watched::new(&server).impatient();
        let builder = common::builder(&server).transport(watched.clone());
        let error = builder.build().await.unwrap_err();
        assert_at_metadata(&error, TransportFault::Timeout);
        // What the crate itself allows is finite as well.
        assert_eq!(*watched.timeouts.lock().unwrap(), [Duration::from_secs(20)]);
    }
}
