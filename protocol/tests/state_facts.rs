//! What the facts of a scope answer, asked of facts bent for the case: who must go, who is awaited, who held the log when
//! (found by the mutants of `state.rs` and `membership.rs`).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use crate::common::*;
use stafett_protocol::commit_view::CommitView;
use stafett_protocol::consent::{Access, Permit, Target};
use stafett_protocol::event::{Body, Position};
use stafett_protocol::ids::{DeviceId, Hash};
use stafett_protocol::limits;
use stafett_protocol::membership::{ConsentAuthority, Member, Role};
use stafett_protocol::policy::author;
use stafett_protocol::refusal::Refusal as R;
use stafett_protocol::state::*;
use stafett_protocol::statement::Statement;

#[test]
fn paper_counts_until_it_lapses_and_a_signature_after_it_counts_on() {
    let world = World::new();
    let [mother, father] = [MOTHER, FATHER].map(|who| world.id(who));
    let grant = world.hold_grant(CARD, &world.authority());
    let until = START + DAY;
    let paper = GrantFact {
        id: Hash([1; 32]),
        grant,
        signers: vec![mother],
        attested: vec![Attestation { person: father, until }],
        in_force_since: START,
        ended_at: 0,
    };
    assert_eq!([until - 1, until].map(|now| paper.standing(now)), [GrantStanding::InForce, GrantStanding::Expired]);
    assert_eq!([until - 1, until].map(|now| paper.consenting(now)), [vec![mother, father], vec![mother]]);
    let signed = GrantFact { signers: vec![mother, father], ..paper.clone() };
    assert_eq!(signed.standing(until), GrantStanding::InForce);
    let ends = paper.grant.expires_at;
    assert_eq!([ends - 1, ends].map(|now| signed.standing(now)), [GrantStanding::InForce, GrantStanding::Expired]);
    let waits = GrantFact { in_force_since: 0, ..signed.clone() };
    assert_eq!(waits.standing(until), GrantStanding::Waiting);
    let withdrawn = GrantFact { ended_at: 1, ..signed };
    assert_eq!(withdrawn.standing(until), GrantStanding::Withdrawn);
}

#[test]
fn who_must_go_has_a_leaf_here_and_nothing_that_holds_it() {
    let world = World::new();
    let card = world.card_with_reader();
    let now = card.now;
    let [mother, teacher, ppt] = [MOTHER, TEACHER, PPT].map(|who| world.device(who).public());
    let listed = |bend: &dyn Fn(&mut ScopeState)| bent(card.state(), bend).listed_at(now);
    let none: Vec<[u8; 32]> = vec![];
    assert_eq!(listed(&|_| ()), none);
    assert_eq!(listed(&|state| state.listed = vec![[9; 32], mother]), [mother], "a leaf that is here");
    let basis_of = |who: Who| card.membership().member(world.id(who)).map(|m| m.basis).unwrap_or_default();
    let employed = |who: Who, until| Employment { person: world.id(who), basis: basis_of(who), until };
    assert_eq!(listed(&|state| state.employments = vec![employed(PPT, now)]), [ppt]);
    assert_eq!(listed(&|state| state.employments = vec![employed(PPT, now + 1)]), none);
    let other = Employment { person: world.id(PPT_TWO), ..employed(PPT, now) };
    assert_eq!(listed(&|state| state.employments = vec![other]), none, "another's certificate");
    let elsewhere = Employment { basis: card.basis(), ..employed(PPT, now) };
    assert_eq!(listed(&|state| state.employments = vec![elsewhere]), none, "another seat's certificate");
    assert_eq!(listed(&|state| state.employments = vec![employed(TEACHER, now)]), none, "a holder is frozen, not out");
    let basis = card.membership().member(world.id(PPT)).unwrap().basis;
    let ended = |id: Hash| {
        move |state: &mut ScopeState| state.grants.iter_mut().filter(|g| g.id == id).for_each(|g| g.ended_at = 1)
    };
    assert_eq!(listed(&ended(basis)), [ppt]);
    assert_eq!(listed(&ended(card.basis())), none);
    let all = bent(card.state(), |state| state.listed = card.membership().devices().copied().collect());
    assert!(all.is_orphaned(now));
    let device = |key: &[u8; 32]| DeviceId::of_key(key);
    let but_one = bent(&all, |state| state.listed.retain(|key| *key != teacher));
    assert!(!but_one.is_orphaned(now) && but_one.may_read(device(&teacher), now));
    assert!(!but_one.may_read(device(&mother), now) && !but_one.may_read(device(&[9; 32]), now));
    let employee = bent(world.found(world.device(LEADER), &world.unit_founding(), None).unwrap().state(), |unit| {
        unit.membership.members.push(world.founder(COLLEAGUE, Role::Employee, Hash::default()));
        unit.employments = vec![employed(COLLEAGUE, now)];
    });
    assert_eq!(employee.listed_at(now - 1), none);
    assert_eq!(employee.listed_at(now), [world.device(COLLEAGUE).public()]);
}

