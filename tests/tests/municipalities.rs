//! A log at one municipality, people of two: their own server passes their frames on, each letter lies at its
//! recipient's own municipality, and a municipality that is away keeps only its own waiting.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use serde_json::Value;
use stafett_client_core::client::input::{AccessWord, Command as C, Invitation, Who, WithdrawTarget};
use stafett_protocol::ids::PersonId;
use stafett_tests::model::cast::{cast, concern, join, log, sign, text};
use stafett_tests::model::home::ModelHome;
use stafett_tests::model::net::Homes;
use stafett_tests::model::people::Device;

const ULLENSAKER: u16 = 3209;
const HAUGESUND: u16 = 1106;

/// Ella's log in Ullensaker, and the PPT of Haugesund.
struct Two {
    homes: Homes,
    teacher: Device,
    mother: Device,
    father: Device,
    ppt_leader: Device,
    ppt: Device,
    ppt_id: String,
    log: String,
    concern: String,
}

fn two() -> Two {
    two_when(true)
}

/// Where Haugesund has added Ullensaker before its people have joined, or not yet.
fn two_when(added: bool) -> Two {
    let mut cast = cast();
    let log = log(&mut cast);
    let concern = concern(&mut cast, &log);
    let mut haugesund = ModelHome::new(HAUGESUND);
    haugesund.now = cast.home.now;
    let code = haugesund.add_unit("PPT Haugesund", "ppt");
    let mut homes = Homes::new(vec![cast.home, haugesund]);
    if !added {
        homes.at(HAUGESUND).peers.clear();
    }
    let (mut ppt_leader, _) = join(&mut homes, 21, code, "Leder PPT");
    let invitation = Invitation::Employee { may_hold: false, may_act: true };
    let code = text(&ppt_leader.ask(&mut homes, C::Invite(invitation)).unwrap(), "code");
    ppt_leader.sync(&mut homes);
    let (ppt, ppt_id) = join(&mut homes, 22, code, "Per PPT");
    let mut two = Two {
        homes,
        teacher: cast.teacher,
        mother: cast.mother,
        father: cast.father,
        ppt_leader,
        ppt,
        ppt_id,
        log,
        concern,
    };
    everyone(&mut two, 1);
    two
}

fn everyone(two: &mut Two, rounds: usize) {
    let Two { homes, teacher, mother, father, ppt_leader, ppt, .. } = two;
    for _ in 0..rounds {
        for device in [&mut *teacher, &mut *mother, &mut *father, &mut *ppt_leader, &mut *ppt] {
            device.sync(homes);
        }
    }
}

/// The family lets Haugesund's PPT contribute to the concern.
fn family_says_yes(two: &mut Two) {
    let Two { homes, teacher, mother, father, log, concern, .. } = two;
    teacher.ask(homes, C::UnitsOf { municipality: HAUGESUND.to_string() }).unwrap();
    teacher.sync(homes);
    let units = teacher.ask(homes, C::UnitsOf { municipality: HAUGESUND.to_string() }).unwrap();
    assert_eq!(units["units"].as_array().unwrap().len(), 1, "{units} {}", teacher.last_problem());
    assert_eq!(units["units"][0]["municipality"], "1106");
    let who = Who::Unit(text(&units["units"][0], "unit"));
    let (scopes, access) = (vec![concern.clone()], AccessWord::Contribute);
    teacher.ask(homes, C::AccessRequest { log: log.clone(), who, scopes, access }).unwrap();
    teacher.sync(homes);
    sign(homes, mother);
    sign(homes, father);
    teacher.sync(homes);
}

/// The PPT's leader names Per for it.
fn name_per(two: &mut Two) {
    let Two { homes, ppt_leader, ppt_id, log, .. } = two;
    let assign = C::UnitAssign { log: log.clone(), person: ppt_id.clone(), scopes: vec![] };
    ppt_leader.ask(homes, assign).unwrap_or_else(|e| panic!("{e:?} {}", ppt_leader.last_problem()));
}

fn let_in(two: &mut Two) {
    family_says_yes(two);
    two.ppt_leader.sync(&mut two.homes);
    name_per(two);
    let Two { homes, teacher, ppt_leader, ppt, .. } = two;
    ppt_leader.sync(homes);
    teacher.sync(homes);
    ppt.sync(homes);
}

fn glimpses(homes: &mut Homes, device: &mut Device, concern: &str) -> Vec<String> {
    let show = device.ask(homes, C::ConcernShow { concern: concern.to_owned() });
    let show = show.unwrap_or_else(|e| panic!("{e:?} {}", device.last_problem()));
    show["glimpses"].as_array().unwrap().iter().map(|g| text(g, "text")).collect()
}

