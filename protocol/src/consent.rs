//! Consent and what speaks for it: grants, withdrawals, a unit leader's certificates, changes of
//! authority and of keys. Every one is for **one scope**, so that nobody learns of a concern that is
//! not theirs (`docs/protocol.md` 7).

use crate::codec::{TlsDeserialize, TlsSerialize, TlsSize, VLBytes};
use crate::credential::PersonCertificate;
use crate::ids::{DeviceId, Hash, LogId, Millis, Municipality, PersonId, PublicKey, ScopeId, UnitId, hash};
use crate::membership::{ConsentAuthority, Role};
use crate::signed::Signed;

/// What a grant lets its grantee do; each access has exactly one role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, TlsSerialize, TlsDeserialize, TlsSize)]
#[repr(u8)]
pub enum Access {
    Read = 1,
    Contribute = 2,
    Hold = 3,
    Custody = 4,
}

impl Access {
    /// The role a grantee gets.
    pub fn role(self) -> Role {
        match self {
            Self::Read => Role::Reader,
            Self::Contribute => Role::Actor,
            Self::Hold => Role::Holder,
            Self::Custody => Role::Custodian,
        }
    }
}

/// Consent is given to a service, not to a named employee; persons only outside units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, TlsSerialize, TlsDeserialize, TlsSize)]
#[repr(u8)]
pub enum Grantee {
    /// A unit; its leader's person key is pinned and says who acts for it.
    #[tls_codec(discriminant = 1)]
    Unit(UnitGrantee),
    /// A person outside units.
    #[tls_codec(discriminant = 2)]
    Person(PersonGrantee),
}

impl Grantee {
    /// The unit, if it is one.
    pub fn unit(&self) -> Option<&UnitGrantee> {
        match self {
            Self::Unit(unit) => Some(unit),
            Self::Person(_) => None,
        }
    }

    /// Whether both are the same unit, whoever leads it, or the same person, whatever their key.
    pub fn is_same_party(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Unit(a), Self::Unit(b)) => a.unit == b.unit,
            (Self::Person(a), Self::Person(b)) => a.person == b.person,
            _ => false,
        }
    }
}

/// A unit as grantee.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct UnitGrantee {
    pub unit: UnitId,
    pub leader: PersonId,
    pub leader_key: PublicKey,
}

/// A person as grantee.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct PersonGrantee {
    pub person: PersonId,
    pub person_key: PublicKey,
}

/// "We consent that this unit may do this in this scope until then." The quorum signs the same bytes.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct ConsentGrant {
    pub log: LogId,
    pub scope: ScopeId,
    pub grantee: Grantee,
    pub access: Access,
    /// The authority under which it is signed ([`ConsentAuthority::id`]).
    pub authority: Hash,
    /// [`text_hash`] of purpose and text as they were shown.
    pub text: Hash,
    pub policy_version: u16,
    pub expires_at: Millis,
    /// For a `hold` grant with which the log moves: the municipality that may be its home.
    pub moves_to: Option<Municipality>,
    /// Makes two grants of the same content differ.
    pub salt: [u8; 16],
}

/// Hash of the words that were shown to whoever signs. The salt travels with the words, sealed: who has only the chain
/// must not find a child or a concern by trying names.
pub fn text_hash(salt: &[u8; 32], text: &str) -> Hash {
    hash("consent text", &[salt, text.as_bytes()])
}

/// One signature of a grant.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct SignedGrant {
    pub signer: PersonId,
    pub grant: Signed<ConsentGrant>,
}

/// Consent on paper: holder and unit leader vouch for the scanned form (`docs/protocol.md` 7).
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct AttestedConsent {
    /// The very grant that the guardian or youth signed by hand.
    pub grant: VLBytes,
    /// The guardian (or youth) without a device.
    pub on_behalf_of: PersonId,
    /// Salted hash of the scanned form (`docs/protocol.md` 7).
    pub form: Hash,
}

/// Ends a grant, or all of a grantee's. Hits grantees, never guardians or the child.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct Withdrawal {
    pub log: LogId,
    pub scope: ScopeId,
    pub target: Target,
    pub salt: [u8; 16],
}

