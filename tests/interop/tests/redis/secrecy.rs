//! TLS and credentials.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;

use fapi_client::store::{Records, RedisStore};
use fapi_client::{StoreError, rustls_0_23};
use fapi_interop::{Pki, Redis};
use rustls::crypto::CryptoProvider;

use crate::{builder, connect, key, once_it_is_back, record};

/// Either provider serves when it is handed over, and the process has no default one.
#[tokio::test]
async fn tls_with_either_provider() {
    let redis = Redis::start_with_tls();
    let providers = [
        rustls::crypto::aws_lc_rs::default_provider(),
        rustls::crypto::ring::default_provider(),
    ];
    for provider in providers {
        let store = builder(&redis)
            .root_certificates_pem(redis.pki().authority())
            .crypto_provider(rustls_0_23::crypto(Arc::new(provider)))
            .connect()
            .await
            .unwrap();
        let name = key();
        store.create(&name, record(b"sealed")).await.unwrap();
        assert_eq!(store.load(&name).await.unwrap().unwrap().bytes, b"sealed");
    }
    assert!(CryptoProvider::get_default().is_none());
}

/// A server whose certificate another authority signed is not talked to, be it one that was named or one of
/// the platform's; nor is one whose certificate has another name.
#[tokio::test]
async fn a_certificate_of_another_authority_is_refused() {
    let redis = Redis::start_with_tls();
    let monitor = redis.monitor();
    let other = Pki::new();
    let refused = |error: StoreError| match error {
        StoreError::Setting(text) => {
            assert!(
                text.starts_with("no TLS with the server: invalid peer certificate"),
                "{text}"
            );
        }
        other => panic!("{other:?}"),
    };
    let named = builder(&redis).root_certificates_pem(other.authority());
    refused(named.connect().await.unwrap_err());
    refused(builder(&redis).connect().await.unwrap_err());
    let elsewhere = format!("rediss://127.0.0.2:{}", redis.port());
    let _ = redis.cli(&["CONFIG", "SET", "bind", "127.0.0.1 127.0.0.2 -::1"]);
    let elsewhere = RedisStore::builder(elsewhere)
        .credentials(Redis::USER, Redis::PASSWORD)
        .root_certificates_pem(redis.pki().authority());
    refused(elsewhere.connect().await.unwrap_err());

    let _ = redis.cli(&["ECHO", "the-end"]);
    let transcript = monitor.transcript("the-end").to_lowercase();
    assert!(!transcript.contains("hello"), "{transcript}");
}

/// A server that does not speak TLS is told apart from one that is not there, and hears no password.
#[tokio::test]
async fn a_server_without_tls_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("rediss://{}", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"-ERR Protocol error\r\n").unwrap();
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).unwrap();
        heard
    });
    let store = RedisStore::builder(url).credentials(Redis::USER, Redis::PASSWORD);
    assert_eq!(
        store.connect().await.unwrap_err(),
        StoreError::Setting(
            "no TLS with the server: received corrupt message of type InvalidContentType"
                .to_owned()
        )
    );
    let heard = server.join().unwrap();
    let password = Redis::PASSWORD.as_bytes();
    assert!(!heard.windows(password.len()).any(|part| part == password));
}

/// Wrong credentials, and none, are refused, and no error repeats them.
#[tokio::test]
async fn wrong_credentials_are_refused() {
    let redis = Redis::start();
    let url = redis.url();
    for (user, password) in [
        (Redis::USER, "wr0ng"),
        ("nobody", Redis::PASSWORD),
        ("default", Redis::PASSWORD),
    ] {
        let store = RedisStore::builder(&url).credentials(user, password);
        let error = store.connect().await.unwrap_err();
        assert_eq!(error, StoreError::Credentials);
        assert!(!format!("{error:?}{error}").contains(password));
    }
    assert_eq!(
        RedisStore::builder(&url).connect().await.unwrap_err(),
        StoreError::Credentials
    );
    let default = RedisStore::builder(&url).credentials("default", Redis::ADMIN_PASSWORD);
    default.connect().await.unwrap();
}

/// A password that is changed under a running program ends its connection for good, and says so.
#[tokio::test]
async fn a_password_that_was_changed() {
    let redis = Redis::start();
    let store = connect(&redis).await;
    let new = format!("resetpass >{}2", Redis::PASSWORD);
    let mut change = vec!["ACL", "SETUSER", Redis::USER];
    change.extend(new.split(' '));
    let _ = redis.cli(&change);
    let _ = redis.cli(&["CLIENT", "KILL", "USER", Redis::USER]);
    assert_eq!(
        store.load(&key()).await.unwrap_err(),
        StoreError::Credentials
    );
    let _ = redis.cli(&[
        "ACL",
        "SETUSER",
        Redis::USER,
        &format!(">{}", Redis::PASSWORD),
    ]);
    // It is not asked again at once.
    let name = key();
    once_it_is_back(async || match store.load(&name).await {
        Err(StoreError::Credentials) => Err(StoreError::Unavailable),
        other => other,
    })
    .await;
}

/// A user that may not use a prefix is a setting to be put right, and nothing was written.
#[tokio::test]
async fn a_permission_that_lacks() {
    let redis = Redis::start();
    let store = builder(&redis)
        .key_prefix("another")
        .connect()
        .await
        .unwrap();
    let name = key();
    let lacking = StoreError::Setting(
        "the user lacks a permission in Redis; RedisStore's documentation names all that it needs"
            .to_owned(),
    );
    assert_eq!(store.load(&name).await.unwrap_err(), lacking);
    assert_eq!(
        store.create(&name, record(b"x")).await.unwrap_err(),
        lacking
    );
    assert_eq!(redis.cli(&["DBSIZE"]).trim(), "0");
}

/// Neither the store nor an error shows the password.
#[tokio::test]
async fn debug_has_no_password() {
    let redis = Redis::start();
    let text = format!("{:?}", connect(&redis).await);
    assert!(!text.contains(Redis::PASSWORD), "{text}");
    assert!(text.contains("localhost"), "{text}");
}
