//! Devices that are set back to an old backup: what they have forgotten they find again, and what has ended stays ended (S9).
//! Found by the simulation.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use stafett_client_core::client::input::{Command as C, Input, WithdrawTarget};
use stafett_client_core::client::{Report, Standing};
use stafett_protocol::codec::{decode, encode};
use stafett_protocol::event::Body;
use stafett_protocol::ids::{DeviceId, ScopeId};
use stafett_protocol::statement::Statement;
use stafett_protocol::wire::{ClientFrame, Greeting, Records, Reply, Request, ServerFrame, SyncedScope};
use stafett_tests::insider::Insider;
use stafett_tests::model::cast::{Cast, cast, colleague, concern, list, log, telephone, text};
use stafett_tests::model::people::Device;
use stafett_tests::model::picky::Picky;

/// A part of a log as a device has it.
fn report(device: &Device, scope: &str) -> Option<Report> {
    device.client.standings().into_iter().find(|r| r.scope.to_string() == scope)
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
    leader.sync(&mut Picky(&mut cast.home, &|_| true));
    assert_eq!(report(&leader, &homework).map(|r| r.standing), Some(Standing::Resyncing), "{}", leader.last_problem());
    let unit = text(&cast.teacher.ask(&mut cast.home, C::Units).unwrap()["units"][0], "unit");
    cast.mother.ask(&mut cast.home, C::ConsentWithdraw { log, target: WithdrawTarget::Unit(unit) }).unwrap();
    cast.mother.sync(&mut cast.home);
    cast.father.sync(&mut cast.home);
    cast.home.mail.remove(&leader.id.unwrap());
    rounds(&mut cast, &mut leader);
    assert_eq!(report(&leader, &homework).map(|r| r.standing), Some(Standing::Withdrawn), "{}", leader.last_problem());
}

/// SP24: a device that takes its leaf back reads what is new before somebody mends the key chain, and what was before only
/// then. Of two entries under one name it keeps the one that is first in the chain, like everybody. Found by world 19.
#[test]
fn r13_what_opens_late_is_judged_in_the_order_of_the_chain() {
    let mut cast = cast();
    let log = log(&mut cast);
    let homework = concern(&mut cast, &log);
    let Cast { home, teacher, mother, father, .. } = &mut cast;
    let (backup, writers) = (mother.disk.clone(), [&*teacher, &*father].map(|d| Insider::of(d, &homework)));
    let [first, second] = writers.map(|w| w.make(1, |d| w.put_entry(d, "glimpses", "samme", "Hvem var først?")));
    // A commit that the mother will have forgotten, and under its key the first of the two.
    let code = text(&mother.ask(home, C::DeviceLink).unwrap(), "code");
    mother.sync(home);
    let mut tablet = Device::new(60);
    tablet.ask(home, C::DeviceAccept { code, name: "nettbrett".into() }).unwrap();
    for _ in 0..2 {
        for device in [&mut *mother, &mut tablet, &mut *teacher, &mut *father] {
            device.sync(home);
        }
    }
    Insider::of(teacher, &homework).write(home, &[first]);
    mother.disk = backup;
    mother.restart();
    let no_repair = |body: &Body| matches!(body, Body::Statement(Statement::LinkRepair(_)));
    for _ in 0..2 {
        for device in [&mut *mother, &mut *father] {
            device.sync(&mut Picky(home, &no_repair));
        }
    }
    Insider::of(father, &homework).write(home, &[second]);
    mother.sync(&mut Picky(home, &no_repair));
    let of = |device: &Device| report(device, &homework).expect("the concern");
    assert_eq!(of(mother).unopened, 1, "{:?} {}", of(mother), mother.last_problem());
    for _ in 0..3 {
        for device in [&mut *teacher, &mut *father, &mut *mother] {
            device.sync(home);
        }
    }
    let (own, others) = (of(mother), of(teacher));
    assert_eq!((own.unopened, own.position), (0, others.position), "{}", mother.last_problem());
    assert_eq!(others.quarantined.len(), 1, "{others:?}");
    assert_eq!((own.heads, own.quarantined), (others.heads, others.quarantined));
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

/// S9: a device that is set back to before its person's first device had certified it knows that it was, because somebody
/// let it in, and says what helps; it takes no scope for a stranger's. Found by world 700363.
#[test]
fn s9_a_device_set_back_to_before_its_certificate_says_so() {
    let mut cast = cast();
    let log = log(&mut cast);
    concern(&mut cast, &log);
    let Cast { home, teacher, mother, father, .. } = &mut cast;
    let code = text(&mother.ask(home, C::DeviceLink).unwrap(), "code");
    mother.sync(home);
    let mut tablet = Device::new(60);
    tablet.ask(home, C::DeviceAccept { code, name: "nettbrett".into() }).unwrap();
    let backup = tablet.disk.clone();
    for _ in 0..3 {
        for device in [&mut *mother, &mut tablet, &mut *teacher, &mut *father] {
            device.sync(home);
        }
    }
    assert!(!tablet.client.standings().is_empty(), "the tablet is in: {}", tablet.last_problem());
    tablet.disk = backup;
    tablet.restart();
    tablet.sync(home);
    assert!(tablet.last_problem().contains("set-back-too-far"), "{}", tablet.last_problem());
    assert!(tablet.client.standings().is_empty());
}
