//! Withdrawal and expiry: they hold from their receipt on, against everything, in any order.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use crate::common::*;
use stafett_protocol::consent::{Access, ConsentGrant, Target};
use stafett_protocol::membership::Role;
use stafett_protocol::refusal::Refusal as R;
use stafett_protocol::signed::id_of;
use stafett_protocol::state::GrantStanding;
use stafett_protocol::statement::Statement;

pub fn withdraw(world: &World, chain: &mut Chain, who: Who, target: Target) -> Result<(), Refusal> {
    let salt = u8::try_from(chain.state().position.seq % 250).unwrap() + 1;
    let statement = world.withdrawal_salted(world.log(), chain.scope(), target, who, salt);
    chain.say(world, world.device(MOTHER), statement)
}

pub fn readable(world: &World, chain: &Chain, who: Who) -> bool {
    chain.state().may_read(world.device(who).id(), chain.now)
}

#[test]
fn b8_a_withdrawal_holds_from_its_receipt_with_nobody_else_online() {
    let world = World::new();
    let mut card = world.card_with_reader();
    assert!(readable(&world, &card, PPT));
    withdraw(&world, &mut card, MOTHER, Target::Unit(PPT_UNIT)).unwrap();
    assert!(!readable(&world, &card, PPT), "C7: before any commit");
    assert_eq!(card.write(&world, world.device(PPT)), Err(R::Listed));
    assert_eq!(card.send(&world, world.device(PPT), Plan::default()), Err(R::Listed));
    // M26: whoever wants to go on removes first.
    for by in [MOTHER, FATHER, TEACHER] {
        assert_eq!(card.write(&world, world.device(by)), Err(R::RemovalFirst));
        assert_eq!(card.send(&world, world.device(by), Plan::default()), Err(R::RemovalFirst), "own update by {by}");
    }
    card.remove_listed(&world, world.device(TEACHER)).unwrap();
    assert_eq!(card.write(&world, world.device(TEACHER)), Ok(()));
    assert!(card.state().listed.is_empty());
    assert!(card.membership().member(world.id(PPT)).is_none());
}

#[test]
fn c3_a_withdrawn_grant_lets_nobody_in_again() {
    let world = World::new();
    let mut card = world.card_with_reader();
    let grant = card.membership().member(world.id(PPT)).unwrap().basis;
    withdraw(&world, &mut card, FATHER, Target::Grant(grant)).unwrap();
    card.remove_listed(&world, world.device(MOTHER)).unwrap();
    let voucher = vec![world.voucher(PPT_LEADER, PPT, CARD)];
    assert_eq!(card.admit(&world, world.device(TEACHER), PPT, Role::Reader, grant, voucher), Err(R::GrantWithdrawn));
    let again = card.state().grant(&grant).unwrap().grant.clone();
    assert_eq!(
        card.say(&world, world.device(MOTHER), Statement::Grant(world.sign_grant(&again, MOTHER))),
        Err(R::GrantWithdrawn)
    );
    assert_eq!(withdraw(&world, &mut card, FATHER, Target::Grant(grant)), Err(R::NothingToWithdraw));
}

#[test]
fn m26_a_listed_leaf_cannot_be_removed_and_added_in_one_commit() {
    let world = World::new();
    let mut card = world.card_with_reader();
    let ppt = world.device(PPT);
    withdraw(&world, &mut card, MOTHER, Target::Unit(PPT_UNIT)).unwrap();
    // The same leaf again: the membership would not change at all.
    let plan = |card: &Chain| Plan {
        adds: vec![ppt.key_package()],
        removes: vec![ppt.public()],
        membership: Some(card.membership().clone()),
        ..Plan::default()
    };
    for by in [TEACHER, FATHER] {
        let plan = plan(&card);
        assert_eq!(card.send(&world, world.device(by), plan), Err(R::MembershipMismatch), "by {by}");
    }
    // The same, hidden beside a change that is allowed.
    let father = world.device(FATHER);
    let basis = card.membership().authority.id();
    let membership = card.with(&world, FATHER, &[1], Role::Guardian, basis);
    let adds = vec![ppt.key_package(), world.device_n(FATHER, 1).key_package()];
    let hidden = Plan { adds, removes: vec![ppt.public()], membership: Some(membership), ..Plan::default() };
    assert_eq!(card.send(&world, father, hidden), Err(R::MembershipMismatch));
    // Another device of the same person on the same ended grant.
    let second = world.device_n(PPT, 1);
    let mut membership = card.membership().clone();
    membership.members.iter_mut().find(|m| m.person == world.id(PPT)).unwrap().devices = vec![second.public()];
    let plan = Plan {
        adds: vec![second.key_package()],
        removes: vec![ppt.public()],
        membership: Some(membership),
        ..Plan::default()
    };
    assert_eq!(card.send(&world, world.device(TEACHER), plan), Err(R::GrantWithdrawn));
}

