//! Who consents: age, paper, changes of authority.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use crate::common::*;
use stafett_protocol::consent::*;
use stafett_protocol::ids::Hash;
use stafett_protocol::limits;
use stafett_protocol::membership::{ConsentAuthority, Role};
use stafett_protocol::refusal::Refusal as R;
use stafett_protocol::signed::id_of;
use stafett_protocol::state::{GrantStanding, Status};
use stafett_protocol::statement::*;

pub fn sign(world: &World, card: &mut Chain, grant: &ConsentGrant, who: Who) -> Result<GrantStanding, Refusal> {
    card.say(world, world.device(TEACHER), Statement::Grant(world.sign_grant(grant, who)))?;
    Ok(card.state().grant(&id_of(grant)).unwrap().standing(card.now))
}

pub fn read_grant(world: &World, card: &Chain, salt: u8) -> ConsentGrant {
    let grant = world.grant(world.log(), CARD, world.unit_of(PPT_LEADER), Access::Read, card.state().authority());
    ConsentGrant { salt: [salt; 16], ..grant }
}

#[test]
fn c9_from_youth_from_only_the_youth_grants_and_old_grants_stand() {
    let world = World::new();
    let youth =
        ConsentAuthority { child: Some(world.authority_person(CHILD)), youth_from: START + DAY, ..world.authority() };
    let mut card =
        world.found(world.device(TEACHER), &world.card_founding_under(&youth, &[MOTHER, FATHER]), None).unwrap();
    world.add_family(&mut card);
    card.admit(&world, world.device(TEACHER), CHILD, Role::Child, youth.id(), vec![]).unwrap();
    let grant = read_grant(&world, &card, 1);
    assert_eq!(sign(&world, &mut card, &grant, CHILD), Err(R::NotAnAuthority));
    let id = world.give_grant(&mut card, &grant);
    let voucher = vec![world.voucher(PPT_LEADER, PPT, CARD)];
    let by_child = card.admit(&world, world.device(CHILD), PPT, Role::Reader, id, voucher.clone());
    assert_eq!(by_child, Err(R::NotYours));
    card.now = START + DAY;
    assert_eq!(card.state().status_at(card.now), Status::Active);
    let second = read_grant(&world, &card, 2);
    assert_eq!(sign(&world, &mut card, &second, MOTHER), Err(R::NotAnAuthority));
    assert_eq!(sign(&world, &mut card, &second, CHILD), Ok(GrantStanding::InForce));
    assert_eq!(card.admit(&world, world.device(CHILD), PPT, Role::Reader, id, voucher), Ok(()));
    assert_eq!(card.say(&world, world.device(CHILD), world.withdrawal(world.log(), CARD, Target::All, CHILD)), Ok(()));
}

#[test]
fn paper_counts_with_holder_and_leader_for_those_without_a_device() {
    let world = World::new();
    // The mother signed the founding with her key; the other guardian has no device.
    let authority = world.authority_of(&[MOTHER, STRANGER], 1);
    let founding = world.card_founding_under(&authority, &[MOTHER]);
    let mut paper = world.found(world.device(TEACHER), &founding, None).unwrap();
    paper.now += 1;
    let teacher = world.device(TEACHER);
    let grant = ConsentGrant {
        salt: [3; 16],
        ..world.grant(world.log(), CARD, world.unit_of(PPT_LEADER), Access::Read, &authority)
    };
    let say = |card: &mut Chain, statement| card.say(&world, teacher, statement);
    assert_eq!(
        say(&mut paper, world.attested(&grant, STRANGER, TEACHER, PPT_LEADER)),
        Err(R::BadSignature),
        "another unit's leader"
    );
    assert_eq!(say(&mut paper, world.attested(&grant, FATHER, TEACHER, LEADER)), Err(R::NotAnAuthority));
    assert_eq!(
        say(&mut paper, world.attested(&grant, MOTHER, TEACHER, LEADER)),
        Err(R::NotAnAuthority),
        "she signed with a key"
    );
    let other = ConsentGrant { scope: JOURNAL, ..grant.clone() };
    assert_eq!(say(&mut paper, world.attested(&other, STRANGER, TEACHER, LEADER)), Err(R::GrantMismatch));
    let long = ConsentGrant { expires_at: START + 900 * DAY, ..grant.clone() };
    assert_eq!(say(&mut paper, world.attested(&long, STRANGER, TEACHER, LEADER)), Err(R::GrantTooLong));
    assert_eq!(say(&mut paper, world.attested(&grant, STRANGER, TEACHER, LEADER)), Ok(()));
    let fact = |card: &Chain| card.state().grant(&id_of(&grant)).unwrap().standing(card.now);
    assert_eq!(fact(&paper), GrantStanding::InForce);
    assert_eq!(say(&mut paper, world.attested(&grant, STRANGER, TEACHER, LEADER)), Err(R::AlreadySigned));
    // It lapses, unless countersigned.
    let at = paper.now - 1;
    paper.now = at + limits::ATTESTED_CONSENT_MILLIS - 1;
    assert_eq!(fact(&paper), GrantStanding::InForce);
    paper.now = at + limits::ATTESTED_CONSENT_MILLIS;
    assert_eq!(fact(&paper), GrantStanding::Expired);
    assert_eq!(sign(&world, &mut paper, &grant, STRANGER), Ok(GrantStanding::InForce), "countersigned");
}

