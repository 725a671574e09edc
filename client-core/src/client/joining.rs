//! How people and devices come: codes given and used, claims proved under a code's secret, certificates
//! issued on them (design `protocol.md` 5).

use super::input::{Call, CallFailed, Invitation, Problem};
use super::me::Me;
use super::people::{self, Trust};
use super::post::{OneDevice, OutLetter};
use super::{Answer, Client};
use crate::rows::Space;
use aes_gcm::aead::{Aead, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce};
use ed25519_dalek::SigningKey;
use serde_json::json;
use stafett_protocol::code::{Code, Proof, key_hash, proof, proof_holds, ticket_hash};
use stafett_protocol::codec::{TlsDeserialize, TlsSerialize, TlsSize, decode, encode};
use stafett_protocol::consent::{EmployeeCertificate, Permit};
use stafett_protocol::credential::{DeviceCertificate, PersonCertificate, PersonKind, letter_key_hash};
use stafett_protocol::ids::{DeviceId, PersonId};
use stafett_protocol::letter::{BundledRow, Content, DeviceBundle, Employment, NamedPerson, Opened};
use stafett_protocol::limits;
use stafett_protocol::signed::Signed;
use stafett_protocol::wire::{
    CertifiedDevice, CodeKind, CodeOffer, DeviceClaim, JoinClaim, JoinNotice, JoinReply, JoinRequest, PersonJoin,
    Request,
};

/// A code this device has given out.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub(super) struct Invite {
    pub code: String,
    pub kind: CodeKind,
    pub may_hold: Permit,
    pub may_act: Permit,
    pub expires_at: u64,
    /// Who came by it.
    pub person: Option<PersonId>,
}

fn invite_key(ticket: &[u8; 16]) -> Vec<u8> {
    let mut key = b"invite/".to_vec();
    key.extend_from_slice(ticket);
    key
}

fn own_device_key(device: DeviceId) -> Vec<u8> {
    let mut key = b"device/".to_vec();
    key.extend_from_slice(&device.0);
    key
}

fn name_cipher(secret: &[u8; 16], ticket: &[u8; 16]) -> Aes256Gcm {
    Aes256Gcm::new(&proof(secret, Proof::NameKey, ticket, &[]).into())
}

/// The joiner's name for the inviter alone. One name is sealed under one code's key, so the nonce is fixed.
fn seal_name(secret: &[u8; 16], ticket: &[u8; 16], name: &str) -> Vec<u8> {
    name_cipher(secret, ticket).encrypt(&Nonce::default(), name.as_bytes()).unwrap_or_default()
}

fn open_name(secret: &[u8; 16], ticket: &[u8; 16], sealed: &[u8]) -> String {
    let plain = name_cipher(secret, ticket).decrypt(&Nonce::default(), sealed).unwrap_or_default();
    String::from_utf8(plain).unwrap_or_default().chars().filter(|c| !c.is_control()).take(120).collect()
}

fn checked_name(name: &str) -> Result<String, Problem> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > 120 || name.chars().any(char::is_control) {
        return Err(Problem::caller("name", "give the name people know you by, at most 120 letters"));
    }
    Ok(name.to_owned())
}

impl Client {
    /// First device of a person: keys are made here, the claim goes to the server in one call.
    pub(super) fn join(&mut self, code: &str, name: String) -> Result<(), Problem> {
        let code = self.fresh_code(code)?;
        if code.person.is_some() {
            return Err(Problem::caller(
                "device-code",
                "this code is for a further device of someone who has joined; use device accept",
            ));
        }
        let name = checked_name(&name)?;
        let (person_secret, device_secret, letter_seed) = (self.random(), self.random(), self.random());
        let mut me = Me::create(&code, name, [0; 32], Some(person_secret), device_secret, &letter_seed)?;
        let person_key = me.person_public()?;
        let certificate = DeviceCertificate {
            person: me.person,
            device_key: me.device_public(),
            letter_key: letter_key_hash(me.letter_public.as_slice()),
            issued_at: self.now,
        };
        let certificate = Signed::sign(&certificate, &me.person_key()?);
        me.device_certificate = Some(certificate.clone());
        let claim = JoinClaim {
            ticket: code.ticket,
            person_key,
            device_key: me.device_public(),
            device: certificate,
            letter_key: me.letter_public.clone(),
            proof: code.secret.map_or([0; 32], |s| proof(&s, Proof::Person, &code.ticket, &[&person_key])),
            sealed_name: code.secret.map_or_else(Vec::new, |s| seal_name(&s, &code.ticket, &me.name)).into(),
        };
        let claim = Signed::sign(&claim, &me.device_key());
        self.call = Some(Call {
            url: code.url.clone(),
            ca: code.ca,
            path: "/v1/join",
            body: encode(&JoinRequest::Person(PersonJoin { claim, key_packages: vec![] })),
        });
        self.start_account(me, &code);
        Ok(())
    }

