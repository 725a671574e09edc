//! Codes given out, and what they bring: people whose keys are authenticated under the code's secret.

use crate::answer::{self, InviteState, Invites};
use crate::client::Client;
use crate::client::input::{Cause, Invitation, Problem};
use crate::client::people::{self, Trust};
use crate::client::stream::Sent;
use crate::rows::Space;
use aes_gcm::Nonce;
use aes_gcm::aead::Aead;
use stafett_protocol::code::{Code, Proof, key_hash, proof_holds, ticket_hash};
use stafett_protocol::codec::{Malformed, TlsDeserialize, TlsSerialize, TlsSize, decode, encode};
use stafett_protocol::consent::{EmployeeCertificate, Permit};
use stafett_protocol::credential::{PersonCertificate, PersonKind};
use stafett_protocol::ids::{PersonId, UnitId};
use stafett_protocol::letter::{Content, Employment, Introduction};
use stafett_protocol::limits;
use stafett_protocol::signed::Signed;
use stafett_protocol::wire::{AddedUnit, CodeKind, CodeOffer, JoinNotice, Request};

/// A code this device has given out.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub(crate) struct Invite {
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

/// The row of a leader's code that the server has made for an administrator.
fn leader_invite(code: &str, now: u64) -> Vec<u8> {
    encode(&Invite {
        code: code.to_owned(),
        kind: CodeKind::Person(PersonKind::Leader),
        may_hold: Permit::No,
        may_act: Permit::No,
        expires_at: now + limits::CODE_MAX_MILLIS,
        person: None,
    })
}

pub(crate) fn open_name(secret: &[u8; 16], ticket: &[u8; 16], sealed: &[u8]) -> String {
    let plain = crate::client::joining::codes::name_cipher(secret, ticket)
        .decrypt(&Nonce::default(), sealed)
        .unwrap_or_default();
    stafett_protocol::text::PERSON.shown(&String::from_utf8(plain).unwrap_or_default())
}

