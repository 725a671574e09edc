//! A history on a real replica: the world as it begins, and each move as those who make it would sign it.

use super::checks::{Broken, Violation, check};
use super::facts::{Board, Deed, Facts, founding, link};
use super::honest::{answer, settle};
use super::ledger::Ledger;
use super::moves::{Game, Move, P};
use crate::common::*;
use openmls_traits::OpenMlsProvider as _;
use stafett_protocol::consent::{Access, EmployeeCertificate};
use stafett_protocol::event::{Body, Event};
use stafett_protocol::membership::{Member, Role};
use std::collections::HashMap;

/// When the employee's certificate runs out, and the consent to the actor.
const EMPLOYED_DAYS: u64 = 30;

type Rows = HashMap<Vec<u8>, Vec<u8>>;

/// A world with its log, put back as it was for every history.
pub struct Start {
    pub world: World,
    card: Chain,
    ledger: Ledger,
    rows: Vec<Rows>,
}

impl Start {
    /// Holder, and two guardians of whom `quorum` must sign.
    pub fn young(quorum: u8) -> Self {
        let world = World::new();
        let card = begun(&world, quorum);
        Self::of(world, card, quorum)
    }

    /// Besides, the unit's leader in her seat, an employee of the PPT with two devices who reads, and an actor by name.
    pub fn new(quorum: u8) -> Self {
        let world = World::new();
        let founder = world.device(TEACHER);
        let mut card = begun(&world, quorum);
        // Beyond the quorum a signature is asked for as well: whoever is there consents.
        world.seat_custodian(&mut card, LEADER);
        let coach = world.give(&mut card, world.person_grantee(COACH), Access::Contribute);
        card.admit(&world, founder, COACH, Role::Actor, coach, vec![]).unwrap();
        let read = world.give(&mut card, world.unit_of(PPT_LEADER), Access::Read);
        // Somebody was in on that, too, until their leader ended it.
        let former = vec![world.voucher(PPT_LEADER, PPT_TWO, CARD)];
        card.admit(&world, founder, PPT_TWO, Role::Reader, read, former).unwrap();
        card.say(&world, founder, world.employee_end(PPT_LEADER, PPT_TWO, CARD)).unwrap();
        card.remove_listed(&world, founder).unwrap();
        let membership = Some(card.with(&world, PPT, &[0, 1], Role::Reader, read));
        let adds = vec![world.device(PPT).key_package(), world.device_n(PPT, 1).key_package()];
        let vouchers = vec![employee_voucher(&world)];
        card.send(&world, founder, Plan { adds, membership, vouchers, ..Plan::default() }).unwrap();
        Self::of(world, card, quorum)
    }

    fn of(world: World, card: Chain, quorum: u8) -> Self {
        let ledger = read_again(&world, &card, quorum);
        for key in card.membership().devices() {
            card.with_group(super::facts::device_of_key(&world, key), |_| {});
        }
        let rows = devices(&world).map(|d| d.provider.storage().values.read().unwrap().clone()).collect();
        Self { world, card, ledger, rows }
    }

    pub fn run(&self, game: Game) -> Run<'_> {
        for (device, rows) in devices(&self.world).zip(&self.rows) {
            device.groups.borrow_mut().clear();
            device.provider.storage().values.write().unwrap().clone_from(rows);
        }
        let chain = self.card.again();
        let facts =
            Facts { state: chain.state().clone(), now: chain.now, ledger: self.ledger.clone(), withheld: vec![] };
        Run { world: &self.world, game, chain, facts }
    }
}

fn begun(world: &World, quorum: u8) -> Chain {
    let authority = world.authority_of(&[MOTHER, FATHER], quorum);
    let founding = world.card_founding_under(&authority, &[MOTHER, FATHER]);
    let mut card = world.found(world.device(TEACHER), &founding, None).unwrap();
    world.add_family(&mut card);
    card
}

/// All of them, in the order of [`start`].
pub fn starts() -> [Start; 4] {
    [Start::new(1), Start::new(2), Start::young(1), Start::young(2)]
}

/// Where a game begins.
pub fn start(starts: &[Start], game: Game) -> &Start {
    &starts[usize::from(game.quorum) - 1 + if game.young { 2 } else { 0 }]
}

fn devices(world: &World) -> impl Iterator<Item = &Device> {
    world.people.iter().flat_map(|p| &p.devices)
}

/// What the PPT's leader has signed for her employee, once.
pub fn employee_voucher(world: &World) -> stafett_protocol::consent::Voucher {
    let certificate =
        EmployeeCertificate { expires_at: START + EMPLOYED_DAYS * DAY, ..world.certificate(PPT_LEADER, PPT) };
    world.voucher_of(PPT_LEADER, &certificate, Some(&world.assignment(PPT_LEADER, PPT, CARD)))
}

