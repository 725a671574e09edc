//! Who has left a log and comes back, and what was ended while something new began. Found by the simulation.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use stafett_client_core::client::Standing;
use stafett_client_core::client::input::{Command as C, Input, NewMeasure, WithdrawTarget};
use stafett_protocol::codec::{decode, encode};
use stafett_protocol::ids::{DeviceId, ScopeId};
use stafett_protocol::wire::{ClientFrame, Greeting, Problem, Records, Reply, Request, ServerFrame, SyncedScope};
use stafett_tests::model_cast::{Cast, cast, colleague, concern, list, log, text};
use stafett_tests::model_home::ModelHome;
use stafett_tests::model_net::Net;
use stafett_tests::model_people::Device;

fn everyone(cast: &mut Cast, more: &mut Device) {
    let Cast { home, leader, teacher, mother, father, .. } = cast;
    for _ in 0..3 {
        for device in [&mut *teacher, &mut *leader, &mut *mother, &mut *father, &mut *more] {
            device.sync(home);
        }
    }
}

fn hand_over(cast: &mut Cast, from: &mut Device, to: (&mut Device, &str), log: &str) {
    let offer = C::BatonOffer {
        log: log.into(),
        to: to.1.into(),
        municipality: None,
        concerns: vec![],
        reason: "Bytte av kontaktlærer".into(),
        notes: vec![],
    };
    from.ask(&mut cast.home, offer).unwrap();
    from.sync(&mut cast.home);
    to.0.sync(&mut cast.home);
    let offers = to.0.ask(&mut cast.home, C::BatonList).unwrap();
    let open = list(&offers, "offers").iter().find(|o| o["side"] == "received" && o["state"] != "handed-over").unwrap();
    to.0.ask(&mut cast.home, C::BatonAccept { offer: text(open, "offer"), person: None }).unwrap();
    to.0.sync(&mut cast.home);
}

/// The baton goes from the teacher to a colleague, and back to her. Answers the colleague's device, and who the teacher is.
fn away_and_back(cast: &mut Cast, log: &str, homework: &str) -> (Device, String) {
    let (mut kari, kari_id) = colleague(cast);
    let teacher_id = text(&cast.teacher.ask(&mut cast.home, C::DeviceList).unwrap(), "person");
    let mut teacher = std::mem::replace(&mut cast.teacher, Device::new(0));
    hand_over(cast, &mut teacher, (&mut kari, &kari_id), log);
    cast.teacher = teacher;
    everyone(cast, &mut kari);
    assert_eq!(
        cast.teacher.ask(&mut cast.home, C::ConcernShow { concern: homework.into() }).unwrap_err().code,
        "withdrawn"
    );
    let number = kari.ask(&mut cast.home, C::Verify { person: teacher_id.clone(), number: None }).unwrap();
    let met = C::Verify { person: teacher_id.clone(), number: Some(text(&number, "number")) };
    assert_eq!(kari.ask(&mut cast.home, met).unwrap()["matches"], true);
    let mut teacher = std::mem::replace(&mut cast.teacher, Device::new(0));
    hand_over(cast, &mut kari, (&mut teacher, &teacher_id), log);
    cast.teacher = teacher;
    everyone(cast, &mut kari);
    (kari, teacher_id)
}

/// A further device of the teacher's.
fn telephone(cast: &mut Cast) -> Device {
    let mut telephone = Device::new(77);
    let code = text(&cast.teacher.ask(&mut cast.home, C::DeviceLink).unwrap(), "code");
    cast.teacher.sync(&mut cast.home);
    telephone.ask(&mut cast.home, C::DeviceAccept { code, name: "telefon".into() }).unwrap();
    telephone
}

