//! Every answer of a `sync` is lost once, one after the other: what the server has taken and what it has not taken both come
//! out once. Edits, and a withdrawal with nobody else online.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use stafett_protocol::code::Code;
use stafett_tests::process::home::Home;
use stafett_tests::process::mishap::Mishaps;
use stafett_tests::process::relay::Relay;
use stafett_tests::process::story::Story;
use stafett_tests::process::world::text;

/// The client has spoken so often when a sync with something to send is over, and more.
const SPOKEN: std::ops::RangeInclusive<usize> = 2..=9;

/// A story whose people all reach the server through a relay: their codes say so.
fn through_a_relay() -> (Story, Relay) {
    let mut story = Story::new(None, Mishaps::none());
    story.units();
    let url = text(&story.world.server.said, "url");
    let relay = Relay::before(url.trim_start_matches("https://").parse().unwrap());
    for code in [&mut story.ids.school_code, &mut story.ids.ppt_code] {
        let mut parts = Code::from_text(code).unwrap();
        parts.url = format!("https://127.0.0.1:{}", relay.port);
        *code = parts.to_text();
    }
    (story, relay)
}

/// One sync that breaks off there; whether it did.
fn broken_sync(relay: &Relay, home: &Home, spoken: usize) -> bool {
    relay.lose_from(spoken);
    let ran = home.run(&["sync"]);
    relay.lose_nothing();
    assert!(matches!(ran.exit, Some(0 | 3)), "{} {}", ran.value, ran.stderr);
    ran.exit == Some(3)
}

#[test]
fn every_answer_may_be_lost() {
    let (mut story, relay) = through_a_relay();
    story.school();
    story.parents();
    story.compare();
    story.ask_for_log();
    story.sign();
    story.homework();
    story.ppt_joins();
    let (teacher, mother) = (story.teacher.clone(), story.mother.clone());
    let (log, unit, homework) = (story.ids.log.clone(), story.ids.ppt_unit.clone(), story.ids.homework.clone());
    let mut broken = 0;
    for spoken in SPOKEN {
        story.glimpse(&teacher, &homework, &format!("Sendt i omgang {spoken}."));
        story.glimpse(&mother, &homework, &format!("Hjemmefra i omgang {spoken}."));
        broken += u32::from(broken_sync(&relay, &teacher, spoken));
        broken += u32::from(broken_sync(&relay, &mother, spoken));
    }
    assert!(broken > 4, "only {broken} syncs broke off");
    story.all_agree();

    story.ppt_is_let_in();
    mother.ok(&["consent", "withdraw", &log, "--unit", &unit]);
    for spoken in SPOKEN {
        broken_sync(&relay, &mother, spoken);
    }
    story.ppt_is_out();
    story.audit();
}
