//! A town for the bench: a real server process, and people whose homes are real ones.

use crate::prose;
use serde_json::Value;
use stafett_cli::home::Home;
use stafett_cli::live::Live;
use stafett_cli::recording::Recording;
use stafett_cli::session::Session;
use stafett_client_core::client::input::{Command as Wish, Invitation, NewMeasure};
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

pub struct Town {
    dir: tempfile::TempDir,
    server: Child,
    people: BTreeMap<String, Session>,
    pub concern: String,
}

impl Drop for Town {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

pub fn measure(concern: &str, i: u64) -> Wish {
    let measure = NewMeasure { text: prose::text(i), responsible: Some("family".into()), ..NewMeasure::default() };
    Wish::MeasureAdd { concern: concern.into(), measure }
}

fn count(show: &Value) -> usize {
    show["measures"].as_array().map_or(0, Vec::len)
}

pub async fn measures(live: &mut Live, concern: &str) -> usize {
    count(&live.perform(Wish::ConcernShow { concern: concern.into() }).await.expect("is shown"))
}

pub async fn measures_of(session: &mut Session, concern: &str) -> usize {
    count(&session.perform(Wish::ConcernShow { concern: concern.into() }).await.expect("is shown"))
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_else(|| panic!("no {key} in {value}")).to_owned()
}

fn stafettd() -> PathBuf {
    let own = std::env::current_exe().expect("has a path");
    let beside = own.with_file_name("stafettd");
    assert!(beside.exists(), "build the server first: cargo build --release --bin stafettd");
    beside
}

impl Town {
    pub async fn found() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let home = dir.path().join("server");
        let run = |words: &[&str]| {
            let out =
                Command::new(stafettd()).args(words).arg("--home").arg(&home).arg("--json").output().expect("runs");
            assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
            serde_json::from_slice::<Value>(&out.stdout).expect("JSON")
        };
        run(&["init", "--number", "3209", "--name", "Ullensaker"]);
        let mut server = Command::new(stafettd())
            .args(["serve", "--json", "--home"])
            .arg(&home)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("serves");
        let mut line = String::new();
        BufReader::new(server.stdout.take().expect("piped")).read_line(&mut line).expect("is ready");
        let code = text(&run(&["unit", "add", "--name", "Solvang skole", "--kind", "school"]), "leader_code");
        let mut town = Self { dir, server, people: BTreeMap::new(), concern: String::new() };
        town.join("leader", code).await;
        let employee = Invitation::Employee { may_hold: true, may_act: true };
        let code = town.invite("leader", employee).await;
        town.join("teacher", code).await;
        let mut guardians = vec![];
        for guardian in ["mother", "father"] {
            let code = town.invite("teacher", Invitation::Guardian).await;
            guardians.push(town.join(guardian, code).await);
        }
        town.rounds(2).await;
        town.begin_log(guardians).await;
        town
    }

    async fn begin_log(&mut self, guardians: Vec<String>) {
        let new = Wish::LogNew { child: "Ella".into(), born: "2015-03-04".into(), guardians, level: 1 };
        let log = text(&self.ask("teacher", new).await, "log");
        self.sync("teacher").await;
        for guardian in ["mother", "father"] {
            self.sync(guardian).await;
            let request = text(&self.ask(guardian, Wish::ConsentPending).await["requests"][0], "request");
            self.ask(guardian, Wish::ConsentGrant { request, custody: true }).await;
            self.sync(guardian).await;
        }
        let measure = NewMeasure { text: prose::text(0), ..NewMeasure::default() };
        let new = Wish::ConcernNew { log, title: "Lekser".into(), goal: "Mål".into(), category: None, measure };
        self.concern = text(&self.ask("teacher", new).await, "concern");
        self.rounds(3).await;
    }

    async fn open(&self, name: &str) -> Session {
        let home = Home::hold_new(&self.dir.path().join(name)).expect("a home");
        let key = home.set_up(b"bench").expect("is set up");
        Session::open(home, &key, Recording::none()).await.expect("opens")
    }

    async fn join(&mut self, name: &str, code: String) -> String {
        let mut session = self.open(name).await;
        let joined = session.perform(Wish::Join { code, name: name.into() }).await.expect("joins");
        session.sync().await.expect("syncs");
        self.people.insert(name.into(), session);
        text(&joined, "person")
    }

    async fn invite(&mut self, by: &str, invitation: Invitation) -> String {
        let code = text(&self.ask(by, Wish::Invite(invitation)).await, "code");
        self.sync(by).await;
        code
    }

    async fn ask(&mut self, who: &str, wish: Wish) -> Value {
        self.people.get_mut(who).expect("is here").perform(wish).await.expect("is answered")
    }

    async fn sync(&mut self, who: &str) {
        self.people.get_mut(who).expect("is here").sync().await.expect("syncs");
    }

    async fn rounds(&mut self, rounds: usize) {
        for _ in 0..rounds {
            for who in self.people.keys().cloned().collect::<Vec<_>>() {
                self.sync(&who).await;
            }
        }
    }

    pub async fn take(&mut self, who: &str) -> Session {
        self.people.remove(who).expect("is here")
    }

    pub fn give(&mut self, who: &str, session: Session) {
        self.people.insert(who.into(), session);
    }

    /// Seconds from the connection of a new, certified and admitted device until it shows everything.
    pub async fn cold_device(&mut self, edits: usize) -> f64 {
        let code = text(&self.ask("mother", Wish::DeviceLink).await, "code");
        self.sync("mother").await;
        let mut second = self.open("second").await;
        second.perform(Wish::DeviceAccept { code, name: "nettbrett".into() }).await.expect("is accepted");
        self.sync("mother").await;
        second.sync().await.expect("syncs");
        self.sync("mother").await;
        let start = Instant::now();
        second.sync().await.expect("syncs");
        let seen = measures_of(&mut second, &self.concern).await;
        let time = start.elapsed().as_secs_f64();
        assert!(seen >= edits, "the new device sees {seen}");
        time
    }

    pub fn server_memory_kb(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.server.id())).unwrap_or_default();
        let line = status.lines().find(|l| l.starts_with("VmRSS"));
        line.and_then(|l| l.split_whitespace().nth(1)).and_then(|n| n.parse().ok()).unwrap_or(0)
    }

    pub fn server_disk_kb(&self) -> u64 {
        let files = std::fs::read_dir(self.dir.path().join("server")).expect("a folder");
        files.flatten().filter_map(|f| f.metadata().ok()).map(|m| m.len()).sum::<u64>() / 1024
    }
}
