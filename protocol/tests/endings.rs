//! What ends of itself or altogether: consent that runs out, a log that rests, one that is withdrawn or closed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use crate::common::*;
use crate::withdrawal::{readable, withdraw};
use stafett_protocol::consent::{Access, ConsentGrant, Target};
use stafett_protocol::membership::Role;
use stafett_protocol::refusal::Refusal as R;
use stafett_protocol::state::Status;
use stafett_protocol::statement::Statement;

#[test]
fn c13_expiry_by_receipt_time_acts_as_a_withdrawal() {
    let world = World::new();
    let mut card = world.family_card();
    let short = ConsentGrant {
        expires_at: START + DAY,
        ..world.grant(world.log(), CARD, world.unit_of(PPT_LEADER), Access::Contribute, &world.authority())
    };
    let grant = world.give_grant(&mut card, &short);
    world.admit_ppt(&mut card, grant);
    card.now = START + DAY - 1;
    assert_eq!(card.write(&world, world.device(PPT)), Ok(()));
    card.now = START + DAY;
    assert!(!readable(&world, &card, PPT));
    assert_eq!(card.write(&world, world.device(PPT)), Err(R::Listed));
    assert_eq!(card.write(&world, world.device(MOTHER)), Err(R::RemovalFirst));
    let voucher = vec![world.voucher(PPT_LEADER, PPT_TWO, CARD)];
    let mut next = card.without(&[world.device(PPT).public()]);
    next.members.push(world.founder(PPT_TWO, Role::Actor, grant));
    let plan = Plan {
        adds: vec![world.device(PPT_TWO).key_package()],
        removes: vec![world.device(PPT).public()],
        membership: Some(next.sorted()),
        vouchers: voucher,
        ..Plan::default()
    };
    assert_eq!(card.send(&world, world.device(TEACHER), plan), Err(R::GrantExpired), "C1");
    assert_eq!(card.remove_listed(&world, world.device(FATHER)), Ok(()));
}

#[test]
fn losing_hold_makes_a_log_dormant() {
    let world = World::new();
    let mut card = world.card_with_reader();
    let hold = card.state().hold_grant().unwrap().id;
    let waiting = world.give(&mut card, world.person_grantee(COACH), Access::Read);
    withdraw(&world, &mut card, MOTHER, Target::Grant(hold)).unwrap();
    assert_eq!(card.state().status_at(card.now), Status::Dormant);
    for by in [TEACHER, MOTHER] {
        assert_eq!(card.write(&world, world.device(by)), Err(R::NotActive));
        assert_eq!(card.send(&world, world.device(by), Plan::default()), Ok(()), "own leaf by {by}");
    }
    assert_eq!(card.admit(&world, world.device(MOTHER), COACH, Role::Reader, waiting, vec![]), Err(R::NotActive));
    assert_eq!(
        card.remove(&world, world.device(MOTHER), &[world.device(TEACHER).public()]),
        Err(R::HolderByHandover),
        "stays in name"
    );
    withdraw(&world, &mut card, MOTHER, Target::Unit(PPT_UNIT)).unwrap();
    assert_eq!(card.remove_listed(&world, world.device(TEACHER)), Ok(()));
    // So does expiry of the hold grant, without a word from anyone.
    let mut card = world.card_with_reader();
    card.now = START + 365 * DAY;
    assert_eq!(card.state().status_at(card.now), Status::Dormant);
    assert_eq!(card.write(&world, world.device(MOTHER)), Err(R::NotActive));
}

#[test]
fn withdrawing_everything_leaves_the_family_alone_to_read() {
    let world = World::new();
    let mut card = world.card_with_reader();
    withdraw(&world, &mut card, FATHER, Target::All).unwrap();
    assert_eq!(card.state().status_at(card.now), Status::Withdrawn);
    for (who, reads) in [(MOTHER, true), (FATHER, true), (TEACHER, false), (PPT, false)] {
        assert_eq!(readable(&world, &card, who), reads, "{who}");
    }
    card.remove_listed(&world, world.device(MOTHER)).unwrap();
    assert_eq!(card.membership().members.len(), 2);
    assert_eq!(card.write(&world, world.device(MOTHER)), Err(R::NotActive));
    // A fresh hold grant wakes it to dormancy.
    let fresh = ConsentGrant { salt: [4; 16], ..world.hold_grant(CARD, &world.authority()) };
    world.give_grant(&mut card, &fresh);
    assert_eq!(card.state().status_at(card.now), Status::Dormant);
}

#[test]
fn a_closed_scope_takes_no_content_and_can_still_be_withdrawn_from() {
    let world = World::new();
    let mut card = world.card_with_reader();
    let close = |closing| Statement::Close(closing);
    use stafett_protocol::statement::Closing;
    assert_eq!(card.say(&world, world.device(MOTHER), close(Closing::Closed)), Err(R::NotYours));
    assert_eq!(card.say(&world, world.device(TEACHER), close(Closing::Reopened)), Err(R::NotActive));
    card.say(&world, world.device(TEACHER), close(Closing::Closed)).unwrap();
    assert_eq!(card.write(&world, world.device(MOTHER)), Err(R::NotActive));
    card.say(&world, world.device(TEACHER), close(Closing::Reopened)).unwrap();
    assert_eq!(card.write(&world, world.device(MOTHER)), Ok(()));
    card.say(&world, world.device(TEACHER), close(Closing::Closed)).unwrap();
    withdraw(&world, &mut card, MOTHER, Target::All).unwrap();
    assert_eq!(card.state().status_at(card.now), Status::Withdrawn);
    assert_eq!(card.remove_listed(&world, world.device(MOTHER)), Ok(()), "everyone can be removed, the holder too");
    assert_eq!(card.membership().members.len(), 2);
}
