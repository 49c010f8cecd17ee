//! Where things are kept, and how they get there.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

/// The folder `interop` of the target directory that this program was built in.
pub(crate) fn cache() -> PathBuf {
    let program = std::env::current_exe().expect("the path of the test program");
    let target = program
        .ancestors()
        .skip(1)
        .find(|folder| folder.join("CACHEDIR.TAG").is_file())
        .expect("the test program lies in cargo's target directory");
    target.join("interop")
}

/// Installs something once for all test programs. `install` may find the leavings of a run that was
/// interrupted.
pub(crate) fn once(folder: &Path, install: impl FnOnce()) {
    fs::create_dir_all(cache()).expect("cache");
    let name = folder
        .file_name()
        .expect("a folder with a name")
        .to_string_lossy()
        .into_owned();
    let lock = File::create(cache().join(format!("{name}.lock"))).expect("a lock file");
    lock.lock().expect("the lock");
    let done = folder.join(".installed");
    if !done.is_file() {
        fs::create_dir_all(folder).expect("the folder to install to");
        install();
        fs::write(done, "").expect("the mark that it is installed");
    }
}

/// An empty folder for one run of a server. Those of earlier days go.
pub(crate) fn run_folder(server: &str) -> PathBuf {
    static RUNS: AtomicU32 = AtomicU32::new(0);
    let runs = cache().join("run");
    fs::create_dir_all(&runs).expect("the folder of the runs");
    for old in fs::read_dir(&runs)
        .expect("the folder of the runs")
        .flatten()
    {
        let age = old.metadata().and_then(|data| data.modified()).ok();
        let age = age.and_then(|then| SystemTime::now().duration_since(then).ok());
        if age.is_some_and(|age| age > Duration::from_secs(24 * 3600)) {
            let _ = fs::remove_dir_all(old.path());
        }
    }
    let number = RUNS.fetch_add(1, Ordering::Relaxed);
    let folder = runs.join(format!("{server}-{}-{number}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("the folder of the run");
    folder
}

/// Runs a command to its end, with its output in `log`.
pub(crate) fn run(command: &mut Command, log: &Path, limit: Duration) {
    let what = format!("{command:?}");
    let output = File::create(log).expect("a log");
    let mut child = command
        .stdin(Stdio::null())
        .stdout(output.try_clone().expect("a log"))
        .stderr(output)
        .spawn()
        .unwrap_or_else(|error| panic!("{what} did not start: {error}"));
    let end = Instant::now() + limit;
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child of ours") {
            break status;
        }
        if Instant::now() > end {
            let _ = child.kill();
            let _ = child.wait();
            panic!("{what} took longer than {limit:?}:\n{}", tail(log));
        }
        sleep(Duration::from_millis(50));
    };
    assert!(status.success(), "{what} failed, {status}:\n{}", tail(log));
}

/// The end of a log.
pub(crate) fn tail(log: &Path) -> String {
    let text = String::from_utf8_lossy(&fs::read(log).unwrap_or_default()).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(60)..].join("\n")
}

/// Demands a program and its lowest major version, which stands after `label` in what it says of
/// itself. Says what to install where it lacks.
pub(crate) fn demand(program: &str, argument: &str, label: &str, lowest: u32, package: &str) {
    let output = Command::new(program)
        .arg(argument)
        .stdin(Stdio::null())
        .output();
    let text = match output {
        Ok(output) => {
            String::from_utf8_lossy(&output.stdout).into_owned()
                + &String::from_utf8_lossy(&output.stderr)
        }
        Err(error) => panic!("interop tests need {package}: `{program}` did not start ({error})"),
    };
    let version = text.split_once(label).and_then(|(_, rest)| {
        rest.split(|c: char| !c.is_ascii_digit())
            .next()?
            .parse::<u32>()
            .ok()
    });
    assert!(
        version.is_some_and(|version| version >= lowest),
        "interop tests need {package}: `{program} {argument}` says {text:?}",
    );
}
