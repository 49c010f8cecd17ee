//! Which browser a login belongs to, for how long, and how often (SP-5.3.3.2-4, SEC-6.4, SEC-6.5).

use std::time::Duration;

use fapi_client::{Client, Login, Violation};
use fapi_testkit::{
    Answer, AuthorizationFault, Endpoint, Nonces, TestClock, TestServer, TokenFault,
};

use crate::common;

async fn start() -> (TestServer, Client) {
    let server = TestServer::builder()
        .clock(TestClock::at(1_800_000_000))
        .nonces(Nonces::Off)
        .start()
        .await;
    let client = common::client(&server).await;
    (server, client)
}

async fn approve(server: &TestServer, user: &str, login: &Login) -> String {
    server.browser(user).approve(login.url().as_str()).await
}

async fn violation(client: &Client, handle: &str, callback: &str) -> Violation {
    let error = client.finish_login(handle, callback).await.unwrap_err();
    error
        .violation()
        .cloned()
        .unwrap_or_else(|| panic!("{error:?}"))
}

/// SP-5.3.3.2-4, SEC-6.5, BCP-4.5, A1: a callback that comes through another browser is refused,
/// whether that browser has a login of its own under way or not; its owner can still use it.
#[tokio::test]
async fn another_browsers_callback_is_refused() {
    let (server, client) = start().await;
    let (alice, mallory) = (common::begin(&client).await, common::begin(&client).await);
    let callback = approve(&server, "alice", &alice).await;
    let own = mallory.transaction().expose();
    assert_eq!(violation(&client, own, &callback).await, Violation::State);
    for handle in ["", "A", &"A".repeat(43), "../../etc/passwd"] {
        let refused = violation(&client, handle, &callback).await;
        assert_eq!(refused, Violation::NoSuchLogin);
    }
    // SEC-6.5: the other way round, a login of the attacker's is not finished in the user's browser.
    let planted = approve(&server, "mallory", &mallory).await;
    let own = alice.transaction().expose();
    assert_eq!(violation(&client, own, &planted).await, Violation::State);
    assert_eq!(server.count(Endpoint::Token), 0);
    let session = client.finish_login(own, callback).await.unwrap();
    assert_eq!(session.subject(), Some("alice"));
}

/// ERR-14, R6749-4.1.2.1: forged callbacks use nothing up; the true one that follows is taken.
#[tokio::test]
async fn a_forged_callback_uses_nothing_up() {
    let (server, client) = start().await;
    let login = common::begin(&client).await;
    let state = server.requests_to(Endpoint::Par)[0]
        .form_value("state")
        .unwrap()
        .to_owned();
    let callback = approve(&server, "alice", &login).await;
    let own = server.issuer();
    let handle = login.transaction().expose();
    for (forged, expected) in [
        ("?error=access_denied".to_owned(), Violation::MissingIssuer),
        (
            format!("?error=access_denied&state={state}"),
            Violation::MissingIssuer,
        ),
        (
            format!("?error=access_denied&state={state}&iss=https://evil.example"),
            Violation::Issuer {
                expected: own.to_owned(),
            },
        ),
        (format!("?error=access_denied&iss={own}"), Violation::State),
        (
            format!("?code=stolen&iss={own}&state=guessed"),
            Violation::State,
        ),
        (
            format!("{callback}&code=stolen"),
            Violation::DuplicateParameter { name: "code" },
        ),
    ] {
        assert_eq!(violation(&client, handle, &forged).await, expected);
    }
    assert_eq!(server.count(Endpoint::Token), 0);
    client.finish_login(handle, callback).await.unwrap();
    assert_eq!(server.count(Endpoint::Token), 1);
}

/// SEC-6.4, SP-5.3.2.2-9, K-10: a callback that comes again is refused here, and the code does not go
/// out a second time.
#[tokio::test]
async fn a_replayed_callback_is_refused() {
    let (server, client) = start().await;
    let login = common::begin(&client).await;
    let callback = approve(&server, "alice", &login).await;
    let handle = login.transaction().expose();
    let session = client.finish_login(handle, &callback).await.unwrap();
    for _ in 0..2 {
        let refused = violation(&client, handle, &callback).await;
        assert_eq!(refused, Violation::NoSuchLogin);
    }
    assert_eq!(server.count(Endpoint::Token), 1);
    // The server never saw the code twice, so it took nothing back.
    session
        .get(format!("{}/accounts", server.api()))
        .send()
        .await
        .unwrap()
        .error_for_status()
        .unwrap();
}

