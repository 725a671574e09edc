//! A commit that members cannot process: it is rejected, the scope is founded anew, and nothing is lost. The
//! hostile client is the real one, with one frame altered on its way out and signed again by its own key.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use serde_json::Value;
use stafett_client_core::client::input::{Command as C, Input};
use stafett_client_core::rows::Space;
use stafett_protocol::codec::{decode, encode};
use stafett_protocol::event::{Body, Commit};
use stafett_protocol::ids::ScopeId;
use stafett_protocol::membership::ScopeKind;
use stafett_protocol::signed::Signed;
use stafett_protocol::statement::{Reject, RejectReason, Statement};
use stafett_protocol::wire::{ClientFrame, Request};
use stafett_tests::insider::Insider;
use stafett_tests::model::cast::{Cast, cast, concern, log, text};
use stafett_tests::model::home::{ModelHome, ScopeChain};
use stafett_tests::model::people::Device;

/// Lets a device sync until it commits in `scope`; that commit goes out altered, and the device hears no more.
pub(crate) fn forge(home: &mut ModelHome, device: &mut Device, scope: ScopeId, alter: fn(&mut Commit)) {
    let id = device.id.unwrap();
    assert!(home.connect(id));
    let mut queue = vec![Input::Connected];
    for _ in 0..200 {
        for input in std::mem::take(&mut queue) {
            let effects = device.client.handle(home.now, input);
            device.save(&effects);
            for bytes in effects.frames {
                let mut frame: ClientFrame = decode(&bytes).unwrap();
                let forged = alter_commit(&mut frame, device, scope, alter);
                home.frame(id, &encode(&frame));
                if forged {
                    home.disconnect(id);
                    device.restart();
                    return;
                }
            }
        }
        queue.extend(std::mem::take(home.open.get_mut(&id).unwrap()).iter().map(|f| Input::Frame(encode(f))));
    }
    panic!("no commit in that scope");
}

fn alter_commit(frame: &mut ClientFrame, device: &Device, scope: ScopeId, alter: fn(&mut Commit)) -> bool {
    let Request::Submit(bundle) = &mut frame.request else { return false };
    let key = ed25519_dalek::SigningKey::from_bytes(&device.client.account().unwrap().device_key);
    for envelope in &mut bundle.envelopes {
        let mut event = envelope.event.peek().unwrap();
        if let Body::Commit(commit) = &mut event.body
            && event.scope == scope
        {
            alter(commit);
            envelope.event = Signed::sign(&event, &key);
            return true;
        }
    }
    false
}

pub(crate) fn bad_link(commit: &mut Commit) {
    commit.link = Some(vec![7; 48].into());
}

fn bad_check(commit: &mut Commit) {
    commit.check.0[0] ^= 1;
}

pub(crate) fn glimpse(home: &mut ModelHome, device: &mut Device, concern: &str, words: &str) {
    device.ask(home, C::Glimpse { concern: concern.to_owned(), text: words.to_owned() }).unwrap();
}

pub(crate) fn glimpses(home: &mut ModelHome, device: &mut Device, concern: &str) -> Vec<String> {
    let show = device.ask(home, C::ConcernShow { concern: concern.to_owned() }).unwrap();
    show["glimpses"].as_array().unwrap().iter().map(|g| text(g, "text")).collect()
}

/// A further device of the mother, certified, which her next sync lets into every scope.
pub(crate) fn second_device(home: &mut ModelHome, mother: &mut Device) -> Device {
    let code = text(&mother.ask(home, C::DeviceLink).unwrap(), "code");
    mother.sync(home);
    let mut second = Device::new(70);
    second.ask(home, C::DeviceAccept { code, name: "nettbrett".into() }).unwrap();
    second
}

fn generation(home: &ModelHome, scope: ScopeId) -> u32 {
    home.scopes[&scope].replica.state().membership.generation
}

pub(crate) fn no_violations(home: &mut ModelHome, device: &mut Device, log: &str) {
    let audit = device.ask(home, C::AuditVerify { log: log.to_owned() }).unwrap();
    assert_eq!(audit["violations"], Value::Array(vec![]), "{audit}");
}

