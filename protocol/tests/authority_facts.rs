//! Changes of authority and of keys on facts bent for the case: whose signature, over what, and that it is one (B6,
//! C10; found by the mutants of `policy/authority.rs`).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use crate::common::*;
use stafett_protocol::consent::{
    AuthorityChange, AuthoritySignature, Grantee, KeyChangeSignature, Permit, PersonGrantee, PersonKeyChange,
    SignedAuthorityChange, SignedPersonKeyChange, UnitGrantee,
};
use stafett_protocol::ids::{Hash, LogId};
use stafett_protocol::membership::Role;
use stafett_protocol::refusal::Refusal as R;
use stafett_protocol::signed::Signed;
use stafett_protocol::state::{Gone, GrantFact, ScopeState, Status};
use stafett_protocol::statement::Statement;

/// A signature over `change` in the name of the first, with the key of the second.
fn signs(world: &World, change: &AuthorityChange, name: Who, key: Who) -> AuthoritySignature {
    AuthoritySignature {
        signer: world.id(name),
        certificate: Some(world.device(name).credential.borrow().person.clone()),
        change: Signed::sign(change, &world.person(key).key),
    }
}

fn decides(world: &World, state: &ScopeState, change: Vec<AuthoritySignature>) -> Result<(), R> {
    let statement = Statement::AuthorityChange(SignedAuthorityChange { change });
    world.said(state, TEACHER, statement).map(drop)
}

#[test]
fn c10_a_change_of_authority_is_signed_by_those_who_decide_over_this_very_change() {
    let world = World::new();
    let card = world.family_card();
    let (state, old) = (card.state(), world.authority());
    let to = world.authority_of(&[MOTHER], 1);
    let good = AuthorityChange { log: world.log(), scope: CARD, from: old.id(), to, decision: Hash::default() };
    let by = |change: &AuthorityChange, who: &[Who]| -> Vec<_> {
        who.iter().map(|who| signs(&world, change, *who, *who)).collect()
    };
    assert_eq!(decides(&world, state, by(&good, &[MOTHER, FATHER])), Ok(()), "the quorum needs no decision");
    let forged = vec![signs(&world, &good, MOTHER, MOTHER), signs(&world, &good, FATHER, MOTHER)];
    assert_eq!(decides(&world, state, forged), Err(R::BadSignature));
    let other = AuthorityChange { to: world.authority_of(&[FATHER], 1), ..good.clone() };
    let two = vec![signs(&world, &good, MOTHER, MOTHER), signs(&world, &other, FATHER, FATHER)];
    assert_eq!(decides(&world, state, two), Err(R::GrantMismatch), "each signs another change");
    for elsewhere in
        [AuthorityChange { scope: JOURNAL, ..good.clone() }, AuthorityChange { log: LogId::default(), ..good.clone() }]
    {
        assert_eq!(decides(&world, state, by(&elsewhere, &[MOTHER, FATHER])), Err(R::GrantMismatch));
    }
    // On a decision holder, leader and the leader of another unit together.
    let decided = AuthorityChange { decision: Hash([4; 32]), ..good };
    assert_eq!(decides(&world, state, by(&decided, &[TEACHER, LEADER, PPT_LEADER])), Ok(()));
    for short in [&[LEADER][..], &[LEADER, MOTHER], &[TEACHER, LEADER], &[TEACHER, PPT_LEADER], &[LEADER, PPT_LEADER]] {
        assert_eq!(decides(&world, state, by(&decided, short)), Err(R::DecisionMissing), "{short:?}");
    }
    // The third one answers for another unit, by the word of the log's own municipality, and has no part in the log.
    for not_one in [COLLEAGUE, PPT, STRANGER] {
        assert_eq!(decides(&world, state, by(&decided, &[TEACHER, LEADER, not_one])), Err(R::NotAnAuthority));
    }
    let foreign = by(&decided, &[TEACHER, LEADER, HAUGESUND_LEADER]);
    assert_eq!(decides(&world, state, foreign), Err(R::NotIdentified));
    let mut silent = by(&decided, &[TEACHER, LEADER, PPT_LEADER]);
    silent[2].certificate = None;
    assert_eq!(decides(&world, state, silent), Err(R::NotAnAuthority));
    let mut borrowed = by(&decided, &[TEACHER, LEADER, COLLEAGUE]);
    borrowed[2].certificate = Some(world.device(PPT_LEADER).credential.borrow().person.clone());
    assert_eq!(decides(&world, state, borrowed), Err(R::NotAnAuthority));
    let mut forged = by(&decided, &[TEACHER, LEADER, PPT_LEADER]);
    forged[2] = signs(&world, &decided, PPT_LEADER, LEADER);
    assert_eq!(decides(&world, state, forged), Err(R::BadSignature));
    let mut present = state.clone();
    present.membership.members.push(world.founder(PPT_LEADER, Role::Reader, Hash::default()));
    let inside = by(&decided, &[TEACHER, LEADER, PPT_LEADER]);
    assert_eq!(decides(&world, &present, inside), Err(R::NotAnAuthority), "somebody with a part in the log");
    // Whoever had one, or whose unit the family has let in, is no outsider either.
    let inside = || by(&decided, &[TEACHER, LEADER, PPT_LEADER]);
    let mut put_out = state.clone();
    let device = world.device(PPT_LEADER).public();
    let (person, person_key) = (world.id(PPT_LEADER), world.person(PPT_LEADER).public());
    put_out.gone.push(Gone { person, person_key, role: Role::Reader, device, at: START, wiped: Permit::No });
    assert_eq!(decides(&world, &put_out, inside()), Err(R::NotAnAuthority), "somebody who was put out");
    let named = |grantee| {
        let mut granted = state.clone();
        let mut fact = granted.grants[0].clone();
        fact.grant.grantee = grantee;
        granted.grants.push(fact.clone());
        let answer = decides(&world, &granted, inside());
        granted.grants.pop();
        granted.grants.push(GrantFact { in_force_since: 0, ..fact });
        assert_eq!(decides(&world, &granted, inside()), Ok(()), "one guardian's word alone makes nobody a party");
        answer
    };
    let Grantee::Unit(unit) = world.unit_of(PPT_LEADER) else { panic!() };
    assert_eq!(named(Grantee::Unit(unit)), Err(R::NotAnAuthority), "whose unit was let in");
    assert_eq!(
        named(Grantee::Unit(UnitGrantee { leader: world.id(PPT), ..unit })),
        Err(R::NotAnAuthority),
        "led before"
    );
    assert_eq!(named(Grantee::Person(PersonGrantee { person, person_key })), Err(R::NotAnAuthority), "by name");
    let no_reason = AuthorityChange { decision: Hash::default(), ..decided };
    assert_eq!(decides(&world, state, by(&no_reason, &[TEACHER, LEADER, PPT_LEADER])), Err(R::DecisionMissing));
}

