//! Withdrawals and ends of employments on facts bent for the case: whose word counts, and for whom (B8, C3, C11; found
//! by the mutants of `policy/withdrawal.rs`).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use crate::common::*;
use stafett_protocol::consent::{Access, EmployeeEnd, Permit, SignedEmployeeEnd, Target};
use stafett_protocol::event::Body;
use stafett_protocol::ids::{Hash, LogId, ScopeId, UnitId};
use stafett_protocol::limits;
use stafett_protocol::membership::{Member, Role};
use stafett_protocol::policy::MlsView;
use stafett_protocol::refusal::Refusal as R;
use stafett_protocol::signed::Signed;
use stafett_protocol::state::{Gone, Revoked, ScopeState};
use stafett_protocol::statement::Statement;

const PPT_HERE: Target = Target::Unit(PPT_UNIT);

/// A withdrawal that the mother's device brings and `signer` has signed.
fn withdrawn(world: &World, state: &ScopeState, signer: Who, target: Target) -> Result<ScopeState, R> {
    world.said(state, MOTHER, world.withdrawal(world.log(), state.scope(), target, signer))
}

#[test]
fn b8_a_withdrawal_is_the_authoritys_or_an_employees_who_has_a_part_here() {
    let world = World::new();
    let chain = world.card_with_reader();
    let card = chain.state();
    let answer = |state: &ScopeState, signer| withdrawn(&world, state, signer, PPT_HERE).map(drop);
    assert_eq!([answer(card, FATHER), answer(card, TEACHER)], [Ok(()), Ok(())]);
    let lost = bent(card, |state| state.next_authority = Some(world.authority_of(&[MOTHER], 1)));
    assert_eq!(answer(&lost, FATHER), Err(R::NotAnAuthority), "family that no longer decides");
    let listed = bent(card, |state| state.listed = vec![world.device(TEACHER).public()]);
    assert_eq!(answer(&listed, TEACHER), Err(R::NotAnAuthority), "on the way out");
    let archived = bent(card, |state| {
        let holder = |m: &&mut Member| m.role == Role::Holder;
        state.membership.members.iter_mut().find(holder).unwrap().role = Role::Archivist;
    });
    assert_eq!(answer(&archived, TEACHER), Err(R::NotAnAuthority), "an archivist has no part any more");
}

#[test]
fn b8_who_was_on_the_card_then_may_have_said_it_and_nobody_else() {
    let world = World::new();
    let card = world.family_card();
    let mut concern = world.concern(card.state());
    let grant = world.give(&mut concern, world.person_grantee(COACH), Access::Read);
    let concern = bent(concern.state(), |state| state.next_authority = Some(world.authority_of(&[MOTHER], 1)));
    let gone = |who: Who, role| Gone {
        person: world.id(who),
        person_key: world.person(who).public(),
        role,
        device: world.device(who).public(),
        at: START + DAY,
        wiped: Permit::No,
    };
    let card = bent(card.state(), |state| {
        state.gone = vec![gone(PPT, Role::Actor), gone(FATHER, Role::Guardian)];
        state.membership.members.retain(|m| m.person != world.id(FATHER));
    });
    let answer = |signer| {
        let body = Body::Statement(world.withdrawal(world.log(), CONCERN, Target::Grant(grant), signer));
        world.decided(&concern, Some(&card), world.device(MOTHER), body, &MlsView::None).map(drop)
    };
    assert_eq!(answer(PPT), Ok(()), "an employee of the card, then");
    assert_eq!(answer(STRANGER), Err(R::NotAnAuthority));
    assert_eq!(answer(FATHER), Err(R::NotAnAuthority), "who was family there, and decides no longer");
}

#[test]
fn c11_another_logs_withdrawal_is_not_this_ones_and_nobody_is_withdrawn_from_the_family() {
    let world = World::new();
    let chain = world.card_with_reader();
    let card = chain.state();
    let foreign = world.withdrawal(LogId::default(), CARD, PPT_HERE, MOTHER);
    assert_eq!(world.said(card, MOTHER, foreign).map(drop), Err(R::GrantMismatch));
    let mut child = world.founder(CHILD, Role::Child, card.authority().id());
    let unnamed = bent(card, |state| state.membership.members.push(child.clone()));
    let person = Target::Person(world.id(CHILD));
    assert_eq!(withdrawn(&world, &unnamed, MOTHER, person).map(drop), Err(R::FamilyStays));
    child.role = Role::Reader;
    let reader = bent(card, |state| state.membership.members.push(child));
    assert_eq!(withdrawn(&world, &reader, MOTHER, person).map(drop), Ok(()));
}