/// The mother's program adds her second device by a commit whose key nobody can follow.
fn rejected_and_founded_anew(alter: fn(&mut Commit)) {
    let mut cast = cast();
    let log = log(&mut cast);
    let concern = concern(&mut cast, &log);
    let scope: ScopeId = concern.parse().unwrap();
    let Cast { home, teacher, mother, father, .. } = &mut cast;
    glimpse(home, teacher, &concern, "Før");
    teacher.sync(home);
    let mut second = second_device(home, mother);
    glimpse(home, father, &concern, "Skrevet uten nett");
    glimpse(home, teacher, &concern, "Også uten nett");
    mother.sync(home);
    second.sync(home);
    forge(home, mother, scope, alter);
    glimpse(home, mother, &concern, "Fra den som gjorde det");
    father.sync(home);
    assert!(generation(home, scope) == 2, "a guardian founds anew, too: {}", father.last_problem());
    for _ in 0..2 {
        for device in [&mut *teacher, &mut *mother, &mut *father, &mut second] {
            device.sync(home);
        }
    }
    assert_eq!(generation(home, scope), 2);
    let mut all = vec!["Før", "Skrevet uten nett", "Også uten nett", "Fra den som gjorde det"];
    all.sort_unstable();
    for device in [&mut *teacher, &mut *mother, &mut *father, &mut second] {
        let mut found = glimpses(home, device, &concern);
        found.sort_unstable();
        assert_eq!(found, all, "{}", device.last_problem());
    }
    let orders: Vec<_> = [&mut *teacher, mother, father].into_iter().map(|d| glimpses(home, d, &concern)).collect();
    assert!(orders[0] == orders[1] && orders[1] == orders[2], "{orders:?}");
    let state = home.scopes[&scope].replica.state();
    assert!(state.readmit.is_empty(), "everybody is back");
    assert_eq!(state.membership.members.len(), 4);
    no_violations(home, father, &log);
}

#[test]
fn m18_a_commit_with_a_false_link_is_rejected_and_the_scope_founded_anew() {
    rejected_and_founded_anew(bad_link);
}

#[test]
fn m18_a_commit_with_a_false_check_is_rejected_and_the_scope_founded_anew() {
    rejected_and_founded_anew(bad_check);
}

/// The teacher's device cannot process a commit that the others can, and founds anew without its key. What was written
/// there in between was accepted and goes on to count: whoever is let back publishes the key, and nobody writes again.
#[test]
fn what_was_written_under_the_rejected_commit_goes_on_to_count() {
    let mut cast = cast();
    let log = log(&mut cast);
    let concern = concern(&mut cast, &log);
    let scope: ScopeId = concern.parse().unwrap();
    let Cast { home, teacher, mother, father, .. } = &mut cast;
    glimpse(home, teacher, &concern, "Før");
    teacher.sync(home);
    // The teacher's MLS state is from before a commit that the device has followed: it can follow no other.
    let mls = |device: &Device| {
        let rows = device.disk.iter().filter(|((space, _), _)| *space == Space::Mls as u8);
        rows.map(|(k, v)| (k.clone(), v.clone())).collect::<Vec<_>>()
    };
    let early = mls(teacher);
    let mut second = second_device(home, mother);
    for _ in 0..2 {
        mother.sync(home);
        second.sync(home);
    }
    teacher.sync(home);
    father.sync(home);
    for (key, _) in mls(teacher) {
        teacher.disk.remove(&key);
    }
    teacher.disk.extend(early);
    teacher.restart();
    let code = text(&mother.ask(home, C::DeviceLink).unwrap(), "code");
    mother.sync(home);
    let mut third = Device::new(71);
    third.ask(home, C::DeviceAccept { code, name: "telefon".into() }).unwrap();
    for _ in 0..2 {
        mother.sync(home);
        third.sync(home);
    }
    father.sync(home);
    glimpse(home, father, &concern, "I mellomtiden");
    father.sync(home);
    glimpse(home, mother, &concern, "Også i mellomtiden");
    mother.sync(home);
    third.sync(home);
    teacher.sync(home);
    assert_eq!(generation(home, scope), 2, "{}", teacher.last_problem());
    for _ in 0..3 {
        for device in [&mut *teacher, &mut *mother, &mut *father, &mut second, &mut third] {
            device.sync(home);
        }
    }
    for device in [&mut *teacher, &mut *mother, &mut *father, &mut second, &mut third] {
        let mut found = glimpses(home, device, &concern);
        found.sort_unstable();
        assert_eq!(found, ["Før", "I mellomtiden", "Også i mellomtiden"], "{}", device.last_problem());
        let show = device.ask(home, C::LogShow { log: log.clone() }).unwrap();
        assert_eq!((&show["audited"], &show["pending"]), (&true.into(), &Value::Array(vec![])), "{show}");
    }
    let events = home.scopes[&scope].records.iter().map(|r| r.event.peek().unwrap());
    let again = events.filter(|e| e.generation == 2 && matches!(e.body, Body::Change(_))).count();
    assert_eq!(again, 0, "what stands in the chain is not sent once more");
    no_violations(home, father, &log);
}

