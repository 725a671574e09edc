//! Founding: nothing exists before the quorum has signed, and the founder is alone in the first epoch.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use crate::common::*;
use openmls::prelude::*;
use stafett_protocol::consent::{Access, Permit};
use stafett_protocol::event::{Body, Genesis};
use stafett_protocol::ids::{Hash, LogId, ScopeId};
use stafett_protocol::membership::{AuthorityPerson, ConsentAuthority, Role, ScopeKind};
use stafett_protocol::refusal::Refusal as R;
use stafett_protocol::signed::id_of;
use stafett_protocol::state::Status;

fn refused(world: &World, founding: &Founding) -> Refusal {
    world.found(world.device(TEACHER), founding, None).map(drop).unwrap_err()
}

#[test]
fn b1_a_card_is_founded_on_the_quorums_grants() {
    let world = World::new();
    let card = world.card();
    assert_eq!(card.state().status_at(card.now), Status::Active);
    assert_eq!(card.membership().holder().unwrap().person, world.id(TEACHER));
    assert_eq!(card.state().counter(world.device(TEACHER).id()), 1);
    assert_eq!(card.state().position.seq, 1);
}

#[test]
fn b1_one_of_two_guardians_is_not_a_quorum() {
    let world = World::new();
    for signers in [vec![], vec![MOTHER], vec![FATHER]] {
        let founding = world.card_founding_under(&world.authority(), &signers);
        let expected = if signers.is_empty() { R::GrantMissing } else { R::QuorumMissing };
        assert_eq!(refused(&world, &founding), expected);
    }
    assert!(
        world
            .found(
                world.device(TEACHER),
                &world.card_founding_under(&world.authority_of(&[MOTHER, FATHER], 1), &[FATHER]),
                None
            )
            .is_ok()
    );
}

#[test]
fn c2_one_guardian_signing_twice_is_one() {
    let world = World::new();
    assert_eq!(refused(&world, &world.card_founding_under(&world.authority(), &[MOTHER, MOTHER])), R::AlreadySigned);
}

#[test]
fn c2_strangers_do_not_sign_and_nobody_signs_for_another() {
    let world = World::new();
    assert_eq!(refused(&world, &world.card_founding_under(&world.authority(), &[MOTHER, STRANGER])), R::NotAnAuthority);
    let mut founding = world.card_founding();
    founding.grants[1].signer = world.id(FATHER);
    founding.grants[1].grant = founding.grants[0].grant.clone();
    assert_eq!(refused(&world, &founding), R::BadSignature);
}

#[test]
fn b7_from_youth_from_the_youth_alone_grants() {
    let world = World::new();
    let youth =
        |from| ConsentAuthority { child: Some(world.authority_person(CHILD)), youth_from: from, ..world.authority() };
    let by_youth = world.card_founding_under(&youth(START), &[CHILD]);
    assert!(world.found(world.device(TEACHER), &by_youth, None).is_ok());
    assert_eq!(refused(&world, &world.card_founding_under(&youth(START), &[MOTHER, FATHER])), R::NotAnAuthority);
    assert_eq!(
        refused(&world, &world.card_founding_under(&youth(START + 1), &[CHILD])),
        R::NotAnAuthority,
        "C9: by receipt time"
    );
    let alone = ConsentAuthority { guardians: vec![], quorum: 0, ..youth(START) };
    assert!(world.found(world.device(TEACHER), &world.card_founding_under(&alone, &[CHILD]), None).is_ok());
}

#[test]
fn an_authority_must_be_able_to_decide_and_count_everyone_once() {
    let world = World::new();
    let good = world.authority();
    let twin = AuthorityPerson { person: world.id(FATHER), ..world.authority_person(MOTHER) };
    let holder = world.authority_of(&[MOTHER, TEACHER], 2);
    for bad in [
        ConsentAuthority { quorum: 0, ..good.clone() },
        ConsentAuthority { quorum: 3, ..good.clone() },
        ConsentAuthority { guardians: vec![], quorum: 0, ..good.clone() },
        world.authority_of(&[MOTHER, MOTHER], 2),
        ConsentAuthority { guardians: vec![world.authority_person(MOTHER), twin], ..good.clone() },
        holder,
    ] {
        let refusal = refused(&world, &world.card_founding_under(&bad, &[MOTHER, FATHER]));
        assert!(matches!(refusal, R::QuorumMissing), "{bad:?}: {refusal:?}");
    }
}

