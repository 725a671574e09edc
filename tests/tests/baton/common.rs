//! What the suites of the baton do again and again.
#![allow(dead_code, reason = "not every suite does everything")]

use serde_json::Value;
use stafett_client_core::client::input::{Command as C, NewMeasure};
use stafett_tests::model::cast::{Cast, list, text};
use stafett_tests::model::people::Device;

pub fn concern(cast: &mut Cast, log: &str, title: &str) -> String {
    let measure = NewMeasure { text: "Tiltak".into(), ..NewMeasure::default() };
    let (log, title, goal) = (log.to_owned(), title.to_owned(), "Mål".to_owned());
    let new = C::ConcernNew { log, title, goal, category: None, measure };
    let concern = text(&cast.teacher.ask(&mut cast.home, new).unwrap(), "concern");
    everyone(cast, 2);
    concern
}

pub fn everyone(cast: &mut Cast, rounds: usize) {
    let Cast { home, leader, teacher, mother, father, .. } = cast;
    for _ in 0..rounds {
        for device in [&mut *teacher, &mut *leader, &mut *mother, &mut *father] {
            device.sync(home);
        }
    }
}

pub fn sound(cast: &mut Cast, log: &str) {
    let audit = cast.mother.ask(&mut cast.home, C::AuditVerify { log: log.into() }).unwrap();
    assert_eq!(list(&audit, "violations").len(), 0, "{audit}");
}

pub fn offer(to: &str, log: &str, concerns: &[&str]) -> C {
    let concerns = concerns.iter().map(|c| (*c).to_owned()).collect();
    C::BatonOffer {
        log: log.into(),
        to: to.into(),
        municipality: None,
        concerns,
        notes: vec![],
        reason: "Tone skal ut i permisjon".into(),
    }
}

pub fn first_offer(device: &mut Device, cast: &mut Cast) -> Value {
    let offers = device.ask(&mut cast.home, C::BatonList).unwrap();
    list(&offers, "offers").first().unwrap_or_else(|| panic!("{offers} {}", device.last_problem())).clone()
}

pub fn accept(device: &mut Device, cast: &mut Cast) {
    let offer = text(&first_offer(device, cast), "offer");
    device.ask(&mut cast.home, C::BatonAccept { offer, person: None }).unwrap();
    device.sync(&mut cast.home);
}

pub fn holder(cast: &mut Cast, log: &str) -> String {
    let show = cast.mother.ask(&mut cast.home, C::LogShow { log: log.into() }).unwrap();
    text(&show, "holder")
}

pub fn known_unit(device: &mut Device, cast: &mut Cast, name: &str) -> (String, String) {
    device.sync(&mut cast.home);
    let units = device.ask(&mut cast.home, C::Units).unwrap();
    let unit = list(&units, "units").iter().find(|u| u["name"] == name).unwrap();
    (text(unit, "unit"), text(unit, "leader"))
}

/// Two who meet compare their keys.
pub fn compare(device: &mut Device, cast: &mut Cast, person: &str) {
    let person = person.to_owned();
    let number =
        text(&device.ask(&mut cast.home, C::Verify { person: person.clone(), number: None }).unwrap(), "number");
    let met = device.ask(&mut cast.home, C::Verify { person, number: Some(number) }).unwrap();
    assert_eq!(met["matches"], true);
}