/// The ledger of a chain, from its first record on.
fn read_again(world: &World, card: &Chain, quorum: u8) -> Ledger {
    let mut ledger = Ledger::new(world.authority_of(&[MOTHER, FATHER], quorum));
    let mut followed: Option<stafett_protocol::replica::Replica> = None;
    for record in &card.records {
        let event: Event = record.event.peek().unwrap();
        let context = world.context(record.time, None);
        match (&mut followed, &event.body) {
            (None, Body::Genesis(genesis)) => {
                let (replica, _) = stafett_protocol::replica::found(record.clone(), &context).unwrap();
                ledger.founded(world, genesis, replica.state(), record.time);
                followed = Some(replica);
            }
            (Some(replica), _) => {
                let before = replica.state().clone();
                replica.take(record.clone(), &context).unwrap();
                ledger.note(world, &event, &before, replica.state(), record.time);
            }
            (None, _) => panic!("no genesis"),
        }
    }
    ledger
}

pub struct Run<'w> {
    pub world: &'w World,
    pub game: Game,
    pub chain: Chain,
    pub facts: Facts,
}

impl Board for Run<'_> {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn take(&mut self, world: &World, device: &Device, deed: &Deed) -> Result<(), Refusal> {
        let (event, _) = self.facts.judge(world, device, deed)?;
        let (before, at) = (self.facts.state.clone(), self.chain.now);
        match deed {
            Deed::Say(_) | Deed::Write => self.chain.submit(world, device, event.body.clone())?,
            Deed::Resync => self.chain.external(world, device, device.with_key())?,
            Deed::Commit(draft) => {
                let of_key = |key| super::facts::device_of_key(world, key).key_package();
                let plan = Plan {
                    adds: draft.adds.iter().map(of_key).collect(),
                    removes: draft.removes.clone(),
                    membership: draft.membership.clone(),
                    vouchers: draft.vouchers.clone(),
                    handover: draft.handover.clone(),
                    ..Plan::default()
                };
                let (mut commit, welcome) = self.chain.commit(device, plan);
                commit.link = Some(link(draft.junk).into());
                self.chain.submit_commit(world, device, commit, welcome)?;
            }
            Deed::Found { membership, carries, vouchers } => {
                let extensions = extensions(membership);
                let mut genesis = world.genesis(device, &founding(membership, vouchers), extensions);
                genesis.carries = carries.clone();
                let info = genesis.group_info.as_slice().to_vec();
                self.chain.submit_event(world, device, &self.facts.event(device, Body::Genesis(genesis)))?;
                self.chain.group_info = info;
            }
        }
        (self.facts.state, self.facts.now) = (self.chain.state().clone(), self.chain.now);
        self.facts.ledger.note(world, &event, &before, &self.facts.state, at);
        Ok(())
    }
}

impl Run<'_> {
    /// One move; whether anything came of it.
    pub fn step(&mut self, step: Move) -> bool {
        let (world, game) = (self.world, self.game);
        match step {
            Move::Answer { by, pick } => answer(self, world, by, pick),
            Move::Wait { days } => {
                settle(self, world, &game);
                self.chain.now += days * DAY;
                self.facts.now = self.chain.now;
                true
            }
            Move::Withhold { by } => {
                self.facts.withheld.push(world.id(by.who()));
                true
            }
            _ => {
                let Some((by, deed)) = super::deeds::deed(self, step) else { return false };
                let device = self.facts.device(world, by);
                self.take(world, device, &deed).is_ok()
            }
        }
    }

    /// The newest grant with this content that stands.
    pub fn newest(
        &self,
        fits: impl Fn(&stafett_protocol::consent::ConsentGrant) -> bool,
    ) -> Option<stafett_protocol::ids::Hash> {
        self.facts.state.grants_in_force(self.facts.now).filter(|f| fits(&f.grant)).last().map(|f| f.id)
    }

    pub fn kept(&self, who: P) -> Option<&Member> {
        let id = self.world.id(who.who());
        self.facts.state.readmit.iter().find(|m| m.person == id)
    }
}

/// Plays a list; the step after which something is broken, and what.
pub fn play(start: &Start, game: Game, steps: &[Move], kinds: &[Broken]) -> Result<(), (usize, Violation)> {
    let mut run = start.run(game);
    for (at, step) in steps.iter().enumerate() {
        run.step(*step);
        check(run.world, &run.game, &run.facts, kinds).map_err(|v| (at, v))?;
    }
    Ok(())
}
