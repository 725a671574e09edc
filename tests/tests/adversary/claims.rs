//! Claims in letters that no chain bears out: who holds, who was asked.

use super::chain::glimpse;
use stafett_client_core::client::input::{AccessWord, Command as C, Invitation, Who};
use stafett_client_core::rows::Space;
use stafett_protocol::codec::decode;
use stafett_protocol::ids::{Hash, PersonId};
use stafett_protocol::letter::{Answer, Content, GrantNotice, HandoverAnswer};
use stafett_tests::insider::Insider;
use stafett_tests::model::cast::{cast, concern, join, list, log, other_school, sign, text};

/// Whoever acts for a unit and shall not any more writes to the leader that she holds the log herself: a holder stays.
#[test]
fn an_employee_does_not_stay_by_calling_herself_the_holder() {
    let mut cast = cast();
    let log = log(&mut cast);
    let concern = concern(&mut cast, &log);
    let home = &mut cast.home;
    let code = home.add_unit("PPT", "ppt");
    let (mut leader, leader_id) = join(home, 11, code, "Leder PPT");
    let invitation = Invitation::Employee { may_hold: false, may_act: true };
    let code = text(&leader.ask(home, C::Invite(invitation)).unwrap(), "code");
    leader.sync(home);
    let (mut employee, employee_id) = join(home, 12, code, "Per PPT");
    leader.sync(home);
    employee.sync(home);
    cast.teacher.sync(home);
    let units = cast.teacher.ask(home, C::Units).unwrap();
    let unit = list(&units, "units").iter().find(|u| u["name"] == "PPT").map(|u| text(u, "unit")).unwrap();
    let who = Who::Unit(unit);
    let scopes = vec![concern.clone()];
    cast.teacher.ask(home, C::AccessRequest { log: log.clone(), who, scopes, access: AccessWord::Read }).unwrap();
    cast.teacher.sync(home);
    for guardian in [&mut cast.mother, &mut cast.father] {
        sign(home, guardian);
    }
    cast.teacher.sync(home);
    leader.sync(home);
    let person = employee_id.clone();
    leader.ask(home, C::UnitAssign { log: log.clone(), person, scopes: vec![] }).unwrap();
    leader.sync(home);
    cast.teacher.sync(home);
    employee.sync(home);
    assert!(employee.ask(home, C::LogShow { log: log.clone() }).is_ok(), "{}", employee.last_problem());

    let notices =
        leader.disk.iter().filter(|((space, key), _)| *space == Space::Mail as u8 && key.starts_with(b"notice/"));
    let notices: Vec<GrantNotice> = notices.map(|(_, value)| decode(value).unwrap()).collect();
    let insider = Insider::account(&employee);
    let (holder, holder_key) = (insider.person(), insider.me.person_public().unwrap());
    for notice in &notices {
        let lie = GrantNotice { holder, holder_key, ..notice.clone() };
        insider.write_letter(home, leader_id.parse().unwrap(), Content::GrantNotice(lie));
    }
    leader.sync(home);
    leader.ask(home, C::UnitUnassign { log: log.clone(), person: employee_id }).unwrap();
    leader.sync(home);
    cast.teacher.sync(home);
    glimpse(home, &mut cast.teacher, &concern, "Etterpå");
    employee.sync(home);
    let gone = employee.ask(home, C::LogShow { log }).unwrap_err().code;
    assert_eq!(gone, "withdrawn", "{}", cast.teacher.last_problem());
}

/// The baton is offered to a unit: neither its leader nor anybody whom she could pass it on to says no to it.
#[test]
fn nobody_declines_an_offer_but_who_was_asked() {
    let mut cast = cast();
    let log = log(&mut cast);
    concern(&mut cast, &log);
    let (mut leader, _, _) = other_school(&mut cast);
    let home = &mut cast.home;
    leader.sync(home);
    cast.teacher.sync(home);
    let units = cast.teacher.ask(home, C::Units).unwrap();
    let to = list(&units, "units").iter().find(|u| u["name"] == "Nes skole").map(|u| text(u, "unit")).unwrap();
    let (concerns, notes) = (vec!["all".to_owned()], vec![]);
    let reason = "Ella bytter skole".to_owned();
    let offer = C::BatonOffer { log: log.clone(), to, municipality: None, concerns, notes, reason };
    let offer = text(&cast.teacher.ask(home, offer).unwrap(), "offer");
    cast.teacher.sync(home);
    let code = home.add_unit("BUP", "ppt");
    let (stranger, _) = join(home, 41, code, "Leder BUP");
    let stranger = Insider::account(&stranger);
    let teacher: PersonId = Insider::account(&cast.teacher).person();
    let id: Hash = offer.parse().unwrap();
    for answer in [Answer::Seen, Answer::Declined("Nei".to_owned())] {
        let answer = HandoverAnswer { log: log.parse().unwrap(), offer: id, answer };
        stranger.write_letter(home, teacher, Content::HandoverAnswer(answer));
    }
    cast.teacher.sync(home);
    let mine = cast.teacher.ask(home, C::BatonList).unwrap()["offers"][0].clone();
    assert_eq!(mine["state"], "open", "{mine}");
    assert_eq!(mine["to"], "Nes skole", "{mine}");
}
