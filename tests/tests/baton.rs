//! The baton: who may carry it, hand it over, take over, and what the family sees of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use serde_json::Value;
use stafett_client_core::client::input::{AccessWord, Command as C, NewMeasure, Who, WithdrawTarget};
use stafett_tests::model_cast::{Cast, cast, log, sign, text};

fn list<'v>(value: &'v Value, key: &str) -> &'v Vec<Value> {
    value[key].as_array().unwrap_or_else(|| panic!("no list {key} in {value}"))
}

fn concern(cast: &mut Cast, log: &str, title: &str) -> String {
    let measure = NewMeasure { text: "Tiltak".into(), ..NewMeasure::default() };
    let (log, title, goal) = (log.to_owned(), title.to_owned(), "Mål".to_owned());
    let new = C::ConcernNew { log, title, goal, category: None, measure };
    let concern = text(&cast.teacher.ask(&mut cast.home, new).unwrap(), "concern");
    everyone(cast, 2);
    concern
}

fn everyone(cast: &mut Cast, rounds: usize) {
    let Cast { home, leader, teacher, mother, father, .. } = cast;
    for _ in 0..rounds {
        for device in [&mut *teacher, &mut *leader, &mut *mother, &mut *father] {
            device.sync(home);
        }
    }
}

fn sound(cast: &mut Cast, log: &str) {
    let audit = cast.mother.ask(&mut cast.home, C::AuditVerify { log: log.into() }).unwrap();
    assert_eq!(list(&audit, "violations").len(), 0, "{audit}");
}

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
