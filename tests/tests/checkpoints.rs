//! Checkpoints: a device that has much to read shows it at once, marked, reads the signed events behind it, and
//! believes those.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use stafett_client_core::client::input::Command as C;
use stafett_client_core::rows::Space;
use stafett_protocol::checkpoint::CheckpointHead;
use stafett_protocol::codec::decode;
use stafett_protocol::ids::ScopeId;
use stafett_protocol::signed::Signed;
use stafett_tests::model::cast::{Cast, cast, concern, log, text};
use stafett_tests::model::home::ModelHome;
use stafett_tests::model::people::Device;

fn glimpse(home: &mut ModelHome, device: &mut Device, concern: &str, words: &str) {
    device.ask(home, C::Glimpse { concern: concern.to_owned(), text: words.to_owned() }).unwrap();
}

/// So many glimpses, each an event of its own.
fn write_many(home: &mut ModelHome, device: &mut Device, concern: &str, from: usize, to: usize) {
    for number in from..to {
        glimpse(home, device, concern, &format!("Glimt {number}"));
        device.sync(home);
    }
}

fn glimpses(home: &mut ModelHome, device: &mut Device, concern: &str) -> Vec<String> {
    let show = device.ask(home, C::ConcernShow { concern: concern.to_owned() }).unwrap();
    show["glimpses"].as_array().unwrap().iter().map(|g| text(g, "text")).collect()
}

fn audited(home: &mut ModelHome, device: &mut Device, log: &str) -> bool {
    device.ask(home, C::LogShow { log: log.to_owned() }).unwrap()["audited"].as_bool().unwrap()
}

fn no_violations(home: &mut ModelHome, device: &mut Device, log: &str) {
    let audit = device.ask(home, C::AuditVerify { log: log.to_owned() }).unwrap();
    assert!(audit["violations"].as_array().unwrap().is_empty(), "{audit}");
}

/// A further device of the mother comes in, as far as it can in these syncs.
fn second_device(home: &mut ModelHome, mother: &mut Device) -> Device {
    let code = text(&mother.ask(home, C::DeviceLink).unwrap(), "code");
    mother.sync(home);
    let mut second = Device::new(80);
    second.ask(home, C::DeviceAccept { code, name: "nettbrett".into() }).unwrap();
    mother.sync(home);
    second.sync(home);
    mother.sync(home);
    second
}

#[test]
fn a_new_device_shows_a_checkpoint_at_once_and_reads_the_events_behind_it() {
    let mut cast = cast();
    let log = log(&mut cast);
    let concern = concern(&mut cast, &log);
    let scope: ScopeId = concern.parse().unwrap();
    let Cast { home, teacher, mother, .. } = &mut cast;
    write_many(home, teacher, &concern, 0, 520);
    let stored = home.checkpoints.stored.keys().filter(|(s, _)| *s == scope).count();
    assert_eq!(stored, 1, "the holder has written one: {}", teacher.last_problem());
    write_many(home, teacher, &concern, 520, 523);
    let all = glimpses(home, teacher, &concern);
    assert_eq!(all.len(), 523);
    mother.sync(home);
    let mut second = second_device(home, mother);
    // The home does not serve the past now: everything is shown, marked, and nothing leaves the device.
    home.checkpoints.no_history = true;
    second.sync(home);
    assert_eq!(glimpses(home, &mut second, &concern), all, "{}", second.last_problem());
    assert!(!audited(home, &mut second, &log));
    let chain = home.scopes[&scope].records.len();
    glimpse(home, &mut second, &concern, "Fra nettbrettet");
    second.restart();
    second.sync(home);
    assert_eq!(home.scopes[&scope].records.len(), chain, "nothing is sealed on a claim");
    let refused = second.ask(home, C::AuditExport { log: log.clone() }).unwrap_err();
    assert_eq!(refused.code, "not-audited");
    home.checkpoints.no_history = false;
    for device in [&mut second, &mut *teacher, &mut *mother] {
        device.sync(home);
    }
    assert!(audited(home, &mut second, &log), "{}", second.last_problem());
    no_violations(home, &mut second, &log);
    let (a, b) = (glimpses(home, teacher, &concern), glimpses(home, &mut second, &concern));
    assert!(a.len() == 524 && a == b && glimpses(home, mother, &concern) == a);
}

#[test]
fn a_device_that_was_away_goes_on_from_a_checkpoint_with_what_it_wrote() {
    let mut cast = cast();
    let log = log(&mut cast);
    let concern = concern(&mut cast, &log);
    let Cast { home, teacher, father, .. } = &mut cast;
    glimpse(home, father, &concern, "Uten nett");
    write_many(home, teacher, &concern, 0, 520);
    father.sync(home);
    assert!(audited(home, father, &log), "{}", father.last_problem());
    no_violations(home, father, &log);
    teacher.sync(home);
    let (a, b) = (glimpses(home, teacher, &concern), glimpses(home, father, &concern));
    assert!(a.len() == 521 && a == b, "{} {}", a.len(), b.len());
}

#[test]
fn a_checkpoint_that_does_not_say_what_the_events_say_is_proof_against_its_author() {
    let mut cast = cast();
    let log = log(&mut cast);
    let concern = concern(&mut cast, &log);
    let scope: ScopeId = concern.parse().unwrap();
    let Cast { home, teacher, mother, .. } = &mut cast;
    home.checkpoints.no_storing = true;
    write_many(home, teacher, &concern, 0, 30);
    let document = |device: &Device| {
        let rows =
            device.disk.iter().filter(|((space, key), _)| *space == Space::Document as u8 && key.starts_with(&scope.0));
        rows.map(|(k, v)| (k.clone(), v.clone())).collect::<Vec<_>>()
    };
    let early = document(teacher);
    write_many(home, teacher, &concern, 30, 520);
    let all = glimpses(home, teacher, &concern);
    // The holder's program leaves out what was written since.
    for (key, _) in document(teacher) {
        teacher.disk.remove(&key);
    }
    teacher.disk.extend(early);
    teacher.restart();
    home.checkpoints.no_storing = false;
    teacher.sync(home);
    assert_eq!(home.checkpoints.stored.len(), 1, "{}", teacher.last_problem());
    mother.sync(home);
    let mut second = second_device(home, mother);
    home.checkpoints.no_history = true;
    second.sync(home);
    assert_eq!(glimpses(home, &mut second, &concern).len(), 30, "shown as claimed, and marked");
    home.checkpoints.no_history = false;
    second.sync(home);
    assert_eq!(glimpses(home, &mut second, &concern), all, "{}", second.last_problem());
    assert!(audited(home, &mut second, &log));
    let proof = second.disk.get(&(Space::State as u8, [b"false-checkpoint/".as_slice(), &scope.0].concat())).unwrap();
    let proof: Signed<CheckpointHead> = decode(proof).unwrap();
    let author = proof.peek().unwrap().author;
    assert!(proof.verify(&author).is_ok(), "signed by the holder's device");
    let problems = second.ask(home, C::SyncCounts).unwrap();
    assert!(problems["problems"].to_string().contains("false-checkpoint"), "{problems}");
}