/// SEC-6.4, ERR-7, ERR-11: a code is tried once. Whatever came of it, the same callback is not taken
/// again.
#[tokio::test]
async fn a_failed_redemption_is_not_tried_again() {
    let (server, client) = start().await;
    let rows = [
        (Answer::error(400, "invalid_grant"), "denied.server"),
        (Answer::status(503), "transport.unavailable"),
        (Answer::drop_connection(), "transport.broken"),
        (Answer::redirect(307, "/token"), "violation.redirect"),
        (Answer::html(200), "violation.content_type"),
    ];
    for (answer, code) in rows {
        server.forget_requests();
        let login = common::begin(&client).await;
        let callback = approve(&server, "alice", &login).await;
        server.answer_next(Endpoint::Token, answer);
        let handle = login.transaction();
        let error = client.finish_login(handle, &callback).await.unwrap_err();
        assert_eq!(error.code(), code);
        let refused = violation(&client, handle.expose(), &callback).await;
        assert_eq!(refused, Violation::NoSuchLogin);
        assert_eq!(server.count(Endpoint::Token), 1);
    }
}

/// SEC-6.4: of many that bring one callback at once, one goes on, with one request.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_callbacks_at_once_one_wins() {
    let (server, client) = start().await;
    let login = common::begin(&client).await;
    let callback = approve(&server, "alice", &login).await;
    let hold = server.hold(Endpoint::Token);
    let handle = login.transaction().expose().to_owned();
    let attempts: Vec<_> = (0..8)
        .map(|_| {
            let (client, handle, callback) = (client.clone(), handle.clone(), callback.clone());
            tokio::spawn(async move { client.finish_login(handle, callback).await })
        })
        .collect();
    server.wait_for(Endpoint::Token, 1).await;
    hold.release();
    let mut won = 0;
    for attempt in attempts {
        match attempt.await.unwrap() {
            Ok(session) => {
                assert_eq!(session.subject(), Some("alice"));
                won += 1;
            }
            Err(error) => assert_eq!(error.violation(), Some(&Violation::NoSuchLogin)),
        }
    }
    assert_eq!(won, 1);
    assert_eq!(server.count(Endpoint::Token), 1);
}

/// SP-5.3.3.2-4, R6749-10.12: two tabs of a browser log in side by side, under one handle, in either
/// order, and even when one of them is answered wrongly.
#[tokio::test]
async fn two_tabs_log_in_side_by_side() {
    for last_first in [false, true] {
        let (server, client) = start().await;
        let first = common::begin(&client).await;
        let request = client.login().scope("openid accounts");
        let second = request.in_browser(first.transaction());
        let second = second.start().await.unwrap();
        assert_eq!(first.transaction().expose(), second.transaction().expose());
        assert_ne!(first.url(), second.url());
        let handle = first.transaction().expose();
        let mut callbacks = [
            ("alice", approve(&server, "alice", &first).await),
            ("bob", approve(&server, "bob", &second).await),
        ];
        if last_first {
            callbacks.reverse();
        }
        server.misbehave_times(AuthorizationFault::WrongState, 1);
        let third = client.login().in_browser(handle).start().await.unwrap();
        let wrong = approve(&server, "carol", &third).await;
        assert_eq!(violation(&client, handle, &wrong).await, Violation::State);
        for (user, callback) in &callbacks {
            let session = client.finish_login(handle, callback).await.unwrap();
            assert_eq!(session.subject(), Some(*user));
        }
        // The third is still under way, so the browser is known and the old states are not.
        for (_, callback) in &callbacks {
            assert_eq!(violation(&client, handle, callback).await, Violation::State);
        }
        assert_eq!(server.count(Endpoint::Token), 2);
    }
}

