//! The baton passes: offers, acceptances, and what a commit carries to change the holder. One of each for
//! every scope; neither an offer nor an acceptance reserves anything, both are judged at the commit's
//! receipt (`docs/protocol.md` 18).

use crate::codec::{TlsDeserialize, TlsSerialize, TlsSize};
use crate::consent::{PersonGrantee, UnitGrantee};
use crate::credential::PersonCertificate;
use crate::ids::{Hash, LogId, Municipality, PersonId, PublicKey, ScopeId, hash};
use crate::signed::Signed;

/// To whom the baton is offered: a unit, whose leader accepts or names an employee, a person, or both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct Destination {
    /// The home after the handover: another one than now moves the log.
    pub municipality: Municipality,
    pub unit: Option<UnitGrantee>,
    pub person: Option<PersonGrantee>,
}

/// What a handover does to one scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
#[repr(u8)]
pub enum Part {
    /// The new holder gets it.
    Moves = 1,
    /// It stays where it is and is closed: a concern that was not chosen, the journal of a log that
    /// leaves the municipality.
    Closes = 2,
}

/// "I want to hand this scope to them." Signed by the offerer's person key.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct HandoverOffer {
    pub log: LogId,
    pub scope: ScopeId,
    /// The holder whom it relieves; the offerer, unless somebody acts in the holder's place.
    pub from: PersonId,
    pub to: Destination,
    pub part: Part,
    /// The `hold` grant on which the new holder will stand; all zero where the scope closes.
    pub basis: Hash,
    /// Hash of the reason, which travels sealed.
    pub reason: Hash,
    pub salt: [u8; 16],
}

/// An offer and whose word it is.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct SignedOffer {
    /// Holder; custodian after a takeover; in a dormant log a guardian, or the youth who decides.
    pub by: PersonId,
    pub offer: Signed<HandoverOffer>,
}

/// "I take it." Signed by the new holder's person key.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct HandoverAcceptance {
    /// The offer's id.
    pub offer: Hash,
    pub scope: ScopeId,
    pub person: PersonId,
    pub person_key: PublicKey,
    /// By the municipality of the offer: in whose service the new holder is.
    pub certificate: Signed<PersonCertificate>,
}

/// What stands in the commit that changes the holder, or that closes a scope in a handover.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct Handover {
    pub offer: SignedOffer,
    /// Absent where the scope closes.
    pub acceptance: Option<Signed<HandoverAcceptance>>,
}

/// "This offer no longer stands": the home will never commit it.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct HandoverAbort {
    pub log: LogId,
    pub scope: ScopeId,
    /// The offer's id.
    pub offer: Hash,
}

/// An abort and whose word it is: of anybody who could make the offer now, or of the consent authority.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct SignedAbort {
    pub by: PersonId,
    pub abort: Signed<HandoverAbort>,
}

/// Why the baton passes, in words. They travel sealed; the salt with them, so that nobody who reads the chain
/// can try words against their hash.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct Reason {
    pub text: String,
    pub salt: [u8; 16],
}

impl Reason {
    /// What stands in offers and takeovers.
    pub fn hash(&self) -> Hash {
        hash("handover reason", &[&self.salt, self.text.as_bytes()])
    }
}
