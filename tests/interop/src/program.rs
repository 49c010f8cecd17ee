use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::process::Process;
use crate::setup;

/// A program that logs a user in, run as its own process. It ends with the test program at the latest.
#[derive(Debug)]
pub struct Program {
    command: Command,
    folder: PathBuf,
}

impl Program {
    /// A program that is about to run in a folder of its own.
    #[must_use]
    pub fn new(path: impl AsRef<OsStr>) -> Self {
        let folder = setup::run_folder("program");
        let mut command = Command::new(path);
        command.current_dir(&folder);
        Self { command, folder }
    }

    /// Adds an option and its value.
    #[must_use]
    pub fn option(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.arg(name).arg(value);
        self
    }

    /// Adds an option whose value is the name of a file with this text.
    #[must_use]
    pub fn file(self, name: &str, text: &str) -> Self {
        let file = self.folder.join(name.trim_start_matches('-'));
        fs::write(&file, text).expect("the folder of the run is ours");
        self.option(name, file)
    }

    /// Starts it.
    #[must_use]
    pub fn start(mut self) -> Running {
        let log = self.folder.join("log");
        Running(Process::start(&mut self.command, &log))
    }
}

/// A program that runs.
#[derive(Debug)]
pub struct Running(Process);

impl Running {
    /// Waits for a line that begins with `label`, and gives the rest of it.
    pub fn line(&mut self, label: &str) -> String {
        let log = self.0.output().to_owned();
        self.0.until(Duration::from_secs(60), || {
            let output = fs::read_to_string(&log).ok()?;
            let (lines, _) = output.rsplit_once('\n')?;
            let found = lines
                .lines()
                .find_map(|line| line.trim_start().strip_prefix(label));
            found.map(str::to_owned)
        })
    }

    /// Waits until it has ended well, and gives all that it wrote.
    #[must_use]
    pub fn end(mut self) -> String {
        let status = self.0.end(Duration::from_secs(60));
        let output = fs::read_to_string(self.0.output()).expect("its output");
        assert!(status.success(), "it ended with {status}:\n{output}");
        output
    }
}
