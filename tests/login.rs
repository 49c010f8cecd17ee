//! The flow as a whole.

use fapi_testkit::{Endpoint, TestServer};
use serde_json::Value;

use crate::common;

/// SP-5.3.3.2-1, SP-5.3.3.2-2: a login, an API call, UserInfo, a refresh and a logout.
#[tokio::test]
async fn the_whole_flow() {
    let server = TestServer::start().await;
    let session = common::log_in(&server, "alice").await.unwrap();
    assert_eq!(session.subject(), Some("alice"));
    let answer: Value = session
        .get(format!("{}/accounts", server.api()))
        .send()
        .await
        .unwrap()
        .json()
        .unwrap();
    assert_eq!(answer["sub"], "alice");
    let info = session.userinfo().await.unwrap();
    assert_eq!(info.subject(), "alice");
    session.refresh().await.unwrap();
    session
        .get(format!("{}/accounts", server.api()))
        .send()
        .await
        .unwrap()
        .error_for_status()
        .unwrap();
    session.logout().await.unwrap();
    assert_eq!(server.count(Endpoint::Revocation), 1);
    assert_eq!(
        session.refresh().await.unwrap_err().code(),
        "sign_in_again.logged_out"
    );
}

/// RI-2, RI-sub: the API that a token is for is named when the request is pushed, when the code is
/// redeemed and when the token is renewed. Of several, the token requests name none.
#[tokio::test]
async fn the_api_of_a_token_is_named() {
    let server = TestServer::start().await;
    let client = common::client(&server).await;
    // Without the slash that a URL would have: the text is kept.
    let one = server.api().to_owned();
    for (resources, named) in [
        (vec![one.as_str()], vec![one.clone()]),
        (vec![one.as_str(), "https://other.example/"], vec![]),
    ] {
        server.forget_requests();
        let mut login = client.login().scope("openid accounts");
        for resource in &resources {
            login = login.resource(resource);
        }
        let login = login.start().await.unwrap();
        let callback = server.browser("alice").approve(login.url().as_str()).await;
        let session = client
            .finish_login(login.transaction(), callback)
            .await
            .unwrap();
        session.refresh().await.unwrap();
        common::get(&session, &server, "/accounts")
            .await
            .unwrap()
            .error_for_status()
            .unwrap();
        let pushed = server.requests_to(Endpoint::Par).pop().unwrap();
        assert_eq!(pushed.form_values("resource"), resources);
        let asked = server.requests_to(Endpoint::Token);
        assert_eq!(asked.len(), 2);
        for request in asked {
            assert_eq!(request.form_values("resource"), named);
        }
    }
}
