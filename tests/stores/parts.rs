//! Tokens for parts of what was granted, under one refresh token.

use fapi_client::{ConfigError, Error, SignInAgain};
use fapi_testkit::Endpoint;
use tokio::task::JoinSet;

use super::world::{World, sign_in_again, strict};
use crate::common;

fn scopes(world: &World) -> Vec<Option<String>> {
    let requests = world.server.requests_to(Endpoint::Token).into_iter();
    requests
        .map(|request| request.form_value("scope").map(str::to_owned))
        .collect()
}

fn sent(world: &World) -> Vec<String> {
    let requests = world.server.requests_to(Endpoint::Api).into_iter();
    requests
        .map(|request| request.header("authorization").unwrap().to_owned())
        .collect()
}

/// R6749-6, RI-2, SP-5.3.3.1-13: a part of the scope has a token of its own, which is asked for when it is
/// first needed, kept, and renewed by itself. It survives a restart.
#[tokio::test]
async fn a_part_has_a_token_of_its_own() {
    let world = World::start(strict()).await;
    let (a, b) = world.two().await;
    let part = a.session.with_scope("accounts").unwrap();
    assert_eq!(part.scope(), Ok(None), "there is none yet");
    for _ in 0..2 {
        world.works(&part).await;
        world.works(&a.session).await;
    }
    assert_eq!(part.scope(), Ok(Some("accounts".to_owned())));
    assert_eq!(a.session.scope(), Ok(Some("openid accounts".to_owned())));
    assert_eq!(scopes(&world), [Some("accounts".to_owned())]);
    let used = sent(&world);
    assert!(used[0] == used[2] && used[1] == used[3] && used[0] != used[1]);

    // Another process finds it.
    let same = b.client.session(b.session.id()).await.unwrap();
    world.works(&same.with_scope("accounts").unwrap()).await;
    assert_eq!(sent(&world)[4], used[0]);
    assert_eq!(scopes(&world).len(), 1);

    // The refresh of one is not the refresh of the other.
    part.refresh().await.unwrap();
    world.works(&part).await;
    world.works(&a.session).await;
    let now = sent(&world);
    assert!(now[5] != used[0] && now[6] == used[1]);
    world.advance(300);
    world.works(&a.session).await;
    world.works(&part).await;
    let expected = [
        Some("accounts".to_owned()),
        Some("accounts".to_owned()),
        None,
        Some("accounts".to_owned()),
    ];
    assert_eq!(scopes(&world), expected);
    world.nothing_twice();
}

/// SES-12: callers of several parts, in two processes, each get their own token,
/// one request a part, and the refresh token goes out once at a time.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn parts_are_served_one_after_another() {
    let world = World::start(strict()).await;
    let (a, b) = world.two().await;
    world.advance(300);
    let mut callers = JoinSet::new();
    for _ in 0..10 {
        for process in [&a, &b] {
            for scope in [None, Some("accounts"), Some("openid")] {
                let session = match scope {
                    Some(scope) => process.session.with_scope(scope).unwrap(),
                    None => process.session.clone(),
                };
                let server = world.server.clone();
                callers.spawn(async move {
                    let answer = common::get(&session, &server, "/accounts").await?;
                    Ok::<_, Error>((scope, session.scope().unwrap(), answer.status()))
                });
            }
        }
    }
    while let Some(outcome) = callers.join_next().await {
        let (scope, granted, status) = outcome.unwrap().unwrap();
        assert_eq!(granted.as_deref(), Some(scope.unwrap_or("openid accounts")));
        assert_eq!(status, 200);
    }
    assert_eq!(world.server.count(Endpoint::Token), 3);
    world.nothing_twice();
}

/// RI-2: one API of several that the login named.
#[tokio::test]
async fn a_token_for_one_api() {
    let world = World::start(strict()).await;
    let client = world.client().await;
    let (one, two) = (world.server.api().to_owned(), "https://other.example/");
    let login = client.login().scope("openid accounts");
    let login = login.resource(&one).resource(two).start().await.unwrap();
    let browser = world.server.browser("alice");
    let callback = browser.approve(login.url().as_str()).await;
    let session = client.finish_login(login.transaction(), callback).await;
    let session = session.unwrap().for_resource(&one).unwrap();
    world.server.forget_requests();
    world.works(&session).await;
    let request = &world.server.requests_to(Endpoint::Token)[0];
    let named = request.form_values("resource");
    assert_eq!(named.len(), 1);
    assert!(named[0].starts_with(&one));
    world.works(&session).await;
    assert_eq!(world.server.count(Endpoint::Token), 1);
    world.nothing_twice();
}

/// REV-rt: logout ends all parts, here and at the server.
#[tokio::test]
async fn logout_ends_all_parts() {
    let world = World::start(strict()).await;
    let (a, b) = world.two().await;
    let part = a.session.with_scope("accounts").unwrap();
    world.works(&part).await;
    part.logout().await.unwrap();
    let token = sent(&world)[0].strip_prefix("DPoP ").unwrap().to_owned();
    assert!(!world.server.is_live(&token));
    for session in [&part, &a.session] {
        let error = world.call_fails(session).await;
        assert_eq!(sign_in_again(error), SignInAgain::LoggedOut);
    }
    b.gone(SignInAgain::LoggedOut).await;
    world.no_record().await;
}

/// R6749-6: what was not granted is refused by the server, and nothing is lost by having asked.
#[tokio::test]
async fn a_part_that_was_not_granted() {
    let world = World::start(strict()).await;
    let (a, _) = world.two().await;
    let part = a.session.with_scope("payments").unwrap();
    let error = world.call_fails(&part).await;
    assert_eq!(error.code(), "denied.server");
    assert_eq!(world.server.count(Endpoint::Api), 0);
    world.works(&a.session).await;
    a.session.refresh().await.unwrap();
    world.nothing_twice();
    assert!(matches!(
        a.session.with_scope("  "),
        Err(ConfigError::Scope)
    ));
    assert!(matches!(
        a.session.for_resource("no url"),
        Err(ConfigError::Resource)
    ));
}