#[test]
fn a_card_notes_each_leaf_that_loses_its_place_once() {
    let world = World::new();
    let card = world.card_with_reader();
    let ppt = world.device(PPT).public();
    let withdrawal = |state: &ScopeState| world.withdrawal(world.log(), state.scope(), Target::Unit(PPT_UNIT), MOTHER);
    let said = |state: &ScopeState, statement: Statement| world.said(state, MOTHER, statement).unwrap();
    let gone = |state: &ScopeState| state.gone.iter().map(|g| (g.person, g.device)).collect::<Vec<_>>();
    let after = said(card.state(), withdrawal(card.state()));
    assert_eq!(
        after.gone,
        [Gone {
            person: world.id(PPT),
            person_key: world.person(PPT).public(),
            role: Role::Reader,
            device: ppt,
            at: card.state().time + 1,
            wiped: Permit::No,
        }]
    );
    // Removing what was listed says nothing new.
    let removal =
        CommitView { removes: vec![ppt], membership: Some(card.without(&[ppt])), ..view(world.device(MOTHER)) };
    assert_eq!(world.committed(&after, MOTHER, removal).unwrap().gone, after.gone);
    // A leaf that goes without having been listed: a person's own device.
    let second = world.device_n(MOTHER, 1).public();
    let two = bent(card.state(), |state| {
        state.membership.members.iter_mut().find(|m| m.person == world.id(MOTHER)).unwrap().devices.push(second);
        state.membership = state.membership.clone().sorted();
    });
    let own = Some(without(two.membership.clone(), &[second]));
    let own = CommitView { removes: vec![second], membership: own, ..view(world.device(MOTHER)) };
    assert_eq!(gone(&world.committed(&two, MOTHER, own).unwrap()), [(world.id(MOTHER), second)]);
    // Every scope remembers: whose word counts that it has wiped.
    let mut concern = world.concern(card.state());
    let grant = world.give(&mut concern, world.unit_of(PPT_LEADER), Access::Read);
    world.admit_ppt(&mut concern, grant);
    let after = said(concern.state(), withdrawal(concern.state()));
    assert_eq!((after.listed.as_slice(), after.gone.len()), ([ppt].as_slice(), 1));
}

#[test]
fn who_held_the_log_and_who_took_over_from_them_goes_by_the_time() {
    let world = World::new();
    let [teacher, colleague, leader] = [TEACHER, COLLEAGUE, LEADER].map(|who| world.id(who));
    let tenure = |person, since| Tenure { person, basis: Hash::default(), since };
    let taken = |by, at| TakenOver { by, reason: Hash::default(), at };
    let card = bent(world.card().state(), |state| {
        state.tenures = vec![tenure(teacher, 100), tenure(colleague, 200)];
        state.takeovers = vec![taken(leader, 150)];
    });
    let held = |person| [99, 100, 200, 201].map(|now| card.held(person, now));
    assert_eq!(held(teacher), [false, true, true, false], "a moment in which the baton passes is both's");
    assert_eq!(held(colleague), [false, false, true, true]);
    let took = [149, 150, 200, 201].map(|now| card.took_over(leader, now));
    assert_eq!(took, [false, true, true, false], "over with who it was taken from");
    assert!(!card.took_over(colleague, 150), "another's");
    assert!(!card.takes_over(leader), "from whoever held it before");
    let again = bent(&card, |state| state.takeovers.push(taken(leader, 200)));
    assert!(again.takes_over(leader) && !again.takes_over(colleague) && again.took_over(leader, 300));
    assert!(!bent(&again, |state| state.tenures.clear()).takes_over(leader));
}

