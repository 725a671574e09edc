//! Commits on facts bent for the case: what each condition of `policy/commit.rs` is for (M1, M5, M6; found by its
//! mutants).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use crate::common::*;
use stafett_protocol::commit_view::CommitView;
use stafett_protocol::consent::Access;
use stafett_protocol::event::{Body, Commit, Event};
use stafett_protocol::ids::Hash;
use stafett_protocol::membership::{Member, Membership, Role};
use stafett_protocol::policy::{MlsView, decide};
use stafett_protocol::refusal::Refusal as R;
use stafett_protocol::state::{Employment, NewKey, ScopeState, Status};

fn answer(world: &World, state: &ScopeState, by: Who, view: CommitView) -> Result<(), R> {
    world.committed(state, by, view).map(drop)
}

#[test]
fn m6_a_resync_replaces_the_own_leaf_and_does_nothing_else() {
    let world = World::new();
    let card = world.family_card();
    let (state, mother) = (card.state(), world.device(MOTHER));
    let resync = CommitView { sender: None, removes: vec![mother.public()], path: Some(leaf(mother)), ..view(mother) };
    let tried = |bend: &dyn Fn(&mut CommitView, &mut Commit)| {
        let mut view = resync.clone();
        let mut commit = commit_of(&view, vec![], None);
        bend(&mut view, &mut commit);
        world.decided(state, None, mother, Body::Commit(commit), &MlsView::Commit(view)).map(drop)
    };
    assert_eq!(tried(&|_, _| ()), Ok(()));
    let father = world.device(FATHER).public();
    assert_eq!(tried(&|view, _| view.removes = vec![father]), Err(R::ResyncForeign));
    assert_eq!(tried(&|view, _| view.removes.push(father)), Err(R::ResyncForeign));
    assert_eq!(tried(&|view, _| view.adds.push(leaf(world.device(COACH)))), Err(R::ResyncForeign));
    assert_eq!(tried(&|view, _| view.membership = Some(state.membership.clone())), Err(R::ResyncForeign));
    assert_eq!(tried(&|view, _| view.path = Some(leaf(world.device_n(MOTHER, 1)))), Err(R::ResyncForeign));
    assert_eq!(tried(&|view, _| view.path = None), Err(R::ResyncForeign));
    let offer = world.offer(&card, world.to_unit(LEADER, Some(COLLEAGUE)), card.basis());
    let handover = world.agreed(&offer, TEACHER, COLLEAGUE);
    assert_eq!(tried(&|_, commit| commit.handover = Some(handover.clone())), Err(R::ResyncForeign));
    assert_eq!(tried(&|_, commit| commit.link = Some(vec![1].into())), Err(R::LinkMissing));
    assert_eq!(tried(&|_, commit| commit.welcome = Some(Hash([1; 32]))), Err(R::LinkMissing));
}

#[test]
fn m1_a_commit_is_of_its_epoch_by_its_author_and_keeps_the_authors_leaf() {
    let world = World::new();
    let card = world.family_card();
    let (state, mother) = (card.state(), world.device(MOTHER));
    let renew = CommitView { path: Some(leaf(mother)), ..view(mother) };
    assert_eq!(answer(&world, state, MOTHER, renew.clone()), Ok(()));
    let body = Body::Commit(commit_of(&renew, vec![], None));
    let early = Event { epoch: state.epoch - 1, ..card.event(mother, body) };
    let context = card.context(&world);
    let refused = decide(state, &context, &early, &MlsView::Commit(renew.clone())).map(drop);
    assert_eq!(refused, Err(R::WrongEpoch));
    let of = |bend: &dyn Fn(&mut CommitView)| {
        let mut view = renew.clone();
        bend(&mut view);
        answer(&world, state, MOTHER, view)
    };
    assert_eq!(of(&|view| view.sender = Some(world.device(FATHER).public())), Err(R::PersonChanged));
    assert_eq!(of(&|view| view.path = Some(leaf(world.device_n(MOTHER, 1)))), Err(R::PersonChanged));
    // Who comes and goes is said by a membership.
    assert_eq!(of(&|view| view.adds = vec![leaf(world.device(COACH))]), Err(R::MembershipMismatch));
    assert_eq!(of(&|view| view.removes = vec![world.device(FATHER).public()]), Err(R::MembershipMismatch));
    // The first renewal waits for none before it, whatever the time.
    let first = ScopeState { time: 5, ..state.clone() };
    assert_eq!(answer(&world, &first, MOTHER, renew.clone()), Ok(()));
}

