//! The rules of the domain, each on both sides; names carry the ids of the domain, as F1 or R6.

use stafett_protocol::limits::EDIT_WINDOW_MILLIS;

use super::*;
use crate::document::edit::Colour;
use crate::document::rules::{RULES, allowed};
use crate::document::schema::sections;

/// Edits, delivers with the given receipt time, and answers what became of it.
fn deliver(
    document: &mut Document,
    who: Who,
    received_ms: Millis,
    change: impl FnOnce(&mut automerge::transaction::Transaction<'_>) -> Result<(), AutomergeError>,
) -> Result<(), Reason> {
    let editor = Editor { now_ms: received_ms, ..who.editor() };
    match document.edit(&editor, change) {
        Ok(((), bytes)) => {
            let number = document.accepted().document.get_changes(&[]).len() as u64 + 1;
            match document.accept(&[who.event(number, received_ms, vec![bytes])]).unwrap().outcomes[0] {
                Outcome::Quarantined(reason) => Err(reason),
                _ => Ok(()),
            }
        }
        Err(EditError::Refused(reason)) => Err(reason),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn i1_everyone_but_readers_writes_glimpses() {
    for (who, expected) in
        [(TEACHER, Ok(())), (MOTHER, Ok(())), (CHILD, Ok(())), (NURSE, Ok(())), (PPT, Err(Reason::Role))]
    {
        let (mut document, _) = published();
        let result = deliver(&mut document, who, START, |to| edit::add_glimpse(to, who.person(), "g", "Et smil", None));
        assert_eq!(result, expected, "{who:?}");
    }
}

#[test]
fn f11_family_proposes_and_the_holder_adopts() {
    let (mut document, _) = published();
    let proposal = |who: Who| {
        move |to: &mut automerge::transaction::Transaction<'_>| {
            edit::propose(to, who.person(), "p", "Øve med Ali", None)
        }
    };
    assert_eq!(deliver(&mut document, NURSE, START, proposal(NURSE)), Err(Reason::Role));
    assert_eq!(deliver(&mut document, CHILD, START, proposal(CHILD)), Ok(()));
    assert_eq!(deliver(&mut document, MOTHER, START, |to| edit::adopt_proposal(to, "p", "home")), Err(Reason::Role));
    assert_eq!(deliver(&mut document, TEACHER, START, |to| edit::adopt_proposal(to, "p", "home")), Ok(()));
    assert_eq!(document.concern().proposals[0].text("adopted").unwrap(), "home");
}

#[test]
fn e12_a_concern_comes_with_goal_and_first_measure() {
    let goal = NewGoal { text: "Mål".into(), ..NewGoal::default() };
    let first = [measure("m", Responsible::Family)];
    let publish = |measures: &[NewMeasure], goal: &NewGoal| {
        let mut document = Document::new(ScopeKind::Concern).unwrap();
        deliver(&mut document, TEACHER, START, |to| {
            edit::publish_concern(to, TEACHER.person(), "Tittel", None, goal, measures)
        })
    };
    assert_eq!(publish(&first, &goal), Ok(()));
    assert_eq!(publish(&[], &goal), Err(Reason::Incomplete));
    let mut empty = Document::new(ScopeKind::Concern).unwrap();
    let early = deliver(&mut empty, TEACHER, START, |to| edit::add_measure(to, TEACHER.person(), &first[0]));
    assert_eq!(early, Err(Reason::Incomplete));
}

#[test]
fn e11_title_and_goal_stay_and_corrections_stand_beside() {
    let (mut document, _) = published();
    let goal = NewGoal { text: "Et annet mål".into(), ..NewGoal::default() };
    let again = deliver(&mut document, TEACHER, START, |to| {
        edit::publish_concern(to, TEACHER.person(), "Ny tittel", None, &goal, &[])
    });
    assert!(again.is_err());
    // Without naming what it replaces, as a hostile client would.
    let change = forged(&document, TEACHER, 50, |d| d.put(section(d, "goal"), "present", "Ella leser"));
    assert!(matches!(verdict(&mut document, &TEACHER.event(2, START, vec![change])), Outcome::Applied(_)));
    let change = forged(&document, TEACHER, 51, |d| d.put(section(d, "goal"), "present", "Ella løper"));
    assert_eq!(
        verdict(&mut document, &TEACHER.event(3, START, vec![change])),
        Outcome::Quarantined(Reason::Predecessor)
    );
    let correct = |who: Who| {
        move |to: &mut automerge::transaction::Transaction<'_>| {
            edit::add_correction(to, who.person(), "c", "goal", "Rettelse")
        }
    };
    assert_eq!(deliver(&mut document, MOTHER, START, correct(MOTHER)), Err(Reason::Role));
    assert_eq!(deliver(&mut document, TEACHER, START, correct(TEACHER)), Ok(()));
    let view = document.concern();
    assert_eq!((view.title.as_str(), view.goal_text()), ("Ella arbeider med lekser", "Ella gjør lekser hver dag"));
    assert_eq!(view.corrections.len(), 1);
}

#[test]
fn f7_measure_text_is_open_for_eight_hours_of_receipt_time() {
    let rewrite = |at: Millis| {
        let (mut document, _) = published();
        let result = deliver(&mut document, TEACHER, at, |to| edit::rewrite_measure(to, "home", "Ny tekst"));
        (result, document.concern().measures[1].text.clone())
    };
    assert_eq!(rewrite(START + EDIT_WINDOW_MILLIS), (Ok(()), "Ny tekst".into()));
    assert_eq!(rewrite(START + EDIT_WINDOW_MILLIS + 1), (Err(Reason::Window), "Tiltak home".into()));
    let (mut document, _) = published();
    assert_eq!(deliver(&mut document, MOTHER, START, |to| edit::rewrite_measure(to, "home", "x")), Err(Reason::Role));
    let next_holder = Who { number: 9, role: Role::Holder };
    let by_other = deliver(&mut document, next_holder, START, |to| edit::rewrite_measure(to, "home", "x"));
    assert_eq!(by_other, Err(Reason::Role), "only by its author");
}

#[test]
fn f3_f8_a_measure_has_one_responsible_and_is_replaced_not_changed() {
    let (mut document, _) = published();
    let change = forged(&document, TEACHER, 50, |d| d.put(entry(d, "measures", "home"), "responsible", "child"));
    let outcome = verdict(&mut document, &TEACHER.event(2, START, vec![change]));
    assert!(matches!(outcome, Outcome::Quarantined(Reason::Predecessor | Reason::Once)));
    let late = START + 2 * EDIT_WINDOW_MILLIS;
    let corrected = measure("home2", Responsible::Child);
    let both = deliver(&mut document, TEACHER, late, |to| {
        edit::add_measure(to, TEACHER.person(), &corrected)?;
        edit::supersede_measure(to, "home", Some("home2"))
    });
    assert_eq!(both, Ok(()));
    assert_eq!(document.concern().measures[1].superseded, Some((1, Some("home2".into()))));
    let by_actor = deliver(&mut document, NURSE, late, |to| edit::supersede_measure(to, "nurse", None));
    assert_eq!(by_actor, Err(Reason::Role));
}

#[test]
fn e1_a_second_active_measure_of_an_actor_is_parked_not_lost() {
    let (mut document, _) = published();
    let second = measure("nurse2", Responsible::Person(NURSE.person()));
    let add = |to: &mut automerge::transaction::Transaction<'_>| edit::add_measure(to, TEACHER.person(), &second);
    assert_eq!(deliver(&mut document, TEACHER, START, add), Ok(()));
    let parked = |document: &Document| -> Vec<String> {
        document.concern().measures.into_iter().filter(|m| m.parked).map(|m| m.id).collect()
    };
    assert_eq!(parked(&document), ["nurse2"]);
    let evaluate = |to: &mut automerge::transaction::Transaction<'_>| {
        edit::evaluate(to, NURSE.person(), "e", "nurse", Colour::Green, None, false)
    };
    assert_eq!(deliver(&mut document, NURSE, START, evaluate), Ok(()));
    assert!(parked(&document).is_empty());
}

