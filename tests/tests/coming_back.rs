//! Who has left a log and comes back, and what was ended while something new began. Found by the simulation.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use stafett_client_core::client::input::{AccessWord, Command as C, NewMeasure, Who, WithdrawTarget};
use stafett_protocol::event::Body;
use stafett_protocol::ids::{DeviceId, ScopeId};
use stafett_protocol::statement::Statement;
use stafett_protocol::wire::Request;
use stafett_tests::model::cast::{Cast, cast, colleague, concern, list, log, other_school, sign, telephone, text};
use stafett_tests::model::people::Device;
use stafett_tests::model::picky::Picky;

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

/// The baton goes from the teacher to a colleague. Answers the colleague's device, and who the teacher is.
fn away(cast: &mut Cast, log: &str, homework: &str) -> (Device, String) {
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
    (kari, teacher_id)
}

/// And back to her.
fn back(cast: &mut Cast, log: &str, kari: &mut Device, teacher_id: &str) {
    let number = kari.ask(&mut cast.home, C::Verify { person: teacher_id.into(), number: None }).unwrap();
    let met = C::Verify { person: teacher_id.into(), number: Some(text(&number, "number")) };
    assert_eq!(kari.ask(&mut cast.home, met).unwrap()["matches"], true);
    let mut teacher = std::mem::replace(&mut cast.teacher, Device::new(0));
    hand_over(cast, kari, (&mut teacher, teacher_id), log);
    cast.teacher = teacher;
    everyone(cast, kari);
}

fn away_and_back(cast: &mut Cast, log: &str, homework: &str) -> (Device, String) {
    let (mut kari, teacher_id) = away(cast, log, homework);
    back(cast, log, &mut kari, &teacher_id);
    (kari, teacher_id)
}

