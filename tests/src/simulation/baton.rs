//! The baton in a world: offered, passed on, taken, declined, taken back, taken over.

use super::operation::Receiver;
use super::world::{Unit, World};
use crate::model::cast::text;
use crate::model::net::Net as _;
use serde_json::Value;
use stafett_client_core::client::input::Command as C;
use stafett_protocol::state::Status;

impl World {
    /// Who may come to carry a baton.
    fn employees(&self) -> Vec<usize> {
        self.units.iter().flat_map(|u| [u.leader, u.employee]).collect()
    }

    /// Offers on a device that stand so: by side and states.
    fn offers(&mut self, node: usize, side: &str, states: &[&str]) -> Vec<Value> {
        let Some(list) = self.wish(node, C::BatonList) else { return vec![] };
        let offers = list["offers"].as_array().cloned().unwrap_or_default();
        let fits = |o: &Value| o["side"] == side && states.iter().any(|state| o["state"] == *state);
        offers.into_iter().filter(fits).collect()
    }

    /// By the holder; now and then by the unit's leader, who may if she has taken over; by a parent where the log rests.
    fn offerer(&self, by: usize, log: usize, own: &Unit) -> usize {
        let id = self.place(log, 0).0;
        let status = self.card(&id).map(|c| c.status_at(self.history.home.now()));
        match status {
            Some(Status::Dormant) => self.guardian_of(log, by),
            _ if by.is_multiple_of(4) => self.node(own.leader),
            _ => self.node(self.holder(&id)),
        }
    }

    pub(super) fn offer_baton(&mut self, by: usize, log: usize, to: Receiver, concern: usize) {
        let (own, other) = self.units_of(log);
        let node = self.offerer(by, log, &own);
        let (log, concern_id) = self.place(log, concern);
        self.wish(node, C::UnitsOf { municipality: other.municipality.to_string() });
        let colleague = if self.holder(&log) == own.leader { own.employee } else { own.leader };
        let (to, answers) = match to {
            Receiver::Colleague => (self.persons[colleague].clone(), colleague),
            Receiver::OtherUnit => (other.id, other.leader),
            Receiver::PersonOfOtherUnit => (self.persons[other.employee].clone(), other.leader),
        };
        for person in [answers, own.leader, other.leader] {
            self.compare_keys(node, person);
        }
        let concerns = match (concern % 3, concern_id) {
            (0, _) | (_, None) => vec!["all".to_owned()],
            (1, _) => vec!["none".to_owned()],
            (_, Some(one)) => vec![one],
        };
        let reason = format!("grunn {}", self.count);
        self.wish(node, C::BatonOffer { log, to, municipality: None, concerns, reason, notes: vec![] });
    }

    /// Two who meet compare their keys.
    fn compare_keys(&mut self, node: usize, person: usize) {
        let person = self.persons[person].clone();
        let Some(shown) = self.wish(node, C::Verify { person: person.clone(), number: None }) else { return };
        self.wish(node, C::Verify { person, number: Some(text(&shown, "number")) });
    }

    pub(super) fn accept_baton(&mut self, who: usize, pass_on: bool) {
        let employees = self.employees();
        for nth in 0..employees.len() {
            let person = employees[(who + nth) % employees.len()];
            let node = self.node(person);
            let Some(offer) = self.offers(node, "received", &["open", "seen"]).first().map(|o| text(o, "offer")) else {
                continue;
            };
            let unit = self.units.iter().find(|u| u.leader == person).filter(|_| pass_on);
            let passed = unit.map(|u| self.persons[u.employee].clone());
            self.wish(node, C::BatonAccept { offer, person: passed });
            return;
        }
    }

    pub(super) fn decline_baton(&mut self, who: usize) {
        let employees = self.employees();
        let node = self.node(employees[who % employees.len()]);
        if let Some(offer) = self.offers(node, "received", &["open", "seen"]).first() {
            self.wish(node, C::BatonDecline { offer: text(offer, "offer"), reason: Some("ikke nå".into()) });
        }
    }

    pub(super) fn abort_baton(&mut self, log: usize) {
        let (log, _) = self.place(log, 0);
        let node = self.node(self.holder(&log));
        let offers = self.offers(node, "offered", &["open", "seen", "passed", "accepted"]);
        if let Some(offer) = offers.iter().find(|o| o["log"] == log.as_str()) {
            self.wish(node, C::BatonAbort { offer: text(offer, "offer") });
        }
    }

    pub(super) fn take_over(&mut self, log: usize) {
        let (own, _) = self.units_of(log);
        let (log, _) = self.place(log, 0);
        self.wish(self.node(own.leader), C::BatonTakeover { log, reason: format!("grunn {}", self.count) });
    }
}
