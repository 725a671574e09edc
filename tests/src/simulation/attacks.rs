//! A member whose program keeps no rules, among honest people: real keys, at any moment. Each attack has a name, and worlds
//! of its own (`simulate --mix junk-link`).

use super::node::Backup;
use super::operation::{Attack, Receiver};
use super::world::World;
use crate::insider::Insider;
use crate::model::home::ModelHome;
use crate::model::net::{Homes, Net as _};
use ed25519_dalek::SigningKey;
use stafett_client_core::client::Standing;
use stafett_protocol::codec::decode;
use stafett_protocol::consent::{AuthorityChange, AuthoritySignature, SignedAuthorityChange};
use stafett_protocol::event::{Body, Event};
use stafett_protocol::ids::{DeviceId, Hash, PersonId, ScopeId};
use stafett_protocol::limits::DECISION_WAIT_MILLIS;
use stafett_protocol::membership::{AuthorityPerson, ConsentAuthority, Role, ScopeKind};
use stafett_protocol::signed::Signed;
use stafett_protocol::state::ScopeState;
use stafett_protocol::statement::Takeover;
use stafett_protocol::statement::{KeyPlace, LinkRepair, Reject, RejectReason, Statement};
use stafett_protocol::wire::{ClientFrame, Problem, Reply, Request, ServerFrame};

/// Bytes that open nothing.
const JUNK: [u8; 48] = [7; 48];
/// Small steps enough to leave no number for anybody, and how many of them go into one event.
const STRIDES: u64 = 4_200;
const STRIDES_AT_ONCE: usize = 600;

/// The request that lets somebody back in, if a frame is one. (Whoever founds a part of a log and lets nobody in from the
/// first has what nobody else knows of: a known limit, and no attack on anybody.)
fn lets_in(frame: &[u8]) -> Option<u32> {
    let ClientFrame { id, request } = decode(frame).ok()?;
    let Request::Submit(bundle) = request else { return None };
    let adds =
        |body: Body| matches!(body, Body::Commit(commit) if commit.welcome.is_some() && commit.handover.is_none());
    bundle.envelopes.iter().any(|e| e.event.peek().is_ok_and(|e| e.generation > 1 && adds(e.body))).then_some(id)
}

