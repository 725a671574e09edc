//! Three municipalities' real servers: Ella's log moves from Ullensaker to Haugesund, and the PPT that reads it, which is
//! Bergen's, reads on there through its own server, until the family says no.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use stafett_server::pg::Postgres;
use stafett_tests::process::home::Home;
use stafett_tests::process::mishap::Mishaps;
use stafett_tests::process::neighbour::{NUMBER as HAUGESUND, Neighbour, server_beside, unit_of};
use stafett_tests::process::server::Server;
use stafett_tests::process::story::Story;
use stafett_tests::process::world::{list, text};

const BERGEN: &str = "4601";
const WELCOME: &str = "Velkommen til ny skole";

/// The PPT of the third municipality reads the concern about homework.
fn bergens_ppt(story: &mut Story) -> Server {
    let bergen = server_beside(story, "bergen", (BERGEN, "Bergen"), None);
    story.ids.ppt_code = text(&bergen.ask(&["unit", "add", "--name", "PPT Bergen", "--kind", "ppt"]), "leader_code");
    story.ppt_joins();
    story.ids.ppt_unit = unit_of(&story.teacher, BERGEN);
    story.ppt_is_let_in();
    bergen
}

fn play(database: Option<&str>) {
    let mut story = Story::new(None, Mishaps::none());
    story.play_until("a concern about absence");
    let mut bergen = bergens_ppt(&mut story);
    let mut there = Neighbour::beside(&mut story, database);
    there.server.peer_with(&bergen);
    there.agree(&mut story);
    let Story { teacher, mother, father, ppt, .. } = &story;
    let people: Vec<Home> = [teacher, mother, father, ppt, &there.teacher, &there.leader].map(Clone::clone).into();
    let everyone: Vec<&Home> = people.iter().collect();
    let (ppt, mother, log, homework) = (ppt.clone(), mother.clone(), story.ids.log.clone(), story.ids.homework.clone());

    // Bergen is away while the log moves; its people find it when their server is back.
    bergen.kill();
    story.settle(&everyone.iter().copied().filter(|home| home.name != ppt.name).collect::<Vec<_>>());
    assert_eq!(mother.ok(&["log", "show", &log])["home"], HAUGESUND);
    there.teacher.ok(&["glimpse", &homework, WELCOME]);
    there.teacher.ok(&["sync"]);
    bergen.start();
    story.settle(&everyone);
    for home in [&ppt, &mother] {
        let shown = home.ok(&["log", "show", &log]);
        let holder = there.teacher_id.as_str();
        assert_eq!((shown["home"].as_str(), shown["holder"].as_str()), (Some(HAUGESUND), Some(holder)), "{shown}");
        let seen = home.ok(&["concern", "show", &homework]);
        assert!(list(&seen, "glimpses").iter().any(|g| g["text"] == WELCOME), "{}: {seen}", home.name);
        let audit = home.ok(&["audit", "verify", &log]);
        assert!(list(&audit, "violations").is_empty(), "{}: {audit}", home.name);
    }
    ppt.refused(&["glimpse", &homework, "Fra Bergen"], 1, "read-only");

    // The family's no is given at Ullensaker, holds at Haugesund, and is heard in Bergen.
    mother.ok(&["consent", "withdraw", &log, "--unit", &story.ids.ppt_unit]);
    story.settle(&everyone);
    ppt.refused(&["concern", "show", &homework], 1, "withdrawn");
    let audit = mother.ok(&["audit", "verify", &log]);
    assert!(list(&audit, "violations").is_empty(), "{audit}");
    for server in [&mut story.world.server, &mut bergen, &mut there.server] {
        server.stop();
    }
}

#[test]
fn a_log_moves_between_two_while_a_third_reads_on_sqlite() {
    play(None);
}

/// SQLite here and in Bergen, PostgreSQL there.
#[test]
fn a_log_moves_between_two_while_a_third_reads_on_both_databases() {
    let Some(postgres) = Postgres::start() else { return };
    play(Some(&postgres.database("haugesund").unwrap()));
}
