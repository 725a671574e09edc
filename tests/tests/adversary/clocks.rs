//! Homes whose clock lies: what is over by their word alone makes nobody forget.

use super::chain::{glimpse, glimpses};
use super::secrets::Skewed;
use serde_json::Value;
use stafett_client_core::client::input::Command as C;
use stafett_protocol::limits::CONSENT_DEFAULT_MILLIS;
use stafett_tests::model::cast::{Cast, cast, concern, list, log, text};
use stafett_tests::model::home::ModelHome;
use stafett_tests::model::people::Device;

const HOUR: u64 = 3_600_000;
/// From now to the year 2100.
const AGE: u64 = 24 * HOUR * 365 * 73;

fn reads(device: &mut Device, home: &mut ModelHome, log: &str) -> Result<Value, String> {
    device.ask(home, C::LogShow { log: log.to_owned() }).map_err(|p| p.code)
}

fn told_of_clock(device: &mut Device, home: &mut ModelHome) -> bool {
    let counts = device.ask(home, C::SyncCounts).unwrap();
    list(&counts, "problems").iter().any(|p| text(p, "code") == "clock")
}

/// The home says that it is the year 2100, in its greeting and in every receipt: every consent has run out by that, and
/// nobody wipes.
#[test]
fn a_home_that_says_a_far_year_makes_nobody_forget() {
    let mut cast = cast();
    let log = log(&mut cast);
    let concern = concern(&mut cast, &log);
    let Cast { home, leader, teacher, mother, father, .. } = &mut cast;
    leader.sync(home);
    glimpse(home, teacher, &concern, "Før");
    leader.sync(home);
    assert_eq!(glimpses(leader, home, &concern), ["Før"], "{}", leader.last_problem());
    let mut liar = home.clone();
    liar.now += AGE;
    for _ in 0..2 {
        teacher
            .ask(&mut Skewed(&mut liar, -(AGE as i64)), C::Glimpse { concern: concern.clone(), text: "Venter".into() })
            .unwrap();
        for device in [&mut *teacher, &mut *mother, &mut *father, &mut *leader] {
            device.sync(&mut Skewed(&mut liar, -(AGE as i64)));
            assert!(told_of_clock(device, &mut liar), "{}", device.last_problem());
            device.restart();
        }
    }
    for device in [&mut *teacher, &mut *mother, &mut *father, &mut *leader] {
        assert_eq!(reads(device, home, &log).unwrap()["status"], "active", "{}", device.last_problem());
        assert!(glimpses(device, home, &concern).contains(&"Før".to_owned()));
    }
    // With the right time again everything goes on, and what waited is there.
    for _ in 0..2 {
        for device in [&mut *teacher, &mut *leader, &mut *mother] {
            device.sync(home);
        }
    }
    assert_eq!(glimpses(leader, home, &concern), ["Før", "Venter", "Venter"], "{}", leader.last_problem());
}

/// A consent runs out by the home's time and not yet by the device's own: others remove it, and it forgets when the time
/// has come for itself, too.
#[test]
fn a_device_leaves_by_time_when_its_own_clock_agrees() {
    let mut cast = cast();
    let log = log(&mut cast);
    let concern = concern(&mut cast, &log);
    let Cast { home, leader, teacher, mother, .. } = &mut cast;
    leader.sync(home);
    glimpse(home, teacher, &concern, "Før");
    leader.sync(home);
    home.now += CONSENT_DEFAULT_MILLIS + HOUR;
    let behind = -40 * (HOUR as i64);
    for _ in 0..2 {
        teacher.sync(home);
        mother.sync(home);
    }
    let card = home
        .scopes
        .values()
        .map(|s| s.replica.state())
        .find(|s| s.kind() == stafett_protocol::membership::ScopeKind::Card);
    let leaves = card.unwrap().membership.devices().count();
    assert_eq!(leaves, 3, "the leader's leaf is gone: {}", teacher.last_problem());
    for _ in 0..2 {
        leader.sync(&mut Skewed(home, behind));
        assert!(reads(leader, home, &log).is_ok(), "{}", leader.last_problem());
        leader.restart();
    }
    leader.sync(home);
    assert_eq!(reads(leader, home, &log).unwrap_err(), "withdrawn", "{}", leader.last_problem());
    let left: Vec<_> = leader.disk.keys().filter(|(space, _)| [4, 5].contains(space)).collect();
    assert!(left.is_empty(), "keys and content are wiped");
}
