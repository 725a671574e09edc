//! In the holder's place (K8): the unit's leader after a takeover that the family sees; the family itself,
//! where a log has no holder who may act.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use crate::common::*;
use stafett_protocol::consent::Target;
use stafett_protocol::handover::HandoverOffer;
use stafett_protocol::ids::Hash;
use stafett_protocol::membership::{Role, ScopeKind};
use stafett_protocol::refusal::Refusal as R;
use stafett_protocol::state::Status;
use stafett_protocol::statement::Statement;
use stafett_protocol::statement::Takeover;

/// Whether this offer, accepted by `who` and committed by `by`, is let in.
fn hand(world: &World, chain: &mut Chain, offer: &HandoverOffer, by: Who, who: Who) -> Result<(), Refusal> {
    chain.hand_over(world, offer, by, who)
}

fn holders(card: &Chain) -> usize {
    card.membership().members.iter().filter(|m| m.role == Role::Holder).count()
}

#[test]
fn k8_a_leader_hands_over_for_the_holder_once_the_family_sees_why() {
    let world = World::new();
    let mut card = world.family_card();
    world.seat_custodian(&mut card, LEADER);
    let offer = world.offer(&card, world.to_unit(LEADER, Some(COLLEAGUE)), card.basis());
    let leader = world.device(LEADER);
    assert_eq!(hand(&world, &mut card, &offer, LEADER, COLLEAGUE), Err(R::TakeoverFirst));
    let takeover = |reason| Statement::Takeover(Takeover { reason });
    assert_eq!(card.say(&world, leader, takeover(Hash::default())), Err(R::ReasonMissing));
    for by in [TEACHER, MOTHER] {
        assert_eq!(card.say(&world, world.device(by), takeover(Hash([1; 32]))), Err(R::NotYours), "{by}");
    }
    assert_eq!(card.say(&world, leader, takeover(Hash([1; 32]))), Ok(()));
    assert_eq!(card.say(&world, leader, takeover(Hash([2; 32]))), Err(R::AlreadySigned));
    assert_eq!(card.write(&world, leader), Err(R::ReadOnly), "it hands over, nothing more");
    assert_eq!(hand(&world, &mut card, &offer, LEADER, COLLEAGUE), Ok(()));
    assert_eq!((holders(&card), card.role(&world, COLLEAGUE)), (1, Some(Role::Holder)));
    assert_eq!(card.role(&world, LEADER), Some(Role::Custodian), "of the unit that holds still");
    card.remove_listed(&world, leader).unwrap();
    // With the next holder it begins anew.
    let next = world.offer(&card, world.to_unit(LEADER, Some(TEACHER)), card.basis());
    assert_eq!(hand(&world, &mut card, &next, LEADER, TEACHER), Err(R::TakeoverFirst));
}

/// Somebody who is being relieved could hold on to the log for ever: with one more concern, again and again, that nobody
/// else is in and nobody else could hand over.
#[test]
fn k8_whoever_is_being_relieved_begins_nothing_new() {
    let world = World::new();
    let mut card = world.family_card();
    world.seat_custodian(&mut card, LEADER);
    let founded = |card: &Chain| {
        let founding = world.log_founding(CONCERN, ScopeKind::Concern);
        world.found(world.device(TEACHER), &founding, Some(card.state())).map(drop)
    };
    assert_eq!(founded(&card), Ok(()));
    card.say(&world, world.device(LEADER), Statement::Takeover(Takeover { reason: Hash([1; 32]) })).unwrap();
    assert_eq!(founded(&card), Err(R::TakenOver));
    let offer = world.offer(&card, world.to_unit(LEADER, Some(COLLEAGUE)), card.basis());
    assert_eq!(hand(&world, &mut card, &offer, LEADER, COLLEAGUE), Ok(()));
    assert_eq!(founded(&card), Err(R::NotOnCard));
}

#[test]
fn k8_no_other_leader_takes_over_and_no_other_scope_hears_of_it() {
    let world = World::new();
    let mut card = world.family_card();
    world.seat_custodian(&mut card, PPT_LEADER);
    let takeover = Statement::Takeover(Takeover { reason: Hash([1; 32]) });
    assert_eq!(card.say(&world, world.device(PPT_LEADER), takeover.clone()), Err(R::NotYours));
    let mut concern = world.concern(card.state());
    concern.card = None;
    world.seat_custodian(&mut concern, LEADER);
    assert_eq!(concern.say(&world, world.device(LEADER), takeover), Err(R::WrongScope));
    // In a concern the card's chain decides, where it is at hand.
    let offer = world.offer(&concern, world.to_unit(LEADER, Some(COLLEAGUE)), concern.basis());
    concern.card = Some(card.state().clone());
    assert_eq!(hand(&world, &mut concern, &offer, LEADER, COLLEAGUE), Err(R::TakeoverFirst));
}

