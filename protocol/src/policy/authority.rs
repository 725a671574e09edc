//! Who decides for the family, and with which keys: changes of the consent authority and of a person's
//! key. Both hold from their receipt on; the next commit that changes the membership writes them there.

use super::withdrawal::{list, take_seat};
use super::{Context, Refusal, genesis};
use crate::consent::{AuthoritySignature, Grantee, KeyChangeSignature, PersonKeyChange, UnitGrantee};
use crate::ids::{Hash, PersonId, PublicKey};
use crate::membership::{ConsentAuthority, Member, Role, ScopeKind};
use crate::state::{NewKey, ScopeState, Status};
use std::collections::BTreeSet;

/// The unit on whose grant a member stands.
fn unit_behind(state: &ScopeState, member: &Member) -> Option<UnitGrantee> {
    match state.grant(&member.basis)?.grant.grantee {
        Grantee::Unit(unit) => Some(unit),
        Grantee::Person(_) => None,
    }
}

/// A guardian loses or gains responsibility, or the child gets an account: by the present quorum, or by
/// holder and unit leader citing a decision.
pub(super) fn change(
    state: &ScopeState,
    context: &Context<'_>,
    signatures: &[AuthoritySignature],
) -> Result<ScopeState, Refusal> {
    let present = state.authority();
    let first = signatures.first().ok_or(Refusal::DecisionMissing)?;
    let change = first.change.peek().map_err(|_| Refusal::Malformed)?;
    if change.scope != state.scope() || change.log != state.log() || change.from != present.id() {
        return Err(Refusal::GrantMismatch);
    }
    let holder = state.membership.holder();
    let leader = holder.and_then(|h| unit_behind(state, h));
    let key_of = |signer: PersonId| {
        let by_leader = leader.as_ref().filter(|u| u.leader == signer).map(|u| &u.leader_key);
        let by_holder = holder.filter(|h| h.person == signer).and_then(|h| state.key_of(h.person));
        present.key(signer).or(by_holder).or(by_leader)
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
    let holder = holder.map(|h| h.person);
    let decided = change.decision != Hash::default()
        && holder.is_some_and(|h| signers.contains(&h))
        && leader.is_some_and(|u| signers.contains(&u.leader) && Some(u.leader) != holder);
    if !present.quorum_met(&signers, context.now) && !decided {
        return Err(Refusal::DecisionMissing);
    }
    genesis::check_authority(&change.to, holder.unwrap_or_default())?;
    // Keys are pinned: a key changes by a key change, never in passing.
    let pinned = |p: &crate::membership::AuthorityPerson| {
        let known = present.key(p.person).or_else(|| state.key_of(p.person));
        known.is_none_or(|key| *key == p.key)
    };
    if !change.to.persons().all(pinned) {
        return Err(Refusal::KeyNotPinned);
    }
    let mut next = state.clone();
    for member in state.present().filter(|m| m.role.is_family() && change.to.key(m.person).is_none()) {
        take_seat(&mut next, member);
    }
    next.next_authority = Some(change.to);
    Ok(next)
}

/// By a surviving device of the person, or by two others (design `protocol.md` 5, Lost device).
pub(super) fn person_key(
    state: &ScopeState,
    context: &Context<'_>,
    signatures: &[KeyChangeSignature],
) -> Result<ScopeState, Refusal> {
    let first = signatures.first().ok_or(Refusal::DecisionMissing)?;
    let change = first.change.peek().map_err(|_| Refusal::Malformed)?;
    let member = state.membership.member(change.person).ok_or(Refusal::NotAMember)?;
    let present = state.key_of(change.person).ok_or(Refusal::NotAMember)?;
    // Those who met in person may name the pinned key, too: their word goes before a thief's change
    // that nobody has written down yet.
    let in_person = change.old == member.person_key;
    if change.scope != state.scope() || (change.old != *present && !in_person) || change.new == *present {
        return Err(Refusal::KeyNotPinned);
    }
    let mut own_device = false;
    let mut others = BTreeSet::new();
    for signature in signatures {
        if signature.change.id() != first.change.id() {
            return Err(Refusal::GrantMismatch);
        }
        match signature.device {
            Some(device) if signature.signer == change.person => {
                signature.change.verify(&device).map_err(|_| Refusal::BadSignature)?;
                own_device |= survives(state, member, &change, &device);
            }
            _ => {
                let key = witness_key(state, member, signature.signer).ok_or(Refusal::NotAMember)?;
                signature.change.verify(&key).map_err(|_| Refusal::BadSignature)?;
                others.insert(signature.signer);
            }
        }
    }
    others.remove(&change.person);
    let alone = own_device && change.old == *present;
    if !alone && !two_others(state, context, member, &others) {
        return Err(Refusal::DecisionMissing);
    }
    Ok(rekeyed(state, member, &change))
}

/// A device that is on its way out speaks for nobody.
fn survives(state: &ScopeState, member: &Member, change: &PersonKeyChange, device: &PublicKey) -> bool {
    member.devices.contains(device) && change.surviving.contains(device) && !state.listed.contains(device)
}

fn rekeyed(state: &ScopeState, member: &Member, change: &PersonKeyChange) -> ScopeState {
    let mut next = state.clone();
    let mut authority: ConsentAuthority = state.authority().clone();
    let named = authority.guardians.iter_mut().chain(authority.child.iter_mut()).find(|p| p.person == member.person);
    if let Some(person) = named {
        person.key = change.new;
        next.next_authority = Some(authority);
    }
    next.new_keys.push(NewKey { person: change.person, key: change.new });
    let lost: Vec<_> = member.devices.iter().filter(|d| !change.surviving.contains(d)).copied().collect();
    list(&mut next, lost);
    next
}

/// The leader who answers for a member: of the unit on whose grant the member stands; for the family, of
/// the holder's.
fn answers_for(state: &ScopeState, member: &Member) -> Option<UnitGrantee> {
    let whose = if member.role.is_family() { state.membership.holder()? } else { member };
    unit_behind(state, whose)
}

/// The key of a person who vouches for a key change: a member who stays, or the leader.
fn witness_key(state: &ScopeState, member: &Member, signer: PersonId) -> Option<PublicKey> {
    let by =
        state.membership.member(signer).filter(|m| !state.is_leaving(m)).and_then(|m| state.key_of(m.person)).copied();
    let leader = answers_for(state, member).filter(|u| u.leader == signer).map(|u| u.leader_key);
    by.or(leader)
}

fn two_others(state: &ScopeState, context: &Context<'_>, member: &Member, others: &BTreeSet<PersonId>) -> bool {
    let has = |role| {
        others.iter().any(|p| state.membership.member(*p).is_some_and(|m| m.role == role && !state.is_leaving(m)))
    };
    if state.kind() == ScopeKind::Unit {
        // In a unit the leader suffices; for a leader it takes the municipality.
        return member.role == Role::Employee && has(Role::Leader);
    }
    let leader = answers_for(state, member).is_some_and(|u| others.contains(&u.leader));
    let guards = if state.status_at(context.now) == Status::Dormant { leader } else { has(Role::Holder) };
    let first = if member.role.is_family() { guards } else { leader };
    others.len() >= 2 && first && has(Role::Guardian)
}
