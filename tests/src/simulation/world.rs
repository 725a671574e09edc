//! A world of people: a school with its leader and teacher, two parents, a PPT with its leader and an employee, more units
//! and families in big worlds; their devices, and the servers of their municipalities in memory.

use super::double::{Double, History};
use super::faults::Waiting;
use super::node::Node;
use super::operation::Step;
use super::{Size, Tally};
use crate::model::cast::text;
use crate::model::home::ModelHome;
use crate::model::net::Homes;
use crate::model::people::Device;
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use stafett_client_core::client::input::{Command as C, Invitation};
use stafett_protocol::membership::ScopeKind;
use stafett_protocol::state::ScopeState;
use std::collections::BTreeMap;

pub const LEADER: usize = 0;
pub const TEACHER: usize = 1;
pub const MOTHER: usize = 2;
pub const FATHER: usize = 3;
pub const PPT_LEADER: usize = 4;
pub const PPT: usize = 5;
/// The municipality where the first logs begin, the one that has the PPT in most worlds, and more.
pub(super) const NUMBERS: [u16; 3] = [3209, 1106, 301];

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
    pub guardians: [usize; 2],
    pub concerns: Vec<String>,
}

pub struct World {
    pub seed: u64,
    /// What the homes have and have said; where they lead a double life, what they show one side.
    pub history: History,
    pub(super) other: Option<Double>,
    pub nodes: Vec<Node>,
    pub persons: Vec<String>,
    /// The school, the PPT, and more.
    pub units: Vec<Unit>,
    pub families: Vec<[usize; 2]>,
    pub logs: Vec<LogPlace>,
    pub written: Vec<Written>,
    /// Two receipts of one place that differ.
    pub forks: Vec<String>,
    /// Somebody here keeps no rules: who, how often they handed something in, and how often the home took it, or where more
    /// must come together, it came as far as it was meant to.
    pub(super) hostile: Option<usize>,
    pub(super) tried: u64,
    pub(super) landed: u64,
    /// Faults that wait for the next move of a log.
    pub(super) waiting: Vec<Waiting>,
    /// Copies of servers' databases, and for how many steps more disks are full.
    pub(super) copies: BTreeMap<u16, ModelHome>,
    pub(super) full: BTreeMap<u16, usize>,
    pub(super) count: usize,
    pub(super) faults: u64,
    /// Moves of logs that were struck in the middle.
    pub(super) struck_moves: u64,
    rng: ChaCha20Rng,
}

impl World {
    /// Everybody has joined, and the children's logs have begun.
    pub fn new(seed: u64, size: Size) -> Self {
        let mut world = Self {
            seed,
            history: History::new(Homes::new(
                NUMBERS[..size.municipalities].iter().map(|n| ModelHome::new(*n)).collect(),
            )),
            other: None,
            nodes: vec![],
            persons: vec![],
            units: vec![],
            families: vec![],
            logs: vec![],
            written: vec![],
            forks: vec![],
            hostile: None,
            tried: 0,
            landed: 0,
            waiting: vec![],
            copies: BTreeMap::new(),
            full: BTreeMap::new(),
            count: 0,
            faults: 0,
            struck_moves: 0,
            rng: ChaCha20Rng::seed_from_u64(seed),
        };
        world.begin_unit("Solvang skole", NUMBERS[0]);
        world.begin_family();
        world.begin_unit("PPT", NUMBERS[usize::from(!seed.is_multiple_of(3))]);
        for n in 2..size.units {
            world.begin_unit(&format!("Enhet {n}"), NUMBERS[n % size.municipalities]);
        }
        (1..size.families).for_each(|_| world.begin_family());
        world.sync_all(2);
        (0..size.logs).for_each(|n| world.begin_log(n));
        world.history.touched.clear();
        world
    }

    fn begin_unit(&mut self, name: &str, municipality: u16) {
        let home = self.history.home.at(municipality);
        let code = home.add_unit(name, name);
        let id = home.units.values().find(|u| u.name == name).expect("just added").unit.to_string();
        let leader = self.join(code);
        let code = self.invite(leader, Invitation::Employee { may_hold: true, may_act: true });
        let employee = self.join(code);
        self.units.push(Unit { id, municipality, leader, employee });
    }

