//! The program itself.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fapi-backend"));
    command
        .args(arguments)
        .env_remove("FAPI_SEALING_KEY")
        .env_remove("FAPI_REDIS_PASSWORD");
    command
}

#[test]
fn help_is_offered() {
    let output = program(&["--help"]).output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("A web application on FAPI 2.0."));
}

#[test]
fn a_mistake_ends_it_with_a_reason() {
    let output = program(&["--demo", "--listen", "nowhere"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.starts_with("fapi-backend: "), "{text}");
}

/// One command, and there is something to click on.
#[test]
fn the_demo_starts() {
    let mut command = program(&["--demo", "--listen", "127.0.0.1:0"]);
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut running = Running(command.spawn().unwrap());
    let lines = BufReader::new(running.0.stdout.take().unwrap()).lines();
    let lines: Vec<String> = lines
        .map(Result::unwrap)
        .take_while(|line| !line.starts_with("Ctrl-C"))
        .collect();
    let address = lines[0].strip_prefix("The application  https://").unwrap();
    assert!(lines[1].starts_with("The test server  https://localhost:"));
    TcpStream::connect(address).unwrap();
}
