//! A handover on facts bent for the case: what each condition of the rule is for, where an honest chain does not
//! come by (C1, K1, K8; found by the mutants of `policy/handover.rs`).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use crate::common::baton::after_handover;
use crate::common::*;
use stafett_protocol::commit_view::{CommitView, Leaf};
use stafett_protocol::consent::{Access, Grantee, PersonGrantee};
use stafett_protocol::credential::PersonKind;
use stafett_protocol::event::Body;
use stafett_protocol::handover::{Destination, HandoverOffer, Part};
use stafett_protocol::ids::Hash;
use stafett_protocol::membership::{Member, Role};
use stafett_protocol::policy::{MlsView, may_hand_over, may_offer};
use stafett_protocol::refusal::Refusal as R;
use stafett_protocol::state::{Employment, Ended, GrantFact, NewKey, ScopeState, Status, TakenOver, Tenure};
use stafett_protocol::statement::Statement;
use stafett_protocol::statement::Takeover;

/// A handover from the teacher, as `decide` is told of it.
struct Case<'w> {
    world: &'w World,
    state: ScopeState,
    offer: HandoverOffer,
    who: Who,
    /// The card beside which it is judged.
    card: Option<ScopeState>,
}

impl<'w> Case<'w> {
    /// To a colleague in the same unit, on the grant that is there.
    fn inside(world: &'w World, chain: &Chain) -> Self {
        let offer = world.offer(chain, world.to_unit(LEADER, Some(COLLEAGUE)), chain.basis());
        Self { world, state: chain.state().clone(), offer, who: COLLEAGUE, card: None }
    }

    fn view(&self) -> CommitView {
        let (state, device) = (&self.state, self.world.device(self.who));
        let now = state.time + 1;
        let fresh = state.membership.device_key(device.id()).is_none();
        CommitView {
            adds: if fresh { vec![leaf(device)] } else { vec![] },
            removes: state.listed_at(now),
            membership: Some(after_handover(self.world, state, now, &self.offer, Some(self.who))),
            ..view(self.world.device(TEACHER))
        }
    }

    fn judge(&self, view: CommitView) -> Result<ScopeState, R> {
        let world = self.world;
        let leader = if self.offer.to.unit.unwrap().unit == PPT_UNIT { PPT_LEADER } else { LEADER };
        let voucher = world.voucher_of(leader, &world.certificate(leader, self.who), None);
        let commit = commit_of(&view, vec![voucher], Some(world.agreed(&self.offer, TEACHER, self.who)));
        let by = world.device(TEACHER);
        world.decided(&self.state, self.card.as_ref(), by, Body::Commit(commit), &MlsView::Commit(view))
    }

    fn bent(&self, bend: impl FnOnce(&mut ScopeState)) -> Self {
        let mut state = self.state.clone();
        bend(&mut state);
        state.membership = state.membership.sorted();
        Self { world: self.world, state, offer: self.offer.clone(), who: self.who, card: self.card.clone() }
    }

    fn answer(&self) -> Result<(), R> {
        self.judge(self.view()).map(drop)
    }
}

#[test]
fn who_is_on_the_way_out_hands_nothing_over_and_a_frozen_holder_closes_only() {
    let world = World::new();
    let card = world.family_card();
    let asks = |state: &ScopeState, part| {
        may_hand_over(state, &world.context(card.now, None), world.id(TEACHER), part).map(drop)
    };
    let mut state = card.state().clone();
    assert_eq!(asks(&state, Part::Moves), Ok(()));
    state.listed = vec![world.device(TEACHER).public()];
    assert_eq!(asks(&state, Part::Moves), Err(R::Listed));
    let teacher = state.membership.members.iter_mut().find(|m| m.role == Role::Holder).unwrap();
    teacher.devices.push(world.device_n(TEACHER, 1).public());
    assert_eq!(asks(&state, Part::Moves), Ok(()), "a lost device goes, its holder does not");
    let mut frozen = card.state().clone();
    frozen.status = Status::Dormant;
    assert_eq!(asks(&frozen, Part::Moves), Err(R::NotActive));
    assert_eq!(asks(&frozen, Part::Closes), Ok(()), "narrowing needs no consent");
}

