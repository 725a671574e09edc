//! Attachments in memory: written offline, sent before the change that names them, fetched when somebody asks, gone
//! with the access; and a home or member that lies about them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use serde_json::Value;
use stafett_client_core::client::input::{AttachTo, Command as C, Input, NewAttachment, Problem};
use stafett_client_core::rows::Space;
use stafett_protocol::limits::{ATTACHMENT_BYTES, ATTACHMENT_PART_BYTES};
use stafett_tests::model::cast::{Cast, cast, colleague, concern, list, log, text};
use stafett_tests::model::net::Net;
use stafett_tests::model::people::Device;

/// No two parts alike.
pub fn pdf(size: usize) -> Vec<u8> {
    let noise = (0..size as u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]);
    b"%PDF-1.7\n".iter().copied().chain(noise).take(size).collect()
}

fn attach(to: AttachTo, bytes: &[u8]) -> C {
    let file = NewAttachment { name: "bilder.pdf".into(), bytes: bytes.to_vec() };
    C::Attach { to, text: "Bilder av øvelsene".into(), file }
}

/// The file, if it is here.
fn get(net: &mut impl Net, device: &mut Device, attachment: &str) -> Result<Vec<u8>, Problem> {
    device.ask(net, C::AttachmentGet { attachment: attachment.into() })?;
    Ok(device.file.take().expect("the answer brings the file"))
}

fn fetched(net: &mut impl Net, device: &mut Device, attachment: &str) -> Vec<u8> {
    assert_eq!(get(net, device, attachment).unwrap_err().code, "attachment-away");
    device.sync(net);
    get(net, device, attachment).unwrap_or_else(|e| panic!("{e:?} {}", device.last_problem()))
}

fn states(view: &Value) -> Vec<String> {
    list(view, "attachments").iter().map(|a| text(a, "state")).collect()
}

/// Rows of the device's disk in which this file's parts lie, waiting or kept.
fn kept(device: &Device) -> usize {
    let waits = |key: &[u8]| key.starts_with(b"file-part/");
    device.disk.keys().filter(|(s, key)| (*s == Space::Event as u8 && key.len() == 40) || waits(key)).count()
}

const SIZE: usize = ATTACHMENT_PART_BYTES + 1000;

#[test]
fn i4_a_pdf_on_a_note_is_written_offline_and_read_by_the_family() {
    let mut cast = cast();
    let log = log(&mut cast);
    let Cast { home, teacher, mother, father, .. } = &mut cast;
    let file = pdf(SIZE);
    let note = |bytes: &[u8]| attach(AttachTo::Note(log.clone()), bytes);
    assert_eq!(teacher.ask(home, note(b"PK\x03\x04 not a PDF")).unwrap_err().code, "attachment-not-pdf");
    let large = [b"%PDF-".as_slice(), &vec![0; ATTACHMENT_BYTES]].concat();
    assert_eq!(teacher.ask(home, note(&large)).unwrap_err().code, "attachment-too-large");
    // A guardian writes no notes: nothing is sealed, nothing waits.
    assert_eq!(mother.ask(home, note(&file)).unwrap_err().code, "content-rule");
    assert_eq!(kept(mother), 0);

    let queued = |d: &mut Device, home: &mut _| d.ask(home, C::SyncCounts).unwrap()["queued"].as_u64().unwrap();
    let before = queued(teacher, home);
    let answer = teacher.ask(home, note(&file)).unwrap();
    let id = text(&answer, "attachment");
    let show = |d: &mut Device, home: &mut _| d.ask(home, C::LogShow { log: log.clone() }).unwrap();
    assert_eq!(states(&show(teacher, home)), ["queued"]);
    assert_eq!(get(home, teacher, &id[..8]).unwrap(), file, "before it is sent, and by the id's beginning");
    teacher.restart();
    assert_eq!(get(home, teacher, &id).unwrap(), file, "it was saved");
    assert_eq!(queued(teacher, home), before + 1, "one edit");
    let stored = home.attachments.stored;
    teacher.sync(home);
    assert_eq!((home.attachments.stored - stored, home.attachments.parts.len()), (2, 2), "{}", teacher.last_problem());
    assert_eq!(teacher.ask(home, C::SyncCounts).unwrap()["queued"], 0);
    assert_eq!(states(&show(teacher, home)), ["here"]);
    assert!(!teacher.disk.keys().any(|(_, key)| key.starts_with(b"file")), "nothing waits any more");
    assert_eq!(get(home, teacher, &id).unwrap(), file);

    mother.sync(home);
    let seen = show(mother, home);
    let shown = &list(&seen, "attachments")[0];
    assert_eq!((text(shown, "name"), shown["size"].as_u64().unwrap()), ("bilder.pdf".into(), SIZE as u64));
    assert_eq!(text(shown, "on"), text(&list(&seen, "notes")[0], "id"));
    assert_eq!(states(&seen), ["away"], "nobody has asked for it: {seen}");
    assert_eq!(kept(mother), 0);
    assert_eq!(fetched(home, mother, &id), file);
    let parts = |d: &Device| d.saved.iter().flatten().filter(|r| r.space == Space::Event && r.key.len() == 40).count();
    let before = parts(mother);
    mother.restart();
    mother.sync(home);
    assert_eq!(get(home, mother, &id).unwrap(), file, "kept");
    assert_eq!(parts(mother), before, "fetched once");
    father.sync(home);
    assert_eq!(get(home, father, "ffff").unwrap_err().code, "unknown-id");
    // Neither name nor words nor the file itself are anywhere at the home (SP1).
    for words in [b"bilder.pdf".as_slice(), "øvelsene".as_bytes(), &file[100..164]] {
        assert!(!home.heard.windows(words.len()).any(|w| w == words));
    }
}

