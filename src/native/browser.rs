//! Starting the user's own browser (RFC 8252 section 4).

use std::process::{Command, Stdio};

use url::Url;

use crate::error::NativeError;

/// Opens an https URL in the user's browser (RFC 8252 section 4: never in a view of the program's own).
///
/// On Unix the environment variable `BROWSER` goes first: commands with a colon between them, `%s` for the
/// URL. Else it is the browser that the system would take. No shell sees the URL, and the
/// browser lives on when the program ends. That one started does not mean that the user sees it: show
/// the URL as well.
///
/// It may take a quarter of a second, in which the thread waits.
///
/// # Errors
/// [`NativeError::BrowserUrl`] for any other URL than https; [`NativeError::NoBrowser`].
pub fn open_browser(url: &Url) -> Result<(), NativeError> {
    let named = if cfg!(unix) {
        std::env::var("BROWSER").unwrap_or_default()
    } else {
        String::new()
    };
    open_with(&named, url, |url| open::that_detached(url.as_str()).is_ok())
}

fn open_with(named: &str, url: &Url, system: impl FnOnce(&Url) -> bool) -> Result<(), NativeError> {
    // A file, or a program's own scheme, is not for a server to choose.
    if url.scheme() != "https" || !url.has_host() {
        return Err(NativeError::BrowserUrl);
    }
    let started = named
        .split(':')
        .filter_map(|command| command_line(command, url.as_str()))
        .any(start);
    if started || system(url) {
        Ok(())
    } else {
        Err(NativeError::NoBrowser)
    }
}

/// One entry of `BROWSER`. Each word is an argument by itself, and so is the URL.
fn command_line(entry: &str, url: &str) -> Option<Command> {
    let mut words = entry.split_whitespace();
    let mut command = Command::new(words.next()?);
    let mut named = false;
    for word in words {
        named |= word.contains("%s");
        command.arg(word.replace("%s", url));
    }
    if !named {
        command.arg(url);
    }
    Some(command)
}

/// Whether it could be started.
fn start(mut command: Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    #[cfg(unix)]
    {
        use std::os::unix::process::CommandExt;
        // Ctrl-C in the terminal is for the program, not for its browser.
        command.process_group(0);
    }
    match command.spawn() {
        Ok(mut child) => {
            // Somebody has to wait for it, or it stays in the table of processes when it has ended.
            drop(std::thread::Builder::new().spawn(move || child.wait()));
            true
        }
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(entry: &str, url: &str) -> Option<Vec<String>> {
        let command = command_line(entry, url)?;
        let program = std::iter::once(command.get_program());
        let words = program.chain(command.get_args());
        Some(
            words
                .map(|word| word.to_string_lossy().into_owned())
                .collect(),
        )
    }

    /// No shell: what is special there is an argument here.
    #[test]
    fn an_entry_of_browser() {
        let url = "https://as.example/?a=$(id)&b=;x";
        for (entry, expected) in [
            ("firefox", vec!["firefox", url]),
            ("firefox -P work", vec!["firefox", "-P", "work", url]),
            (
                "open --url=%s -n",
                vec!["open", "--url=https://as.example/?a=$(id)&b=;x", "-n"],
            ),
        ] {
            assert_eq!(words(entry, url).unwrap(), expected);
        }
        assert_eq!(words("", url), None);
        assert_eq!(words("  ", url), None);
    }

    #[test]
    fn only_https_is_opened() {
        for url in [
            "http://as.example/",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "ms-settings:x",
        ] {
            let url = Url::parse(url).unwrap();
            let opened = open_with("true", &url, |_| panic!("opened"));
            assert_eq!(opened, Err(NativeError::BrowserUrl), "{url}");
        }
    }

    #[test]
    fn the_system_is_asked_where_no_named_browser_starts() {
        let url = Url::parse("https://as.example/").unwrap();
        for named in ["", ":", "/nonexistent/browser:/nonexistent/other -x"] {
            let mut asked = 0;
            let opened = open_with(named, &url, |_| {
                asked += 1;
                false
            });
            assert_eq!((opened, asked), (Err(NativeError::NoBrowser), 1), "{named}");
            assert_eq!(open_with(named, &url, |_| true), Ok(()));
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_named_browser_gets_the_url() {
        use std::os::unix::fs::PermissionsExt;
        let folder = std::env::temp_dir().join(format!("fapi-browser-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (script, seen) = (folder.join("browser"), folder.join("seen"));
        let text = format!(
            "#!/bin/sh\nprintf %s \"$1\" > {0}.new\nmv {0}.new {0}\n",
            seen.display()
        );
        std::fs::write(&script, text).unwrap();
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o700)).unwrap();
        let url =
            Url::parse("https://as.example/authorize?client_id=a&request_uri=urn%3Ab").unwrap();
        let named = format!("/nonexistent/browser:{}", script.display());
        assert_eq!(
            open_with(&named, &url, |_| panic!("asked the system")),
            Ok(())
        );
        let mut text = std::fs::read_to_string(&seen);
        for _ in 0..500 {
            if text.is_ok() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
            text = std::fs::read_to_string(&seen);
        }
        assert_eq!(text.unwrap(), url.as_str());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
