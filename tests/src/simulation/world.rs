//! The machine that performs steps: six people of a school, a family and a PPT, their devices with disks and clocks, two
//! servers in memory, and a network that carries frames in order or not at all.

use super::operation::{Fault, Step, Wish};
use crate::model_home::ModelHome;
use crate::model_net::{Homes, Net};
use crate::model_people::Device;
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use serde_json::Value;
use stafett_client_core::client::input::{
    AccessWord, Command as C, Effects, Input, Invitation, NewMeasure, Problem, Who, WithdrawTarget,
};
use stafett_protocol::codec::encode;
use stafett_protocol::ids::{DeviceId, Hash, ScopeId};
use stafett_protocol::wire::{Reply, ServerFrame};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

pub const LEADER: usize = 0;
pub const TEACHER: usize = 1;
pub const MOTHER: usize = 2;
pub const FATHER: usize = 3;
pub const PPT_LEADER: usize = 4;
pub const PPT: usize = 5;
const NAMES: [&str; 6] = ["leader", "teacher", "mother", "father", "ppt leader", "ppt"];
/// The log's own municipality, and the one that has the PPT in every other world.
const NUMBERS: [u16; 2] = [3209, 1106];
/// Frames that move between two steps.
const ROUNDS: usize = 14;

/// One device with its disk, its clock and what is on its way from and to it.
pub struct Node {
    pub person: usize,
    pub device: Device,
    pub id: String,
    inbound: VecDeque<ServerFrame>,
    outbound: VecDeque<Vec<u8>>,
    heard: Vec<ServerFrame>,
    online: bool,
    deaf: usize,
    mute: usize,
    disk_full: usize,
    /// By how much the device's clock is wrong, in milliseconds.
    clock: i64,
    backup: Option<Backup>,
    pub removed: bool,
    /// Set back to a backup: it may not know of what was founded since (threat model, known weaknesses).
    pub restored: bool,
}

/// A disk as it was, and how many texts had been written then.
#[derive(Clone)]
struct Backup {
    disk: BTreeMap<(u8, Vec<u8>), Vec<u8>>,
    written: usize,
}

/// A text that a device has taken.
#[derive(Debug, Clone)]
pub struct Written {
    pub text: String,
    pub node: usize,
    pub log: String,
    /// Its device was set back to before it: only then may it be gone.
    pub forgotten: bool,
}

pub struct LogPlace {
    pub log: String,
    pub concerns: Vec<String>,
}

pub struct World {
    pub seed: u64,
    pub home: Homes,
    pub nodes: Vec<Node>,
    pub persons: Vec<String>,
    pub logs: Vec<LogPlace>,
    pub written: Vec<Written>,
    /// What the home has acknowledged: scope and seq, by which device under which counter.
    pub acknowledged: BTreeMap<(ScopeId, u64), (DeviceId, u64)>,
    /// Every head that any receipt named.
    pub heads: BTreeMap<(ScopeId, u64), [u8; 32]>,
    /// Two receipts of one place that differ.
    pub forks: Vec<String>,
    /// Where each device that lost its access stood then.
    pub cut_off: BTreeMap<(DeviceId, ScopeId), u64>,
    pub touched: BTreeSet<ScopeId>,
    /// Heads of the home's chains, computed once.
    pub chain_heads: BTreeMap<ScopeId, Vec<Hash>>,
    rng: ChaCha20Rng,
    count: usize,
    faults: u64,
}

/// The world as a device with a wrong clock sees it.
struct Skewed<'a> {
    homes: &'a mut Homes,
    clock: i64,
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
        self.homes.frame(number, device, bytes);
    }
    fn inbound(&mut self, number: u16, device: DeviceId) -> Vec<ServerFrame> {
        self.homes.inbound(number, device)
    }
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_else(|| panic!("no {key} in {value}")).to_owned()
}

