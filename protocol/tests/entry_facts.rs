//! Who may enter, on facts bent for the case: what each condition of `policy/entry.rs` is for (C1, C3, C15, C16, M1, M3;
//! found by its mutants).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use crate::common::*;
use stafett_protocol::commit_view::{CommitView, Leaf};
use stafett_protocol::consent::{
    Access, ConsentGrant, Grantee, Permit, PersonGrantee, UnitAssignment, UnitGrantee, Voucher,
};
use stafett_protocol::credential::PersonKind;
use stafett_protocol::event::Body;
use stafett_protocol::ids::Hash;
use stafett_protocol::membership::{Member, Role, ScopeKind};
use stafett_protocol::policy::MlsView;
use stafett_protocol::refusal::Refusal as R;
use stafett_protocol::signed::id_of;
use stafett_protocol::state::{Employment, Ended, Gone, NewKey, ScopeState, Status};

/// Somebody asks to be let into a scope.
#[derive(Clone)]
struct Door<'w> {
    world: &'w World,
    state: ScopeState,
    card: Option<ScopeState>,
    by: Who,
    member: Member,
    leaf: Leaf,
    vouchers: Vec<Voucher>,
}

impl<'w> Door<'w> {
    fn of(world: &'w World, chain: &Chain, by: Who, who: Who, role: Role, basis: Hash) -> Self {
        let (member, leaf) = (world.founder(who, role, basis), leaf(world.device(who)));
        Self { world, state: chain.state().clone(), card: None, by, member, leaf, vouchers: vec![] }
    }

    /// The PPT's employee, on its grant to read the card, by its leader's word.
    fn reader(world: &'w World) -> Self {
        let mut card = world.family_card();
        let basis = world.give(&mut card, world.unit_of(PPT_LEADER), Access::Read);
        let vouchers = vec![world.voucher(PPT_LEADER, PPT, CARD)];
        Self { vouchers, ..Self::of(world, &card, TEACHER, PPT, Role::Reader, basis) }
    }

    fn answer(&self) -> Result<(), R> {
        let mut membership = self.state.membership.clone();
        membership.members.retain(|m| m.person != self.member.person);
        membership.members.push(self.member.clone());
        let known = self.state.membership.devices().any(|key| *key == self.leaf.key);
        let adds = if known { vec![] } else { vec![self.leaf.clone()] };
        let by = self.world.device(self.by);
        let view = CommitView { adds, membership: Some(membership.sorted()), ..view(by) };
        let commit = commit_of(&view, self.vouchers.clone(), None);
        let mls = MlsView::Commit(view);
        self.world.decided(&self.state, self.card.as_ref(), by, Body::Commit(commit), &mls).map(drop)
    }

    fn with(&self, bend: impl FnOnce(&mut Self)) -> Result<(), R> {
        let mut door = self.clone();
        bend(&mut door);
        door.state.membership = door.state.membership.sorted();
        door.answer()
    }
}

#[test]
fn c15_c16_the_leaders_word_is_for_this_employee_of_this_unit_in_this_scope_and_in_time() {
    let world = World::new();
    let door = Door::reader(&world);
    assert_eq!(door.answer(), Ok(()));
    let certificate = world.certificate(PPT_LEADER, PPT);
    let assignment = world.assignment(PPT_LEADER, PPT, CARD);
    let said = |voucher: Voucher| door.with(|door| door.vouchers = vec![voucher]);
    let employs = |bend: &dyn Fn(&mut stafett_protocol::consent::EmployeeCertificate)| {
        let mut certificate = certificate.clone();
        bend(&mut certificate);
        said(world.voucher_of(PPT_LEADER, &certificate, Some(&assignment)))
    };
    assert_eq!(employs(&|c| c.unit = SCHOOL), Err(R::VoucherInvalid));
    assert_eq!(employs(&|c| c.person = world.id(PPT_TWO)), Err(R::VoucherInvalid));
    assert_eq!(employs(&|c| c.person_key = [9; 32]), Err(R::VoucherInvalid));
    assert_eq!(employs(&|c| c.expires_at = door.state.time + 1), Err(R::VoucherInvalid));
    assert_eq!(employs(&|c| c.may_act = Permit::No), Err(R::VoucherMissing));
    let assigns = |bend: &dyn Fn(&mut stafett_protocol::consent::UnitAssignment)| {
        let mut assignment = assignment.clone();
        bend(&mut assignment);
        said(world.voucher_of(PPT_LEADER, &certificate, Some(&assignment)))
    };
    assert_eq!(assigns(&|a| a.unit = SCHOOL), Err(R::VoucherMissing));
    assert_eq!(assigns(&|a| a.person = world.id(PPT_TWO)), Err(R::VoucherMissing));
    assert_eq!(assigns(&|a| a.scope = JOURNAL), Err(R::VoucherMissing));
    assert_eq!(said(world.voucher_of(PPT_LEADER, &certificate, None)), Err(R::VoucherMissing));
    assert_eq!(said(world.voucher_of(LEADER, &certificate, Some(&assignment))), Err(R::VoucherInvalid));
}

