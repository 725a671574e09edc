//! The baton: who may offer it, who has taken it, and the one kind of commit that changes the holder.
//! Everything is judged at the commit's receipt; what was agreed before reserves nothing.

use crate::commit_view::CommitView;
use crate::consent::{Access, ConsentGrant, Grantee, Permit};
use crate::credential::{Identity, PersonKind};
use crate::event::Commit;
use crate::handover::{Handover, HandoverAcceptance, HandoverOffer, Part, SignedAbort, SignedOffer};
use crate::ids::{DeviceId, Hash, Millis, Municipality, PersonId, PublicKey, ScopeId};
use crate::membership::{Member, Membership, Role, ScopeKind};
use crate::policy::commit::{check_fixed_part, check_leaves_match};
use crate::policy::{Action, Author, Context, allows, entry, withdrawal};
use crate::refusal::Refusal;
use crate::seat::in_force;
use crate::signed::Signed;
use crate::state::{GrantFact, Moved, ScopeState, Status, TakenOver, Tenure};
use crate::statement::Takeover;

/// Whether this offer could be committed now, but for its acceptance: what the home asks before it lets
/// the other municipality read, and a client before it sends the letter.
pub fn may_offer(state: &ScopeState, context: &Context<'_>, signed: &SignedOffer) -> Result<HandoverOffer, Refusal> {
    let part = signed.offer.peek().map_err(|_| Refusal::Malformed)?.part;
    let key = may_hand_over(state, context, signed.by, part)?;
    let offer = signed.offer.verify(key).map_err(|_| Refusal::BadSignature)?;
    if offer.log != state.log() || offer.scope != state.scope() {
        return Err(Refusal::HandoverMismatch);
    }
    if offer.reason == Hash::default() {
        return Err(Refusal::ReasonMissing);
    }
    // A log that was withdrawn and consented to anew has no holder to relieve.
    if state.holder().map(|h| h.person).unwrap_or_default() != offer.from {
        return Err(Refusal::HandoverMismatch);
    }
    let moves = offer.to.municipality != state.membership.home;
    let fits = match (state.kind(), offer.part) {
        (ScopeKind::Card, part) => part == Part::Moves,
        // The journal never leaves its municipality: the new holder founds another one.
        (ScopeKind::Journal, part) => (part == Part::Closes) == moves,
        (ScopeKind::Concern, _) => true,
        _ => false,
    };
    if !fits || (offer.to.unit.is_none() && offer.to.person.is_none()) {
        return Err(Refusal::HandoverMismatch);
    }
    match offer.part {
        Part::Closes if offer.basis != Hash::default() => Err(Refusal::HandoverMismatch),
        Part::Closes => Ok(offer),
        Part::Moves => basis(state, context, &offer).map(|_| offer),
    }
}

/// Whether this abort counts: of whoever could hand over now, or of the family, who consents.
pub fn may_abort(state: &ScopeState, context: &Context<'_>, signed: &SignedAbort) -> Result<Hash, Refusal> {
    let family = state.authority().key(signed.by);
    let key = family.map_or_else(|| may_hand_over(state, context, signed.by, Part::Closes), Ok)?;
    let abort = signed.abort.verify(key).map_err(|_| Refusal::BadSignature)?;
    if abort.log != state.log() || abort.scope != state.scope() {
        return Err(Refusal::HandoverMismatch);
    }
    Ok(abort.offer)
}

/// Whether `by` may hand this scope over, or close it in a handover; answers the key that speaks for them. What a
/// client asks before it offers anything.
pub fn may_hand_over<'s>(
    state: &'s ScopeState,
    context: &Context<'_>,
    by: PersonId,
    part: Part,
) -> Result<&'s PublicKey, Refusal> {
    let member = state.membership.member(by).ok_or(Refusal::NotAMember)?;
    let listed = state.listed_at(context.now);
    if member.devices.iter().all(|d| listed.contains(d)) {
        return Err(Refusal::Listed);
    }
    let status = state.status_at(context.now);
    allows(member.role, Action::HandOver, status, state.authority().youth_decides(context.now))?;
    // A frozen holder lays down what the family does not give to anybody; narrowing needs no consent.
    if status == Status::Dormant && !member.role.is_family() && part == Part::Moves {
        return Err(Refusal::NotActive);
    }
    if member.role == Role::Custodian {
        let took_over = match (state.kind(), context.card) {
            (ScopeKind::Card, _) => state.takes_over(by),
            (_, card) => card.is_none_or(|card| card.took_over(by, context.now)),
        };
        if !took_over {
            return Err(Refusal::TakeoverFirst);
        }
    }
    state.key_of(by).ok_or(Refusal::NotAMember)
}