#[test]
fn a_broken_upload_goes_on_and_a_home_that_loses_parts_gets_them_again() {
    let mut cast = cast();
    let log = log(&mut cast);
    let Cast { home, teacher, mother, .. } = &mut cast;
    let file = pdf(SIZE);
    let id = text(&teacher.ask(home, attach(AttachTo::Note(log.clone()), &file)).unwrap(), "attachment");
    teacher.ask(home, C::Note { log: log.clone(), text: "Etterpå".into() }).unwrap();
    // The line breaks after the first part.
    let device = teacher.id.unwrap();
    assert!(home.connect(device));
    let mut queue = vec![Input::Connected];
    while home.attachments.parts.is_empty() {
        for input in std::mem::take(&mut queue) {
            let effects = teacher.client.handle(home.now(), input);
            teacher.save(&effects);
            for frame in &effects.frames {
                if home.attachments.parts.is_empty() {
                    home.frame(device, frame);
                }
            }
        }
        let frames = home.inbound(0, device);
        queue.extend(frames.iter().map(|f| Input::Frame(stafett_protocol::codec::encode(f))));
    }
    home.disconnect(device);
    teacher.restart();
    let changes = |home: &stafett_tests::model::home::ModelHome| -> usize {
        home.scopes.values().map(|c| c.replica.state().attachments.len()).sum()
    };
    assert_eq!(changes(home), 0, "nothing is named before it is there");
    teacher.sync(home);
    assert_eq!((home.attachments.stored, changes(home)), (2, 1), "only what was missing was sent again");
    mother.sync(home);
    assert_eq!(list(&mother.ask(home, C::LogShow { log: log.clone() }).unwrap(), "notes").len(), 2);
    assert_eq!(fetched(home, mother, &id), file);

    // Between upload and change the home loses a part: it says so, and gets it again.
    let id = text(&teacher.ask(home, attach(AttachTo::Note(log.clone()), &pdf(5000))).unwrap(), "attachment");
    home.attachments.forgets = 1;
    teacher.sync(home);
    assert_eq!(home.attachments.forgets, 0, "it was lost");
    assert_eq!(teacher.ask(home, C::SyncCounts).unwrap()["queued"], 0, "{}", teacher.last_problem());
    mother.sync(home);
    assert_eq!(fetched(home, mother, &id), pdf(5000));
}

