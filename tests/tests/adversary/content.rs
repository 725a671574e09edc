//! Hostile content from a member with genuine keys (R): every client refuses alike, and the log goes on.

use automerge::transaction::Transactable as _;
use automerge::{Change, ROOT};
use sha2::{Digest as _, Sha256};
use stafett_client_core::client::input::Command as C;
use stafett_client_core::document::gate::actor_id;
use stafett_client_core::seal::change_hash;
use stafett_protocol::ids::{DeviceId, to_hex};
use stafett_protocol::limits::EDIT_WINDOW_MILLIS;
use stafett_tests::bombs;
use stafett_tests::insider::{Insider, section};
use stafett_tests::model::cast::{Cast, cast, concern, log, text};
use stafett_tests::model::home::ModelHome;
use stafett_tests::model::people::Device;

/// The change after something in it was altered, encoded anew.
fn altered(change: &[u8], alter: impl FnOnce(&mut automerge::ExpandedChange)) -> Vec<u8> {
    let mut expanded = Change::from_bytes(change.to_vec()).unwrap().decode();
    alter(&mut expanded);
    Change::from(expanded).raw_bytes().to_vec()
}

/// One byte is another, and the checksum fits again.
fn mutant(change: &[u8], at: usize, with: u8) -> Vec<u8> {
    let mut bytes = change.to_vec();
    let at = 9 + at % (bytes.len() - 9);
    bytes[at] = with;
    let sum = Sha256::digest(&bytes[8..]);
    bytes[4..8].copy_from_slice(&sum[..4]);
    bytes
}

/// What every attack of the catalogue looks like that a member can seal; each in an event of its own.
fn attacks(insider: &Insider, victim: DeviceId) -> Vec<(&'static str, Vec<u8>)> {
    let good = |n| insider.make(n, |d| insider.put_entry(d, "glimpses", &format!("x{n}"), "Hei"));
    let actor = actor_id(insider.device(), [77; 8]);
    let mut list = vec![
        ("r4", altered(&good(1), |c| c.actor_id = actor_id(victim, [1; 8]))),
        ("r6", altered(&good(2), |c| c.start_op = (u64::from(u32::MAX) - 1).try_into().unwrap())),
        ("r7", bombs::operations(actor.to_bytes(), 5_000_001)),
        ("r8", bombs::inflating(200 << 20)),
        ("r9", bombs::saved_document()),
        ("r11", altered(&good(3), |c| c.deps.push(automerge::ChangeHash([3; 32])))),
        ("r12 schema", insider.make(4, |d| d.put(ROOT, "note", "x"))),
        (
            "r12 author",
            insider.make(5, |d| {
                let entry = d.put_object(section(d, "glimpses"), "y", automerge::ObjType::Map)?;
                d.put(&entry, "author", "00".repeat(16))?;
                d.put(&entry, "text", "I en annens navn")
            }),
        ),
        ("r12 goal", insider.make(6, |d| d.put(section(d, "goal"), "text", "Et annet mål"))),
        ("r16 turned", insider.make(7, |d| insider.put_entry(d, "glimpses", "z", "\u{202e}dunS"))),
        ("r16 long", insider.make(8, |d| insider.put_entry(d, "glimpses", "w", &"e\u{301}".repeat(60_000)))),
    ];
    list.extend((0..60).map(|n| ("r10", mutant(&good(9), n * 7, (n as u8).wrapping_mul(37) | 1))));
    list
}

fn quarantined(device: &mut Device, home: &mut ModelHome, log: &str) -> Vec<String> {
    let show = device.ask(home, C::LogShow { log: log.to_owned() }).unwrap();
    let mut list: Vec<String> =
        show["quarantined"].as_array().unwrap().iter().map(|q| text(q, "id") + " " + &text(q, "reason")).collect();
    list.sort();
    list
}

fn glimpses(device: &mut Device, home: &mut ModelHome, concern: &str) -> Vec<String> {
    let show = device.ask(home, C::ConcernShow { concern: concern.to_owned() }).unwrap();
    show["glimpses"].as_array().unwrap().iter().map(|g| text(g, "text")).collect()
}

