//! kill -9 of the server or of a client at 50 random moments of the story, and going on: nothing acknowledged is lost,
//! nothing is done twice, everybody agrees, the audit is clean.
//!
//! A failure prints the seed; `STAFETT_SEED=n` strikes the same commands again, `STAFETT_KILLS=n` strikes more of them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use stafett_server::pg::Postgres;
use stafett_tests::process::home::Home;
use stafett_tests::process::leak::nothing_leaked;
use stafett_tests::process::mishap::Mishaps;
use stafett_tests::process::relay::Relay;
use stafett_tests::process::story::{STEPS, Story};
use stafett_tests::process::texts::{LEADER, SECRETS};
use stafett_tests::process::view;
use stafett_tests::process::world::{list, text};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How many of a thousand commands are struck.
const STRUCK: u64 = 250;

/// Joins that are struck, each at a later moment.
const JOINS: usize = 12;

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

/// The answer to a join may be lost after the server has taken it: the same code brings the same person in.
#[test]
fn a_join_that_dies_is_done_again() {
    let mut story = Story::new(None, Mishaps::none());
    story.units();
    let leader = story.leader.clone();
    leader.ok(&["join", "--code", &story.ids.school_code, "--name", LEADER]);
    let codes: Vec<String> =
        (0..JOINS).map(|_| leader.ok(&["invite", "--role", "employee"])["code"].as_str().unwrap().to_owned()).collect();
    leader.ok(&["sync"]);
    let mut usual = Duration::from_millis(300);
    let mut joined = vec![];
    for (n, code) in codes.iter().enumerate() {
        let home = Home::new(story.world.dir.path(), format!("employee-{n}").leak());
        let words = ["join", "--code", code, "--name", "Tone"];
        let begun = Instant::now();
        let mut child = home.begin(&words);
        // The moments sweep over the whole life of the command; each third takes the server.
        sleep(usual.mul_f64(n as f64 / JOINS as f64));
        if n % 3 == 2 {
            story.world.server.kill();
            story.world.server.start();
        } else {
            child.kill().unwrap();
        }
        let first = Home::end(child);
        if first.exit == Some(0) {
            usual = begun.elapsed().min(usual);
        }
        let ran = home.run(&words);
        let there = ran.exit == Some(0) || (ran.exit == Some(1) && ran.code() == "home-in-use");
        assert!(there, "join {n}: {:?}, then {:?} {}", first.exit, ran.exit, ran.value);
        home.ok(&["sync"]);
        joined.push((code.clone(), joined_person(&home)));
    }
    leader.ok(&["sync"]);
    let invites = leader.ok(&["invite", "list"]);
    for (code, person) in joined {
        let invite = list(&invites, "invites").iter().find(|i| i["code"] == code.as_str()).unwrap();
        assert_eq!((&invite["state"], &invite["person"]), (&"used".into(), &person.as_str().into()));
    }
}

/// The same, surely in the one moment that matters: the server has taken the join, the answer never comes.
#[test]
fn a_join_whose_answer_is_lost_is_asked_again() {
    let mut story = Story::new(None, Mishaps::none());
    story.units();
    let url = text(&story.world.server.said, "url");
    let relay = Relay::before(url.trim_start_matches("https://").parse().unwrap());
    let through = format!("https://127.0.0.1:{}", relay.port);
    let ca = text(&story.world.server.said, "ca_file");
    let (leader, teacher, phone) = (story.leader.clone(), story.teacher.clone(), story.phone.clone());
    let code = story.ids.school_code.clone();
    let join = ["join", "--code", &code, "--name", LEADER, "--server", &through, "--ca", &ca];
    relay.lose_from(2);
    for _ in 0..2 {
        leader.refused(&join, 3, "unreachable");
    }
    relay.lose_nothing();
    let thief = story.father.run(&["join", "--code", &code, "--name", "En annen"]);
    assert_eq!(thief.exit, Some(1), "the server has taken the first join: {}", thief.value);
    let person = text(&leader.ok(&join), "person");
    assert_eq!(joined_person(&leader), person);
    // Codes of a device that came through the relay lead through it, too.
    let code = text(&leader.ok(&["invite", "--role", "employee"]), "code");
    let link = text(&leader.ok(&["device", "link"]), "code");
    leader.ok(&["sync"]);
    relay.lose_from(2);
    teacher.refused(&["join", "--code", &code, "--name", "Tone"], 3, "unreachable");
    phone.refused(&["device", "accept", "--code", &link], 3, "unreachable");
    relay.lose_nothing();
    let employee = text(&teacher.ok(&["join", "--code", &code, "--name", "Tone"]), "person");
    phone.ok(&["device", "accept", "--code", &link]);
    story.settle(&[&leader, &phone, &teacher]);
    assert_eq!(joined_person(&phone), person);
    let invites = leader.ok(&["invite", "list"]);
    let invite = list(&invites, "invites").iter().find(|i| i["code"] == code.as_str()).unwrap();
    assert_eq!(invite["person"], employee.as_str(), "the inviter knows the key that the joiner has");
}

fn joined_person(home: &Home) -> String {
    text(&view::joined(home).expect("somebody's home"), "person")
}

#[test]
fn killed_at_random_on_sqlite() {
    play("SQLite", None, 50);
}

/// PostgreSQL itself dies under the server, again and again; the server lives on.
#[test]
fn the_database_is_killed_at_random() {
    let Some(postgres) = Postgres::start() else { return };
    let url = postgres.database("struck").unwrap();
    let seed = number("STAFETT_SEED").unwrap_or(7);
    let mut story = Story::new(Some(&url), Mishaps::new(seed, STRUCK));
    story.world.mishaps.strike_database = true;
    story.world.postgres = Some(postgres);
    for (name, step) in STEPS {
        println!("PostgreSQL: {:>3} kills, now {name}", story.world.mishaps.databases);
        step(&mut story);
    }
    story.world.mishaps.end();
    story.all_agree();
    story.audit();
    println!("STAFETT_SEED={seed}: PostgreSQL killed {} times", story.world.mishaps.databases);
    assert!(story.world.mishaps.databases >= 3);
    story.world.server.stop();
}

#[test]
fn killed_at_random_on_postgresql() {
    let Some(postgres) = Postgres::start() else { return };
    let url = postgres.database("kill").unwrap();
    play("PostgreSQL", Some(&url), 50);
}
