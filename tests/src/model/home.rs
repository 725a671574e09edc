//! A home in memory: the real `Replica::judge`, with accounts, mailboxes and key packages beside it in plain
//! maps. No TLS, no database: for tests of the client's logic, and the seed of the simulation.

use crate::model::accounts::{Account, Ticket};
use crate::model::transfer::Transfers;
use ed25519_dalek::SigningKey;
use stafett_protocol::codec::decode;
use stafett_protocol::consent::Permit;
use stafett_protocol::credential::{DeviceRecord, Municipalities, MunicipalityKey};
use stafett_protocol::event::Record;
use stafett_protocol::federation::{PeerKey, PeerKeys};
use stafett_protocol::ids::{DeviceId, Hash, PersonId, ScopeId, UnitId};
use stafett_protocol::limits::LOG_SCOPES;
use stafett_protocol::policy::Context;
use stafett_protocol::refusal::Refusal;
use stafett_protocol::replica::Replica;
use stafett_protocol::signed::Signed;
use stafett_protocol::transfer::Tombstone;
use stafett_protocol::wire::*;
use std::collections::{BTreeMap, BTreeSet};

pub struct ScopeChain {
    pub replica: Replica,
    pub records: Vec<Record>,
    /// Devices that were removed, with the record that removed them.
    pub(crate) removed: BTreeMap<DeviceId, u64>,
    /// Devices that may not read any more, with the last record that they may know: the one that ended their access.
    pub last_read: BTreeMap<DeviceId, u64>,
}

impl ScopeChain {
    pub(crate) fn new(replica: Replica, records: Vec<Record>) -> Self {
        Self { replica, records, removed: BTreeMap::new(), last_read: BTreeMap::new() }
    }

    pub(crate) fn devices(&self) -> BTreeSet<DeviceId> {
        self.replica.state().membership.devices().map(DeviceId::of_key).collect()
    }

    /// One more record, where the rules take it. Answers the devices that it added.
    pub(crate) fn take(&mut self, record: Record, context: &Context<'_>) -> Result<Vec<DeviceId>, Refusal> {
        let before = self.devices();
        self.records.push(self.replica.take(record, context)?);
        self.note_who_went(&before, context.now);
        Ok(self.devices().difference(&before).copied().collect())
    }

    /// After a record: which of those who were there before it are gone, and which may not read on.
    fn note_who_went(&mut self, before: &BTreeSet<DeviceId>, now: u64) {
        let (state, here) = (self.replica.state(), self.devices());
        let seq = state.position.seq;
        self.removed.extend(before.difference(&here).map(|gone| (*gone, seq)));
        for device in before.union(&here) {
            if state.may_read(*device, now) {
                self.last_read.remove(device);
            } else {
                self.last_read.entry(*device).or_insert(seq);
            }
        }
    }
}

impl Clone for ScopeChain {
    fn clone(&self) -> Self {
        let replica = Replica::restore(&self.replica.snapshot()).unwrap();
        Self {
            replica,
            records: self.records.clone(),
            removed: self.removed.clone(),
            last_read: self.last_read.clone(),
        }
    }
}