#[test]
fn m26_a_person_named_in_a_withdrawal_does_not_stay_with_a_new_device() {
    let world = World::new();
    let mut card = world.card_with_reader();
    let (ppt, second) = (world.device(PPT), world.device_n(PPT, 1));
    // The grant to the unit stands; this person's part has ended.
    withdraw(&world, &mut card, MOTHER, Target::Person(world.id(PPT))).unwrap();
    let mut membership = card.membership().clone();
    membership.members.iter_mut().find(|m| m.person == world.id(PPT)).unwrap().devices = vec![second.public()];
    let plan = Plan {
        adds: vec![second.key_package()],
        removes: vec![ppt.public()],
        membership: Some(membership),
        vouchers: vec![world.voucher(PPT_LEADER, PPT, CARD)],
        ..Plan::default()
    };
    assert_eq!(card.send(&world, world.device(TEACHER), plan), Err(R::VoucherMissing));
    card.remove_listed(&world, world.device(TEACHER)).unwrap();
    let grant = card.state().grants.iter().find(|g| g.grant.access == Access::Read).unwrap().id;
    let voucher = |who| vec![world.voucher(PPT_LEADER, who, CARD)];
    assert_eq!(
        card.admit(&world, world.device(TEACHER), PPT, Role::Reader, grant, voucher(PPT)),
        Err(R::VoucherMissing),
        "C3"
    );
    assert_eq!(
        card.admit(&world, world.device(TEACHER), PPT_TWO, Role::Reader, grant, voucher(PPT_TWO)),
        Ok(()),
        "a colleague may"
    );
}

#[test]
fn a_reader_may_commit_listed_removals_and_nothing_more() {
    let world = World::new();
    let mut card = world.card_with_reader();
    let coach = world.give(&mut card, world.person_grantee(COACH), Access::Read);
    card.admit(&world, world.device(MOTHER), COACH, Role::Reader, coach, vec![]).unwrap();
    withdraw(&world, &mut card, MOTHER, Target::Person(world.id(COACH))).unwrap();
    let (coach, mother) = (world.device(COACH).public(), world.device(MOTHER).public());
    assert_eq!(card.remove(&world, world.device(PPT), &[coach, mother]), Err(R::FamilyStays), "R2");
    assert_eq!(card.remove_listed(&world, world.device(PPT)), Ok(()));
    assert!(card.membership().device_key(world.device(COACH).id()).is_none());
}

#[test]
fn a_withdrawal_is_accepted_at_any_epoch_and_from_any_bearer_but_counts_by_its_signature() {
    let world = World::new();
    let mut card = world.card_with_reader();
    let mother = world.device(MOTHER);
    let statement = world.withdrawal(world.log(), CARD, Target::Unit(PPT_UNIT), MOTHER);
    let mut event = card.event(mother, stafett_protocol::event::Body::Statement(statement));
    card.send(&world, world.device(FATHER), Plan::default()).unwrap();
    card.send(&world, world.device(TEACHER), Plan::default()).unwrap();
    assert_eq!(card.submit_event(&world, mother, &event), Ok(()), "written two epochs ago");
    let mut card = world.card_with_reader();
    event.epoch = 99;
    event.seen = card.state().position;
    event.counter = card.state().counter(mother.id()) + 1;
    assert_eq!(card.submit_event(&world, mother, &event), Ok(()));

    let mut card = world.card_with_reader();
    let by_stranger = world.withdrawal(world.log(), CARD, Target::All, STRANGER);
    assert_eq!(card.say(&world, mother, by_stranger), Err(R::NotAnAuthority));
    let other_scope = world.withdrawal(world.log(), JOURNAL, Target::All, MOTHER);
    assert_eq!(card.say(&world, mother, other_scope), Err(R::GrantMismatch));
    let Statement::Withdrawal(mut forged) = world.withdrawal(world.log(), CARD, Target::All, PPT) else { panic!() };
    forged.signer = world.id(FATHER);
    assert_eq!(card.say(&world, mother, Statement::Withdrawal(forged)), Err(R::BadSignature));
    let family = world.withdrawal(world.log(), CARD, Target::Person(world.id(FATHER)), MOTHER);
    assert_eq!(card.say(&world, mother, family), Err(R::FamilyStays), "C11");
}

