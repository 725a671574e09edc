//! Foundings and re-foundings on facts bent for the case: what each condition of `policy/genesis.rs` is for (B1, B7, M18;
//! found by its mutants).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use crate::common::*;
use stafett_protocol::commit_view::Leaf;
use stafett_protocol::consent::{Access, Permit};
use stafett_protocol::event::{Body, Carried, Event, Genesis, Position};
use stafett_protocol::ids::{Hash, LogId};
use stafett_protocol::membership::{ConsentAuthority, Member, Membership, Role, ScopeKind};
use stafett_protocol::policy::{MlsView, decide, found};
use stafett_protocol::refusal::Refusal as R;
use stafett_protocol::signed::id_of;
use stafett_protocol::state::{NewKey, ScopeState, Status};
use stafett_protocol::statement::KeyPlace;

/// What the rules say of this founding by `by`, whatever MLS would.
fn founded(
    world: &World,
    by: Who,
    founding: &Founding,
    card: Option<&ScopeState>,
    bend: &dyn Fn(&mut Event),
) -> Result<ScopeState, R> {
    let device = world.device(by);
    let mut event = Event {
        scope: founding.membership.scope,
        generation: 1,
        epoch: 0,
        device: device.id(),
        counter: 1,
        seen: Position::default(),
        body: Body::Genesis(bare_genesis(device, founding)),
    };
    bend(&mut event);
    found(&world.context(START, card), &event, &founding.membership, &leaf(device))
}

fn answer(world: &World, by: Who, founding: &Founding, card: Option<&ScopeState>) -> Result<(), R> {
    founded(world, by, founding, card, &|_| ()).map(drop)
}

fn altered(founding: &Founding, alter: impl FnOnce(&mut Founding)) -> Founding {
    let mut founding = founding.clone();
    alter(&mut founding);
    founding
}

#[test]
fn b1_event_and_group_name_the_same_beginning() {
    let world = World::new();
    let card = world.card_founding();
    let with = |bend: &dyn Fn(&mut Event)| founded(&world, TEACHER, &card, None, bend).map(drop);
    assert_eq!(with(&|_| ()), Ok(()));
    assert_eq!(with(&|event| event.scope = JOURNAL), Err(R::WrongScope));
    assert_eq!(with(&|event| event.generation = 2), Err(R::WrongGeneration));
    let second = altered(&card, |f| f.membership.generation = 2);
    assert_eq!(answer(&world, TEACHER, &second, None), Err(R::WrongGeneration));
}

#[test]
fn b7_an_authority_can_decide_and_does_not_hold_the_log() {
    let world = World::new();
    let child = Some(world.authority_person(CHILD));
    let youth = ConsentAuthority { child, youth_from: START, ..world.authority() };
    let by = |authority: &ConsentAuthority, signers: &[Who]| {
        answer(&world, TEACHER, &world.card_founding_under(authority, signers), None)
    };
    assert_eq!(by(&youth, &[CHILD]), Ok(()));
    assert_eq!(by(&ConsentAuthority { quorum: 3, ..youth.clone() }, &[CHILD]), Err(R::QuorumMissing), "of two");
    assert_eq!(by(&ConsentAuthority { quorum: 0, ..youth.clone() }, &[CHILD]), Err(R::QuorumMissing), "with parents");
    let alone = ConsentAuthority { guardians: vec![], quorum: 0, ..youth };
    assert_eq!(by(&alone, &[CHILD]), Ok(()));
    assert_eq!(by(&ConsentAuthority { youth_from: 0, ..alone }, &[]), Err(R::QuorumMissing), "a child decides nothing");
    // The holder does not consent to holding; the card is not at hand to say so.
    let own = world.authority_of(&[MOTHER, FATHER, TEACHER], 2);
    let grant = world.hold_grant(CARD, &own);
    let concern = altered(&world.log_founding(CONCERN, ScopeKind::Concern), |f| {
        f.membership.authority = own.clone();
        f.membership.members[0].basis = id_of(&grant);
        f.grants = world.signed_by(&grant, &[MOTHER, FATHER]);
    });
    assert_eq!(answer(&world, TEACHER, &concern, None), Err(R::QuorumMissing));
}

#[test]
fn b1_a_scope_beside_the_card_is_founded_on_what_the_card_says() {
    let world = World::new();
    let card = world.card();
    let founding = |kind| {
        let scope = if kind == ScopeKind::Concern { CONCERN } else { JOURNAL };
        world.log_founding(scope, kind)
    };
    let (concern, journal) = (founding(ScopeKind::Concern), founding(ScopeKind::Journal));
    let beside = |founding: &Founding, card: &ScopeState| answer(&world, TEACHER, founding, Some(card));
    assert_eq!([beside(&concern, card.state()), beside(&journal, card.state())], [Ok(()), Ok(())]);
    // A journal has grants of its own; a concern begins on the card's for those who hold and keep it.
    let reads = |founding: &Founding| {
        let scope = founding.grants[0].grant.peek().unwrap().scope;
        let grant = world.grant(world.log(), scope, world.unit_of(PPT_LEADER), Access::Read, &world.authority());
        altered(founding, |f| f.grants.extend(world.signed_by(&grant, &[MOTHER, FATHER])))
    };
    assert_eq!(beside(&reads(&journal), card.state()), Ok(()));
    assert_eq!(beside(&reads(&concern), card.state()), Err(R::GrantMismatch));
    let of_another = altered(&journal, |f| f.card = Some(CONCERN));
    assert_eq!(beside(&of_another, card.state()), Err(R::LogMismatch), "not the card at hand");
    let other_log = bent(card.state(), |state| state.membership.log = LogId([1; 16]));
    assert_eq!(beside(&journal, &other_log), Err(R::LogMismatch));
    let unknown = bent(card.state(), |state| state.grants.clear());
    assert_eq!([beside(&concern, &unknown), beside(&journal, &unknown)], [Err(R::GrantMissing), Ok(())]);
}

