//! A log that rests in part: what the family took from the holder is nobody's to hand over, and keeps nothing else back.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use crate::baton::common::*;
use serde_json::Value;
use stafett_client_core::client::input::{Command as C, WithdrawTarget};
use stafett_tests::model::cast::{Cast, cast, list, log, other_school, sign, text};
use stafett_tests::model::people::Device;

/// What the family has taken from the holder stays as the family left it: the rest of the log is handed over all the
/// same, and what is dormant is not offered.
#[test]
fn k5_a_dormant_concern_under_an_active_card_keeps_no_baton_from_passing() {
    let mut cast = cast();
    let log = log(&mut cast);
    let homework = concern(&mut cast, &log, "Lekser");
    let absence = concern(&mut cast, &log, "Fravær");
    let (mut nes_leader, mut nils, nils_id) = other_school(&mut cast);
    let mut teacher = std::mem::replace(&mut cast.teacher, Device::new(0));
    let (unit, leader) = known_unit(&mut teacher, &mut cast, "Nes skole");
    compare(&mut teacher, &mut cast, &leader);
    teacher.ask(&mut cast.home, offer(&unit, &log, &["all"])).unwrap();
    teacher.sync(&mut cast.home);
    nes_leader.sync(&mut cast.home);
    accept(&mut nes_leader, &mut cast);
    sign(&mut cast.home, &mut cast.mother);
    sign(&mut cast.home, &mut cast.father);
    let mut settle = |cast: &mut Cast, nes_leader: &mut Device, nils: &mut Device| {
        for _ in 0..3 {
            teacher.sync(&mut cast.home);
            nes_leader.sync(&mut cast.home);
            nils.sync(&mut cast.home);
            cast.mother.sync(&mut cast.home);
            cast.father.sync(&mut cast.home);
        }
    };
    settle(&mut cast, &mut nes_leader, &mut nils);
    // Each part of the log stands on a grant of its own now; the family takes one back.
    let mother = &mut cast.mother;
    let consents = mother.ask(&mut cast.home, C::ConsentList { log: log.clone() }).unwrap();
    let hold = |c: &&Value| {
        c["access"] == "hold" && c["scopes"][0]["scope"] == absence.as_str() && c["grantee"] == "Nes skole"
    };
    let grant = text(list(&consents, "consents").iter().find(hold).unwrap_or_else(|| panic!("{consents}")), "id");
    mother.ask(&mut cast.home, C::ConsentWithdraw { log: log.clone(), target: WithdrawTarget::Grant(grant) }).unwrap();
    settle(&mut cast, &mut nes_leader, &mut nils);
    let seen = cast.mother.ask(&mut cast.home, C::ConcernShow { concern: absence.clone() }).unwrap();
    assert_eq!(seen["state"], "dormant", "{seen}");

    let named = nes_leader.ask(&mut cast.home, offer(&nils_id, &log, &[&absence]));
    assert!(named.is_err(), "what is not the holder's to give is not given: {named:?}");
    nes_leader.ask(&mut cast.home, offer(&nils_id, &log, &[])).unwrap();
    settle(&mut cast, &mut nes_leader, &mut nils);
    accept(&mut nils, &mut cast);
    settle(&mut cast, &mut nes_leader, &mut nils);
    assert_eq!(holder(&mut cast, &log), nils_id, "{}", nes_leader.last_problem());
    nils.ask(&mut cast.home, C::Glimpse { concern: homework, text: "Videre".into() }).unwrap();
    let kept = cast.mother.ask(&mut cast.home, C::ConcernShow { concern: absence }).unwrap();
    assert_eq!(kept["state"], "dormant", "as the family left it: {kept}");
    // Nobody here has compared keys with the new holder: whoever reads the log is told to.
    let shown = cast.mother.ask(&mut cast.home, C::LogShow { log: log.clone() }).unwrap();
    let flagged = |shown: &Value| list(shown, "pending").iter().any(|p| p["kind"] == "holder-key");
    assert_eq!((shown["holder_verified"].as_str(), flagged(&shown)), (Some("municipality"), true), "{shown}");
    let number = cast.mother.ask(&mut cast.home, C::Verify { person: nils_id.clone(), number: None }).unwrap();
    let compared = C::Verify { person: nils_id, number: Some(text(&number, "number")) };
    cast.mother.ask(&mut cast.home, compared).unwrap();
    let shown = cast.mother.ask(&mut cast.home, C::LogShow { log: log.clone() }).unwrap();
    assert_eq!((shown["holder_verified"].as_str(), flagged(&shown)), (Some("compared"), false), "{shown}");
    sound(&mut cast, &log);
}

/// The family takes the log from its new holder before anything could be written on the card: they see a name all the same,
/// not a key. Found by world 4000000044.
#[test]
fn k5_a_holder_who_never_wrote_on_the_card_has_a_name_there() {
    let mut cast = cast();
    let log = log(&mut cast);
    let (mut nes_leader, mut nils, nils_id) = other_school(&mut cast);
    let mut teacher = std::mem::replace(&mut cast.teacher, Device::new(0));
    let (unit, leader) = known_unit(&mut teacher, &mut cast, "Nes skole");
    compare(&mut teacher, &mut cast, &leader);
    teacher.ask(&mut cast.home, offer(&unit, &log, &["all"])).unwrap();
    teacher.sync(&mut cast.home);
    nes_leader.sync(&mut cast.home);
    let offers = nes_leader.ask(&mut cast.home, C::BatonList).unwrap();
    let offered = text(list(&offers, "offers").iter().find(|o| o["side"] == "received").unwrap(), "offer");
    nes_leader.ask(&mut cast.home, C::BatonAccept { offer: offered.clone(), person: Some(nils_id.clone()) }).unwrap();
    nes_leader.sync(&mut cast.home);
    nils.sync(&mut cast.home);
    nils.ask(&mut cast.home, C::BatonAccept { offer: offered, person: None }).unwrap();
    nils.sync(&mut cast.home);
    sign(&mut cast.home, &mut cast.mother);
    sign(&mut cast.home, &mut cast.father);
    teacher.sync(&mut cast.home);
    cast.mother.sync(&mut cast.home);
    assert_eq!(holder(&mut cast, &log), nils_id, "{}", teacher.last_problem());

    let Cast { home, mother, .. } = &mut cast;
    let unit = text(&nes_leader.ask(home, C::Units).unwrap()["units"][1], "unit");
    mother.ask(home, C::ConsentWithdraw { log: log.clone(), target: WithdrawTarget::Unit(unit) }).unwrap();
    mother.sync(home);
    for _ in 0..2 {
        nils.sync(home);
        mother.sync(home);
    }
    let shown = mother.ask(home, C::LogShow { log }).unwrap();
    assert_eq!(shown["status"], "dormant", "{shown}");
    let seat = list(&shown, "participants").iter().find(|p| p["role"] == "holder").unwrap_or_else(|| panic!("{shown}"));
    assert_eq!(seat["name"], "Nils Nes", "{shown} {}", nils.last_problem());
}