#[test]
fn c1_a_grant_lets_in_whom_it_names_as_what_it_says() {
    let world = World::new();
    let door = Door::reader(&world);
    let basis = door.member.basis;
    assert_eq!(door.state.grants.iter().filter(|fact| fact.id == basis).count(), 1, "two signatures, one grant");
    let granted = |bend: &dyn Fn(&mut stafett_protocol::consent::ConsentGrant), who: Who| {
        door.with(|door| {
            bend(&mut door.state.grants.iter_mut().find(|fact| fact.id == basis).unwrap().grant);
            (door.member, door.leaf) = (world.founder(who, Role::Reader, basis), leaf(world.device(who)));
        })
    };
    assert_eq!(granted(&|grant| grant.scope = JOURNAL, PPT), Err(R::GrantMismatch));
    assert_eq!(door.with(|door| door.member.role = Role::Actor), Err(R::GrantMismatch));
    assert_eq!(granted(&|_| (), PPT_LEADER), Ok(()), "the leader needs nobody's word");
    let other_key = |grant: &mut stafett_protocol::consent::ConsentGrant| {
        let Grantee::Unit(unit) = &mut grant.grantee else { panic!() };
        unit.leader_key = [9; 32];
    };
    assert_eq!(granted(&other_key, PPT_LEADER), Err(R::KeyNotPinned));
    let coach = world.person_grantee(COACH);
    assert_eq!(granted(&|grant| grant.grantee = coach, COACH), Ok(()));
    assert_eq!(granted(&|grant| grant.grantee = coach, STRANGER), Err(R::GrantMismatch));
    let Grantee::Person(mut named) = coach else { panic!() };
    named.person_key = [9; 32];
    assert_eq!(granted(&|grant| grant.grantee = Grantee::Person(named), COACH), Err(R::GrantMismatch));
    named = PersonGrantee { person: world.id(STRANGER), person_key: world.person(COACH).public() };
    assert_eq!(granted(&|grant| grant.grantee = Grantee::Person(named), COACH), Err(R::GrantMismatch));
    let beside = |card: &ScopeState| door.with(|door| door.card = Some(card.clone()));
    assert_eq!(beside(&door.state), Ok(()), "who enters the card need not be on it");
}

#[test]
fn c1_a_log_is_held_by_the_very_person_whom_the_grant_names() {
    let world = World::new();
    let authority = world.authority();
    let founded = |grantee| {
        let grant = ConsentGrant { grantee, ..world.hold_grant(CARD, &authority) };
        let founder = world.founder(TEACHER, Role::Holder, id_of(&grant));
        let grants = world.signed_by(&grant, &[MOTHER, FATHER]);
        let membership = world.membership(CARD, ScopeKind::Card, &authority, founder);
        let founding = Founding { membership, log_salt: Some(SALT), card: None, grants, vouchers: vec![] };
        world.found(world.device(TEACHER), &founding, None).map(drop)
    };
    let named = PersonGrantee { person: world.id(TEACHER), person_key: world.person(TEACHER).public() };
    let person = |named| founded(Grantee::Person(named));
    assert_eq!(person(named), Ok(()));
    assert_eq!(person(PersonGrantee { person: world.id(COACH), ..named }), Err(R::GrantMismatch));
    assert_eq!(person(PersonGrantee { person_key: [9; 32], ..named }), Err(R::GrantMismatch));
    // The leader of the unit needs nobody's word; whoever has only the name or only the key does.
    let led = UnitGrantee { unit: SCHOOL, leader: named.person, leader_key: named.person_key };
    let unit = |led| founded(Grantee::Unit(led));
    assert_eq!(unit(led), Ok(()));
    assert_eq!(unit(UnitGrantee { leader: world.id(COACH), ..led }), Err(R::VoucherMissing));
    assert_eq!(unit(UnitGrantee { leader_key: [9; 32], ..led }), Err(R::VoucherMissing));
}

