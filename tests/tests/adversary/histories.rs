//! A home that shows different members different histories (M10, M11, C14).

use serde_json::Value;
use stafett_client_core::client::input::{Command as C, WithdrawTarget};
use stafett_protocol::codec::decode;
use stafett_protocol::event::Receipt;
use stafett_protocol::ids::bytes_from_hex;
use stafett_protocol::limits::HEAD_LETTER_MILLIS;
use stafett_protocol::signed::Signed;
use stafett_protocol::wire::{Bundle, Envelope};
use stafett_tests::model::cast::{Cast, cast, concern, log, text};
use stafett_tests::model::home::ModelHome;
use stafett_tests::model::people::Device;

fn glimpse(home: &mut ModelHome, device: &mut Device, concern: &str, words: &str) {
    device.ask(home, C::Glimpse { concern: concern.to_owned(), text: words.to_owned() }).unwrap();
    device.sync(home);
}

/// A branch of the home's history in which it tells the two sides different things, letters excepted: those it
/// delivers, as a home must that is not to be noticed at once.
fn carry_letters(from: &mut ModelHome, to: &mut ModelHome) {
    for (device, items) in &from.mail {
        let there = to.mail.entry(*device).or_default();
        there.extend(items.iter().filter(|i| !there.contains(i)).cloned().collect::<Vec<_>>());
    }
}

fn problems(device: &mut Device, home: &mut ModelHome) -> Vec<String> {
    let counts = device.ask(home, C::SyncCounts).unwrap();
    counts["problems"].as_array().unwrap().iter().map(|p| text(p, "code")).collect()
}

fn receipts_of(fork: &Value) -> [Receipt; 2] {
    let receipt = |v: &Value| -> Signed<Receipt> { decode(&bytes_from_hex(v.as_str().unwrap()).unwrap()).unwrap() };
    [0, 1].map(|n| receipt(&fork["receipts"][n]).peek().unwrap())
}

/// M10: mother and father are shown different glimpses under the same number. The first day's letter and its
/// answer prove it, with the home's two signatures; nobody seals there any more, and withdrawals go out.
#[test]
fn m10_two_histories_are_proved_by_the_first_letter_and_nothing_more_is_sealed() {
    let mut cast = cast();
    let log = log(&mut cast);
    let concern = concern(&mut cast, &log);
    let Cast { home, teacher, mother, father, .. } = &mut cast;
    let mut other = home.clone();
    glimpse(home, teacher, &concern, "Til mor");
    glimpse(home, teacher, &concern, "Mer til mor");
    mother.sync(home);
    glimpse(&mut other, father, &concern, "Fra far");
    assert_eq!(problems(mother, home), [""; 0], "nobody can know yet");
    home.now += HEAD_LETTER_MILLIS;
    other.now = home.now;
    mother.sync(home);
    carry_letters(home, &mut other);
    // The father cannot compare a head that he has not reached, and sees that something is kept from him.
    father.sync(&mut other);
    assert!(problems(father, &mut other).contains(&"withheld".to_owned()), "{}", father.last_problem());
    carry_letters(&mut other, home);
    home.now = other.now;
    mother.sync(home);
    assert!(problems(mother, home).contains(&"two-histories".to_owned()), "{}", mother.last_problem());

    let audit = mother.ask(home, C::AuditVerify { log: log.clone() }).unwrap();
    let forks = audit["forks"].as_array().unwrap();
    assert_eq!(forks.len(), 1, "{audit}");
    let [ours, theirs] = receipts_of(&forks[0]);
    assert_eq!(ours.scope, theirs.scope);
    assert!(ours.position.seq >= theirs.position.seq && ours.position.head != theirs.position.head);
    let export = mother.ask(home, C::AuditExport { log: log.clone() }).unwrap();
    let read = stafett_client_core::audit::verify_export(&export).unwrap();
    assert_eq!(read.forks.len(), 1, "whoever gets the file can prove it too");

    // Nothing is sealed on either side from here on, also after a restart; the words wait.
    mother.restart();
    let before = home.scopes.values().map(|s| s.records.len()).sum::<usize>();
    mother.ask(home, C::Glimpse { concern: concern.clone(), text: "Venter".into() }).unwrap();
    mother.sync(home);
    assert_eq!(home.scopes.values().map(|s| s.records.len()).sum::<usize>(), before, "nothing was sent");
    let show = mother.ask(home, C::LogShow { log }).unwrap();
    assert!(show.to_string().contains("two-histories"), "people are told: {show}");
}

