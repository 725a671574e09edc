//! Who is who on this device: names and keys, and how each key came to be believed (`docs/protocol.md` 12).

use super::input::{Cause, Problem};
use crate::client::{Client, people};
use crate::rows::{Space, Table};
use stafett_protocol::codec::{TlsDeserialize, TlsSerialize, TlsSize, VLBytes, decode, encode};
use stafett_protocol::consent::EmployeeCertificate;
use stafett_protocol::credential::{
    DeviceRecord, Municipalities, PersonCertificate, PersonKind, PersonRecord, letter_key_hash,
};
use stafett_protocol::ids::{DeviceId, Municipality, PersonId, PublicKey, UnitId};
use stafett_protocol::signed::Signed;
use stafett_protocol::wire::Unit;

/// How a key came to be believed, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, TlsSerialize, TlsDeserialize, TlsSize)]
#[repr(u8)]
pub enum Trust {
    /// The municipality says so, nobody else.
    Certified = 1,
    /// Someone who authenticated it says so, and we authenticated them.
    Introduced = 2,
    /// Under the secret of an invitation code.
    Authenticated = 3,
    /// Compared in person.
    Compared = 4,
}

impl Trust {
    /// Whether the key counts for a guardian, child or holder.
    pub fn counts(self) -> bool {
        self >= Self::Introduced
    }
}

/// One person as this device knows them. The key is pinned: certification alone never changes it.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct Pin {
    pub person: PersonId,
    pub person_key: PublicKey,
    /// Whose server certifies the person; 0 until a certificate has been seen.
    pub municipality: Municipality,
    pub kind: PersonKind,
    pub unit: Option<UnitId>,
    pub trust: Trust,
    pub employee: Option<Signed<EmployeeCertificate>>,
    pub devices: Vec<KnownDevice>,
}

/// A device that letters can be sealed to.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct KnownDevice {
    pub device: DeviceId,
    pub letter_key: VLBytes,
}

pub(crate) fn pin(table: &Table, person: PersonId) -> Option<Pin> {
    table.read(Space::Pin, &person.0).and_then(|bytes| decode(bytes).ok())
}

pub(crate) fn pins(table: &Table) -> Vec<Pin> {
    table.scan(Space::Pin, b"").filter_map(|(_, value)| decode(value).ok()).collect()
}

pub(crate) fn save(table: &mut Table, pin: &Pin) {
    table.write(Space::Pin, &pin.person.0, encode(pin));
}

/// Pins a certified key, or raises what is known of it. A key that differs from the pinned one is
/// refused, whoever certifies it.
pub(crate) fn believe(
    table: &mut Table,
    certificate: &PersonCertificate,
    name: &str,
    trust: Trust,
) -> Result<Pin, Problem> {
    let mut known = match pin(table, certificate.person) {
        Some(known) if known.person_key != certificate.person_key => {
            return Err(Problem::rule(
                Cause::KeyChanged,
                "the person's key is another than before; meet and compare before you go on",
            ));
        }
        Some(known) => known,
        None if PersonId::of_first_key(&certificate.person_key) != certificate.person => {
            return Err(Problem::rule(Cause::KeyChanged, "the person's id does not belong to this key"));
        }
        None => Pin {
            person: certificate.person,
            person_key: certificate.person_key,
            municipality: certificate.municipality,
            kind: certificate.kind,
            unit: certificate.unit,
            trust,
            employee: None,
            devices: vec![],
        },
    };
    // An account stays where it is: another municipality that certifies the same key takes nobody over.
    if known.municipality != 0 && known.municipality != certificate.municipality {
        return Err(Problem::rule(Cause::PersonMoved, "another municipality certifies this person than the one known"));
    }
    known.municipality = certificate.municipality;
    known.kind = certificate.kind;
    known.unit = certificate.unit;
    known.trust = known.trust.max(trust);
    save(table, &known);
    learn_name(table, known.person, name, if trust.counts() { NameBy::Authenticated } else { NameBy::Own });
    Ok(known)
}

/// Who told a name, weakest first. A person is renamed by a better word alone, so nobody's words come to stand under
/// the name of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, TlsSerialize, TlsDeserialize, TlsSize)]
#[repr(u8)]
pub(crate) enum NameBy {
    /// Whoever asked this person to let them in, once that was signed.
    Asker = 1,
    /// The leader of the unit that employs them.
    Leader = 2,
    /// They themselves, in a letter under a key that the municipality alone vouches for.
    Own = 3,
    /// Somebody whose key was authenticated.
    Introducer = 4,
    /// They themselves, under a code's secret, or as whoever invited.
    Authenticated = 5,
}

