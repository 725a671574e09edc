//! What the people of a log see when it comes back to the municipality that it left, and when the home that it leaves
//! keeps back what it has receipted. Real clients, homes in memory.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use crate::transfer::moving::*;
use stafett_client_core::client::input::Command as C;
use stafett_tests::model::cast::text;
use std::mem::swap;

fn glimpse(concern: &str, words: &str) -> C {
    C::Glimpse { concern: concern.into(), text: words.into() }
}

/// A → B → A: the family moves back. What was closed when the log left stays closed beside it, and is read.
#[test]
fn a_log_comes_back_to_where_it_was_and_its_people_find_it() {
    let mut it = Move::new();
    let tone = text(&show(&mut it.homes, &mut it.teacher, &it.log), "holder");
    it.agree();
    it.arrived();
    it.everyone(2);
    let note = C::Note { log: it.log.clone(), text: "Dagbok i Haugesund".into() };
    it.kari.ask(&mut it.homes, note).unwrap();
    it.kari.ask(&mut it.homes, glimpse(&it.homework.clone(), "I Haugesund")).unwrap();
    it.everyone(2);
    // Kari offers it to the school that it came from; its leader passes it on to Tone.
    swap(&mut it.teacher, &mut it.kari);
    swap(&mut it.there, &mut it.leader);
    it.kari_id = tone;
    it.agree_with(ULLENSAKER);
    it.everyone(6);
    let own = it.homes_of_log();
    let Move { homes, teacher: old, kari: new, mother, father, log, homework, absence, kari_id, .. } = &mut it;
    assert_eq!(own, (5, 1), "closed journal and absence, card, homework, a new journal: {}", old.last_problem());
    let scope = homework.parse().unwrap();
    assert_eq!(homes.at(ULLENSAKER).scopes[&scope].replica.state().membership.home_epoch, 3);
    new.ask(homes, glimpse(homework, "Hjemme igjen")).unwrap();
    new.ask(homes, C::Note { log: log.clone(), text: "Tredje dagbok".into() }).unwrap();
    new.sync(homes);
    for device in [&mut *mother, &mut *father, &mut *new] {
        device.sync(homes);
        device.sync(homes);
        let seen = show(homes, device, log);
        assert_eq!((text(&seen, "home"), text(&seen, "holder")), ("3209".into(), kari_id.clone()), "{seen}");
        assert_eq!(glimpses(homes, device, homework), ["I Haugesund", "Hjemme igjen"], "{}", device.last_problem());
        assert!(seen.to_string().contains("Tredje dagbok"), "{seen}");
        sound(homes, device, log);
    }
    for device in [mother, father] {
        assert_eq!(device.ask(homes, C::ConcernShow { concern: absence.clone() }).unwrap()["state"], "closed");
        let refused = device.ask(homes, glimpse(absence, "For sent"));
        device.sync(homes);
        let waits = show(homes, device, log)["pending"].to_string();
        assert!(refused.is_err() || waits.contains("closed"), "nothing is written where it was closed: {waits}");
    }
    assert_eq!(old.ask(homes, C::ConcernShow { concern: homework.clone() }).unwrap_err().code, "withdrawn");
}

/// F6: the old home moves the log without what it has receipted for the mother. Her device shows the two signatures, and
/// her words are not lost.
#[test]
fn f6_what_the_old_home_leaves_out_of_a_move_is_proved_by_whoever_has_its_receipt() {
    let mut it = Move::new();
    it.agree();
    let before = it.homes.at(ULLENSAKER).clone();
    let Move { homes, mother, homework, .. } = &mut it;
    mother.ask(homes, glimpse(homework, "Utelatt")).unwrap();
    mother.sync(homes);
    let scope = homework.parse().unwrap();
    assert!(homes.at(ULLENSAKER).scopes[&scope].records.len() > before.scopes[&scope].records.len(), "receipted");
    // For everybody else it never was.
    *homes.at(ULLENSAKER) = before;
    let Move { homes, teacher, kari, father, log, homework, .. } = &mut it;
    for _ in 0..3 {
        for device in [&mut *teacher, &mut *kari, &mut *father] {
            device.sync(homes);
        }
    }
    assert_eq!(text(&show(homes, father, log), "home"), "1106", "{}", teacher.last_problem());
    assert!(glimpses(homes, father, homework).is_empty());
    let Move { homes, mother, log, homework, .. } = &mut it;
    for _ in 0..2 {
        mother.sync(homes);
    }
    assert!(mother.last_problem().contains("two-histories"), "{}", mother.last_problem());
    let audit = mother.ask(homes, C::AuditVerify { log: log.clone() }).unwrap();
    assert_eq!(list(&audit, "forks").len(), 1, "both signatures are shown: {audit}");
    assert_eq!(glimpses(homes, mother, homework), ["Utelatt"], "her words are there still");
}