/// The grant that the new holder will stand on: in force, to hold, for this destination, and for this
/// municipality as home.
fn basis<'s>(state: &'s ScopeState, context: &Context<'_>, offer: &HandoverOffer) -> Result<&'s GrantFact, Refusal> {
    let fact = state.grant(&offer.basis).ok_or(Refusal::GrantMissing)?;
    in_force(fact, context.now)?;
    let grant = &fact.grant;
    let for_them = match (grant.grantee, offer.to.unit, offer.to.person) {
        (Grantee::Unit(granted), Some(unit), _) => granted == unit,
        (Grantee::Person(granted), None, Some(person)) => granted == person,
        _ => false,
    };
    if grant.access != Access::Hold || !for_them {
        return Err(Refusal::GrantMismatch);
    }
    consented_home(grant, state.membership.home, offer.to.municipality)?;
    Ok(fact)
}

/// A grant that names a municipality is for a log that is, or comes, there; one that names none never
/// moves it.
fn consented_home(grant: &ConsentGrant, home: Municipality, to: Municipality) -> Result<(), Refusal> {
    if grant.moves_to.unwrap_or(home) == to { Ok(()) } else { Err(Refusal::MoveNotConsented) }
}

/// The new holder's word on this very offer, and their municipality's on who they are.
fn accepted(
    context: &Context<'_>,
    offer: &HandoverOffer,
    id: Hash,
    signed: &Signed<HandoverAcceptance>,
) -> Result<HandoverAcceptance, Refusal> {
    let claimed = signed.peek().map_err(|_| Refusal::Malformed)?;
    let acceptance = signed.verify(&claimed.person_key).map_err(|_| Refusal::BadSignature)?;
    if acceptance.offer != id || acceptance.scope != offer.scope {
        return Err(Refusal::NotAccepted);
    }
    let key = context.trusted.key(offer.to.municipality).ok_or(Refusal::NotIdentified)?;
    let certificate = acceptance.certificate.verify(key).map_err(|_| Refusal::NotIdentified)?;
    let named = offer.to.person.is_none_or(|p| (p.person, p.person_key) == (acceptance.person, acceptance.person_key));
    let employed = offer.to.unit.is_none_or(|unit| {
        matches!(certificate.kind, PersonKind::Employee | PersonKind::Leader) && certificate.unit == Some(unit.unit)
    });
    let same = (certificate.person, certificate.person_key) == (acceptance.person, acceptance.person_key);
    if !named || !employed || !same || certificate.municipality != offer.to.municipality {
        return Err(Refusal::NotAccepted);
    }
    Ok(acceptance)
}

/// The custodian steps in; said on the card alone.
pub(super) fn take_over(
    state: &ScopeState,
    context: &Context<'_>,
    author: &Author,
    takeover: &Takeover,
) -> Result<ScopeState, Refusal> {
    if state.kind() != ScopeKind::Card {
        return Err(Refusal::WrongScope);
    }
    if takeover.reason == Hash::default() {
        return Err(Refusal::ReasonMissing);
    }
    let unit_of = |member: &Member| Some(state.grant(&member.basis)?.grant.grantee.unit()?.unit);
    let own = state.membership.member(author.person).and_then(unit_of);
    // A leader speaks for the holder's unit, and for no other.
    if own.is_none() || own != state.holder().and_then(unit_of) {
        return Err(Refusal::NotYours);
    }
    if state.takes_over(author.person) {
        return Err(Refusal::AlreadySigned);
    }
    let mut next = state.clone();
    next.takeovers.push(TakenOver { by: author.person, reason: takeover.reason, at: context.now });
    Ok(next)
}

