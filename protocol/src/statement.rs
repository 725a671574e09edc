//! What is said on a chain beside commits and changes: signed objects that the home can read, and those that only a chain
//! needs.

use crate::codec::{TlsDeserialize, TlsSerialize, TlsSize, VLBytes};
use crate::consent::{
    Attested, DeletionWitness, Objection, SignedAuthorityChange, SignedEmployeeEnd, SignedGrant, SignedPersonKeyChange,
    SignedWithdrawal,
};
use crate::ids::Hash;

/// A signed object that the home can read: ids, enums, hashes. Accepted at any epoch.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
#[repr(u8)]
pub enum Statement {
    #[tls_codec(discriminant = 1)]
    Grant(SignedGrant),
    /// Holder's signature and leader's, over the same object.
    #[tls_codec(discriminant = 2)]
    Attested(Attested),
    #[tls_codec(discriminant = 3)]
    Withdrawal(SignedWithdrawal),
    #[tls_codec(discriminant = 4)]
    EmployeeEnd(SignedEmployeeEnd),
    #[tls_codec(discriminant = 5)]
    AuthorityChange(SignedAuthorityChange),
    #[tls_codec(discriminant = 6)]
    PersonKeyChange(SignedPersonKeyChange),
    /// "I cannot process this commit": the re-founding forward may begin.
    #[tls_codec(discriminant = 7)]
    Reject(Reject),
    /// A link of the key chain that is missing or does not open.
    #[tls_codec(discriminant = 8)]
    LinkRepair(LinkRepair),
    /// A removed device's word; by a member who got it by letter.
    #[tls_codec(discriminant = 9)]
    Deletion(DeletionWitness),
    /// A concern or log is closed or opened again by the holder.
    #[tls_codec(discriminant = 10)]
    Close(Closing),
    /// The custodian steps in for the holder.
    #[tls_codec(discriminant = 11)]
    Takeover(Takeover),
    /// A guardian says no to a change of the consent authority by decision.
    #[tls_codec(discriminant = 12)]
    Objection(Objection),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct Reject {
    /// The record of the commit.
    pub seq: u64,
    pub reason: RejectReason,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
#[repr(u8)]
pub enum RejectReason {
    /// MLS refused: confirmation or membership tag, update path.
    Mls = 1,
    /// Link or check does not match.
    Link = 2,
    /// The home has signed two histories of the scope: people go on from what it has now.
    TwoHistories = 3,
}

#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct LinkRepair {
    /// Whose key opens the link.
    pub from: KeyPlace,
    /// Whose key is in it: an earlier one, most often the one before.
    pub to: KeyPlace,
    pub link: VLBytes,
}

/// An epoch of a generation of a scope: where a content key belongs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct KeyPlace {
    pub generation: u32,
    pub epoch: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
#[repr(u8)]
pub enum Closing {
    Closed = 1,
    Reopened = 2,
}

/// The unit leader steps in for the holder (illness, leave, a job that ended). Said on the card, where
/// the family sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct Takeover {
    /// Hash of the reason, which travels sealed.
    pub reason: Hash,
}
