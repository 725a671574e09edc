//! What strikes one server: its database is put back to an old copy, its disk is full, its clock is wrong.

use super::node::Node;
use super::operation::Trouble;
use super::world::World;
use crate::model::net::Clock;
use stafett_client_core::client::Standing;
use stafett_protocol::ids::ScopeId;

impl World {
    fn home_number(&self, which: usize) -> u16 {
        let numbers: Vec<u16> = self.history.home.all().map(|h| h.number).collect();
        numbers[which % numbers.len()]
    }

    pub(super) fn trouble(&mut self, which: usize, trouble: Trouble) {
        // Homes that lead a double life have trouble enough.
        if self.other.is_some() {
            return;
        }
        let number = self.home_number(which);
        match trouble {
            Trouble::Copied => {
                let copy = self.history.home.at(number).clone();
                self.copies.insert(number, copy);
            }
            Trouble::PutBack => self.put_back(number),
            Trouble::Opened => self.open_homes(),
            Trouble::DiskFull { steps } => {
                self.history.home.at(number).storage.is_full = true;
                self.full.insert(number, steps);
            }
            Trouble::Clock { by } => self.history.home.set_clock(number, Some(Clock::Ahead(by * 1000))),
            Trouble::ClockStops => {
                let at = self.history.home.at(number).now;
                self.history.home.set_clock(number, Some(Clock::StoppedAt(at)));
            }
            Trouble::ClockRight => self.history.home.set_clock(number, None),
        }
    }

    fn put_back(&mut self, number: u16) {
        let Some(copy) = self.copies.get(&number) else { return };
        let home = self.history.home.at(number);
        if home.storage.is_old || !home.has_moved_nothing_since(copy) {
            return;
        }
        home.put_back(copy);
        (0..self.nodes.len()).for_each(|node| self.cut(node));
        self.history.chain_heads.clear();
    }

    /// Whether a home lacks what it has signed, and may still get it back.
    pub(super) fn is_behind(&self, scope: ScopeId) -> bool {
        let old = |h: &crate::model::home::ModelHome| h.storage.is_old;
        let known = self.history.home.all().any(|h| old(h) && h.scopes.contains_key(&scope));
        known || (self.history.home.chain(scope).is_none() && self.history.home.all().any(old))
    }

    /// Operators wait until every device has been there, and open what was put back.
    pub(super) fn open_homes(&mut self) {
        let old: Vec<u16> = self.history.home.all().filter(|h| h.storage.is_old).map(|h| h.number).collect();
        if old.is_empty() {
            return;
        }
        self.peers_together();
        self.end_troubles();
        self.nodes.iter_mut().for_each(Node::heal);
        self.sync_all(3);
        old.iter().for_each(|number| self.history.home.at(*number).open_again());
        self.history.chain_heads.clear();
        self.let_go_of_what_nobody_knows();
        self.history.touched = self.history.home.scopes();
    }

    /// Disks have room again, and clocks are right.
    pub(super) fn end_troubles(&mut self) {
        let numbers: Vec<u16> = self.history.home.all().map(|h| h.number).collect();
        for number in numbers {
            self.history.home.at(number).storage.is_full = false;
            self.history.home.set_clock(number, None);
        }
        self.full.clear();
    }

    /// One step more with full disks.
    pub(super) fn disks_get_room(&mut self) {
        for (number, steps) in std::mem::take(&mut self.full) {
            match steps.checked_sub(1) {
                Some(left) => drop(self.full.insert(number, left)),
                None => self.history.home.at(number).storage.is_full = false,
            }
        }
    }

    /// What was signed and is with no device any more that is in, as after two accidents at once, is lost for good: the
    /// invariants ask for it no more. What some device has must have come back.
    fn let_go_of_what_nobody_knows(&mut self) {
        let mut lost: Vec<(ScopeId, u64)> = vec![];
        for scope in
            self.history.acknowledged.keys().map(|(scope, _)| *scope).collect::<std::collections::BTreeSet<_>>()
        {
            let here = self.history.home.chain(scope).map_or(0, |c| c.records.len() as u64);
            let inside = |node: &Node| {
                let reports = node.device.client.standings().into_iter().filter(|r| r.scope == scope);
                reports.filter(|r| r.standing == Standing::Member).map(|r| r.position.seq).max()
            };
            let known = self.nodes.iter().filter(|n| !n.removed).filter_map(inside).max().unwrap_or_default();
            if known <= here {
                lost.push((scope, here));
            }
        }
        for (scope, here) in lost {
            self.history.acknowledged.retain(|(of, seq), _| *of != scope || *seq <= here);
            self.history.heads.retain(|(of, seq), _| *of != scope || *seq <= here);
        }
    }
}
