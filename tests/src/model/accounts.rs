//! Who there is at a home in memory: codes given and used, accounts, and their devices.

use crate::model::home::ModelHome;
use stafett_protocol::code::{Code, key_hash, ticket_hash};
use stafett_protocol::codec::{decode, encode};
use stafett_protocol::credential::{DeviceRecord, PersonCertificate, PersonKind, PersonRecord};
use stafett_protocol::ids::{DeviceId, PersonId, UnitId};
use stafett_protocol::signed::Signed;
use stafett_protocol::wire::*;

#[derive(Clone)]
pub struct Account {
    pub record: PersonRecord,
    pub kind: PersonKind,
    pub unit: Option<UnitId>,
}

#[derive(Clone)]
pub(crate) struct Ticket {
    pub(super) kind: CodeKind,
    pub(super) unit: Option<UnitId>,
    pub(super) inviter: Option<PersonId>,
}

impl ModelHome {
    pub fn add_unit(&mut self, name: &str, kind: &str) -> String {
        let n = self.units.len() as u8 + 1 + (self.number % 8) as u8 * 16;
        let unit = UnitId([n; 16]);
        self.units.insert(unit, Unit { unit, name: name.into(), kind: kind.into(), leader: None });
        self.own_code(n, PersonKind::Leader, Some(unit))
    }

    /// A code of the municipality itself: for a unit's leader, or for an administrator.
    pub fn own_code(&mut self, n: u8, kind: PersonKind, unit: Option<UnitId>) -> String {
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
        let kind = CodeKind::Person(kind);
        self.tickets.insert(ticket_hash(&code.ticket), Ticket { kind, unit, inviter: None });
        code.to_text()
    }

    pub(super) fn devices_of(&self, person: PersonId) -> Vec<DeviceId> {
        self.devices.iter().filter(|(_, p)| **p == person).map(|(d, _)| *d).collect()
    }

    pub fn join(&mut self, body: &[u8]) -> Result<Vec<u8>, String> {
        self.heard.extend_from_slice(body);
        if self.storage.is_old || self.storage.is_full {
            return Err("it stores or signs nothing now".into());
        }
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
}
