//! Ella's story on clients and a home in memory: every rule is the real one, only sockets and disks are not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use serde_json::Value;
use stafett_client_core::client::input::{AccessWord, Command as C, Invitation, NewMeasure, Who, WithdrawTarget};
use stafett_tests::model::cast::{Cast, cast, join, log, sign, text};
use stafett_tests::model::home::ModelHome;
use stafett_tests::model::people::Device;

#[test]
fn the_log_exists_once_both_parents_have_signed() {
    let mut cast = cast();
    let log = log(&mut cast);
    let show = cast.mother.ask(&mut cast.home, C::LogShow { log: log.clone() }).unwrap();
    assert_eq!(show["child"], "Ella");
    assert_eq!(show["participants"].as_array().unwrap().len(), 4, "the parents, the holder and her leader: {show}");
    let seat = show["participants"].as_array().unwrap().iter().find(|p| p["role"] == "custodian").unwrap();
    assert_eq!((text(seat, "name"), text(seat, "access")), ("Leder Larsen".into(), "custody".into()), "{show}");
    let audit = cast.mother.ask(&mut cast.home, C::AuditVerify { log }).unwrap();
    assert_eq!(audit["violations"].as_array().unwrap().len(), 0, "{audit}");
    let _ = &cast.leader;
}

#[test]
fn people_read_what_others_write_and_offline_edits_meet() {
    let mut cast = cast();
    let log = log(&mut cast);
    let Cast { home, teacher, mother, father, .. } = &mut cast;
    let measure = NewMeasure { text: "Ella gjennomgår ukeplanen med lærer".into(), ..NewMeasure::default() };
    let goal = "Ella arbeider med lekser man-torsdag".to_owned();
    let new = C::ConcernNew { log, title: "Ella arbeider med lekser".into(), goal, category: None, measure };
    let concern = text(&teacher.ask(home, new).unwrap(), "concern");
    teacher.sync(home);
    mother.sync(home);
    father.sync(home);
    let show = mother.ask(home, C::ConcernShow { concern: concern.clone() }).unwrap();
    assert_eq!(show["title"], "Ella arbeider med lekser");
    teacher.ask(home, C::Glimpse { concern: concern.clone(), text: "Fin dag".into() }).unwrap();
    mother.ask(home, C::Glimpse { concern: concern.clone(), text: "Lekser uten krangel".into() }).unwrap();
    teacher.restart();
    mother.restart();
    teacher.sync(home);
    mother.sync(home);
    teacher.sync(home);
    father.sync(home);
    let views: Vec<Value> = [teacher, mother, father]
        .into_iter()
        .map(|d| d.ask(home, C::ConcernShow { concern: concern.clone() }).unwrap()["glimpses"].clone())
        .collect();
    assert_eq!(views[0].as_array().unwrap().len(), 2, "{views:?}");
    assert!(views[0] == views[1] && views[1] == views[2], "{views:?}");
}

#[test]
fn the_line_of_a_log_tells_what_one_is_in_it_and_what_is_to_be_evaluated() {
    let mut cast = cast();
    let log = log(&mut cast);
    let Cast { home, teacher, mother, .. } = &mut cast;
    let measure = NewMeasure { text: "Ukeplan".into(), due: Some("2031-01-31".into()), ..NewMeasure::default() };
    let new = C::ConcernNew { log, title: "Lekser".into(), goal: "Mål".into(), category: None, measure };
    let made = teacher.ask(home, new).unwrap();
    teacher.sync(home);
    mother.sync(home);
    let line = |device: &mut Device, home: &mut ModelHome| device.ask(home, C::LogList).unwrap()["logs"][0].clone();
    for (device, role, own) in [(&mut *teacher, "holder", true), (&mut *mother, "guardian", false)] {
        let told = line(device, home);
        assert_eq!((text(&told, "role"), told["level"].is_i64()), (role.into(), true), "{told}");
        let due = &told["due"][0];
        assert_eq!((text(due, "measure"), text(due, "due")), (text(&made, "measure"), "2031-01-31".into()), "{told}");
        assert_eq!((text(due, "title"), due["own"].as_bool()), ("Lekser".into(), Some(own)), "{told}");
    }
    let (measure, text) = (text(&made, "measure"), "Bra".to_owned());
    teacher.ask(home, C::Evaluate { measure, result: "green".into(), text, family_agrees: true }).unwrap();
    assert_eq!(line(teacher, home)["due"].as_array().map(Vec::len), Some(0), "what is evaluated is not due");
}

