//! The baton: who may carry it, hand it over, take over, and what the family sees of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

pub mod common;

use common::*;
use stafett_client_core::client::input::{AccessWord, Command as C, NewMeasure, Who, WithdrawTarget};
use stafett_tests::model::cast::{Cast, cast, colleague, list, log, other_school, sign, text};
use stafett_tests::model::people::Device;

/// L3, C16: the leader's continuity seat is asked for when the log begins, shown to the family as what it
/// is, reads and never writes, and can be ended alone.
#[test]
fn l3_the_leader_has_a_seat_that_the_family_sees_and_may_end() {
    let mut cast = cast();
    let log = log(&mut cast);
    let homework = concern(&mut cast, &log, "Lekser");
    let Cast { home, leader, mother, .. } = &mut cast;
    let show = leader.ask(home, C::LogShow { log: log.clone() }).unwrap();
    assert_eq!(list(&show, "concerns").len(), 1, "{show} {}", leader.last_problem());
    let refused = leader.ask(home, C::Glimpse { concern: homework.clone(), text: "Hei".into() });
    assert_eq!(refused.unwrap_err().code, "read-only");

    let consents = mother.ask(home, C::ConsentList { log: log.clone() }).unwrap();
    let custody = list(&consents, "consents").iter().find(|c| c["access"] == "custody").unwrap();
    let target = WithdrawTarget::Grant(text(custody, "id"));
    mother.ask(home, C::ConsentWithdraw { log: log.clone(), target }).unwrap();
    everyone(&mut cast, 2);
    let Cast { home, leader, teacher, mother, father, .. } = &mut cast;
    assert_eq!(leader.ask(home, C::LogShow { log: log.clone() }).unwrap_err().code, "withdrawn");
    let show = mother.ask(home, C::LogShow { log: log.clone() }).unwrap();
    assert_eq!(show["status"], "active", "the teacher holds on: {show}");
    teacher.ask(home, C::Glimpse { concern: homework.clone(), text: "Videre".into() }).unwrap();

    // Asked for anew, it covers the whole log, whatever is named.
    let unit = text(&teacher.ask(home, C::Units).unwrap()["units"][0], "unit");
    let (who, scopes) = (Who::Unit(unit), vec![]);
    teacher.ask(home, C::AccessRequest { log: log.clone(), who, scopes, access: AccessWord::Custody }).unwrap();
    teacher.sync(home);
    mother.sync(home);
    let asked = mother.ask(home, C::ConsentPending).unwrap();
    assert_eq!(asked["requests"][0]["access"], "custody", "{asked}");
    assert!(text(&asked["requests"][0], "text").contains("Leder Larsen"), "{asked}");
    for guardian in [&mut *mother, &mut *father] {
        sign(home, guardian);
    }
    everyone(&mut cast, 2);
    let Cast { home, leader, .. } = &mut cast;
    let show = leader.ask(home, C::ConcernShow { concern: homework }).unwrap();
    assert_eq!(show["glimpses"][0]["text"], "Videre", "{show} {}", leader.last_problem());
    sound(&mut cast, &log);
}

