//! What strikes a world.

use super::node::Backup;
use super::operation::{Blow, Fault};
use super::world::World;
use crate::model::net::Net as _;
use stafett_client_core::client::input::Input;
use stafett_client_core::client::{Report, Standing};
use stafett_client_core::rows::Space;
use stafett_protocol::codec::encode;
use stafett_protocol::wire::ServerFrame;
use std::collections::BTreeSet;

/// A blow that waits until a device moves a log.
#[derive(Debug, Clone, Copy)]
pub struct Waiting {
    /// So many messages more.
    pub after: usize,
    pub blow: Blow,
}

impl World {
    pub(super) fn strike(&mut self, fault: Fault) {
        let n = self.nodes.len();
        match fault {
            Fault::Crash { who, saved, effects } => self.crash_at_work(who % n, saved, effects),
            Fault::Cut { who } => self.cut(who % n),
            Fault::Deaf { who, rounds } => self.nodes[who % n].deaf = rounds,
            Fault::Mute { who, rounds } => self.nodes[who % n].mute = rounds,
            Fault::Away { who, steps } => self.leave_the_net(who % n, steps),
            Fault::DiskFull { who, steps } => self.nodes[who % n].disk_full = steps,
            Fault::Backup { who } => {
                let written = self.written.len();
                let node = &mut self.nodes[who % n];
                // Who goes back to before the certificate has to be linked anew: not in these worlds.
                if node.device.client.awaits_certificate() {
                    return;
                }
                node.backup = Some(Backup { disk: node.device.disk.clone(), written });
            }
            Fault::Restore { who } => self.restore(who % n),
            Fault::Clock { who, by } => self.nodes[who % n].clock = by * 1000,
            Fault::ServerClock { by } => self.history.home.pass(by.unsigned_abs() * 1000),
            Fault::PeersApart { apart: true } => self.history.home.cut_off(self.far_away()),
            Fault::PeersApart { apart: false } => self.peers_together(),
            Fault::ServerRestart => (0..n).for_each(|node| self.cut(node)),
            Fault::Replay { who } => {
                let node = &mut self.nodes[who % n];
                let heard = node.heard.len();
                if heard > 0 && node.online {
                    let frame = node.heard[who % heard].clone();
                    node.inbound.push_back(ServerFrame { id: 0, ..frame });
                }
            }
            Fault::Withhold { who } => {
                self.collect();
                self.nodes[who % n].inbound.pop_front();
            }
            Fault::Swap { who } => {
                self.collect();
                let inbound = &mut self.nodes[who % n].inbound;
                if inbound.len() > 1 {
                    inbound.swap(0, 1);
                }
            }
            Fault::Bend { who, bit } => self.bend(who % n, bit),
            Fault::Home { which, trouble } => self.trouble(which, trouble),
            Fault::AtMove { after, blow } => self.waiting.push(Waiting { after, blow }),
        }
    }

    /// What arrives is not what the home sent: the device takes it for what it is worth.
    fn bend(&mut self, node: usize, bit: usize) {
        self.collect();
        let Some(frame) = self.nodes[node].inbound.pop_front() else { return };
        let mut bytes = encode(&frame);
        let bit = bit % (bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        self.input(node, Input::Frame(bytes));
    }

    fn leave_the_net(&mut self, node: usize, steps: usize) {
        self.cut(node);
        self.nodes[node].away = steps;
    }

    pub(super) fn restore(&mut self, node: usize) {
        let Some(Backup { disk, written }) = self.nodes[node].backup.clone() else { return };
        self.cut(node);
        self.nodes[node].device.disk = disk;
        self.nodes[node].device.restart();
        let lines = self.lines_of(node);
        self.nodes[node].lines = Some(lines);
        for lost in self.written.iter_mut().skip(written).filter(|w| w.node == node) {
            lost.forgotten = true;
        }
    }

    /// Municipalities of which a device knows that something of its is there: to these it opens a line of itself.
    fn lines_of(&self, node: usize) -> BTreeSet<u16> {
        let node = &self.nodes[node];
        let follows = |report: Report| {
            let homes = self.history.home.all().filter(move |h| h.scopes.contains_key(&report.scope));
            homes.map(|h| h.number)
        };
        let here = |home: &u16| {
            let asked = [b"interest/".as_slice(), &home.to_be_bytes()].concat();
            let told = |(space, key): &(u8, Vec<u8>)| {
                *space == Space::Mail as u8 && key.starts_with(b"welcome-at/") && key.ends_with(&home.to_be_bytes())
            };
            *home == node.device.home || node.keeps(Space::State, &asked) || node.device.disk.keys().any(told)
        };
        let known = self.history.home.all().map(|h| h.number).filter(here);
        let followed = node.device.client.standings().into_iter().filter(|r| r.standing != Standing::Withdrawn);
        followed.flat_map(follows).chain(known).collect()
    }

    /// After a message was taken in by a device that moves a log: what lies in wait comes nearer, or strikes.
    pub(super) fn strike_move(&mut self, node: usize) {
        if self.waiting.is_empty() || !self.nodes[node].moves_a_log() {
            return;
        }
        let (now, later) = self.waiting.iter().partition::<Vec<Waiting>, _>(|w| w.after == 0);
        self.waiting = later.into_iter().map(|w| Waiting { after: w.after - 1, ..w }).collect();
        for Waiting { blow, .. } in now {
            self.struck_moves += 1;
            match blow {
                Blow::Crash => self.crash(node),
                Blow::Cut => self.cut(node),
                Blow::Away { steps } => self.leave_the_net(node, steps),
                Blow::PeersApart => self.history.home.cut_off(self.far_away()),
                Blow::ServerRestart => (0..self.nodes.len()).for_each(|node| self.cut(node)),
            }
        }
    }
}
