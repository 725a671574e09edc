//! Statements on facts bent for the case: what each condition of `policy/statement.rs` is for (B5, C14; found by its
//! mutants).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use crate::common::*;
use stafett_protocol::consent::{Access, Attested, ConsentGrant, Grantee};
use stafett_protocol::ids::{Hash, LogId};
use stafett_protocol::membership::Role;
use stafett_protocol::refusal::Refusal as R;
use stafett_protocol::signed::id_of;
use stafett_protocol::state::{Attestation, GrantFact, Revoked, ScopeState, Status, Veto};
use stafett_protocol::statement::{KeyPlace, LinkRepair, Reject, RejectReason, Statement};

/// A card for whose second guardian, without a device, paper counts; and a grant to sign on paper.
fn paper(world: &World, quorum: u8) -> (ScopeState, ConsentGrant) {
    let authority = world.authority_of(&[MOTHER, STRANGER], quorum);
    let founding = world.card_founding_under(&authority, &[MOTHER, STRANGER][..usize::from(quorum)]);
    let mut state = world.found(world.device(TEACHER), &founding, None).unwrap().state().clone();
    for fact in &mut state.grants {
        // As if the stranger's word on the founding had been paper, too.
        fact.signers.retain(|signer| *signer == world.id(MOTHER));
    }
    let grant = world.grant(world.log(), CARD, world.unit_of(PPT_LEADER), Access::Read, &authority);
    (state, ConsentGrant { salt: [3; 16], ..grant })
}

fn attests(world: &World, state: &ScopeState, grant: &ConsentGrant) -> Result<ScopeState, R> {
    world.said(state, TEACHER, world.attested(grant, STRANGER, TEACHER, LEADER))
}

fn fact(grant: &ConsentGrant) -> GrantFact {
    let (id, grant) = (id_of(grant), grant.clone());
    GrantFact { id, grant, signers: vec![], attested: vec![], in_force_since: 0, ended_at: 0 }
}

#[test]
fn paper_is_for_this_log_under_this_authority_within_its_time_and_by_rules_that_are_known() {
    let world = World::new();
    let (state, grant) = paper(&world, 1);
    assert_eq!(attests(&world, &state, &grant).map(drop), Ok(()));
    let now = state.time + 1;
    for (bent, refusal) in [
        (ConsentGrant { log: LogId::default(), ..grant.clone() }, R::GrantMismatch),
        (ConsentGrant { scope: JOURNAL, ..grant.clone() }, R::GrantMismatch),
        (ConsentGrant { authority: Hash([1; 32]), ..grant.clone() }, R::GrantMismatch),
        (ConsentGrant { expires_at: now, ..grant.clone() }, R::GrantTooLong),
        (ConsentGrant { expires_at: START + 900 * DAY, ..grant.clone() }, R::GrantTooLong),
        (ConsentGrant { policy_version: 2, ..grant.clone() }, R::UnknownPolicy),
    ] {
        assert_eq!(attests(&world, &state, &bent).map(drop), Err(refusal), "{bent:?}");
    }
}

#[test]
fn paper_brings_back_nothing_that_was_withdrawn_and_counts_once() {
    let world = World::new();
    let (state, grant) = paper(&world, 2);
    let answer = |bend: &dyn Fn(&mut ScopeState)| {
        let mut state = state.clone();
        bend(&mut state);
        attests(&world, &state, &grant)
    };
    let id = id_of(&grant);
    let once = answer(&|_| ()).unwrap();
    assert_eq!(once.grant(&id).unwrap().attested.len(), 1);
    assert_eq!(attests(&world, &once, &grant).map(drop), Err(R::AlreadySigned));
    assert_eq!(
        answer(&|state| state.revoked = vec![Revoked { id, by: world.id(MOTHER) }]).map(drop),
        Err(R::GrantWithdrawn)
    );
    let ended = |state: &mut ScopeState| state.grants.push(GrantFact { ended_at: 7, ..fact(&grant) });
    assert_eq!(answer(&ended).map(drop), Err(R::GrantWithdrawn));
    let stands = |state: &mut ScopeState| state.grants.push(GrantFact { in_force_since: START, ..fact(&grant) });
    assert_eq!(answer(&stands).map(drop), Err(R::AlreadySigned));
    // What has lapsed is written anew, in the place of the old paper and beside another's.
    let old = [STRANGER, FATHER].map(|who| Attestation { person: world.id(who), until: START });
    let lapsed = |state: &mut ScopeState| state.grants.push(GrantFact { attested: old.to_vec(), ..fact(&grant) });
    let renewed = answer(&lapsed).unwrap();
    let on_paper: Vec<_> = renewed.grant(&id).unwrap().attested.iter().map(|a| a.person).collect();
    assert_eq!(on_paper, [world.id(FATHER), world.id(STRANGER)]);
    assert_eq!(renewed.grants.iter().filter(|fact| fact.id == id).count(), 1);
}