/// K1–K4, C1: within the unit. The parents are told first, the colleague accepts, and until the home has
/// received it the teacher holds; then she has left, and the colleague goes on.
#[test]
fn k1_k2_k3_k4_within_the_unit_the_family_is_told_and_the_colleague_accepts() {
    let mut cast = cast();
    let log = log(&mut cast);
    let homework = concern(&mut cast, &log, "Lekser");
    let (mut kari, kari_id) = colleague(&mut cast);
    let refused = cast.teacher.ask(
        &mut cast.home,
        C::BatonOffer {
            log: log.clone(),
            to: kari_id.clone(),
            municipality: None,
            concerns: vec![],
            notes: vec![],
            reason: " ".into(),
        },
    );
    assert_eq!(refused.unwrap_err().code, "reason-missing", "K4");
    let made = cast.teacher.ask(&mut cast.home, offer(&kari_id, &log, &[])).unwrap();
    assert_eq!(made["state"], "open");
    let again = cast.teacher.ask(&mut cast.home, offer(&kari_id, &log, &[]));
    assert_eq!(again.unwrap_err().code, "offer-open");
    cast.teacher.sync(&mut cast.home);
    cast.mother.sync(&mut cast.home);
    let show = cast.mother.ask(&mut cast.home, C::LogShow { log: log.clone() }).unwrap();
    let pending = list(&show, "pending").iter().find(|p| p["kind"] == "offer").unwrap();
    assert_eq!(pending["reason"], "Tone skal ut i permisjon", "K2: {show}");
    assert_eq!(list(&cast.mother.ask(&mut cast.home, C::ConsentPending).unwrap(), "requests").len(), 0, "K2");

    kari.sync(&mut cast.home);
    let seen = first_offer(&mut kari, &mut cast);
    assert_eq!((text(&seen, "kind"), text(&seen, "child")), ("same-unit".into(), "Ella".into()), "{seen}");
    kari.sync(&mut cast.home);
    cast.teacher.sync(&mut cast.home);
    let mine = cast.teacher.ask(&mut cast.home, C::BatonList).unwrap()["offers"][0].clone();
    assert_eq!(mine["state"], "seen", "{mine}");
    assert_eq!(mine["waiting"][0], "acceptance", "K3: {mine}");
    let teacher_id = text(&cast.teacher.ask(&mut cast.home, C::DeviceList).unwrap(), "person");
    assert_eq!(holder(&mut cast, &log), teacher_id, "K7: until it is received the old holder holds");

    accept(&mut kari, &mut cast);
    everyone(&mut cast, 2);
    kari.sync(&mut cast.home);
    everyone(&mut cast, 2);
    assert_eq!(holder(&mut cast, &log), kari_id, "C1: {}", cast.teacher.last_problem());
    let show = cast.mother.ask(&mut cast.home, C::LogShow { log: log.clone() }).unwrap();
    assert_eq!(show["handovers"][0]["reason"], "Tone skal ut i permisjon", "{show}");
    assert_eq!(show["offers"][0]["state"], "handed-over", "{show}");
    assert!(list(&show, "participants").iter().all(|p| p["person"] != teacher_id.as_str()), "{show}");
    let gone = cast.teacher.ask(&mut cast.home, C::ConcernShow { concern: homework.clone() });
    assert_eq!(gone.unwrap_err().code, "withdrawn");
    let kept: Vec<_> = cast.teacher.disk.keys().filter(|(space, _)| [4, 5].contains(space)).collect();
    assert!(kept.is_empty(), "the old holder keeps neither keys nor content");
    kari.ask(&mut cast.home, C::Glimpse { concern: homework.clone(), text: "Kari tar over".into() }).unwrap();
    let measure = NewMeasure { text: "Nytt tiltak".into(), ..NewMeasure::default() };
    let new = C::ConcernNew { log: log.clone(), title: "Fravær".into(), goal: "Mål".into(), category: None, measure };
    kari.ask(&mut cast.home, new).unwrap();
    kari.sync(&mut cast.home);
    everyone(&mut cast, 2);
    let show = cast.father.ask(&mut cast.home, C::LogShow { log: log.clone() }).unwrap();
    assert_eq!(list(&show, "concerns").len(), 2, "the new holder begins a concern: {show} {}", kari.last_problem());
    let seen = cast.father.ask(&mut cast.home, C::ConcernShow { concern: homework }).unwrap();
    assert_eq!(seen["glimpses"][0]["author"], "Kari Kollega", "{seen}");
    sound(&mut cast, &log);
}

