//! Who this device is: its own keys, its person's key, and what the municipality has certified.

use super::input::{Account, Cause, Problem};
use crate::client::Client;
use crate::letter;
use crate::rows::{Space, Table};
use ed25519_dalek::{Signer as _, SigningKey};
use openmls::prelude::{BasicCredential, CredentialWithKey};
use openmls_rust_crypto::RustCrypto;
use openmls_traits::signatures::{Signer, SignerError};
use openmls_traits::types::{HpkePrivateKey, SignatureScheme};
use rand_core::RngCore as _;
use stafett_protocol::code::Code;
use stafett_protocol::codec::{TlsDeserialize, TlsSerialize, TlsSize, VLBytes, decode, encode};
use stafett_protocol::consent::EmployeeCertificate;
use stafett_protocol::credential::{
    Credential, DeviceCertificate, Identity, Municipalities, MunicipalityKey, PersonCertificate, PersonKind,
};
use stafett_protocol::ids::{DeviceId, Hash, Municipality, PersonId, PublicKey};
use stafett_protocol::membership::Membership;
use stafett_protocol::signed::Signed;
use stafett_protocol::wire::Unit;

const KEY: &[u8] = b"me";

/// The account of this device, as it is stored.
#[derive(Clone, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct Me {
    pub name: String,
    pub url: String,
    pub ca: [u8; 32],
    /// Absent on a further device until its person's first device has answered.
    pub person_secret: Option<[u8; 32]>,
    pub person: PersonId,
    pub device_secret: [u8; 32],
    pub letter_secret: VLBytes,
    pub letter_public: VLBytes,
    pub municipality: MunicipalityKey,
    /// Other municipalities, as ours has vouched for them; none is ever changed or forgotten.
    pub peers: Municipalities,
    pub person_certificate: Option<Signed<PersonCertificate>>,
    pub device_certificate: Option<Signed<DeviceCertificate>>,
    pub employee: Option<Signed<EmployeeCertificate>>,
    pub unit: Option<Unit>,
    /// [`stafett_protocol::code::key_hash`] of whoever invited, as the code said.
    pub inviter: Hash,
    /// The code's ticket and secret, while a further device waits to be certified.
    pub ticket: [u8; 16],
    pub secret: Option<[u8; 16]>,
}

impl core::fmt::Debug for Me {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Me({:?}, {:?})", self.person, self.device())
    }
}

impl Me {
    /// Fresh keys for a device that joins by `code`.
    pub fn create(
        code: &Code,
        name: String,
        municipality_key: PublicKey,
        person_secret: Option<[u8; 32]>,
        device_secret: [u8; 32],
        letter_seed: &[u8; 32],
    ) -> Result<Self, Problem> {
        let pair = letter::key_pair(&RustCrypto::default(), letter_seed)
            .map_err(|e| Problem::data(Cause::Keys, e.to_string()))?;
        let person = match (&person_secret, code.person) {
            (_, Some(person)) => person,
            (Some(secret), None) => PersonId::of_first_key(&SigningKey::from_bytes(secret).verifying_key().to_bytes()),
            (None, None) => PersonId::default(),
        };
        let private: &[u8] = &pair.private;
        Ok(Self {
            name,
            url: code.url.clone(),
            ca: code.ca,
            person_secret,
            person,
            device_secret,
            letter_secret: private.to_vec().into(),
            letter_public: pair.public.into(),
            municipality: MunicipalityKey { number: code.municipality, key: municipality_key },
            peers: Municipalities::default(),
            person_certificate: None,
            device_certificate: None,
            employee: None,
            unit: None,
            inviter: code.inviter,
            ticket: code.ticket,
            secret: code.secret,
        })
    }

    pub fn load(table: &Table) -> Result<Option<Self>, Problem> {
        let Some(bytes) = table.read(Space::Identity, KEY) else {
            return Ok(None);
        };
        decode(bytes).map(Some).map_err(|e| Problem::data(Cause::Damaged, e.to_string()))
    }

    pub fn save(&self, table: &mut Table) {
        table.write(Space::Identity, KEY, encode(self));
    }

    pub fn device_key(&self) -> SigningKey {
        SigningKey::from_bytes(&self.device_secret)
    }

    pub fn device_public(&self) -> PublicKey {
        self.device_key().verifying_key().to_bytes()
    }

    pub fn device(&self) -> DeviceId {
        DeviceId::of_key(&self.device_public())
    }

    /// The person key; a further device has it once it has been certified.
    pub fn person_key(&self) -> Result<SigningKey, Problem> {
        self.person_secret.as_ref().map(SigningKey::from_bytes).ok_or_else(|| {
            Problem::rule(
                Cause::NotCertified,
                "this device waits to be certified by your first device; sync that one first",
            )
        })
    }

