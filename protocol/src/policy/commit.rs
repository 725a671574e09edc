//! Commits: who may change the membership, and that the new membership says exactly what the leaves are.

use crate::commit_view::{CommitView, Leaf};
use crate::consent::{Permit, Voucher};
use crate::credential::Identity;
use crate::event::{Commit, Event};
use crate::ids::{DeviceId, Millis, Municipality, PersonId, PublicKey};
use crate::limits;
use crate::membership::{Member, Membership, Role, ScopeKind};
use crate::policy::{Action, Author, Context, entry, handover, require, withdrawal};
use crate::refusal::Refusal;
use crate::state::{Employment, ScopeState, Status};
use std::collections::BTreeSet;

pub(super) fn decide(
    state: &ScopeState,
    context: &Context<'_>,
    author: &Author,
    event: &Event,
    commit: &Commit,
    view: &CommitView,
) -> Result<ScopeState, Refusal> {
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
    // A handover stands even where its commit cannot be processed: who comes back then is who it left.
    let before = if commit.handover.is_some() { &next.membership.members } else { &state.membership.members };
    next.before_last_commit = remaining(before, state, &next);
    next.settle_employments();
    next.epoch = state.epoch.saturating_add(1);
    next.epoch_since = context.now;
    next.rejected = Permit::No;
    next.check = commit.check;
    next.listed.retain(|key| next.membership.devices().any(|d| d == key));
    Ok(next)
}

/// Everyone who was in before the commit or might come back, without the leaves that it removes: should
/// it be rejected, they stay removed, for narrowing never needs consent.
fn remaining(before: &[Member], state: &ScopeState, next: &ScopeState) -> Vec<Member> {
    let mut before = before.to_vec();
    for member in &mut before {
        member.devices.retain(|d| next.membership.devices().any(|a| a == d));
    }
    before.retain(|m| !m.devices.is_empty());
    let there: Vec<PersonId> = before.iter().map(|m| m.person).collect();
    // Who has come back with this very commit comes back again if it is rejected.
    let may = |m: &&Member| !there.contains(&m.person) && next.present().any(|p| p.person == m.person);
    let back: Vec<Member> = state.readmit.iter().filter(may).cloned().collect();
    before.into_iter().chain(back).collect()
}

/// A device that lost its MLS state joins again by an external commit in the place of its own leaf.
fn resync(
    state: &ScopeState,
    context: &Context<'_>,
    author: &Author,
    commit: &Commit,
    view: &CommitView,
) -> Result<ScopeState, Refusal> {
    require(state, context, author, Action::Resync)?;
    let path = view.path.as_ref().ok_or(Refusal::ResyncForeign)?;
    let own_leaf_only = view.removes.as_slice() == [author.key] && view.adds.is_empty() && view.membership.is_none();
    if !own_leaf_only || commit.handover.is_some() || path.key != author.key {
        return Err(Refusal::ResyncForeign);
    }
    if commit.link.is_some() || commit.welcome.is_some() {
        return Err(Refusal::LinkMissing);
    }
    check_path(&state.membership, context, author, path)?;
    let mut next = state.clone();
    next.gentle = Permit::No;
    next.gaps.push(state.epoch.saturating_add(1));
    // Links are taken for any epoch at any time; the list only holds up Adds. So the oldest may go, and nobody's resyncs
    // stand in the way of another's.
    if next.gaps.len() > limits::KEY_GAPS {
        next.gaps.remove(0);
    }
    Ok(next)
}

fn by_member(
    state: &ScopeState,
    context: &Context<'_>,
    author: &Author,
    commit: &Commit,
    view: &CommitView,
    listed: &[PublicKey],
) -> Result<ScopeState, Refusal> {
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
        check_path(view.membership.as_ref().unwrap_or(&state.membership), context, author, path)?;
    }
    match (&view.membership, &commit.handover) {
        (Some(new), Some(given)) => handover::decide(state, context, author, (commit, given), (view, new), listed),
        (None, Some(_)) => Err(Refusal::HandoverMismatch),
        (None, None) => renew(state, context, author, view),
        (Some(new), None) => rewrite(state, context, author, commit, view, new, listed),
    }
}

/// The committer's leaf stays the same device of the same person, under the key that `membership`, the
/// one after the commit, pins.
fn check_path(membership: &Membership, context: &Context<'_>, author: &Author, path: &Leaf) -> Result<(), Refusal> {
    let member = membership.member(author.person).ok_or(Refusal::NotAMember)?;
    if path.key != author.key {
        return Err(Refusal::PersonChanged);
    }
    entry::check_leaves(context, member, std::iter::once(path)).map(drop)
}