#[test]
fn what_a_commit_leaves_for_those_who_must_go_back_to_before_it() {
    let world = World::new();
    let card = world.card_with_reader();
    let ppt = world.device(PPT).public();
    let reader = card.membership().member(world.id(PPT)).unwrap().clone();
    let mut state = card.state().clone();
    // The PPT goes; its colleague has not come back since a re-founding; the mother is back.
    let mut awaited = reader.clone();
    (awaited.person, awaited.devices) = (world.id(PPT_TWO), vec![world.device(PPT_TWO).public()]);
    let mother = state.membership.member(world.id(MOTHER)).unwrap().clone();
    let mut father = state.membership.member(world.id(FATHER)).unwrap().clone();
    father.devices.push(world.device_n(FATHER, 1).public());
    state.readmit = vec![awaited.clone(), mother, father.clone()];
    state.listed = vec![ppt];
    let basis_of = |who: Who| state.membership.member(world.id(who)).map_or(reader.basis, |m| m.basis);
    let bases = [PPT, TEACHER].map(|who| (world.id(who), basis_of(who)));
    let employed = |who: Who| {
        let (person, basis) = *bases.iter().find(|(person, _)| *person == world.id(who)).unwrap();
        Employment { person, basis, until: START + 900 * DAY }
    };
    state.employments = vec![employed(PPT), employed(TEACHER)];
    state.gaps = vec![3];
    let membership = Some(without(state.membership.clone(), &[ppt]));
    let removal = CommitView { removes: vec![ppt], membership, ..view(world.device(TEACHER)) };
    let after = world.committed(&state, TEACHER, removal).expect("nobody comes in: no key need be whole");
    let mut before: Vec<_> = after.before_last_commit.iter().map(|m| m.person).collect();
    let mut expected = [MOTHER, FATHER, TEACHER, PPT_TWO].map(|who| world.id(who));
    before.sort();
    expected.sort();
    assert_eq!(before, expected, "without who was removed, each once");
    assert_eq!(after.employments, [employed(TEACHER)]);
    assert_eq!(after.readmit, [awaited, father], "who is back with every device is awaited no longer");
    // Whoever comes in by a commit was not there before it.
    let grant = card.state().grants.iter().find(|fact| fact.id == reader.basis).unwrap().id;
    let mut open = card.state().clone();
    open.employments = vec![employed(TEACHER)];
    let vouchers = vec![world.voucher(PPT_LEADER, PPT_TWO, CARD)];
    let membership = card.with(&world, PPT_TWO, &[0], Role::Reader, grant);
    let teacher = world.device(TEACHER);
    let entry = CommitView { adds: vec![leaf(world.device(PPT_TWO))], membership: Some(membership), ..view(teacher) };
    let commit = commit_of(&entry, vouchers, None);
    let after = world.decided(&open, None, teacher, Body::Commit(commit), &MlsView::Commit(entry)).unwrap();
    assert!(after.before_last_commit.iter().all(|m| m.person != world.id(PPT_TWO)));
    let employed: Vec<_> = after.employments.iter().map(|e| e.person).collect();
    assert!([TEACHER, PPT_TWO].iter().all(|who| employed.contains(&world.id(*who))), "{employed:?}");
}

