//! Statements: signed objects that the home can read. They are accepted at any epoch, from their receipt
//! on they hold, and nobody need be online for it.

use super::{Action, Author, Context, Refusal, entry, require};
use crate::consent::{
    Access, Attested, AuthoritySignature, Closing, Grantee, KeyChangeSignature, Permit, Reject, SignedEmployeeEnd, SignedGrant,
    SignedWithdrawal, Statement, Target,
};
use crate::ids::{PersonId, PublicKey};
use crate::limits;
use crate::membership::{Member, Role};
use crate::state::{Attestation, Ended, GrantFact, GrantStanding, NewKey, ScopeState, Status, Veto};

pub(super) fn decide(state: &ScopeState, context: &Context<'_>, author: &Author, statement: &Statement) -> Result<ScopeState, Refusal> {
    let may = |action| require(state, context, author, action);
    match statement {
        Statement::Grant(signed) => may(Action::Grant).and_then(|()| grant(state, context, signed)),
        Statement::Attested(attested) => may(Action::Attest).and_then(|()| attest(state, context, author, attested)),
        Statement::Withdrawal(signed) => may(Action::Withdraw).and_then(|()| withdraw(state, context, signed)),
        Statement::EmployeeEnd(end) => employee_ends(state, context, end),
        Statement::AuthorityChange(change) => may(Action::Authority).and_then(|()| authority(state, context, &change.change)),
        Statement::PersonKeyChange(change) => may(Action::Authority).and_then(|()| person_key(state, context, &change.signatures)),
        Statement::Reject(rejected) => may(Action::Reject).and_then(|()| reject(state, rejected)),
        Statement::LinkRepair(repair) => {
            may(Action::RepairLink)?;
            if state.unlinked == 0 || repair.epoch != state.unlinked {
                return Err(Refusal::Malformed);
            }
            Ok(ScopeState { unlinked: 0, ..state.clone() })
        }
        Statement::Deletion(witness) => {
            may(Action::Witness)?;
            let receipt = witness.receipt.verify(&witness.device_key).map_err(|_| Refusal::BadSignature)?;
            let gone = !state.membership.devices().any(|d| *d == witness.device_key);
            if receipt.scope != state.scope() || !gone || receipt.device != crate::ids::DeviceId::of_key(&witness.device_key) {
                return Err(Refusal::Malformed);
            }
            Ok(state.clone())
        }
        Statement::Close(closing) => may(Action::Close).and_then(|()| close(state, context, *closing)),
    }
}

/// A fresh `hold` grant wakes a withdrawn log to dormancy: a handover may follow.
fn grant(state: &ScopeState, context: &Context<'_>, signed: &SignedGrant) -> Result<ScopeState, Refusal> {
    let mut next = state.clone();
    let authority = state.membership.authority.clone();
    let id = entry::sign_grant(&mut next.grants, &authority, &state.vetoes, state.scope(), signed, context.now)?;
    let fact = next.grant(&id).ok_or(Refusal::GrantMissing)?;
    if fact.grant.log != state.log() {
        return Err(Refusal::GrantMismatch);
    }
    if fact.standing(context.now) == GrantStanding::InForce {
        let grantee = fact.grant.grantee;
        let wakes = fact.grant.access == Access::Hold && state.status == Status::Withdrawn;
        next.vetoes.retain(|v| v.grantee != grantee);
        if wakes {
            next.status = Status::Dormant;
        }
    }
    Ok(next)
}