#[test]
fn the_ppt_reads_one_concern_until_consent_is_withdrawn() {
    let mut cast = cast();
    let log = log(&mut cast);
    let Cast { home, teacher, mother, father, .. } = &mut cast;
    let code = home.add_unit("PPT", "ppt");
    let (mut ppt_leader, _) = join(home, 11, code, "Leder PPT");
    let invitation = Invitation::Employee { may_hold: false, may_act: true };
    let code = text(&ppt_leader.ask(home, C::Invite(invitation)).unwrap(), "code");
    ppt_leader.sync(home);
    let (mut ppt, ppt_id) = join(home, 12, code, "Per PPT");
    ppt_leader.sync(home);
    ppt.sync(home);
    let mut concerns = vec![];
    for title in ["Lekser", "Skolefravær"] {
        let measure = NewMeasure { text: "Tiltak".into(), ..NewMeasure::default() };
        let new = C::ConcernNew { log: log.clone(), title: title.into(), goal: "Mål".into(), category: None, measure };
        concerns.push(text(&teacher.ask(home, new).unwrap(), "concern"));
    }
    teacher.sync(home);
    mother.sync(home);
    father.sync(home);
    let unit = text(&teacher.ask(home, C::Units).unwrap()["units"][1], "unit");
    let who = Who::Unit(unit.clone());
    let scopes = vec![concerns[0].clone()];
    teacher.ask(home, C::AccessRequest { log: log.clone(), who, scopes, access: AccessWord::Read }).unwrap();
    teacher.sync(home);
    for guardian in [&mut *mother, &mut *father] {
        sign(home, guardian);
    }
    teacher.sync(home);
    ppt_leader.sync(home);
    ppt_leader.ask(home, C::UnitAssign { log: log.clone(), person: ppt_id, scopes: vec![] }).unwrap();
    ppt_leader.sync(home);
    teacher.sync(home);
    ppt.sync(home);
    let show = ppt.ask(home, C::LogShow { log: log.clone() }).unwrap();
    assert_eq!(show["concerns"].as_array().unwrap().len(), 1, "C4/C8: {show} {}", ppt.last_problem());
    assert_eq!(show["concerns"][0]["title"], "Lekser");
    let refused = ppt.ask(home, C::Glimpse { concern: concerns[0].clone(), text: "Hei".into() });
    assert_eq!(refused.unwrap_err().code, "read-only");

    // The PPT is away while others come in: what it cannot follow must not keep it from learning that it is out.
    let code = text(&father.ask(home, C::DeviceLink).unwrap(), "code");
    father.sync(home);
    let mut second = Device::new(70);
    second.ask(home, C::DeviceAccept { code, name: "telefon".into() }).unwrap();
    for _ in 0..2 {
        father.sync(home);
        second.sync(home);
    }
    mother.sync(home);

    mother.ask(home, C::ConsentWithdraw { log: log.clone(), target: WithdrawTarget::Unit(unit) }).unwrap();
    mother.sync(home);
    teacher.ask(home, C::Glimpse { concern: concerns[0].clone(), text: "Etterpå".into() }).unwrap();
    teacher.sync(home);
    ppt.sync(home);
    let gone = ppt.ask(home, C::LogShow { log: log.clone() });
    assert_eq!(gone.unwrap_err().code, "withdrawn");
    let left: Vec<_> = ppt.disk.keys().filter(|(space, _)| [4, 5].contains(space)).collect();
    assert!(left.is_empty(), "keys and content are wiped");
    mother.sync(home);
    father.sync(home);
    let audit = father.ask(home, C::AuditVerify { log: log.clone() }).unwrap();
    assert_eq!(audit["violations"].as_array().unwrap().len(), 0, "{audit}");

    // Consent anew: after a withdrawal the one who withdrew must sign, and the door opens again.
    let who = Who::Unit(text(&teacher.ask(home, C::Units).unwrap()["units"][1], "unit"));
    let scopes = vec![concerns[0].clone()];
    teacher.ask(home, C::AccessRequest { log: log.clone(), who, scopes, access: AccessWord::Read }).unwrap();
    teacher.sync(home);
    for (guardian, opens) in [(&mut *father, false), (&mut *mother, true)] {
        sign(home, guardian);
        teacher.sync(home);
        ppt.sync(home);
        let inside = ppt.ask(home, C::LogShow { log: log.clone() });
        assert_eq!(inside.is_ok(), opens, "{inside:?}");
    }
    let show = ppt.ask(home, C::ConcernShow { concern: concerns[0].clone() }).unwrap();
    assert_eq!(show["glimpses"][0]["text"], "Etterpå", "a grant opens the whole history, and says so");

    // The PPT's leader ends the assignment: by letter, without a leaf in the log.
    let ppt_id = text(&ppt.ask(home, C::DeviceList).unwrap(), "person");
    ppt_leader.ask(home, C::UnitUnassign { log: log.clone(), person: ppt_id.clone() }).unwrap();
    ppt_leader.sync(home);
    teacher.sync(home);
    ppt.sync(home);
    assert_eq!(ppt.ask(home, C::LogShow { log: log.clone() }).unwrap_err().code, "withdrawn", "{}", ppt.last_problem());
}

