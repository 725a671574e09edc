//! `stafettd` as a process: set up, started, drained, killed, started again on the same port.

use super::programs::programs;
use serde_json::Value;
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(5);

/// The server of one municipality; it is killed when this is dropped.
pub struct Server {
    pub home: PathBuf,
    /// Everything it printed, readiness and diagnostics, over all its lives.
    pub log: PathBuf,
    pub database: Option<String>,
    /// What `init` said.
    pub said: Value,
    child: Option<Child>,
}

impl Server {
    /// `stafettd init` in a folder under `dir`; SQLite where `database` is absent.
    pub fn init(dir: &Path, database: Option<&str>) -> Self {
        Self::init_as(dir, ("3209", "Ullensaker"), database)
    }

    /// Another municipality's: number and name.
    pub fn init_as(dir: &Path, (number, name): (&str, &str), database: Option<&str>) -> Self {
        let (home, log) = (dir.join("server"), dir.join("server-output"));
        fs::create_dir_all(&log).unwrap();
        let database = database.map(str::to_owned);
        let mut server =
            Self { home, log: log.join("log"), database: database.clone(), said: Value::Null, child: None };
        let mut words = vec!["init", "--number", number, "--name", name];
        words.extend(database.iter().flat_map(|url| ["--database", url.as_str()]));
        server.said = server.ask(&words);
        server
    }

    /// One of the server's own commands, also while it serves.
    pub fn ask(&self, words: &[&str]) -> Value {
        let output = self.command(words).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "stafettd {words:?}: {said} {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_str(&said).unwrap_or_else(|e| panic!("stafettd {words:?} is no JSON: {e}: {said}"))
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&programs().stafettd);
        command.args(words).arg("--home").arg(&self.home).arg("--json").stdin(Stdio::null());
        // As talkative as it can be: the log is searched at the end.
        command.env("STAFETT_LOG", "debug");
        // Opens the backups that a story makes.
        command.env("STAFETT_BACKUP_PASSPHRASE", "for-this-test-only");
        command
    }

    /// Both operators add the other's peer file, and ask until both running servers have noticed.
    pub fn peer_with(&self, other: &Self) {
        for (one, two) in [(self, other), (other, self)] {
            let file = two.home.join("peer.json");
            one.ask(&["peer", "add", file.to_str().unwrap()]);
        }
        let begun = Instant::now();
        for server in [self, other] {
            while !server.command(&["peer", "check"]).output().unwrap().status.success() {
                assert!(begun.elapsed() < PATIENCE, "the servers do not notice each other");
                sleep(Duration::from_millis(100));
            }
        }
    }

    /// Serves from now on; back when it says that it is ready. Its port may be taken for a moment by some outgoing
    /// connection of the machine, so a failed start is tried again.
    pub fn start(&mut self) {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if self.try_start(begun) {
                return;
            }
            sleep(Duration::from_millis(100));
        }
        panic!("the server does not start: {}", self.printed(0));
    }

    fn try_start(&mut self, begun: Instant) -> bool {
        let log = OpenOptions::new().create(true).append(true).open(&self.log).unwrap();
        let from = log.metadata().unwrap().len();
        let mut child = self.command(&["serve"]).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        while begun.elapsed() < PATIENCE {
            if self.printed(from).contains("\"ready\":true") {
                self.child = Some(child);
                return true;
            }
            if child.try_wait().unwrap().is_some() {
                return false;
            }
            sleep(LOOK);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        false
    }

    /// What it printed from a place on.
    pub fn printed(&self, from: u64) -> String {
        let bytes = fs::read(&self.log).unwrap();
        String::from_utf8_lossy(&bytes[from as usize..]).into_owned()
    }

    /// kill -9.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// SIGTERM: drains and ends by itself, with exit code 0.
    pub fn stop(&mut self) {
        let mut child = self.child.take().expect("the server runs");
        terminate(&child);
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE && child.try_wait().unwrap().is_none() {
            sleep(LOOK);
        }
        // Nothing happens to a server that has ended.
        child.kill().unwrap();
        let status = child.wait().unwrap();
        assert!(status.success(), "SIGTERM ends the server with {status}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// SIGTERM to one process that we started.
pub fn terminate(child: &Child) {
    let status = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(status.success());
}