#[test]
fn g1_one_evaluation_counts_and_the_responsible_or_holder_makes_it() {
    let (mut document, _) = published();
    let evaluate = |who: Who, id: &'static str, measure: &'static str| {
        move |to: &mut automerge::transaction::Transaction<'_>| {
            edit::evaluate(to, who.person(), id, measure, Colour::Green, None, false)
        }
    };
    assert_eq!(deliver(&mut document, NURSE, START, evaluate(NURSE, "e0", "home")), Err(Reason::Role));
    assert_eq!(deliver(&mut document, MOTHER, START, evaluate(MOTHER, "e0", "home")), Err(Reason::Role));
    assert_eq!(deliver(&mut document, NURSE, START, evaluate(NURSE, "e0", "unknown")), Err(Reason::Missing));
    // Two evaluate offline: both stay, the first received counts.
    let by_holder = forged(&document, TEACHER, 50, |d| {
        put_entry(d, "evaluations", "e2", &[("author", &hex(TEACHER)), ("measure", "nurse"), ("result", "red")])
    });
    assert_eq!(deliver(&mut document, NURSE, START, evaluate(NURSE, "e1", "nurse")), Ok(()));
    assert_eq!(deliver(&mut document, NURSE, START, evaluate(NURSE, "e3", "nurse")), Err(Reason::Once));
    assert!(matches!(verdict(&mut document, &TEACHER.event(50, START, vec![by_holder])), Outcome::Applied(_)));
    let measure = document.concern().measures[2].clone();
    assert_eq!(measure.evaluation.unwrap().text("result").unwrap(), "green");
    assert_eq!(measure.remarks.len(), 1);
}

