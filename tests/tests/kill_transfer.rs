//! kill -9 of either server, or of the client that has the word, while a log moves between two real municipalities: it
//! has one home and one holder at the end, everything acknowledged is there, and what was withdrawn on the way stays so.
//!
//! The world is played once up to the moment before the move and kept on disk; each round goes on from there and strikes
//! other moments. A failure prints the seed: `STAFETT_SEED=n` strikes the same commands again, `STAFETT_ROUNDS=n` plays
//! more rounds. Rounds are few because each command opens a home, which costs an Argon2id.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use stafett_server::args;
use stafett_server::db::Db;
use stafett_tests::process::home::Home;
use stafett_tests::process::mishap::Mishaps;
use stafett_tests::process::neighbour::{NUMBER, Neighbour};
use stafett_tests::process::server::Server;
use stafett_tests::process::story::Story;
use stafett_tests::process::world::list;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Rounds in the ordinary run.
const ROUNDS: u64 = 2;
/// How often something is killed in one round: each victim once, then whoever the dice name.
const STRIKES: usize = 4;
const WRITTEN: &str = "Skrevet den dagen loggen flyttet";
const GOES_ON: &str = "Velkommen til Haugesund";

#[derive(Clone, Copy, Debug, PartialEq)]
enum Victim {
    OldHome,
    NewHome,
    Client,
}

const VICTIMS: [Victim; 3] = [Victim::OldHome, Victim::NewHome, Victim::Client];

struct Ready {
    story: Story,
    there: Neighbour,
    /// How long the sync takes that moves the log, undisturbed.
    usual: Duration,
    /// What was killed, and when.
    struck: Vec<String>,
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|value| value.parse().ok())
}

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap().success());
}

/// The scopes that a server has as their home.
fn homed(server: &Server) -> BTreeSet<Vec<u8>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let db = Db::open(&server.home.join("stafett.db"), None).await.unwrap();
        let sql = "SELECT scope FROM scopes WHERE standing = 1";
        let rows = db.reader().await.unwrap().rows(sql, args![]).await.unwrap();
        let scopes = rows.iter().map(|row| row.bytes(0).unwrap()).collect();
        db.close().await;
        scopes
    })
}

impl Ready {
    /// Everything is agreed; the next sync of the holder moves the log.
    fn new() -> Self {
        let mut story = Story::new(None, Mishaps::none());
        story.play_until("the PPT is let into one concern");
        let mut there = Neighbour::beside(&mut story, None);
        there.agree(&mut story);
        story.world.server.stop();
        there.server.stop();
        let ready = Self { story, there, usual: Duration::from_millis(500), struck: vec![] };
        for part in ["homes", "server", "haugesund"] {
            let world = ready.story.world.dir.path();
            copy(&world.join(part), &world.join(format!("{part}-before")));
        }
        ready
    }

    /// As it was before the move.
    fn again(&mut self) {
        self.story.world.server.kill();
        self.there.server.kill();
        let world = self.story.world.dir.path();
        for part in ["homes", "server", "haugesund"] {
            std::fs::remove_dir_all(world.join(part)).unwrap();
            copy(&world.join(format!("{part}-before")), &world.join(part));
        }
        self.story.world.server.start();
        self.there.server.start();
        self.struck.clear();
    }

    fn people(&self) -> [Home; 5] {
        let Story { teacher, mother, father, .. } = &self.story;
        [teacher, mother, father, &self.there.teacher, &self.there.leader].map(Clone::clone)
    }

    /// One sync, with something killed so long after it began; whatever was killed runs again.
    fn strike(&mut self, home: &Home, victim: Victim, after: Duration) {
        let mut child = home.begin(&["sync"]);
        sleep(after);
        match victim {
            Victim::Client => child.kill().unwrap(),
            Victim::OldHome => self.story.world.server.kill(),
            Victim::NewHome => self.there.server.kill(),
        }
        // The client goes on without it for a while, or is alone with what it has.
        if victim == Victim::OldHome {
            self.story.world.server.start();
        }
        if victim == Victim::NewHome {
            self.there.server.start();
        }
        let ran = Home::end(child);
        self.struck.push(format!("{} {victim:?} after {after:?}: {:?} {}", home.name, ran.exit, ran.value));
        let known = [None, Some(0), Some(3)].contains(&ran.exit) || ran.code() == "unavailable";
        assert!(known, "{}", self.struck.join("\n"));
        let both: Vec<_> = homed(&self.story.world.server).intersection(&homed(&self.there.server)).cloned().collect();
        assert!(both.is_empty(), "two homes\n{}", self.struck.join("\n"));
    }

