//! Commits: who may change the membership, and that the new membership says exactly what the leaves are.

use super::{Action, Author, Context, Refusal, entry, require};
use crate::commit_view::{CommitView, Leaf};
use crate::consent::{Permit, Voucher};
use crate::event::{Commit, Event};
use crate::ids::{PublicKey};
use crate::limits;
use crate::membership::{Member, Membership, ScopeKind};
use crate::state::ScopeState;
use std::collections::BTreeSet;

pub(super) fn decide(state: &ScopeState, context: &Context<'_>, author: &Author, event: &Event, commit: &Commit, view: &CommitView) -> Result<ScopeState, Refusal> {
    if event.epoch != state.epoch {
        return Err(Refusal::WrongEpoch);
    }
    let listed = state.listed_at(context.now);
    let mut next = match view.sender {
        None => resync(state, context, author, commit, view)?,
        Some(sender) if sender != author.key => return Err(Refusal::PersonChanged),
        Some(_) => by_member(state, context, author, commit, view, &listed)?,
    };
    next.last_commit = state.position.seq.saturating_add(1);
    next.before_last_commit = state.membership.members.clone();
    next.epoch = state.epoch.saturating_add(1);
    next.epoch_since = context.now;
    next.rejected = Permit::No;
    next.check = commit.check;
    next.listed.retain(|key| next.membership.devices().any(|d| d == key));
    Ok(next)
}

/// A device that lost its MLS state joins again by an external commit in the place of its own leaf.
fn resync(state: &ScopeState, context: &Context<'_>, author: &Author, commit: &Commit, view: &CommitView) -> Result<ScopeState, Refusal> {
    require(state, context, author, Action::Resync)?;
    let path = view.path.as_ref().ok_or(Refusal::ResyncForeign)?;
    let own_leaf_only = view.removes.as_slice() == [author.key] && view.adds.is_empty() && view.membership.is_none();
    if !own_leaf_only || path.key != author.key {
        return Err(Refusal::ResyncForeign);
    }
    if commit.link.is_some() || commit.welcome.is_some() {
        return Err(Refusal::LinkMissing);
    }
    check_path(state, context, author, path)?;
    let mut next = state.clone();
    next.gentle = Permit::No;
    next.unlinked = state.epoch.saturating_add(1);
    Ok(next)
}

fn by_member(state: &ScopeState, context: &Context<'_>, author: &Author, commit: &Commit, view: &CommitView, listed: &[PublicKey]) -> Result<ScopeState, Refusal> {
    if commit.link.is_none() {
        return Err(Refusal::LinkMissing);
    }
    if commit.welcome.is_some() == view.adds.is_empty() {
        return Err(Refusal::WelcomeMismatch);
    }
    if !listed.iter().all(|key| view.removes.contains(key)) {
        return Err(Refusal::RemovalFirst);
    }
    if let Some(path) = &view.path {
        check_path(state, context, author, path)?;
    }
    match &view.membership {
        None => renew(state, context, author, event_device(author), view),
        Some(new) => rewrite(state, context, author, commit, view, new, listed),
    }
}

fn event_device(author: &Author) -> crate::ids::DeviceId {
    crate::ids::DeviceId::of_key(&author.key)
}

/// The committer's leaf stays the same device of the same person.
fn check_path(state: &ScopeState, context: &Context<'_>, author: &Author, path: &Leaf) -> Result<(), Refusal> {
    let member = state.membership.member(author.person).ok_or(Refusal::NotAMember)?;
    if path.key != author.key {
        return Err(Refusal::PersonChanged);
    }
    entry::check_leaves(context, member, std::iter::once(path)).map(drop)
}

/// No proposals: an own-leaf update, at most one a day.
fn renew(state: &ScopeState, context: &Context<'_>, author: &Author, device: crate::ids::DeviceId, view: &CommitView) -> Result<ScopeState, Refusal> {
    require(state, context, author, Action::Renew)?;
    if !view.adds.is_empty() || !view.removes.is_empty() {
        return Err(Refusal::MembershipMismatch);
    }
    let mut next = state.clone();
    let counter = next.counter_mut(device);
    if counter.renewed_at != 0 && context.now < counter.renewed_at.saturating_add(limits::OWN_UPDATE_MIN_MILLIS) {
        return Err(Refusal::TooSoon);
    }
    counter.renewed_at = context.now;
    next.gentle = Permit::Yes;
    Ok(next)
}

fn rewrite(state: &ScopeState, context: &Context<'_>, author: &Author, commit: &Commit, view: &CommitView, new: &Membership, listed: &[PublicKey]) -> Result<ScopeState, Refusal> {
    check_fixed_part(state, new)?;
    check_leaves_match(state, view, new)?;
    if !view.adds.is_empty() && state.unlinked != 0 {
        return Err(Refusal::LinkRepairFirst);
    }
    let persons: BTreeSet<_> = state.membership.members.iter().chain(&new.members).map(|m| m.person).collect();
    let mut gentle = Permit::Yes;
    for person in persons {
        let step = Step { state, context, author, listed, adds: &view.adds, vouchers: &commit.vouchers };
        let narrowed = match (state.membership.member(person), new.member(person)) {
            (None, Some(after)) => step.enters(after)?,
            (Some(before), None) => step.leaves(before)?,
            (Some(before), Some(after)) => step.stays(before, after)?,
            (None, None) => false,
        };
        if narrowed {
            gentle = Permit::No;
        }
    }
    let mut next = state.clone();
    if next.next_authority.as_ref() == Some(&new.authority) {
        next.next_authority = None;
    }
    next.membership = new.clone();
    next.gentle = gentle;
    next.readmit.retain(|m| new.member(m.person).is_none_or(|n| n.devices.len() < m.devices.len()));
    Ok(next)
}