#[test]
fn who_is_back_is_awaited_no_longer() {
    let world = World::new();
    let card = world.family_card();
    let seat = |who: Who| world.founder(who, Role::Guardian, Hash::default());
    let state = bent(card.state(), |state| state.readmit = vec![seat(MOTHER), seat(STRANGER)]);
    let mut present: Vec<_> = state.present().map(|m| m.person).collect();
    let mut expected = [MOTHER, FATHER, TEACHER, STRANGER].map(|who| world.id(who));
    present.sort();
    expected.sort();
    assert_eq!(present, expected);
}

#[test]
fn the_card_of_today_counts_only_for_an_outsiders_withdrawal() {
    let world = World::new();
    let card = world.family_card();
    let concern = world.concern(card.state());
    let withdrawal = || Body::Statement(world.withdrawal(world.log(), CONCERN, Target::All, MOTHER));
    let beside = |who: Who, body| concern.state().card_beside(&concern.event(world.device(who), body));
    assert_eq!(beside(PPT, withdrawal()), Some(CARD));
    assert_eq!(beside(MOTHER, withdrawal()), None, "who has a place here needs no card");
    assert_eq!(beside(PPT, Body::Change(change())), None);
    assert_eq!(beside(PPT, Body::Statement(world.employee_end(PPT_LEADER, PPT, CONCERN))), None);
    assert_eq!(card.state().card_beside(&concern.event(world.device(PPT), withdrawal())), None, "a card has none");
}

#[test]
fn what_a_scope_looks_up_is_the_persons_own() {
    let world = World::new();
    let card = world.family_card();
    let [mother, father] = [MOTHER, FATHER].map(|who| world.id(who));
    let state = bent(card.state(), |state| {
        state.new_keys = vec![NewKey { person: father, key: [2; 32] }, NewKey { person: mother, key: [3; 32] }];
        state.moves =
            vec![Moved { seq: 4, from: HOME, home_epoch: 1 }, Moved { seq: 9, from: HAUGESUND, home_epoch: 2 }];
        (state.membership.home, state.membership.home_epoch) = (BERGEN, 3);
        state.position = Position { seq: 12, ..state.position };
    });
    assert_eq!([mother, father].map(|who| state.new_key(who)), [Some(&[3; 32]), Some(&[2; 32])]);
    assert_eq!(state.key_of(world.id(TEACHER)), Some(&world.person(TEACHER).public()));
    let homes = [(1, (HOME, 1)), (4, (HOME, 1)), (5, (HAUGESUND, 2)), (9, (HAUGESUND, 2)), (10, (BERGEN, 3))];
    for (seq, home) in homes {
        assert_eq!(state.home_at(seq), home, "{seq}");
    }
    assert_eq!(state.counter(world.device(TEACHER).id()), card.state().position.seq);
    assert_eq!(state.counter(world.device(PPT).id()), 0);
    assert_eq!(state.hold_grant().map(|g| g.id), Some(card.basis()));
    let reads = bent(&state, |state| state.grants.iter_mut().for_each(|g| g.grant.access = Access::Read));
    assert_eq!(reads.hold_grant(), None, "a holder on a grant that is not to hold");
    let members = &card.membership();
    assert_eq!(members.holder().map(|m| m.person), Some(world.id(TEACHER)));
    assert_eq!(members.member_of_device(world.device(MOTHER).id()).map(|m| m.person), Some(mother));
    assert_eq!(members.member_of_device(world.device(PPT).id()).map(|m| m.person), None);
    assert_eq!(members.device_key(world.device(FATHER).id()), Some(&world.device(FATHER).public()));
    assert_eq!(members.device_key(world.device(PPT).id()), None);
}