/// K1, K4, K5, K9, C4: to another unit. Its leader names the employee, the family signs, one concern goes
/// along and the other stays behind, closed, readable to who was there; the old leader's seat ends too.
#[test]
fn k5_k9_to_another_unit_with_the_chosen_concern_on_the_familys_consent() {
    let mut cast = cast();
    let log = log(&mut cast);
    let homework = concern(&mut cast, &log, "Lekser");
    let absence = concern(&mut cast, &log, "Fravær");
    let (mut nes_leader, mut nils, nils_id) = other_school(&mut cast);
    let mut teacher = std::mem::replace(&mut cast.teacher, Device::new(0));
    let (unit, leader) = known_unit(&mut teacher, &mut cast, "Nes skole");
    let which = teacher.ask(&mut cast.home, offer(&unit, &log, &[]));
    assert_eq!(which.unwrap_err().code, "concern", "K5: say which concerns go along");
    teacher.ask(&mut cast.home, offer(&unit, &log, &[&homework])).unwrap();
    teacher.sync(&mut cast.home);
    nes_leader.sync(&mut cast.home);
    let got = first_offer(&mut nes_leader, &mut cast);
    assert_eq!(text(&got, "kind"), "other-unit");
    assert!(!got.to_string().contains("Fravær"), "C4: nobody learns of a concern that is not theirs: {got}");
    let pass = C::BatonAccept { offer: text(&got, "offer"), person: Some(nils_id.clone()) };
    assert_eq!(nes_leader.ask(&mut cast.home, pass).unwrap()["state"], "passed", "K9");
    nes_leader.sync(&mut cast.home);
    nils.sync(&mut cast.home);
    accept(&mut nils, &mut cast);
    teacher.sync(&mut cast.home);
    let waits = teacher.ask(&mut cast.home, C::BatonList).unwrap()["offers"][0]["waiting"].clone();
    assert_eq!(waits, serde_json::json!(["key-not-compared", "consent"]), "neither key nor consent is there");
    compare(&mut teacher, &mut cast, &leader);
    sign(&mut cast.home, &mut cast.mother);
    teacher.sync(&mut cast.home);
    let teacher_id = text(&teacher.ask(&mut cast.home, C::DeviceList).unwrap(), "person");
    assert_eq!(holder(&mut cast, &log), teacher_id, "one parent has not signed");
    sign(&mut cast.home, &mut cast.father);
    for _ in 0..3 {
        teacher.sync(&mut cast.home);
        nils.sync(&mut cast.home);
        cast.mother.sync(&mut cast.home);
    }
    assert_eq!(holder(&mut cast, &log), nils_id, "{}", teacher.last_problem());
    let open = nils.ask(&mut cast.home, C::LogShow { log: log.clone() }).unwrap();
    let titles: Vec<_> = list(&open, "concerns").iter().map(|c| text(c, "title")).collect();
    assert_eq!(titles, ["Lekser"], "K5, C4: {open}");
    nils.ask(&mut cast.home, C::Glimpse { concern: homework.clone(), text: "Hos oss".into() }).unwrap();
    nils.sync(&mut cast.home);

    // What stayed behind: closed, and read by those who were there.
    let closed = teacher.ask(&mut cast.home, C::ConcernShow { concern: absence.clone() }).unwrap();
    assert_eq!((text(&closed, "state"), text(&closed, "title")), ("closed".into(), "Fravær".into()));
    let refused = teacher.ask(&mut cast.home, C::Glimpse { concern: absence.clone(), text: "Hei".into() });
    assert!(refused.is_err(), "an archivist writes no more");
    let gone = teacher.ask(&mut cast.home, C::ConcernShow { concern: homework.clone() });
    assert_eq!(gone.unwrap_err().code, "withdrawn");
    let kept = teacher.ask(&mut cast.home, C::LogShow { log: log.clone() }).unwrap();
    assert_eq!((text(&kept, "status"), list(&kept, "concerns").len()), ("archived".into(), 1), "{kept}");
    cast.mother.sync(&mut cast.home);
    let read = cast.mother.ask(&mut cast.home, C::ConcernShow { concern: absence.clone() }).unwrap();
    assert_eq!(read["state"], "closed");
    let refused = cast.mother.ask(&mut cast.home, C::Glimpse { concern: absence, text: "Hei".into() });
    assert_eq!(refused.unwrap_err().code, "not-active");

    // The old leader's seat ended with the old unit's grant; the new leader has one.
    cast.leader.sync(&mut cast.home);
    assert_eq!(
        cast.leader.ask(&mut cast.home, C::ConcernShow { concern: homework.clone() }).unwrap_err().code,
        "withdrawn"
    );
    nes_leader.sync(&mut cast.home);
    let seat = nes_leader.ask(&mut cast.home, C::ConcernShow { concern: homework }).unwrap();
    assert_eq!(seat["glimpses"][0]["text"], "Hos oss", "{}", nes_leader.last_problem());
    cast.teacher = teacher;
    sound(&mut cast, &log);
}