    /// The PPT's reading goes along with the log, as long as the family lets it.
    fn ppt_reads(&self) -> bool {
        let ppt = &self.story.ppt;
        for _ in 0..2 {
            ppt.ok(&["sync"]);
        }
        let ran = ppt.run(&["concern", "show", &self.story.ids.homework]);
        assert!(ran.exit == Some(0) || ran.code() == "withdrawn", "{}", ran.value);
        ran.exit == Some(0)
    }

    fn round(&mut self, nth: u64, dice: &mut Mishaps) {
        self.again();
        let (father, homework) = (self.story.father.clone(), self.story.ids.homework.clone());
        father.ok(&["glimpse", &homework, WRITTEN]);
        father.ok(&["sync"]);
        for n in 0..STRIKES {
            let turn = if n < VICTIMS.len() { nth as usize + n } else { dice.pick(3) as usize };
            let victim = VICTIMS[turn % VICTIMS.len()];
            if n == 1 {
                let Story { mother, ids, .. } = &self.story;
                mother.ok(&["consent", "withdraw", &ids.log, "--unit", &ids.ppt_unit]);
            }
            // Who hands over, most of the time; or whoever may carry the old home's word.
            let Story { teacher, mother, .. } = &self.story;
            let who = [teacher, teacher, mother, &self.there.teacher][if n == 0 { 0 } else { dice.pick(4) as usize }];
            let after = self.usual.mul_f64(dice.pick(1000) as f64 / 1000.0);
            self.strike(&who.clone(), victim, after);
        }
        self.ends();
    }

    /// The log is in Haugesund, whole, with one home and one holder.
    fn ends(&mut self) {
        let trace = self.struck.join("\n");
        let people = self.people();
        let [teacher, mother, father, new, _] = &people;
        let (log, homework) = (self.story.ids.log.clone(), self.story.ids.homework.clone());
        self.story.settle(&people.iter().collect::<Vec<_>>());
        new.ok(&["glimpse", &homework, GOES_ON]);
        self.story.settle(&people.iter().collect::<Vec<_>>());
        for home in [mother, father, new] {
            let shown = home.ok(&["log", "show", &log]);
            assert_eq!(shown["home"], NUMBER, "{}: {shown}\n{trace}", home.name);
            assert_eq!(shown["holder"], self.there.teacher_id.as_str(), "{}: {shown}\n{trace}", home.name);
            let inside = list(&shown, "participants").iter().any(|p| p["person"] == self.story.ids.ppt.as_str());
            assert!(!inside, "what was withdrawn stays so: {shown}\n{trace}");
            let seen = home.ok(&["concern", "show", &homework]);
            for words in [WRITTEN, GOES_ON] {
                let times = list(&seen, "glimpses").iter().filter(|g| g["text"] == words).count();
                assert_eq!(times, 1, "{}: «{words}» {seen}\n{trace}", home.name);
            }
            let audit = home.ok(&["audit", "verify", &log]);
            assert!(list(&audit, "violations").is_empty(), "{}: {audit}\n{trace}", home.name);
        }
        teacher.refused(&["concern", "show", &homework], 1, "withdrawn");
        assert!(!self.ppt_reads(), "{trace}");
        let (old, new) = (homed(&self.story.world.server), homed(&self.there.server));
        // Card, concern and a journal of its own there; journal and concern that stayed here.
        assert_eq!((old.len(), new.len(), old.intersection(&new).count()), (2, 3, 0), "{trace}");
    }
}

#[test]
fn f1_c15_killed_while_a_log_moves() {
    let clock = || u64::from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos());
    let seed = number("STAFETT_SEED").unwrap_or_else(|| clock() % 1_000_000);
    let rounds = number("STAFETT_ROUNDS").unwrap_or(ROUNDS);
    println!("STAFETT_SEED={seed}");
    let mut dice = Mishaps::new(seed, 0);
    let mut ready = Ready::new();
    // Undisturbed: the measure of the moments to come, and of what goes along where nobody withdraws.
    ready.again();
    let begun = Instant::now();
    ready.story.teacher.ok(&["sync"]);
    ready.usual = begun.elapsed();
    let people = ready.people();
    ready.story.settle(&people.iter().collect::<Vec<_>>());
    assert!(ready.ppt_reads());
    assert!(rounds > 0);
    for nth in 0..rounds {
        let begun = Instant::now();
        ready.round(nth, &mut dice);
        println!("round {nth} in {:?}:\n  {}", begun.elapsed(), ready.struck.join("\n  "));
    }
}
