//! What people see of the baton: offers, why it passed, and what a former holder still has.

use super::Offer;
use super::Side;
use crate::answer::{
    ArchivedLog, ConcernState, Handed, HandedConcern, Handover, LogStatus, Moment, Offer as Shown, OfferKind, Pending,
};
use crate::client::scope::Standing;
use crate::client::{Client, people};
use crate::document::view::{CardView, Entry};
use stafett_protocol::handover::Part;
use stafett_protocol::ids::{LogId, ScopeId};

impl Client {
    /// Offers as people see them, newest first; of one log, or all.
    pub(crate) fn offers(&self, log: Option<LogId>) -> Vec<Shown> {
        let mut batons: Vec<Offer> =
            self.batons().into_iter().filter(|b| log.is_none_or(|log| b.letter.log == log)).collect();
        batons.sort_by_key(|b| std::cmp::Reverse(b.at));
        batons.iter().map(|b| self.offer_view(b)).collect()
    }

    fn offer_view(&self, baton: &Offer) -> Shown {
        let card = baton.card();
        let concerns = baton
            .offers()
            .filter(|(_, s)| !s.title.is_empty())
            .map(|(offer, s)| {
                let part = if offer.part == Part::Moves { Handed::Moves } else { Handed::Closes };
                HandedConcern { concern: offer.scope.to_string(), title: s.title.clone(), part }
            })
            .collect();
        let waits = baton.side == Side::Offered && baton.progress.is_under_way();
        let accepted = baton.acceptance().map(|a| self.name_of(a.person));
        let letter = &baton.letter;
        let from = self.known_name(letter.offerer.person).unwrap_or_else(|| people::clean(&letter.offerer.name));
        Shown {
            offer: baton.id().to_string(),
            log: letter.log.to_string(),
            child: letter.child_name.clone(),
            side: baton.side.into(),
            from,
            to: self.offered_to(baton),
            holder: accepted,
            kind: self.kind_of_offer(baton),
            municipality: card.map(|o| format!("{:04}", o.to.municipality)),
            state: baton.progress.into(),
            reason: letter.reason.text.clone(),
            concerns,
            waiting: if waits { self.waiting(baton) } else { vec![] },
            words: baton.words.clone(),
            at: Moment::at(baton.at),
        }
    }

    /// By our own names of person or unit where we have them; the letter's words only where we have not.
    fn offered_to(&self, baton: &Offer) -> String {
        let to = baton.card().map(|o| o.to);
        let person = to.and_then(|to| to.person).map(|p| self.known_name(p.person));
        let unit = || {
            let unit = to.filter(|to| to.person.is_none()).and_then(|to| to.unit)?;
            self.known_units().into_iter().find(|u| u.unit == unit.unit).map(|u| u.name)
        };
        person.flatten().or_else(unit).unwrap_or_else(|| people::clean(&baton.letter.to_name))
    }

    /// K1: within the unit, to another unit of the municipality, to another municipality.
    fn kind_of_offer(&self, baton: &Offer) -> OfferKind {
        let to = baton.card().map(|o| o.to);
        let unit = to.and_then(|to| to.unit).map(|u| u.unit);
        let offerer = baton.letter.offerer.person;
        let own = self.me.as_ref().filter(|m| m.person == offerer).and_then(|m| m.unit.as_ref().map(|u| u.unit));
        let from = own.or_else(|| people::pin(&self.table, offerer).and_then(|p| p.unit));
        match (baton.letter.journal, unit == from && unit.is_some()) {
            (Some(_), _) => OfferKind::OtherMunicipality,
            (None, true) => OfferKind::SameUnit,
            (None, false) => OfferKind::OtherUnit,
        }
    }

    /// Offers that wait for somebody, among what `log show` says is pending.
    pub(crate) fn pending_offers(&self, log: LogId) -> Vec<Pending> {
        self.batons()
            .iter()
            .filter(|b| b.letter.log == log && b.progress.is_under_way())
            .map(|b| Pending::Offer {
                id: b.id().to_string(),
                state: b.progress.into(),
                reason: b.letter.reason.text.clone(),
            })
            .collect()
    }

    /// A holder whose key nobody here has compared, nor anybody vouches for but the municipality: the reader is told to.
    pub(crate) fn holder_to_compare(&self, card: ScopeId) -> Option<Pending> {
        let holder = self.scopes.get(&card)?.replica.state().holder()?.person;
        let known = self.holder_known(card).is_some();
        (!known).then(|| Pending::HolderKey { id: holder.to_string(), reason: "key-not-compared".into() })
    }

    /// Who handed the baton to whom, and why, as the card says.
    pub(crate) fn handovers(&self, card: &CardView) -> Vec<Handover> {
        let line = |h: &Entry| {
            let (from, at) = (h.author.map(|a| self.name_of(a)), h.received_ms.map(Moment::at));
            Handover { id: h.id.clone(), from, to: h.text("to"), reason: h.text("reason"), at }
        };
        card.handovers.iter().map(line).collect()
    }

    /// Whether this device is only left with what was closed when it handed the log over.
    pub(crate) fn keeps_archive(&self, log: LogId) -> bool {
        let of_log = || self.scopes.values().filter(|s| s.replica.state().log() == log);
        let card = self.card_of(log).and_then(|card| self.scopes.get(&card));
        card.is_some_and(|s| s.standing == Standing::Withdrawn) && of_log().any(|s| s.standing == Standing::Member)
    }

    /// The log of a former holder: what was closed stays to be read, nothing else is here.
    pub(crate) fn archived_log(&self, log: LogId) -> ArchivedLog {
        let mut concerns = self.concerns(log);
        concerns.retain(|concern| concern.state != ConcernState::Withdrawn);
        ArchivedLog {
            log: log.to_string(),
            status: LogStatus::Archived,
            holder: None,
            participants: vec![],
            concerns,
            offers: self.offers(Some(log)),
            pending: self.pending(log),
            quarantined: vec![],
        }
    }
}
