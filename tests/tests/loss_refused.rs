//! Whatever waits on a device and is refused for good ends as a draft with its reason, told once and found; whatever may be
//! taken tomorrow waits.

use serde_json::{Value, json};
use stafett_client_core::client::input::{
    AccessWord, AttachTo, Command as C, Invitation, NewAttachment, NewMeasure, Who,
};
use stafett_client_core::rows::Space;
use stafett_protocol::credential::PersonKind;
use stafett_protocol::event::Body;
use stafett_protocol::wire::Request;
use stafett_tests::model::cast::{Cast, cast, concern, join, list, log, sign, telephone, text};
use stafett_tests::model::home::ModelHome;
use stafett_tests::model::net::Net;
use stafett_tests::model::people::Device;
use stafett_tests::model::picky::Refusing;
use stafett_tests::model::told::in_words;
use stafett_words::messages::{Language, Messages};

fn new_concern(log: &str, title: &str) -> C {
    let measure = NewMeasure { text: "Tiltak".into(), ..NewMeasure::default() };
    C::ConcernNew { log: log.to_owned(), title: title.into(), goal: "Mål".into(), category: None, measure }
}

fn counts(device: &mut Device, net: &mut impl Net) -> Value {
    device.ask(net, C::SyncCounts).unwrap()
}

fn founds(request: &Request) -> bool {
    carries(request, |body| matches!(body, Body::Genesis(_)))
}

fn carries(request: &Request, wanted: fn(&Body) -> bool) -> bool {
    let Request::Submit(bundle) = request else { return false };
    bundle.envelopes.iter().any(|e| wanted(&e.event.peek().unwrap().body))
}

/// It was told in every language, is told no more, is found, and nothing is left that would be tried again.
fn ended_as_draft(device: &mut Device, home: &mut ModelHome, kind: &str, code: &str) -> Value {
    let told = counts(device, home);
    let draft = list(&told, "drafts").iter().find(|d| d["kind"] == kind);
    let draft = draft.unwrap_or_else(|| panic!("{kind} {code}: {told} {}", device.last_problem())).clone();
    assert_eq!((text(&draft, "kind"), text(&draft, "problem")), (kind.into(), code.into()), "{told}");
    let many = list(&told, "drafts").len() as u64;
    assert_eq!((&told["given_up"], &told["queued"]), (&json!(many), &json!(0)), "sync ends with 1: {told}");
    for language in [Language::Bokmaal, Language::Nynorsk, Language::English] {
        let messages = Messages::of(language);
        assert!(messages.find(&format!("word.{kind}")).is_some(), "no word for {kind} in {language:?}");
        let said = in_words(&messages, "drafts", &json!({"drafts": [draft]}));
        assert!(messages.find(&format!("fault.{code}")).is_some(), "no words for {code} in {language:?}: {said}");
    }
    device.restart();
    device.sync(home);
    let after = counts(device, home);
    assert_eq!((list(&after, "drafts").len(), &after["queued"], &after["given_up"]), (0, &json!(0), &json!(0)));
    let found = device.ask(home, C::Drafts).unwrap();
    assert!(list(&found, "drafts").contains(&draft), "{found}");
    let waits = device.disk.keys().filter(|(space, _)| *space == Space::Outbox as u8).count();
    assert_eq!(waits, 0, "{kind} {code}");
    draft
}