/// What a withdrawal ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
#[repr(u8)]
pub enum Target {
    #[tls_codec(discriminant = 1)]
    Grant(Hash),
    #[tls_codec(discriminant = 2)]
    Unit(UnitId),
    #[tls_codec(discriminant = 3)]
    Person(PersonId),
    #[tls_codec(discriminant = 4)]
    All,
}

/// A leader says what an employee of the unit may do (C15, C16). `issued_at`, like the times of the two words below, is by
/// the leader's own reckoning, which never goes back: what was said before an end is over with it.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct EmployeeCertificate {
    pub unit: UnitId,
    pub person: PersonId,
    pub person_key: PublicKey,
    pub may_hold: Permit,
    pub may_act: Permit,
    pub issued_at: Millis,
    pub expires_at: Millis,
}

/// A yes or no that cannot be mistaken for a count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
#[repr(u8)]
pub enum Permit {
    No = 0,
    Yes = 1,
}

impl From<bool> for Permit {
    fn from(yes: bool) -> Self {
        if yes { Self::Yes } else { Self::No }
    }
}

/// A leader says who acts for a granted unit in a scope.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct UnitAssignment {
    pub unit: UnitId,
    pub person: PersonId,
    pub scope: ScopeId,
    pub assigned_at: Millis,
    pub salt: [u8; 16],
}

/// A leader ends an assignment or an employment; acts as a withdrawal for that person.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct EmployeeEnd {
    pub unit: UnitId,
    pub person: PersonId,
    pub scope: ScopeId,
    pub ended_at: Millis,
    pub salt: [u8; 16],
}

/// What a leader has signed for one employee, both with the leader's person key. The holder needs no
/// assignment: choosing the holder is the grant itself.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct Voucher {
    pub employee: Signed<EmployeeCertificate>,
    pub assignment: Option<Signed<UnitAssignment>>,
}

/// A new consent authority: a guardian loses or gains responsibility, the child gets an account.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct AuthorityChange {
    pub log: LogId,
    pub scope: ScopeId,
    /// The authority that it replaces.
    pub from: Hash,
    pub to: ConsentAuthority,
    /// Salted hash of the decision that holder and leader cite (`docs/protocol.md` 7); all zero when the quorum itself signs.
    pub decision: Hash,
}

/// A person's key is lost or replaced; `surviving` devices stay.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct PersonKeyChange {
    pub scope: ScopeId,
    pub person: PersonId,
    pub old: PublicKey,
    pub new: PublicKey,
    pub surviving: Vec<PublicKey>,
}

/// A removed device says that it has wiped keys and content.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct DeletionReceipt {
    pub scope: ScopeId,
    pub device: DeviceId,
    /// The last record whose content the device had.
    pub seq: u64,
    /// By the device's own clock: a claim.
    pub wiped_at: Millis,
}

#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct Attested {
    pub holder: PersonId,
    pub by_holder: Signed<AttestedConsent>,
    pub by_leader: Signed<AttestedConsent>,
}

#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct SignedWithdrawal {
    pub signer: PersonId,
    pub withdrawal: Signed<Withdrawal>,
}

#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct SignedEmployeeEnd {
    pub leader: PersonId,
    pub end: Signed<EmployeeEnd>,
}

#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct SignedAuthorityChange {
    pub change: Vec<AuthoritySignature>,
}

/// `certificate`: of a signer whom the scope does not know, the leader of another unit.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct AuthoritySignature {
    pub signer: PersonId,
    pub certificate: Option<Signed<PersonCertificate>>,
    pub change: Signed<AuthorityChange>,
}

/// Names the change by the id of its signed object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct Objection {
    pub change: Hash,
}

#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct SignedPersonKeyChange {
    pub signatures: Vec<KeyChangeSignature>,
}

/// `device` is set where a surviving device signs, else the person key of `signer` does.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct KeyChangeSignature {
    pub signer: PersonId,
    pub device: Option<PublicKey>,
    pub change: Signed<PersonKeyChange>,
}

#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct DeletionWitness {
    pub device_key: PublicKey,
    pub receipt: Signed<DeletionReceipt>,
}