#[test]
fn paper_takes_two_people_who_vouch_for_the_same_form() {
    let world = World::new();
    let (state, grant) = paper(&world, 1);
    let Statement::Attested(good) = world.attested(&grant, STRANGER, TEACHER, LEADER) else { panic!() };
    let Statement::Attested(other) = world.attested(&grant, FATHER, TEACHER, LEADER) else { panic!() };
    let mixed = Attested { by_leader: other.by_leader, ..good.clone() };
    let answer = |attested| world.said(&state, TEACHER, Statement::Attested(attested)).map(drop);
    assert_eq!(answer(mixed), Err(R::VoucherInvalid), "two forms");
    assert_eq!(answer(Attested { holder: world.id(MOTHER), ..good.clone() }), Err(R::NotYours));
    let mut present = state.clone();
    let basis = state.authority().id();
    present.membership.members.push(world.founder(STRANGER, Role::Guardian, basis));
    assert_eq!(attests(&world, &present, &grant).map(drop), Err(R::NotAnAuthority), "who is here signs with a key");
    // A leader who holds the log herself has nobody beside her.
    let mut alone = state.clone();
    for fact in &mut alone.grants {
        let Grantee::Unit(unit) = &mut fact.grant.grantee else { panic!() };
        (unit.leader, unit.leader_key) = (world.id(TEACHER), world.person(TEACHER).public());
    }
    let twice = world.attested(&grant, STRANGER, TEACHER, TEACHER);
    assert_eq!(world.said(&alone, TEACHER, twice).map(drop), Err(R::VoucherInvalid));
}

#[test]
fn a_signature_on_another_logs_grant_is_none_on_this_ones() {
    let world = World::new();
    let chain = world.family_card();
    let grant = world.grant(LogId::default(), CARD, world.unit_of(PPT_LEADER), Access::Read, &world.authority());
    let signed = Statement::Grant(world.sign_grant(&grant, MOTHER));
    assert_eq!(world.said(chain.state(), MOTHER, signed).map(drop), Err(R::GrantMismatch));
}