#[test]
fn a_scope_outside_logs_begins_with_the_one_whose_it_is_and_belongs_to_no_log() {
    let world = World::new();
    let (unit, own) = (world.unit_founding(), world.personal_founding(MOTHER));
    assert_eq!([answer(&world, LEADER, &unit, None), answer(&world, MOTHER, &own, None)], [Ok(()), Ok(())]);
    let with = |by, founding: &Founding, alter: &dyn Fn(&mut Membership)| {
        answer(&world, by, &altered(founding, |f| alter(&mut f.membership)), None)
    };
    assert_eq!(with(LEADER, &unit, &|m| m.members[0].role = Role::Employee), Err(R::NotYours));
    assert_eq!(with(MOTHER, &own, &|m| m.members[0].role = Role::Guardian), Err(R::NotYours));
    for (by, founding) in [(LEADER, &unit), (MOTHER, &own)] {
        assert_eq!(with(by, founding, &|m| m.log = world.log()), Err(R::MembershipMismatch));
        assert_eq!(with(by, founding, &|m| m.members[0].basis = Hash([1; 32])), Err(R::MembershipMismatch));
    }
}

/// A re-founding as somebody tries it.
struct Tried {
    genesis: Genesis,
    membership: Membership,
    leaf: Leaf,
}

/// `by` founds the scope anew in this seat, altered.
fn refounded(
    world: &World,
    state: &ScopeState,
    by: &Device,
    (role, basis): (Role, Hash),
    alter: &dyn Fn(&mut Tried),
) -> Result<ScopeState, R> {
    let mut membership = state.membership.clone();
    membership.generation += 1;
    membership.members = vec![Member { devices: vec![by.public()], ..world.founder(by.who, role, basis) }];
    let nothing = Founding { membership, log_salt: None, card: None, grants: vec![], vouchers: vec![] };
    let genesis = bare_genesis(by, &nothing);
    let mut tried = Tried { genesis, membership: nothing.membership, leaf: leaf(by) };
    alter(&mut tried);
    let event = Event {
        scope: state.scope(),
        generation: state.membership.generation + 1,
        epoch: 0,
        device: by.id(),
        counter: state.counter(by.id()) + 1,
        seen: state.position,
        body: Body::Genesis(tried.genesis),
    };
    let context = Context { home: state.membership.home, ..world.context(state.time + 1, None) };
    decide(state, &context, &event, &MlsView::Genesis(tried.membership, tried.leaf))
}

/// The scope with every leaf on the list.
fn orphaned(state: &ScopeState) -> ScopeState {
    bent(state, |state| state.listed = state.membership.devices().copied().collect())
}

#[test]
fn an_orphaned_scope_has_the_family_a_new_holder_or_nobody_as_heir() {
    let world = World::new();
    let chain = world.card_with_reader();
    let card = orphaned(chain.state());
    let (family, hold) = (chain.membership().authority.id(), chain.basis());
    let none = |_: &mut Tried| ();
    let after = refounded(&world, &card, world.device(MOTHER), (Role::Guardian, family), &none).unwrap();
    assert_eq!(after.status, Status::Dormant, "until somebody holds it");
    // The holder, by the leader's word; other grants that stand before it let nobody hold.
    let vouched = |tried: &mut Tried| tried.genesis.vouchers = vec![world.voucher(LEADER, TEACHER, CARD)];
    let reads_first = bent(&card, |state| state.grants.reverse());
    for state in [&card, &reads_first] {
        let after = refounded(&world, state, world.device(TEACHER), (Role::Holder, hold), &vouched).unwrap();
        assert_eq!((after.status, after.membership.holder().unwrap().basis), (Status::Active, hold));
    }
    let stranger = refounded(&world, &card, world.device(STRANGER), (Role::Holder, hold), &vouched);
    assert_eq!(stranger.map(drop), Err(R::NotAMember));
    // The founder that the genesis names is the device that signs.
    let second = |tried: &mut Tried| tried.genesis.founder = world.device_n(MOTHER, 1).credential.borrow().clone();
    let lent = refounded(&world, &card, world.device(MOTHER), (Role::Guardian, family), &second);
    assert_eq!(lent.map(drop), Err(R::NotAMember));
}