#[test]
fn the_log_id_opens_to_its_founder() {
    let world = World::new();
    let mut founding = world.card_founding();
    founding.log_salt = Some([0; 16]);
    assert_eq!(refused(&world, &founding), R::LogMismatch);
    founding.log_salt = None;
    assert_eq!(refused(&world, &founding), R::LogMismatch);
    let mut founding = world.card_founding();
    founding.card = Some(CARD);
    assert_eq!(refused(&world, &founding), R::LogMismatch);
    let mut founding = world.card_founding();
    founding.membership.log = LogId([1; 16]);
    assert_eq!(refused(&world, &founding), R::LogMismatch);
}

#[test]
fn home_generation_policy_counter_and_scope_are_those_of_a_beginning() {
    let world = World::new();
    let good = world.card_founding();
    let with = |change: &dyn Fn(&mut Founding)| {
        let mut founding = good.clone();
        change(&mut founding);
        refused(&world, &founding)
    };
    assert_eq!(with(&|f| f.membership.home = 3201), R::WrongHome);
    assert_eq!(with(&|f| f.membership.generation = 2), R::WrongGeneration);
    assert_eq!(with(&|f| f.membership.home_epoch = 2), R::WrongGeneration);
    assert_eq!(with(&|f| f.membership.policy_version = 2), R::UnknownPolicy);
    let device = world.device(TEACHER);
    let twisted = |change: &dyn Fn(&mut stafett_protocol::event::Event)| {
        let mut event = world.genesis_event(device, &good);
        change(&mut event);
        world.found_event(device, event, START, None).map(drop).unwrap_err()
    };
    assert_eq!(twisted(&|e| e.counter = 2), R::CounterGap);
    assert_eq!(twisted(&|e| e.epoch = 1), R::WrongGeneration);
    assert_eq!(twisted(&|e| e.scope = JOURNAL), R::WrongGeneration, "the group id names the scope");
    assert_eq!(twisted(&|e| e.seen.seq = 1), R::ChainBroken);
    assert_eq!(twisted(&|e| e.device = world.device(MOTHER).id()), R::MembershipMismatch);
    assert_eq!(twisted(&|e| e.body = Body::Change(change())), R::UnknownScope);
}

#[test]
fn the_founder_is_alone_and_is_the_author() {
    let world = World::new();
    let mut two = world.card_founding();
    two.membership.members.push(world.founder(MOTHER, Role::Guardian, two.membership.authority.id()));
    assert_eq!(refused(&world, &two), R::MembershipMismatch);
    let founding = world.card_founding();
    assert_eq!(world.found(world.device(MOTHER), &founding, None).map(drop).unwrap_err(), R::MembershipMismatch);
    let mut guardian = world.card_founding();
    guardian.membership.members[0].role = Role::Guardian;
    assert_eq!(refused(&world, &guardian), R::NotYours);
    // Signed by another device than the leaf's.
    let event = world.genesis_event(world.device(TEACHER), &founding);
    assert_eq!(world.found_event(world.device(MOTHER), event, START, None).map(drop).unwrap_err(), R::BadSignature);
    // The genesis names another credential than the leaf.
    let mut event = world.genesis_event(world.device(TEACHER), &founding);
    if let Body::Genesis(genesis) = &mut event.body {
        genesis.founder = world.device_n(TEACHER, 1).credential.borrow().clone();
    }
    assert_eq!(world.found_event(world.device(TEACHER), event, START, None).map(drop).unwrap_err(), R::PersonChanged);
}

#[test]
fn c15_the_holder_needs_the_leaders_certificate() {
    let world = World::new();
    let mut none = world.card_founding();
    none.vouchers.clear();
    assert_eq!(refused(&world, &none), R::VoucherMissing);
    let good = world.certificate(LEADER, TEACHER);
    for (bad, why) in [
        (stafett_protocol::consent::EmployeeCertificate { may_hold: Permit::No, ..good.clone() }, "may not hold"),
        (stafett_protocol::consent::EmployeeCertificate { expires_at: START, ..good.clone() }, "expired"),
        (world.certificate(LEADER, COLLEAGUE), "somebody else's"),
        (stafett_protocol::consent::EmployeeCertificate { unit: PPT_UNIT, ..good.clone() }, "another unit's"),
    ] {
        let mut founding = world.card_founding();
        founding.vouchers = vec![world.voucher_of(LEADER, &bad, None)];
        assert_eq!(refused(&world, &founding), R::VoucherMissing, "{why}");
    }
    let mut forged = world.card_founding();
    forged.vouchers = vec![world.voucher_of(LEADER, &good, None)];
    forged.vouchers[0].employee = stafett_protocol::signed::Signed::sign(&good, &world.person(TEACHER).key);
    assert_eq!(refused(&world, &forged), R::VoucherMissing);
}