#[test]
fn a_key_changes_on_signatures_that_are_theirs_over_this_very_change() {
    let world = World::new();
    let card = world.family_card();
    let mother = world.device(MOTHER);
    let change = PersonKeyChange {
        scope: CARD,
        person: world.id(MOTHER),
        old: world.person(MOTHER).public(),
        new: [8; 32],
        surviving: vec![mother.public()],
    };
    let answer = |signatures| {
        let statement = Statement::PersonKeyChange(SignedPersonKeyChange { signatures });
        world.said(card.state(), TEACHER, statement).map(drop)
    };
    let by = |who: Who, device, change: Signed<PersonKeyChange>| KeyChangeSignature {
        signer: world.id(who),
        device,
        change,
    };
    let own = Some(mother.public());
    assert_eq!(answer(vec![by(MOTHER, own, Signed::sign(&change, &mother.key))]), Ok(()));
    let forged = Signed::sign(&change, &world.device(FATHER).key);
    assert_eq!(answer(vec![by(MOTHER, own, forged)]), Err(R::BadSignature), "not the device's");
    let met = |who: Who| by(who, None, Signed::sign(&change, &world.person(who).key));
    assert_eq!(answer(vec![met(TEACHER), met(FATHER)]), Ok(()));
    let forged = by(FATHER, None, Signed::sign(&change, &world.person(TEACHER).key));
    assert_eq!(answer(vec![met(TEACHER), forged]), Err(R::BadSignature), "not the father's");
    let other = PersonKeyChange { new: [7; 32], ..change.clone() };
    let other = by(FATHER, None, Signed::sign(&other, &world.person(FATHER).key));
    assert_eq!(answer(vec![met(TEACHER), other]), Err(R::GrantMismatch), "each signs another change");
    // A witness who names a device signs as the person all the same.
    let named = KeyChangeSignature { device: own, ..met(FATHER) };
    assert_eq!(answer(vec![met(TEACHER), named]), Ok(()));
}

