//! Commits against the rules (attacks of group M, `tests/tests/adversary/catalogue.txt`): made with real OpenMLS groups, as a hostile member
//! or a colluding server would make them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use crate::common::*;
use openmls::prelude::*;
use openmls::schedule::{ExternalPsk, PreSharedKeyId, Psk};
use stafett_protocol::consent::{Access, Permit, Target};
use stafett_protocol::event::Body;
use stafett_protocol::ids::Hash;
use stafett_protocol::membership::{Member, Role};
use stafett_protocol::refusal::Refusal as R;

fn withdraw_ppt(world: &World, card: &mut Chain) {
    let target = Target::Unit(PPT_UNIT);
    card.say(world, world.device(MOTHER), world.withdrawal(world.log(), card.scope(), target, MOTHER)).unwrap();
}

#[test]
fn m1_an_add_needs_a_grant() {
    let world = World::new();
    let mut card = world.family_card();
    let teacher = world.device(TEACHER);
    let voucher = || vec![world.voucher(PPT_LEADER, PPT, CARD)];
    assert_eq!(card.admit(&world, teacher, PPT, Role::Reader, Hash([1; 32]), voucher()), Err(R::GrantMissing));
    let grant = world.give(&mut card, world.unit_of(PPT_LEADER), Access::Read);
    assert_eq!(card.admit(&world, teacher, PPT, Role::Actor, grant, voucher()), Err(R::GrantMismatch), "C1: role");
    assert_eq!(card.admit(&world, teacher, PPT, Role::Guardian, grant, voucher()), Err(R::NotAnAuthority));
    assert_eq!(card.admit(&world, teacher, PPT, Role::Holder, grant, voucher()), Err(R::HolderByHandover));
    assert_eq!(card.admit(&world, teacher, PPT, Role::Archivist, grant, voucher()), Err(R::NotYours));
    assert_eq!(card.admit(&world, teacher, PPT, Role::Own, grant, voucher()), Err(R::NotYours));
    assert_eq!(card.admit(&world, teacher, PPT, Role::Reader, grant, vec![]), Err(R::VoucherMissing));
    assert_eq!(
        card.admit(&world, teacher, COLLEAGUE, Role::Reader, grant, voucher()),
        Err(R::VoucherInvalid),
        "C1: subject"
    );
    let hold = card.state().hold_grant().unwrap().id;
    assert_eq!(card.admit(&world, teacher, COLLEAGUE, Role::Actor, hold, vec![]), Err(R::GrantMismatch));
    assert_eq!(card.admit(&world, teacher, PPT, Role::Reader, grant, voucher()), Ok(()));
    // The new reader is really in: it can follow and renew.
    assert_eq!(card.send(&world, world.device(PPT), Plan::default()), Ok(()));
}

#[test]
fn c16_the_leaders_certificate_and_assignment_must_fit() {
    let world = World::new();
    let mut card = world.family_card();
    let grant = world.give(&mut card, world.unit_of(PPT_LEADER), Access::Contribute);
    let certificate = world.certificate(PPT_LEADER, PPT);
    let assignment = world.assignment(PPT_LEADER, PPT, CARD);
    type Certificate = stafett_protocol::consent::EmployeeCertificate;
    type Assignment = stafett_protocol::consent::UnitAssignment;
    for (certificate, assignment, refusal) in [
        (certificate.clone(), None, R::VoucherMissing),
        (certificate.clone(), Some(Assignment { scope: JOURNAL, ..assignment.clone() }), R::VoucherMissing),
        (certificate.clone(), Some(Assignment { person: world.id(PPT_TWO), ..assignment.clone() }), R::VoucherMissing),
        (certificate.clone(), Some(Assignment { unit: SCHOOL, ..assignment.clone() }), R::VoucherMissing),
        (Certificate { may_act: Permit::No, ..certificate.clone() }, Some(assignment.clone()), R::VoucherMissing),
        (Certificate { expires_at: card.now, ..certificate.clone() }, Some(assignment.clone()), R::VoucherInvalid),
        (Certificate { person: world.id(PPT_TWO), ..certificate.clone() }, Some(assignment.clone()), R::VoucherInvalid),
        (Certificate { person_key: [1; 32], ..certificate.clone() }, Some(assignment.clone()), R::VoucherInvalid),
    ] {
        let voucher = world.voucher_of(PPT_LEADER, &certificate, assignment.as_ref());
        let answer = card.admit(&world, world.device(TEACHER), PPT, Role::Actor, grant, vec![voucher]);
        assert_eq!(answer, Err(refusal), "{certificate:?} {assignment:?}");
    }
    let other_leader = world.voucher_of(LEADER, &certificate, Some(&assignment));
    assert_eq!(
        card.admit(&world, world.device(TEACHER), PPT, Role::Actor, grant, vec![other_leader]),
        Err(R::VoucherInvalid)
    );
    world.admit_ppt(&mut card, grant);
}