    /// A further device: asks the person's first device, through the server, to be certified.
    pub(super) fn device_accept(&mut self, code: &str, name: String) -> Result<(), Problem> {
        let code = self.fresh_code(code)?;
        let (Some(person), Some(secret)) = (code.person, code.secret) else {
            return Err(Problem::caller("join-code", "this code is for a new person; use join"));
        };
        let name = if name.trim().is_empty() { String::new() } else { checked_name(&name)? };
        let (device_secret, letter_seed) = (self.random(), self.random());
        let me = Me::create(&code, name, [0; 32], None, device_secret, &letter_seed)?;
        let letter_hash = letter_key_hash(me.letter_public.as_slice());
        let claim = DeviceClaim {
            ticket: code.ticket,
            person,
            device_key: me.device_public(),
            letter_key: me.letter_public.clone(),
            proof: proof(&secret, Proof::Device, &code.ticket, &[&me.device_public(), &letter_hash.0]),
            sealed_name: seal_name(&secret, &code.ticket, &me.name).into(),
            key_packages: vec![],
        };
        let claim = Signed::sign(&claim, &me.device_key());
        self.call = Some(Call {
            url: code.url.clone(),
            ca: code.ca,
            path: "/v1/join",
            body: encode(&JoinRequest::Device(claim)),
        });
        self.start_account(me, &code);
        Ok(())
    }

    fn fresh_code(&self, text: &str) -> Result<Code, Problem> {
        if self.me.is_some() {
            return Err(Problem::rule(
                "home-in-use",
                "this home belongs to someone already; use another --home for another person or device",
            ));
        }
        Code::from_text(text).map_err(|e| Problem::caller("code", e.to_string()))
    }

    /// Keeps the keys before the call goes out: an answer that is lost can be asked for again with them.
    fn start_account(&mut self, me: Me, code: &Code) {
        self.table.write(Space::State, b"joining", encode(code));
        self.table.write(Space::State, b"joining/me", encode(&me));
    }

    pub(super) fn join_answered(&mut self, reply: Result<Vec<u8>, CallFailed>) -> Answer {
        let stored = |key: &[u8]| self.table.read(Space::State, key).map(<[u8]>::to_vec).unwrap_or_default();
        let damaged = |e: stafett_protocol::codec::Malformed| Problem::data("server-reply", e.to_string());
        let code: Code = decode(&stored(b"joining")).map_err(damaged)?;
        let mut me: Me = decode(&stored(b"joining/me")).map_err(damaged)?;
        self.table.delete(Space::State, b"joining");
        self.table.delete(Space::State, b"joining/me");
        let body = reply.map_err(|failed| match failed {
            CallFailed::Unreachable(why) => {
                Problem { blame: super::input::Blame::Net, ..Problem::rule("unreachable", why) }
            }
            CallFailed::Refused { code, detail } => Problem::rule(&code, detail),
        })?;
        let reply: JoinReply = decode(&body).map_err(damaged)?;
        if key_hash(&reply.municipality_key) != code.municipality_key || reply.municipality != code.municipality {
            return Err(Problem::rule(
                "wrong-municipality",
                "the server is not the one that the code names; ask for a new code",
            ));
        }
        me.municipality.key = reply.municipality_key;
        me.unit = reply.unit;
        if let Some(signed) = reply.certificate {
            let certificate =
                signed.verify(&reply.municipality_key).map_err(|e| Problem::data("server-reply", e.to_string()))?;
            if certificate.person != me.person || certificate.person_key != me.person_public()? {
                return Err(Problem::rule("wrong-certificate", "the server certified another key than ours"));
            }
            me.person_certificate = Some(signed);
            self.table.write(Space::State, &own_device_key(me.device()), me.name.clone().into_bytes());
        }
        me.save(&mut self.table);
        let unit = me.unit.as_ref().map(|u| u.unit.to_string());
        let role = me.kind().map(kind_word);
        let answer =
            json!({"person": me.person.to_string(), "device": me.device().to_string(), "unit": unit, "role": role});
        self.me = Some(me);
        Ok(answer)
    }

