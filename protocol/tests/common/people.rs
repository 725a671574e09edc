//! Who there is: a municipality, two units with leader and employees, a family, and their devices.

use ed25519_dalek::{Signer as _, SigningKey};
use openmls::prelude::*;
use openmls_rust_crypto::OpenMlsRustCrypto;
use openmls_traits::signatures::{Signer, SignerError};
use openmls_traits::types::SignatureScheme;
use stafett_protocol::credential::{
    Credential as Chain, DeviceCertificate, Municipalities, MunicipalityKey, PersonCertificate, PersonKind,
};
use stafett_protocol::ids::{DeviceId, Hash, PersonId, PublicKey, UnitId, hash};
use stafett_protocol::membership::Membership;
use stafett_protocol::signed::Signed;
use std::cell::RefCell;
use std::collections::HashMap;

use super::{BERGEN, HAUGESUND, HOME, START};

/// A person of the world, as an index.
pub type Who = usize;
/// Leader of the school.
pub const LEADER: Who = 0;
/// Teacher at the school, holder.
pub const TEACHER: Who = 1;
pub const MOTHER: Who = 2;
pub const FATHER: Who = 3;
/// Leader of the PPT.
pub const PPT_LEADER: Who = 4;
/// Employee of the PPT.
pub const PPT: Who = 5;
/// Another employee of the school.
pub const COLLEAGUE: Who = 6;
pub const CHILD: Who = 7;
/// A guardian of somebody else.
pub const STRANGER: Who = 8;
/// A second employee of the PPT.
pub const PPT_TWO: Who = 9;
/// A person outside units.
pub const COACH: Who = 10;
/// Leader of a school in Haugesund.
pub const HAUGESUND_LEADER: Who = 11;
/// Teacher there.
pub const HAUGESUND_TEACHER: Who = 12;
/// Leader of a school in Bergen; with [`World::with_bergen`] alone.
pub const BERGEN_LEADER: Who = 13;
/// Teacher there.
pub const BERGEN_TEACHER: Who = 14;

pub const SCHOOL: UnitId = UnitId([0x51; 16]);
pub const PPT_UNIT: UnitId = UnitId([0x99; 16]);
pub const HAUGESUND_SCHOOL: UnitId = UnitId([0x77; 16]);
pub const BERGEN_SCHOOL: UnitId = UnitId([0x46; 16]);

const KINDS: [(PersonKind, Option<UnitId>); 13] = [
    (PersonKind::Leader, Some(SCHOOL)),
    (PersonKind::Employee, Some(SCHOOL)),
    (PersonKind::Guardian, None),
    (PersonKind::Guardian, None),
    (PersonKind::Leader, Some(PPT_UNIT)),
    (PersonKind::Employee, Some(PPT_UNIT)),
    (PersonKind::Employee, Some(SCHOOL)),
    (PersonKind::Child, None),
    (PersonKind::Guardian, None),
    (PersonKind::Employee, Some(PPT_UNIT)),
    (PersonKind::Guardian, None),
    (PersonKind::Leader, Some(HAUGESUND_SCHOOL)),
    (PersonKind::Employee, Some(HAUGESUND_SCHOOL)),
];

/// Where a unit is, or a person without one.
pub fn municipality_of(unit: Option<UnitId>) -> u16 {
    match unit {
        Some(HAUGESUND_SCHOOL) => HAUGESUND,
        Some(BERGEN_SCHOOL) => BERGEN,
        _ => HOME,
    }
}

/// Devices of each person in the world.
const DEVICES: u8 = 3;

/// A key that depends on its name alone, so that runs repeat.
pub fn key(name: &str) -> SigningKey {
    SigningKey::from_bytes(&hash("test key", &[name.as_bytes()]).0)
}

pub fn public(key: &SigningKey) -> PublicKey {
    key.verifying_key().to_bytes()
}

pub struct Person {
    pub id: PersonId,
    pub key: SigningKey,
    pub kind: PersonKind,
    pub unit: Option<UnitId>,
    pub devices: Vec<Device>,
}

impl Person {
    pub fn public(&self) -> PublicKey {
        public(&self.key)
    }
}

pub struct Device {
    pub who: Who,
    pub key: SigningKey,
    pub provider: OpenMlsRustCrypto,
    pub credential: RefCell<Chain>,
    pub groups: RefCell<HashMap<Vec<u8>, MlsGroup>>,
}

impl Device {
    pub fn public(&self) -> PublicKey {
        public(&self.key)
    }
    pub fn id(&self) -> DeviceId {
        DeviceId::of_key(&self.public())
    }
    pub fn with_key(&self) -> CredentialWithKey {
        credential_with_key(&self.credential.borrow(), &self.public())
    }
    /// A fresh key package, as it would lie on the server.
    pub fn key_package(&self) -> KeyPackage {
        self.key_package_living(Lifetime::init(0, u64::MAX))
    }
    pub fn key_package_living(&self, lifetime: Lifetime) -> KeyPackage {
        KeyPackage::builder()
            .leaf_node_capabilities(capabilities())
            .key_package_lifetime(lifetime)
            .build(stafett_protocol::SUITE, &self.provider, self, self.with_key())
            .unwrap()
            .into_key_package()
    }
}

