//! A home that serves a chain other than it is: altered, cut, reordered, foreign, old, played again (K9, M12, M14,
//! M19, M21, C14).

use stafett_client_core::client::input::{Command as C, Input, WithdrawTarget};
use stafett_protocol::codec::encode;
use stafett_protocol::event::{Body, Position, Receipt, Record};
use stafett_protocol::ids::{Hash, ScopeId};
use stafett_protocol::signed::Signed;
use stafett_protocol::wire::{Greeting, Mail, MailItem, Records, Reply, ServerFrame, WelcomeMail};
use stafett_tests::insider::Insider;
use stafett_tests::model::cast::{Cast, cast, concern, log, text};
use stafett_tests::model::home::ModelHome;
use stafett_tests::model::people::Device;

pub fn glimpse(home: &mut ModelHome, device: &mut Device, concern: &str, words: &str) {
    device.ask(home, C::Glimpse { concern: concern.to_owned(), text: words.to_owned() }).unwrap();
    device.sync(home);
}

pub fn glimpses(device: &mut Device, home: &mut ModelHome, concern: &str) -> Vec<String> {
    let show = device.ask(home, C::ConcernShow { concern: concern.to_owned() }).unwrap();
    show["glimpses"].as_array().unwrap().iter().map(|g| text(g, "text")).collect()
}

/// The same device, as it was when its disk was copied.
pub fn copy_of(device: &Device) -> Device {
    let mut copy = Device::new(200);
    (copy.disk, copy.id, copy.home) = (device.disk.clone(), device.id, device.home);
    copy.restart();
    copy
}

fn head(records: &[Record], upto: u64) -> Hash {
    records.iter().take_while(|r| r.seq <= upto).fold(Hash::default(), |h, r| r.head_after(&h))
}

/// A receipt of this home for whatever records it shows; a lying home signs what it likes.
fn lie(home: &ModelHome, scope: ScopeId, before: Hash, records: &[Record]) -> Signed<Receipt> {
    let head = records.iter().fold(before, |h, r| r.head_after(&h));
    let last = records.last().unwrap();
    let position = Position { seq: last.seq, head };
    let honest = home.scopes[&scope].replica.receipt();
    Signed::sign(&Receipt { position, time: last.time, ..honest }, &home.key)
}

fn push(device: &mut Device, home: &ModelHome, reply: Reply) {
    let frame = Input::Frame(encode(&ServerFrame { id: 0, reply }));
    let effects = device.client.handle(home.now, frame);
    device.save(&effects);
}

/// What a device shows of the concern after it was handed these records.
fn shown_after(from: &Device, home: &mut ModelHome, concern: &str, records: Records) -> Vec<String> {
    let mut device = copy_of(from);
    device.client.handle(home.now, Input::Connected);
    let greeting = Greeting { municipality: home.number, time: home.now, key_packages: 20, unit: None, scopes: vec![] };
    push(&mut device, home, Reply::Welcome(greeting));
    push(&mut device, home, Reply::Records(records));
    glimpses(&mut device, home, concern)
}

