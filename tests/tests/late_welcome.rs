//! Who is let back after a re-founding reads the chain meanwhile: the Welcome may come after its commit was read, or never.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use crate::refounding::{bad_link, forge, glimpse, glimpses, no_violations, second_device};
use stafett_client_core::client::Standing;
use stafett_protocol::event::Body;
use stafett_protocol::ids::ScopeId;
use stafett_protocol::wire::{Mail, MailItem};
use stafett_tests::model::cast::{Cast, cast, concern, log};
use stafett_tests::model::people::Device;

fn standing(device: &Device, scope: &str) -> Standing {
    let reports = device.client.standings();
    reports.into_iter().find(|r| r.scope.to_string() == scope).expect("is known").standing
}

/// The father has founded anew and lets everybody back, and the teacher reads the chain without the Welcomes that wait
/// for him; answers them.
fn let_back_unwelcomed(cast: &mut Cast, concern: &str) -> Vec<MailItem> {
    let scope: ScopeId = concern.parse().unwrap();
    let Cast { home, teacher, mother, father, .. } = cast;
    glimpse(home, teacher, concern, "Før");
    for device in [&mut *teacher, &mut *mother, &mut *father] {
        device.sync(home);
    }
    teacher.sync(home);
    let mut second = second_device(home, mother);
    mother.sync(home);
    second.sync(home);
    father.sync(home);
    forge(home, mother, scope, bad_link);
    father.sync(home);
    father.sync(home);
    let id = teacher.id.unwrap();
    assert!(home.scopes[&scope].replica.state().membership.device_key(id).is_some(), "{}", father.last_problem());
    let waiting = home.mail.get_mut(&id).unwrap();
    let (welcomes, rest) = std::mem::take(waiting).into_iter().partition(|item| matches!(item.mail, Mail::Welcome(_)));
    *waiting = rest;
    teacher.sync(home);
    assert_eq!(standing(teacher, concern), Standing::Joining, "without a Welcome");
    welcomes
}

fn writes_on(cast: &mut Cast, log: &str, concern: &str) {
    let Cast { home, teacher, mother, father, .. } = cast;
    teacher.sync(home);
    teacher.sync(home);
    assert_eq!(standing(teacher, concern), Standing::Member, "{}", teacher.last_problem());
    glimpse(home, teacher, concern, "Etter");
    for device in [&mut *teacher, &mut *father, &mut *mother] {
        device.sync(home);
    }
    teacher.sync(home);
    for device in [&mut *teacher, &mut *father, &mut *mother] {
        assert_eq!(glimpses(home, device, concern).len(), 2, "{}", device.last_problem());
    }
    no_violations(home, teacher, log);
}

#[test]
fn m18_a_welcome_that_comes_after_its_commit_was_read_lets_in_all_the_same() {
    let mut cast = cast();
    let log = log(&mut cast);
    let concern = concern(&mut cast, &log);
    let welcomes = let_back_unwelcomed(&mut cast, &concern);
    assert!(!welcomes.is_empty());
    cast.home.mail.get_mut(&cast.teacher.id.unwrap()).unwrap().extend(welcomes);
    let external = external_commits(&cast, &concern);
    writes_on(&mut cast, &log, &concern);
    assert_eq!(external_commits(&cast, &concern), external, "the Welcome did it");
}

#[test]
fn m18_whose_welcome_is_lost_after_its_commit_was_read_takes_the_place_all_the_same() {
    let mut cast = cast();
    let log = log(&mut cast);
    let concern = concern(&mut cast, &log);
    let _lost = let_back_unwelcomed(&mut cast, &concern);
    writes_on(&mut cast, &log, &concern);
}

/// Commits with no link: those of devices that took their own leaf back.
fn external_commits(cast: &Cast, concern: &str) -> usize {
    let records = &cast.home.scopes[&concern.parse().unwrap()].records;
    let bodies = records.iter().map(|r| r.event.peek().unwrap().body);
    bodies.filter(|body| matches!(body, Body::Commit(commit) if commit.link.is_none())).count()
}
