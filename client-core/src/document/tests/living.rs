//! A document in use: offline edits, refusals, drafts, restarts, several devices.

use super::*;
use crate::rows::{Space, Table};

fn glimpse(document: &mut Document, who: Who, id: &str) -> Vec<u8> {
    document.edit(&who.editor(), |to| edit::add_glimpse(to, who.person(), id, id, None)).unwrap().1
}

fn ids(document: &Document) -> Vec<String> {
    document.concern().glimpses.into_iter().map(|glimpse| glimpse.id).collect()
}

#[test]
fn offline_edits_of_two_people_meet_and_order_is_that_of_receipt() {
    let (mut teacher, events) = published();
    let mut mother = reader(&events);
    let (a, b) = (glimpse(&mut teacher, TEACHER, "t"), glimpse(&mut mother, MOTHER, "m"));
    assert_eq!((ids(&teacher), ids(&mother)), (vec!["t".to_owned()], vec!["m".to_owned()]), "shown before sent");
    assert!(teacher.entry("glimpses", "t").unwrap().is_pending());
    let chain = [MOTHER.event(2, START + 1, vec![b]), TEACHER.event(3, START + 2, vec![a])];
    teacher.accept(&chain).unwrap();
    mother.accept(&chain).unwrap();
    assert_eq!((ids(&teacher), ids(&mother)), (vec!["m".to_owned(), "t".into()], vec!["m".to_owned(), "t".into()]));
    assert_eq!(teacher.entry("glimpses", "t").unwrap().received_ms, Some(START + 2));
    assert_eq!((teacher.pending().len(), mother.pending().len()), (0, 0));
}

#[test]
fn pending_edits_see_those_of_others_and_stay_last() {
    let (mut teacher, events) = published();
    let mut mother = reader(&events);
    glimpse(&mut teacher, TEACHER, "t1");
    let theirs = MOTHER.event(2, START, vec![glimpse(&mut mother, MOTHER, "m")]);
    teacher.accept(&[theirs]).unwrap();
    let second = glimpse(&mut teacher, TEACHER, "t2");
    assert_eq!(ids(&teacher), ["m", "t1", "t2"]);
    let both = teacher.pending().map(|pending| pending.bytes.clone()).collect::<Vec<_>>();
    assert_eq!(both[1], second);
    let outcome = teacher.accept(&[TEACHER.event(3, START, both)]).unwrap();
    assert!(outcome.outcomes.iter().all(|outcome| matches!(outcome, Outcome::Applied(_))));
}

#[test]
fn a_refused_edit_becomes_a_draft_and_work_goes_on() {
    let (mut teacher, _) = published();
    let kept = glimpse(&mut teacher, TEACHER, "kept");
    let refused = crate::seal::change_hash(&glimpse(&mut teacher, TEACHER, "refused"));
    glimpse(&mut teacher, TEACHER, "after");
    let drafts = teacher.refuse(&refused).unwrap();
    assert_eq!(drafts.len(), 2, "what was built on it falls too");
    assert!(drafts[0].lines.contains(&("glimpses/refused/text".into(), "refused".into())));
    assert_eq!(ids(&teacher), ["kept"]);
    let other = Editor { fresh: [77; 8], ..TEACHER.editor() };
    let (_, change) = teacher.edit(&other, |to| edit::add_glimpse(to, TEACHER.person(), "new", "ny", None)).unwrap();
    let outcomes = teacher.accept(&[TEACHER.event(2, START, vec![kept, change])]).unwrap().outcomes;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Applied(_))), "{outcomes:?}");
    assert!(teacher.refuse(&[0; 32]).unwrap().is_empty());
}

#[test]
fn own_edits_that_everybody_quarantines_come_back_as_drafts() {
    let (mut teacher, _) = published();
    let change = teacher.edit(&TEACHER.editor(), |to| edit::rewrite_measure(to, "home", "Sent for sent")).unwrap().1;
    let late = START + 2 * stafett_protocol::limits::EDIT_WINDOW_MILLIS;
    let delivered = teacher.accept(&[TEACHER.event(2, late, vec![change])]).unwrap();
    assert_eq!(delivered.outcomes, [Outcome::Quarantined(Reason::Window)]);
    assert_eq!(delivered.drafts[0].lines, [("measures/home/text".to_owned(), "Sent for sent".to_owned())]);
    assert_eq!(teacher.concern().measures[1].text, "Tiltak home");
    glimpse(&mut teacher, TEACHER, "goes-on");
}

