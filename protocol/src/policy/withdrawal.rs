//! Withdrawals and the ends of employments: they hold from their receipt on, at any epoch, with nobody
//! else online, and put leaves on the pending-removal list.

use crate::consent::{Grantee, PersonGrantee, SignedEmployeeEnd, SignedWithdrawal, Target};
use crate::ids::{Hash, Millis, PersonId, PublicKey, UnitId};
use crate::limits;
use crate::membership::{Member, Role, ScopeKind};
use crate::policy::Context;
use crate::refusal::Refusal;
use crate::state::{Ended, GrantFact, Revoked, ScopeState, Status, Veto};

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
    let here = |s: &'s ScopeState| {
        let member = s.membership.member(signer)?;
        let counts = !member.role.is_family() && member.role != Role::Archivist && !s.is_leaving(member);
        s.key_of(signer).filter(|_| counts)
    };
    let awaited = |s: &'s ScopeState| {
        let seat = s.present().find(|m| m.person == signer && !m.role.is_family() && m.role != Role::Archivist)?;
        s.new_key(signer).or(Some(&seat.person_key)).filter(|_| s.is_awaited(signer, context.now))
    };
    let before = |card: &'s ScopeState| {
        card.gone_since(context.now).find(|g| g.person == signer && !g.role.is_family()).map(|g| &g.person_key)
    };
    let on_card = || context.card.and_then(|card| before(card).or_else(|| here(card)).or_else(|| awaited(card)));
    state.authority().key(signer).or_else(|| here(state)).or_else(|| awaited(state)).or_else(on_card)
}

/// Notes that a signed object has acted: whoever holds a copy cannot make it act again.
fn spend(state: &mut ScopeState, id: Hash) -> Result<(), Refusal> {
    if state.spent.contains(&id) {
        return Err(Refusal::AlreadySigned);
    }
    state.spent.push(id);
    Ok(())
}

pub(super) fn withdraw(
    state: &ScopeState,
    context: &Context<'_>,
    signed: &SignedWithdrawal,
) -> Result<ScopeState, Refusal> {
    let key = withdrawer_key(state, context, signed.signer).ok_or(Refusal::NotAnAuthority)?;
    let withdrawal = signed.withdrawal.verify(key).map_err(|_| Refusal::BadSignature)?;
    if withdrawal.scope != state.scope() || withdrawal.log != state.log() {
        return Err(Refusal::GrantMismatch);
    }
    if let Target::Person(person) = withdrawal.target
        && (state.authority().key(person).is_some()
            || state.membership.member(person).is_some_and(|m| m.role.is_family()))
    {
        return Err(Refusal::FamilyStays);
    }
    let mut next = state.clone();
    spend(&mut next, signed.withdrawal.id())?;
    let mut hit = end_grants(&mut next, &withdrawal.target, signed.signer, context.now)?;
    hit |= end_seats(state, &mut next, &withdrawal.target, signed.signer, context.now);
    if !hit {
        return Err(Refusal::NothingToWithdraw);
    }
    let holder_lost = state.holder().is_some_and(|h| has_ended(&next, h));
    next.status = match (withdrawal.target, state.status) {
        (Target::All, _) => Status::Withdrawn,
        (_, Status::Active) if holder_lost => Status::Dormant,
        (_, status) => status,
    };
    Ok(next)
}

fn has_ended(state: &ScopeState, member: &Member) -> bool {
    state.grant(&member.basis).is_some_and(|g| g.ended_at != 0)
}

/// Ends every grant that the target names; one that nobody has shown yet will never come into force.
fn end_grants(next: &mut ScopeState, target: &Target, signer: PersonId, now: Millis) -> Result<bool, Refusal> {
    let of_family = next.authority().key(signer).is_some();
    let mut ended = vec![];
    for fact in next.grants.iter_mut().filter(|f| f.ended_at == 0 && matches(f, target)) {
        fact.ended_at = now.max(1);
        ended.push(fact.grant.grantee);
    }
    let mut hit = !ended.is_empty();
    // Whoever withdraws everything says no to those, too, whose grants had ended before.
    if *target == Target::All {
        ended.extend(next.grants.iter().map(|f| f.grant.grantee));
    }
    for grantee in ended.into_iter().filter(|_| of_family) {
        veto(next, grantee, signer);
    }
    if let Target::Grant(id) = target
        && of_family
        && next.grant(id).is_none()
        && !next.revoked.iter().any(|r| r.id == *id)
    {
        // Each has room of their own: nobody can use up what another needs to say no with.
        if next.revoked.iter().filter(|r| r.by == signer).count() >= limits::REVOKED_GRANTS {
            return Err(Refusal::TooMany);
        }
        next.revoked.push(Revoked { id: *id, by: signer });
        hit = true;
    }
    Ok(hit)
}

