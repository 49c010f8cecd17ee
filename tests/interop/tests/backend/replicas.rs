//! Two replicas behind one origin, over one Redis.

use std::time::{Duration, Instant};

use fapi_backend::settings::{Settings, Store};
use fapi_client::store::SealingKey;
use fapi_client::{KeySet, SoftwareKey};
use fapi_interop::Redis;
use fapi_testkit::{Endpoint, Registration, TestServer};
use reqwest::StatusCode;
use zeroize::Zeroizing;

use crate::visitor::{Visitor, base_url, http, serve};

const CLIENT_ID: &str = "backend";

struct World {
    redis: Redis,
    server: TestServer,
    key: KeySet,
}

impl World {
    async fn new() -> Self {
        let (redis, server) = (Redis::start(), TestServer::start().await);
        let key = KeySet::new(SoftwareKey::generate_es256().unwrap());
        server.register(
            Registration::new(CLIENT_ID)
                .jwks(key.jwks())
                .redirect_uri(&base_url().page("/callback"))
                .post_logout_redirect_uri(&base_url().page("/signed-out")),
        );
        Self { redis, server, key }
    }

    /// A replica with these keys; the first one seals.
    async fn replica(&self, sealing_keys: &[&SealingKey]) -> String {
        let settings = Settings {
            issuer: self.server.issuer().to_owned(),
            client_id: CLIENT_ID.to_owned(),
            key: self.key.clone(),
            base_url: base_url(),
            scope: "openid accounts".to_owned(),
            api: Some(format!("{}/accounts", self.server.api())),
            ca_pem: Some(self.server.ca_pem()),
            store: Store::Redis {
                url: self.redis.url(),
                user: Redis::USER.to_owned(),
                password: Some(Zeroizing::new(Redis::PASSWORD.to_owned())),
            },
            sealing_keys: sealing_keys.iter().map(|key| (*key).clone()).collect(),
        };
        serve(settings).await
    }

    fn visitor(&self, replica: &str) -> Visitor {
        Visitor::new(&http(&self.server.ca_pem()), replica)
    }
}

async fn title(visitor: &mut Visitor, replica: &str) -> String {
    replica.clone_into(&mut visitor.replica);
    visitor.open("/").await.title().to_owned()
}

/// A login begun at the first replica is finished at the second; both know the session, the forms of one are
/// good at the other, and a logout at one is a logout at both. So is one that the server tells of.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_may_lead_anywhere() {
    let world = World::new().await;
    let sealing = SealingKey::generate("k1").unwrap();
    let first = world.replica(&[&sealing]).await;
    let second = world.replica(&[&sealing]).await;

    let mut alice = world.visitor(&first);
    let url = alice.begin_login().await;
    let callback = world.server.browser("alice").approve(&url).await;
    alice.replica.clone_from(&second);
    assert_eq!(alice.open(&callback).await.location(), "/");
    alice.replica.clone_from(&first);
    let again = alice.open(&callback).await;
    assert_eq!(again.status, StatusCode::BAD_REQUEST, "taken once, of all");

    for replica in [&first, &second] {
        assert_eq!(title(&mut alice, replica).await, "You are logged in");
    }
    // The token is of the second one's page.
    alice.replica.clone_from(&first);
    assert_eq!(alice.press("/accounts").await.title(), "Your accounts");

    let mut elsewhere = world.visitor(&second);
    let url = elsewhere.begin_login().await;
    let callback = world.server.browser("alice").approve(&url).await;
    elsewhere.replica.clone_from(&first);
    elsewhere.open(&callback).await.location();
    let home = elsewhere.open("/").await;
    assert_eq!(home.body.matches("<li>").count(), 2);

    alice.replica.clone_from(&first);
    let mut copied = alice.clone();
    let page = alice.press("/logout").await;
    assert!(page.location().starts_with(world.server.issuer()));
    assert!(page.cookie("__Host-session").unwrap().contains("Max-Age=0"));
    assert_eq!(world.server.count(Endpoint::Revocation), 1);
    for replica in [&first, &second] {
        let found = title(&mut copied.clone(), replica).await;
        assert_eq!(found, "Your accounts in one place");
        assert_eq!(title(&mut elsewhere, replica).await, "You are logged in");
    }
    copied.replica.clone_from(&second);
    let page = copied.press("/accounts").await;
    assert_eq!(page.status, StatusCode::UNAUTHORIZED);

    let token = world.server.logout_token(CLIENT_ID, Some("alice"), None);
    let form = format!("logout_token={token}");
    let mut server = world.visitor(&second);
    let told = server.post("/backchannel-logout", &[], &form).await;
    assert_eq!(told.status, StatusCode::OK);
    for replica in [&first, &second] {
        let found = title(&mut elsewhere.clone(), replica).await;
        assert_eq!(found, "Your accounts in one place");
    }
    server.replica.clone_from(&first);
    let told = server.post("/backchannel-logout", &[], &form).await;
    assert_eq!(told.status, StatusCode::BAD_REQUEST, "once, of all");
    assert_eq!(told.header("cache-control"), "no-store");
}

/// Sealing keys change while users stay: what the former key sealed, in Redis and in cookies, is still opened.
/// Under a key of its own alone, a replica knows nobody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sealing_keys_change() {
    let world = World::new().await;
    let [old, new] = ["old", "new"].map(|id| SealingKey::generate(id).unwrap());
    let before = world.replica(&[&old]).await;
    let after = world.replica(&[&new, &old]).await;
    let foreign = world.replica(&[&new]).await;

    let mut alice = world.visitor(&before);
    let url = alice.begin_login().await;
    let callback = world.server.browser("alice").approve(&url).await;
    alice.open(&callback).await.location();
    assert_eq!(title(&mut alice, &after).await, "You are logged in");
    assert_eq!(alice.press("/accounts").await.title(), "Your accounts");
    let found = title(&mut alice.clone(), &foreign).await;
    assert_eq!(found, "Your accounts in one place");
}

/// Without Redis nobody is logged out: the page says to come back, and the session is there again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_goes_and_comes() {
    let mut world = World::new().await;
    let sealing = SealingKey::generate("k1").unwrap();
    let replica = world.replica(&[&sealing]).await;
    let mut alice = world.visitor(&replica);
    let url = alice.begin_login().await;
    let callback = world.server.browser("alice").approve(&url).await;
    alice.open(&callback).await.location();
    assert_eq!(alice.open("/healthz").await.status, StatusCode::OK);

    world.redis.stop();
    let health = alice.open("/healthz").await;
    assert_eq!(health.status, StatusCode::SERVICE_UNAVAILABLE);
    let page = alice.open("/").await;
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(page.title(), "We have a problem");
    assert!(alice.cookies.contains_key("__Host-session"));

    world.redis.start_again();
    // After a failure the store rests for a moment before it connects again.
    let end = Instant::now() + Duration::from_secs(20);
    while alice.open("/healthz").await.status != StatusCode::OK {
        assert!(Instant::now() < end, "the store did not come back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(title(&mut alice, &replica).await, "You are logged in");
}