#[test]
fn a_second_device_comes_into_every_scope() {
    let mut cast = cast();
    let log = log(&mut cast);
    let Cast { home, mother, .. } = &mut cast;
    let code = text(&mother.ask(home, C::DeviceLink).unwrap(), "code");
    mother.sync(home);
    let mut second = Device::new(50);
    second.ask(home, C::DeviceAccept { code, name: "nettbrett".into() }).unwrap();
    for _ in 0..2 {
        mother.sync(home);
        second.sync(home);
    }
    let show = second.ask(home, C::LogShow { log }).unwrap();
    assert_eq!(show["child"], "Ella", "{}", second.last_problem());
}

/// S9: a device comes back from an old backup. It re-reads the chain, takes its leaf back, and goes on;
/// nothing is written twice, nobody else is disturbed.
#[test]
fn s9_a_restored_backup_finds_its_way_back() {
    let mut cast = cast();
    let log = log(&mut cast);
    let Cast { home, teacher, mother, father, .. } = &mut cast;
    let measure = NewMeasure { text: "Tiltak".into(), ..NewMeasure::default() };
    let new = C::ConcernNew { log: log.clone(), title: "Lekser".into(), goal: "Mål".into(), category: None, measure };
    let concern = text(&teacher.ask(home, new).unwrap(), "concern");
    teacher.sync(home);
    mother.sync(home);
    father.sync(home);
    let backup = teacher.disk.clone();
    // After the backup the teacher writes, and commits: a second device of the mother is let in by her, one
    // of the teacher's own by the teacher.
    teacher.ask(home, C::Glimpse { concern: concern.clone(), text: "Etter kopien".into() }).unwrap();
    let code = text(&teacher.ask(home, C::DeviceLink).unwrap(), "code");
    teacher.sync(home);
    let mut second = Device::new(60);
    second.ask(home, C::DeviceAccept { code, name: "nettbrett".into() }).unwrap();
    for _ in 0..2 {
        teacher.sync(home);
        second.sync(home);
    }
    mother.sync(home);
    teacher.disk = backup;
    teacher.restart();
    teacher.ask(home, C::Glimpse { concern: concern.clone(), text: "Fra kopien".into() }).unwrap();
    teacher.sync(home);
    mother.sync(home);
    teacher.sync(home);
    father.sync(home);
    second.sync(home);
    for device in [&mut *teacher, &mut *mother, &mut *father, &mut second] {
        let show = device.ask(home, C::ConcernShow { concern: concern.clone() }).unwrap();
        let texts: Vec<&str> =
            show["glimpses"].as_array().unwrap().iter().map(|g| g["text"].as_str().unwrap()).collect();
        assert_eq!(texts, ["Etter kopien", "Fra kopien"], "{}", device.last_problem());
    }
    let audit = father.ask(home, C::AuditVerify { log }).unwrap();
    assert_eq!(audit["violations"].as_array().unwrap().len(), 0, "{audit}");
}