fn attest(state: &ScopeState, context: &Context<'_>, author: &Author, attested: &Attested) -> Result<ScopeState, Refusal> {
    let holder = state.membership.member(attested.holder).filter(|m| m.role == Role::Holder).ok_or(Refusal::NotYours)?;
    if holder.person != author.person {
        return Err(Refusal::NotYours);
    }
    let hold = state.hold_grant().ok_or(Refusal::GrantMissing)?;
    let Grantee::Unit(unit) = hold.grant.grantee else { return Err(Refusal::VoucherMissing) };
    let object = attested.by_holder.verify(&holder.person_key).map_err(|_| Refusal::BadSignature)?;
    attested.by_leader.verify(&unit.leader_key).map_err(|_| Refusal::BadSignature)?;
    if attested.by_holder.id() != attested.by_leader.id() || unit.leader == holder.person {
        return Err(Refusal::VoucherInvalid);
    }
    let signer = object.on_behalf_of;
    let authority = &state.membership.authority;
    let deviceless = state.membership.member(signer).is_none();
    if !authority.may_sign(signer, context.now) || !deviceless {
        return Err(Refusal::NotAnAuthority);
    }
    let grant: crate::consent::ConsentGrant = crate::codec::decode(object.grant.as_slice()).map_err(|_| Refusal::Malformed)?;
    if grant.scope != state.scope() || grant.log != state.log() || grant.authority != authority.id() {
        return Err(Refusal::GrantMismatch);
    }
    if grant.expires_at <= context.now || grant.expires_at > context.now.saturating_add(limits::CONSENT_MAX_MILLIS) {
        return Err(Refusal::GrantTooLong);
    }
    let id = crate::signed::id_of(&grant);
    let mut next = state.clone();
    if next.grant(&id).is_none() {
        next.grants.push(GrantFact { id, grant, signers: vec![], attested: vec![], in_force_since: 0, ended_at: 0 });
    }
    let fact = next.grants.iter_mut().find(|f| f.id == id).ok_or(Refusal::GrantMissing)?;
    if fact.consenting(context.now).contains(&signer) {
        return Err(Refusal::AlreadySigned);
    }
    fact.attested.push(Attestation { person: signer, until: context.now.saturating_add(limits::ATTESTED_CONSENT_MILLIS) });
    entry::settle(fact, authority, &state.vetoes, context.now);
    Ok(next)
}

fn matches(fact: &GrantFact, target: &Target) -> bool {
    match (target, &fact.grant.grantee) {
        (Target::Grant(id), _) => fact.id == *id,
        (Target::Unit(unit), Grantee::Unit(u)) => u.unit == *unit,
        (Target::Person(person), Grantee::Person(p)) => p.person == *person,
        (Target::All, _) => true,
        _ => false,
    }
}

/// The key with which `signer` may withdraw: the consent authority's, a grantee's own, or that of an
/// employee here who records an oral withdrawal.
fn withdrawer_key<'s>(state: &'s ScopeState, context: &Context<'s>, signer: PersonId) -> Option<&'s PublicKey> {
    let here = |s: &'s ScopeState| s.membership.member(signer).filter(|m| m.role != Role::Archivist).map(|m| &m.person_key);
    let authority = state.membership.authority.key(signer);
    authority.or_else(|| here(state)).or_else(|| context.card.and_then(here))
}

fn withdraw(state: &ScopeState, context: &Context<'_>, signed: &SignedWithdrawal) -> Result<ScopeState, Refusal> {
    let key = withdrawer_key(state, context, signed.signer).ok_or(Refusal::NotAnAuthority)?;
    let withdrawal = signed.withdrawal.verify(key).map_err(|_| Refusal::BadSignature)?;
    if withdrawal.scope != state.scope() || withdrawal.log != state.log() {
        return Err(Refusal::GrantMismatch);
    }
    if let Target::Person(person) = withdrawal.target
        && state.membership.member(person).is_some_and(|m| m.role.is_family())
    {
        return Err(Refusal::FamilyStays);
    }
    let mut next = state.clone();
    let mut hit = false;
    for fact in next.grants.iter_mut().filter(|f| f.ended_at == 0 && matches(f, &withdrawal.target)) {
        fact.ended_at = context.now.max(1);
        hit = true;
        if state.membership.authority.key(signed.signer).is_some() {
            next.vetoes.push(Veto { grantee: fact.grant.grantee, by: signed.signer });
        }
    }
    let grants = &next.grants;
    let ends = |m: &Member| grants.iter().any(|g| g.id == m.basis && g.ended_at != 0);
    let mut gone: Vec<PublicKey> = vec![];
    for member in state.membership.members.iter().filter(|m| !m.role.is_family()) {
        let named = matches!(withdrawal.target, Target::Person(p) if p == member.person);
        let everyone = withdrawal.target == Target::All;
        // The holder stays in name when only `hold` is lost (dormant), and goes when all is withdrawn.
        let by_grant = ends(member) && member.role != Role::Holder;
        if everyone || by_grant || (named && member.role != Role::Holder) {
            gone.extend(&member.devices);
            if let Some(unit) = unit_of(state, member) {
                next.ended.push(Ended { unit, person: member.person, at: context.now });
            }
            hit = true;
        }
    }
    if !hit {
        return Err(Refusal::NothingToWithdraw);
    }
    let holder_lost = state.membership.holder().is_some_and(ends);
    next.status = match (withdrawal.target, state.status) {
        (Target::All, Status::Active | Status::Dormant) => Status::Withdrawn,
        (_, Status::Active) if holder_lost => Status::Dormant,
        (_, status) => status,
    };
    list(&mut next, gone);
    Ok(next)
}