/// No proposals: an own-leaf update, at most one a day.
fn renew(state: &ScopeState, context: &Context<'_>, author: &Author, view: &CommitView) -> Result<ScopeState, Refusal> {
    require(state, context, author, Action::Renew)?;
    if !view.adds.is_empty() || !view.removes.is_empty() {
        return Err(Refusal::MembershipMismatch);
    }
    let mut next = state.clone();
    let counter = next.counter_mut(DeviceId::of_key(&author.key));
    if counter.renewed_at != 0 && context.now < counter.renewed_at.saturating_add(limits::OWN_UPDATE_MIN_MILLIS) {
        return Err(Refusal::TooSoon);
    }
    counter.renewed_at = context.now;
    next.gentle = Permit::Yes;
    Ok(next)
}

fn rewrite(
    state: &ScopeState,
    context: &Context<'_>,
    author: &Author,
    commit: &Commit,
    view: &CommitView,
    new: &Membership,
    listed: &[PublicKey],
) -> Result<ScopeState, Refusal> {
    check_fixed_part(state, new, None)?;
    check_leaves_match(state, view, new)?;
    if !view.adds.is_empty() && !state.gaps.is_empty() {
        return Err(Refusal::LinkRepairFirst);
    }
    let persons: BTreeSet<_> = state.membership.members.iter().chain(&new.members).map(|m| m.person).collect();
    let mut next = state.clone();
    next.gentle = Permit::Yes;
    for person in persons {
        let step = Step { state, context, author, listed, adds: &view.adds, vouchers: &commit.vouchers };
        let outcome = match (state.membership.member(person), new.member(person)) {
            (None, Some(after)) => step.enters(after)?,
            (Some(before), None) => step.leaves(before)?,
            (Some(before), Some(after)) => step.stays(before, after)?,
            (None, None) => continue,
        };
        if outcome.narrowed {
            next.gentle = Permit::No;
        }
        let Some((until, after)) = outcome.seat.zip(new.member(person)) else { continue };
        next.employments.retain(|e| (e.person, e.basis) != (person, after.basis));
        if let Some(until) = until {
            withdrawal::lift_end(&mut next, after);
            next.employments.push(Employment { person, basis: after.basis, until });
        }
    }
    if next.next_authority.as_ref() == Some(&new.authority) {
        next.next_authority = None;
    }
    next.membership = new.clone();
    next.settle_readmit(&state.membership);
    next.check_one_holder()?;
    Ok(next)
}

/// `moves`: the home and home epoch that a handover gives to the scope.
pub(super) fn check_fixed_part(
    state: &ScopeState,
    new: &Membership,
    moves: Option<(Municipality, u32)>,
) -> Result<(), Refusal> {
    let old = &state.membership;
    let authority = if state.next_authority.as_ref() == Some(&new.authority) { &new.authority } else { &old.authority };
    let (home, home_epoch) = moves.unwrap_or((old.home, old.home_epoch));
    let expected =
        Membership { members: new.members.clone(), authority: authority.clone(), home, home_epoch, ..old.clone() };
    // A rewrite that changes nothing would be an own-leaf update that escapes its limit.
    if *new != expected || new.clone().sorted() != *new || new == old {
        return Err(Refusal::MembershipMismatch);
    }
    let bound = if new.kind == ScopeKind::Unit { limits::UNIT_SCOPE_LEAVES } else { limits::LOG_SCOPE_LEAVES };
    if new.devices().count() > bound {
        return Err(Refusal::TooMany);
    }
    Ok(())
}

