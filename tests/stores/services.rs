//! Tokens of the client's own, shared by all who ask for the same.

use fapi_client::{AuthorizationDetail, Client, Error, Service};
use fapi_testkit::{Answer, Endpoint, TestServer};
use tokio::task::JoinSet;

use super::world::lenient;
use crate::common;

async fn ready() -> (TestServer, Client) {
    let server = lenient()
        .authorization_details_types(["payment"])
        .start()
        .await;
    let client = common::client(&server).await;
    server.forget_requests();
    (server, client)
}

async fn ask(
    client: Client,
    scope: &'static str,
    resource: Option<String>,
) -> Result<Service, Error> {
    let request = client.client_credentials().scope(scope);
    match resource {
        Some(resource) => request.resource(&resource).start().await,
        None => request.start().await,
    }
}

/// SES-12: fifty callers who want the same share one request and one token; who wants another scope,
/// API or detail has another token.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn callers_share_a_token() {
    let (server, client) = ready().await;
    let mut callers = JoinSet::new();
    for _ in 0..50 {
        let client = client.clone();
        callers.spawn(async move { ask(client, "accounts", None).await });
    }
    let mut thumbprints = Vec::new();
    while let Some(service) = callers.join_next().await {
        thumbprints.push(
            service
                .unwrap()
                .unwrap()
                .key_thumbprint()
                .map(str::to_owned),
        );
    }
    thumbprints.dedup();
    assert_eq!(thumbprints.len(), 1);
    assert_eq!(server.count(Endpoint::Token), 1);

    let other = ask(client.clone(), "payments", None).await.unwrap();
    assert_ne!(other.key_thumbprint(), thumbprints[0].as_deref());
    let resource = Some(server.api().to_owned());
    ask(client.clone(), "accounts", resource.clone())
        .await
        .unwrap();
    let detail = || AuthorizationDetail::new("payment");
    for _ in 0..2 {
        client
            .client_credentials()
            .scope("accounts")
            .authorization_detail(detail())
            .start()
            .await
            .unwrap();
        ask(client.clone(), "accounts", resource.clone())
            .await
            .unwrap();
        ask(client.clone(), "accounts", None).await.unwrap();
        ask(client.clone(), "payments", None).await.unwrap();
    }
    assert_eq!(server.count(Endpoint::Token), 4);
    common::assert_fresh(&server);
}

/// SES-12: a failure is the failure of all who waited, and is not kept.
#[tokio::test]
async fn a_failure_is_not_kept() {
    let (server, client) = ready().await;
    for answer in [Answer::status(503), Answer::error(400, "invalid_scope")] {
        server.forget_requests();
        server.answer_next(Endpoint::Token, answer);
        let hold = server.hold(Endpoint::Token);
        let mut callers = JoinSet::new();
        for _ in 0..5 {
            callers.spawn(ask(client.clone(), "payments", None));
        }
        server.wait_for(Endpoint::Token, 1).await;
        hold.release();
        while let Some(outcome) = callers.join_next().await {
            let code = outcome.unwrap().unwrap_err().code();
            assert!(["transport.unavailable", "denied.server"].contains(&code));
        }
        assert_eq!(server.count(Endpoint::Token), 1);
    }
    ask(client.clone(), "payments", None).await.unwrap();
    ask(client, "payments", None).await.unwrap();
    assert_eq!(server.count(Endpoint::Token), 2);
}

/// The request of a caller who went away serves those who stayed, and those who come later.
#[tokio::test]
async fn a_request_outlives_its_caller() {
    let (server, client) = ready().await;
    let hold = server.hold(Endpoint::Token);
    let first = tokio::spawn(ask(client.clone(), "accounts", None));
    server.wait_for(Endpoint::Token, 1).await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    let second = tokio::spawn(ask(client.clone(), "accounts", None));
    hold.release();
    second.await.unwrap().unwrap();
    ask(client, "accounts", None).await.unwrap();
    assert_eq!(server.count(Endpoint::Token), 1);
}