/// K1: the baton comes back to who began the log. The teacher's device founded its parts, forgot them when the baton
/// went, and reads them anew like any newcomer: all of it, what she wrote herself too.
#[test]
fn k1_the_baton_comes_back_to_who_began_the_log() {
    let mut cast = cast();
    let log = log(&mut cast);
    let homework = concern(&mut cast, &log);
    cast.teacher.ask(&mut cast.home, C::Glimpse { concern: homework.clone(), text: "Fra før".into() }).unwrap();
    let (mut kari, teacher_id) = away_and_back(&mut cast, &log, &homework);
    let show = cast.teacher.ask(&mut cast.home, C::LogShow { log: log.clone() }).unwrap();
    assert_eq!(text(&show, "holder"), teacher_id, "{show} {}", kari.last_problem());
    assert_eq!(text(&show, "child"), "Ella", "{show} {}", cast.teacher.last_problem());
    let seen = cast.teacher.ask(&mut cast.home, C::ConcernShow { concern: homework.clone() }).unwrap();
    assert_eq!(seen["glimpses"][0]["text"], "Fra før", "{seen}");
    cast.teacher.ask(&mut cast.home, C::Glimpse { concern: homework.clone(), text: "Tilbake".into() }).unwrap();
    everyone(&mut cast, &mut kari);
    let seen = cast.mother.ask(&mut cast.home, C::ConcernShow { concern: homework }).unwrap();
    assert_eq!(list(&seen, "glimpses").len(), 2, "{seen}");
}

/// The same, for a telephone that was off throughout: it hears at once that it had to leave and that it is back, and
/// reads all of it again. Found by world 71.
#[test]
fn k1_a_device_that_slept_through_it_reads_all_of_it_again() {
    let mut cast = cast();
    let log = log(&mut cast);
    let homework = concern(&mut cast, &log);
    cast.teacher.ask(&mut cast.home, C::Glimpse { concern: homework.clone(), text: "Fra før".into() }).unwrap();
    let mut telephone = telephone(&mut cast);
    everyone(&mut cast, &mut telephone);
    let glimpses = |cast: &mut Cast, device: &mut Device| {
        let shown = device.ask(&mut cast.home, C::ConcernShow { concern: homework.clone() });
        let shown = shown.unwrap_or_else(|e| panic!("{e:?} {}", device.last_problem()));
        list(&shown, "glimpses").iter().map(|g| text(g, "text")).collect::<Vec<_>>()
    };
    assert_eq!(glimpses(&mut cast, &mut telephone), ["Fra før"]);

    away_and_back(&mut cast, &log, &homework);

    everyone(&mut cast, &mut telephone);
    assert_eq!(glimpses(&mut cast, &mut telephone), ["Fra før"]);
    let write = C::Glimpse { concern: homework.clone(), text: "Tilbake".into() };
    telephone.ask(&mut cast.home, write).unwrap();
    everyone(&mut cast, &mut telephone);
    let mut mother = std::mem::replace(&mut cast.mother, Device::new(0));
    assert_eq!(glimpses(&mut cast, &mut mother), ["Fra før", "Tilbake"]);
}

/// C4: a device that is set back to before others came in, and before it was put out itself, is shown the commit that did
/// it and none before, and no letter again. That is enough to forget what must be forgotten. Found by world 69.
#[test]
fn c4_a_restored_device_hears_again_that_it_has_to_leave() {
    let mut cast = cast();
    let log = log(&mut cast);
    let homework = concern(&mut cast, &log);
    cast.leader.sync(&mut cast.home);
    let backup = cast.leader.disk.clone();
    let mut telephone = telephone(&mut cast);
    let mut leader = std::mem::replace(&mut cast.leader, Device::new(0));
    let all_but_the_leader = |cast: &mut Cast, telephone: &mut Device| {
        let Cast { home, teacher, mother, father, .. } = cast;
        for _ in 0..3 {
            for device in [&mut *teacher, &mut *mother, &mut *father, &mut *telephone] {
                device.sync(home);
            }
        }
    };
    all_but_the_leader(&mut cast, &mut telephone);
    let consents = cast.mother.ask(&mut cast.home, C::ConsentList { log: log.clone() }).unwrap();
    let custody = list(&consents, "consents").iter().find(|c| c["access"] == "custody").unwrap();
    let target = WithdrawTarget::Grant(text(custody, "id"));
    cast.mother.ask(&mut cast.home, C::ConsentWithdraw { log: log.clone(), target }).unwrap();
    all_but_the_leader(&mut cast, &mut telephone);
    for _ in 0..2 {
        leader.sync(&mut cast.home);
    }
    leader.disk = backup;
    leader.restart();
    for _ in 0..2 {
        leader.sync(&mut cast.home);
    }
    for command in [C::LogShow { log }, C::ConcernShow { concern: homework }] {
        assert_eq!(leader.ask(&mut cast.home, command).unwrap_err().code, "withdrawn", "{}", leader.last_problem());
    }
}

