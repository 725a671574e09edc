//! How devices and servers reach each other in a world: frames in order or not at all, streams that open and break.

use super::attacks::send;
use super::node::Node;
use super::world::World;
use crate::model::net::{Homes, Net};
use serde_json::Value;
use stafett_client_core::client::input::{Command as C, Effects, Input, Problem};
use stafett_protocol::codec::{decode, encode};
use stafett_protocol::event::Receipt;
use stafett_protocol::federation::RelayedPayload;
use stafett_protocol::ids::DeviceId;
use stafett_protocol::limits::READMIT_PATIENCE_MILLIS;
use stafett_protocol::signed::Signed;
use stafett_protocol::wire::{Accepted, Reply, ServerFrame};

/// Frames that move between two steps.
const ROUNDS: usize = 14;
/// Rounds in which everybody syncs before a world is called restless, and quiet ones in a row that end it.
const MOST: usize = 20;
const QUIET: usize = 2;

/// Rounds before which much time passes where somebody is hostile: whoever waits for others does so no longer.
const PATIENT: [usize; 3] = [2, 5, 8];

/// The world as a device with a wrong clock sees it.
struct Skewed<'a> {
    homes: &'a mut Homes,
    clock: i64,
    stays_alone: bool,
}

impl Net for Skewed<'_> {
    fn now(&self) -> u64 {
        self.homes.now().saturating_add_signed(self.clock)
    }
    fn pass(&mut self, millis: u64) {
        self.homes.pass(millis);
    }
    fn join(&mut self, number: u16, body: &[u8]) -> Result<Vec<u8>, String> {
        self.homes.join(number, body)
    }
    fn connect(&mut self, number: u16, device: DeviceId) -> bool {
        self.homes.connect(number, device)
    }
    fn disconnect(&mut self, number: u16, device: DeviceId) {
        self.homes.disconnect(number, device);
    }
    fn frame(&mut self, number: u16, device: DeviceId, bytes: &[u8]) {
        send(self.homes, (number, device), self.stays_alone, bytes);
    }
    fn inbound(&mut self, number: u16, device: DeviceId) -> Vec<ServerFrame> {
        self.homes.inbound(number, device)
    }
}

impl World {
    /// Whatever a person's device answers; what it wants to send goes on its way.
    pub fn ask(&mut self, node: usize, command: C) -> Result<Value, Problem> {
        self.turn_to(node);
        let clock = self.nodes[node].clock;
        let n = &mut self.nodes[node];
        if n.online {
            let now = self.history.home.now().saturating_add_signed(clock);
            let effects = n.device.client.handle(now, Input::Command(command));
            n.device.save(&effects);
            n.outbound.extend(effects.frames);
            return effects
                .answer
                .map(|answer| answer.map(|answer| answer.to_json()))
                .unwrap_or_else(|| Err(Problem::quoting("offline-only", "asked again without a stream")));
        }
        let mut net = Skewed { homes: &mut self.history.home, clock, stays_alone: n.stays_alone };
        n.device.ask(&mut net, command)
    }

    /// A wish of a person; somebody whose disk is full cannot be answered, and starts again.
    pub(super) fn wish(&mut self, node: usize, command: C) -> Option<Value> {
        if self.nodes[node].disk_full > 0 {
            self.crash(node);
            return None;
        }
        self.ask(node, command).ok()
    }

    pub fn sync(&mut self, node: usize) {
        self.cut(node);
        if self.nodes[node].may_connect() {
            let Node { clock, stays_alone, .. } = self.nodes[node];
            let mut net = Skewed { homes: &mut self.history.home, clock, stays_alone };
            self.nodes[node].device.sync(&mut net);
        }
    }

    pub fn sync_all(&mut self, rounds: usize) {
        for _ in 0..rounds {
            (0..self.nodes.len()).for_each(|node| self.sync(node));
        }
    }

    /// The stream breaks: what was on its way is lost. Answers the device where one was open.
    fn break_stream(&mut self, node: usize) -> bool {
        self.turn_to(node);
        let n = &mut self.nodes[node];
        n.inbound.clear();
        n.outbound.clear();
        if let Some(id) = n.device.id {
            self.history.home.disconnect(n.device.home, id);
        }
        std::mem::take(&mut n.online)
    }

    pub(super) fn cut(&mut self, node: usize) {
        if !self.break_stream(node) {
            return;
        }
        let effects = self.handle(node, Input::Disconnected);
        let n = &mut self.nodes[node];
        if n.disk_full > 0 { n.device.restart() } else { n.device.save(&effects) }
    }

    /// The process dies: what was saved stays.
    pub(super) fn crash(&mut self, node: usize) {
        self.break_stream(node);
        self.nodes[node].device.restart();
    }

    /// Dies in the middle of taking in what came: before or after saving, with some of its answers sent.
    pub(super) fn crash_at_work(&mut self, node: usize, saved: bool, effects: usize) {
        self.collect();
        self.turn_to(node);
        if let Some(frame) = self.nodes[node].inbound.pop_front().filter(|_| self.nodes[node].online) {
            let done = self.handle(node, Input::Frame(encode(&frame)));
            if saved && self.nodes[node].disk_full == 0 {
                self.nodes[node].device.save(&done);
                self.note(&frame);
                let (id, home) = (self.nodes[node].device.id.expect("online"), self.nodes[node].device.home);
                done.frames.iter().take(effects).for_each(|f| self.history.home.frame(home, id, f));
            }
        }
        self.crash(node);
    }