#[test]
fn c9_the_guardians_sign_until_the_youth_decides_and_the_youth_alone_from_then() {
    let world = World::new();
    let [mother, father, child, stranger] = [MOTHER, FATHER, CHILD, STRANGER].map(|who| world.id(who));
    let child_named = Some(world.authority_person(CHILD));
    let authority = ConsentAuthority { child: child_named, youth_from: START, ..world.authority() };
    let (before, then) = (START - 1, START);
    assert!(authority.youth_decides(then) && !authority.youth_decides(before));
    assert!(!ConsentAuthority { youth_from: 0, ..authority.clone() }.youth_decides(then), "no such month yet");
    assert!(!ConsentAuthority { child: None, ..authority.clone() }.youth_decides(then), "without an account");
    let may = |now| [mother, father, child, stranger].map(|who| authority.may_sign(who, now));
    assert_eq!(may(before), [true, true, false, false]);
    assert_eq!(may(then), [false, false, true, false]);
    let met = |signers: &[_], now| authority.quorum_met(signers, now);
    assert!(met(&[mother, father], before) && !met(&[mother, stranger], before) && !met(&[child], before));
    assert!(met(&[child], then) && !met(&[mother, father], then) && !met(&[], then));
    assert!(!ConsentAuthority { quorum: 0, ..authority.clone() }.quorum_met(&[mother, father], before));
    assert_eq!(authority.key(child), Some(&world.person(CHILD).public()));
    assert_eq!(authority.key(stranger), None);
}

#[test]
fn who_gains_a_leaf_and_another_seat_is_asked_for_the_new_seat_alone() {
    let world = World::new();
    let mut card = world.card_with_reader();
    let grant = world.give(&mut card, world.unit_of(PPT_LEADER), Access::Contribute);
    let (old, new) = (world.device(PPT).public(), world.device_n(PPT, 1));
    // The certificate on which the reader came in has run out; the leader has written another.
    let state = bent(card.state(), |state| {
        state.employments = vec![Employment {
            basis: state.membership.member(world.id(PPT)).unwrap().basis,
            person: world.id(PPT),
            until: state.time,
        }];
    });
    let mut next = card.membership().clone();
    let seat = next.members.iter_mut().find(|m| m.person == world.id(PPT)).unwrap();
    *seat = Member { role: Role::Actor, basis: grant, devices: vec![new.public()], ..seat.clone() };
    let by = world.device(TEACHER);
    let entry = CommitView { adds: vec![leaf(new)], removes: vec![old], membership: Some(next), ..view(by) };
    let commit = commit_of(&entry, vec![world.voucher(PPT_LEADER, PPT, CARD)], None);
    let mls = stafett_protocol::policy::MlsView::Commit(entry);
    let after = world.decided(&state, None, by, Body::Commit(commit), &mls).expect("the new certificate counts");
    assert_eq!(after.membership.member(world.id(PPT)).unwrap().role, Role::Actor);
    assert!(after.listed_at(after.time + 1).is_empty());
}

#[test]
fn who_was_put_out_of_the_card_withdraws_as_who_they_were() {
    let world = World::new();
    let card = world.family_card();
    let concern = world.concern(card.state());
    let gone = |who: Who| Gone {
        person: world.id(who),
        person_key: world.person(who).public(),
        role: Role::Reader,
        device: world.device(who).public(),
        at: concern.now + 1,
        wiped: Permit::No,
    };
    let card = bent(card.state(), |state| state.gone = vec![gone(COACH), gone(PPT)]);
    let context = world.context(concern.now, Some(&card));
    let withdrawal = || Body::Statement(world.withdrawal(world.log(), CONCERN, Target::All, PPT));
    let author = |who: Who| author(concern.state(), &context, &concern.event(world.device(who), withdrawal()));
    assert_eq!(author(PPT).map(|author| author.person), Ok(world.id(PPT)));
    assert_eq!(author(STRANGER).map(drop), Err(R::NotAMember));
}

#[test]
fn m18_who_may_return_still_has_the_key_and_what_let_them_in() {
    let world = World::new();
    let card = world.card_with_reader();
    let seat = card.membership().member(world.id(PPT)).unwrap();
    let returns = |bend: &dyn Fn(&mut ScopeState)| bent(card.state(), bend).may_return(seat, card.now);
    assert!(returns(&|_| ()));
    assert!(!returns(&|state| state.new_keys = vec![NewKey { person: world.id(PPT), key: [1; 32] }]));
    assert!(!returns(&|state| state.grants.iter_mut().for_each(|grant| grant.ended_at = 1)));
}

#[test]
fn a_change_that_names_no_file_asks_for_no_room_for_one() {
    let world = World::new();
    let card = world.family_card();
    let full = bent(card.state(), |state| state.attachments = vec![Hash([1; 32]); limits::SCOPE_ATTACHMENTS + 1]);
    let mls = stafett_protocol::policy::MlsView::None;
    assert!(world.decided(&full, None, world.device(MOTHER), Body::Change(change()), &mls).is_ok());
}
