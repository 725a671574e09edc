//! What people do in a world: each wish is a command to somebody's device, and what it answers is taken as it comes.

use super::operation::Wish;
use super::world::{World, Written};
use crate::model::cast::text;
use stafett_client_core::client::Standing;
use stafett_client_core::client::input::{AccessWord, Command as C, NewMeasure, Who, WithdrawTarget};
use std::collections::BTreeSet;

impl World {
    pub(super) fn perform_wish(&mut self, wish: Wish) {
        let said = format!("ord{}x{}", self.seed, self.count);
        match wish {
            Wish::Glimpse { who, log, concern } => {
                self.write(who, log, concern, &said, |concern, text| C::Glimpse { concern, text });
            }
            Wish::Measure { who, log, concern } => self.write(who, log, concern, &said, |concern, text| {
                let measure = NewMeasure { text, responsible: Some("family".into()), ..NewMeasure::default() };
                C::MeasureAdd { concern, measure }
            }),
            Wish::Note { who, log } => {
                let (log, _) = self.place(log, 0);
                self.wish(self.writer(who), C::Note { log, text: format!("notat {said}") });
            }
            Wish::Evaluate { who, log, concern } => self.evaluate(who, log, concern),
            Wish::NewConcern { log } => self.new_concern(log),
            Wish::CloseConcern { log, concern } => {
                if let (log, Some(concern)) = self.place(log, concern) {
                    self.wish(self.node(self.holder(&log)), C::ConcernClose { concern });
                }
            }
            Wish::AskForAccess { log, concern, contribute } => self.ask_for_access(log, concern, contribute),
            Wish::Consent { guardian } => self.consent(self.guardian(guardian), true),
            Wish::Refuse { guardian } => self.consent(self.guardian(guardian), false),
            Wish::NameWhoActs { log } => {
                let (_, other) = self.units_of(log);
                let (log, _) = self.place(log, 0);
                let person = self.persons[other.employee].clone();
                self.wish(self.node(other.leader), C::UnitAssign { log, person, scopes: vec![] });
            }
            Wish::Withdraw { guardian, log } => self.withdraw(guardian, log, false),
            Wish::WithdrawHold { guardian, log } => self.withdraw(guardian, log, true),
            Wish::NewDevice { who } => self.new_device(self.writer(who)),
            Wish::RemoveDevice { who } => self.remove_device(self.writer(who), false),
            Wish::LoseDevice { who } => self.lose_device(self.writer(who)),
            Wish::OfferBaton { by, log, to, concern } => self.offer_baton(by, log, to, concern),
            Wish::AcceptBaton { who, pass_on } => self.accept_baton(who, pass_on),
            Wish::DeclineBaton { who } => self.decline_baton(who),
            Wish::AbortBaton { log } => self.abort_baton(log),
            Wish::Takeover { log } => self.take_over(log),
            Wish::Sync { who } => self.sync(who % self.nodes.len()),
        }
    }

    fn write(&mut self, who: usize, log: usize, concern: usize, said: &str, command: impl FnOnce(String, String) -> C) {
        let (node, (log, concern)) = (self.writer(who), self.place(log, concern));
        let Some(concern) = concern else { return };
        if self.wish(node, command(concern, said.to_owned())).is_some() {
            self.written.push(Written { text: said.to_owned(), node, log, forgotten: false });
        }
    }

    fn evaluate(&mut self, who: usize, log: usize, concern: usize) {
        let (node, (_, concern)) = (self.writer(who), self.place(log, concern));
        let Some(concern) = concern else { return };
        let Some(show) = self.wish(node, C::ConcernShow { concern }) else { return };
        let measures = show["measures"].as_array().cloned().unwrap_or_default();
        if measures.is_empty() {
            return;
        }
        let measure = text(&measures[self.pick(measures.len())], "measure");
        let (result, text) = ("green".to_owned(), "det går bra".to_owned());
        self.wish(node, C::Evaluate { measure, result, text, family_agrees: false });
    }

