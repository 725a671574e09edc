//! Words under another's name: whoever is not asked gives nobody a name.

use stafett_client_core::client::input::{Command as C, Invitation};
use stafett_protocol::consent::{EmployeeCertificate, Permit, UnitAssignment};
use stafett_protocol::ids::{PersonId, ScopeId, UnitId};
use stafett_protocol::letter::{Assignment, Content, Introduction, NamedPerson};
use stafett_protocol::signed::Signed;
use stafett_tests::insider::Insider;
use stafett_tests::model::cast::{cast, concern, join, list, log, text};
use stafett_tests::model::home::ModelHome;
use stafett_tests::model::people::Device;

/// What a device shows as somebody's name.
fn name_in(device: &mut Device, home: &mut ModelHome, log: &str, person: &str) -> String {
    let shown = device.ask(home, C::LogShow { log: log.to_owned() }).unwrap();
    let one = list(&shown, "participants").iter().find(|p| p["person"] == person).cloned();
    text(&one.unwrap_or_else(|| panic!("nobody of that id: {shown}")), "name")
}

/// An assignment letter, well signed by whoever writes it, in whose words the employee is called something else.
fn assignment(by: &Insider, person: PersonId, person_key: [u8; 32], unit: UnitId, scope: ScopeId) -> Content {
    let key = by.me.person_key().unwrap();
    let employee = EmployeeCertificate {
        unit,
        person,
        person_key,
        may_hold: Permit::Yes,
        may_act: Permit::Yes,
        issued_at: 1,
        expires_at: u64::MAX,
    };
    let assigned = UnitAssignment { unit, person, scope, assigned_at: 1, salt: [1; 16] };
    Content::Assignment(Assignment {
        log: stafett_protocol::ids::LogId::default(),
        person_name: "Mor Moen".into(),
        employee: Signed::sign(&employee, &key),
        assignments: vec![Signed::sign(&assigned, &key)],
    })
}

/// The father does not know the mother's colleague-to-be by a key, only from the card. A stranger with an account writes
/// that the teacher is called like the mother.
#[test]
fn no_stranger_and_no_leader_of_others_renames_anybody() {
    let mut cast = cast();
    let log = log(&mut cast);
    let concern = concern(&mut cast, &log);
    let home = &mut cast.home;
    let code = home.add_unit("BUP", "ppt");
    let (stranger, _) = join(home, 41, code, "Leder BUP");
    let stranger = Insider::account(&stranger);
    let leader = Insider::account(&cast.leader);
    let teacher = Insider::account(&cast.teacher);
    let (teacher_id, teacher_key) = (teacher.person(), teacher.me.person_public().unwrap());
    let (leader_id, leader_key) = (leader.person(), leader.me.person_public().unwrap());
    let own = stranger.me.unit.clone().unwrap().unit;
    let school = leader.me.unit.clone().unwrap().unit;
    let father: PersonId = cast.father_id.parse().unwrap();
    let teacher_text = teacher_id.to_string();
    let before = [&teacher_text, &cast.mother_id].map(|p| name_in(&mut cast.father, home, &log, p));
    for (person, key) in [(teacher_id, teacher_key), (leader_id, leader_key)] {
        for unit in [own, school] {
            let lie = assignment(&stranger, person, key, unit, concern.parse().unwrap());
            stranger.write_letter(home, father, lie);
        }
    }
    cast.father.sync(home);
    let after = [&teacher_text, &cast.mother_id].map(|p| name_in(&mut cast.father, home, &log, p));
    assert_eq!(before, after, "{}", cast.father.last_problem());
    assert_eq!(name_in(&mut cast.father, home, &log, &leader_id.to_string()), "Leder Larsen");
    // Nor does the leader of a unit name who has said their own name already.
    let lie = assignment(&leader, teacher_id, teacher_key, school, concern.parse().unwrap());
    leader.write_letter(home, father, lie);
    cast.father.sync(home);
    assert_eq!(name_in(&mut cast.father, home, &log, &teacher_text), before[0]);
}

