//! One device: a home, and `stafett` run on it.

use super::programs::programs;
use serde_json::Value;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// No command takes nearly so long, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);
pub const PASSPHRASE: &str = "Passord for historien";

/// What a run of the client came to.
#[derive(Debug)]
pub struct Ran {
    /// `None`: it was killed.
    pub exit: Option<i32>,
    /// The one JSON value on stdout; null where it was killed before.
    pub value: Value,
    pub stderr: String,
}

impl Ran {
    /// The stable code of a refusal.
    pub fn code(&self) -> &str {
        self.value.pointer("/error/code").and_then(Value::as_str).unwrap_or_default()
    }

    fn of(output: &Output) -> Self {
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.signal().is_some() {
            return Self { exit: None, value: Value::Null, stderr };
        }
        let said = String::from_utf8_lossy(&output.stdout);
        let value = serde_json::from_str(&said).unwrap_or_else(|e| panic!("no JSON ({e}): {said} {stderr}"));
        Self { exit: output.status.code(), value, stderr }
    }
}

/// The home of one device.
#[derive(Clone, Debug)]
pub struct Home {
    pub name: &'static str,
    pub dir: PathBuf,
}

impl Home {
    pub fn new(world: &Path, name: &'static str) -> Self {
        Self { name, dir: world.join("homes").join(name) }
    }

    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&programs().stafett);
        command.arg("--json").arg("--home").arg(&self.dir).args(words);
        // These stories say themselves when a device meets its server, by `sync`: what lies between is part of them.
        if !matches!(words, ["sync" | "join", ..] | ["device", "accept", ..]) {
            command.arg("--offline");
        }
        command.env("STAFETT_PASSPHRASE", PASSPHRASE).stdin(Stdio::null());
        command
    }

    /// Runs a command that may end in any way.
    pub fn run(&self, words: &[&str]) -> Ran {
        Self::end(self.begin(words))
    }

    /// Begins a command; [`Home::end`] says what came of it.
    pub fn begin(&self, words: &[&str]) -> Child {
        self.command(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Waits for its end; a command that finds none is killed, and the test with it.
    pub fn end(child: Child) -> Ran {
        let (ended, waits) = mpsc::channel::<()>();
        let process = child.id().to_string();
        let watch = std::thread::spawn(move || {
            let endless = waits.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout);
            if endless {
                Command::new("kill").args(["-KILL", &process]).status().unwrap();
            }
            endless
        });
        let output = child.wait_with_output().unwrap();
        drop(ended);
        assert!(!watch.join().unwrap(), "a command did not end within {PATIENCE:?}");
        Ran::of(&output)
    }

    /// Runs a command that must succeed.
    pub fn ok(&self, words: &[&str]) -> Value {
        let ran = self.run(words);
        assert_eq!(ran.exit, Some(0), "{} {words:?}: {} {}", self.name, ran.value, ran.stderr);
        ran.value
    }

    /// Runs a command that must be refused: its exit code and its stable code.
    pub fn refused(&self, words: &[&str], exit: i32, code: &str) {
        let ran = self.run(words);
        assert_eq!((ran.exit, ran.code()), (Some(exit), code), "{} {words:?}: {}", self.name, ran.value);
        for key in ["message", "hint"] {
            assert!(ran.value["error"][key].is_string(), "{} {words:?} has no {key}: {}", self.name, ran.value);
        }
    }
}