/// The commit that let the family in is rejected, and the founder lets them in once more. Where the Welcome comes before
/// the chain, a device reads on to it, past a founding that it had no part in.
#[test]
fn m18_who_came_in_with_the_rejected_commit_comes_in_again() {
    let mut cast = cast();
    let log = log(&mut cast);
    let Cast { home, teacher, mother, father, .. } = &mut cast;
    let card = |c: &&ScopeChain| c.replica.state().kind() == ScopeKind::Card;
    let scope = home.scopes.values().find(card).unwrap().replica.state().scope();
    let insider = Insider::of(mother, &scope.to_string());
    let state = home.scopes[&scope].replica.state();
    let reject = Reject { seq: state.last_commit, reason: RejectReason::Mls };
    let reject = insider.event(state, Body::Statement(Statement::Reject(reject)));
    insider.submit(home, insider.sign(&reject)).unwrap();
    for _ in 0..2 {
        teacher.sync(home);
    }
    assert_eq!(generation(home, scope), 2, "{}", teacher.last_problem());
    for _ in 0..2 {
        for device in [&mut *father, &mut *mother, &mut *teacher] {
            device.sync(home);
        }
    }
    let members = &home.scopes[&scope].replica.state().membership;
    assert!(members.members.len() >= 3, "{members:?}");
    let concern = concern(&mut cast, &log);
    let Cast { home, teacher, mother, father, .. } = &mut cast;
    glimpse(home, father, &concern, "Her igjen");
    for device in [&mut *father, mother, teacher] {
        device.sync(home);
    }
    assert_eq!(glimpses(home, mother, &concern), ["Her igjen"], "{}", father.last_problem());
    no_violations(home, mother, &log);
}

/// Lets a device sync until the home has taken its Genesis of the scope's next generation; then it is lost, with
/// everybody else outside.
fn founds_and_is_lost(home: &mut ModelHome, device: &mut Device, scope: ScopeId) {
    let id = device.id.unwrap();
    let before = generation(home, scope);
    assert!(home.connect(id));
    let mut queue = vec![Input::Connected];
    for _ in 0..200 {
        for input in std::mem::take(&mut queue) {
            let effects = device.client.handle(home.now, input);
            device.save(&effects);
            for frame in effects.frames {
                home.frame(id, &frame);
                if generation(home, scope) > before {
                    home.disconnect(id);
                    return;
                }
            }
        }
        queue.extend(std::mem::take(home.open.get_mut(&id).unwrap()).iter().map(|f| Input::Frame(encode(f))));
    }
    panic!("founded nothing: {}", device.last_problem());
}

/// A concern that the father has founded anew alone, before his device was lost.
fn founder_is_lost(cast: &mut Cast) -> (String, String, ScopeId) {
    let log = log(cast);
    let concern = concern(cast, &log);
    let scope: ScopeId = concern.parse().unwrap();
    let Cast { home, teacher, mother, father, .. } = cast;
    glimpse(home, teacher, &concern, "Før");
    teacher.sync(home);
    let mut second = second_device(home, mother);
    mother.sync(home);
    second.sync(home);
    father.sync(home);
    forge(home, mother, scope, bad_link);
    founds_and_is_lost(home, father, scope);
    assert_eq!(home.scopes[&scope].replica.state().membership.members.len(), 1, "he is alone");
    (log, concern, scope)
}