#[test]
fn c1_a_grant_for_something_else_founds_nothing() {
    let world = World::new();
    let authority = world.authority();
    let good = world.hold_grant(CARD, &authority);
    let try_grant = |grant: &stafett_protocol::consent::ConsentGrant| {
        let mut founding = world.card_founding();
        founding.grants = world.signed_by(grant, &[MOTHER, FATHER]);
        founding.membership.members[0].basis = id_of(grant);
        world.found(world.device(TEACHER), &founding, None).map(drop)
    };
    type Grant = stafett_protocol::consent::ConsentGrant;
    assert_eq!(try_grant(&good), Ok(()));
    let other_log = LogId([9; 16]);
    for (grant, refusal) in [
        (Grant { access: Access::Read, ..good.clone() }, R::GrantMismatch),
        (Grant { scope: JOURNAL, ..good.clone() }, R::GrantMismatch),
        (Grant { log: other_log, ..good.clone() }, R::GrantMismatch),
        (Grant { authority: Hash([0; 32]), ..good.clone() }, R::GrantMismatch),
        (Grant { grantee: world.unit_of(PPT_LEADER), ..good.clone() }, R::VoucherMissing),
        (Grant { grantee: world.person_grantee(COLLEAGUE), ..good.clone() }, R::GrantMismatch),
        (Grant { expires_at: START, ..good.clone() }, R::GrantTooLong),
        (Grant { expires_at: START + 800 * DAY, ..good.clone() }, R::GrantTooLong),
        (Grant { policy_version: 2, ..good.clone() }, R::UnknownPolicy),
    ] {
        assert_eq!(try_grant(&grant), Err(refusal), "{grant:?}");
    }
    let named = Grant { grantee: world.person_grantee(TEACHER), ..good };
    assert_eq!(try_grant(&named), Ok(()), "a person outside units needs no leader");
}

#[test]
fn every_grant_in_a_genesis_is_for_this_log() {
    let world = World::new();
    let mut founding = world.card_founding();
    let stray = stafett_protocol::consent::ConsentGrant {
        log: LogId([9; 16]),
        ..world.grant(world.log(), CARD, world.unit_of(PPT_LEADER), Access::Read, &world.authority())
    };
    founding.grants.extend(world.signed_by(&stray, &[MOTHER, FATHER]));
    assert_eq!(refused(&world, &founding), R::GrantMismatch);
}

#[test]
fn m16_m27_the_group_is_made_as_the_protocol_demands() {
    let world = World::new();
    let device = world.device(TEACHER);
    let founding = world.card_founding();
    let open = |extensions| {
        let mut event = world.genesis_event(device, &founding);
        event.body = Body::Genesis(world.genesis(device, &founding, extensions));
        world.found_event(device, event, START, None).map(drop).unwrap_err()
    };
    let required = Extension::RequiredCapabilities(RequiredCapabilitiesExtension::new(&[], &[], &[]));
    let optional = Extensions::from_vec(vec![required, founding.membership.to_extension()]).unwrap();
    assert_eq!(open(optional), R::ExtensionsChanged, "every leaf must understand memberships");
    let none = Extensions::from_vec(vec![founding.membership.to_extension()]).unwrap();
    assert_eq!(open(none), R::ExtensionsChanged);
    let missing = extensions_with(vec![]);
    assert_eq!(open(missing), R::MembershipMissing);
    let garbled = Extension::Unknown(stafett_protocol::MEMBERSHIP_EXTENSION, UnknownExtension(vec![1, 2, 3]));
    assert_eq!(open(extensions_with(vec![garbled])), R::MembershipMissing);
}

#[test]
fn w8_garbled_mls_bytes_in_a_genesis_are_refused() {
    let world = World::new();
    let device = world.device(TEACHER);
    let event = world.genesis_event(device, &world.card_founding());
    let Body::Genesis(good) = event.body.clone() else { panic!() };
    let with = |genesis: Genesis| {
        let event = stafett_protocol::event::Event { body: Body::Genesis(genesis), ..event.clone() };
        world.found_event(device, event, START, None).map(drop)
    };
    assert_eq!(with(good.clone()), Ok(()));
    for cut in 0..good.group_info.as_slice().len() {
        let short = good.group_info.as_slice()[..cut].to_vec();
        assert_eq!(with(Genesis { group_info: short.into(), ..good.clone() }), Err(R::MlsRefused), "at {cut}");
    }
    for cut in 0..good.tree.as_slice().len() {
        let short = good.tree.as_slice()[..cut].to_vec();
        assert_eq!(with(Genesis { tree: short.into(), ..good.clone() }), Err(R::MlsRefused), "at {cut}");
    }
    for at in 0..good.group_info.as_slice().len() {
        let mut bent = good.group_info.as_slice().to_vec();
        bent[at] ^= 1;
        assert!(with(Genesis { group_info: bent.into(), ..good.clone() }).is_err(), "at {at}");
    }
}

