//! The server process that is flooded, and what an attacker may know of it.

use super::attacker::Target;
use serde_json::Value;
use stafett_protocol::code::Code;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

pub struct Town {
    folder: tempfile::TempDir,
    stafettd: PathBuf,
    process: Child,
    schools: AtomicUsize,
}

impl Drop for Town {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn ask(stafettd: &Path, home: &Path, words: &[&str]) -> Value {
    let out = Command::new(stafettd).args(words).arg("--home").arg(home).arg("--json").output().expect("runs");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).expect("JSON")
}

impl Town {
    pub fn start(stafettd: &Path) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, number) in [("here", "3209"), ("there", "1106")] {
            ask(stafettd, &folder.path().join(name), &["init", "--number", number, "--name", name]);
        }
        // The other municipality is an attacker whom the operator has added.
        let peer = folder.path().join("there/peer.json");
        ask(stafettd, &folder.path().join("here"), &["peer", "add", peer.to_str().expect("a plain path")]);
        let mut process = Command::new(stafettd)
            .args(["serve", "--json", "--home"])
            .arg(folder.path().join("here"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("serves");
        let mut line = String::new();
        BufReader::new(process.stdout.take().expect("piped")).read_line(&mut line).expect("is ready");
        Self { folder, stafettd: stafettd.into(), process, schools: AtomicUsize::new(1) }
    }

    /// Its address and certificate, a leader's code, and the keys of the peer.
    pub fn target(&self) -> Target {
        let home = |name: &str| self.folder.path().join(name);
        // Each time another school: of two of one name nobody could tell which is meant.
        let name = format!("Skole {}", self.schools.fetch_add(1, Ordering::Relaxed));
        let added = ask(&self.stafettd, &home("here"), &["unit", "add", "--name", &name, "--kind", "school"]);
        let code = Code::from_text(added["leader_code"].as_str().expect("a code")).expect("a code");
        let read = |name: &str, file: &str| std::fs::read_to_string(home(name).join(file)).expect("is there");
        Target {
            address: code.url.trim_start_matches("https://").parse().expect("an address"),
            ca_pem: read("here", "ca.pem"),
            ticket: code.ticket,
            peer: stafett_server::certs::Authority {
                number: 1106,
                name: "there".into(),
                certificate_pem: read("there", "ca.pem"),
                key_pem: read("there", "ca.key"),
            },
        }
    }

    pub fn memory_mib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap_or_default();
        let line = status.lines().find(|l| l.starts_with("VmRSS"));
        line.and_then(|l| l.split_whitespace().nth(1)).and_then(|n| n.parse::<u64>().ok()).unwrap_or(0) / 1024
    }
}
