//! How a person or device comes to a server: key packages, one-time codes, claims, certificates.

use crate::codec::{TlsDeserialize, TlsSerialize, TlsSize, VLBytes};
use crate::consent::Permit;
use crate::credential::{DeviceCertificate, PersonCertificate, PersonKind};
use crate::ids::{DeviceId, Hash, Millis, Municipality, PersonId, PublicKey, UnitId};
use crate::signed::Signed;
use crate::wire::Unit;

/// A key package, signed by its device with the time of upload: freshness is our own rule, since MLS
/// lifetimes would lock out whoever was offline.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct KeyPackageOffer {
    pub device: DeviceId,
    pub offered_at: Millis,
    pub last_resort: Permit,
    /// `MlsMessage(KeyPackage)`.
    pub package: VLBytes,
}

/// What a one-time code is for.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct CodeOffer {
    /// [`crate::code::ticket_hash`] of the server's part of the code.
    pub ticket: Hash,
    pub kind: CodeKind,
    pub unit: Option<UnitId>,
    pub expires_at: Millis,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
#[repr(u8)]
pub enum CodeKind {
    /// A new person of this kind.
    #[tls_codec(discriminant = 1)]
    Person(PersonKind),
    /// A further device of the offering person.
    #[tls_codec(discriminant = 2)]
    Device,
}

/// A new person presents a code. Signed by the new device's key (which proves possession).
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct JoinClaim {
    /// The server's part of the code.
    pub ticket: [u8; 16],
    pub person_key: PublicKey,
    pub device_key: PublicKey,
    pub device: Signed<DeviceCertificate>,
    pub letter_key: VLBytes,
    /// HMAC under the code's secret over ticket and person key, for the inviter; all zero for codes
    /// without a secret. The home cannot put a key of its own in between.
    pub proof: [u8; 32],
    /// The joiner's name, sealed under the code's secret; empty without one.
    pub sealed_name: VLBytes,
}

/// → `POST /v1/join`
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
#[repr(u8)]
pub enum JoinRequest {
    #[tls_codec(discriminant = 1)]
    Person(PersonJoin),
    /// The server only passes it on to the person's devices.
    #[tls_codec(discriminant = 2)]
    Device(Signed<DeviceClaim>),
}

#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct PersonJoin {
    pub claim: Signed<JoinClaim>,
    /// Uploaded with the claim, so that the person can be added from the first moment.
    pub key_packages: Vec<Signed<KeyPackageOffer>>,
}

/// ← `POST /v1/join`
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct JoinReply {
    pub municipality: Municipality,
    pub municipality_key: PublicKey,
    /// Absent for a further device: its own person certifies it.
    pub certificate: Option<Signed<PersonCertificate>>,
    pub unit: Option<Unit>,
}

/// A new device asks its person's other devices for certification. Signed by the new device key.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct DeviceClaim {
    pub ticket: [u8; 16],
    pub person: PersonId,
    pub device_key: PublicKey,
    pub letter_key: VLBytes,
    /// HMAC under the code's secret over ticket, device key and letter key hash.
    pub proof: [u8; 32],
    pub sealed_name: VLBytes,
    pub key_packages: Vec<Signed<KeyPackageOffer>>,
}

#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct CertifiedDevice {
    pub certificate: Signed<DeviceCertificate>,
    /// The new device's own word that it is this person's: a device key is no secret, and nobody takes another's device
    /// for theirs.
    pub claim: Signed<DeviceClaim>,
}

/// Ends a device of one's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct DeviceRemoval {
    pub device: DeviceId,
    /// Lost or stolen: it goes though it may be the only one with access to something, and the person's open codes with
    /// it.
    pub lost: Permit,
}