/// A name, and how it came.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
struct Told {
    by: NameBy,
    name: String,
}

fn name_key(person: PersonId) -> Vec<u8> {
    [NAMES, &person.0].concat()
}

/// Where names stand in [`Space::State`].
pub(crate) const NAMES: &[u8] = b"name/";

/// Takes a name that somebody says a person has, unless one as good is known.
pub(crate) fn learn_name(table: &mut Table, person: PersonId, name: &str, by: NameBy) {
    let key = name_key(person);
    let known = table.read(Space::State, &key).and_then(|bytes| decode::<Told>(bytes).ok());
    let name = clean(name);
    if !name.is_empty() && known.is_none_or(|known| known.by < by) {
        table.write(Space::State, &key, encode(&Told { by, name }));
    }
}

/// The best name that this device was told.
pub(crate) fn told_name(table: &Table, person: PersonId) -> Option<String> {
    table.read(Space::State, &name_key(person)).and_then(|bytes| decode::<Told>(bytes).ok()).map(|told| told.name)
}

/// A name as it may be shown, and written on a card.
pub(crate) fn clean(name: &str) -> String {
    stafett_protocol::text::PERSON.shown(name)
}

/// Takes in what the server answers of a person: verified down from the municipality's key.
pub(crate) fn learn(table: &mut Table, trusted: &Municipalities, record: &PersonRecord) -> Result<PersonId, Problem> {
    let refused = |e: &dyn core::fmt::Display| Problem::rule(Cause::NotIdentified, e.to_string());
    let number = record.certificate.peek().map_err(|e| refused(&e))?.municipality;
    let key = trusted.key(number).ok_or_else(|| refused(&"the municipality is not known here"))?;
    let certificate = record.certificate.verify(key).map_err(|e| refused(&e))?;
    let mut known = believe(table, &certificate, "", Trust::Certified)?;
    known.devices = record.devices.iter().filter_map(|d| device(d, &certificate)).collect();
    known.employee = record.employee.clone();
    save(table, &known);
    Ok(certificate.person)
}

fn device(record: &DeviceRecord, person: &PersonCertificate) -> Option<KnownDevice> {
    let certificate = record.certificate.verify(&person.person_key).ok()?;
    let fits =
        certificate.person == person.person && certificate.letter_key == letter_key_hash(record.letter_key.as_slice());
    fits.then(|| KnownDevice {
        device: DeviceId::of_key(&certificate.device_key),
        letter_key: record.letter_key.clone(),
    })
}

/// The one thing whose text begins with `prefix`.
pub(crate) fn unique<T: Clone + core::fmt::Display + Eq>(
    what: &str,
    prefix: &str,
    all: impl IntoIterator<Item = T>,
) -> Result<T, Problem> {
    let prefix = prefix.trim().to_lowercase();
    if prefix.is_empty() {
        return Err(Problem::caller(Cause::EmptyId, format!("which {what}?")));
    }
    let mut found: Vec<T> = vec![];
    for id in all {
        if id.to_string().starts_with(&prefix) && !found.contains(&id) {
            found.push(id);
        }
    }
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(Problem::caller(
            Cause::UnknownId,
            format!("no {what} here begins with that; sync, or look at the list"),
        )),
        _ => Err(Problem::caller(Cause::AmbiguousId, format!("several {what}s begin with that; give more of the id"))),
    }
}

pub(crate) fn unknown_municipality(number: Municipality) -> Problem {
    let why = format!("municipality {number:04} is not a peer of your own; its administrator adds it");
    Problem::rule(Cause::UnknownMunicipality, why)
}

impl Client {
    /// The name that this device was told, by the person, by who introduced them, or by their leader.
    pub(crate) fn told_name(&self, person: PersonId) -> Option<String> {
        if let Some(me) = self.me.as_ref().filter(|m| m.person == person) {
            return Some(me.name.clone());
        }
        people::told_name(&self.table, person)
    }

    pub(crate) fn known_units(&self) -> Vec<Unit> {
        self.table.scan(Space::State, b"unit/").filter_map(|(_, value)| decode(value).ok()).collect()
    }

    pub(crate) fn unit_name(&self, unit: UnitId) -> String {
        let known = self.known_units().into_iter().find(|u| u.unit == unit).map(|u| u.name);
        let known = known.filter(|name| !name.is_empty());
        let told = || self.table.read(Space::State, &crate::client::keys::mail_key("unit-name", &[&unit.0]));
        let told = || told().and_then(|name| String::from_utf8(name.to_vec()).ok());
        known.or_else(told).unwrap_or_else(|| unit.to_string())
    }
}