fn check_fixed_part(state: &ScopeState, new: &Membership) -> Result<(), Refusal> {
    let old = &state.membership;
    let authority = if state.next_authority.as_ref() == Some(&new.authority) { &new.authority } else { &old.authority };
    let expected = Membership { members: new.members.clone(), authority: authority.clone(), ..old.clone() };
    if *new != expected || new.clone().sorted() != *new {
        return Err(Refusal::MembershipMismatch);
    }
    let bound = if new.kind == ScopeKind::Unit { limits::UNIT_SCOPE_LEAVES } else { limits::LOG_SCOPE_LEAVES };
    if new.devices().count() > bound {
        return Err(Refusal::TooMany);
    }
    Ok(())
}

/// The membership lists exactly the leaves after the commit, each once, and each person once.
fn check_leaves_match(state: &ScopeState, view: &CommitView, new: &Membership) -> Result<(), Refusal> {
    let mut after: Vec<PublicKey> = state.membership.devices().filter(|d| !view.removes.contains(d)).copied().collect();
    after.extend(view.adds.iter().map(|leaf| leaf.key));
    after.sort_unstable();
    let mut named: Vec<PublicKey> = new.devices().copied().collect();
    named.sort_unstable();
    let persons: BTreeSet<_> = new.members.iter().map(|m| m.person).collect();
    let no_ghosts = new.members.iter().all(|m| !m.devices.is_empty());
    let distinct = named.windows(2).all(|pair| pair.first() != pair.last());
    if after != named || persons.len() != new.members.len() || !no_ghosts || !distinct {
        return Err(Refusal::MembershipMismatch);
    }
    Ok(())
}

/// One commit's effect on one person.
struct Step<'a> {
    state: &'a ScopeState,
    context: &'a Context<'a>,
    author: &'a Author,
    listed: &'a [PublicKey],
    adds: &'a [Leaf],
    vouchers: &'a [Voucher],
}

impl Step<'_> {
    fn added<'s>(&'s self, after: &'s Member) -> impl Iterator<Item = &'s Leaf> {
        self.adds.iter().filter(|leaf| after.devices.contains(&leaf.key))
    }

    fn may(&self, action: Action) -> Result<(), Refusal> {
        require(self.state, self.context, self.author, action)
    }

    /// Admitting goes on in a scope that takes no content where a lost key is replaced, and in a
    /// re-founded one.
    fn may_admit(&self, person: crate::ids::PersonId) -> Result<(), Refusal> {
        match self.may(Action::Admit) {
            Err(Refusal::NotActive) if self.state.readmit.iter().any(|m| m.person == person) => Ok(()),
            Err(Refusal::NotActive) if self.state.new_keys.iter().any(|k| k.person == person) => Ok(()),
            other => other,
        }
    }

    fn enters(&self, after: &Member) -> Result<bool, Refusal> {
        self.may_admit(after.person)?;
        let identities = entry::check_leaves(self.context, after, self.added(after))?;
        entry::check(self.state, self.context, after, &identities, self.vouchers)?;
        Ok(false)
    }

    /// Somebody goes entirely: every leaf must be listed. Narrowing needs no consent, but a statement.
    fn leaves(&self, before: &Member) -> Result<bool, Refusal> {
        self.may(Action::RemoveListed)?;
        if before.role == crate::membership::Role::Holder && self.state.status != crate::state::Status::Withdrawn {
            return Err(Refusal::HolderByHandover);
        }
        if before.devices.iter().all(|d| self.listed.contains(d)) {
            return Ok(true);
        }
        Err(if before.role.is_family() { Refusal::FamilyStays } else { Refusal::NotYours })
    }

    fn stays(&self, before: &Member, after: &Member) -> Result<bool, Refusal> {
        let state = self.state;
        let new_key = state.new_keys.iter().rev().find(|k| k.person == after.person).map(|k| k.key);
        if after.person_key != before.person_key && new_key != Some(after.person_key) {
            return Err(Refusal::KeyNotPinned);
        }
        let identities = entry::check_leaves(self.context, after, self.added(after))?;
        let gained = after.devices.iter().any(|d| !before.devices.contains(d));
        let lost: Vec<_> = before.devices.iter().filter(|d| !after.devices.contains(d)).collect();
        if gained && after.person == self.author.person {
            self.may(Action::OwnDevices)?;
        } else if gained {
            // Another member may bring back a person's device only where the person keeps a seat that
            // still stands; the certificate by the person's own key is the person's word.
            self.may_admit(after.person)?;
        }
        let own = after.person == self.author.person;
        if !lost.iter().all(|d| self.listed.contains(d) || own) {
            return Err(Refusal::NotYours);
        }
        if own && lost.contains(&&self.author.key) {
            return Err(Refusal::NotYours);
        }
        if (before.role, before.basis) == (after.role, after.basis) {
            return Ok(!lost.is_empty());
        }
        self.changes_role(before, after, &identities)?;
        Ok(true)
    }

    /// Widening needs a grant of its own; so does narrowing to a role on another grant, which then is
    /// the one that stands. The family's basis follows the authority.
    fn changes_role(&self, before: &Member, after: &Member, identities: &[crate::credential::Identity]) -> Result<(), Refusal> {
        self.may(Action::Admit)?;
        if before.role == crate::membership::Role::Holder {
            return Err(Refusal::HolderByHandover);
        }
        if before.role.is_family() && after.role != before.role {
            return Err(Refusal::FamilyStays);
        }
        entry::check(self.state, self.context, after, identities, self.vouchers)
    }
}