fn unit_of(state: &ScopeState, member: &Member) -> Option<crate::ids::UnitId> {
    match state.grant(&member.basis)?.grant.grantee {
        Grantee::Unit(unit) => Some(unit.unit),
        Grantee::Person(_) => None,
    }
}

fn list(state: &mut ScopeState, keys: Vec<PublicKey>) {
    state.listed.extend(keys);
    state.listed.sort_unstable();
    state.listed.dedup();
}

/// The leader of a granted unit ends an employee's part; acts as a withdrawal for that person.
fn employee_ends(state: &ScopeState, context: &Context<'_>, signed: &SignedEmployeeEnd) -> Result<ScopeState, Refusal> {
    let leader = state
        .grants
        .iter()
        .find_map(|g| match g.grant.grantee {
            Grantee::Unit(unit) if unit.leader == signed.leader => Some(unit),
            _ => None,
        })
        .ok_or(Refusal::VoucherInvalid)?;
    let end = signed.end.verify(&leader.leader_key).map_err(|_| Refusal::BadSignature)?;
    if end.unit != leader.unit || end.scope != state.scope() {
        return Err(Refusal::VoucherInvalid);
    }
    let member = state.membership.member(end.person).ok_or(Refusal::NothingToWithdraw)?;
    if unit_of(state, member) != Some(end.unit) {
        return Err(Refusal::VoucherInvalid);
    }
    if member.role == Role::Holder {
        return Err(Refusal::HolderByHandover);
    }
    let keys = member.devices.clone();
    let mut next = state.clone();
    next.ended.push(Ended { unit: end.unit, person: end.person, at: context.now });
    list(&mut next, keys);
    Ok(next)
}

fn authority(state: &ScopeState, context: &Context<'_>, signatures: &[AuthoritySignature]) -> Result<ScopeState, Refusal> {
    let present = &state.membership.authority;
    let first = signatures.first().ok_or(Refusal::DecisionMissing)?;
    let change = first.change.peek().map_err(|_| Refusal::Malformed)?;
    if change.scope != state.scope() || change.log != state.log() || change.from != present.id() {
        return Err(Refusal::GrantMismatch);
    }
    let hold = state.hold_grant().and_then(|g| match g.grant.grantee {
        Grantee::Unit(unit) => Some(unit),
        Grantee::Person(_) => None,
    });
    let key_of = |signer: PersonId| {
        let member = state.membership.member(signer).map(|m| &m.person_key);
        let leader = hold.as_ref().filter(|u| u.leader == signer).map(|u| &u.leader_key);
        present.key(signer).or(leader).or(member)
    };
    let mut signers = vec![];
    for signature in signatures {
        let key = key_of(signature.signer).ok_or(Refusal::NotAnAuthority)?;
        signature.change.verify(key).map_err(|_| Refusal::BadSignature)?;
        if signature.change.id() != first.change.id() {
            return Err(Refusal::GrantMismatch);
        }
        signers.push(signature.signer);
    }
    let holder = state.membership.holder().map(|h| h.person);
    let decided = change.decision != crate::ids::Hash::default()
        && holder.is_some_and(|h| signers.contains(&h))
        && hold.is_some_and(|u| signers.contains(&u.leader) && Some(u.leader) != holder);
    if !present.quorum_met(&signers, context.now) && !decided {
        return Err(Refusal::DecisionMissing);
    }
    let mut next = state.clone();
    let out = state.membership.members.iter().filter(|m| m.role.is_family() && change.to.key(m.person).is_none());
    let keys: Vec<PublicKey> = out.flat_map(|m| m.devices.clone()).collect();
    next.next_authority = Some(change.to);
    list(&mut next, keys);
    Ok(next)
}

