//! Who decides for the family, and with which keys: changes of the consent authority and of a person's
//! key. Both hold from their receipt on; the next commit that changes the membership writes them there.

use crate::consent::{
    AuthorityChange, AuthoritySignature, Grantee, KeyChangeSignature, Objection, PersonKeyChange, UnitGrantee,
};
use crate::credential::PersonKind;
use crate::ids::{Hash, Millis, PersonId, PublicKey};
use crate::limits;
use crate::membership::{AuthorityPerson, ConsentAuthority, Member, Role, ScopeKind};
use crate::policy::withdrawal::{list, take_seat};
use crate::policy::{Author, Context, genesis};
use crate::refusal::Refusal;
use crate::state::{Decision, NewKey, ScopeState, Status};
use std::collections::BTreeSet;

/// The unit on whose grant a member stands.
fn unit_behind(state: &ScopeState, member: &Member) -> Option<UnitGrantee> {
    state.grant(&member.basis)?.grant.grantee.unit().copied()
}

/// A guardian loses or gains responsibility, or the child gets an account: by the present quorum at once, or
/// by decision, which waits for the family's objections.
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
    let signers = Signers::of(state, context, &change.to, signatures)?;
    genesis::check_authority(&change.to, state.holder().map(|h| h.person).unwrap_or_default())?;
    // Keys are pinned: a key changes by a key change, never in passing.
    let pinned = |p: &AuthorityPerson| {
        let known = present.key(p.person).or_else(|| state.key_of(p.person));
        known.is_none_or(|key| *key == p.key)
    };
    if !change.to.persons().all(pinned) {
        return Err(Refusal::KeyNotPinned);
    }
    if by_quorum(present, &change.to, &signers.persons, context.now) {
        return Ok(named(state, change.to));
    }
    if !signers.decide(&change) {
        return Err(Refusal::DecisionMissing);
    }
    decided(state, context, first.change.id(), change, &signers.persons)
}

/// Whether a change leaves the child's place and age as they are.
fn child_as_is(present: &ConsentAuthority, to: &ConsentAuthority) -> bool {
    (present.child, present.youth_from) == (to.child, to.youth_from)
}

/// The present quorum, and beside it whoever the change passes over: guardians whom it drops; all of them where it
/// touches the child's place or age. A youth who decides answers to nobody.
fn by_quorum(present: &ConsentAuthority, to: &ConsentAuthority, signers: &[PersonId], now: Millis) -> bool {
    let kept = |g: &AuthorityPerson| child_as_is(present, to) && to.guardians.iter().any(|t| t.person == g.person);
    let asked = |g: &AuthorityPerson| present.youth_decides(now) || kept(g) || signers.contains(&g.person);
    present.quorum_met(signers, now) && present.guardians.iter().all(asked)
}

/// A decision (of a court, of child welfare) is noted when it first comes, and acts when it comes again after
/// the wait. Whoever it lets stay can overrule an objection by signing it; the last guardian it never removes.
fn decided(
    state: &ScopeState,
    context: &Context<'_>,
    id: Hash,
    change: AuthorityChange,
    signers: &[PersonId],
) -> Result<ScopeState, Refusal> {
    let present = state.authority();
    let staying = || present.guardians.iter().filter(|g| change.to.guardians.iter().any(|t| t.person == g.person));
    if !child_as_is(present, &change.to) || (staying().next().is_none() && !present.guardians.is_empty()) {
        return Err(Refusal::DecisionMissing);
    }
    let Some(noted) = state.decisions.iter().find(|d| d.change == id) else {
        let mut next = state.clone();
        if next.decisions.len() >= limits::DECISIONS_WAITING {
            next.decisions.remove(0);
        }
        next.decisions.push(Decision { change: id, at: context.now, objected: vec![] });
        return Ok(next);
    };
    if context.now < noted.at.saturating_add(limits::DECISION_WAIT_MILLIS) {
        return Err(Refusal::DecisionWaits);
    }
    if !noted.objected.is_empty() && !staying().all(|g| signers.contains(&g.person)) {
        return Err(Refusal::DecisionObjected);
    }
    Ok(named(state, change.to))
}

/// A guardian says no to a decision that waits.
pub(super) fn object(state: &ScopeState, author: &Author, objection: &Objection) -> Result<ScopeState, Refusal> {
    let mut next = state.clone();
    let noted = next.decisions.iter_mut().find(|d| d.change == objection.change).ok_or(Refusal::DecisionMissing)?;
    if noted.objected.contains(&author.person) {
        return Err(Refusal::AlreadySigned);
    }
    noted.objected.push(author.person);
    Ok(next)
}

/// The facts once this authority counts: whoever it no longer names must go.
fn named(state: &ScopeState, to: ConsentAuthority) -> ScopeState {
    let mut next = state.clone();
    for member in state.present().filter(|m| m.role.is_family() && to.key(m.person).is_none()) {
        take_seat(&mut next, member);
    }
    next.next_authority = Some(to);
    next.decisions.clear();
    next
}

