//! Answers that were lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use fapi_client::{
    BoxFuture, Client, Error, HttpsTransport, SignInAgain, Transport, TransportError,
    TransportFault, TransportRequest,
};
use fapi_testkit::{Answer, Endpoint, TestServer};
use http::Response;

use super::{advance, assert_gone, refresh_tokens, session, sign_in_again, still};
use crate::common;

/// ERR-10, SP-5.3.2.1-9, OFTEN-15: a lost answer is asked for once more with the old refresh token, a new
/// proof and a new assertion; where the server keeps its retry window nothing is lost.
#[tokio::test]
async fn a_lost_answer_is_asked_for_once_more() {
    for lost in [Answer::drop_connection(), Answer::refuse_connection()] {
        let server = still().refresh_rotation(true).start().await;
        let (_, session) = session(&server).await;
        server.answer_next(Endpoint::Token, lost);
        session.refresh().await.unwrap();
        session.refresh().await.unwrap();
        common::get(&session, &server, "/accounts").await.unwrap();
        let tokens = refresh_tokens(&server);
        assert_eq!(tokens.len(), 3);
        assert_eq!(tokens[0], tokens[1]);
        assert_ne!(tokens[1], tokens[2]);
        assert!(server.tokens_used_twice().is_empty());
        common::assert_fresh(&server);
    }
}

/// ERR-10: where the second answer is lost too, the error is the network's, the tokens stay, and the next
/// refresh goes out with the old refresh token.
#[tokio::test]
async fn two_lost_answers_lose_nothing() {
    let server = still().refresh_rotation(true).start().await;
    let (client, session) = session(&server).await;
    server.answer_next(Endpoint::Token, Answer::drop_connection());
    server.answer_next(Endpoint::Token, Answer::drop_connection());
    let error = session.refresh().await.unwrap_err();
    assert_eq!(error.code(), "transport.broken");
    assert!(error.retry_may_help());
    assert_eq!(server.requests().len(), 2, "bounded");
    common::get(&session, &server, "/accounts").await.unwrap();
    client.session(session.id()).await.unwrap();
    session.refresh().await.unwrap();
    let tokens = refresh_tokens(&server);
    assert!(tokens.iter().all(|token| *token == tokens[0]));
    assert!(server.tokens_used_twice().is_empty());
}

/// ERR-8, ERR-10, SP-5.3.2.1-9: where the server keeps no retry window, the rotation is lost, and the user
/// is told so.
#[tokio::test]
async fn without_a_retry_window_the_rotation_is_lost() {
    let server = still()
        .refresh_rotation(true)
        .rotation_grace(Duration::ZERO)
        .start()
        .await;
    let (client, session) = session(&server).await;
    server.answer_next(Endpoint::Token, Answer::drop_connection());
    let cause = SignInAgain::RotationLost;
    assert_eq!(sign_in_again(session.refresh().await.unwrap_err()), cause);
    assert_eq!(server.requests().len(), 2);
    assert_gone(&server, &client, &session, &cause).await;
}

/// ERR-8, ERR-10: a lost answer is remembered by the next refresh.
#[tokio::test]
async fn a_lost_answer_is_remembered() {
    let server = still()
        .refresh_rotation(true)
        .rotation_grace(Duration::from_secs(60))
        .start()
        .await;
    let (_, session) = session(&server).await;
    server.answer_next(Endpoint::Token, Answer::drop_connection());
    server.answer_next(Endpoint::Token, Answer::drop_connection());
    session.refresh().await.unwrap_err();
    advance(&server, 61);
    let error = session.refresh().await.unwrap_err();
    assert_eq!(sign_in_again(error), SignInAgain::RotationLost);
    assert_eq!(server.requests().len(), 3);
}

/// ERR-10: an answer that is too large is lost as well, and not asked for again at once.
#[tokio::test]
async fn an_answer_that_is_too_large_is_lost() {
    let server = still()
        .refresh_rotation(true)
        .rotation_grace(Duration::ZERO)
        .start()
        .await;
    let (_, session) = session(&server).await;
    server.answer_next(
        Endpoint::Token,
        Answer::oversize(1 << 20).after_processing(),
    );
    let error = session.refresh().await.unwrap_err();
    assert_eq!(error.code(), "transport.too_large");
    assert_eq!(server.requests().len(), 1);
    let error = session.refresh().await.unwrap_err();
    assert_eq!(sign_in_again(error), SignInAgain::RotationLost);
}

/// Fails at the token endpoint as often as it is told to: before it sends where there is no connection,
/// else after it.
struct Failing {
    inner: HttpsTransport,
    fault: TransportFault,
    times: Arc<AtomicUsize>,
}

async fn failing(server: &TestServer, fault: TransportFault) -> (Client, Arc<AtomicUsize>) {
    let times = Arc::new(AtomicUsize::new(0));
    let client = common::builder(server)
        .transport(Failing {
            inner: common::https(server),
            fault,
            times: times.clone(),
        })
        .build()
        .await
        .unwrap();
    (client, times)
}

