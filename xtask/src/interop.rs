//! The tests against servers that others wrote, and what the machine needs for them.

use crate::cargo;
use crate::run::{self, Outcome, minutes};

/// A program or library, how to see that it is there, and the Debian packages that bring it.
struct Need {
    name: &'static str,
    probe: (&'static str, &'static [&'static str]),
    packages: &'static [&'static str],
}

const NEEDS: &[Need] = &[
    Need {
        name: "a C compiler",
        probe: ("cc", &["--version"]),
        packages: &["build-essential"],
    },
    Need {
        name: "pkg-config",
        probe: ("pkg-config", &["--version"]),
        packages: &["pkg-config"],
    },
    Need {
        name: "OpenSSL's headers",
        probe: ("pkg-config", &["--exists", "openssl"]),
        packages: &["libssl-dev", "pkg-config"],
    },
    Need {
        name: "Node.js",
        probe: ("node", &["--version"]),
        packages: &["nodejs"],
    },
    Need {
        name: "npm",
        probe: ("npm", &["--version"]),
        packages: &["npm"],
    },
    Need {
        name: "Java",
        probe: ("java", &["-version"]),
        packages: &["default-jre-headless"],
    },
    Need {
        name: "Maven",
        probe: ("mvn", &["--version"]),
        packages: &["maven"],
    },
    Need {
        name: "Redis",
        probe: ("redis-server", &["--version"]),
        packages: &["redis-server"],
    },
    Need {
        name: "Chromium",
        probe: ("chromium", &["--version"]),
        packages: &["chromium"],
    },
    Need {
        name: "ChromeDriver",
        probe: ("chromedriver", &["--version"]),
        packages: &["chromium-driver"],
    },
    Need {
        name: "tmux",
        probe: ("tmux", &["-V"]),
        packages: &["tmux"],
    },
    Need {
        name: "D-Bus",
        probe: ("dbus-run-session", &["--version"]),
        packages: &["dbus"],
    },
    Need {
        name: "GNOME Keyring",
        probe: ("gnome-keyring-daemon", &["--version"]),
        packages: &["gnome-keyring"],
    },
    Need {
        name: "SoftHSM2",
        probe: ("softhsm2-util", &["--version"]),
        packages: &["softhsm2"],
    },
];

pub(crate) fn run() -> Outcome {
    prepare()?;
    tests()
}

/// Installs what is missing, where Debian's packages and the right to install them are there.
pub(crate) fn prepare() -> Outcome {
    let missing: Vec<&Need> = NEEDS.iter().filter(|need| !is_there(need)).collect();
    if missing.is_empty() {
        return Ok(String::from("nothing is missing"));
    }
    let names: Vec<&str> = missing.iter().map(|need| need.name).collect();
    let packages: Vec<&str> = missing
        .iter()
        .flat_map(|need| need.packages)
        .copied()
        .collect();
    println!("missing: {}", names.join(", "));
    if !run::answers("apt-get", &["--version"]) {
        return Err(format!("install {} and run this again", names.join(", ")));
    }
    run::show(apt(&["update"]), minutes(5))?;
    let install = ["install", "--yes", "--no-install-recommends"];
    run::show(apt(&[&install[..], &packages].concat()), minutes(10))?;
    match missing.iter().find(|need| !is_there(need)) {
        None => Ok(format!("installed: {}", packages.join(", "))),
        Some(need) => Err(format!("{} is still missing", need.name)),
    }
}

/// Runs the tests of `tests/interop`, which fetch and start the servers themselves.
pub(crate) fn tests() -> Outcome {
    let test = [
        "test",
        "--locked",
        "-p",
        "fapi-interop",
        "--",
        "--nocapture",
    ];
    let passed = cargo::tests(run::cargo(&test), 25)?;
    Ok(format!(
        "{passed} tests passed against servers that others wrote"
    ))
}

fn is_there(need: &Need) -> bool {
    run::answers(need.probe.0, need.probe.1)
}

fn apt(arguments: &[&str]) -> std::process::Command {
    let mut command = run::program("apt-get");
    command
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive");
    command
}