#[test]
fn what_a_withdrawal_leaves_behind() {
    let world = World::new();
    let mut chain = world.card_with_reader();
    world.give(&mut chain, world.unit_of(PPT_LEADER), Access::Contribute);
    let basis = chain.membership().member(world.id(PPT)).unwrap().basis;
    let seat = |who| world.founder(who, Role::Reader, basis);
    // The colleague from the PPT and the coach have not come back since a re-founding; the coach on another grant.
    let mut coach = seat(COACH);
    coach.basis = Hash([7; 32]);
    let awaited = vec![seat(PPT_TWO), coach.clone()];
    let card = bent(chain.state(), |state| {
        state.readmit = awaited.clone();
        state.before_last_commit = awaited;
    });
    let after = withdrawn(&world, &card, MOTHER, PPT_HERE).unwrap();
    let vetoed: Vec<_> = after.vetoes.iter().map(|v| v.grantee).collect();
    let persons = [PPT, PPT_TWO].map(|who| world.person_grantee(who));
    assert_eq!(vetoed.len(), 3, "two grants of one unit, one veto, and one on each of its people here");
    assert!(persons.iter().all(|p| vetoed.contains(p)) && vetoed.contains(&world.unit_of(PPT_LEADER)));
    assert_eq!((&after.readmit, &after.before_last_commit), (&vec![coach.clone()], &vec![coach]));
    assert_eq!(after.listed, [world.device(PPT).public()], "leaves that are here");
}

#[test]
fn grants_that_nobody_has_shown_are_withdrawn_up_to_a_bound() {
    let world = World::new();
    let chain = world.family_card();
    let unknown = |n: usize| Hash([u8::try_from(n % 251).unwrap(); 32]);
    let revoked = |n: usize| Revoked { id: unknown(n), by: world.id(MOTHER) };
    let filled = |many: usize| bent(chain.state(), |state| state.revoked = (0..many).map(revoked).collect());
    let target = Target::Grant(Hash([0xff; 32]));
    let answer = |many| withdrawn(&world, &filled(many), MOTHER, target).map(|after| after.revoked.len());
    assert_eq!(answer(limits::REVOKED_GRANTS - 1), Ok(limits::REVOKED_GRANTS));
    assert_eq!(answer(limits::REVOKED_GRANTS), Err(R::TooMany));
}

#[test]
fn c3_a_leader_ends_employments_of_the_own_unit_alone_and_each_word_acts_once() {
    let world = World::new();
    let chain = world.card_with_reader();
    let card = chain.state();
    let end = world.employee_end(PPT_LEADER, PPT, CARD);
    assert_eq!(world.said(card, MOTHER, end.clone()).map(drop), Ok(()));
    let Statement::EmployeeEnd(signed) = end.clone() else { panic!() };
    let spent = bent(card, |state| state.spent = vec![signed.end.id()]);
    assert_eq!(world.said(&spent, MOTHER, end).map(drop), Err(R::AlreadySigned));
    // The PPT's leader speaks in the school's name of a school's employee.
    let school = card.membership.holder().unwrap().basis;
    let reader = bent(card, |state| state.membership.members.push(world.founder(COLLEAGUE, Role::Reader, school)));
    let by = |leader: Who, unit: UnitId, who: Who, scope: ScopeId| {
        let end = EmployeeEnd { unit, person: world.id(who), scope, ended_at: START, salt: [0; 16] };
        let end = Signed::sign(&end, &world.person(leader).key);
        Statement::EmployeeEnd(SignedEmployeeEnd { leader: world.id(leader), end })
    };
    let answer = |leader| world.said(&reader, MOTHER, by(leader, SCHOOL, COLLEAGUE, CARD)).map(drop);
    assert_eq!((answer(PPT_LEADER), answer(LEADER)), (Err(R::VoucherInvalid), Ok(())));
    // In the unit's own scope the leader is no employee.
    let unit = world.found(world.device(LEADER), &world.unit_founding(), None).unwrap();
    let own = by(LEADER, SCHOOL, LEADER, unit.scope());
    assert_eq!(world.said(unit.state(), LEADER, own).map(drop), Err(R::VoucherInvalid));
}

#[test]
fn b8_a_person_who_is_named_loses_what_is_theirs_and_no_other_person() {
    let world = World::new();
    let mut card = world.family_card();
    let [coach, stranger] = [COACH, STRANGER].map(|who| world.give(&mut card, world.person_grantee(who), Access::Read));
    let after = withdrawn(&world, card.state(), MOTHER, Target::Person(world.id(COACH))).unwrap();
    let ended = |id| after.grant(&id).unwrap().ended_at != 0;
    assert_eq!([ended(coach), ended(stranger)], [true, false]);
}

#[test]
fn in_a_unit_the_leader_ends_an_employment_and_no_colleague_does() {
    let world = World::new();
    let unit = world.found(world.device(LEADER), &world.unit_founding(), None).unwrap();
    let employee = |who: Who| world.founder(who, Role::Employee, Hash::default());
    let state = bent(unit.state(), |state| {
        state.membership.members.extend([employee(COLLEAGUE), employee(TEACHER)]);
        state.membership = state.membership.clone().sorted();
    });
    let by = |who: Who| world.said(&state, LEADER, world.employee_end(who, TEACHER, state.scope())).map(drop);
    assert_eq!([by(LEADER), by(COLLEAGUE)], [Ok(()), Err(R::VoucherInvalid)]);
}
