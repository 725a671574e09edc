//! The facts of the scope, and a deed as the rules see it. What is only tried is tried here, on facts alone; what is
//! done goes through the real replica as well (`play`).

use super::ledger::Ledger;
use super::moves::P;
use crate::common::*;
use stafett_protocol::commit_view::CommitView;
use stafett_protocol::consent::Voucher;
use stafett_protocol::event::{Body, Carried, Event};
use stafett_protocol::handover::Handover;
use stafett_protocol::ids::{DeviceId, PersonId, PublicKey};
use stafett_protocol::membership::{Member, Membership};
use stafett_protocol::policy::{self, MlsView};
use stafett_protocol::state::ScopeState;
use stafett_protocol::statement::{KeyPlace, LinkRepair, Statement};

/// A link that opens, and one that does not: 48 bytes are 48 bytes to whoever has no key.
pub const TRUE_LINK: [u8; 48] = [5; 48];
pub const JUNK_LINK: [u8; 48] = [0xBA; 48];

/// What a commit changes.
#[derive(Clone, Default)]
pub struct Draft {
    pub adds: Vec<PublicKey>,
    pub removes: Vec<PublicKey>,
    pub membership: Option<Membership>,
    pub vouchers: Vec<Voucher>,
    pub handover: Option<Handover>,
    pub junk: bool,
}

#[derive(Clone)]
#[allow(clippy::large_enum_variant, reason = "one lives at a time")]
pub enum Deed {
    Say(Statement),
    Write,
    Commit(Draft),
    Resync,
    Found { membership: Membership, carries: Option<Carried>, vouchers: Vec<Voucher> },
}

/// Where deeds are done: for real, or only in thought.
pub trait Board {
    fn facts(&self) -> &Facts;
    fn take(&mut self, world: &World, device: &Device, deed: &Deed) -> Result<(), Refusal>;
}

#[derive(Clone)]
pub struct Facts {
    pub state: ScopeState,
    pub now: u64,
    pub ledger: Ledger,
    /// Of whom only one device can be let in.
    pub withheld: Vec<PersonId>,
}

pub fn link(junk: bool) -> Vec<u8> {
    if junk { JUNK_LINK.to_vec() } else { TRUE_LINK.to_vec() }
}

/// A link from this epoch of this generation to the one before.
pub fn repair(generation: u32, epoch: u64, junk: bool) -> Deed {
    let to = match epoch.checked_sub(1) {
        Some(epoch) => KeyPlace { generation, epoch },
        None => KeyPlace { generation: generation.saturating_sub(1), epoch: 0 },
    };
    let from = KeyPlace { generation, epoch };
    Deed::Say(Statement::LinkRepair(LinkRepair { from, to, link: link(junk).into() }))
}

/// The generation and epoch for which a true link is published.
pub fn repaired(repair: &LinkRepair) -> Option<(u32, u64)> {
    (repair.link.as_slice() == TRUE_LINK).then_some((repair.from.generation, repair.from.epoch))
}

/// The epoch that a junk link would best be for.
pub fn oldest_gap(state: &ScopeState) -> Option<u64> {
    state.gaps.first().copied()
}

/// The device with this key.
pub fn device_of_key<'w>(world: &'w World, key: &PublicKey) -> &'w Device {
    world.by_id(DeviceId::of_key(key))
}

impl Facts {
    pub fn member(&self, world: &World, who: P) -> Option<&Member> {
        self.state.membership.member(world.id(who.who()))
    }

    pub fn listed(&self) -> Vec<PublicKey> {
        self.state.listed_at(self.now)
    }

    /// Whether this person has a leaf that is not on its way out.
    pub fn reads(&self, person: PersonId) -> bool {
        let listed = self.listed();
        self.state.membership.member(person).is_some_and(|m| m.devices.iter().any(|d| !listed.contains(d)))
    }

    /// The device with which this person acts: one that reads, else one that may come back, else the first.
    pub fn device<'w>(&self, world: &'w World, who: P) -> &'w Device {
        let (listed, id) = (self.listed(), world.id(who.who()));
        let here = self.state.membership.members.iter().filter(|m| m.person == id).flat_map(|m| &m.devices);
        let back = self.state.readmit.iter().filter(|m| m.person == id).flat_map(|m| &m.devices);
        let key = here.filter(|d| !listed.contains(d)).chain(back).next();
        key.map_or(world.device(who.who()), |key| device_of_key(world, key))
    }

    /// The membership without those who must go, under the authority that counts.
    pub fn swept(&self) -> Membership {
        let authority = self.state.authority().clone();
        without(Membership { authority, ..self.state.membership.clone() }, &self.listed())
    }

    pub fn event(&self, device: &Device, body: Body) -> Event {
        let founds = matches!(body, Body::Genesis(_));
        Event {
            scope: self.state.scope(),
            generation: self.state.membership.generation + u32::from(founds),
            epoch: if founds { 0 } else { self.state.epoch },
            device: device.id(),
            counter: self.state.counter(device.id()) + 1,
            seen: self.state.position,
            body,
        }
    }

    /// What the rules make of it; nothing changes.
    pub fn judge(&self, world: &World, device: &Device, deed: &Deed) -> Result<(Event, ScopeState), Refusal> {
        let (body, view) = seen(world, device, deed);
        let event = self.event(device, body);
        let next = policy::decide(&self.state, &world.context(self.now, None), &event, &view)?;
        Ok((event, next))
    }
}

impl Board for Facts {
    fn facts(&self) -> &Facts {
        self
    }

    fn take(&mut self, world: &World, device: &Device, deed: &Deed) -> Result<(), Refusal> {
        let (event, mut next) = self.judge(world, device, deed)?;
        next.position.seq += 1;
        next.time = self.now;
        self.ledger.note(world, &event, &self.state, &next, self.now);
        self.state = next;
        self.now += 1;
        Ok(())
    }
}

/// The deed's body, and what MLS would tell of it.
fn seen(world: &World, device: &Device, deed: &Deed) -> (Body, MlsView) {
    match deed {
        Deed::Say(statement) => (Body::Statement(statement.clone()), MlsView::None),
        Deed::Write => (Body::Change(change()), MlsView::None),
        Deed::Commit(draft) => {
            let view = CommitView {
                adds: draft.adds.iter().map(|key| leaf(device_of_key(world, key))).collect(),
                removes: draft.removes.clone(),
                path: Some(leaf(device)),
                membership: draft.membership.clone(),
                ..view(device)
            };
            let mut commit = commit_of(&view, draft.vouchers.clone(), draft.handover.clone());
            commit.link = Some(link(draft.junk).into());
            (Body::Commit(commit), MlsView::Commit(view))
        }
        Deed::Resync => {
            let own = device.public();
            let view = CommitView { sender: None, removes: vec![own], path: Some(leaf(device)), ..view(device) };
            (Body::Commit(commit_of(&view, vec![], None)), MlsView::Commit(view))
        }
        Deed::Found { membership, carries, vouchers } => {
            let mut genesis = bare_genesis(device, &founding(membership, vouchers));
            genesis.carries = carries.clone();
            (Body::Genesis(genesis), MlsView::Genesis(membership.clone(), leaf(device)))
        }
    }
}

pub fn founding(membership: &Membership, vouchers: &[Voucher]) -> Founding {
    Founding { membership: membership.clone(), log_salt: None, card: None, grants: vec![], vouchers: vouchers.to_vec() }
}