    pub fn person_public(&self) -> Result<PublicKey, Problem> {
        self.person_key().map(|k| k.verifying_key().to_bytes())
    }

    /// The chain that this device's leaves carry.
    pub fn credential(&self) -> Result<Credential, Problem> {
        match (&self.person_certificate, &self.device_certificate) {
            (Some(person), Some(device)) => Ok(Credential { person: person.clone(), device: device.clone() }),
            _ => Err(Problem::rule(
                Cause::NotCertified,
                "this device is not certified yet; sync your first device, then this one",
            )),
        }
    }

    pub fn identity(&self) -> Result<Identity, Problem> {
        self.credential()?.verify(&self.trusted()).map_err(|e| Problem::data(Cause::Damaged, e.to_string()))
    }

    pub fn kind(&self) -> Option<PersonKind> {
        self.person_certificate.as_ref().and_then(|c| c.peek().ok()).map(|c| c.kind)
    }

    pub fn credential_with_key(&self) -> Result<CredentialWithKey, Problem> {
        Ok(CredentialWithKey {
            credential: BasicCredential::new(encode(&self.credential()?)).into(),
            signature_key: self.device_public().to_vec().into(),
        })
    }

    pub fn number(&self) -> Municipality {
        self.municipality.number
    }

    /// The municipality keys that this device believes.
    pub fn trusted(&self) -> Municipalities {
        Municipalities(std::iter::once(self.municipality).chain(self.peers.0.iter().copied()).collect())
    }

    pub fn letter_private(&self) -> HpkePrivateKey {
        self.letter_secret.as_slice().to_vec().into()
    }

    pub fn account(&self) -> Account {
        Account { url: self.url.clone(), ca: self.ca, device_key: self.device_secret }
    }
}

/// The device key as OpenMLS wants it.
pub struct LeafSigner(pub SigningKey);

impl Signer for LeafSigner {
    fn sign(&self, payload: &[u8]) -> Result<Vec<u8>, SignerError> {
        Ok(self.0.sign(payload).to_bytes().to_vec())
    }

    fn signature_scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}

pub(crate) fn own_device_key(device: DeviceId) -> Vec<u8> {
    let mut key = b"device/".to_vec();
    key.extend_from_slice(&device.0);
    key
}

impl Client {
    pub(crate) fn me(&self) -> Result<&Me, Problem> {
        self.me.as_ref().ok_or_else(|| {
            Problem::caller(Cause::NoAccount, "this home has no account yet; use join with a code first")
        })
    }

    pub(crate) fn random<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.rng.fill_bytes(&mut bytes);
        bytes
    }

    pub(crate) fn own_devices(&self) -> Vec<DeviceId> {
        self.table
            .scan(Space::State, b"device/")
            .filter_map(|(key, _)| Some(DeviceId(key.strip_prefix(b"device/")?.try_into().ok()?)))
            .collect()
    }

    pub(crate) fn removed_devices(&self) -> Vec<DeviceId> {
        self.table
            .scan(Space::State, b"gone/")
            .filter_map(|(key, _)| Some(DeviceId(key.strip_prefix(b"gone/")?.try_into().ok()?)))
            .collect()
    }

    /// A device of ours is no more: no leaf of it is added again, and those it has are removed.
    pub(crate) fn device_gone(&mut self, device: DeviceId) {
        self.table.delete(Space::State, &own_device_key(device));
        self.table.write(Space::State, &[b"gone/".as_slice(), &device.0].concat(), vec![]);
    }

    /// What one of our devices adds to a scope or removes from it, all of them know, with or without its name.
    pub(crate) fn note_own_devices(&mut self, author: DeviceId, before: &Membership, after: &Membership) {
        let Ok(me) = self.me() else { return };
        let (own, person) = (me.device(), me.person);
        let devices = |m: &Membership| m.member(person).map_or_else(Vec::new, |m| m.devices.clone());
        let (had, has) = (devices(before), devices(after));
        // Where all of them left together, it was not a device that ended.
        if has.is_empty() || !had.iter().any(|key| DeviceId::of_key(key) == author) {
            return;
        }
        for gone in had.iter().filter(|key| !has.contains(key)).map(DeviceId::of_key).filter(|d| *d != own) {
            self.device_gone(gone);
        }
        for new in has.iter().filter(|key| !had.contains(key)).map(|key| own_device_key(DeviceId::of_key(key))) {
            if self.table.read(Space::State, &new).is_none() {
                self.table.write(Space::State, &new, vec![]);
            }
        }
    }

    /// Whether this is a further device that its person's first device has not certified yet.
    pub fn awaits_certificate(&self) -> bool {
        self.me.as_ref().is_some_and(|m| m.credential().is_err())
    }
}
