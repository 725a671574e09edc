//! Ella moves from Ullensaker to Haugesund through the real programs: two servers that are peers, one on SQLite and
//! one on PostgreSQL, every person with a home of their own who speaks to the own server alone. The new home is away in
//! the middle, and it ends well.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use serde_json::Value;
use stafett_server::pg::Postgres;
use stafett_tests::process::home::Home;
use stafett_tests::process::leak::nothing_leaked;
use stafett_tests::process::mishap::Mishaps;
use stafett_tests::process::neighbour::{LEADER, NUMBER, Neighbour, REASON, TEACHER};
use stafett_tests::process::story::Story;
use stafett_tests::process::texts::{ABSENCE, HOMEWORK, SECRETS};
use stafett_tests::process::world::{list, text};

const FILE: &str = "ukeplan for Ella.pdf";
const INSIDE: &str = "Bilder av lekseplassen hjemme";

/// A PDF of two sealed parts.
fn pdf() -> Vec<u8> {
    let noise = (0..40_000u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes());
    format!("%PDF-1.7 {INSIDE} ").into_bytes().into_iter().chain(noise.cycle().take(1_100_000)).collect()
}

/// I4: the father hangs a PDF on the concern that goes along, the teacher one on a note that stays.
fn attach(story: &Story, father: &Home, teacher: &Home) -> (String, String) {
    let path = story.world.dir.path().join(FILE);
    let file = path.to_str().unwrap();
    std::fs::write(&path, b"PK\x03\x04 ukeplan").unwrap();
    let homework = story.ids.homework.as_str();
    father.refused(&["glimpse", homework, "Slik ser det ut", "--attach", file], 1, "attachment-not-pdf");
    father.refused(&["glimpse", homework, "Slik ser det ut", "--attach", "/finnes/ikke.pdf"], 2, "file");
    std::fs::write(&path, pdf()).unwrap();
    let goes = father.ok(&["glimpse", homework, "Slik ser det ut", "--attach", file]);
    let stays = teacher.ok(&["note", &story.ids.log, "Planen for uka", "--attach", file]);
    (text(&goes, "attachment"), text(&stays, "attachment"))
}

/// The file as this device gets it, fetching it where it must.
fn saved(story: &Story, home: &Home, attachment: &str) -> Vec<u8> {
    let out = story.world.dir.path().join(format!("{}-{}.pdf", home.name, &attachment[..8]));
    let words = ["attachment", "get", attachment, "--out", out.to_str().unwrap()];
    let said = home.ok(&words);
    assert_eq!((text(&said, "name"), text(&said, "file")), (FILE.into(), out.to_str().unwrap().into()));
    home.refused(&words, 2, "file-exists");
    std::fs::read(out).unwrap()
}

fn play(other: Option<&str>) {
    let mut story = Story::new(None, Mishaps::none());
    story.play_until("a concern about absence");
    let mut there = Neighbour::beside(&mut story, other);
    let (teacher, mother, father) = (story.teacher.clone(), story.mother.clone(), story.father.clone());
    let (log, homework, absence) = (story.ids.log.clone(), story.ids.homework.clone(), story.ids.absence.clone());

    let (goes, stays) = attach(&story, &father, &teacher);
    story.settle(&[&father, &teacher, &mother]);
    let shown = mother.ok(&["concern", "show", &homework]);
    assert_eq!(list(&shown, "attachments")[0]["name"], FILE, "{shown}");
    assert_eq!(saved(&story, &mother, &goes[..12]), pdf(), "at the old home");
    // From here on the log moves by itself, as soon as it can.
    there.agree(&mut story);

    // The new home is away just now: nothing has moved, nothing is lost.
    there.server.kill();
    teacher.run(&["sync"]);
    mother.ok(&["sync"]);
    let before = mother.ok(&["log", "show", &log]);
    assert_eq!((text(&before, "home"), text(&before, "holder")), ("3209".into(), story.ids.teacher.clone()));
    there.server.start();

    father.ok(&["glimpse", &homework, "Skrevet før flyttingen"]);
    let everyone = [&teacher, &there.teacher, &there.leader, &mother, &father];
    story.settle(&everyone);
    story.settle(&everyone);
    for home in [&mother, &father, &there.teacher] {
        let shown = home.ok(&["log", "show", &log]);
        let said = teacher.ok(&["baton", "list"]);
        assert_eq!(shown["home"], NUMBER, "{}: {shown} {said}", home.name);
        assert_eq!(shown["holder"], there.teacher_id.as_str(), "{}: {shown}", home.name);
    }
    there.teacher.ok(&["glimpse", &homework, "Velkommen til Haugesund"]);
    story.settle(&everyone);
    let seen = mother.ok(&["concern", "show", &homework]).to_string();
    assert!(seen.contains("Velkommen til Haugesund") && seen.contains("Skrevet før flyttingen"), "{seen}");
    let shown = there.teacher.ok(&["log", "show", &log]);
    let titles: Vec<&Value> = list(&shown, "concerns").iter().map(|c| &c["title"]).collect();
    assert_eq!(titles, [HOMEWORK], "{shown}");

    assert_eq!(saved(&story, &there.teacher, &goes), pdf(), "byte for byte at the new home");
    let shown = mother.ok(&["log", "show", &log]);
    assert_eq!(saved(&story, &mother, &stays), pdf(), "what hangs on a note stays where it is: {shown}");
    there.teacher.refused(&["attachment", "get", &stays, "--out", "/dev/null"], 2, "unknown-id");

    // What was not chosen stayed, closed, and is read at the old home.
    let stayed = mother.ok(&["concern", "show", &absence]);
    assert_eq!((text(&stayed, "state"), text(&stayed, "title")), ("closed".into(), ABSENCE.into()));
    teacher.refused(&["concern", "show", &homework], 1, "withdrawn");
    for home in [&mother, &there.teacher] {
        let audit = home.ok(&["audit", "verify", &log]);
        assert!(list(&audit, "violations").is_empty(), "{}: {audit}", home.name);
    }
    there.server.stop();
    story.world.server.stop();
    let servers = [&story.world.server, &there.server];
    let folders: Vec<_> = servers.iter().flat_map(|s| [s.home.as_path(), s.log.parent().unwrap()]).collect();
    nothing_leaked(&[SECRETS, &[REASON, LEADER, TEACHER, FILE, INSIDE]].concat(), &folders);
}

#[test]
fn ella_moves_between_two_servers_on_sqlite() {
    play(None);
}

/// SQLite here, PostgreSQL there.
#[test]
fn ella_moves_between_two_servers_on_both_databases() {
    let Some(postgres) = Postgres::start() else { return };
    play(Some(&postgres.database("haugesund").unwrap()));
}