#[test]
fn a_used_withdrawal_cannot_be_played_again_against_a_new_grant() {
    let world = World::new();
    let mut card = world.card_with_reader();
    let old = world.withdrawal(world.log(), CARD, Target::Unit(PPT_UNIT), MOTHER);
    card.say(&world, world.device(MOTHER), old.clone()).unwrap();
    card.remove_listed(&world, world.device(MOTHER)).unwrap();
    let grant = ConsentGrant {
        salt: [2; 16],
        ..world.grant(world.log(), CARD, world.unit_of(PPT_LEADER), Access::Read, &world.authority())
    };
    let grant = world.give_grant(&mut card, &grant);
    world.admit_ppt(&mut card, grant);
    assert_eq!(card.say(&world, world.device(TEACHER), old), Err(R::AlreadySigned));
    assert!(readable(&world, &card, PPT));
}

#[test]
fn an_employee_of_the_card_records_an_oral_withdrawal() {
    let world = World::new();
    let mut card = world.card_with_reader();
    let statement = world.withdrawal(world.log(), CARD, Target::Unit(PPT_UNIT), TEACHER);
    assert_eq!(card.say(&world, world.device(TEACHER), statement), Ok(()));
    assert!(!readable(&world, &card, PPT));
    assert!(card.state().vetoes.is_empty(), "it is not the teacher's own veto");
}

#[test]
fn a_leaf_of_the_card_suffices_for_a_withdrawal_and_for_nothing_else() {
    let world = World::new();
    let card = world.card_with_reader();
    let mut concern = world.concern(card.state());
    let grant = world.give(&mut concern, world.person_grantee(COACH), Access::Read);
    concern.card = None;
    concern.admit(&world, world.device(TEACHER), COACH, Role::Reader, grant, vec![]).unwrap();
    concern.card = Some(card.state().clone());
    // The PPT is on the card, not in the concern.
    let ppt = world.device(PPT);
    assert_eq!(concern.write(&world, ppt), Err(R::NotAMember));
    let signed = world.sign_grant(&world.hold_grant(CONCERN, &world.authority()), MOTHER);
    assert_eq!(concern.say(&world, ppt, Statement::Grant(signed)), Err(R::NotAMember));
    let statement = world.withdrawal(world.log(), CONCERN, Target::Person(world.id(COACH)), MOTHER);
    assert_eq!(concern.say(&world, ppt, statement), Ok(()));
    assert!(!readable(&world, &concern, COACH));
}

#[test]
fn what_a_leaf_of_the_card_said_stands_when_the_card_has_gone_on_without_it() {
    let world = World::new();
    let mut card = world.card_with_reader();
    let mut concern = world.concern(card.state());
    let grant = world.give(&mut concern, world.person_grantee(COACH), Access::Read);
    concern.card = None;
    concern.admit(&world, world.device(TEACHER), COACH, Role::Reader, grant, vec![]).unwrap();
    let ppt = world.device(PPT);
    // The PPT, on the card alone, records an oral withdrawal; then it loses its own place.
    let statement = world.withdrawal(world.log(), CONCERN, Target::Person(world.id(COACH)), PPT);
    let event = concern.event(ppt, stafett_protocol::event::Body::Statement(statement));
    let record = concern.record(ppt, &event);
    let judge = |concern: &Chain, card: &Chain, record: &stafett_protocol::event::Record| {
        concern.replica.judge(record.clone(), &world.context(record.time, Some(card.state()))).map(drop)
    };
    assert_eq!(judge(&concern, &card, &record), Ok(()));
    card.now = concern.now + 10;
    withdraw(&world, &mut card, MOTHER, Target::Unit(PPT_UNIT)).unwrap();
    assert_eq!(judge(&concern, &card, &record), Ok(()), "listed since");
    card.remove_listed(&world, world.device(MOTHER)).unwrap();
    assert_eq!(judge(&concern, &card, &record), Ok(()), "removed since");
    concern.now = card.now;
    let late = concern.record(ppt, &event);
    assert_eq!(judge(&concern, &card, &late), Err(R::NotAMember), "said afterwards");
}

