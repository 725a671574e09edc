//! A scope of the world: its replica, its records, and the MLS groups of its members' devices.

use super::groups::Sent;
use super::mls::*;
use super::people::*;
use super::{Context, HOME, Refusal, START, verdicts};
use openmls::group::CommitMessageBundle;
use openmls::prelude::*;
use stafett_protocol::codec::encode;
use stafett_protocol::consent::{SignedGrant, Voucher};
use stafett_protocol::event::{Body, Change, Commit, Event, Genesis, Position, Record};
use stafett_protocol::handover::Handover;
use stafett_protocol::ids::{DeviceId, Hash, PublicKey, ScopeId};
use stafett_protocol::membership::{Member, Membership, Role};
use stafett_protocol::replica::{self, Judged, Replica, group_id};
use stafett_protocol::signed::Signed;
use stafett_protocol::state::ScopeState;
use stafett_protocol::statement::Statement;
use stafett_protocol::wire::welcome_hash;
use tls_codec::{Deserialize as _, Serialize as _};

/// What a genesis says.
#[derive(Clone)]
pub struct Founding {
    pub membership: Membership,
    pub log_salt: Option<[u8; 16]>,
    pub card: Option<ScopeId>,
    pub grants: Vec<SignedGrant>,
    pub vouchers: Vec<Voucher>,
}

/// What a commit does.
#[derive(Default)]
pub struct Plan {
    pub adds: Vec<KeyPackage>,
    pub removes: Vec<PublicKey>,
    pub membership: Option<Membership>,
    pub vouchers: Vec<Voucher>,
    pub handover: Option<Handover>,
    pub leaf: LeafNodeParameters,
    pub proposals: Vec<Proposal>,
    /// Commits proposals that lie in the group's store, by reference.
    pub stored: bool,
}

pub struct Chain {
    pub replica: Replica,
    pub records: Vec<Record>,
    /// Receipt time of the next record.
    pub now: u64,
    /// The card's facts, for the other scopes of a log.
    pub card: Option<ScopeState>,
    pub group_info: Vec<u8>,
    /// Events say that their author has seen nothing: they fit whatever times another home gives.
    pub blind: bool,
    pub(super) sent: Vec<Sent>,
}

/// What a genesis says beside its MLS group.
pub fn bare_genesis(device: &Device, founding: &Founding) -> Genesis {
    Genesis {
        group_info: vec![].into(),
        tree: vec![].into(),
        founder: device.credential.borrow().clone(),
        log_salt: founding.log_salt,
        card: founding.card,
        grants: founding.grants.clone(),
        vouchers: founding.vouchers.clone(),
        check: Hash([1; 32]),
        carries: None,
    }
}

impl World {
    pub fn context<'a>(&'a self, now: u64, card: Option<&'a ScopeState>) -> Context<'a> {
        Context { now, home: HOME, trusted: &self.trusted, card }
    }

    /// Founds an MLS group on `device` and describes it.
    pub fn genesis(&self, device: &Device, founding: &Founding, extensions: Extensions<GroupContext>) -> Genesis {
        let id = group_id(founding.membership.scope, founding.membership.generation);
        device.groups.borrow_mut().remove(id.as_slice());
        if let Ok(Some(mut old)) = MlsGroup::load(device.provider.storage(), &id) {
            old.delete(device.provider.storage()).unwrap();
        }
        let key = id.as_slice().to_vec();
        let group =
            MlsGroup::new_with_group_id(&device.provider, device, &config(extensions), id, device.with_key()).unwrap();
        let info = group.export_group_info(device.provider.crypto(), device, false).unwrap();
        let genesis = Genesis {
            group_info: info.tls_serialize_detached().unwrap().into(),
            tree: group.export_ratchet_tree().tls_serialize_detached().unwrap().into(),
            ..bare_genesis(device, founding)
        };
        device.groups.borrow_mut().insert(key, group);
        genesis
    }

    pub fn genesis_event(&self, device: &Device, founding: &Founding) -> Event {
        let genesis = self.genesis(device, founding, extensions(&founding.membership));
        Event {
            scope: founding.membership.scope,
            generation: founding.membership.generation,
            epoch: 0,
            device: device.id(),
            counter: 1,
            seen: Position::default(),
            body: Body::Genesis(genesis),
        }
    }

    pub fn found(&self, device: &Device, founding: &Founding, card: Option<&ScopeState>) -> Result<Chain, Refusal> {
        self.found_event(device, self.genesis_event(device, founding), START, card)
    }

    pub fn found_event(
        &self,
        device: &Device,
        event: Event,
        now: u64,
        card: Option<&ScopeState>,
    ) -> Result<Chain, Refusal> {
        let record = Record { seq: 1, time: now, event: Signed::sign(&event, &device.key) };
        let home = card.map_or(HOME, |card| card.membership.home);
        let context = Context { home, ..self.context(now, card) };
        let founded = replica::found(record.clone(), &context);
        verdicts::note(&context, None, &record, founded.as_ref().map(drop).map_err(|r| *r));
        let (replica, _) = founded?;
        let Body::Genesis(genesis) = event.body else { panic!("not a genesis") };
        let group_info = genesis.group_info.as_slice().to_vec();
        Ok(Chain { replica, records: vec![record], now, card: card.cloned(), group_info, blind: false, sent: vec![] })
    }
}

impl Chain {
    /// The same once more, to go on from differently.
    pub fn again(&self) -> Self {
        Self {
            replica: Replica::restore(&self.replica.snapshot()).unwrap(),
            records: self.records.clone(),
            card: self.card.clone(),
            group_info: self.group_info.clone(),
            sent: self.sent.clone(),
            ..*self
        }
    }

