//! Replicas of a program that share a server.

use std::time::Duration;

use fapi_client::StoreError;
use fapi_client::store::{
    Locks, RecordKey, RecordKind, Records, RedisStore, SealingKey, SealingKeys, Stores,
    TransactionKey, Transactions,
};
use fapi_interop::Redis;
use fapi_testkit::TestServer;

use crate::loaded;
use crate::program::{register, replica};
use crate::{builder, connect, digest, key, record, replacing};

/// A login that one replica began is finished by another, and a third uses the session, which a fourth
/// refreshes. Of all this Redis sees nothing in clear, and keeps nothing: no token, no key, no code, not who the
/// user is, and not the password of the program (MONITOR, and its files).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_share_logins_and_sessions_in_secret() {
    let (redis, server) = (Redis::start(), TestServer::start().await);
    let keys = register(&server);
    let sealing = SealingKeys::new(SealingKey::generate("k1").unwrap());
    let monitor = redis.monitor();
    let mut clients = Vec::new();
    for _ in 0..4 {
        let stores = Stores::new(connect(&redis).await, sealing.clone());
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let client = replica(&server, &keys, stores).crypto_provider(loaded::noting(provider));
        clients.push(client.build().await.unwrap());
    }

    let login = clients[0]
        .login()
        .scope("openid accounts")
        .start()
        .await
        .unwrap();
    let callback = server.browser("alice").approve(login.url().as_str()).await;
    let session = clients[1]
        .finish_login(login.transaction(), callback)
        .await
        .unwrap();
    let third = clients[2].session(session.id()).await.unwrap();
    let url = format!("{}/accounts", server.api());
    assert!(third.get(&url).send().await.unwrap().status().is_success());
    let fourth = clients[3].session(session.id()).await.unwrap();
    fourth.refresh().await.unwrap();
    assert!(third.get(&url).send().await.unwrap().status().is_success());
    assert_eq!(server.tokens_used_twice(), Vec::<String>::new());

    let _ = redis.cli(&["ECHO", "the-end"]);
    let transcript = monitor.transcript("the-end");
    assert!(
        transcript.contains("evalsha") || transcript.contains("EVALSHA"),
        "{transcript}"
    );
    let kept = redis.kept();
    assert!(loaded::holds(&kept, b"{fapi}:r:session:"));
    let mut secrets = server.secrets_issued();
    for request in server.requests() {
        let of_the_login = ["state", "nonce", "code_verifier", "refresh_token"].into_iter();
        secrets.extend(of_the_login.filter_map(|name| request.form_value(name).map(str::to_owned)));
    }
    secrets.push(session.key_thumbprint().unwrap().to_owned());
    assert!(secrets.len() > 9, "{secrets:?}");
    let known = [
        Redis::PASSWORD,
        "alice",
        "refresh_token",
        "access_token",
        server.issuer(),
        session.id().as_str(),
    ];
    for secret in secrets.iter().map(String::as_str).chain(known) {
        assert!(!transcript.contains(secret), "Redis saw {secret}");
        assert!(
            !loaded::holds(&kept, secret.as_bytes()),
            "Redis kept {secret}"
        );
    }
    for form in loaded::private_half(session.key_thumbprint().unwrap()) {
        assert!(!loaded::holds(transcript.as_bytes(), &form));
        assert!(!loaded::holds(&kept, &form));
    }
}

/// Stores of different prefixes know nothing of each other, and every key begins with its prefix.
#[tokio::test]
async fn prefixes_are_apart() {
    let redis = Redis::start();
    let one = builder(&redis).key_prefix("app1").connect().await.unwrap();
    let two = builder(&redis).key_prefix("app2").connect().await.unwrap();
    let long = Duration::from_secs(60);
    let name = key();
    let login = TransactionKey {
        owner: digest(),
        scope: digest(),
        id: digest(),
    };
    one.create(&name, record(b"one")).await.unwrap();
    one.put(&login, b"one".to_vec(), long).await.unwrap();
    let held = one.acquire(&name, long, Duration::ZERO).await.unwrap();

    assert!(two.load(&name).await.unwrap().is_none());
    assert_eq!(two.of(&login.owner).await.unwrap(), []);
    assert_eq!(two.take(&login).await.unwrap(), None);
    let other = two.acquire(&name, long, Duration::ZERO).await.unwrap();
    other.release().await.unwrap();
    two.create(&name, record(b"two")).await.unwrap();
    two.delete(&name, None).await.unwrap();

    assert_eq!(one.load(&name).await.unwrap().unwrap().bytes, b"one");
    assert_eq!(one.take(&login).await.unwrap().unwrap(), b"one");
    held.release().await.unwrap();
    for key in redis.cli(&["KEYS", "*"]).lines() {
        assert!(
            key.starts_with("{app1}:") || key.starts_with("{app2}:"),
            "{key}"
        );
    }
}

