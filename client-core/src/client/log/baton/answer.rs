//! Answers to an offer: seen, passed on to an employee, accepted, declined; and the letters of offers, in.

use super::{Offer, Reached, Side};
use crate::answer::{OfferPassed, OfferState, OfferStep};
use crate::client::input::{Cause, Problem};
use crate::client::{Client, people};
use stafett_protocol::consent::{Permit, UnitGrantee, Voucher};
use stafett_protocol::credential::PersonCertificate;
use stafett_protocol::handover::{Destination, HandoverAcceptance, Part};
use stafett_protocol::ids::{Millis, PersonId, PublicKey};
use stafett_protocol::letter::{AbortLetter, Acceptances, Answer as Word, Content, HandoverAnswer, OfferLetter};
use stafett_protocol::signed::Signed;
use stafett_protocol::text;

/// The leader's word that this person may hold, for this unit, now (C15, C16).
fn may_hold(voucher: &Voucher, unit: &UnitGrantee, person: PersonId, key: &PublicKey, now: Millis) -> bool {
    voucher.employee.verify(&unit.leader_key).is_ok_and(|employee| {
        employee.unit == unit.unit
            && employee.person == person
            && employee.person_key == *key
            && employee.may_hold == Permit::Yes
            && now < employee.expires_at
    })
}

/// Whether an offer to `to` is this person's to accept.
fn fits(to: &Destination, voucher: Option<&Voucher>, person: PersonId, key: &PublicKey, now: Millis) -> bool {
    let named = to.person.is_none_or(|p| p.person == person && p.person_key == *key);
    let stands = match to.unit {
        Some(unit) if unit.leader == person => unit.leader_key == *key,
        Some(unit) => voucher.is_some_and(|v| may_hold(v, &unit, person, key, now)),
        None => to.person.is_some(),
    };
    named && stands
}

impl Client {
    /// The new holder takes it (K3).
    pub(crate) fn baton_accept(&mut self, offer: &str) -> Result<OfferStep, Problem> {
        let mut baton = self.open_baton(offer, Side::Received)?;
        let me = self.me()?;
        let (person, person_key, key) = (me.person, me.person_public()?, me.person_key()?);
        let to = baton.card().map(|o| o.to).ok_or_else(|| Problem::data(Cause::Offer, "the offer cannot be read"))?;
        let leads = to.unit.is_some_and(|u| u.leader == person);
        let own = me.employee.clone().map(|employee| Voucher { employee, assignment: None });
        let voucher = baton.letter.voucher.clone().or(own).filter(|_| !leads);
        if !fits(&to, voucher.as_ref(), person, &person_key, self.home_now()) {
            return Err(Problem::rule(
                Cause::NotAHolder,
                "your leader must register you as holder, or pass the offer on to you",
            ));
        }
        let certificate =
            me.person_certificate.clone().ok_or_else(|| Problem::rule(Cause::NotCertified, "sync first"))?;
        let moving = baton.offers().filter(|(offer, _)| offer.part == Part::Moves);
        let acceptances = moving.map(|(offer, s)| {
            let certificate = certificate.clone();
            let (offer, scope) = (s.offer.offer.id(), offer.scope);
            Signed::sign(&HandoverAcceptance { offer, scope, person, person_key, certificate }, &key)
        });
        let acceptances: Vec<_> = acceptances.collect();
        self.answer_offer(&baton, Word::Accepted(Acceptances { acceptances, voucher }));
        baton.progress = Reached::Accepted;
        self.keep_baton(&baton);
        Ok(OfferStep { offer: baton.id().to_string(), state: OfferState::Accepted })
    }

    /// K9: the leader answers for who takes over, and may name an employee.
    pub(crate) fn baton_pass(&mut self, offer: &str, employee: &str) -> Result<OfferPassed, Problem> {
        let mut baton = self.open_baton(offer, Side::Received)?;
        let me = self.me()?;
        let (own, own_key) = (me.person, me.person_public()?);
        let to = baton.card().map(|o| o.to);
        let unit = to.filter(|to| to.person.is_none()).and_then(|to| to.unit);
        let unit = unit.filter(|u| u.leader == own && u.leader_key == own_key);
        let unit = unit.ok_or_else(|| {
            Problem::rule(Cause::NotYours, "only the leader to whose unit the baton is offered names an employee")
        })?;
        let person = self.person(employee)?;
        let pin = people::pin(&self.table, person);
        let voucher = pin.as_ref().and_then(|p| p.employee.clone()).map(|e| Voucher { employee: e, assignment: None });
        let key = pin.map(|p| p.person_key).unwrap_or_default();
        if !voucher.as_ref().is_some_and(|v| may_hold(v, &unit, person, &key, self.home_now())) {
            return Err(Problem::rule(Cause::NotAHolder, "you have not registered that person as one who may hold"));
        }
        let letter = OfferLetter { voucher, ..baton.letter.clone() };
        self.write_letter(person, Content::HandoverOffer(letter));
        baton.progress = Reached::Passed;
        baton.words = self.name_of(person);
        self.keep_baton(&baton);
        Ok(OfferPassed { offer: baton.id().to_string(), state: OfferState::Passed, person: person.to_string() })
    }

    pub(crate) fn baton_decline(&mut self, offer: &str, words: Option<&str>) -> Result<OfferStep, Problem> {
        let mut baton = self.open_baton(offer, Side::Received)?;
        let words = text::REASON.take_some(words.unwrap_or_default())?.unwrap_or_default();
        self.answer_offer(&baton, Word::Declined(words));
        baton.progress = Reached::Declined;
        self.keep_baton(&baton);
        Ok(OfferStep { offer: baton.id().to_string(), state: OfferState::Declined })
    }

