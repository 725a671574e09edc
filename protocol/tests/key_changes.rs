//! With which key people consent: a device that was lost, a key that changes, and who can say so.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use crate::authority::{read_grant, sign};
use crate::common::*;
use stafett_protocol::consent::*;
use stafett_protocol::membership::Role;
use stafett_protocol::refusal::Refusal as R;
use stafett_protocol::state::GrantStanding;
use stafett_protocol::statement::*;

fn key_change(world: &World, card: &Chain, who: Who, new: &str, surviving: &[usize]) -> PersonKeyChange {
    PersonKeyChange {
        scope: card.scope(),
        person: world.id(who),
        old: *card.state().key_of(world.id(who)).unwrap(),
        new: public(&key(new)),
        surviving: surviving.iter().map(|n| world.device_n(who, *n).public()).collect(),
    }
}

/// A card where the mother has two devices.
fn two_devices(world: &World) -> Chain {
    let mut card = world.family_card();
    let basis = card.membership().authority.id();
    let membership = Some(card.with(world, MOTHER, &[1], Role::Guardian, basis));
    let adds = vec![world.device_n(MOTHER, 1).key_package()];
    card.send(world, world.device(MOTHER), Plan { adds, membership, ..Plan::default() }).unwrap();
    card
}

#[test]
fn a_lost_device_goes_and_what_the_old_key_says_later_is_void() {
    let mut world = World::new();
    let mut card = two_devices(&world);
    let change = key_change(&world, &card, MOTHER, "mother's new key", &[1]);
    let by_survivor = world.key_change(&change, Some(world.device_n(MOTHER, 1)), &[]);
    let by_lost = world.key_change(&change, Some(world.device(MOTHER)), &[]);
    let stale = read_grant(&world, &card, 1);
    let old_signature = world.sign_grant(&stale, MOTHER);
    assert_eq!(
        card.say(&world, world.device(MOTHER), by_lost),
        Err(R::DecisionMissing),
        "the lost one does not survive"
    );
    assert_eq!(card.say(&world, world.device_n(MOTHER, 1), by_survivor), Ok(()));
    assert_eq!(card.write(&world, world.device(MOTHER)), Err(R::Listed));
    // The thief signs with the old key.
    assert!(card.say(&world, world.device(FATHER), Statement::Grant(old_signature)).is_err());
    let fresh = read_grant(&world, &card, 2);
    assert_eq!(sign(&world, &mut card, &fresh, MOTHER), Err(R::BadSignature), "still the old key");
    let thiefs = key_change(&world, &card, MOTHER, "the thief's key", &[0]);
    let by_thief = world.key_change(&thiefs, Some(world.device(MOTHER)), &[]);
    assert_eq!(
        card.say(&world, world.device(FATHER), by_thief),
        Err(R::DecisionMissing),
        "a listed device speaks for nobody"
    );
    // A new device under the old key.
    let basis = card.membership().authority.id();
    let lost = world.device(MOTHER).public();
    let third = |card: &Chain, world: &World| {
        let mut next = without(card.with(world, MOTHER, &[2], Role::Guardian, basis), &[lost]);
        let key = card.membership().member(world.id(MOTHER)).unwrap().person_key;
        next.members.iter_mut().find(|m| m.person == world.id(MOTHER)).unwrap().person_key = key;
        Plan {
            adds: vec![world.device_n(MOTHER, 2).key_package()],
            removes: vec![lost],
            membership: Some(next),
            ..Plan::default()
        }
    };
    let plan = third(&card, &world);
    assert_eq!(card.send(&world, world.device(FATHER), plan), Err(R::KeyNotPinned));
    // The surviving device, certified anew, removes the lost one and writes the new key down.
    world.rekey(MOTHER, "mother's new key");
    let survivor = world.device_n(MOTHER, 1);
    let mut next = card.without(&[lost]);
    next.members.iter_mut().find(|m| m.person == world.id(MOTHER)).unwrap().person_key = change.new;
    let leaf = openmls::prelude::LeafNodeParameters::builder().with_credential_with_key(survivor.with_key()).build();
    let plan = Plan { removes: vec![lost], membership: Some(next), leaf, ..Plan::default() };
    assert_eq!(card.send(&world, survivor, plan), Ok(()));
    assert_eq!(card.write(&world, survivor), Ok(()));
    assert_eq!(sign(&world, &mut card, &fresh, MOTHER), Ok(GrantStanding::Waiting), "the new key counts");
}