    fn offer(&mut self, kind: CodeKind, may: (bool, bool)) -> Result<String, Problem> {
        let (ticket, secret) = (self.random(), self.random());
        let me = self.me()?;
        let expires_at = self.now + limits::CODE_MAX_MILLIS;
        let unit = me.identity()?.unit();
        let code = Code {
            municipality: me.number(),
            url: me.url.clone(),
            ca: me.ca,
            municipality_key: key_hash(&me.municipality.key),
            ticket,
            secret: Some(secret),
            inviter: key_hash(&me.person_public()?),
            person: (kind == CodeKind::Device).then_some(me.person),
        };
        let in_unit = matches!(kind, CodeKind::Person(PersonKind::Employee));
        let offer = CodeOffer { ticket: ticket_hash(&ticket), kind, unit: unit.filter(|_| in_unit), expires_at };
        let offer = Signed::sign(&offer, &me.device_key());
        let text = code.to_text();
        let invite = Invite {
            code: text.clone(),
            kind,
            may_hold: may.0.into(),
            may_act: may.1.into(),
            expires_at,
            person: None,
        };
        self.table.write(Space::State, &invite_key(&ticket), encode(&invite));
        self.queue_request(&Request::OfferCode(offer));
        Ok(text)
    }

    pub(super) fn device_link(&mut self) -> Answer {
        let code = self.offer(CodeKind::Device, (false, false))?;
        Ok(json!({"code": code}))
    }

    pub(super) fn invite(&mut self, invitation: &Invitation) -> Answer {
        let kind = self.me()?.kind().ok_or_else(|| Problem::rule("not-certified", "sync first"))?;
        let (wanted, may) = match invitation {
            Invitation::Employee { may_hold, may_act } => (PersonKind::Employee, (*may_hold, *may_act)),
            Invitation::Guardian => (PersonKind::Guardian, (false, false)),
            Invitation::Child => (PersonKind::Child, (false, false)),
        };
        let allowed = match wanted {
            PersonKind::Employee => kind == PersonKind::Leader,
            _ => matches!(kind, PersonKind::Employee | PersonKind::Leader | PersonKind::Guardian),
        };
        if !allowed {
            return Err(Problem::rule(
                "not-yours",
                "a leader invites employees; employees and guardians invite guardians and children",
            ));
        }
        let code = self.offer(CodeKind::Person(wanted), may)?;
        Ok(json!({"code": code}))
    }

    pub(super) fn invite_list(&mut self) -> Answer {
        let now = self.now;
        let invites: Vec<_> = self
            .table
            .scan(Space::State, b"invite/")
            .filter_map(|(_, value)| decode::<Invite>(value).ok())
            .map(|i| {
                let state = if i.person.is_some() {
                    "used"
                } else if now >= i.expires_at {
                    "expired"
                } else {
                    "open"
                };
                json!({"code": i.code, "state": state, "person": i.person.map(|p| p.to_string())})
            })
            .collect();
        Ok(json!({"invites": invites}))
    }

    pub(super) fn keep_invite(&mut self, ticket: &[u8; 16], invite: &Invite) {
        self.table.write(Space::State, &invite_key(ticket), encode(invite));
    }

