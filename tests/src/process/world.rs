//! A server and its people's homes, and how a person goes on when a program dies under their hands: they look whether it
//! was saved, and if not, they do it again.

use super::home::{Home, Ran};
use super::mishap::{Mishaps, Strike};
use super::server::Server;
use serde_json::Value;
use stafett_server::pg::Postgres;
use std::thread::sleep;
use std::time::Instant;

/// After so many rounds over all homes involved everything that can settle has.
pub const ROUNDS: usize = 4;
/// A command that cannot be brought to an end.
const TRIES: usize = 40;

pub struct World {
    pub server: Server,
    pub mishaps: Mishaps,
    /// The server's database, where it is to be struck.
    pub postgres: Option<Postgres>,
    /// What happened, for messages of failed tests.
    pub trace: Vec<String>,
    pub dir: tempfile::TempDir,
}

/// Looks in a home for what a command that gave no answer may have saved.
pub type Saved<'a> = &'a dyn Fn(&Home) -> Option<Value>;

impl World {
    pub fn new(database: Option<&str>, mishaps: Mishaps) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut server = Server::init(dir.path(), database);
        server.start();
        Self { server, mishaps, postgres: None, trace: vec![], dir }
    }

    /// One run of a command, perhaps struck.
    fn attempt(&mut self, home: &Home, words: &[&str]) -> (Ran, bool) {
        let strike = self.mishaps.draw(words);
        let begun = Instant::now();
        let mut child = home.begin(words);
        match strike {
            None => {}
            Some(Strike::Client(after)) => {
                sleep(after);
                child.kill().unwrap();
            }
            Some(Strike::Server(after)) => {
                sleep(after);
                self.server.kill();
                self.server.start();
                self.mishaps.servers += 1;
            }
            Some(Strike::Database(after)) => {
                sleep(after);
                let postgres = self.postgres.as_mut().expect("a database to strike");
                postgres.kill().unwrap();
                postgres.start_again().unwrap();
                self.mishaps.databases += 1;
            }
        }
        let ran = Home::end(child);
        match strike {
            None => self.mishaps.note(words, begun),
            Some(strike) => self.trace.push(format!("{} {words:?}: {strike:?} -> {:?}", home.name, ran.exit)),
        }
        self.mishaps.clients += u32::from(ran.exit.is_none());
        (ran, strike.is_some())
    }

    /// Brings a command to its end, whatever dies on the way.
    pub fn done(&mut self, home: &Home, words: &[&str], saved: Saved<'_>) -> Value {
        let mut struck = false;
        for _ in 0..TRIES {
            let (ran, now) = self.attempt(home, words);
            struck |= now;
            match ran.exit {
                Some(0) => return ran.value,
                None => {}
                // The server was killed under it.
                Some(3) if struck => {}
                // Its database was.
                Some(_) if struck && ran.code() == "unavailable" => {}
                // An earlier try may have come through.
                Some(_) if struck => match saved(home) {
                    Some(value) => return value,
                    None => self.fail(home, words, &ran),
                },
                Some(_) => self.fail(home, words, &ran),
            }
            if let Some(value) = saved(home) {
                return value;
            }
        }
        panic!("{} {words:?} does not come to an end\n{}", home.name, self.trace.join("\n"))
    }

    fn fail(&self, home: &Home, words: &[&str], ran: &Ran) -> ! {
        let trace = self.trace.join("\n");
        panic!("{} {words:?}: exit {:?} {} {}\n{trace}", home.name, ran.exit, ran.value, ran.stderr)
    }

    /// A command that may be done again without harm.
    pub fn again(&mut self, home: &Home, words: &[&str]) -> Value {
        self.done(home, words, &|_| None)
    }

    /// One `sync`, to its end.
    pub fn sync(&mut self, home: &Home) -> Value {
        self.again(home, &["sync"])
    }

    /// Rounds of `sync` over these homes, as many as the contract gives.
    pub fn settle(&mut self, homes: &[&Home]) {
        for _ in 0..ROUNDS {
            let (mut moved, struck) = (0, self.trace.len());
            for home in homes {
                let counts = self.sync(home);
                moved += ["sent", "received", "queued"].iter().map(|key| counts[*key].as_u64().unwrap()).sum::<u64>();
            }
            // The counts of a sync that was killed are lost, so a struck round says nothing.
            if moved == 0 && struck == self.trace.len() {
                return;
            }
        }
    }
}

/// The text behind a key that must be there.
pub fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_else(|| panic!("no {key} in {value}")).to_owned()
}

/// The list behind a key that must be there.
pub fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().unwrap_or_else(|| panic!("no list {key} in {value}"))
}
