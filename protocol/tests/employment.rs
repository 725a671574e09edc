//! Employees of granted units: what their leader says, and until when.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use crate::common::*;
use stafett_protocol::consent::{Access, Target, UnitAssignment};
use stafett_protocol::membership::Role;
use stafett_protocol::refusal::Refusal as R;

#[test]
fn a_unit_leaders_end_of_an_employment_acts_as_a_withdrawal() {
    let world = World::new();
    let mut card = world.card_with_reader();
    let mother = world.device(MOTHER);
    assert_eq!(
        card.say(&world, mother, world.employee_end(LEADER, PPT, CARD)),
        Err(R::VoucherInvalid),
        "another leader"
    );
    assert_eq!(card.say(&world, mother, world.employee_end(PPT_LEADER, PPT, JOURNAL)), Err(R::VoucherInvalid));
    assert_eq!(card.say(&world, mother, world.employee_end(PPT_LEADER, PPT_TWO, CARD)), Err(R::NothingToWithdraw));
    assert_eq!(card.say(&world, mother, world.employee_end(LEADER, TEACHER, CARD)), Err(R::HolderByHandover));
    card.say(&world, mother, world.employee_end(PPT_LEADER, PPT, CARD)).unwrap();
    assert!(!card.state().may_read(world.device(PPT).id(), card.now));
    card.remove_listed(&world, mother).unwrap();
    let grant = card.state().grants.iter().find(|g| g.grant.access == Access::Read).unwrap().id;
    let voucher = || vec![world.voucher(PPT_LEADER, PPT, CARD)];
    let teacher = world.device(TEACHER);
    assert_eq!(card.admit(&world, teacher, PPT, Role::Reader, grant, voucher()), Err(R::VoucherMissing));
    // The family consents to the unit anew: that says nothing of who works there, and whoever kept the old word stays out.
    card.now += DAY;
    let again = world.give(&mut card, world.unit_of(PPT_LEADER), Access::Contribute);
    assert_eq!(card.admit(&world, teacher, PPT, Role::Actor, again, voucher()), Err(R::VoucherMissing));
    let later = UnitAssignment { assigned_at: START + 1, ..world.assignment(PPT_LEADER, PPT, CARD) };
    let later = world.voucher_of(PPT_LEADER, &world.certificate(PPT_LEADER, PPT), Some(&later));
    assert_eq!(card.admit(&world, teacher, PPT, Role::Actor, again, vec![later]), Ok(()));
    assert_eq!(card.state().ended, [], "and with it the end is over");
}

#[test]
fn c13_an_employee_certificate_that_expires_ends_the_seat() {
    let world = World::new();
    let mut card = world.family_card();
    let grant = world.give(&mut card, world.unit_of(PPT_LEADER), Access::Contribute);
    let certificate = stafett_protocol::consent::EmployeeCertificate {
        expires_at: START + DAY,
        ..world.certificate(PPT_LEADER, PPT)
    };
    let voucher = world.voucher_of(PPT_LEADER, &certificate, Some(&world.assignment(PPT_LEADER, PPT, CARD)));
    card.admit(&world, world.device(TEACHER), PPT, Role::Actor, grant, vec![voucher]).unwrap();
    card.now = START + DAY - 1;
    assert_eq!(card.write(&world, world.device(PPT)), Ok(()));
    card.now = START + DAY;
    assert_eq!(card.write(&world, world.device(PPT)), Err(R::Listed));
    assert_eq!(card.remove_listed(&world, world.device(MOTHER)), Ok(()));
}

#[test]
fn c3_a_unit_leader_named_in_a_withdrawal_stays_out_too() {
    let world = World::new();
    let mut card = world.family_card();
    let grant = world.give(&mut card, world.unit_of(PPT_LEADER), Access::Read);
    card.admit(&world, world.device(TEACHER), PPT_LEADER, Role::Reader, grant, vec![]).unwrap();
    let statement = world.withdrawal(world.log(), CARD, Target::Person(world.id(PPT_LEADER)), MOTHER);
    card.say(&world, world.device(MOTHER), statement).unwrap();
    card.remove_listed(&world, world.device(MOTHER)).unwrap();
    let again = card.admit(&world, world.device(TEACHER), PPT_LEADER, Role::Reader, grant, vec![]);
    assert_eq!(again, Err(R::VoucherMissing));
}
