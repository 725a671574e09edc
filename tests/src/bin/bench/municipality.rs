//! A municipality of the bench: a real server process.

use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

pub struct Municipality {
    home: PathBuf,
    process: Child,
}

impl Drop for Municipality {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn stafettd() -> PathBuf {
    let own = std::env::current_exe().expect("has a path");
    let beside = own.with_file_name("stafettd");
    assert!(beside.exists(), "build the server first: cargo build --release --bin stafettd");
    beside
}

fn run(home: &Path, words: &[&str]) -> Output {
    Command::new(stafettd()).args(words).arg("--home").arg(home).arg("--json").output().expect("runs")
}

fn ask(home: &Path, words: &[&str]) -> Value {
    let out = run(home, words);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice::<Value>(&out.stdout).expect("JSON")
}

impl Municipality {
    pub fn start(home: PathBuf, number: &str, name: &str) -> Self {
        ask(&home, &["init", "--number", number, "--name", name]);
        let mut process = Command::new(stafettd())
            .args(["serve", "--json", "--home"])
            .arg(&home)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("serves");
        let mut line = String::new();
        BufReader::new(process.stdout.take().expect("piped")).read_line(&mut line).expect("is ready");
        Self { home, process }
    }

    /// A new unit's id, and its leader's code.
    pub fn unit(&self, name: &str, kind: &str) -> (String, String) {
        let added = ask(&self.home, &["unit", "add", "--name", name, "--kind", kind]);
        let text = |key: &str| added[key].as_str().expect("a text").to_owned();
        (text("unit"), text("leader_code"))
    }

    /// Each adds the other's peer file; both running servers have noticed.
    pub fn peer_with(&self, other: &Self) {
        for (at, file) in [(self, other), (other, self)] {
            ask(&at.home, &["peer", "add", file.home.join("peer.json").to_str().expect("a plain path")]);
        }
        for at in [self, other] {
            while !run(&at.home, &["peer", "check"]).status.success() {
                std::thread::sleep(std::time::Duration::from_millis(100));
            }
        }
    }

    pub fn memory_kb(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap_or_default();
        let line = status.lines().find(|l| l.starts_with("VmRSS"));
        line.and_then(|l| l.split_whitespace().nth(1)).and_then(|n| n.parse().ok()).unwrap_or(0)
    }

    pub fn disk_kb(&self) -> u64 {
        let files = std::fs::read_dir(&self.home).expect("a folder");
        files.flatten().filter_map(|f| f.metadata().ok()).map(|m| m.len()).sum::<u64>() / 1024
    }
}
