//! Who has left a log and comes back, and what was ended while something new began. Found by the simulation.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use stafett_client_core::client::input::{Command as C, NewMeasure, WithdrawTarget};
use stafett_protocol::ids::DeviceId;
use stafett_tests::model_cast::{Cast, cast, colleague, concern, list, log, text};
use stafett_tests::model_people::Device;

fn everyone(cast: &mut Cast, more: &mut Device) {
    let Cast { home, leader, teacher, mother, father, .. } = cast;
    for _ in 0..3 {
        for device in [&mut *teacher, &mut *leader, &mut *mother, &mut *father, &mut *more] {
            device.sync(home);
        }
    }
}

fn hand_over(cast: &mut Cast, from: &mut Device, to: (&mut Device, &str), log: &str) {
    let offer = C::BatonOffer {
        log: log.into(),
        to: to.1.into(),
        municipality: None,
        concerns: vec![],
        reason: "Bytte av kontaktlærer".into(),
    };
    from.ask(&mut cast.home, offer).unwrap();
    from.sync(&mut cast.home);
    to.0.sync(&mut cast.home);
    let offers = to.0.ask(&mut cast.home, C::BatonList).unwrap();
    let open = list(&offers, "offers").iter().find(|o| o["side"] == "received" && o["state"] != "handed-over").unwrap();
    to.0.ask(&mut cast.home, C::BatonAccept { offer: text(open, "offer"), person: None }).unwrap();
    to.0.sync(&mut cast.home);
}

/// K1: the baton comes back to who began the log. The teacher's device founded its parts, forgot them when the baton
/// went, and reads them anew like any newcomer: all of it, what she wrote herself too.
#[test]
fn k1_the_baton_comes_back_to_who_began_the_log() {
    let mut cast = cast();
    let log = log(&mut cast);
    let homework = concern(&mut cast, &log);
    cast.teacher.ask(&mut cast.home, C::Glimpse { concern: homework.clone(), text: "Fra før".into() }).unwrap();
    let (mut kari, kari_id) = colleague(&mut cast);
    let teacher_id = text(&cast.teacher.ask(&mut cast.home, C::DeviceList).unwrap(), "person");
    let mut teacher = std::mem::replace(&mut cast.teacher, Device::new(0));
    hand_over(&mut cast, &mut teacher, (&mut kari, &kari_id), &log);
    cast.teacher = teacher;
    everyone(&mut cast, &mut kari);
    assert_eq!(
        cast.teacher.ask(&mut cast.home, C::ConcernShow { concern: homework.clone() }).unwrap_err().code,
        "withdrawn"
    );
    let number = kari.ask(&mut cast.home, C::Verify { person: teacher_id.clone(), number: None }).unwrap();
    let met = C::Verify { person: teacher_id.clone(), number: Some(text(&number, "number")) };
    assert_eq!(kari.ask(&mut cast.home, met).unwrap()["matches"], true);
    let mut teacher = std::mem::replace(&mut cast.teacher, Device::new(0));
    hand_over(&mut cast, &mut kari, (&mut teacher, &teacher_id), &log);
    cast.teacher = teacher;
    everyone(&mut cast, &mut kari);
    let show = cast.teacher.ask(&mut cast.home, C::LogShow { log: log.clone() }).unwrap();
    assert_eq!(text(&show, "holder"), teacher_id, "{show} {}", kari.last_problem());
    assert_eq!(text(&show, "child"), "Ella", "{show} {}", cast.teacher.last_problem());
    let seen = cast.teacher.ask(&mut cast.home, C::ConcernShow { concern: homework.clone() }).unwrap();
    assert_eq!(seen["glimpses"][0]["text"], "Fra før", "{seen}");
    cast.teacher.ask(&mut cast.home, C::Glimpse { concern: homework.clone(), text: "Tilbake".into() }).unwrap();
    everyone(&mut cast, &mut kari);
    let seen = cast.mother.ask(&mut cast.home, C::ConcernShow { concern: homework }).unwrap();
    assert_eq!(list(&seen, "glimpses").len(), 2, "{seen}");
}

/// C4: a part of the log that is begun while a parent withdraws is not left out: it stands on a copy of what she ended.
#[test]
fn c4_a_withdrawal_reaches_what_was_begun_meanwhile() {
    let mut cast = cast();
    let log = log(&mut cast);
    let Cast { home, teacher, mother, .. } = &mut cast;
    let measure = NewMeasure { text: "Tiltak".into(), ..NewMeasure::default() };
    let (title, goal) = ("Fravær".to_owned(), "Mål".to_owned());
    let new = C::ConcernNew { log: log.clone(), title, goal, category: None, measure };
    let concern = text(&teacher.ask(home, new).unwrap(), "concern");
    teacher.sync(home);
    let unit = text(&teacher.ask(home, C::Units).unwrap()["units"][0], "unit");
    mother.ask(home, C::ConsentWithdraw { log: log.clone(), target: WithdrawTarget::Unit(unit) }).unwrap();
    for _ in 0..3 {
        cast.mother.sync(&mut cast.home);
        cast.father.sync(&mut cast.home);
        cast.teacher.sync(&mut cast.home);
        cast.leader.sync(&mut cast.home);
    }
    let chain = &cast.home.scopes[&concern.parse().unwrap()];
    let leader: DeviceId = cast.leader.id.unwrap();
    assert!(!chain.replica.state().may_read(leader, cast.home.now), "the leader's seat has ended there, too");
    let audit = cast.mother.ask(&mut cast.home, C::AuditVerify { log }).unwrap();
    assert_eq!(list(&audit, "violations").len(), 0, "{audit}");
}
