//! Founding a scope anew: after a rejected commit, and when nobody is left who could commit.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use crate::common::*;
use stafett_protocol::consent::*;
use stafett_protocol::event::{Body, Carried, Event, Genesis};
use stafett_protocol::ids::Hash;
use stafett_protocol::membership::{Member, Role};
use stafett_protocol::refusal::Refusal as R;
use stafett_protocol::state::Status;
use stafett_protocol::statement::*;

/// Rejects the last commit, and re-founds as `by`.
fn refound(world: &World, card: &mut Chain, by: Who) -> Result<(), Refusal> {
    let seq = card.state().last_commit;
    card.say(world, world.device(FATHER), Statement::Reject(Reject { seq, reason: RejectReason::Mls }))?;
    let event = refounding(world, card, by);
    card.submit_event(world, world.device(by), &event)
}

fn refounding(world: &World, card: &Chain, by: Who) -> Event {
    let device = world.device(by);
    let before = card.state().before_last_commit.iter().find(|m| m.person == world.id(by)).unwrap();
    let mut membership = card.membership().clone();
    membership.generation += 1;
    membership.members = vec![Member { devices: vec![device.public()], ..before.clone() }];
    let carries = Some(carried(card.membership().generation, card.state().epoch));
    founded_anew(world, card, device, membership, |genesis| genesis.carries = carries)
}

fn carried(generation: u32, epoch: u64) -> Carried {
    Carried { to: KeyPlace { generation, epoch }, link: vec![9; 48].into() }
}

/// The genesis of the next generation with this membership, altered.
fn founded_anew(
    world: &World,
    card: &Chain,
    device: &Device,
    membership: stafett_protocol::membership::Membership,
    alter: impl FnOnce(&mut Genesis),
) -> Event {
    let founding = Founding { membership, log_salt: None, card: None, grants: vec![], vouchers: vec![] };
    let Body::Genesis(mut genesis) = world.genesis_event(device, &founding).body else { panic!("no genesis") };
    alter(&mut genesis);
    Event { generation: founding.membership.generation, epoch: 0, ..card.event(device, Body::Genesis(genesis)) }
}

#[test]
fn m18_after_a_reject_a_guardian_refounds_forward_with_who_was_there() {
    let world = World::new();
    let mut card = world.card_with_reader();
    card.send(&world, world.device(TEACHER), Plan::default()).unwrap();
    let event = refounding(&world, &card, MOTHER);
    assert_eq!(card.submit_event(&world, world.device(MOTHER), &event), Err(R::NotRejected));
    let wrong = Statement::Reject(Reject { seq: 1, reason: RejectReason::Mls });
    assert_eq!(card.say(&world, world.device(PPT), wrong), Err(R::Malformed));
    card.say(
        &world,
        world.device(PPT),
        Statement::Reject(Reject { seq: card.state().last_commit, reason: RejectReason::Link }),
    )
    .unwrap();
    let by_reader = refounding(&world, &card, PPT);
    assert_eq!(card.submit_event(&world, world.device(PPT), &by_reader), Err(R::NotYours));
    let mut widened = refounding(&world, &card, MOTHER);
    widened.generation += 1;
    assert_eq!(card.submit_event(&world, world.device(MOTHER), &widened), Err(R::WrongGeneration));
    let event = refounding(&world, &card, MOTHER);
    assert_eq!(card.submit_event(&world, world.device(MOTHER), &event), Ok(()));
    assert_eq!(card.membership().generation, 2);
    assert_eq!(card.write(&world, world.device(FATHER)), Err(R::NotAMember));
    // Everybody comes back as they were, the holder and the reader without a new voucher.
    assert_eq!(card.membership().holder(), None, "the holder is not back yet");
    assert!(card.state().hold_grant().is_some(), "and holds all the same");
    for (who, role) in [(TEACHER, Role::Holder), (FATHER, Role::Guardian), (PPT, Role::Reader)] {
        let basis = card.state().readmit.iter().find(|m| m.person == world.id(who)).unwrap().basis;
        let wrong = if role == Role::Reader { Role::Actor } else { Role::Archivist };
        assert!(card.admit(&world, world.device(MOTHER), who, wrong, basis, vec![]).is_err());
        assert_eq!(card.admit(&world, world.device(MOTHER), who, role, basis, vec![]), Ok(()), "{who}");
    }
    assert_eq!(
        card.admit(&world, world.device(MOTHER), COACH, Role::Holder, Hash([0; 32]), vec![]),
        Err(R::HolderByHandover)
    );
    assert_eq!(card.write(&world, world.device(TEACHER)), Ok(()));
}

