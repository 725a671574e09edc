//! The mother withdraws the PPT's access in the same moment as the teacher sends an edit: two processes at once, five times.
//! Both come through, and the PPT is out. (Thousands of interleavings of the same: `simulation.rs`.)
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use stafett_tests::process::home::Home;
use stafett_tests::process::mishap::Mishaps;
use stafett_tests::process::story::Story;
use std::thread::sleep;
use std::time::Duration;

const ROUNDS: u64 = 5;

#[test]
fn c4_withdrawal_and_an_edit_at_the_same_moment() {
    let mut story = Story::new(None, Mishaps::none());
    story.play_until("the PPT joins");
    let (teacher, mother, employee) = (story.teacher.clone(), story.mother.clone(), story.ppt.clone());
    let (log, unit, homework) = (story.ids.log.clone(), story.ids.ppt_unit.clone(), story.ids.homework.clone());
    for round in 0..ROUNDS {
        story.ppt_is_let_in();
        story.glimpse(&teacher, &homework, &format!("Skrevet i runde {round}."));
        mother.ok(&["consent", "withdraw", &log, "--unit", &unit]);
        // Who comes first, and by how much, differs from round to round; the PPT listens, too.
        let mut order = [&teacher, &mother, &employee];
        order.rotate_left(round as usize % 3);
        let running = order.map(|home| {
            sleep(Duration::from_millis(round * 10));
            (home.name, home.begin(&["sync"]))
        });
        for (name, child) in running {
            let ran = Home::end(child);
            assert_eq!(ran.exit, Some(0), "round {round}, {name}: {} {}", ran.value, ran.stderr);
        }
        story.ppt_is_out();
    }
    story.audit();
}