    /// An offer has come: to take, or to know of. What is signed must be what is shown.
    pub(crate) fn take_offer(&mut self, from: &PersonCertificate, letter: OfferLetter) -> Result<(), Problem> {
        let refused = |why: &str| Problem::rule(Cause::HandoverOffer, why);
        let me = self.me()?.person;
        let mut baton = Offer {
            side: Side::Told,
            progress: Reached::Open,
            letter,
            notes: vec![],
            acceptances: vec![],
            voucher: None,
            words: String::new(),
            at: self.now,
        };
        let card = baton.card().ok_or_else(|| refused("it offers nothing"))?;
        let offerer = &baton.letter.offerer;
        let key = offerer.person_key;
        self.check_key(offerer.person, &key)?;
        card.to.person.iter().try_for_each(|p| self.check_key(p.person, &p.person_key))?;
        card.to.unit.iter().try_for_each(|u| self.check_key(u.leader, &u.leader_key))?;
        for scope in &baton.letter.scopes {
            let offer = scope.offer.offer.verify(&key).map_err(|e| refused(&e.to_string()))?;
            let alike = offer.log == baton.letter.log
                && (offer.to, offer.from) == (card.to, card.from)
                && offer.reason == baton.letter.reason.hash();
            if scope.offer.by != offerer.person || !alike {
                return Err(refused("what is signed is not what is shown"));
            }
        }
        let (by_offerer, leader) = (from.person == offerer.person, card.to.unit.map(|u| u.leader));
        if !by_offerer && leader != Some(from.person) {
            return Err(refused("it is neither from the offerer nor passed on by the leader"));
        }
        let named = card.to.person.map(|p| p.person).or(leader) == Some(me);
        if named || !by_offerer {
            baton.side = Side::Received;
        } else {
            // Who only reads on hears of offers from who may make them, and from nobody else.
            self.check_may_come_to_offer(baton.letter.log, from.person)?;
        }
        if self.baton(&baton.id()).is_none() {
            self.keep_baton(&baton);
        }
        Ok(())
    }

    /// An answer to an offer of ours.
    pub(crate) fn take_offer_answer(
        &mut self,
        from: &PersonCertificate,
        answer: HandoverAnswer,
    ) -> Result<(), Problem> {
        let Some(mut baton) = self.baton(&answer.offer).filter(|b| b.side == Side::Offered) else { return Ok(()) };
        let to = baton.card().map(|o| o.to);
        // Whom a unit's leader may have passed it on to works there.
        let asked = to.is_some_and(|to| match (to.person, to.unit) {
            (Some(person), _) => person.person == from.person,
            (None, Some(unit)) => unit.leader == from.person || from.unit == Some(unit.unit),
            (None, None) => false,
        });
        if !asked || baton.progress > Reached::Accepted {
            return Ok(());
        }
        match answer.answer {
            Word::Seen => baton.progress = baton.progress.max(Reached::Seen),
            Word::Declined(words) => {
                // A colleague's no to the leader is not the unit's; the leader's own is.
                let theirs = to.is_some_and(|to| {
                    to.person.is_some()
                        || to.unit.is_some_and(|u| u.leader == from.person)
                        || baton.progress >= Reached::Seen
                });
                if theirs {
                    self.end_offer(baton, Reached::Declined, words);
                }
                return Ok(());
            }
            Word::Accepted(accepted) => {
                self.check_acceptances(from, &baton, &accepted)?;
                (baton.acceptances, baton.voucher) = (accepted.acceptances, accepted.voucher);
                baton.progress = Reached::Accepted;
            }
        }
        self.keep_baton(&baton);
        Ok(())
    }

    fn check_acceptances(
        &self,
        from: &PersonCertificate,
        baton: &Offer,
        accepted: &Acceptances,
    ) -> Result<(), Problem> {
        let refused = |why: &str| Problem::rule(Cause::HandoverAnswer, why);
        for (offer, scope) in baton.offers().filter(|(offer, _)| offer.part == Part::Moves) {
            let id = scope.offer.offer.id();
            let ours = |a: &&Signed<HandoverAcceptance>| a.peek().is_ok_and(|a| a.offer == id);
            let signed = accepted.acceptances.iter().find(ours).ok_or_else(|| refused("a part is not accepted"))?;
            let said = signed.verify(&from.person_key).map_err(|e| refused(&e.to_string()))?;
            let same = said.person == from.person && said.person_key == from.person_key && said.scope == offer.scope;
            if !same || !fits(&offer.to, accepted.voucher.as_ref(), said.person, &said.person_key, self.home_now()) {
                return Err(refused("it was not offered to whoever accepts it"));
            }
        }
        Ok(())
    }

    /// An offer that we were told of no longer stands; nor does what was asked for it.
    pub(crate) fn take_abort(&mut self, from: &PersonCertificate, letter: AbortLetter) -> Result<(), Problem> {
        let Some(mut baton) = self.baton(&letter.offer).filter(|b| b.side != Side::Offered) else { return Ok(()) };
        if baton.letter.offerer.person == from.person && baton.progress.is_under_way() {
            (baton.progress, baton.words) = (Reached::Aborted, letter.reason);
            self.keep_baton(&baton);
            self.close_requests(&baton);
        }
        Ok(())
    }

    /// Requests for consent that rest on an offer which no longer stands are not asked any more.
    pub(super) fn close_requests(&mut self, baton: &Offer) {
        let bases: Vec<_> = baton.offers().map(|(offer, _)| offer.basis).collect();
        self.drop_requests(|grant| bases.contains(grant));
    }
}