#[test]
fn a_dormant_log_is_woken_by_the_family_on_a_fresh_grant() {
    let world = World::new();
    let mut card = world.family_card();
    world.seat_custodian(&mut card, LEADER);
    card.say(&world, world.device(LEADER), Statement::Takeover(Takeover { reason: Hash([1; 32]) })).unwrap();
    let old = card.basis();
    let end = world.withdrawal_salted(world.log(), CARD, Target::Grant(old), MOTHER, 4);
    card.say(&world, world.device(MOTHER), end).unwrap();
    assert_eq!(card.state().status, Status::Dormant);
    let to = world.to_unit(LEADER, Some(COLLEAGUE));
    let stale = world.offer(&card, to, old);
    assert_eq!(hand(&world, &mut card, &stale, MOTHER, COLLEAGUE), Err(R::GrantWithdrawn));
    let fresh = world.give_hold(&mut card, LEADER, 5);
    let offer = world.offer(&card, to, fresh);
    assert_eq!(hand(&world, &mut card, &offer, TEACHER, COLLEAGUE), Err(R::NotActive), "the holder is frozen");
    assert_eq!(hand(&world, &mut card, &offer, LEADER, COLLEAGUE), Err(R::NotActive), "so is the leader");
    assert_eq!(hand(&world, &mut card, &offer, FATHER, COLLEAGUE), Ok(()));
    assert_eq!((card.state().status, holders(&card)), (Status::Active, 1));
    card.remove_listed(&world, world.device(MOTHER)).unwrap();
    assert_eq!(card.write(&world, world.device(COLLEAGUE)), Ok(()));
}

#[test]
fn an_expired_consent_is_renewed_by_a_handover_to_the_same_holder() {
    let world = World::new();
    let mut card = world.family_card();
    card.now = START + 366 * DAY;
    assert_eq!(card.write(&world, world.device(TEACHER)), Err(R::NotActive));
    let fresh = world.give_hold(&mut card, LEADER, 5);
    let offer = world.offer(&card, world.to_unit(LEADER, Some(TEACHER)), fresh);
    assert_eq!(hand(&world, &mut card, &offer, TEACHER, TEACHER), Err(R::NotActive));
    assert_eq!(hand(&world, &mut card, &offer, MOTHER, TEACHER), Ok(()));
    assert_eq!(card.write(&world, world.device(TEACHER)), Ok(()));
}

#[test]
fn a_withdrawn_log_wakes_on_a_fresh_grant_and_a_handover_that_relieves_nobody() {
    let world = World::new();
    let mut card = world.family_card();
    let end = world.withdrawal_salted(world.log(), CARD, Target::All, MOTHER, 4);
    card.say(&world, world.device(MOTHER), end).unwrap();
    card.remove_listed(&world, world.device(FATHER)).unwrap();
    let offer = world.offer(&card, world.to_unit(LEADER, Some(COLLEAGUE)), Hash::default());
    assert_eq!(hand(&world, &mut card, &offer, MOTHER, COLLEAGUE), Err(R::NotActive), "without a grant");
    let fresh = world.give_hold(&mut card, LEADER, 5);
    assert_eq!(card.state().status, Status::Dormant);
    let offer = HandoverOffer { basis: fresh, ..offer };
    let relieving = HandoverOffer { from: world.id(TEACHER), ..offer.clone() };
    assert_eq!(hand(&world, &mut card, &relieving, MOTHER, COLLEAGUE), Err(R::HandoverMismatch));
    assert_eq!(hand(&world, &mut card, &offer, MOTHER, COLLEAGUE), Ok(()));
    assert_eq!((card.state().status, holders(&card)), (Status::Active, 1));
}

/// Who is named while nobody may write must not stay outside: nobody else could wake the log.
#[test]
fn a_guardian_who_is_named_while_the_log_rests_comes_in() {
    let world = World::new();
    let rests =
        [(false, vec![STRANGER], TEACHER, Status::Dormant), (true, vec![MOTHER, STRANGER], MOTHER, Status::Withdrawn)];
    for (all, guardians, by, status) in rests {
        let mut card = world.family_card();
        let target = if all { Target::All } else { Target::Grant(card.basis()) };
        let end = world.withdrawal_salted(world.log(), CARD, target, MOTHER, 4);
        card.say(&world, world.device(MOTHER), end).unwrap();
        let named = world.authority_of(&guardians, 1);
        let (old, quorum) = (world.authority(), &[MOTHER, FATHER]);
        let change = world.authority_change(world.log(), CARD, &old, &named, Hash::default(), quorum);
        card.say(&world, world.device(FATHER), change).unwrap();
        card.remove_listed(&world, world.device(by)).unwrap();
        assert_eq!(card.state().status, status);
        let basis = named.id();
        let employee = card.admit(&world, world.device(by), COACH, Role::Reader, basis, vec![]);
        assert_eq!(employee, Err(R::NotActive), "nobody else does");
        let comes = card.admit(&world, world.device(by), STRANGER, Role::Guardian, basis, vec![]);
        assert_eq!(comes, Ok(()), "{status:?}");
        assert_eq!(card.role(&world, STRANGER), Some(Role::Guardian));
    }
}