/// K3, C1: a no, or an offer taken back, leaves everything as it was, and closes what was asked for it.
#[test]
fn k3_a_declined_or_aborted_offer_changes_nothing() {
    let mut cast = cast();
    let log = log(&mut cast);
    let (mut kari, kari_id) = colleague(&mut cast);
    let (mut nes_leader, mut nils, nils_id) = other_school(&mut cast);
    let teacher_id = text(&cast.teacher.ask(&mut cast.home, C::DeviceList).unwrap(), "person");
    cast.teacher.ask(&mut cast.home, offer(&kari_id, &log, &[])).unwrap();
    everyone(&mut cast, 1);
    kari.sync(&mut cast.home);
    let got = text(&first_offer(&mut kari, &mut cast), "offer");
    let no = C::BatonDecline { offer: got.clone(), reason: Some("Har tre fra før".into()) };
    kari.ask(&mut cast.home, no).unwrap();
    kari.sync(&mut cast.home);
    everyone(&mut cast, 2);
    let mine = cast.teacher.ask(&mut cast.home, C::BatonList).unwrap()["offers"][0].clone();
    assert_eq!((text(&mine, "state"), text(&mine, "words")), ("declined".into(), "Har tre fra før".into()));
    let late = kari.ask(&mut cast.home, C::BatonAccept { offer: got, person: None });
    assert_eq!(late.unwrap_err().code, "offer-closed");

    // To another unit, taken back: the family is asked no more, and a late yes is nothing.
    let mut teacher = std::mem::replace(&mut cast.teacher, Device::new(0));
    let (unit, _) = known_unit(&mut teacher, &mut cast, "Nes skole");
    let made = text(&teacher.ask(&mut cast.home, offer(&unit, &log, &[])).unwrap(), "offer");
    teacher.sync(&mut cast.home);
    cast.mother.sync(&mut cast.home);
    assert_eq!(list(&cast.mother.ask(&mut cast.home, C::ConsentPending).unwrap(), "requests").len(), 1);
    nes_leader.sync(&mut cast.home);
    let got = text(&first_offer(&mut nes_leader, &mut cast), "offer");
    nes_leader.ask(&mut cast.home, C::BatonAccept { offer: got, person: Some(nils_id) }).unwrap();
    teacher.ask(&mut cast.home, C::BatonAbort { offer: made }).unwrap();
    teacher.sync(&mut cast.home);
    cast.mother.sync(&mut cast.home);
    assert_eq!(list(&cast.mother.ask(&mut cast.home, C::ConsentPending).unwrap(), "requests").len(), 0);
    nes_leader.sync(&mut cast.home);
    nils.sync(&mut cast.home);
    accept(&mut nils, &mut cast);
    teacher.sync(&mut cast.home);
    cast.mother.sync(&mut cast.home);
    assert_eq!(holder(&mut cast, &log), teacher_id, "C1: nothing has changed");
    let show = cast.mother.ask(&mut cast.home, C::LogShow { log: log.clone() }).unwrap();
    assert!(list(&show, "pending").iter().all(|p| p["kind"] != "offer"), "{show}");
    assert!(list(&show, "offers").iter().all(|o| o["state"] == "aborted"), "{show}");
    cast.teacher = teacher;
    sound(&mut cast, &log);
}

/// K8, L3: the teacher is away; her leader takes over with a reason that the family reads, hands over to a
/// colleague, and may do nothing else meanwhile.
#[test]
fn k8_the_leader_takes_over_with_a_reason_and_hands_over() {
    let mut cast = cast();
    let log = log(&mut cast);
    let homework = concern(&mut cast, &log, "Lekser");
    let (mut kari, kari_id) = colleague(&mut cast);
    let early = cast.leader.ask(&mut cast.home, offer(&kari_id, &log, &[]));
    assert_eq!(early.unwrap_err().code, "takeover-first");
    let mine = cast.teacher.ask(&mut cast.home, C::BatonTakeover { log: log.clone(), reason: "Syk".into() });
    assert_eq!(mine.unwrap_err().code, "not-yours");
    let takeover = C::BatonTakeover { log: log.clone(), reason: "Tone er sykmeldt".into() };
    cast.leader.ask(&mut cast.home, takeover).unwrap();
    cast.leader.sync(&mut cast.home);
    cast.mother.sync(&mut cast.home);
    let show = cast.mother.ask(&mut cast.home, C::LogShow { log: log.clone() }).unwrap();
    let said = list(&show, "pending").iter().find(|p| p["kind"] == "takeover").unwrap_or_else(|| panic!("{show}"));
    assert_eq!((text(said, "reason"), text(said, "by")), ("Tone er sykmeldt".into(), "Leder Larsen".into()));
    let refused = cast.leader.ask(&mut cast.home, C::Glimpse { concern: homework.clone(), text: "Hei".into() });
    assert_eq!(refused.unwrap_err().code, "read-only");
    cast.leader.ask(&mut cast.home, offer(&kari_id, &log, &[])).unwrap();
    cast.leader.sync(&mut cast.home);
    kari.sync(&mut cast.home);
    accept(&mut kari, &mut cast);
    for _ in 0..2 {
        for device in [&mut cast.leader, &mut kari, &mut cast.mother, &mut cast.father] {
            device.sync(&mut cast.home);
        }
    }
    assert_eq!(holder(&mut cast, &log), kari_id, "{}", cast.leader.last_problem());
    let show = cast.mother.ask(&mut cast.home, C::LogShow { log: log.clone() }).unwrap();
    assert_eq!(show["handovers"][0]["reason"], "Tone skal ut i permisjon", "{show}");
    // The teacher comes back and finds that she was relieved; the leader keeps her seat, and is asked anew.
    cast.teacher.sync(&mut cast.home);
    assert_eq!(
        cast.teacher.ask(&mut cast.home, C::ConcernShow { concern: homework.clone() }).unwrap_err().code,
        "withdrawn"
    );
    let again = cast.leader.ask(&mut cast.home, offer(&kari_id, &log, &[]));
    assert_eq!(again.unwrap_err().code, "takeover-first", "a takeover is from one holder only");
    kari.ask(&mut cast.home, C::Glimpse { concern: homework, text: "Videre".into() }).unwrap();
    kari.sync(&mut cast.home);
    sound(&mut cast, &log);
}

