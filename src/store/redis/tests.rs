//! Settings that can't be right are refused before anything is sent. No server is asked here; those that
//! need one are in `tests/interop`.

use std::net::TcpListener;
use std::time::Duration;

use super::RedisStore;
use crate::error::StoreError;

async fn refusal(builder: super::RedisStoreBuilder) -> StoreError {
    builder.connect().await.unwrap_err()
}

fn setting(text: &str) -> StoreError {
    StoreError::Setting(text.to_owned())
}

/// Whatever is not on this machine is reached by TLS alone, and there is no switch. Nobody is
/// connected to.
#[tokio::test]
async fn plain_tcp_is_for_the_loopback_interface() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    for host in [
        "redis.example",
        "192.0.2.1",
        "0.0.0.0",
        "[::]",
        "[2001:db8::1]",
        "localhost.example",
        "127.0.0.1.example",
        "%6cocalhost",
    ] {
        let url = format!("redis://{host}:{port}");
        assert_eq!(
            refusal(RedisStore::builder(url)).await,
            setting(
                "redis:// is for 127.0.0.1, [::1] and localhost: turn on TLS in Redis and use rediss:// for any other host"
            ),
            "{host}"
        );
    }
    assert_eq!(
        listener.accept().unwrap_err().kind(),
        std::io::ErrorKind::WouldBlock
    );
}

/// A password in a URL is refused, and not repeated.
#[tokio::test]
async fn a_url_with_credentials_is_refused() {
    for url in [
        "rediss://app:s3cret@redis.example",
        "rediss://:s3cret@redis.example",
        "rediss://s3cret@redis.example",
        "redis://app:s3cret@localhost",
    ] {
        let builder = RedisStore::builder(url);
        assert!(!format!("{builder:?}").contains("s3cret"));
        assert_eq!(
            refusal(builder).await,
            setting("a URL with a password ends up in logs: call credentials() on the builder")
        );
    }
}

/// What is no URL of Redis, or switches something off, is refused.
#[tokio::test]
async fn other_urls_are_refused() {
    for url in [
        "",
        "redis.example",
        "http://redis.example",
        "unix:///run/redis.sock",
        "redis+unix:///run/redis.sock",
        "rediss://",
        "rediss:redis.example",
        "rediss://redis.example:99999",
        "rediss://redis.example/name",
        "rediss://redis.example/-1",
        "rediss://redis.example/#insecure",
        "rediss://redis.example/?protocol=resp3",
    ] {
        assert_eq!(
            refusal(RedisStore::builder(url)).await,
            setting("the URL of Redis is `rediss://host`, with `:port` and `/database` if need be"),
            "{url}"
        );
    }
}

/// A prefix that would leave its braces, or a time that leaves none, is refused.
#[tokio::test]
async fn prefixes_and_timeouts_are_checked() {
    for prefix in ["", "a b", "a}", "{", "ü", &"x".repeat(65)] {
        assert_eq!(
            refusal(RedisStore::builder("redis://localhost").key_prefix(prefix)).await,
            setting("the key prefix is 1 to 64 letters, digits, '-', '_' and '.'")
        );
    }
    let zero = Duration::ZERO;
    for builder in [
        RedisStore::builder("redis://localhost").timeout(zero),
        RedisStore::builder("redis://localhost").connect_timeout(zero),
    ] {
        assert_eq!(
            refusal(builder).await,
            setting("a timeout of 0 leaves no time for an answer")
        );
    }
}

/// A PEM without certificates is refused, and so is a host that no certificate can name.
#[tokio::test]
async fn roots_and_hosts_are_checked() {
    let url = "rediss://redis.example";
    assert_eq!(
        refusal(RedisStore::builder(url).root_certificates_pem("no PEM")).await,
        setting("the PEM of the root certificates has none")
    );
    assert_eq!(
        refusal(RedisStore::builder("rediss://a..b")).await,
        setting("the host is none that a certificate can name")
    );
}

/// `Debug` shows neither the user nor the password.
#[test]
fn debug_has_no_credentials() {
    let builder = RedisStore::builder("rediss://redis.example").credentials("us3r", "s3cret");
    let text = format!("{builder:?}");
    assert!(!text.contains("s3cret") && !text.contains("us3r"), "{text}");
}

/// Outside of a runtime there is no connection, and no panic.
#[test]
fn without_a_runtime() {
    let mut connecting = Box::pin(RedisStore::builder("redis://127.0.0.1:1").connect());
    let waker = std::task::Waker::noop();
    let polled = connecting
        .as_mut()
        .poll(&mut std::task::Context::from_waker(waker));
    match polled {
        std::task::Poll::Ready(answer) => assert_eq!(answer.unwrap_err(), StoreError::NoRuntime),
        std::task::Poll::Pending => panic!("it waits"),
    }
}
