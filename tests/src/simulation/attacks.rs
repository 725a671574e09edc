//! A member whose program keeps no rules, among honest people: real keys, at any moment. Each attack has a name, and worlds
//! of its own (`simulate --mix junk-link`).

use super::operation::Attack;
use super::world::World;
use crate::insider::Insider;
use crate::model_net::{Homes, Net as _};
use stafett_client_core::client::Standing;
use stafett_protocol::codec::decode;
use stafett_protocol::consent::{KeyPlace, LinkRepair, Reject, RejectReason, Statement};
use stafett_protocol::event::Body;
use stafett_protocol::ids::{DeviceId, ScopeId};
use stafett_protocol::membership::ScopeKind;
use stafett_protocol::state::ScopeState;
use stafett_protocol::wire::{ClientFrame, Problem, Reply, Request, ServerFrame};

/// Bytes that open nothing.
const JUNK: [u8; 48] = [7; 48];

/// The request that lets somebody in, if a frame is one.
fn lets_in(frame: &[u8]) -> Option<u32> {
    let ClientFrame { id, request } = decode(frame).ok()?;
    let Request::Submit(bundle) = request else { return None };
    let adds = |body: Body| matches!(body, Body::Commit(commit) if commit.welcome.is_some());
    bundle.envelopes.iter().any(|e| e.event.peek().is_ok_and(|e| adds(e.body))).then_some(id)
}

/// What a device sends, on its way to its home. Whoever wants to stay alone drops what would let somebody in.
pub(super) fn send(homes: &mut Homes, (home, device): (u16, DeviceId), stays_alone: bool, frame: &[u8]) {
    let Some(id) = lets_in(frame).filter(|_| stays_alone) else { return homes.frame(home, device, frame) };
    let problem = Problem { code: "unavailable".into(), detail: "not wanted".into(), scope: None };
    if let Some(frames) = homes.at(home).open.get_mut(&device) {
        frames.push(ServerFrame { id, reply: Reply::Problem(problem) });
    }
}

impl World {
    pub(super) fn attack(&mut self, by: usize, attack: Attack) {
        if self.other.is_some() {
            return;
        }
        let node = self.writer(by);
        match attack {
            Attack::JunkLink => self.say_in(node, |state| {
                let (generation, epoch) = (state.membership.generation, *state.gaps.first()?);
                let from = KeyPlace { generation, epoch };
                let to = KeyPlace { generation, epoch: epoch.saturating_sub(1) };
                Some(Statement::LinkRepair(LinkRepair { from, to, link: JUNK.to_vec().into() }))
            }),
            Attack::FoundAlone => {
                self.nodes[node].stays_alone = true;
                self.say_in(node, |state| {
                    let reject = Reject { seq: state.last_commit, reason: RejectReason::Mls };
                    (state.kind() != ScopeKind::Unit).then_some(Statement::Reject(reject))
                });
            }
        }
    }

    /// A statement past its own client, in the first scope of this device where there is something to say.
    fn say_in(&mut self, node: usize, words: impl Fn(&ScopeState) -> Option<Statement>) {
        let device = &self.nodes[node].device;
        let member = device.client.standings().into_iter().filter(|r| r.standing == Standing::Member);
        for scope in member.map(|r| r.scope).collect::<Vec<ScopeId>>() {
            let Some(number) = self.history.home.all().find(|h| h.serves(scope)).map(|h| h.number) else { continue };
            let device = &self.nodes[node].device;
            let insider = Insider::of(device, &scope.to_string());
            let home = self.history.home.at(number);
            let state = home.scopes[&scope].replica.state();
            let Some(statement) = words(state) else { continue };
            let event = insider.sign(&insider.event(state, Body::Statement(statement)));
            if insider.submit(home, event).is_ok() {
                self.history.touched.insert(scope);
                return;
            }
        }
    }
}