    fn invite_of(&self, ticket: &[u8; 16]) -> Result<(Invite, [u8; 16]), Problem> {
        let unknown = || Problem::rule("unknown-code", "somebody used a code that this device does not know");
        let invite: Invite =
            self.table.read(Space::State, &invite_key(ticket)).and_then(|b| decode(b).ok()).ok_or_else(unknown)?;
        let secret = Code::from_text(&invite.code).ok().and_then(|c| c.secret).ok_or_else(unknown)?;
        Ok((invite, secret))
    }

    /// Somebody used our code: the proof under its secret authenticates the key, whatever the server says.
    pub(super) fn joined(&mut self, notice: &JoinNotice) -> Result<(), Problem> {
        let forged = |e: &dyn core::fmt::Display| {
            Problem::rule("forged-join", format!("somebody stood between us and the invited person: {e}"))
        };
        let claim = notice.claim.peek().map_err(|e| forged(&e))?;
        notice.claim.verify(&claim.device_key).map_err(|e| forged(&e))?;
        let certificate = notice.certificate.verify(&self.me()?.municipality.key).map_err(|e| forged(&e))?;
        let (mut invite, secret) = self.invite_of(&claim.ticket)?;
        if !proof_holds(&claim.proof, &secret, Proof::Person, &claim.ticket, &[&claim.person_key]) {
            return Err(forged(&"the proof does not hold"));
        }
        if certificate.person_key != claim.person_key || invite.kind != CodeKind::Person(certificate.kind) {
            return Err(forged(&"the certificate is for another key or role"));
        }
        if invite.person.is_some_and(|p| p != certificate.person) {
            return Err(forged(&"the code was used before"));
        }
        let name = open_name(&secret, &claim.ticket, claim.sealed_name.as_slice());
        people::believe(&mut self.table, &certificate, &name, Trust::Authenticated)?;
        invite.person = Some(certificate.person);
        self.keep_invite(&claim.ticket, &invite);
        if certificate.kind == PersonKind::Employee {
            self.employ(&certificate, &invite)?;
        } else {
            // A greeting, so that the invited person pins our key by the code's hash of it.
            self.write_letter(
                certificate.person,
                Content::Introduction(stafett_protocol::letter::Introduction {
                    persons: vec![],
                    municipalities: vec![],
                }),
            );
        }
        Ok(())
    }

    fn employ(&mut self, certificate: &PersonCertificate, invite: &Invite) -> Result<(), Problem> {
        let me = self.me()?;
        let unit = me.unit.clone().ok_or_else(|| Problem::rule("no-unit", "only a leader of a unit employs"))?;
        let employee = EmployeeCertificate {
            unit: unit.unit,
            person: certificate.person,
            person_key: certificate.person_key,
            may_hold: invite.may_hold,
            may_act: invite.may_act,
            expires_at: self.now + limits::CONSENT_MAX_MILLIS,
        };
        let employee = Signed::sign(&employee, &me.person_key()?);
        let colleagues = self.named(|p| p.unit == Some(unit.unit) && p.person != certificate.person);
        if let Some(mut pin) = people::pin(&self.table, certificate.person) {
            pin.employee = Some(employee.clone());
            people::save(&mut self.table, &pin);
        }
        self.queue_request(&Request::CertifyEmployee(employee.clone()));
        let employment = Employment { unit: unit.unit, unit_name: unit.name, certificate: employee, colleagues };
        self.write_letter(certificate.person, Content::Employment(employment));
        Ok(())
    }

    pub(super) fn named(&self, which: impl Fn(&people::Pin) -> bool) -> Vec<NamedPerson> {
        people::pins(&self.table)
            .into_iter()
            .filter(|p| which(p) && p.trust.counts())
            .map(|p| NamedPerson { person: p.person, person_key: p.person_key, name: p.name })
            .collect()
    }

    pub(super) fn take_employment(&mut self, from: &PersonCertificate, employment: &Employment) -> Result<(), Problem> {
        let refused = |e: &dyn core::fmt::Display| Problem::rule("employment", e.to_string());
        let certificate = employment.certificate.verify(&from.person_key).map_err(|e| refused(&e))?;
        let me = self.me()?;
        if certificate.person != me.person || from.kind != PersonKind::Leader || from.unit != Some(certificate.unit) {
            return Err(refused(&"it is not from the leader of this unit to us"));
        }
        if let Some(me) = &mut self.me {
            me.employee = Some(employment.certificate.clone());
            me.save(&mut self.table);
        }
        if people::pin(&self.table, from.person).is_some_and(|p| p.trust.counts()) {
            employment.colleagues.iter().for_each(|p| self.introduce(p));
        }
        Ok(())
    }