#[test]
fn m1_only_guardians_and_the_holder_admit() {
    let world = World::new();
    let mut card = world.card_with_reader();
    let grant = card.membership().member(world.id(PPT)).unwrap().basis;
    let voucher = vec![world.voucher(PPT_LEADER, PPT_TWO, CARD)];
    assert_eq!(
        card.admit(&world, world.device(PPT), PPT_TWO, Role::Reader, grant, voucher.clone()),
        Err(R::NotYours),
        "R2"
    );
    assert_eq!(card.admit(&world, world.device(FATHER), PPT_TWO, Role::Reader, grant, voucher), Ok(()));
}

#[test]
fn m2_nobody_removes_guardian_or_holder() {
    let world = World::new();
    let mut card = world.card_with_reader();
    let mother = world.device(MOTHER).public();
    let teacher = world.device(TEACHER).public();
    let ppt = world.device(PPT).public();
    for by in [PPT, TEACHER, FATHER] {
        assert_eq!(card.remove(&world, world.device(by), &[mother]), Err(R::FamilyStays), "C11 by {by}");
    }
    for by in [PPT, FATHER, MOTHER] {
        assert_eq!(card.remove(&world, world.device(by), &[teacher]), Err(R::HolderByHandover), "by {by}");
    }
    for by in [TEACHER, FATHER] {
        assert_eq!(card.remove(&world, world.device(by), &[ppt]), Err(R::NotYours), "without a statement, by {by}");
    }
}

#[test]
fn m3_a_leaf_keeps_its_person() {
    let world = World::new();
    let mut card = world.card_with_reader();
    let ppt = world.device(PPT);
    // The reader updates its leaf to the mother's credential, its own key unchanged.
    let mothers = BasicCredential::new(stafett_protocol::codec::encode(&*world.device(MOTHER).credential.borrow()));
    let leaf = LeafNodeParameters::builder()
        .with_credential_with_key(CredentialWithKey {
            credential: mothers.into(),
            signature_key: ppt.public().to_vec().into(),
        })
        .build();
    assert_eq!(card.send(&world, ppt, Plan { leaf, ..Plan::default() }), Err(R::PersonChanged));
    // A credential of its own making.
    let forged =
        world.credential(world.id(MOTHER), &world.person(PPT).key, world.person(MOTHER).kind, None, &ppt.public());
    let with = |chain: &stafett_protocol::credential::Credential| {
        LeafNodeParameters::builder().with_credential_with_key(credential_with_key(chain, &ppt.public())).build()
    };
    assert_eq!(card.send(&world, ppt, Plan { leaf: with(&forged), ..Plan::default() }), Err(R::PersonChanged));
    let mut uncertified = forged.clone();
    uncertified.person = ppt.credential.borrow().person.clone();
    uncertified.device = world.device_n(PPT, 1).credential.borrow().device.clone();
    assert_eq!(card.send(&world, ppt, Plan { leaf: with(&uncertified), ..Plan::default() }), Err(R::PersonChanged));
}

#[test]
fn m3_a_leaf_cannot_be_moved_to_another_person_in_the_membership() {
    let world = World::new();
    let mut card = world.card();
    let teacher = world.device(TEACHER);
    let second = world.device_n(TEACHER, 1);
    let holder = card.membership().members[0].clone();
    let membership = card.with(&world, TEACHER, &[1], Role::Holder, holder.basis);
    card.send(
        &world,
        teacher,
        Plan { adds: vec![second.key_package()], membership: Some(membership), ..Plan::default() },
    )
    .unwrap();
    // The holder writes its own second device down as the mother, who is not in yet.
    let mut stolen = card.without(&[second.public()]);
    let basis = stolen.authority.id();
    stolen.members.push(Member { devices: vec![second.public()], ..world.founder(MOTHER, Role::Guardian, basis) });
    let plan = Plan { membership: Some(stolen.sorted()), ..Plan::default() };
    assert_eq!(card.send(&world, teacher, plan), Err(R::MembershipMismatch));
    // And the same with the mother in: she only gains it.
    world.add_family(&mut card);
    let mut stolen = card.without(&[second.public()]);
    let mother = stolen.members.iter_mut().find(|m| m.person == world.id(MOTHER)).unwrap();
    mother.devices.push(second.public());
    let plan = Plan { membership: Some(stolen.sorted()), ..Plan::default() };
    assert_eq!(card.send(&world, teacher, plan), Err(R::MembershipMismatch));
}