#[test]
fn m3_a_leaf_is_its_persons_own_under_the_key_that_is_pinned() {
    let world = World::new();
    let door = Door::reader(&world);
    assert_eq!(door.with(|door| door.member.person_key = [9; 32]), Err(R::KeyNotPinned));
    let other = leaf(world.device_n(PPT, 1)).credential;
    assert_eq!(door.with(|door| door.leaf.credential = other), Err(R::PersonChanged), "another device's");
    let other = leaf(world.device(PPT_TWO)).credential;
    assert_eq!(door.with(|door| door.leaf.credential = other), Err(R::PersonChanged), "another person's");
    let new = NewKey { person: world.id(PPT), key: [9; 32] };
    assert_eq!(door.with(|door| door.state.new_keys = vec![new]), Err(R::KeyNotPinned), "a key that was lost");
    let found = NewKey { key: world.person(PPT).public(), ..new };
    assert_eq!(door.with(|door| door.state.new_keys = vec![found]), Ok(()), "the one that counts since");
}

#[test]
fn c3_an_ended_employment_keeps_out_until_a_later_grant() {
    let world = World::new();
    let door = Door::reader(&world);
    let since = door.state.grant(&door.member.basis).unwrap().in_force_since;
    let ended = |unit, who: Who, at| {
        door.with(|door| door.state.ended = vec![Ended { unit, person: world.id(who), at, word: 0 }])
    };
    assert_eq!(ended(PPT_UNIT, PPT, since), Err(R::VoucherMissing));
    assert_eq!(ended(PPT_UNIT, PPT, since - 1), Ok(()));
    assert_eq!([ended(SCHOOL, PPT, since), ended(PPT_UNIT, PPT_TWO, since)], [Ok(()), Ok(())]);
}

#[test]
fn c3_what_the_leader_has_ended_begins_again_with_a_later_word_of_theirs() {
    let world = World::new();
    let door = Door::reader(&world);
    let since = door.state.grant(&door.member.basis).unwrap().in_force_since;
    let assignment = world.assignment(PPT_LEADER, PPT, door.state.scope());
    let ended = |word, said| {
        door.with(|door| {
            door.state.ended = vec![Ended { unit: PPT_UNIT, person: world.id(PPT), at: since - 1, word }];
            let later = UnitAssignment { assigned_at: said, ..assignment.clone() };
            door.vouchers = vec![world.voucher_of(PPT_LEADER, &world.certificate(PPT_LEADER, PPT), Some(&later))];
        })
    };
    // However new the family's consent to the unit is, the old word does not count any more.
    assert_eq!([ended(START, START - 1), ended(START, START)], [Err(R::VoucherMissing), Err(R::VoucherMissing)]);
    assert_eq!(ended(START, START + 1), Ok(()));
}