    /// Somebody we trust names a person; the key must still be certified when we meet it.
    pub(super) fn introduce(&mut self, person: &NamedPerson) {
        match people::pin(&self.table, person.person) {
            Some(mut pin) if pin.person_key == person.person_key => {
                pin.trust = pin.trust.max(Trust::Introduced);
                if pin.name.is_empty() {
                    pin.name.clone_from(&person.name);
                }
                people::save(&mut self.table, &pin);
            }
            Some(_) => self
                .report(&Problem::rule("key-changed", "somebody was introduced with another key than the one known")),
            None => {
                let pin = people::Pin {
                    person: person.person,
                    person_key: person.person_key,
                    kind: PersonKind::Guardian,
                    unit: None,
                    name: person.name.clone(),
                    trust: Trust::Introduced,
                    employee: None,
                    devices: vec![],
                };
                people::save(&mut self.table, &pin);
                self.ask_persons(&[person.person]);
            }
        }
    }

    /// A new device of ours asks: the proof under the code's secret is its authentication.
    pub(super) fn device_asks(&mut self, signed: &Signed<DeviceClaim>) -> Result<(), Problem> {
        let forged = |e: &dyn core::fmt::Display| {
            Problem::rule("forged-device", format!("somebody tried to add a device to your account: {e}"))
        };
        let claim = signed.peek().map_err(|e| forged(&e))?;
        signed.verify(&claim.device_key).map_err(|e| forged(&e))?;
        let (mut invite, secret) = self.invite_of(&claim.ticket)?;
        let letter_hash = letter_key_hash(claim.letter_key.as_slice());
        let proved =
            proof_holds(&claim.proof, &secret, Proof::Device, &claim.ticket, &[&claim.device_key, &letter_hash.0]);
        let me = self.me()?;
        if !proved || invite.kind != CodeKind::Device || claim.person != me.person || invite.person.is_some() {
            return Err(forged(&"the proof does not hold, or the code was used before"));
        }
        let certificate = DeviceCertificate {
            person: me.person,
            device_key: claim.device_key,
            letter_key: letter_hash,
            issued_at: self.now,
        };
        let certificate = Signed::sign(&certificate, &me.person_key()?);
        let device = DeviceId::of_key(&claim.device_key);
        let bundle = self.device_bundle(&certificate)?;
        invite.person = Some(claim.person);
        self.keep_invite(&claim.ticket, &invite);
        let name = open_name(&secret, &claim.ticket, claim.sealed_name.as_slice());
        self.table.write(Space::State, &own_device_key(device), name.into_bytes());
        self.queue_request(&Request::CertifyDevice(CertifiedDevice {
            certificate,
            letter_key: claim.letter_key.clone(),
            key_packages: vec![],
        }));
        let to = OneDevice { device, letter_key: claim.letter_key };
        self.queue(
            "l",
            encode(&OutLetter { to: claim.person, device: Some(to), content: Content::DeviceBundle(bundle) }),
        );
        Ok(())
    }

    fn device_bundle(&self, certificate: &Signed<DeviceCertificate>) -> Result<DeviceBundle, Problem> {
        let me = self.me()?;
        let row = |space: Space, key: &[u8], value: &[u8]| BundledRow {
            space: space as u8,
            key: key.to_vec().into(),
            value: value.to_vec().into(),
        };
        let mut rows = vec![row(Space::Identity, b"device certificate", &encode(certificate))];
        if let Some(employee) = &me.employee {
            rows.push(row(Space::Identity, b"employee", &encode(employee)));
        }
        rows.extend(self.table.scan(Space::Pin, b"").map(|(key, value)| row(Space::Pin, key, value)));
        rows.extend(self.table.scan(Space::State, b"device/").map(|(key, value)| row(Space::State, key, value)));
        Ok(DeviceBundle {
            person_secret: me.person_secret.unwrap_or_default().to_vec().into(),
            name: me.name.clone(),
            rows,
        })
    }