/// B5, K1: a log whose unit has lost the consent to hold rests; a parent offers the baton, both sign anew,
/// and it wakes with the new holder. The frozen holder can offer nothing.
#[test]
fn k1_a_parent_wakes_a_dormant_log_with_a_new_holder() {
    let mut cast = cast();
    let log = log(&mut cast);
    let homework = concern(&mut cast, &log, "Lekser");
    let (mut nes_leader, _, _) = other_school(&mut cast);
    let own = text(&cast.teacher.ask(&mut cast.home, C::Units).unwrap()["units"][0], "unit");
    cast.mother
        .ask(&mut cast.home, C::ConsentWithdraw { log: log.clone(), target: WithdrawTarget::Unit(own) })
        .unwrap();
    everyone(&mut cast, 2);
    cast.mother.sync(&mut cast.home);
    let show = cast.mother.ask(&mut cast.home, C::LogShow { log: log.clone() }).unwrap();
    assert_eq!(show["status"], "dormant", "{show}");
    let mut mother = std::mem::replace(&mut cast.mother, Device::new(0));
    let (unit, leader) = known_unit(&mut mother, &mut cast, "Nes skole");
    let frozen = cast.teacher.ask(&mut cast.home, offer(&unit, &log, &["all"]));
    assert_eq!(frozen.unwrap_err().code, "not-active");
    mother.ask(&mut cast.home, offer(&unit, &log, &["all"])).unwrap();
    compare(&mut mother, &mut cast, &leader);
    mother.sync(&mut cast.home);
    nes_leader.sync(&mut cast.home);
    accept(&mut nes_leader, &mut cast);
    for guardian in [&mut mother, &mut cast.father] {
        sign(&mut cast.home, guardian);
    }
    for _ in 0..2 {
        mother.sync(&mut cast.home);
        nes_leader.sync(&mut cast.home);
        cast.father.sync(&mut cast.home);
    }
    let show = mother.ask(&mut cast.home, C::LogShow { log: log.clone() }).unwrap();
    assert_eq!(
        (text(&show, "status"), text(&show, "holder")),
        ("active".into(), leader),
        "{show} {}",
        mother.last_problem()
    );
    nes_leader.ask(&mut cast.home, C::Glimpse { concern: homework, text: "Velkommen".into() }).unwrap();
    nes_leader.sync(&mut cast.home);
    cast.mother = mother;
    cast.mother.sync(&mut cast.home);
    sound(&mut cast, &log);
}

/// K3: the holder neither leaves nor is removed before another has the baton.
#[test]
fn k3_the_holder_cannot_be_removed_while_holding() {
    let mut cast = cast();
    let log = log(&mut cast);
    let teacher_id = text(&cast.teacher.ask(&mut cast.home, C::DeviceList).unwrap(), "person");
    let target = WithdrawTarget::Person(teacher_id);
    let refused = cast.mother.ask(&mut cast.home, C::ConsentWithdraw { log, target });
    assert_eq!(refused.unwrap_err().code, "holder-by-handover");
    let own = text(&cast.teacher.ask(&mut cast.home, C::DeviceList).unwrap()["devices"][0], "device");
    let refused = cast.teacher.ask(&mut cast.home, C::DeviceRemove { device: own, lost: false });
    assert_eq!(refused.unwrap_err().code, "own-device");
}
