//! The home's event chain: what is signed by devices, how it is ordered, what the home answers
//! (`docs/protocol.md` 4).

use crate::codec::{TlsDeserialize, TlsSerialize, TlsSize, VLBytes};
use crate::consent::{SignedGrant, Voucher};
use crate::credential::Credential;
use crate::handover::Handover;
use crate::ids::{DeviceId, Hash, Millis, ScopeId, hash};
use crate::signed::Signed;
use crate::statement::{KeyPlace, Statement};

/// One step of one scope, signed by the device that takes it.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct Event {
    pub scope: ScopeId,
    /// Counts re-foundings, from 1.
    pub generation: u32,
    /// The MLS epoch in which the author stands.
    pub epoch: u64,
    pub device: DeviceId,
    /// Counts this device's events in this scope, from 1, without a gap.
    pub counter: u64,
    /// The newest head the author has seen: two members who talk detect two histories.
    pub seen: Position,
    pub body: Body,
}

/// A place in a chain.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct Position {
    /// 0 before the first record.
    pub seq: u64,
    pub head: Hash,
}

/// What the step is.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
#[repr(u8)]
pub enum Body {
    #[tls_codec(discriminant = 1)]
    Genesis(Genesis),
    #[tls_codec(discriminant = 2)]
    Commit(Commit),
    #[tls_codec(discriminant = 3)]
    Change(Change),
    #[tls_codec(discriminant = 4)]
    Statement(Statement),
}

/// The name of a body without its content, for the policy table and for problems.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Genesis,
    Commit,
    Change,
    Statement,
}

impl Body {
    pub fn kind(&self) -> Kind {
        match self {
            Self::Genesis(_) => Kind::Genesis,
            Self::Commit(_) => Kind::Commit,
            Self::Change(_) => Kind::Change,
            Self::Statement(_) => Kind::Statement,
        }
    }
}

/// Founds a scope, or its next generation. The membership stands in the group context of `group_info`.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct Genesis {
    /// `MlsMessage(GroupInfo)` of epoch 0, with the founder as the only leaf.
    pub group_info: VLBytes,
    /// The ratchet tree of that epoch.
    pub tree: VLBytes,
    pub founder: Credential,
    /// Opens the log id: `LogId::found(founder key, salt)`. In the card's genesis only.
    pub log_salt: Option<[u8; 16]>,
    /// The card of the log, for the log's other scopes; the founder's own id for `unit` and `personal`.
    pub card: Option<ScopeId>,
    /// Grants that let in what `membership` holds: the quorum's for card and journal, copies of the
    /// card's `hold` and `custody` grants for a concern.
    pub grants: Vec<SignedGrant>,
    pub vouchers: Vec<Voucher>,
    /// `check` of the first content key.
    pub check: Hash,
    /// In a later generation: what of the one before goes on. Without it the scope starts empty.
    pub carries: Option<Carried>,
}

/// The content of a generation as the next one takes it over.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct Carried {
    /// The newest place whose key the founder has: of the generation before, or, where the founder was kept out of
    /// it, of an earlier one.
    pub to: KeyPlace,
    /// Its content key, sealed under the first key of the new generation.
    pub link: VLBytes,
}

/// Changes the membership or renews keys.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct Commit {
    /// `MlsMessage(PublicMessage)` with all proposals by value.
    pub mls: VLBytes,
    /// `MlsMessage(GroupInfo)` of the new epoch without tree, for a resync.
    pub group_info: VLBytes,
    /// `AEAD(k[e+1], k[e])`; absent after a resync, which cannot know `k[e]`.
    pub link: Option<VLBytes>,
    /// `HKDF(k[e+1], "check")`.
    pub check: Hash,
    /// Hash of the Welcome that travels beside the event, if the commit adds anybody.
    pub welcome: Option<Hash>,
    /// What lets added employees act for a granted unit.
    pub vouchers: Vec<Voucher>,
    /// Why the holder changes, or the scope closes in a handover; nothing else does either.
    pub handover: Option<Handover>,
}

/// One or many Automerge changes of one author, sealed (`docs/protocol.md` 4).
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct Change {
    pub salt: [u8; 32],
    pub count: u16,
    /// `HMAC(HKDF(k[e], salt ‖ "tag"), change hashes)`.
    pub tag: [u8; 32],
    /// [`crate::attachment::AttachmentManifest::id`] of what this change is the first to refer to; it is at the home
    /// before the change is.
    pub attachments: Vec<Hash>,
    pub sealed: VLBytes,
}

/// An event as the home received it, with its place and time in the chain.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct Record {
    pub seq: u64,
    /// The home's receipt time. Monotone along a chain.
    pub time: Millis,
    pub event: Signed<Event>,
}

impl Record {
    /// `head[n]` from `head[n-1]`.
    pub fn head_after(&self, before: &Hash) -> Hash {
        let event = hash("event bytes", &[&crate::codec::encode(&self.event)]);
        hash("head", &[&before.0, &self.seq.to_be_bytes(), &self.time.to_be_bytes(), &event.0])
    }
}

/// The home's word that the chain of a scope stood so; covers every record up to `position`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct Receipt {
    pub scope: ScopeId,
    /// Counts the log's moves between homes.
    pub home_epoch: u32,
    pub position: Position,
    pub time: Millis,
}

/// The clear bytes that a change's seal authenticates beside its content: nothing of the header can
/// be altered without the seal breaking.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct SealContext {
    pub scope: ScopeId,
    pub generation: u32,
    pub epoch: u64,
    pub device: DeviceId,
    pub counter: u64,
    pub seen: Position,
    pub count: u16,
    pub attachments: Vec<Hash>,
}

impl SealContext {
    /// Of the change in this event that holds `count` Automerge changes.
    #[must_use]
    pub fn of(event: &Event, count: u16) -> Self {
        let attachments = match &event.body {
            Body::Change(change) => change.attachments.clone(),
            _ => vec![],
        };
        Self {
            scope: event.scope,
            generation: event.generation,
            epoch: event.epoch,
            device: event.device,
            counter: event.counter,
            seen: event.seen,
            count,
            attachments,
        }
    }
}
