//! Runs the real binary, as a person's device or as the server that it also carries.
#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use serde_json::Value;

pub const PASSPHRASE: &str = "en lang og god passfrase";

pub fn stafett() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stafett"));
    command
        .env("STAFETT_PASSPHRASE", PASSPHRASE)
        .env("STAFETT_LANG", "nb")
        // What is tested is what is said, not how busy this machine is.
        .env("STAFETT_PATIENCE", "60")
        .env_remove("STAFETT_HOME")
        .stdin(Stdio::null());
    command
}

/// Exit code and the one JSON value on stdout.
pub fn said(output: &Output) -> (i32, Value) {
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(text.lines().count(), 1, "{text}{}", String::from_utf8_lossy(&output.stderr));
    (output.status.code().unwrap(), serde_json::from_str(&text).expect("JSON"))
}

pub fn run(home: &Path, words: &[&str]) -> (i32, Value) {
    said(&stafett().arg("--json").arg("--home").arg(home).args(words).output().unwrap())
}

pub fn code(value: &Value) -> &str {
    value.pointer("/error/code").and_then(Value::as_str).unwrap_or_default()
}

pub fn text(value: &Value, key: &str) -> String {
    value.get(key).and_then(Value::as_str).unwrap_or_else(|| panic!("no {key} in {value}")).to_owned()
}

/// A server process, killed at the end of the test.
pub struct Server {
    pub home: PathBuf,
    child: Option<Child>,
}

impl Server {
    pub fn new(dir: &Path) -> Self {
        let server = Self { home: dir.join("server"), child: None };
        server.ask(&["init", "--number", "3209", "--name", "Ullensaker"]);
        server
    }

    pub fn ask(&self, words: &[&str]) -> Value {
        let output =
            stafett().arg("__server").args(words).arg("--home").arg(&self.home).arg("--json").output().unwrap();
        let (exit, value) = said(&output);
        assert_eq!(exit, 0, "{value}");
        value
    }

    pub fn start(&mut self) {
        let mut child = stafett()
            .args(["__server", "serve", "--json", "--home"])
            .arg(&self.home)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let first = lines(child.stdout.take().unwrap()).next().expect("a line");
        assert_eq!(first.get("ready"), Some(&Value::Bool(true)));
        self.child = Some(child);
    }

    /// It answers nothing until it may go on: connections are taken by the system, and nobody reads.
    pub fn freeze(&self, still: bool) {
        let process = self.child.as_ref().unwrap().id().to_string();
        let signal = if still { "-STOP" } else { "-CONT" };
        assert!(Command::new("kill").args([signal, &process]).status().unwrap().success());
    }

    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The values that a process prints, one a line.
pub fn lines(stdout: ChildStdout) -> impl Iterator<Item = Value> {
    BufReader::new(stdout).lines().map(|line| serde_json::from_str(&line.unwrap()).expect("JSON"))
}
