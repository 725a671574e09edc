//! Homes that lead a double life (M10): from one moment on, some devices are shown another history than all others, each
//! side consistent in itself and signed with the same keys. The world holds the history that it is turned to; the other
//! one waits here.

use super::world::World;
use crate::model::net::{Homes, Net as _};
use stafett_client_core::client::Standing;
use stafett_protocol::ids::{DeviceId, Hash, ScopeId};
use stafett_protocol::wire::{Mail, MailItem};
use std::collections::{BTreeMap, BTreeSet};

/// What is known of one history.
#[derive(Clone)]
pub struct History {
    pub home: Homes,
    /// What the home has acknowledged: scope and seq, by which device under which counter.
    pub acknowledged: BTreeMap<(ScopeId, u64), (DeviceId, u64)>,
    /// Every head that any receipt named.
    pub heads: BTreeMap<(ScopeId, u64), [u8; 32]>,
    /// Heads of the scopes' chains, computed once.
    pub chain_heads: BTreeMap<ScopeId, Vec<Hash>>,
    pub touched: BTreeSet<ScopeId>,
}

impl History {
    pub fn new(home: Homes) -> Self {
        let (acknowledged, heads, chain_heads, touched) = Default::default();
        Self { home, acknowledged, heads, chain_heads, touched }
    }
}

/// The history that the world is not turned to.
pub struct Double {
    history: History,
    /// Devices that are shown the second history.
    misled: BTreeSet<usize>,
    /// Whether the world is turned to the second one.
    turned: bool,
}

impl World {
    /// From here on the homes tell these devices something else. What they have told so far is in both histories.
    pub fn lead_double_life(&mut self, misled: BTreeSet<usize>) {
        (0..self.nodes.len()).for_each(|node| self.cut(node));
        self.other = Some(Double { history: self.history.clone(), misled, turned: false });
    }

    /// Which of the two histories a device is shown.
    pub(super) fn is_misled(&self, node: usize) -> bool {
        self.other.as_ref().is_some_and(|other| other.misled.contains(&node))
    }

    /// Whether a device lives in the history that the world is turned to.
    pub(super) fn is_here(&self, node: usize) -> bool {
        self.other.as_ref().is_none_or(|other| other.turned == other.misled.contains(&node))
    }

    pub(super) fn mislead_too(&mut self, node: usize, as_well_as: usize) {
        if let Some(other) = self.other.as_mut().filter(|o| o.misled.contains(&as_well_as)) {
            other.misled.insert(node);
        }
    }

    /// Turns to the history of a device. One clock runs for both.
    pub(super) fn turn_to(&mut self, node: usize) {
        self.turn(self.is_misled(node));
    }

    fn turn(&mut self, to: bool) {
        let now = self.history.home.now();
        let Some(other) = self.other.as_mut().filter(|o| o.turned != to) else { return };
        std::mem::swap(&mut self.history, &mut other.history);
        other.turned = to;
        let behind = now.saturating_sub(self.history.home.now());
        self.history.home.pass(behind);
    }

    /// Turns to each history once, and answers what was seen there; it stays at the first one.
    pub(super) fn in_each_history<T>(&mut self, mut look: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let mut seen = vec![];
        if self.other.is_some() {
            self.turn(true);
            seen.push(look(self));
            self.turn(false);
        }
        seen.push(look(self));
        seen
    }

    pub(super) fn homes_ask_each_other(&mut self) {
        self.in_each_history(|world| world.history.home.ask_each_other());
    }

    pub(super) fn peers_together(&mut self) {
        self.in_each_history(|world| world.history.home.away.clear());
    }

    /// The letters that wait on one side for people of the other come through: whoever talks can compare.
    pub fn letters_cross(&mut self) {
        let Some(other) = &mut self.other else { return };
        for (at, node) in self.nodes.iter().enumerate() {
            let (Some(id), home) = (node.device.id, node.device.home) else { continue };
            let (mut from, mut to) = (&mut other.history, &mut self.history);
            if other.turned != other.misled.contains(&at) {
                std::mem::swap(&mut from, &mut to);
            }
            let waiting = from.home.at(home).mail.remove(&id).unwrap_or_default();
            let to = to.home.at(home);
            for item in waiting.into_iter().filter(|item| matches!(item.mail, Mail::Letter(_))) {
                to.mail.entry(id).or_default().push(MailItem { id: to.next_mail, ..item });
                to.next_mail += 1;
            }
        }
    }

    /// Whether the other history of a double life has put a device out.
    pub(super) fn ended_on_the_other_side(&self, scope: ScopeId, device: DeviceId) -> bool {
        let chain = self.other.as_ref().and_then(|other| other.history.home.chain(scope));
        chain.is_some_and(|c| c.last_read.contains_key(&device) || c.removed.contains_key(&device))
    }

    /// Scopes whose two histories have gone apart, neither being how the other one begins, with a member on either side who
    /// has read so far.
    pub fn torn_between_members(&self) -> BTreeSet<ScopeId> {
        let Some(other) = &self.other else { return BTreeSet::new() };
        let torn = |scope: &ScopeId| {
            let chains = [&self.history, &other.history].map(|h| h.home.chain(*scope).map(|c| &c.records));
            let [Some(one), Some(two)] = chains else { return false };
            let common = one.iter().zip(two).take_while(|(a, b)| a == b).count();
            let behind = |misled: bool| {
                self.nodes.iter().enumerate().any(|(at, node)| {
                    let reports = node.device.client.standings().into_iter().filter(|r| r.scope == *scope);
                    let mut members =
                        reports.filter(|r| r.standing == Standing::Member && r.position.seq > common as u64);
                    !node.removed && self.is_misled(at) == misled && members.next().is_some()
                })
            };
            common < one.len().min(two.len()) && behind(false) && behind(true)
        };
        self.history.home.scopes().into_iter().filter(torn).collect()
    }
}
