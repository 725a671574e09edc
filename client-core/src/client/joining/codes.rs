//! How people and devices come: codes given and used, claims proved under a code's secret, certificates
//! issued on them (`docs/protocol.md` 12).

use crate::answer::{Answer as A, Joined};
use crate::client::input::{Call, CallFailed, Cause, Problem};
use crate::client::me::Me;
use crate::client::{Answer, Client};
use crate::rows::Space;
use aes_gcm::aead::{Aead, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce};
use stafett_protocol::code::{Code, Proof, Unread, key_hash, proof};
use stafett_protocol::codec::{decode, encode};
use stafett_protocol::credential::{DeviceCertificate, letter_key_hash};
use stafett_protocol::ids::PersonId;
use stafett_protocol::signed::Signed;
use stafett_protocol::text;
use stafett_protocol::wire::{DeviceClaim, JoinClaim, JoinReply, JoinRequest, PersonJoin};

/// The code that is being used, and the keys made for it, until the server has answered.
const JOINING: &[u8] = b"joining";
const JOINING_ME: &[u8] = b"joining/me";

pub(crate) fn name_cipher(secret: &[u8; 16], ticket: &[u8; 16]) -> Aes256Gcm {
    Aes256Gcm::new(&proof(secret, Proof::NameKey, ticket, &[]).into())
}

/// The joiner's name for the inviter alone. One name is sealed under one code's key, so the nonce is fixed.
fn seal_name(secret: &[u8; 16], ticket: &[u8; 16], name: &str) -> Vec<u8> {
    name_cipher(secret, ticket).encrypt(&Nonce::default(), name.as_bytes()).unwrap_or_default()
}

/// What of joining can be refused before there is a home at all: the code, and the name.
pub fn check_join(code: &str, name: &str) -> Result<(), Problem> {
    person_code(code)?;
    text::PERSON.take(name)?;
    Ok(())
}

/// The same for a further device.
pub fn check_accept(code: &str, name: &str) -> Result<(), Problem> {
    device_code(code)?;
    text::PERSON.take_some(name)?;
    Ok(())
}

fn read_code(text: &str) -> Result<Code, Problem> {
    Ok(Code::from_text(text)?)
}

/// A mistyped code is told by the group to look at.
impl From<Unread> for Problem {
    fn from(unread: Unread) -> Self {
        let nth = |group: usize| ("nth", group.to_string());
        let (code, values) = match &unread {
            Unread::Group { group, begins } => (Cause::CodeGroup, vec![nth(*group), ("begins", begins.clone())]),
            Unread::Cut { group } => (Cause::CodeCut, vec![nth(*group)]),
            Unread::Whole => (Cause::CodeWhole, vec![]),
            Unread::Beginning | Unread::Body(_) => (Cause::Code, vec![]),
        };
        Self { values, ..Self::caller(code, unread.to_string()) }
    }
}

fn person_code(text: &str) -> Result<Code, Problem> {
    let code = read_code(text)?;
    match code.person {
        None => Ok(code),
        Some(_) => Err(Problem::caller(
            Cause::DeviceCode,
            "this code is for a further device of someone who has joined; use device accept",
        )),
    }
}

/// The code, whose device it is for, and the secret.
fn device_code(text: &str) -> Result<(Code, PersonId, [u8; 16]), Problem> {
    let code = read_code(text)?;
    match (code.person, code.secret) {
        (Some(person), Some(secret)) => Ok((code, person, secret)),
        _ => Err(Problem::caller(Cause::JoinCode, "this code is for a new person; use join")),
    }
}