/// What a handover commit is to do, once offer and acceptance hold.
struct Terms<'a> {
    state: &'a ScopeState,
    context: &'a Context<'a>,
    offer: HandoverOffer,
    new_holder: Option<HandoverAcceptance>,
    listed: &'a [PublicKey],
}

/// A commit that changes the holder, or closes the scope in a handover. It does nothing else but remove
/// whoever is listed.
pub(super) fn decide(
    state: &ScopeState,
    context: &Context<'_>,
    author: &Author,
    (commit, handover): (&Commit, &Handover),
    (view, new): (&CommitView, &Membership),
    listed: &[PublicKey],
) -> Result<ScopeState, Refusal> {
    // Who hands over answers for it: nobody else commits the offer.
    if handover.offer.by != author.person {
        return Err(Refusal::NotYours);
    }
    let offer = may_offer(state, context, &handover.offer)?;
    let new_holder = match (offer.part, &handover.acceptance) {
        (Part::Moves, Some(signed)) => Some(accepted(context, &offer, handover.offer.offer.id(), signed)?),
        (Part::Moves, None) => return Err(Refusal::NotAccepted),
        (Part::Closes, None) => None,
        (Part::Closes, Some(_)) => return Err(Refusal::HandoverMismatch),
    };
    let moves = offer.part == Part::Moves && offer.to.municipality != state.membership.home;
    let home = (offer.to.municipality, state.membership.home_epoch.saturating_add(1));
    check_fixed_part(state, new, moves.then_some(home))?;
    check_leaves_match(state, view, new)?;
    if !view.adds.is_empty() && !state.gaps.is_empty() {
        return Err(Refusal::LinkRepairFirst);
    }
    let terms = Terms { state, context, offer, new_holder, listed };
    terms.check_members(view, new, commit)?;
    let next = terms.after(new);
    next.check_one_holder()?;
    Ok(next)
}