/// SEC-6.5: a handle for which no login is under way may have been planted by somebody else. It is not
/// taken over.
#[tokio::test]
async fn a_planted_handle_is_not_taken_over() {
    let (server, client) = start().await;
    let finished = common::begin(&client).await;
    let callback = approve(&server, "mallory", &finished).await;
    let handle = finished.transaction();
    client.finish_login(handle, callback).await.unwrap();
    for planted in [handle.expose(), &"A".repeat(43), ""] {
        let login = client.login().scope("openid").in_browser(planted);
        let login = login.start().await.unwrap();
        let own = login.transaction().expose();
        assert_ne!(own, planted);
        assert_eq!(own.len(), 43);
        let callback = approve(&server, "alice", &login).await;
        let refused = violation(&client, planted, &callback).await;
        assert_eq!(refused, Violation::NoSuchLogin);
        client.finish_login(own, callback).await.unwrap();
    }
}

/// K-9, SP-5.3.2.2-12: the `request_uri` lives for a minute, the login for fifteen. A user who takes
/// five is let in, one who takes too long is not, and no request goes out for them.
#[tokio::test]
async fn a_login_outlives_its_request_uri() {
    for (seconds, taken) in [(5 * 60, true), (15 * 60 - 1, true), (15 * 60, false)] {
        let (server, client) = start().await;
        let login = common::begin(&client).await;
        assert_eq!(login.expires_at().seconds(), 1_800_000_060);
        let page = server.browser("alice").open(login.url().as_str()).await;
        server.clock().advance(Duration::from_secs(seconds));
        let callback = page.approve().await;
        let finished = client.finish_login(login.transaction(), callback).await;
        match finished {
            Ok(session) if taken => assert_eq!(session.subject(), Some("alice")),
            Err(error) if !taken => {
                assert_eq!(error.violation(), Some(&Violation::NoSuchLogin));
                assert_eq!(server.count(Endpoint::Token), 0);
            }
            other => panic!("{seconds}: {other:?}"),
        }
    }
}

/// A program can make the life of a login shorter, and not longer.
#[tokio::test]
async fn the_life_of_a_login_is_a_setting_with_a_bound() {
    for (setting, life) in [(60, 60), (3600, 900)] {
        let server = TestServer::builder()
            .clock(TestClock::at(1_800_000_000))
            .start()
            .await;
        let builder = common::builder(&server).login_life(Duration::from_secs(setting));
        let client = builder.build().await.unwrap();
        let login = common::begin(&client).await;
        let page = server.browser("alice").open(login.url().as_str()).await;
        server.clock().advance(Duration::from_secs(life));
        let callback = page.approve().await;
        let refused = violation(&client, login.transaction().expose(), &callback).await;
        assert_eq!(refused, Violation::NoSuchLogin);
        assert_eq!(server.count(Endpoint::Token), 0);
    }
}

/// A browser that begins login after login pushes out its own oldest one, and nobody else's.
#[tokio::test]
async fn a_browser_cannot_push_out_another() {
    let (server, client) = start().await;
    let other = common::begin(&client).await;
    let first = common::begin(&client).await;
    let callback = approve(&server, "alice", &first).await;
    for _ in 0..16 {
        let login = client.login().in_browser(first.transaction());
        login.start().await.unwrap();
    }
    let handle = first.transaction().expose();
    assert_eq!(
        violation(&client, handle, &callback).await,
        Violation::State
    );
    let callback = approve(&server, "bob", &other).await;
    client
        .finish_login(other.transaction(), callback)
        .await
        .unwrap();
}

/// SP-5.3.2.1-4, SEC-6.4: a token that is refused ends the login with it: the callback is spent.
#[tokio::test]
async fn a_refused_token_ends_the_login() {
    let (server, client) = start().await;
    let login = common::begin(&client).await;
    let callback = approve(&server, "alice", &login).await;
    server.misbehave(TokenFault::Bearer);
    let handle = login.transaction().expose();
    let refused = violation(&client, handle, &callback).await;
    assert_eq!(refused, Violation::TokenTypeDowngrade);
    server.behave();
    let refused = violation(&client, handle, &callback).await;
    assert_eq!(refused, Violation::NoSuchLogin);
    assert_eq!(server.count(Endpoint::Token), 1);
    assert_eq!(client.sessions_of("alice").await.unwrap().len(), 0);
}
