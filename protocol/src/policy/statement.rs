//! Statements: signed objects that the home can read. They are accepted at any epoch, from their receipt
//! on they hold, and nobody need be online for it.

use crate::consent::{Access, Attested, DeletionWitness, Permit, SignedGrant};
use crate::limits;
use crate::membership::{Member, Role};
use crate::policy::{Action, Author, Context, authority, entry, handover, require, withdrawal};
use crate::refusal::Refusal;
use crate::state::{Attestation, GrantFact, GrantStanding, ScopeState, Status};
use crate::statement::{Closing, KeyPlace, LinkRepair, Reject, RejectReason, Statement};

pub(super) fn decide(
    state: &ScopeState,
    context: &Context<'_>,
    author: &Author,
    statement: &Statement,
) -> Result<ScopeState, Refusal> {
    let may = |action| require(state, context, author, action);
    match statement {
        Statement::Grant(signed) => may(Action::Grant).and_then(|()| grant(state, context, signed)),
        Statement::Attested(attested) => may(Action::Attest).and_then(|()| attest(state, context, author, attested)),
        Statement::Withdrawal(signed) => {
            may(Action::Withdraw).and_then(|()| withdrawal::withdraw(state, context, signed))
        }
        Statement::EmployeeEnd(end) => withdrawal::employee_ends(state, context, end),
        Statement::AuthorityChange(change) => {
            may(Action::Authority).and_then(|()| authority::change(state, context, &change.change))
        }
        Statement::PersonKeyChange(change) => {
            may(Action::Authority).and_then(|()| authority::person_key(state, context, &change.signatures))
        }
        Statement::Reject(rejected) => may(Action::Reject).and_then(|()| reject(state, rejected)),
        Statement::LinkRepair(repair) => may(Action::RepairLink).and_then(|()| repair_link(state, repair)),
        Statement::Deletion(witness) => may(Action::Witness).and_then(|()| deletion(state, witness)),
        Statement::Close(closing) => may(Action::Close).and_then(|()| close(state, context, *closing)),
        Statement::Objection(objection) => {
            may(Action::Object).and_then(|()| authority::object(state, author, objection))
        }
        Statement::Takeover(takeover) => {
            may(Action::TakeOver).and_then(|()| handover::take_over(state, context, author, takeover))
        }
    }
}

/// A link that leads back. Only members can tell whether it opens; so another may follow, for every epoch and for ever:
/// junk must not be the last word.
fn repair_link(state: &ScopeState, repair: &LinkRepair) -> Result<ScopeState, Refusal> {
    let LinkRepair { from, to, link } = repair;
    let present = KeyPlace { generation: state.membership.generation, epoch: state.epoch };
    let leads_back = to < from && *from <= present && to.generation != 0;
    if !leads_back || link.as_slice().len() != limits::LINK_BYTES {
        return Err(Refusal::Malformed);
    }
    let mut next = state.clone();
    next.gaps.retain(|gap| *from != KeyPlace { epoch: *gap, ..present });
    Ok(next)
}

/// Only a device that has been in and is out says that it has wiped, and says so once.
fn deletion(state: &ScopeState, witness: &DeletionWitness) -> Result<ScopeState, Refusal> {
    let receipt = witness.receipt.verify(&witness.device_key).map_err(|_| Refusal::BadSignature)?;
    let here = state.membership.devices().any(|d| *d == witness.device_key);
    if receipt.scope != state.scope() || here || receipt.device != crate::ids::DeviceId::of_key(&witness.device_key) {
        return Err(Refusal::Malformed);
    }
    let mut next = state.clone();
    let mut left = next.gone.iter_mut().filter(|g| g.device == witness.device_key);
    let last = left.next_back().ok_or(Refusal::NotAMember)?;
    if last.wiped == Permit::Yes {
        return Err(Refusal::AlreadySigned);
    }
    last.wiped = Permit::Yes;
    Ok(next)
}

/// A fresh `hold` grant wakes a withdrawn log to dormancy: a handover may follow.
pub(super) fn grant(state: &ScopeState, context: &Context<'_>, signed: &SignedGrant) -> Result<ScopeState, Refusal> {
    let id = signed.grant.id();
    if state.is_revoked(&id) {
        return Err(Refusal::GrantWithdrawn);
    }
    let mut next = state.clone();
    entry::sign_grant(&mut next.grants, state.authority(), &state.vetoes, state.scope(), signed, context.now)?;
    let fact = next.grant(&id).ok_or(Refusal::GrantMissing)?;
    if fact.grant.log != state.log() {
        return Err(Refusal::GrantMismatch);
    }
    let stood = state.grant(&id).is_some_and(|f| f.standing(context.now) == GrantStanding::InForce);
    if !stood && fact.standing(context.now) == GrantStanding::InForce {
        let grantee = fact.grant.grantee;
        let wakes = fact.grant.access == Access::Hold && state.status == Status::Withdrawn;
        next.vetoes.retain(|v| !v.grantee.is_same_party(&grantee));
        if wakes {
            next.status = Status::Dormant;
        }
    }
    Ok(next)
}