impl World {
    /// A municipality with a school, two parents and a PPT, and the logs of so many children.
    pub fn new(seed: u64, logs: usize) -> Self {
        let mut world = Self {
            seed,
            home: Homes::new(NUMBERS.map(ModelHome::new).into()),
            nodes: vec![],
            persons: vec![String::new(); NAMES.len()],
            logs: vec![],
            written: vec![],
            acknowledged: BTreeMap::new(),
            heads: BTreeMap::new(),
            forks: vec![],
            cut_off: BTreeMap::new(),
            touched: BTreeSet::new(),
            chain_heads: BTreeMap::new(),
            rng: ChaCha20Rng::seed_from_u64(seed),
            count: 0,
            faults: 0,
        };
        let school = world.home.add_unit("Solvang skole", "school");
        let ppt = world.home.at(NUMBERS[(seed % 2) as usize]).add_unit("PPT", "ppt");
        let employee = |hold| Invitation::Employee { may_hold: hold, may_act: true };
        world.join(LEADER, school);
        let code = world.invite(LEADER, employee(true));
        world.join(TEACHER, code);
        for guardian in [MOTHER, FATHER] {
            let code = world.invite(TEACHER, Invitation::Guardian);
            world.join(guardian, code);
        }
        world.join(PPT_LEADER, ppt);
        let code = world.invite(PPT_LEADER, employee(false));
        world.join(PPT, code);
        world.sync_all(2);
        (0..logs).for_each(|n| world.begin_log(n));
        world.touched.clear();
        world
    }

    fn node(&self, person: usize) -> usize {
        self.nodes.iter().position(|n| n.person == person && !n.removed).expect("has joined")
    }

    fn invite(&mut self, by: usize, invitation: Invitation) -> String {
        let by = self.node(by);
        let code = text(&self.ask(by, C::Invite(invitation)).unwrap(), "code");
        self.sync(by);
        code
    }

    fn new_node(&mut self, person: usize) -> usize {
        let device = Device::new((self.seed as u8).wrapping_mul(31).wrapping_add(self.nodes.len() as u8));
        self.nodes.push(Node {
            person,
            device,
            id: String::new(),
            inbound: VecDeque::new(),
            outbound: VecDeque::new(),
            heard: vec![],
            online: false,
            deaf: 0,
            mute: 0,
            disk_full: 0,
            clock: 0,
            backup: None,
            removed: false,
            restored: false,
        });
        self.nodes.len() - 1
    }

    fn join(&mut self, person: usize, code: String) {
        let node = self.new_node(person);
        let joined = self.ask(node, C::Join { code, name: NAMES[person].into() }).unwrap();
        self.persons[person] = text(&joined, "person");
        self.nodes[node].id = text(&joined, "device");
        self.sync(node);
    }

    fn begin_log(&mut self, n: usize) {
        let teacher = self.node(TEACHER);
        let guardians = vec![self.persons[MOTHER].clone(), self.persons[FATHER].clone()];
        let new = C::LogNew { child: format!("Barn {n}"), born: "2015-03-04".into(), guardians, level: 2 };
        let log = text(&self.ask(teacher, new).unwrap(), "log");
        self.sync(teacher);
        for guardian in [MOTHER, FATHER] {
            let guardian = self.node(guardian);
            self.sync(guardian);
            self.consent(guardian, true);
            self.sync(guardian);
        }
        self.sync_all(2);
        self.logs.push(LogPlace { log, concerns: vec![] });
        self.new_concern(n);
        self.sync_all(2);
    }

    /// Whatever a person's device answers; what it wants to send goes on its way.
    pub fn ask(&mut self, node: usize, command: C) -> Result<Value, Problem> {
        let clock = self.nodes[node].clock;
        let n = &mut self.nodes[node];
        if n.online {
            let now = self.home.now().saturating_add_signed(clock);
            let effects = n.device.client.handle(now, Input::Command(command));
            n.device.save(&effects);
            n.outbound.extend(effects.frames);
            return effects
                .answer
                .unwrap_or_else(|| Err(Problem::caller("offline-only", "asked again without a stream")));
        }
        let mut net = Skewed { homes: &mut self.home, clock };
        n.device.ask(&mut net, command)
    }

    /// A wish of a person; somebody whose disk is full cannot be answered, and starts again.
    fn wish(&mut self, node: usize, command: C) -> Option<Value> {
        if self.nodes[node].disk_full > 0 {
            self.crash(node);
            return None;
        }
        self.ask(node, command).ok()
    }

    fn sync(&mut self, node: usize) {
        self.cut(node);
        if !self.nodes[node].removed {
            let clock = self.nodes[node].clock;
            let mut net = Skewed { homes: &mut self.home, clock };
            self.nodes[node].device.sync(&mut net);
        }
    }

    pub fn sync_all(&mut self, rounds: usize) {
        for _ in 0..rounds {
            (0..self.nodes.len()).for_each(|node| self.sync(node));
        }
    }