#[test]
fn k8_in_a_concern_the_cards_takeover_counts() {
    let world = World::new();
    let mut chain = world.family_card();
    world.seat_custodian(&mut chain, LEADER);
    let mut card = chain.state().clone();
    let mut concern = world.concern(&card);
    world.seat_custodian(&mut concern, LEADER);
    let asks = |card: &ScopeState| {
        let context = world.context(concern.now, Some(card));
        may_hand_over(concern.state(), &context, world.id(LEADER), Part::Moves).map(drop)
    };
    assert_eq!(asks(&card), Err(R::TakeoverFirst));
    card.takeovers.push(TakenOver { by: world.id(PPT_LEADER), reason: Hash([1; 32]), at: START });
    assert_eq!(asks(&card), Err(R::TakeoverFirst), "somebody else's");
    card.takeovers.push(TakenOver { by: world.id(LEADER), reason: Hash([1; 32]), at: START });
    assert_eq!(asks(&card), Ok(()));
}

#[test]
fn k8_no_unit_behind_the_holder_no_leader_for_the_holder() {
    let world = World::new();
    let mut card = world.family_card();
    world.seat_custodian(&mut card, LEADER);
    let takes_over = |state: &ScopeState| {
        world.said(state, LEADER, Statement::Takeover(Takeover { reason: Hash([1; 32]) })).map(drop)
    };
    assert_eq!(takes_over(card.state()), Ok(()));
    let mut personal = card.state().clone();
    for fact in &mut personal.grants {
        fact.grant.grantee = world.person_grantee(COACH);
    }
    assert_eq!(takes_over(&personal), Err(R::NotYours));
}

#[test]
fn an_offer_on_a_grant_that_is_not_to_hold_is_refused_before_anybody_accepts_it() {
    let world = World::new();
    let mut card = world.family_card();
    let read = world.give(&mut card, world.unit_of(LEADER), Access::Read);
    let asks = |basis| {
        let offer = world.offer(&card, world.to_unit(LEADER, Some(COLLEAGUE)), basis);
        may_offer(card.state(), &card.context(&world), &world.sign_offer(&offer, TEACHER)).map(drop)
    };
    assert_eq!(asks(read), Err(R::GrantMismatch));
    assert_eq!(asks(card.basis()), Ok(()));
}

#[test]
fn while_a_key_of_the_chain_is_missing_a_handover_lets_nobody_in() {
    let world = World::new();
    let mut card = world.family_card();
    let fresh = world.give_hold(&mut card, LEADER, 5);
    let inside = Case::inside(&world, &card);
    assert_eq!(inside.answer(), Ok(()));
    let broken = inside.bent(|state| state.gaps = vec![3]);
    assert_eq!(broken.answer(), Err(R::LinkRepairFirst));
    let offer = world.offer(&card, world.to_unit(LEADER, Some(TEACHER)), fresh);
    assert_eq!(Case { offer, who: TEACHER, ..broken }.answer(), Ok(()), "who is in takes it all the same");
}

#[test]
fn c1_who_becomes_the_holder_is_nobody_of_the_family_and_nobody_on_the_grant_that_is_there() {
    let world = World::new();
    let card = world.card_with_reader();
    let inside = Case::inside(&world, &card);
    assert_eq!(inside.answer(), Ok(()));
    let names = |state: &mut ScopeState| state.membership.authority.guardians.push(world.authority_person(COLLEAGUE));
    assert_eq!(inside.bent(names).answer(), Err(R::HandoverMismatch), "who consents does not hold");
    let basis = card.membership().authority.id();
    let seat = |role| Member { role, ..world.founder(COLLEAGUE, Role::Guardian, basis) };
    let family = inside.bent(|state| state.membership.members.push(seat(Role::Child)));
    assert_eq!(family.answer(), Err(R::HandoverMismatch), "nor who is family here");
    // Another leaf that has to go makes a commit of it that changes something.
    let listed = |state: &mut ScopeState| state.listed = vec![world.device(PPT).public()];
    let offer = world.offer(&card, world.to_unit(LEADER, Some(TEACHER)), card.basis());
    let again = Case { offer, who: TEACHER, ..inside.bent(listed) };
    assert_eq!(again.answer(), Err(R::HandoverMismatch), "the holder again, on the same grant");
}

