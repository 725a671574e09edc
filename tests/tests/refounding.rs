//! A commit that members cannot process: it is rejected, the scope is founded anew, and nothing is lost. The
//! hostile client is the real one, with one frame altered on its way out and signed again by its own key.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use serde_json::Value;
use stafett_client_core::client::input::{Command as C, Input};
use stafett_client_core::rows::Space;
use stafett_protocol::codec::{decode, encode};
use stafett_protocol::event::{Body, Commit};
use stafett_protocol::ids::ScopeId;
use stafett_protocol::signed::Signed;
use stafett_protocol::wire::{ClientFrame, Request};
use stafett_tests::model_cast::{Cast, cast, concern, log, text};
use stafett_tests::model_home::ModelHome;
use stafett_tests::model_people::Device;

/// Lets a device sync until it commits in `scope`; that commit goes out altered, and the device hears no more.
fn forge(home: &mut ModelHome, device: &mut Device, scope: ScopeId, alter: fn(&mut Commit)) {
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

fn bad_link(commit: &mut Commit) {
    commit.link = Some(vec![7; 48].into());
}

fn bad_check(commit: &mut Commit) {
    commit.check.0[0] ^= 1;
}

fn glimpse(home: &mut ModelHome, device: &mut Device, concern: &str, words: &str) {
    device.ask(home, C::Glimpse { concern: concern.to_owned(), text: words.to_owned() }).unwrap();
}

fn glimpses(home: &mut ModelHome, device: &mut Device, concern: &str) -> Vec<String> {
    let show = device.ask(home, C::ConcernShow { concern: concern.to_owned() }).unwrap();
    show["glimpses"].as_array().unwrap().iter().map(|g| text(g, "text")).collect()
}

/// A further device of the mother, certified, which her next sync lets into every scope.
fn second_device(home: &mut ModelHome, mother: &mut Device) -> Device {
    let code = text(&mother.ask(home, C::DeviceLink).unwrap(), "code");
    mother.sync(home);
    let mut second = Device::new(70);
    second.ask(home, C::DeviceAccept { code, name: "nettbrett".into() }).unwrap();
    second
}

fn generation(home: &ModelHome, scope: ScopeId) -> u32 {
    home.scopes[&scope].replica.state().membership.generation
}

fn no_violations(home: &mut ModelHome, device: &mut Device, log: &str) {
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
