//! Devices of members: added, renewed, resynced, within their limits.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use crate::common::*;
use openmls::prelude::*;
use stafett_protocol::limits;
use stafett_protocol::membership::Role;
use stafett_protocol::refusal::Refusal as R;
use stafett_protocol::statement::{KeyPlace, LinkRepair, Statement};

#[test]
fn m25_a_leafs_lifetime_cannot_make_parties_disagree() {
    let world = World::new();
    let mut card = world.family_card();
    let mother = world.device(MOTHER);
    let second = world.device_n(MOTHER, 1);
    let basis = card.membership().authority.id();
    let membership = card.with(&world, MOTHER, &[1], Role::Guardian, basis);
    let adds = vec![second.key_package_living(Lifetime::new(3600))];
    let plan = Plan { adds, membership: Some(membership.clone()), ..Plan::default() };
    assert_eq!(card.send(&world, mother, plan), Err(R::StrangeLeaf));
    let plan = Plan { adds: vec![second.key_package()], membership: Some(membership), ..Plan::default() };
    assert_eq!(card.send(&world, mother, plan), Ok(()));
}

#[test]
fn own_devices_come_and_go_but_never_the_committing_one() {
    let world = World::new();
    let mut card = world.card_with_reader();
    let ppt = world.device(PPT);
    let second = world.device_n(PPT, 1);
    let basis = card.membership().member(world.id(PPT)).unwrap().basis;
    let membership = Some(card.with(&world, PPT, &[1], Role::Reader, basis));
    let adds = vec![second.key_package()];
    card.send(&world, ppt, Plan { adds, membership, ..Plan::default() }).unwrap();
    assert_eq!(card.remove(&world, second, &[ppt.public()]), Ok(()));
    assert!(card.membership().device_key(ppt.id()).is_none());
    // Not another's device, even as a guardian.
    let membership = Some(card.with(&world, PPT_TWO, &[0], Role::Reader, basis));
    let plan = Plan { adds: vec![world.device(PPT_TWO).key_package()], membership, ..Plan::default() };
    assert_eq!(card.send(&world, second, plan), Err(R::NotYours));
}

#[test]
fn a_device_is_renewed_once_a_day() {
    let world = World::new();
    let mut card = world.family_card();
    let mother = world.device(MOTHER);
    card.send(&world, mother, Plan::default()).unwrap();
    let renewed = card.now - 1;
    card.now = renewed + DAY - 1;
    assert_eq!(card.send(&world, mother, Plan::default()), Err(R::TooSoon), "M20");
    assert_eq!(card.send(&world, world.device(FATHER), Plan::default()), Ok(()), "others are unaffected");
    card.now = renewed + DAY;
    assert_eq!(card.send(&world, mother, Plan::default()), Ok(()));
}

#[test]
fn m20_rewriting_the_membership_as_it_was_does_not_dodge_the_daily_renewal() {
    let world = World::new();
    let mut card = world.card_with_reader();
    let same = card.membership().clone();
    let plan = Plan { membership: Some(same), ..Plan::default() };
    assert_eq!(card.send(&world, world.device(PPT), plan), Err(R::MembershipMismatch));
}

#[test]
fn a_log_scope_has_room_for_64_leaves() {
    let world = World::new();
    let mut card = world.card();
    let mut full = card.membership().clone();
    full.members[0].devices.extend((0..64).map(|n| public(&key(&format!("many {n}")))));
    let adds: Vec<_> = (0..64)
        .map(|n| {
            let device_key = key(&format!("many {n}"));
            let person = world.person(TEACHER);
            let chain = world.credential(person.id, &person.key, person.kind, person.unit, &public(&device_key));
            Device {
                who: TEACHER,
                key: device_key,
                provider: Default::default(),
                credential: chain.into(),
                groups: Default::default(),
            }
            .key_package()
        })
        .collect();
    let plan = Plan { adds, membership: Some(full.sorted()), ..Plan::default() };
    assert_eq!(card.send(&world, world.device(TEACHER), plan), Err(R::TooMany));
}

#[test]
fn a_resync_leaves_a_gap_that_stops_adds_until_it_is_repaired() {
    let world = World::new();
    let mut card = world.card_with_reader();
    let teacher = world.device(TEACHER);
    let grant = card.membership().member(world.id(PPT)).unwrap().basis;
    let voucher = || vec![world.voucher(PPT_LEADER, PPT_TWO, CARD)];
    card.external(&world, world.device(MOTHER), world.device(MOTHER).with_key()).unwrap();
    let first = card.state().epoch;
    card.external(&world, world.device(FATHER), world.device(FATHER).with_key()).unwrap();
    let second = card.state().epoch;
    assert_eq!(card.admit(&world, teacher, PPT_TWO, Role::Reader, grant, voucher()), Err(R::LinkRepairFirst));
    assert_eq!(card.say(&world, teacher, link_to(first + 7)), Err(R::Malformed));
    card.say(&world, teacher, link_to(first)).unwrap();
    assert_eq!(
        card.admit(&world, teacher, PPT_TWO, Role::Reader, grant, voucher()),
        Err(R::LinkRepairFirst),
        "two gaps"
    );
    card.say(&world, teacher, link_to(second)).unwrap();
    assert_eq!(card.admit(&world, teacher, PPT_TWO, Role::Reader, grant, voucher()), Ok(()));
    assert_eq!(card.write(&world, world.device(MOTHER)), Ok(()), "the resynced write on");
}

/// A link of the first generation that leads to an epoch from the one before.
fn link_to(epoch: u64) -> Statement {
    let at = |epoch| KeyPlace { generation: 1, epoch };
    Statement::LinkRepair(LinkRepair { from: at(epoch), to: at(epoch - 1), link: vec![1; 48].into() })
}

/// The home cannot tell junk from a link: whoever speaks first has not the last word, and lets nobody be cut off.
#[test]
fn a_link_can_be_published_after_a_reader_closed_the_gap_with_another() {
    let world = World::new();
    let mut card = world.card_with_reader();
    card.external(&world, world.device(PPT), world.device(PPT).with_key()).unwrap();
    let gap = card.state().epoch;
    card.say(&world, world.device(PPT), link_to(gap)).unwrap();
    assert_eq!(card.state().gaps, Vec::<u64>::new());
    for who in [MOTHER, TEACHER, MOTHER] {
        assert_eq!(card.say(&world, world.device(who), link_to(gap)), Ok(()), "{who}");
    }
    // The same for what a commit has brought, and after many more commits.
    card.send(&world, world.device(TEACHER), Plan::default()).unwrap();
    assert_eq!(card.say(&world, world.device(MOTHER), link_to(gap + 1)), Ok(()));
    assert_eq!(card.say(&world, world.device(MOTHER), link_to(gap)), Ok(()));
}

#[test]
fn nobodys_resyncs_stand_in_the_way_of_anothers() {
    let world = World::new();
    let mut card = world.card_with_reader();
    for _ in 0..limits::KEY_GAPS + 3 {
        card.external(&world, world.device(PPT), world.device(PPT).with_key()).unwrap();
    }
    assert_eq!(card.state().gaps.len(), limits::KEY_GAPS, "the facts stay small");
    assert_eq!(card.external(&world, world.device(MOTHER), world.device(MOTHER).with_key()), Ok(()));
    assert_eq!(card.state().gaps.last(), Some(&card.state().epoch));
    assert_eq!(card.say(&world, world.device(MOTHER), link_to(1)), Ok(()), "also one that the list has dropped");
}