    pub fn state(&self) -> &ScopeState {
        self.replica.state()
    }
    pub fn membership(&self) -> &Membership {
        &self.state().membership
    }
    pub fn scope(&self) -> ScopeId {
        self.state().scope()
    }
    pub fn context<'a>(&'a self, world: &'a World) -> Context<'a> {
        Context { home: self.membership().home, ..world.context(self.now, self.card.as_ref()) }
    }

    /// The next event of `device`, as an honest client writes it.
    pub fn event(&self, device: &Device, body: Body) -> Event {
        let state = self.state();
        Event {
            scope: state.scope(),
            generation: state.membership.generation,
            epoch: state.epoch,
            device: device.id(),
            counter: state.counter(device.id()) + 1,
            seen: if self.blind { Position::default() } else { state.position },
            body,
        }
    }

    pub fn record(&self, device: &Device, event: &Event) -> Record {
        Record { seq: self.state().position.seq + 1, time: self.now, event: Signed::sign(event, &device.key) }
    }

    /// What the rule says of a record, here and now; nothing changes.
    pub fn judge(&self, world: &World, record: &Record) -> Result<Judged, Refusal> {
        let context = self.context(world);
        let answer = self.replica.judge(record.clone(), &context);
        verdicts::note(&context, Some(self.state().position.head), record, answer.as_ref().map(drop).map_err(|r| *r));
        answer
    }

    /// Judges and applies an event.
    pub fn submit_event(&mut self, world: &World, device: &Device, event: &Event) -> Result<(), Refusal> {
        let record = self.record(device, event);
        let judged = self.judge(world, &record)?;
        self.replica.apply(judged)?;
        self.records.push(record);
        self.now += 1;
        Ok(())
    }

    pub fn submit(&mut self, world: &World, device: &Device, body: Body) -> Result<(), Refusal> {
        let event = self.event(device, body);
        self.submit_event(world, device, &event)
    }

    pub fn say(&mut self, world: &World, device: &Device, statement: Statement) -> Result<(), Refusal> {
        self.submit(world, device, Body::Statement(statement))
    }

    pub fn write(&mut self, world: &World, device: &Device) -> Result<(), Refusal> {
        self.submit(world, device, Body::Change(change()))
    }

    /// Every record as it would be handed in anew, with the Welcome of its commit.
    pub fn envelopes(&self) -> Vec<stafett_protocol::wire::Envelope> {
        let welcome_of = |event: &Event| match &event.body {
            Body::Commit(commit) => self.sent.iter().find(|s| s.mls == commit.mls.as_slice())?.welcome.clone(),
            _ => None,
        };
        let envelope = |record: &Record| stafett_protocol::wire::Envelope {
            event: record.event.clone(),
            welcome: welcome_of(&record.event.peek().unwrap()).map(Into::into),
        };
        self.records.iter().map(envelope).collect()
    }

    /// The membership with these devices of a person added, in that role.
    pub fn with(&self, world: &World, who: Who, devices: &[usize], role: Role, basis: Hash) -> Membership {
        let mut next = self.membership().clone();
        let person = world.person(who);
        let keys = devices.iter().map(|n| person.devices[*n].public());
        match next.members.iter_mut().find(|m| m.person == person.id) {
            Some(member) => {
                member.devices.extend(keys);
                (member.role, member.basis) = (role, basis);
            }
            None => next.members.push(Member {
                person: person.id,
                person_key: person.public(),
                role,
                devices: keys.collect(),
                basis,
            }),
        }
        next.sorted()
    }

    /// The membership without these leaves.
    pub fn without(&self, keys: &[PublicKey]) -> Membership {
        without(self.membership().clone(), keys)
    }

    /// `by` adds the first device of `who`.
    pub fn admit(
        &mut self,
        world: &World,
        by: &Device,
        who: Who,
        role: Role,
        basis: Hash,
        vouchers: Vec<Voucher>,
    ) -> Result<(), Refusal> {
        let membership = self.with(world, who, &[0], role, basis);
        let adds = vec![world.device(who).key_package()];
        self.send(world, by, Plan { adds, membership: Some(membership), vouchers, ..Plan::default() })
    }

    /// `by` removes every leaf that must go, and nothing else.
    pub fn remove_listed(&mut self, world: &World, by: &Device) -> Result<(), Refusal> {
        let removes = self.state().listed_at(self.now);
        let membership = Some(self.without(&removes));
        self.send(world, by, Plan { removes, membership, ..Plan::default() })
    }

    /// `by` removes exactly these leaves.
    pub fn remove(&mut self, world: &World, by: &Device, removes: &[PublicKey]) -> Result<(), Refusal> {
        let membership = Some(self.without(removes));
        self.send(world, by, Plan { removes: removes.to_vec(), membership, ..Plan::default() })
    }

    /// The bytes of everything the rules know: two chains that agree here agree in every verdict.
    pub fn facts(&self) -> Vec<u8> {
        encode(self.state())
    }
}

pub fn without(mut membership: Membership, keys: &[PublicKey]) -> Membership {
    for member in &mut membership.members {
        member.devices.retain(|d| !keys.contains(d));
    }
    membership.members.retain(|m| !m.devices.is_empty());
    membership
}

/// A change as far as the rules see one.
pub fn change() -> Change {
    Change { salt: [6; 32], count: 1, tag: [7; 32], attachments: vec![], sealed: vec![8; 64].into() }
}
