//! Nothing that was written is gone without a word: it is received, or kept as a draft with its reason, told once and found.

use serde_json::{Value, json};
use stafett_client_core::client::input::{AccessWord, Command as C, NewMeasure, WithdrawTarget};
use stafett_protocol::codec::decode;
use stafett_protocol::event::Body;
use stafett_protocol::ids::DeviceId;
use stafett_protocol::limits::LOG_SCOPES;
use stafett_protocol::policy::Refusal;
use stafett_protocol::wire::{ClientFrame, Problem, Reply, Request, ServerFrame};
use stafett_tests::model_cast::{Cast, cast, concern, join, list, log, text};
use stafett_tests::model_home::ModelHome;
use stafett_tests::model_net::Net;
use stafett_tests::model_people::Device;

use crate::adversary::withdrawals::ppt_comes;

/// A home that has no room for another concern.
struct Full<'a>(&'a mut ModelHome);

impl Net for Full<'_> {
    fn now(&self) -> u64 {
        self.0.now
    }
    fn pass(&mut self, millis: u64) {
        self.0.pass(millis);
    }
    fn join(&mut self, _: u16, body: &[u8]) -> Result<Vec<u8>, String> {
        self.0.join(body)
    }
    fn connect(&mut self, _: u16, device: DeviceId) -> bool {
        self.0.connect(device)
    }
    fn disconnect(&mut self, _: u16, device: DeviceId) {
        self.0.disconnect(device);
    }
    fn frame(&mut self, _: u16, device: DeviceId, bytes: &[u8]) {
        let ClientFrame { id, request } = decode(bytes).unwrap();
        let begins = |bundle: &stafett_protocol::wire::Bundle| {
            bundle.envelopes.iter().any(|e| matches!(e.event.peek().unwrap().body, Body::Genesis(_)))
        };
        if !matches!(&request, Request::Submit(bundle) if begins(bundle)) {
            return self.0.frame(device, bytes);
        }
        let problem = Problem { code: Refusal::TooMany.code().into(), detail: String::new(), scope: None };
        self.0.open.get_mut(&device).unwrap().push(ServerFrame { id, reply: Reply::Problem(problem) });
    }
    fn inbound(&mut self, number: u16, device: DeviceId) -> Vec<ServerFrame> {
        self.0.inbound(number, device)
    }
}

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
fn sp23_a_concern_that_its_home_refuses_for_good_becomes_a_draft() {
    let mut cast = cast();
    let log = log(&mut cast);
    let Cast { home, teacher, .. } = &mut cast;
    teacher.ask(home, new_concern(&log, "Skolevei")).unwrap();
    teacher.sync(&mut Full(home));
    let told = counts(teacher, home);
    assert_eq!(told["given_up"], json!(1), "{told}");
    let draft = &list(&told, "drafts")[0];
    assert_eq!((text(draft, "kind"), text(draft, "problem")), ("concern".into(), "too-many-members".into()));
    for words in ["Skolevei", "Mål", "Tiltak"] {
        assert!(text(draft, "text").contains(words), "{draft}");
    }
    teacher.restart();
    teacher.sync(home);
    let after = counts(teacher, home);
    assert_eq!((&after["queued"], list(&after, "drafts").len()), (&json!(0), 0), "nothing of it is tried for ever");
    let shown = teacher.ask(home, C::LogShow { log: log.clone() }).unwrap();
    assert_eq!(list(&shown, "concerns").len(), 0, "{shown}");
    teacher.ask(home, new_concern(&log, "Skolevei")).unwrap();
    teacher.sync(home);
    let shown = teacher.ask(home, C::LogShow { log }).unwrap();
    assert_eq!(list(&shown, "concerns").len(), 1, "{shown}");
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
    stafett_tests::model_cast::sign(home, &mut guardian);
    teacher.sync(home);
    let shown = teacher.ask(home, C::LogShow { log: made }).unwrap();
    assert_eq!((text(&shown, "child"), text(&shown, "born")), ("ليلى".into(), "2016-03-01".into()));
    assert!(list(&shown, "participants").iter().any(|p| text(p, "name").ends_with("øøø")), "{shown}");
}