/// Whoever is believed to introduce does so for who is not known; and an id that does not come from the key is nobody's.
#[test]
fn an_introduction_neither_renames_nor_takes_an_id_over() {
    let mut cast = cast();
    let log = log(&mut cast);
    let home = &mut cast.home;
    let teacher = Insider::account(&cast.teacher);
    let (mother, father): (PersonId, PersonId) = (cast.mother_id.parse().unwrap(), cast.father_id.parse().unwrap());
    let father_key = Insider::account(&cast.father).me.person_public().unwrap();
    let before = name_in(&mut cast.mother, home, &log, &cast.father_id);
    let invitation = C::Invite(Invitation::Guardian);
    let code = text(&cast.teacher.ask(home, invitation).unwrap(), "code");
    cast.teacher.sync(home);
    let (aunt, aunt_id) = join(home, 42, code, "Tante Tone");
    let aunt_key = Insider::account(&aunt).me.person_public().unwrap();
    let named = |person, person_key| NamedPerson { person, person_key, name: "Leder Larsen".into() };
    let persons = vec![named(father, father_key), named(aunt_id.parse().unwrap(), [66; 32])];
    let lie = Content::Introduction(Introduction { persons, municipalities: vec![] });
    teacher.write_letter(home, mother, lie);
    cast.mother.sync(home);
    assert_eq!(name_in(&mut cast.mother, home, &log, &cast.father_id), before);
    // The aunt's own key is taken when it comes.
    let insider = Insider::account(&aunt);
    let hello = Content::Introduction(Introduction { persons: vec![], municipalities: vec![] });
    insider.write_letter(home, mother, hello);
    cast.mother.sync(home);
    let people = cast.mother.ask(home, C::People { unit: None }).unwrap();
    let aunt = list(&people, "people").iter().find(|p| p["person"] == aunt_id.as_str());
    assert_eq!(aunt.map(|a| text(a, "name")).as_deref(), Some("Tante Tone"), "{people} {aunt_key:?}");
}

/// L9: what a stranger writes is kept up to a bound; whoever shares a log is heard all the same.
#[test]
fn l9_a_strangers_letters_are_not_kept_without_end() {
    let mut cast = cast();
    log(&mut cast);
    let home = &mut cast.home;
    let code = home.add_unit("BUP", "ppt");
    let (stranger, _) = join(home, 41, code, "Leder BUP");
    let stranger = Insider::account(&stranger);
    let (person, key) = (stranger.person(), stranger.me.person_public().unwrap());
    let unit = stranger.me.unit.clone().unwrap().unit;
    let father: PersonId = cast.father_id.parse().unwrap();
    let space = stafett_client_core::rows::Space::Mail as u8;
    let kept = |device: &Device| device.disk.keys().filter(|(at, _)| *at == space).count();
    let before = kept(&cast.father);
    for n in 0..400u16 {
        let mut scope = [7; 16];
        scope[..2].copy_from_slice(&n.to_be_bytes());
        stranger.write_letter(home, father, assignment(&stranger, person, key, unit, ScopeId(scope)));
    }
    cast.father.sync(home);
    let added = kept(&cast.father) - before;
    assert!((200..=256).contains(&added), "{added}");
    assert!(cast.father.last_problem().contains("too-many-letters"), "{}", cast.father.last_problem());
    // The leader of the school shares the log: hers are no stranger's.
    let leader = Insider::account(&cast.leader);
    let (own, own_key) = (leader.person(), leader.me.person_public().unwrap());
    let school = leader.me.unit.clone().unwrap().unit;
    leader.write_letter(home, father, assignment(&leader, own, own_key, school, ScopeId([9; 16])));
    cast.father.sync(home);
    assert_eq!(kept(&cast.father) - before, added + 1);
}