impl Signer for Device {
    fn sign(&self, payload: &[u8]) -> Result<Vec<u8>, SignerError> {
        Ok(self.key.sign(payload).to_bytes().to_vec())
    }
    fn signature_scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}

pub fn credential_with_key(chain: &Chain, device: &PublicKey) -> CredentialWithKey {
    CredentialWithKey {
        credential: BasicCredential::new(stafett_protocol::codec::encode(chain)).into(),
        signature_key: device.to_vec().into(),
    }
}

pub fn capabilities() -> Capabilities {
    Capabilities::new(
        None,
        Some(&[stafett_protocol::SUITE]),
        Some(&[Membership::extension_type(), ExtensionType::LastResort]),
        None,
        Some(&[CredentialType::Basic]),
    )
}

/// Everybody, and the municipalities that vouch for them.
pub struct World {
    pub municipality: SigningKey,
    pub haugesund: SigningKey,
    pub bergen: SigningKey,
    pub trusted: Municipalities,
    pub people: Vec<Person>,
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl World {
    pub fn new() -> Self {
        let municipality = key("municipality");
        let (haugesund, bergen) = (key("haugesund"), key("bergen"));
        let trusted = Municipalities(vec![
            MunicipalityKey { number: HOME, key: public(&municipality) },
            MunicipalityKey { number: HAUGESUND, key: public(&haugesund) },
        ]);
        let mut world = Self { municipality, haugesund, bergen, trusted, people: vec![] };
        for (kind, unit) in KINDS {
            world.add_person(kind, unit);
        }
        world
    }

    /// With a third municipality that everybody trusts, and a school there.
    pub fn with_bergen(mut self) -> Self {
        self.trusted.0.push(MunicipalityKey { number: BERGEN, key: public(&self.bergen) });
        for kind in [PersonKind::Leader, PersonKind::Employee] {
            self.add_person(kind, Some(BERGEN_SCHOOL));
        }
        self
    }

    fn add_person(&mut self, kind: PersonKind, unit: Option<UnitId>) {
        let who = self.people.len();
        let person_key = key(&format!("person {who}"));
        let id = PersonId::of_first_key(&public(&person_key));
        let mut person = Person { id, key: person_key, kind, unit, devices: vec![] };
        for n in 0..DEVICES {
            let device_key = key(&format!("device {who} {n}"));
            let credential = self.credential(id, &person.key, kind, unit, &public(&device_key));
            person.devices.push(Device {
                who,
                key: device_key,
                provider: OpenMlsRustCrypto::default(),
                credential: RefCell::new(credential),
                groups: RefCell::default(),
            });
        }
        self.people.push(person);
    }

    /// A chain municipality → person → device, signed as it should be.
    pub fn credential(
        &self,
        person: PersonId,
        person_key: &SigningKey,
        kind: PersonKind,
        unit: Option<UnitId>,
        device_key: &PublicKey,
    ) -> Chain {
        let certificate = PersonCertificate {
            municipality: municipality_of(unit),
            person,
            person_key: public(person_key),
            kind,
            unit,
            issued_at: START,
        };
        let device = DeviceCertificate { person, device_key: *device_key, letter_key: Hash([7; 32]), issued_at: START };
        let by = match certificate.municipality {
            HAUGESUND => &self.haugesund,
            BERGEN => &self.bergen,
            _ => &self.municipality,
        };
        Chain { person: Signed::sign(&certificate, by), device: Signed::sign(&device, person_key) }
    }

    pub fn person(&self, who: Who) -> &Person {
        &self.people[who]
    }
    pub fn id(&self, who: Who) -> PersonId {
        self.people[who].id
    }
    /// The first device of a person.
    pub fn device(&self, who: Who) -> &Device {
        &self.people[who].devices[0]
    }
    pub fn device_n(&self, who: Who, n: usize) -> &Device {
        &self.people[who].devices[n]
    }
    /// The device with this id.
    pub fn by_id(&self, id: DeviceId) -> &Device {
        self.people.iter().flat_map(|p| &p.devices).find(|d| d.id() == id).unwrap()
    }

    /// Gives a person a new person key and certifies their devices under it.
    pub fn rekey(&mut self, who: Who, name: &str) {
        let new = key(name);
        let (id, kind, unit) = (self.people[who].id, self.people[who].kind, self.people[who].unit);
        for device in &self.people[who].devices {
            *device.credential.borrow_mut() = self.credential(id, &new, kind, unit, &device.public());
        }
        self.people[who].key = new;
    }
}