/// A join whose answer was lost is asked again with the same keys, and the code is not lost.
#[test]
fn a_lost_answer_to_a_join_is_asked_again() {
    use stafett_client_core::client::input::{CallFailed, Input};
    let mut home = ModelHome::new(3209);
    let code = home.add_unit("Solvang skole", "school");
    let mut leader = Device::new(1);
    let join = || Input::Command(C::Join { code: code.clone(), name: "Leder".into() });
    let first = leader.client.handle(1, join());
    leader.save(&first);
    let lost = leader.client.handle(2, Input::CallAnswered(Err(CallFailed::Unreachable("broken line".into()))));
    leader.save(&lost);
    assert!(lost.answer.unwrap().is_err());
    leader.restart();
    let second = leader.client.handle(3, join());
    assert_eq!(first.call, second.call, "the very same claim");
    leader.save(&second);
    let reply = home.join(&second.call.unwrap().body).unwrap();
    let joined = leader.client.handle(4, Input::CallAnswered(Ok(reply)));
    assert!(joined.answer.unwrap().is_ok());
}

/// Withdrawing everything: the family reads on, nobody else.
#[test]
fn b8_the_family_withdraws_everything_and_reads_on() {
    let mut cast = cast();
    let log = log(&mut cast);
    let Cast { home, teacher, mother, father, .. } = &mut cast;
    let measure = NewMeasure { text: "Tiltak".into(), ..NewMeasure::default() };
    let new = C::ConcernNew { log: log.clone(), title: "Lekser".into(), goal: "Mål".into(), category: None, measure };
    let concern = text(&teacher.ask(home, new).unwrap(), "concern");
    for device in [&mut *teacher, &mut *mother, &mut *father] {
        device.sync(home);
    }
    mother.ask(home, C::ConsentWithdraw { log: log.clone(), target: WithdrawTarget::All }).unwrap();
    for _ in 0..2 {
        for device in [&mut *mother, &mut *teacher, &mut *father] {
            device.sync(home);
        }
    }
    assert_eq!(teacher.ask(home, C::LogShow { log: log.clone() }).unwrap_err().code, "withdrawn");
    assert_eq!(teacher.ask(home, C::ConcernShow { concern: concern.clone() }).unwrap_err().code, "withdrawn");
    for guardian in [mother, father] {
        let show = guardian.ask(home, C::LogShow { log: log.clone() }).unwrap();
        assert_eq!(show["status"], "withdrawn", "{show}");
        let read = guardian.ask(home, C::ConcernShow { concern: concern.clone() }).unwrap();
        assert_eq!(read["title"], "Lekser", "the family reads on");
        let refused = guardian.ask(home, C::Glimpse { concern: concern.clone(), text: "Hei".into() });
        assert_eq!(refused.unwrap_err().code, "not-active");
        let audit = guardian.ask(home, C::AuditVerify { log: log.clone() }).unwrap();
        assert_eq!(audit["violations"].as_array().unwrap().len(), 0, "{audit}");
    }
}

