//! What is done in one step: scripts that run in the server, so that nothing comes between.

use std::sync::LazyLock;

use ::redis::{Cmd, cmd};

/// A script, by its text and the name that the server knows it by once it has seen it.
pub(super) struct Script {
    text: &'static str,
    name: LazyLock<String>,
}

macro_rules! scripts {
    ($($script:ident: $file:literal),* $(,)?) => {$(
        pub(super) static $script: Script = {
            const TEXT: &str = concat!(
                include_str!("scripts/common.lua"),
                include_str!(concat!("scripts/", $file)),
            );
            Script {
                text: TEXT,
                name: LazyLock::new(|| ::redis::Script::new(TEXT).get_hash().to_owned()),
            }
        };
    )*};
}

scripts! {
    WRITE: "write.lua",
    DELETE: "delete.lua",
    READ: "read.lua",
    PUT: "put.lua",
    OF: "of.lua",
    TAKE: "take.lua",
    ACQUIRE: "acquire.lua",
    RENEW: "renew.lua",
    RELEASE: "release.lua",
}

/// The keys and the arguments of a script.
pub(super) struct Call {
    keys: Vec<String>,
    arguments: Vec<Vec<u8>>,
}

impl Call {
    pub(super) fn new<const N: usize>(keys: [String; N]) -> Self {
        Self {
            keys: keys.into(),
            arguments: Vec::new(),
        }
    }

    pub(super) fn key(mut self, key: String) -> Self {
        self.keys.push(key);
        self
    }

    pub(super) fn argument(mut self, argument: impl Into<Vec<u8>>) -> Self {
        self.arguments.push(argument.into());
        self
    }
}

impl Script {
    /// By name: short, and unknown to a server that has started anew.
    pub(super) fn by_name(&self, call: &Call) -> Cmd {
        command("EVALSHA", &self.name, call)
    }

    /// With its text, which the server keeps.
    pub(super) fn in_full(&self, call: &Call) -> Cmd {
        command("EVAL", self.text, call)
    }
}

fn command(name: &str, script: &str, call: &Call) -> Cmd {
    let mut command = cmd(name);
    command.arg(script).arg(call.keys.len());
    command.arg(&call.keys).arg(&call.arguments);
    command
}