/// Databases are apart, and one that the server does not have is a setting that can't be right.
#[tokio::test]
async fn databases_are_apart() {
    let redis = Redis::start();
    let zero = connect(&redis).await;
    let three = builder(&redis).database(3).connect().await.unwrap();
    let by_url =
        RedisStore::builder(format!("{}/3", redis.url())).credentials(Redis::USER, Redis::PASSWORD);
    let by_url = by_url.connect().await.unwrap();
    let name = key();
    three.create(&name, record(b"three")).await.unwrap();
    assert!(zero.load(&name).await.unwrap().is_none());
    assert!(by_url.load(&name).await.unwrap().is_some());
    assert_eq!(
        builder(&redis).database(99).connect().await.unwrap_err(),
        StoreError::Setting("the server has no database 99".to_owned())
    );
}

/// What a server of another's holds under one of our names is left as it is.
#[tokio::test]
async fn what_is_not_ours_is_left_alone() {
    let redis = Redis::start();
    let store = connect(&redis).await;
    let name = key();
    let place = format!("{{fapi}}:r:session:{}:{}", name.scope, name.id);
    let _ = redis.cli(&["SET", &place, "something"]);
    assert_eq!(store.load(&name).await.unwrap_err(), StoreError::Foreign);
    assert_eq!(
        store.create(&name, record(b"ours")).await.unwrap_err(),
        StoreError::Foreign
    );
    assert_eq!(
        store
            .replace(&name, replacing(1, b"ours"))
            .await
            .unwrap_err(),
        StoreError::Foreign
    );
    assert_eq!(redis.cli(&["GET", &place]).trim(), "something");
}

/// Records that nobody lists leave nothing behind: what has passed is swept out of the index with the next
/// that comes, and the index itself passes with its last record. A record that somebody took away by
/// hand is out of the index when it is listed.
#[tokio::test]
async fn nothing_piles_up() {
    let redis = Redis::start();
    let store = connect(&redis).await;
    let (scope, tag) = (digest(), digest());
    let index = format!("{{fapi}}:i:used:{scope}");
    let by_tag = format!("{{fapi}}:t:used:{scope}:{tag}");
    let used = || RecordKey {
        kind: RecordKind::Used,
        scope,
        id: digest(),
    };
    let passing = |life| {
        let mut passing = record(b"used");
        passing.life = Some(Duration::from_millis(life));
        passing.tags = vec![tag];
        passing
    };
    // Some of these have passed before they are entered.
    for at in 0..500 {
        store.create(&used(), passing(at % 2)).await.unwrap();
    }
    let last = used();
    crate::once_it_is_back(async || {
        store.delete(&last, None).await?;
        store.create(&last, passing(60_000)).await?;
        let left = redis.cli(&["ZCARD", &index]);
        let tagged = redis.cli(&["ZCARD", &by_tag]);
        if (left.trim(), tagged.trim()) == ("1", "1") {
            Ok(())
        } else {
            Err(StoreError::Unavailable)
        }
    })
    .await;
    for index in [&index, &by_tag] {
        let life: i64 = redis.cli(&["PTTL", index]).trim().parse().unwrap();
        assert!((1..=60_001).contains(&life), "{life}");
    }

    let place = format!("{{fapi}}:r:used:{scope}:{}", last.id);
    assert_eq!(redis.cli(&["DEL", &place]).trim(), "1");
    let listed = store.list(RecordKind::Used, &scope, None).await.unwrap();
    assert!(listed.is_empty());
    assert_eq!(redis.cli(&["ZCARD", &index]).trim(), "0");
}
