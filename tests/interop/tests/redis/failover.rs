//! Sessions of two processes while a replica takes the place of their Redis.

use fapi_client::store::RedisStore;
use fapi_interop::{Gateway, Redis};
use fapi_testkit::Endpoint;

use crate::program::{GRACES, Process, World};

/// A primary, its replica, and an address for both.
struct Pair {
    first: Redis,
    second: Redis,
    gateway: Gateway,
}

/// What becomes of the former primary.
const FATES: [fn(&mut Pair); 2] = [Pair::demote, |pair| pair.first.kill()];

impl Pair {
    async fn start() -> Self {
        let (first, second) = (Redis::start(), Redis::start());
        for server in [&first, &second] {
            let _ = server.cli(&["CONFIG", "SET", "masterauth", Redis::ADMIN_PASSWORD]);
            let _ = server.cli(&["CONFIG", "SET", "repl-diskless-sync-delay", "0"]);
        }
        let _ = second.cli(&["REPLICAOF", "127.0.0.1", &first.port().to_string()]);
        let gateway = Gateway::to(first.port()).await;
        Self {
            first,
            second,
            gateway,
        }
    }

    async fn connect(&self) -> RedisStore {
        RedisStore::builder(format!("redis://127.0.0.1:{}", self.gateway.port()))
            .credentials(Redis::USER, Redis::PASSWORD)
            .connect()
            .await
            .unwrap()
    }

    async fn two(&self, world: &World) -> (Process, Process) {
        world.two(self.connect().await, self.connect().await).await
    }

    /// The replica has all that the primary has.
    fn replicated(&self) {
        assert_eq!(self.first.cli(&["WAIT", "1", "20000"]).trim(), "1");
    }

    /// The replica hears no more of the primary, and may be written to.
    fn promote(&self) {
        let _ = self.second.cli(&["REPLICAOF", "NO", "ONE"]);
    }

    /// The former primary is the replica now.
    fn demote(&mut self) {
        let port = self.second.port().to_string();
        let _ = self.first.cli(&["REPLICAOF", "127.0.0.1", &port]);
    }

    /// Whoever comes from now on gets to the new primary.
    fn turn(&self) {
        self.gateway.lead_to(self.second.port());
    }
}

/// SES-2: a failover while one process refreshes and another waits for its turn: neither notices.
/// The lock goes on in the new primary, and the other one finds what was refreshed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_in_mid_refresh() {
    for grace in GRACES {
        for fate in FATES {
            let mut pair = Pair::start().await;
            let world = World::start(grace).await;
            let (a, b) = pair.two(&world).await;
            let hold = world.server.hold(Endpoint::Token);
            let refreshing = a.refreshing();
            world.server.wait_for(Endpoint::Token, 1).await;
            pair.replicated();
            let waiting = b.refreshing();
            pair.promote();
            pair.turn();
            fate(&mut pair);
            hold.release();
            refreshing.await.unwrap().unwrap();
            waiting.await.unwrap().unwrap();
            assert_eq!(world.refreshes(), 1);
            world.goes_on(&a, &b).await;
            world.each_once();
        }
    }
}

/// SES-3: the new primary lacks what was written last: the note that a refresh is under way, and
/// the lock. The answer is kept all the same, and the next process goes on from it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_that_lost_the_note() {
    for grace in GRACES {
        for fate in FATES {
            let mut pair = Pair::start().await;
            let world = World::start(grace).await;
            let (a, b) = pair.two(&world).await;
            pair.replicated();
            pair.promote();
            let hold = world.server.hold(Endpoint::Token);
            let refreshing = a.refreshing();
            world.server.wait_for(Endpoint::Token, 1).await;
            pair.turn();
            fate(&mut pair);
            hold.release();
            refreshing.await.unwrap().unwrap();
            world.works(&a).await;
            b.session.refresh().await.unwrap();
            assert_eq!(world.refreshes(), 1);
            world.goes_on(&a, &b).await;
            world.each_once();
        }
    }
}

/// SES-10, SP-5.3.2.1-9: the same, and another process gets the lock that was lost, with the same refresh token: within
/// the server's retry window both are answered alike, and nothing is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_that_lost_the_lock() {
    for fate in FATES {
        let mut pair = Pair::start().await;
        let world = World::start(GRACES[0]).await;
        let (a, b) = pair.two(&world).await;
        pair.replicated();
        pair.promote();
        let hold = world.server.hold(Endpoint::Token);
        let first = a.refreshing();
        world.server.wait_for(Endpoint::Token, 1).await;
        pair.turn();
        fate(&mut pair);
        let second = b.refreshing();
        world.server.wait_for(Endpoint::Token, 2).await;
        hold.release();
        first.await.unwrap().unwrap();
        second.await.unwrap().unwrap();
        let sent = world.refresh_tokens();
        assert_eq!(sent[0], sent[1]);
        for process in [&a, &b] {
            world.works(process).await;
        }
        world.goes_on(&a, &b).await;
    }
}
