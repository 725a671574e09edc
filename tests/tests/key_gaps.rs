//! Who may read a log reads all of it, whatever one member has published of keys: junk where the key chain has a gap,
//! or in a commit of its own. The hostile member has the real keys of a reader and the real program's disk.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use stafett_client_core::client::input::{AccessWord, Command as C, Invitation, NewMeasure, Who};
use stafett_protocol::event::Body;
use stafett_protocol::ids::ScopeId;
use stafett_protocol::statement::{KeyPlace, LinkRepair, Statement};
use stafett_tests::insider::Insider;
use stafett_tests::model::cast::{Cast, cast, concern, join, list, log, sign, text};
use stafett_tests::model::home::ModelHome;
use stafett_tests::model::net::Net as _;
use stafett_tests::model::people::Device;
use stafett_tests::model::picky::Picky;

fn glimpses(home: &mut ModelHome, device: &mut Device, concern: &str) -> Vec<String> {
    let shown = device.ask(home, C::ConcernShow { concern: concern.to_owned() });
    let shown = shown.unwrap_or_else(|e| panic!("{e:?} {}", device.last_problem()));
    list(&shown, "glimpses").iter().map(|g| text(g, "text")).collect()
}

fn write(home: &mut ModelHome, device: &mut Device, concern: &str, words: &str) {
    device.ask(home, C::Glimpse { concern: concern.to_owned(), text: words.to_owned() }).unwrap();
    device.sync(home);
}

fn rounds(home: &mut ModelHome, devices: &mut [&mut Device]) {
    for _ in 0..3 {
        devices.iter_mut().for_each(|device| device.sync(home));
    }
}

/// The family lets an employee of another service read a concern. Answers the employee's device.
fn newcomer(cast: &mut Cast, log: &str, concern: &str) -> Device {
    let Cast { home, teacher, mother, father, .. } = cast;
    let code = home.add_unit("PPT", "ppt");
    let (mut leader, _) = join(home, 11, code, "Leder PPT");
    let invitation = Invitation::Employee { may_hold: false, may_act: true };
    let code = text(&leader.ask(home, C::Invite(invitation)).unwrap(), "code");
    leader.sync(home);
    let (mut ppt, person) = join(home, 12, code, "Per PPT");
    rounds(home, &mut [&mut leader, &mut ppt, teacher]);
    let unit = text(&teacher.ask(home, C::Units).unwrap()["units"][1], "unit");
    let (who, scopes) = (Who::Unit(unit), vec![concern.to_owned()]);
    teacher.ask(home, C::AccessRequest { log: log.to_owned(), who, scopes, access: AccessWord::Read }).unwrap();
    teacher.sync(home);
    sign(home, mother);
    sign(home, father);
    rounds(home, &mut [teacher, &mut leader]);
    leader.ask(home, C::UnitAssign { log: log.to_owned(), person, scopes: vec![] }).unwrap();
    rounds(home, &mut [&mut leader, teacher, mother, father, &mut ppt]);
    ppt
}