#[test]
fn what_a_lying_home_sends_is_shown_as_damaged_and_harms_nothing() {
    let mut cast = cast();
    let log = log(&mut cast);
    let Cast { home, teacher, mother, .. } = &mut cast;
    let file = pdf(SIZE);
    let id = text(&teacher.ask(home, attach(AttachTo::Note(log.clone()), &file)).unwrap(), "attachment");
    teacher.sync(home);
    mother.sync(home);
    let good = home.attachments.parts.clone();
    let keys: Vec<_> = good.keys().copied().collect();
    let bent =
        |bytes: &[u8]| bytes.iter().enumerate().map(|(n, b)| if n == 9 { b ^ 1 } else { *b }).collect::<Vec<u8>>();
    let lies: Vec<Vec<u8>> =
        vec![bent(&good[&keys[1]]), good[&keys[0]].clone(), vec![], vec![7; ATTACHMENT_PART_BYTES + 1]];
    for lie in lies {
        home.attachments.parts.insert(keys[1], lie);
        assert_eq!(get(home, mother, &id).unwrap_err().code, "attachment-away");
        mother.sync(home);
        assert!(mother.last_problem().contains("attachment-damaged"), "{}", mother.last_problem());
        let view = mother.ask(home, C::LogShow { log: log.clone() }).unwrap();
        assert_eq!((states(&view), kept(mother)), (vec!["damaged".to_owned()], 0));
        assert_eq!(get(home, mother, &id).unwrap_err().code, "attachment-damaged");
    }
    home.attachments.parts.remove(&keys[1]);
    assert_eq!(get(home, mother, &id).unwrap_err().code, "attachment-away");
    mother.sync(home);
    assert_eq!(get(home, mother, &id).unwrap_err().code, "attachment-away", "who asks again has it asked for again");
    home.attachments.parts = good;
    mother.sync(home);
    assert_eq!(get(home, mother, &id).unwrap(), file);
    assert_eq!(list(&mother.ask(home, C::AuditVerify { log }).unwrap(), "violations").len(), 0);
}

#[test]
fn files_go_with_the_access_and_no_more_wait_than_one_change_names() {
    let mut cast = cast();
    let log = log(&mut cast);
    let homework = concern(&mut cast, &log);
    let (mut kari, kari_id) = colleague(&mut cast);
    let Cast { home, teacher, mother, father, leader, .. } = &mut cast;
    let glimpse = |size| attach(AttachTo::Glimpse(homework.clone()), &pdf(size));
    let id = text(&mother.ask(home, glimpse(3000)).unwrap(), "attachment");
    mother.sync(home);
    father.sync(home);
    let view = father.ask(home, C::ConcernShow { concern: homework.clone() }).unwrap();
    assert_eq!(states(&view), ["away"]);
    assert_eq!(fetched(home, father, &id), pdf(3000));
    teacher.sync(home);
    assert_eq!(fetched(home, teacher, &id), pdf(3000));
    for _ in 0..4 {
        father.ask(home, glimpse(2000)).unwrap();
    }
    assert_eq!(father.ask(home, glimpse(2000)).unwrap_err().code, "attachments-waiting");
    father.sync(home);
    father.ask(home, glimpse(2000)).unwrap();

    // The baton passes; with her place in the concern the teacher loses the file.
    let reason = "Permisjon".to_owned();
    let offer =
        C::BatonOffer { log: log.clone(), to: kari_id, municipality: None, concerns: vec![], notes: vec![], reason };
    teacher.ask(home, offer).unwrap();
    teacher.sync(home);
    kari.sync(home);
    let offers = kari.ask(home, C::BatonList).unwrap();
    let offer = text(&list(&offers, "offers")[0], "offer");
    kari.ask(home, C::BatonAccept { offer, person: None }).unwrap();
    for _ in 0..3 {
        for device in [&mut kari, &mut *teacher, &mut *leader, &mut *mother, &mut *father] {
            device.sync(home);
        }
    }
    assert_eq!(kept(teacher), 0, "wiped: {}", teacher.last_problem());
    assert_eq!(get(home, teacher, &id).unwrap_err().code, "unknown-id");
    kari.sync(home);
    assert_eq!(fetched(home, &mut kari, &id), pdf(3000));
}

/// What a home wants is among what there is, each part once: it cannot make a device bring the same megabyte for ever.
#[test]
fn a_home_does_not_have_the_same_part_brought_for_ever() {
    let mut cast = cast();
    let log = log(&mut cast);
    let Cast { home, teacher, .. } = &mut cast;
    let file = pdf(SIZE);
    let id = text(&teacher.ask(home, attach(AttachTo::Note(log.clone()), &file)).unwrap(), "attachment");
    home.attachments.greedy = 500;
    teacher.sync(home);
    assert!(home.attachments.stored < 50, "{} parts were brought", home.attachments.stored);
    // Nothing is lost by it: another day the home is well again.
    home.attachments.greedy = 0;
    teacher.sync(home);
    assert_eq!(get(home, teacher, &id).unwrap(), file);
    assert_eq!(states(&teacher.ask(home, C::LogShow { log }).unwrap()), ["here"], "{}", teacher.last_problem());
}
