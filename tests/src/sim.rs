//! A small simulation: real clients and the real accept rule, one thread, one seed. Streams deliver frames one
//! by one in any interleaving; processes die before saving, before sending, or with answers on the way.

use crate::model_home::ModelHome;
use crate::model_net::{Homes, Net};
use crate::model_people::Device;
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use serde_json::Value;
use stafett_client_core::client::input::{Command as C, Input, Invitation, NewMeasure, WithdrawTarget};
use stafett_protocol::codec::encode;
use stafett_protocol::wire::ServerFrame;
use std::collections::VecDeque;

/// One device in the world, with what is on its way to it.
pub struct Node {
    pub name: &'static str,
    pub device: Device,
    inbound: VecDeque<ServerFrame>,
    online: bool,
}

/// The whole world of one seed.
pub struct World {
    pub home: Homes,
    pub nodes: Vec<Node>,
    rng: ChaCha20Rng,
    pub log: String,
    pub concerns: Vec<String>,
    /// Texts that were saved on a device whose access was never withdrawn.
    pub written: Vec<String>,
    crashes: u64,
    pub trace: Vec<String>,
}

/// How often faults strike, in a thousand steps.
pub struct Faults {
    pub crash: u64,
    pub cut: u64,
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_else(|| panic!("no {key} in {value}")).to_owned()
}

pub const LEADER: usize = 0;
pub const TEACHER: usize = 1;
pub const MOTHER: usize = 2;
pub const FATHER: usize = 3;
pub const PPT_LEADER: usize = 4;
pub const PPT: usize = 5;

impl World {
    /// A municipality with a school and two parents, and a PPT: in every other world another municipality's. The
    /// log of a child exists.
    pub fn new(seed: u64) -> Self {
        let mut homes = [ModelHome::new(3209), ModelHome::new(1106)];
        let names = ["leader", "teacher", "mother", "father", "ppt leader", "ppt"];
        let device = |i: usize| Device::new((seed as u8).wrapping_mul(31).wrapping_add(i as u8));
        let nodes = names.iter().enumerate().map(|(i, name)| Node {
            name,
            device: device(i),
            inbound: VecDeque::new(),
            online: false,
        });
        let school = homes[0].add_unit("Solvang skole", "school");
        let ppt = homes[(seed % 2) as usize].add_unit("PPT", "ppt");
        let mut world = Self {
            home: Homes::new(homes.into()),
            nodes: nodes.collect(),
            rng: ChaCha20Rng::seed_from_u64(seed),
            log: String::new(),
            concerns: vec![],
            written: vec![],
            crashes: 0,
            trace: vec![],
        };
        world.join(LEADER, school);
        world.join(PPT_LEADER, ppt);
        let employee = |hold| Invitation::Employee { may_hold: hold, may_act: true };
        let code = world.invite(LEADER, employee(true));
        world.join(TEACHER, code);
        let code = world.invite(PPT_LEADER, employee(false));
        world.join(PPT, code);
        for guardian in [MOTHER, FATHER] {
            let code = world.invite(TEACHER, Invitation::Guardian);
            world.join(guardian, code);
        }
        world.sync_all(2);
        world.begin_log();
        world
    }

    fn invite(&mut self, by: usize, invitation: Invitation) -> String {
        let code = text(&self.ask(by, C::Invite(invitation)), "code");
        self.sync(by);
        code
    }

    fn join(&mut self, who: usize, code: String) {
        let name = self.nodes[who].name.to_owned();
        self.ask(who, C::Join { code, name });
        self.sync(who);
    }

    fn begin_log(&mut self) {
        let id = |w: &Self, who: usize| stafett_id(w, who);
        let guardians = vec![id(self, MOTHER), id(self, FATHER)];
        let new = C::LogNew { child: "Ella".into(), born: "2015-03-04".into(), guardians, level: 2 };
        self.log = text(&self.ask(TEACHER, new), "log");
        self.sync(TEACHER);
        for guardian in [MOTHER, FATHER] {
            self.sync(guardian);
            self.grant_all(guardian);
            self.sync(guardian);
        }
        self.sync_all(2);
        for title in ["Lekser", "Skolefravær"] {
            let measure = NewMeasure { text: format!("tiltak {title}"), ..NewMeasure::default() };
            let (log, goal) = (self.log.clone(), "mål".to_owned());
            let new = C::ConcernNew { log, title: title.into(), goal, category: None, measure };
            let concern = text(&self.ask(TEACHER, new), "concern");
            self.concerns.push(concern);
        }
        self.sync_all(2);
    }

