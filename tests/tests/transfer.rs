//! Ella moves from Ullensaker to Haugesund: her log goes along with one of two concerns, and everybody finds it there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

pub mod moving;

use moving::*;
use serde_json::Value;
use stafett_client_core::client::input::{AttachTo, Command as C, Input, NewAttachment, WithdrawTarget};
use stafett_protocol::codec::encode;
use stafett_protocol::ids::DeviceId;
use stafett_protocol::wire::{Reply, Request, ServerFrame};
use stafett_tests::model::cast::text;
use stafett_tests::model::net::Net;
use stafett_tests::model::people::Device;
use stafett_tests::model::picky::Unsure;

#[test]
fn k1_a_log_moves_with_one_concern_and_its_people_find_it() {
    let mut it = Move::new();
    it.agree();
    assert_eq!(it.homes_of_log(), (4, 0), "nothing has moved before the holder commits");
    // The father is away throughout, with an edit that waits.
    let Move { homes, father, homework, absence, .. } = &mut it;
    father.ask(homes, C::Glimpse { concern: homework.clone(), text: "Skrevet før flyttingen".into() }).unwrap();
    father.ask(homes, C::Glimpse { concern: absence.clone(), text: "Ble igjen".into() }).unwrap();
    let Move { homes, teacher, kari, mother, log, .. } = &mut it;
    teacher.sync(homes);
    kari.sync(homes);
    kari.sync(homes);
    mother.sync(homes);
    let seen = show(homes, kari, log);
    assert_eq!((text(&seen, "home"), text(&seen, "status")), ("1106".into(), "active".into()), "{seen}");
    assert_eq!(text(&seen, "holder"), it.kari_id);
    assert_eq!(it.homes_of_log(), (2, 3), "old journal and absence stay; card, homework and a new journal are there");
    it.everyone(3);
    let Move { homes, teacher, kari, mother, father, log, homework, .. } = &mut it;
    for device in [&mut *kari, &mut *mother, &mut *father] {
        assert_eq!(text(&show(homes, device, log), "home"), "1106", "{}", device.last_problem());
        assert_eq!(glimpses(homes, device, homework), ["Skrevet før flyttingen"]);
    }
    assert_eq!(teacher.ask(homes, C::ConcernShow { concern: homework.clone() }).unwrap_err().code, "withdrawn");
    kari.ask(homes, C::Glimpse { concern: homework.clone(), text: "Velkommen".into() }).unwrap();
    kari.ask(homes, C::Note { log: log.clone(), text: "Ny dagbok".into() }).unwrap();
    it.everyone(2);
    let Move { homes, kari, mother, father, log, homework, absence: left, .. } = &mut it;
    assert_eq!(glimpses(homes, father, homework).len(), 2);
    assert_eq!(text(&list(&show(homes, mother, log), "notes")[0], "text"), "Ny dagbok");
    // What stayed is closed, and the family reads on.
    assert_eq!(mother.ask(homes, C::ConcernShow { concern: left.clone() }).unwrap()["state"], "closed");
    assert_eq!(kari.ask(homes, C::ConcernShow { concern: left.clone() }).unwrap_err().code, "unknown-id");
    let drafts = show(homes, father, log);
    let kept = list(&drafts, "pending").iter().any(|p| p["reason"] == "closed-by-move");
    assert!(kept, "the edit for what stayed is a draft with its reason: {drafts}");
    sound(homes, mother, log);
    sound(homes, kari, log);
    // Not a byte of what was not chosen is at the other home.
    let scope = it.absence.parse().unwrap();
    assert!(it.homes.at(ULLENSAKER).scopes.contains_key(&scope));
    assert!(!it.homes.at(HAUGESUND).scopes.contains_key(&scope));
}