    /// The first device's answer to ours: our person key, our certificate, the people it knows.
    pub(super) fn take_device_bundle(
        &mut self,
        from: &PersonCertificate,
        bundle: &DeviceBundle,
        opened: &Opened,
    ) -> Result<(), Problem> {
        let refused = |why: &str| Problem::rule("device-bundle", why);
        let me = self.me.as_mut().ok_or_else(|| refused("no account"))?;
        let by_inviter = key_hash(&from.person_key) == me.inviter && from.person == me.person;
        let secret: [u8; 32] = bundle.person_secret.as_slice().try_into().map_err(|_| refused("no key inside"))?;
        if !by_inviter
            || SigningKey::from_bytes(&secret).verifying_key().to_bytes() != from.person_key
            || me.person_secret.is_some()
        {
            return Err(refused("it is not from the device whose code was used"));
        }
        me.person_secret = Some(secret);
        me.person_certificate = Some(opened.from.person.clone());
        me.name.clone_from(&bundle.name);
        for row in &bundle.rows {
            let (key, value) = (row.key.as_slice(), row.value.as_slice());
            match (Space::from_number(row.space), key) {
                (Some(Space::Identity), b"device certificate") => me.device_certificate = decode(value).ok(),
                (Some(Space::Identity), b"employee") => me.employee = decode(value).ok(),
                (Some(space @ (Space::Pin | Space::State)), _) => self.table.write(space, key, value.to_vec()),
                _ => {}
            }
        }
        me.save(&mut self.table);
        me.identity().map(drop)
    }

    pub(super) fn device_list(&mut self) -> Answer {
        let me = self.me()?;
        let devices: Vec<_> = self
            .table
            .scan(Space::State, b"device/")
            .filter_map(|(key, name)| {
                let id = DeviceId(key.strip_prefix(b"device/")?.try_into().ok()?);
                Some(
                    json!({"device": id.to_string(), "name": String::from_utf8_lossy(name), "this": id == me.device()}),
                )
            })
            .collect();
        Ok(json!({"person": me.person.to_string(), "devices": devices}))
    }

    pub(super) fn own_devices(&self) -> Vec<DeviceId> {
        self.table
            .scan(Space::State, b"device/")
            .filter_map(|(key, _)| Some(DeviceId(key.strip_prefix(b"device/")?.try_into().ok()?)))
            .collect()
    }

    /// Ends a device of one's own: the server turns it away, and its leaves go with the next plan.
    pub(super) fn device_remove(&mut self, device: &str) -> Answer {
        let own = self.me()?.device();
        let id = people::unique("device", device, self.own_devices())?;
        if id == own {
            return Err(Problem::rule("own-device", "a device cannot remove itself; use another of your devices"));
        }
        self.table.delete(Space::State, &own_device_key(id));
        self.table.write(Space::State, &[b"gone/".as_slice(), &id.0].concat(), vec![]);
        self.queue_request(&Request::RemoveDevice(id));
        Ok(json!({"device": id.to_string()}))
    }

    pub(super) fn removed_devices(&self) -> Vec<DeviceId> {
        self.table
            .scan(Space::State, b"gone/")
            .filter_map(|(key, _)| Some(DeviceId(key.strip_prefix(b"gone/")?.try_into().ok()?)))
            .collect()
    }
}

/// The word for a kind of account in `cli.md`.
pub(super) fn kind_word(kind: PersonKind) -> &'static str {
    match kind {
        PersonKind::Employee => "employee",
        PersonKind::Leader => "leader",
        PersonKind::Guardian => "guardian",
        PersonKind::Child => "child",
        PersonKind::Administrator => "administrator",
    }
}

/// The row of a leader's code that the server has made for an administrator.
pub(super) fn leader_invite(code: &str, now: u64) -> Vec<u8> {
    encode(&Invite {
        code: code.to_owned(),
        kind: CodeKind::Person(PersonKind::Leader),
        may_hold: Permit::No,
        may_act: Permit::No,
        expires_at: now + limits::CODE_MAX_MILLIS,
        person: None,
    })
}