#[test]
fn r12_every_client_quarantines_the_same_and_the_log_goes_on() {
    let mut cast = cast();
    let log = log(&mut cast);
    let concern = concern(&mut cast, &log);
    let Cast { home, teacher, mother, father, .. } = &mut cast;
    let insider = Insider::of(father, &concern);
    let attacks = attacks(&insider, mother.id.unwrap());
    for (_, change) in &attacks {
        insider.write(home, std::slice::from_ref(change));
    }
    teacher.sync(home);
    // Received one by one, at once after a restart, or by the attacker's own honest program: the same verdicts.
    mother.restart();
    mother.sync(home);
    father.sync(home);
    let verdicts = quarantined(teacher, home, &log);
    assert_eq!(verdicts, quarantined(mother, home, &log));
    assert_eq!(verdicts, quarantined(father, home, &log));
    for (what, change) in attacks.iter().filter(|(what, _)| *what != "r10") {
        let hash = to_hex(&change_hash(change));
        assert!(verdicts.iter().any(|v| v.starts_with(&hash)), "{what} got in: {verdicts:#?}");
    }
    assert!(!glimpses(teacher, home, &concern).contains(&"I en annens navn".to_owned()));

    for (device, words) in [(&mut *teacher, "Fra lærer"), (&mut *mother, "Fra mor")] {
        device.ask(home, C::Glimpse { concern: concern.clone(), text: words.into() }).unwrap();
        device.sync(home);
    }
    for device in [teacher, mother, father] {
        device.sync(home);
        let shown = glimpses(device, home, &concern);
        assert!(shown.ends_with(&["Fra lærer".into(), "Fra mor".into()]), "{shown:?} {}", device.last_problem());
    }
}

/// R5: two changes under one actor and number. The first received counts; whoever was imitated goes on.
#[test]
fn r5_the_first_received_counts_and_the_imitated_device_goes_on() {
    let mut cast = cast();
    let log = log(&mut cast);
    let concern = concern(&mut cast, &log);
    let Cast { home, teacher, mother, father, .. } = &mut cast;
    let insider = Insider::of(father, &concern);
    for (id, words) in [("a", "Den første"), ("b", "Den andre")] {
        let change = insider.make(1, |d| insider.put_entry(d, "glimpses", id, words));
        insider.write(home, &[change]);
    }
    mother.ask(home, C::Glimpse { concern: concern.clone(), text: "Fra mor".into() }).unwrap();
    for device in [&mut *mother, &mut *teacher, &mut *father] {
        device.sync(home);
    }
    father.ask(home, C::Glimpse { concern: concern.clone(), text: "Fra far".into() }).unwrap();
    for device in [&mut *father, &mut *mother, &mut *teacher] {
        device.sync(home);
        assert_eq!(glimpses(device, home, &concern), ["Den første", "Fra mor", "Fra far"]);
        assert_eq!(quarantined(device, home, &log).len(), 1);
    }
}

/// SP23, F7: an edit made in time and received too late is refused by everybody, and kept as a draft by its author.
#[test]
fn sp23_an_own_edit_that_everybody_quarantines_is_a_draft() {
    let mut cast = cast();
    let log = log(&mut cast);
    let concern = concern(&mut cast, &log);
    let Cast { home, teacher, mother, .. } = &mut cast;
    let show = teacher.ask(home, C::ConcernShow { concern: concern.clone() }).unwrap();
    let measure = text(&show["measures"][0], "measure");
    teacher.ask(home, C::MeasureEdit { measure, text: "Skrevet i tide".into() }).unwrap();
    home.now += EDIT_WINDOW_MILLIS;
    teacher.sync(home);
    mother.sync(home);
    let show = teacher.ask(home, C::LogShow { log: log.clone() }).unwrap();
    let pending = show["pending"].as_array().unwrap();
    let draft = pending.iter().find(|p| p["kind"] == "draft").unwrap_or_else(|| panic!("{show}"));
    assert!(draft.to_string().contains("Skrevet i tide") && draft["reason"] == "quarantined", "{draft}");
    assert_eq!(quarantined(teacher, home, &log), quarantined(mother, home, &log));
    let show = mother.ask(home, C::ConcernShow { concern }).unwrap();
    assert_eq!(show["measures"][0]["text"], "Ella gjennomgår ukeplanen");
}