    pub fn begin_step(&mut self, at: usize) {
        self.rng = ChaCha20Rng::seed_from_u64(self.seed.wrapping_mul(1_000_003).wrapping_add(at as u64));
        self.count = at;
        self.touched.clear();
        for node in &mut self.nodes {
            node.disk_full = node.disk_full.saturating_sub(1);
        }
    }

    fn pick(&mut self, n: usize) -> usize {
        (self.rng.next_u64() % n.max(1) as u64) as usize
    }

    /// One of the devices of those who write.
    fn writer(&self, who: usize) -> usize {
        let writers: Vec<usize> = (0..self.nodes.len())
            .filter(|n| [TEACHER, MOTHER, FATHER, PPT].contains(&self.nodes[*n].person) && !self.nodes[*n].removed)
            .collect();
        writers[who % writers.len()]
    }

    fn guardian(&self, who: usize) -> usize {
        self.node([MOTHER, FATHER][who % 2])
    }

    fn place(&self, log: usize, concern: usize) -> (String, Option<String>) {
        let place = &self.logs[log % self.logs.len()];
        let concern = (!place.concerns.is_empty()).then(|| place.concerns[concern % place.concerns.len()].clone());
        (place.log.clone(), concern)
    }

    pub fn perform(&mut self, step: &Step) {
        match step {
            Step::Wish(wish) => self.perform_wish(*wish),
            Step::Fault(fault) => {
                self.faults += 1;
                self.strike(*fault);
            }
            Step::Network { rounds } => (0..*rounds).for_each(|_| self.round()),
        }
        self.note_removed();
    }

    fn perform_wish(&mut self, wish: Wish) {
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
                if let (_, Some(concern)) = self.place(log, concern) {
                    self.wish(self.node(TEACHER), C::ConcernClose { concern });
                }
            }
            Wish::AskForAccess { log, concern, contribute } => self.ask_for_access(log, concern, contribute),
            Wish::Consent { guardian } => self.consent(self.guardian(guardian), true),
            Wish::Refuse { guardian } => self.consent(self.guardian(guardian), false),
            Wish::NameWhoActs { log } => {
                let (log, _) = self.place(log, 0);
                let person = self.persons[PPT].clone();
                self.wish(self.node(PPT_LEADER), C::UnitAssign { log, person, scopes: vec![] });
            }
            Wish::Withdraw { guardian, log } => self.withdraw(self.guardian(guardian), log),
            Wish::NewDevice { who } => self.new_device(self.writer(who)),
            Wish::RemoveDevice { who } => self.remove_device(self.writer(who)),
            Wish::Sync { who } => {
                let node = who % self.nodes.len();
                if self.nodes[node].disk_full == 0 {
                    self.sync(node);
                }
            }
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

    fn new_concern(&mut self, log: usize) {
        let at = log % self.logs.len();
        if self.logs[at].concerns.len() >= 4 {
            return;
        }
        let measure = NewMeasure { text: "første tiltak".into(), ..NewMeasure::default() };
        let (log, title) = (self.logs[at].log.clone(), format!("Tema {}", self.logs[at].concerns.len()));
        let new = C::ConcernNew { log, title, goal: "mål".into(), category: None, measure };
        if let Some(made) = self.wish(self.node(TEACHER), new) {
            self.logs[at].concerns.push(text(&made, "concern"));
        }
    }

    /// The PPT's unit, as its own leader knows it.
    fn ppt(&mut self) -> Option<String> {
        let leader = self.node(PPT_LEADER);
        let units = self.wish(leader, C::Units)?;
        units["units"].as_array()?.iter().find(|u| u["name"] == "PPT").map(|u| text(u, "unit"))
    }

    fn ask_for_access(&mut self, log: usize, concern: usize, contribute: bool) {
        let (teacher, (log, concern)) = (self.node(TEACHER), self.place(log, concern));
        let municipality = NUMBERS[(self.seed % 2) as usize].to_string();
        self.wish(teacher, C::UnitsOf { municipality });
        let (Some(unit), Some(concern)) = (self.ppt(), concern) else { return };
        let access = if contribute { AccessWord::Contribute } else { AccessWord::Read };
        self.wish(teacher, C::AccessRequest { log, who: Who::Unit(unit), scopes: vec![concern], access });
    }

