//! A world of people: a school with its leader and teacher, two parents, a PPT with its leader and an employee; their
//! devices, and the servers of two municipalities in memory.

use super::Tally;
use super::faults::Waiting;
use super::node::Node;
use super::operation::Step;
use crate::model_cast::text;
use crate::model_home::ModelHome;
use crate::model_net::Homes;
use crate::model_people::Device;
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use stafett_client_core::client::input::{Command as C, Invitation};
use stafett_protocol::ids::{DeviceId, Hash, ScopeId};
use stafett_protocol::membership::ScopeKind;
use stafett_protocol::state::ScopeState;
use std::collections::{BTreeMap, BTreeSet};

pub const LEADER: usize = 0;
pub const TEACHER: usize = 1;
pub const MOTHER: usize = 2;
pub const FATHER: usize = 3;
pub const PPT_LEADER: usize = 4;
pub const PPT: usize = 5;
pub(super) const NAMES: [&str; 6] = ["leader", "teacher", "mother", "father", "ppt leader", "ppt"];
/// The municipality where logs begin, and the one that has the PPT in most worlds.
pub(super) const NUMBERS: [u16; 2] = [3209, 1106];

/// A unit as people know it.
#[derive(Debug, Clone)]
pub struct Unit {
    pub id: String,
    pub municipality: u16,
    pub leader: usize,
    pub employee: usize,
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
    /// The school, the PPT.
    pub units: Vec<Unit>,
    pub logs: Vec<LogPlace>,
    pub written: Vec<Written>,
    /// What the home has acknowledged: scope and seq, by which device under which counter.
    pub acknowledged: BTreeMap<(ScopeId, u64), (DeviceId, u64)>,
    /// Every head that any receipt named.
    pub heads: BTreeMap<(ScopeId, u64), [u8; 32]>,
    /// Two receipts of one place that differ.
    pub forks: Vec<String>,
    pub touched: BTreeSet<ScopeId>,
    /// Heads of the scopes' chains, computed once.
    pub chain_heads: BTreeMap<ScopeId, Vec<Hash>>,
    /// Faults that wait for the next move of a log.
    pub(super) waiting: Vec<Waiting>,
    pub(super) count: usize,
    pub(super) faults: u64,
    /// Moves of logs that were struck in the middle.
    pub(super) struck_moves: u64,
    rng: ChaCha20Rng,
}

impl World {
    /// Everybody has joined, and the logs of so many children have begun.
    pub fn new(seed: u64, logs: usize) -> Self {
        let mut world = Self {
            seed,
            home: Homes::new(NUMBERS.map(ModelHome::new).into()),
            nodes: vec![],
            persons: vec![String::new(); NAMES.len()],
            units: vec![],
            logs: vec![],
            written: vec![],
            acknowledged: BTreeMap::new(),
            heads: BTreeMap::new(),
            forks: vec![],
            touched: BTreeSet::new(),
            chain_heads: BTreeMap::new(),
            waiting: vec![],
            count: 0,
            faults: 0,
            struck_moves: 0,
            rng: ChaCha20Rng::seed_from_u64(seed),
        };
        world.begin_unit("Solvang skole", NUMBERS[0], (LEADER, TEACHER));
        for guardian in [MOTHER, FATHER] {
            let code = world.invite(TEACHER, Invitation::Guardian);
            world.join(guardian, code);
        }
        world.begin_unit("PPT", NUMBERS[usize::from(!seed.is_multiple_of(3))], (PPT_LEADER, PPT));
        world.sync_all(2);
        (0..logs).for_each(|n| world.begin_log(n));
        world.touched.clear();
        world
    }

    fn begin_unit(&mut self, name: &str, municipality: u16, (leader, employee): (usize, usize)) {
        let home = self.home.at(municipality);
        let code = home.add_unit(name, name);
        let id = home.units.values().find(|u| u.name == name).expect("just added").unit.to_string();
        self.units.push(Unit { id, municipality, leader, employee });
        self.join(leader, code);
        let code = self.invite(leader, Invitation::Employee { may_hold: true, may_act: true });
        self.join(employee, code);
    }

    fn invite(&mut self, by: usize, invitation: Invitation) -> String {
        let by = self.node(by);
        let code = text(&self.ask(by, C::Invite(invitation)).unwrap(), "code");
        self.sync(by);
        code
    }

    pub(super) fn new_node(&mut self, person: usize) -> usize {
        let device = Device::new((self.seed as u8).wrapping_mul(31).wrapping_add(self.nodes.len() as u8));
        self.nodes.push(Node::new(person, device));
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

    pub fn begin_step(&mut self, at: usize) {
        self.rng = ChaCha20Rng::seed_from_u64(self.seed.wrapping_mul(1_000_003).wrapping_add(at as u64));
        self.count = at;
        self.touched.clear();
        self.nodes.iter_mut().for_each(Node::begin_step);
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

    pub(super) fn pick(&mut self, n: usize) -> usize {
        (self.rng.next_u64() % n.max(1) as u64) as usize
    }

    /// A person's first device.
    pub fn node(&self, person: usize) -> usize {
        self.nodes.iter().position(|n| n.person == person && !n.removed).expect("has joined")
    }

    /// One of the devices that are in use.
    pub(super) fn writer(&self, who: usize) -> usize {
        let in_use: Vec<usize> = (0..self.nodes.len()).filter(|n| !self.nodes[*n].removed).collect();
        in_use[who % in_use.len()]
    }

    pub(super) fn guardian(&self, who: usize) -> usize {
        self.node([MOTHER, FATHER][who % 2])
    }

    pub(super) fn place(&self, log: usize, concern: usize) -> (String, Option<String>) {
        let place = &self.logs[log % self.logs.len()];
        let concern = (!place.concerns.is_empty()).then(|| place.concerns[concern % place.concerns.len()].clone());
        (place.log.clone(), concern)
    }

    /// The card of a log as its home has it.
    pub fn card(&self, log: &str) -> Option<&ScopeState> {
        let states = self.home.all().flat_map(|h| h.scopes.values()).map(|c| c.replica.state());
        let cards = states.filter(|s| s.kind() == ScopeKind::Card && s.log().to_string() == log);
        cards.max_by_key(|s| s.position.seq)
    }

    /// The person who carries the baton of a log.
    pub fn holder(&self, log: &str) -> usize {
        let holder = self.card(log).and_then(|c| c.membership.holder()).map(|h| h.person.to_string());
        self.persons.iter().position(|p| Some(p) == holder.as_ref()).unwrap_or(TEACHER)
    }

    /// The holder's unit, and the other one.
    pub(super) fn units_of(&self, log: &str) -> (Unit, Unit) {
        let holder = self.holder(log);
        let own = self.units.iter().position(|u| [u.leader, u.employee].contains(&holder)).unwrap_or(0);
        (self.units[own].clone(), self.units[1 - own].clone())
    }

    /// What has happened, for the long runs' report.
    pub(super) fn report(&self, tally: &mut Tally) {
        tally.faults += self.faults;
        tally.struck_moves += self.struck_moves;
        for card in self.logs.iter().filter_map(|l| self.card(&l.log)) {
            tally.handovers += card.tenures.len().saturating_sub(1) as u64;
            tally.moves += card.moves.len() as u64;
        }
    }
}