/// A PDF on a concern that moves opens at the other home, byte for byte; one that stays is read where it stayed. While
/// the old home cannot show every part, nothing moves.
#[test]
fn attachments_move_with_their_concern() {
    let mut it = Move::new();
    let pdf = |n: u8| [b"%PDF-1.7 ".as_slice(), &vec![n; 100_000]].concat();
    let attach = |to, n| {
        let file = NewAttachment { name: "plan.pdf".into(), bytes: pdf(n) };
        C::Attach { to, text: "Se vedlegg".into(), file }
    };
    let Move { homes, mother, teacher, homework, absence, .. } = &mut it;
    let mut ids = vec![];
    for (concern, n) in [(&*homework, 1), (&*absence, 2)] {
        let answer = mother.ask(homes, attach(AttachTo::Glimpse(concern.clone()), n)).unwrap();
        ids.push(text(&answer, "attachment"));
    }
    mother.sync(homes);
    teacher.sync(homes);
    let scope = homework.parse().unwrap();
    let attachments = &mut homes.at(ULLENSAKER).attachments;
    let (lost, part) =
        attachments.parts.iter().find(|((s, _, n), _)| *s == scope && *n == 0).map(|(k, b)| (*k, b.clone())).unwrap();
    attachments.parts.remove(&lost);
    it.agree();
    it.everyone(2);
    assert_eq!(it.homes_of_log(), (4, 0), "not without its attachment");
    it.homes.at(ULLENSAKER).attachments.parts.insert(lost, part);
    it.everyone(4);
    assert_eq!(it.homes_of_log(), (2, 3));
    let Move { homes, kari, father, .. } = &mut it;
    for device in [&mut *kari, &mut *father] {
        assert_eq!(
            device.ask(homes, C::AttachmentGet { attachment: ids[0].clone() }).unwrap_err().code,
            "attachment-away"
        );
        device.sync(homes);
        device.ask(homes, C::AttachmentGet { attachment: ids[0].clone() }).unwrap_or_else(|e| panic!("{e:?}"));
        assert_eq!(device.file.take().unwrap(), pdf(1));
    }
    assert_eq!(kari.ask(homes, C::AttachmentGet { attachment: ids[1].clone() }).unwrap_err().code, "unknown-id");
    assert_eq!(father.ask(homes, C::AttachmentGet { attachment: ids[1].clone() }).unwrap_err().code, "attachment-away");
    father.sync(homes);
    father.ask(homes, C::AttachmentGet { attachment: ids[1].clone() }).unwrap_or_else(|e| panic!("{e:?}"));
    assert_eq!(father.file.take().unwrap(), pdf(2));
    let absent = it.absence.parse().unwrap();
    assert!(it.homes.at(HAUGESUND).attachments.parts.keys().all(|(s, ..)| *s != absent), "F9");
}

/// K5: of the journal nothing leaves but the notes that the family was shown and said yes to.
#[test]
fn k5_chosen_notes_go_along_and_no_byte_of_the_others() {
    const GOES: &str = "Ella leser helst høyt";
    const STAYS: &str = "Mor og far er uenige om leggetid";
    let mut it = Move::new();
    let Move { homes, teacher, log, .. } = &mut it;
    for note in [GOES, STAYS] {
        teacher.ask(homes, C::Note { log: log.clone(), text: note.into() }).unwrap();
    }
    it.everyone(2);
    let shown = show(&mut it.homes, &mut it.teacher, &it.log);
    it.notes = list(&shown, "notes").iter().filter(|n| n["text"] == GOES).map(|n| text(n, "id")).collect();
    assert_eq!(it.notes.len(), 1, "{shown}");
    it.agree();
    assert!(it.asked.contains(GOES) && !it.asked.contains(STAYS), "the family says yes to these words: {}", it.asked);
    it.arrived();
    let shown = show(&mut it.homes, &mut it.kari, &it.log);
    let texts: Vec<_> = list(&shown, "notes").iter().map(|n| text(n, "text")).collect();
    assert_eq!(texts, [GOES], "{shown}");
    // Not in a letter, not in a row, at no time.
    let wrote = |device: &Device, words: &str| {
        let values = device.saved.iter().flatten().filter_map(|row| row.value.as_deref());
        values.into_iter().any(|value| value.windows(words.len()).any(|part| part == words.as_bytes()))
    };
    assert!(wrote(&it.kari, GOES), "the search finds what is there");
    assert!(!wrote(&it.kari, STAYS) && !wrote(&it.there, STAYS));
    let again = it.teacher.ask(&mut it.homes, C::Note { log: it.log.clone(), text: "Hei".into() });
    assert!(again.is_err(), "the old journal is closed");
}

