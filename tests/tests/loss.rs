//! Nothing that was written is gone without a word: it is received, or kept as a draft with its reason, told once and found.

use serde_json::{Value, json};
use stafett_client_core::client::input::{AccessWord, Command as C, NewMeasure, WithdrawTarget};
use stafett_protocol::limits::LOG_SCOPES;
use stafett_tests::model::cast::{Cast, cast, concern, join, list, log, text};
use stafett_tests::model::home::ModelHome;
use stafett_tests::model::net::Net;
use stafett_tests::model::people::Device;

use crate::adversary::withdrawals::ppt_comes;

fn new_concern(log: &str, title: &str) -> C {
    let measure = NewMeasure { text: "Tiltak".into(), ..NewMeasure::default() };
    C::ConcernNew { log: log.to_owned(), title: title.into(), goal: "Mål".into(), category: None, measure }
}

fn counts(device: &mut Device, net: &mut impl Net) -> Value {
    device.ask(net, C::SyncCounts).unwrap()
}

#[test]
fn sp23_what_a_withdrawal_overtook_is_told_once_and_found() {
    let mut cast = cast();
    let log = log(&mut cast);
    let concern = concern(&mut cast, &log);
    let (mut ppt, unit) = ppt_comes(&mut cast, &log, std::slice::from_ref(&concern), AccessWord::Contribute);
    let Cast { home, mother, .. } = &mut cast;
    ppt.ask(home, C::Glimpse { concern: concern.clone(), text: "Skrevet på toget".into() }).unwrap();
    mother.sync(home);
    mother.ask(home, C::ConsentWithdraw { log: log.clone(), target: WithdrawTarget::Unit(unit) }).unwrap();
    mother.sync(home);
    ppt.restart();
    ppt.sync(home);
    let told = counts(&mut ppt, home);
    let draft = &list(&told, "drafts")[0];
    assert_eq!((text(draft, "text"), text(draft, "kind")), ("Skrevet på toget".into(), "glimpse".into()));
    assert_eq!((text(draft, "problem"), text(draft, "log")), ("withdrawn".into(), log), "{told}");
    assert_eq!(
        (&told["queued"], &told["given_up"]),
        (&json!(0), &json!(0)),
        "who was withdrawn has done nothing wrong"
    );
    ppt.restart();
    assert_eq!(list(&counts(&mut ppt, home), "drafts").len(), 0, "once");
    let found = ppt.ask(home, C::Drafts).unwrap();
    assert_eq!(text(&list(&found, "drafts")[0], "text"), "Skrevet på toget");
    let id = text(&list(&found, "drafts")[0], "id");
    ppt.ask(home, C::DraftDrop { draft: id.chars().take(8).collect() }).unwrap();
    ppt.restart();
    assert_eq!(list(&ppt.ask(home, C::Drafts).unwrap(), "drafts").len(), 0);
}

#[test]
fn sp23_a_concern_that_finds_no_room_is_refused_at_once() {
    let mut cast = cast();
    let log = log(&mut cast);
    let Cast { home, teacher, .. } = &mut cast;
    let concerns = |device: &mut Device, home: &mut ModelHome| {
        list(&device.ask(home, C::LogShow { log: log.clone() }).unwrap(), "concerns").len()
    };
    for number in 2..LOG_SCOPES {
        teacher.ask(home, new_concern(&log, &format!("Oppmerksomhet {number}"))).unwrap();
    }
    let refused = teacher.ask(home, new_concern(&log, "En for mye")).unwrap_err();
    assert_eq!(refused.code, "log-full");
    assert!(refused.values.contains(&("most", "62".to_owned())), "{refused:?}");
    assert_eq!(concerns(teacher, home), LOG_SCOPES - 2);
    teacher.restart();
    assert_eq!(concerns(teacher, home), LOG_SCOPES - 2, "and leaves nothing");
}

#[test]
fn sp23_what_was_written_before_a_closing_is_sent_or_a_draft() {
    let mut cast = cast();
    let log = log(&mut cast);
    let concern = concern(&mut cast, &log);
    let Cast { home, teacher, mother, .. } = &mut cast;
    mother.ask(home, C::Glimpse { concern: concern.clone(), text: "Skrevet hjemme".into() }).unwrap();
    teacher.ask(home, C::Glimpse { concern: concern.clone(), text: "Før avslutningen".into() }).unwrap();
    teacher.ask(home, C::ConcernClose { concern: concern.clone() }).unwrap();
    teacher.sync(home);
    let shown = teacher.ask(home, C::ConcernShow { concern }).unwrap();
    assert_eq!((text(&shown, "state"), list(&shown, "glimpses").len()), ("closed".into(), 1), "{shown}");
    assert_eq!(counts(teacher, home)["queued"], json!(0));
    mother.sync(home);
    let told = counts(mother, home);
    let draft = &list(&told, "drafts")[0];
    assert_eq!((text(draft, "text"), text(draft, "problem")), ("Skrevet hjemme".into(), "closed".into()), "{told}");
    assert_eq!((&told["queued"], &told["given_up"]), (&json!(0), &json!(1)));
}

#[test]
fn b6_what_one_door_takes_the_next_takes_too() {
    let mut cast = cast();
    let Cast { home, teacher, .. } = &mut cast;
    let invite = C::Invite(stafett_client_core::client::input::Invitation::Guardian);
    let code = text(&teacher.ask(home, invite).unwrap(), "code");
    teacher.sync(home);
    // A name from a telephone, of as many letters as a name may have, each of two bytes.
    let name = format!("مريم\u{200f} {}", "ø".repeat(115));
    let (mut guardian, id) = join(home, 41, code, &name);
    teacher.sync(home);
    let new = |child: &str, born: &str| C::LogNew {
        child: child.into(),
        born: born.into(),
        guardians: vec![id.clone()],
        level: 1,
    };
    for (child, born, code) in [
        ("E".repeat(121).as_str(), "2016-03-01", "too-long"),
        ("\u{3164}", "2016-03-01", "child"),
        ("A\u{1b}[31mB", "2016-03-01", "unprintable"),
        ("Ella", "2016-02-30", "date"),
        ("Ella", "3016-03-01", "born"),
        ("Ella", "1616-03-01", "born"),
    ] {
        let refused = teacher.ask(home, new(child, born)).unwrap_err();
        assert_eq!(refused.code, code, "{child} {born}");
    }
    assert_eq!(list(&teacher.ask(home, C::LogList).unwrap(), "logs").len(), 0, "a refused log leaves none");
    let made = text(&teacher.ask(home, new(" ليلى\u{200f}", "1.3.2016")).unwrap(), "log");
    teacher.sync(home);
    stafett_tests::model::cast::sign(home, &mut guardian);
    teacher.sync(home);
    let shown = teacher.ask(home, C::LogShow { log: made }).unwrap();
    assert_eq!((text(&shown, "child"), text(&shown, "born")), ("ليلى".into(), "2016-03-01".into()));
    assert!(list(&shown, "participants").iter().any(|p| text(p, "name").ends_with("øøø")), "{shown}");
}