    fn consent(&mut self, guardian: usize, yes: bool) {
        let Some(pending) = self.wish(guardian, C::ConsentPending) else { return };
        for request in pending["requests"].as_array().into_iter().flatten() {
            let request = text(request, "request");
            let answer = if yes { C::ConsentGrant { request, custody: true } } else { C::ConsentRefuse { request } };
            self.wish(guardian, answer);
        }
    }

    fn withdraw(&mut self, guardian: usize, log: usize) {
        let (log, _) = self.place(log, 0);
        let Some(unit) = self.ppt() else { return };
        self.wish(guardian, C::ConsentWithdraw { log, target: WithdrawTarget::Unit(unit) });
    }

    fn new_device(&mut self, first: usize) {
        let person = self.nodes[first].person;
        if self.nodes.iter().filter(|n| n.person == person).count() >= 3 || self.nodes[first].disk_full > 0 {
            return;
        }
        self.cut(first);
        let Some(code) = self.wish(first, C::DeviceLink).map(|v| text(&v, "code")) else { return };
        self.sync(first);
        let second = self.new_node(person);
        match self.ask(second, C::DeviceAccept { code, name: format!("{} {second}", NAMES[person]) }) {
            Ok(made) => self.nodes[second].id = text(&made, "device"),
            Err(_) => drop(self.nodes.pop()),
        }
    }

    fn remove_device(&mut self, node: usize) {
        let person = self.nodes[node].person;
        let Some(by) =
            (0..self.nodes.len()).find(|n| *n != node && self.nodes[*n].person == person && !self.nodes[*n].removed)
        else {
            return;
        };
        let device = self.nodes[node].id.clone();
        self.wish(by, C::DeviceRemove { device });
    }

    /// Whom their home turns away since the step before.
    fn note_removed(&mut self) {
        for at in 0..self.nodes.len() {
            let node = &self.nodes[at];
            let (id, number, removed) = (node.device.id, node.device.home, node.removed);
            if !removed && id.is_some_and(|id| self.home.at(number).has_ended(id)) {
                self.cut(at);
                self.nodes[at].removed = true;
            }
        }
    }

    fn strike(&mut self, fault: Fault) {
        let n = self.nodes.len();
        match fault {
            Fault::Crash { who, saved, effects } => self.crash_at_work(who % n, saved, effects),
            Fault::Cut { who } => self.cut(who % n),
            Fault::Deaf { who, rounds } => self.nodes[who % n].deaf = rounds,
            Fault::Mute { who, rounds } => self.nodes[who % n].mute = rounds,
            Fault::DiskFull { who, steps } => self.nodes[who % n].disk_full = steps,
            Fault::Backup { who } => {
                let written = self.written.len();
                let node = &mut self.nodes[who % n];
                node.backup = Some(Backup { disk: node.device.disk.clone(), written });
            }
            Fault::Restore { who } => self.restore(who % n),
            Fault::Clock { who, by } => self.nodes[who % n].clock = by * 1000,
            Fault::ServerClock { by } => self.home.pass(by.unsigned_abs() * 1000),
            Fault::PeersApart { apart: true } => self.home.cut_off(NUMBERS[1]),
            Fault::PeersApart { apart: false } => self.home.away.clear(),
            Fault::ServerRestart => (0..n).for_each(|node| self.cut(node)),
            Fault::Replay { who } => {
                let node = &mut self.nodes[who % n];
                let heard = node.heard.len();
                if heard > 0 && node.online {
                    let frame = node.heard[who % heard].clone();
                    node.inbound.push_back(ServerFrame { id: 0, ..frame });
                }
            }
        }
    }

    fn cut(&mut self, node: usize) {
        let now = self.home.now();
        let n = &mut self.nodes[node];
        if !n.online {
            return;
        }
        n.online = false;
        n.inbound.clear();
        n.outbound.clear();
        if let Some(id) = n.device.id {
            self.home.disconnect(n.device.home, id);
        }
        let effects = n.device.client.handle(now, Input::Disconnected);
        if n.disk_full > 0 { n.device.restart() } else { n.device.save(&effects) }
    }

    /// The process dies: what was saved stays, what was on its way is lost.
    fn crash(&mut self, node: usize) {
        let n = &mut self.nodes[node];
        n.online = false;
        n.inbound.clear();
        n.outbound.clear();
        if let Some(id) = n.device.id {
            self.home.disconnect(n.device.home, id);
        }
        n.device.restart();
    }

