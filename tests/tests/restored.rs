//! The server's disk is lost, and an old backup takes its place (S8): through the programs, on both databases. Devices
//! bring back what it lacks, all by `sync`; the operator opens it, and everything goes on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use stafett_server::pg::Postgres;
use stafett_tests::process::mishap::Mishaps;
use stafett_tests::process::story::Story;
use stafett_tests::process::view;
use stafett_tests::process::world::list;

fn an_old_backup_loses_nothing(first: Option<&str>, second: Option<&str>) {
    let mut story = Story::new(first, Mishaps::none());
    story.play_until("a concern about homework");
    let (teacher, mother, father) = (story.teacher.clone(), story.mother.clone(), story.father.clone());
    let backup = story.world.dir.path().join("backup");
    story.world.server.ask(&["backup", backup.to_str().unwrap()]);
    // After the backup: a concern of its own, and words of two people that both others have seen.
    story.absence();
    let homework = story.ids.homework.clone();
    story.glimpse(&teacher, &homework, "Etter sikkerhetskopien, fra skolen.");
    story.glimpse(&mother, &homework, "Etter sikkerhetskopien, hjemmefra.");
    story.all_agree();
    let before = view::of_log(&father, &story.ids.log);

    let server = &mut story.world.server;
    server.kill();
    server.home = story.world.dir.path().join("restored");
    server.database = second.map(str::to_owned);
    let mut words = vec!["restore", backup.to_str().unwrap()];
    words.extend(second.iter().flat_map(|url| ["--database", url]));
    server.ask(&words);
    server.start();
    // One device brings back what all lack; nothing new is signed meanwhile, and nothing new is lost.
    story.world.sync(&father);
    mother.ok(&["glimpse", &homework, "Mens tjeneren var stengt."]);
    let counts = story.world.sync(&mother);
    assert!(counts["queued"].as_u64().unwrap() > 0, "{counts}");
    assert!(list(&counts, "problems").iter().any(|p| p["code"] == "home-restored"), "{counts}");
    assert!(story.world.server.printed(0).contains("nothing is signed"), "the operator is told");
    story.world.server.ask(&["open"]);
    story.acknowledged.push("Mens tjeneren var stengt.".into());
    story.all_agree();
    let after = view::of_log(&father, &story.ids.log);
    for words in ["Etter sikkerhetskopien, fra skolen.", "Etter sikkerhetskopien, hjemmefra."] {
        assert_eq!((view::count(&before, words), view::count(&after, words)), (1, 1));
    }
    // And on: another device, another person, a withdrawal, the audit.
    for step in [Story::ppt_joins, Story::ppt_is_let_in, Story::withdraw, Story::audit] {
        step(&mut story);
    }
    story.world.server.stop();
}

#[test]
fn s8_an_old_backup_loses_nothing_on_sqlite() {
    an_old_backup_loses_nothing(None, None);
}

#[test]
fn s8_an_old_backup_loses_nothing_on_postgresql() {
    let Some(postgres) = Postgres::start() else { return };
    let (first, second) = (postgres.database("before").unwrap(), postgres.database("after").unwrap());
    an_old_backup_loses_nothing(Some(&first), Some(&second));
}
