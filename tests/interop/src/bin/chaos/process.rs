//! Processes of the test, from outside.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ExitStatus};

const SIGKILL: i32 = 9;

/// A process that runs until it is killed, and is killed when this is dropped.
pub(crate) struct Worker {
    number: u32,
    child: Child,
}

impl Worker {
    pub(crate) const fn new(number: u32, child: Child) -> Self {
        Self { number, child }
    }

    /// How it ended, if it has. Nobody has killed it so far.
    pub(crate) fn has_ended(&mut self) -> Option<String> {
        let status = self.child.try_wait().expect("a worker of ours");
        status.map(|status| self.told(status))
    }

    /// Ends it with SIGKILL, so that nothing is tidied up. Where it had ended by itself before: how.
    pub(crate) fn kill(mut self) -> Option<String> {
        self.child.kill().expect("a worker of ours");
        let status = self.child.wait().expect("a worker of ours");
        (status.signal() != Some(SIGKILL)).then(|| self.told(status))
    }

    fn told(&self, status: ExitStatus) -> String {
        format!("worker {}: {status}", self.number)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    fn worker(script: &str) -> Worker {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdin(Stdio::piped());
        Worker::new(7, command.spawn().unwrap())
    }

    /// One that runs has not ended, and is killed in silence.
    #[test]
    fn one_that_runs_is_killed() {
        let mut worker = worker("read never");
        assert_eq!(worker.has_ended(), None);
        assert_eq!(worker.kill(), None);
    }

    /// One that ends by itself, well or not, or by another's signal, is told of when it is looked at.
    #[test]
    fn one_that_ends_by_itself_is_told_of() {
        for (script, told) in [
            ("exit 0", "worker 7: exit status: 0"),
            ("exit 3", "worker 7: exit status: 3"),
            ("kill -TERM $$", "worker 7: signal: 15 (SIGTERM)"),
            ("kill -KILL $$", "worker 7: signal: 9 (SIGKILL)"),
        ] {
            let mut worker = worker(script);
            let ended = loop {
                if let Some(ended) = worker.has_ended() {
                    break ended;
                }
                std::thread::yield_now();
            };
            assert_eq!(ended, told);
        }
    }

    /// One that is killed too late is told of as well.
    #[cfg(target_os = "linux")]
    #[test]
    fn one_that_had_ended_is_told_of() {
        let worker = worker("exit 3");
        while std::fs::read_to_string(format!("/proc/{}/stat", worker.child.id()))
            .is_ok_and(|stat| !stat.contains(") Z "))
        {
            std::thread::yield_now();
        }
        assert_eq!(worker.kill().as_deref(), Some("worker 7: exit status: 3"));
    }
}