#[test]
fn c1_the_new_holders_key_and_leaves_are_those_that_are_known() {
    let world = World::new();
    let card = world.family_card();
    let inside = Case::inside(&world, &card);
    // A member whose key is pinned comes with another one.
    let mut seat = world.founder(COLLEAGUE, Role::Archivist, card.basis());
    seat.person_key = [9; 32];
    let pinned = inside.bent(|state| state.membership.members.push(seat));
    let mut view = pinned.view();
    let members = &mut view.membership.as_mut().unwrap().members;
    members.iter_mut().find(|m| m.role == Role::Holder).unwrap().person_key = world.person(COLLEAGUE).public();
    assert_eq!(pinned.judge(view).map(drop), Err(R::KeyNotPinned));
    let new = NewKey { person: world.id(COLLEAGUE), key: [9; 32] };
    assert_eq!(inside.bent(|state| state.new_keys = vec![new]).answer(), Err(R::KeyNotPinned), "lost since");
    // A leaf of somebody else, and one that another municipality certifies.
    let colleague = world.person(COLLEAGUE);
    let with = |credential| {
        let mut view = inside.view();
        view.adds = vec![Leaf { credential, ..view.adds[0].clone() }];
        inside.judge(view).map(drop)
    };
    assert_eq!(with(leaf(world.device(PPT)).credential), Err(R::PersonChanged));
    let (kind, key) = (PersonKind::Employee, world.device(COLLEAGUE).public());
    let elsewhere = world.credential(colleague.id, &colleague.key, kind, Some(HAUGESUND_SCHOOL), &key);
    assert_eq!(with(elsewhere), Err(R::NotIdentified));
    let here = world.credential(colleague.id, &colleague.key, kind, Some(SCHOOL), &key);
    assert_eq!(with(here), Ok(()));
}

#[test]
fn after_it_who_has_no_seat_has_no_certificate_either_and_who_is_back_is_awaited_no_longer() {
    let world = World::new();
    let card = world.card_with_reader();
    let basis = card.membership().member(world.id(PPT)).unwrap().basis;
    let (coach, mother) = (world.founder(COACH, Role::Reader, basis), world.founder(MOTHER, Role::Guardian, basis));
    let awaited = world.founder(PPT_TWO, Role::Reader, basis);
    let mut father = world.founder(FATHER, Role::Guardian, basis);
    father.devices.push(world.device_n(FATHER, 1).public());
    let case = Case::inside(&world, &card).bent(|state| {
        state.listed = coach.devices.clone();
        state.membership.members.push(coach);
        state.readmit = vec![awaited.clone(), mother, father.clone()];
        let all = [COACH, TEACHER, COLLEAGUE, PPT];
        state.employments =
            all.map(|who| Employment { person: world.id(who), basis, until: START + 900 * DAY }).into_iter().collect();
    });
    let after = case.judge(case.view()).unwrap();
    let employed: Vec<_> = after.employments.iter().map(|e| e.person).collect();
    assert_eq!(employed, [world.id(PPT)]);
    assert_eq!(after.readmit, [awaited, father], "one device of the father's is not back yet");
    assert!(after.moves.is_empty(), "at home");
    assert_eq!(after.tenures.len(), card.state().tenures.len() + 1);
    let concern = world.concern(card.state());
    let inside = Case::inside(&world, &concern);
    assert!(inside.judge(inside.view()).unwrap().tenures.is_empty(), "the card alone says who held the log");
}

#[test]
fn k1_the_old_units_grants_end_and_nobody_elses() {
    let world = World::new();
    let mut card = world.family_card();
    let basis = world.give_hold(&mut card, PPT_LEADER, 5);
    let coach = world.give(&mut card, world.person_grantee(COACH), Access::Hold);
    let old = card.basis();
    let fact = card.state().grant(&old).unwrap().clone();
    assert!(matches!(fact.grant.grantee, Grantee::Unit(_)));
    let ended = GrantFact { id: Hash([5; 32]), ended_at: 7, ..fact };
    let offer = world.offer(&card, world.to_unit(PPT_LEADER, Some(PPT)), basis);
    let case = Case { offer, who: PPT, ..Case::inside(&world, &card) }.bent(|state| state.grants.push(ended));
    let after = case.judge(case.view()).unwrap();
    let ended_at = |id| after.grant(&id).unwrap().ended_at;
    assert_eq!(ended_at(old), case.state.time + 1);
    assert_eq!((ended_at(Hash([5; 32])), ended_at(coach), ended_at(basis)), (7, 0, 0));
}