    /// Two guardians, whom a unit's employee has met.
    fn begin_family(&mut self) {
        let employee = self.units[self.families.len() % self.units.len()].employee;
        let family = [(); 2].map(|()| {
            let code = self.invite(employee, Invitation::Guardian);
            self.join(code)
        });
        self.families.push(family);
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

    fn join(&mut self, code: String) -> usize {
        let person = self.persons.len();
        let node = self.new_node(person);
        let joined = self.ask(node, C::Join { code, name: format!("person {person}") }).unwrap();
        self.persons.push(text(&joined, "person"));
        self.nodes[node].id = text(&joined, "device");
        self.sync(node);
        person
    }

    fn begin_log(&mut self, n: usize) {
        let family = n % self.families.len();
        let (teacher, family) = (self.node(self.units[family % self.units.len()].employee), self.families[family]);
        let guardians = family.map(|guardian| self.persons[guardian].clone()).to_vec();
        let new = C::LogNew { child: format!("Barn {n}"), born: "2015-03-04".into(), guardians, level: 2 };
        let log = text(&self.ask(teacher, new).unwrap(), "log");
        self.sync(teacher);
        for guardian in family {
            let guardian = self.node(guardian);
            self.sync(guardian);
            self.consent(guardian, true);
            self.sync(guardian);
        }
        self.sync_all(2);
        self.logs.push(LogPlace { log, guardians: family, concerns: vec![] });
        self.new_concern(n);
        self.sync_all(2);
    }

    pub fn begin_step(&mut self, at: usize) {
        self.rng = ChaCha20Rng::seed_from_u64(self.seed.wrapping_mul(1_000_003).wrapping_add(at as u64));
        self.count = at;
        self.in_each_history(|world| world.history.touched.clear());
        self.nodes.iter_mut().for_each(Node::begin_step);
        self.disks_get_room();
    }

    pub fn perform(&mut self, step: &Step) {
        match step {
            Step::Wish(wish) => self.perform_wish(*wish),
            Step::Fault(fault) => {
                self.faults += 1;
                self.strike(*fault);
            }
            Step::Attack { by, what } => self.attack(*by, *what),
            Step::Network { rounds } => (0..*rounds * self.crowd()).for_each(|_| self.round()),
        }
        self.note_removed();
    }

    /// Whom their home turns away since the step before.
    pub(super) fn note_removed(&mut self) {
        for at in 0..self.nodes.len() {
            self.turn_to(at);
            let node = &self.nodes[at];
            let (id, number, removed) = (node.device.id, node.device.home, node.removed);
            if !removed && id.is_some_and(|id| self.history.home.at(number).has_ended(id)) {
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

    /// The device of some guardian.
    pub(super) fn guardian(&self, who: usize) -> usize {
        let guardians: Vec<usize> = self.families.iter().flatten().copied().collect();
        self.node(guardians[who % guardians.len()])
    }

    /// The device of one of the child's guardians.
    pub(super) fn guardian_of(&self, log: usize, who: usize) -> usize {
        self.node(self.logs[log % self.logs.len()].guardians[who % 2])
    }

    /// How many times more people there are than in the worlds of every commit.
    pub(super) fn crowd(&self) -> usize {
        (self.persons.len() / 6).max(1)
    }

    /// A municipality that loses the others, another one each time.
    pub(super) fn far_away(&self) -> u16 {
        let others = self.history.home.all().count() - 1;
        NUMBERS[1 + self.count % others]
    }

    pub(super) fn place(&self, log: usize, concern: usize) -> (String, Option<String>) {
        let place = &self.logs[log % self.logs.len()];
        let concern = (!place.concerns.is_empty()).then(|| place.concerns[concern % place.concerns.len()].clone());
        (place.log.clone(), concern)
    }

    /// The card of a log as its home has it.
    pub fn card(&self, log: &str) -> Option<&ScopeState> {
        let states = self.history.home.all().flat_map(|h| h.scopes.values()).map(|c| c.replica.state());
        let cards = states.filter(|s| s.kind() == ScopeKind::Card && s.log().to_string() == log);
        cards.max_by_key(|s| s.position.seq)
    }

    /// The person who carries the baton of a log.
    pub fn holder(&self, log: &str) -> usize {
        let holder = self.card(log).and_then(|c| c.holder()).map(|h| h.person.to_string());
        self.persons.iter().position(|p| Some(p) == holder.as_ref()).unwrap_or(TEACHER)
    }

    /// The holder's unit of a log, and another one.
    pub(super) fn units_of(&self, log: usize) -> (Unit, Unit) {
        let holder = self.holder(&self.place(log, 0).0);
        let mut others = self.units.clone();
        let own = others.iter().position(|u| [u.leader, u.employee].contains(&holder)).unwrap_or(0);
        let own = others.remove(own);
        let other = log / self.logs.len() % others.len();
        (own, others.swap_remove(other))
    }

    /// What has happened, for the long runs' report.
    pub(super) fn report(&self, tally: &mut Tally) {
        tally.faults += self.faults;
        tally.tried += self.tried;
        tally.reached += u64::from(self.tried > 0);
        tally.landed += self.landed;
        tally.struck_moves += self.struck_moves;
        for card in self.logs.iter().filter_map(|l| self.card(&l.log)) {
            tally.handovers += card.tenures.len().saturating_sub(1) as u64;
            tally.moves += card.moves.len() as u64;
        }
    }
}
