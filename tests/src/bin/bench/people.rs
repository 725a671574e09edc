//! A town for the bench: a real server process, and people whose homes are real ones.

use crate::municipality::Municipality;
use crate::prose;
use serde_json::Value;
use stafett_cli::host::home::Home;
use stafett_cli::host::live::Live;
use stafett_cli::host::open_home::OpenHome;
use stafett_cli::host::recording::Recording;
use stafett_client_core::client::input::{Command as Wish, Invitation, NewMeasure};
use std::collections::BTreeMap;
use std::time::Instant;

pub struct Town {
    dir: tempfile::TempDir,
    pub here: Municipality,
    people: BTreeMap<String, OpenHome>,
    pub log: String,
    pub concern: String,
}

pub fn measure(concern: &str, i: u64) -> Wish {
    let measure = NewMeasure { text: prose::text(i), responsible: Some("family".into()), ..NewMeasure::default() };
    Wish::MeasureAdd { concern: concern.into(), measure }
}

fn count(show: &Value) -> usize {
    show["measures"].as_array().map_or(0, Vec::len)
}

pub async fn measures(live: &mut Live, concern: &str) -> usize {
    count(&live.perform(Wish::ConcernShow { concern: concern.into() }).await.expect("is shown").to_json())
}

pub async fn measures_of(session: &mut OpenHome, concern: &str) -> usize {
    count(&session.perform(Wish::ConcernShow { concern: concern.into() }).await.expect("is shown").to_json())
}

pub fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_else(|| panic!("no {key} in {value}")).to_owned()
}

impl Town {
    pub async fn found() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let here = Municipality::start(dir.path().join("here"), "3209", "Ullensaker");
        let (_, code) = here.unit("Solvang skole", "school");
        let mut town = Self { dir, here, people: BTreeMap::new(), log: String::new(), concern: String::new() };
        town.join("leader", code).await;
        town.employ("leader", "teacher").await;
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
        self.parents_say_yes().await;
        self.log.clone_from(&log);
        let measure = NewMeasure { text: prose::text(0), ..NewMeasure::default() };
        let new = Wish::ConcernNew { log, title: "Lekser".into(), goal: "Mål".into(), category: None, measure };
        self.concern = text(&self.ask("teacher", new).await, "concern");
        self.rounds(3).await;
    }

    /// To everything that waits.
    pub async fn parents_say_yes(&mut self) {
        for guardian in ["mother", "father"] {
            self.sync(guardian).await;
            let pending = self.ask(guardian, Wish::ConsentPending).await;
            for request in pending["requests"].as_array().expect("a list") {
                let request = text(request, "request");
                self.ask(guardian, Wish::ConsentGrant { request, custody: true }).await;
            }
            self.sync(guardian).await;
        }
    }

    /// A leader registers somebody who may hold and act. Answers the person.
    pub async fn employ(&mut self, leader: &str, name: &str) -> String {
        let code = self.invite(leader, Invitation::Employee { may_hold: true, may_act: true }).await;
        self.join(name, code).await
    }

    async fn open(&self, name: &str) -> OpenHome {
        let home = Home::hold_new(&self.dir.path().join(name)).expect("a home");
        let key = home.set_up(b"bench").expect("is set up");
        OpenHome::open(home, &key, Recording::none()).await.expect("opens")
    }

    pub async fn join(&mut self, name: &str, code: String) -> String {
        let mut session = self.open(name).await;
        let joined = session.perform(Wish::Join { code, name: name.into() }).await.expect("joins").to_json();
        session.sync().await.expect("syncs");
        self.people.insert(name.into(), session);
        text(&joined, "person")
    }

    async fn invite(&mut self, by: &str, invitation: Invitation) -> String {
        let code = text(&self.ask(by, Wish::Invite(invitation)).await, "code");
        self.sync(by).await;
        code
    }

    pub async fn ask(&mut self, who: &str, wish: Wish) -> Value {
        self.people.get_mut(who).expect("is here").perform(wish).await.expect("is answered").to_json()
    }

    pub async fn sync(&mut self, who: &str) {
        self.people.get_mut(who).expect("is here").sync().await.expect("syncs");
    }

    pub async fn rounds(&mut self, rounds: usize) {
        for _ in 0..rounds {
            for who in self.people.keys().cloned().collect::<Vec<_>>() {
                self.sync(&who).await;
            }
        }
    }

    pub fn folder(&self) -> &std::path::Path {
        self.dir.path()
    }

    pub async fn take(&mut self, who: &str) -> OpenHome {
        self.people.remove(who).expect("is here")
    }

    pub fn give(&mut self, who: &str, session: OpenHome) {
        self.people.insert(who.into(), session);
    }

    /// A further device of the mother's, certified and let in, that has not read anything yet.
    pub async fn further_device(&mut self, name: &str) {
        let code = text(&self.ask("mother", Wish::DeviceLink).await, "code");
        self.sync("mother").await;
        let mut second = self.open(name).await;
        second.perform(Wish::DeviceAccept { code, name: name.into() }).await.expect("is accepted");
        self.sync("mother").await;
        second.sync().await.expect("syncs");
        self.sync("mother").await;
        self.people.insert(name.into(), second);
    }

    /// Seconds from the connection of a new, certified and admitted device until it shows everything.
    pub async fn cold_device(&mut self, edits: usize) -> f64 {
        self.further_device("second").await;
        let mut second = self.take("second").await;
        let start = Instant::now();
        second.sync().await.expect("syncs");
        let seen = measures_of(&mut second, &self.concern).await;
        let time = start.elapsed().as_secs_f64();
        assert!(seen >= edits, "the new device sees {seen}");
        self.give("second", second);
        time
    }
}
