//! The baton passes from the school to another unit through the real programs: processes, TLS, separate homes; on
//! SQLite and on PostgreSQL. One concern goes along, the other stays behind, closed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use serde_json::Value;
use stafett_server::pg::Postgres;
use stafett_tests::process::home::Home;
use stafett_tests::process::leak::nothing_leaked;
use stafett_tests::process::mishap::Mishaps;
use stafett_tests::process::story::Story;
use stafett_tests::process::texts::{ABSENCE, HOMEWORK, SECRETS};
use stafett_tests::process::world::{list, text};
use std::path::Path;

const REASON: &str = "Ella begynner på Jessheim ungdomsskole";
const LEADER: &str = "Jorunn Jessheim";
const TEACHER: &str = "Trygve Toppen";

/// The other unit's people, and what they are called.
struct Others {
    leader: Home,
    teacher: Home,
    unit: String,
    leader_id: String,
    teacher_id: String,
}

fn others(story: &mut Story) -> Others {
    let home = |name| Home::new(story.world.dir.path(), name);
    let (leader, teacher) = (home("other-leader"), home("other-teacher"));
    let words = ["unit", "add", "--name", "Jessheim ungdomsskole", "--kind", "school"];
    let added = story.world.server.ask(&words);
    let (unit, code) = (text(&added, "unit"), text(&added, "leader_code"));
    let leader_id = text(&leader.ok(&["join", "--code", &code, "--name", LEADER]), "person");
    let code = text(&leader.ok(&["invite", "--role", "employee", "--may-hold", "--may-act"]), "code");
    leader.ok(&["sync"]);
    let teacher_id = text(&teacher.ok(&["join", "--code", &code, "--name", TEACHER]), "person");
    let school = story.teacher.clone();
    story.settle(&[&leader, &teacher, &school]);
    Others { leader, teacher, unit, leader_id, teacher_id }
}

/// Both show the same number to each other, and say so.
fn compare(one: &Home, other: &Home, one_id: &str, other_id: &str) {
    let number = text(&one.ok(&["verify", other_id]), "number");
    assert_eq!(text(&other.ok(&["verify", one_id]), "number"), number);
    assert_eq!(one.ok(&["verify", other_id, "--number", &number])["matches"], true);
}

fn first_offer(home: &Home) -> Value {
    let offers = home.ok(&["baton", "list"]);
    list(&offers, "offers").first().unwrap_or_else(|| panic!("{}: {offers}", home.name)).clone()
}

/// K1, K3–K5, K9, C1, C4: see the module's words.
fn play(database: Option<&str>, kept: &[&Path]) {
    let mut story = Story::new(database, Mishaps::none());
    story.play_until("a concern about absence");
    let others = others(&mut story);
    let (log, homework, absence) = (story.ids.log.clone(), story.ids.homework.clone(), story.ids.absence.clone());
    let (teacher, mother, father) = (story.teacher.clone(), story.mother.clone(), story.father.clone());
    let offer = ["baton", "offer", &log, "--to", &others.unit, "--concern", &homework, "--reason", REASON];
    assert_eq!(teacher.ok(&offer)["state"], "open");
    story.settle(&[&teacher, &others.leader, &mother, &father]);
    let got = first_offer(&others.leader);
    assert_eq!((text(&got, "kind"), text(&got, "reason")), ("other-unit".into(), REASON.into()), "{got}");
    assert!(!got.to_string().contains(ABSENCE), "C4: {got}");
    compare(&teacher, &others.leader, &story.ids.teacher, &others.leader_id);
    let id = text(&got, "offer");
    assert_eq!(others.leader.ok(&["baton", "accept", &id, "--for", &others.teacher_id])["state"], "passed");
    story.settle(&[&others.leader, &others.teacher]);
    assert_eq!(others.teacher.ok(&["baton", "accept", &id])["state"], "accepted");
    let everyone = [&others.teacher, &others.leader, &teacher, &mother, &father];
    story.settle(&everyone);
    let before = mother.ok(&["log", "show", &log]);
    assert_eq!(before["holder"], story.ids.teacher.as_str(), "K3: the parents have not signed: {before}");
    for parent in [&mother, &father] {
        assert_eq!(story.say_yes(parent), 1, "{}", parent.name);
    }
    story.settle(&everyone);
    let made = first_offer(&teacher);
    assert_eq!(made["state"], "handed-over", "{made} {}", teacher.ok(&["sync"]));

    for home in [&mother, &father, &others.teacher] {
        let shown = home.ok(&["log", "show", &log]);
        assert_eq!(shown["holder"], others.teacher_id.as_str(), "C1: {}: {shown}", home.name);
        assert_eq!(shown["handovers"][0]["reason"], REASON, "{}: {shown}", home.name);
    }
    let shown = others.teacher.ok(&["log", "show", &log]);
    let titles: Vec<&Value> = list(&shown, "concerns").iter().map(|c| &c["title"]).collect();
    assert_eq!(titles, [HOMEWORK], "K5: {shown}");
    others.teacher.ok(&["glimpse", &homework, "Ella fant seg til rette"]);
    story.settle(&everyone);
    let seen = mother.ok(&["concern", "show", &homework]);
    assert!(seen.to_string().contains("Ella fant seg til rette"), "{seen}");

    teacher.refused(&["concern", "show", &homework], 1, "withdrawn");
    for (home, refusal) in [(&teacher, "read-only"), (&mother, "not-active")] {
        let stayed = home.ok(&["concern", "show", &absence]);
        assert_eq!((text(&stayed, "state"), text(&stayed, "title")), ("closed".into(), ABSENCE.into()));
        home.refused(&["glimpse", &absence, "Hei"], 1, refusal);
    }
    assert_eq!(teacher.ok(&["log", "show", &log])["status"], "archived");
    let audit = mother.ok(&["audit", "verify", &log]);
    assert!(list(&audit, "violations").is_empty(), "{audit}");

    story.world.server.stop();
    let home = story.world.server.home.clone();
    let mut folders = vec![home.as_path(), story.world.server.log.parent().unwrap()];
    folders.extend(kept);
    nothing_leaked(&[SECRETS, &[REASON, LEADER, TEACHER]].concat(), &folders);
}

#[test]
fn between_two_units_on_sqlite() {
    play(None, &[]);
}

#[test]
fn between_two_units_on_postgresql() {
    let Some(postgres) = Postgres::start() else { return };
    let url = postgres.database("handover").unwrap();
    play(Some(&url), &[postgres.dir()]);
}
