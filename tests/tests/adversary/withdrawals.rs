//! Withdrawals against a home and a grantee who want them undone (C6, C8, C12).

use super::chain::{copy_of, glimpse, glimpses};
use stafett_client_core::client::input::{AccessWord, Command as C, Invitation, NewMeasure, Who, WithdrawTarget};
use stafett_client_core::keychain::open_link;
use stafett_client_core::rows::Space;
use stafett_client_core::seal;
use stafett_protocol::codec::encode;
use stafett_protocol::event::{Body, SealContext};
use stafett_protocol::ids::ScopeId;
use stafett_protocol::signed::Signed;
use stafett_protocol::wire::{Greeting, Records, Reply, ServerFrame};
use stafett_tests::insider::Insider;
use stafett_tests::model::cast::{Cast, cast, concern, join, log, sign, text};
use stafett_tests::model::people::Device;

/// The PPT's employee reads these concerns of the log, with everyone's consent.
pub(crate) fn ppt_reads(cast: &mut Cast, log: &str, concerns: &[String]) -> (Device, String) {
    ppt_comes(cast, log, concerns, AccessWord::Read)
}

pub(crate) fn ppt_comes(cast: &mut Cast, log: &str, concerns: &[String], access: AccessWord) -> (Device, String) {
    let Cast { home, teacher, mother, father, .. } = cast;
    let code = home.add_unit("PPT", "ppt");
    let (mut leader, _) = join(home, 11, code, "Leder PPT");
    let invitation = Invitation::Employee { may_hold: false, may_act: true };
    let code = text(&leader.ask(home, C::Invite(invitation)).unwrap(), "code");
    leader.sync(home);
    let (mut ppt, person) = join(home, 12, code, "Per PPT");
    leader.sync(home);
    ppt.sync(home);
    teacher.sync(home);
    let unit = text(&teacher.ask(home, C::Units).unwrap()["units"][1], "unit");
    let (who, scopes) = (Who::Unit(unit.clone()), concerns.to_vec());
    teacher.ask(home, C::AccessRequest { log: log.to_owned(), who, scopes, access }).unwrap();
    teacher.sync(home);
    for guardian in [&mut *mother, &mut *father] {
        sign(home, guardian);
    }
    teacher.sync(home);
    leader.sync(home);
    leader.ask(home, C::UnitAssign { log: log.to_owned(), person, scopes: vec![] }).unwrap();
    for device in [&mut leader, teacher, mother, father, &mut ppt] {
        device.sync(home);
    }
    (ppt, unit)
}

/// C6: the removed one's disk as it was, the whole chain, and a home that serves it all: nothing after the removal
/// opens, with any key that was ever there.
#[test]
fn c6_old_keys_and_the_whole_chain_open_nothing_that_came_after_the_removal() {
    let mut cast = cast();
    let log = log(&mut cast);
    let concern = concern(&mut cast, &log);
    let (mut ppt, unit) = ppt_reads(&mut cast, &log, std::slice::from_ref(&concern));
    let Cast { home, teacher, mother, .. } = &mut cast;
    glimpse(home, teacher, &concern, "Mens PPT leser");
    ppt.sync(home);
    let stolen = copy_of(&ppt);
    let scope: ScopeId = concern.parse().unwrap();
    let known = home.scopes[&scope].records.len();
    mother.ask(home, C::ConsentWithdraw { log, target: WithdrawTarget::Unit(unit) }).unwrap();
    mother.sync(home);
    teacher.sync(home);
    glimpse(home, teacher, &concern, "Etter at PPT er ute");

    let insider = Insider::of(&stolen, &concern);
    let (mut before, mut after) = (0, 0);
    for record in &home.scopes[&scope].records {
        let event = record.event.peek().unwrap();
        let keys = (0..20).filter_map(|epoch| insider.key(event.generation, epoch)).collect::<Vec<_>>();
        assert!(!keys.is_empty());
        match &event.body {
            Body::Change(change) => {
                let header = encode(&SealContext::of(&event, change.count));
                let binding =
                    seal::Binding { salt: change.salt, device: event.device, counter: event.counter, header: &header };
                let opens = keys.iter().any(|key| seal::open(key, &binding, change.sealed.as_slice()).is_ok());
                let late = record.seq as usize > known;
                assert_eq!(opens, !late, "record {}", record.seq);
                if late {
                    after += 1
                } else {
                    before += 1
                };
            }
            Body::Commit(commit) if record.seq as usize > known => {
                let place =
                    stafett_client_core::keychain::KeyChain::new(scope, event.generation).place(event.epoch + 1);
                let link = commit.link.as_ref().expect("a link").as_slice();
                assert!(keys.iter().all(|key| open_link(key, link, &place).is_err()), "the link leads back only");
            }
            _ => {}
        }
    }
    assert!(before >= 2 && after == 1, "{before} {after}");

    // The same through the stolen program: a home that colludes hands it everything.
    let mut thief = stolen;
    let (now, number) = (home.now, home.number);
    thief.client.handle(now, stafett_client_core::client::input::Input::Connected);
    let greeting = Greeting { municipality: number, time: now, key_packages: 20, unit: None, scopes: vec![] };
    let receipt = Signed::sign(&home.scopes[&scope].replica.receipt(), &home.key);
    let records = home.scopes[&scope].records[known..].to_vec();
    for reply in [Reply::Welcome(greeting), Reply::Records(Records { scope, records, receipt })] {
        let frame = encode(&ServerFrame { id: 0, reply });
        let effects = thief.client.handle(now, stafett_client_core::client::input::Input::Frame(frame));
        thief.save(&effects);
    }
    let show = thief.ask(home, C::ConcernShow { concern });
    assert!(!format!("{show:?}").contains("Etter at PPT er ute"), "{show:?}");
}