#[test]
fn access_to_a_concern_is_two_grants() {
    let world = World::new();
    let card = world.card_with_reader();
    let mut concern = world.concern(card.state());
    let basis = world.give(&mut concern, world.unit_of(PPT_LEADER), Access::Read);
    let vouchers = vec![world.voucher(PPT_LEADER, PPT, CONCERN)];
    let door = Door { vouchers, ..Door::of(&world, &concern, TEACHER, PPT, Role::Reader, basis) };
    let beside = |bend: &dyn Fn(&mut ScopeState)| {
        let mut card = card.state().clone();
        bend(&mut card);
        door.with(|door| door.card = Some(card))
    };
    let ppt = |state: &mut ScopeState, bend: &dyn Fn(&mut Member)| {
        bend(state.membership.members.iter_mut().find(|m| m.person == world.id(PPT)).unwrap());
    };
    assert_eq!(beside(&|_| ()), Ok(()));
    assert_eq!(beside(&|card| ppt(card, &|m| m.person_key = [9; 32])), Err(R::NotOnCard));
    assert_eq!(beside(&|card| card.listed = vec![world.device(PPT).public()]), Err(R::NotOnCard));
    let second = world.device_n(PPT, 1).public();
    let one_of_two = |card: &mut ScopeState| {
        ppt(card, &|m| m.devices.push(second));
        card.listed = vec![second];
    };
    assert_eq!(beside(&one_of_two), Ok(()), "a lost device");
    // Who lost the place on the card since may have entered before.
    let gone = |who: Who, person_key| {
        beside(&|card| {
            card.membership.members.retain(|m| m.person != world.id(PPT));
            let (person, device) = (world.id(who), world.device(who).public());
            card.gone =
                vec![Gone { person, person_key, role: Role::Reader, device, at: START + DAY, wiped: Permit::No }];
        })
    };
    let key = world.person(PPT).public();
    assert_eq!([gone(PPT, key), gone(PPT, [9; 32])], [Ok(()), Err(R::NotOnCard)]);
    assert_eq!(gone(PPT_TWO, key), Err(R::NotOnCard));
    // A grant of the card's counts here for the custodian alone.
    let copy = |access: Access, role, scope| {
        door.with(|door| {
            let fact = door.state.grants.iter_mut().find(|fact| fact.id == basis).unwrap();
            (fact.grant.access, fact.grant.scope) = (access, scope);
            (door.member, door.leaf) = (world.founder(PPT_LEADER, role, basis), leaf(world.device(PPT_LEADER)));
        })
    };
    assert_eq!(copy(Access::Custody, Role::Custodian, CARD), Ok(()));
    assert_eq!(copy(Access::Custody, Role::Custodian, JOURNAL), Err(R::GrantMismatch));
    assert_eq!(copy(Access::Read, Role::Reader, CARD), Err(R::GrantMismatch));
}

#[test]
fn the_family_enters_as_the_authority_names_it() {
    let world = World::new();
    let card = world.card();
    let family = |child: bool, key, who: Who, role, basis: Option<Hash>| {
        let mut door = Door::of(&world, &card, TEACHER, who, role, Hash::default());
        let authority = &mut door.state.membership.authority;
        authority.guardians[0].key = key;
        authority.child = child.then(|| world.authority_person(CHILD));
        door.member.basis = basis.unwrap_or_else(|| authority.id());
        door.answer()
    };
    let key = world.person(MOTHER).public();
    assert_eq!(family(true, key, MOTHER, Role::Guardian, None), Ok(()));
    assert_eq!(family(true, key, CHILD, Role::Child, None), Ok(()));
    assert_eq!(family(true, [9; 32], MOTHER, Role::Guardian, None), Err(R::KeyNotPinned));
    assert_eq!(family(true, key, MOTHER, Role::Guardian, Some(Hash([1; 32]))), Err(R::NotAnAuthority));
    for (child, who, role) in [
        (true, CHILD, Role::Guardian),
        (true, MOTHER, Role::Child),
        (false, CHILD, Role::Child),
        (true, STRANGER, Role::Guardian),
    ] {
        assert_eq!(family(child, key, who, role, None), Err(R::NotAnAuthority), "{who} as {role:?}");
    }
}

#[test]
fn who_comes_back_after_a_refounding_takes_the_very_seat_and_only_while_it_stands() {
    let world = World::new();
    let mut door = Door::reader(&world);
    door.vouchers.clear();
    door.state.readmit = vec![door.member.clone()];
    assert_eq!(door.answer(), Ok(()), "without a new word of the leader's");
    let back = |bend: &dyn Fn(&mut Member)| door.with(|door| bend(&mut door.state.readmit[0]));
    assert_eq!(back(&|m| m.person = world.id(PPT_TWO)), Err(R::VoucherMissing));
    assert_eq!(back(&|m| m.role = Role::Actor), Err(R::VoucherMissing));
    assert_eq!(back(&|m| m.basis = Hash([9; 32])), Err(R::VoucherMissing));
    assert_eq!(back(&|m| m.person_key = [9; 32]), Err(R::VoucherMissing));
    // What has ended meanwhile lets nobody back.
    let (person, now) = (world.id(PPT), door.state.time + 1);
    let expired =
        |until| door.with(|door| door.state.employments = vec![Employment { person, basis: door.member.basis, until }]);
    assert_eq!([expired(now), expired(now + 1)], [Err(R::VoucherInvalid), Ok(())]);
    let ended = Ended { unit: PPT_UNIT, person, at: now, word: 0 };
    assert_eq!(door.with(|door| door.state.ended = vec![ended]), Err(R::VoucherMissing));
    let holder = |status| {
        door.with(|door| {
            let seat = door.state.membership.holder().unwrap().clone();
            door.by = MOTHER;
            door.state.membership.members.retain(|m| m.person != seat.person);
            (door.state.status, door.state.readmit) = (status, vec![seat.clone()]);
            (door.member, door.leaf) = (seat, leaf(world.device(TEACHER)));
        })
    };
    assert_eq!([holder(Status::Dormant), holder(Status::Withdrawn)], [Ok(()), Err(R::GrantWithdrawn)]);
}