    pub(super) fn new_concern(&mut self, log: usize) {
        let at = log % self.logs.len();
        if self.logs[at].concerns.len() >= 4 {
            return;
        }
        let measure = NewMeasure { text: "første tiltak".into(), ..NewMeasure::default() };
        let (log, title) = (self.logs[at].log.clone(), format!("Tema {}", self.logs[at].concerns.len()));
        let holder = self.node(self.holder(&log));
        let new = C::ConcernNew { log, title, goal: "mål".into(), category: None, measure };
        if let Some(made) = self.wish(holder, new) {
            self.logs[at].concerns.push(text(&made, "concern"));
        }
    }

    /// The holder asks for access for the other unit.
    fn ask_for_access(&mut self, log: usize, concern: usize, contribute: bool) {
        let (_, other) = self.units_of(log);
        let (log, Some(concern)) = self.place(log, concern) else { return };
        let holder = self.node(self.holder(&log));
        self.wish(holder, C::UnitsOf { municipality: other.municipality.to_string() });
        let access = if contribute { AccessWord::Contribute } else { AccessWord::Read };
        self.wish(holder, C::AccessRequest { log, who: Who::Unit(other.id), scopes: vec![concern], access });
    }

    pub(super) fn consent(&mut self, guardian: usize, yes: bool) {
        let Some(pending) = self.wish(guardian, C::ConsentPending) else { return };
        for request in pending["requests"].as_array().into_iter().flatten() {
            let request = text(request, "request");
            let answer = if yes { C::ConsentGrant { request, custody: true } } else { C::ConsentRefuse { request } };
            self.wish(guardian, answer);
        }
    }

    pub(super) fn withdraw(&mut self, guardian: usize, log: usize, hold: bool) {
        let (guardian, (own, other)) = (self.guardian_of(log, guardian), self.units_of(log));
        let (log, _) = self.place(log, 0);
        let target = WithdrawTarget::Unit(if hold { own.id } else { other.id });
        self.wish(guardian, C::ConsentWithdraw { log, target });
    }

    pub(super) fn new_device(&mut self, first: usize) {
        let person = self.nodes[first].person;
        if self.nodes.iter().filter(|n| n.person == person).count() >= 3 || !self.nodes[first].may_connect() {
            return;
        }
        self.cut(first);
        let Some(code) = self.wish(first, C::DeviceLink).map(|v| text(&v, "code")) else { return };
        self.sync(first);
        let second = self.new_node(person);
        self.mislead_too(second, first);
        match self.ask(second, C::DeviceAccept { code, name: format!("device {second}") }) {
            Ok(made) => self.nodes[second].id = text(&made, "device"),
            Err(_) => drop(self.nodes.pop()),
        }
    }

    /// Whether nobody has ended it, nor is about to.
    fn stays(&self, node: usize) -> bool {
        !self.nodes[node].removed && !self.nodes[node].goes
    }

    /// Another device of the same person.
    fn sibling(&self, node: usize) -> Option<usize> {
        let own = |n: &usize| *n != node && self.nodes[*n].person == self.nodes[node].person && self.stays(*n);
        (0..self.nodes.len()).find(own)
    }

    /// Gone for good, with all that it alone knows. Who has lost the one device with some part of a log needs others, and
    /// waits for them: not in these worlds.
    fn lose_device(&mut self, node: usize) {
        let reads = |n: usize| {
            let standings = self.nodes[n].device.client.standings().into_iter();
            standings.filter(|r| r.standing == Standing::Member).map(|r| r.scope).collect::<BTreeSet<_>>()
        };
        if self.sibling(node).is_some_and(|other| reads(node).is_subset(&reads(other))) {
            self.cut(node);
            self.remove_device(node, true);
            self.nodes[node].removed = true;
        }
    }

    fn remove_device(&mut self, node: usize, lost: bool) {
        let Some(by) = self.sibling(node) else { return };
        let device = self.nodes[node].id.clone();
        self.nodes[node].goes |= self.wish(by, C::DeviceRemove { device, lost }).is_some();
    }
}