impl Client {
    pub(crate) fn offer(&mut self, kind: CodeKind, may: (bool, bool)) -> Result<String, Problem> {
        let (ticket, secret) = (self.random(), self.random());
        let me = self.me()?;
        let expires_at = self.home_now().saturating_add(limits::CODE_MAX_MILLIS);
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

    pub(crate) fn invite(&mut self, invitation: &Invitation) -> Result<answer::Code, Problem> {
        let kind = self.me()?.kind().ok_or_else(|| Problem::rule(Cause::NotCertified, "sync first"))?;
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
                Cause::NotYours,
                "a leader invites employees; employees and guardians invite guardians and children",
            ));
        }
        let code = self.offer(CodeKind::Person(wanted), may)?;
        Ok(answer::Code { code })
    }

    pub(crate) fn invite_list(&self) -> Invites {
        let now = self.home_now();
        let invites = self
            .table
            .scan(Space::State, b"invite/")
            .filter_map(|(key, value)| decode::<Invite>(value).ok().map(|i| (key, i)))
            .map(|(key, i)| {
                let state = if i.person.is_some() {
                    InviteState::Used
                } else if now >= i.expires_at {
                    InviteState::Expired
                } else {
                    InviteState::Open
                };
                // A leader's code lies under its unit, see `Client::unit_added`.
                let leader = i.kind == CodeKind::Person(PersonKind::Leader);
                let unit = key.strip_prefix(b"invite/").filter(|_| leader).map(stafett_protocol::ids::to_hex);
                answer::Invite { code: i.code, state, person: i.person.map(|p| p.to_string()), unit }
            })
            .collect();
        Invites { invites }
    }

    pub(crate) fn keep_invite(&mut self, ticket: &[u8; 16], invite: &Invite) {
        self.table.write(Space::State, &invite_key(ticket), encode(invite));
    }

    pub(crate) fn invite_of(&self, ticket: &[u8; 16]) -> Result<(Invite, [u8; 16]), Problem> {
        let unknown = || Problem::rule(Cause::UnknownCode, "somebody used a code that this device does not know");
        let invite: Invite =
            self.table.read(Space::State, &invite_key(ticket)).and_then(|b| decode(b).ok()).ok_or_else(unknown)?;
        let secret = Code::from_text(&invite.code).ok().and_then(|c| c.secret).ok_or_else(unknown)?;
        Ok((invite, secret))
    }

    /// Whether this code is not ours, and another device of ours may have drawn it.
    pub(crate) fn drew_another(&self, ticket: Result<[u8; 16], Malformed>) -> bool {
        ticket.is_ok_and(|ticket| self.invite_of(&ticket).is_err()) && self.own_devices().len() > 1
    }

    /// Somebody used our code: the proof under its secret authenticates the key, whatever the server says.
    pub(crate) fn joined(&mut self, notice: &JoinNotice) -> Result<(), Problem> {
        let forged = |e: &dyn core::fmt::Display| {
            Problem::rule(Cause::ForgedJoin, format!("somebody stood between us and the invited person: {e}"))
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
                Content::Introduction(Introduction { persons: vec![], municipalities: vec![] }),
            );
        }
        Ok(())
    }

    fn employ(&mut self, certificate: &PersonCertificate, invite: &Invite) -> Result<(), Problem> {
        let me = self.me()?;
        let unit = me.unit.clone().ok_or_else(|| Problem::rule(Cause::NoUnit, "only a leader of a unit employs"))?;
        let issued_at = self.time_of_word();
        let me = self.me()?;
        let employee = EmployeeCertificate {
            unit: unit.unit,
            person: certificate.person,
            person_key: certificate.person_key,
            may_hold: invite.may_hold,
            may_act: invite.may_act,
            issued_at,
            expires_at: self.home_now().saturating_add(limits::CONSENT_MAX_MILLIS),
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
        self.tell_colleagues(unit.unit, certificate.person);
        Ok(())
    }

    /// Whoever was in the unit before learns who has come: a log may be handed over to them.
    fn tell_colleagues(&mut self, unit: UnitId, newcomer: PersonId) {
        let persons = self.named(|p| p.person == newcomer);
        let colleagues = people::pins(&self.table).into_iter().filter(|p| p.unit == Some(unit) && p.employee.is_some());
        for colleague in colleagues.map(|p| p.person).filter(|p| *p != newcomer).collect::<Vec<_>>() {
            let introduction = Introduction { persons: persons.clone(), municipalities: vec![] };
            self.write_letter(colleague, Content::Introduction(introduction));
        }
    }

    pub(crate) fn take_employment(&mut self, from: &PersonCertificate, employment: &Employment) -> Result<(), Problem> {
        let refused = |e: &dyn core::fmt::Display| Problem::rule(Cause::Employment, e.to_string());
        let certificate = employment.certificate.verify(&from.person_key).map_err(|e| refused(&e))?;
        let me = self.me()?;
        let own_unit = me.identity()?.unit();
        if certificate.person != me.person
            || certificate.person_key != me.person_public()?
            || own_unit != Some(certificate.unit)
            || from.kind != PersonKind::Leader
            || from.unit != Some(certificate.unit)
        {
            return Err(refused(&"it is not from the leader of this unit to us"));
        }
        if let Some(me) = &mut self.me {
            me.employee = Some(employment.certificate.clone());
            me.save(&mut self.table);
        }
        if people::pin(&self.table, from.person).is_some_and(|p| p.trust >= Trust::Authenticated) {
            employment.colleagues.iter().for_each(|p| self.introduce(p, from.person));
        }
        Ok(())
    }

    pub(crate) fn unit_added(&mut self, row: &[u8], added: &AddedUnit) {
        self.row_done(row);
        let value = crate::client::joining::invitations::leader_invite(&added.leader_code, self.now);
        self.table.write(Space::State, &[b"invite/".as_slice(), &added.unit.0].concat(), value);
        let own = self.me.as_ref().map(crate::client::me::Me::number).unwrap_or_default();
        self.stream.send(own, Request::Units, Sent::Units);
    }
}