#[test]
fn c4_a_withdrawal_that_arrives_before_its_grants_last_signature_ends_it() {
    let world = World::new();
    let authority = world.authority();
    let grant = world.grant(world.log(), CARD, world.unit_of(PPT_LEADER), Access::Read, &authority);
    let signatures = world.signed_by(&grant, &[MOTHER, FATHER]);
    for when in 0..=2 {
        let mut card = world.family_card();
        for at in 0..=2 {
            if at == when {
                withdraw(&world, &mut card, MOTHER, Target::Grant(id_of(&grant))).unwrap();
            }
            if let Some(signed) = signatures.get(at) {
                let answer = card.say(&world, world.device(TEACHER), Statement::Grant(signed.clone()));
                assert_eq!(answer.is_ok(), at < when, "withdrawn at {when}, signature {at}: {answer:?}");
            }
        }
        let standing = card.state().grant(&id_of(&grant)).map(|g| g.standing(card.now));
        assert_ne!(standing, Some(GrantStanding::InForce), "withdrawn at {when}");
        let voucher = vec![world.voucher(PPT_LEADER, PPT, CARD)];
        assert!(card.admit(&world, world.device(TEACHER), PPT, Role::Reader, id_of(&grant), voucher).is_err());
    }
}

#[test]
fn after_a_withdrawal_the_withdrawer_must_sign_again() {
    let world = World::new();
    let authority = world.authority_of(&[MOTHER, FATHER], 1);
    let mut card = world.found(world.device(TEACHER), &world.card_founding_under(&authority, &[MOTHER]), None).unwrap();
    world.add_family(&mut card);
    let fresh = |salt: u8, grantee| ConsentGrant {
        salt: [salt; 16],
        ..world.grant(world.log(), CARD, grantee, Access::Read, &authority)
    };
    let unit = world.unit_of(PPT_LEADER);
    let sign = |card: &mut Chain, grant: &ConsentGrant, who| {
        card.say(&world, world.device(FATHER), Statement::Grant(world.sign_grant(grant, who))).unwrap();
        card.state().grant(&id_of(grant)).unwrap().standing(card.now)
    };
    assert_eq!(sign(&mut card, &fresh(1, unit), FATHER), GrantStanding::InForce, "one suffices here");
    let contribute = ConsentGrant { access: Access::Contribute, ..fresh(8, unit) };
    assert_eq!(sign(&mut card, &contribute, FATHER), GrantStanding::InForce);
    withdraw(&world, &mut card, MOTHER, Target::Grant(id_of(&fresh(1, unit)))).unwrap();
    assert_eq!(sign(&mut card, &fresh(2, unit), FATHER), GrantStanding::Waiting, "the father alone no longer");
    // A grant that the mother did not withdraw does not wipe her veto when it gets one more signature.
    assert_eq!(sign(&mut card, &contribute, MOTHER), GrantStanding::InForce);
    // Nor does naming another leader make it another unit.
    let stafett_protocol::consent::Grantee::Unit(mut renamed) = unit else { panic!() };
    (renamed.leader, renamed.leader_key) = (world.id(PPT), world.person(PPT).public());
    let renamed = stafett_protocol::consent::Grantee::Unit(renamed);
    assert_eq!(sign(&mut card, &fresh(3, renamed), FATHER), GrantStanding::Waiting);
    assert_eq!(sign(&mut card, &fresh(2, unit), MOTHER), GrantStanding::InForce, "together they may");
}

#[test]
fn a_veto_falls_with_the_withdrawers_own_signature_only() {
    let world = World::new();
    let authority = world.authority_of(&[MOTHER, FATHER], 1);
    let mut card = world.found(world.device(TEACHER), &world.card_founding_under(&authority, &[MOTHER]), None).unwrap();
    world.add_family(&mut card);
    let grant = |salt: u8, access| ConsentGrant {
        salt: [salt; 16],
        ..world.grant(world.log(), CARD, world.unit_of(PPT_LEADER), access, &authority)
    };
    let say = |card: &mut Chain, grant: &ConsentGrant, who| {
        card.say(&world, world.device(FATHER), Statement::Grant(world.sign_grant(grant, who))).unwrap()
    };
    say(&mut card, &grant(1, Access::Read), FATHER);
    say(&mut card, &grant(2, Access::Contribute), MOTHER);
    withdraw(&world, &mut card, MOTHER, Target::Grant(id_of(&grant(1, Access::Read)))).unwrap();
    // The father adds his name to the other grant, which stands already.
    say(&mut card, &grant(2, Access::Contribute), FATHER);
    say(&mut card, &grant(3, Access::Read), FATHER);
    assert_eq!(card.state().grant(&id_of(&grant(3, Access::Read))).unwrap().standing(card.now), GrantStanding::Waiting);
}