/// C4: a part of the log that is begun while a parent withdraws is not left out: it stands on a copy of what she ended.
#[test]
fn c4_a_withdrawal_reaches_what_was_begun_meanwhile() {
    let mut cast = cast();
    let log = log(&mut cast);
    let Cast { home, teacher, mother, .. } = &mut cast;
    let measure = NewMeasure { text: "Tiltak".into(), ..NewMeasure::default() };
    let (title, goal) = ("Fravær".to_owned(), "Mål".to_owned());
    let new = C::ConcernNew { log: log.clone(), title, goal, category: None, measure };
    let concern = text(&teacher.ask(home, new).unwrap(), "concern");
    teacher.sync(home);
    let unit = text(&teacher.ask(home, C::Units).unwrap()["units"][0], "unit");
    mother.ask(home, C::ConsentWithdraw { log: log.clone(), target: WithdrawTarget::Unit(unit) }).unwrap();
    for _ in 0..3 {
        cast.mother.sync(&mut cast.home);
        cast.father.sync(&mut cast.home);
        cast.teacher.sync(&mut cast.home);
        cast.leader.sync(&mut cast.home);
    }
    let chain = &cast.home.scopes[&concern.parse().unwrap()];
    let leader: DeviceId = cast.leader.id.unwrap();
    assert!(!chain.replica.state().may_read(leader, cast.home.now), "the leader's seat has ended there, too");
    let audit = cast.mother.ask(&mut cast.home, C::AuditVerify { log }).unwrap();
    assert_eq!(list(&audit, "violations").len(), 0, "{audit}");
}

/// S9: a device that is set back to before a part of the log was begun hears from the home that it has a place there, takes
/// its leaf back and reads all of it; so it can also end what was given there. Found by world 265.
#[test]
fn s9_c4_a_restored_device_finds_what_was_begun_after_its_backup() {
    let mut cast = cast();
    let log = log(&mut cast);
    let backup = cast.mother.disk.clone();
    let homework = concern(&mut cast, &log);
    cast.teacher.ask(&mut cast.home, C::Glimpse { concern: homework.clone(), text: "Etter kopien".into() }).unwrap();
    let unit = text(&cast.teacher.ask(&mut cast.home, C::Units).unwrap()["units"][0], "unit");
    let rounds = |cast: &mut Cast| {
        let Cast { home, leader, teacher, mother, father, .. } = cast;
        for _ in 0..4 {
            for device in [&mut *teacher, &mut *leader, &mut *mother, &mut *father] {
                device.sync(home);
            }
        }
    };
    rounds(&mut cast);
    cast.mother.disk = backup;
    cast.mother.restart();
    rounds(&mut cast);
    let seen = cast.mother.ask(&mut cast.home, C::ConcernShow { concern: homework.clone() });
    let seen = seen.unwrap_or_else(|e| panic!("{e:?} {}", cast.mother.last_problem()));
    assert_eq!(seen["glimpses"][0]["text"], "Etter kopien", "{seen} {}", cast.mother.last_problem());
    cast.mother.ask(&mut cast.home, C::Glimpse { concern: homework.clone(), text: "Fra mor".into() }).unwrap();
    rounds(&mut cast);
    let seen = cast.father.ask(&mut cast.home, C::ConcernShow { concern: homework.clone() }).unwrap();
    assert_eq!(list(&seen, "glimpses").len(), 2, "{seen}");

    let leader: DeviceId = cast.leader.id.unwrap();
    let reads = |cast: &Cast| {
        let chain = &cast.home.scopes[&homework.parse().unwrap()];
        chain.replica.state().may_read(leader, cast.home.now)
    };
    assert!(reads(&cast), "the leader has her seat in the concern");
    cast.mother.ask(&mut cast.home, C::ConsentWithdraw { log, target: WithdrawTarget::Unit(unit) }).unwrap();
    rounds(&mut cast);
    assert!(!reads(&cast), "the withdrawal reaches the concern, too");
}