fn problems(homes: &mut Homes, device: &mut Device) -> Vec<String> {
    let counts = device.ask(homes, C::SyncCounts).unwrap();
    counts["problems"].as_array().unwrap().iter().map(|p| text(p, "code")).collect()
}

fn sound(homes: &mut Homes, device: &mut Device, log: &str) {
    let audit = device.ask(homes, C::AuditVerify { log: log.to_owned() }).unwrap();
    assert_eq!(audit["violations"], Value::Array(vec![]), "{audit}");
}

/// Nobody of Haugesund has connected since its operator added Ullensaker: the first that its leader gets is what
/// Ullensaker's teacher wrote to her.
#[test]
fn the_first_letter_of_a_new_peers_people_is_believed() {
    let mut two = two_when(false);
    let key = two.homes.at(ULLENSAKER).municipality_key();
    two.homes.at(HAUGESUND).add_peer(key);
    let_in(&mut two);
    assert_eq!(problems(&mut two.homes, &mut two.ppt_leader), Vec::<String>::new());
    let show = two.ppt.ask(&mut two.homes, C::LogShow { log: two.log.clone() });
    assert_eq!(text(&show.unwrap(), "child"), "Ella");
}

/// Whose municipality is not known (yet, or not any more) cannot be believed; the letter is not lost by that.
#[test]
fn a_letter_from_an_unknown_municipality_waits() {
    let mut two = two_when(false);
    let key = two.homes.at(ULLENSAKER).municipality_key();
    two.homes.at(HAUGESUND).add_peer(key);
    family_says_yes(&mut two);
    let Two { homes, ppt_leader, .. } = &mut two;
    homes.at(HAUGESUND).peers.clear();
    for _ in 0..2 {
        ppt_leader.sync(homes);
        assert_eq!(problems(homes, ppt_leader), ["unknown-municipality"]);
    }
    homes.at(HAUGESUND).add_peer(key);
    ppt_leader.sync(homes);
    assert_eq!(problems(homes, ppt_leader), Vec::<String>::new());
    name_per(&mut two);
}

#[test]
fn people_of_two_municipalities_share_a_log() {
    let mut two = two();
    let_in(&mut two);
    let Two { homes, teacher, mother, father, ppt_leader, ppt, ppt_id, log, concern } = &mut two;
    let show =
        ppt.ask(homes, C::LogShow { log: log.clone() }).unwrap_or_else(|e| panic!("{e:?} {}", ppt.last_problem()));
    assert_eq!((text(&show, "child"), text(&show, "home")), ("Ella".to_owned(), "3209".to_owned()));
    ppt.ask(homes, C::Glimpse { concern: concern.clone(), text: "Sett fra Haugesund".into() }).unwrap();
    teacher.ask(homes, C::Glimpse { concern: concern.clone(), text: "Sett fra Ullensaker".into() }).unwrap();
    for _ in 0..2 {
        for device in [&mut *ppt, &mut *teacher, &mut *mother] {
            device.sync(homes);
            assert_eq!(problems(homes, device), Vec::<String>::new());
        }
    }
    let seen = glimpses(homes, mother, concern);
    assert_eq!(seen.len(), 2, "{seen:?}");
    assert_eq!(glimpses(homes, ppt, concern), seen);
    sound(homes, ppt, log);
    sound(homes, mother, log);

    // Haugesund's server has nothing of the log but letters that it passed to its own people.
    assert!(homes.at(HAUGESUND).scopes.is_empty());
    let person: PersonId = ppt_id.parse().unwrap();
    assert!(!homes.at(ULLENSAKER).accounts.contains_key(&person));

    // A further device of Per's finds its Welcome at the other municipality.
    let code = text(&ppt.ask(homes, C::DeviceLink).unwrap(), "code");
    ppt.sync(homes);
    let mut second = Device::new(23);
    second.ask(homes, C::DeviceAccept { code, name: "telefon".into() }).unwrap();
    for _ in 0..2 {
        ppt.sync(homes);
        second.sync(homes);
    }
    assert_eq!(glimpses(homes, &mut second, concern), seen, "{}", second.last_problem());

    // The family withdraws: both of Per's devices forget, and the family gets their word of it.
    let unit = text(&teacher.ask(homes, C::UnitsOf { municipality: "1106".into() }).unwrap()["units"][0], "unit");
    mother.ask(homes, C::ConsentWithdraw { log: log.clone(), target: WithdrawTarget::Unit(unit) }).unwrap();
    for _ in 0..2 {
        for device in [&mut *mother, &mut *father, &mut *teacher, &mut *ppt, &mut second] {
            device.sync(homes);
        }
    }
    mother.sync(homes);
    for device in [ppt, &mut second] {
        assert_eq!(device.ask(homes, C::LogShow { log: log.clone() }).unwrap_err().code, "withdrawn");
        assert!(!device.disk.keys().any(|(space, _)| [4, 5].contains(space)), "keys and content are wiped");
    }
    let words = mother.ask(homes, C::LogHistory { log: log.clone() }).unwrap();
    let said = words["events"].as_array().unwrap().iter().filter(|e| e["kind"] == "deletion receipt").count();
    assert_eq!(said, 4, "two devices, card and concern: {words}");
    // Whose word it is, not who carried it to the chain.
    let signed = words["events"].as_array().unwrap().iter().filter(|e| e["kind"] == "deletion receipt");
    let by = |e: &Value| (text(e, "author"), text(e, "brought_by"));
    assert!(signed.map(by).all(|by| by == ("Per PPT".to_owned(), "Mor Moen".to_owned())), "{words}");
    assert!(
        words["events"].as_array().unwrap().iter().all(|e| e["author"].is_string()),
        "also of who has left: {words}"
    );
    sound(homes, mother, log);
    ppt_leader.sync(homes);
}