#[test]
fn paper_is_for_the_holder_alone_and_does_not_lift_a_veto() {
    let world = World::new();
    let mut card = world.family_card();
    let grant = read_grant(&world, &card, 1);
    let by_mother = card.say(&world, world.device(MOTHER), world.attested(&grant, FATHER, TEACHER, LEADER));
    assert_eq!(by_mother, Err(R::NotYours));
    let father = card.say(&world, world.device(TEACHER), world.attested(&grant, FATHER, TEACHER, LEADER));
    assert_eq!(father, Err(R::NotAnAuthority), "he has a device here");
    let alone = card.say(&world, world.device(TEACHER), world.attested(&grant, FATHER, TEACHER, TEACHER));
    assert_eq!(alone, Err(R::BadSignature));
}

#[test]
fn c10_who_loses_responsibility_grants_nothing_from_that_receipt_on() {
    let world = World::new();
    let mut card = world.family_card();
    let (old, alone) = (world.authority(), world.authority_of(&[MOTHER], 1));
    let change = |from: &ConsentAuthority, to: &ConsentAuthority, decision, who: &[Who]| {
        world.authority_change(world.log(), CARD, from, to, decision, who)
    };
    let say = |card: &mut Chain, statement| card.say(&world, world.device(TEACHER), statement);
    let decision = Hash([4; 32]);
    assert_eq!(say(&mut card, change(&old, &alone, Hash::default(), &[MOTHER])), Err(R::DecisionMissing));
    assert_eq!(say(&mut card, change(&old, &alone, Hash::default(), &[MOTHER, MOTHER])), Err(R::DecisionMissing));
    let three = &[TEACHER, LEADER, PPT_LEADER];
    let by_three = |card: &mut Chain, to: &ConsentAuthority| say(card, change(&old, to, decision, three));
    assert_eq!(say(&mut card, change(&old, &alone, Hash::default(), three)), Err(R::DecisionMissing), "no decision");
    assert_eq!(say(&mut card, change(&old, &alone, decision, &[TEACHER])), Err(R::DecisionMissing));
    assert_eq!(say(&mut card, change(&old, &alone, decision, &[TEACHER, COACH])), Err(R::NotAnAuthority));
    assert_eq!(say(&mut card, change(&alone, &alone, decision, three)), Err(R::GrantMismatch));
    assert_eq!(by_three(&mut card, &ConsentAuthority { quorum: 0, ..alone.clone() }), Err(R::QuorumMissing));
    let mut rekeyed = old.clone();
    rekeyed.guardians[1].key = [9; 32];
    assert_eq!(by_three(&mut card, &rekeyed), Err(R::KeyNotPinned));
    let grant = ConsentGrant { authority: old.id(), ..read_grant(&world, &card, 1) };
    sign(&world, &mut card, &grant, MOTHER).unwrap();
    assert_eq!(by_three(&mut card, &alone), Ok(()), "noted, and nothing more");
    assert_eq!(card.state().authority(), &old);
    card.now += limits::DECISION_WAIT_MILLIS - 2;
    assert_eq!(by_three(&mut card, &alone), Err(R::DecisionWaits));
    assert_eq!(card.write(&world, world.device(FATHER)), Ok(()));
    card.now += 1;
    assert_eq!(by_three(&mut card, &alone), Ok(()));
    // No commit has written it yet.
    assert_eq!(sign(&world, &mut card, &grant, FATHER), Err(R::NotAnAuthority));
    assert_eq!(card.write(&world, world.device(FATHER)), Err(R::Listed));
    assert_eq!(
        say(&mut card, change(&old, &old, decision, &[MOTHER, FATHER])),
        Err(R::GrantMismatch),
        "the old quorum is gone"
    );
    assert_eq!(say(&mut card, world.withdrawal(world.log(), CARD, Target::All, FATHER)), Err(R::NotAnAuthority));
    // The committer may not keep him in by a new device.
    let second = world.device_n(FATHER, 1);
    let mut kept = card.membership().clone();
    kept.members.iter_mut().find(|m| m.person == world.id(FATHER)).unwrap().devices = vec![second.public()];
    let plan = Plan {
        adds: vec![second.key_package()],
        removes: vec![world.device(FATHER).public()],
        membership: Some(kept),
        ..Plan::default()
    };
    assert_eq!(card.send(&world, world.device(TEACHER), plan), Err(R::NotAnAuthority));
    let mut next = card.without(&[world.device(FATHER).public()]);
    next.authority = alone.clone();
    let plan = Plan { removes: vec![world.device(FATHER).public()], membership: Some(next), ..Plan::default() };
    assert_eq!(card.send(&world, world.device(MOTHER), plan), Ok(()));
    assert_eq!(card.state().next_authority, None);
    assert_eq!(card.membership().authority, alone);
    let second = read_grant(&world, &card, 2);
    assert_eq!(sign(&world, &mut card, &second, MOTHER), Ok(GrantStanding::InForce));
}