#[test]
fn k9_altered_left_out_reordered_and_foreign_records_are_refused() {
    let mut cast = cast();
    let log = log(&mut cast);
    let concern = concern(&mut cast, &log);
    let Cast { home, teacher, mother, father, .. } = &mut cast;
    let scope: ScopeId = concern.parse().unwrap();
    let from = home.scopes[&scope].records.len();
    glimpse(home, teacher, &concern, "En");
    glimpse(home, teacher, &concern, "To");
    let all = home.scopes[&scope].records.clone();
    let before = head(&all, from as u64);
    let [one, two] = [all[from].clone(), all[from + 1].clone()];
    let genuine = Signed::sign(&home.scopes[&scope].replica.receipt(), &home.key);
    let shown = |home: &mut ModelHome, records: Vec<Record>, receipt: Signed<Receipt>| {
        shown_after(mother, home, &concern, Records { scope, records, receipt })
    };
    assert_eq!(shown(home, vec![one.clone(), two.clone()], genuine.clone()), ["En", "To"], "the truth is taken");

    // Under the genuine receipt nothing but the genuine records counts.
    let swapped = vec![Record { seq: one.seq, ..two.clone() }, Record { seq: two.seq, ..one.clone() }];
    let later = Record { time: two.time + 1, ..two.clone() };
    let bundles =
        [vec![two.clone()], swapped, vec![one.clone(), later], vec![one.clone(), one.clone()], vec![one.clone()]];
    for records in bundles {
        assert!(shown(home, records.clone(), genuine.clone()).is_empty(), "{records:?}");
    }
    let stranger = Signed::sign(&home.scopes[&scope].replica.receipt(), &ModelHome::new(1111).key);
    assert!(shown(home, vec![one.clone(), two.clone()], stranger).is_empty(), "another municipality's signature");

    let receipt = lie(home, scope, before, &[one.clone(), two.clone()]);
    assert_eq!(
        shown(home, vec![one.clone(), two.clone()], receipt),
        ["En", "To"],
        "what follows fails for its lie alone"
    );
    // A home that signs its lie: left out, out of order, older than what came before, from another scope.
    let moved = Record { seq: one.seq, ..two.clone() };
    let card = home.scopes.iter().find(|(id, _)| **id != scope).unwrap().1.records.last().unwrap().clone();
    let lies = [
        vec![moved.clone()],
        vec![moved, Record { seq: two.seq, ..one.clone() }],
        vec![Record { time: 1, ..one.clone() }],
        vec![Record { seq: one.seq, ..card }],
        vec![Record { seq: one.seq, ..all[from - 1].clone() }],
    ];
    for records in lies {
        let receipt = lie(home, scope, before, &records);
        assert!(shown(home, records.clone(), receipt).is_empty(), "{records:?}");
    }
    // R1: a change under a genuine key whose owner is not in this scope at all.
    let stranger = Insider::of(father, &concern);
    let mut event = one.event.peek().unwrap();
    (event.device, event.counter) = (stranger.device(), 40);
    let records = vec![Record { event: stranger.sign(&event), ..one }];
    let receipt = lie(home, scope, before, &records);
    assert!(shown(home, records, receipt).is_empty());
}

/// M12: everything that a mailbox ever held, and every record, once more.
#[test]
fn m12_what_is_played_again_changes_nothing() {
    let mut cast = cast();
    let mut played = cast.home.mail.clone();
    let log = log(&mut cast);
    for (device, items) in &cast.home.mail {
        played.entry(*device).or_default().extend(items.iter().cloned());
    }
    let concern = concern(&mut cast, &log);
    let Cast { home, teacher, mother, father, .. } = &mut cast;
    for (device, items) in &home.mail {
        played.entry(*device).or_default().extend(items.iter().cloned());
    }
    glimpse(home, teacher, &concern, "En");
    mother.sync(home);
    father.sync(home);
    let records = |home: &ModelHome| home.scopes.values().map(|s| s.records.len()).collect::<Vec<_>>();
    let before = records(home);
    assert!(played.values().map(Vec::len).sum::<usize>() > 3);
    home.mail = played;
    for device in [&mut *teacher, &mut *mother, &mut *father] {
        device.sync(home);
        assert_eq!(glimpses(device, home, &concern), ["En"], "{}", device.last_problem());
        let all = home.scopes[&concern.parse().unwrap()].records.clone();
        let receipt = Signed::sign(&home.scopes[&concern.parse().unwrap()].replica.receipt(), &home.key);
        let old = Records { scope: concern.parse().unwrap(), records: all, receipt };
        assert_eq!(shown_after(device, home, &concern, old), ["En"]);
    }
    assert_eq!(records(home), before, "nobody wrote anything because of it");
}

/// M14: a Welcome into a group that the device is in already.
#[test]
fn m14_a_welcome_to_a_known_group_leaves_it_untouched() {
    let mut cast = cast();
    let log = log(&mut cast);
    let concern = concern(&mut cast, &log);
    let Cast { home, teacher, mother, .. } = &mut cast;
    let scope = concern.parse().unwrap();
    for (id, seq) in [(9001, 1), (9002, 3), (9003, 999)] {
        let welcome = WelcomeMail { scope, seq, welcome: vec![1, 2, 3].into() };
        home.mail.entry(mother.id.unwrap()).or_default().push(MailItem { id, mail: Mail::Welcome(welcome) });
        mother.sync(home);
        mother.restart();
        glimpse(home, mother, &concern, &format!("Etter {seq}"));
        teacher.sync(home);
    }
    assert_eq!(glimpses(teacher, home, &concern), ["Etter 1", "Etter 3", "Etter 999"], "{}", mother.last_problem());
    assert_eq!(glimpses(mother, home, &concern).len(), 3);
}