/// A reader's device takes its leaf back and closes the gap that this leaves itself, with 48 bytes of nothing. Who is
/// let in later reads what was written before all the same.
#[test]
fn a_reader_closes_a_gap_with_junk_and_a_newcomer_reads_behind_it() {
    let mut cast = cast();
    let log = log(&mut cast);
    let homework = concern(&mut cast, &log);
    let scope: ScopeId = homework.parse().unwrap();
    write(&mut cast.home, &mut cast.mother, &homework, "Fra før");
    let Cast { home, teacher, mother, father, leader, .. } = &mut cast;
    rounds(home, &mut [leader, teacher, mother, father]);
    let backup = leader.disk.clone();
    // A commit of its own that the leader's device will have forgotten.
    let code = text(&leader.ask(home, C::DeviceLink).unwrap(), "code");
    leader.sync(home);
    let mut tablet = Device::new(60);
    tablet.ask(home, C::DeviceAccept { code, name: "nettbrett".into() }).unwrap();
    rounds(home, &mut [leader, &mut tablet]);
    leader.disk = backup;
    leader.restart();
    let repairs = |body: &Body| matches!(body, Body::Statement(Statement::LinkRepair(_)));
    for _ in 0..2 {
        leader.sync(&mut Picky(home, &repairs));
    }
    let insider = Insider::of(leader, &homework);
    let state = home.scopes[&scope].replica.state().clone();
    assert_eq!(state.gaps, [state.epoch]);
    let at = |epoch| KeyPlace { generation: 1, epoch };
    let junk = LinkRepair { from: at(state.epoch), to: at(state.epoch - 1), link: vec![7; 48].into() };
    let event = insider.sign(&insider.event(&state, Body::Statement(Statement::LinkRepair(junk))));
    insider.submit(home, event).expect("a home cannot tell junk");
    assert!(home.scopes[&scope].replica.state().gaps.is_empty());
    rounds(home, &mut [teacher, mother, father]);
    let mut ppt = newcomer(&mut cast, &log, &homework);
    assert_eq!(glimpses(&mut cast.home, &mut ppt, &homework), ["Fra før"], "{}", ppt.last_problem());
}

/// Whoever has a part of the log alone, and is set back to before commits of its own, has lost keys that nobody else has.
/// The log goes on all the same: others are let in, and read over the gap.
#[test]
fn who_is_alone_with_a_gap_lets_others_in_all_the_same() {
    let mut cast = cast();
    let log = log(&mut cast);
    let Cast { home, teacher, mother, father, .. } = &mut cast;
    // Nobody can be let in for now: their devices have left no key packages.
    home.packages.clear();
    let measure = NewMeasure { text: "Tiltak".into(), ..NewMeasure::default() };
    let (title, goal) = ("Lekser".to_owned(), "Mål".to_owned());
    let new = C::ConcernNew { log, title, goal, category: None, measure };
    let homework = text(&teacher.ask(home, new).unwrap(), "concern");
    let scope: ScopeId = homework.parse().unwrap();
    write(home, teacher, &homework, "Fra før");
    let backup = teacher.disk.clone();
    for _ in 0..2 {
        home.pass(31 * 24 * 3_600_000);
        home.packages.clear();
        teacher.sync(home);
    }
    let state = home.scopes[&scope].replica.state();
    assert_eq!((state.epoch, state.membership.members.len()), (2, 1), "{}", teacher.last_problem());
    teacher.disk = backup;
    teacher.restart();
    for _ in 0..2 {
        teacher.sync(home);
        home.pass(61_000);
    }
    rounds(home, &mut [mother, father, teacher]);
    assert_eq!(glimpses(home, mother, &homework), ["Fra før"], "{} {}", teacher.last_problem(), mother.last_problem());
}

/// Nobody can find out by guessing what a family has consented to, nor for which child: of no text that was signed does
/// anything reach the home that could be recomputed from the words.
#[test]
fn p1_no_consent_can_be_guessed_from_what_the_home_has() {
    let mut cast = cast();
    let guardians = vec![cast.mother_id.clone(), cast.father_id.clone()];
    let new = C::LogNew { child: "Ella".into(), born: "2015-03-04".into(), guardians, level: 1 };
    let Cast { home, teacher, mother, father, .. } = &mut cast;
    teacher.ask(home, new).unwrap();
    teacher.sync(home);
    mother.sync(home);
    let pending = mother.ask(home, C::ConsentPending).unwrap();
    let words = text(&pending["requests"][0], "text");
    assert!(words.contains("Ella"), "{words}");
    sign(home, mother);
    sign(home, father);
    rounds(home, &mut [teacher, mother, father]);
    assert!(!home.scopes.is_empty(), "the log was founded");
    let guess = stafett_protocol::ids::hash("consent text", &[words.as_bytes()]);
    assert!(!home.heard.windows(32).any(|bytes| bytes == guess.0), "the home finds the child by trying names");
}