/// The new home fetches piece by piece; the line breaks in between, and it goes on where it stood.
#[test]
fn a_long_move_tells_how_far_it_is_and_goes_on_after_a_break() {
    let mut it = Move::new();
    it.agree();
    let Move { homes, teacher, homework, .. } = &mut it;
    homes.fetch_at_once = 3;
    homes.fetches = 2;
    teacher.sync(homes);
    let first: Vec<_> = teacher.progress.iter().map(|p| p.fetched).collect();
    let of = teacher.progress[0].of;
    assert!(first.len() == 2 && first[0] < first[1] && first[1] < of, "{first:?} of {of}");
    assert!(!homes.at(HAUGESUND).is_bound(homework.parse().unwrap()));
    homes.fetches = usize::MAX;
    teacher.restart();
    teacher.progress.clear();
    teacher.sync(homes);
    let then: Vec<_> = teacher.progress.iter().map(|p| p.fetched).collect();
    assert!(then[0] > first[1], "nothing is fetched twice: {first:?}, {then:?}");
    assert!(then.is_sorted() && then.last() == Some(&of), "{then:?} of {of}");
    it.arrived();
}

/// F2: the servers lose each other after the commit. Whoever knows of the move carries the word; nobody is stuck
/// with it, and the log has one home all the time.
#[test]
fn f2_any_client_carries_the_tombstone() {
    let mut it = Move::new();
    it.agree();
    let Move { homes, teacher, mother, kari, log, .. } = &mut it;
    homes.no_activation = true;
    teacher.sync(homes);
    mother.sync(homes);
    kari.sync(homes);
    assert_eq!(kari.ask(homes, C::LogShow { log: log.clone() }).unwrap_err().code, "unknown-id");
    assert!(homes.at(HAUGESUND).scopes.is_empty(), "the new home does not serve what it has not been given");
    homes.no_activation = false;
    mother.restart();
    mother.sync(homes);
    kari.sync(homes);
    assert_eq!(text(&show(homes, kari, log), "holder"), it.kari_id);
    it.everyone(3);
    let Move { homes, mother, father, log, .. } = &mut it;
    for guardian in [mother, father] {
        assert_eq!(text(&show(homes, guardian, log), "home"), "1106");
        sound(homes, guardian, log);
    }
}

/// F7: a home that signs on after it has let go is refused, and its signatures are kept.
#[test]
fn f7_a_receipt_after_the_move_is_refused_and_kept() {
    let mut it = Move::new();
    it.agree();
    it.everyone(3);
    let Move { homes, kari, mother, homework, log, .. } = &mut it;
    let scope = homework.parse().unwrap();
    kari.ask(homes, C::Glimpse { concern: homework.clone(), text: "Videre".into() }).unwrap();
    kari.sync(homes);
    let chain = homes.at(HAUGESUND).scopes[&scope].records.clone();
    let forged = homes.at(ULLENSAKER).sign_on(scope, &chain);
    let frame = encode(&ServerFrame { id: 0, reply: Reply::Records(forged) });
    let id = mother.id.unwrap();
    assert!(homes.connect(ULLENSAKER, id));
    for input in [Input::Connected, Input::Frame(frame)] {
        let effects = mother.client.handle(homes.now(), input);
        mother.save(&effects);
    }
    homes.disconnect(ULLENSAKER, id);
    assert!(mother.last_problem().contains("receipt-after-move"), "{}", mother.last_problem());
    assert!(mother.disk.keys().any(|(_, key)| key.starts_with(b"evidence/")), "both signatures are kept");
    assert!(glimpses(homes, mother, homework).is_empty(), "what it signed is not taken in");
    mother.restart();
    mother.sync(homes);
    assert_eq!(glimpses(homes, mother, homework), ["Videre"], "from its home it is");
    sound(homes, mother, log);
}

/// The old home fails when the new one is bound already; the commits are made anew on the same heads. The new home is
/// freed of its first word and gives another.
#[test]
fn f1_a_move_that_failed_at_the_commit_is_made_anew() {
    let mut it = Move::new();
    it.agree();
    it.bound();
    it.arrived();
}

