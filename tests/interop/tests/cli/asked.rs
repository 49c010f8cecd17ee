//! What the program prints for whom, and what it asks at the terminal.

use std::process::{Command, Stdio};

use fapi_testkit::{Endpoint, TestServer};
use serde_json::Value;

use crate::Cli;

/// Runs the program without a terminal of the test's: standard output, standard error and status.
fn run(words: &[&str]) -> (String, String, Option<i32>) {
    let output = Command::new(env!("CARGO_BIN_EXE_cli"))
        .args(words)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        text(output.stdout),
        text(output.stderr),
        output.status.code(),
    )
}

/// Help that is asked for is an answer, wherever the word stands; the usage after a mistake is none.
#[test]
fn help() {
    let lines: [&[&str]; 6] = [
        &["--help"],
        &["-h"],
        &["login", "--help"],
        &["call", "GET", "-h", "https://api.example"],
        &["--issuer", "--help"],
        &["--nonsense", "-h"],
    ];
    for words in lines {
        let (said, errors, status) = run(words);
        assert!(said.starts_with("usage: cli COMMAND [OPTIONS]\n"), "{said}");
        assert!(said.contains("-h, --help"), "{said}");
        assert_eq!((errors.as_str(), status), ("", Some(0)), "{words:?}");
    }
    for (words, problem) in [
        (&["--nonsense"][..], "unknown: --nonsense\n"),
        (&[], "which command?\n"),
        // The text of a body is no option.
        (&["dance", "--body", "--help"], "no such command: dance\n"),
    ] {
        let (said, errors, status) = run(words);
        assert_eq!((said.as_str(), status), ("", Some(2)), "{words:?}");
        assert!(errors.starts_with(problem), "{errors}");
        assert!(errors.contains("usage: cli COMMAND"), "{errors}");
    }
}

/// A new passphrase is asked for twice, since a slip would lock its user out; afterwards once. It is not
/// shown, and nothing goes out before it is right.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_passphrase_at_the_terminal() {
    let server = TestServer::start().await;
    let cli = Cli::new(&server.ca_pem());
    let ask = |command: &str, answers: &[(&str, &str)]| {
        let line = cli.bare_line(&format!("{command} --store file"));
        cli.terminal.start(line);
        for (prompt, answer) in answers {
            cli.terminal
                .until(|screen| screen.contains(prompt).then_some(()));
            cli.terminal.type_line(answer);
        }
        let (said, status) = cli.terminal.ended();
        for (_, answer) in answers {
            assert!(!said.contains(answer), "{said}");
        }
        (said, status)
    };
    let register = format!("register --issuer {}", server.issuer());
    let (new, again) = ("A new passphrase: ", "The same again: ");

    let (said, status) = ask(&register, &[(new, "tr0ub4dor"), (again, "tr0ub4dour")]);
    assert!(
        said.contains("the two passphrases differ, and none was taken"),
        "{said}"
    );
    assert_eq!(status, 1);
    let (names, _) = cli.kept();
    assert!(!names.iter().any(|name| name == "passphrase"), "{names:?}");
    assert_eq!(server.requests().len(), 0);

    let (said, status) = ask(&register, &[(new, "tr0ub4dor"), (again, "tr0ub4dor")]);
    assert!(said.contains("registered, as "), "{said}");
    assert_eq!(status, 0);
    cli.nothing_in_clear();

    server.forget_requests();
    let (said, status) = ask("status", &[("Passphrase: ", "tr0ub4dour")]);
    assert!(
        said.contains("the passphrase is not the one that this store was made with"),
        "{said}"
    );
    assert_eq!((status, server.requests().len()), (1, 0));
    let (said, status) = ask("status", &[("Passphrase: ", "tr0ub4dor")]);
    assert!(said.contains("nobody is logged in"), "{said}");
    assert!(!said.contains(again), "{said}");
    assert_eq!(status, 3);
}

/// Where nobody can be asked, the error names the option that does without.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_terminal_to_ask_at() {
    let server = TestServer::start().await;
    let cli = Cli::new(&server.ca_pem());
    let folder = cli.terminal.folder().join("state");
    // A session of its own has no terminal.
    let output = Command::new("setsid")
        .args(["--wait", env!("CARGO_BIN_EXE_cli"), "register", "--json"])
        .args(["--store", "file", "--issuer", server.issuer(), "--folder"])
        .arg(folder)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let error: Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(error["error"], "no_terminal");
    assert_eq!(
        error["message"],
        "there is no terminal to ask for the passphrase at: name a file with --passphrase-file"
    );
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(server.count(Endpoint::Registration), 0);
}

/// A passphrase file that can't be read is named, and so is what to do about it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_passphrase_file_that_can_not_be_read() {
    let server = TestServer::start().await;
    let cli = Cli::new(&server.ca_pem());
    let folder = cli.terminal.folder();
    let binary = folder.join("binary");
    std::fs::write(&binary, [0xFF, 0xFE, 0xFD]).unwrap();
    for (file, what_to_do) in [
        (folder.join("nowhere"), "name a file that is there"),
        (folder.to_owned(), "name a file, not a folder"),
        (binary, "name a file of text"),
    ] {
        let file = file.to_str().unwrap();
        let state = folder.join("state");
        let (said, errors, status) = run(&[
            "register",
            "--json",
            "--issuer",
            server.issuer(),
            "--store",
            "file",
            "--passphrase-file",
            file,
            "--folder",
            state.to_str().unwrap(),
        ]);
        let error: Value = serde_json::from_str(&errors).unwrap();
        assert_eq!(error["error"], "file", "{errors}");
        let message = error["message"].as_str().unwrap();
        assert!(message.starts_with(&format!("{file}: ")), "{message}");
        assert!(message.ends_with(&format!("; {what_to_do}")), "{message}");
        assert_eq!((said.as_str(), status), ("", Some(1)));
        let (names, _) = cli.kept();
        assert!(!names.iter().any(|name| name == "passphrase"), "{names:?}");
    }
    assert_eq!(server.requests().len(), 0);
}