/// Attack A6: takeover, an account of her own as holder, and any "decision", each signed by her alone.
#[test]
fn c10_a_leader_alone_does_not_take_the_log_from_the_family() {
    let world = World::new();
    let mut card = world.family_card();
    world.seat_custodian(&mut card, LEADER);
    let (leader, old) = (world.device(LEADER), world.authority());
    let takeover = Statement::Takeover(Takeover { reason: Hash([1; 32]) });
    card.say(&world, leader, takeover).unwrap();
    let offer = world.offer(&card, world.to_unit(LEADER, Some(COLLEAGUE)), card.basis());
    card.hand_over(&world, &offer, LEADER, COLLEAGUE).unwrap();
    assert_eq!(card.membership().holder().unwrap().person, world.id(COLLEAGUE), "hers, by the family's own consent");
    for to in [world.authority_of(&[STRANGER], 1), world.authority_of(&[MOTHER], 1)] {
        let decision = world.authority_change(world.log(), CARD, &old, &to, Hash([4; 32]), &[COLLEAGUE, LEADER]);
        for _ in 0..2 {
            assert_eq!(card.say(&world, world.device(COLLEAGUE), decision.clone()), Err(R::DecisionMissing));
            card.now += limits::DECISION_WAIT_MILLIS;
        }
    }
    assert_eq!(card.state().authority(), &old);
    assert_eq!(
        card.say(&world, world.device(MOTHER), world.withdrawal(world.log(), CARD, Target::All, MOTHER)),
        Ok(())
    );
}

