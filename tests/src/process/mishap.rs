//! When processes die. The seed decides which commands are struck and how; the moment within a command is real time, so a
//! replay strikes the same places, not the same instructions.

use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore as _, SeedableRng as _};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Until a kind of command has been seen to its end.
const GUESS: Duration = Duration::from_millis(150);

/// Kills to come, and kills that hit.
pub struct Mishaps {
    rng: ChaCha20Rng,
    in_a_thousand: u64,
    took: BTreeMap<String, Duration>,
    pub clients: u32,
    pub servers: u32,
    pub databases: u32,
    /// Whether PostgreSQL is struck in the server's place.
    pub strike_database: bool,
}

/// One kill -9, so long after the command began.
#[derive(Clone, Copy, Debug)]
pub enum Strike {
    Client(Duration),
    Server(Duration),
    Database(Duration),
}

impl Mishaps {
    pub fn new(seed: u64, in_a_thousand: u64) -> Self {
        let rng = ChaCha20Rng::seed_from_u64(seed);
        let took = BTreeMap::new();
        Self { rng, in_a_thousand, took, clients: 0, servers: 0, databases: 0, strike_database: false }
    }

    /// A calm world.
    pub fn none() -> Self {
        Self::new(0, 0)
    }

    /// From now on the world is calm.
    pub fn end(&mut self) {
        self.in_a_thousand = 0;
    }

    pub fn hits(&self) -> u32 {
        self.clients + self.servers + self.databases
    }

    pub fn pick(&mut self, n: u64) -> u64 {
        self.rng.next_u64() % n
    }

    /// Whether and how a command is struck: anywhere in the time that such a command takes.
    pub fn draw(&mut self, words: &[&str]) -> Option<Strike> {
        if self.in_a_thousand == 0 || self.pick(1000) >= self.in_a_thousand {
            return None;
        }
        let usual = self.took.get(&kind(words)).copied().unwrap_or(GUESS);
        let after = usual.mul_f64(self.pick(1000) as f64 / 1000.0);
        let speaks = matches!(words[0], "sync" | "join") || words.starts_with(&["device", "accept"]);
        Some(match speaks && (self.strike_database || self.pick(2) == 0) {
            true if self.strike_database => Strike::Database(after),
            true => Strike::Server(after),
            false => Strike::Client(after),
        })
    }

    /// Learns how long a command takes, leaning on what was seen last.
    pub fn note(&mut self, words: &[&str], begun: Instant) {
        let seen = self.took.entry(kind(words)).or_insert_with(|| begun.elapsed());
        *seen = (*seen + begun.elapsed()) / 2;
    }
}

fn kind(words: &[&str]) -> String {
    words[..words.len().min(2)].join(" ").chars().take(20).collect()
}
