//! Who a leaf is: municipality → person → device, a chain of two signatures carried in the MLS Basic
//! credential. Pseudonymous: random-looking ids, no name, no fødselsnummer (`docs/protocol.md` 3).

use crate::codec::{TlsDeserialize, TlsSerialize, TlsSize, VLBytes};
use crate::ids::{DeviceId, Hash, Millis, Municipality, PersonId, PublicKey, UnitId, hash};
use crate::signed::{NotGenuine, Signed};

/// What kind of account a person has; says nothing of any log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, TlsSerialize, TlsDeserialize, TlsSize)]
#[repr(u8)]
pub enum PersonKind {
    /// Employee (ansatt) of a unit.
    Employee = 1,
    /// Leader (virksomhetsleder) of a unit.
    Leader = 2,
    /// Parent or other guardian (foresatt).
    Guardian = 3,
    /// Child or young person (barn/ungdom).
    Child = 4,
    /// Municipality administrator (kommuneadministrator).
    Administrator = 5,
}

/// The municipality says that this key belongs to an account of this kind.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct PersonCertificate {
    pub municipality: Municipality,
    pub person: PersonId,
    pub person_key: PublicKey,
    pub kind: PersonKind,
    /// The unit of an employee or leader.
    pub unit: Option<UnitId>,
    pub issued_at: Millis,
}

/// The person says that this device is one of theirs.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct DeviceCertificate {
    pub person: PersonId,
    /// Ed25519; also the MLS signature key of the device's leaves.
    pub device_key: PublicKey,
    /// [`letter_key_hash`] of the hybrid key that letters to this device are sealed to.
    pub letter_key: Hash,
    pub issued_at: Millis,
}

/// Names a letter key in a [`DeviceCertificate`]; the key itself (1.2 kB) travels beside it.
pub fn letter_key_hash(key: &[u8]) -> Hash {
    hash("letter key", &[key])
}

/// The chain as it stands in a leaf.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct Credential {
    pub person: Signed<PersonCertificate>,
    pub device: Signed<DeviceCertificate>,
}

/// A credential whose two signatures hold. Can be made by [`Credential::verify`] only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    person: PersonCertificate,
    device: DeviceCertificate,
}

/// Why a credential is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotIdentified {
    #[error(transparent)]
    NotGenuine(#[from] NotGenuine),
    /// No key of that municipality is known here: it must be added as a peer first.
    #[error("municipality {0:04} is not known here; add its peer file first")]
    UnknownMunicipality(Municipality),
    /// The device certificate names another person.
    #[error("the device certificate belongs to another person")]
    OtherPerson,
}

/// The municipality keys that this party trusts.
#[derive(Debug, Clone, Default, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct Municipalities(pub Vec<MunicipalityKey>);

/// One municipality's key, pinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct MunicipalityKey {
    pub number: Municipality,
    pub key: PublicKey,
}

impl Municipalities {
    /// The pinned key of `number`.
    pub fn key(&self, number: Municipality) -> Option<&PublicKey> {
        self.0.iter().find(|m| m.number == number).map(|m| &m.key)
    }
}

impl Credential {
    /// Follows the chain from a pinned municipality key down to the device.
    pub fn verify(&self, trusted: &Municipalities) -> Result<Identity, NotIdentified> {
        let number = self.person.peek().map_err(NotGenuine::from)?.municipality;
        let key = trusted.key(number).ok_or(NotIdentified::UnknownMunicipality(number))?;
        let person = self.person.verify(key)?;
        let device = self.device.verify(&person.person_key)?;
        if device.person != person.person {
            return Err(NotIdentified::OtherPerson);
        }
        Ok(Identity { person, device })
    }
}

impl Identity {
    pub fn person(&self) -> PersonId {
        self.person.person
    }
    pub fn person_key(&self) -> &PublicKey {
        &self.person.person_key
    }
    pub fn kind(&self) -> PersonKind {
        self.person.kind
    }
    pub fn unit(&self) -> Option<UnitId> {
        self.person.unit
    }
    pub fn municipality(&self) -> Municipality {
        self.person.municipality
    }
    pub fn device_key(&self) -> &PublicKey {
        &self.device.device_key
    }
    pub fn device(&self) -> DeviceId {
        DeviceId::of_key(&self.device.device_key)
    }
    pub fn letter_key(&self) -> Hash {
        self.device.letter_key
    }
}

/// A person as other people's clients look them up: certificate and devices, each with its letter key.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct PersonRecord {
    pub certificate: Signed<PersonCertificate>,
    pub devices: Vec<DeviceRecord>,
    /// What the leader of the person's unit says they may do; empty for those without a unit.
    pub employee: Option<Signed<crate::consent::EmployeeCertificate>>,
}

/// One device of a [`PersonRecord`].
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct DeviceRecord {
    pub certificate: Signed<DeviceCertificate>,
    pub letter_key: VLBytes,
}
