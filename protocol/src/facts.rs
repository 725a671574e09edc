//! The single facts of which a scope's state is made: grants and how they stand, who has gone, and why.

use crate::codec::{TlsDeserialize, TlsSerialize, TlsSize};
use crate::consent::{ConsentGrant, Grantee, Permit};
use crate::ids::{DeviceId, Hash, Millis, Municipality, PersonId, PublicKey, UnitId};
use crate::membership::Role;

/// One grant and how it stands.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct GrantFact {
    pub id: Hash,
    pub grant: ConsentGrant,
    pub signers: Vec<PersonId>,
    /// Signed on paper, vouched for by holder and leader.
    pub attested: Vec<Attestation>,
    /// When the last needed signature was received; 0 while some are missing.
    pub in_force_since: Millis,
    /// When it was withdrawn; 0 if it was not. Never taken back.
    pub ended_at: Millis,
}

impl GrantFact {
    pub fn standing(&self, now: Millis) -> GrantStanding {
        if self.ended_at != 0 {
            GrantStanding::Withdrawn
        } else if now >= self.grant.expires_at || self.paper_lapsed(now) {
            GrantStanding::Expired
        } else if self.in_force_since == 0 {
            GrantStanding::Waiting
        } else {
            GrantStanding::InForce
        }
    }

    /// Consent on paper lapses unless it is countersigned; what rests on it falls with it.
    fn paper_lapsed(&self, now: Millis) -> bool {
        self.attested.iter().any(|a| now >= a.until && !self.signers.contains(&a.person))
    }

    /// Everyone whose consent counts at `now`.
    pub fn consenting(&self, now: Millis) -> Vec<PersonId> {
        let paper = self.attested.iter().filter(|a| now < a.until).map(|a| a.person);
        self.signers.iter().copied().chain(paper).collect()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct Attestation {
    pub person: PersonId,
    pub until: Millis,
}

/// How a grant stands at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrantStanding {
    /// Signatures are missing.
    Waiting,
    InForce,
    Withdrawn,
    Expired,
}

/// Once `by` has withdrawn from a grantee, granting again needs `by`'s signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct Veto {
    pub grantee: Grantee,
    pub by: PersonId,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct Counter {
    pub device: DeviceId,
    /// The last accepted counter.
    pub last: u64,
    /// The device's last own-leaf update; 0 if none.
    pub renewed_at: Millis,
}

/// An employee whose leader ended the employment or assignment, or whom a withdrawal named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct Ended {
    pub unit: UnitId,
    pub person: PersonId,
    pub at: Millis,
    /// The leader's own time of the end: nothing that the leader said until then lets the person in again. 0 where a
    /// withdrawal named them, which a later grant gets over.
    pub word: Millis,
}

/// A leaf that lost its place: for judging what a card's other scopes received before that, and whose
/// deletion receipts count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct Gone {
    pub person: PersonId,
    pub person_key: PublicKey,
    pub role: Role,
    pub device: PublicKey,
    /// When it was listed or removed.
    pub at: Millis,
    /// Whether the device has said that it has wiped what it had.
    pub wiped: Permit,
}

/// Until when the leader's certificate lets an employee stand in the scope, in the seat that they have on this basis: another
/// seat of theirs, to which a rejected commit sends them back, has an end of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct Employment {
    pub person: PersonId,
    pub basis: Hash,
    pub until: Millis,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct NewKey {
    pub person: PersonId,
    pub key: PublicKey,
}

/// A grant that was withdrawn before anyone had shown it, and by whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct Revoked {
    pub id: Hash,
    pub by: PersonId,
}

/// A change of the consent authority by decision (holder, leader and another unit's leader), which waits
/// so that the family can object.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct Decision {
    /// The change's id.
    pub change: Hash,
    /// When it was first received.
    pub at: Millis,
    /// Guardians who have objected.
    pub objected: Vec<PersonId>,
}

/// From `since` on this person held the log, on that grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct Tenure {
    pub person: PersonId,
    pub basis: Hash,
    pub since: Millis,
}

/// A custodian took over from whoever held the log then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct TakenOver {
    pub by: PersonId,
    pub reason: Hash,
    pub at: Millis,
}

/// The record at `seq` moved the scope: up to it the chain is `from`'s word, under that home epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct Moved {
    pub seq: u64,
    pub from: Municipality,
    pub home_epoch: u32,
}