#[test]
fn k1_in_the_same_unit_the_old_grant_ends_alone() {
    let world = World::new();
    let mut card = world.family_card();
    let old = card.basis();
    let [fresh, spare] = [5, 6].map(|salt| world.give_hold(&mut card, LEADER, salt));
    let offer = world.offer(&card, world.to_unit(LEADER, Some(COLLEAGUE)), fresh);
    let case = Case { offer, ..Case::inside(&world, &card) };
    let after = case.judge(case.view()).unwrap();
    let ended_at = |id| after.grant(&id).unwrap().ended_at;
    assert_eq!([ended_at(old), ended_at(fresh), ended_at(spare)], [case.state.time + 1, 0, 0]);
}

#[test]
fn k1_with_the_baton_the_old_units_other_grants_to_hold_end_and_its_custodian_goes() {
    let world = World::new();
    let mut card = world.family_card();
    world.seat_custodian(&mut card, LEADER);
    world.seat_custodian(&mut card, PPT_LEADER);
    let old = card.basis();
    let spare = world.give_hold(&mut card, LEADER, 6);
    let basis = world.give_hold(&mut card, PPT_LEADER, 5);
    let offer = world.offer(&card, world.to_unit(PPT_LEADER, Some(PPT)), basis);
    let archived = world.founder(COACH, Role::Archivist, old);
    let case =
        Case { offer, who: PPT, ..Case::inside(&world, &card) }.bent(|state| state.membership.members.push(archived));
    let after = case.judge(case.view()).unwrap();
    let ended = |id| after.grant(&id).unwrap().ended_at != 0;
    assert_eq!([ended(old), ended(spare), ended(basis)], [true, true, false]);
    let listed = |who: Who| after.listed.contains(&world.device(who).public());
    assert_eq!([LEADER, TEACHER].map(listed), [true, true]);
    assert_eq!([PPT_LEADER, COACH, MOTHER].map(listed), [false; 3], "the new unit's, an archivist, the family");
}

#[test]
fn an_offer_names_somebody_for_whom_the_grant_is_and_a_card_is_never_closed_by_it() {
    let world = World::new();
    let mut card = world.family_card();
    let hold = world.give(&mut card, world.person_grantee(COACH), Access::Hold);
    let asks = |offer: &HandoverOffer| {
        may_offer(card.state(), &card.context(&world), &world.sign_offer(offer, TEACHER)).map(drop)
    };
    let person = |who: Who| Some(PersonGrantee { person: world.id(who), person_key: world.person(who).public() });
    let to = |person| HandoverOffer {
        to: Destination { municipality: HOME, unit: None, person },
        ..world.offer(&card, world.to_unit(LEADER, None), hold)
    };
    assert_eq!(asks(&to(person(COACH))), Ok(()));
    assert_eq!(asks(&to(person(STRANGER))), Err(R::GrantMismatch));
    assert_eq!(asks(&to(None)), Err(R::HandoverMismatch));
    assert_eq!(asks(&world.closing(&card, world.to_unit(LEADER, None))), Err(R::HandoverMismatch));
}

#[test]
fn c3_whose_employment_ended_holds_nothing_until_a_later_grant() {
    let world = World::new();
    let card = world.family_card();
    let inside = Case::inside(&world, &card);
    let since = card.state().grant(&card.basis()).unwrap().in_force_since;
    let ended = |at, word| {
        let ended = Ended { unit: SCHOOL, person: world.id(COLLEAGUE), at, word };
        inside.bent(|state| state.ended = vec![ended]).answer()
    };
    assert_eq!([ended(since, 0), ended(since - 1, 0)], [Err(R::VoucherMissing), Ok(())]);
    let issued = world.certificate(LEADER, COLLEAGUE).issued_at;
    assert_eq!([ended(since - 1, issued), ended(since - 1, issued - 1)], [Err(R::VoucherMissing), Ok(())]);
}

#[test]
fn the_holder_of_the_card_takes_the_concerns_and_the_card_itself_asks_nobody() {
    let world = World::new();
    let card = world.family_card();
    let concern = world.concern(card.state());
    let beside =
        |chain: &Chain, card: &ScopeState| Case { card: Some(card.clone()), ..Case::inside(&world, chain) }.answer();
    assert_eq!(beside(&concern, card.state()), Err(R::NotOnCard));
    let mut passed = card.state().clone();
    passed.tenures.push(Tenure { person: world.id(COLLEAGUE), basis: card.basis(), since: START });
    assert_eq!(beside(&concern, &passed), Ok(()));
    assert_eq!(beside(&card, card.state()), Ok(()));
}