/// The old home has committed, and its answer is lost with the connection. It tells its old holder nothing more of what
/// has moved; what stayed stands in part of the bundle. The same bytes bring the home's word on the rest. Found by killing
/// servers while a log moved (`kill_transfer`).
#[test]
fn f1_a_move_whose_answer_was_lost_ends_for_its_old_holder_too() {
    let mut it = Move::new();
    it.agree();
    let Move { homes, father, teacher, homework, .. } = &mut it;
    father.ask(homes, C::Glimpse { concern: homework.clone(), text: "Skrevet samme dag".into() }).unwrap();
    father.sync(homes);
    assert!(teacher.sync_losing(homes, |request| matches!(request, Request::CommitTransfer(_))));
    it.arrived();
    let Move { homes, kari, homework, .. } = &mut it;
    assert_eq!(glimpses(homes, kari, homework), ["Skrevet samme dag"]);
    relieved(&mut it);
}

/// Whoever has handed the log over is out of what has moved, and nothing waits on their device.
fn relieved(it: &mut Move) {
    let Move { homes, teacher, homework, .. } = it;
    let counts = teacher.ask(homes, C::SyncCounts).unwrap();
    let open = (counts["queued"].as_u64(), counts["refused"].as_u64());
    assert_eq!(open, (Some(0), Some(0)), "{}", teacher.last_problem());
    let shown = teacher.ask(homes, C::ConcernShow { concern: homework.clone() });
    assert_eq!(shown.unwrap_err().code, "withdrawn", "{}", teacher.last_problem());
}

/// The same for every answer that the old holder waits for.
#[test]
fn f1_whatever_answer_is_lost_a_move_ends() {
    for nth in 1.. {
        let mut it = Move::new();
        it.agree();
        let mut made = 0;
        let lost = it.teacher.sync_losing(&mut it.homes, |_| {
            made += 1;
            made == nth
        });
        it.arrived();
        relieved(&mut it);
        if !lost {
            println!("{} answers were lost, one after the other", nth - 1);
            assert!(nth > 10, "only {nth} requests were made");
            break;
        }
    }
}

/// The same where the home cannot say what became of a request: its database was lost with the answer to COMMIT.
#[test]
fn f1_whatever_a_home_is_unsure_of_a_move_ends() {
    for nth in 1.. {
        let mut it = Move::new();
        it.agree();
        let mut net = Unsure { homes: &mut it.homes, left: nth };
        it.teacher.sync(&mut net);
        let unsure = net.left == 0;
        it.arrived();
        relieved(&mut it);
        if !unsure {
            println!("{} requests were left in doubt, one after the other", nth - 1);
            assert!(nth > 10, "only {nth} requests were made");
            break;
        }
    }
}

/// C15: a withdrawal while the new home is bound: it holds there, and the log moves all the same.
#[test]
fn c15_a_withdrawal_while_the_new_home_is_bound_holds_after_the_move() {
    let mut it = Move::new();
    it.agree();
    it.bound();
    let Move { homes, mother, leader, log, .. } = &mut it;
    let consents = mother.ask(homes, C::ConsentList { log: log.clone() }).unwrap();
    let seat = |c: &&Value| c["access"] == "custody" && c["grantee"] == "Solvang skole" && c["state"] == "active";
    let seat = text(list(&consents, "consents").iter().find(seat).unwrap(), "id");
    let withdraw = C::ConsentWithdraw { log: log.clone(), target: WithdrawTarget::Grant(seat) };
    mother.ask(homes, withdraw).unwrap();
    mother.sync(homes);
    let leader = leader.id.unwrap();
    it.arrived();
    let scope = it.homework.parse().unwrap();
    let there = it.homes.at(HAUGESUND).scopes[&scope].replica.state().membership.clone();
    assert!(!there.devices().any(|key| DeviceId::of_key(key) == leader), "what was withdrawn stays so");
}

/// The offer is taken back after the other home has got ready: nothing moves, and nothing stays bound.
#[test]
fn f4_an_offer_that_is_taken_back_moves_nothing() {
    let mut it = Move::new();
    let offer = it.agree();
    let Move { homes, teacher, .. } = &mut it;
    teacher.ask(homes, C::BatonAbort { offer }).unwrap();
    it.everyone(3);
    assert_eq!(it.homes_of_log(), (4, 0));
    let Move { homes, teacher, mother, log, .. } = &mut it;
    let seen = show(homes, teacher, log);
    assert_eq!((text(&seen, "home"), text(&seen, "status")), ("3209".into(), "active".into()));
    let counts = teacher.ask(homes, C::SyncCounts).unwrap();
    assert_eq!(counts["queued"], 0, "{counts}");
    sound(homes, mother, log);
}
