//! The same against a server that signs with other libraries.

use fapi_testkit::{Alg, Registration, TestServer};
use serde_json::json;

use super::super::backchannel::check;
use super::super::end_session::{EndSession, Return, check_return, url};
use super::{fault, providers};
use crate::error::JwtFault;
use crate::jose::JwkSet;
use crate::protocol::authorization_response::Callback;
use crate::protocol::id_token::Registered;
use crate::protocol::metadata;
use crate::protocol::uri::Issuer;
use crate::secret::State;
use crate::time::Timestamp;

async fn document(server: &TestServer, path: &str) -> String {
    let url = format!("{}{path}", server.issuer());
    server.browser("alice").visit(&url).await.unwrap().body
}

/// BCL-1, BCL-3, BCL-6: tokens of a server that is not ours, by each algorithm and each provider; and what
/// it says wrong on command.
#[tokio::test]
async fn tokens_of_another_implementation_are_read() {
    for alg in Alg::ALL {
        let server = TestServer::builder().signing_algorithm(alg).start().await;
        let keys = JwkSet::parse(document(&server, "/jwks").await.as_bytes()).unwrap();
        let registered = Registered {
            issuer: Issuer::new(server.issuer()).unwrap(),
            client_id: "client".to_owned(),
            algorithm: None,
            trusted_audiences: Vec::new(),
        };
        let now = Timestamp::from_seconds(server.clock().now());
        for (name, crypto) in providers() {
            let read = |client: &str| {
                let token = server.logout_token(client, Some("alice"), Some("s-1"));
                check(&token, &crypto, &keys, &registered, now)
            };
            let token = read("client").unwrap();
            assert!(token.concerns("alice", Some("s-1")), "{alg:?} {name}");
            assert_eq!(fault(read("other")), Some(JwtFault::Audience));
            server.mutate_logout_token(|_, claims| {
                claims.insert("nonce".to_owned(), json!("n"));
            });
            assert_eq!(fault(read("client")), Some(JwtFault::ForeignNonce));
            server.behave();
        }
    }
}

/// RPL-1, RPL-2, RPL-4: a strict server takes the URL that we make, from its own metadata.
#[tokio::test]
async fn a_server_takes_the_url() {
    let server = TestServer::start().await;
    let back = "https://app.example/bye?x=1";
    server.register(Registration::new("client").post_logout_redirect_uri(back));
    let issuer = Issuer::new(server.issuer()).unwrap();
    let document = document(&server, "/.well-known/openid-configuration").await;
    let metadata = metadata::parse(&issuer, document.as_bytes()).unwrap();
    let state = State::new("s 1");
    let request = EndSession {
        client_id: "client",
        id_token_hint: None,
        back: Some(Return {
            uri: back,
            state: Some(&state),
        }),
        ui_locales: &[],
    };
    let browser = server.browser("alice");
    let sent = url(&metadata, &request).unwrap();
    // Without a hint it asks the user, and it has refused nothing.
    assert_eq!(browser.visit(sent.as_str()).await.unwrap().status, 200);
    assert_eq!(server.refusals(), Vec::<String>::new());
    let returned = format!("{back}&state=s+1");
    assert_eq!(check_return(&Callback::from(returned), &state), Ok(()));
}
