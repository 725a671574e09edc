//! kill -9 of the server or of a client at 50 random moments of the story, and going on: nothing acknowledged is lost,
//! nothing is done twice, everybody agrees, the audit is clean.
//!
//! A failure prints the seed; `STAFETT_SEED=n` strikes the same commands again, `STAFETT_KILLS=n` strikes more of them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use stafett_server::pg::Postgres;
use stafett_tests::process::leak::nothing_leaked;
use stafett_tests::process::mishap::Mishaps;
use stafett_tests::process::story::{STEPS, Story};
use stafett_tests::process::texts::SECRETS;
use std::time::{SystemTime, UNIX_EPOCH};

/// How many of a thousand commands are struck.
const STRUCK: u64 = 250;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|value| value.parse().ok())
}

fn play(what: &str, database: Option<&str>, kills: u64) {
    let clock = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos();
    let seed = number("STAFETT_SEED").unwrap_or_else(|| u64::from(clock()) % 1_000_000);
    let kills = number("STAFETT_KILLS").unwrap_or(kills) as u32;
    println!("{what}: STAFETT_SEED={seed}");
    let mut story = Story::new(database, Mishaps::new(seed, STRUCK));
    for (name, step) in STEPS {
        println!("{what}: {:>3} kills, now {name}", story.world.mishaps.hits());
        step(&mut story);
    }
    let mut day = 0;
    while story.world.mishaps.hits() < kills {
        day += 1;
        story.a_day(day);
    }
    story.world.mishaps.end();
    story.all_agree();
    story.audit();
    story.world.server.stop();
    let home = story.world.server.home.clone();
    nothing_leaked(SECRETS, &[&home, story.world.server.log.parent().unwrap()]);
    let (clients, servers) = (story.world.mishaps.clients, story.world.mishaps.servers);
    println!("{what}: killed {clients} clients and the server {servers} times, {day} more days");
    assert!(clients > 0 && servers > 0);
}

#[test]
fn killed_at_random_on_sqlite() {
    play("SQLite", None, 50);
}

#[test]
fn killed_at_random_on_postgresql() {
    let Some(postgres) = Postgres::start() else { return };
    let url = postgres.database("kill").unwrap();
    play("PostgreSQL", Some(&url), 50);
}