/// The membership lists exactly the leaves after the commit, each once, and each person once.
pub(super) fn check_leaves_match(state: &ScopeState, view: &CommitView, new: &Membership) -> Result<(), Refusal> {
    let mut after: Vec<PublicKey> = state.membership.devices().filter(|d| !view.removes.contains(d)).copied().collect();
    after.extend(view.adds.iter().map(|leaf| leaf.key));
    after.sort_unstable();
    let mut named: Vec<PublicKey> = new.devices().copied().collect();
    named.sort_unstable();
    let persons: BTreeSet<_> = new.members.iter().map(|m| m.person).collect();
    let no_ghosts = new.members.iter().all(|m| !m.devices.is_empty());
    let distinct = named.windows(2).all(|pair| pair.first() != pair.last());
    // A leaf that is removed and added again in one commit would never have left.
    let fresh = view.adds.iter().all(|leaf| state.membership.devices().all(|d| *d != leaf.key));
    if after != named || persons.len() != new.members.len() || !no_ghosts || !distinct || !fresh {
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

/// What a step means for those who stay.
struct Outcome {
    /// Somebody lost something: content under the epoch before is no longer taken.
    narrowed: bool,
    /// A new seat, and until when the leader's certificate holds it; `None` where the seat is as it was.
    seat: Option<Option<Millis>>,
}

impl Step<'_> {
    /// The leaves that this person gains; a leaf that was somebody else's cannot become theirs.
    fn gained(&self, before: Option<&Member>, after: &Member) -> Result<Vec<&Leaf>, Refusal> {
        let has = |key: &PublicKey| before.is_some_and(|m| m.devices.contains(key));
        let leaf = |key: &PublicKey| self.adds.iter().find(|leaf| leaf.key == *key).ok_or(Refusal::MembershipMismatch);
        after.devices.iter().filter(|key| !has(key)).map(leaf).collect()
    }

    fn may(&self, action: Action) -> Result<(), Refusal> {
        require(self.state, self.context, self.author, action)
    }

    /// Admitting goes on in a scope that takes no content where a lost key is replaced, and in a
    /// re-founded one.
    fn may_admit(&self, person: PersonId) -> Result<(), Refusal> {
        match self.may(Action::Admit) {
            Err(Refusal::NotActive) if self.state.readmit.iter().any(|m| m.person == person) => Ok(()),
            Err(Refusal::NotActive) if self.state.new_key(person).is_some() => Ok(()),
            other => other,
        }
    }

    fn enters(&self, after: &Member) -> Result<Outcome, Refusal> {
        let new_leader = self.state.kind() == ScopeKind::Unit && after.role == Role::Leader;
        if !new_leader {
            // Of the family, who is named while a log rests is who may wake it.
            let named = self.state.authority().key(after.person).is_some();
            match self.may_admit(after.person) {
                Err(Refusal::NotActive) if named => {}
                other => other?,
            }
        }
        let gained = self.gained(None, after)?;
        let identities = entry::check_leaves(self.context, after, gained.into_iter())?;
        let until = entry::check(self.state, self.context, after, &identities, self.vouchers)?;
        // Who comes back after a re-founding keeps the certificate that they came in on.
        let seat =
            if self.state.readmit.iter().any(|m| m.person == after.person) { until.map(Some) } else { Some(until) };
        Ok(Outcome { narrowed: false, seat })
    }

    /// Somebody goes entirely: every leaf must be listed. Narrowing needs no consent, but a statement.
    fn leaves(&self, before: &Member) -> Result<Outcome, Refusal> {
        self.may(Action::RemoveListed)?;
        if before.role == Role::Holder && self.state.status != Status::Withdrawn {
            return Err(Refusal::HolderByHandover);
        }
        if before.devices.iter().all(|d| self.listed.contains(d)) {
            return Ok(Outcome { narrowed: true, seat: None });
        }
        Err(if before.role.is_family() { Refusal::FamilyStays } else { Refusal::NotYours })
    }

    fn stays(&self, before: &Member, after: &Member) -> Result<Outcome, Refusal> {
        if after.person_key != before.person_key && self.state.new_key(after.person) != Some(&after.person_key) {
            return Err(Refusal::KeyNotPinned);
        }
        let own = after.person == self.author.person;
        let gained = self.gained(Some(before), after)?;
        if !gained.is_empty() && own {
            self.may(Action::OwnDevices)?;
        } else if !gained.is_empty() {
            // Another member may bring back a person's device only where the person keeps a seat that
            // still stands; the certificate by the person's own key is the person's word.
            self.may_admit(after.person)?;
        }
        let same_seat = (before.role, before.basis) == (after.role, after.basis);
        if !gained.is_empty() {
            self.state.pinned(after)?;
            if same_seat {
                self.state.seat_stands(self.context.now, after)?;
            }
        }
        let identities = entry::check_leaves(self.context, after, gained.into_iter())?;
        let lost: Vec<_> = before.devices.iter().filter(|d| !after.devices.contains(d)).collect();
        if !lost.iter().all(|d| self.listed.contains(d) || own) || lost.contains(&&self.author.key) {
            return Err(Refusal::NotYours);
        }
        if same_seat {
            return Ok(Outcome { narrowed: !lost.is_empty(), seat: None });
        }
        let until = self.changes_role(before, after, &identities)?;
        Ok(Outcome { narrowed: true, seat: Some(until) })
    }

    /// Widening needs a grant of its own; so does narrowing to a role on another grant, which then is
    /// the one that stands. The family's basis follows the authority.
    fn changes_role(
        &self,
        before: &Member,
        after: &Member,
        identities: &[Identity],
    ) -> Result<Option<Millis>, Refusal> {
        self.may(Action::Admit)?;
        if before.role == Role::Holder {
            return Err(Refusal::HolderByHandover);
        }
        if before.role.is_family() && after.role != before.role {
            return Err(Refusal::FamilyStays);
        }
        entry::check(self.state, self.context, after, identities, self.vouchers)
    }
}