/// The server of one municipality. A clone is a second history that begins here: how a home lies.
#[derive(Clone)]
pub struct ModelHome {
    pub number: u16,
    /// What a lying home signs with, too.
    pub key: SigningKey,
    /// Municipalities that this one has added.
    pub peers: Vec<MunicipalityKey>,
    pub now: u64,
    pub accounts: BTreeMap<PersonId, Account>,
    pub(crate) devices: BTreeMap<DeviceId, PersonId>,
    pub(crate) gone: BTreeSet<DeviceId>,
    pub(crate) tickets: BTreeMap<Hash, Ticket>,
    pub units: BTreeMap<UnitId, Unit>,
    pub mail: BTreeMap<DeviceId, Vec<MailItem>>,
    pub packages: BTreeMap<DeviceId, Vec<Signed<KeyPackageOffer>>>,
    /// Every byte that clients have sent.
    pub heard: Vec<u8>,
    pub scopes: BTreeMap<ScopeId, ScopeChain>,
    pub checkpoints: crate::model::checkpoints::Checkpoints,
    pub attachments: crate::model::attachments::Attachments,
    pub next_mail: u64,
    /// Frames for devices whose stream is open.
    pub open: BTreeMap<DeviceId, Vec<ServerFrame>>,
    pub(crate) live: BTreeSet<(DeviceId, ScopeId)>,
    /// Devices that the commits of the bundle at hand added, by scope.
    pub(crate) added: BTreeMap<ScopeId, Vec<DeviceId>>,
    /// Scopes that have left, and whose they are now.
    pub(crate) tombstones: BTreeMap<ScopeId, Signed<Tombstone>>,
    pub(crate) transfers: Transfers,
    /// Every bundle that was handed in, and what came of it.
    pub answered: Vec<Answered>,
    pub storage: crate::model::restored::Storage,
    /// The newest time that it has put to anything.
    pub stamped: u64,
    /// How many scopes a log may have here.
    pub log_scopes: usize,
}

/// A bundle and its verdict, for whoever wants to compare it with another home's.
#[derive(Clone)]
pub struct Answered {
    pub device: DeviceId,
    pub bundle: Bundle,
    pub at: u64,
    pub answer: Result<Vec<Accepted>, String>,
}

pub(crate) fn refused(code: &str) -> Reply {
    Reply::Problem(Problem { code: code.into(), detail: String::new(), scope: None })
}

impl ModelHome {
    pub fn new(number: u16) -> Self {
        Self {
            number,
            key: SigningKey::from_bytes(&[number as u8; 32]),
            peers: vec![],
            now: 1_800_000_000_000,
            accounts: BTreeMap::new(),
            devices: BTreeMap::new(),
            gone: BTreeSet::new(),
            tickets: BTreeMap::new(),
            units: BTreeMap::new(),
            mail: BTreeMap::new(),
            packages: BTreeMap::new(),
            heard: vec![],
            scopes: BTreeMap::new(),
            checkpoints: Default::default(),
            attachments: Default::default(),
            next_mail: 1,
            open: BTreeMap::new(),
            live: BTreeSet::new(),
            added: BTreeMap::new(),
            tombstones: BTreeMap::new(),
            transfers: Transfers::default(),
            answered: vec![],
            storage: Default::default(),
            stamped: 0,
            log_scopes: LOG_SCOPES,
        }
    }

    /// The same municipality with the same accounts, before its first scope.
    pub fn emptied(&self) -> Self {
        Self {
            scopes: BTreeMap::new(),
            live: BTreeSet::new(),
            added: BTreeMap::new(),
            tombstones: BTreeMap::new(),
            transfers: Transfers::default(),
            answered: vec![],
            stamped: 0,
            ..self.clone()
        }
    }

    pub fn municipality_key(&self) -> MunicipalityKey {
        MunicipalityKey { number: self.number, key: self.key.verifying_key().to_bytes() }
    }

    pub fn trusted(&self) -> Municipalities {
        Municipalities([vec![self.municipality_key()], self.peers.clone()].concat())
    }

    pub(crate) fn post(&mut self, device: DeviceId, mail: Mail) {
        let item = MailItem { id: self.next_mail, mail };
        self.next_mail += 1;
        self.mail.entry(device).or_default().push(item.clone());
        self.push(device, Reply::Mail(item));
    }

    pub(crate) fn push(&mut self, device: DeviceId, reply: Reply) {
        if let Some(frames) = self.open.get_mut(&device) {
            frames.push(ServerFrame { id: 0, reply });
        }
    }

    /// Whether its owner has ended it.
    pub fn has_ended(&self, device: DeviceId) -> bool {
        self.gone.contains(&device)
    }

    /// Whether the stream may open: the device is certified.
    pub fn connect(&mut self, device: DeviceId) -> bool {
        let Some(person) = self.devices.get(&device) else { return false };
        let unit = self.accounts[person].unit.and_then(|u| self.units.get(&u).cloned());
        self.greet(device, unit);
        true
    }