#[test]
fn journal_and_concern_are_founded_by_the_cards_holder_under_its_authority() {
    let world = World::new();
    let card = world.card();
    let founded = |kind, scope, change: &dyn Fn(&mut Founding)| {
        let mut founding = world.log_founding(scope, kind);
        change(&mut founding);
        world.found(world.device(TEACHER), &founding, Some(card.state())).map(drop)
    };
    assert_eq!(founded(ScopeKind::Journal, JOURNAL, &|_| ()), Ok(()));
    assert_eq!(founded(ScopeKind::Concern, CONCERN, &|_| ()), Ok(()));
    let without_card = |f: &mut Founding| f.card = None;
    assert_eq!(founded(ScopeKind::Concern, CONCERN, &without_card), Err(R::LogMismatch));
    assert_eq!(founded(ScopeKind::Concern, CONCERN, &|f| f.log_salt = Some(SALT)), Err(R::LogMismatch));
    assert_eq!(founded(ScopeKind::Concern, CONCERN, &|f| f.membership.log = LogId([1; 16])), Err(R::GrantMismatch));
    let other = |f: &mut Founding| f.card = Some(ScopeId([9; 16]));
    assert_eq!(founded(ScopeKind::Concern, CONCERN, &other), Err(R::GrantMismatch));
    // Another authority than the card's, that would sign anything.
    let own = world.authority_of(&[STRANGER], 1);
    let usurped = |f: &mut Founding| {
        let grant = world.hold_grant(CARD, &own);
        f.membership.authority = own.clone();
        f.membership.members[0].basis = id_of(&grant);
        f.grants = world.signed_by(&grant, &[STRANGER]);
    };
    assert_eq!(founded(ScopeKind::Concern, CONCERN, &usurped), Err(R::NotAnAuthority));
}

#[test]
fn only_the_cards_holder_founds_and_not_on_a_withdrawn_grant() {
    let world = World::new();
    let mut card = world.family_card();
    let mut founding = world.log_founding(CONCERN, ScopeKind::Concern);
    founding.membership.members = vec![world.founder(COLLEAGUE, Role::Holder, founding.membership.members[0].basis)];
    founding.vouchers = vec![world.voucher(LEADER, COLLEAGUE, CONCERN)];
    let by_colleague = world.found(world.device(COLLEAGUE), &founding, Some(card.state())).map(drop);
    assert_eq!(by_colleague, Err(R::NotOnCard));
    let hold = card.state().hold_grant().unwrap().id;
    let target = stafett_protocol::consent::Target::Grant(hold);
    card.say(&world, world.device(MOTHER), world.withdrawal(world.log(), CARD, target, MOTHER)).unwrap();
    let founding = world.log_founding(CONCERN, ScopeKind::Concern);
    let event = world.genesis_event(world.device(TEACHER), &founding);
    let late = world.found_event(world.device(TEACHER), event, card.now + 5, Some(card.state())).map(drop);
    assert_eq!(late, Err(R::NotActive));
}

#[test]
fn units_are_founded_by_their_leader_and_personal_scopes_by_the_person() {
    let world = World::new();
    let unit = world.unit_founding();
    assert!(world.found(world.device(LEADER), &unit, None).is_ok());
    let mut by_employee = world.unit_founding();
    by_employee.membership.members = vec![world.founder(TEACHER, Role::Leader, own_basis(&world, TEACHER))];
    assert_eq!(refused(&world, &by_employee), R::NotYours);
    let mut other_unit = world.unit_founding();
    other_unit.membership.scope = ScopeId(PPT_UNIT.0);
    assert_eq!(world.found(world.device(LEADER), &other_unit, None).map(drop), Err(R::NotYours));
    let mut with_authority = world.unit_founding();
    with_authority.membership.authority = world.authority();
    assert_eq!(world.found(world.device(LEADER), &with_authority, None).map(drop), Err(R::MembershipMismatch));

    assert!(world.found(world.device(MOTHER), &world.personal_founding(MOTHER), None).is_ok());
    let mut squatted = world.personal_founding(TEACHER);
    squatted.membership.scope = ScopeId(world.id(MOTHER).0);
    assert_eq!(refused(&world, &squatted), R::NotYours, "nobody takes another's personal scope");
}

#[test]
fn a_leaf_that_no_known_municipality_certifies_founds_nothing() {
    let world = World::new();
    let device = world.device(TEACHER);
    let mut stranger = World::new();
    stranger.municipality = key("another municipality");
    let forged = stranger.credential(
        world.id(TEACHER),
        &world.person(TEACHER).key,
        world.person(TEACHER).kind,
        Some(SCHOOL),
        &device.public(),
    );
    *device.credential.borrow_mut() = forged;
    assert_eq!(refused(&world, &world.card_founding()), R::NotIdentified);
}