#[test]
fn m4_proposals_by_reference_are_refused() {
    let world = World::new();
    let mut card = world.card_with_reader();
    let father = world.device(FATHER);
    let ppt =
        card.with_group(father, |g| g.members().find(|m| m.signature_key == world.device(PPT).public()).unwrap().index);
    card.with_group(father, |g| g.propose_remove_member(&father.provider, father, ppt).map(drop).unwrap());
    let membership = Some(card.without(&[world.device(PPT).public()]));
    let answer = card.send(&world, father, Plan { stored: true, membership, ..Plan::default() });
    assert!(matches!(answer, Err(R::StrangeProposal | R::MlsRefused)), "{answer:?}");
}

#[test]
fn m4_proposals_that_the_protocol_does_not_use_are_refused() {
    let world = World::new();
    let mut card = world.card();
    let teacher = world.device(TEACHER);
    let psk = PreSharedKeyId::new(
        stafett_protocol::SUITE,
        teacher.provider.rand(),
        Psk::External(ExternalPsk::new(vec![1, 2, 3])),
    )
    .unwrap();
    psk.store(&teacher.provider, &[9; 32]).unwrap();
    let proposals = vec![Proposal::PreSharedKey(Box::new(PreSharedKeyProposal::new(psk)))];
    let answer = card.send(&world, teacher, Plan { proposals, ..Plan::default() });
    assert!(matches!(answer, Err(R::StrangeProposal)), "{answer:?}");
}

#[test]
fn m5_the_membership_is_not_rewritten_alone() {
    let world = World::new();
    let mut card = world.card_with_reader();
    let ppt = world.device(PPT);
    let now = card.membership().clone();
    let rewritten = |change: &dyn Fn(&mut stafett_protocol::membership::Membership)| {
        let mut next = now.clone();
        change(&mut next);
        next
    };
    let me = now.members.iter().position(|m| m.person == world.id(PPT)).unwrap();
    let father = now.members.iter().position(|m| m.person == world.id(FATHER)).unwrap();
    let authority = world.authority_of(&[MOTHER], 1);
    for (next, refusal) in [
        (rewritten(&|m| m.members[me].role = Role::Guardian), R::NotYours),
        (rewritten(&|m| m.members[me].role = Role::Holder), R::NotYours),
        (rewritten(&|m| m.members[father].role = Role::Reader), R::NotYours),
        (rewritten(&|m| m.members[me].basis = Hash([0; 32])), R::NotYours),
        (rewritten(&|m| m.members[father].person_key = [9; 32]), R::KeyNotPinned),
        (rewritten(&|m| m.authority = authority.clone()), R::MembershipMismatch),
        (rewritten(&|m| m.home = 3201), R::MembershipMismatch),
        (rewritten(&|m| m.home_epoch = 2), R::MembershipMismatch),
        (rewritten(&|m| m.generation = 2), R::MembershipMismatch),
        (rewritten(&|m| m.policy_version = 2), R::MembershipMismatch),
        (rewritten(&|m| m.scope = JOURNAL), R::MembershipMismatch),
        (rewritten(&|m| m.kind = stafett_protocol::membership::ScopeKind::Unit), R::MembershipMismatch),
        (rewritten(&|m| drop(m.members.remove(father))), R::MembershipMismatch),
        (rewritten(&|m| m.members[father].devices.clear()), R::MembershipMismatch),
        (rewritten(&|m| m.members[me].devices.push([1; 32])), R::MembershipMismatch),
        (rewritten(&|m| m.members.reverse()), R::MembershipMismatch),
        (rewritten(&|m| m.members.push(m.members[me].clone())), R::MembershipMismatch),
    ] {
        let plan = Plan { membership: Some(next.clone()), ..Plan::default() };
        assert_eq!(card.send(&world, ppt, plan), Err(refusal), "{next:?}");
    }
}

#[test]
fn m5_other_extensions_stay_as_they_were() {
    let world = World::new();
    let mut card = world.card();
    let teacher = world.device(TEACHER);
    let senders = ExternalSender::new(teacher.public().to_vec().into(), teacher.with_key().credential);
    let (commit, welcome) = card.with_group(teacher, |group| {
        let extensions = extensions_with(vec![
            group.extensions().iter().nth(1).unwrap().clone(),
            Extension::ExternalSenders(vec![senders]),
        ]);
        let bundle = group
            .commit_builder()
            .propose_group_context_extensions(extensions)
            .unwrap()
            .load_psks(teacher.provider.storage())
            .unwrap()
            .create_group_info(true)
            .build(teacher.provider.rand(), teacher.provider.crypto(), teacher, |_| true)
            .unwrap()
            .stage_commit(&teacher.provider)
            .unwrap();
        as_commit(bundle)
    });
    let answer = card.submit_commit(&world, teacher, commit, welcome);
    assert!(matches!(answer, Err(R::ExtensionsChanged | R::MlsRefused)), "M8: no external sender: {answer:?}");
}