#[test]
fn a_municipality_that_is_away_keeps_only_its_own_waiting() {
    let mut two = two();
    let_in(&mut two);
    let Two { homes, teacher, mother, father, ppt, log, concern, .. } = &mut two;
    homes.cut_off(ULLENSAKER);
    ppt.ask(homes, C::Glimpse { concern: concern.clone(), text: "Mens linjen var nede".into() }).unwrap();
    ppt.sync(homes);
    assert_eq!(problems(homes, ppt), ["peer-unreachable"], "it says so, and the sync ends");
    assert_eq!(ppt.ask(homes, C::SyncCounts).unwrap()["queued"], 1, "the edit waits");

    // People at the log's own home go on.
    teacher.ask(homes, C::Glimpse { concern: concern.clone(), text: "Hjemme".into() }).unwrap();
    for device in [&mut *teacher, &mut *mother, &mut *father] {
        device.sync(homes);
    }
    assert_eq!(glimpses(homes, mother, concern), ["Hjemme"]);

    homes.away.clear();
    ppt.restart();
    for _ in 0..2 {
        ppt.sync(homes);
        mother.sync(homes);
    }
    let seen = glimpses(homes, ppt, concern);
    assert_eq!(seen.len(), 2, "{seen:?} {}", ppt.last_problem());
    assert_eq!(glimpses(homes, mother, concern), seen);
    sound(homes, ppt, log);
}

/// A key that changes under a known number is reported and not taken.
#[test]
fn f17_a_municipality_with_another_key_than_before_is_not_believed() {
    let mut two = two();
    let_in(&mut two);
    let Two { homes, teacher, .. } = &mut two;
    let true_key = homes.at(HAUGESUND).municipality_key();
    let false_key = ModelHome::new(1107).municipality_key().key;
    homes.at(ULLENSAKER).peers[0].key = false_key;
    teacher.sync(homes);
    assert!(problems(homes, teacher).contains(&"municipality-key-changed".to_owned()));
    let me: stafett_client_core::client::Me =
        stafett_protocol::codec::decode(&teacher.disk[&(1, b"me".to_vec())]).unwrap();
    assert_eq!(me.trusted().key(HAUGESUND), Some(&true_key.key), "the one known stays");
}

/// A municipality that is no peer of one's own is not even called.
#[test]
fn strangers_are_not_called() {
    let mut two = two();
    let Two { homes, teacher, .. } = &mut two;
    let refused = teacher.ask(homes, C::UnitsOf { municipality: "0301".into() });
    assert_eq!(refused.unwrap_err().code, "unknown-municipality");
}

/// K1: the PPT is put out and let in again, and is told again where the Welcome waits: a device of theirs with nothing else
/// in Ullensaker would never look there. Found by world 910000.
#[test]
fn who_is_let_in_again_from_elsewhere_is_told_again() {
    let mut two = two();
    let_in(&mut two);
    everyone(&mut two, 2);
    let Two { homes, ppt, concern, .. } = &mut two;
    assert!(glimpses(homes, ppt, concern).is_empty());
    let units = two.teacher.ask(&mut two.homes, C::UnitsOf { municipality: HAUGESUND.to_string() }).unwrap();
    let target = WithdrawTarget::Unit(text(&units["units"][0], "unit"));
    two.mother.ask(&mut two.homes, C::ConsentWithdraw { log: two.log.clone(), target }).unwrap();
    everyone(&mut two, 3);
    let out = two.ppt.ask(&mut two.homes, C::ConcernShow { concern: two.concern.clone() }).unwrap_err();
    assert_eq!(out.code, "withdrawn");
    let_in(&mut two);
    everyone(&mut two, 3);
    let Two { homes, ppt, concern, .. } = &mut two;
    assert!(glimpses(homes, ppt, concern).is_empty());
}
