//! Two municipalities' real servers: the PPT that is let into Ella's log is Haugesund's. Its people speak to their own
//! server alone, which passes on what it cannot read.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use stafett_server::pg::Postgres;
use stafett_tests::process::mishap::Mishaps;
use stafett_tests::process::neighbour::{NUMBER, server_beside, unit_of};
use stafett_tests::process::story::Story;
use stafett_tests::process::world::{list, text};

fn play(database: Option<&str>, other: Option<&str>) {
    let mut story = Story::new(database, Mishaps::none());
    story.play_until("a concern about absence");
    let mut haugesund = server_beside(&story, "haugesund", (NUMBER, "Haugesund"), other);
    let unit = haugesund.ask(&["unit", "add", "--name", "PPT Ullensaker", "--kind", "ppt"]);
    story.ids.ppt_code = text(&unit, "leader_code");
    story.ppt_joins();
    story.ids.ppt_unit = unit_of(&story.teacher, NUMBER);
    story.ppt_is_let_in();
    story.ppt_may_not_write();

    // Ullensaker is away: Haugesund's people are told so, their sync ends well, and everything comes afterwards.
    story.world.server.kill();
    let ran = story.ppt.run(&["sync"]);
    assert_eq!(ran.exit, Some(0), "{} {}", ran.value, ran.stderr);
    assert_eq!(list(&ran.value, "problems")[0]["code"], "peer-unreachable", "{}", ran.value);
    story.world.server.start();

    // Haugesund is away: nobody else notices.
    haugesund.kill();
    story.without_net();
    haugesund.start();
    let (teacher, employee) = (story.teacher.clone(), story.ppt.clone());
    story.settle(&[&teacher, &employee]);
    let homework = story.ids.homework.clone();
    let seen = [&teacher, &employee].map(|home| home.ok(&["concern", "show", &homework])["glimpses"].clone());
    assert_eq!(seen[0], seen[1]);

    story.second_device();
    story.withdraw();
    story.afterwards();
    story.audit();
}

#[test]
fn a_ppt_of_another_municipality_takes_part_on_sqlite() {
    play(None, None);
}

/// SQLite here, PostgreSQL there.
#[test]
fn a_ppt_of_another_municipality_takes_part_on_both_databases() {
    let Some(postgres) = Postgres::start() else { return };
    play(None, Some(&postgres.database("haugesund").unwrap()));
}