#[test]
fn m6_a_stranger_does_not_join_by_external_commit() {
    let world = World::new();
    let mut card = world.card_with_reader();
    let stranger = world.device(STRANGER);
    assert_eq!(card.external(&world, stranger, stranger.with_key()), Err(R::NotAMember));
    // A removed member with the GroupInfo from a colluding server.
    withdraw_ppt(&world, &mut card);
    let ppt = world.device(PPT);
    assert_eq!(card.external(&world, ppt, ppt.with_key()), Err(R::Listed), "not while listed");
    card.remove_listed(&world, world.device(MOTHER)).unwrap();
    assert_eq!(card.external(&world, ppt, ppt.with_key()), Err(R::NotAMember), "nor afterwards");
    // A member's second device does not slip in beside the first.
    let second = world.device_n(MOTHER, 1);
    assert_eq!(card.external(&world, second, second.with_key()), Err(R::NotAMember));
    // A colluding member signs the envelope for it.
    let (_, commit) = card.external_commit(second, second.with_key());
    assert_eq!(card.submit(&world, world.device(MOTHER), Body::Commit(commit)), Err(R::ResyncForeign));
}

#[test]
fn m7_a_resync_replaces_its_own_leaf_only() {
    let world = World::new();
    let mut card = world.card_with_reader();
    let mother = world.device(MOTHER);
    // The PPT's resync, carried by the mother's envelope.
    let ppt = world.device(PPT);
    let (_, commit) = card.external_commit(ppt, ppt.with_key());
    assert_eq!(card.submit(&world, mother, Body::Commit(commit)), Err(R::ResyncForeign));
    // The key is its own, the credential the mother's.
    let swapped = credential_with_key(&mother.credential.borrow(), &ppt.public());
    assert_eq!(card.external(&world, ppt, swapped), Err(R::PersonChanged));
    // A resync cannot know the key before.
    let (_, mut commit) = card.external_commit(ppt, ppt.with_key());
    commit.link = Some(vec![1].into());
    assert_eq!(card.submit(&world, ppt, Body::Commit(commit)), Err(R::LinkMissing));
    assert_eq!(card.external(&world, ppt, ppt.with_key()), Ok(()));
}

#[test]
fn m9_the_second_commit_of_an_epoch_loses() {
    let world = World::new();
    let mut card = world.family_card();
    let (late, _) = card.commit(world.device(FATHER), Plan::default());
    let event = card.event(world.device(FATHER), Body::Commit(late));
    card.send(&world, world.device(MOTHER), Plan::default()).unwrap();
    assert_eq!(card.submit_event(&world, world.device(FATHER), &event), Err(R::WrongEpoch));
    // The same commit under an honest-looking header.
    let relabelled = stafett_protocol::event::Event { epoch: card.state().epoch, ..event };
    assert_eq!(card.submit_event(&world, world.device(FATHER), &relabelled), Err(R::MlsRefused), "M12");
}

#[test]
fn m8_a_commit_is_its_signers_own() {
    let world = World::new();
    let mut card = world.family_card();
    let (commit, _) = card.commit(world.device(FATHER), Plan::default());
    assert_eq!(card.submit(&world, world.device(MOTHER), Body::Commit(commit)), Err(R::PersonChanged));
}

#[test]
fn a_commit_brings_link_welcome_and_a_group_info_of_its_own_epoch() {
    let world = World::new();
    let mut card = world.family_card();
    let mother = world.device(MOTHER);
    let twisted = |card: &mut Chain, change: &dyn Fn(&mut stafett_protocol::event::Commit)| {
        let (mut commit, _) = card.commit(mother, Plan::default());
        change(&mut commit);
        card.submit(&world, mother, Body::Commit(commit))
    };
    let old = card.group_info.clone();
    assert_eq!(twisted(&mut card, &|c| c.link = None), Err(R::LinkMissing));
    assert_eq!(twisted(&mut card, &|c| c.welcome = Some(Hash([1; 32]))), Err(R::WelcomeMismatch));
    assert_eq!(twisted(&mut card, &|c| c.group_info = vec![].into()), Err(R::MlsRefused));
    assert_eq!(twisted(&mut card, &|c| c.group_info = old.clone().into()), Err(R::MlsRefused));
    let second = world.device_n(MOTHER, 1);
    let basis = card.membership().authority.id();
    let membership = Some(card.with(&world, MOTHER, &[1], Role::Guardian, basis));
    let (mut commit, _) = card.commit(mother, Plan { adds: vec![second.key_package()], membership, ..Plan::default() });
    commit.welcome = None;
    assert_eq!(card.submit(&world, mother, Body::Commit(commit)), Err(R::WelcomeMismatch));
}
