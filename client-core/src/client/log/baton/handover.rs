//! The handover itself: one bundle over every open scope of the log, planned anew after every input, made as
//! soon as acceptance and consents are there. Until the home has received it the old holder is the holder.

use super::{Offer, Reached, Side};
use crate::answer::{OfferWaits as Waiting, Verified};
use crate::client::input::{Cause, Problem};
use crate::client::outbox::next::without;
use crate::client::outbox::transfer::Moving;
use crate::client::scope::open::ContentWork;
use crate::client::scope::{Scope, Standing, group};
use crate::client::stream::Sent;
use crate::client::{Client, people};
use crate::document::edit;
use openmls::prelude::KeyPackage;
use stafett_protocol::consent::{Grantee, Voucher};
use stafett_protocol::handover::{Handover, HandoverAcceptance, HandoverOffer, Part};
use stafett_protocol::ids::{DeviceId, Municipality, PersonId, PublicKey, ScopeId, to_hex};
use stafett_protocol::letter::Content;
use stafett_protocol::membership::{Member, Membership, Role};
use stafett_protocol::policy::{Action, can};
use stafett_protocol::state::{GrantStanding, ScopeState, Status};
use stafett_protocol::wire::{Bundle, Envelope, Request};
use std::collections::BTreeMap;

/// Whether the holder that this device's person was has been relieved here.
pub(super) fn has_left(state: &ScopeState, person: PersonId, device: &PublicKey) -> bool {
    let archived = state.membership.member(person).is_some_and(|m| m.role == Role::Archivist);
    archived && state.listed.contains(device)
}

/// The key packages of one device, each good for one scope.
type Packages = BTreeMap<PublicKey, Vec<KeyPackage>>;

impl Client {
    /// What is missing; empty when the handover can be made.
    pub(super) fn waiting(&self, baton: &Offer) -> Vec<Waiting> {
        let mut waits = vec![];
        match baton.acceptance() {
            None => waits.push(Waiting::Acceptance),
            Some(accepted) if !self.counts_as_holder(&accepted, baton) => waits.push(Waiting::KeyNotCompared),
            Some(_) => {}
        }
        let consented = |offer: &HandoverOffer| {
            let fact = self.scopes.get(&offer.scope).and_then(|s| s.replica.state().grant(&offer.basis));
            fact.is_some_and(|f| f.standing(self.home_now()) == GrantStanding::InForce)
        };
        let offers: Vec<HandoverOffer> = baton.offers().map(|(offer, _)| offer).collect();
        if !offers.iter().filter(|o| o.part == Part::Moves).all(consented) || !self.journal_consented(baton) {
            waits.push(Waiting::Consent);
        }
        if self.is_outdated(baton, &offers) {
            waits.push(Waiting::Outdated);
        }
        if offers.iter().any(|o| self.is_sending(o.scope)) || self.informs(baton) {
            waits.push(Waiting::Sending);
        }
        waits
    }

    /// No client makes a holder of a key that was neither authenticated nor compared: the person's own, or
    /// that of the leader whose certificate names it.
    fn counts_as_holder(&self, accepted: &HandoverAcceptance, baton: &Offer) -> bool {
        let counts = |person: PersonId, key: &PublicKey| self.key_counts(person, key);
        let unit = baton.card().and_then(|o| o.to.unit);
        let vouched = |v: &Voucher| {
            unit.is_some_and(|u| {
                counts(u.leader, &u.leader_key)
                    && v.employee.verify(&u.leader_key).is_ok_and(|e| e.person_key == accepted.person_key)
            })
        };
        counts(accepted.person, &accepted.person_key) || baton.voucher.as_ref().is_some_and(vouched)
    }

    fn key_counts(&self, person: PersonId, key: &PublicKey) -> bool {
        let own = self.me.as_ref().is_some_and(|m| m.person == person);
        own || people::pin(&self.table, person).is_some_and(|p| p.person_key == *key && p.trust.counts())
    }

    /// How the key of whoever holds this log is known here: as a person's word says it, or through the leader of
    /// the unit that the family consented to. `None`: by nobody but the municipality, which does not count.
    pub(crate) fn holder_known(&self, card: ScopeId) -> Option<Verified> {
        let state = self.scopes.get(&card)?.replica.state();
        let holder = state.holder()?;
        if self.me.as_ref().is_some_and(|m| m.person == holder.person) {
            return Some(Verified::Myself);
        }
        if self.key_counts(holder.person, &holder.person_key) {
            return people::pin(&self.table, holder.person).map(|p| p.trust.into());
        }
        // The policy let nobody hold for a unit without its leader's signature.
        match state.grant(&holder.basis).map(|f| f.grant.grantee) {
            Some(Grantee::Unit(unit)) if self.key_counts(unit.leader, &unit.leader_key) => Some(Verified::Leader),
            _ => None,
        }
    }

