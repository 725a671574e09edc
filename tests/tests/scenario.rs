//! Ella's story through the real programs: processes, TLS, separate homes; on SQLite and on PostgreSQL. And what the
//! contract of the command line says about exit codes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use serde_json::Value;
use stafett_server::db::schema::{Kind, TABLES};
use stafett_server::db::{Db, StoreError};
use stafett_server::pg::Postgres;
use stafett_tests::process::home::Home;
use stafett_tests::process::leak::{found, nothing_leaked};
use stafett_tests::process::mishap::Mishaps;
use stafett_tests::process::server::terminate;
use stafett_tests::process::story::{STEPS, Story};
use stafett_tests::process::texts::{LEADER, SECRETS};
use stafett_tests::process::world::text;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// Rows of a table, read beside the running server.
fn rows(story: &Story, count: &'static str) -> i64 {
    let server = &story.world.server;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let counted = runtime.block_on(async {
        let db = Db::open(&server.home.join("stafett.db"), server.database.as_deref()).await?;
        let row = db.reader().await?.row(count, vec![]).await?.expect("a count");
        db.close().await;
        row.int(0)
    });
    counted.map_err(|e: StoreError| e.to_string()).unwrap()
}

/// Every value of every table in one file: what PostgreSQL compresses in its files lies open here.
fn dump(story: &Story) -> PathBuf {
    let server = &story.world.server;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let dumped = runtime.block_on(async {
        let db = Db::open(&server.home.join("stafett.db"), server.database.as_deref()).await?;
        let mut reader = db.reader().await?;
        let mut all = vec![];
        for table in TABLES {
            let names: Vec<&str> = table.columns.iter().map(|(name, _)| name.trim_end_matches('?')).collect();
            let select: &'static str = format!("SELECT {} FROM {}", names.join(", "), table.name).leak();
            for row in reader.rows(select, vec![]).await? {
                for (at, (_, kind)) in table.columns.iter().enumerate() {
                    match kind {
                        Kind::Int => {}
                        Kind::Bytes => all.extend(row.maybe_bytes(at)?.unwrap_or_default()),
                        Kind::Text => all.extend(row.text(at)?.into_bytes()),
                    }
                }
            }
        }
        drop(reader);
        db.close().await;
        Ok(all)
    });
    let bytes: Vec<u8> = dumped.map_err(|e: StoreError| e.to_string()).unwrap();
    assert!(String::from_utf8_lossy(&bytes).contains("Solvang skole"), "the dump holds what the server may know");
    let dir = story.world.dir.path().join("dump");
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("tables"), bytes).unwrap();
    dir
}

/// B1: before both have signed, the server holds letters and nothing else of the log.
fn nothing_before_consent(story: &Story) {
    for table in ["SELECT COUNT(*) FROM scopes", "SELECT COUNT(*) FROM records", "SELECT COUNT(*) FROM snapshots"] {
        assert_eq!(rows(story, table), 0, "{table}");
    }
    assert!(rows(story, "SELECT COUNT(*) FROM mailbox") > 0, "the request is on its way");
    let words = [SECRETS, &[story.ids.log.as_str()]].concat();
    assert!(found(&words, &story.world.server.home).is_empty());
}

fn play(database: Option<&str>, kept: &[&Path]) {
    let mut story = Story::new(database, Mishaps::none());
    for (name, step) in STEPS {
        println!("{name}");
        step(&mut story);
        if *name == "the teacher asks for a log" {
            nothing_before_consent(&story);
        }
    }
    assert!(rows(&story, "SELECT COUNT(*) FROM records") > 20);
    let tables = dump(&story);
    story.world.server.stop();
    let home = story.world.server.home.clone();
    let mut folders = vec![home.as_path(), tables.as_path(), story.world.server.log.parent().unwrap()];
    folders.extend(kept);
    let words = [SECRETS, &["Passord for historien"]].concat();
    nothing_leaked(&words, &folders);
}

#[test]
fn the_story_on_sqlite() {
    play(None, &[]);
}

#[test]
fn the_story_on_postgresql() {
    let Some(postgres) = Postgres::start() else { return };
    let url = postgres.database("story").unwrap();
    play(Some(&url), &[postgres.dir()]);
}

/// A world with one person in it, and a code for the next.
fn leader_and_code() -> (Story, String) {
    let mut story = Story::new(None, Mishaps::none());
    story.units();
    let code = story.ids.school_code.clone();
    let said = story.leader.ok(&["join", "--code", &code, "--name", LEADER]);
    for key in ["person", "device", "unit", "role"] {
        assert!(said[key].is_string(), "{key}: {said}");
    }
    let code = text(&story.leader.ok(&["invite", "--role", "employee", "--may-hold"]), "code");
    story.leader.ok(&["sync"]);
    (story, code)
}