/// A grant on top of a grant: the widest counts, whoever reads may come to contribute, and those who asked and
/// signed see what it is and who it is for.
#[test]
fn a_wider_consent_lets_a_reader_contribute() {
    let mut cast = cast();
    let log = log(&mut cast);
    let Cast { home, teacher, mother, father, .. } = &mut cast;
    let code = home.add_unit("PPT", "ppt");
    let (mut ppt_leader, _) = join(home, 11, code, "Leder PPT");
    let invitation = Invitation::Employee { may_hold: false, may_act: true };
    let code = text(&ppt_leader.ask(home, C::Invite(invitation)).unwrap(), "code");
    ppt_leader.sync(home);
    let (mut ppt, ppt_id) = join(home, 12, code, "Per PPT");
    ppt_leader.sync(home);
    ppt.sync(home);
    let measure = NewMeasure { text: "Tiltak".into(), ..NewMeasure::default() };
    let goal = "Mål".to_owned();
    let new = C::ConcernNew { log: log.clone(), title: "Lekser".into(), goal, category: None, measure };
    let concern = text(&teacher.ask(home, new).unwrap(), "concern");
    for device in [&mut *teacher, &mut *mother, &mut *father] {
        device.sync(home);
    }
    let unit = text(&teacher.ask(home, C::Units).unwrap()["units"][1], "unit");
    for access in [AccessWord::Read, AccessWord::Contribute] {
        let (who, scopes) = (Who::Unit(unit.clone()), vec![concern.clone()]);
        let asked = C::AccessRequest { log: log.clone(), who, scopes, access };
        teacher.ask(home, asked.clone()).unwrap();
        // The same again, before anyone has answered: two grants for one seat.
        teacher.ask(home, asked).unwrap();
        teacher.sync(home);
        for guardian in [&mut *mother, &mut *father] {
            guardian.sync(home);
            let pending = guardian.ask(home, C::ConsentPending).unwrap();
            for request in pending["requests"].as_array().unwrap() {
                let word = if access == AccessWord::Read { "read" } else { "contribute" };
                assert_eq!(text(request, "access"), word, "{request}");
                guardian.ask(home, C::ConsentGrant { request: text(request, "request"), custody: true }).unwrap();
            }
            guardian.sync(home);
        }
        teacher.sync(home);
        ppt_leader.sync(home);
        let assign = |scopes: Vec<String>| C::UnitAssign { log: log.clone(), person: ppt_id.clone(), scopes };
        assert_eq!(ppt_leader.ask(home, assign(vec!["zz".into()])).unwrap_err().code, "unknown-id");
        ppt_leader.ask(home, assign(vec![])).unwrap();
        ppt_leader.sync(home);
        teacher.sync(home);
        let counts = teacher.ask(home, C::SyncCounts).unwrap();
        assert_eq!(counts["refused"], 0, "{counts}");
        ppt.sync(home);
        let glimpse = ppt.ask(home, C::Glimpse { concern: concern.clone(), text: "Glimt".into() });
        assert_eq!(glimpse.is_ok(), access == AccessWord::Contribute, "{glimpse:?}");
    }
    let responsible = Some(ppt_id.clone());
    let measure = NewMeasure { text: "Observere".into(), responsible, ..NewMeasure::default() };
    let measure = text(&teacher.ask(home, C::MeasureAdd { concern: concern.clone(), measure }).unwrap(), "measure");
    teacher.sync(home);
    ppt.sync(home);
    let result = "yellow".to_owned();
    ppt.ask(home, C::Evaluate { measure, result, text: "Delvis".into(), family_agrees: false }).unwrap();
    ppt.sync(home);
    mother.sync(home);
    let show = mother.ask(home, C::LogShow { log }).unwrap();
    let seen = show["participants"].as_array().unwrap().iter().find(|p| p["person"] == ppt_id.as_str()).unwrap();
    let said = ["name", "unit", "role", "access"].map(|key| text(seen, key));
    assert_eq!(said, ["Per PPT", "PPT", "actor", "contribute"], "{show}");
    assert!(mother.ask(home, C::Verify { person: ppt_id, number: None }).is_ok());
    let show = mother.ask(home, C::ConcernShow { concern }).unwrap();
    assert_eq!(show["measures"].as_array().unwrap().len(), 2, "{show}");
    assert_eq!(show["glimpses"][0]["author"], "Per PPT", "{show}");
}
