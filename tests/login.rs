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