#[test]
fn another_s_quarantined_copy_costs_nothing() {
    let (mut mother, events) = published();
    drop(events);
    let change = glimpse(&mut mother, MOTHER, "m");
    let copied = CHILD.event(2, START, vec![change.clone()]);
    let delivered = mother.accept(&[copied]).unwrap();
    assert_eq!(delivered.outcomes, [Outcome::Quarantined(Reason::Actor)]);
    assert!(delivered.drafts.is_empty());
    assert_eq!(mother.pending().len(), 1);
    mother.accept(&[MOTHER.event(3, START, vec![change])]).unwrap();
    assert_eq!(mother.pending().len(), 0);
}

#[test]
fn a_refused_edit_leaves_no_trace_in_the_fork() {
    let (mut teacher, _) = published();
    glimpse(&mut teacher, TEACHER, "kept");
    let again = teacher.edit(&TEACHER.editor(), |to| edit::add_glimpse(to, TEACHER.person(), "kept", "x", None));
    assert!(matches!(again, Err(EditError::Refused(Reason::Once))));
    let nothing = teacher.edit(&TEACHER.editor(), |_| Ok(()));
    assert!(matches!(nothing, Err(EditError::Nothing)));
    let failing = teacher.edit(&TEACHER.editor(), |to| edit::rewrite_measure(to, "unknown", "x"));
    assert!(matches!(failing, Err(EditError::Document(_))));
    assert_eq!(teacher.entry("glimpses", "kept").unwrap().text("text").unwrap(), "kept");
    glimpse(&mut teacher, TEACHER, "next");
    let changes = teacher.pending().map(|pending| pending.bytes.clone()).collect();
    let outcomes = teacher.accept(&[TEACHER.event(2, START, changes)]).unwrap().outcomes;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Applied(_))), "{outcomes:?}");
}

#[test]
fn everything_comes_back_after_a_restart() {
    let (mut teacher, events) = published();
    let mut table = Table::default();
    teacher.save(&mut table, b"a").unwrap();
    let mut mother = reader(&events);
    for number in 0..300u64 {
        let change = glimpse(&mut mother, MOTHER, &format!("m{number}"));
        let event = [MOTHER.event(number + 2, START + number, vec![change])];
        mother.accept(&event).unwrap();
        teacher.accept(&event).unwrap();
        teacher.save(&mut table, b"a").unwrap();
    }
    assert!(table.scan(Space::Document, b"a").count() < 130, "rows are gathered from time to time");
    glimpse(&mut teacher, TEACHER, "pending");
    teacher.save(&mut table, b"a").unwrap();
    let _ = table.take_dirty();
    teacher.save(&mut table, b"a").unwrap();
    assert!(table.take_dirty().is_empty(), "saving again writes nothing");

    let mut loaded = Document::load(&table, b"a", ScopeKind::Concern).unwrap().unwrap();
    assert_eq!(loaded.concern(), teacher.concern());
    assert_eq!(loaded.pending().collect::<Vec<_>>(), teacher.pending().collect::<Vec<_>>());
    // After a restart the device writes under a new actor, on top of what is pending.
    let fresh = Editor { fresh: [99; 8], ..TEACHER.editor() };
    loaded.edit(&fresh, |to| edit::add_comment(to, TEACHER.person(), "c", "x", Some("pending"))).unwrap();
    let changes = loaded.pending().map(|pending| pending.bytes.clone()).collect();
    let outcomes = loaded.accept(&[TEACHER.event(900, START, changes)]).unwrap().outcomes;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Applied(_))), "{outcomes:?}");
    loaded.save(&mut table, b"a").unwrap();
    assert_eq!(Document::load(&table, b"a", ScopeKind::Concern).unwrap().unwrap().pending().len(), 0);
    assert!(Document::load(&table, b"b", ScopeKind::Concern).unwrap().is_none());
    Document::delete_rows(&mut table, b"a");
    assert!(Document::load(&table, b"a", ScopeKind::Concern).unwrap().is_none());
}

#[test]
fn two_devices_of_one_person_are_two_lines() {
    let (mut first, events) = published();
    let mut second = reader(&events);
    let tablet = DeviceId([201; 16]);
    let a = glimpse(&mut first, TEACHER, "a");
    let editor = Editor { device: tablet, ..TEACHER.editor() };
    let (_, b) = second.edit(&editor, |to| edit::add_glimpse(to, TEACHER.person(), "b", "b", None)).unwrap();
    let from_tablet = Received { device: tablet, ..TEACHER.event(3, START, vec![b]) };
    let chain = [TEACHER.event(2, START, vec![a]), from_tablet];
    first.accept(&chain).unwrap();
    second.accept(&chain).unwrap();
    assert_eq!(ids(&first), ["a", "b"]);
    assert_eq!(first.accepted().heads(), second.accepted().heads());
}