    /// A device of another municipality has signed in through its own server.
    pub fn connect_guest(&mut self, device: DeviceId) {
        assert!(!self.devices.contains_key(&device), "a guest has its account elsewhere");
        self.greet(device, None);
    }

    fn greet(&mut self, device: DeviceId, unit: Option<Unit>) {
        self.open.insert(device, vec![]);
        self.tell_peers(device);
        for item in self.mail.get(&device).cloned().unwrap_or_default() {
            self.push(device, Reply::Mail(item));
        }
        let key_packages = self.packages.get(&device).map_or(0, Vec::len) as u32;
        let scopes = self.scopes.keys().copied().filter(|s| self.serves(*s) && self.reads(device, *s)).collect();
        let greeting = Greeting { municipality: self.number, time: self.now, key_packages, unit, scopes };
        self.push(device, Reply::Welcome(greeting));
    }

    fn tell_peers(&mut self, device: DeviceId) {
        if self.peers.is_empty() || !self.devices.contains_key(&device) {
            return;
        }
        let name = |p: &MunicipalityKey| format!("kommune {}", p.number);
        let peers = self.peers.iter().map(|p| PeerKey { number: p.number, name: name(p), key: p.key }).collect();
        let keys = Signed::sign(&PeerKeys { by: self.number, peers }, &self.key);
        self.push(device, Reply::Peers(keys));
    }

    /// The operator adds another municipality while devices are connected.
    pub fn add_peer(&mut self, key: MunicipalityKey) {
        self.peers.push(key);
        let open: Vec<DeviceId> = self.open.keys().copied().collect();
        open.into_iter().for_each(|device| self.tell_peers(device));
    }

    pub fn disconnect(&mut self, device: DeviceId) {
        self.open.remove(&device);
        self.live.retain(|(d, _)| *d != device);
    }

    pub fn frame(&mut self, device: DeviceId, bytes: &[u8]) {
        self.heard.extend_from_slice(bytes);
        let frame: ClientFrame = decode(bytes).expect("the client's frames are well-formed");
        let reply = self.request(device, frame.request);
        if let Some(frames) = self.open.get_mut(&device) {
            frames.push(ServerFrame { id: frame.id, reply });
        }
    }

