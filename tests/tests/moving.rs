//! Ella moves from Ullensaker to Haugesund through the real programs: two servers that are peers, one on SQLite and
//! one on PostgreSQL, every person with a home of their own who speaks to the own server alone. The new home is away in
//! the middle, and it ends well.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use serde_json::Value;
use stafett_server::pg::Postgres;
use stafett_tests::process::home::Home;
use stafett_tests::process::leak::nothing_leaked;
use stafett_tests::process::mishap::Mishaps;
use stafett_tests::process::server::Server;
use stafett_tests::process::story::Story;
use stafett_tests::process::texts::{ABSENCE, HOMEWORK, SECRETS};
use stafett_tests::process::world::{list, text};

const REASON: &str = "Familien flytter til Haugesund";
const LEADER: &str = "Hanne Haukås";
const TEACHER: &str = "Torbjørn Tysvær";
const NUMBER: &str = "1106";
const FILE: &str = "ukeplan for Ella.pdf";
const INSIDE: &str = "Bilder av lekseplassen hjemme";

struct There {
    server: Server,
    leader: Home,
    teacher: Home,
    leader_id: String,
    teacher_id: String,
}

fn there(story: &mut Story, database: Option<&str>) -> There {
    let mut server = Server::init_as(&story.world.dir.path().join("haugesund"), (NUMBER, "Haugesund"), database);
    server.start();
    server.peer_with(&story.world.server);
    let home = |name| Home::new(story.world.dir.path(), name);
    let (leader, teacher) = (home("there-leader"), home("there-teacher"));
    let added = server.ask(&["unit", "add", "--name", "Haraldsvang skole", "--kind", "school"]);
    let code = text(&added, "leader_code");
    let leader_id = text(&leader.ok(&["join", "--code", &code, "--name", LEADER]), "person");
    let code = text(&leader.ok(&["invite", "--role", "employee", "--may-hold", "--may-act"]), "code");
    leader.ok(&["sync"]);
    let teacher_id = text(&teacher.ok(&["join", "--code", &code, "--name", TEACHER]), "person");
    story.settle(&[&leader, &teacher]);
    There { server, leader, teacher, leader_id, teacher_id }
}

/// The other municipality's school, as the teacher here comes to know it.
fn school_there(teacher: &Home) -> String {
    let words = ["units", "--municipality", NUMBER];
    teacher.ok(&["sync"]);
    teacher.ok(&words);
    teacher.ok(&["sync"]);
    let units = teacher.ok(&words);
    text(&list(&units, "units")[0], "unit")
}

/// The offer is made, passed on, accepted and signed; the keys are compared; nothing has moved.
fn agree(story: &mut Story, there: &There) {
    let (teacher, mother, father) = (story.teacher.clone(), story.mother.clone(), story.father.clone());
    let (log, homework) = (story.ids.log.clone(), story.ids.homework.clone());
    let unit = school_there(&teacher);
    let words =
        ["baton", "offer", &log, "--to", &unit, "--municipality", NUMBER, "--concern", &homework, "--reason", REASON];
    let id = text(&teacher.ok(&words), "offer");
    story.settle(&[&teacher, &there.leader, &mother, &father]);
    let number = text(&teacher.ok(&["verify", &there.leader_id]), "number");
    assert_eq!(text(&there.leader.ok(&["verify", &story.ids.teacher]), "number"), number);
    teacher.ok(&["verify", &there.leader_id, "--number", &number]);
    let offers = there.leader.ok(&["baton", "list"]);
    assert!(!offers.to_string().contains(ABSENCE), "C4: {offers}");
    assert_eq!(list(&offers, "offers")[0]["kind"], "other-municipality", "{offers}");
    there.leader.ok(&["baton", "accept", &id, "--for", &there.teacher_id]);
    story.settle(&[&there.leader, &there.teacher]);
    there.teacher.ok(&["baton", "accept", &id]);
    there.teacher.ok(&["sync"]);
    for parent in [&mother, &father] {
        assert_eq!(story.say_yes(parent), 1, "{}", parent.name);
        parent.ok(&["sync"]);
    }
}

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
    home.refused(&words, 2, "file");
    std::fs::read(out).unwrap()
}

fn play(other: Option<&str>) {
    let mut story = Story::new(None, Mishaps::none());
    story.play_until("a concern about absence");
    let mut there = there(&mut story, other);
    let (teacher, mother, father) = (story.teacher.clone(), story.mother.clone(), story.father.clone());
    let (log, homework, absence) = (story.ids.log.clone(), story.ids.homework.clone(), story.ids.absence.clone());

    let (goes, stays) = attach(&story, &father, &teacher);
    story.settle(&[&father, &teacher, &mother]);
    let shown = mother.ok(&["concern", "show", &homework]);
    assert_eq!(list(&shown, "attachments")[0]["name"], FILE, "{shown}");
    assert_eq!(saved(&story, &mother, &goes[..12]), pdf(), "at the old home");
    // From here on the log moves by itself, as soon as it can.
    agree(&mut story, &there);

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