#[test]
fn sp23_a_concern_that_its_home_refuses_for_good_becomes_a_draft() {
    let mut cast = cast();
    let log = log(&mut cast);
    let Cast { home, teacher, .. } = &mut cast;
    let made = text(&teacher.ask(home, new_concern(&log, "Skolevei")).unwrap(), "concern");
    let file = NewAttachment { name: "a.pdf".into(), bytes: b"%PDF-1.7 x".to_vec() };
    let attach = C::Attach { to: AttachTo::Glimpse(made), text: "Med vedlegg".into(), file };
    teacher.ask(home, attach).unwrap();
    teacher.sync(&mut Refusing { home, what: founds, code: "too-many-members" });
    let draft = ended_as_draft(teacher, home, "concern", "too-many-members");
    for words in ["Skolevei", "Mål", "Tiltak"] {
        assert!(text(&draft, "text").contains(words), "{draft}");
    }
    let drafts = teacher.ask(home, C::Drafts).unwrap();
    assert!(list(&drafts, "drafts").iter().any(|d| text(d, "text") == "Med vedlegg"), "{drafts}");
    let concerns = |teacher: &mut Device, home: &mut ModelHome| {
        list(&teacher.ask(home, C::LogShow { log: log.clone() }).unwrap(), "concerns").len()
    };
    assert_eq!(concerns(teacher, home), 0);
    teacher.ask(home, new_concern(&log, "Skolevei")).unwrap();
    teacher.sync(home);
    assert_eq!((concerns(teacher, home), &counts(teacher, home)["queued"]), (1, &json!(0)), "a new one is taken");
}

#[test]
fn sp23_of_two_last_concerns_one_is_taken_and_the_other_is_its_writers_draft() {
    let mut cast = cast();
    let log = log(&mut cast);
    let mut telephone = telephone(&mut cast);
    let Cast { home, teacher, mother, .. } = &mut cast;
    for _ in 0..3 {
        teacher.sync(home);
        telephone.sync(home);
    }
    home.log_scopes = home.scopes.len() + 1;
    for (device, title) in [(&mut *teacher, "Skrevet på pulten"), (&mut telephone, "Skrevet på bussen")] {
        device.ask(home, new_concern(&log, title)).unwrap();
    }
    teacher.sync(home);
    assert_eq!(counts(teacher, home)["given_up"], json!(0));
    telephone.sync(home);
    let draft = ended_as_draft(&mut telephone, home, "concern", "too-many-members");
    assert!(text(&draft, "text").contains("Skrevet på bussen"), "{draft}");
    for device in [&mut *teacher, &mut telephone, &mut *mother] {
        device.sync(home);
        device.sync(home);
        let shown = device.ask(home, C::LogShow { log: log.clone() }).unwrap();
        let titles: Vec<String> = list(&shown, "concerns").iter().map(|c| text(c, "title")).collect();
        assert_eq!(titles, ["Skrevet på pulten"], "{shown}");
    }
}

#[test]
fn sp23_a_log_that_its_home_refuses_for_good_becomes_a_draft_and_another_waits() {
    for (code, ends) in [("grant-expired", true), ("voucher-invalid", false), ("unavailable", false)] {
        let mut cast = cast();
        let Cast { home, teacher, mother, father, mother_id, father_id, .. } = &mut cast;
        let guardians = vec![mother_id.clone(), father_id.clone()];
        let new = C::LogNew { child: "Ella".into(), born: "2015-03-04".into(), guardians, level: 1 };
        let log = text(&teacher.ask(home, new).unwrap(), "log");
        teacher.ask(home, C::Note { log: log.clone(), text: "Notert før samtykket".into() }).unwrap();
        teacher.ask(home, new_concern(&log, "Lekser")).unwrap();
        teacher.sync(home);
        sign(home, mother);
        sign(home, father);
        teacher.sync(&mut Refusing { home, what: founds, code });
        if ends {
            let draft = ended_as_draft(teacher, home, "log", code);
            assert!(text(&draft, "text").contains("Ella"), "{draft}");
            let all = teacher.ask(home, C::Drafts).unwrap();
            for words in ["Notert før samtykket", "Lekser"] {
                assert!(list(&all, "drafts").iter().any(|d| text(d, "text").contains(words)), "{words}: {all}");
            }
            assert_eq!(list(&teacher.ask(home, C::LogList).unwrap(), "logs").len(), 0);
        } else {
            let told = counts(teacher, home);
            assert_eq!((&told["given_up"], list(&told, "drafts").len()), (&json!(0), 0), "{code}: {told}");
            teacher.sync(home);
            teacher.sync(home);
            assert_eq!(counts(teacher, home)["queued"], json!(0));
            let shown = teacher.ask(home, C::LogShow { log }).unwrap();
            assert_eq!((text(&shown, "status"), list(&shown, "concerns").len()), ("active".into(), 1), "{code}");
        }
    }
}