    /// Dies in the middle of taking in what came: before or after saving, with some of its answers sent.
    fn crash_at_work(&mut self, node: usize, saved: bool, effects: usize) {
        self.collect();
        if let Some(frame) = self.nodes[node].inbound.pop_front().filter(|_| self.nodes[node].online) {
            let done = self.handle(node, Input::Frame(encode(&frame)));
            if saved && self.nodes[node].disk_full == 0 {
                self.nodes[node].device.save(&done);
                self.note(&frame);
                let (id, home) = (self.nodes[node].device.id.expect("online"), self.nodes[node].device.home);
                done.frames.iter().take(effects).for_each(|f| self.home.frame(home, id, f));
            }
        }
        self.crash(node);
    }

    fn restore(&mut self, node: usize) {
        let Some(Backup { disk, written }) = self.nodes[node].backup.clone() else { return };
        self.cut(node);
        self.nodes[node].restored = true;
        self.nodes[node].device.disk = disk;
        self.nodes[node].device.restart();
        for lost in self.written.iter_mut().skip(written).filter(|w| w.node == node) {
            lost.forgotten = true;
        }
    }

    fn handle(&mut self, node: usize, input: Input) -> Effects {
        let now = self.home.now().saturating_add_signed(self.nodes[node].clock);
        self.nodes[node].device.client.handle(now, input)
    }

    fn input(&mut self, node: usize, input: Input) {
        let effects = self.handle(node, input);
        if self.nodes[node].disk_full > 0 && !effects.rows.is_empty() {
            return self.crash(node);
        }
        self.nodes[node].device.save(&effects);
        self.nodes[node].outbound.extend(effects.frames);
    }

    /// Moves what the home has for open streams behind what is on its way already.
    fn collect(&mut self) {
        for node in self.nodes.iter_mut().filter(|n| n.online) {
            node.inbound.extend(self.home.inbound(node.device.home, node.device.id.expect("online")));
        }
    }

    /// One step of the network.
    fn round(&mut self) {
        self.home.pass(20);
        self.collect();
        let at = self.pick(self.nodes.len());
        let node = &mut self.nodes[at];
        node.deaf = node.deaf.saturating_sub(1);
        node.mute = node.mute.saturating_sub(1);
        if !node.online {
            let (id, home) = (node.device.id.filter(|_| !node.removed && node.disk_full == 0), node.device.home);
            if let Some(id) = id
                && self.pick(5) == 0
                && self.home.connect(home, id)
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
            self.home.frame(home, id, &frame);
        } else if node.deaf == 0
            && let Some(frame) = node.inbound.pop_front()
        {
            self.note(&frame);
            self.nodes[at].heard.push(frame.clone());
            self.input(at, Input::Frame(encode(&frame)));
        }
    }

    pub fn pump(&mut self) {
        (0..ROUNDS).for_each(|_| self.round());
    }

    /// Remembers what the home has put its name to.
    fn note(&mut self, frame: &ServerFrame) {
        match &frame.reply {
            Reply::Submitted(accepted) => {
                for one in accepted {
                    self.touched.insert(one.scope);
                    let event = self.home.scopes.get(&one.scope).and_then(|c| c.records.get(one.seq as usize - 1));
                    let device = event.and_then(|r| r.event.peek().ok()).map(|e| e.device).unwrap_or_default();
                    self.acknowledged.insert((one.scope, one.seq), (device, one.counter));
                    self.note_receipt(&one.receipt);
                }
            }
            Reply::Records(records) => {
                self.touched.insert(records.scope);
                self.note_receipt(&records.receipt);
            }
            _ => {}
        }
    }

    fn note_receipt(&mut self, signed: &stafett_protocol::signed::Signed<stafett_protocol::event::Receipt>) {
        let Ok(receipt) = signed.peek() else { return };
        let place = (receipt.scope, receipt.position.seq);
        let known = *self.heads.entry(place).or_insert(receipt.position.head.0);
        if known != receipt.position.head.0 {
            self.forks.push(format!("two heads at {place:?}"));
        }
    }

    /// Every fault ends, and everyone syncs until the world is quiet.
    pub fn settle(&mut self) {
        self.home.away.clear();
        for at in 0..self.nodes.len() {
            let node = &mut self.nodes[at];
            (node.deaf, node.mute, node.disk_full, node.clock) = (0, 0, 0, 0);
            self.cut(at);
        }
        self.sync_all(8);
        self.touched = self.home.scopes.keys().copied().collect();
    }

    pub fn faults_struck(&self) -> u64 {
        self.faults
    }
}
