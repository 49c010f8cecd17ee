use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use crate::process::Process;
use crate::{Pki, setup};

const LIMIT: Duration = Duration::from_secs(20);

/// `redis-server`, with a user for programs and one for the tests, on the loopback interface. What it keeps
/// is written before it answers, so that it is there again after a restart and after [`Redis::kill`].
#[derive(Debug)]
pub struct Redis {
    process: Option<Process>,
    folder: PathBuf,
    port: u16,
    pki: Option<Pki>,
    runs: u32,
}

impl Redis {
    /// The user for programs. It may use the prefixes `fapi`, `app1` and `app2`, and has the permissions that
    /// `RedisStore` asks for, no more.
    pub const USER: &str = "app";
    /// The password of [`Redis::USER`].
    pub const PASSWORD: &str = "the-password-of-the-program";
    /// The password of the user `default`, who may do everything.
    pub const ADMIN_PASSWORD: &str = "the-password-of-the-tests";

    /// Starts a server without TLS.
    #[must_use]
    pub fn start() -> Self {
        Self::prepare(None, "")
    }

    /// Starts a server without TLS that is a cluster of one, and holds every slot.
    #[must_use]
    pub fn start_as_cluster() -> Self {
        let mut server = Self::prepare(None, "cluster-enabled yes\n");
        let _ = server.cli(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
        let mut process = server.process.take().expect("it runs");
        process.until(LIMIT, || {
            let state = server.try_cli(&["CLUSTER", "INFO"]);
            state.contains("cluster_state:ok").then_some(())
        });
        server.process = Some(process);
        server
    }

    /// Starts a server that speaks TLS alone, with a certificate of a [`Pki`] of its own.
    #[must_use]
    pub fn start_with_tls() -> Self {
        Self::prepare(Some(Pki::new()), "")
    }

    fn prepare(pki: Option<Pki>, settings: &str) -> Self {
        setup::demand(
            "redis-server",
            "--version",
            "v=",
            7,
            "redis-server 7 or newer",
        );
        let folder = setup::run_folder("redis");
        let port = free_port();
        fs::write(
            folder.join("redis.conf"),
            configuration(&folder, port, pki.as_ref()) + settings,
        )
        .expect("the folder of the run is ours");
        let mut server = Self {
            process: None,
            folder,
            port,
            pki,
            runs: 0,
        };
        server.start_again();
        server
    }

    /// Starts the server once more, after [`stop`](Self::stop) or [`kill`](Self::kill), and waits until it
    /// answers.
    pub fn start_again(&mut self) {
        self.runs += 1;
        let log = self.folder.join(format!("log-{}", self.runs));
        let mut command = Command::new("redis-server");
        command.arg(self.folder.join("redis.conf"));
        let mut process = Process::start(&mut command, &log);
        process.until(LIMIT, || {
            (self.try_cli(&["PING"]).trim() == "PONG").then_some(())
        });
        self.process = Some(process);
    }

    /// Lets the server end in good order, as a restart of its machine does.
    pub fn stop(&mut self) {
        self.try_cli(&["SHUTDOWN", "NOSAVE"]);
        if let Some(mut process) = self.process.take() {
            process.end(LIMIT);
        }
    }

    /// Ends the server with SIGKILL.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.pki.is_some() {
            "rediss"
        } else {
            "redis"
        };
        format!("{scheme}://localhost:{}", self.port)
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What to trust.
    #[must_use]
    pub fn pki(&self) -> &Pki {
        self.pki.as_ref().expect("a server with TLS")
    }

    /// Runs a command as the user of the tests, and gives the answer.
    #[must_use]
    pub fn cli(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let answer = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && !answer.contains("ERR"),
            "redis-cli {arguments:?}: {answer}{errors}"
        );
        answer
    }

    fn try_cli(&self, arguments: &[&str]) -> String {
        String::from_utf8_lossy(&self.run(arguments).stdout).into_owned()
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = self.client();
        command.args(arguments).stdin(Stdio::null());
        command.output().expect("redis-cli, which comes with Redis")
    }

    fn client(&self) -> Command {
        let mut command = Command::new("redis-cli");
        command
            .args(["-h", "localhost", "-p", &self.port.to_string()])
            .env("REDISCLI_AUTH", Self::ADMIN_PASSWORD);
        if self.pki.is_some() {
            command
                .arg("--tls")
                .arg("--cacert")
                .arg(self.folder.join("authority.pem"));
        }
        command
    }

    /// Everything that the server was ever told to keep, as it keeps it.
    #[must_use]
    pub fn kept(&self) -> Vec<u8> {
        let files = fs::read_dir(self.folder.join("appendonlydir")).expect("its files");
        let files = files.map(|file| file.expect("a file").path());
        files
            .flat_map(|file| fs::read(file).expect("a file of ours"))
            .collect()
    }

    /// Writes down every command that the server gets from now on.
    #[must_use]
    pub fn monitor(&self) -> Monitor {
        let log = self.folder.join("monitor");
        let mut command = self.client();
        let mut process = Process::start(command.arg("MONITOR"), &log);
        process.until(LIMIT, || {
            fs::read_to_string(&log)
                .is_ok_and(|text| text.contains("OK"))
                .then_some(())
        });
        Monitor { process, log }
    }
}

/// A transcript in the making.
#[derive(Debug)]
pub struct Monitor {
    process: Process,
    log: PathBuf,
}

impl Monitor {
    /// What the server got up to a command that holds `last`.
    #[must_use]
    pub fn transcript(mut self, last: &str) -> String {
        let log = self.log.clone();
        self.process.until(LIMIT, || {
            let text = fs::read_to_string(&log).ok()?;
            text.contains(last).then_some(text)
        })
    }
}

fn configuration(folder: &Path, port: u16, pki: Option<&Pki>) -> String {
    let ports = match pki {
        None => format!("port {port}\n"),
        Some(pki) => {
            let write = |name: &str, text: &str| {
                fs::write(folder.join(name), text).expect("the folder of the run is ours");
            };
            write("authority.pem", pki.authority());
            write("certificate.pem", pki.certificate());
            write("key.pem", pki.key());
            format!(
                "port 0\ntls-port {port}\ntls-auth-clients no\ntls-cert-file certificate.pem\n\
                 tls-key-file key.pem\ntls-ca-cert-file authority.pem\n"
            )
        }
    };
    format!(
        "bind 127.0.0.1 -::1\ndir {}\n{ports}appendonly yes\nappendfsync always\nsave \"\"\n\
         maxmemory-policy noeviction\nrequirepass {}\n\
         user {} on >{} ~{{fapi}}:* ~{{app1}}:* ~{{app2}}:* \
         +@read +@write +@scripting +@connection +time -@dangerous\n",
        folder.display(),
        Redis::ADMIN_PASSWORD,
        Redis::USER,
        Redis::PASSWORD,
    )
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its address").port()
}