/// A home that takes nothing in for now.
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
        if !matches!(request, Request::Submit(_)) {
            return self.0.frame(device, bytes);
        }
        let problem = Problem { code: "unavailable".into(), detail: "try again".into(), scope: None };
        self.0.open.get_mut(&device).unwrap().push(ServerFrame { id, reply: Reply::Problem(problem) });
    }
    fn inbound(&mut self, number: u16, device: DeviceId) -> Vec<ServerFrame> {
        self.0.inbound(number, device)
    }
}

/// C4: put out while it takes its leaf back, a restored device leaves like any other. Found by world 117.
#[test]
fn c4_who_is_put_out_on_the_way_back_leaves() {
    let mut cast = cast();
    let log = log(&mut cast);
    cast.leader.sync(&mut cast.home);
    let backup = cast.leader.disk.clone();
    let homework = concern(&mut cast, &log);
    let rounds = |cast: &mut Cast, leader: &mut Device| {
        let Cast { home, teacher, mother, father, .. } = cast;
        for _ in 0..3 {
            for device in [&mut *teacher, &mut *mother, &mut *father, &mut *leader] {
                device.sync(home);
            }
        }
    };
    let mut leader = std::mem::replace(&mut cast.leader, Device::new(0));
    rounds(&mut cast, &mut leader);
    leader.disk = backup;
    leader.restart();
    leader.sync(&mut Full(&mut cast.home));
    let standing = |leader: &Device| {
        let standings = leader.client.standings().into_iter();
        standings.filter(|r| r.scope.to_string() == homework).map(|r| r.standing).collect::<Vec<_>>()
    };
    assert_eq!(standing(&leader), [Standing::Resyncing], "{}", leader.last_problem());
    let unit = text(&cast.teacher.ask(&mut cast.home, C::Units).unwrap()["units"][0], "unit");
    cast.mother.ask(&mut cast.home, C::ConsentWithdraw { log, target: WithdrawTarget::Unit(unit) }).unwrap();
    cast.mother.sync(&mut cast.home);
    cast.father.sync(&mut cast.home);
    cast.home.mail.remove(&leader.id.unwrap());
    rounds(&mut cast, &mut leader);
    assert_eq!(standing(&leader), [Standing::Withdrawn], "{}", leader.last_problem());
}

/// A home that names a scope in which the device has no place gets nowhere with it: the chain says who is in.
#[test]
fn a_home_that_names_a_strangers_scope_to_a_device_leaves_nothing_there() {
    let mut cast = cast();
    let log = log(&mut cast);
    let homework: ScopeId = concern(&mut cast, &log).parse().unwrap();
    let (mut kari, _) = colleague(&mut cast);
    kari.client.handle(cast.home.now, Input::Connected);
    let greeting = Greeting {
        municipality: cast.home.number,
        time: cast.home.now,
        key_packages: 20,
        unit: None,
        scopes: vec![homework],
    };
    let effects = kari
        .client
        .handle(cast.home.now, Input::Frame(encode(&ServerFrame { id: 0, reply: Reply::Welcome(greeting) })));
    kari.save(&effects);
    let records = cast.home.scopes[&homework].records.clone();
    let receipt = cast.home.receipt(homework, records.len() as u64);
    let records = Records { scope: homework, records, receipt };
    let asked = effects.frames.iter().find_map(|f| {
        let frame: ClientFrame = decode(f.as_slice()).unwrap();
        matches!(&frame.request, Request::Sync(at) if at.iter().any(|p| p.scope == homework)).then_some(frame.id)
    });
    let position = Some(cast.home.scopes[&homework].replica.state().position);
    let synced = Reply::Synced(vec![SyncedScope { scope: homework, position }]);
    for (id, reply) in [(0, Reply::Records(records)), (asked.expect("it asks"), synced)] {
        let effects = kari.client.handle(cast.home.now, Input::Frame(encode(&ServerFrame { id, reply })));
        kari.save(&effects);
    }
    assert!(kari.client.standings().iter().all(|s| s.scope != homework), "{}", kari.last_problem());
    kari.sync(&mut cast.home);
    let names_it = |row: &&Vec<u8>| row.windows(16).any(|part| part == homework.0);
    let left: Vec<String> =
        kari.disk.keys().map(|(_, key)| key).filter(names_it).map(|key| key.escape_ascii().to_string()).collect();
    assert!(left.is_empty(), "{left:?}");
}