#[test]
fn c10_a_decision_leaves_a_guardian_and_the_child_as_they_are_and_yields_to_an_objection() {
    let world = World::new();
    let mut card = world.family_card();
    let old = world.authority();
    let bring = |card: &mut Chain, to: &ConsentAuthority, also: &[Who]| {
        let who = [&[TEACHER, LEADER, PPT_LEADER], also].concat();
        let change = world.authority_change(world.log(), CARD, &old, to, Hash([4; 32]), &who);
        card.say(&world, world.device(TEACHER), change)
    };
    let youth = ConsentAuthority { child: Some(world.authority_person(CHILD)), youth_from: 1, ..old.clone() };
    for to in [world.authority_of(&[STRANGER], 1), youth, ConsentAuthority { youth_from: 1, ..old.clone() }] {
        assert_eq!(bring(&mut card, &to, &[]), Err(R::DecisionMissing));
    }
    let alone = world.authority_of(&[MOTHER], 1);
    bring(&mut card, &alone, &[]).unwrap();
    let change = card.state().decisions[0].change;
    let object = |card: &mut Chain, who: Who, change: Hash| {
        card.say(&world, world.device(who), Statement::Objection(Objection { change }))
    };
    assert_eq!(object(&mut card, TEACHER, change), Err(R::NotYours));
    assert_eq!(object(&mut card, FATHER, Hash([1; 32])), Err(R::DecisionMissing), "no such decision");
    assert_eq!(object(&mut card, FATHER, change), Ok(()));
    assert_eq!(object(&mut card, FATHER, change), Err(R::AlreadySigned));
    card.now += limits::DECISION_WAIT_MILLIS;
    assert_eq!(bring(&mut card, &alone, &[]), Err(R::DecisionObjected));
    // Whoever stays as guardian may overrule it.
    assert_eq!(bring(&mut card, &alone, &[MOTHER]), Ok(()));
    assert_eq!(card.state().authority(), &alone);
    assert!(card.state().decisions.is_empty());
}

#[test]
fn decisions_that_wait_are_few_and_the_oldest_goes() {
    let world = World::new();
    let card = world.family_card();
    let (old, to) = (world.authority(), world.authority_of(&[MOTHER], 1));
    let mut state = card.state().clone();
    for n in 0..=limits::DECISIONS_WAITING {
        let decision = Hash([n as u8 + 1; 32]);
        let three = &[TEACHER, LEADER, PPT_LEADER];
        let change = world.authority_change(world.log(), CARD, &old, &to, decision, three);
        let before = state.clone();
        state = world.said(&state, TEACHER, change).unwrap();
        assert_ne!(state.decisions, before.decisions);
    }
    assert_eq!(state.decisions.len(), limits::DECISIONS_WAITING);
}

/// Attack A10: with a quorum below all, one guardian drops the other.
#[test]
fn c10_a_quorum_below_all_drops_no_guardian_and_names_no_youth_without_them() {
    let world = World::new();
    let one = world.authority_of(&[MOTHER, FATHER], 1);
    let mut card = world.found(world.device(TEACHER), &world.card_founding_under(&one, &[MOTHER]), None).unwrap();
    world.add_family(&mut card);
    let say = |card: &mut Chain, to: &ConsentAuthority, who: &[Who]| {
        let change = world.authority_change(world.log(), CARD, &one, to, Hash::default(), who);
        card.say(&world, world.device(TEACHER), change)
    };
    let youth = ConsentAuthority { child: Some(world.authority_person(CHILD)), ..one.clone() };
    for to in [world.authority_of(&[FATHER], 1), world.authority_of(&[FATHER, STRANGER], 2), youth.clone()] {
        assert_eq!(say(&mut card, &to, &[FATHER]), Err(R::DecisionMissing));
    }
    assert_eq!(say(&mut card, &youth, &[FATHER, MOTHER]), Ok(()));
    let change = world.authority_change(world.log(), CARD, &youth, &one, Hash::default(), &[FATHER]);
    assert_eq!(card.say(&world, world.device(TEACHER), change), Err(R::DecisionMissing), "nor drops the child");
    let more =
        ConsentAuthority { guardians: world.authority_of(&[MOTHER, FATHER, STRANGER], 1).guardians, ..youth.clone() };
    let change = world.authority_change(world.log(), CARD, &youth, &more, Hash::default(), &[FATHER]);
    assert_eq!(card.say(&world, world.device(TEACHER), change), Ok(()), "the quorum names one more");
}