    fn handle(&mut self, node: usize, input: Input) -> Effects {
        let now = self.history.home.now().saturating_add_signed(self.nodes[node].clock);
        self.nodes[node].device.client.handle(now, input)
    }

    pub(super) fn input(&mut self, node: usize, input: Input) {
        let effects = self.handle(node, input);
        if self.nodes[node].disk_full > 0 && !effects.rows.is_empty() {
            return self.crash(node);
        }
        self.nodes[node].device.save(&effects);
        self.nodes[node].outbound.extend(effects.frames);
        if let Some(prefixes) = effects.load {
            let rows = self.nodes[node].device.events(&prefixes);
            self.input(node, Input::Loaded(rows));
        }
        self.strike_move(node);
    }

    /// Moves what the home has for open streams behind what is on its way already.
    pub(super) fn collect(&mut self) {
        for at in 0..self.nodes.len() {
            if !self.nodes[at].online {
                continue;
            }
            self.turn_to(at);
            let node = &mut self.nodes[at];
            node.inbound.extend(self.history.home.inbound(node.device.home, node.device.id.expect("online")));
        }
    }

    /// One step of the network.
    pub(super) fn round(&mut self) {
        self.history.home.pass(20);
        self.collect();
        let at = self.pick(self.nodes.len());
        self.turn_to(at);
        let node = &mut self.nodes[at];
        node.deaf = node.deaf.saturating_sub(1);
        node.mute = node.mute.saturating_sub(1);
        if !node.online {
            let (id, home) = (node.device.id.filter(|_| node.may_connect()), node.device.home);
            if let Some(id) = id
                && self.pick(5) == 0
                && self.history.home.connect(home, id)
            {
                self.nodes[at].online = true;
                self.input(at, Input::Connected);
            }
            return;
        }
        if node.mute == 0
            && let Some(frame) = node.outbound.pop_front()
        {
            let (id, home) = (node.device.id.expect("online"), node.device.home);
            send(&mut self.history.home, (home, id), self.nodes[at].stays_alone, &frame);
        } else if node.deaf == 0
            && let Some(frame) = node.inbound.pop_front()
        {
            self.note(&frame);
            self.nodes[at].heard.push(frame.clone());
            self.input(at, Input::Frame(encode(&frame)));
        }
    }

    pub fn pump(&mut self) {
        (0..ROUNDS * self.crowd()).for_each(|_| self.round());
        if self.pick(8) == 0 {
            self.homes_ask_each_other();
        }
    }

    /// Remembers what a home has put its name to. What came by the relay is looked into as what came directly.
    fn note(&mut self, frame: &ServerFrame) {
        match &frame.reply {
            Reply::Submitted(accepted) => self.note_accepted(accepted),
            Reply::TransferCommitted(done) => self.note_accepted(&done.accepted),
            Reply::Records(records) => {
                self.history.touched.insert(records.scope);
                self.note_receipt(&records.receipt);
            }
            Reply::Relayed(relayed) => {
                if let RelayedPayload::Message(bytes) = &relayed.payload
                    && let Ok(inside) = decode::<ServerFrame>(bytes.as_slice())
                {
                    self.note(&inside);
                }
            }
            _ => {}
        }
    }

    fn note_accepted(&mut self, accepted: &[Accepted]) {
        for one in accepted {
            self.history.touched.insert(one.scope);
            let event = self.history.home.chain(one.scope).and_then(|c| c.records.get(one.seq as usize - 1));
            let device = event.and_then(|r| r.event.peek().ok()).map(|e| e.device).unwrap_or_default();
            self.history.acknowledged.insert((one.scope, one.seq), (device, one.counter));
            self.note_receipt(&one.receipt);
        }
    }

    fn note_receipt(&mut self, signed: &Signed<Receipt>) {
        let Ok(receipt) = signed.peek() else { return };
        let place = (receipt.scope, receipt.position.seq);
        let known = *self.history.heads.entry(place).or_insert(receipt.position.head.0);
        if known != receipt.position.head.0 {
            self.forks.push(format!("two heads at {place:?}"));
        }
    }

    /// Every fault ends, and everyone syncs until the world is quiet.
    pub fn settle(&mut self) {
        self.peers_together();
        self.waiting.clear();
        self.end_troubles();
        self.nodes.iter_mut().for_each(Node::heal);
        self.open_homes();
        let (mut quiet, mut before) = (0, vec![]);
        let patient = self.hostile.is_some() || self.other.is_some();
        for round in 0..MOST {
            if patient && PATIENT.contains(&round) {
                self.history.home.pass(READMIT_PATIENCE_MILLIS << 7);
            }
            self.sync_all(1);
            // What its person has ended says nothing any more.
            self.note_removed();
            self.homes_ask_each_other();
            let now = self.in_each_history(|world| {
                let homes = || world.history.home.all();
                let records = homes().flat_map(|h| h.scopes.values()).map(|c| c.records.len());
                (records.sum::<usize>(), homes().map(|h| h.next_mail).sum::<u64>())
            });
            quiet = if now == before { quiet + 1 } else { 0 };
            before = now;
            if quiet == QUIET && (!patient || round > PATIENT[2]) {
                break;
            }
        }
        self.in_each_history(|world| world.history.touched = world.history.home.scopes());
    }
}