#[test]
fn m18_rejecting_the_removal_does_not_bring_the_withdrawn_back() {
    let world = World::new();
    let mut card = world.card_with_reader();
    let basis = card.membership().member(world.id(PPT)).unwrap().basis;
    card.say(&world, world.device(MOTHER), world.withdrawal(world.log(), CARD, Target::Person(world.id(PPT)), MOTHER))
        .unwrap();
    card.remove_listed(&world, world.device(MOTHER)).unwrap();
    refound(&world, &mut card, FATHER).unwrap();
    assert!(card.state().readmit.iter().all(|m| m.person != world.id(PPT)));
    let voucher = vec![world.voucher(PPT_LEADER, PPT, CARD)];
    assert_eq!(card.admit(&world, world.device(FATHER), PPT, Role::Reader, basis, voucher), Err(R::VoucherMissing));
}

#[test]
fn c3_a_withdrawal_between_refounding_and_coming_back_holds() {
    let world = World::new();
    for target in [Target::Unit(PPT_UNIT), Target::Person(world.id(PPT)), Target::All] {
        let mut card = world.card_with_reader();
        let basis = card.membership().member(world.id(PPT)).unwrap().basis;
        let hold = card.membership().holder().unwrap().basis;
        card.send(&world, world.device(TEACHER), Plan::default()).unwrap();
        refound(&world, &mut card, FATHER).unwrap();
        card.say(&world, world.device(FATHER), world.withdrawal(world.log(), CARD, target, MOTHER)).unwrap();
        assert!(card.admit(&world, world.device(FATHER), PPT, Role::Reader, basis, vec![]).is_err(), "{target:?}");
        if target == Target::All {
            assert!(card.admit(&world, world.device(FATHER), TEACHER, Role::Holder, hold, vec![]).is_err());
        }
    }
}

#[test]
fn c13_a_grant_that_expires_between_refounding_and_coming_back_lets_nobody_back() {
    let world = World::new();
    let mut card = world.card_with_reader();
    let basis = card.membership().member(world.id(PPT)).unwrap().basis;
    card.send(&world, world.device(TEACHER), Plan::default()).unwrap();
    refound(&world, &mut card, FATHER).unwrap();
    card.now = START + 365 * DAY;
    assert_eq!(card.admit(&world, world.device(FATHER), PPT, Role::Reader, basis, vec![]), Err(R::GrantExpired));
    let family = card.membership().authority.id();
    assert_eq!(card.admit(&world, world.device(FATHER), MOTHER, Role::Guardian, family, vec![]), Ok(()));
}

#[test]
fn a_second_reject_loses_nobody_who_was_not_back_yet() {
    let world = World::new();
    let mut card = world.card_with_reader();
    card.send(&world, world.device(TEACHER), Plan::default()).unwrap();
    refound(&world, &mut card, MOTHER).unwrap();
    let basis = card.membership().authority.id();
    card.admit(&world, world.device(MOTHER), FATHER, Role::Guardian, basis, vec![]).unwrap();
    refound(&world, &mut card, MOTHER).unwrap();
    assert_eq!(card.membership().generation, 3);
    let back: Vec<_> = card.state().readmit.iter().map(|m| m.person).collect();
    assert!(back.contains(&world.id(TEACHER)) && back.contains(&world.id(PPT)), "{back:?}");
    let hold = card.state().readmit.iter().find(|m| m.role == Role::Holder).unwrap().basis;
    assert_eq!(card.admit(&world, world.device(MOTHER), TEACHER, Role::Holder, hold, vec![]), Ok(()));
    assert_eq!(card.submit(&world, world.device(TEACHER), Body::Change(change())), Ok(()));
}