#[test]
fn g3_the_family_has_the_last_word() {
    let (mut document, _) = published();
    let mark = |who: Who, id: &'static str, agrees: bool| {
        move |to: &mut automerge::transaction::Transaction<'_>| {
            edit::mark_as_family(to, who.person(), id, "home", (Colour::Yellow, agrees), None)
        }
    };
    assert_eq!(deliver(&mut document, TEACHER, START, mark(TEACHER, "a", true)), Err(Reason::Role));
    assert_eq!(deliver(&mut document, MOTHER, START, mark(MOTHER, "a", true)), Ok(()));
    assert_eq!(document.concern().measures[1].family_agrees, Some(true));
    assert_eq!(deliver(&mut document, CHILD, START, mark(CHILD, "b", false)), Ok(()));
    assert_eq!(document.concern().measures[1].family_agrees, Some(false));
    assert_eq!(deliver(&mut document, CHILD, START, mark(CHILD, "c", true)), Ok(()));
    assert_eq!(document.concern().measures[1].family_agrees, Some(true));
}

#[test]
fn card_people_present_themselves_and_the_holder_everyone() {
    let mut card = Document::new(ScopeKind::Card).unwrap();
    let present = |who: Who, name: &'static str| {
        move |to: &mut automerge::transaction::Transaction<'_>| {
            edit::present_person(to, "people", who.person(), name, None, None)
        }
    };
    assert_eq!(
        deliver(&mut card, MOTHER, START, |to| edit::describe_child(to, "Ella", "2014-05-01", 1)),
        Err(Reason::Role)
    );
    assert_eq!(deliver(&mut card, TEACHER, START, |to| edit::describe_child(to, "Ella", "2014-05-01", 1)), Ok(()));
    assert_eq!(
        deliver(&mut card, TEACHER, START, |to| edit::set_level(to, 0)),
        Err(Reason::Value),
        "A2: no log at level 0"
    );
    assert_eq!(deliver(&mut card, TEACHER, START, |to| edit::set_level(to, 2)), Ok(()));
    assert_eq!(deliver(&mut card, MOTHER, START, present(MOTHER, "Mor")), Ok(()));
    assert_eq!(deliver(&mut card, MOTHER, START, present(CHILD, "Ella")), Err(Reason::Role));
    assert_eq!(deliver(&mut card, PPT, START, present(PPT, "PPT")), Err(Reason::Role));
    assert_eq!(deliver(&mut card, TEACHER, START, present(PPT, "Per fra PPT")), Ok(()));
    assert_eq!(deliver(&mut card, TEACHER, START, present(MOTHER, "Mor Hansen")), Ok(()));
    let view = card.card();
    assert_eq!((view.child_name.as_str(), view.level, view.people.len()), ("Ella", Some(2), 2));
}