impl Terms<'_> {
    fn takes(&self) -> Option<PersonId> {
        self.new_holder.as_ref().map(|h| h.person)
    }

    fn check_members(&self, view: &CommitView, new: &Membership, commit: &Commit) -> Result<(), Refusal> {
        if let Some(taken) = &self.new_holder {
            let after = new.member(taken.person).ok_or(Refusal::HandoverMismatch)?;
            self.check_new_holder(taken, after, view, commit)?;
        }
        for after in new.members.iter().filter(|m| Some(m.person) != self.takes()) {
            let before = self.state.membership.member(after.person).ok_or(Refusal::HandoverMismatch)?;
            let role = if before.person == self.offer.from { Role::Archivist } else { before.role };
            let stays = Member { role, devices: after.devices.clone(), ..before.clone() };
            if *after != stays || after.devices.iter().any(|d| !before.devices.contains(d)) {
                return Err(Refusal::HandoverMismatch);
            }
        }
        // Nobody loses a leaf but those who are listed.
        if view.removes.iter().any(|key| !self.listed.contains(key)) { Err(Refusal::NotYours) } else { Ok(()) }
    }

    fn check_new_holder(
        &self,
        taken: &HandoverAcceptance,
        after: &Member,
        view: &CommitView,
        commit: &Commit,
    ) -> Result<(), Refusal> {
        let (state, context) = (self.state, self.context);
        let before = state.membership.member(taken.person);
        let seat = (after.role, after.basis, after.person_key);
        if seat != (Role::Holder, self.offer.basis, taken.person_key) {
            return Err(Refusal::HandoverMismatch);
        }
        // Whoever consents does not hold; who holds already takes the baton again on a fresh grant only.
        let again = before.is_some_and(|m| m.role == Role::Holder && m.basis == after.basis);
        if again || state.authority().key(taken.person).is_some() || before.is_some_and(|m| m.role.is_family()) {
            return Err(Refusal::HandoverMismatch);
        }
        if state.key_of(taken.person).is_some_and(|key| *key != taken.person_key) {
            return Err(Refusal::KeyNotPinned);
        }
        let gained = view.adds.iter().filter(|leaf| after.devices.contains(&leaf.key));
        let identities: Vec<Identity> = entry::check_leaves(context, after, gained)?;
        if identities.iter().any(|i| i.municipality() != self.offer.to.municipality) {
            return Err(Refusal::NotIdentified);
        }
        entry::check_new_holder(state, context, after, &identities, &commit.vouchers)
    }

    /// The facts after it.
    fn after(&self, new: &Membership) -> ScopeState {
        let mut next = self.state.clone();
        next.membership = new.clone();
        next.gentle = Permit::No;
        next.settle_readmit(&self.state.membership);
        let relieved = Some(self.offer.from).filter(|from| Some(*from) != self.takes());
        let Some(holder) = self.takes() else {
            next.status = Status::Closed;
            return next;
        };
        next.status = Status::Active;
        self.end_old_unit(&mut next);
        if let Some(old) = relieved.and_then(|from| new.member(from)) {
            withdrawal::take_seat(&mut next, old);
        }
        // A seat that a re-founding keeps free passes on with the baton, too.
        next.readmit.retain(|m| m.role != Role::Holder || m.person == holder);
        let now = self.context.now;
        if next.kind() == ScopeKind::Card {
            next.tenures.push(Tenure { person: holder, basis: self.offer.basis, since: now });
        }
        let was = &self.state.membership;
        if was.home != new.home {
            let seq = self.state.position.seq.saturating_add(1);
            next.moves.push(Moved { seq, from: was.home, home_epoch: was.home_epoch });
        }
        next
    }

    /// The unit that lets go keeps neither the grant to hold nor its leader's seat.
    fn end_old_unit(&self, next: &mut ScopeState) {
        let Some(old) = self.state.holder().map(|h| h.basis).filter(|b| *b != self.offer.basis) else {
            return;
        };
        let grantee = |id: &Hash| self.state.grant(id).map(|f| f.grant.grantee);
        let (Some(unit), Some(new)) = (grantee(&old), grantee(&self.offer.basis)) else { return };
        let ends = |fact: &GrantFact| match fact.grant.access {
            Access::Hold => fact.id == old || !unit.is_same_party(&new),
            Access::Custody => !unit.is_same_party(&new),
            Access::Read | Access::Contribute => false,
        };
        let mut ended = vec![];
        for fact in next.grants.iter_mut().filter(|f| f.ended_at == 0 && f.grant.grantee.is_same_party(&unit)) {
            if ends(fact) {
                fact.ended_at = self.context.now.max(1);
                ended.push(fact.id);
            }
        }
        let stands = |m: &&Member| m.role == Role::Custodian && ended.contains(&m.basis);
        let custodians: Vec<Member> = next.membership.members.iter().filter(stands).cloned().collect();
        for member in custodians {
            withdrawal::take_seat(next, &member);
        }
    }
}

/// Whether a bundle that hands over takes every open scope of the log along, or closes it. `handed`: the
/// scopes with a handover in the bundle; `log`: every scope of the log that this home had before it, as it
/// stands after it. What is withdrawn or dormant has nobody who could hand it over: the family wakes it
/// with a handover of its own, to whoever holds the card. What a holder alone is in, with none of `devices` (those that
/// the bundle's author still has), nobody could hand over: it ends with that holder's place on the card, and nobody loses
/// anything that they could read.
pub fn is_complete<'s>(
    devices: &[DeviceId],
    handed: &[ScopeId],
    log: impl IntoIterator<Item = &'s ScopeState>,
    now: Millis,
) -> Result<(), Refusal> {
    if handed.is_empty() {
        return Ok(());
    }
    let scopes: Vec<&ScopeState> = log.into_iter().collect();
    let card = scopes.iter().find(|s| s.kind() == ScopeKind::Card).ok_or(Refusal::HandoverPartial)?;
    let holder = card.membership.holder().ok_or(Refusal::HandoverPartial)?;
    let baton = handed.contains(&card.scope());
    let whole = scopes.iter().all(|scope| match (handed.contains(&scope.scope()), scope.status_at(now)) {
        (false, Status::Active) => !baton || scope.is_held_alone_without(devices),
        (false, _) => true,
        (true, Status::Closed) => baton,
        (true, _) => {
            scope.membership.home == card.membership.home
                && scope.membership.holder().map(|h| h.person) == Some(holder.person)
        }
    });
    if whole { Ok(()) } else { Err(Refusal::HandoverPartial) }
}
