//! Three homes, a client and a lossy network as one transition system.

use super::homes::{Bundle, Chains, Disk, Msg, Out};
use super::records::{Chain, Rec, To};
use super::rules::{Rule, Without};
use stateright::{Model, Property};
use std::collections::BTreeSet;

/// What is tried in a run.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    pub name: &'static str,
    /// The homes that the log is offered to.
    pub to: &'static [To],
    pub handover: bool,
    pub withdrawal: bool,
    /// How often somebody writes.
    pub edits: u8,
    pub faults: u8,
    /// The client and waiting homes ask nothing more while this much is under way.
    pub under_way: usize,
    /// The client may let acceptances go.
    pub lets_go: bool,
    pub without: Without,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Home {
    pub disk: Disk,
    /// A transaction that is not stored yet, and what is said once it is.
    running: Option<(Disk, Vec<Out>)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct State {
    /// The old home, B and C.
    pub homes: [Home; 3],
    net: BTreeSet<Msg>,
    /// What the client has in hand: acceptances, tombstones.
    accepted: [Option<Bundle>; 2],
    tombstones: Option<Bundle>,
    edits: u8,
    withdrawn: BTreeSet<Rec>,
    faults: u8,
    /// The newest receipts that somebody has got.
    pub receipts: Chains,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Act {
    /// The client sends, or sends again.
    Send(Msg),
    Deliver(Msg),
    /// A home stores what it has done, and answers.
    Store(usize),
    /// Faults: a message is lost or comes twice, a link is cut, a home or the client forgets what is not stored.
    Lose(Msg),
    Twice(Msg),
    Cut(Option<To>),
    Crash(usize),
    Forget,
    /// What a home does without the rule that forbids it.
    LetGo(To),
}

pub fn place(home: Option<To>) -> usize {
    match home {
        None => 0,
        Some(To::B) => 1,
        Some(To::C) => 2,
    }
}

fn who(place: usize) -> Option<To> {
    [None, Some(To::B), Some(To::C)][place]
}

/// Where a message goes; `None`: to the client.
fn at(msg: &Msg) -> Option<usize> {
    match msg {
        Msg::Append { home, .. } => Some(place(*home)),
        Msg::Hand | Msg::Commit(_) | Msg::Abort(_) | Msg::Ask(_) | Msg::Drop(_) => Some(0),
        Msg::Prepare(b) | Msg::Never { of: b, .. } => Some(place(Some(b.to()))),
        Msg::Tombstones { at, .. } => at.map(|to| place(Some(to))),
        Msg::Accepted(_) => None,
    }
}

/// The link that a message is on: of the client (`None`), or between the old home and that one.
fn link(msg: &Msg) -> Option<To> {
    match msg {
        Msg::Ask(b) | Msg::Never { of: b, .. } => Some(b.to()),
        Msg::Tombstones { at, of } if at.is_some() => Some(of.to()),
        _ => None,
    }
}

impl State {
    /// The homes that would receive an event of the scope now.
    pub fn serving(&self, scope: usize) -> Vec<usize> {
        (0..3).filter(|place| self.homes[*place].disk.serves(who(*place), scope)).collect()
    }

    /// The chain that counts: of the home that serves, or will once it has seen the tombstone.
    pub fn truth(&self, scope: usize) -> Option<&Chain> {
        let serving = self.serving(scope);
        serving.first().map(|place| &self.homes[*place].disk.chains[scope]).or_else(|| {
            // Bound, and the tombstone exists: what is bound is what the old home stored.
            self.is_bound(scope).then(|| &self.homes[0].disk.chains[scope])
        })
    }

    fn is_bound(&self, scope: usize) -> bool {
        let word = self.homes[0].disk.last_word(scope);
        word.is_some_and(|accept| self.homes[1..].iter().any(|h| h.disk.stands_by(scope, accept)))
    }

    fn answer(&mut self, out: Vec<Out>) {
        for out in out {
            match out {
                Out::Send(msg) => drop(self.net.insert(msg)),
                Out::Receipt(scope, chain) if chain.len() > self.receipts[scope].len() => self.receipts[scope] = chain,
                Out::Receipt(..) => {}
            }
        }
    }

    fn arrive(&mut self, msg: &Msg, without: Without) {
        match (at(msg), msg) {
            (Some(_), Msg::Prepare(bundle)) if !self.homes[0].disk.lets_read(bundle) => {}
            (Some(place), _) => {
                let home = &mut self.homes[place];
                let Ok((disk, out)) = home.disk.handle(who(place), msg, without) else { return };
                if without == Some(Rule::StoredFirst) {
                    home.running = Some((disk, vec![]));
                    self.answer(out);
                } else if disk == home.disk || self.faults == 0 {
                    // Nothing to store, or nobody left to crash: no need to look at the moment between.
                    home.disk = disk;
                    self.answer(out);
                } else {
                    home.running = Some((disk, out));
                }
            }
            (None, Msg::Accepted(bundle)) => self.accepted[place(Some(bundle.to())) - 1] = Some(bundle.clone()),
            (None, Msg::Tombstones { of, .. }) => self.tombstones = Some(of.clone()),
            (None, _) => {}
        }
    }
}

impl Scenario {
    /// What the client might do now.
    fn client(&self, state: &State, out: &mut Vec<Act>) {
        let mut send = |msg: Msg| {
            if state.net.len() < self.under_way && !state.net.contains(&msg) {
                out.push(Act::Send(msg));
            }
        };
        let here = &state.homes[0].disk;
        let gone = here.last_word(0).is_some();
        // Events go to the home that the client believes in; a new one only once there is a tombstone.
        let homes = [Some(None), state.tombstones.as_ref().map(|of| Some(of.to()))];
        for home in homes.iter().flatten() {
            if state.edits < self.edits {
                send(Msg::Append { home: *home, scope: 1, rec: Rec::Edit });
            }
            // At the new home, the old holder's leaf goes before anybody writes.
            if home.is_some() && state.edits < self.edits {
                send(Msg::Append { home: *home, scope: 1, rec: Rec::Removed });
            }
            let revoked = self.to.first().map_or(Rec::Revoked(To::B), |to| Rec::Revoked(*to));
            for (scope, rec) in [(1, Rec::Withdrawn), (0, revoked)] {
                if self.withdrawal && !state.withdrawn.contains(&rec) {
                    send(Msg::Append { home: *home, scope, rec });
                }
            }
        }
        if self.handover && !gone {
            send(Msg::Hand);
        }
        for to in self.to {
            if !gone {
                for rec in [Rec::Move(*to), Rec::Bare(*to)] {
                    send(Msg::Prepare(Bundle { on: here.chains.clone(), rec }));
                }
                send(Msg::Abort(*to));
            }
            if let Some(of) = &state.tombstones {
                send(Msg::Tombstones { at: Some(*to), of: of.clone() });
            }
            let disk = &state.homes[place(Some(*to))].disk;
            if let Some(promise) = disk.promise.as_ref().filter(|_| !disk.serves(Some(*to), 0)) {
                send(Msg::Ask(promise.clone()));
                if self.lets_go {
                    send(Msg::Drop(promise.clone()));
                }
            }
        }
        for bundle in state.accepted.iter().flatten().filter(|_| state.tombstones.is_none()) {
            send(Msg::Commit(bundle.clone()));
        }
    }

    fn faults(&self, state: &State, out: &mut Vec<Act>) {
        for msg in &state.net {
            out.push(Act::Lose(msg.clone()));
            out.push(Act::Twice(msg.clone()));
        }
        for cut in [None, Some(To::B), Some(To::C)] {
            if state.net.iter().filter(|m| link(m) == cut).count() > 1 {
                out.push(Act::Cut(cut));
            }
        }
        out.extend((0..3).filter(|p| state.homes[*p].running.is_some()).map(Act::Crash));
        if state.accepted != [None, None] || state.tombstones.is_some() {
            out.push(Act::Forget);
        }
    }
}

impl Model for Scenario {
    type State = State;
    type Action = Act;

    fn init_states(&self) -> Vec<State> {
        vec![State { faults: self.faults, ..State::default() }]
    }

    fn actions(&self, state: &State, out: &mut Vec<Act>) {
        self.client(state, out);
        for msg in &state.net {
            if at(msg).is_none_or(|place| state.homes[place].running.is_none()) {
                out.push(Act::Deliver(msg.clone()));
            }
        }
        out.extend((0..3).filter(|p| state.homes[*p].running.is_some()).map(Act::Store));
        if state.faults > 0 {
            self.faults(state, out);
        }
        if self.without == Some(Rule::BoundUntilWord) {
            out.extend(self.to.iter().map(|to| Act::LetGo(*to)));
        }
    }

    fn next_state(&self, state: &State, act: Act) -> Option<State> {
        let mut next = state.clone();
        let fault = matches!(act, Act::Lose(_) | Act::Twice(_) | Act::Cut(_) | Act::Crash(_) | Act::Forget);
        next.faults -= u8::from(fault);
        match act {
            Act::Send(msg) => {
                match &msg {
                    Msg::Append { rec: Rec::Edit, .. } => next.edits += 1,
                    Msg::Append { rec: Rec::Removed, .. } => {}
                    Msg::Append { rec, .. } => drop(next.withdrawn.insert(*rec)),
                    _ => {}
                }
                next.net.insert(msg);
            }
            Act::Deliver(msg) => {
                next.net.remove(&msg);
                next.arrive(&msg, self.without);
            }
            Act::Twice(msg) => {
                if at(&msg).is_some_and(|place| state.homes[place].running.is_some()) {
                    return None;
                }
                next.arrive(&msg, self.without);
            }
            Act::Lose(msg) => drop(next.net.remove(&msg)),
            Act::Cut(cut) => next.net.retain(|m| link(m) != cut),
            Act::Store(place) => {
                let (disk, out) = next.homes[place].running.take()?;
                next.homes[place].disk = disk;
                next.answer(out);
            }
            Act::Crash(place) => next.homes[place].running = None,
            Act::Forget => (next.accepted, next.tombstones) = ([None, None], None),
            Act::LetGo(to) => next.homes[place(Some(to))].disk.targets = Default::default(),
        }
        (next != *state).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        super::properties::all(self)
    }
}
