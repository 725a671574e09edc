//! Ella's story through the real programs: processes, TLS, separate homes; on SQLite and on PostgreSQL. And what the
//! contract of the command line says about exit codes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use serde_json::Value;
use stafett_server::db::{Db, StoreError};
use stafett_server::pg::Postgres;
use stafett_tests::process::home::Home;
use stafett_tests::process::leak::{found, nothing_leaked};
use stafett_tests::process::mishap::Mishaps;
use stafett_tests::process::server::terminate;
use stafett_tests::process::story::{STEPS, Story};
use stafett_tests::process::texts::{CHILD, LEADER, SECRETS};
use stafett_tests::process::world::text;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

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
    story.world.server.stop();
    let home = story.world.server.home.clone();
    let mut folders = vec![home.as_path(), story.world.server.log.parent().unwrap()];
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
