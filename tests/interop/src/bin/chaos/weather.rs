//! What goes wrong, at random and again from the same seed.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use fapi_interop::Redis;
use fapi_testkit::{Answer, Endpoint, TestServer};

use crate::plan::Plan;
use crate::process::Worker;

/// Numbers by chance, the same from the same seed (xorshift).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed ^ 0x9e37_79b9_7f4a_7c15)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap_or(0) % end.max(1)
    }

    fn millis(&mut self, from: usize, to: usize) -> Duration {
        Duration::from_millis(u64::try_from(from + self.below(to - from)).unwrap_or(0))
    }
}

/// What was seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    pub(crate) calls: u64,
    pub(crate) lost: Vec<String>,
    /// Workers that nobody killed, and how they ended.
    pub(crate) ended: Vec<String>,
    /// What workers that live have seen, by their number; then what is sure.
    running: BTreeMap<u32, BTreeMap<String, u64>>,
    weather: BTreeMap<&'static str, u64>,
}

impl Report {
    fn total(&self) -> BTreeMap<&str, u64> {
        let mut total = BTreeMap::new();
        for (name, count) in self.running.values().flatten() {
            *total.entry(name.as_str()).or_default() += count;
        }
        total
    }

    pub(crate) fn print(&self) {
        println!("weather: {:?}", self.weather);
        println!("workers saw: {:?}", self.total());
        for line in &self.lost {
            println!("lost on the way: {line}");
        }
        for line in &self.ended {
            println!("ended by itself: {line}");
        }
    }
}

pub(crate) struct Weather {
    server: TestServer,
    plan: Plan,
    /// The plan as workers read it.
    file: PathBuf,
    redis: Option<Redis>,
    dice: Dice,
    workers: Vec<Worker>,
    started: u32,
    report: Arc<Mutex<Report>>,
}

impl Weather {
    pub(crate) fn new(server: TestServer, plan: Plan, redis: Option<Redis>, seed: u64) -> Self {
        Self {
            file: plan.write(),
            server,
            plan,
            redis,
            dice: Dice::new(seed),
            workers: Vec::new(),
            started: 0,
            report: Arc::default(),
        }
    }

    pub(crate) fn start_workers(&mut self, count: usize) {
        for _ in 0..count {
            let worker = self.start_worker();
            self.workers.push(worker);
        }
    }

    fn start_worker(&mut self) -> Worker {
        self.started += 1;
        let number = self.started;
        let program = std::env::current_exe().expect("this program");
        let mut child = Command::new(program)
            .arg("worker")
            .arg(&self.file)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a worker");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let report = self.report.clone();
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let mut report = report.lock().expect("no panic inside");
                if let Some(lost) = line.strip_prefix("LOST ") {
                    report.lost.push(lost.to_owned());
                } else if let Some(seen) = line.strip_prefix("SEEN ") {
                    let counts = seen.split_whitespace().filter_map(|word| {
                        let (name, count) = word.split_once('=')?;
                        Some((name.to_owned(), count.parse().ok()?))
                    });
                    report.running.insert(number, counts.collect());
                }
            }
        });
        Worker::new(number, child)
    }

    /// A worker runs until it is killed: one that ended otherwise is a failure. Another takes its place.
    fn look_after_workers(&mut self) {
        for at in 0..self.workers.len() {
            if let Some(ended) = self.workers[at].has_ended() {
                self.report().ended.push(ended);
                self.workers[at] = self.start_worker();
            }
        }
    }

    fn report(&self) -> MutexGuard<'_, Report> {
        self.report.lock().expect("no panic inside")
    }

    fn count(&self, what: &'static str) {
        *self.report().weather.entry(what).or_default() += 1;
    }

    /// Something goes wrong, and then there is a pause.
    pub(crate) async fn tick(&mut self) {
        let token = Endpoint::Token;
        self.look_after_workers();
        match self.dice.below(100) {
            0..25 => {
                self.count("worker killed");
                let at = self.dice.below(self.workers.len());
                let next = self.start_worker();
                let killed = std::mem::replace(&mut self.workers[at], next).kill();
                self.report().ended.extend(killed);
            }
            25..50 => {
                self.count("answer dropped");
                self.server.answer_next(token, Answer::drop_connection());
            }
            50..65 => {
                self.count("request dropped");
                self.server.answer_next(token, Answer::refuse_connection());
            }
            65..80 => {
                self.count("answer delayed");
                let delay = self.dice.millis(200, 2500);
                self.server.answer_next(token, Answer::real().after(delay));
            }
            80..86 => {
                self.count("server busy");
                self.server.answer_next(token, Answer::status(503));
            }
            86..90 => {
                self.count("nonces forgotten");
                self.server.rotate_nonces();
            }
            90..94 => {
                self.count("access tokens revoked");
                self.server.revoke_access_tokens();
            }
            _ => self.restart_store(),
        }
        // The records of the test server would fill the memory.
        self.server.forget_requests();
        tokio::time::sleep(self.dice.millis(100, 500)).await;
    }

    fn restart_store(&mut self) {
        let Some(redis) = &mut self.redis else {
            return;
        };
        if self.dice.below(2) == 0 {
            redis.stop();
        } else {
            redis.kill();
        }
        redis.start_again();
        self.count("Redis restarted");
    }

    /// The sun comes out: workers end, the server behaves.
    pub(crate) async fn clear(&mut self) -> Report {
        self.server.behave();
        // Refreshes that are under way come to their end.
        tokio::time::sleep(Duration::from_secs(3)).await;
        for worker in std::mem::take(&mut self.workers) {
            let killed = worker.kill();
            self.report().ended.extend(killed);
        }
        let mut report = self.report().clone();
        report.calls = report.total().get("calls").copied().unwrap_or_default();
        report
    }
}

impl Drop for Weather {
    fn drop(&mut self) {
        self.workers.clear();
        self.plan.clean();
    }
}