#[test]
fn what_was_accepted_goes_on_in_the_new_generation() {
    let world = World::new();
    let mut card = world.card_with_reader();
    card.send(&world, world.device(TEACHER), Plan::default()).unwrap();
    let (seq, epoch) = (card.state().last_commit, card.state().epoch);
    card.say(&world, world.device(FATHER), Statement::Reject(Reject { seq, reason: RejectReason::Mls })).unwrap();
    let mother = world.device(MOTHER);
    let again = |card: &Chain, carries: Option<Carried>| {
        let Body::Genesis(genesis) = refounding(&world, card, MOTHER).body else { panic!("no genesis") };
        let genesis = Genesis { carries, ..genesis };
        Event { generation: 2, epoch: 0, ..card.event(mother, Body::Genesis(genesis)) }
    };
    for wrong in [None, Some(carried(1, epoch + 1)), Some(carried(2, 0)), Some(carried(0, 0))] {
        let event = again(&card, wrong);
        assert_eq!(card.submit_event(&world, mother, &event), Err(R::LinkMissing));
    }
    // A consent comes by a statement, not beside a re-founding that any member could answer.
    let grant = world.grant(world.log(), CARD, world.unit_of(PPT_LEADER), Access::Contribute, &world.authority());
    let mut event = again(&card, Some(carried(1, epoch)));
    if let Body::Genesis(genesis) = &mut event.body {
        genesis.grants = world.signed_by(&grant, &[MOTHER, FATHER]);
    }
    assert_eq!(card.submit_event(&world, mother, &event), Err(R::GrantMismatch));
    // Whoever could not process the last commits goes on from the newest epoch that it could.
    let event = again(&card, Some(carried(1, epoch - 2)));
    assert_eq!(card.submit_event(&world, mother, &event), Ok(()));
}

#[test]
fn a_first_generation_carries_nothing() {
    let world = World::new();
    let founding = world.card_founding();
    let device = world.device(TEACHER);
    let Body::Genesis(genesis) = world.genesis_event(device, &founding).body else { panic!("no genesis") };
    let body = Body::Genesis(Genesis { carries: Some(carried(1, 0)), ..genesis });
    let event = Event { body, ..world.genesis_event(device, &founding) };
    assert_eq!(world.found_event(device, event, START, None).err(), Some(R::Malformed));
}

/// A card with the holder alone, from which everything was withdrawn before the family had come in.
fn orphan(world: &World) -> Chain {
    let mut card = world.card();
    let withdrawal = world.withdrawal(world.log(), CARD, Target::All, MOTHER);
    card.say(world, world.device(TEACHER), withdrawal).unwrap();
    assert!(card.state().is_orphaned(card.now));
    card
}

fn inherited(world: &World, card: &Chain, who: Who, role: Role, basis: Hash, grants: Vec<SignedGrant>) -> Event {
    let mut membership = card.membership().clone();
    membership.generation += 1;
    membership.members = vec![world.founder(who, role, basis)];
    let vouchers = vec![world.voucher(LEADER, TEACHER, CARD)];
    founded_anew(world, card, world.device(who), membership, |genesis| {
        (genesis.grants, genesis.vouchers) = (grants, vouchers);
    })
}

