//! What people see of the baton: offers, why it passed, and what a former holder still has.

use super::{Offer, Side};
use crate::client::scope::Standing;
use crate::client::words::rfc3339;
use crate::client::{Client, people};
use crate::document::view::{CardView, Entry};
use serde_json::{Value, json};
use stafett_protocol::handover::Part;
use stafett_protocol::ids::{LogId, ScopeId};

impl Client {
    /// Offers as people see them, newest first; of one log, or all.
    pub(crate) fn offers(&self, log: Option<LogId>) -> Vec<Value> {
        let mut batons: Vec<Offer> =
            self.batons().into_iter().filter(|b| log.is_none_or(|log| b.letter.log == log)).collect();
        batons.sort_by_key(|b| std::cmp::Reverse(b.at));
        batons.iter().map(|b| self.offer_view(b)).collect()
    }

    fn offer_view(&self, baton: &Offer) -> Value {
        let card = baton.card();
        let concerns: Vec<Value> = baton
            .offers()
            .filter(|(_, s)| !s.title.is_empty())
            .map(|(offer, s)| {
                let part = if offer.part == Part::Moves { "moves" } else { "closes" };
                json!({"concern": offer.scope.to_string(), "title": s.title, "part": part})
            })
            .collect();
        let side = match baton.side {
            Side::Offered => "offered",
            Side::Received => "received",
            Side::Told => "told",
        };
        let waits = baton.side == Side::Offered && baton.progress.is_under_way();
        let accepted = baton.acceptance().map(|a| self.name_of(a.person));
        json!({
            "offer": baton.id().to_string(),
            "log": baton.letter.log.to_string(),
            "child": baton.letter.child_name,
            "side": side,
            "from": self.known_name(baton.letter.offerer.person).unwrap_or_else(|| people::clean(&baton.letter.offerer.name)),
            "to": self.offered_to(baton),
            "holder": accepted,
            "kind": self.kind_of_offer(baton),
            "municipality": card.map(|o| format!("{:04}", o.to.municipality)),
            "state": baton.progress.word(),
            "reason": baton.letter.reason.text,
            "concerns": concerns,
            "waiting": if waits { self.waiting(baton).iter().map(|w| w.word()).collect() } else { vec![] },
            "words": Some(&baton.words).filter(|words| !words.is_empty()),
            "at": rfc3339(baton.at),
        })
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
    fn kind_of_offer(&self, baton: &Offer) -> &'static str {
        let to = baton.card().map(|o| o.to);
        let unit = to.and_then(|to| to.unit).map(|u| u.unit);
        let offerer = baton.letter.offerer.person;
        let own = self.me.as_ref().filter(|m| m.person == offerer).and_then(|m| m.unit.as_ref().map(|u| u.unit));
        let from = own.or_else(|| people::pin(&self.table, offerer).and_then(|p| p.unit));
        match (baton.letter.journal, unit == from && unit.is_some()) {
            (Some(_), _) => "other-municipality",
            (None, true) => "same-unit",
            (None, false) => "other-unit",
        }
    }

    /// Offers that wait for somebody, among what `log show` says is pending.
    pub(crate) fn pending_offers(&self, log: LogId) -> Vec<Value> {
        self.batons()
            .iter()
            .filter(|b| b.letter.log == log && b.progress.is_under_way())
            .map(|b| json!({"id": b.id().to_string(), "kind": "offer", "state": b.progress.word(), "reason": b.letter.reason.text}))
            .collect()
    }

    /// A holder whose key nobody here has compared, nor anybody vouches for but the municipality: the reader is told to.
    pub(crate) fn holder_to_compare(&self, card: ScopeId) -> Option<Value> {
        let holder = self.scopes.get(&card)?.replica.state().holder()?.person;
        let known = self.holder_known(card).is_some();
        (!known).then(|| json!({"id": holder.to_string(), "kind": "holder-key", "reason": "key-not-compared"}))
    }

    /// Who handed the baton to whom, and why, as the card says.
    pub(crate) fn handovers(&self, card: &CardView) -> Vec<Value> {
        let line = |h: &Entry| {
            let (from, at) = (h.author.map(|a| self.name_of(a)), h.received_ms.map(rfc3339));
            json!({"id": h.id, "from": from, "to": h.text("to"), "reason": h.text("reason"), "at": at})
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
    pub(crate) fn archived_log(&self, log: LogId) -> Value {
        let mut concerns = self.concerns(log);
        concerns.retain(|c| c["state"] != "withdrawn");
        json!({
            "log": log.to_string(),
            "status": "archived",
            "holder": null,
            "participants": [],
            "concerns": concerns,
            "offers": self.offers(Some(log)),
            "pending": self.pending(log),
            "quarantined": [],
        })
    }
}
