use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::setup;

const LIMIT: Duration = Duration::from_secs(60);

/// A real terminal, as a person has it in front of them: `tmux` with one window. It ends with this value.
#[derive(Debug)]
pub struct Terminal {
    folder: PathBuf,
}

impl Terminal {
    /// Opens a terminal with a shell in a folder of its own.
    ///
    /// # Panics
    /// Where `tmux` is missing.
    #[must_use]
    pub fn open() -> Self {
        setup::demand("tmux", "-V", "tmux ", 3, "tmux");
        let terminal = Self {
            folder: setup::run_folder("terminal"),
        };
        let shell = "env PS1='$ ' sh";
        terminal.tmux(&["new-session", "-d", "-x", "180", "-y", "50", shell]);
        terminal
    }

    /// A folder for what the programs leave.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes a file into it, for its owner alone, and gives its name.
    #[must_use]
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let file = self.folder.join(name);
        fs::write(&file, text).expect("the folder of the run is ours");
        file
    }

    /// Types a line and presses Enter.
    pub fn type_line(&self, line: &str) {
        self.tmux(&["send-keys", "-l", line]);
        self.tmux(&["send-keys", "Enter"]);
    }

    /// Presses Ctrl-C.
    pub fn interrupt(&self) {
        self.tmux(&["send-keys", "C-c"]);
    }

    /// Clears the screen and what has left it.
    pub fn clear(&self) {
        self.tmux(&["send-keys", "-R"]);
        self.tmux(&["clear-history"]);
    }

    /// Runs a program to its end: what the screen shows, and the status.
    pub fn run(&self, line: impl fmt::Display) -> (String, i32) {
        self.start(line);
        self.ended()
    }

    /// Starts a program.
    pub fn start(&self, line: impl fmt::Display) {
        self.clear();
        self.type_line(&format!("{line}; echo \"ended: $?\""));
    }

    /// Waits for the end of the program: what the screen shows, and the status.
    #[must_use]
    pub fn ended(&self) -> (String, i32) {
        self.until(|screen| {
            let last = screen
                .lines()
                .find_map(|line| line.strip_prefix("ended: "))?;
            Some((screen.to_owned(), last.trim().parse().ok()?))
        })
    }

    /// Waits until the screen has something.
    pub fn until<T>(&self, found: impl Fn(&str) -> Option<T>) -> T {
        let end = Instant::now() + LIMIT;
        loop {
            let screen = self.screen();
            if let Some(found) = found(&screen) {
                return found;
            }
            assert!(Instant::now() < end, "it is not on the screen:\n{screen}");
            sleep(Duration::from_millis(50));
        }
    }

    /// What the screen shows, long lines whole.
    #[must_use]
    pub fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p", "-J", "-S", "-"])
    }

    fn tmux(&self, arguments: &[&str]) -> String {
        let output = Command::new("tmux")
            .arg("-S")
            .arg(self.folder.join("socket"))
            .args(arguments)
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .env_remove("TMUX")
            .output()
            .expect("tmux");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "tmux {arguments:?}: {errors}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = Command::new("tmux")
            .arg("-S")
            .arg(self.folder.join("socket"))
            .arg("kill-server")
            .stderr(Stdio::null())
            .status();
    }
}