/// Who is there when something is asked for.
struct World {
    cast: Cast,
    administrator: Device,
    log: String,
    concern: String,
}

type IsIt = fn(&Request) -> bool;
type Asks = fn(&mut World) -> Device;

/// Takes a device out of the story.
fn taken(device: &mut Device) -> Device {
    std::mem::replace(device, Device::new(0))
}

/// What can wait: how somebody asks for it, what carries it, what its draft is called and says.
const WAITING: &[(&str, &str, Asks, IsIt)] = &[
    ("invitation", "", invites, |r| matches!(r, Request::OfferCode(_))),
    ("unit", "Nes skole", adds_a_unit, |r| matches!(r, Request::AddUnit(_))),
    ("device", "", removes_a_device, |r| matches!(r, Request::RemoveDevice(_))),
    ("device", "", takes_in_a_device, |r| matches!(r, Request::CertifyDevice(_))),
    ("employee", "Kari Kollega", employs, |r| matches!(r, Request::CertifyEmployee(_))),
    ("letter", "Mor Moen", asks_the_family, |r| matches!(r, Request::Letters(_))),
];

fn invites(world: &mut World) -> Device {
    let mut teacher = taken(&mut world.cast.teacher);
    teacher.ask(&mut world.cast.home, C::Invite(Invitation::Guardian)).unwrap();
    teacher
}

fn adds_a_unit(world: &mut World) -> Device {
    let mut administrator = taken(&mut world.administrator);
    administrator.ask(&mut world.cast.home, C::UnitAdd { name: "Nes skole".into(), kind: "school".into() }).unwrap();
    administrator
}

fn removes_a_device(world: &mut World) -> Device {
    let mut telephone = telephone(&mut world.cast);
    let Cast { home, teacher, .. } = &mut world.cast;
    teacher.sync(home);
    telephone.sync(home);
    let known = teacher.ask(home, C::DeviceList).unwrap();
    let other = list(&known, "devices").iter().find(|d| d["this"] != true).unwrap();
    teacher.ask(home, C::DeviceRemove { device: text(other, "device"), lost: true }).unwrap();
    taken(teacher)
}

fn takes_in_a_device(world: &mut World) -> Device {
    drop(telephone(&mut world.cast));
    taken(&mut world.cast.teacher)
}

fn employs(world: &mut World) -> Device {
    let Cast { home, leader, .. } = &mut world.cast;
    let code = C::Invite(Invitation::Employee { may_hold: true, may_act: true });
    let code = text(&leader.ask(home, code).unwrap(), "code");
    leader.sync(home);
    drop(join(home, 21, code, "Kari Kollega"));
    taken(leader)
}

fn asks_the_family(world: &mut World) -> Device {
    let Cast { home, teacher, .. } = &mut world.cast;
    let code = home.add_unit("PPT", "ppt");
    drop(join(home, 51, code, "Leder PPT"));
    teacher.sync(home);
    teacher.sync(home);
    let units = teacher.ask(home, C::Units).unwrap();
    let unit = text(list(&units, "units").iter().find(|u| u["name"] == "PPT").unwrap(), "unit");
    let (log, scopes) = (world.log.clone(), vec![world.concern.clone()]);
    teacher.ask(home, C::AccessRequest { log, who: Who::Unit(unit), scopes, access: AccessWord::Read }).unwrap();
    taken(teacher)
}