#[test]
fn who_guards_a_key_change_where_the_holder_cannot() {
    let world = World::new();
    let card = world.family_card();
    let tried = |state: &ScopeState, by: Who, who: Who, others: &[Who]| {
        let (person, old) = (world.id(who), world.person(who).public());
        let change = PersonKeyChange { scope: state.scope(), person, old, new: [8; 32], surviving: vec![] };
        world.said(state, by, world.key_change(&change, None, others)).map(drop)
    };
    let mut state = card.state().clone();
    assert_eq!(tried(&state, TEACHER, MOTHER, &[LEADER, FATHER]), Err(R::DecisionMissing), "the holder is there");
    state.status = Status::Dormant;
    assert_eq!(tried(&state, TEACHER, MOTHER, &[LEADER, FATHER]), Ok(()), "the leader for the frozen holder");
    state.listed = vec![world.device(TEACHER).public()];
    assert_eq!(tried(&state, FATHER, MOTHER, &[TEACHER, FATHER]), Err(R::NotAMember), "on the way out");
    // In a unit the leader suffices, for an employee.
    let unit = world.found(world.device(LEADER), &world.unit_founding(), None).unwrap();
    let mut state = unit.state().clone();
    state.membership.members.push(world.founder(COLLEAGUE, Role::Employee, Hash::default()));
    assert_eq!(tried(&state, LEADER, COLLEAGUE, &[LEADER]), Ok(()));
    assert_eq!(tried(&state, LEADER, LEADER, &[COLLEAGUE]), Err(R::DecisionMissing));
}

/// The log is held by the leader of the unit itself.
fn held_by_the_leader(world: &World, state: &ScopeState) -> ScopeState {
    let mut state = state.clone();
    let holder = state.membership.members.iter_mut().find(|m| m.role == Role::Holder).unwrap();
    *holder = world.founder(LEADER, Role::Holder, holder.basis);
    state.membership = state.membership.sorted();
    state
}

#[test]
fn nobody_is_two_of_those_it_takes() {
    let world = World::new();
    let card = world.family_card();
    let led = held_by_the_leader(&world, card.state());
    let (from, to) = (world.authority(), world.authority_of(&[MOTHER], 1));
    let decided = |who: &[Who]| {
        let statement = world.authority_change(world.log(), CARD, &from, &to, Hash([4; 32]), who);
        world.said(&led, MOTHER, statement).map(drop)
    };
    assert_eq!(decided(&[LEADER, PPT_LEADER]), Err(R::DecisionMissing), "holder and leader in one");
    let (person, old) = (world.id(MOTHER), world.person(MOTHER).public());
    let change = PersonKeyChange { scope: CARD, person, old, new: [8; 32], surviving: vec![] };
    let met =
        |state: &ScopeState, who: &[Who]| world.said(state, FATHER, world.key_change(&change, None, who)).map(drop);
    assert_eq!(met(&led, &[LEADER, FATHER]), Ok(()));
    let leaving = ScopeState { listed: vec![world.device(LEADER).public()], ..led.clone() };
    assert_eq!(met(&leaving, &[LEADER, FATHER]), Err(R::DecisionMissing), "a holder on the way out");
    // A guardian who leads the holder's unit, where the holder is frozen.
    let mut both = ScopeState { status: Status::Dormant, ..card.state().clone() };
    for fact in &mut both.grants {
        let Grantee::Unit(unit) = &mut fact.grant.grantee else { panic!("a unit holds") };
        (unit.leader, unit.leader_key) = (world.id(FATHER), world.person(FATHER).public());
    }
    assert_eq!(met(&both, &[FATHER]), Err(R::DecisionMissing));
}

#[test]
fn a_new_key_is_the_persons_and_a_device_that_says_so_is_theirs() {
    let world = World::new();
    let card = world.family_card();
    let change = |who: Who, surviving| {
        let (person, old) = (world.id(who), world.person(who).public());
        PersonKeyChange { scope: CARD, person, old, new: [8; 32], surviving: vec![surviving] }
    };
    let by = |who: Who, device: &Device| {
        let change = change(who, device.public());
        let signature = KeyChangeSignature {
            signer: world.id(who),
            device: Some(device.public()),
            change: Signed::sign(&change, &device.key),
        };
        let statement = Statement::PersonKeyChange(SignedPersonKeyChange { signatures: vec![signature] });
        world.said(card.state(), TEACHER, statement)
    };
    assert_eq!(by(MOTHER, world.device(STRANGER)).map(drop), Err(R::DecisionMissing), "a device with no leaf here");
    let after = by(FATHER, world.device(FATHER)).unwrap().next_authority.unwrap();
    let keys = [MOTHER, FATHER].map(|who| *after.key(world.id(who)).unwrap());
    assert_eq!(keys, [world.person(MOTHER).public(), [8; 32]]);
}
