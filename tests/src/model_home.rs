//! A home in memory: the real `Replica::judge`, with accounts, mailboxes and key packages beside it in plain
//! maps. No TLS, no database: for tests of the client's logic, and the seed of the simulation.

use ed25519_dalek::SigningKey;
use stafett_protocol::code::{Code, key_hash, ticket_hash};
use stafett_protocol::codec::{decode, encode};
use stafett_protocol::consent::Permit;
use stafett_protocol::credential::{
    DeviceRecord, Municipalities, MunicipalityKey, PersonCertificate, PersonKind, PersonRecord,
};
use stafett_protocol::event::{Body, Receipt, Record};
use stafett_protocol::federation::{PeerKey, PeerKeys};
use stafett_protocol::ids::{DeviceId, Hash, PersonId, ScopeId, UnitId};
use stafett_protocol::policy::Context;
use stafett_protocol::replica::{self, Replica};
use stafett_protocol::signed::Signed;
use stafett_protocol::wire::*;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone)]
pub struct Account {
    pub record: PersonRecord,
    pub kind: PersonKind,
    pub unit: Option<UnitId>,
}

#[derive(Clone)]
struct Ticket {
    kind: CodeKind,
    unit: Option<UnitId>,
    inviter: Option<PersonId>,
}

pub struct ScopeChain {
    pub replica: Replica,
    pub records: Vec<Record>,
    /// Devices that were removed, with the record that removed them.
    removed: BTreeMap<DeviceId, u64>,
}

impl Clone for ScopeChain {
    fn clone(&self) -> Self {
        let replica = Replica::restore(&self.replica.snapshot()).unwrap();
        Self { replica, records: self.records.clone(), removed: self.removed.clone() }
    }
}

/// The server of one municipality. A clone is a second history that begins here: how a home lies.
#[derive(Clone)]
pub struct ModelHome {
    pub number: u16,
    key: SigningKey,
    /// Municipalities that this one has added.
    pub peers: Vec<MunicipalityKey>,
    pub now: u64,
    pub accounts: BTreeMap<PersonId, Account>,
    devices: BTreeMap<DeviceId, PersonId>,
    tickets: BTreeMap<Hash, Ticket>,
    pub units: BTreeMap<UnitId, Unit>,
    pub mail: BTreeMap<DeviceId, Vec<MailItem>>,
    packages: BTreeMap<DeviceId, Vec<Signed<KeyPackageOffer>>>,
    pub scopes: BTreeMap<ScopeId, ScopeChain>,
    next_mail: u64,
    /// Frames for devices whose stream is open.
    pub open: BTreeMap<DeviceId, Vec<ServerFrame>>,
    live: BTreeSet<(DeviceId, ScopeId)>,
    /// Devices that the last commit added.
    added: Vec<DeviceId>,
}