/// M10: an event says what its author has seen. Put into a chain that the author never saw, it gives the home
/// away, although that chain has gone on since.
#[test]
fn m10_an_event_whose_author_saw_another_history_is_noticed_and_answered() {
    let mut cast = cast();
    let log = log(&mut cast);
    let concern = concern(&mut cast, &log);
    let Cast { home, teacher, mother, father, .. } = &mut cast;
    let mut other = home.clone();
    glimpse(home, mother, &concern, "En");
    glimpse(home, mother, &concern, "To");
    glimpse(&mut other, teacher, &concern, "Noe annet");
    father.sync(&mut other);
    glimpse(&mut other, father, &concern, "Fra far");
    let scope = concern.parse().unwrap();
    let event = other.scopes[&scope].records.last().unwrap().event.clone();
    let envelopes = vec![Envelope { event, welcome: None }];
    home.submit(father.id.unwrap(), Bundle { envelopes, letters: vec![] }).expect("no rule sees it");
    mother.sync(home);
    assert!(problems(mother, home).contains(&"two-histories".to_owned()), "{}", mother.last_problem());
    // Her receipt has gone to him and is proof there; his answer brings her the home's other signature.
    carry_letters(home, &mut other);
    father.sync(&mut other);
    assert!(problems(father, &mut other).contains(&"two-histories".to_owned()), "{}", father.last_problem());
    carry_letters(&mut other, home);
    mother.sync(home);
    let audit = mother.ask(home, C::AuditVerify { log: log.clone() }).unwrap();
    assert_eq!(audit["forks"].as_array().map(Vec::len), Some(1), "{audit}");

    // A withdrawal is not kept from the chain by it: denial wins.
    let before = home.scopes[&scope].records.len();
    mother.ask(home, C::ConsentWithdraw { log, target: WithdrawTarget::All }).unwrap();
    mother.sync(home);
    assert!(home.scopes[&scope].records.len() > before, "the withdrawal stands");
}

/// M11: the home keeps back from one member what it has signed for the others.
#[test]
fn m11_what_the_home_keeps_back_is_noticed_and_nothing_is_sealed_on_the_old_state() {
    let mut cast = cast();
    let log = log(&mut cast);
    let concern = concern(&mut cast, &log);
    let Cast { home, teacher, mother, .. } = &mut cast;
    let mut stale = home.clone();
    glimpse(home, teacher, &concern, "Nytt");
    home.now += HEAD_LETTER_MILLIS;
    teacher.sync(home);
    carry_letters(home, &mut stale);
    stale.now = home.now;
    mother.ask(&mut stale, C::Glimpse { concern: concern.clone(), text: "På gammelt grunnlag".into() }).unwrap();
    let before = stale.scopes.values().map(|s| s.records.len()).sum::<usize>();
    mother.sync(&mut stale);
    assert!(problems(mother, &mut stale).contains(&"withheld".to_owned()), "{}", mother.last_problem());
    let after = stale.scopes.values().map(|s| s.records.len()).sum::<usize>();
    assert_eq!(before, after, "nothing was sealed");
    // Shown everything again, she goes on by herself.
    home.mail = stale.mail.clone();
    mother.sync(home);
    mother.sync(home);
    let show = mother.ask(home, C::ConcernShow { concern }).unwrap();
    assert_eq!(show["glimpses"].as_array().unwrap().len(), 2, "{show} {}", mother.last_problem());
    let audit = mother.ask(home, C::AuditVerify { log }).unwrap();
    assert!(audit["forks"].is_null() && audit["violations"].as_array().unwrap().is_empty(), "{audit}");
}