/// M19: another member's sealed words, sent once more as one's own.
#[test]
fn m19_a_change_sent_again_by_somebody_else_opens_for_nobody() {
    let mut cast = cast();
    let log = log(&mut cast);
    let concern = concern(&mut cast, &log);
    let Cast { home, teacher, mother, father, .. } = &mut cast;
    glimpse(home, mother, &concern, "Fra mor");
    let thief = Insider::of(father, &concern);
    let scope: ScopeId = concern.parse().unwrap();
    let stolen = home.scopes[&scope].records.last().unwrap().event.peek().unwrap();
    let Body::Change(change) = stolen.body.clone() else { panic!("a change") };
    let event = thief.event(home.scopes[&scope].replica.state(), Body::Change(change));
    thief.submit(home, thief.sign(&event)).expect("the home cannot see it");
    // The mother's very event again is not a second one.
    let again = home.scopes[&scope].records.len();
    let own = home.scopes[&scope].records[again - 2].event.clone();
    Insider::of(mother, &concern).submit(home, own).expect("answered as before");
    assert_eq!(home.scopes[&scope].records.len(), again);
    for device in [teacher, mother] {
        device.sync(home);
        assert_eq!(glimpses(device, home, &concern), ["Fra mor"]);
        let show = device.ask(home, C::LogShow { log: log.clone() }).unwrap();
        assert_eq!(show["quarantined"].as_array().unwrap().len(), 1, "and it is shown: {show}");
    }
}

/// M21: numbers at the end of their range are refused like any other wrong number.
#[test]
fn m21_far_epochs_generations_and_counters_are_refused() {
    let mut cast = cast();
    let log = log(&mut cast);
    let concern = concern(&mut cast, &log);
    let Cast { home, father, .. } = &mut cast;
    let insider = Insider::of(father, &concern);
    let change = insider.make(1, |d| insider.put_entry(d, "glimpses", "a", "Hei"));
    let good = insider.seal(home, &[change]).peek().unwrap();
    for n in [1 << 63, u64::MAX] {
        let mut event = good.clone();
        event.epoch = n;
        assert_eq!(insider.submit(home, insider.sign(&event)).unwrap_err(), "wrong-epoch");
        let mut event = good.clone();
        event.counter = n;
        assert_eq!(insider.submit(home, insider.sign(&event)).unwrap_err(), "counter-gap");
        let mut event = good.clone();
        event.seen.seq = n;
        assert_eq!(insider.submit(home, insider.sign(&event)).unwrap_err(), "chain-broken");
    }
    let mut event = good.clone();
    event.generation = u32::MAX;
    assert_eq!(insider.submit(home, insider.sign(&event)).unwrap_err(), "wrong-generation");
    insider.submit(home, insider.sign(&good)).expect("the honest one passes");
}

/// C14: a home that serves the consents as they were before a withdrawal.
#[test]
fn c14_an_older_register_of_consents_convinces_nobody_who_has_seen_the_newer() {
    let mut cast = cast();
    let log = log(&mut cast);
    let concern = concern(&mut cast, &log);
    let Cast { home, mother, father, .. } = &mut cast;
    let mut older = home.clone();
    mother.ask(home, C::ConsentWithdraw { log: log.clone(), target: WithdrawTarget::All }).unwrap();
    mother.sync(home);
    father.sync(home);
    let before: Vec<(ScopeId, usize)> = older.scopes.iter().map(|(id, s)| (*id, s.records.len())).collect();
    older.now = home.now;
    let refused = father.ask(&mut older, C::Glimpse { concern, text: "Nei".into() });
    assert_eq!(refused.unwrap_err().code, "not-active");
    father.sync(&mut older);
    let show = father.ask(&mut older, C::LogShow { log }).unwrap();
    assert_eq!(show["status"], "withdrawn", "{show}");
    // He writes nothing there, and brings what his co-guardian has said: the older register learns of it.
    for (scope, known) in before {
        let chain = &older.scopes[&scope];
        let new = chain.records[known..].iter().map(|record| record.event.peek().unwrap().body);
        assert!(new.into_iter().all(|body| !matches!(body, Body::Change(_))), "nothing was written there");
        assert_eq!(chain.replica.state().status, stafett_protocol::state::Status::Withdrawn, "denial wins");
    }
}