#[test]
fn without_the_server_only_what_needs_it_says_3() {
    let (mut story, code) = leader_and_code();
    story.world.server.kill();
    let (leader, teacher) = (story.leader.clone(), story.teacher.clone());
    teacher.refused(&["join", "--code", &code, "--name", "Tone"], 3, "unreachable");
    leader.refused(&["sync"], 3, "unreachable");
    let linked = text(&leader.ok(&["device", "link"]), "code");
    story.phone.refused(&["device", "accept", "--code", &linked], 3, "unreachable");
    // Everything else works: it is drawn on the device, and waits.
    leader.ok(&["invite", "--role", "employee"]);
    for (words, key) in [(&["people"][..], "people"), (&["units"], "units"), (&["invite", "list"], "invites")] {
        assert!(leader.ok(words)[key].is_array(), "{words:?}");
    }
    story.world.server.start();
    let counts = leader.ok(&["sync"]);
    for key in ["sent", "received", "refused", "queued"] {
        assert!(counts[key].is_u64(), "{key}: {counts}");
    }
    assert_eq!(counts["queued"], 0, "{counts}");
    teacher.ok(&["join", "--code", &code, "--name", "Tone"]);
    story.phone.ok(&["device", "accept", "--code", &linked]);
    story.world.server.stop();
}

#[test]
fn a_code_works_once_and_a_home_belongs_to_one() {
    let (story, code) = leader_and_code();
    story.teacher.ok(&["join", "--code", &code, "--name", "Tone"]);
    story.teacher.refused(&["join", "--code", &code, "--name", "Tone"], 1, "home-in-use");
    let again = story.mother.run(&["join", "--code", &code, "--name", "Ingrid"]);
    assert_eq!(again.exit, Some(1), "{}", again.value);
    story.father.refused(&["people"], 2, "no-home");
    story.teacher.refused(&["invite", "--role", "employee"], 1, "not-yours");
    let unknown = story.teacher.run(&["dance"]);
    assert_eq!((unknown.exit, unknown.code()), (Some(2), "usage"), "{}", unknown.value);
}

#[test]
fn a_home_opens_for_its_passphrase_and_one_process_serves_the_others() {
    let (story, _) = leader_and_code();
    let leader = &story.leader;
    let with = |passphrase: Option<&str>| {
        let mut command = leader.command(&["people"]);
        match passphrase {
            Some(passphrase) => command.env("STAFETT_PASSPHRASE", passphrase),
            None => command.env_remove("STAFETT_PASSPHRASE"),
        };
        let output = command.output().unwrap();
        let said: Value = serde_json::from_slice(&output.stdout).unwrap();
        (output.status.code(), said["error"]["code"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(with(Some("feil")), (Some(2), "wrong-passphrase".to_owned()));
    assert_eq!(with(None), (Some(2), "no-passphrase".to_owned()));

    let mut watch = leader.command(&["sync", "--watch"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(watch.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let counts: Value = serde_json::from_str(&line).unwrap();
    assert!(counts["queued"].is_u64(), "one value a line: {line}");
    leader.ok(&["people"]);
    leader.ok(&["sync"]);
    leader.refused(&["sync", "--watch"], 2, "already-watched");
    terminate(&watch);
    watch.wait().unwrap();
    leader.ok(&["people"]);
}

#[test]
fn damaged_data_says_4() {
    let mut story = Story::new(None, Mishaps::none());
    story.play_until("the parents sign");
    let file = story.world.dir.path().join("audit.json");
    story.mother.ok(&["audit", "export", &story.ids.log, file.to_str().unwrap()]);
    let nobody = Home::new(story.world.dir.path(), "nobody");
    let good = fs::read_to_string(&file).unwrap();
    let mut exported: Value = serde_json::from_str(&good).unwrap();
    spoil_one_byte(&mut exported);
    fs::write(&file, exported.to_string()).unwrap();
    let spoiled = nobody.run(&["audit", "verify", file.to_str().unwrap()]);
    assert_eq!(spoiled.exit, Some(4), "{}", spoiled.value);
    fs::write(&file, &good[..good.len() / 2]).unwrap();
    nobody.refused(&["audit", "verify", file.to_str().unwrap()], 4, "file");

    let store = story.father.dir.join("store.sqlite");
    let mut bytes = fs::read(&store).unwrap();
    let length = bytes.len();
    bytes[length / 3..].fill(0x5a);
    fs::write(&store, bytes).unwrap();
    let damaged = story.father.run(&["log", "show", &story.ids.log]);
    assert_eq!(damaged.exit, Some(4), "{}", damaged.value);
}

/// Changes one hexadecimal digit in the longest text: an event that somebody signed.
fn spoil_one_byte(value: &mut Value) {
    fn longest<'a>(value: &'a mut Value, best: &mut Option<&'a mut String>) {
        match value {
            Value::String(text) if best.as_ref().is_none_or(|b| b.len() < text.len()) => *best = Some(text),
            Value::Array(values) => values.iter_mut().for_each(|v| longest(v, best)),
            Value::Object(fields) => fields.values_mut().for_each(|v| longest(v, best)),
            _ => {}
        }
    }
    let mut best = None;
    longest(value, &mut best);
    let text = best.expect("a text");
    let middle = text.len() / 2;
    let other = if text.as_bytes()[middle] == b'0' { "1" } else { "0" };
    text.replace_range(middle..=middle, other);
}
