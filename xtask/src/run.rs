//! Running other programs: always with a time limit, and with the environment of a fresh shell.

use std::env;
use std::io::{BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// What a step says about itself: one line when it passed, its problems when it failed.
pub(crate) type Outcome = Result<String, String>;

/// Minutes as a limit.
pub(crate) const fn minutes(count: u64) -> Duration {
    Duration::from_secs(count * 60)
}

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_owned()
}

/// The target directory, where tools and copies are kept between runs.
pub(crate) fn target() -> PathBuf {
    root().join(env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

/// `cargo`, in the root of the repository.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = program("cargo");
    command.args(arguments);
    command
}

/// A program, in the root of the repository.
///
/// What `cargo run` has put into the environment of this process is taken out again: some build
/// scripts look at it, and would build their crates anew for nothing.
pub(crate) fn program(name: &str) -> Command {
    let mut command = Command::new(name);
    command.current_dir(root()).stdin(Stdio::null());
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_")
            || text.starts_with("CARGO_MANIFEST_")
            || matches!(
                &*text,
                "CARGO" | "LD_LIBRARY_PATH" | "DYLD_FALLBACK_LIBRARY_PATH"
            )
        {
            command.env_remove(&name);
        }
    }
    command
}

/// Runs a program whose output goes where ours goes.
pub(crate) fn show(mut command: Command, limit: Duration) -> Result<(), String> {
    announce(&command);
    let child = spawn(&mut command)?;
    wait(child, &command, limit)
}

/// Runs a program, shows what it prints, and returns its standard output.
pub(crate) fn tee(mut command: Command, limit: Duration) -> Result<String, String> {
    announce(&command);
    collect(&mut command, limit, true)
}

/// Runs a program quietly and returns its standard output.
pub(crate) fn read(mut command: Command, limit: Duration) -> Result<String, String> {
    collect(&mut command, limit, false)
}

/// Whether a program is there and answers.
pub(crate) fn answers(name: &str, arguments: &[&str]) -> bool {
    let mut command = program(name);
    command
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn announce(command: &Command) {
    println!("$ {}", display(command));
}

fn display(command: &Command) -> String {
    let mut text = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        text.push(' ');
        text.push_str(&argument.to_string_lossy());
    }
    text
}

fn spawn(command: &mut Command) -> Result<Child, String> {
    // A group of its own, so that a time limit ends what the program has started as well.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(command, 0);
    command
        .spawn()
        .map_err(|error| format!("`{}` did not start: {error}", display(command)))
}

fn collect(command: &mut Command, limit: Duration, echo: bool) -> Result<String, String> {
    command.stdout(Stdio::piped());
    let mut child = spawn(command)?;
    let reader = child
        .stdout
        .take()
        .map(|pipe| thread::spawn(move || drain(pipe, echo)));
    let outcome = wait(child, command, limit);
    let text = reader
        .and_then(|reader| reader.join().ok())
        .unwrap_or_default();
    outcome.map(|()| text)
}

fn drain(pipe: impl Read, echo: bool) -> String {
    let mut text = String::new();
    let mut lines = BufReader::new(pipe);
    let mut line = Vec::new();
    while lines
        .read_until(b'\n', &mut line)
        .is_ok_and(|count| count > 0)
    {
        let piece = String::from_utf8_lossy(&line);
        if echo {
            print!("{piece}");
        }
        text.push_str(&piece);
        line.clear();
    }
    text
}

fn wait(mut child: Child, command: &Command, limit: Duration) -> Result<(), String> {
    let end = Instant::now() + limit;
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) => return Err(format!("`{}` failed: {status}", display(command))),
            Ok(None) if Instant::now() < end => thread::sleep(Duration::from_millis(50)),
            Ok(None) => {
                end_group(&mut child);
                return Err(format!(
                    "`{}` took longer than {} s",
                    display(command),
                    limit.as_secs()
                ));
            }
            Err(error) => return Err(format!("`{}` was lost: {error}", display(command))),
        }
    }
}

fn end_group(child: &mut Child) {
    #[cfg(unix)]
    let _ = Command::new("kill")
        .args(["-KILL", "--", &format!("-{}", child.id())])
        .status();
    let _ = child.kill();
    let _ = child.wait();
}