    fn request(&mut self, device: DeviceId, request: Request) -> Reply {
        let guests_too = matches!(
            request,
            Request::Submit(_)
                | Request::Sync(_)
                | Request::SyncAhead(_)
                | Request::History(_)
                | Request::PutCheckpointPart(_)
                | Request::PutCheckpoint(_)
                | Request::PutAttachment(_)
                | Request::PutAttachmentPart(_)
                | Request::GetAttachmentPart(_)
                | Request::FetchKeyPackages(_)
                | Request::Persons(_)
                | Request::Units
                | Request::Letters(_)
                | Request::Acknowledge(_)
                | Request::Return(_)
                | Request::Ping
        );
        if !guests_too && !self.devices.contains_key(&device) {
            return refused("not-allowed");
        }
        if let Some(ailing) = self.ails(&request) {
            return ailing;
        }
        match request {
            Request::Submit(bundle) => match self.submit(device, bundle) {
                Ok(accepted) => Reply::Submitted(accepted),
                Err(code) => refused(&code),
            },
            Request::SyncAhead(positions) => {
                let from = positions.into_iter().map(|p| self.skip_ahead(device, p)).collect();
                self.request(device, Request::Sync(from))
            }
            Request::History(after) => self.history(device, after),
            Request::PutCheckpointPart(part) => self.put_part(device, part),
            Request::PutCheckpoint(checkpoint) => self.put_checkpoint(device, checkpoint),
            Request::PutAttachment(manifest) => self.put_attachment(device, manifest),
            Request::PutAttachmentPart(part) => self.put_attachment_part(device, part),
            Request::GetAttachmentPart(place) => self.attachment_part(device, place),
            Request::Sync(positions) => {
                let mut synced = vec![];
                for position in positions {
                    synced.push(SyncedScope {
                        scope: position.scope,
                        position: self.send_from(device, position.scope, position.seq),
                    });
                }
                Reply::Synced(synced)
            }
            Request::PublishKeyPackages(offers) => {
                self.packages.entry(device).or_default().extend(offers);
                Reply::Done
            }
            Request::FetchKeyPackages(persons) => {
                let mut out = vec![];
                let devices: Vec<DeviceId> = persons.into_iter().flat_map(|p| self.devices_of(p)).collect();
                for device in devices {
                    let kept = self.packages.entry(device).or_default();
                    let once = kept.iter().position(|o| o.peek().unwrap().last_resort == Permit::No);
                    match once {
                        Some(at) => out.push(kept.remove(at)),
                        None => out.extend(kept.first().cloned()),
                    }
                }
                Reply::KeyPackages(out)
            }
            Request::Persons(persons) => {
                Reply::Persons(persons.iter().filter_map(|p| self.accounts.get(p)).map(|a| a.record.clone()).collect())
            }
            Request::Units => Reply::Units(self.units.values().cloned().collect()),
            Request::Letters(letters) => {
                let strangers = letters.iter().any(|l| !self.devices.contains_key(&l.to));
                if strangers {
                    return refused("unknown-recipient");
                }
                letters.into_iter().for_each(|l| self.post(l.to, Mail::Letter(l.clone())));
                Reply::Done
            }
            Request::Acknowledge(ids) => {
                self.mail.entry(device).or_default().retain(|m| !ids.contains(&m.id));
                Reply::Done
            }
            Request::OfferCode(offer) => {
                let offer = offer.peek().unwrap();
                let inviter = Some(self.devices[&device]);
                self.tickets.insert(offer.ticket, Ticket { kind: offer.kind, unit: offer.unit, inviter });
                Reply::Done
            }
            Request::CertifyDevice(certified) => {
                let person = self.devices[&device];
                let inside = certified.certificate.peek().unwrap();
                self.devices.insert(DeviceId::of_key(&inside.device_key), person);
                let record = DeviceRecord {
                    certificate: certified.certificate.clone(),
                    letter_key: certified.claim.peek().unwrap().letter_key,
                };
                self.accounts.get_mut(&person).unwrap().record.devices.push(record);
                Reply::Done
            }
            Request::CertifyEmployee(certificate) => {
                let person = certificate.peek().unwrap().person;
                self.accounts.get_mut(&person).unwrap().record.employee = Some(certificate);
                Reply::Done
            }
            Request::AddUnit(new) => {
                let leader_code = self.add_unit(&new.name, &new.kind);
                Reply::UnitAdded(AddedUnit { unit: *self.units.keys().last().unwrap(), leader_code })
            }
            Request::RemoveDevice(DeviceRemoval { device: gone, lost }) => {
                let reads = |device: DeviceId, chain: &ScopeChain| chain.replica.state().may_read(device, self.now);
                let lacks = |other: DeviceId| self.scopes.values().any(|c| reads(gone, c) && !reads(other, c));
                let person = self.devices[&device];
                let mut others = self.devices.iter().filter(|(id, of)| **id != gone && **of == person);
                let needed = if gone == device { others.all(|(id, _)| lacks(*id)) } else { lacks(device) };
                if needed && lost == Permit::No {
                    return refused("device-needed");
                }
                if let Some(person) = self.devices.remove(&gone) {
                    self.gone.insert(gone);
                    let kept = |r: &DeviceRecord| DeviceId::of_key(&r.certificate.peek().unwrap().device_key) != gone;
                    self.accounts.get_mut(&person).unwrap().record.devices.retain(kept);
                }
                Reply::Done
            }
            Request::Return(part) => self.give_back(device, part),
            Request::Ping => Reply::Done,
            Request::Relay(_) => refused("unknown-peer"),
            Request::PrepareTransfer(_)
            | Request::CommitTransfer(_)
            | Request::HoldTransfer(_)
            | Request::AbortTransfer(_)
            | Request::Activate(_)
            | Request::Release(_) => refused("not-allowed"),
        }
    }
}
