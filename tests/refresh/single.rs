//! One refresh for all who wait, and to its end.

use fapi_client::TransportFault;
use fapi_testkit::{Answer, Endpoint};
use tokio::task::JoinSet;

use super::{access_tokens, advance, session, still};
use crate::common;

/// SES-2: before its end a token is renewed in the background; who holds a living token does
/// not wait for it, even where the server takes its time.
#[tokio::test]
async fn callers_with_a_living_token_do_not_wait() {
    let server = still().start().await;
    let (_, session) = session(&server).await;
    advance(&server, 271);
    let hold = server.hold(Endpoint::Token);
    for _ in 0..3 {
        let answer = common::get(&session, &server, "/accounts").await.unwrap();
        assert_eq!(answer.status(), 200);
    }
    server.wait_for(Endpoint::Token, 1).await;
    // This one joins the refresh that is under way.
    let joined = tokio::join!(session.refresh(), async { hold.release() });
    joined.0.unwrap();
    common::get(&session, &server, "/accounts").await.unwrap();
    assert_eq!(server.count(Endpoint::Token), 1);
    let used = access_tokens(&server);
    assert!(used[0] == used[1] && used[1] == used[2]);
    assert_ne!(used[2], used[3]);
}

/// SES-2: after its end fifty callers wait for one refresh.
#[tokio::test]
async fn fifty_callers_share_one_refresh() {
    let server = still().refresh_rotation(true).start().await;
    let (_, session) = session(&server).await;
    advance(&server, 300);
    let hold = server.hold(Endpoint::Token);
    let mut callers = JoinSet::new();
    for _ in 0..50 {
        let (session, server) = (session.clone(), server.clone());
        callers.spawn(async move { common::get(&session, &server, "/accounts").await });
    }
    server.wait_for(Endpoint::Token, 1).await;
    assert_eq!(
        server.count(Endpoint::Api),
        0,
        "a dead token does not go out"
    );
    hold.release();
    while let Some(answer) = callers.join_next().await {
        assert_eq!(answer.unwrap().unwrap().status(), 200);
    }
    assert_eq!(server.count(Endpoint::Token), 1);
    assert_eq!(server.count(Endpoint::Api), 50);
    assert!(server.tokens_used_twice().is_empty());
}

/// ERR-3: many calls that were refused at once cause one refresh, on several threads as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_refused_calls_cause_one_refresh() {
    const CALLS: usize = 20;
    let server = still().refresh_rotation(true).start().await;
    let (_, session) = session(&server).await;
    server.revoke_access_tokens();
    let hold = server.hold(Endpoint::Api);
    let mut callers = JoinSet::new();
    for _ in 0..CALLS {
        let (session, server) = (session.clone(), server.clone());
        callers.spawn(async move { common::get(&session, &server, "/accounts").await });
    }
    server.wait_for(Endpoint::Api, CALLS).await;
    hold.release();
    while let Some(answer) = callers.join_next().await {
        assert_eq!(answer.unwrap().unwrap().status(), 200);
    }
    assert_eq!(server.count(Endpoint::Token), 1);
    assert_eq!(server.count(Endpoint::Api), 2 * CALLS);
    common::assert_fresh(&server);
}

/// SES-2: a refresh that has gone out is finished though every caller that waits for it is
/// cancelled, so that no rotated token is lost.
#[tokio::test]
async fn a_refresh_outlives_its_callers() {
    let server = still().refresh_rotation(true).start().await;
    let (_, session) = session(&server).await;
    advance(&server, 300);
    let hold = server.hold(Endpoint::Token);
    let mut callers = JoinSet::new();
    for _ in 0..5 {
        let (session, server) = (session.clone(), server.clone());
        callers.spawn(async move { common::get(&session, &server, "/accounts").await });
    }
    server.wait_for(Endpoint::Token, 1).await;
    callers.shutdown().await;
    hold.release();
    common::get(&session, &server, "/accounts").await.unwrap();
    assert_eq!(server.count(Endpoint::Token), 1);
    session.refresh().await.unwrap();
    assert!(server.tokens_used_twice().is_empty());
}

/// SES-2: a background refresh that failed is tried again after ten seconds, not with every call.
#[tokio::test]
async fn a_failed_background_refresh_rests() {
    let server = still().start().await;
    let (_, session) = session(&server).await;
    advance(&server, 271);
    server.answer_next(Endpoint::Token, Answer::status(503));
    let hold = server.hold(Endpoint::Token);
    common::get(&session, &server, "/accounts").await.unwrap();
    let (failed, ()) = tokio::join!(session.refresh(), async { hold.release() });
    let error = failed.unwrap_err();
    assert!(matches!(
        error,
        fapi_client::Error::Transport(error)
            if matches!(error.fault, TransportFault::Unavailable { status: 503, .. })
    ));
    advance(&server, 9);
    for _ in 0..5 {
        common::get(&session, &server, "/accounts").await.unwrap();
    }
    assert_eq!(server.count(Endpoint::Token), 1);
    advance(&server, 1);
    common::get(&session, &server, "/accounts").await.unwrap();
    server.wait_for(Endpoint::Token, 2).await;
}

/// One failure is the failure of all who waited, and the next call asks anew.
#[tokio::test]
async fn a_failure_is_shared_and_not_kept() {
    let server = still().start().await;
    let (_, session) = session(&server).await;
    advance(&server, 300);
    server.answer_next(Endpoint::Token, Answer::status(503));
    let hold = server.hold(Endpoint::Token);
    let mut callers = JoinSet::new();
    for _ in 0..5 {
        let (session, server) = (session.clone(), server.clone());
        callers.spawn(async move { common::get(&session, &server, "/accounts").await });
    }
    server.wait_for(Endpoint::Token, 1).await;
    hold.release();
    while let Some(answer) = callers.join_next().await {
        assert_eq!(answer.unwrap().unwrap_err().code(), "transport.unavailable");
    }
    assert_eq!(server.count(Endpoint::Token), 1);
    assert_eq!(server.count(Endpoint::Api), 0);
    common::get(&session, &server, "/accounts").await.unwrap();
    assert_eq!(server.count(Endpoint::Token), 2);
}