/// By a surviving device of the person, or by two others (design `protocol.md` 5, Lost device).
fn person_key(state: &ScopeState, context: &Context<'_>, signatures: &[KeyChangeSignature]) -> Result<ScopeState, Refusal> {
    let first = signatures.first().ok_or(Refusal::DecisionMissing)?;
    let change = first.change.peek().map_err(|_| Refusal::Malformed)?;
    let member = state.membership.member(change.person).ok_or(Refusal::NotAMember)?;
    if change.scope != state.scope() || change.old != member.person_key {
        return Err(Refusal::KeyNotPinned);
    }
    let mut own_device = false;
    let mut others = vec![];
    for signature in signatures {
        if signature.change.id() != first.change.id() {
            return Err(Refusal::GrantMismatch);
        }
        let by = state.membership.member(signature.signer);
        match signature.device {
            Some(device) if signature.signer == change.person => {
                let survives = member.devices.contains(&device) && change.surviving.contains(&device);
                signature.change.verify(&device).map_err(|_| Refusal::BadSignature)?;
                own_device |= survives;
            }
            _ => {
                let key = by.map(|m| m.person_key).or_else(|| leader_key(state, signature.signer)).ok_or(Refusal::NotAMember)?;
                signature.change.verify(&key).map_err(|_| Refusal::BadSignature)?;
                others.push((signature.signer, by.map(|m| m.role)));
            }
        }
    }
    if !own_device && !two_others(state, context, member, &others) {
        return Err(Refusal::DecisionMissing);
    }
    let mut next = state.clone();
    next.new_keys.push(NewKey { person: change.person, key: change.new });
    let lost = member.devices.iter().filter(|d| !change.surviving.contains(d)).copied().collect();
    list(&mut next, lost);
    Ok(next)
}

fn leader_key(state: &ScopeState, person: PersonId) -> Option<PublicKey> {
    state.grants.iter().find_map(|g| match g.grant.grantee {
        Grantee::Unit(unit) if unit.leader == person => Some(unit.leader_key),
        _ => None,
    })
}

fn two_others(state: &ScopeState, context: &Context<'_>, member: &Member, others: &[(PersonId, Option<Role>)]) -> bool {
    let mut persons: Vec<_> = others.iter().map(|(p, _)| *p).filter(|p| *p != member.person).collect();
    persons.sort_unstable();
    persons.dedup();
    if persons.len() < 2 {
        return false;
    }
    let has = |role| others.iter().any(|(p, r)| *p != member.person && *r == Some(role));
    let leader = others.iter().any(|(p, _)| leader_key(state, *p).is_some());
    let guards = if state.status_at(context.now) == Status::Dormant { leader } else { has(Role::Holder) };
    if member.role.is_family() { guards && has(Role::Guardian) } else { leader && has(Role::Guardian) }
}

fn reject(state: &ScopeState, rejected: &Reject) -> Result<ScopeState, Refusal> {
    if state.last_commit == 0 || rejected.seq != state.last_commit {
        return Err(Refusal::Malformed);
    }
    Ok(ScopeState { rejected: Permit::Yes, ..state.clone() })
}

fn close(state: &ScopeState, context: &Context<'_>, closing: Closing) -> Result<ScopeState, Refusal> {
    let status = match (closing, state.status_at(context.now)) {
        (Closing::Closed, Status::Active) => Status::Closed,
        (Closing::Reopened, Status::Closed) => Status::Active,
        _ => return Err(Refusal::NotActive),
    };
    Ok(ScopeState { status, ..state.clone() })
}