fn attest(
    state: &ScopeState,
    context: &Context<'_>,
    author: &Author,
    attested: &Attested,
) -> Result<ScopeState, Refusal> {
    let holder =
        state.membership.member(attested.holder).filter(|m| m.role == Role::Holder).ok_or(Refusal::NotYours)?;
    if holder.person != author.person {
        return Err(Refusal::NotYours);
    }
    let hold = state.hold_grant().ok_or(Refusal::GrantMissing)?;
    let unit = hold.grant.grantee.unit().ok_or(Refusal::VoucherMissing)?;
    let holder_key = state.key_of(holder.person).ok_or(Refusal::NotAMember)?;
    let object = attested.by_holder.verify(holder_key).map_err(|_| Refusal::BadSignature)?;
    attested.by_leader.verify(&unit.leader_key).map_err(|_| Refusal::BadSignature)?;
    if attested.by_holder.id() != attested.by_leader.id() || unit.leader == holder.person {
        return Err(Refusal::VoucherInvalid);
    }
    let signer = object.on_behalf_of;
    let authority = state.authority();
    // Paper is for those without a device: nobody who is in, may come back, or has signed with a key.
    let deviceless =
        state.present().all(|m| m.person != signer) && !state.grants.iter().any(|g| g.signers.contains(&signer));
    if !authority.may_sign(signer, context.now) || !deviceless {
        return Err(Refusal::NotAnAuthority);
    }
    let grant: crate::consent::ConsentGrant =
        crate::codec::decode(object.grant.as_slice()).map_err(|_| Refusal::Malformed)?;
    if grant.scope != state.scope() || grant.log != state.log() || grant.authority != authority.id() {
        return Err(Refusal::GrantMismatch);
    }
    if grant.expires_at <= context.now || grant.expires_at > context.now.saturating_add(limits::CONSENT_MAX_MILLIS) {
        return Err(Refusal::GrantTooLong);
    }
    if grant.policy_version > crate::POLICY_VERSION {
        return Err(Refusal::UnknownPolicy);
    }
    let id = crate::signed::id_of(&grant);
    if state.is_revoked(&id) || state.grant(&id).is_some_and(|f| f.ended_at != 0) {
        return Err(Refusal::GrantWithdrawn);
    }
    let mut next = state.clone();
    if next.grant(&id).is_none() {
        let on_paper = |f: &&GrantFact| f.attested.iter().any(|a| a.person == signer);
        if next.grants.iter().filter(on_paper).count() >= limits::GRANTS_PER_SIGNER {
            return Err(Refusal::TooManyGrants);
        }
        next.grants.push(GrantFact { id, grant, signers: vec![], attested: vec![], in_force_since: 0, ended_at: 0 });
    }
    let fact = next.grants.iter_mut().find(|f| f.id == id).ok_or(Refusal::GrantMissing)?;
    if fact.consenting(context.now).contains(&signer) || fact.standing(context.now) == GrantStanding::InForce {
        return Err(Refusal::AlreadySigned);
    }
    fact.attested.retain(|a| a.person != signer);
    fact.attested
        .push(Attestation { person: signer, until: context.now.saturating_add(limits::ATTESTED_CONSENT_MILLIS) });
    entry::settle(fact, authority, &state.vetoes, context.now);
    Ok(next)
}

fn reject(state: &ScopeState, rejected: &Reject) -> Result<ScopeState, Refusal> {
    if state.last_commit == 0 || rejected.seq != state.last_commit {
        return Err(Refusal::Malformed);
    }
    let mut next = ScopeState { rejected: Permit::Yes, ..state.clone() };
    if rejected.reason == RejectReason::TwoHistories {
        // Nothing is wrong with the commit: nobody whom it let in is left behind.
        next.before_last_commit = state.present().cloned().collect();
    }
    // Whoever decides for the child comes back in any case: to reject the commit that let them in is not to put them out.
    let decides = |m: &&Member| m.role.is_family() && state.authority().key(m.person).is_some();
    let missed = |m: &&Member| state.before_last_commit.iter().all(|b| b.person != m.person);
    if rejected.reason != RejectReason::TwoHistories {
        next.before_last_commit.extend(state.present().filter(decides).filter(missed).cloned());
    }
    Ok(next)
}

fn close(state: &ScopeState, context: &Context<'_>, closing: Closing) -> Result<ScopeState, Refusal> {
    let status = match (closing, state.status_at(context.now)) {
        (Closing::Closed, Status::Active) => Status::Closed,
        (Closing::Reopened, Status::Closed) => Status::Active,
        _ => return Err(Refusal::NotActive),
    };
    Ok(ScopeState { status, ..state.clone() })
}
