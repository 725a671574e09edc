//! Ella's story through the binaries, step by step. Every step brings itself to its end, whatever dies on the way
//! (`World::done`), so the crash suite plays the same steps as the calm one.

mod family;
mod ppt;
mod work;

use super::home::Home;
use super::mishap::Mishaps;
use super::texts::*;
use super::view;
use super::world::{World, list, text};
use serde_json::Value;

/// The people's devices, and the ids that one step hands on to the next.
pub struct Story {
    pub world: World,
    pub leader: Home,
    pub teacher: Home,
    pub mother: Home,
    pub phone: Home,
    pub father: Home,
    pub ppt_leader: Home,
    pub ppt: Home,
    pub ids: Ids,
    /// Texts whose command ended with exit code 0: never lost, never twice.
    pub acknowledged: Vec<String>,
}

#[derive(Default, Debug)]
pub struct Ids {
    pub school_code: String,
    pub ppt_code: String,
    pub school: String,
    pub ppt_unit: String,
    pub teacher: String,
    pub mother: String,
    pub father: String,
    pub ppt: String,
    pub log: String,
    pub homework: String,
    pub school_measure: String,
    pub absence: String,
}

/// One step and its name.
pub type Step = (&'static str, fn(&mut Story));

/// The story in its order.
pub const STEPS: &[Step] = &[
    ("the municipality opens two units", Story::units),
    ("the leader and the teacher join", Story::school),
    ("the teacher invites the parents", Story::parents),
    ("they compare keys", Story::compare),
    ("the teacher asks for a log", Story::ask_for_log),
    ("the parents sign", Story::sign),
    ("a concern about homework", Story::homework),
    ("a concern about absence", Story::absence),
    ("the PPT joins", Story::ppt_joins),
    ("the PPT is let into one concern", Story::ppt_is_let_in),
    ("the PPT may not write", Story::ppt_may_not_write),
    ("teacher and mother write without a net", Story::without_net),
    ("a second device of the mother", Story::second_device),
    ("the family withdraws the PPT's access", Story::withdraw),
    ("the work goes on", Story::afterwards),
    ("the audit", Story::audit),
];

impl Story {
    pub fn new(database: Option<&str>, mishaps: Mishaps) -> Self {
        let world = World::new(database, mishaps);
        let home = |name| Home::new(world.dir.path(), name);
        Self {
            leader: home("leader"),
            teacher: home("teacher"),
            mother: home("mother"),
            phone: home("phone"),
            father: home("father"),
            ppt_leader: home("ppt-leader"),
            ppt: home("ppt"),
            ids: Ids::default(),
            acknowledged: vec![],
            world,
        }
    }

    /// Plays every step up to and including the one with this name.
    pub fn play_until(&mut self, name: &str) {
        for (step, play) in STEPS {
            play(self);
            if *step == name {
                return;
            }
        }
        panic!("no step {name}");
    }

    /// Teacher, mother, father; and the mother's phone once it is there.
    pub fn circle(&self) -> Vec<Home> {
        let mut homes = vec![self.teacher.clone(), self.mother.clone(), self.father.clone()];
        if self.phone.dir.join("home.json").exists() {
            homes.push(self.phone.clone());
        }
        homes
    }

    /// `sync` over these homes until everything has settled.
    pub fn settle(&mut self, homes: &[&Home]) {
        self.world.settle(homes);
    }

    pub fn settle_circle(&mut self) {
        let circle = self.circle();
        self.world.settle(&circle.iter().collect::<Vec<_>>());
    }

    fn join(&mut self, home: &Home, code: &str, name: &str) -> String {
        let joined = self.world.done(home, &["join", "--code", code, "--name", name], &view::joined);
        text(&joined, "person")
    }

    /// A one-time code, registered at the server.
    fn invite(&mut self, home: &Home, words: &[&str]) -> String {
        let code = text(&self.world.again(home, words), "code");
        self.world.sync(home);
        code
    }

    /// Writes a glimpse; from its exit code 0 on it may not be lost.
    pub fn glimpse(&mut self, home: &Home, concern: &str, words: &str) {
        let saved = |home: &Home| view::glimpse(home, concern, words);
        self.world.done(home, &["glimpse", concern, words], &saved);
        self.acknowledged.push(words.to_owned());
    }

    pub fn measure(&mut self, home: &Home, concern: &str, words: &str, arena: &str) {
        let saved = |home: &Home| view::measure(home, concern, words);
        self.world.done(home, &["measure", "add", concern, "--text", words, "--arena", arena], &saved);
        self.acknowledged.push(words.to_owned());
    }

    /// One person says yes to everything that is asked; how many requests that were.
    pub fn say_yes(&mut self, home: &Home) -> usize {
        let pending = home.ok(&["consent", "pending"]);
        for request in list(&pending, "requests") {
            let id = text(request, "request");
            let answered = |home: &Home| {
                let open = home.ok(&["consent", "pending"]);
                (!list(&open, "requests").iter().any(|r| r["request"] == id.as_str())).then_some(Value::Null)
            };
            self.world.done(home, &["consent", "grant", &id], &answered);
        }
        list(&pending, "requests").len()
    }

    /// Everybody sees the same, everything acknowledged once, nothing waits, nothing was set aside.
    pub fn all_agree(&mut self) {
        self.settle_circle();
        let trace = self.world.trace.join("\n");
        let first = view::of_log(&self.teacher, &self.ids.log);
        for home in self.circle() {
            let seen = view::of_log(&home, &self.ids.log);
            assert_eq!(seen, first, "{} and the teacher see different things\n{trace}", home.name);
            for key in ["pending", "quarantined"] {
                assert!(list(&seen, key).is_empty(), "{}: {key}: {}\n{trace}", home.name, seen[key]);
            }
        }
        for words in &self.acknowledged {
            assert_eq!(view::count(&first, words), 1, "«{words}» was acknowledged\n{trace}\n{first:#}");
        }
    }
}