/// Who has signed a change of the authority, each with the key that counts for them.
struct Signers {
    persons: Vec<PersonId>,
    /// Present holder, and the leader of the unit on whose grant the holder stands.
    holder: Option<PersonId>,
    leader: Option<PersonId>,
    /// Whether the leader of another unit, or an administrator, has signed.
    other_unit: bool,
}

impl Signers {
    fn of(
        state: &ScopeState,
        context: &Context<'_>,
        to: &ConsentAuthority,
        signatures: &[AuthoritySignature],
    ) -> Result<Self, Refusal> {
        let (present, holder) = (state.authority(), state.holder());
        let leader = holder.and_then(|h| unit_behind(state, h));
        let key_of = |signer: PersonId| {
            let by_leader = leader.as_ref().filter(|u| u.leader == signer).map(|u| &u.leader_key);
            let by_holder = holder.filter(|h| h.person == signer).and_then(|h| state.key_of(h.person));
            present.key(signer).or(by_holder).or(by_leader)
        };
        let id = signatures.first().map(|s| s.change.id());
        let (mut persons, mut other_unit) = (vec![], false);
        for signature in signatures {
            let outside = match key_of(signature.signer) {
                Some(_) => None,
                None if to.key(signature.signer).is_some() => return Err(Refusal::NotAnAuthority),
                None => Some(outsider(state, context, leader.as_ref(), signature)?),
            };
            let key = key_of(signature.signer).or(outside.as_ref()).ok_or(Refusal::NotAnAuthority)?;
            signature.change.verify(key).map_err(|_| Refusal::BadSignature)?;
            if Some(signature.change.id()) != id {
                return Err(Refusal::GrantMismatch);
            }
            other_unit |= outside.is_some();
            persons.push(signature.signer);
        }
        let (holder, leader) = (holder.map(|h| h.person), leader.map(|u| u.leader));
        Ok(Self { persons, holder, leader, other_unit })
    }

    /// Whether the municipality's people may bring this as a decision: no one unit alone.
    fn decide(&self, change: &AuthorityChange) -> bool {
        let signed = |person: Option<PersonId>| person.is_some_and(|p| self.persons.contains(&p));
        change.decision != Hash::default()
            && signed(self.holder)
            && signed(self.leader)
            && self.leader != self.holder
            && self.other_unit
    }
}

/// The key of somebody who answers for another unit of the home's municipality, or for all of it, and has and had no part
/// in this log: what the leader of the holder's unit cannot make herself.
fn outsider(
    state: &ScopeState,
    context: &Context<'_>,
    unit: Option<&UnitGrantee>,
    signature: &AuthoritySignature,
) -> Result<PublicKey, Refusal> {
    let signed = signature.certificate.as_ref().ok_or(Refusal::NotAnAuthority)?;
    let key = context.trusted.key(context.home).ok_or(Refusal::NotIdentified)?;
    let certificate = signed.verify(key).map_err(|_| Refusal::NotIdentified)?;
    let other = certificate.unit.is_some_and(|theirs| unit.is_none_or(|u| theirs != u.unit));
    let answers = match certificate.kind {
        PersonKind::Leader => other,
        kind => kind == PersonKind::Administrator,
    };
    let apart = state.present().map(|m| m.person).chain(state.gone.iter().map(|g| g.person));
    let granted = |g: &Grantee| match g {
        Grantee::Person(named) => named.person == certificate.person,
        Grantee::Unit(named) => named.leader == certificate.person || Some(named.unit) == certificate.unit,
    };
    let apart = apart.into_iter().all(|person| person != certificate.person)
        && !state.grants.iter().any(|f| f.in_force_since != 0 && granted(&f.grant.grantee));
    let ours = certificate.municipality == context.home && certificate.person == signature.signer;
    if !ours || !answers || !apart {
        return Err(Refusal::NotAnAuthority);
    }
    Ok(certificate.person_key)
}

/// By a surviving device of the person, or by two others (`docs/protocol.md` 7).
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
    next.new_keys.retain(|k| k.person != change.person);
    next.new_keys.push(NewKey { person: change.person, key: change.new });
    // A device that is lost comes back by no re-founding either.
    for back in next.readmit.iter_mut().chain(&mut next.before_last_commit).filter(|m| m.person == change.person) {
        back.devices.retain(|d| change.surviving.contains(d));
    }
    let lost: Vec<_> = member.devices.iter().filter(|d| !change.surviving.contains(d)).copied().collect();
    list(&mut next, lost);
    next
}

/// The leader who answers for a member: of the unit on whose grant the member stands; for the family, of
/// the holder's.
fn answers_for(state: &ScopeState, member: &Member) -> Option<UnitGrantee> {
    let whose = if member.role.is_family() { state.holder()? } else { member };
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