fn world() -> World {
    let mut cast = cast();
    let log = log(&mut cast);
    let concern = concern(&mut cast, &log);
    let code = cast.home.own_code(99, PersonKind::Administrator, None);
    let (administrator, _) = join(&mut cast.home, 90, code, "Anders Administrator");
    World { cast, administrator, log, concern }
}

#[test]
fn sp23_whatever_waits_and_is_refused_for_good_is_told_once_and_found() {
    // To the device they are the same: one for each.
    let codes = ["not-allowed", "too-large"].into_iter().cycle();
    for ((kind, said, asks, what), code) in WAITING.iter().zip(codes) {
        let mut world = world();
        let mut device = asks(&mut world);
        let home = &mut world.cast.home;
        device.sync(&mut Refusing { home, what: *what, code });
        let draft = ended_as_draft(&mut device, home, kind, code);
        assert!(text(&draft, "text").contains(said), "{draft}");
    }
}

#[test]
fn sp23_whatever_may_be_taken_tomorrow_waits() {
    let codes = ["unavailable", "mailbox-full", "a word of tomorrow"].into_iter().cycle();
    for ((kind, _, asks, what), code) in WAITING.iter().zip(codes) {
        let mut world = world();
        let mut device = asks(&mut world);
        let home = &mut world.cast.home;
        device.sync(&mut Refusing { home, what: *what, code });
        let told = counts(&mut device, home);
        assert_eq!((&told["given_up"], list(&told, "drafts").len()), (&json!(0), 0), "{kind} {code}: {told}");
        assert_ne!(told["queued"], json!(0), "{kind} {code}: {told}");
        device.restart();
        device.sync(home);
        device.sync(home);
        assert_eq!(counts(&mut device, home)["queued"], json!(0), "{kind} {code}: {}", device.last_problem());
    }
}

/// The refusals of a change after which nothing may be otherwise, and those after which it waits.
#[test]
fn sp23_a_change_or_a_file_that_is_refused_for_good_is_its_writers_draft() {
    let change: fn(&Request) -> bool = |r| carries(r, |body| matches!(body, Body::Change(_)));
    let file: fn(&Request) -> bool = |r| matches!(r, Request::PutAttachment(_));
    for (what, code) in [(change, "read-only"), (change, "too-large"), (file, "too-many-attachments")] {
        let mut world = world();
        let Cast { home, teacher, .. } = &mut world.cast;
        let file = NewAttachment { name: "a.pdf".into(), bytes: b"%PDF-1.7 x".to_vec() };
        let to = AttachTo::Glimpse(world.concern.clone());
        teacher.ask(home, C::Attach { to, text: "Et smil".into(), file }).unwrap();
        teacher.sync(&mut Refusing { home, what, code });
        let draft = ended_as_draft(teacher, home, "glimpse", code);
        assert!(text(&draft, "text").contains("Et smil"), "{draft}");
    }
}

/// A new device is registered before it is told anything: the person's key does not lie with one that the server refused.
#[test]
fn sp23_a_device_that_is_not_taken_in_is_told_nothing() {
    for (code, ends) in [("too-many-devices", true), ("unavailable", false)] {
        let mut cast = cast();
        let mut telephone = telephone(&mut cast);
        let Cast { home, teacher, .. } = &mut cast;
        let id = telephone.id.unwrap();
        let what: fn(&Request) -> bool = |r| matches!(r, Request::CertifyDevice(_));
        teacher.sync(&mut Refusing { home, what, code });
        let written = |home: &ModelHome| home.heard.windows(16).any(|bytes| *bytes == id.0);
        assert!(!written(home), "{code}: a letter has gone to it");
        if ends {
            ended_as_draft(teacher, home, "device", code);
            assert!(!written(home));
        } else {
            teacher.sync(home);
            teacher.sync(home);
            telephone.sync(home);
            assert_eq!(counts(teacher, home)["queued"], json!(0), "{}", teacher.last_problem());
            assert!(written(home) && list(&telephone.ask(home, C::DeviceList).unwrap(), "devices").len() == 2);
        }
    }
}