    /// Each active scope of the log is offered or closed, what is offered can still be handed over, and nobody else
    /// has got ahead.
    fn is_outdated(&self, baton: &Offer, offers: &[HandoverOffer]) -> bool {
        let of_log = |s: &&Scope| s.replica.state().log() == baton.letter.log && s.standing != Standing::Withdrawn;
        let active = |s: &Scope| s.replica.state().status_at(self.home_now()) == Status::Active;
        let holder = |s: &Scope| s.replica.state().holder().map(|h| h.person);
        let passed = |o: &HandoverOffer, s: &Scope| {
            holder(s) != offers.first().map(|o| o.from)
                || self.check_hands_over(o.scope, baton.letter.offerer.person, o.part).is_err()
        };
        let missed = |s: &Scope| match offers.iter().find(|o| o.scope == s.id()) {
            Some(offer) => passed(offer, s),
            None => active(s),
        };
        self.scopes.values().filter(of_log).any(missed)
            || self.foundings.values().any(|f| f.plan.log == baton.letter.log)
    }

    fn is_sending(&self, scope: ScopeId) -> bool {
        // What cannot be sent or read on this connection is not waited for.
        let still = |work| self.following.still.contains(&(scope, work)) || self.following.blocked.contains(&scope);
        self.scopes.get(&scope).is_none_or(|s| {
            s.standing != Standing::Member
                || !s.facts_read()
                || (s.unaudited.is_some() && !still(ContentWork::Reread))
                || self.stream.busy(scope)
                || (s.document.pending().len() > 0 && !s.stopped && !still(ContentWork::Sealed))
        })
    }

    /// K2: whoever must be informed has a letter on the way before the baton passes.
    fn informs(&self, baton: &Offer) -> bool {
        let id = baton.id();
        self.queued_letters().iter().any(|content| match content {
            Content::HandoverOffer(letter) => letter.scopes.first().is_some_and(|s| s.offer.offer.id() == id),
            _ => false,
        })
    }

    /// Makes the handover that can be made at this home. Answers whether one is under way now.
    pub(crate) fn plan_handover(&mut self, home: Municipality) -> Result<bool, Problem> {
        let ready = |b: &Offer| b.side == Side::Offered && b.progress == Reached::Accepted;
        for baton in self.batons().into_iter().filter(ready) {
            let scopes: Vec<ScopeId> = baton.offers().map(|(offer, _)| offer.scope).collect();
            if !scopes.iter().all(|s| self.home_of(*s) == home) {
                continue;
            }
            if scopes.iter().any(|s| self.following.unplanned.contains(s)) || !self.waiting(&baton).is_empty() {
                continue;
            }
            let made = self.hand_over(&baton);
            if made.is_err() {
                self.following.unplanned.extend(&scopes);
            }
            return made;
        }
        Ok(false)
    }

    fn hand_over(&mut self, baton: &Offer) -> Result<bool, Problem> {
        if self.write_reason(baton)? {
            // The edit is sent first: with the card's next epoch the old holder writes no more.
            return Ok(true);
        }
        let accepted = baton.acceptance().ok_or_else(|| Problem::data(Cause::Offer, "nobody has accepted"))?;
        let to = baton.card().map(|card| card.to.municipality);
        let away = to.filter(|to| baton.offers().next().is_some_and(|(card, _)| self.home_of(card.scope) != *to));
        if let Some(to) = away.filter(|to| !self.reach(*to)) {
            return Ok(self.is_opening(to));
        }
        let Some(packages) = self.packages_for_handover(baton, &accepted)? else { return Ok(true) };
        let mut envelopes = vec![];
        let mut scopes = vec![];
        for (nth, (offer, scope)) in baton.offers().enumerate() {
            let acceptance = baton.acceptances.iter().find(|a| a.peek().is_ok_and(|a| a.scope == offer.scope)).cloned();
            let handover =
                Handover { offer: scope.offer.clone(), acceptance: acceptance.filter(|_| offer.part == Part::Moves) };
            envelopes.push(self.handover_commit(&offer, handover, &accepted, baton, (nth, &packages))?);
            scopes.push(offer.scope);
        }
        let bundle = Bundle { envelopes, letters: vec![] };
        match away {
            None => self.submit_bundle(bundle, scopes),
            Some(to) => {
                let moving = baton.offers().filter(|(o, _)| o.part == Part::Moves).map(|(_, s)| s.offer.clone());
                let moving = Moving::new(to, moving.collect(), baton.acceptances.clone());
                self.begin_transfer(&moving, &bundle, &scopes);
            }
        }
        Ok(true)
    }