#[test]
fn a_link_leads_back_from_any_epoch_and_where_no_commit_stands_none_is_rejected() {
    let world = World::new();
    let mut state = world.family_card().state().clone();
    (state.membership.generation, state.epoch, state.gaps) = (2, 9, vec![3, 5]);
    let answer = |from: (u32, u64), to: (u32, u64), length| {
        let at = |(generation, epoch)| KeyPlace { generation, epoch };
        let repair = LinkRepair { from: at(from), to: at(to), link: vec![1; length].into() };
        world.said(&state, MOTHER, Statement::LinkRepair(repair)).map(|after| after.gaps)
    };
    assert_eq!((answer((2, 5), (2, 4), 48), answer((2, 3), (2, 2), 48)), (Ok(vec![3]), Ok(vec![5])), "any gap");
    assert_eq!(answer((2, 3), (1, 7), 48), Ok(vec![5]), "from as far back as somebody's keys reach");
    // For every other epoch, too, where what was published is junk: as often as it takes.
    for (from, to) in [((2, 9), (2, 8)), ((2, 1), (2, 0)), ((2, 0), (1, 7)), ((1, 3), (1, 2)), ((1, 5), (1, 4))] {
        assert_eq!(answer(from, to, 48), Ok(vec![3, 5]), "{from:?} {to:?}");
    }
    let nowhere = [((2, 10), (2, 9)), ((3, 0), (2, 9)), ((2, 5), (2, 5)), ((2, 5), (2, 6)), ((1, 0), (0, 9))];
    for (from, to) in nowhere {
        assert_eq!(answer(from, to, 48), Err(R::Malformed), "{from:?} {to:?}");
    }
    assert_eq!((answer((2, 5), (2, 4), 47), answer((2, 5), (2, 4), 49)), (Err(R::Malformed), Err(R::Malformed)));
    state.last_commit = 0;
    let reject = Statement::Reject(Reject { seq: 0, reason: RejectReason::Mls });
    assert_eq!(world.said(&state, MOTHER, reject).map(drop), Err(R::Malformed));
}

#[test]
fn consent_to_read_does_not_wake_a_log_that_was_withdrawn() {
    let world = World::new();
    let (mut state, read) = paper(&world, 1);
    state.status = Status::Withdrawn;
    let hold = ConsentGrant { access: Access::Hold, ..read.clone() };
    let answer = |grant: &ConsentGrant| {
        let signed = Statement::Grant(world.sign_grant(grant, MOTHER));
        world.said(&state, TEACHER, signed).map(|after| after.status)
    };
    assert_eq!((answer(&read), answer(&hold)), (Ok(Status::Withdrawn), Ok(Status::Dormant)));
}

#[test]
fn who_has_withdrawn_and_signs_again_lifts_that_veto_and_no_other() {
    let world = World::new();
    let (mut state, grant) = paper(&world, 1);
    let veto = |grantee| Veto { grantee, by: world.id(MOTHER) };
    state.vetoes = vec![veto(grant.grantee), veto(world.person_grantee(COACH))];
    let after = world.said(&state, TEACHER, Statement::Grant(world.sign_grant(&grant, MOTHER))).unwrap();
    assert_eq!(after.vetoes, [veto(world.person_grantee(COACH))]);
}

#[test]
fn countersigned_paper_is_paper_no_longer_and_a_grant_stands_since_it_stood_first() {
    let world = World::new();
    let (mut state, grant) = paper(&world, 2);
    let on_paper = Attestation { person: world.id(STRANGER), until: START + DAY };
    let signers = vec![world.id(MOTHER)];
    state.grants.push(GrantFact { signers, attested: vec![on_paper], in_force_since: START, ..fact(&grant) });
    let signed = Statement::Grant(world.sign_grant(&grant, STRANGER));
    let after = world.said(&state, TEACHER, signed).unwrap();
    let fact = after.grant(&id_of(&grant)).unwrap();
    assert_eq!((&fact.attested, fact.in_force_since), (&vec![], START));
}

#[test]
fn a_veto_is_of_one_grantee_and_by_somebody_who_still_decides() {
    let world = World::new();
    let authority = world.authority_of(&[MOTHER, FATHER], 1);
    let mut state = world.family_card().state().clone();
    state.membership.authority = authority.clone();
    let grant = world.grant(world.log(), CARD, world.unit_of(PPT_LEADER), Access::Read, &authority);
    let stands = |grantee, by: Who| {
        let vetoes = vec![Veto { grantee, by: world.id(by) }];
        let state = ScopeState { vetoes, ..state.clone() };
        let signed = Statement::Grant(world.sign_grant(&grant, FATHER));
        let after = world.said(&state, FATHER, signed).unwrap();
        after.grants.last().unwrap().in_force_since != 0
    };
    assert!(!stands(grant.grantee, MOTHER));
    assert!(stands(world.person_grantee(COACH), MOTHER), "against somebody else");
    assert!(stands(grant.grantee, STRANGER), "of whoever decides nothing any more");
}