#[test]
fn m5_the_membership_names_each_leaf_and_each_person_once_and_no_ghosts() {
    let world = World::new();
    let card = world.card_with_reader();
    let (teacher, ppt) = (world.device(TEACHER), world.device(PPT).public());
    let mut state = card.state().clone();
    state.listed = vec![ppt];
    let mut ghost = state.membership.clone();
    ghost.members.iter_mut().find(|m| m.person == world.id(PPT)).unwrap().devices = vec![];
    let view = |adds, removes, membership: Membership| CommitView {
        adds,
        removes,
        membership: Some(membership.sorted()),
        ..view(teacher)
    };
    let kept = view(vec![], vec![ppt], ghost);
    assert_eq!(answer(&world, &state, TEACHER, kept), Err(R::MembershipMismatch), "a member without a leaf");
    let second = world.device_n(MOTHER, 1);
    let seat = card.membership().member(world.id(MOTHER)).unwrap().clone();
    let mut twice = card.membership().clone();
    twice.members.push(Member { devices: vec![second.public()], ..seat });
    let twice = view(vec![leaf(second)], vec![], twice);
    assert_eq!(
        answer(&world, card.state(), MOTHER, CommitView { sender: Some(world.device(MOTHER).public()), ..twice }),
        Err(R::MembershipMismatch),
        "one person in two seats"
    );
    let mut doubled = card.membership().clone();
    let mother = doubled.members.iter_mut().find(|m| m.person == world.id(MOTHER)).unwrap();
    mother.devices.extend([second.public(), second.public()]);
    let doubled = view(vec![leaf(second), leaf(second)], vec![], doubled);
    assert_eq!(
        answer(&world, card.state(), MOTHER, CommitView { sender: Some(world.device(MOTHER).public()), ..doubled }),
        Err(R::MembershipMismatch),
        "one leaf twice"
    );
    // A unit is larger than a log.
    let unit = world.found(world.device(LEADER), &world.unit_founding(), None).unwrap();
    let mut state = unit.state().clone();
    let mut employee = world.founder(COLLEAGUE, Role::Employee, Hash::default());
    employee.devices = (1..=70).map(|n| [n; 32]).collect();
    state.membership.members.push(employee);
    state.membership = state.membership.sorted();
    state.listed = vec![[1; 32]];
    let membership = Some(without(state.membership.clone(), &[[1; 32]]));
    let leader = world.device(LEADER);
    let sender = Some(leader.public());
    let removal = CommitView { sender, adds: vec![], removes: vec![[1; 32]], path: None, membership };
    assert_eq!(answer(&world, &state, LEADER, removal), Ok(()));
}

#[test]
fn where_a_scope_takes_nobody_in_a_lost_key_is_replaced_all_the_same() {
    let world = World::new();
    let card = world.family_card();
    let second = world.device_n(MOTHER, 1);
    let basis = card.membership().authority.id();
    let membership = card.with(&world, MOTHER, &[1], Role::Guardian, basis);
    let by = CommitView { adds: vec![leaf(second)], membership: Some(membership), ..view(world.device(FATHER)) };
    let mut state = card.state().clone();
    state.status = Status::Dormant;
    assert_eq!(answer(&world, &state, FATHER, by.clone()), Err(R::NotActive));
    // Nor does it because somebody else is awaited, or back under a new key.
    state.readmit = vec![world.founder(COACH, Role::Reader, basis)];
    state.new_keys = vec![NewKey { person: world.id(COACH), key: world.person(COACH).public() }];
    assert_eq!(answer(&world, &state, FATHER, by.clone()), Err(R::NotActive));
    state.readmit.clear();
    state.new_keys = vec![NewKey { person: world.id(MOTHER), key: world.person(MOTHER).public() }];
    assert_eq!(answer(&world, &state, FATHER, by), Ok(()));
}