    fn handover_commit(
        &mut self,
        offer: &HandoverOffer,
        handover: Handover,
        accepted: &HandoverAcceptance,
        baton: &Offer,
        (nth, packages): (usize, &Packages),
    ) -> Result<Envelope, Problem> {
        let state = self.card_state(offer.scope)?;
        let removes = state.listed_at(self.home_now());
        let mut membership = without(&state.membership, &removes);
        let mut adds = vec![];
        archive(&mut membership, offer.from);
        if offer.part == Part::Moves {
            let devices: Vec<PublicKey> = packages
                .keys()
                .filter(|d| state.membership.device_key(DeviceId::of_key(d)).is_none())
                .copied()
                .collect();
            // A device that ran out of packages gives its last resort again.
            adds = devices
                .iter()
                .filter_map(|d| packages.get(d))
                .filter_map(|all| all.get(nth).or(all.last()))
                .cloned()
                .collect();
            seat(&mut membership, offer, accepted, devices);
        }
        let vouchers = baton.voucher.iter().filter(|_| offer.part == Part::Moves).cloned().collect();
        let membership = Some(membership.sorted());
        let plan = group::MembershipChange { adds, removes, membership, vouchers, handover: Some(handover) };
        self.commit_envelope(offer.scope, plan)
    }

    /// A key package of each device of the new holder, once for each scope that the device is not in.
    fn packages_for_handover(
        &mut self,
        baton: &Offer,
        accepted: &HandoverAcceptance,
    ) -> Result<Option<Packages>, Problem> {
        let person = accepted.person;
        let scopes = baton.offers().filter(|(offer, _)| offer.part == Part::Moves).count();
        let home = self.person_home(person);
        if !self.stream.asked_packages.contains(&person) {
            if !self.reach(home) {
                return Ok(None);
            }
            self.stream.asked_packages.insert(person);
            self.going.packages.remove(&person);
            for _ in 0..scopes {
                self.stream.send(home, Request::FetchKeyPackages(vec![person]), Sent::KeyPackages(vec![person]));
            }
        }
        if self.stream.waits_for(&Sent::KeyPackages(vec![person])) {
            return Ok(None);
        }
        let packages = self.packages_of(person, &accepted.person_key);
        let inside = |(offer, _): (HandoverOffer, _)| {
            let member = self.scopes.get(&offer.scope).and_then(|s| s.replica.state().membership.member(person));
            offer.part != Part::Moves || member.is_some()
        };
        if packages.is_empty() && !baton.offers().all(inside) {
            return Err(Problem::rule(Cause::NoKeyPackage, "no device of the new holder can be added yet"));
        }
        // A key package serves once.
        self.going.packages.clear();
        self.stream.asked_packages.clear();
        Ok(Some(packages))
    }

    /// Writes the reason on the card, where it takes changes. Answers whether something was written.
    pub(super) fn write_reason(&mut self, baton: &Offer) -> Result<bool, Problem> {
        let Some(offer) = baton.card() else { return Ok(false) };
        let (me, id) = (self.me()?.person, to_hex(&baton.id().0));
        let Some(s) = self.scopes.get(&offer.scope).filter(|s| s.standing == Standing::Member) else {
            return Ok(false);
        };
        let holds = s.replica.state().holder().is_some_and(|h| h.person == me);
        let written = s.document.card().handovers.iter().any(|entry| entry.id == id);
        if !holds || written || can(s.replica.state(), me, Action::Change, self.home_now()).is_err() {
            return Ok(false);
        }
        let (text, to) = (baton.letter.reason.text.clone(), baton.letter.to_name.clone());
        Ok(self.edit_beside(offer.scope, |doc| edit::note_handover(doc, me, &id, &text, &to)))
    }
}

/// Who held is the archivist of what was closed; from what moved their leaves go.
fn archive(membership: &mut Membership, from: PersonId) {
    for member in membership.members.iter_mut().filter(|m| m.person == from) {
        member.role = Role::Archivist;
    }
}

/// The new holder's seat, on the grant that the offer names; where the log moves, its new home.
fn seat(membership: &mut Membership, offer: &HandoverOffer, accepted: &HandoverAcceptance, devices: Vec<PublicKey>) {
    if membership.home != offer.to.municipality {
        membership.home = offer.to.municipality;
        membership.home_epoch = membership.home_epoch.saturating_add(1);
    }
    let person_key = accepted.person_key;
    match membership.members.iter_mut().find(|m| m.person == accepted.person) {
        Some(member) => {
            (member.role, member.basis) = (Role::Holder, offer.basis);
            member.devices.extend(devices);
        }
        None => membership.members.push(Member {
            person: accepted.person,
            person_key,
            role: Role::Holder,
            devices,
            basis: offer.basis,
        }),
    }
}