#[test]
fn an_orphaned_scope_is_founded_anew_by_the_family_and_starts_empty() {
    let world = World::new();
    let mut card = orphan(&world);
    let family = card.state().authority().id();
    for (who, role, basis) in [(PPT, Role::Guardian, family), (TEACHER, Role::Holder, Hash([0; 32]))] {
        let event = inherited(&world, &card, who, role, basis, vec![]);
        assert_eq!(card.submit_event(&world, world.device(who), &event), Err(R::NotAMember), "{who}");
    }
    let event = inherited(&world, &card, MOTHER, Role::Holder, family, vec![]);
    assert_eq!(
        card.submit_event(&world, world.device(MOTHER), &event),
        Err(R::MembershipMismatch),
        "a guardian stays one"
    );
    let event = inherited(&world, &card, MOTHER, Role::Guardian, family, vec![]);
    assert_eq!(card.submit_event(&world, world.device(MOTHER), &event), Ok(()));
    assert_eq!(card.state().status, Status::Withdrawn, "consent is not given by founding");
    assert!(card.state().readmit.is_empty(), "nobody of the family had been in");
    let living = world.card_with_reader();
    let event = inherited(&world, &living, MOTHER, Role::Guardian, family, vec![]);
    let mut living = living;
    assert_eq!(living.submit_event(&world, world.device(MOTHER), &event), Err(R::NotRejected));
    let mut alone = world.card();
    let event = inherited(&world, &alone, MOTHER, Role::Guardian, family, vec![]);
    let refused = alone.submit_event(&world, world.device(MOTHER), &event);
    assert_eq!(refused, Err(R::NotAMember), "nobody inherits from who is there");
}

#[test]
fn an_orphaned_scope_takes_a_new_holder_on_a_fresh_consent() {
    let world = World::new();
    let mut card = orphan(&world);
    let authority = card.state().authority().clone();
    let grant = ConsentGrant { salt: [77; 16], ..world.hold_grant(CARD, &authority) };
    let id = stafett_protocol::signed::id_of(&grant);
    let teacher = world.device(TEACHER);
    let half = inherited(&world, &card, TEACHER, Role::Holder, id, world.signed_by(&grant, &[MOTHER]));
    assert_eq!(card.submit_event(&world, teacher, &half), Err(R::NotAMember));
    let old = ConsentGrant { salt: world.hold_grant(CARD, &authority).salt, ..grant.clone() };
    let stale = inherited(&world, &card, TEACHER, Role::Holder, id, world.signed_by(&old, &[MOTHER, FATHER]));
    assert_eq!(card.submit_event(&world, teacher, &stale), Err(R::GrantWithdrawn));
    let event = inherited(&world, &card, TEACHER, Role::Holder, id, world.signed_by(&grant, &[MOTHER, FATHER]));
    assert_eq!(card.submit_event(&world, teacher, &event), Ok(()));
    assert_eq!(card.state().status, Status::Active);
    assert_eq!(card.write(&world, teacher), Ok(()));
    let family = card.membership().authority.id();
    assert_eq!(card.admit(&world, teacher, MOTHER, Role::Guardian, family, vec![]), Ok(()));
}

/// Two histories are no fault of the last commit: whom it let in comes back too, unlike after a commit that nobody could
/// process.
#[test]
fn two_histories_leave_nobody_behind_whom_the_last_commit_let_in() {
    let world = World::new();
    for (reason, stays) in [(RejectReason::Mls, false), (RejectReason::TwoHistories, true)] {
        let mut card = world.card_with_reader();
        let newest = card.membership().members.iter().find(|m| {
            let before = &card.state().before_last_commit;
            before.iter().all(|b| b.person != m.person)
        });
        let newest = newest.expect("the last commit let somebody in").person;
        let seq = card.state().last_commit;
        card.say(&world, world.device(FATHER), Statement::Reject(Reject { seq, reason })).unwrap();
        let event = refounding(&world, &card, MOTHER);
        card.submit_event(&world, world.device(MOTHER), &event).unwrap();
        assert_eq!(card.state().present().any(|m| m.person == newest), stays, "{reason:?}");
    }
}