/// C8: the home hides a withdrawal; whoever has the letter seals nothing more there.
#[test]
fn c8_members_who_have_the_letter_seal_nothing_although_the_home_hides_the_withdrawal() {
    let mut cast = cast();
    let log = log(&mut cast);
    let concern = concern(&mut cast, &log);
    let (_ppt, unit) = ppt_reads(&mut cast, &log, std::slice::from_ref(&concern));
    let Cast { home, mother, father, .. } = &mut cast;
    let mut hiding = home.clone();
    mother.ask(home, C::ConsentWithdraw { log, target: WithdrawTarget::Unit(unit) }).unwrap();
    mother.sync(home);
    hiding.mail = home.mail.clone();
    hiding.now = home.now;
    let scope: ScopeId = concern.parse().unwrap();
    let before = hiding.scopes[&scope].records.len();
    father.ask(&mut hiding, C::Glimpse { concern: concern.clone(), text: "Ikke for PPT".into() }).unwrap();
    father.sync(&mut hiding);
    assert_eq!(hiding.scopes[&scope].records.len(), before, "nothing is sealed for the PPT");
    // Shown the truth, the words go out under the new key.
    father.sync(home);
    mother.sync(home);
    assert_eq!(glimpses(mother, home, &concern), ["Ikke for PPT"], "{}", father.last_problem());
}

/// C12: one concern is narrowed. Only its keys change; who reads the other goes on; everybody sees what happened.
#[test]
fn c12_narrowing_one_concern_leaves_the_others_alone_and_everybody_sees_it() {
    let mut cast = cast();
    let log = log(&mut cast);
    let first = concern(&mut cast, &log);
    let measure = NewMeasure { text: "Tiltak".into(), ..NewMeasure::default() };
    let (title, goal) = ("Ella er mer på skolen".to_owned(), "Mål".to_owned());
    let new = C::ConcernNew { log: log.clone(), title, goal, category: None, measure };
    let second = text(&cast.teacher.ask(&mut cast.home, new).unwrap(), "concern");
    for device in [&mut cast.teacher, &mut cast.mother, &mut cast.father] {
        device.sync(&mut cast.home);
    }
    let (mut ppt, _) = ppt_reads(&mut cast, &log, &[first.clone(), second.clone()]);
    let Cast { home, teacher, mother, father, .. } = &mut cast;
    let grants = mother.ask(home, C::ConsentList { log: log.clone() }).unwrap();
    let of_first = |g: &&serde_json::Value| g["scopes"][0]["scope"] == first.as_str() && g["grantee"] == "PPT";
    let grant = grants["consents"].as_array().unwrap_or_else(|| panic!("{grants}")).iter().find(of_first);
    let grant = text(grant.unwrap_or_else(|| panic!("{grants}")), "id");
    let epoch = |home: &stafett_tests::model::home::ModelHome, id: &str| {
        home.scopes[&id.parse().unwrap()].replica.state().epoch
    };
    let before = [epoch(home, &first), epoch(home, &second)];
    mother.ask(home, C::ConsentWithdraw { log: log.clone(), target: WithdrawTarget::Grant(grant) }).unwrap();
    mother.sync(home);
    assert_eq!([epoch(home, &first), epoch(home, &second)], [before[0] + 1, before[1]]);
    teacher.sync(home);
    glimpse(home, teacher, &first, "Ikke for PPT");
    glimpse(home, teacher, &second, "Også for PPT");
    ppt.sync(home);
    assert_eq!(glimpses(&mut ppt, home, &second), ["Også for PPT"], "{}", ppt.last_problem());
    assert_eq!(ppt.ask(home, C::ConcernShow { concern: first.clone() }).unwrap_err().code, "withdrawn");
    for device in [teacher, mother, father] {
        device.sync(home);
        let history = device.ask(home, C::LogHistory { log: log.clone() }).unwrap();
        let told = |e: &&serde_json::Value| e["kind"] == "withdrawal" && e["scope"] == first.as_str();
        assert_eq!(history["events"].as_array().unwrap().iter().filter(told).count(), 1, "{history}");
    }
}

/// R3, SP23: a contributor's words count as long as they were received in time; later ones stay with their writer.
#[test]
fn r3_what_was_received_before_the_end_stays_and_what_comes_later_is_a_draft() {
    let mut cast = cast();
    let log = log(&mut cast);
    let concern = concern(&mut cast, &log);
    let (mut ppt, unit) = ppt_comes(&mut cast, &log, std::slice::from_ref(&concern), AccessWord::Contribute);
    let Cast { home, teacher, mother, father, .. } = &mut cast;
    glimpse(home, &mut ppt, &concern, "I tide");
    ppt.ask(home, C::Glimpse { concern: concern.clone(), text: "For sent".into() }).unwrap();
    mother.sync(home);
    mother.ask(home, C::ConsentWithdraw { log, target: WithdrawTarget::Unit(unit) }).unwrap();
    mother.sync(home);
    let records = home.scopes[&concern.parse().unwrap()].records.len();
    ppt.restart();
    ppt.sync(home);
    assert_eq!(home.scopes[&concern.parse().unwrap()].records.len(), records, "nothing more is received");
    let drafts: Vec<String> = ppt
        .disk
        .iter()
        .filter(|((space, _), _)| *space == Space::Draft as u8)
        .map(|(_, value)| String::from_utf8_lossy(value).into_owned())
        .collect();
    assert!(drafts.len() == 1 && drafts[0].contains("For sent") && drafts[0].contains("withdrawn"), "{drafts:?}");
    for device in [teacher, mother, father] {
        device.sync(home);
        assert_eq!(glimpses(device, home, &concern), ["I tide"]);
    }
}