/// Lists the leaves of everyone whom the target names or whose grant has ended. The holder stays in name
/// when only `hold` is lost (dormant), and goes when all is withdrawn.
fn end_seats(state: &ScopeState, next: &mut ScopeState, target: &Target, signer: PersonId, now: Millis) -> bool {
    let mut gone: Vec<Member> = vec![];
    for member in state.present().filter(|m| !m.role.is_family()) {
        let named = matches!(target, Target::Person(p) if *p == member.person);
        let ends = (named || has_ended(next, member)) && member.role != Role::Holder;
        if *target == Target::All || ends {
            gone.push(member.clone());
        }
    }
    for member in &gone {
        if let Some(unit) = unit_of(state, member) {
            note_ended(next, Ended { unit, person: member.person, at: now, word: 0 });
        }
        // Whoever withdrew from this person, by name or with their unit, is asked before the person is
        // let in again on whatever grant.
        if next.authority().key(signer).is_some() {
            let person_key = *next.key_of(member.person).unwrap_or(&member.person_key);
            veto(next, Grantee::Person(PersonGrantee { person: member.person, person_key }), signer);
        }
        take_seat(next, member);
    }
    !gone.is_empty()
}

/// The latest end counts, of the family's and of the leader's each.
fn note_ended(next: &mut ScopeState, ended: Ended) {
    let same = |e: &Ended| (e.unit, e.person, e.word == 0) == (ended.unit, ended.person, ended.word == 0);
    let before = next.ended.iter().filter(|e| same(e)).map(|e| e.word).max().unwrap_or(0);
    next.ended.retain(|e| !same(e));
    next.ended.push(Ended { word: ended.word.max(before), ..ended });
}

/// Who has come in on a word of the leader's that came after an end is in again.
pub(super) fn lift_end(next: &mut ScopeState, member: &Member) {
    if let Some(unit) = unit_of(next, member) {
        next.ended.retain(|e| e.word == 0 || (e.unit, e.person) != (unit, member.person));
    }
}

/// From now on a grant to this party needs `by`'s own signature.
fn veto(next: &mut ScopeState, grantee: Grantee, by: PersonId) {
    if !next.vetoes.iter().any(|v| v.by == by && v.grantee.is_same_party(&grantee)) {
        next.vetoes.push(Veto { grantee, by });
    }
}

/// The person's leaves must go with the next commit, and no re-founding brings them back.
pub(super) fn take_seat(next: &mut ScopeState, member: &Member) {
    next.readmit.retain(|m| m.person != member.person);
    next.before_last_commit.retain(|m| m.person != member.person);
    list(next, member.devices.iter().copied());
}

/// Puts leaves on the pending-removal list.
pub(super) fn list(state: &mut ScopeState, keys: impl IntoIterator<Item = PublicKey>) {
    state.listed.extend(keys);
    state.listed.sort_unstable();
    state.listed.dedup();
    let here: Vec<PublicKey> = state.membership.devices().copied().collect();
    state.listed.retain(|key| here.contains(key));
}

fn unit_of(state: &ScopeState, member: &Member) -> Option<UnitId> {
    if state.kind() == ScopeKind::Unit {
        return Some(UnitId(state.scope().0)).filter(|_| member.role == Role::Employee);
    }
    Some(state.grant(&member.basis)?.grant.grantee.unit()?.unit)
}

/// The keys with which `leader` may end employments in `unit` here: that of a leader of this very unit
/// scope, or one that a grant to the unit pins.
fn leader_keys(state: &ScopeState, leader: PersonId, unit: UnitId) -> Vec<PublicKey> {
    let own = state.membership.member(leader).filter(|m| m.role == Role::Leader && unit.0 == state.scope().0);
    let units = state.grants.iter().filter_map(|g| g.grant.grantee.unit());
    let pinned = units.filter(|u| u.leader == leader && u.unit == unit).map(|u| u.leader_key);
    let key = own.and_then(|m| state.key_of(m.person)).copied();
    key.into_iter().chain(pinned).collect()
}

/// The leader of a granted unit ends an employee's part; acts as a withdrawal for that person.
pub(super) fn employee_ends(
    state: &ScopeState,
    context: &Context<'_>,
    signed: &SignedEmployeeEnd,
) -> Result<ScopeState, Refusal> {
    let claimed = signed.end.peek().map_err(|_| Refusal::Malformed)?;
    let keys = leader_keys(state, signed.leader, claimed.unit);
    if keys.is_empty() {
        return Err(Refusal::VoucherInvalid);
    }
    let end = keys.iter().find_map(|key| signed.end.verify(key).ok()).ok_or(Refusal::BadSignature)?;
    if end.scope != state.scope() {
        return Err(Refusal::VoucherInvalid);
    }
    let member = state.present().find(|m| m.person == end.person).ok_or(Refusal::NothingToWithdraw)?.clone();
    if unit_of(state, &member) != Some(end.unit) {
        return Err(Refusal::VoucherInvalid);
    }
    if member.role == Role::Holder {
        return Err(Refusal::HolderByHandover);
    }
    let mut next = state.clone();
    spend(&mut next, signed.end.id())?;
    // No end is without a time of the leader's: 0 is a withdrawal's.
    let word = end.ended_at.max(1);
    note_ended(&mut next, Ended { unit: end.unit, person: end.person, at: context.now, word });
    take_seat(&mut next, &member);
    Ok(next)
}