/// S9: a device that is set back to when it was out, and has been let in again since, takes its place back: the chain shows
/// that it was out in between. Nobody sends it a Welcome again.
#[test]
fn s9_a_device_set_back_to_when_it_was_out_takes_its_place_back() {
    let mut cast = cast();
    let log = log(&mut cast);
    let homework = concern(&mut cast, &log);
    cast.teacher.ask(&mut cast.home, C::Glimpse { concern: homework.clone(), text: "Fra før".into() }).unwrap();
    let (mut kari, teacher_id) = away(&mut cast, &log, &homework);
    let backup = cast.teacher.disk.clone();
    back(&mut cast, &log, &mut kari, &teacher_id);
    cast.teacher.disk = backup;
    cast.teacher.restart();
    everyone(&mut cast, &mut kari);
    let seen = cast.teacher.ask(&mut cast.home, C::ConcernShow { concern: homework.clone() });
    let seen = seen.unwrap_or_else(|e| panic!("{e:?} {}", cast.teacher.last_problem()));
    assert_eq!(seen["glimpses"][0]["text"], "Fra før", "{seen} {}", cast.teacher.last_problem());
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

/// C4: a letter of the family's ends the access of a device that has a commit under way. What becomes of the commit is
/// not its business any more. Found by world 29.
#[test]
fn c4_who_leaves_asks_no_more_for_what_was_under_way() {
    let mut cast = cast();
    let log = log(&mut cast);
    concern(&mut cast, &log);
    let Cast { home, leader, mother, father, teacher, .. } = &mut cast;
    for _ in 0..2 {
        for device in [&mut *leader, &mut *mother, &mut *father, &mut *teacher] {
            device.sync(home);
        }
    }
    let code = text(&leader.ask(home, C::DeviceLink).unwrap(), "code");
    leader.sync(home);
    let mut tablet = Device::new(60);
    tablet.ask(home, C::DeviceAccept { code, name: "nettbrett".into() }).unwrap();
    leader.sync(home);
    tablet.sync(home);
    // The answer to the commit that lets the tablet in is lost.
    assert!(leader.sync_losing(home, |request| matches!(request, Request::Submit(_))));
    // The letter is there before what it speaks of.
    let unit = text(&teacher.ask(home, C::Units).unwrap()["units"][0], "unit");
    mother.ask(home, C::ConsentWithdraw { log: log.clone(), target: WithdrawTarget::Unit(unit) }).unwrap();
    mother.sync(&mut Picky(home, &|body| matches!(body, Body::Statement(Statement::Withdrawal(_)))));
    leader.sync(home);
    assert_eq!(leader.ask(home, C::LogShow { log }).unwrap_err().code, "withdrawn", "{}", leader.last_problem());
}

/// C4: a parent withdraws; the letters go out, and her telephone is lost before it has told the home. Those who were put
/// out have left. The others carry her word to the chain, so that it ends there, too, and they can write on. Found by
/// worlds 700288 and 700557.
#[test]
fn c4_what_was_withdrawn_by_letter_reaches_the_chain_without_its_writer() {
    let mut cast = cast();
    let log = log(&mut cast);
    let homework = concern(&mut cast, &log);
    let mut none = telephone(&mut cast);
    everyone(&mut cast, &mut none);
    let unit = text(&cast.teacher.ask(&mut cast.home, C::Units).unwrap()["units"][0], "unit");
    cast.mother.ask(&mut cast.home, C::ConsentWithdraw { log, target: WithdrawTarget::Unit(unit) }).unwrap();
    cast.mother.sync(&mut Picky(&mut cast.home, &|body| matches!(body, Body::Statement(Statement::Withdrawal(_)))));
    let leader: DeviceId = cast.leader.id.unwrap();
    let reads = |cast: &Cast| {
        let chain = &cast.home.scopes[&homework.parse().unwrap()];
        chain.replica.state().may_read(leader, cast.home.now)
    };
    assert!(reads(&cast), "the home has not heard of it");
    for _ in 0..4 {
        let Cast { home, leader, teacher, father, .. } = &mut cast;
        for device in [leader, teacher, father] {
            device.sync(home);
        }
    }
    assert!(!reads(&cast), "the father's device has carried it: {}", cast.father.last_problem());
    let left = cast.leader.ask(&mut cast.home, C::ConcernShow { concern: homework }).unwrap_err();
    assert_eq!(left.code, "withdrawn");
}

/// C4: the same, where nobody but the one who is put out was told: whoever leaves on a letter shows it to the family, and to
/// its writer, whose device was set back and knows nothing of it. Found by world 700181.
#[test]
fn c4_who_leaves_on_a_letter_shows_it_to_the_family() {
    let mut cast = cast();
    let log = log(&mut cast);
    let homework = concern(&mut cast, &log);
    let mut none = telephone(&mut cast);
    everyone(&mut cast, &mut none);
    let backup = cast.mother.disk.clone();
    let unit = text(&cast.teacher.ask(&mut cast.home, C::Units).unwrap()["units"][0], "unit");
    cast.mother.ask(&mut cast.home, C::ConsentWithdraw { log, target: WithdrawTarget::Unit(unit) }).unwrap();
    cast.mother.sync(&mut Picky(&mut cast.home, &|body| matches!(body, Body::Statement(Statement::Withdrawal(_)))));
    let leader: DeviceId = cast.leader.id.unwrap();
    cast.home.mail.retain(|device, _| *device == leader);
    cast.mother.disk = backup;
    cast.mother.restart();
    everyone(&mut cast, &mut none);
    everyone(&mut cast, &mut none);
    let chain = &cast.home.scopes[&homework.parse().unwrap()];
    assert!(!chain.replica.state().may_read(leader, cast.home.now), "{}", cast.mother.last_problem());
}

/// C4: a word of the family's comes late to the home, by the one member who was told, after they have consented again and a
/// new part was begun. What it ends on the card ends in that part, too, which it does not name. Found by world 10.
#[test]
fn c4_a_late_withdrawal_reaches_what_was_consented_to_since() {
    let mut cast = cast();
    let log = log(&mut cast);
    let homework = concern(&mut cast, &log);
    let (mut their_leader, mut nils, nils_id) = other_school(&mut cast);
    everyone(&mut cast, &mut nils);
    let units = cast.teacher.ask(&mut cast.home, C::Units).unwrap();
    let unit = text(list(&units, "units").iter().find(|u| u["name"] == "Nes skole").unwrap(), "unit");
    let mut let_in = |cast: &mut Cast, nils: &mut Device, concern: &str| {
        let Cast { home, teacher, mother, father, .. } = cast;
        let (who, scopes) = (Who::Unit(unit.clone()), vec![concern.to_owned()]);
        teacher.ask(home, C::AccessRequest { log: log.clone(), who, scopes, access: AccessWord::Read }).unwrap();
        teacher.sync(home);
        for guardian in [mother, father] {
            sign(home, guardian);
        }
        teacher.sync(home);
        their_leader.sync(home);
        their_leader.ask(home, C::UnitAssign { log: log.clone(), person: nils_id.clone(), scopes: vec![] }).unwrap();
        their_leader.sync(home);
        teacher.sync(home);
        nils.sync(home);
        let shown = nils.ask(home, C::ConcernShow { concern: concern.to_owned() });
        shown.unwrap_or_else(|e| panic!("{e:?} {} {}", teacher.last_problem(), nils.last_problem()));
    };
    let_in(&mut cast, &mut nils, &homework);
    let backup = cast.mother.disk.clone();
    let target = WithdrawTarget::Unit(unit.clone());
    cast.mother.ask(&mut cast.home, C::ConsentWithdraw { log: log.clone(), target }).unwrap();
    cast.mother.sync(&mut Picky(&mut cast.home, &|body| matches!(body, Body::Statement(Statement::Withdrawal(_)))));
    let leader: DeviceId = cast.leader.id.unwrap();
    cast.home.mail.retain(|device, _| *device == leader);
    cast.mother.disk = backup;
    cast.mother.restart();

    let Cast { home, teacher, mother, father, .. } = &mut cast;
    let measure = NewMeasure { text: "Tiltak".into(), ..NewMeasure::default() };
    let (title, goal) = ("Fravær".to_owned(), "Mål".to_owned());
    let new = C::ConcernNew { log: log.clone(), title, goal, category: None, measure };
    let absence = text(&teacher.ask(home, new).unwrap(), "concern");
    for device in [teacher, mother, father] {
        device.sync(home);
    }
    let_in(&mut cast, &mut nils, &absence);

    everyone(&mut cast, &mut nils);
    everyone(&mut cast, &mut nils);
    for concern in [&homework, &absence] {
        let shown = nils.ask(&mut cast.home, C::ConcernShow { concern: concern.clone() });
        assert_eq!(
            shown.unwrap_err().code,
            "withdrawn",
            "{} {}",
            cast.leader.last_problem(),
            cast.mother.last_problem()
        );
    }
    let audit = cast.mother.ask(&mut cast.home, C::AuditVerify { log }).unwrap();
    assert_eq!(list(&audit, "violations").len(), 0, "{audit}");
}

/// C4: a guardian ends everything of another school, and of one concern that word is lost; then the family consents to its
/// reading another one. No veto is left that says whose word ended the seat of that school's leader on the card. It ends in the
/// concern all the same. Found by world 6100000063.
#[test]
fn c4_a_seat_ends_everywhere_though_its_giver_has_consented_to_something_else() {
    let mut cast = cast();
    let log = log(&mut cast);
    let homework = concern(&mut cast, &log);
    let (mut their_leader, mut nils, _) = other_school(&mut cast);
    everyone(&mut cast, &mut nils);
    let units = cast.teacher.ask(&mut cast.home, C::Units).unwrap();
    let unit = text(list(&units, "units").iter().find(|u| u["name"] == "Nes skole").unwrap(), "unit");
    let Cast { home, teacher, mother, father, .. } = &mut cast;
    let offer = C::BatonOffer {
        log: log.clone(),
        to: unit.clone(),
        municipality: None,
        concerns: vec![homework.clone()],
        notes: vec![],
        reason: "Ny skole".into(),
    };
    teacher.ask(home, offer).unwrap();
    teacher.sync(home);
    sign(home, mother);
    sign(home, father);
    teacher.sync(home);
    their_leader.sync(home);
    let measure = NewMeasure { text: "Tiltak".into(), ..NewMeasure::default() };
    let (title, goal) = ("Fravær".to_owned(), "Mål".to_owned());
    let new = C::ConcernNew { log: log.clone(), title, goal, category: None, measure };
    let absence = text(&teacher.ask(home, new).unwrap(), "concern");
    let who = Who::Unit(unit.clone());
    let ask = C::AccessRequest { log: log.clone(), who, scopes: vec![homework.clone()], access: AccessWord::Read };
    teacher.ask(home, ask).unwrap();
    for device in [&mut *teacher, mother, father, &mut their_leader] {
        device.sync(home);
    }
    their_leader.ask(home, C::ConcernShow { concern: absence.clone() }).expect("she reads it so far");
    // The father ends it all. Of one concern his word does not arrive, and his device is set back to before it.
    let (backup, there) = (father.disk.clone(), absence.parse::<ScopeId>().unwrap());
    father.ask(home, C::ConsentWithdraw { log: log.clone(), target: WithdrawTarget::Unit(unit) }).unwrap();
    let ends_there = |body: &Body| {
        let Body::Statement(Statement::Withdrawal(signed)) = body else { return false };
        signed.withdrawal.peek().unwrap().scope == there
    };
    father.sync(&mut Picky(home, &ends_there));
    home.mail.clear();
    father.disk = backup;
    father.restart();
    // He consents to the reading that he was asked for, and is away while the mother does.
    let pending = father.ask(home, C::ConsentPending).unwrap();
    let request = text(&pending["requests"][0], "request");
    father.ask(home, C::ConsentGrant { request, custody: false }).unwrap();
    let on_card = |body: &Body| {
        let Body::Statement(Statement::Grant(signed)) = body else { return false };
        ![&homework, &absence].contains(&&signed.grant.peek().unwrap().scope.to_string())
    };
    let gives = |request: &Request| {
        let Request::Submit(bundle) = request else { return false };
        bundle.envelopes.iter().any(|e| on_card(&e.event.peek().unwrap().body))
    };
    assert!(father.sync_losing(home, gives));
    sign(home, mother);
    for _ in 0..2 {
        everyone(&mut cast, &mut their_leader);
    }
    let shown = their_leader.ask(&mut cast.home, C::ConcernShow { concern: absence });
    assert_eq!(shown.unwrap_err().code, "withdrawn", "{}", cast.father.last_problem());
    let audit = cast.mother.ask(&mut cast.home, C::AuditVerify { log }).unwrap();
    assert_eq!(list(&audit, "violations").len(), 0, "{audit}");
}