#[test]
fn nobody_but_the_person_takes_away_a_leaf_that_need_not_go() {
    let world = World::new();
    let card = world.family_card();
    let second = world.device_n(MOTHER, 1).public();
    let mut state = card.state().clone();
    state.membership.members.iter_mut().find(|m| m.person == world.id(MOTHER)).unwrap().devices.push(second);
    state.membership = state.membership.sorted();
    let by = |who: Who| {
        let membership = Some(without(state.membership.clone(), &[second]));
        let removal = CommitView { removes: vec![second], membership, ..view(world.device(who)) };
        answer(&world, &state, who, removal)
    };
    assert_eq!([by(TEACHER), by(FATHER), by(MOTHER)], [Err(R::NotYours), Err(R::NotYours), Ok(())]);
}

#[test]
fn who_comes_back_keeps_the_certificate_and_a_new_seat_has_its_own() {
    let world = World::new();
    let mut card = world.family_card();
    let coach = world.give(&mut card, world.person_grantee(COACH), Access::Read);
    let ppt = world.give(&mut card, world.unit_of(PPT_LEADER), Access::Read);
    let enters = |who: Who, basis, awaited: bool| {
        let mut state = card.state().clone();
        let seat = world.founder(who, Role::Reader, basis);
        state.employments = vec![Employment { person: seat.person, basis, until: START + 900 * DAY }];
        state.readmit = vec![if awaited { seat } else { world.founder(STRANGER, Role::Guardian, basis) }];
        let membership = Some(card.with(&world, who, &[0], Role::Reader, basis));
        let adds = vec![leaf(world.device(who))];
        let entry = CommitView { adds, membership, ..view(world.device(TEACHER)) };
        world.committed(&state, TEACHER, entry).unwrap().employments.len()
    };
    assert_eq!(enters(PPT, ppt, true), 1, "the leader's word of then");
    assert_eq!(enters(COACH, coach, false), 0, "nothing is left of an earlier seat");
}

#[test]
fn who_stays_keeps_the_own_leaf_and_the_family_its_role() {
    let world = World::new();
    let mut card = world.card_with_reader();
    let (mother, second) = (world.device(MOTHER).public(), world.device_n(MOTHER, 1).public());
    let grant = world.give(&mut card, world.person_grantee(MOTHER), Access::Read);
    let after = |bend: &dyn Fn(&mut Member)| {
        let mut membership = card.membership().clone();
        bend(membership.members.iter_mut().find(|m| m.person == world.id(MOTHER)).unwrap());
        Some(membership)
    };
    let rewrite = |membership| CommitView { membership, ..view(world.device(TEACHER)) };
    let narrowed = rewrite(after(&|m| (m.role, m.basis) = (Role::Reader, grant)));
    assert_eq!(answer(&world, card.state(), TEACHER, narrowed), Err(R::FamilyStays));
    // The family's basis follows the authority.
    let mut state = card.state().clone();
    state.membership.members.iter_mut().find(|m| m.person == world.id(MOTHER)).unwrap().basis = Hash([1; 32]);
    assert_eq!(answer(&world, &state, TEACHER, rewrite(after(&|_| ()))), Ok(()));
    // Who commits does not commit the own leaf away.
    let mut state = card.state().clone();
    state.membership.members.iter_mut().find(|m| m.person == world.id(MOTHER)).unwrap().devices.push(second);
    state.membership = state.membership.sorted();
    let membership = Some(without(state.membership.clone(), &[mother]));
    let removal = CommitView { removes: vec![mother], membership, ..view(world.device(MOTHER)) };
    assert_eq!(answer(&world, &state, MOTHER, removal), Err(R::NotYours));
    // Others go on beside somebody whose new key no commit has written yet.
    let ppt = world.device(PPT).public();
    let mut state = card.state().clone();
    state.listed = vec![ppt];
    state.new_keys = vec![NewKey { person: world.id(MOTHER), key: [8; 32] }];
    let membership = Some(without(state.membership.clone(), &[ppt]));
    let removal = CommitView { removes: vec![ppt], membership, ..view(world.device(TEACHER)) };
    assert_eq!(answer(&world, &state, TEACHER, removal), Ok(()));
}
