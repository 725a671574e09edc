//! The membership extension of a scope's MLS group context: who is in, in which role, let in by what.
//! It changes only in the commit that makes the change, and names devices by signature key, never by
//! leaf index (`docs/protocol.md` 6).

use crate::MEMBERSHIP_EXTENSION;
use crate::codec::{Malformed, TlsDeserialize, TlsSerialize, TlsSize, decode, encode};
use crate::ids::{DeviceId, Hash, LogId, Millis, Municipality, PersonId, PublicKey, ScopeId, hash};
use openmls::prelude::{Extension, ExtensionType, Extensions, GroupContext, UnknownExtension};

/// The unit of secrecy, access and transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, TlsSerialize, TlsDeserialize, TlsSize)]
#[repr(u8)]
pub enum ScopeKind {
    /// Everyone in the log: who the child is, who takes part, holder, level, status.
    Card = 1,
    /// Family, holder and whole-log readers: list of concerns, notes, texts of consents.
    Journal = 2,
    /// One concern (oppmerksomhet): goals, measures, evaluations, glimpses.
    Concern = 3,
    /// Leader and employees of a unit.
    Unit = 4,
    /// One person's own devices.
    Personal = 5,
}

/// What a person may do in a scope. No role holds another's rights silently: the policy is a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, TlsSerialize, TlsDeserialize, TlsSize)]
#[repr(u8)]
pub enum Role {
    /// Parent or other guardian (foresatt).
    Guardian = 1,
    /// The child or young person (barn/ungdom).
    Child = 2,
    /// Carries the baton (stafettholder).
    Holder = 3,
    /// Responsible for a measure (aktør).
    Actor = 4,
    /// Reads, no task needed (lesetilgang).
    Reader = 5,
    /// The unit leader's continuity seat.
    Custodian = 6,
    /// A former holder of a closed scope.
    Archivist = 7,
    /// Leader of a `unit` scope.
    Leader = 8,
    /// Employee in a `unit` scope.
    Employee = 9,
    /// A device of the person in a `personal` scope.
    Own = 10,
}

impl Role {
    /// Guardians and the child: in under the consent authority, never removable by a withdrawal.
    pub fn is_family(self) -> bool {
        matches!(self, Self::Guardian | Self::Child)
    }
}

/// Who must sign consents of this log, and how many of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct ConsentAuthority {
    /// Guardians with parental responsibility.
    pub guardians: Vec<AuthorityPerson>,
    /// How many of them must sign.
    pub quorum: u8,
    /// The child, once it has an account.
    pub child: Option<AuthorityPerson>,
    /// From this moment (first of the month after the birthday) the youth alone decides.
    pub youth_from: Millis,
}

/// A person of the consent authority, with the key that signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct AuthorityPerson {
    pub person: PersonId,
    pub key: PublicKey,
}

impl ConsentAuthority {
    /// What grants and family members refer to.
    pub fn id(&self) -> Hash {
        hash("consent authority", &[&encode(self)])
    }

    /// Everyone named.
    pub fn persons(&self) -> impl Iterator<Item = &AuthorityPerson> {
        self.guardians.iter().chain(self.child.iter())
    }

    /// The signing key of `person`, if the authority names them.
    pub fn key(&self, person: PersonId) -> Option<&PublicKey> {
        self.persons().find(|p| p.person == person).map(|p| &p.key)
    }

    /// Whether the youth decides alone at `now`.
    pub fn youth_decides(&self, now: Millis) -> bool {
        self.child.is_some() && self.youth_from != 0 && now >= self.youth_from
    }

    /// Whether `person` is one of those whose signature counts at `now`.
    pub fn may_sign(&self, person: PersonId, now: Millis) -> bool {
        if self.youth_decides(now) {
            self.child.is_some_and(|c| c.person == person)
        } else {
            self.guardians.iter().any(|g| g.person == person)
        }
    }

    /// Whether these signers are enough at `now` (B1, B4, B7).
    pub fn quorum_met(&self, signers: &[PersonId], now: Millis) -> bool {
        if self.youth_decides(now) {
            return self.child.is_some_and(|c| signers.contains(&c.person));
        }
        let signed = self.guardians.iter().filter(|g| signers.contains(&g.person)).count();
        self.quorum > 0 && signed >= usize::from(self.quorum)
    }
}

/// One person in a scope.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct Member {
    pub person: PersonId,
    /// Pinned; certification by the municipality alone never changes it.
    pub person_key: PublicKey,
    pub role: Role,
    /// Signature keys of the person's leaves here.
    pub devices: Vec<PublicKey>,
    /// What lets the person in: a grant's id, or the authority's.
    pub basis: Hash,
}

/// The whole extension.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct Membership {
    pub scope: ScopeId,
    pub kind: ScopeKind,
    /// All zero for `unit` and `personal` scopes.
    pub log: LogId,
    pub generation: u32,
    pub home: Municipality,
    pub home_epoch: u32,
    pub policy_version: u16,
    pub authority: ConsentAuthority,
    /// In order of person id.
    pub members: Vec<Member>,
}

impl Membership {
    /// Reads the extension out of a group context.
    pub fn of(extensions: &Extensions<GroupContext>) -> Result<Self, Malformed> {
        let raw = extensions
            .unknown(MEMBERSHIP_EXTENSION)
            .ok_or(Malformed { what: "Membership", why: "the group context has no membership extension".into() })?;
        decode(&raw.0)
    }

    /// The extension that carries this value.
    pub fn to_extension(&self) -> Extension {
        Extension::Unknown(MEMBERSHIP_EXTENSION, UnknownExtension(encode(self)))
    }

    /// The type to list in capabilities and required capabilities.
    pub fn extension_type() -> ExtensionType {
        ExtensionType::Unknown(MEMBERSHIP_EXTENSION)
    }

    pub fn member(&self, person: PersonId) -> Option<&Member> {
        self.members.iter().find(|m| m.person == person)
    }

    /// Whose leaf a device is.
    pub fn member_of_device(&self, device: DeviceId) -> Option<&Member> {
        self.members.iter().find(|m| m.devices.iter().any(|k| DeviceId::of_key(k) == device))
    }

    /// The signature key of a device with a leaf here.
    pub fn device_key(&self, device: DeviceId) -> Option<&PublicKey> {
        self.members.iter().flat_map(|m| &m.devices).find(|k| DeviceId::of_key(k) == device)
    }

    /// The one holder, in scopes of a log.
    pub fn holder(&self) -> Option<&Member> {
        self.members.iter().find(|m| m.role == Role::Holder)
    }

    /// Every leaf's signature key.
    pub fn devices(&self) -> impl Iterator<Item = &PublicKey> {
        self.members.iter().flat_map(|m| &m.devices)
    }

    /// Puts members and their devices in the one order that the encoding has.
    pub fn sorted(mut self) -> Self {
        self.members.sort_by_key(|m| m.person);
        for m in &mut self.members {
            m.devices.sort_unstable();
        }
        self
    }
}