#[test]
fn journal_belongs_to_holder_and_family() {
    let mut journal = Document::new(ScopeKind::Journal).unwrap();
    let scope = stafett_protocol::ids::ScopeId([8; 16]);
    assert_eq!(deliver(&mut journal, PPT, START, |to| edit::list_concern(to, scope, "Lekser")), Err(Reason::Role));
    assert_eq!(deliver(&mut journal, TEACHER, START, |to| edit::list_concern(to, scope, "Lekser")), Ok(()));
    assert_eq!(deliver(&mut journal, TEACHER, START, |to| edit::set_listed_state(to, scope, false)), Ok(()));
    assert_eq!(
        deliver(&mut journal, MOTHER, START, |to| edit::add_text(to, MOTHER.person(), "requests", "r", "Møte?")),
        Ok(())
    );
    assert_eq!(deliver(&mut journal, TEACHER, START, |to| edit::answer_request(to, "r", "Ja")), Ok(()));
    let view = journal.journal();
    assert!(!view.concerns[0].open);
    assert_eq!(view.requests[0].text("answer").unwrap(), "Ja");
}

const ROLES: [Role; 10] = [
    Role::Guardian,
    Role::Child,
    Role::Holder,
    Role::Actor,
    Role::Reader,
    Role::Custodian,
    Role::Archivist,
    Role::Leader,
    Role::Employee,
    Role::Own,
];

/// The whole table as reviewed text: every scope, section and act, and what each role may.
#[test]
fn the_table_is_the_reviewed_one() {
    let mut text = String::new();
    for kind in [ScopeKind::Card, ScopeKind::Journal, ScopeKind::Concern, ScopeKind::Unit, ScopeKind::Personal] {
        for section in sections(kind) {
            let acts = std::iter::once(rules::Act::Create)
                .chain(section.fields.iter().filter(|field| field.late).map(|field| rules::Act::Write(field.name)));
            for act in acts {
                let named = match act {
                    rules::Act::Write(field) => format!("write {field}"),
                    _ => "create".into(),
                };
                let roles: Vec<String> = ROLES
                    .into_iter()
                    .filter_map(|role| {
                        allowed(kind, section.name, act, role).map(|whose| format!("{role:?} {whose:?}"))
                    })
                    .collect();
                let roles = if roles.is_empty() { "nobody".into() } else { roles.join(", ") };
                text += &format!("{kind:?} {} {named}: {roles}\n", section.name).to_lowercase();
            }
        }
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/document/rules.txt");
    if std::env::var_os("STAFETT_WRITE_RULES").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    assert_eq!(text, std::fs::read_to_string(path).unwrap(), "set STAFETT_WRITE_RULES=1 to write it, and review it");
}

#[test]
fn every_rule_names_a_section_and_field() {
    for rule in RULES {
        let section = sections(rule.kind).iter().find(|section| section.name == rule.section).expect(rule.section);
        if let rules::Act::Write(field) = rule.act {
            assert!(section.field(field).expect(field).late, "{field}");
        }
    }
    let silent = [Role::Reader, Role::Custodian, Role::Archivist];
    assert!(
        RULES.iter().all(|rule| rule.allowed.iter().all(|(role, _)| !silent.contains(role))),
        "C4, C9: readers write nothing"
    );
}