#[test]
fn in_a_unit_the_leaders_certificate_or_the_municipalitys_lets_in() {
    let world = World::new();
    let unit = world.found(world.device(LEADER), &world.unit_founding(), None).unwrap();
    let mut door = Door::of(&world, &unit, LEADER, COLLEAGUE, Role::Employee, Hash::default());
    assert_eq!(door.answer(), Err(R::VoucherMissing));
    door.vouchers = vec![world.voucher_of(LEADER, &world.certificate(LEADER, COLLEAGUE), None)];
    assert_eq!(door.answer(), Ok(()));
    door.vouchers = vec![world.voucher_of(PPT_LEADER, &world.certificate(LEADER, COLLEAGUE), None)];
    assert_eq!(door.answer(), Err(R::VoucherMissing), "by who leads another unit");
    // A new leader is the municipality's word alone, whoever of the unit commits it.
    let leads = |who: Who, kind, at| {
        let person = world.person(who);
        let credential = world.credential(person.id, &person.key, kind, Some(at), &world.device(who).public());
        door.with(|door| {
            door.state.membership.members.push(world.founder(TEACHER, Role::Employee, Hash::default()));
            (door.by, door.member) = (TEACHER, world.founder(who, Role::Leader, Hash::default()));
            door.leaf = Leaf { credential, ..leaf(world.device(who)) };
        })
    };
    assert_eq!(leads(COLLEAGUE, PersonKind::Leader, SCHOOL), Ok(()));
    assert_eq!(leads(COLLEAGUE, PersonKind::Employee, SCHOOL), Err(R::VoucherInvalid));
    assert_eq!(leads(COLLEAGUE, PersonKind::Leader, PPT_UNIT), Err(R::VoucherInvalid));
    let promoted = door.with(|door| {
        door.state.membership.members.push(door.member.clone());
        door.member.role = Role::Leader;
    });
    assert_eq!(promoted, Err(R::VoucherInvalid), "no leaf says that the municipality has certified it");
    // Who comes back does so while the certificate lasts.
    let until = |until| {
        door.with(|door| {
            door.state.readmit = vec![door.member.clone()];
            door.state.employments = vec![Employment { person: door.member.person, basis: door.member.basis, until }];
        })
    };
    let now = unit.state().time + 1;
    assert_eq!([until(now), until(now + 1)], [Err(R::VoucherInvalid), Ok(())]);
    // In one's own scope nobody else.
    let own = world.found(world.device(MOTHER), &world.personal_founding(MOTHER), None).unwrap();
    let stranger = Door::of(&world, &own, MOTHER, FATHER, Role::Own, Hash::default());
    assert_eq!(stranger.answer(), Err(R::NotYours));
    let basis = Hash([1; 32]);
    assert_eq!(Door::of(&world, &own, MOTHER, MOTHER, Role::Own, basis).answer(), Ok(()), "the basis follows the key");
}

#[test]
fn c15_in_a_unit_the_leaders_word_lets_in_and_no_colleagues() {
    let world = World::new();
    let mut unit = world.found(world.device(LEADER), &world.unit_founding(), None).unwrap();
    unit.now += 1;
    let employee = world.founder(COLLEAGUE, Role::Employee, Hash::default());
    let by = |leader: Who| {
        Door::of(&world, &unit, LEADER, TEACHER, Role::Employee, Hash::default()).with(|door| {
            door.state.membership.members.push(employee.clone());
            door.vouchers = vec![world.voucher(leader, TEACHER, unit.scope())];
        })
    };
    assert_eq!([by(LEADER), by(COLLEAGUE)], [Ok(()), Err(R::VoucherMissing)]);
}