    /// Signs every request that lies with a guardian.
    pub fn grant_all(&mut self, guardian: usize) {
        let pending = self.ask(guardian, C::ConsentPending);
        for request in pending["requests"].as_array().unwrap() {
            self.ask(guardian, C::ConsentGrant { request: text(request, "request"), custody: true });
        }
    }

    pub fn ask(&mut self, who: usize, command: C) -> Value {
        let shown = format!("{command:?}");
        self.try_ask(who, command).unwrap_or_else(|e| panic!("{} {shown}: {e:?}", self.nodes[who].name))
    }

    pub fn try_ask(&mut self, who: usize, command: C) -> Result<Value, stafett_client_core::client::input::Problem> {
        let node = &mut self.nodes[who];
        if !node.online {
            return node.device.ask(&mut self.home, command);
        }
        let effects = node.device.client.handle(self.home.now(), Input::Command(command));
        node.device.save(&effects);
        let (id, home) = (node.device.id.unwrap(), node.device.home);
        effects.frames.iter().for_each(|f| self.home.frame(home, id, f));
        effects.answer.expect("an answer at once")
    }

    pub fn sync(&mut self, who: usize) {
        self.cut(who);
        self.nodes[who].device.sync(&mut self.home);
    }

    pub fn sync_all(&mut self, rounds: usize) {
        for _ in 0..rounds {
            (0..self.nodes.len())
                .filter(|w| self.nodes[*w].device.id.is_some())
                .collect::<Vec<_>>()
                .into_iter()
                .for_each(|who| self.sync(who));
        }
    }

    fn chance(&mut self, in_a_thousand: u64) -> bool {
        self.rng.next_u64() % 1000 < in_a_thousand
    }

    pub fn pick(&mut self, n: usize) -> usize {
        (self.rng.next_u64() % n as u64) as usize
    }

    fn cut(&mut self, who: usize) {
        let node = &mut self.nodes[who];
        if node.online {
            node.online = false;
            node.inbound.clear();
            self.home.disconnect(node.device.home, node.device.id.unwrap());
            let effects = node.device.client.handle(self.home.now(), Input::Disconnected);
            node.device.save(&effects);
        }
    }

    fn connect(&mut self, who: usize, faults: &Faults) {
        let (id, home) = (self.nodes[who].device.id.unwrap(), self.nodes[who].device.home);
        if !self.nodes[who].online && self.home.connect(home, id) {
            self.nodes[who].online = true;
            self.input(who, Input::Connected, faults);
        }
    }

    /// The process dies: what was saved stays, what was on its way is lost.
    fn crash(&mut self, who: usize) {
        self.crashes += 1;
        let node = &mut self.nodes[who];
        node.online = false;
        node.inbound.clear();
        self.home.disconnect(node.device.home, node.device.id.unwrap());
        node.device.restart();
    }

    fn input(&mut self, who: usize, input: Input, faults: &Faults) {
        let effects = self.nodes[who].device.client.handle(self.home.now(), input);
        if self.chance(faults.crash) {
            return self.crash(who);
        }
        self.nodes[who].device.save(&effects);
        if self.chance(faults.crash) {
            return self.crash(who);
        }
        let (id, home) = (self.nodes[who].device.id.unwrap(), self.nodes[who].device.home);
        for frame in &effects.frames {
            self.home.frame(home, id, frame);
            if self.chance(faults.crash) {
                return self.crash(who);
            }
        }
    }

    /// Moves what the home has for open streams behind what is on its way already.
    fn collect(&mut self) {
        for node in self.nodes.iter_mut().filter(|n| n.online) {
            node.inbound.extend(self.home.inbound(node.device.home, node.device.id.unwrap()));
        }
    }