#[test]
fn m18_a_founder_who_is_lost_takes_nobody_with_him() {
    let mut cast = cast();
    let (log, concern, scope) = founder_is_lost(&mut cast);
    let Cast { home, teacher, mother, father, .. } = &mut cast;
    glimpse(home, teacher, &concern, "Mens ingen var inne");
    for device in [&mut *teacher, &mut *mother] {
        device.sync(home);
    }
    assert_eq!(generation(home, scope), 2, "he may only be slow");
    home.now += stafett_protocol::limits::READMIT_PATIENCE_MILLIS;
    for _ in 0..3 {
        for device in [&mut *teacher, &mut *mother] {
            device.sync(home);
        }
    }
    assert!(generation(home, scope) == 3, "{} {}", teacher.last_problem(), mother.last_problem());
    let state = home.scopes[&scope].replica.state();
    assert_eq!(state.membership.members.len(), 4, "he has his place still, like whoever else was there");
    for device in [&mut *teacher, &mut *mother] {
        let mut found = glimpses(home, device, &concern);
        found.sort_unstable();
        assert_eq!(found, ["Før", "Mens ingen var inne"], "{}", device.last_problem());
    }
    // The father's device was not lost after all.
    father.sync(home);
    father.sync(home);
    glimpse(home, father, &concern, "Her er jeg");
    father.sync(home);
    teacher.sync(home);
    assert_eq!(glimpses(home, teacher, &concern).len(), 3, "{}", father.last_problem());
    no_violations(home, teacher, &log);
}

#[test]
fn m18_whoever_waits_to_be_let_back_in_withdraws_at_once() {
    let mut cast = cast();
    let (log, _, scope) = founder_is_lost(&mut cast);
    let Cast { home, teacher, mother, .. } = &mut cast;
    mother.sync(home);
    let all = C::ConsentWithdraw { log: log.clone(), target: stafett_client_core::client::input::WithdrawTarget::All };
    mother.ask(home, all).unwrap();
    mother.sync(home);
    let state = home.scopes[&scope].replica.state();
    assert_eq!(state.status, stafett_protocol::state::Status::Withdrawn, "{}", mother.last_problem());
    let teachers = teacher.id.unwrap();
    assert!(!state.may_read(teachers, home.now), "the holder waits for nothing any more");
}

/// A commit with a false link that nobody can reject in time: the others are away, and more commits follow. They come
/// back into the scope as it is, and whoever knows both keys mends what the commit has broken: a newcomer reads it all.
#[test]
fn m18_a_false_link_that_nobody_rejects_in_time_cuts_no_newcomer_off() {
    let mut cast = cast();
    let log = log(&mut cast);
    let concern = concern(&mut cast, &log);
    let scope: ScopeId = concern.parse().unwrap();
    let Cast { home, teacher, mother, father, .. } = &mut cast;
    glimpse(home, teacher, &concern, "Før");
    for device in [&mut *teacher, mother, father] {
        device.sync(home);
    }
    let mut second = second_device(home, mother);
    mother.sync(home);
    second.sync(home);
    forge(home, mother, scope, bad_link);
    let forged = home.scopes[&scope].replica.state().last_commit;
    mother.sync(home);
    second.sync(home);
    mother.sync(home);
    assert!(home.scopes[&scope].replica.state().last_commit > forged, "{}", mother.last_problem());
    glimpse(home, mother, &concern, "Siden");
    for _ in 0..4 {
        for device in [&mut *mother, &mut *teacher, &mut *father, &mut second] {
            device.sync(home);
        }
        home.now += 61_000;
    }
    let code = text(&father.ask(home, C::DeviceLink).unwrap(), "code");
    father.sync(home);
    let mut third = Device::new(72);
    third.ask(home, C::DeviceAccept { code, name: "telefon".into() }).unwrap();
    for _ in 0..2 {
        father.sync(home);
        third.sync(home);
    }
    assert_eq!(generation(home, scope), 1, "nothing was founded anew");
    for device in [&mut *teacher, father, mother, &mut second, &mut third] {
        assert_eq!(glimpses(home, device, &concern), ["Før", "Siden"], "{}", device.last_problem());
    }
}