#[test]
fn a_key_changes_by_two_who_met_the_person_and_by_no_other_two() {
    let world = World::new();
    let card = || {
        let mut card = world.card_with_reader();
        let grant = world.give(&mut card, world.person_grantee(COACH), Access::Read);
        card.admit(&world, world.device(TEACHER), COACH, Role::Reader, grant, vec![]).unwrap();
        card
    };
    let try_signers = |who: Who, others: &[Who]| {
        let mut card = card();
        let change = key_change(&world, &card, who, "new", &[]);
        card.say(&world, world.device(TEACHER), world.key_change(&change, None, others))
    };
    assert_eq!(try_signers(MOTHER, &[TEACHER, FATHER]), Ok(()));
    for others in [&[TEACHER][..], &[FATHER], &[FATHER, FATHER], &[TEACHER, MOTHER], &[PPT, FATHER], &[TEACHER, PPT]] {
        assert_eq!(try_signers(MOTHER, others), Err(R::DecisionMissing), "{others:?}");
    }
    assert_eq!(try_signers(MOTHER, &[STRANGER, FATHER]), Err(R::NotAMember));
    assert_eq!(try_signers(TEACHER, &[LEADER, MOTHER]), Ok(()));
    assert_eq!(try_signers(TEACHER, &[PPT_LEADER, MOTHER]), Err(R::NotAMember), "not the holder's leader");
    assert_eq!(try_signers(PPT, &[PPT_LEADER, MOTHER]), Ok(()));
    assert_eq!(try_signers(PPT, &[LEADER, MOTHER]), Err(R::NotAMember));
    assert_eq!(try_signers(PPT, &[COACH, MOTHER]), Err(R::DecisionMissing));
}

#[test]
fn a_key_change_names_the_key_that_counts() {
    let world = World::new();
    let mut card = two_devices(&world);
    let good = key_change(&world, &card, MOTHER, "one", &[0, 1]);
    let first = world.device(MOTHER);
    for bad in [
        PersonKeyChange { old: [1; 32], ..good.clone() },
        PersonKeyChange { scope: JOURNAL, ..good.clone() },
        PersonKeyChange { new: good.old, ..good.clone() },
    ] {
        assert_eq!(card.say(&world, first, world.key_change(&bad, Some(first), &[])), Err(R::KeyNotPinned));
    }
    card.say(&world, first, world.key_change(&good, Some(first), &[])).unwrap();
    let again = PersonKeyChange { new: [8; 32], ..good.clone() };
    assert_eq!(
        card.say(&world, first, world.key_change(&again, Some(first), &[])),
        Err(R::DecisionMissing),
        "from the pinned key only in person"
    );
    assert_eq!(card.say(&world, first, world.key_change(&again, None, &[TEACHER, FATHER])), Ok(()), "this form wins");
    assert_eq!(card.state().key_of(world.id(MOTHER)), Some(&[8; 32]));
    assert_eq!(card.state().authority().key(world.id(MOTHER)), Some(&[8; 32]));
}

#[test]
fn an_employee_gains_no_device_under_a_key_that_was_lost() {
    let world = World::new();
    let mut card = world.card_with_reader();
    let basis = card.membership().member(world.id(PPT)).unwrap().basis;
    let with_second = |card: &Chain| Plan {
        adds: vec![world.device_n(PPT, 1).key_package()],
        membership: Some(card.with(&world, PPT, &[1], Role::Reader, basis)),
        ..Plan::default()
    };
    let change = key_change(&world, &card, PPT, "the employee's new key", &[0]);
    card.say(&world, world.device(TEACHER), world.key_change(&change, None, &[PPT_LEADER, MOTHER])).unwrap();
    let plan = with_second(&card);
    assert_eq!(card.send(&world, world.device(TEACHER), plan), Err(R::KeyNotPinned));
    let mut card = world.card_with_reader();
    let plan = with_second(&card);
    assert_eq!(card.send(&world, world.device(TEACHER), plan), Ok(()));
}
