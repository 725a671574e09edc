//! A request for consent ends when its asker throws the draft away: by the asker's word alone, and whatever is under way.

use serde_json::Value;
use stafett_client_core::client::input::{Command as C, Problem};
use stafett_protocol::ids::LogId;
use stafett_protocol::letter::{Content, TakenBack};
use stafett_protocol::signed::id_of;
use stafett_protocol::wire::Mail;
use stafett_tests::insider::Insider;
use stafett_tests::model::cast::{Cast, cast, list, sign, telephone, text};
use stafett_tests::model::home::ModelHome;
use stafett_tests::model::people::Device;

use super::requests::{intercepted, problems};

fn draft(cast: &mut Cast) -> String {
    let guardians = vec![cast.mother_id.clone(), cast.father_id.clone()];
    let new = C::LogNew { child: "Ella".into(), born: "2015-03-04".into(), guardians, level: 1 };
    text(&cast.teacher.ask(&mut cast.home, new).unwrap(), "log")
}

fn pending(device: &mut Device, home: &mut ModelHome) -> Value {
    device.ask(home, C::ConsentPending).unwrap()
}

fn say_yes(device: &mut Device, home: &mut ModelHome, request: &str) -> Result<Value, Problem> {
    device.ask(home, C::ConsentGrant { request: request.to_owned(), custody: true })
}

fn drop_draft(cast: &mut Cast, log: &str) {
    cast.teacher.ask(&mut cast.home, C::LogDrop { log: log.to_owned() }).unwrap();
    cast.teacher.sync(&mut cast.home);
}

#[test]
fn a_dropped_drafts_request_is_taken_back_and_cannot_be_answered() {
    let mut cast = cast();
    let log = draft(&mut cast);
    cast.teacher.sync(&mut cast.home);
    cast.mother.sync(&mut cast.home);
    let request = text(&pending(&mut cast.mother, &mut cast.home)["requests"][0], "request");
    drop_draft(&mut cast, &log);
    let Cast { home, mother, father, .. } = &mut cast;
    // The father reads both letters at once: he was never asked as far as he sees.
    for parent in [&mut *mother, &mut *father] {
        parent.sync(home);
        let shown = pending(parent, home);
        assert!(list(&shown, "requests").is_empty() && list(&shown, "refused").is_empty(), "{shown}");
        let over = &list(&shown, "taken_back")[0];
        assert_eq!((text(over, "child"), text(over, "by")), ("Ella".to_owned(), "Tone Lærer".to_owned()), "{shown}");
        assert_eq!(problems(parent, home), Vec::<String>::new());
        for answer in
            [C::ConsentGrant { request: request.clone(), custody: true }, C::ConsentRefuse { request: request.clone() }]
        {
            assert_eq!(parent.ask(home, answer).unwrap_err().code, "taken-back");
        }
    }
}

#[test]
fn an_answer_under_way_to_a_dropped_draft_meets_nothing_and_disturbs_nobody() {
    for yes in [true, false] {
        let mut cast = cast();
        let log = draft(&mut cast);
        cast.teacher.sync(&mut cast.home);
        cast.mother.sync(&mut cast.home);
        let request = text(&pending(&mut cast.mother, &mut cast.home)["requests"][0], "request");
        if yes {
            say_yes(&mut cast.mother, &mut cast.home, &request).unwrap();
        } else {
            cast.mother.ask(&mut cast.home, C::ConsentRefuse { request: request.clone() }).unwrap();
        }
        cast.teacher.ask(&mut cast.home, C::LogDrop { log: log.clone() }).unwrap();
        let Cast { home, teacher, mother, .. } = &mut cast;
        mother.sync(home);
        teacher.sync(home);
        mother.sync(home);
        assert_eq!(problems(teacher, home), Vec::<String>::new(), "the answer comes too late and is no fault");
        let shown = pending(mother, home);
        assert_eq!((list(&shown, "requests").len(), list(&shown, "refused").len()), (0, 0), "{shown}");
        assert_eq!(list(&shown, "taken_back").len(), 1, "{shown}");
        assert!(list(&teacher.ask(home, C::LogList).unwrap(), "logs").is_empty());
    }
}

/// The plan of a draft is on one device; answers come to all of its person's.
#[test]
fn an_answer_alarms_no_device_that_did_not_ask() {
    let mut cast = cast();
    let mut phone = telephone(&mut cast);
    for _ in 0..2 {
        cast.teacher.sync(&mut cast.home);
        phone.sync(&mut cast.home);
    }
    draft(&mut cast);
    cast.teacher.sync(&mut cast.home);
    let Cast { home, mother, teacher, .. } = &mut cast;
    sign(home, mother);
    phone.sync(home);
    assert_eq!(problems(&mut phone, home), Vec::<String>::new());
    teacher.sync(home);
    assert_eq!(problems(teacher, home), Vec::<String>::new());
}

#[test]
fn what_has_not_left_yet_names_no_child_any_more() {
    let mut cast = cast();
    let log = draft(&mut cast);
    drop_draft(&mut cast, &log);
    let Cast { home, mother, .. } = &mut cast;
    let letters = home.mail.values().flatten().filter(|item| matches!(item.mail, Mail::Letter(_))).count();
    assert_eq!(letters, 2, "to each parent that nothing is asked, and no request");
    mother.sync(home);
    let shown = pending(mother, home);
    assert!(list(&shown, "requests").is_empty() && list(&shown, "taken_back").is_empty(), "{shown}");
    assert_eq!(problems(mother, home), Vec::<String>::new());
}

/// The other parent and the leader know what was asked; it is the teacher's to take back all the same.
#[test]
fn nobody_takes_back_what_another_asked() {
    let mut cast = cast();
    let log: LogId = draft(&mut cast).parse().unwrap();
    cast.teacher.sync(&mut cast.home);
    cast.mother.sync(&mut cast.home);
    let request = intercepted(&mut cast);
    let requested: Vec<_> = request.grants.iter().map(|requested| id_of(&requested.grant)).collect();
    let taken_back = Content::TakenBack(TakenBack { log, requested: requested.clone() });
    let Cast { home, teacher, mother, mother_id, father, leader, .. } = &mut cast;
    let mother_id = mother_id.parse().unwrap();
    for other in [&*father, &*leader] {
        Insider::account(other).write_letter(home, mother_id, taken_back.clone());
    }
    // Nor does the teacher with another log's or other grants' names.
    let elsewhere = TakenBack { log: LogId([9; 16]), requested: requested.clone() };
    let others = TakenBack { log, requested: vec![] };
    for letter in [elsewhere, others] {
        Insider::account(teacher).write_letter(home, mother_id, Content::TakenBack(letter));
    }
    mother.sync(home);
    let shown = pending(mother, home);
    assert_eq!(list(&shown, "requests").len(), 1, "{shown}");
    assert!(list(&shown, "taken_back").is_empty(), "{shown}");
    let open = text(&shown["requests"][0], "request");
    assert!(say_yes(mother, home, &open).is_ok());
    // Whoever asked ends it, with the same letter.
    Insider::account(teacher).write_letter(home, mother_id, taken_back);
    mother.sync(home);
    assert_eq!(list(&pending(mother, home), "taken_back").len(), 1);
}