/// What a device sends, on its way to its home. Whoever wants to stay alone drops what would let somebody in but by a baton.
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
        // One person is hostile in a world, to its end.
        let by = *self.hostile.get_or_insert(by);
        match attack {
            Attack::JunkLink => self.junk_links(by),
            Attack::FoundAlone => self.found_alone(by),
            Attack::Strides => self.stride(by),
            Attack::HandsOverAlone => self.hands_over_alone(by),
            Attack::NamesFamily => self.names_family(by),
        }
    }

    /// The device that was meant, and where nothing comes of it the next.
    fn insiders(&self, by: usize) -> Vec<usize> {
        let in_use = (0..self.nodes.len()).filter(|n| !self.nodes[*n].removed).count();
        (0..in_use).map(|nth| self.writer(by.wrapping_add(nth))).collect()
    }

    /// Wherever the chain has a gap, and one is made by going back to an older disk; else for the present key.
    fn junk_links(&mut self, by: usize) {
        let written = self.written.len();
        for node in self.insiders(by) {
            match &self.nodes[node].backup {
                Some(_) => self.restore(node),
                None if self.nodes[node].device.client.awaits_certificate() => {}
                None => self.nodes[node].backup = Some(Backup { disk: self.nodes[node].device.disk.clone(), written }),
            }
            self.sync(node);
            let before = self.tried;
            for scope in self.scopes_of(node) {
                let Some(state) = self.state_of(scope) else { continue };
                let (generation, present) = (state.membership.generation, state.epoch);
                let gaps = if state.gaps.is_empty() { vec![present] } else { state.gaps.clone() };
                for epoch in gaps.into_iter().filter(|epoch| *epoch > 0) {
                    let (from, to) = (KeyPlace { generation, epoch }, KeyPlace { generation, epoch: epoch - 1 });
                    let words = Statement::LinkRepair(LinkRepair { from, to, link: JUNK.to_vec().into() });
                    self.attempt(node, scope, words);
                }
            }
            if self.tried > before {
                return;
            }
        }
    }

    /// In the first log's scope where this device may, and from then on it lets nobody in. One person, with whatever
    /// device: where two of three let nobody back, the third has nobody to wait for.
    fn found_alone(&mut self, by: usize) {
        let hostile = self.nodes.iter().find(|n| n.stays_alone).map(|n| n.person);
        let theirs = |node: &usize| hostile.is_none_or(|person| self.nodes[*node].person == person);
        for node in self.insiders(by).into_iter().filter(theirs).collect::<Vec<_>>() {
            for scope in self.scopes_of(node) {
                let words = self.state_of(scope).filter(|s| s.kind() != ScopeKind::Unit).map(rejection);
                if words.is_some_and(|words| self.attempt(node, scope, words)) {
                    self.nodes[node].stays_alone = true;
                    return;
                }
            }
        }
    }

    /// A statement past its own client that counts by itself; whether the home took it.
    fn attempt(&mut self, node: usize, scope: ScopeId, words: Statement) -> bool {
        self.tried += 1;
        let taken = self.say(node, scope, words);
        self.landed += u64::from(taken);
        taken
    }

    fn scopes_of(&self, node: usize) -> Vec<ScopeId> {
        let reports = self.nodes[node].device.client.standings().into_iter();
        reports.filter(|r| r.standing == Standing::Member).map(|r| r.scope).collect()
    }

    fn state_of(&self, scope: ScopeId) -> Option<&ScopeState> {
        let home = self.history.home.all().find(|h| h.serves(scope))?;
        Some(home.scopes[&scope].replica.state())
    }

    /// Hands one event in past its own client; whether the home takes it.
    fn hand_in(
        &mut self,
        node: usize,
        scope: ScopeId,
        make: impl FnOnce(&Insider, &ModelHome) -> Signed<Event>,
    ) -> bool {
        let Some(number) = self.history.home.all().find(|h| h.serves(scope)).map(|h| h.number) else { return false };
        let insider = Insider::of(&self.nodes[node].device, &scope.to_string());
        let home = self.history.home.at(number);
        let event = make(&insider, home);
        let taken = insider.submit(home, event).is_ok();
        if taken {
            self.history.touched.insert(scope);
        }
        taken
    }

    fn say(&mut self, node: usize, scope: ScopeId, words: Statement) -> bool {
        self.hand_in(node, scope, |insider, home| {
            let state = home.scopes[&scope].replica.state();
            insider.sign(&insider.event(state, Body::Statement(words)))
        })
    }

    /// In the first concern where this device may write, and only once: more would say nothing new.
    fn stride(&mut self, by: usize) {
        let concern = |(node, scope): &(usize, ScopeId)| {
            let ready = self.state_of(*scope).filter(|s| s.kind() == ScopeKind::Concern);
            let insider = Insider::of(&self.nodes[*node].device, &scope.to_string());
            ready.is_some_and(|s| insider.key(s.membership.generation, s.epoch).is_some()) && insider.has_document()
        };
        let mut places = self.insiders(by).into_iter().flat_map(|n| self.scopes_of(n).into_iter().map(move |s| (n, s)));
        let Some((node, scope)) = places.find(concern).filter(|_| self.landed == 0) else { return };
        self.tried += 1;
        let changes = Insider::of(&self.nodes[node].device, &scope.to_string()).striding(STRIDES);
        for some in changes.chunks(STRIDES_AT_ONCE) {
            if !self.hand_in(node, scope, |insider, home| insider.seal(home, some)) {
                return;
            }
        }
        self.landed += 1;
    }

    /// A guardian founds the card anew and keeps the holder out, the other one agrees to another holder, and only then
    /// everybody may come back.
    fn hands_over_alone(&mut self, by: usize) {
        let log = by % self.logs.len();
        let (guardian, other) = (self.guardian_of(log, by), self.guardian_of(log, by + 1));
        let (_, to) = self.units_of(log);
        let leader = self.node(to.leader);
        let among_employees = self.units.iter().position(|u| u.id == to.id).unwrap_or_default() * 2;
        let (id, _) = self.place(log, 0);
        let Some((card, holder)) = self.card(&id).map(|c| (c.scope(), c.holder().map(|h| h.person))) else { return };
        self.sync(guardian);
        // Who came in with the last commit does not found: a further device of one's own makes another one.
        let me = self.persons[self.nodes[guardian].person].clone();
        let founds = |s: &ScopeState| s.before_last_commit.iter().any(|m| m.person.to_string() == me);
        if !self.state_of(card).is_some_and(founds) {
            self.new_device(guardian);
            self.sync(guardian);
        }
        self.nodes[guardian].stays_alone = true;
        let Some(words) = self.state_of(card).map(rejection) else { return };
        self.tried += 1;
        if !self.say(guardian, card, words) {
            self.nodes[guardian].stays_alone = false;
            return;
        }
        self.sync(guardian);
        let waits = |state: &ScopeState| state.readmit.iter().any(|m| m.role == Role::Holder);
        let kept_out = self.card(&id).is_some_and(waits);
        self.withdraw(by, log, true);
        self.sync(guardian);
        self.offer_baton(by, log, Receiver::OtherUnit, 0);
        for _ in 0..3 {
            for node in [guardian, leader, other] {
                self.sync(node);
            }
            self.accept_baton(among_employees, false);
            self.consent(guardian, true);
            self.consent(other, true);
        }
        [guardian, leader, guardian].into_iter().for_each(|node| self.sync(node));
        let handed = self.card(&id).is_some_and(|c| c.holder().map(|h| h.person) != holder);
        self.landed += u64::from(kept_out && handed);
        self.nodes[guardian].stays_alone = false;
    }

    /// The two of the unit that holds, with all keys that they have and a week of patience.
    fn names_family(&mut self, by: usize) {
        for turn in 0..2 {
            self.history.home.pass(turn * DECISION_WAIT_MILLIS);
            for (nth, log) in self.logs.iter().map(|l| l.log.clone()).enumerate().collect::<Vec<_>>() {
                let Some(card) = self.card(&log).cloned() else { continue };
                let unit = self.units_of(nth).0;
                let two = [unit.leader, unit.employee].map(|person| self.node(person));
                let takeover = Takeover { reason: Hash([1; 32]) };
                self.say(two[0], card.scope(), Statement::Takeover(takeover));
                for to in families(card.authority(), by as u8) {
                    let words = self.decision(&two, &card, to);
                    // Whoever has no place is not even heard.
                    let here = |node: &&usize| {
                        self.nodes[**node].device.id.is_some_and(|id| card.may_read(id, self.history.home.now()))
                    };
                    if let Some(node) = two.iter().find(here) {
                        self.attempt(*node, card.scope(), words);
                    }
                }
            }
        }
    }

    fn decision(&self, signers: &[usize], card: &ScopeState, to: ConsentAuthority) -> Statement {
        let (log, scope, from) = (card.log(), card.scope(), card.authority().id());
        let change = AuthorityChange { log, scope, from, to, decision: Hash([4; 32]) };
        let sign = |node: &usize| {
            let me = Insider::account(&self.nodes[*node].device).me;
            let certificate = me.person_certificate.clone();
            Some(AuthoritySignature {
                signer: me.person,
                certificate,
                change: Signed::sign(&change, &me.person_key().ok()?),
            })
        };
        Statement::AuthorityChange(SignedAuthorityChange { change: signers.iter().filter_map(sign).collect() })
    }
}

fn rejection(state: &ScopeState) -> Statement {
    Statement::Reject(Reject { seq: state.last_commit, reason: RejectReason::Mls })
}

/// What somebody who wants the log would have the family be: one of its guardians, or somebody nobody knows.
fn families(present: &ConsentAuthority, seed: u8) -> Vec<ConsentAuthority> {
    let alone = |guardian| ConsentAuthority { guardians: vec![guardian], quorum: 1, ..present.clone() };
    let stranger = SigningKey::from_bytes(&[seed; 32]).verifying_key().to_bytes();
    let stranger = AuthorityPerson { person: PersonId::of_first_key(&stranger), key: stranger };
    present.guardians.iter().take(1).copied().chain([stranger]).map(alone).collect()
}