impl Client {
    /// First device of a person: keys are made here, the claim goes to the server in one call.
    pub(crate) fn join(&mut self, code: &str, name: String) -> Result<(), Problem> {
        self.check_fresh()?;
        let code = person_code(code)?;
        let name = text::PERSON.take(&name)?;
        let mut me = self.keys_for(&code, name, true)?;
        let person_key = me.person_public()?;
        let certificate = match me.device_certificate.take() {
            Some(before) => before,
            None => {
                let certificate = DeviceCertificate {
                    person: me.person,
                    device_key: me.device_public(),
                    letter_key: letter_key_hash(me.letter_public.as_slice()),
                    issued_at: self.now,
                };
                Signed::sign(&certificate, &me.person_key()?)
            }
        };
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
    pub(crate) fn device_accept(&mut self, code: &str, name: String) -> Result<(), Problem> {
        self.check_fresh()?;
        let (code, person, secret) = device_code(code)?;
        let name = text::PERSON.take_some(&name)?.unwrap_or_default();
        let me = self.keys_for(&code, name, false)?;
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

    fn check_fresh(&self) -> Result<(), Problem> {
        match self.me {
            None => Ok(()),
            Some(_) => Err(Problem::rule(
                Cause::HomeInUse,
                "this home belongs to someone already; use another --home for another person or device",
            )),
        }
    }

    /// The keys for this code. Where an earlier try with it brought no answer, the same keys again: the server
    /// knows the claim and answers it once more, and no code is lost to a broken line.
    fn keys_for(&mut self, code: &Code, name: String, person: bool) -> Result<Me, Problem> {
        let tried = self.table.read(Space::State, JOINING).is_some_and(|bytes| bytes == encode(code));
        if let Some(me) = self.table.read(Space::State, JOINING_ME).filter(|_| tried) {
            return decode(me).map_err(Problem::from_malformed);
        }
        let person_secret = person.then(|| self.random());
        let (device_secret, letter_seed) = (self.random(), self.random());
        Me::create(code, name, [0; 32], person_secret, device_secret, &letter_seed)
    }

    /// Keeps the keys before the call goes out: an answer that is lost can be asked for again with them.
    fn start_account(&mut self, me: Me, code: &Code) {
        self.table.write(Space::State, JOINING, encode(code));
        self.table.write(Space::State, JOINING_ME, encode(&me));
    }

    pub(crate) fn join_answered(&mut self, reply: Result<Vec<u8>, CallFailed>) -> Answer {
        let stored = |key: &[u8]| self.table.read(Space::State, key).map(<[u8]>::to_vec).unwrap_or_default();
        let damaged = |e: stafett_protocol::codec::Malformed| Problem::data(Cause::ServerReply, e.to_string());
        let code: Code = decode(&stored(JOINING)).map_err(damaged)?;
        let mut me: Me = decode(&stored(JOINING_ME)).map_err(damaged)?;
        let body = reply.map_err(|failed| match failed {
            CallFailed::Unreachable(why) => {
                Problem { blame: crate::client::input::Blame::Net, ..Problem::rule(Cause::Unreachable, why) }
            }
            CallFailed::Refused { code, detail } => Problem::quoting(&code, detail),
        })?;
        let reply: JoinReply = decode(&body).map_err(damaged)?;
        if key_hash(&reply.municipality_key) != code.municipality_key || reply.municipality != code.municipality {
            return Err(Problem::rule(
                Cause::WrongMunicipality,
                "the server is not the one that the code names; ask for a new code",
            ));
        }
        me.municipality.key = reply.municipality_key;
        me.unit = reply.unit;
        if let Some(signed) = reply.certificate {
            let certificate =
                signed.verify(&reply.municipality_key).map_err(|e| Problem::data(Cause::ServerReply, e.to_string()))?;
            if certificate.person != me.person || certificate.person_key != me.person_public()? {
                return Err(Problem::rule(Cause::WrongCertificate, "the server certified another key than ours"));
            }
            me.person_certificate = Some(signed);
            self.table.write(
                Space::State,
                &crate::client::me::own_device_key(me.device()),
                me.name.clone().into_bytes(),
            );
        }
        me.save(&mut self.table);
        self.table.delete(Space::State, JOINING);
        self.table.delete(Space::State, JOINING_ME);
        let unit = me.unit.as_ref().map(|u| u.unit.to_string());
        let role = me.kind().map(Into::into);
        let joined = Joined { person: me.person.to_string(), device: me.device().to_string(), unit, role };
        // A further device is certified by the first one, not by the server.
        let certified = me.person_certificate.is_some();
        self.me = Some(me);
        Ok(if certified { A::Join(joined) } else { A::DeviceAccept(joined) })
    }
}
