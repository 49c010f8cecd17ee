use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::setup::tail;

/// A server that ends when this value is dropped, and also when the test program ends in another
/// way: with a panic, with a signal, or as the owner of a `static`, which is never dropped.
#[derive(Debug)]
pub(crate) struct Process {
    server: Child,
    guard: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a server with its output in `log`.
    pub(crate) fn start(command: &mut Command, log: &Path) -> Self {
        let output = File::create(log).expect("a log");
        let server = command
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("a log"))
            .stderr(output)
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?} did not start: {error}"));
        // We alone hold the other end of the guard's standard input: it closes when we are gone.
        let guard = Command::new("sh")
            .args(["-c", "cat; kill -9 \"$0\""])
            .arg(server.id().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("sh");
        Self {
            server,
            guard,
            log: log.to_owned(),
        }
    }

    /// Waits until `ready` gives something.
    pub(crate) fn until<T>(&mut self, limit: Duration, ready: impl Fn() -> Option<T>) -> T {
        let end = Instant::now() + limit;
        loop {
            if let Some(value) = ready() {
                return value;
            }
            if let Some(status) = self.server.try_wait().expect("a child of ours") {
                panic!("the server ended, {status}:\n{}", tail(&self.log));
            }
            assert!(
                Instant::now() < end,
                "the server was not ready in {limit:?}:\n{}",
                tail(&self.log)
            );
            sleep(Duration::from_millis(100));
        }
    }

    /// Waits until the program has ended.
    pub(crate) fn end(&mut self, limit: Duration) -> ExitStatus {
        let end = Instant::now() + limit;
        loop {
            if let Some(status) = self.server.try_wait().expect("a child of ours") {
                return status;
            }
            assert!(
                Instant::now() < end,
                "the program did not end in {limit:?}:\n{}",
                tail(&self.log)
            );
            sleep(Duration::from_millis(20));
        }
    }

    /// Where everything that is written goes.
    pub(crate) fn output(&self) -> &Path {
        &self.log
    }

    /// What the server wrote last.
    pub(crate) fn log(&self) -> String {
        tail(&self.log)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The guard first: once the server has been waited for, its number may be another's.
        for child in [&mut self.guard, &mut self.server] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