    /// One random step of the network.
    pub fn step(&mut self, faults: &Faults) {
        self.home.pass(20);
        self.collect();
        if self.chance(faults.cut) {
            self.cut_between_homes();
        }
        let who = self.pick(self.nodes.len());
        if !self.nodes[who].online {
            if self.chance(200) {
                self.connect(who, faults);
            }
            return;
        }
        if self.chance(faults.cut) {
            return self.cut(who);
        }
        if let Some(frame) = self.nodes[who].inbound.pop_front() {
            self.input(who, Input::Frame(encode(&frame)), faults);
        }
    }

    /// The line between the servers breaks, or is there again.
    fn cut_between_homes(&mut self) {
        if self.home.away.is_empty() {
            self.trace.push("the servers lose each other".into());
            let number = [3209, 1106][self.pick(2)];
            self.home.cut_off(number);
        } else {
            self.home.away.clear();
        }
    }

    /// Everyone syncs until the world is quiet.
    pub fn settle(&mut self) {
        self.home.away.clear();
        for who in 0..self.nodes.len() {
            self.cut(who);
        }
        self.sync_all(6);
    }

    /// Somebody writes a glimpse; it counts as written if the client took it.
    pub fn glimpse(&mut self, who: usize, text: String) {
        let at = self.pick(self.concerns.len());
        let concern = self.concerns[at].clone();
        if self.try_ask(who, C::Glimpse { concern, text: text.clone() }).is_ok() {
            self.trace.push(format!("{} writes {text}", self.nodes[who].name));
            self.written.push(text);
        }
    }

    pub fn withdraw_ppt(&mut self, guardian: usize) -> bool {
        let Some(unit) = self.ppt_unit() else { return false };
        let withdraw = C::ConsentWithdraw { log: self.log.clone(), target: WithdrawTarget::Unit(unit) };
        let done = self.try_ask(guardian, withdraw).is_ok();
        if done {
            self.trace.push(format!("{} withdraws the PPT", self.nodes[guardian].name));
        }
        done
    }

    fn ppt_unit(&mut self) -> Option<String> {
        let units = self.ask(PPT_LEADER, C::Units);
        let ppt = units["units"].as_array().unwrap().iter().find(|u| u["name"] == "PPT")?;
        Some(text(ppt, "unit"))
    }

    pub fn request_ppt(&mut self) {
        let municipality = self.nodes[PPT].device.home.to_string();
        self.ask(TEACHER, C::UnitsOf { municipality });
        self.sync(TEACHER);
        let Some(unit) = self.ppt_unit() else { return };
        let who = stafett_client_core::client::input::Who::Unit(unit);
        let access = stafett_client_core::client::input::AccessWord::Read;
        let scopes = vec![self.concerns[0].clone()];
        let _ = self.try_ask(TEACHER, C::AccessRequest { log: self.log.clone(), who, scopes, access });
        self.trace.push("the teacher asks for the PPT".into());
    }

    pub fn assign_ppt(&mut self) {
        let person = stafett_id(self, PPT);
        let _ = self.try_ask(PPT_LEADER, C::UnitAssign { log: self.log.clone(), person, scopes: vec![] });
    }

    /// Every glimpse as each of the family and the holder sees it.
    pub fn glimpses(&mut self, who: usize) -> Vec<String> {
        let mut all = vec![];
        for concern in self.concerns.clone() {
            let show = self.ask(who, C::ConcernShow { concern });
            all.extend(show["glimpses"].as_array().unwrap().iter().map(|g| text(g, "text")));
        }
        all.sort();
        all
    }

    pub fn crashes(&self) -> u64 {
        self.crashes
    }
}

/// The person id of a node, as its client says it.
pub fn stafett_id(world: &World, who: usize) -> String {
    let row = world.nodes[who].device.disk.get(&(1, b"me".to_vec())).expect("has joined");
    let me: stafett_client_core::client::Me = stafett_protocol::codec::decode(row).unwrap();
    me.person.to_string()
}