fn refused(code: &str) -> Reply {
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
            tickets: BTreeMap::new(),
            units: BTreeMap::new(),
            mail: BTreeMap::new(),
            packages: BTreeMap::new(),
            scopes: BTreeMap::new(),
            next_mail: 1,
            open: BTreeMap::new(),
            live: BTreeSet::new(),
            added: vec![],
        }
    }

    pub fn municipality_key(&self) -> MunicipalityKey {
        MunicipalityKey { number: self.number, key: self.key.verifying_key().to_bytes() }
    }

    pub fn trusted(&self) -> Municipalities {
        Municipalities([vec![self.municipality_key()], self.peers.clone()].concat())
    }

    pub fn add_unit(&mut self, name: &str, kind: &str) -> String {
        let n = self.units.len() as u8 + 1 + (self.number % 8) as u8 * 16;
        let unit = UnitId([n; 16]);
        self.units.insert(unit, Unit { unit, name: name.into(), kind: kind.into(), leader: None });
        let key = self.key.verifying_key().to_bytes();
        let code = Code {
            municipality: self.number,
            url: "https://model".into(),
            ca: [0; 32],
            municipality_key: key_hash(&key),
            ticket: [n; 16],
            secret: None,
            inviter: key_hash(&key),
            person: None,
        };
        let kind = CodeKind::Person(PersonKind::Leader);
        self.tickets.insert(ticket_hash(&code.ticket), Ticket { kind, unit: Some(unit), inviter: None });
        code.to_text()
    }

    fn post(&mut self, device: DeviceId, mail: Mail) {
        let item = MailItem { id: self.next_mail, mail };
        self.next_mail += 1;
        self.mail.entry(device).or_default().push(item.clone());
        self.push(device, Reply::Mail(item));
    }

    fn push(&mut self, device: DeviceId, reply: Reply) {
        if let Some(frames) = self.open.get_mut(&device) {
            frames.push(ServerFrame { id: 0, reply });
        }
    }

    fn devices_of(&self, person: PersonId) -> Vec<DeviceId> {
        self.devices.iter().filter(|(_, p)| **p == person).map(|(d, _)| *d).collect()
    }

    pub fn join(&mut self, body: &[u8]) -> Result<Vec<u8>, String> {
        let request: JoinRequest = decode(body).map_err(|e| e.to_string())?;
        let key = self.key.verifying_key().to_bytes();
        let reply =
            |certificate, unit| JoinReply { municipality: self.number, municipality_key: key, certificate, unit };
        match request {
            JoinRequest::Person(join) => {
                let claim = join.claim.peek().unwrap();
                join.claim.verify(&claim.device_key).map_err(|e| e.to_string())?;
                let ticket = self.tickets.remove(&ticket_hash(&claim.ticket)).ok_or("unknown code")?;
                let CodeKind::Person(kind) = ticket.kind else { return Err("device code".into()) };
                let person = PersonId::of_first_key(&claim.person_key);
                let certificate = PersonCertificate {
                    municipality: self.number,
                    person,
                    person_key: claim.person_key,
                    kind,
                    unit: ticket.unit,
                    issued_at: self.now,
                };
                let certificate = Signed::sign(&certificate, &self.key);
                let device = DeviceId::of_key(&claim.device_key);
                let record = PersonRecord {
                    certificate: certificate.clone(),
                    devices: vec![DeviceRecord {
                        certificate: claim.device.clone(),
                        letter_key: claim.letter_key.clone(),
                    }],
                    employee: None,
                };
                self.accounts.insert(person, Account { record, kind, unit: ticket.unit });
                self.devices.insert(device, person);
                if let (PersonKind::Leader, Some(unit)) = (kind, ticket.unit) {
                    self.units.get_mut(&unit).unwrap().leader = Some(person);
                }
                let unit = ticket.unit.and_then(|u| self.units.get(&u).cloned());
                let answer = encode(&reply(Some(certificate.clone()), unit));
                if let Some(inviter) = ticket.inviter {
                    for device in self.devices_of(inviter) {
                        let notice = JoinNotice { claim: join.claim.clone(), certificate: certificate.clone() };
                        self.post(device, Mail::Joined(notice));
                    }
                }
                Ok(answer)
            }
            JoinRequest::Device(claim) => {
                let inside = claim.peek().unwrap();
                self.tickets.remove(&ticket_hash(&inside.ticket)).ok_or("unknown code")?;
                let answer = encode(&reply(None, None));
                for device in self.devices_of(inside.person) {
                    self.post(device, Mail::DeviceAsks(claim.clone()));
                }
                Ok(answer)
            }
        }
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
        for item in self.mail.get(&device).cloned().unwrap_or_default() {
            self.push(device, Reply::Mail(item));
        }
        let key_packages = self.packages.get(&device).map_or(0, Vec::len) as u32;
        let name = |p: &MunicipalityKey| format!("kommune {}", p.number);
        let peers = self.peers.iter().map(|p| PeerKey { number: p.number, name: name(p), key: p.key }).collect();
        let peers = Some(Signed::sign(&PeerKeys { by: self.number, peers }, &self.key));
        let greeting = Greeting { municipality: self.number, time: self.now, key_packages, unit, peers };
        self.push(device, Reply::Welcome(greeting));
    }

    pub fn disconnect(&mut self, device: DeviceId) {
        self.open.remove(&device);
        self.live.retain(|(d, _)| *d != device);
    }

    pub fn frame(&mut self, device: DeviceId, bytes: &[u8]) {
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
                | Request::FetchKeyPackages(_)
                | Request::Persons(_)
                | Request::Units
                | Request::Letters(_)
                | Request::Acknowledge(_)
                | Request::Ping
        );
        if !guests_too && !self.devices.contains_key(&device) {
            return refused("not-allowed");
        }
        match request {
            Request::Submit(bundle) => match self.submit(device, bundle) {
                Ok(accepted) => Reply::Submitted(accepted),
                Err(code) => refused(&code),
            },
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
                    letter_key: certified.letter_key.clone(),
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
            Request::RemoveDevice(gone) => {
                self.devices.remove(&gone);
                Reply::Done
            }
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

    fn receipt(&self, scope: ScopeId, upto: u64) -> Signed<Receipt> {
        let chain = &self.scopes[&scope];
        let mut receipt = chain.replica.receipt();
        if receipt.position.seq != upto {
            let head =
                chain.records.iter().take_while(|r| r.seq <= upto).fold(Hash::default(), |h, r| r.head_after(&h));
            receipt.position = stafett_protocol::event::Position { seq: upto, head };
            receipt.time = chain.records[upto as usize - 1].time;
        }
        Signed::sign(&receipt, &self.key)
    }

    fn send_from(&mut self, device: DeviceId, scope: ScopeId, seq: u64) -> Option<stafett_protocol::event::Position> {
        let chain = self.scopes.get(&scope)?;
        if chain.replica.state().may_read(device, self.now) {
            let records: Vec<Record> = chain.records.iter().filter(|r| r.seq > seq).cloned().collect();
            let position = chain.replica.state().position;
            self.live.insert((device, scope));
            if !records.is_empty() {
                let receipt = self.receipt(scope, position.seq);
                self.push(device, Reply::Records(Records { scope, records, receipt }));
            }
            return Some(position);
        }
        let at = *chain.removed.get(&device)?;
        let record = chain.records[at as usize - 1].clone();
        let receipt = self.receipt(scope, at);
        self.push(device, Reply::Records(Records { scope, records: vec![record], receipt }));
        None
    }

    /// All or nothing, idempotent by (scope, device, counter).
    pub fn submit(&mut self, device: DeviceId, bundle: Bundle) -> Result<Vec<Accepted>, String> {
        let mut accepted = vec![];
        let again: Vec<(ScopeId, u64)> = bundle.envelopes.iter().filter_map(|e| self.stands(e)).collect();
        if again.len() == bundle.envelopes.len() && !again.is_empty() {
            for (scope, seq) in again {
                accepted.push(self.accepted(scope, seq));
            }
            return Ok(accepted);
        }
        self.now += 1;
        let before: Vec<(ScopeId, Option<Vec<u8>>, usize)> = bundle
            .envelopes
            .iter()
            .filter_map(|e| e.event.peek().ok())
            .map(|e| {
                (
                    e.scope,
                    self.scopes.get(&e.scope).map(|c| c.replica.snapshot()),
                    self.scopes.get(&e.scope).map_or(0, |c| c.records.len()),
                )
            })
            .collect();
        let mut seqs = vec![];
        for envelope in &bundle.envelopes {
            match self.take(envelope) {
                Ok(done) => seqs.push(done),
                Err(code) => {
                    for (scope, snapshot, records) in before {
                        match snapshot {
                            Some(s) => {
                                let chain = self.scopes.get_mut(&scope).unwrap();
                                chain.replica = Replica::restore(&s).unwrap();
                                chain.records.truncate(records);
                            }
                            None => {
                                self.scopes.remove(&scope);
                            }
                        }
                    }
                    return Err(code);
                }
            }
        }
        for (envelope, (scope, seq)) in bundle.envelopes.iter().zip(&seqs) {
            self.deliver(device, envelope, *scope, *seq);
            accepted.push(self.accepted(*scope, *seq));
        }
        for letter in bundle.letters {
            self.post(letter.to, Mail::Letter(letter));
        }
        Ok(accepted)
    }

    fn accepted(&self, scope: ScopeId, seq: u64) -> Accepted {
        let record = &self.scopes[&scope].records[seq as usize - 1];
        let counter = record.event.peek().unwrap().counter;
        Accepted { scope, counter, seq, time: record.time, receipt: self.receipt(scope, seq) }
    }

    fn stands(&self, envelope: &Envelope) -> Option<(ScopeId, u64)> {
        let event = envelope.event.peek().ok()?;
        let chain = self.scopes.get(&event.scope)?;
        let record = chain.records.iter().find(|r| r.event == envelope.event)?;
        Some((event.scope, record.seq))
    }

    fn take(&mut self, envelope: &Envelope) -> Result<(ScopeId, u64), String> {
        let event = envelope.event.peek().map_err(|_| "malformed")?;
        let trusted = self.trusted();
        let now = self.now;
        let refused = |r: stafett_protocol::policy::Refusal| r.code().to_owned();
        let Some(mut chain) = self.scopes.remove(&event.scope) else {
            let card = match &event.body {
                Body::Genesis(g) => g.card.and_then(|c| self.scopes.get(&c)).map(|c| c.replica.state()),
                _ => None,
            };
            let context = Context { now, home: self.number, trusted: &trusted, card };
            let record = Record { seq: 1, time: now, event: envelope.event.clone() };
            let (replica, judged) = replica::found(record, &context).map_err(refused)?;
            let records = vec![judged.record().clone()];
            self.scopes.insert(event.scope, ScopeChain { replica, records, removed: BTreeMap::new() });
            return Ok((event.scope, 1));
        };
        let card = chain.replica.state().card.and_then(|c| self.scopes.get(&c)).map(|c| c.replica.state());
        let context = Context { now, home: self.number, trusted: &trusted, card };
        let seq = chain.replica.state().position.seq + 1;
        let before: BTreeSet<DeviceId> = chain.replica.state().membership.devices().map(DeviceId::of_key).collect();
        let taken = chain.replica.take(Record { seq, time: now, event: envelope.event.clone() }, &context);
        if let Ok(record) = &taken {
            chain.records.push(record.clone());
            let after: BTreeSet<DeviceId> = chain.replica.state().membership.devices().map(DeviceId::of_key).collect();
            self.added = after.difference(&before).copied().collect();
            before.difference(&after).for_each(|gone| {
                chain.removed.insert(*gone, seq);
            });
        }
        self.scopes.insert(event.scope, chain);
        taken.map_err(refused)?;
        Ok((event.scope, seq))
    }

    fn deliver(&mut self, author: DeviceId, envelope: &Envelope, scope: ScopeId, seq: u64) {
        let chain = &self.scopes[&scope];
        let record = chain.records[seq as usize - 1].clone();
        let readers: Vec<DeviceId> =
            self.live.iter().filter(|(d, s)| *s == scope && *d != author).map(|(d, _)| *d).collect();
        let receipt = self.receipt(scope, seq);
        for device in readers {
            let reads = self.scopes[&scope].replica.state().may_read(device, self.now);
            let removed = self.scopes[&scope].removed.get(&device) == Some(&seq);
            if reads || removed {
                let records = vec![record.clone()];
                self.push(device, Reply::Records(Records { scope, records, receipt: receipt.clone() }));
            }
        }
        let Some(welcome) = &envelope.welcome else { return };
        for device in std::mem::take(&mut self.added) {
            self.post(device, Mail::Welcome(WelcomeMail { scope, seq, welcome: welcome.clone() }));
        }
    }
}