#[test]
fn b7_the_youth_who_decides_founds_anew_as_the_child_that_it_is() {
    let world = World::new();
    let chain = world.family_card();
    let named = |youth_from| {
        let child = Some(world.authority_person(CHILD));
        orphaned(&bent(chain.state(), |state| {
            state.membership.authority = ConsentAuthority { child, youth_from, ..world.authority() };
        }))
    };
    let by = |state: &ScopeState, who, role| {
        let seat = (role, state.membership.authority.id());
        refounded(&world, state, world.device(who), seat, &|_| ()).map(|state| state.membership.members[0].role)
    };
    assert_eq!(by(&named(START), CHILD, Role::Child), Ok(Role::Child));
    assert_eq!(by(&named(START + 900 * DAY), CHILD, Role::Child), Err(R::NotYours), "not of age");
    assert_eq!(by(&named(START + 900 * DAY), MOTHER, Role::Guardian), Ok(Role::Guardian));
}

#[test]
fn the_family_alone_comes_back_into_an_orphaned_scope() {
    let world = World::new();
    let chain = world.card_with_reader();
    let awaited = world.founder(PPT_TWO, Role::Reader, Hash::default());
    let card = bent(&orphaned(chain.state()), |state| state.readmit = vec![awaited]);
    let seat = (Role::Guardian, chain.membership().authority.id());
    let after = refounded(&world, &card, world.device(MOTHER), seat, &|_| ()).unwrap();
    let mut back: Vec<_> = after.readmit.iter().map(|m| m.person).collect();
    let mut expected = [MOTHER, FATHER].map(|who| world.id(who));
    back.sort();
    expected.sort();
    assert_eq!(back, expected);
    // It goes on from whatever key is left, however old.
    assert!(chain.state().epoch > 1);
    let oldest = |tried: &mut Tried| {
        tried.genesis.carries = Some(Carried { to: KeyPlace { generation: 1, epoch: 0 }, link: vec![9; 48].into() })
    };
    assert!(refounded(&world, &card, world.device(MOTHER), seat, &oldest).is_ok());
}

#[test]
fn a_unit_has_its_leader_as_heir_and_a_personal_scope_its_person() {
    let world = World::new();
    let scope = |founding: &Founding, by: Who| orphaned(&founded(&world, by, founding, None, &|_| ()).unwrap());
    let unit = scope(&world.unit_founding(), LEADER);
    let by = |state: &ScopeState, who: Who, role| {
        refounded(&world, state, world.device(who), (role, own_basis(&world, who)), &|_| ()).map(|state| state.status)
    };
    assert_eq!(by(&unit, LEADER, Role::Leader), Ok(Status::Active));
    assert_eq!(by(&unit, COLLEAGUE, Role::Leader), Err(R::NotAMember), "an employee");
    assert_eq!(by(&unit, PPT_LEADER, Role::Leader), Err(R::NotAMember), "another unit's");
    let own = scope(&world.personal_founding(MOTHER), MOTHER);
    assert_eq!(by(&own, MOTHER, Role::Own), Ok(Status::Active));
    assert_eq!(by(&own, FATHER, Role::Own), Err(R::NotAMember));
    let renewed = |person| bent(&own, |state| state.new_keys = vec![NewKey { person, key: [8; 32] }]);
    assert_eq!(by(&renewed(world.id(MOTHER)), MOTHER, Role::Own), Err(R::NotAMember), "under a key that is void");
    // Whoever has the key that counts there, and is not the person.
    let lent = bent(&renewed(world.id(FATHER)), |state| state.new_keys[0].key = world.person(FATHER).public());
    assert_eq!(by(&lent, FATHER, Role::Own), Err(R::NotAMember));
}

#[test]
fn m18_a_refounding_is_the_next_generation_by_the_very_leaf_that_signs() {
    let world = World::new();
    let chain = world.family_card();
    let state = bent(chain.state(), |state| {
        state.rejected = Permit::Yes;
        state.before_last_commit = state.membership.members.clone();
    });
    let seat = (Role::Guardian, chain.membership().authority.id());
    let to = KeyPlace { generation: state.membership.generation, epoch: state.epoch };
    let carries = Some(Carried { to, link: vec![9; 48].into() });
    let with = |alter: &dyn Fn(&mut Tried)| {
        let alter = |tried: &mut Tried| {
            tried.genesis.carries = carries.clone();
            alter(tried);
        };
        refounded(&world, &state, world.device(MOTHER), seat, &alter).map(drop)
    };
    assert_eq!(with(&|_| ()), Ok(()));
    assert_eq!(with(&|tried| tried.membership.generation += 1), Err(R::MembershipMismatch));
    let second = |tried: &mut Tried| {
        tried.leaf = leaf(world.device_n(MOTHER, 1));
        tried.membership.members[0].devices = vec![tried.leaf.key];
    };
    assert_eq!(with(&second), Err(R::MembershipMismatch));
    let lent = |tried: &mut Tried| tried.leaf.credential = world.device(FATHER).credential.borrow().clone();
    assert_eq!(with(&lent), Err(R::PersonChanged));
}