impl Transport for Failing {
    fn send(
        &self,
        request: TransportRequest,
    ) -> BoxFuture<'_, Result<Response<Bytes>, TransportError>> {
        let order = Ordering::SeqCst;
        let at_token = request.request.uri().path().ends_with("/token");
        let fails = at_token
            && self
                .times
                .fetch_update(order, order, |left| left.checked_sub(1))
                .is_ok();
        Box::pin(async move {
            if fails && self.fault == TransportFault::Connect {
                return Err(TransportError::new(TransportFault::Connect));
            }
            let answer = self.inner.send(request).await?;
            if fails {
                return Err(TransportError::new(self.fault.clone()));
            }
            Ok(answer)
        })
    }
}

/// ERR-8, ERR-10: without a connection nothing was sent, so nothing can have been rotated: a refusal that
/// comes later is a refusal. One more try is made at once.
#[tokio::test]
async fn without_a_connection_nothing_is_lost() {
    let server = still().refresh_rotation(true).start().await;
    let (client, times) = failing(&server, TransportFault::Connect).await;
    let session = common::log_in_with(&client, &server, "alice")
        .await
        .unwrap();
    server.forget_requests();
    times.store(1, Ordering::SeqCst);
    session.refresh().await.unwrap();
    assert_eq!(server.requests().len(), 1);
    times.store(2, Ordering::SeqCst);
    let error = session.refresh().await.unwrap_err();
    assert_eq!(error.code(), "transport.connect");
    assert_eq!(times.load(Ordering::SeqCst), 0);
    assert_eq!(server.requests().len(), 1);
    common::get(&session, &server, "/accounts").await.unwrap();
    server.revoke_refresh_tokens();
    let cause = SignInAgain::RefreshTokenRefused;
    assert_eq!(sign_in_again(session.refresh().await.unwrap_err()), cause);
    assert_gone(&server, &client, &session, &cause).await;
}

/// ERR-10, ERR-11: a timeout is a lost answer: the refresh is tried once more with the old token, and then
/// the tokens stay. The redemption of a code is never tried again.
#[tokio::test]
async fn a_timeout_loses_nothing() {
    let server = still().refresh_rotation(true).start().await;
    let (client, times) = failing(&server, TransportFault::Timeout).await;
    let session = common::log_in_with(&client, &server, "alice")
        .await
        .unwrap();
    server.forget_requests();
    times.store(2, Ordering::SeqCst);
    let error = session.refresh().await.unwrap_err();
    let Error::Transport(error) = error else {
        panic!("{error:?}");
    };
    assert_eq!(error.fault, TransportFault::Timeout);
    assert_eq!(error.endpoint, Some(fapi_client::Endpoint::Token));
    times.store(1, Ordering::SeqCst);
    session.refresh().await.unwrap();
    common::get(&session, &server, "/accounts").await.unwrap();
    let tokens = refresh_tokens(&server);
    assert_eq!(tokens.len(), 4);
    assert!(tokens.iter().all(|token| *token == tokens[0]));
    assert!(server.tokens_used_twice().is_empty());
    common::assert_fresh(&server);

    let (login, callback) = common::approved(&client, &server, "bob", "openid").await;
    server.forget_requests();
    times.store(1, Ordering::SeqCst);
    let error = client.finish_login(login.transaction(), callback).await;
    assert_eq!(error.unwrap_err().code(), "transport.timeout");
    assert_eq!(server.requests().len(), 1);
    assert!(client.sessions_of("bob").await.unwrap().is_empty());
}

/// SES-4, ERR-10: a refresh whose runtime ends while it is under way is a lost answer. Where the
/// server keeps its retry window nothing is lost, and where it does not, the user is told the truth.
#[test]
fn a_runtime_that_ends_loses_an_answer() {
    let runtime = || tokio::runtime::Runtime::new().unwrap();
    for (grace, outcome) in [(60, None), (0, Some(SignInAgain::RotationLost))] {
        let (first, second) = (runtime(), runtime());
        let (server, session) = first.block_on(async {
            let grace = Duration::from_secs(grace);
            let server = still().refresh_rotation(true).rotation_grace(grace);
            let server = server.start().await;
            let (_, session) = session(&server).await;
            // It rotates the token, and its answer does not come.
            server.answer_next(Endpoint::Token, Answer::hang());
            let going = session.clone();
            tokio::spawn(async move { going.refresh().await });
            server.wait_for(Endpoint::Token, 1).await;
            (server, session)
        });
        first.shutdown_background();
        second.block_on(async {
            // Who joined the one that ended is told; who asks now asks anew.
            while let Err(error) = session.refresh().await {
                if error.code() != "transport.broken" {
                    assert_eq!(Some(sign_in_again(error)), outcome);
                    return;
                }
            }
            assert_eq!(outcome, None);
            common::get(&session, &server, "/accounts").await.unwrap();
            assert!(server.tokens_used_twice().is_empty());
        });
    }
}
